"""An export in a process of its own, for Slicer's panel: ``python -m Agg2ExpLib.views.export_job JOB.json``.

Drawing and compressing take seconds and much memory, which the application shall neither wait for nor keep. The job's entries:

- ``target``: folder to write into; ``patient``; ``labels``: name, color and group of each of the model's, and of a classifier's
  classes; ``matrix``: importance as tidy CSV; ``slices``: null, or that of the slices as CSV.
- ``tables``: whether to write the CSV tables.
- ``plots``: null, or ``variant``, ``top``, ``background``, ``minimum``, ``layout``, ``positions`` of graph and matrix.
- ``views``: null, or the pictures of one label: ``file`` (.npz with ``ct_``, ``map_`` and ``mask_`` arrays of each orientation),
  ``grids``, ``look``, ``legend``, ``title``, ``name``.
- ``maps``: label to file (NRRD); ``map_format``: ``nrrd`` or ``nii.gz``; ``map_grid``: null, or ``shape`` and ``affine`` of the
  grid that they shall be on.
- ``folder``: null, or ``name`` and either ``source`` (a results folder to copy) or the parts of one: ``ct``, ``segmentation``,
  ``maps``, ``regions``, ``target_mask``, ``global_mask`` (files) and ``run`` (content of run.json).

The events are those of a run; ``done`` tells the files that were ``written``.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..models.labels import make_labels
from ..monitor import Monitor
from ..runs.results import SLICES_FILE
from ..runs.runner import work_with_events


class Export:
    """One export.

    Args:
        job: see the module.
        monitor: is told the progress, and asked for a stop between files.

    Attributes:
        written: files and folders written so far.
    """

    def __init__(self, job: Mapping[str, Any], monitor: Monitor):
        self.job, self.monitor = job, monitor
        self.target = Path(job["target"])
        self.written: list[Path] = []
        entries = job["labels"]
        self.labels = make_labels(
            [entry["name"] for entry in entries],
            {entry["name"]: entry["color"] for entry in entries},
            {entry["name"]: entry["group"] for entry in entries},
        )

    def run(self) -> dict[str, object]:
        """Write everything; returns what the last event tells.

        Raises:
            InputError: the folder cannot be written.
        """
        try:
            self.target.mkdir(parents=True, exist_ok=True)
            parts = list(self._parts())
            for index, (name, part) in enumerate(parts):
                self.monitor.check()
                self.monitor.progress("export", index / len(parts), name)
                part()
        except OSError as error:
            raise InputError(f"Cannot write to {self.target} ({error.strerror or error}): choose another folder.") from error
        return {"written": [str(path) for path in self.written]}

    def _parts(self) -> Iterator[tuple[str, Any]]:
        job = self.job
        if job.get("tables"):
            yield "tables", self._tables
        if job.get("plots"):
            for suffix in (".png", ".svg"):
                yield "graph", lambda suffix=suffix: self._graph(suffix)
                yield "matrix", lambda suffix=suffix: self._matrix(suffix)
        if job.get("views"):
            yield "views", self._views
        for label, file in (job.get("maps") or {}).items():
            yield label, lambda label=label, file=file: self._map(label, file)
        if job.get("folder"):
            yield "folder", self._folder

    def _importance(self) -> Any:
        from ..roi_importance.tables import matrix_from_text

        return matrix_from_text(self.job["matrix"], tuple(label.name for label in self.labels))[1]

    def _tables(self) -> None:
        from ..roi_importance.tables import write_tidy, write_wide

        for name, write in (("roi_importance.csv", write_tidy), ("roi_importance_wide.csv", write_wide)):
            write(self.target / name, self._importance(), self.job["patient"])
            self.written.append(self.target / name)
        if self.job.get("slices"):
            self._slices(self.target)
            self.written.append(self.target / SLICES_FILE)

    def _slices(self, folder: Path) -> None:
        from ..roi_importance.slices import slices_from_text, write_slices

        write_slices(folder / SLICES_FILE, slices_from_text(self.job["slices"]), self.job["patient"])

    def _graph(self, suffix: str) -> None:
        from ..roi_importance.graph import importance_graph
        from .plots import save_graph_plot

        plots = self.job["plots"]
        graph = importance_graph(
            self._importance(), self.labels, plots["variant"], plots["top"], plots["background"], plots["minimum"]
        )
        positions = {name: (float(x), float(y)) for name, (x, y) in plots["positions"].items()}
        path = self.target / f"importance_graph{suffix}"
        save_graph_plot(graph, path, positions, plots["layout"], self.job["patient"])
        self.written.append(path)

    def _matrix(self, suffix: str) -> None:
        from .plots import save_matrix_plot

        path = self.target / f"importance_matrix{suffix}"
        save_matrix_plot(self._importance(), self.labels, path, self.job["plots"]["variant"], title=self.job["patient"])
        self.written.append(path)

    def _views(self) -> None:
        from .figures import Legend, save_views
        from .flat_slices import Grid2D, Look, draw

        views = self.job["views"]
        look = Look(**{**views["look"], "window": tuple(views["look"]["window"])})
        pictures = []
        with np.load(views["file"]) as arrays:
            for name, entry in views["grids"].items():
                corner, right, down = (np.array(entry[key]) for key in ("corner", "right", "down"))
                grid = Grid2D(tuple(entry["shape"]), corner, right, down, entry["axis"])
                ct, values, mask = (arrays[f"{kind}_{name}"] for kind in ("ct", "map", "mask"))
                pictures.append((name, draw(grid, ct, values, mask, look)))
        path = self.target / f"{views['name']}_views.png"
        save_views(path, pictures, views["title"], self.job["patient"], Legend(**views["legend"]))
        self.written.append(path)

    def _map(self, label: str, file: str) -> None:
        from ..io.grid import Grid
        from ..io.read import read_map
        from ..io.resample import resample
        from ..io.write import write_volume

        volume = read_map(Path(file))
        array, affine, suffix = np.asarray(volume.array), volume.affine, ""
        if self.job.get("map_grid"):
            wanted = self.job["map_grid"]
            x, y, z = wanted["shape"]
            grid = Grid((x, y, z), np.array(wanted["affine"]))
            array, affine, suffix = resample(volume, grid, "linear", outside=0), grid.affine, "_on_ct"
        path = self.target / f"{label}_attribution{suffix}.{self.job['map_format']}"
        write_volume(path, array, affine, compress=True)
        self.written.append(path)

    def _folder(self) -> None:
        from ..system.files import OutputFolder

        parts = self.job["folder"]
        output = OutputFolder(self.target / parts["name"])
        try:
            if parts.get("source"):
                self._copy(Path(parts["source"]), output.temporary)
            else:
                self._compose(parts, output.temporary)
            self.written.append(output.publish())
        finally:
            output.discard()

    def _copy(self, source: Path, target: Path) -> None:
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            self.monitor.check()
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)

    def _compose(self, parts: Mapping[str, Any], target: Path) -> None:
        from ..io.grid import Grid
        from ..io.read import read_map
        from ..io.resample import resample
        from ..io.write import write_volume
        from ..roi_importance.tables import write_tidy, write_wide
        from ..runs import results as names
        from ..system.files import write_json

        segmentation = read_map(Path(parts["segmentation"]))
        x, y, z = segmentation.array.shape
        grid = Grid((x, y, z), segmentation.affine)
        ct = resample(read_map(Path(parts["ct"])), grid, "linear")
        write_volume(target / names.CT_FILE, np.clip(np.rint(ct), -32768, 32767).astype(np.int16), grid.affine)
        self.monitor.check()
        write_volume(target / names.SEGMENTATION_FILE, np.asarray(segmentation.array), grid.affine)
        for folder in (names.ATTRIBUTIONS, names.EXTRA_ROIS):
            (target / folder).mkdir()
        files = [(names.attribution_path(target, label), file) for label, file in parts["maps"].items()]
        files += [(names.extra_roi_path(target, name), file) for name, file in parts["regions"].items()]
        masks = ((names.TARGET_MASK_FILE, parts.get("target_mask")), (names.GLOBAL_MASK_FILE, parts.get("global_mask")))
        files += [(target / name, file) for name, file in masks if file]
        for path, file in files:
            self.monitor.check()
            write_volume(path, np.asarray(read_map(Path(file)).array), grid.affine)
        if self.job.get("matrix"):
            write_tidy(target / names.TIDY_FILE, self._importance(), self.job["patient"])
            write_wide(target / names.WIDE_FILE, self._importance(), self.job["patient"])
        if self.job.get("slices"):
            self._slices(target)
        write_json(target / names.RUN_FILE, parts["run"])


def main() -> int:
    """Do the job of the file that is named on the command line."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return work_with_events(lambda monitor: Export(job, monitor).run())


if __name__ == "__main__":
    raise SystemExit(main())
