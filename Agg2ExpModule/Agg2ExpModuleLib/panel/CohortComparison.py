"""The comparison of the results shown with the chosen cohort: made anew when either changes, by a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from ..engine.EventReader import LineReader
from .ComparisonModel import ComparisonModel
from .ImportanceModel import ImportanceModel
from .PanelState import COMPARISON, COMPARISON_PROGRESS, MISSING, RECORD, SCENE, PanelState

if TYPE_CHECKING:
    from Agg2ExpLib.cohorts.compare import Comparison

    from ..engine.EngineProcess import EngineProcess

_PATIENCE_MS = 300  # a path that is being typed changes with every letter
_FAREWELL_MS = 1000
_LONGEST_ANSWER = 1 << 26  # bytes; a hundred labels of a hundred regions take two million


class CohortComparison:
    """Holds the comparison; sections ask it, and are told ``comparison`` when it has changed.

    Args:
        state: of the panel.
        processFactory: makes the process that compares.

    Attributes:
        result: of the results shown, None while there is none; complete when :attr:`running` is False.
        model: the same in words and boxes.
        message: what is going on, or why there is no result; empty where all is said by the result.
        failed: whether ``message`` tells of a problem.
    """

    def __init__(self, state: PanelState, processFactory: Any):
        self.state = state
        self.result: Comparison | None = None
        self.model: ComparisonModel | None = None
        self.message, self.failed = "", False
        self._processFactory = processFactory
        self._process: EngineProcess | None = None
        self._kept: EngineProcess | None = None  # Qt does not bear that a process is destroyed while it calls back
        self._reader = LineReader(_LONGEST_ANSWER)
        self._errors = b""
        self._waiting = self._ended = False
        self._key: tuple[str, ...] | None = None
        self._timer = qt.QTimer(state.root)
        self._timer.timeout.connect(self._launch)

    @property
    def running(self) -> bool:
        """Whether it is being compared."""
        return self._process is not None or self._waiting

    def refresh(self, changed: set[str]) -> None:
        if MISSING in changed and self.result is not None and self.result.missing not in ("", *self.state.missing):
            self.again()  # it has been installed
        elif changed & {RECORD, SCENE, "record", "inputVolume", "cohortReference"}:
            self._update()

    def again(self) -> None:
        """Compare anew, since the reference may have changed."""
        self._key = None
        self._update()

    def stop(self) -> None:
        """End what goes on; its result will not come."""
        self._timer.stop()
        self._waiting = False
        process, self._process = self._process, None
        if process is not None:
            process.onEnded = process.onOutput = process.onErrorOutput = process.onStartFailed = lambda *_unused: None
            process.kill()
            process.waitForEnded(_FAREWELL_MS)

    def _update(self) -> None:
        key = self._wanted()
        if key is not None and key == self._key:
            return
        had = self._key is not None or self.result is not None or bool(self.message)
        self.stop()
        self._key, self.result, self.model, self.message, self.failed = key, None, None, "", False
        if key is not None:
            if Path(key[0]).exists():
                self.message = _("Comparing …")
                self._waiting = True
                self._timer.start(_PATIENCE_MS)
            else:
                self.message, self.failed = _("There is no file or folder {path}: check the path.").format(path=key[0]), True
        if had or key is not None:
            self.state.tell({COMPARISON})

    def _wanted(self) -> tuple[str, ...] | None:
        """What decides the comparison: the reference and the results; None where one is lacking."""
        parameters, record = self.state.parameters, self.state.record
        reference = parameters.cohortReference.strip() if parameters is not None else ""
        if not reference or record is None or not record.node.GetParameter("matrix"):
            return None
        return reference, record.identifier, record.node.GetParameter("matrix"), record.node.GetParameter("run")

    def _launch(self) -> None:
        from ..engine.EngineEnvironment import engineEnvironment, findPython, libraryFolder

        self._timer.stop()
        self._waiting = False
        record, program, library = self.state.record, findPython(), libraryFolder()
        if self._key is None or record is None:
            return
        if program is None or library is None:
            self._fail(_("{name} was not found.").format(name="PythonSlicer" if program is None else "Agg2ExpLib"))
            return
        job = {
            "reference": self._key[0],
            "table": json.loads(self._key[2]),
            "labels": [label.name for label in record.labels],
            "run": record.run,
        }
        self._reader, self._errors, self._ended = LineReader(_LONGEST_ANSWER), b"", False
        self._process = self._kept = process = self._processFactory()
        process.onOutput = self._onOutput
        process.onErrorOutput = self._onErrorOutput
        process.onEnded = self._onEnded
        process.onStartFailed = self._onStartFailed
        process.start(program, ["-m", "Agg2ExpLib.cohorts.compare_job"], library, engineEnvironment(library))
        process.write(json.dumps(job).encode("ascii") + b"\n")

    # What comes back

    def _onOutput(self, data: bytes) -> None:
        for line in self._reader.feed(data):
            try:
                self._onAnswer(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                self._fail(_("The comparison gave no proper answer ({reason}).").format(reason=error))

    def _onAnswer(self, answer: dict[str, Any]) -> None:
        from Agg2ExpLib.cohorts.compare import Comparison

        if "error" in answer:
            self._ended = True
            self._fail(str(answer["error"]))
        elif "progress" in answer:
            done, count = answer["progress"]
            self.message = _("Comparing … {done} of {count} labels").format(done=done, count=count)
            self.state.tell({COMPARISON_PROGRESS})
        elif "comparison" in answer:
            record = self.state.record
            matrix = record.matrix if record is not None else None
            if record is None or matrix is None:
                return
            self.result = Comparison.from_json(answer["comparison"])
            self.model = ComparisonModel(self.result, ImportanceModel(matrix, record.labels, record.positions))
            if answer["done"]:
                self._ended = True
                self.message = ""
            self.state.tell({COMPARISON})

    def _onStartFailed(self, reason: str) -> None:
        self._fail(_("The comparison cannot be started ({reason}).").format(reason=reason))

    def _onErrorOutput(self, data: bytes) -> None:
        self._errors = (self._errors + data)[-4000:]

    def _onEnded(self, _exitCode: int, _crashed: bool) -> None:
        self._process = None
        if not self._ended:
            lines = self._errors.decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1] if lines else _("no reason was told")
            self._fail(_("The comparison ended without a result ({reason}).").format(reason=reason))
        else:
            self.state.tell({COMPARISON_PROGRESS})

    def _fail(self, message: str) -> None:
        if self._process is not None and not self._process.running:
            self._process = None
        self.result = self.model = None
        self.message, self.failed, self._ended = message, True, True
        self.state.tell({COMPARISON})
