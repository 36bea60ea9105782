"""Does requests in this process; the libraries that takes are loaded with the first one, so that the process answers at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from ..runs.runner import EventMonitor
from .entries import ENTRIES, check_entries
from .scratch import Scratch

if TYPE_CHECKING:
    from .requests import Memory


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
        if (light := self._light(*check_entries(request), monitor)) is not None:
            return light
        if "torch" not in sys.modules:
            monitor.progress("read", 0.0, "libraries")
        from .requests import Memory, answer, begin_anew

        if self._memory is None:
            self._memory = Memory()
        begin_anew()
        return answer(request, monitor, self._memory)

    def _light(self, what: str, entries: Mapping[str, Any], monitor: EventMonitor) -> dict[str, object] | None:
        """The answer to what needs no libraries; folders are named relative to the one that ``open`` tells."""
        if what == "open":
            return {"folder": str(self._scratch.path)}
        if what == "fetch":
            return self._scratch.send(entries.get("folder"), monitor)
        if what == "drop":
            self._scratch.drop(entries.get("folder"))
            return {}
        if what == "models":
            from ..models.installed import installed_models

            return {"models": [{**model.to_json(), "card": model.card and model.card.to_dict()} for model in installed_models()]}
        return {} if what == "forget" and self._memory is None else None

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
