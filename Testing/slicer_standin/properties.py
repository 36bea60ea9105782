"""Qt properties of the stand-in's widgets in one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Property


def qt_property(kind: Any, name: str, default: Any = None, changed: str | None = None) -> Any:
    """A property kept in ``_values``; the widget's method ``changed`` runs after each change.

    Args:
        kind: Qt type of the property, a Python type or the name of a C++ one.
        name: of the property.
        default: first value; a callable is called with the widget.
        changed: name of a method without arguments.
    """

    def get(self: Any) -> Any:
        values = self.__dict__.setdefault("_values", {})
        if name not in values:
            values[name] = default(self) if callable(default) else default
        return values[name]

    def put(self: Any, value: Any) -> None:
        if kind in (int, float, bool, str):
            value = kind(value)
        if get(self) != value:
            self._values[name] = value
            if changed:
                getattr(self, changed)()

    return Property(kind, get, put)


def computed(kind: Any, get: Callable[[Any], Any], put: Callable[[Any, Any], None]) -> Any:
    """A property that belongs to a part of the widget."""
    return Property(kind, get, put)
