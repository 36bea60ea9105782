"""How maps look in the slice views; every call answers within a tenth of a second."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.views.mrml_colors import set_overlay_threshold
from Agg2ExpLib.views.mrml_nodes import affine_of, array_of
from Agg2ExpLib.views.picture_colors import set_strength_threshold

from .PictureKey import ENRICHMENT, SHARE, SUPPORT, VOXELS, shownBy
from .SceneVolumes import segmentIds, segmentMask, transformToWorld

YELLOW = (1.0, 0.92, 0.24)
_OUTLINE_PIXELS = 2
_BEFORE_PIXELS, _PALE = 1, 0.3  # what there was, beside the strong lines of what there is now


def nodesOfClass(name: str) -> list[Any]:
    """All nodes of a class in the scene."""
    scene = slicer.mrmlScene
    return [scene.GetNthNodeByClass(index, name) for index in range(scene.GetNumberOfNodesByClass(name))]


def showBackground(ct: Any) -> None:
    """The CT behind everything, in every slice view; views are fitted to a CT that they did not show before."""
    another = False
    for composite in nodesOfClass("vtkMRMLSliceCompositeNode"):
        if composite.GetBackgroundVolumeID() != ct.GetID():
            composite.SetBackgroundVolumeID(ct.GetID())
            another = True
    if another:
        fitViews()


def showLayers(ct: Any, overlay: Any, opacity: float) -> None:
    """The CT in the background and a map in front of it, in every slice view."""
    for composite in nodesOfClass("vtkMRMLSliceCompositeNode"):
        composite.SetForegroundVolumeID(overlay.GetID())
        composite.SetForegroundOpacity(opacity)
    if ct is not None:
        showBackground(ct)


def removeLayers(overlays: list[Any]) -> None:
    """Take these maps out of the views, whichever shows them."""
    shown = {node.GetID() for node in overlays}
    for composite in nodesOfClass("vtkMRMLSliceCompositeNode"):
        if composite.GetForegroundVolumeID() in shown:
            composite.SetForegroundVolumeID(None)


def setOpacity(overlay: Any, opacity: float) -> None:
    """Opacity of a map in the views that show it, 0..1."""
    for composite in nodesOfClass("vtkMRMLSliceCompositeNode"):
        if composite.GetForegroundVolumeID() == overlay.GetID():
            composite.SetForegroundOpacity(opacity)


def setLinked(linked: bool) -> None:
    """Whether the slice views share layers, zoom and opacity, also while something is dragged."""
    for composite in nodesOfClass("vtkMRMLSliceCompositeNode"):
        composite.SetLinkedControl(linked)
        composite.SetHotLinkedControl(linked)


def fitViews() -> None:
    """Fit every slice view to its background."""
    layoutManager = getattr(getattr(slicer, "app", None), "layoutManager", lambda: None)()
    if layoutManager is not None and hasattr(layoutManager, "resetSliceViews"):
        layoutManager.resetSliceViews()


def setThreshold(overlay: Any, strongest: float, sign: str) -> None:
    """Show the strongest part (percent of the voxels) of a map, of one sign or of both; a picture of regions shows all of them."""
    kind, _smoothing, absolute = shownBy(overlay) or (VOXELS, 0.0, False)
    if kind != VOXELS:
        return
    if absolute:
        set_strength_threshold(overlay, 100.0 - strongest)
        return
    set_overlay_threshold(overlay, 100.0 - strongest, sign)  # type: ignore[arg-type]


def showOutline(segmentations: list[Any], shown: Any, segmentId: str, visible: bool) -> None:
    """Outline one segment in yellow; all segments of the other given segmentations are hidden in slice views."""
    for node in segmentations:
        display = node.GetDisplayNode() if node is not None else None
        if display is None:
            continue
        modified = display.StartModify()
        here = visible and node is shown and segmentId in segmentIds(node)
        display.SetVisibility2D(here)
        if here:
            display.SetVisibility(True)
            display.SetVisibility2DFill(False)
            display.SetVisibility2DOutline(True)
            display.SetSliceIntersectionThickness(_OUTLINE_PIXELS)
            for name in segmentIds(node):
                display.SetSegmentVisibility(name, name == segmentId)
                if name == segmentId:
                    display.SetSegmentOverrideColor(name, *YELLOW)
                else:
                    display.UnsetSegmentOverrideColor(name)
        display.EndModify(modified)


def showBefore(segmentation: Any, colors: Mapping[str, Sequence[int]]) -> None:
    """Outline segments thin and pale in their own colours, beside what is outlined already: what there was before a change.

    Args:
        segmentation: node of the segments.
        colors: of each segment, 0..255.
    """
    display = segmentation.GetDisplayNode() if segmentation is not None else None
    if display is None:
        return
    modified = display.StartModify()
    if not display.GetVisibility2D():  # nothing else of it is outlined
        for name in segmentIds(segmentation):
            display.SetSegmentVisibility(name, False)
    display.SetVisibility(True)
    display.SetVisibility2D(True)
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(_BEFORE_PIXELS)
    for name in set(segmentIds(segmentation)) & set(colors):
        display.SetSegmentVisibility(name, True)
        display.SetSegmentOverrideColor(name, *(1 - _PALE * (1 - part / 255) for part in colors[name]))
    display.EndModify(modified)


def showAllSegments(segmentation: Any) -> None:
    """All segments as coloured outlines with a light fill: how a fresh segmentation is looked at."""
    display = segmentation.GetDisplayNode() if segmentation is not None else None
    if display is None:
        return
    modified = display.StartModify()
    display.SetVisibility(True)
    display.SetVisibility2D(True)
    display.SetVisibility2DFill(True)
    display.SetVisibility2DOutline(True)
    display.SetOpacity2DFill(0.25)
    for name in segmentIds(segmentation):
        display.SetSegmentVisibility(name, True)
        display.UnsetSegmentOverrideColor(name)
    display.EndModify(modified)


def legendText(title: str, overlay: Any, sign: str) -> str:
    """What stands over the colours of a map or a picture of it, one fact a line."""
    kind, smoothing, absolute = shownBy(overlay) or (VOXELS, 0.0, False)
    signs = {"supporting": _("red supports"), "opposing": _("blue opposes")}
    both = _("red supports\nblue opposes")
    organs = {
        SHARE: _("share of attribution\nin %"),
        ENRICHMENT: _("times its share\nof the volume"),
        SUPPORT: _("net support in %\n{signs}").format(signs=both),
    }
    lines = [title, organs.get(kind) or (_("strength\nof either sign") if absolute else signs.get(sign, both))]
    if smoothing:
        lines.append(_("smoothed {size:g} mm").format(size=smoothing))
    return "\n".join(lines)


def showLegend(overlay: Any, others: list[Any], text: str, visible: bool) -> None:
    """A colour legend in the views for one map, and none for the others. Without the colours module nothing happens.

    What the map does not show (the weak middle, one sign) is grey in the legend.

    Args:
        overlay: the map shown, or None.
        others: all maps.
        text: over the colours.
        visible: whether there is a legend.
    """
    logic = _moduleLogic("colors")
    if logic is None or not hasattr(logic, "AddDefaultColorLegendDisplayNode"):
        return
    for other in others:
        legend = logic.GetColorLegendDisplayNode(other)
        if legend is not None and other is not overlay:
            legend.SetVisibility(False)
    if overlay is None:
        return
    legend = logic.GetColorLegendDisplayNode(overlay)
    if legend is None and visible:
        legend = logic.AddDefaultColorLegendDisplayNode(overlay)
        if legend is None:
            return
        legend.SetNumberOfLabels(5)
        legend.SetSize(0.12, 0.45)
        legend.SetPosition(0.98, 0.5)
    if legend is not None:
        legend.SetTitleText(text)
        legend.SetLabelFormat(numberFormat(float(overlay.GetDisplayNode().GetWindowLevelMax())))
        legend.SetVisibility(visible)


def numberFormat(largest: float) -> str:
    """How the numbers of a scale up to ``largest`` are written: two digits that count, no powers of ten where they can be read."""
    if not 1e-3 <= largest < 1e5:
        return "%.1e"
    return f"%.{max(0, 1 - math.floor(math.log10(largest)))}f"


class Sections:
    """Where segments have their largest cross-sections; remembered, so that jumping is quick."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int], dict[str, np.ndarray] | None] = {}

    def jump(self, segmentation: Any, segmentId: str) -> bool:
        """Move every slice view to the segment's largest cross-section in its own direction; False when it has no voxel."""
        points = self.points(segmentation, segmentId)
        if not points:
            return False
        with slicer.util.RenderBlocker():
            for node, orientation in viewsWithDirection():
                ras = points.get(orientation)
                if ras is not None:
                    _jump(node, ras)
        return True

    def points(self, segmentation: Any, segmentId: str) -> dict[str, np.ndarray] | None:
        """For axial, coronal and sagittal the centre of the largest cross-section in world RAS; None without a voxel."""
        from Agg2ExpLib.views.slice_views import ORIENTATIONS, largest_section, view_axis

        if segmentation is None or segmentId not in segmentIds(segmentation):
            return None
        key = (segmentation.GetID(), segmentId, segmentation.GetSegmentation().GetMTime())
        if key not in self._known:
            try:
                mask, affine = segmentMask(segmentation, segmentId)
            except InputError:
                return None
            found = {name: largest_section(mask, affine, view_axis(affine, name)) for name in ORIENTATIONS}
            self._known[key] = {name: point for name, point in found.items() if point is not None}
        return self._known[key]


