"""The qMRML widgets our module uses, on the real scene."""

from __future__ import annotations

import weakref
from typing import Any

import slicer
import vtk
from PySide6.QtCore import Signal
from shiboken6 import isValid

from . import qt_module
from .ctk_module import ctkComboBox
from .properties import computed, qt_property

qt = qt_module.module()
_SCENE_EVENTS = (
    slicer.vtkMRMLScene.NodeAddedEvent,
    slicer.vtkMRMLScene.NodeRemovedEvent,
    slicer.vtkMRMLScene.EndBatchProcessEvent,
    slicer.vtkMRMLScene.EndImportEvent,
    slicer.vtkMRMLScene.EndRestoreEvent,
    slicer.vtkMRMLScene.EndCloseEvent,
)


def _wants(kind: type, value: Any) -> None:
    """PythonQt matches arguments to a slot's types and takes None for a null pointer."""
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"Could not find matching overload for given arguments: ({value!r},), expected {kind.__name__}")


class Observer:
    """VTK observations that end with their widget."""

    def __init__(self, widget: Any):
        self._widget = weakref.ref(widget)
        self._tags: list[tuple[Any, int]] = []

    def add(self, subject: Any, event: Any, method: str) -> None:
        def call(caller: Any, name: str) -> None:
            widget = self._widget()
            if widget is not None and isValid(widget):
                getattr(widget, method)(caller)

        self._tags.append((weakref.ref(subject), subject.AddObserver(event, call)))

    def clear(self) -> None:
        for subject, tag in self._tags:
            if subject() is not None:
                subject().RemoveObserver(tag)
        self._tags.clear()


