"""Work without MRML (reading, counting) in a thread, so that the application answers meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")
_TURN_S = 0.01  # the thread is given this time in each turn of the event loop, since Python runs in one thread at a time


def inBackground(work: Callable[[], T]) -> Generator[None, None, T]:
    """Do ``work`` in a thread; yields until it has ended, and returns what it returned: ``x = yield from inBackground(read)``.

    Raises:
        Exception: what ``work`` raised.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_TURN_S)
        yield None
    if errors:
        raise errors[0]
    return results[0]


def telling(what: str, work: Callable[[], T]) -> Generator[str, None, T]:
    """As :func:`inBackground`, telling in each turn what is being done.

    Raises:
        Exception: what ``work`` raised.
    """
    waiting = inBackground(work)
    while True:
        try:
            next(waiting)
        except StopIteration as end:
            found: T = end.value
            return found
        yield what
