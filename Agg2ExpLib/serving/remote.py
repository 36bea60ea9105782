"""Does requests on another computer: what is read goes there, what is written comes back, and nothing of it stays there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ..errors import Cancelled, InputError, ToldError
from ..interventions.outcome import FOLDER as WHAT_IF
from ..io.regions import parse_region
from ..io.source_files import files_in, files_of
from ..monitor import Monitor
from ..runs.job import Job
from ..runs.kept import stamp
from ..runs.results import (
    CT_FILE,
    EXTRA_ROIS,
    GLOBAL_MASK_FILE,
    RUN_FILE,
    SEGMENTATION_FILE,
    TARGET_MASK_FILE,
    TIDY_FILE,
    Results,
)
from ..runs.runner import EventMonitor
from ..system.files import OutputFolder
from ..version import __version__
from .channel import Channel, Lost
from .entries import check_entries
from .frames import fit_name
from .model_files import model_files
from .ssh import THERE, check_host, refusal, ssh_command

_PASSED_ON = ("models", "prepare", "forget")
_DOES = ("run", "load", "what_if", "causal", *_PASSED_ON)
# Where sending and fetching lie on the scale of the whole.
_SENT, _FETCHING = 0.05, 0.95
_ASKED = (RUN_FILE, CT_FILE, SEGMENTATION_FILE, TARGET_MASK_FILE, GLOBAL_MASK_FILE, TIDY_FILE)


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
    """

    requests = sorted(_DOES)
    grace_s = 1.9

    def __init__(self, host: str, connect: Callable[[], Channel]):
        self.host, self._connect = host, connect
        self._channel: Channel | None = None
        self._sent: dict[str, tuple[object, str]] = {}
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
            Cancelled: the monitor asked to stop; nothing was written.
        """
        what, entries = check_entries(request)
        if what not in _DOES:
            raise InputError(f"Unknown request {what!r}: use {', '.join(_DOES)}.")
        if what == "forget" and not self._is_open:
            return {}
        try:
            channel = self._ready(monitor)
            if what == "run":
                return self._run(Job.from_json(entries.get("job")), channel, monitor)
            if what == "load":
                return _plain(channel.ask({"do": what, **entries, **self._model(entries, channel, monitor)}, monitor))
            if what in _PASSED_ON:
                if what == "forget":
                    self._drop(channel, "ct", "asked")
                return _plain(channel.ask({"do": what}, monitor))
            return self._question(what, entries, channel, monitor)
        except InputError as error:
            _key, folder = self._sent.get("", (None, ""))
            if folder and folder in error.template:  # where it lies there tells nobody anything
                raise InputError(error.template.replace(f"{folder}/", "")) from None
            raise
        except Lost:
            gone, self._channel = self._channel, None
            status = gone.status() if gone is not None else None
            if gone is not None:
                gone.close()
            if monitor.stopped:
                raise Cancelled from None
            raise _lost(self.host, status) from None

    def take(self, request: Mapping[str, Any], source: BinaryIO, monitor: EventMonitor) -> dict[str, object] | None:
        """Nobody sends files here."""
        raise InputError("Files are read where they lie: give their paths.")

    def rest(self) -> None:
        """Nothing is kept here."""

    def release(self) -> None:
        """Nothing is kept here."""

    def close(self, hard: bool = False) -> None:
        """Let go of the other computer, which deletes what it was sent."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close() if hard else channel.end()

    @property
    def _is_open(self) -> bool:
        return self._channel is not None and self._channel.open and self._channel.alive

    def _ready(self, monitor: Monitor) -> Channel:
        if self._channel is not None and self._is_open:
            return self._channel
        if self._channel is not None:
            self._channel.close()
        self._sent.clear()
        self._channel = channel = self._connect()
        channel.begin(monitor)
        if channel.version != __version__ and not self._told_version:
            self._told_version = True
            monitor.notice(f"{self.host} computes with Agg2Exp {channel.version}, here is {__version__}.")
        return channel

    def _run(self, job: Job, channel: Channel, monitor: Monitor) -> dict[str, object]:
        output = OutputFolder(Path(job.output), job.overwrite)
        try:
            there = self._sent_job(job, channel, monitor)
            request = {"do": "run", "job": there.to_json(), "send": monitor.wants_partial}
            try:
                channel.ask(request, monitor, _passing_on(monitor), lambda name: output.temporary / name)
                fetched = self._fetch(channel, "out/result", output.temporary, monitor)
            finally:
                self._drop(channel, "out", "job")
            _remove_others(output.temporary, fetched)
            return {"result": str(output.publish())}
        except OSError as error:
            raise InputError(
                f"Cannot write the results to {output.final.parent} ({error.strerror or error}): make room or choose another "
                "⟨output⟩."
            ) from error
        finally:
            output.discard()

    def _sent_job(self, job: Job, channel: Channel, monitor: Monitor) -> Job:
        """The job with its files on the other computer."""
        told = _Told(monitor, "send", 0.0, _SENT)
        ct = self._send_ct(job.ct, channel, told)
        model = self._model({"weights": job.weights, "card": job.card}, channel, told)
        segmenter = self._model({"weights": job.segmenter}, channel, told, "segmenter")["weights"] if job.segmenter else None
        more = _Parcel()
        mask = more.add(Path(job.target_mask)) if job.target_mask else None
        regions = tuple(more.add_region(spec) for spec in job.extra_rois)
        job = job.with_files_of_method(lambda path: more.add(Path(path)))
        place = self._put("job", more.files, channel, told) if more.files else ""
        below = f"{place}/".join
        out = str(PurePosixPath(self._folder(channel)) / "out" / "result")
        return replace(
            job,
            ct=ct,
            weights=str(model["weights"]),
            card=model["card"],
            segmenter=segmenter,
            output=out,
            target_mask=below(("", mask)) if mask else None,
            extra_rois=tuple(below(("", spec)) for spec in regions),
            overwrite=True,
        ).with_files_of_method(lambda name: below(("", name)))

    def _question(self, what: str, entries: dict[str, Any], channel: Channel, monitor: Monitor) -> dict[str, object]:
        told = _Told(monitor, "send", 0.0, _SENT)
        result = Path(str(entries.get("result") or ""))
        Results.open(result)
        files = [(name, result / name) for name in _ASKED if (result / name).is_file()]
        files += [(f"{EXTRA_ROIS}/{file.name}", file) for file in sorted((result / EXTRA_ROIS).glob("*.nii.gz"))]
        key = tuple(stamp(file) for _name, file in files)
        there = self._keep("asked", key, lambda: self._put("asked", files, channel, told))
        question = {**entries, "do": what, "result": there, **self._model(entries, channel, told)}
        if entries.get("ct"):
            question["ct"] = self._send_ct(str(entries["ct"]), channel, told)
        more = _Parcel()
        regions = [more.add_region(str(spec)) for spec in entries.get("extra_rois") or ()]
        if regions:
            place = self._put("job", more.files, channel, told)
            question["extra_rois"] = [f"{place}/{spec}" for spec in regions]
        answer = channel.ask(question, monitor, _passing_on(monitor))
        name = PurePosixPath(str(answer["answer"]).replace("\\", "/")).name
        place_here = OutputFolder(result / WHAT_IF / fit_name(name), overwrite=True)
        try:
            self._fetch(channel, f"asked/{WHAT_IF}/{name}", place_here.temporary, monitor)
            self._drop(channel, f"asked/{WHAT_IF}", "job")
            return {**_plain(answer), "answer": str(place_here.publish())}
        except OSError as error:
            raise InputError(f"Cannot write to {result} ({error.strerror or error}): make room or copy the result.") from error
        finally:
            place_here.discard()

    def _model(self, entries: Mapping[str, Any], channel: Channel, monitor: Monitor, into: str = "model") -> dict[str, str | None]:
        """Weights and card as the other computer finds them."""
        weights, card = str(entries.get("weights") or ""), entries.get("card")
        sent: str | None = None
        if card:
            path = Path(str(card))
            sent = self._keep(f"{into}card", stamp(path), lambda: self._put(f"{into}card", [("card.json", path)], channel, monitor))
        found = {"card": f"{sent}/card.json" if sent else None}
        if weights.startswith(THERE):
            return {"weights": weights.removeprefix(THERE), **found}
        path = Path(weights)
        if not path.exists():
            if ":" in weights and "/" not in weights and "\\" not in weights:  # a name, such as totalsegmentator:total_part1
                return {"weights": weights, **found}
            raise InputError(f"{weights} does not exist here: check the path, or write {THERE}{weights} for one on {self.host}.")
        files, own = model_files(path)
        key = (weights, tuple(stamp(file) for _name, file in files))
        place = self._keep(into, key, lambda: self._put(into, files, channel, monitor))
        return {"weights": f"{place}/{own}", **found}

    def _send_ct(self, ct: str, channel: Channel, monitor: Monitor) -> str:
        """The CT's path on the other computer, where it is sent unless it is there already."""
        path = Path(ct)
        if path.is_dir():
            own = fit_name(path.resolve().name)
            files = [(f"{own}/{name}", file) for name, file in _named(path, files_in(path))]
        else:
            files = _named(path.parent, files_of(path))
            own = files[0][0]
        place = self._keep("ct", (ct, stamp(path)), lambda: self._put("ct", files, channel, monitor))
        return f"{place}/{own}"

    def _keep(self, what: str, key: object, send: Callable[[], str]) -> str:
        """Where something lies that was sent, which is not sent again while it is the same."""
        known = self._sent.get(what)
        if known is None or known[0] != key:
            self._sent.pop(what, None)
            self._sent[what] = known = (key, send())
        return known[1]

    def _put(self, into: str, files: Sequence[tuple[str, Path]], channel: Channel, monitor: Monitor) -> str:
        size = sum(file.stat().st_size for _name, file in files)

        def progress(share: float) -> None:
            monitor.progress("send", share, f"{size / 1e6:.0f} MB", None)

        return channel.put(into, files, monitor, progress)

    def _folder(self, channel: Channel) -> str:
        return self._keep("", "", lambda: str(channel.ask({"do": "open"}, Monitor())["folder"]))

    def _fetch(self, channel: Channel, folder: str, to: Path, monitor: Monitor) -> set[Path]:
        """Fetch every file of a folder there; returns where they are."""
        came: set[Path] = set()
        total, size = 1, 0

        def place(name: str) -> Path:
            return to / name

        def heard(event: Mapping[str, Any]) -> None:
            nonlocal total, size
            if event["event"] == "sending":
                total = max(1, int(event["bytes"]))
            elif event["event"] == "file":
                came.add(event["path"])
                size += int(event["bytes"])
                monitor.progress("fetch", _FETCHING + (1 - _FETCHING) * min(1.0, size / total), f"{total / 1e6:.0f} MB", None)

        channel.ask({"do": "fetch", "folder": folder}, monitor, heard, place)
        return came

    def _drop(self, channel: Channel, *folders: str) -> None:
        """Delete what is not needed there any more; where that cannot be said it goes with the server."""
        for folder in folders:
            self._sent.pop(folder, None)
            if channel.open:
                with contextlib.suppress(InputError, ToldError, Lost, Cancelled):
                    channel.ask({"do": "drop", "folder": folder}, Monitor())


