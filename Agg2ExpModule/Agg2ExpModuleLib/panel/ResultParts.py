"""A results folder for a process that exports it: the one it was read from, or its parts written from the scene piece by piece."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.views.mrml_nodes import affine_of, array_of

from ..scene.ResultRecord import ResultRecord
from ..scene.ResultsOfScene import ResultsOfScene
from ..scene.SceneVolumes import fileNameOf, volumeAffine, writeArraySteps
from ..setup.LibraryPath import isInstalled


class ResultParts:
    """Entries of export jobs, see ``Agg2ExpLib.views.export_job``.

    Args:
        record: the results.
        folder: to write into.
    """

    def __init__(self, record: ResultRecord, folder: Path):
        self.record = record
        self._folder = folder
        self._written = 0

    def about(self) -> dict[str, Any]:
        """``patient``, ``labels`` (behind them a classifier's classes), ``matrix`` and ``slices``."""
        record = self.record
        every = (*record.labels, *record.classes)
        return {
            "patient": record.patient,
            "labels": [{"name": entry.name, "color": entry.color, "group": entry.group} for entry in every],
            "matrix": json.loads(record.node.GetParameter("matrix") or '""'),
            "slices": json.loads(record.node.GetParameter("slices") or "null"),
        }

    def maps(self, what: str) -> Generator[str, None, dict[str, str]]:
        """Write the maps; yields ``what``, and returns each label's file name with the file of its map."""
        files = {}
        for index, (label, node) in enumerate(self.record.overlays.items()):
            file = self._folder / f"map{index}.nrrd"
            for _piece in writeArraySteps(array_of(node), affine_of(node), file):
                yield what
            files[fileNameOf(label)] = str(file)
        return files

    def folder(self, maps: dict[str, str] | None = None) -> Generator[str, None, dict[str, Any]]:
        """``source``, or the parts.

        Args:
            maps: from :meth:`maps`, where they are written already.

        Raises:
            InputError: a package is missing, or the scene does not hold enough.
        """
        record = self.record
        if record.folder is not None:
            return {"source": str(record.folder)}
        if not isInstalled("nibabel") or not isInstalled("scipy"):
            raise InputError(_("The result folder needs the packages nibabel and scipy: install the requirements (Input)."))
        results, what = ResultsOfScene(record), _("Preparing the result folder …")
        parts: dict[str, Any] = {"run": record.run, "ct": str(self._file()), "regions": {}}
        for _piece in writeArraySteps(array_of(record.ct), volumeAffine(record.ct), Path(parts["ct"])):
            yield what
        labels = results.labelMap()
        for _label in results.fillSteps(labels):
            yield what
        masks = results.extra_rois()
        yield what
        single = {"segmentation": labels, "target_mask": results.target_mask(), "global_mask": results.global_mask()}
        for key, volume in [*single.items(), *masks.items()]:
            if volume is None:
                continue
            path = self._file()
            for _piece in writeArraySteps(volume.array, volume.affine, path):
                yield what
            (parts if key in single else parts["regions"])[key] = str(path)
        if maps is None:
            maps = yield from self.maps(what)
        explained = {fileNameOf(label): label for label in results.explained}
        parts["maps"] = {explained[key]: path for key, path in maps.items() if key in explained}
        return parts

    def _file(self) -> Path:
        self._written += 1
        return self._folder / f"part{self._written}.nrrd"
