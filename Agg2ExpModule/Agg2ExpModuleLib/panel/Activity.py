"""What the panel does at the moment: one long thing at a time, with its progress, its end, and the way to stop it."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError

from ..engine.RunOutcome import DONE, ERROR
from ..engine.WorkFolder import WorkFolder
from ..words.OptionWords import inPanelWords
from .PanelState import PanelState, Topic
from .Steps import Steps

if TYPE_CHECKING:
    from ..engine.Child import Child
    from ..engine.RunOutcome import RunOutcome


class Phase(enum.Enum):
    """Where a long thing is."""

    IDLE = "idle"
    PREPARING = "preparing"
    SEGMENTING = "segmenting"
    EXPLAINING = "explaining"
    LOADING = "loading"
    WORKING = "working"
    CANCELLING = "cancelling"


class Ending(enum.Enum):
    """How a long thing ended."""

    WELL = "well"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Activity:
    """One long thing at a time.

    Args:
        state: of the panel.

    Attributes:
        phase: where it is.
        task: what it is (``segment``, ``explain``, ``export``, ``install``, …) while not idle.
        message, hint: what is going on, or how it ended.
        failed: whether ``message`` tells of a problem.
        fraction: progress in 0..1, None where it is not known.
        ending: how the last one ended.
        folder: for files of what goes on; goes with its end.
        onFinished: are given whether all went well, when everything is done and shown.
        onLog: are given lines for the log.
    """

    def __init__(self, state: PanelState):
        self.state = state
        self.phase, self.task = Phase.IDLE, ""
        self.message, self.hint, self.failed = "", "", False
        self.fraction: float | None = None
        self.ending = Ending.WELL
        self.onFinished: list[Callable[[bool], None]] = []
        self.onLog: list[Callable[[str], None]] = []
        self.folder: WorkFolder | None = None
        self._cancel: Callable[[], None] | None = None
        self._steps = Steps(state.root)
        self._steps.onProgress = self._onStep
        state.isBusy = lambda: self.busy

    @property
    def busy(self) -> bool:
        """Whether something goes on."""
        return self.phase is not Phase.IDLE

    @property
    def cancellable(self) -> bool:
        """Whether what goes on can be stopped now."""
        return self.busy and self.phase is not Phase.CANCELLING

    # What others do here

    def begin(self, task: str, message: str, onCancel: Callable[[], None], phase: Phase = Phase.WORKING) -> bool:
        """Take the panel for a long thing; it ends with :meth:`end`. False when something goes on already.

        Args:
            task: what it is.
            message: shown at first.
            onCancel: called when the user stops it; :meth:`end` must follow, soon or later.
            phase: where it starts.
        """
        if self.busy:
            return False
        self.task, self._cancel = task, onCancel
        self.enter(phase, message)
        return True

    def enter(self, phase: Phase, message: str, fraction: float | None = None) -> None:
        """Go on to another phase."""
        self.phase, self.message, self.hint, self.failed, self.fraction = phase, message, "", False, fraction
        self.state.tell({Topic.BUSY})

    def progress(self, message: str, fraction: float | None = None) -> None:
        """Tell what is being done, and how far it is; ignored while it is being stopped."""
        if self.cancellable and (message, fraction) != (self.message, self.fraction):
            self.message, self.fraction = message, fraction
            self.state.tell({Topic.BUSY})

    def end(self, ending: Ending, message: str, hint: str = "", alarming: bool | None = None) -> None:
        """It is over.

        Args:
            ending: how.
            message: what to tell.
            hint: what to do next.
            alarming: whether the message tells of a problem; by default where it failed.
        """
        self.phase, self.task, self.fraction, self.ending, self._cancel = Phase.IDLE, "", None, ending, None
        if self.folder is not None:
            self.folder.remove()
            self.folder = None
        self._say(message, ending is Ending.FAILED if alarming is None else alarming, hint)
        for callback in list(self.onFinished):
            callback(ending is Ending.WELL)

    def cancel(self, reason: str = "") -> None:
        """Stop what goes on."""
        if not self.cancellable:
            return
        if self._steps.running:
            self._steps.stop()
            self.end(Ending.CANCELLED, reason or _("Cancelled."), alarming=bool(reason))
        elif self._cancel is not None:
            self.enter(Phase.CANCELLING, _("Stopping …"))
            self._cancel()

    def work(
        self,
        steps: Iterator[str],
        message: str,
        onDone: Callable[[], str],
        onFailed: Callable[[], None] | None = None,
        task: str = "work",
    ) -> bool:
        """Do work piece by piece.

        Args:
            steps: the work; yields what is being done.
            message: shown at first.
            onDone: called at the end; returns the closing message.
            onFailed: called when it failed.
            task: what it is.

        Returns:
            False when something goes on already.
        """

        def failed(error: Exception) -> None:
            if onFailed:
                onFailed()
            self.endBadly(error)

        if not self.begin(task, message, lambda: None, Phase.LOADING):
            return False
        self._steps.start(steps, lambda: self.end(Ending.WELL, onDone()), failed)
        return True

    def workInChild(
        self,
        task: str,
        message: str,
        steps: Iterator[str],
        child: Child,
        arguments: Callable[[], Sequence[str]],
        onDone: Callable[[RunOutcome], str],
        loading: Callable[[RunOutcome], Iterator[str]] | None = None,
    ) -> bool:
        """Prepare something piece by piece, then have a child process do the rest.

        Args:
            task: what it is.
            message: shown at first.
            steps: the preparation.
            child: does it; its ``progress`` events give the fraction, its notices go to the log.
            arguments: of Python, asked for when all is prepared.
            onDone: called with the outcome of a child that is done; returns the closing message.
            loading: what is done piece by piece before that.

        Returns:
            False when something goes on already.

        Raises:
            OSError: no temporary folder can be made.
        """

        def heard(event: dict[str, object]) -> None:
            if event["event"] == "progress":
                self.progress(message, float(str(event.get("fraction", 0.0))))
            elif event["event"] == "notice":
                self.log(inPanelWords(str(event.get("template") or event.get("message", ""))))

        def finished(outcome: RunOutcome) -> None:
            child.onEvent.remove(heard)
            child.onLog.remove(self.log)
            child.onFinished.remove(finished)
            if not self.busy:  # the panel has been shut down
                return
            if outcome.state == DONE and loading is not None:
                self.enter(Phase.LOADING, _("Loading …"), 1.0)
                self._steps.start(loading(outcome), lambda: self.end(Ending.WELL, onDone(outcome)), self.endBadly)
            elif outcome.state == DONE:
                self.end(Ending.WELL, onDone(outcome))
            elif outcome.state == ERROR:
                self.end(Ending.FAILED, inPanelWords(outcome.message), inPanelWords(outcome.hint))
            else:
                self.end(Ending.CANCELLED, _("Cancelled."))

        def launch() -> None:
            self.enter(Phase.WORKING, message, 0.0)
            child.onEvent.append(heard)
            child.onLog.append(self.log)
            child.onFinished.append(finished)
            child.start(arguments())

        if self.busy:
            return False
        self.folder = WorkFolder()
        self.begin(task, message, child.stop, Phase.PREPARING)
        self._steps.start(steps, launch, self.endBadly)
        return True

    def goOn(self, steps: Iterator[str], onDone: Callable[[], None]) -> None:
        """Do a part of what goes on piece by piece; a failure ends it all.

        Args:
            steps: the work; yields what is being done.
            onDone: called at the end.
        """
        self._steps.start(steps, onDone, self.endBadly)

    def say(self, message: str, failed: bool = False, hint: str = "") -> None:
        """Show a message; ignored while something goes on."""
        if not self.busy:
            self._say(message, failed, hint)

    def dismiss(self) -> None:
        """Take the last message away."""
        self.say("")

    def log(self, line: str) -> None:
        """Add a line to the log."""
        for callback in list(self.onLog):
            callback(line)

    def endBadly(self, error: Exception) -> None:
        """End with what an error means to the user."""
        self.end(Ending.FAILED, *_wordsOf(error))

    def _onStep(self, message: str) -> None:
        if message != self.message:
            self.message = message
            self.state.tell({Topic.BUSY})

    def _say(self, message: str, failed: bool = False, hint: str = "") -> None:
        self.message, self.failed, self.hint = message, failed, hint
        if message:
            self.log(message)
        self.state.tell({Topic.BUSY, Topic.RECORD} if not self.busy else {Topic.BUSY})


def _wordsOf(error: Exception) -> tuple[str, str]:
    """What happened, and what to do next."""
    if isinstance(error, InputError):
        return inPanelWords(error.template), ""
    if isinstance(error, ImportError):
        missing = error.name or str(error)
        return _("This needs the package {name}.").format(name=missing), _("Install the requirements (Input).")
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        message = _("A file cannot be read or written ({reason}).").format(reason=reason)
        return message, _("Make room, or choose another folder.")
    if isinstance(error, MemoryError):
        return _("The memory is full."), _("Close other data, or explain fewer labels at a time.")
    logging.exception("Agg2Exp", exc_info=error)
    return f"{type(error).__name__}: {error}", _("This is a fault of Agg2Exp: please report it with the log.")
