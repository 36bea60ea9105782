"""From a CT to what a network sees, and back to the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..io.grid import Grid, closest_to_ras
from ..io.resample import resample
from ..io.turn import Turn
from ..io.volume import Volume
from ..system.memory import require_memory
from .clip import Clip
from .clip_percentiles import ClipPercentiles
from .crop_foreground import CropForeground
from .crop_nonzero import CropNonzero
from .ct_normalisation import CtNormalisation
from .hu_window import HuWindow
from .nnunet_resampling import NnunetResampling
from .normalise import Normalise
from .orientation import Orientation
from .ras_spacing import AIR_HU, RasSpacing
from .scale_extremes import ScaleExtremes
from .scale_percentiles import ScalePercentiles
from .scale_range import ScaleRange
from .spacing import Spacing
from .squash import Squash
from .step import Geometry, Intensity, Step
from .threshold import Threshold
from .totalsegmentator_resampling import TotalsegmentatorResampling
from .transposed import Transposed
from .zscore import Zscore

if TYPE_CHECKING:
    from collections.abc import Mapping

# Every step that a model card may name.
_GEOMETRY: tuple[type[Step], ...] = (
    RasSpacing,
    Orientation,
    Spacing,
    CropForeground,
    Transposed,
    CropNonzero,
    NnunetResampling,
    TotalsegmentatorResampling,
)
_INTENSITY: tuple[type[Step], ...] = (
    HuWindow, ScaleRange, ScaleExtremes, ScalePercentiles, Clip, ClipPercentiles, Normalise, Threshold, Squash,
    CtNormalisation, Zscore,
)  # fmt: skip
STEPS: dict[str, type[Step]] = {step.name: step for step in (*_GEOMETRY, *_INTENSITY)}
_BYTES_A_VOXEL = 12  # on the model's grid: the image, its HU, and what the network sees, in float32


@dataclass(frozen=True, eq=False)
class Prepared:
    """A CT as a network sees it. All arrays are ``[x, y, z]``, whatever order of axes the network itself wants.

    Attributes:
        grid: the model grid, its axes nearest to right, anterior, superior: its affine leads back to the patient.
        hu: the CT there, float32.
        image: what the network sees, float32, in C order.
        turn: from our axes to those of the network's arrays.
        intensities: the intensity steps with what they took from this CT settled.
    """

    grid: Grid
    hu: np.ndarray
    image: np.ndarray
    turn: Turn
    intensities: tuple[Intensity, ...]

    def intensity(self, hu: np.ndarray) -> np.ndarray:
        """What the network would see for other HU, float32 of the same shape, by the numbers of this CT."""
        return _through(self.intensities, np.asarray(hu, dtype=np.float32))


@dataclass(frozen=True)
class Preprocessing:
    """The steps that a network's images went through in training, in their order.

    Attributes:
        steps: geometry and intensity.
        pad_value: intensity of voxels beyond an image that is smaller than a window.
    """

    steps: tuple[Step, ...]
    pad_value: float = 0.0

    @classmethod
    def simple(
        cls, spacing: Sequence[float], hu_window: Sequence[float], intensity_range: Sequence[float] = (0.0, 1.0)
    ) -> Preprocessing:
        """RAS axes, spacing, HU window: what most MONAI networks for CT want."""
        x, y, z = (float(step) for step in spacing)
        window = HuWindow((hu_window[0], hu_window[1]), (intensity_range[0], intensity_range[1]))
        return cls((RasSpacing((x, y, z)), window), intensity_range[0])

    @classmethod
    def from_json(cls, steps: object, source: str, pad_value: float = 0.0) -> Preprocessing:
        """The steps of a model card.

        Raises:
            InputError: something in them is wrong; the sentence names it.
        """
        if not isinstance(steps, list) or not steps or len(steps) > 50:
            raise InputError(f"'preprocessing' of {source} must list its steps.")
        return cls(tuple(_step(entry, source) for entry in steps), pad_value)

    def to_json(self) -> list[dict[str, Any]]:
        """The steps as JSON values."""
        return [step.to_json() for step in self.steps]

    def words(self) -> tuple[str, ...]:
        """What each step does, for people."""
        return tuple(step.words() for step in self.steps)

    def grid(self, grid: Grid) -> Grid:
        """The model grid of an image on ``grid``; where cropping depends on its values, the largest possible one."""
        for step in self.steps:
            if isinstance(step, Geometry):
                grid = step.grid(grid)
        return closest_to_ras(grid)

    def intensities(self, hu: np.ndarray) -> np.ndarray:
        """The intensities of another scan that lies on a model grid already, float32 of the same shape, in C order."""
        values = np.asarray(hu, dtype=np.float32)
        for step in self.steps:
            if isinstance(step, Intensity):
                values = step.fitted(values).apply(values)
        return np.ascontiguousarray(values, dtype=np.float32)

    def prepare(self, ct: Volume) -> Prepared:
        """Bring a CT to the network.

        Args:
            ct: in HU, on its own grid.

        Raises:
            InputError: nothing of the CT would be left, or it does not fit into memory on the model's grid.
        """
        image = Volume(ct.array, ct.affine, ct.name)
        plain: Volume | None = image  # HU, as long as no intensity step came before a geometry step
        fitted: list[Intensity] = []
        for step in self.steps:
            if isinstance(step, Geometry):
                _require_room(step.grid(image.grid))
                image = step.apply(image)
                plain = None if fitted else image
            elif isinstance(step, Intensity):
                settled = step.fitted(image.array)
                fitted.append(settled)
                image = Volume(settled.apply(image.array), image.affine, image.name)
        turn = Turn.of(image.grid)
        grid = closest_to_ras(image.grid)
        if plain is None:
            hu = resample(ct, grid, "linear", outside=AIR_HU if ct.grid.sheared else None)
        else:
            hu = turn.back(plain.array).astype(np.float32, copy=False)
        seen = np.ascontiguousarray(turn.back(image.array), dtype=np.float32)
        return Prepared(grid, hu, seen, turn, tuple(fitted))


def _require_room(grid: Grid) -> None:
    """Refuse a grid so fine that the CT on it, HU and what the network sees are more than there is memory for."""
    shape, spacing = "x".join(map(str, grid.shape)), "x".join(f"{step:g}" for step in grid.spacing)
    require_memory(
        _BYTES_A_VOXEL * float(np.prod(grid.shape, dtype=float)),
        f"The CT on the model's grid of {shape} voxels ({spacing} mm)",
        "take a model for coarser voxels, cut the CT to what matters, or use a computer with more memory",
    )


def _through(steps: Sequence[Intensity], values: np.ndarray) -> np.ndarray:
    for step in steps:
        values = step.apply(values)
    return values


def _step(entry: object, source: str) -> Step:
    if not isinstance(entry, dict) or entry.get("step") not in STEPS:
        named = entry.get("step") if isinstance(entry, dict) else entry
        raise InputError(f"'preprocessing' of {source} has the unknown step {named!r}: use {', '.join(STEPS)}.")
    values: Mapping[str, Any] = {key: _tuples(value) for key, value in entry.items() if key != "step"}
    try:
        return STEPS[entry["step"]](**values)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"The step '{entry['step']}' in 'preprocessing' of {source} has wrong settings ({error}).") from error


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value
