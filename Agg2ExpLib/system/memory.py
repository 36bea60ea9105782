"""How much memory there is, asked before much of it is taken."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from ..errors import InputError

# What the interpreter and the libraries need beside a volume.
_RESERVE_BYTES = 100e6
# What the libraries take before anything is computed: of memory, and of addresses where these are limited.
START_BYTES, START_ADDRESSES = 0.5e9, 2.5e9
# Deflate makes at most 1032 bytes of one.
MOST_INFLATION = 1032


def free_memory() -> float:
    """Bytes that this process can still take: of the machine, of its container and of its own limit, whichever is least."""
    import psutil

    free = float(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        if limit != "max":
            free = min(free, float(limit) - float((group / "memory.current").read_text(encoding="ascii")) + _cached(group))
    if sys.platform != "win32":
        import resource

        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        if soft != resource.RLIM_INFINITY:
            free = min(free, float(soft - psutil.Process().memory_info().vms))
    return max(free, 0.0)


def require_memory(needed: float, what: str, advice: str = "close other programs or use a computer with more memory") -> None:
    """Refuse what does not fit before anything of it is allocated; ``what`` begins the sentence.

    Raises:
        InputError: the memory does not suffice.
    """
    if needed < _RESERVE_BYTES:
        return
    try:
        free = free_memory()
    except ImportError:  # a Slicer without the requirements
        return
    if needed + _RESERVE_BYTES > free:
        raise InputError(f"{what} needs {needed / 1e9:.1f} GB of memory and only {free / 1e9:.1f} GB are free: {advice}.")


def require_start() -> None:
    """Refuse to begin where not even the libraries fit, which would end in their own words or without any.

    Raises:
        InputError: the limit of this process, or the free memory, is too small.
    """
    try:
        import psutil

        free, taken = free_memory(), float(psutil.Process().memory_info().vms)
    except ImportError:
        return
    least = START_BYTES
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY and limit - taken < START_ADDRESSES:
            least, free = START_ADDRESSES, max(float(limit) - taken, 0.0)
    if free < least:
        raise InputError(
            f"Agg2Exp needs at least {least / 1e9:.1f} GB of memory to begin and only {free / 1e9:.1f} GB are free: close other "
            "programs or raise the limit."
        )


def _cached(group: Path) -> float:
    """Bytes of a container's memory that only keep files at hand and are given back when needed."""
    for line in (group / "memory.stat").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(" ")
        if name == "inactive_file":
            return float(value)
    return 0.0


def forget_peak() -> None:
    """Let the peak of this process's memory count from now on, where the system can do that (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
