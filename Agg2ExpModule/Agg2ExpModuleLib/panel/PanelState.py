"""What the sections of the panel share: widgets, parameters, the results shown, and who is told when something changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import slicer

from ..scene.ResultRecord import ResultRecord, recordsOf
from .Parameters import Parameters, snapshot

if TYPE_CHECKING:
    from .RunController import RunController

# Changes beside those of parameters, which go by their names.
RECORD, BUSY, SCENE, MISSING = "result", "busy", "scene", "missing"
COMPARISON, COMPARISON_PROGRESS = "comparison", "comparison progress"


class Section(Protocol):
    """One part of the panel."""

    def refresh(self, changed: set[str]) -> None:
        """Show what has changed: names of parameters, and ``result``, ``busy``, ``scene``, ``missing``, ``comparison``."""
        ...


class PanelState:
    """Shared by all sections.

    Args:
        ui: widgets by name.
        root: the panel's widget, parent of everything made in code.

    Attributes:
        parameters: None while a scene is closed.
        controller: runs and loads.
        missing: names of packages that a run needs and that are not installed.
    """

    def __init__(self, ui: Any, root: Any):
        self.ui, self.root = ui, root
        self.parameters: Parameters | None = None
        self.controller: RunController | None = None
        self.sections: list[Section] = []
        self.missing: list[str] = []
        self._before: dict[str, object] = {}
        self._pending: set[str] = set()
        self._telling = False

    def setParameters(self, parameters: Parameters | None) -> None:
        """Take other parameters and show them all."""
        self.parameters = parameters
        self._before = snapshot(parameters) if parameters is not None else {}
        self.tell({*self._before, RECORD, BUSY, SCENE})

    def onParametersModified(self) -> None:
        """Find out which parameters have changed and tell the sections."""
        if self.parameters is None:
            return
        now = snapshot(self.parameters)
        changed = {name for name, value in now.items() if self._before.get(name) != value}
        self._before = now
        if changed:
            self.tell(changed)

    def tell(self, changed: set[str]) -> None:
        """Tell every section; what changes meanwhile is told afterwards."""
        self._pending |= changed
        if self._telling:
            return
        self._telling = True
        try:
            for _round in range(20):  # sections may change parameters in answer, but not for ever
                if not self._pending:
                    break
                changed, self._pending = self._pending, set()
                if "inputVolume" in changed or SCENE in changed:
                    self._chooseRecord()
                for section in self.sections:
                    section.refresh(changed)
        finally:
            self._pending = set()
            self._telling = False

    @property
    def ct(self) -> Any:
        """The chosen CT, or None."""
        node = self.parameters.inputVolume if self.parameters is not None else None
        return node if node is not None and node.GetScene() is slicer.mrmlScene else None

    @property
    def record(self) -> ResultRecord | None:
        """The results shown: those chosen, if they belong to the chosen CT."""
        node = self.parameters.record if self.parameters is not None else None
        if node is None or node.GetScene() is not slicer.mrmlScene:
            return None
        record = ResultRecord(node)
        return record if self.ct is not None and record.ct is self.ct else None

    @property
    def busy(self) -> bool:
        """Whether something runs or is being loaded."""
        return self.controller is not None and self.controller.busy

    def _chooseRecord(self) -> None:
        """For another CT the newest of its results."""
        if self.parameters is None or (self.record is not None and self.record.node in [r.node for r in recordsOf(self.ct)]):
            return
        records = recordsOf(self.ct)
        node = records[-1].node if records else None
        if node is not self.parameters.record:
            self.parameters.record = node
        self._pending.add(RECORD)


class ChoiceBox:
    """A QComboBox whose entries stand for values; tells only what the user chooses.

    Args:
        combo: the widget.
        onChosen: is given the value.
    """

    def __init__(self, combo: Any, onChosen: Callable[[str], None]):
        self.combo = combo
        self._values: list[str] = []
        self._shown: list[tuple[str, str]] = []
        self._busy = False
        self._onChosen = onChosen
        combo.currentIndexChanged.connect(self._onIndex)

    def setChoices(self, choices: Sequence[tuple[str, str]], current: str) -> None:
        """Value and text of each entry, and the value to show."""
        self._busy = True
        try:
            if list(choices) != self._shown:
                self._shown = list(choices)
                self._values = [value for value, _text in choices]
                self.combo.clear()
                for _value, text in choices:
                    self.combo.addItem(text)
            self.combo.currentIndex = self._values.index(current) if current in self._values else -1
        finally:
            self._busy = False

    @property
    def value(self) -> str:
        """The value shown, empty for none."""
        index = self.combo.currentIndex
        return self._values[index] if 0 <= index < len(self._values) else ""

    def _onIndex(self, *_unused: Any) -> None:
        if not self._busy and self.combo.currentIndex >= 0:
            self._onChosen(self.value)
