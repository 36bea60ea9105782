"""Writes what the panel shows into a folder: tables, maps, pictures, and the whole result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.views.mrml_nodes import affine_of, array_of

from ..scene.ResultRecord import TARGET_MASK, ResultRecord
from ..scene.ResultsOfScene import writeFolderSteps
from ..scene.SceneVolumes import fileNameOf, segmentIds, volumeAffine
from ..setup.LibraryPath import isInstalled

if TYPE_CHECKING:
    from ..drawing.GraphView import GraphView
    from ..drawing.MatrixView import MatrixView
    from .ImportanceModel import ImportanceModel


@dataclass(frozen=True)
class ExportChoice:
    """What to write.

    Attributes:
        tables, maps, pictures, folder: which parts.
        mapGrid: ``model`` or ``ct``.
        mapFormat: ``nrrd`` or ``nii.gz``.
        label: the label whose views are pictured.
        variant, topEdges, minimum, background, layout: of the graph, as in the panel.
    """

    tables: bool = True
    maps: bool = True
    pictures: bool = True
    folder: bool = False
    mapGrid: str = "model"
    mapFormat: str = "nrrd"
    label: str = ""
    variant: str = "absolute"
    measure: str = "mass"
    topEdges: int = 3
    minimum: float = 0.0
    background: bool = False
    layout: str = "anatomical"


@dataclass
class Exporter:
    """One export.

    Attributes:
        record: the results.
        target: folder to write into; made if it is missing.
        choice: what to write.
        model, graph, matrix: what the panel shows, for the pictures.
        written: files and folders written.
        notes: what was left out, and why.
    """

    record: ResultRecord
    target: Path
    choice: ExportChoice
    model: ImportanceModel | None = None
    graph: GraphView | None = None
    matrix: MatrixView | None = None
    written: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def steps(self) -> Iterator[str]:
        """Write piece by piece; yields what is being done.

        Raises:
            InputError: nothing to write, or the folder cannot be written.
            OSError: the disk refuses.
        """
        if self.record.matrix is None:
            raise InputError(_("There is nothing to export yet: explain a label first."))
        self.target.mkdir(parents=True, exist_ok=True)
        choice = self.choice
        if choice.tables:
            yield _("Writing tables …")
            self._tables()
        if choice.pictures:
            yield from self._pictures()
        if choice.maps:
            yield from self._maps()
        if choice.folder:
            folder = self.target / f"{fileNameOf(self.record.patient)} result"
            yield from writeFolderSteps(self.record, folder)
            self.written.append(folder)

    def summary(self) -> str:
        """What was written where."""
        count = len(self.written)
        text = _("Wrote {count} files to {folder}.") if count != 1 else _("Wrote 1 file to {folder}.")
        return "\n".join([text.format(count=count, folder=self.target), *self.notes])

    def _tables(self) -> None:
        from Agg2ExpLib.roi_importance.tables import write_tidy, write_wide

        matrix = self.record.matrix
        assert matrix is not None
        for name, write in (("roi_importance.csv", write_tidy), ("roi_importance_wide.csv", write_wide)):
            write(self.target / name, matrix, self.record.patient)
            self.written.append(self.target / name)

    def _maps(self) -> Iterator[str]:
        from Agg2ExpLib.io.grid import Grid
        from Agg2ExpLib.io.resample import resample
        from Agg2ExpLib.io.volume import Volume
        from Agg2ExpLib.io.write import write_volume

        if self.choice.mapFormat == "nii.gz" and not isInstalled("nibabel"):
            raise InputError(_("NIfTI files need the package nibabel: choose NRRD, or install the requirements (Input)."))
        for label, node in self.record.overlays.items():
            yield _("Writing the map of {label} …").format(label=label.replace("_", " "))
            array, affine, suffix = array_of(node), affine_of(node), ""
            if self.choice.mapGrid == "ct":
                if self.record.ct is None:
                    raise InputError(_("The CT is gone from the scene: choose the model's voxels."))
                x, y, z = self.record.ct.GetImageData().GetDimensions()
                grid = Grid((x, y, z), volumeAffine(self.record.ct))
                array, affine, suffix = resample(Volume(array, affine), grid, "linear", outside=0), grid.affine, "_on_ct"
                yield _("Writing the map of {label} …").format(label=label.replace("_", " "))
            path = self.target / f"{fileNameOf(label)}_attribution{suffix}.{self.choice.mapFormat}"
            write_volume(path, array, affine, compress=True)
            self.written.append(path)

    def _pictures(self) -> Iterator[str]:
        yield _("Drawing the graph …")
        if isInstalled("matplotlib") and isInstalled("networkx"):
            yield from self._plots()
        elif self.graph is not None and self.matrix is not None:
            for name, view in (("importance_graph.png", self.graph), ("importance_matrix.png", self.matrix)):
                view.render(self.target / name)
                self.written.append(self.target / name)
            self.notes.append(_("SVG pictures need the package matplotlib (Install requirements)."))
        yield _("Drawing the views …")
        yield from self._views()

    def _plots(self) -> Iterator[str]:
        from Agg2ExpLib.roi_importance.graph import importance_graph
        from Agg2ExpLib.views.plots import save_graph_plot, save_matrix_plot

        matrix, labels, choice = self.record.matrix, self.record.labels, self.choice
        assert matrix is not None
        variant = choice.measure if choice.measure in ("mean", "enrichment") else choice.variant
        graph = importance_graph(matrix, labels, variant, choice.topEdges, choice.background, choice.minimum)
        positions = {name: (float(xy[0]), float(xy[1])) for name, xy in self.record.positions.items()}
        layout = "circular" if choice.layout == "circle" else "anatomical"
        for suffix in (".png", ".svg"):
            save_graph_plot(graph, self.target / f"importance_graph{suffix}", positions, layout, self.record.patient)
            yield _("Drawing the matrix …")
            save_matrix_plot(matrix, labels, self.target / f"importance_matrix{suffix}", variant, title=self.record.patient)
            self.written += [self.target / f"importance_graph{suffix}", self.target / f"importance_matrix{suffix}"]
            yield _("Drawing the matrix …")

    def _views(self) -> Iterator[str]:
        """The three slices of the label, annotated where matplotlib is there, drawn beside the user's own views."""
        from Agg2ExpLib.views.mrml import SceneNodes
        from Agg2ExpLib.views.render import open_views, render_label

        record, label = self.record, self.choice.label
        if label not in record.overlays or record.ct is None or not isInstalled("matplotlib"):
            if label in record.overlays:
                self.notes.append(
                    _("Pictures of the views need matplotlib (Install requirements), or use Slicer's Screen Capture.")
                )
            return
        import slicer

        titles = {entry.name: entry.title for entry in record.labels}
        parts = (record.ct, record.segmentation, record.overlays, record.table, record.extra)
        nodes = SceneNodes(slicer.mrmlScene, *parts, titles=titles, global_mask=record.globalMask)
        target = TARGET_MASK in segmentIds(record.extra)
        try:
            views = open_views(nodes, "Agg2ExpPicture")
        except InputError as error:
            self.notes.append(str(error))
            return
        try:
            yield _("Drawing the views …")
            pictures = render_label(nodes, label, views, (record.extra, TARGET_MASK) if target else None)
        finally:
            for view in views.values():
                view.close()
        self._saveViews(label, pictures, titles.get(label, label), target)

    def _saveViews(self, label: str, pictures: list[Any], title: str, target: bool) -> None:
        from Agg2ExpLib.views.figures import save_views
        from Agg2ExpLib.views.mrml_colors import overlay_state, set_overlay_threshold
        from Agg2ExpLib.views.render import legend_of

        overlay = self.record.overlays[label]
        threshold = set_overlay_threshold(overlay, overlay_state(overlay)[0])
        legend = legend_of(overlay, threshold, "the target mask" if target else "outline of the label")
        path = self.target / f"{fileNameOf(label)}_views.png"
        save_views(path, pictures, title, self.record.patient, legend)
        self.written.append(path)