def jumpToStrongest(overlay: Any) -> None:
    """Move every slice view to the strongest voxel of a map."""
    values = array_of(overlay)
    index = np.unravel_index(int(np.abs(values).argmax()), values.shape)
    ras = transformToWorld(overlay) @ affine_of(overlay) @ np.array([*index, 1.0])
    jumpTo(ras[:3])


def jumpTo(ras: Sequence[float]) -> None:
    """Move every slice view through a point in world RAS."""
    with slicer.util.RenderBlocker():
        for node, _orientation in viewsWithDirection():
            _jump(node, np.asarray(ras, dtype=float))


def _moduleLogic(name: str) -> Any:
    """Logic of a Slicer module, None where the module is not there."""
    module = getattr(getattr(slicer, "modules", None), name, None)
    return module.logic() if module is not None else None


def _jump(node: Any, ras: np.ndarray) -> None:
    """Move a view's slice through a point; the view is panned only if the point would be outside it."""
    toView = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), toView)
    point = toView.MultiplyPoint((*(float(part) for part in ras), 1.0))
    width, height = node.GetDimensions()[:2]
    if 0.1 * width < point[0] < 0.9 * width and 0.1 * height < point[1] < 0.9 * height:
        node.JumpSliceByOffsetting(*(float(part) for part in ras))
    else:
        node.JumpSliceByCentering(*(float(part) for part in ras))


def viewsWithDirection() -> Iterator[tuple[Any, str]]:
    """Every slice node with the standard orientation nearest to it."""
    from Agg2ExpLib.views.slice_views import ORIENTATIONS

    byAxis = {axis: name for name, (_color, axis) in ORIENTATIONS.items()}
    for node in nodesOfClass("vtkMRMLSliceNode"):
        matrix = node.GetSliceToRAS()
        normal = [abs(matrix.GetElement(row, 2)) for row in range(3)]
        yield node, byAxis[int(np.argmax(normal))]
