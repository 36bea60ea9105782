"""Section Export: what to write, and loading of results made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..setup.LibraryPath import isInstalled
from .Exporter import ExportChoice, Exporter
from .ImportanceSection import ImportanceSection
from .PanelState import BUSY, RECORD, SCENE, ChoiceBox, PanelState


class ExportSection:
    """Controls the section."""

    def __init__(self, state: PanelState, importance: ImportanceSection):
        self.state, self.ui, self._importance = state, state.ui, importance
        ui = self.ui
        self._grid = ChoiceBox(ui.mapGridCombo, lambda value: self._set("mapGrid", value))
        self._format = ChoiceBox(ui.mapFormatCombo, lambda value: self._set("mapFormat", value))
        ui.exportButton.clicked.connect(self._onExport)
        ui.loadResultButton.clicked.connect(self._onLoad)

    def refresh(self, changed: set[str]) -> None:
        parameters, ui = self.state.parameters, self.ui
        if parameters is None:
            return
        if "mapGrid" in changed:
            self._grid.setChoices([("model", _("Model's voxels")), ("ct", _("CT's voxels"))], parameters.mapGrid)
        if "mapFormat" in changed:
            self._format.setChoices([("nrrd", "NRRD"), ("nii.gz", "NIfTI")], parameters.mapFormat)
        if changed & {"exportMaps", BUSY}:
            for widget in (ui.mapGridCombo, ui.mapFormatCombo):
                widget.enabled = parameters.exportMaps
        if changed & {RECORD, SCENE, "record", BUSY, "exportTables", "exportMaps", "exportPictures", "exportFolderCopy"}:
            record = self.state.record
            parts = (parameters.exportTables, parameters.exportMaps, parameters.exportPictures, parameters.exportFolderCopy)
            ui.exportButton.enabled = not self.state.busy and record is not None and bool(record.overlays) and any(parts)
            ui.loadResultButton.enabled = not self.state.busy

    def export(self, folder: Path) -> bool:
        """Write what is checked; False when something else goes on."""
        parameters, record, controller = self.state.parameters, self.state.record, self.state.controller
        if parameters is None or record is None or controller is None:
            return False
        enrichment = parameters.measure == "enrichment"
        choice = ExportChoice(
            tables=parameters.exportTables,
            maps=parameters.exportMaps,
            pictures=parameters.exportPictures,
            folder=parameters.exportFolderCopy,
            mapGrid=parameters.mapGrid,
            mapFormat=parameters.mapFormat,
            label=parameters.mapLabel,
            variant=parameters.graphSign,
            measure=parameters.measure,
            topEdges=parameters.topEdges,
            minimum=parameters.minimumWeight if enrichment else parameters.minimumWeight / 100,
            background=parameters.background,
            layout=parameters.layout,
        )
        section = self._importance
        exporter = Exporter(record, folder, choice, section.model, section.graph, section.matrix)
        return controller.work(exporter.steps(), _("Exporting …"), exporter.summary)

    def load(self, folder: Path) -> bool:
        """Open a results folder: over the chosen CT if it explains that one, else with the CT that it brings."""
        from Agg2ExpLib.errors import InputError
        from Agg2ExpLib.runs.results import Results

        controller, ct = self.state.controller, self.state.ct
        if controller is None:
            return False
        try:
            results = Results.open(folder)
        except InputError as error:
            controller.say(str(error), failed=True)
            return False
        return controller.loadFolder(folder, ct if ct is not None and _explains(results, ct) else None)

    def _onExport(self, *_unused: Any) -> None:
        folder = self._ask(_("Export to"))
        if folder is not None:
            self.export(folder)

    def _onLoad(self, *_unused: Any) -> None:
        folder = self._ask(_("Load result folder"))
        if folder is not None:
            self.load(folder)

    def _ask(self, title: str) -> Path | None:
        key = "Agg2Exp/LastFolder"
        settings = qt.QSettings()
        last = settings.value(key) or ""
        chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, str(last))
        if not chosen:
            return None
        settings.setValue(key, str(chosen))
        return Path(str(chosen))

    def _set(self, name: str, value: Any) -> None:
        if self.state.parameters is not None:
            setattr(self.state.parameters, name, value)


def _explains(results: Any, ct: Any) -> bool:
    """Whether a result was made of this CT, as far as its voxels on the model grid tell; its name may differ."""
    import numpy as np

    from Agg2ExpLib.io.grid import Grid
    from Agg2ExpLib.io.resample import resample
    from Agg2ExpLib.io.volume import Volume
    from Agg2ExpLib.views.mrml_nodes import array_of

    from ..scene.SceneVolumes import volumeAffine

    if not isInstalled("scipy"):  # an older Slicer before "Install requirements"
        return False
    mine = Volume(array_of(ct), volumeAffine(ct))
    theirs = results.ct()
    # Every twelfth voxel along each axis is enough to tell two patients apart, and quick.
    coarse = theirs.affine @ np.diag([12.0, 12.0, 12.0, 1.0])
    x, y, z = (max(2, size // 12) for size in theirs.array.shape)
    sampled = resample(mine, Grid((x, y, z), coarse), "linear")
    expected = theirs.array[::12, ::12, ::12][:x, :y, :z]
    sampled = sampled[: expected.shape[0], : expected.shape[1], : expected.shape[2]]
    return bool(np.mean(np.abs(sampled - expected) < 2.0) > 0.95)
