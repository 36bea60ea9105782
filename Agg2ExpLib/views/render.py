"""``agg2exp render``: a results folder as pictures, figures and a scene that opens in 3D Slicer."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .mrml_colors import Sign, overlay_state, set_overlay_threshold

if TYPE_CHECKING:
    from ..io.volume import Volume
    from ..runs.results import Results
    from .figures import Legend
    from .mrml import SceneNodes
    from .slice_views import Picture, SliceView

_TALLEST, _WIDEST = 600, 1900  # pixels of one slice and of three slices side by side
_OVERSAMPLING = 2  # views are drawn larger and averaged, which smooths outlines
_YELLOW = (1.0, 0.92, 0.1)
_TINT = 0.3  # of the global mask where there is no overlay


def render_results(
    results_folder: str | Path,
    output_folder: str | Path,
    percentile: float = 95.0,
    labels: Sequence[str] | None = None,
    sign: Sign = "both",
    views: bool = True,
    scene: bool = True,
    figures: bool = True,
    ct: str | Path | None = None,
) -> list[Path]:
    """Render a results folder.

    Args:
        results_folder: what a run of agg2exp wrote.
        output_folder: made if missing; files of the same name are replaced.
        percentile: the views show voxels at or above this percentile of ``|attribution|``; 95 shows the strongest 5 %.
        labels: explained labels to show, all by default.
        sign: show ``both``, only ``supporting`` or only ``opposing`` values.
        views: ``<label>_axial.png``, ``_coronal.png``, ``_sagittal.png`` and ``<label>_views.png``, and ``global_mask_views.png``
            where the results have such a mask; needs slicer-core.
        scene: ``scene.mrb``; needs slicer-core.
        figures: ``importance_matrix`` and ``importance_graph`` as ``.png`` and ``.svg``.
        ct: the CT that was explained, to show it in its full resolution; by default the result's own, on the model grid.

    Returns:
        The files written.

    Raises:
        InputError: no results folder, an unknown label, slicer-core not installed, no way to draw or to write,
            or a CT other than the one that was explained.
    """
    from ..runs.results import Results

    results = Results.open(results_folder)
    if not results.explained:
        raise InputError(f"{results_folder} holds no attribution maps to render: make them with agg2exp explain first.")
    shown = _checked_labels(results, labels)
    if not 0 <= percentile < 100:
        raise InputError(f"The percentile must be at least 0 and below 100, not {percentile:g}: 95 shows the strongest 5 %.")
    if views or scene:
        from .mrml import require_slicer

        require_slicer()
    original = _read_original(results, Path(ct)) if ct is not None else None
    output = Path(output_folder)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write to {output} ({error.strerror}): choose another ⟨output⟩.") from None
    try:
        written = _render_figures(results, output) if figures else []
        if views or scene:
            written += _render_scene(results, original, output, shown, percentile, sign, views, scene)
    except PermissionError as error:
        raise InputError(f"Cannot write to {output} ({error.strerror}): choose another ⟨output⟩.") from None
    return written


def render_label(
    nodes: SceneNodes, label: str, views: dict[str, SliceView], outline: tuple[Any, str] | None = None
) -> list[tuple[str, Picture]]:
    """Slices of one label through its largest cross-section, with its overlay and a yellow outline.

    Args:
        nodes: what :func:`~Agg2ExpLib.views.mrml.show_results` gave.
        label: an explained label.
        views: orientation to view, see :func:`open_views`.
        outline: segmentation node and segment id to outline and to look through; the label's own segment by default.
    """
    from .mrml_nodes import affine_of, array_of

    segmentation, segment = outline or (nodes.segmentation, label)
    overlay = nodes.overlays[label]
    strongest = np.unravel_index(np.abs(array_of(overlay)).argmax(), array_of(overlay).shape)
    otherwise = affine_of(overlay) @ np.array([*strongest, 1.0])
    through = segment_mask(segmentation, segment)
    with _outlined(nodes, segmentation, segment):
        return _slices(nodes, views, overlay, through, otherwise[:3])


def render_global_mask(nodes: SceneNodes, views: dict[str, SliceView]) -> list[tuple[str, Picture]]:
    """Slices without overlay, with the global mask in yellow, at the places where the first explained label is shown."""
    from .mrml_mask import GLOBAL_MASK
    from .mrml_nodes import affine_of

    label = next(iter(nodes.overlays))
    middle = affine_of(nodes.ct) @ np.array([*(np.array(nodes.ct.GetImageData().GetDimensions()) / 2), 1.0])
    display = nodes.global_mask.GetDisplayNode()
    before = display.GetOpacity2DFill()
    display.SetOpacity2DFill(_TINT)
    try:
        with _outlined(nodes, nodes.global_mask, GLOBAL_MASK):
            return _slices(nodes, views, None, segment_mask(nodes.segmentation, label), middle[:3])
    finally:
        display.SetOpacity2DFill(before)


def _slices(
    nodes: SceneNodes,
    views: dict[str, SliceView],
    overlay: Any,
    through: tuple[np.ndarray, np.ndarray],
    otherwise: np.ndarray,
) -> list[tuple[str, Picture]]:
    """One picture of each orientation, through the largest section of a mask (with its affine) or, where it is empty, a point."""
    from .figures import smaller
    from .mrml import OVERLAY_OPACITY
    from .slice_views import largest_section, view_axis

    mask, affine = through
    pictures = []
    for orientation, view in views.items():
        view.show(nodes.ct, overlay, OVERLAY_OPACITY)
        point = largest_section(mask, affine, view_axis(affine, orientation)) if mask.size else None
        view.jump(otherwise if point is None else point)
        picture = view.picture()
        pixels = smaller(picture.pixels, _OVERSAMPLING)
        pictures.append((orientation, replace(picture, pixels=pixels, millimetres=picture.millimetres * _OVERSAMPLING)))
    return pictures


def open_views(nodes: SceneNodes, prefix: str = "") -> dict[str, SliceView]:
    """One offscreen view for each orientation, all at the same scale, sized to the CT; close them when done.

    Args:
        nodes: what :func:`~Agg2ExpLib.views.mrml.show_results` gave.
        prefix: of the views' names; give one inside Slicer, so that the user's own views are left alone.
    """
    from .mrml_nodes import affine_of
    from .slice_views import ORIENTATIONS, SliceView, view_axis

    affine = affine_of(nodes.ct)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    extent = spacing * np.array(nodes.ct.GetImageData().GetDimensions())
    across, along, up = (float(extent[view_axis(affine, name)]) for name in ("sagittal", "coronal", "axial"))
    sizes = {"axial": (across, along), "coronal": (across, up), "sagittal": (along, up)}
    scale = min(_TALLEST / max(along, up), _WIDEST / (2 * across + along))
    return {
        name: SliceView(
            nodes.scene,
            name,
            (_pixels(sizes[name][0] * scale), _pixels(sizes[name][1] * scale)),
            f"{prefix}{name}" if prefix else None,
        )
        for name in ORIENTATIONS
    }


def segment_mask(segmentation: Any, segment_id: str) -> tuple[np.ndarray, np.ndarray]:
    """A segment's mask ``[x, y, z]`` (cut to where its layer has voxels) and its affine; empty when there is no such segment."""
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        return np.zeros((0, 0, 0), bool), np.eye(4)
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    image = segment.GetRepresentation(name)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    affine = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    affine[:3, 3] += affine[:3, :3] @ np.array(image.GetExtent()[::2])  # the first stored voxel
    values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]).transpose(2, 1, 0)
    return values == segment.GetLabelValue(), affine