class qMRMLWidget(qt.QWidget):
    """A widget that hands its scene on to the widgets connected in the .ui file."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: Any = None):
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        _wants(slicer.vtkMRMLScene, scene)
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class _SortFilterProxyModel:
    """The part of ``qMRMLSortFilterProxyModel`` that hides single nodes."""

    def __init__(self, combo: Any):
        self._combo = weakref.ref(combo)
        self.hidden: tuple[str, ...] = ()

    @property
    def hiddenNodeIDs(self) -> tuple[str, ...]:
        return self.hidden

    @hiddenNodeIDs.setter
    def hiddenNodeIDs(self, identifiers: Any) -> None:
        self.hidden = tuple(identifiers)
        combo = self._combo()
        if combo is not None and combo.mrmlScene() is not None:
            combo._refresh()


class qMRMLNodeComboBox(qt.QWidget):
    """Chooses one node of the scene; disabled until it has a scene."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAddedByUserAction = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    nodeAboutToBeEdited = Signal(object)
    currentNodeRenamed = Signal(str)

    nodeTypes = qt_property("QStringList", "nodeTypes", lambda self: [], "_refresh")
    showHidden = qt_property(bool, "showHidden", False, "_refresh")
    showChildNodeTypes = qt_property(bool, "showChildNodeTypes", True, "_refresh")
    hideChildNodeTypes = qt_property("QStringList", "hideChildNodeTypes", lambda self: [], "_refresh")
    baseName = qt_property(str, "baseName", "")
    noneEnabled = qt_property(bool, "noneEnabled", False, "_refresh")
    noneDisplay = qt_property(str, "noneDisplay", "None", "_refresh")
    addEnabled = qt_property(bool, "addEnabled", True)
    removeEnabled = qt_property(bool, "removeEnabled", True)
    editEnabled = qt_property(bool, "editEnabled", False)
    renameEnabled = qt_property(bool, "renameEnabled", False)
    interactionNodeSingletonTag = qt_property(str, "interactionNodeSingletonTag", "Singleton")
    selectNodeUponCreation = qt_property(bool, "selectNodeUponCreation", True)
    sizeAdjustPolicy = qt_property(int, "sizeAdjustPolicy", 1)

    def __init__(self, parent: Any = None):
        super().__init__(parent)
        self._scene: Any = None
        self._requested: str | None = None
        self._attributes: list[tuple[str, str, Any]] = []
        self._filter = _SortFilterProxyModel(self)
        self._observer, self._names = Observer(self), Observer(self)
        self._current: str = ""
        self._combo = ctkComboBox(self)
        self._combo.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon
        self._combo.minimumContentsLength = 10
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self.setFocusProxy(self._combo)
        self.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.Fixed)
        self._combo.currentIndexChanged.connect(lambda *_: self._chosen())
        self._combo.activated.connect(lambda *_: self.nodeActivated.emit(self.currentNode()))
        self._filling = False
        self.enabled = False

    # Scene
    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        _wants(slicer.vtkMRMLScene, scene)
        if scene is self._scene:
            return
        self._observer.clear()
        self._names.clear()
        self._scene = scene
        if scene is not None:
            for event in _SCENE_EVENTS:
                self._observer.add(scene, event, "_scene_changed")
        wanted, self._requested = self._requested, None
        self._refresh(wanted)
        self.enabled = scene is not None

    def _scene_changed(self, scene: Any) -> None:
        if not scene.IsBatchProcessing():
            self._refresh()

    def _shown(self) -> list[Any]:
        if self._scene is None:
            return []
        nodes = [self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes())]
        return [node for node in nodes if self._accepts(node)]

    def sortFilterProxyModel(self) -> Any:
        return self._filter

    def _accepts(self, node: Any) -> bool:
        if (node.GetHideFromEditors() and not self.showHidden) or node.GetID() in self._filter.hidden:
            return False
        types = list(self.nodeTypes)
        if types and not any(node.IsA(kind) if self.showChildNodeTypes else node.GetClassName() == kind for kind in types):
            return False
        if any(node.IsA(kind) and node.GetClassName() not in types for kind in self.hideChildNodeTypes):
            return False
        for kind, name, value in self._attributes:
            if node.IsA(kind):
                found = node.GetAttribute(name)
                if found is None or (value is not None and found != str(value)):
                    return False
        return True

    def _refresh(self, wanted: str | None = None) -> None:
        """List the nodes again; a current node that is gone is followed by its neighbour, as in Qt's combo box."""
        before, row = self._current, self._combo.currentIndex
        nodes = self._shown()
        rows = [(self.noneDisplay, "")] if self.noneEnabled and self._scene is not None else []
        rows += [(node.GetName() or "", node.GetID()) for node in nodes]
        known = {self._combo.itemData(index) for index in range(self._combo.count)}
        self._filling = True
        self._combo.clear()
        for text, identifier in rows:
            self._combo.addItem(text, identifier)
        identifiers = [identifier for _, identifier in rows]
        if wanted is not None and wanted in identifiers:
            index = identifiers.index(wanted)
        elif before and before in identifiers:
            index = identifiers.index(before)
        elif before and nodes:
            index = min(max(row, 0), len(rows) - 1)
        else:
            index = 0 if rows else -1
        self._combo.currentIndex = index
        self._filling = False
        self._names.clear()
        for node in nodes:
            self._names.add(node, vtk.vtkCommand.ModifiedEvent, "_node_modified")
            if node.GetID() not in known:
                self.nodeAdded.emit(node)
        self._chosen()

    def _node_modified(self, node: Any) -> None:
        index = self._combo.findData(node.GetID())
        if index >= 0 and not self._accepts(node):
            self._refresh()
        elif index >= 0 and self._combo.itemText(index) != (node.GetName() or ""):
            self._combo.setItemText(index, node.GetName() or "")

    def _chosen(self) -> None:
        if self._filling:
            return
        identifier = self._combo.itemData(self._combo.currentIndex) or ""
        if identifier != self._current:
            self._current = identifier
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(identifier)

    # Current node
    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._current) if self._scene is not None and self._current else None

    def setCurrentNode(self, node: Any) -> None:
        if isinstance(node, str):
            self.setCurrentNodeID(node)
            return
        _wants(slicer.vtkMRMLNode, node)
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, identifier: str) -> None:
        if self._scene is None:
            self._requested = identifier
            return
        index = self._combo.findData(identifier) if identifier else -1
        if index < 0 and self.noneEnabled:
            index = 0
        self._combo.currentIndex = index

    currentNodeID = computed(str, lambda self: self._current, setCurrentNodeID)

    def setCurrentNodeIndex(self, index: int) -> None:
        self._combo.currentIndex = -1 if index >= self.nodeCount() else index + int(self.noneEnabled)

    def nodeCount(self) -> int:
        return self._combo.count - int(self.noneEnabled and self._scene is not None)

    def nodeFromIndex(self, index: int) -> Any:
        identifier = self._combo.itemData(index + int(self.noneEnabled))
        return self._scene.GetNodeByID(identifier) if identifier else None

    # Filters and menu
    def addAttribute(self, nodeType: str, name: str, value: Any = None) -> None:
        self._attributes.append((nodeType, name, value))
        self._refresh()

    def removeAttribute(self, nodeType: str, name: str) -> None:
        self._attributes = [entry for entry in self._attributes if entry[:2] != (nodeType, name)]
        self._refresh()

    def setNodeTypeLabel(self, label: str, nodeType: str) -> None:
        self._values[f"label of {nodeType}"] = label

    def addMenuAction(self, action: Any) -> None:
        self._values.setdefault("actions", []).append(action)

    def addNode(self, nodeType: str | None = None) -> Any:
        nodeType = nodeType or next(iter(self.nodeTypes), None)
        if nodeType is None or nodeType not in self.nodeTypes:
            return None
        node = self._scene.AddNewNodeByClass(nodeType, self._scene.GenerateUniqueName(self.baseName or nodeType[7:]))
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        self._scene.RemoveNode(self.currentNode())

    def editCurrentNode(self) -> None:
        self.nodeAboutToBeEdited.emit(self.currentNode())

    def renameCurrentNode(self) -> None:
        """Only in a running Slicer: asks for a name."""


