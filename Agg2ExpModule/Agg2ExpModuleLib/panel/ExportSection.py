"""Section Export: what to write, and loading of results made elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from .ChoiceBox import ChoiceBox
from .Exporter import ExportChoice, Exporter
from .FolderQuestion import askFolder
from .ImportanceSection import ImportanceSection
from .PanelState import Changes, PanelState, Topic
from .RunController import RunController

if TYPE_CHECKING:
    from ..engine.Child import Child


_PARTS = ("exportTables", "exportMaps", "exportPictures", "exportFolderCopy")


class ExportSection:
    """Controls the section.

    Attributes:
        onCounterfactual: is given a folder that holds a counterfactual.
    """

    def __init__(self, state: PanelState, controller: RunController, importance: ImportanceSection, child: Child):
        self.state, self.controller, self.ui = state, controller, state.ui
        self._importance, self._child = importance, child
        self.onCounterfactual: Callable[[Path], bool] = lambda folder: False
        ui = self.ui
        self._grid = ChoiceBox(ui.mapGridCombo, lambda value: self._set("mapGrid", value))
        self._format = ChoiceBox(ui.mapFormatCombo, lambda value: self._set("mapFormat", value))
        ui.exportButton.clicked.connect(self._onExport)
        ui.loadResultButton.clicked.connect(self._onLoad)

    def refresh(self, changed: Changes) -> None:
        parameters, ui = self.state.parameters, self.ui
        if parameters is None:
            return
        if "mapGrid" in changed:
            self._grid.setChoices([("model", _("Model's voxels")), ("ct", _("CT's voxels"))], parameters.mapGrid)
        if "mapFormat" in changed:
            self._format.setChoices([("nrrd", "NRRD"), ("nii.gz", "NIfTI")], parameters.mapFormat)
        if changed & {"exportMaps", Topic.BUSY}:
            for widget in (ui.mapGridCombo, ui.mapFormatCombo):
                widget.enabled = parameters.exportMaps
        if changed & {Topic.RECORD, Topic.SCENE, Topic.BUSY, "record", *_PARTS}:
            record = self.state.record
            parts = (parameters.exportTables, parameters.exportMaps, parameters.exportPictures, parameters.exportFolderCopy)
            ui.exportButton.enabled = not self.state.busy and record is not None and bool(record.overlays) and any(parts)
            ui.loadResultButton.enabled = not self.state.busy

    def export(self, folder: Path) -> bool:
        """Write what is checked; False when something else goes on."""
        parameters, record, controller = self.state.parameters, self.state.record, self.controller
        if parameters is None or record is None or controller.busy:
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
        exporter = Exporter(record, folder, choice, section.graph, section.matrix)

        def steps() -> Iterator[str]:
            assert controller.folder is not None
            yield from exporter.steps(controller.folder.path)

        return controller.workInChild("export", _("Exporting …"), steps(), self._child, exporter.arguments, exporter.summary)

    def shutdown(self) -> None:
        """The panel goes: what is being written is given up."""
        self._child.shutdown()

    def load(self, folder: Path) -> bool:
        """Open a results folder: over the chosen CT if it explains that one, else with the CT that it brings."""
        from Agg2ExpLib.counterfactuals.read import is_counterfactual
        from Agg2ExpLib.errors import InputError
        from Agg2ExpLib.runs.results import Results

        controller, ct = self.controller, self.state.ct
        try:
            if is_counterfactual(folder):
                return self.onCounterfactual(folder)
            Results.open(folder)
        except InputError as error:
            controller.say(str(error), failed=True)
            return False
        return controller.loadFolder(folder, candidate=ct)

    def _onExport(self, *_unused: Any) -> None:
        folder = askFolder(_("Export to"))
        if folder is not None:
            self.export(folder)

    def _onLoad(self, *_unused: Any) -> None:
        folder = askFolder(_("Load result folder"))
        if folder is not None:
            self.load(folder)

    def _set(self, name: str, value: Any) -> None:
        if self.state.parameters is not None:
            setattr(self.state.parameters, name, value)