def _render_figures(results: Results, output: Path) -> list[Path]:
    from ..roi_importance.graph import importance_graph, region_positions
    from .plots import save_figure, save_graph_plot, save_matrix_plot
    from .slice_figure import slice_figure

    matrix = results.importance()
    segmentation = results.segmentation()
    regions = {name: volume.array for name, volume in results.extra_rois().items()}
    positions = region_positions(segmentation.array, segmentation.affine, results.labels, regions)
    graph = importance_graph(matrix, results.labels)
    written = []
    for suffix in (".png", ".svg"):
        for name in ("importance_matrix", "importance_graph"):
            written.append(output / f"{name}{suffix}")
            if name == "importance_matrix":
                save_matrix_plot(matrix, results.labels, written[-1], title=results.patient)
            else:
                save_graph_plot(graph, written[-1], positions=positions, title=results.patient)
    slices = results.slices()
    for name in slices.classes if slices is not None else ():
        written.append(output / f"{name}_slices.png")
        save_figure(slice_figure(slices, name, f"{results.patient} · {results.probability(name)}"), written[-1])  # type: ignore[arg-type]
    return written


def _read_original(results: Results, path: Path) -> Volume:
    from ..io.read import read_ct
    from ..io.source_files import sha256_of

    volume = read_ct(path)
    if sha256_of(path) != results.run["ct"]["sha256"]:
        raise InputError(f"{path.name} is not the CT that {results.folder} explains (its checksum differs): give that CT.")
    return volume


