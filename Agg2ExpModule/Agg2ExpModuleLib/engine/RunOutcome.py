"""How a run ended, in words for the user."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slicer.i18n import tr as _

DONE, ERROR, CANCELLED = "done", "error", "cancelled"
_MISSING_MODULE = ("ModuleNotFoundError", "ImportError", "No module named")
_SHOWN_LINES = 3
# Slicer's launcher says this on stderr when the process behind it is ended by a signal, and ends itself with status 1.
_LAUNCHER_SAYS = re.compile(r"error: \[.*\] exit abnormally")
# Python's fault handler, which our children have, says this on any signal but the one that no process can handle.
_FAULT = "Fatal Python error: "
_SIGKILL = 9


@dataclass(frozen=True)
class RunOutcome:
    """The end of a run.

    Attributes:
        state: ``done``, ``error`` or ``cancelled``.
        result: results folder of a run that is done.
        code: of an error: ``bad_input``, ``out_of_memory``, ``internal`` (from the run itself), ``missing_package``, ``crashed``,
            ``killed``, ``no_outcome``, ``start_failed``.
        message: what went wrong, for the user.
        hint: what to do next.
        content: the last event as it was written; empty where there was none.
        exitedWell: whether a process that tells no events (pip) ended with status 0.
    """

    state: str
    result: str | None = None
    code: str = ""
    message: str = ""
    hint: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    exitedWell: bool = False


def outcomeOfEvent(event: Mapping[str, Any]) -> RunOutcome | None:
    """What a last event says; None for any other event."""
    kind = event["event"]
    if kind == DONE:
        return RunOutcome(DONE, result=str(event.get("result", "")), content=event)
    if kind == CANCELLED:
        return RunOutcome(CANCELLED)
    if kind != ERROR:
        return None
    message = str(event.get("template") or event.get("message", ""))
    hint = str(event.get("hint_template") or event.get("hint", ""))
    if message.startswith(_MISSING_MODULE):
        return _missingPackage(message)
    return RunOutcome(ERROR, code=str(event.get("code", "internal")), message=message, hint=hint, content=event)


def outcomeOfFailedStart(reason: str) -> RunOutcome:
    """No process came to be."""
    return RunOutcome(
        ERROR,
        code="start_failed",
        message=_("The computation could not be started: {reason}").format(reason=reason),
        hint=_("Check that Slicer is installed completely and that the disk is not full, then try again."),
    )


def outcomeOfSilentEnd(exitCode: int, crashed: bool, lastLines: Sequence[str]) -> RunOutcome:
    """The process ended without a last event; ``lastLines`` are the end of its stderr."""
    for line in reversed(lastLines):
        if line.startswith(_MISSING_MODULE) or "No module named" in line:
            return _missingPackage(line)
    own = [line for line in lastLines if not _LAUNCHER_SAYS.search(line)]
    said, number = " ".join(own[-_SHOWN_LINES:]), _signalOf(exitCode, crashed, lastLines)
    fault = next((line.removeprefix(_FAULT) for line in own if line.startswith(_FAULT)), "")
    if number == _SIGKILL:
        return RunOutcome(
            ERROR,
            code="killed",
            message=_("The computation was ended by the system (signal 9), most often for lack of memory."),
            hint=_("Close other programs or explain fewer labels at a time, then start again."),
        )
    if number or crashed or fault or exitCode < 0:
        if fault:
            reason = fault
        elif number:
            reason = _("signal {number}, {name}").format(number=number, name=_signalName(number))
        else:
            reason = _("code {code}").format(code=exitCode)
        return RunOutcome(
            ERROR,
            code="crashed",
            message=_withLines(_("The computation crashed ({reason}).").format(reason=reason), "" if fault else said),
            hint=_(
                "Perhaps the memory was full: close other programs or explain fewer labels at a time. If it happens again, choose "
                "the CPU as device and report the log."
            ),
        )
    return RunOutcome(
        ERROR,
        code="no_outcome",
        message=_withLines(_("The computation ended without a result (exit status {code}).").format(code=exitCode), said),
        hint=_("See the log; if that does not help, start again and report the log."),
        exitedWell=exitCode == 0,
    )


def _missingPackage(line: str) -> RunOutcome:
    if "Agg2ExpLib" in line:
        hint = _("The extension is not installed completely: install it again and restart Slicer.")
    else:
        hint = _('Click "Install requirements" and start again.')
    return RunOutcome(
        ERROR, code="missing_package", message=_("A Python package is missing or broken: {line}").format(line=line), hint=hint
    )


def _withLines(message: str, lines: str) -> str:
    return _("{message} Its last words: {lines}").format(message=message, lines=lines) if lines else message


def _signalOf(exitCode: int, crashed: bool, lines: Sequence[str]) -> int:
    """The signal that ended the process, or the one behind a launcher; 0 for none, or where the system has no signals."""
    if os.name != "posix":
        return 0
    if crashed and exitCode > 0:
        return exitCode
    if exitCode < 0:
        return -exitCode
    if 128 < exitCode < 128 + 65:  # as shells pass it on
        return exitCode - 128
    if any(_LAUNCHER_SAYS.search(line) for line in lines) and not any(line.startswith(_FAULT) for line in lines):
        return _SIGKILL
    return 0


def _signalName(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "?"