class qMRMLTableView(qt.QTableView):
    """Shows a table node."""

    mrmlSceneChanged = Signal(object)
    transposed = qt_property(bool, "transposed", False, "_fill")
    firstRowLocked = qt_property(bool, "firstRowLocked", False)
    firstColumnLocked = qt_property(bool, "firstColumnLocked", False)

    def __init__(self, parent: Any = None):
        super().__init__(parent)
        self._scene: Any = None
        self._node: Any = None
        self._observer = Observer(self)
        self._model = qt.QStandardItemModel(self)
        self.setModel(self._model)

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        _wants(slicer.vtkMRMLScene, scene)
        self._scene = scene
        self.setMRMLTableNode(None)
        self.mrmlSceneChanged.emit(scene)

    def mrmlTableNode(self) -> Any:
        return self._node

    def setMRMLTableNode(self, node: Any) -> None:
        _wants(slicer.vtkMRMLTableNode, node)
        self._observer.clear()
        self._node = node
        if node is not None:
            self._observer.add(node, vtk.vtkCommand.ModifiedEvent, "_fill")
        self._fill()

    def _fill(self, caller: Any = None) -> None:
        self._model.clear()
        table = self._node.GetTable() if self._node is not None else None
        if table is None:
            return
        for column in range(table.GetNumberOfColumns()):
            array = table.GetColumn(column)
            name = array.GetName() or ""
            cells = [qt.QStandardItem(table.GetValue(row, column).ToString()) for row in range(table.GetNumberOfRows())]
            if self.transposed:
                self._model.appendRow([qt.QStandardItem(name), *cells])
            else:
                self._model.appendColumn(
                    [qt.QStandardItem(name), *cells] if not self._node.GetUseColumnTitleAsColumnHeader() else cells
                )
                if self._node.GetUseColumnTitleAsColumnHeader():
                    self._model.setHorizontalHeaderItem(column, qt.QStandardItem(self._node.GetColumnTitle(name) or name))


WIDGETS = (qMRMLWidget, qMRMLNodeComboBox, qMRMLTableView)
