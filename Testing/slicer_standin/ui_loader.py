"""``qt.QUiLoader`` for Slicer's .ui files: ctk and qMRML classes, their connections, and no unknown names."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6.QtCore import QBuffer, QIODevice, QObject
from PySide6.QtUiTools import QUiLoader as PySideLoader


class QUiLoader(QObject):
    """Loads a .ui file; what Slicer would ignore with a warning in its log raises here.

    Raises (in :meth:`load`):
        RuntimeError: a widget class that this stand-in does not have, a property that its class does not have, or a connection
            whose signal or slot is missing.
    """

    def __init__(self, parent: Any = None):
        super().__init__(parent)

    def load(self, device: Any, parent: Any = None) -> Any:
        from . import ctk_module, mrml_widgets

        known = {kind.__name__: kind for kind in (*ctk_module.WIDGETS, *mrml_widgets.WIDGETS)}
        root = ElementTree.fromstring(bytes(device.readAll()))
        used = {widget.get("class") for widget in root.iter("widget")}
        loader = _Loader(known)
        available = set(loader.availableWidgets()) | set(loader.availableLayouts()) | {"Line"}
        missing = sorted(name for name in used if name not in known and name not in available)
        if missing:
            raise RuntimeError(f"Could not load UI file: no widget class {', '.join(missing)}")
        connections = [_connection(entry) for entry in root.iter("connection")]
        for section in root.findall("connections"):
            root.remove(section)
        buffer = QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QIODevice.OpenModeFlag.ReadOnly)
        widget = loader.load(buffer, parent)
        if widget is None:
            raise RuntimeError(f"Could not load UI file: {loader.errorString()}")
        found = {child.objectName: child for child in [widget, *widget.findChildren(QObject)]}
        for name in set(vars(widget)) & set(found):
            del widget.__dict__[name]  # PySide6 makes the children attributes of the top widget, Slicer does not
        _check_properties(root, found)
        for sender, signal, receiver, slot in connections:
            _connect(found, sender, signal, receiver, slot)
        return widget


class _Loader(PySideLoader):
    """Makes the stand-in's widgets."""

    def __init__(self, known: dict[str, type]):
        super().__init__()
        self._known = known
        self._made: list[Any] = []

    def createWidget(self, className: str, parent: Any = None, name: str = "") -> Any:
        if className not in self._known:
            return super().createWidget(className, parent, name)
        widget = self._known[className](parent)
        widget.objectName = name
        self._made.append(widget)
        return widget


def _connection(entry: ElementTree.Element) -> tuple[str, str, str, str]:
    sender, signal, receiver, slot = (entry.findtext(name, "") for name in ("sender", "signal", "receiver", "slot"))
    return sender, signal, receiver, slot


def _connect(found: dict[str, Any], sender: str, signal: str, receiver: str, slot: str) -> None:
    for name in (sender, receiver):
        if name not in found:
            raise RuntimeError(f"The .ui file connects '{name}', which it does not contain")
    source = getattr(found[sender], signal.split("(")[0], None)
    target = getattr(found[receiver], slot.split("(")[0], None)
    if not hasattr(source, "connect"):
        raise RuntimeError(f"{type(found[sender]).__name__} '{sender}' has no signal {signal}")
    if not callable(target):
        raise RuntimeError(f"{type(found[receiver]).__name__} '{receiver}' has no slot {slot}")
    source.connect(target)


def _check_properties(root: ElementTree.Element, found: dict[str, Any]) -> None:
    for widget in root.iter("widget"):
        child = found.get(widget.get("name", ""))
        if child is None:
            continue
        names = {child.metaObject().property(index).name() for index in range(child.metaObject().propertyCount())}
        for entry in widget.findall("property"):
            name = entry.get("name", "")
            if name not in names and entry.get("stdset") != "0" and widget.get("class") != "Line":
                raise RuntimeError(f"{widget.get('class')} '{widget.get('name')}' has no property '{name}'")
