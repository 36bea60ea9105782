"""Where the frames of a derived object lie: on the source's own slices, or in planes of the model grid.

OHIF overlays frames pixel by pixel and refuses other rows, columns or directions than those of the images below, so
the slices are the default. Readers that go by positions (Slicer, pydicom) take both. Slices of a tilted gantry are another matter:
dcmqi, with which Slicer reads such objects, stacks them as if they were not tilted, so there the model grid is the default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..io.affines import LPS_TO_RAS
from ..io.grid import Grid
from ..io.resample import resample
from ..io.volume import Volume
from .source import Source, decimals

AUTO, SOURCE, MODEL = "auto", "source", "model"
PLANES = (AUTO, SOURCE, MODEL)


@dataclass(frozen=True, eq=False)
class Planes:
    """Frames.

    Attributes:
        grid: index (column, row, frame) → patient RAS mm; sheared where the gantry was tilted.
        on_source: whether they are the source's slices, one by one.
    """

    grid: Grid
    on_source: bool

    @classmethod
    def choose(cls, wanted: str, source: Source, model_grid: Grid, notice: Callable[[str], None]) -> Planes:
        """The planes that were asked for.

        Args:
            wanted: one of :data:`PLANES`.
            source: the series.
            model_grid: of the result.
            notice: is told where that is not what most readers expect.
        """
        slices = cls.of_source(source)
        if wanted == MODEL or (wanted == AUTO and slices.grid.sheared):
            if wanted == AUTO:
                notice("The series was taken with a tilted gantry: segments and maps are written in planes of the model grid.")
            return cls.of_model_grid(model_grid)
        if slices.grid.sheared:
            notice(
                "The slices are tilted: viewers that overlay them one by one show the objects rightly, but some programs that "
                "make a volume of them, such as 3D Slicer, do not; ⟨planes⟩ model is right everywhere."
            )
        return slices

    @classmethod
    def of_source(cls, source: Source) -> Planes:
        """The source's slices."""
        return cls(Grid(source.shape, source.series.affine), True)

    @classmethod
    def of_model_grid(cls, grid: Grid) -> Planes:
        """Planes of the model grid, seen as radiologists do: rows run to the patient's left, columns to the back."""
        affine = grid.affine.copy()
        for axis in (0, 1):
            affine[:3, 3] += affine[:3, axis] * (grid.shape[axis] - 1)
            affine[:3, axis] *= -1
        return cls(Grid(grid.shape, affine), False)

    def sample(self, volume: Volume, interpolation: Literal["linear", "nearest"]) -> np.ndarray:
        """The volume's values ``[frame, row, column]``; 0 outside of it."""
        return np.ascontiguousarray(resample(volume, self.grid, interpolation, outside=0).transpose(2, 1, 0))

    def arguments(self) -> dict[str, Any]:
        """What highdicom must be told of the frames' places; nothing where they are the source's."""
        if self.on_source:
            return {}
        from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence

        lps = LPS_TO_RAS @ self.grid.affine
        columns, rows, step = self.grid.spacing
        directions = lps[:3, :2] / (columns, rows)
        positions = [lps[:3, 3] + number * lps[:3, 2] for number in range(self.grid.shape[2])]
        return {
            "pixel_measures": PixelMeasuresSequence(
                pixel_spacing=(rows, columns), slice_thickness=step, spacing_between_slices=step
            ),
            "plane_orientation": PlaneOrientationSequence("PATIENT", [float(part) for part in decimals(directions.T.ravel())]),
            "plane_positions": [PlanePositionSequence("PATIENT", [float(p) for p in decimals(position)]) for position in positions],
        }
