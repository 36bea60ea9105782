"""What lies on the other computer while a channel to it is open: sent once, fetched, deleted there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import Cancelled, InputError, ToldError
from ..monitor import Monitor
from ..runs.kept import stamp
from .channel import Channel, Lost
from .model_files import model_files
from .parcel import ct_files
from .passing_on import FETCHING
from .ssh import THERE

CT, JOB, OUT, ASKED = "ct", "job", "out", "asked"


class OtherSide:
    """Knows what was sent through a channel, so that it goes there once.

    Args:
        host: name of the other computer, for sentences.
        channel: to it, which has begun.
    """

    def __init__(self, host: str, channel: Channel):
        self.host, self.channel = host, channel
        self._sent: dict[str, tuple[object, str]] = {}

    @property
    def is_open(self) -> bool:
        """Whether anything can be asked."""
        return self.channel.open and self.channel.alive

    @property
    def folder(self) -> str:
        """The private folder there."""
        return self.keep("", "", lambda: str(self.channel.ask({"do": "open"}, Monitor())["folder"]))

    @property
    def known_folder(self) -> str:
        """The same, empty where nobody has asked for it yet."""
        return self._sent.get("", (None, ""))[1]

    def keep(self, what: str, key: object, send: Callable[[], str]) -> str:
        """Where something lies that was sent, which is not sent again while it is the same."""
        known = self._sent.get(what)
        if known is None or known[0] != key:
            self._sent.pop(what, None)
            self._sent[what] = known = (key, send())
        return known[1]

    def put(self, into: str, files: Sequence[tuple[str, Path]], monitor: Monitor) -> str:
        """Send files as a folder, in place of an earlier one of that name; returns its path there."""
        size = sum(file.stat().st_size for _name, file in files if file.is_file())

        def progress(share: float) -> None:
            monitor.progress("send", share, f"{size / 1e6:.0f} MB", None)

        return self.channel.put(into, files, monitor, progress)

    def put_ct(self, ct: str, monitor: Monitor) -> str:
        """The CT's path there, where it is sent unless it is there already."""
        files, own = ct_files(Path(ct))
        place = self.keep(CT, (ct, stamp(ct)), lambda: self.put(CT, files, monitor))
        return f"{place}/{own}"

    def put_model(self, weights: str, monitor: Monitor, into: str = "model", card: str | None = None) -> tuple[str, str | None]:
        """Weights and card as the other computer finds them, sent unless they are there already.

        Raises:
            InputError: they are neither here, nor named as they lie there.
        """
        if not weights:  # an empty path would be the working folder, whose files are nobody's business there
            raise InputError("The request lacks 'weights'.")
        placed: str | None = None
        if card:
            file, name = Path(card), f"{into}card"
            placed = f"{self.keep(name, stamp(file), lambda: self.put(name, [('card.json', file)], monitor))}/card.json"
        if weights.startswith(THERE):
            return weights.removeprefix(THERE), placed
        path = Path(weights)
        if not path.exists():
            if ":" in weights and "/" not in weights and "\\" not in weights:  # a name, such as totalsegmentator:total_part1
                return weights, placed
            raise InputError(f"{weights} does not exist here: check the path, or write {THERE}{weights} for one on {self.host}.")
        files, own = model_files(path)
        key = (weights, tuple(stamp(file) for _name, file in files))
        return f"{self.keep(into, key, lambda: self.put(into, files, monitor))}/{own}", placed

    def fetch(self, folder: str, to: Path, monitor: Monitor) -> set[Path]:
        """Fetch every file of a folder there; returns where they are."""
        came: set[Path] = set()
        total, size = 1, 0

        def heard(event: Mapping[str, Any]) -> None:
            nonlocal total, size
            if event["event"] == "sending":
                total = max(1, int(event["bytes"]))
            elif event["event"] == "file":
                came.add(event["path"])
                size += int(event["bytes"])
                monitor.progress("fetch", FETCHING + (1 - FETCHING) * min(1.0, size / total), f"{total / 1e6:.0f} MB", None)

        self.channel.ask({"do": "fetch", "folder": folder}, monitor, heard, lambda name: to / name)
        return came

    def drop(self, *folders: str) -> None:
        """Delete what is not needed there any more; where that cannot be said it goes with the server."""
        for folder in folders:
            self._sent.pop(folder, None)
            if self.channel.open:
                with contextlib.suppress(InputError, ToldError, Lost, Cancelled):
                    self.channel.ask({"do": "drop", "folder": folder}, Monitor())
