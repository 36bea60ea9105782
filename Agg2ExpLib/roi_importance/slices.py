"""How much each slice matters for each class of a classifier, along each axis of the patient.

Three answers stand side by side: ``weight`` is where the network looked (attention), ``contribution`` what that did to the logit
(signed, exact), ``mass`` how much of the voxel attribution lies in the slice. Only the network's own axes have the first two.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..system.files import replacing

if TYPE_CHECKING:
    import pandas

    from ..io.grid import Grid

PLANES = ("sagittal", "coronal", "axial")  # of slices across the patient's right-left, back-front and feet-head axis
APART_MM = 10.0  # between two slices that are told of as two
COLUMNS = ("patient", "label", "plane", "slice", "position_mm", "weight", "contribution", "mass", "net")


@dataclass(frozen=True)
class AxisSlices:
    """The slices along one axis of the model grid.

    Attributes:
        plane: ``sagittal``, ``coronal`` or ``axial``, the nearest one.
        axis: of the grid, 0 to 2.
        position_mm: where each slice's centre lies along the patient axis across the plane (right, anterior, superior), ``[n]``.
        weight: how much the network looked at each, ``[n]``; over all axes they sum to 1. NaN along axes that it has no slices of.
        contribution: of each to each logit, ``[classes, n]``; NaN likewise.
        mass: share of each class's absolute attribution, ``[classes, n]``.
        net: the same, negative attribution subtracted.
    """

    plane: str
    axis: int
    position_mm: np.ndarray
    weight: np.ndarray
    contribution: np.ndarray
    mass: np.ndarray
    net: np.ndarray


@dataclass(frozen=True)
class SliceImportance:
    """The slices along all three axes.

    Attributes:
        classes: names of the explained classes.
        axes: along the grid's axes, in their order.

    Examples:
        >>> slices = agg2exp.explain("chest.nii.gz", "classifier.safetensors", method="gradient").slices
        >>> slices.to_frame().query("plane == 'axial'").nlargest(3, "mass")
    """

    classes: tuple[str, ...]
    axes: tuple[AxisSlices, ...]

    def along(self, plane: str) -> AxisSlices:
        """The slices of a plane."""
        return next(axis for axis in self.axes if axis.plane == plane)

    def strongest(self, name: str, plane: str, by: str = "mass") -> list[int]:
        """Numbers of the slices of a plane, the one that matters most for a class first.

        Args:
            name: of the class.
            plane: ``sagittal``, ``coronal`` or ``axial``.
            by: ``mass``, ``contribution`` (by size) or ``weight``.
        """
        axis = self.along(plane)
        values = axis.weight if by == "weight" else getattr(axis, by)[self.classes.index(name)]
        return [int(index) for index in np.argsort(-np.abs(values), kind="stable")]

    def peaks(self, name: str, by: str = "mass", count: int = 12, apart_mm: float = APART_MM) -> list[tuple[str, int]]:
        """Plane and number of the slices that matter most for a class, over all planes, the first first.

        Slices beside one that is listed say the same as it, and are left out.

        Args:
            name: of the class.
            by: as for :meth:`strongest`; planes without such numbers have no slice here.
            count: this many at most.
            apart_mm: the least distance of two that are listed, along the same axis.
        """
        found: list[tuple[float, str, int]] = []
        for axis in self.axes:
            values = np.abs(axis.weight if by == "weight" else getattr(axis, by)[self.classes.index(name)])
            places: list[float] = []
            for number in self.strongest(name, axis.plane, by):
                place = float(axis.position_mm[number])
                if not values[number] > 0 or len(places) == count:
                    break
                if all(abs(place - other) >= apart_mm for other in places):
                    places.append(place)
                    found.append((-float(values[number]), axis.plane, number))
        return [(plane, number) for _value, plane, number in sorted(found)[:count]]

    def to_frame(self) -> pandas.DataFrame:
        """A pandas frame with the columns of ``slice_importance.csv`` without the patient."""
        import pandas

        lines = list(csv.reader(io.StringIO(slices_text(self, ""))))
        frame = pandas.DataFrame(lines[1:], columns=lines[0]).drop(columns="patient")
        numbers = list(COLUMNS[3:])
        frame[numbers] = frame[numbers].apply(pandas.to_numeric)
        return frame


def slice_importance(
    grid: Grid, maps: Mapping[str, np.ndarray], parts: Mapping[int, tuple[np.ndarray, Mapping[str, np.ndarray]]]
) -> SliceImportance:
    """What maps and network say of every slice.

    Args:
        grid: the model grid.
        maps: signed attribution of each class, ``[x, y, z]``.
        parts: for each axis of the grid that the network has slices along, their weights ``[n]`` and, by class, their
            contributions ``[n]``.
    """
    names = tuple(maps)
    totals = {name: float(np.abs(values, dtype=np.float64).sum()) for name, values in maps.items()}
    axes = []
    for axis, plane in enumerate(_planes(grid)):
        others = tuple(other for other in range(3) if other != axis)
        count = grid.shape[axis]
        weight, given = parts.get(axis, (np.full(count, np.nan), {}))
        axes.append(
            AxisSlices(
                plane,
                axis,
                _positions(grid, axis, PLANES.index(plane)),
                np.asarray(weight, dtype=np.float64),
                np.stack([np.asarray(given.get(name, np.full(count, np.nan)), dtype=np.float64) for name in names]),
                np.stack([np.abs(maps[name]).sum(axis=others, dtype=np.float64) / totals[name] for name in names]),
                np.stack([maps[name].sum(axis=others, dtype=np.float64) / totals[name] for name in names]),
            )
        )
    return SliceImportance(names, tuple(axes))


def _planes(grid: Grid) -> list[str]:
    """The plane of the slices along each axis of a grid: each plane once."""
    from nibabel.orientations import io_orientation

    return [PLANES[int(patient)] for patient in io_orientation(grid.affine)[:, 0]]


def _positions(grid: Grid, axis: int, patient: int) -> np.ndarray:
    """Coordinate along a patient axis of the middle of every slice, mm."""
    middle = (np.array(grid.shape, dtype=float) - 1) / 2
    places = np.repeat(middle[None], grid.shape[axis], axis=0)
    places[:, axis] = np.arange(grid.shape[axis])
    return np.asarray(grid.to_ras(places))[:, patient]


def write_slices(path: Path, slices: SliceImportance, patient: str) -> None:
    """Write ``slice_importance.csv``: one line for each class and slice; undefined numbers are left empty."""
    with replacing(path) as temporary:
        temporary.write_text(slices_text(slices, patient), encoding="utf-8", newline="")


def slices_text(slices: SliceImportance, patient: str) -> str:
    """What :func:`write_slices` writes."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row, name in enumerate(slices.classes):
        for axis in slices.axes:
            for number, position in enumerate(axis.position_mm):
                values = (axis.weight[number], *(array[row, number] for array in (axis.contribution, axis.mass, axis.net)))
                told = ["" if np.isnan(value) else repr(float(value)) for value in values]
                writer.writerow([patient, name, axis.plane, number, repr(round(float(position), 4)), *told])
    return file.getvalue()