def _render_scene(
    results: Results,
    ct: Volume | None,
    output: Path,
    labels: Sequence[str],
    percentile: float,
    sign: Sign,
    views: bool,
    scene: bool,
) -> list[Path]:
    from .mrml import new_scene, save_scene, show_results
    from .mrml_bundle import quiet_vtk

    written: list[Path] = []
    with quiet_vtk():
        nodes = show_results(results, new_scene(), ct, percentile, labels)
        target = results.target_mask() is not None and nodes.extra is not None
        opened: dict[str, SliceView] = open_views(nodes) if views else {}
        try:
            for label in reversed(labels):  # the first label is the one that the saved scene shows
                threshold = set_overlay_threshold(nodes.overlays[label], percentile, sign)
                if views:
                    outline = (nodes.extra, "target_mask") if target else None
                    legend = legend_of(nodes.overlays[label], threshold, _outline_words(results, target))
                    pictures = render_label(nodes, label, opened, outline)
                    title = nodes.titles.get(label, label)
                    if results.classes:
                        title += f" · {results.probability(label)}"
                    files = _save_label(output, label, pictures, title, results.patient, legend)
                    written = files + written
            if views and nodes.global_mask is not None:
                written.append(_save_global_mask(output, results, render_global_mask(nodes, opened)))
        finally:
            for view in opened.values():
                view.close()
        if scene:
            save_scene(nodes.scene, output / "scene.mrb")
            written.append(output / "scene.mrb")
    return written


def _outline_words(results: Results, target: bool) -> str:
    if results.classes:
        return ""
    return "the target mask" if target else "outline of the label"


def _save_label(
    output: Path, label: str, pictures: list[tuple[str, Picture]], title: str, patient: str, legend: Legend
) -> list[Path]:
    from .figures import save_views

    written = []
    for orientation, picture in pictures:
        written.append(output / f"{label}_{orientation}.png")
        save_views(written[-1], [(orientation, picture)], title, patient, legend)
    written.append(output / f"{label}_views.png")
    save_views(written[-1], pictures, title, patient, legend)
    return written


def _save_global_mask(output: Path, results: Results, pictures: list[tuple[str, Picture]]) -> Path:
    from ..runs.summary import mask_in_words
    from .figures import save_views

    path = output / "global_mask_views.png"
    held, dice = mask_in_words(results.run["global_mask"])
    save_views(path, pictures, "Global mask", results.patient, (f"Yellow: {held}.", dice))
    return path


def legend_of(overlay: Any, threshold: float, outline: str) -> Legend:
    """The legend of an overlay as it is shown now; ``outline`` says what the yellow line is."""
    from .figures import Legend
    from .mrml_colors import ENTRIES

    percentile, sign = overlay_state(overlay)
    window = float(overlay.GetDisplayNode().GetWindowLevelMax())
    return Legend(threshold, window, round((threshold / window * (ENTRIES - 1) - 1) / 2), percentile, sign, outline)


@contextlib.contextmanager
def _outlined(nodes: SceneNodes, segmentation: Any, segment: str) -> Iterator[None]:
    """While it lasts, one segment of the scene has a yellow outline in slice views and all others are hidden there."""
    displays = [node.GetDisplayNode() for node in (nodes.segmentation, nodes.extra, nodes.global_mask) if node is not None]
    before = [(display.GetVisibility2D(), display.GetSliceIntersectionThickness()) for display in displays]
    shown = segmentation.GetDisplayNode()
    content = segmentation.GetSegmentation()
    names = [content.GetNthSegmentID(index) for index in range(content.GetNumberOfSegments())]
    visible = {name: shown.GetSegmentVisibility(name) for name in names}
    try:
        for display in displays:
            display.SetVisibility2D(display is shown)
        for name in names:
            shown.SetSegmentVisibility(name, name == segment)
        if segment in names:
            shown.SetSegmentOverrideColor(segment, *_YELLOW)
        shown.SetSliceIntersectionThickness(2 * _OVERSAMPLING)
        yield
    finally:
        if segment in names:
            shown.UnsetSegmentOverrideColor(segment)
        for name, was in visible.items():
            shown.SetSegmentVisibility(name, was)
        for display, (was, thickness) in zip(displays, before, strict=True):
            display.SetVisibility2D(was)
            display.SetSliceIntersectionThickness(thickness)


def _checked_labels(results: Results, labels: Sequence[str] | None) -> tuple[str, ...]:
    if labels is None:
        return results.explained
    for name in labels:
        if name not in results.explained:
            near = difflib.get_close_matches(name, results.explained, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it explains {', '.join(results.explained) or 'nothing'}."
            raise InputError(f"These results do not explain '{name}': {hint}")
    return tuple(name for name in results.explained if name in labels)


def _pixels(length: float) -> int:
    return max(160, round(length)) * _OVERSAMPLING