class _Told(Monitor):
    """Passes a part of the whole on to a monitor; what is sent later never seems to go back."""

    def __init__(self, to: Monitor, stage: str, start: float, end: float):
        super().__init__()
        self._to, self._stage, self._start, self._end = to, stage, start, end
        self._reached = 0.0

    @property
    def stopped(self) -> bool:
        return self._to.stopped

    def check(self) -> None:
        self._to.check()

    def progress(self, stage: str, fraction: float, message: str = "", eta_s: float | None = None) -> None:
        self._reached = max(self._reached, fraction)
        self._to.progress(self._stage, self._start + (self._end - self._start) * self._reached, message, eta_s)


class _Parcel:
    """Files that go together, each in a folder of its own since two may have the same name."""

    def __init__(self) -> None:
        self.files: list[tuple[str, Path]] = []

    def add(self, path: Path) -> str:
        """Add a file with those that belong to it; returns its name in the parcel."""
        folder = str(len(self.files))
        if path.is_dir():
            self.files += [(f"{folder}/{name}", file) for name, file in _named(path, files_of(path))]
            return folder
        files = _named(path.parent, files_of(path))
        self.files += [(f"{folder}/{name}", file) for name, file in files]
        return f"{folder}/{files[0][0]}"

    def add_region(self, spec: str) -> str:
        """Add the file of a region; returns its spec with the name in the parcel."""
        parsed = parse_region(spec)
        least = f">={parsed.threshold:g}" if parsed.threshold is not None else ""
        names = f":{','.join(parsed.names)}" if parsed.names else ""
        return f"{self.add(parsed.path)}{least}{names}"


