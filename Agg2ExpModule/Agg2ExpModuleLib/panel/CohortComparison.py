"""The comparison of the results shown with the chosen cohort: made anew when either changes, by a process of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from ..engine.Child import Child
from ..engine.RunOutcome import DONE, ERROR
from ..words.OptionWords import inPanelWords
from .ComparisonModel import ComparisonModel
from .ImportanceModel import ImportanceModel
from .PanelState import Changes, PanelState, Topic

if TYPE_CHECKING:
    from Agg2ExpLib.cohorts.compare import Comparison

    from ..engine.RunOutcome import RunOutcome

_PATIENCE_MS = 300  # a path that is being typed changes with every letter


class CohortComparison:
    """Holds the comparison; sections ask it, and are told ``Topic.COMPARISON`` when it has changed.

    Args:
        state: of the panel.
        child: runs the process that compares.

    Attributes:
        result: of the results shown, None while there is none; complete when :attr:`running` is False.
        model: the same in words and boxes.
        message: what is going on, or why there is no result; empty where all is said by the result.
        failed: whether ``message`` tells of a problem.
        fraction: progress in 0..1, None where it is not known.
    """

    def __init__(self, state: PanelState, child: Child):
        self.state, self.child = state, child
        self.result: Comparison | None = None
        self.model: ComparisonModel | None = None
        self.message, self.failed = "", False
        self.fraction: float | None = None
        self._waiting = False
        self._key: tuple[str, ...] | None = None
        self._timer = qt.QTimer(state.root)
        self._timer.timeout.connect(self._launch)
        child.onEvent.append(self._onEvent)
        child.onFinished.append(self._onFinished)

    @property
    def running(self) -> bool:
        """Whether it is being compared."""
        return self.child.running or self._waiting

    def refresh(self, changed: Changes) -> None:
        if Topic.MISSING in changed and self.result is not None and self.result.missing not in ("", *self.state.missing):
            self.again()  # it has been installed
        elif changed & {Topic.RECORD, Topic.SCENE, "record", "inputVolume", "cohortReference"}:
            self._update()

    def again(self) -> None:
        """Compare anew, since the reference may have changed."""
        self._key = None
        self._update()

    def cancel(self) -> None:
        """The user stops it; what is known so far stays."""
        self.stop()
        self.message = "" if self.model is not None else _("The comparison was stopped: click “Compare again” to start it anew.")
        self.state.tell({Topic.COMPARISON})

    def stop(self, milliseconds: int = 0) -> None:
        """End what goes on, and wait at most so long for it; its result will not come."""
        self._timer.stop()
        self._waiting = False
        self.child.forget(milliseconds)

    def _update(self) -> None:
        key = self._wanted()
        if key is not None and key == self._key:
            return
        had = self._key is not None or self.result is not None or bool(self.message)
        self.stop()
        self._key, self.result, self.model, self.message, self.failed, self.fraction = key, None, None, "", False, None
        if key is not None:
            if Path(key[0]).exists():
                self.message = _("Comparing …")
                self._waiting = True
                self._timer.start(_PATIENCE_MS)
            else:
                self.message, self.failed = _("There is no file or folder {path}: check the path.").format(path=key[0]), True
        if had or key is not None:
            self.state.tell({Topic.COMPARISON})

    def _wanted(self) -> tuple[str, ...] | None:
        """What decides the comparison: the reference and the results; None where one is lacking."""
        parameters, record = self.state.parameters, self.state.record
        reference = parameters.cohortReference.strip() if parameters is not None else ""
        if not reference or record is None or not record.node.GetParameter("matrix"):
            return None
        return reference, record.identifier, record.node.GetParameter("matrix"), record.node.GetParameter("run")

    def _launch(self) -> None:
        self._timer.stop()
        self._waiting = False
        record = self.state.record
        if self._key is None or record is None:
            return
        job = {
            "reference": self._key[0],
            "table": json.loads(self._key[2]),
            "labels": [label.name for label in record.labels],
            "run": record.run,
        }
        self.child.start(["-m", "Agg2ExpLib.cohorts.compare_job"], stdin=json.dumps(job).encode("ascii") + b"\n")

    # What comes back

    def _onEvent(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "progress":
            done, count = event["done"], event["of"]
            self.message = _("Comparing … {done} of {count} labels").format(done=done, count=count)
            self.fraction = done / max(1, count)
            self.state.tell({Topic.COMPARISON_PROGRESS})
        elif event["event"] == "comparison":
            self._take(event)

    def _onFinished(self, outcome: RunOutcome) -> None:
        self.fraction = None
        if outcome.state == DONE:
            self.message = ""
            self._take(outcome.content)
        elif outcome.state == ERROR:
            self.result = self.model = None
            ended = _("The comparison ended without a result. {reason}").format(reason=outcome.message)
            told = outcome.code in ("bad_input", "start_failed")
            self.message, self.failed = inPanelWords(outcome.message) if told else ended, True
            self.state.tell({Topic.COMPARISON})

    def _take(self, event: Mapping[str, Any]) -> None:
        from Agg2ExpLib.cohorts.compare import Comparison

        record = self.state.record
        matrix = record.matrix if record is not None else None
        if record is None or matrix is None:
            return
        self.result = Comparison.from_json(event["comparison"])
        self.model = ComparisonModel(self.result, ImportanceModel(matrix, (*record.labels, *record.classes), record.positions))
        self.state.tell({Topic.COMPARISON})
