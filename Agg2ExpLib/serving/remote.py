"""Does requests on another computer: what is read goes there, what is written comes back, and nothing of it stays there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from ..counterfactuals.job import CounterfactualJob
from ..errors import Cancelled, InputError, ToldError
from ..monitor import Monitor
from ..runs.job import Job
from ..runs.runner import EventMonitor
from ..version import __version__
from .channel import Channel, Lost
from .entries import check_entries
from .other_side import ASKED, CT, OtherSide
from .passing_on import Sending
from .ssh import check_host, refusal, ssh_command
from .work_there import counterfactual_there, plain, question_there, run_there

_PASSED_ON = ("models", "prepare", "forget")
_DOES = ("run", "counterfactual", "load", "what_if", "causal", *_PASSED_ON)


def channel_by_ssh(host: str, command: str = "") -> Channel:
    """A channel to a server that ssh starts on a host.

    Raises:
        InputError: no such host can be, or there is no ssh here.
    """
    host = check_host(host)
    return Channel(ssh_command(host, command), lambda status, said: refusal(host, status, said), host)


class Remote:
    """Does requests through a channel, which is opened when it is first needed and again when it was lost.

    Args:
        host: name of the other computer, for sentences.
        connect: opens a channel.

    Attributes:
        side: the other computer while there is a channel to it, else None.
    """

    requests = sorted(_DOES)
    grace_s = 1.9

    def __init__(self, host: str, connect: Callable[[], Channel]):
        self.host, self._connect = host, connect
        self.side: OtherSide | None = None
        self._told_version = False

    @property
    def holds(self) -> bool:
        """Nothing is kept here."""
        return False

    def answer(self, request: Mapping[str, Any], monitor: Monitor) -> dict[str, object]:
        """Do what a request asks, see :data:`~.entries.ENTRIES`; paths are those of this computer.

        Weights are sent unless they are a name that is known there, or a path there that is written ``host:/path``.

        Raises:
            InputError: the request, something in it, or the other computer does not do.
            ToldError: the other computer is gone, or what it says.
            Cancelled: the monitor asked to stop; nothing was written.
        """
        what, entries = check_entries(request)
        if what not in _DOES:
            raise InputError(f"Unknown request {what!r}: use {', '.join(_DOES)}.")
        if what == "forget" and (self.side is None or not self.side.is_open):
            return {}
        try:
            return self._answer(what, entries, monitor)
        except InputError as error:
            folder = self.side.known_folder if self.side is not None else ""
            if folder and folder in error.template:  # where it lies there tells nobody anything
                raise InputError(error.template.replace(f"{folder}/", "")) from None
            raise
        except Lost:
            gone, self.side = self.side, None
            status = gone.channel.status() if gone is not None else None
            if gone is not None:
                gone.channel.close()
            if monitor.stopped:
                raise Cancelled from None
            raise _lost(self.host, status) from None

    def _answer(self, what: str, entries: dict[str, Any], monitor: Monitor) -> dict[str, object]:
        if what == "run":
            job = Job.from_json(entries.get("job"))
            return run_there(job, self.ready(monitor), monitor)
        if what == "counterfactual":
            wanted = CounterfactualJob.from_json(entries.get("job"))
            return counterfactual_there(wanted, self.ready(monitor), monitor)
        side = self.ready(monitor)
        if what == "load":
            weights, card = side.put_model(str(entries.get("weights") or ""), Sending(monitor), card=entries.get("card"))
            return plain(side.channel.ask({"do": what, **entries, "weights": weights, "card": card}, monitor))
        if what in _PASSED_ON:
            if what == "forget":
                side.drop(CT, ASKED)
            return plain(side.channel.ask({"do": what}, monitor))
        return question_there(what, entries, side, monitor)

    def take(self, request: Mapping[str, Any], source: BinaryIO, monitor: EventMonitor) -> dict[str, object] | None:
        """Nobody sends files here."""
        raise InputError("Files are read where they lie: give their paths.")

    def rest(self) -> None:
        """Nothing is kept here."""

    def release(self) -> None:
        """Nothing is kept here."""

    def close(self, hard: bool = False) -> None:
        """Let go of the other computer, which deletes what it was sent."""
        side, self.side = self.side, None
        if side is not None:
            side.channel.close() if hard else side.channel.end()

    def ready(self, monitor: Monitor) -> OtherSide:
        """The other computer, with a channel to it that is open.

        Raises:
            InputError: nobody answers there.
            Cancelled: the monitor asked to stop.
        """
        if self.side is not None:
            if self.side.is_open:
                return self.side
            self.side.channel.close()
        channel = self._connect()
        self.side = OtherSide(self.host, channel)
        channel.begin(monitor)
        if channel.version != __version__ and not self._told_version:
            self._told_version = True
            monitor.notice(f"{self.host} computes with Agg2Exp {channel.version}, here is {__version__}.")
        return self.side


def _lost(host: str, status: int | None) -> ToldError:
    """Why the other side is gone."""
    if status in (137, -9):
        message = f"The computation on {host} was ended by the system (signal 9), most often for lack of memory."
        return ToldError("killed", message, "Close other programs there or explain fewer labels at a time, then start again.")
    if status in (None, 0, 255) or status < 0:
        message = f"The connection to {host} was lost, or the computation there was ended by its system; nothing of it was kept."
        return ToldError("connection_lost", message, "Check the network, and the memory that is free there, then start again.")
    return ToldError("crashed", f"The computation on {host} ended without a result (exit status {status}).", "See the log.")


def remote_by_ssh(host: str, command: str = "") -> Remote:
    """Does requests on a host that ssh reaches.

    Raises:
        InputError: see :func:`~.ssh.check_host`.
    """
    return Remote(check_host(host), lambda: channel_by_ssh(host, command))


def asked_by_ssh(host: str, command: str, request: Mapping[str, Any], monitor: Monitor) -> dict[str, object]:
    """One request on a host that ssh reaches.

    Raises:
        Exception: see :meth:`Remote.answer`.
    """
    remote = remote_by_ssh(host, command)
    try:
        return remote.answer(request, monitor)
    finally:
        remote.close()
