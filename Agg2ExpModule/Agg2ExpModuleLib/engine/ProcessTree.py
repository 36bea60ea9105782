"""Killing a process with everything it has started.

``PythonSlicer`` is a launcher: killing it alone would leave the computation running. The computation is found among the launcher's
descendants, and, when the launcher is gone, by a marker in its command line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from types import ModuleType
from typing import NamedTuple


class _Entry(NamedTuple):
    parent: int
    state: str
    command: str


def killTree(pid: int | None, marker: str) -> set[int]:
    """Kill a process, its descendants, and every Python process whose command line contains ``marker``; never waits for their end.

    Args:
        pid: the root; None when it has ended already.
        marker: a text that occurs in no other process's command line, such as a unique file name.

    Returns:
        Ids of the processes that were told to end and may still live; empty where the system does not say.
    """
    psutil = _psutil()
    if psutil is not None:
        found = _findByPsutil(psutil, pid, marker)
    elif os.name != "nt":
        found = _findByListing(pid, marker)
    else:
        _taskkill(pid)
        return set()
    for each in found:
        with contextlib.suppress(OSError):
            os.kill(each, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    return found


def stillAlive(pids: set[int]) -> set[int]:
    """Those of the processes that have not ended; one that only waits to be noticed by its parent has."""
    psutil = _psutil()
    if psutil is None:
        processes = _listProcesses() if os.name != "nt" else {}
        return {pid for pid in pids if pid in processes and not processes[pid].state.startswith("Z")}
    alive = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                alive.add(pid)
    return alive


def _psutil() -> ModuleType | None:
    """The package psutil, which a Slicer may lack."""
    try:
        import psutil
    except ImportError:
        return None
    return psutil


def _findByPsutil(psutil: ModuleType, pid: int | None, marker: str) -> set[int]:
    found: set[int] = set()
    if pid is not None:
        found.add(pid)
        with contextlib.suppress(psutil.Error):
            found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
    for process in psutil.process_iter(["name"]):
        # Reading a command line is slow on Windows, so only those of Pythons are read.
        if process.pid not in found and "python" in (process.info["name"] or "").lower():
            with contextlib.suppress(psutil.Error, OSError):
                if any(marker in argument for argument in process.cmdline()):
                    found.add(process.pid)
                    found |= {child.pid for child in process.children(recursive=True)}
    return found - {os.getpid()}


def _findByListing(pid: int | None, marker: str) -> set[int]:
    processes = _listProcesses()
    found = {each for each, entry in processes.items() if marker in entry.command}
    if pid in processes:
        found.add(pid)
    grown = True
    while grown:
        children = {each for each, entry in processes.items() if entry.parent in found}
        grown = not children <= found
        found |= children
    return found - {os.getpid()}


def _listProcesses() -> dict[int, _Entry]:
    """All processes of a POSIX system."""
    if Path("/proc/self/stat").exists():
        return _listProcFolder()
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,command="]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return parsePs(subprocess.run(command, capture_output=True, timeout=2, check=False).stdout.decode("utf-8", "replace"))
    return {}


def parsePs(text: str) -> dict[int, _Entry]:
    """Processes from the output of ``ps -o pid=,ppid=,stat=,command=``."""
    processes = {}
    for line in text.splitlines():
        parts = line.split(None, 3)
        if len(parts) >= 3 and parts[0].isdigit() and parts[1].isdigit():
            processes[int(parts[0])] = _Entry(int(parts[1]), parts[2], parts[3] if len(parts) > 3 else "")
    return processes


def _listProcFolder() -> dict[int, _Entry]:
    processes = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it may end while it is being read
            # The name in parentheses may hold anything, so the fields are counted from its end.
            state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            processes[int(folder.name)] = _Entry(int(parent), state, command)
    return processes


def _taskkill(pid: int | None) -> None:
    if pid is None:
        return
    with contextlib.suppress(OSError):
        subprocess.Popen(
            ["taskkill", "/F", "/T", "/PID", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
