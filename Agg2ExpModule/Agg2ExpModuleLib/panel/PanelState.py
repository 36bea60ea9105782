"""What the sections of the panel share: widgets, parameters, the results shown, and who is told when something changes."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import qt
import slicer

from ..scene.ResultRecord import ResultRecord, recordsOf
from .Parameters import Parameters, snapshot

if TYPE_CHECKING:
    from .OtherComputer import OtherComputer

_ROUNDS = 20


class Topic(enum.Enum):
    """Changes beside those of parameters, which go by their names."""

    RECORD = enum.auto()  # the results shown
    BUSY = enum.auto()  # what goes on
    SCENE = enum.auto()
    VOLUMES = enum.auto()  # a CT was added
    SEGMENTS = enum.auto()  # segments may have been drawn or added
    MODEL = enum.auto()  # what is known of the chosen weights
    MISSING = enum.auto()  # packages
    PARTIAL = enum.auto()  # a preliminary map can be read
    COMPARISON = enum.auto()
    COMPARISON_PROGRESS = enum.auto()


Changes = set[str | Topic]


class Section(Protocol):
    """One part of the panel."""

    def refresh(self, changed: Changes) -> None:
        """Show what has changed: names of parameters, and topics."""
        ...


class PanelState:
    """Shared by all sections.

    Args:
        ui: widgets by name.
        root: the panel's widget, parent of everything made in code.
        demoWeights: see the attributes.

    Attributes:
        demoWeights: file of the demo segmentation model.
        parameters: None while a scene is closed.
        missing: names of packages that a run needs and that are not installed.
        isBusy: tells whether something runs or is being loaded.
        elsewhere: the other computer that may be computed on.
    """

    def __init__(self, ui: Any, root: Any, demoWeights: Path = Path()):
        self.ui, self.root, self.demoWeights = ui, root, demoWeights
        self.parameters: Parameters | None = None
        self.sections: list[Section] = []
        self.missing: list[str] = []
        self.elsewhere: OtherComputer | None = None
        self.isBusy: Callable[[], bool] = lambda: False
        self._before: dict[str, object] = {}
        self._pending: Changes = set()
        self._telling = False
        self._later = qt.QTimer(root)
        self._later.singleShot = True
        self._later.timeout.connect(self._goOn)

    def setParameters(self, parameters: Parameters | None) -> None:
        """Take other parameters and show them all."""
        self.parameters = parameters
        self._before = snapshot(parameters) if parameters is not None else {}
        self.tell({*self._before, Topic.RECORD, Topic.BUSY, Topic.SCENE})

    def onParametersModified(self) -> None:
        """Find out which parameters have changed and tell the sections."""
        if self.parameters is None:
            return
        now = snapshot(self.parameters)
        changed: Changes = {name for name, value in now.items() if self._before.get(name) != value}
        self._before = now
        if changed:
            self.tell(changed)

    def tell(self, changed: Changes) -> None:
        """Tell every section; what changes meanwhile is told afterwards.

        Sections may change parameters in answer, but not for ever: what is left after some rounds is told in the next turn of the
        event loop. A section that fails does not keep the others from being told.

        Raises:
            Exception: the first that a section raised.
        """
        self._pending |= changed
        if self._telling:
            return
        self._telling = True
        failed: Exception | None = None
        try:
            for _round in range(_ROUNDS):
                if not self._pending:
                    break
                changed, self._pending = self._pending, set()
                if "inputVolume" in changed or Topic.SCENE in changed:
                    self._chooseRecord()
                for section in self.sections:
                    try:
                        section.refresh(changed)
                    except Exception as error:
                        failed = failed or error
        finally:
            self._telling = False
        if self._pending:
            self._later.start(0)
        if failed is not None:
            raise failed

    def _goOn(self) -> None:
        self.tell(set())

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
        return self.isBusy()

    def _chooseRecord(self) -> None:
        """For another CT the newest of its results."""
        if self.parameters is None or (self.record is not None and self.record.node in [r.node for r in recordsOf(self.ct)]):
            return
        records = recordsOf(self.ct)
        node = records[-1].node if records else None
        if node is not self.parameters.record:
            self.parameters.record = node
        self._pending.add(Topic.RECORD)
