"""Cuts a child's output into lines, and tells events from other lines."""

from __future__ import annotations

import json
import re
from typing import Any

_LINE_ENDS = re.compile(rb"\r\n|\n|\r(?!\Z)")
# A line this long is no event of ours; keeping more of it would only fill the memory.
_LONGEST_LINE = 1 << 20


class LineReader:
    """Collects pieces of a stream and gives whole lines.

    A lone carriage return ends a line too, since progress bars use it to write over themselves. Bytes that are not UTF-8 are
    replaced.

    Args:
        longest: bytes that a line may have.
    """

    def __init__(self, longest: int = _LONGEST_LINE) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes, without empty ones."""
        *whole, self._rest = _LINE_ENDS.split(self._rest + data)
        if len(self._rest) > self._longest:
            whole.append(self._rest)
            self._rest = b""
        return _decode(whole)

    def finish(self) -> list[str]:
        """What is left when the stream ends without a line end."""
        rest, self._rest = self._rest, b""
        return _decode([rest])


def parseEvent(line: str) -> dict[str, Any] | None:
    """The event in a line, or None where the line is something else."""
    if not line.startswith("{"):
        return None
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and isinstance(content.get("event"), str) else None


def _decode(lines: list[bytes]) -> list[str]:
    texts = (line.decode("utf-8", errors="replace").rstrip() for line in lines)
    return [text for text in texts if text]