def _passing_on(monitor: Monitor) -> Callable[[Mapping[str, Any]], None]:
    """Tells a monitor what the other computer tells."""

    def heard(event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "progress":
            fraction = _SENT + (_FETCHING - _SENT) * float(event.get("fraction") or 0.0)
            eta = event.get("eta_s")
            monitor.progress(str(event.get("stage")), fraction, str(event.get("message") or ""), eta if eta is None else float(eta))
        elif kind == "notice":
            monitor.notice(str(event.get("template") or event.get("message") or ""))
        elif kind == "expected":
            monitor.expected(float(event.get("memory_bytes") or 0.0))
        elif kind == "file" and event.get("partial"):
            details = {key: event[key] for key in ("label", "samples", "of") if key in event}
            monitor.partial(str(event["partial"]), event["path"], **details)

    return heard


def _named(folder: Path, files: Sequence[Path]) -> list[tuple[str, Path]]:
    """Files with their names below a folder.

    Raises:
        InputError: one lies elsewhere, where the others would look for it in vain.
    """
    try:
        return [("/".join(fit_name(part) for part in file.relative_to(folder).parts), file) for file in files]
    except ValueError:
        raise InputError(f"{files[0].name} keeps its voxels in another folder: save it as one file to send it.") from None


def _lost(host: str, status: int | None) -> ToldError:
    """Why the other side is gone."""
    if status in (137, -9):
        message = f"The computation on {host} was ended by the system (signal 9), most often for lack of memory."
        return ToldError("killed", message, "Close other programs there or explain fewer labels at a time, then start again.")
    if status in (None, 0, 255) or status < 0:
        message = f"The connection to {host} was lost, or the computation there was ended by its system; nothing of it was kept."
        return ToldError("connection_lost", message, "Check the network, and the memory that is free there, then start again.")
    return ToldError("crashed", f"The computation on {host} ended without a result (exit status {status}).", "See the log.")


def _plain(event: Mapping[str, Any]) -> dict[str, object]:
    return {key: value for key, value in event.items() if key not in ("event", "id")}


def _remove_others(folder: Path, fetched: set[Path]) -> None:
    """Preliminary maps that are not among the results go."""
    for file in folder.rglob("*"):
        if file.is_file() and file not in fetched:
            file.unlink()


def remote_by_ssh(host: str, command: str = "") -> Remote:
    """Does requests on a host that ssh reaches.

    Raises:
        InputError: see :func:`~.ssh.check_host`.
    """
    return Remote(check_host(host), lambda: channel_by_ssh(host, command))
