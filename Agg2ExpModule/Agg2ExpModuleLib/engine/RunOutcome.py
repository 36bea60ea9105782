"""How a run ended, in words for the user."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

DONE, ERROR, CANCELLED = "done", "error", "cancelled"
_MISSING_MODULE = ("ModuleNotFoundError", "ImportError", "No module named")
_SHOWN_LINES = 3
# Slicer's launcher says this on stderr when the process behind it crashes, and ends with status 1.
_LAUNCHER_SAYS = "exit abnormally"
_SIGKILL, _SIGSEGV = 9, 11


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
    """

    state: str
    result: str | None = None
    code: str = ""
    message: str = ""
    hint: str = ""


def outcomeOfEvent(event: Mapping[str, Any]) -> RunOutcome | None:
    """What a last event says; None for any other event."""
    kind = event["event"]
    if kind == DONE:
        return RunOutcome(DONE, result=str(event.get("result", "")))
    if kind == CANCELLED:
        return RunOutcome(CANCELLED)
    if kind != ERROR:
        return None
    message = str(event.get("template") or event.get("message", ""))
    hint = str(event.get("hint_template") or event.get("hint", ""))
    if message.startswith(_MISSING_MODULE):
        return _missingPackage(message)
    return RunOutcome(ERROR, code=str(event.get("code", "internal")), message=message, hint=hint)


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
    said = " ".join(lastLines[-_SHOWN_LINES:])
    if _endedBySignal(exitCode, crashed, _SIGKILL):
        return RunOutcome(
            ERROR,
            code="killed",
            message=_withLines(_("The computation was killed by the system or by another program."), said),
            hint=_("Often the memory was full: close other programs or explain fewer labels at a time, then start again."),
        )
    if crashed or exitCode < 0 or _endedBySignal(exitCode, crashed, _SIGSEGV) or _LAUNCHER_SAYS in said:
        return RunOutcome(
            ERROR,
            code="crashed",
            message=_withLines(_("The computation crashed (code {code}).").format(code=exitCode), said),
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


def _endedBySignal(exitCode: int, crashed: bool, number: int) -> bool:
    """Whether a signal ended the process, or the process behind a launcher (which passes it on as 128 + signal)."""
    return os.name == "posix" and ((crashed and exitCode == number) or exitCode in (128 + number, -number))
