"""A scene as Slicer's application prepares it, with the logics that belong to it."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from .drawing import Drawing

SLICE_VIEWS = (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal"))
_IN_HIERARCHY = (
    "vtkMRMLVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLModelNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
    "vtkMRMLTransformNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLPlotSeriesNode",
    "vtkMRMLPlotChartNode",
)


class Scene:
    """The scene, its application logic, slice and view nodes, and module logics by module name."""

    def __init__(self, folder: str) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.scene.SetURL("")
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        for name in ("SetHomeDirectory", "SetShareDirectory", "SetTemporaryPath"):
            if hasattr(self.application_logic, name):
                getattr(self.application_logic, name)(folder)
        self.application_logic.SetMRMLScene(self.scene)
        self.logics: dict[str, Any] = {}
        for module, kind in _MODULE_LOGICS.items():
            if hasattr(slicer, kind):
                self.logics[module] = getattr(slicer, kind)()
        self._set_up_logics()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        for kind in (slicer.vtkMRMLSelectionNode, slicer.vtkMRMLInteractionNode):
            if self.scene.GetFirstNodeByClass(kind.__name__) is None:
                node = kind()
                node.SetSingletonTag("Singleton")
                self.scene.AddNode(node)
        slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)
        self.slice_logics: dict[str, Any] = {}
        self._add_views()
        self.scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._node_added)
        self.scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._node_removed)
        self.scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, self._closed)

    def _set_up_logics(self) -> None:
        for name, logic in self.logics.items():
            logic.SetMRMLApplicationLogic(self.application_logic)
            self.application_logic.SetModuleLogic(name, logic)
        self.application_logic.SetColorLogic(self.logics["Colors"])
        for logic in self.logics.values():
            logic.SetMRMLScene(self.scene)

    def _add_views(self) -> None:
        collection = vtk.vtkCollection()
        for name, orientation in SLICE_VIEWS:
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(self.application_logic)
            logic.SetMRMLScene(self.scene)
            node = logic.AddSliceNode(name)
            node.SetOrientation(orientation)
            node.SetSingletonTag(name)
            logic.GetSliceCompositeNode().SetSingletonTag(name)
            logic.ResizeSliceNode(400, 400)
            self.slice_logics[name] = logic
            collection.AddItem(logic)
        self.application_logic.SetSliceLogics(collection)
        self._collection = collection
        self.drawing = Drawing(self.scene, self.slice_logics)
        view = slicer.vtkMRMLViewNode()
        view.SetSingletonTag("1")
        view.SetName("View1")
        self.view_node = self.scene.AddNode(view)
        self.layout_logic = slicer.vtkMRMLLayoutLogic()
        self.layout_logic.SetMRMLScene(self.scene)
        self.layout_node = self.layout_logic.GetLayoutNode()
        self.layout_node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_added(self, scene: Any, event: str, node: Any) -> None:
        """Slicer's subject hierarchy has an item for every data node that is not hidden."""
        if node.GetHideFromEditors() or not any(node.IsA(kind) for kind in _IN_HIERARCHY) or scene.IsImporting():
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if hierarchy is not None and not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_removed(self, scene: Any, event: str, node: Any) -> None:
        if scene.IsClosing():
            return
        hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None and hierarchy is not node else 0
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _closed(self, scene: Any, event: str) -> None:
        slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)

    def release(self) -> None:
        """Let go of the scene: no event of it reaches a widget any more."""
        self.drawing.release()
        nodes = [self.scene.GetNthNode(index) for index in range(self.scene.GetNumberOfNodes())]
        for subject in (self.scene, *nodes):
            subject.RemoveAllObservers()  # Python observers must not run when Python collects the scene
        for logic in (self.layout_logic, *self.slice_logics.values(), *self.logics.values()):
            logic.SetMRMLScene(None)
        self.application_logic.SetMRMLScene(None)


_MODULE_LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
}
