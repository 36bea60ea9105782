"""Which widget can show which type of parameter; the pairs that Slicer 5.8 knows and no others."""

from __future__ import annotations

import enum
import logging
import pathlib
import typing
from collections.abc import Callable
from typing import Any

import slicer

from .annotations import Choice, Decimals, FloatRange, Maximum, Minimum, RangeBounds, SingleStep, WithinRange, first, split


class GuiConnector:
    """Reads and writes one widget."""

    def __init__(self, widget: Any, signal: Any, read: Callable[[], Any], write: Callable[[Any], None]):
        self._widget, self._signal, self.read, self.write = widget, signal, read, write
        self._callback: Callable[[], None] | None = None
        self._slot = self.changed

    def changed(self, *_: Any) -> None:
        if self._callback:
            self._callback()

    def onChanged(self, callback: Callable[[], None] | None) -> None:
        self._callback = callback
        if callback is None:
            self._signal.disconnect(self._slot)
        else:
            self._signal.connect(self._slot)

    def widget(self) -> Any:
        return self._widget


def createGuiConnector(widget: Any, datatype: Any) -> GuiConnector:
    """Connector of a widget for a parameter's type; changes the widget's limits or items as Slicer does.

    Raises:
        RuntimeError: no connector for this pair, or annotations it needs are missing.
    """
    import ctk
    import qt

    kind, annotations = split(datatype)
    exact = type(widget)
    if kind is bool and exact in (qt.QCheckBox, ctk.ctkCheckBox):
        return GuiConnector(widget, widget.stateChanged, *_attribute(widget, "checked"))
    if kind is bool and exact is qt.QPushButton:
        if not widget.checkable:
            logging.warning("Making push button checkable for conversion to bool")
            widget.checkable = True
        return GuiConnector(widget, widget.toggled, *_attribute(widget, "checked"))
    if kind is int and exact in (qt.QSlider, qt.QSpinBox):
        _limit(widget, annotations, exact is qt.QSlider, -(2**31), 2**31 - 1)
        return GuiConnector(widget, widget.valueChanged, *_attribute(widget, "value"))
    if kind is float and exact in (qt.QDoubleSpinBox, ctk.ctkSliderWidget):
        _limit(widget, annotations, exact is ctk.ctkSliderWidget, float("-inf"), float("inf"))
        return GuiConnector(widget, widget.valueChanged, *_attribute(widget, "value"))
    if exact is qt.QComboBox and kind in (int, float, str, bool):
        choice = first(annotations, Choice)
        if choice is None:
            raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
        return _combo(widget, [(str(value), value) for value in choice.choices])
    if exact is qt.QComboBox and isinstance(kind, type) and issubclass(kind, enum.Enum):
        label = getattr(kind, "label", lambda member: member.name)
        return _combo(widget, [(label(member), member) for member in kind])
    if kind is str and exact is qt.QLineEdit:
        return GuiConnector(widget, widget.textChanged, *_attribute(widget, "text"))
    if kind is str and exact is qt.QTextEdit:
        return GuiConnector(widget, widget.textChanged, widget.toPlainText, widget.setPlainText)
    if kind is FloatRange and exact is ctk.ctkRangeWidget:
        return _range(widget, annotations)
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath):
        for owner, name, signal in (
            (ctk.ctkPathLineEdit, "currentPath", "currentPathChanged"),
            (ctk.ctkDirectoryButton, "directory", "directoryChanged"),
        ):
            if exact is owner:
                return _path(widget, kind, name, getattr(widget, signal))
    nodes = node_classes(kind)
    if exact is slicer.qMRMLNodeComboBox and nodes:
        widget.nodeTypes = nodes
        return GuiConnector(widget, widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{datatype}' to widget type '{exact}'")


def node_classes(kind: Any) -> list[str]:
    """Class names of a node type or a union of them and None; empty for other types."""
    members = typing.get_args(kind) if typing.get_origin(kind) is typing.Union else (kind,)
    plain = [split(member)[0] for member in members]
    nodes = [member for member in plain if isinstance(member, type) and issubclass(member, slicer.vtkMRMLNode)]
    return [node().GetClassName() for node in nodes] if all(m in nodes or m is type(None) for m in plain) else []


def _attribute(widget: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return lambda: getattr(widget, name), lambda value: setattr(widget, name, value)


def _path(widget: Any, kind: type, name: str, signal: Any) -> GuiConnector:
    return GuiConnector(widget, signal, lambda: kind(getattr(widget, name)), lambda value: setattr(widget, name, str(value)))


def _limit(widget: Any, annotations: list[Any], is_slider: bool, lowest: Any, highest: Any) -> None:
    _look(widget, annotations)
    within, minimum, maximum = (first(annotations, kind) for kind in (WithinRange, Minimum, Maximum))
    if within is not None:
        low, high = within.minimum, within.maximum
    elif is_slider and (minimum is None or maximum is None):
        raise RuntimeError("Cannot have a connection to a slider where the type is unbounded.")
    else:
        low = minimum.minimum if minimum is not None else lowest
        high = maximum.maximum if maximum is not None else highest
    widget.minimum, widget.maximum = low, high


def _look(widget: Any, annotations: list[Any]) -> None:
    for kind, name in ((Decimals, "decimals"), (SingleStep, "singleStep")):
        found = first(annotations, kind)
        if found is not None:
            setattr(widget, name, found.value)


def _combo(widget: Any, entries: list[tuple[str, Any]]) -> GuiConnector:
    widget.clear()
    for text, _ in entries:
        widget.addItem(text)

    def write(value: Any) -> None:
        for index, (_, entry) in enumerate(entries):
            if entry == value:
                widget.currentIndex = index
                return
        raise ValueError(f"Unable to find value {value} in choices {[entry for _, entry in entries]}")

    return GuiConnector(widget, widget.currentIndexChanged, lambda: entries[widget.currentIndex][1], write)


def _range(widget: Any, annotations: list[Any]) -> GuiConnector:
    _look(widget, annotations)
    bounds = first(annotations, RangeBounds)
    if bounds is None:
        raise RuntimeError("Cannot have a connection to ctkRangeWidget where the FloatRange is unbounded.")
    widget.minimum, widget.maximum = bounds.minimum, bounds.maximum
    return GuiConnector(
        widget,
        widget.valuesChanged,
        lambda: FloatRange(widget.minimumValue, widget.maximumValue),
        lambda value: widget.setValues(value.minimum, value.maximum),
    )
