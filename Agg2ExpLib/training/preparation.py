"""Brings everything a source trains on into its cache, in one process or several, before training begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from ..errors import ToldError


class Prepared(Protocol):
    """A source that keeps what it made on disk. With several processes it is sent to each of them once (pickled)."""

    def items(self) -> Sequence[Any]:
        """What is to be made, each to be understood by :meth:`make`, and small."""
        ...

    def make(self, item: Any) -> str:
        """Make an item where it is not in the cache yet; returns its name.

        Raises:
            InputError: it cannot be made.
        """
        ...


def prepare(source: Prepared, workers: int = 0) -> Iterator[str]:
    """Make all items; yields the name of each when it is there, in order.

    Args:
        workers: processes; 0 or 1 make everything here.

    Raises:
        InputError: an item cannot be made; what was made before it stays.
        ToldError: the system ended one of the processes.
    """
    items = source.items()
    if min(workers, len(items)) < 2:
        for item in items:
            yield source.make(item)
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    # Fresh processes: a fork of one that has threads of torch can hang.
    pool = ProcessPoolExecutor(min(workers, len(items)), get_context("spawn"), initializer=_begin, initargs=(source,))
    try:
        yield from pool.map(_make, items)
    except BrokenProcessPool:
        message = "A process that prepares the data was ended by the system, most often for lack of memory."
        raise ToldError("killed", message, "Start again with fewer ⟨workers⟩; what is prepared stays.") from None
    finally:
        pool.shutdown(cancel_futures=True)


_source: Prepared | None = None  # of a worker process


def _begin(source: Prepared) -> None:
    from threadpoolctl import threadpool_limits  # of scikit-learn

    global _source
    _source = source
    threadpool_limits(1)  # as many processes as processors: more threads would stand in each other's way


def _make(item: Any) -> str:
    assert _source is not None
    return _source.make(item)
