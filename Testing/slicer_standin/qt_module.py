"""A ``qt`` module as PythonQt gives it to Slicer's Python, made of PySide6.

Qt's properties are attributes, setters exist beside them, and what PythonQt does not
have (signals and threads written in Python) is missing here too.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import PySide6.QtCore
import PySide6.QtGui
import PySide6.QtUiTools
import PySide6.QtWidgets

_PARTS = (PySide6.QtCore, PySide6.QtGui, PySide6.QtWidgets)
# Not wrapped by PythonQt, or unusable from Python there.
MISSING = frozenset(
    {"Signal", "Slot", "Property", "ClassInfo", "QThread", "QThreadPool", "QRunnable", "QEnum", "QFlag", "SignalInstance"}
)
# Only in Qt 6: a Slicer built with Qt 5.15 has none of them.
_QT6_ONLY = {"QMouseEvent": ("position", "globalPosition", "scenePosition")}
_TRUE_PROPERTY = 2


def make() -> types.ModuleType:
    """Build the module; changes PySide6's classes in this process, once."""
    setters = list(_setters())
    _properties_everywhere()
    for owner, name, method in setters:
        setattr(owner, name, _bound(method))
    qobject = PySide6.QtCore.QObject
    qobject.name = property(lambda self: self.objectName, lambda self, value: setattr(self, "objectName", value))
    qobject.className = lambda self: self.metaObject().className()
    qt = types.ModuleType("qt", __doc__)
    for part in _PARTS:
        for name in dir(part):
            if not name.startswith("_") and name not in MISSING:
                setattr(qt, name, getattr(part, name))
    for owner_name, names in _QT6_ONLY.items():
        for name in names:
            setattr(getattr(qt, owner_name), name, _Absent(owner_name, name))
    return qt


class _Absent:
    """A name that the oldest supported Qt does not have."""

    def __init__(self, owner: str, name: str):
        self.text = f"'{owner}' has no attribute '{name}' in Qt 5.15"

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError(self.text)


def _classes(base: type) -> Iterator[type]:
    seen = set()
    for part in _PARTS:
        for name in dir(part):
            kind = getattr(part, name)
            if isinstance(kind, type) and issubclass(kind, base) and kind not in seen:
                seen.add(kind)
                yield kind


def _setters() -> Iterator[tuple[type, str, Callable]]:
    """Setter methods of all properties, taken before true_property hides them."""
    for owner in _classes(PySide6.QtCore.QObject):
        meta = getattr(owner, "staticMetaObject", None)
        if meta is None:
            continue
        for index in range(meta.propertyOffset(), meta.propertyCount()):
            name = meta.property(index).name()
            setter = f"set{name[0].upper()}{name[1:]}"
            method = owner.__dict__.get(setter)
            if method is not None:
                yield owner, setter, method


def _bound(method: Callable) -> Callable:
    def setter(self: Any, *arguments: Any) -> Any:
        return method(self, *arguments)

    return setter


def _properties_everywhere() -> None:
    """PySide6 chooses property access by the calling module; Slicer's code does not ask for it, so no module may switch it off."""
    import shibokensupport.feature as feature

    feature._mod_uses_pyside = lambda module: False  # it would read the source of every module
    feature.__init__()
    for name in list(feature.pyside_feature_dict):
        feature.pyside_feature_dict[name] = _TRUE_PROPERTY
    feature.set_selection(_TRUE_PROPERTY, "qt")
    if not isinstance(PySide6.QtWidgets.QWidget.enabled, property):
        warnings.warn("PySide6 did not switch to properties", stacklevel=2)


def invented_attributes() -> list[str]:
    """Attributes that code has put on C++ objects, which PythonQt refuses: misspelt properties, mostly."""
    found = []
    for widget in PySide6.QtWidgets.QApplication.allWidgets():
        kind = type(widget)
        if kind.__module__.split(".")[0] not in ("PySide6", __package__):
            continue
        for name, value in vars(widget).items():
            if not name.startswith("_") and not isinstance(value, PySide6.QtCore.SignalInstance):
                found.append(f"{kind.__name__} '{widget.objectName}' has no attribute '{name}'")
    return sorted(found)


def module() -> types.ModuleType:
    """The one ``qt`` module of this process."""
    if "module" not in _made:
        _made["module"] = make()
    return _made["module"]


_made: dict[str, types.ModuleType] = {}
