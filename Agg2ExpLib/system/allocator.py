"""Memory reuse on the CPU: glibc gives every freed tensor back to the system, and pays for fresh pages a moment later."""

from __future__ import annotations

import gc
import platform
import sys
from typing import Any

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next tensors; only for processes of our own, before they compute.

    A window's activations are allocated and freed at every pass. Without the page faults a run of the demo network takes about
    three quarters of the time (benchmarks/RESULTS.md). Does nothing where the C library is not glibc.

    Returns:
        Whether it took effect.
    """
    mallopt = _function("mallopt")
    if mallopt is None:
        return False
    # One arena, since those of threads are too small for tensors; no mapped blocks; no trimming below 2 GiB.
    return all([mallopt(_ARENA_MAX, 1), mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, 2**31 - 1)])


def stop_keeping_freed_memory() -> bool:
    """Undo :func:`keep_freed_memory` where memory is short: kept blocks that no later tensor fits into cost a third more memory.

    Returns:
        Whether it took effect.
    """
    mallopt = _function("mallopt")
    if mallopt is None:
        return False
    # Tensors of a megabyte and more in blocks of their own, which go back to the system at once.
    done = all([mallopt(_MMAP_MAX, 65536), mallopt(_MMAP_THRESHOLD, 2**20), mallopt(_TRIM_THRESHOLD, 2**20)])
    return give_back_freed_memory() and done


def give_back_freed_memory() -> bool:
    """Give memory that was freed but kept back to the system, so that what a computation needs shows in the process's size.

    Returns:
        Whether the C library can do that.
    """
    gc.collect()
    trim = _function("malloc_trim")
    if trim is None:
        return False
    trim(0)
    return True


def _function(name: str) -> Any:
    """A function of the C library, None where that is not glibc."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return None
    import ctypes

    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
