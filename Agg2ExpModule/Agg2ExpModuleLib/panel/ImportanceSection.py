"""Section RoI importance: graph, matrix and table of the results shown, and further regions."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..drawing.GraphData import GraphData, MatrixData
from ..drawing.GraphView import GraphView
from ..drawing.MatrixView import MatrixView
from ..scene.ExtraRegions import ExtraRegions, regionNames
from .ChoiceBox import ChoiceBox
from .CohortComparison import CohortComparison
from .DifferenceModel import DIFFERENCE, DifferenceModel
from .DisplaySection import DisplaySection
from .ImportanceModel import ImportanceModel
from .PanelState import Changes, PanelState, Topic
from .RegionTable import RegionTable
from .RunController import RunController
from .Scrolling import intoView

_SETTINGS = {"measure", "graphSign", "layout", "topEdges", "minimumWeight", "background"}


class ImportanceSection:
    """Controls the section.

    Attributes:
        model: what graph, matrix and table show; None without results.
        title: what the numbers are, in a few words.
    """

    def __init__(self, state: PanelState, controller: RunController, display: DisplaySection, comparison: CohortComparison):
        self.state, self.controller, self.ui = state, controller, state.ui
        self._display, self._comparison = display, comparison
        self.model: ImportanceModel | None = None
        self.title = ""
        self._opened = False
        ui = self.ui
        self.graph = GraphView(ui.graphFrame)
        self.matrix = MatrixView(ui.matrixFrame)
        for frame, view in ((ui.graphFrame, self.graph), (ui.matrixFrame, self.matrix)):
            layout = qt.QVBoxLayout(frame)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.addWidget(view)
        self._graphs, self._matrices = [self.graph], [self.matrix]
        self.table = RegionTable(ui.regionTable)
        self._measure = ChoiceBox(ui.measureCombo, lambda value: self._set("measure", value))
        self._sign = ChoiceBox(ui.graphSignCombo, lambda value: self._set("graphSign", value))
        self._layout = ChoiceBox(ui.layoutCombo, lambda value: self._set("layout", value))
        self.graph.onNodeClicked.append(self._onRegion)
        self.graph.onEdgeClicked.append(self._onPair)
        self.graph.onSelected.append(self._onSelected)
        self.matrix.onCellClicked.append(self._onPair)
        self.table.onRegionClicked.append(self._onTableRegion)
        ui.addRegionsButton.clicked.connect(self._onAddRegions)

    def addLarge(self, graph: GraphView, matrix: MatrixView) -> None:
        """Have another graph and matrix show the same; a click in them does what one in the panel's does."""
        graph.onNodeClicked, graph.onEdgeClicked = self.graph.onNodeClicked, self.graph.onEdgeClicked
        graph.onSelected, matrix.onCellClicked = self.graph.onSelected, self.matrix.onCellClicked
        self._graphs.append(graph)
        self._matrices.append(matrix)

    def refresh(self, changed: Changes) -> None:
        parameters = self.state.parameters
        if parameters is None:
            return
        if "measure" in changed:
            choices = [("mass", _("Share of attribution")), ("mean", _("Mean per voxel")), ("enrichment", _("Enrichment"))]
            choices.append((DIFFERENCE, _("Patient − cohort")))
            self._measure.setChoices(choices, parameters.measure)
        if "graphSign" in changed:
            choices = [("absolute", _("All")), ("positive", _("Supporting")), ("negative", _("Opposing"))]
            self._sign.setChoices(choices, parameters.graphSign)
        if "layout" in changed:
            self._layout.setChoices([("anatomical", _("In the body")), ("circle", _("On a circle"))], parameters.layout)
        if changed & {Topic.RECORD, Topic.SCENE, "record", "inputVolume"}:
            self._readModel()
        redraw = bool(changed & {Topic.RECORD, Topic.SCENE, "record", "inputVolume", *_SETTINGS})
        redraw = redraw or (Topic.COMPARISON in changed and parameters.measure == DIFFERENCE)
        if redraw:
            self._draw()
        if redraw or "mapLabel" in changed:
            self._select()
        if changed & {"extraSegmentation", Topic.BUSY, Topic.RECORD, Topic.SCENE, "record"}:
            self._enable()

    def _readModel(self) -> None:
        record = self.state.record
        matrix = record.matrix if record is not None else None
        self.model = (
            ImportanceModel(matrix, (*record.labels, *record.classes), record.positions)
            if record is not None and matrix is not None
            else None
        )

    def _draw(self) -> None:
        parameters, model, ui = self.state.parameters, self.model, self.ui
        assert parameters is not None
        ui.importanceHint.visible = model is None
        ui.importanceTabs.enabled = model is not None
        if model is not None and not self._opened:  # the first results unfold it, afterwards it is the user's
            self._opened = True
            ui.importanceSection.collapsed = False
        sign, measure = parameters.graphSign, parameters.measure
        ui.graphSignCombo.enabled = measure != DIFFERENCE  # saved references hold no signs
        hint = ""
        if measure == DIFFERENCE and self.model is not None:
            hint = _("No cohort to compare with: choose one\nin the section “Compare with a cohort”.")
            hint = _("Comparing …") if self._comparison.running else hint
        for graph, matrix in zip(self._graphs, self._matrices, strict=True):
            graph.emptyText = hint or _("The graph appears here after an explanation.")
            matrix.emptyText = hint or _("The matrix appears here after an explanation.")
        self.title = self._measure.text if measure == DIFFERENCE else f"{self._measure.text} · {self._sign.text}"
        if model is not None and measure == DIFFERENCE:
            result = self._comparison.result
            model = DifferenceModel(model, result) if result is not None else None
        if model is None:
            self._setData(None, None)
            return
        # Shares and means are 0..1 in the model and per cent in the panel, enrichment is a factor.
        minimum = parameters.minimumWeight if measure == "enrichment" else parameters.minimumWeight / 100
        ui.minimumSpinBox.suffix = " ×" if measure == "enrichment" else " %"
        top, background, layout = parameters.topEdges, parameters.background, parameters.layout
        self._setData(model.graph(sign, measure, top, minimum, background, layout), model.matrixData(sign, measure, True))

    def _setData(self, data: GraphData | None, matrixData: MatrixData | None) -> None:
        for graph, matrix in zip(self._graphs, self._matrices, strict=True):
            graph.setGraph(data)
            matrix.setMatrix(matrixData)

    def _select(self) -> None:
        parameters, model, ui = self.state.parameters, self.model, self.ui
        assert parameters is not None
        label = parameters.mapLabel if model is not None and parameters.mapLabel in model.matrix.rows else None
        for graph, matrix in zip(self._graphs, self._matrices, strict=True):
            graph.selected = matrix.selected = label
        self.table.show(model, label, parameters.graphSign)
        if model is not None and label is not None:
            ui.tableCaption.text = _("What {label} leans on, in % of its attribution:").format(label=model.title(label))
        else:
            ui.tableCaption.text = ""

    def _enable(self) -> None:
        parameters, ui = self.state.parameters, self.ui
        assert parameters is not None
        node = parameters.extraSegmentation
        here = node is not None and node.GetScene() is not None
        ready = self.model is not None and here and not self.state.busy and bool(regionNames(node))
        ui.addRegionsButton.enabled = ready
        ui.extraSelector.enabled = not self.state.busy

    # What the user does

    def _onRegion(self, name: str) -> None:
        with slicer.util.RenderBlocker():
            self._display.selectRegion(name)

    def _onSelected(self, name: str | None) -> None:
        for graph in self._graphs:
            graph.selected = name

    def _onPair(self, label: str, region: str) -> None:
        """A label leans on a region: show the label's map at the region."""
        record = self.state.record
        with slicer.util.RenderBlocker():
            self._set("mapLabel", label)
            if record is not None and region in record.overlays and region != label:
                self._display.jumpTo(region)
            elif not self._display.selectRegion(region) and region == label:
                self._display.jump()

    def _onTableRegion(self, region: str) -> None:
        self._display.jumpTo(region)

    def _onAddRegions(self, *_unused: Any) -> None:
        parameters, record = self.state.parameters, self.state.record
        if parameters is None or record is None or parameters.extraSegmentation is None:
            return
        added = ExtraRegions(record, parameters.extraSegmentation)

        def done() -> str:
            self.state.tell({Topic.RECORD})
            self._reveal(added.added)
            return added.summary()

        self.controller.work(added.steps(), _("Summing over the regions …"), done)

    def _reveal(self, regions: list[str]) -> None:
        """Bring new regions into view: the section, their columns, their nodes."""
        ui = self.ui
        ui.importanceSection.collapsed = False
        if regions:
            for graph, matrix in zip(self._graphs, self._matrices, strict=True):
                graph.reveal(regions[-1])
                matrix.reveal(regions[-1])
        intoView(self.state.root, ui.importanceTabs)

    def _set(self, name: str, value: Any) -> None:
        if self.state.parameters is not None:
            setattr(self.state.parameters, name, value)
