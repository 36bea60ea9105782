"""The forms in which people have models; the first reader that knows a path reads it.

A reader is a module with three functions: ``find(path)`` looks at names and small files alone and returns what it found, or None
where the path is none of its own; ``load(found, card, variant)`` reads it, with a model card that the user gave or None;
``describe(found)`` says what can be said of it without loading it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from . import auto3dseg, bundle_folder, nnunet, totalsegmentator, weights_file
from .described import Described
from .loaded import Loaded
from .variant import Variant


class Format(Protocol):
    """One form of models: a module of this package."""

    def find(self, path: Path, /) -> Any:
        """What lies there, or None where it is no model of this form.

        Raises:
            InputError: it is one, and cannot be used.
        """

    def load(self, found: Any, card: Path | None, variant: Variant, /) -> Loaded:
        """The model.

        Raises:
            InputError: one sentence that says what is wrong with it.
        """

    def describe(self, found: Any, /) -> Described:
        """What can be said of it without loading it, and without PyTorch.

        Raises:
            InputError: one sentence that says why it cannot be explained.
        """


# Weights alone come last: that reader says of everything else what it is not.
FORMATS: tuple[Format, ...] = (totalsegmentator, nnunet, auto3dseg, bundle_folder, weights_file)


def describe_model(path: Path) -> Described:
    """What can be said of a model without loading it, and without PyTorch.

    Raises:
        InputError: one sentence that says why it cannot be explained.
    """
    form, found = next((form, found) for form in FORMATS if (found := form.find(path)) is not None)
    return form.describe(found)


def read_model(path: Path, card: Path | None, variant: Variant) -> Loaded:
    """A model from wherever it lies.

    Raises:
        InputError: one sentence that says what is wrong with it.
    """
    form, found = next((form, found) for form in FORMATS if (found := form.find(path)) is not None)
    return form.load(found, card, variant)
