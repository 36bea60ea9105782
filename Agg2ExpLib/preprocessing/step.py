"""What one step of a preprocessing is: a small, typed thing that can be told as JSON."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from ..io.grid import Grid
    from ..io.volume import Volume


class Step(ABC):
    """One step from the CT towards what the network sees. Subclasses are frozen dataclasses of plain values.

    Attributes:
        name: in model cards.
    """

    name: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Name and settings as JSON values."""
        return {"step": self.name} | {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self)}  # type: ignore[arg-type]

    @abstractmethod
    def words(self) -> str:
        """What it does, for people: half a sentence."""


class Geometry(Step):
    """A step that changes where the voxels lie."""

    @abstractmethod
    def grid(self, grid: Grid) -> Grid:
        """The grid that comes out for an image on ``grid``; where that depends on its values, the largest possible one."""

    @abstractmethod
    def apply(self, image: Volume) -> Volume:
        """The image on the grid that comes out.

        Raises:
            InputError: nothing would be left of it.
        """


class Intensity(Step):
    """A step that changes the values and not where they lie."""

    def fitted(self, values: np.ndarray) -> Intensity:
        """The same step with what it takes from an image (its mean, say) settled; itself where it takes nothing."""
        return self

    @abstractmethod
    def apply(self, values: np.ndarray) -> np.ndarray:
        """The new values, float32, of the same shape; ``values`` stay as they are."""


def check_numbers(step: Step, key: str, value: Any, count: int) -> tuple[float, ...]:
    """A setting as so many finite numbers.

    Raises:
        InputError: it is something else; the sentence names step and setting.
    """
    parts = value if isinstance(value, tuple | list) and count > 1 else (value,)
    numbers = [part for part in parts if isinstance(part, int | float) and not isinstance(part, bool) and math.isfinite(part)]
    if len(numbers) != len(parts) or len(parts) != count:
        wanted = "a number" if count == 1 else f"{count} numbers"
        raise InputError(f"'{key}' of the preprocessing step '{step.name}' must be {wanted}, not {value!r}.")
    return tuple(float(number) for number in numbers)


def check_flag(step: Step, key: str, value: Any) -> None:
    """Refuse a setting that is not true or false.

    Raises:
        InputError: the sentence names step and setting.
    """
    if not isinstance(value, bool):
        raise InputError(f"'{key}' of the preprocessing step '{step.name}' must be true or false, not {value!r}.")


def check_spacing(step: Step, spacing: Any) -> None:
    """Refuse voxel sizes that no CT has.

    Raises:
        InputError: not three numbers from 0.05 to 50 (mm).
    """
    if not all(0.05 <= size <= 50 for size in check_numbers(step, "spacing", spacing, 3)):
        raise InputError(f"'spacing' of the preprocessing step '{step.name}' must be from 0.05 to 50 mm, not {spacing!r}.")


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
