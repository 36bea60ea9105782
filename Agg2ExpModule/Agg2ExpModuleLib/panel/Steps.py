"""Long work in short pieces on the main thread, so that the application answers in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import qt


class Steps:
    """Runs one generator at a time, one piece from ``yield`` to ``yield`` in each turn of the event loop.

    Args:
        parent: Qt object that owns the timer.

    Attributes:
        onProgress: is given what the generator yields.
    """

    def __init__(self, parent: Any):
        self._timer = qt.QTimer(parent)
        self._timer.timeout.connect(self._next)
        self._work: Iterator[Any] | None = None
        self._onDone: Callable[[], None] | None = None
        self._onError: Callable[[Exception], None] | None = None
        self.onProgress: Callable[[Any], None] | None = None

    @property
    def running(self) -> bool:
        """Whether there is work left."""
        return self._work is not None

    def start(self, work: Iterator[Any], onDone: Callable[[], None], onError: Callable[[Exception], None]) -> None:
        """Begin; one of the two callbacks follows, unless :meth:`stop` comes first.

        Raises:
            RuntimeError: other work goes on.
        """
        if self._work is not None:
            raise RuntimeError("other work goes on")
        self._work, self._onDone, self._onError = work, onDone, onError
        self._timer.start(0)

    def stop(self) -> None:
        """Give the rest of the work up."""
        self._timer.stop()
        work, self._work = self._work, None
        if work is not None and hasattr(work, "close"):
            work.close()

    def _next(self) -> None:
        work = self._work
        if work is None:
            self._timer.stop()
            return
        try:
            if (told := next(work, self)) is self:
                self._end()
                if self._onDone:
                    self._onDone()  # its failure is told too: nobody else would end what the panel shows as going on
                return
        except Exception as error:
            self._end()
            if self._onError is None:
                raise
            self._onError(error)
            return
        if self.onProgress and told is not None:
            self.onProgress(told)

    def _end(self) -> None:
        self._timer.stop()
        self._work = None
