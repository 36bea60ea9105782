"""What an export needs, gathered from the scene piece by piece; a process of its own does the rest (``views.export_job``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.views.mrml_nodes import affine_of, array_of

from ..engine.RunOutcome import RunOutcome
from ..scene.ResultRecord import TARGET_MASK, ResultRecord
from ..scene.SceneVolumes import fileNameOf, segmentIds, segmentMask, volumeAffine
from ..setup.LibraryPath import isInstalled
from .ResultParts import ResultParts

if TYPE_CHECKING:
    from ..drawing.GraphView import GraphView
    from ..drawing.MatrixView import MatrixView

_OPACITY = 0.6  # of the map in pictures


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
        graph, matrix: what the panel shows, for pictures where matplotlib is missing.
        written: how many files and folders were written here, before the process.
        notes: what was left out, and why.
    """

    record: ResultRecord
    target: Path
    choice: ExportChoice
    graph: GraphView | None = None
    matrix: MatrixView | None = None
    written: int = 0
    notes: list[str] = field(default_factory=list)
    _folder: Path = Path()

    def steps(self, folder: Path) -> Iterator[str]:
        """Write job and inputs into ``folder``; yields what is being done.

        Raises:
            InputError: nothing to write, or a package is missing.
            OSError: the disk refuses.
        """
        record, choice = self.record, self.choice
        if record.matrix is None:
            raise InputError(_("There is nothing to export yet: explain a label first."))
        yield _("Preparing the export …")
        self._folder = folder
        self.target.mkdir(parents=True, exist_ok=True)
        job: dict[str, Any] = {"target": str(self.target), **self._parts().about(), "tables": choice.tables}
        if choice.pictures:
            job["plots"] = self._plots()
            yield _("Preparing the export …")
            yield from self._views(job)
        if choice.maps:
            yield from self._maps(job)
        if choice.folder:
            parts = yield from self._parts().folder(job.get("maps"))
            job["folder"] = {"name": f"{fileNameOf(record.patient)} result", **parts}
        self._jobFile.write_text(json.dumps(job), encoding="utf-8")

    @property
    def _jobFile(self) -> Path:
        return self._folder / "export.json"

    def arguments(self) -> list[str]:
        """Of Python."""
        return ["-m", "Agg2ExpLib.views.export_job", str(self._jobFile)]

    def summary(self, outcome: RunOutcome) -> str:
        """What was written where."""
        count = self.written + len(outcome.content.get("written", ()))
        text = _("Wrote {count} files to {folder}.") if count != 1 else _("Wrote 1 file to {folder}.")
        return "\n".join([text.format(count=count, folder=self.target), *self.notes])

    def _plots(self) -> dict[str, Any] | None:
        """Graph and matrix, drawn here by the panel's own widgets where matplotlib is missing."""
        choice = self.choice
        if isInstalled("matplotlib") and isInstalled("networkx"):
            return {
                "variant": choice.measure if choice.measure in ("mean", "enrichment") else choice.variant,
                "top": choice.topEdges,
                "background": choice.background,
                "minimum": choice.minimum,
                "layout": "circular" if choice.layout == "circle" else "anatomical",
                "positions": self.record.positions,
            }
        if self.graph is not None and self.matrix is not None:
            for name, view in (("importance_graph.png", self.graph), ("importance_matrix.png", self.matrix)):
                view.render(self.target / name)
                self.written += 1
            self.notes.append(_("SVG pictures need the package matplotlib (Install requirements)."))
        return None

    def _views(self, job: dict[str, Any]) -> Iterator[str]:
        """The three slices of the label through its largest cross-section: CT, map and outline, sampled here, drawn elsewhere."""
        from Agg2ExpLib.views.mrml_colors import overlay_state
        from Agg2ExpLib.views.slice_views import ORIENTATIONS, largest_section, view_axis

        record, label = self.record, self.choice.label
        overlay, ct = record.overlays.get(label), record.ct
        if overlay is None or ct is None:
            return
        if not (isInstalled("matplotlib") and isInstalled("scipy")):
            self.notes.append(_("Pictures of the views need matplotlib (Install requirements), or use Slicer's Screen Capture."))
            return
        from Agg2ExpLib.views.flat_slices import Look, grids_through

        target = TARGET_MASK in segmentIds(record.extra)
        segmentation, segment = (record.extra, TARGET_MASK) if target else (record.segmentation, label)
        affine, values = volumeAffine(ct), array_of(overlay)
        strongest = np.unravel_index(int(np.abs(values).argmax()), values.shape)
        through = (affine_of(overlay) @ np.array([*strongest, 1.0]))[:3]
        mask, place = (np.zeros((1, 1, 1), bool), affine)
        if segment in segmentIds(segmentation):
            mask, place = segmentMask(segmentation, segment)
        yield _("Preparing the pictures …")
        points = {}
        for name in ORIENTATIONS:
            found = largest_section(mask, place, view_axis(place, name))
            points[name] = through if found is None else found
            yield _("Preparing the pictures …")
        voxels = array_of(ct)
        grids = grids_through(voxels.shape, affine, points)
        arrays = {}
        for name, grid in grids.items():
            arrays[f"ct_{name}"] = grid.sample(voxels, affine, 1, -1024.0)
            yield _("Preparing the pictures …")
            arrays[f"map_{name}"] = grid.sample(values, affine_of(overlay), 1, 0.0)
            yield _("Preparing the pictures …")
            arrays[f"mask_{name}"] = grid.sample(mask, place, 1, 0.0)
            yield _("Preparing the pictures …")
        np.savez(self._folder / "views.npz", **arrays)  # type: ignore[arg-type]
        legend = _legendOf(overlay, "the target mask" if target else "outline of the label")
        display = ct.GetDisplayNode()
        window = (display.GetWindowLevelMin(), display.GetWindowLevelMax()) if display is not None else (-1000.0, 700.0)
        titles = record.titles
        job["views"] = {
            "file": str(self._folder / "views.npz"),
            "grids": {
                name: {
                    "shape": grid.shape,
                    "corner": grid.corner.tolist(),
                    "right": grid.right.tolist(),
                    "down": grid.down.tolist(),
                    "axis": grid.axis,
                }
                for name, grid in grids.items()
            },
            "look": asdict(Look(window, legend["window"], legend["k"], overlay_state(overlay)[1], _OPACITY)),
            "legend": legend,
            "title": titles.get(label, label),
            "name": fileNameOf(label),
        }

    def _maps(self, job: dict[str, Any]) -> Iterator[str]:
        choice, record = self.choice, self.record
        if choice.mapFormat == "nii.gz" and not isInstalled("nibabel"):
            raise InputError(_("NIfTI files need the package nibabel: choose NRRD, or install the requirements (Input)."))
        job["map_format"] = choice.mapFormat
        if choice.mapGrid == "ct":
            if record.ct is None:
                raise InputError(_("The CT is gone from the scene: choose the model's voxels."))
            shape = [int(size) for size in record.ct.GetImageData().GetDimensions()]
            job["map_grid"] = {"shape": shape, "affine": volumeAffine(record.ct).tolist()}
        job["maps"] = yield from self._parts().maps(_("Preparing the maps …"))

    def _parts(self) -> ResultParts:
        return ResultParts(self.record, self._folder)


def _legendOf(overlay: Any, outline: str) -> dict[str, Any]:
    """The legend of a map as it is shown now."""
    from Agg2ExpLib.views.mrml_colors import overlay_state, set_overlay_threshold
    from Agg2ExpLib.views.render import legend_of

    return asdict(legend_of(overlay, set_overlay_threshold(overlay, overlay_state(overlay)[0]), outline))
