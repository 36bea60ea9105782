"""Slices of the model grid and the slice views: which one a view shows, and how to get all views to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import vtk

from Agg2ExpLib.views.mrml_nodes import affine_of, array_of

from . import MapDisplay
from .SceneVolumes import volumeAffine

if TYPE_CHECKING:
    from Agg2ExpLib.roi_importance.slices import SliceImportance


_AROUND_MM = 8.0


def goToSlice(overlay: Any, axis: int, number: int) -> None:
    """Move all slice views to where a map is strongest in a slice of its grid, on average over some millimetres.

    Args:
        overlay: the map's volume node.
        axis: of its grid, across the slice.
        number: of the slice.
    """
    plane = np.abs(np.take(array_of(overlay), number, axis=axis), dtype=np.float64)
    steps = np.linalg.norm(affine_of(overlay)[:3, :3], axis=0)[[other for other in range(3) if other != axis]]
    for across, step in enumerate(steps):
        plane = _mean(plane, max(0, round(_AROUND_MM / float(step))), across)
    place = [int(part) for part in np.unravel_index(int(plane.argmax()), plane.shape)]
    place.insert(axis, number)
    MapDisplay.jumpTo((volumeAffine(overlay) @ np.array([*place, 1.0]))[:3])


def _mean(values: np.ndarray, reach: int, axis: int) -> np.ndarray:
    """Mean over so many neighbours on both sides along an axis; 0 lies beyond the border."""
    padding = [(reach + 1, reach) if other == axis else (0, 0) for other in range(values.ndim)]
    sums = np.pad(values, padding).cumsum(axis)
    size = values.shape[axis]
    ends, starts = (np.take(sums, np.arange(size) + first, axis) for first in (2 * reach + 1, 0))
    return np.asarray((ends - starts) / (2 * reach + 1))


def shownSlices(overlay: Any, slices: SliceImportance) -> dict[str, int]:
    """Which slice of a map's grid the middle of each slice view lies in, by plane; none for a view outside of the map."""
    toIndex = np.linalg.inv(volumeAffine(overlay))
    found: dict[str, int] = {}
    for node, plane in MapDisplay.viewsWithDirection():
        matrix = node.GetSliceToRAS()
        middle = np.array([matrix.GetElement(row, 3) for row in range(4)])
        axis = slices.along(plane)
        number = round(float((toIndex @ middle)[axis.axis]))
        if plane not in found and 0 <= number < len(axis.position_mm):
            found[plane] = number
    return found


class SliceViewWatch:
    """Tells when a slice view has been moved.

    Args:
        callback: is called, often.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._observed: dict[str, tuple[Any, int]] = {}

    def observe(self) -> None:
        """Watch every slice view that there is now."""
        nodes = {node.GetID(): node for node in MapDisplay.nodesOfClass("vtkMRMLSliceNode")}
        for name, (node, tag) in list(self._observed.items()):
            if nodes.get(name) is not node:
                node.RemoveObserver(tag)
                del self._observed[name]
        for name, node in nodes.items():
            if name not in self._observed:
                self._observed[name] = (node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onModified))

    def stop(self) -> None:
        """Watch nothing."""
        for node, tag in self._observed.values():
            node.RemoveObserver(tag)
        self._observed = {}

    def _onModified(self, _caller: Any, _event: Any) -> None:
        self._callback()
