"""The stand-in is as strict as Slicer where it matters."""

from __future__ import annotations

import enum
import pathlib
import typing
from typing import Annotated

import pytest

UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>Demo</class><widget class="qMRMLWidget" name="Demo">
 <layout class="QVBoxLayout" name="top">
  <item><widget class="ctkCollapsibleButton" name="inputButton"><property name="text"><string>Input</string></property>
   <layout class="QFormLayout" name="form">
    <item row="0" column="0"><widget class="QLabel" name="label">
      <property name="text"><string>CT</string></property></widget></item>
    <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="inputSelector">
      <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
      <property name="noneEnabled"><bool>true</bool></property>
      <property name="addEnabled"><bool>false</bool></property>
      <property name="SlicerParameterName" stdset="0"><string>ct</string></property></widget></item>
    <item row="1" column="1"><widget class="ctkSliderWidget" name="slider">
      <property name="maximum"><double>7.0</double></property>
      <property name="SlicerParameterName" stdset="0"><string>strength</string></property></widget></item>
    <item row="2" column="1"><widget class="QComboBox" name="methodBox">
      <property name="SlicerParameterName" stdset="0"><string>method</string></property></widget></item>
    <item row="3" column="1"><widget class="QCheckBox" name="box">
      <property name="SlicerParameterName" stdset="0"><string>linked</string></property></widget></item>
    <item row="4" column="1"><widget class="ctkPathLineEdit" name="pathEdit">
      <property name="SlicerParameterName" stdset="0"><string>weights</string></property></widget></item>
   </layout></widget></item>
 </layout></widget>
 <customwidgets>
  <customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends><header>ctkCollapsibleButton.h</header><container>1</container></customwidget>
  <customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends><header>qMRMLNodeComboBox.h</header></customwidget>
  <customwidget><class>qMRMLWidget</class><extends>QWidget</extends><header>qMRMLWidget.h</header><container>1</container></customwidget>
  <customwidget><class>ctkSliderWidget</class><extends>QWidget</extends><header>ctkSliderWidget.h</header></customwidget>
  <customwidget><class>ctkPathLineEdit</class><extends>QWidget</extends><header>ctkPathLineEdit.h</header></customwidget>
 </customwidgets>
 <connections>%s</connections></ui>"""
SCENE = (
    "<connection><sender>Demo</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>"
    "<receiver>inputSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection>"
)


class Method(enum.Enum):
    GRADIENT = "gradient"
    SMOOTHGRAD = "smoothgrad"

    def label(self) -> str:
        return self.value.capitalize()


def wrapper_class():
    import slicer
    from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        ct: slicer.vtkMRMLScalarVolumeNode
        strength: Annotated[float, WithinRange(0, 100), Default(95.0)]
        method: Method = Method.SMOOTHGRAD
        linked: bool = True
        weights: pathlib.Path
        names: list[str]
        region: typing.Optional[slicer.vtkMRMLSegmentationNode]  # noqa: UP045

    # annotations are strings here; Slicer reads them with get_type_hints in the module's globals
    return Parameters


@pytest.fixture
def parameters(slicerApp, monkeypatch):  # noqa: N803
    import slicer

    monkeypatch.setitem(globals(), "slicer", slicer)
    from slicer.parameterNodeWrapper import Default, WithinRange

    monkeypatch.setitem(globals(), "Default", Default)
    monkeypatch.setitem(globals(), "WithinRange", WithinRange)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "Demo")
    return wrapper_class()(node)


def load(tmp_path, connections=SCENE):
    import slicer

    path = tmp_path / "Demo.ui"
    path.write_text(UI % connections)
    return slicer.util.loadUI(str(path))


def test_parameters_have_their_declared_type(parameters):
    import slicer

    assert parameters.strength == 95.0
    assert parameters.method is Method.SMOOTHGRAD
    assert parameters.ct is None
    assert parameters.region is None
    assert parameters.weights == pathlib.Path()
    with pytest.raises(TypeError):
        parameters.weights = "weights.pt"
    with pytest.raises(ValueError, match="within range"):
        parameters.strength = 101
    with pytest.raises(TypeError):
        parameters.linked = 1
    with pytest.raises(TypeError):
        parameters.ct = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    parameters.names = ["aorta", "heart"]
    parameters.names.append("liver")
    again = type(parameters)(parameters.parameterNode)
    assert again.names == ["aorta", "heart", "liver"]
    with pytest.raises(NotImplementedError):
        parameters.names.__add__(["spleen"])
    with pytest.raises(TypeError):
        parameters.names = [1]
    assert parameters.names == ["aorta", "heart", "liver"]


def test_a_ui_file_bound_to_parameters_follows_both_ways(slicerApp, parameters, tmp_path):  # noqa: N803
    import slicer

    widget = load(tmp_path)
    ui = slicer.util.childWidgetVariables(widget)
    assert not ui.inputSelector.enabled
    widget.setMRMLScene(slicer.mrmlScene)
    assert ui.inputSelector.enabled
    assert parameters.connectGui(ui) is None
    assert ui.slider.maximum == 100.0
    assert [ui.methodBox.itemText(index) for index in range(ui.methodBox.count)] == ["Gradient", "Smoothgrad"]
    ct = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    assert ui.inputSelector.currentNode() is None
    ui.inputSelector.setCurrentNode(ct)
    assert parameters.ct is ct
    ui.slider.value = 50.0
    assert parameters.strength == 50.0
    parameters.method = Method.GRADIENT
    assert ui.methodBox.currentIndex == 0
    ui.box.checked = False
    assert parameters.linked is False
    ui.pathEdit.currentPath = "/some/weights.pt"
    assert parameters.weights == pathlib.Path("/some/weights.pt")
    slicer.mrmlScene.RemoveNode(ct)
    assert ui.inputSelector.currentNode() is None
    assert parameters.ct is None


def test_a_selector_without_its_connection_gets_no_scene(slicerApp, tmp_path):  # noqa: N803
    import slicer

    widget = load(tmp_path, "")
    widget.setMRMLScene(slicer.mrmlScene)
    assert not slicer.util.childWidgetVariables(widget).inputSelector.enabled


def test_a_ui_file_may_not_name_what_is_not_there(slicerApp, tmp_path):  # noqa: N803
    import slicer

    for wrong in ("mrmlSceneChanged(vtkMRMLScene*)</signal><receiver>label", "sceneChanged()</signal><receiver>inputSelector"):
        connection = (
            f"<connection><sender>Demo</sender><signal>{wrong}</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection>"
        )
        with pytest.raises(RuntimeError, match="has no s"):
            load(tmp_path, connection)
    path = tmp_path / "Wrong.ui"
    path.write_text((UI % "").replace("noneEnabled", "noneAllowed"))
    with pytest.raises(RuntimeError, match="no property 'noneAllowed'"):
        slicer.util.loadUI(str(path))


def test_properties_are_attributes_and_unknown_ones_are_refused(slicerApp):  # noqa: N803
    import ctk
    import qt

    import slicer_standin

    button = qt.QPushButton("Apply")
    button.enabled = False
    assert button.enabled is False
    button.setEnabled(True)
    assert button.enabled is True
    assert button.text == "Apply"

    class Own(qt.QWidget):
        def __init__(self, parent):
            super().__init__(parent)
            self.values = []

    assert Own(button).values == []
    assert not hasattr(qt, "Signal")
    assert not hasattr(qt, "QThread")
    assert not hasattr(ctk.ctkSliderWidget(), "setRange"), "ctkSliderWidget.setRange is no slot: Python cannot call it"
    slider = ctk.ctkSliderWidget(button)
    button.tooltip = slider.tool = "misspelt"
    with pytest.raises(AttributeError, match="QPushButton '' has no attribute 'tooltip'; ctkSliderWidget"):
        slicer_standin.uninstall()
    slicer_standin.install()


def test_message_boxes_are_recorded_and_answered(slicerApp):  # noqa: N803
    import slicer

    slicerApp.dialogs.answers[:] = [False, True]
    assert slicer.util.confirmOkCancelDisplay("Install 2 GB?") is False
    assert slicer.util.confirmYesNoDisplay("Really?") is True
    slicer.util.errorDisplay("It failed", detailedText="Traceback")
    with pytest.raises(RuntimeError), slicer.util.tryWithErrorDisplay("Failed to run", waitCursor=True):
        raise RuntimeError("no memory")
    assert slicerApp.dialogs.texts == ["Install 2 GB?", "Really?", "It failed", "Failed to run\n\nno memory"]
    assert slicerApp.dialogs.asked[2].details == "Traceback"


def test_nothing_is_left_after_uninstall(slicerApp):  # noqa: N803
    import sys

    import slicer

    import slicer_standin

    slicer_standin.uninstall()
    assert not hasattr(slicer, "app")
    assert not hasattr(slicer, "mrmlScene")
    assert "qt" not in sys.modules


def test_a_saved_scene_brings_back_nodes_and_parameters(slicerApp, parameters, tmp_path):  # noqa: N803
    import numpy as np
    import slicer

    ct = slicer.util.addVolumeFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4), name="CT")
    parameters.ct = ct
    parameters.strength = 12.5
    widget = slicer.qMRMLNodeComboBox()
    widget.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    widget.setMRMLScene(slicer.mrmlScene)
    assert widget.currentNode() is ct
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    assert widget.currentNode() is None
    slicer.util.loadScene(path)
    assert widget.currentNode().GetName() == "CT"
    again = type(parameters)(slicer.mrmlScene.GetFirstNodeByName("Demo"))
    assert again.strength == 12.5
    assert again.ct is widget.currentNode()
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(again.ct).ravel(), np.arange(24))


def test_node_selector_follows_the_scene(slicerApp):  # noqa: N803
    import slicer

    widget = slicer.qMRMLNodeComboBox()
    widget.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    widget.noneEnabled = True
    widget.setMRMLScene(slicer.mrmlScene)
    seen = []
    widget.currentNodeChanged.connect(seen.append)
    first, second, third = (slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in "abc")
    assert widget.nodeCount() == 3
    widget.setCurrentNode(second)
    second.SetName("renamed")
    assert widget._combo.currentText == "renamed"
    slicer.mrmlScene.RemoveNode(second)
    assert widget.currentNode() is third, "Qt's combo box goes on to the neighbour"
    third.SetHideFromEditors(True)
    third.Modified()
    assert widget.currentNode() is first
    assert seen == [second, third, first]
    with pytest.raises(ValueError, match="overload"):
        widget.setCurrentNode(3)


def test_picture_of_the_views(slicerApp, tmp_path):  # noqa: N803
    import numpy as np
    import qt
    import slicer

    array = np.zeros((40, 40, 40), dtype=np.int16)
    array[10:30, 10:30, 10:30] = 500
    slicer.util.setSliceViewerLayers(background=slicer.util.addVolumeFromArray(array, name="CT"), fit=True)
    path = slicerApp.renderViews(tmp_path / "views.png", size=120)
    picture = qt.QImage(str(path))
    assert picture.width() == 2 * 120 + 8
    assert qt.QColor(picture.pixel(60, 22 + 60)).lightness() > 200
    assert qt.QColor(picture.pixel(5, 22 + 5)).lightness() < 50


def test_a_volume_without_colours_makes_vtk_complain(slicerApp):  # noqa: N803
    import numpy as np
    import slicer

    from Agg2ExpLib.views.mrml_nodes import add_volume

    def shown(node):
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            composite.SetBackgroundVolumeID(node.GetID())
        slicerApp.app.processEvents()

    array = np.arange(27000, dtype=np.int16).reshape(30, 30, 30)
    shown(add_volume(slicer.mrmlScene, array, np.eye(4), "right"))
    assert slicerApp.complaints.texts == []
    assert all(slicerApp.state.drawing.count.values())
    node = slicer.mrmlScene.AddNode(slicer.vtkMRMLScalarVolumeNode())
    node.SetAndObserveImageData(slicer.util.getNode("right").GetImageData())
    display = slicer.mrmlScene.AddNode(slicer.vtkMRMLScalarVolumeDisplayNode())
    shown(node)
    node.SetAndObserveDisplayNodeID(display.GetID())
    slicerApp.app.processEvents()
    assert any("LookupTable" in text or "Component" in text for text in slicerApp.complaints.texts), slicerApp.complaints.texts
    slicerApp.complaints.texts.clear()
