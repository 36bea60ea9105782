"""The labels of an nnU-Net from its ``dataset.json``, and whether its images are CT."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .card_labels import MAX_LABELS
from .label_names import clean_names
from .labels import BACKGROUND

_IGNORE = "ignore"
_OTHER_IMAGES = re.compile(
    r"\b(mri?|t1\w*|t2\w*|flair|dwi|adc|swi|dce|pd|pdw|bold|pet|spect|suv|us|ultrasound|cine|mra|r|g|b|rgb|red|green|blue)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class NnunetLabels:
    """What the output channels mean.

    Attributes:
        names: the background first, then one for each channel that is a label, in channel order; fit for file names.
        regions: whether the labels are regions that may overlap, each with a sigmoid of its own; then no channel is background.
        channel: what the images are, such as ``CT``.
    """

    names: tuple[str, ...]
    regions: bool
    channel: str

    @property
    def channels(self) -> int:
        """Output channels of the network."""
        return len(self.names) - self.regions


def read_labels(dataset: object, source: str) -> NnunetLabels:
    """The labels of a ``dataset.json``.

    Args:
        dataset: its content.
        source: the model's name, for messages.

    Raises:
        InputError: it is of nnU-Net v1, has more than one input channel or one that is no CT, or labels that cannot be.
    """
    if not isinstance(dataset, dict) or not isinstance(dataset.get("labels"), dict):
        raise InputError(f"The dataset.json of {source} lists no labels: copy the model's folder again.")
    labels = dataset["labels"]
    if labels and all(str(key).isdigit() for key in labels):
        raise InputError(f"The dataset.json of {source} is of nnU-Net v1, whose models are not supported: train with nnU-Net v2.")
    channel = _channel(dataset, source)
    if labels.get(BACKGROUND) != 0:
        raise InputError(f"The dataset.json of {source} gives no label 'background' the value 0: correct it.")
    given = {str(name): _values(name, value, source) for name, value in labels.items() if name != _IGNORE}
    if any(isinstance(labels[name], list) and len(values) > 1 for name, values in given.items()):
        names = [name for name, values in given.items() if set(values) != {0}]
        order = dataset.get("regions_class_order")
        if not isinstance(order, list) or len(order) != len(names):
            raise InputError(
                f"The dataset.json of {source} has labels of several values, but no regions_class_order for each: correct it."
            )
        regions = True
    else:
        values = sorted(value for several in given.values() for value in several)
        if len(set(values)) != len(values):
            raise InputError(f"The dataset.json of {source} gives two labels the same value: correct it.")
        names = [name for name in sorted(given, key=lambda name: given[name]) if name != BACKGROUND]
        regions = False
    if not 1 <= len(names) < MAX_LABELS:
        raise InputError(f"{source} has {len(names)} labels, and Agg2Exp handles 1 to {MAX_LABELS - 1}.")
    return NnunetLabels(clean_names([BACKGROUND, *names]), regions, channel)


def _values(name: object, value: object, source: str) -> tuple[int, ...]:
    parts = value if isinstance(value, list) else [value]
    if not parts or not all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part < 65536 for part in parts):
        raise InputError(f"The dataset.json of {source} gives the label '{name}' the value {str(value)[:60]}: correct it.")
    return tuple(parts)


def _channel(dataset: Mapping[str, Any], source: str) -> str:
    """The name of the one input channel."""
    found = dataset.get("channel_names", dataset.get("modality"))
    names = [str(name).strip() for name in found.values()] if isinstance(found, dict) else []
    if len(names) != 1:
        told = f"{len(names)} input channels ({', '.join(names)[:80]})" if names else "no input channel in its dataset.json"
        raise InputError(f"{source} has {told}, and a CT is one: give a model of CT alone.")
    if _OTHER_IMAGES.search(names[0]):
        raise InputError(f"{source} was trained on images called '{names[0][:60]}' and not on CT: give a model of CT.")
    return names[0]
