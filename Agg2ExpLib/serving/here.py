"""Does requests in this process; the libraries that takes are loaded with the first one, so that the process answers at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from ..runs.runner import EventMonitor
from .entries import ENTRIES
from .scratch import Scratch

if TYPE_CHECKING:
    from .requests import Memory

_LIGHT = ("open", "fetch", "drop", "models", "forget")


class Here:
    """Does requests in this process."""

    requests = sorted((*ENTRIES, "put"))
    grace_s = 1.5  # longer than a run of its own has: more is lost with the process

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._memory: Memory | None = None

    @property
    def holds(self) -> bool:
        return self._memory is not None and self._memory.holds

    def answer(self, request: Mapping[str, Any], monitor: EventMonitor) -> dict[str, object]:
        if request.get("do") == "forget" and self._memory is None:
            return {}
        if "torch" not in sys.modules and request.get("do") not in _LIGHT:
            monitor.progress("read", 0.0, "libraries")
        from .requests import Memory, answer, begin_anew

        if self._memory is None:
            self._memory = Memory(self._scratch)
        begin_anew()
        return answer(request, monitor, self._memory)

    def take(self, request: Mapping[str, Any], source: BinaryIO, monitor: EventMonitor) -> dict[str, object] | None:
        return self._scratch.take(request, source, monitor)

    def rest(self) -> None:
        if self._memory is not None:
            from .requests import give_back

            give_back()

    def release(self) -> None:
        if self._memory is not None:
            self._memory.release()

    def close(self, hard: bool = False) -> None:
        self._scratch.close()
