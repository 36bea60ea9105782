"""Writing without leaving halves behind: everything is written beside its place and renamed when it is whole."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import Cancelled, InputError

# What a folder of ours holds: a result's record, or a cohort's.
RECORDS = ("run.json", "cohort.json")
_UNFINISHED: set[OutputFolder] = set()
# Publishing and the discarding before a hard end exclude each other, so that no half-deleted folder is ever published.
_LOCK = threading.Lock()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder with the same suffixes; takes ``path``'s place when the block ends without an error."""
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class OutputFolder:
    """A results folder in the making: ``temporary`` beside it, renamed to ``final`` when complete, removed otherwise.

    Args:
        final: where the results shall be.
        overwrite: whether an existing folder may be replaced.
        needed_bytes: room the results will take at least.

    Raises:
        InputError: it exists, cannot be written, or the disk is too full.
    """

    def __init__(self, final: Path, overwrite: bool = False, needed_bytes: int = 0):
        # A link is followed: the folder it leads to is written, and the link stays.
        self.final = final.resolve() if final.is_symlink() else final.absolute()
        self._overwrite = overwrite
        parent = self.final.parent
        self._made: list[Path] = []
        try:
            self._check_free()
            self._made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
            parent.mkdir(parents=True, exist_ok=True)
            self.temporary = parent / f".{self.final.name}.partial-{uuid.uuid4().hex[:8]}"
            self.temporary.mkdir()
        except OSError as error:
            self._remove_parents()
            raise InputError(f"Cannot write to {parent} ({error.strerror}): choose another --output.") from None
        _UNFINISHED.add(self)
        self.require(needed_bytes)

    def require(self, needed_bytes: int) -> None:
        """Refuse to go on where the disk has less room than the results need."""
        free = shutil.disk_usage(self.temporary).free
        if free < needed_bytes:
            self.discard()
            raise InputError(
                f"The results need {_size(needed_bytes)} but only {_size(free)} are free at {self.final.parent}: "
                "make room or choose another --output."
            )

    def publish(self) -> Path:
        """Put the finished folder in its place (an old one goes away only now) and return it.

        Raises:
            Cancelled: the process is about to end and has discarded the folder.
            InputError: another run has put its results there meanwhile.
            OSError: the folder cannot be renamed.
        """
        old = None
        with _LOCK:
            if self not in _UNFINISHED:
                raise Cancelled
            self._check_free()
            if self.final.exists():
                old = self.final.with_name(f".{self.final.name}.old-{uuid.uuid4().hex[:8]}")
                self.final.rename(old)
            try:
                self.temporary.rename(self.final)
            except OSError:
                if old is not None:
                    old.rename(self.final)
                raise
            _UNFINISHED.discard(self)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
        return self.final

    def discard(self) -> None:
        """Remove everything written so far; does nothing once it is published."""
        with _LOCK:
            if self in _UNFINISHED:
                self._remove()

    def _remove(self) -> None:
        _UNFINISHED.discard(self)
        # A worker that still writes can put a file into the folder while it is being emptied.
        for _ in range(5):
            shutil.rmtree(self.temporary, ignore_errors=True)
            if not self.temporary.exists():
                break
        self._remove_parents()

    def _remove_parents(self) -> None:
        for folder in self._made:
            with contextlib.suppress(OSError):  # a folder that somebody uses by now stays
                folder.rmdir()

    def _check_free(self) -> None:
        """That nothing is at the place of the results, or something that may be replaced."""
        if not self.final.exists():
            return
        if not self._overwrite:
            raise InputError(f"{self.final} exists already: choose another --output or add --overwrite to replace it.")
        if not _is_replaceable(self.final):
            raise InputError(
                f"{self.final} is not a results folder of Agg2Exp, so it will not be overwritten: choose another --output."
            )


def discard_unfinished() -> None:
    """Remove every results folder that this process has begun and not published; for a process that must end at once."""
    with _LOCK:
        for folder in list(_UNFINISHED):
            folder._remove()


def _is_replaceable(folder: Path) -> bool:
    """Only our own results (or an empty folder) are ever deleted; other programs write a run.json too."""
    if not folder.is_dir():
        return False
    record = next((path for name in RECORDS if (path := folder / name).exists()), None)
    if record is None:
        return not any(os.scandir(folder))
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "agg2exp" in content


def _size(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
