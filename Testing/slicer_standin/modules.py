"""``slicer.modules``: the modules whose logic slicer-core has."""

from __future__ import annotations

import types
from typing import Any


class CoreModule:
    """A loaded C++ module."""

    def __init__(self, name: str, logic: Any):
        self.name, self._logic = name, logic
        self.path = ""

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> None:
        return None


def make_modules(state: Any) -> types.SimpleNamespace:
    """One attribute a module, as in Slicer; others raise AttributeError there too."""
    return types.SimpleNamespace(**{name.lower(): CoreModule(name, logic) for name, logic in state.logics.items()})
