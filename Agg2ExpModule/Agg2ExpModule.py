"""Agg2Exp in 3D Slicer: why a segmentation model drew what it drew. The parts of the panel are in Agg2ExpModuleLib."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

_HOMEPAGE = "https://github.com/Agg2Exp/SlicerAgg2Exp"
_PAPER = "https://arxiv.org/abs/2407.16653"


class Agg2ExpModule(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: Any):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Agg2Exp")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["Agg2Exp contributors"]
        parent.helpText = _(
            "Explains 3D segmentation models on CT: for every label a signed map of the voxels the model leaned on, and how much "
            'each organ or lesion matters for each label. <a href="{homepage}">Documentation</a>.<br>'
            "For research only, not a medical device."
        ).format(homepage=_HOMEPAGE)
        parent.acknowledgementText = _('Method: aggregated attributions, WACV 2025 (<a href="{paper}">paper</a>).').format(
            paper=_PAPER
        )
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", clearLeftovers)


def registerSampleData() -> None:
    """Add the synthetic thorax to the module Sample Data."""
    from Agg2ExpModuleLib.scene.SampleDataSource import registerSampleDataSource

    registerSampleDataSource()


def clearLeftovers() -> None:
    """Delete copies of CTs that a Slicer which was killed has left in the temporary folder."""
    from Agg2ExpModuleLib.setup.LibraryPath import ensureLibrary

    ensureLibrary()
    from Agg2ExpModuleLib.engine.WorkFolder import clearAbandoned

    clearAbandoned()


class Agg2ExpModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: wires its sections to the parameters in the scene.

    Attributes:
        state: what the sections share.
        inputs, labels, explaining, display, importance, comparing, exporting, requirements: the sections.
        dicom: the part of Export that writes DICOM.
        beside: graph or matrix large in a layout of its own.
        strip: tells what goes on.
        spots: hot spots of the map shown.
        slices: which slices a classifier's class comes from.
        shortcuts: keys for reading.
        comparison: of the results shown with a cohort.
        controller: runs and loads, and knows what goes on.
        engine: runs jobs.
    """

    def __init__(self, parent: Any = None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: Agg2ExpModuleLogic | None = None
        self.ui: Any = None
        self.state: Any = None
        self.engine: Any = None
        self.controller: Any = None
        self._parameterNode: Any = None
        self._guiTag: Any = None

    def setup(self) -> None:
        """Build the panel; called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        from Agg2ExpModuleLib.setup.LibraryPath import ensureLibrary

        ensureLibrary()
        from Agg2ExpModuleLib.engine.Engine import Engine
        from Agg2ExpModuleLib.panel.ModelInfo import DEMO_WEIGHTS
        from Agg2ExpModuleLib.panel.OtherComputer import OtherComputer
        from Agg2ExpModuleLib.panel.PanelState import PanelState
        from Agg2ExpModuleLib.panel.RunController import RunController

        widget = slicer.util.loadUI(self.resourcePath("UI/Agg2ExpModule.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = Agg2ExpModuleLogic()
        self.state = PanelState(self.ui, widget, Path(self.resourcePath(DEMO_WEIGHTS)))
        self.engine = Engine(parent=widget)
        self.controller = RunController(self.state, self.engine)
        self.state.elsewhere = OtherComputer(self.state)
        self.engine.warm.where = self.state.elsewhere.words
        self._makeSections()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(scene, scene.NodeAddedEvent, self.onNodeAdded)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved)
        self.initializeParameterNode()

    def _makeSections(self) -> None:
        from Agg2ExpModuleLib.engine.Child import Child
        from Agg2ExpModuleLib.panel.BesideSection import BesideSection
        from Agg2ExpModuleLib.panel.CohortComparison import CohortComparison
        from Agg2ExpModuleLib.panel.CompareSection import CompareSection
        from Agg2ExpModuleLib.panel.CounterfactualSection import CounterfactualSection
        from Agg2ExpModuleLib.panel.DicomSection import DicomSection
        from Agg2ExpModuleLib.panel.DisplaySection import DisplaySection
        from Agg2ExpModuleLib.panel.ExplainSection import ExplainSection
        from Agg2ExpModuleLib.panel.ExportSection import ExportSection
        from Agg2ExpModuleLib.panel.GlobalMaskRow import GlobalMaskRow
        from Agg2ExpModuleLib.panel.HotSpotList import HotSpotList
        from Agg2ExpModuleLib.panel.ImportanceSection import ImportanceSection
        from Agg2ExpModuleLib.panel.InputSection import InputSection
        from Agg2ExpModuleLib.panel.InstalledModels import InstalledModels
        from Agg2ExpModuleLib.panel.LabelSection import LabelSection
        from Agg2ExpModuleLib.panel.LabelWords import LabelWords
        from Agg2ExpModuleLib.panel.RegionsModel import RegionsModel
        from Agg2ExpModuleLib.panel.RequirementsSection import RequirementsSection
        from Agg2ExpModuleLib.panel.Shortcuts import Shortcuts
        from Agg2ExpModuleLib.panel.SlicesSection import SlicesSection
        from Agg2ExpModuleLib.panel.SpeedMemory import SpeedMemory
        from Agg2ExpModuleLib.panel.StatusStrip import StatusStrip
        from Agg2ExpModuleLib.panel.WhatIfSection import WhatIfSection
        from Agg2ExpModuleLib.setup.Installer import Installer

        state, controller, root = self.state, self.controller, self.state.root
        devices = Child(root)
        devices.onFinished.append(lambda outcome: self._prepareEngine())
        self.inputs = InputSection(state, controller, state.demoWeights, self.logic.loadDemoCase, devices)
        self.installed = InstalledModels(state, Child(root))
        self.requirements = RequirementsSection(state, controller, Installer(), Child(root))
        self.comparison = CohortComparison(state, Child(root))
        self.strip = StatusStrip(state, controller, self.comparison)
        self.labels = LabelSection(state, controller, self.inputs, self.comparison)
        self.explaining = ExplainSection(state, controller, self.inputs, SpeedMemory())
        self.display = DisplaySection(state, controller, self.inputs)
        self.spots = HotSpotList(state)
        self.slices = SlicesSection(state)
        self.shortcuts = Shortcuts(state, self.spots, self.slices)
        self.importance = ImportanceSection(state, controller, self.display, self.comparison)
        self.beside = BesideSection(state, self.importance)
        self.comparing = CompareSection(state, self.comparison, self.display)
        self.asking = WhatIfSection(state, controller, self.importance, self.display)
        self.countering = CounterfactualSection(state, controller, self.inputs, self.display)
        self.exporting = ExportSection(state, controller, self.importance, Child(root))
        self.dicom = DicomSection(state, controller, Child(root))
        self.exporting.onCounterfactual = self.countering.load
        state.sections += [
            self.comparison,
            self.inputs,
            self.installed,
            RegionsModel(state),
            self.requirements,
            self.labels,
            state.elsewhere,
            self.explaining,
            self.display,
            GlobalMaskRow(state),
            self.spots,
            self.slices,
            self.importance,
            self.beside,
            LabelWords(state, self.importance, self.comparison),
            self.comparing,
            self.asking,
            self.countering,
            self.exporting,
            self.dicom,
            self.strip,
        ]

    def cleanup(self) -> None:
        """End what runs; called before the module goes."""
        if self.state is not None:
            self.controller.shutdown()
            self.requirements.shutdown()
            self.exporting.shutdown()
            self.dicom.shutdown()
            self.asking.shutdown()
            self.countering.shutdown()
            self.beside.shutdown()
            self.inputs.stopFindingDevices()
            self.installed.stop()
            self.comparison.stop(1000)
            self.strip.takeBack()
            self.shortcuts.off()
            self.slices.shutdown()
            self.state.sections.clear()
            self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """The module is opened."""
        from Agg2ExpModuleLib.panel.PanelState import Topic

        self.initializeParameterNode()
        self.state.tell({Topic.SEGMENTS})
        self.strip.place()
        self.shortcuts.on()
        self.requirements.check()
        # It loads PyTorch in a process of its own, which automated tests need not wait for.
        if not slicer.app.testingEnabled() and not any(requirement.name == "torch" for requirement in self.requirements.missing):
            self.inputs.findDevices()

    def _prepareEngine(self) -> None:
        """So that the first run begins at once."""
        if self.state.parameters is not None and not self.state.missing and not self.state.elsewhere.host:
            self.engine.warm.prepare(self.state.parameters.device)

    def exit(self) -> None:
        """Another module is opened."""
        self.strip.takeBack()
        self.shortcuts.off()

    def onReload(self) -> None:
        """For developers: load the parts anew, too."""
        for name in [name for name in sys.modules if name.split(".")[0] == "Agg2ExpModuleLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    # Scene

    def onSceneStartClose(self, _caller: Any, _event: Any) -> None:
        """Results of a run would have no place to go."""
        self.controller.cancel(_("The scene was closed, so the run was ended."))
        self.controller.forgetCt()
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller: Any, _event: Any) -> None:
        self.initializeParameterNode()

    def onSceneStartImport(self, _caller: Any, _event: Any) -> None:
        self.setParameterNode(None)

    def onSceneEndImport(self, _caller: Any, _event: Any) -> None:
        self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAdded(self, _caller: Any, _event: Any, node: Any) -> None:
        """The first CT of a scene is taken, once it can be drawn: Slicer's readers give it its colours only after it was added."""
        from Agg2ExpModuleLib.panel.PanelState import Topic

        if self._parameterNode is None:
            return
        if node.IsA("vtkMRMLSegmentationNode"):  # its segments come after it
            qt.QTimer.singleShot(0, lambda: self.state.tell({Topic.SEGMENTS}))
        if not _isCandidate(node):
            return
        display = node.GetDisplayNode()
        if display is not None and display.GetColorNode() is not None:
            self._takeFirst(node)
        else:
            qt.QTimer.singleShot(0, lambda: self._takeFirst(node))
        self.state.tell({Topic.VOLUMES})

    def _takeFirst(self, node: Any) -> None:
        scene = slicer.mrmlScene
        if self._parameterNode is not None and self.state.ct is None and not scene.IsBatchProcessing() and node.GetScene() is scene:
            self._parameterNode.inputVolume = node

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, _caller: Any, _event: Any, node: Any) -> None:
        """A run on a CT that is gone ends; results that are gone are no longer shown."""
        from Agg2ExpModuleLib.panel.PanelState import Topic

        controller = self.controller
        if controller.busy and node is controller.ct:
            controller.cancel(_("The CT was removed from the scene, so the run was ended."))
        if controller.ctFile.holds(node):
            controller.forgetCt()
        # Slicer's selector takes any other volume in its place; a scene that is closed or loaded chooses for itself.
        if node.IsA("vtkMRMLScalarVolumeNode") and not slicer.mrmlScene.IsBatchProcessing():
            qt.QTimer.singleShot(0, self._takeNoChangedCt)
        wanted = ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode")
        if self._parameterNode is not None and not controller.busy and any(node.IsA(kind) for kind in wanted):
            self.state.tell({Topic.SCENE})

    def _takeNoChangedCt(self) -> None:
        """What was made of a CT that is gone does not take its place."""
        parameters = self._parameterNode
        if parameters is not None and parameters.inputVolume is not None and not _isCandidate(parameters.inputVolume):
            parameters.inputVolume = _firstCt()

    def initializeParameterNode(self) -> None:
        """Take the scene's parameters, with a first choice of CT and model where there is none."""
        parameters = self.logic.getParameterNode()
        if not parameters.weights:
            demo = self.inputs.demoWeights
            parameters.weights = str(demo) if demo.is_file() else ""
        if parameters.inputVolume is None:
            parameters.inputVolume = _firstCt()
        self.setParameterNode(parameters)

    def setParameterNode(self, parameters: Any) -> None:
        """Connect the panel to parameters, or to none."""
        if self._parameterNode is not None:
            if parameters is not None and parameters.parameterNode is self._parameterNode.parameterNode:
                return
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersModified)
        self._parameterNode = parameters
        if parameters is not None:
            from Agg2ExpModuleLib.panel.Parameters import boundWidgets

            # connectGui gives no tag (Slicer issue 7547), and without one the old parameters stay bound to the panel.
            self._guiTag = parameters.connectParametersToGui(boundWidgets(self.ui))
            self.addObserver(parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersModified)
        self.state.setParameters(parameters)

    def _onParametersModified(self, _caller: Any = None, _event: Any = None) -> None:
        self.state.onParametersModified()


class Agg2ExpModuleLogic(ScriptedLoadableModuleLogic):
    """What the module does without its panel."""

    def getParameterNode(self) -> Any:
        """The scene's parameters, see Agg2ExpModuleLib.panel.Parameters."""
        from Agg2ExpModuleLib.panel.Parameters import Parameters

        return Parameters(ScriptedLoadableModuleLogic.getParameterNode(self))

    @staticmethod
    def loadDemoCase() -> Any:
        """The synthetic thorax as a volume node."""
        from Agg2ExpModuleLib.scene.SampleDataSource import loadSyntheticThorax

        return loadSyntheticThorax()


def _isCandidate(node: Any) -> bool:
    from Agg2ExpModuleLib.scene.SceneVolumes import isCt

    return isCt(node)


class Agg2ExpModuleTest(ScriptedLoadableModuleTest):
    """Load → segment → explain → overlay → graph → CSV → save and reload the scene."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        from Agg2ExpModuleLib.panel.ModuleTest import runModuleTest

        self.setUp()
        runModuleTest(self)


def _firstCt() -> Any:
    """The first CT of the scene, or None."""
    scene = slicer.mrmlScene
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    volumes = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
    return next((volume for volume in volumes if _isCandidate(volume)), None)