def read_slices(path: Path) -> SliceImportance:
    """Read back what :func:`write_slices` wrote.

    Raises:
        InputError: the file is missing or not such a table.
    """
    try:
        return slices_from_text(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, InputError) as error:
        raise InputError(f"{path} cannot be read as a table of slices ({error}): take the result as it was.") from None


def slices_from_text(text: str) -> SliceImportance:
    """Read back what :func:`slices_text` gave.

    Raises:
        InputError: it is no such table.
    """
    try:
        lines = list(csv.DictReader(io.StringIO(text, newline="")))
        names = tuple(dict.fromkeys(line["label"] for line in lines))
        axes = []
        for number, plane in enumerate(dict.fromkeys(line["plane"] for line in lines)):
            by_class = [[line for line in lines if (line["label"], line["plane"]) == (name, plane)] for name in names]
            tables = {key: np.array([[_number(line[key]) for line in own] for own in by_class]) for key in COLUMNS[4:]}
            axes.append(
                AxisSlices(
                    plane,
                    number,
                    tables["position_mm"][0],
                    tables["weight"][0],
                    *(tables[key] for key in ("contribution", "mass", "net")),
                )
            )
        if sorted(axis.plane for axis in axes) != sorted(PLANES) or not names:
            raise ValueError("it lacks a plane")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"not a table of slices: {error}") from None
    return SliceImportance(names, tuple(axes))


def merge_slices(before: SliceImportance, after: SliceImportance, order: tuple[str, ...]) -> SliceImportance:
    """The classes of both, explained on the same grid; those of ``after`` where both have one.

    Args:
        before, after: over the same slices.
        order: the classifier's classes, for the order of the rows.
    """
    names = tuple(name for name in order if name in before.classes or name in after.classes)
    picked = [after if name in after.classes else before for name in names]
    axes = []
    for axis in after.axes:
        rows: dict[str, Any] = {
            key: np.stack(
                [getattr(one.along(axis.plane), key)[one.classes.index(name)] for name, one in zip(names, picked, strict=True)]
            )
            for key in ("contribution", "mass", "net")
        }
        axes.append(replace(axis, **rows))
    return SliceImportance(names, tuple(axes))


def _number(text: str) -> float:
    return float(text) if text else np.nan
