"""Writing without leaving halves behind: everything is written beside its place and renamed when it is whole."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import Cancelled, InputError
from .file_lock import FileLock
from .json_files import read_json, shown

# What a folder of ours holds: a result's record, or a cohort's.
RECORDS = ("run.json", "cohort.json", "what_if.json", "causal.json", "dicom.json")
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
        # Names of files may hold bytes that are no UTF-8.
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", errors="replace")


class OutputFolder:
    """A results folder in the making: ``temporary`` beside it, renamed to ``final`` when complete, removed otherwise.

    For the output ``NAME`` there are, while it lasts, ``.NAME.partial-ID`` (``temporary``), ``.NAME.lock-ID`` (locked by this
    process) and for a moment ``.NAME.old-ID`` (results that are being replaced). What a killed process has left of these is cleared
    away when the next folder of that name is begun.

    Args:
        final: where the results shall be.
        overwrite: whether an existing folder may be replaced.
        needed_bytes: room the results will take at least.

    Raises:
        InputError: it exists, cannot be written, or the disk is too full.
    """

    def __init__(self, final: Path, overwrite: bool = False, needed_bytes: int = 0):
        # A link is followed: the folder it leads to is written, and the link stays.
        if "\0" in str(final):
            raise InputError("The name of the output holds the character NUL: choose another ⟨output⟩.")
        try:
            self.final = final.resolve() if final.is_symlink() else final.absolute()
            self.final.exists()
        except (OSError, RuntimeError) as error:  # a name too long for the disk, or a circle of links
            reason = getattr(error, "strerror", None) or "a circle of links"
            raise InputError(f"Cannot write to {shown(final)[:200]} ({reason}): choose another ⟨output⟩.") from None
        self._overwrite = overwrite
        parent = self.final.parent
        self._made: list[Path] = []
        self._lock: FileLock | None = None
        try:
            self._clear_abandoned()
            self._check_free()
            self._made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
            parent.mkdir(parents=True, exist_ok=True)
            self._number = uuid.uuid4().hex[:8]
            self.temporary = self._beside("partial", self._number)
            # The lock comes first, so that no living process's folder is ever without one; where locks do not work the folder is
            # never cleared away.
            self._lock = FileLock.make(self._beside("lock", self._number))
            self.temporary.mkdir()
        except OSError as error:
            self._let_go()
            self._remove_parents()
            raise InputError(f"Cannot write to {parent} ({error.strerror}): choose another ⟨output⟩.") from None
        _UNFINISHED.add(self)
        self.require(needed_bytes)

    def require(self, needed_bytes: int) -> None:
        """Refuse to go on where the disk has less room than the results need."""
        free = shutil.disk_usage(self.temporary).free
        if free < needed_bytes:
            self.discard()
            raise InputError(
                f"The results need {_size(needed_bytes)} but only {_size(free)} are free at {self.final.parent}: "
                "make room or choose another ⟨output⟩."
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
                old = self._beside("old", self._number)
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
        self._let_go()
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
        self._let_go()
        self._remove_parents()

    def _let_go(self) -> None:
        if self._lock is not None:
            self._release(self._lock, self._number)
            self._lock = None

    def _release(self, lock: FileLock, number: str) -> None:
        """Let go of a lock; its file stays beside a folder that could not be removed, for the next run to try again."""
        lock.release(remove=not any(self._beside(kind, number).exists() for kind in ("partial", "old")))

    def _beside(self, kind: str, number: str) -> Path:
        return self.final.with_name(f".{self.final.name}.{kind}-{number}")

    def _clear_abandoned(self) -> None:
        """Clear away what a process that was killed has left of this output; whatever a living one holds stays."""
        name = re.compile(re.escape(f".{self.final.name}.lock-") + "([0-9a-f]{8})")
        if not self.final.parent.is_dir():
            return
        for match in [found for entry in os.scandir(self.final.parent) if (found := name.fullmatch(entry.name))]:
            lock = FileLock.take(self._beside("lock", match[1]))
            if lock is None:
                continue
            old = self._beside("old", match[1])
            try:
                # Killed between moving the old results away and the new ones in: the old ones come back.
                if old.exists() and not self.final.exists():
                    old.rename(self.final)
                for folder in (old, self._beside("partial", match[1])):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                self._release(lock, match[1])

    def _remove_parents(self) -> None:
        for folder in self._made:
            with contextlib.suppress(OSError):  # a folder that somebody uses by now stays
                folder.rmdir()

    def _check_free(self) -> None:
        """That nothing is at the place of the results, or something that may be replaced."""
        if not self.final.exists():
            return
        if not self._overwrite:
            raise InputError(f"{self.final} exists already: choose another ⟨output⟩ or add ⟨overwrite⟩ to replace it.")
        if not is_replaceable(self.final):
            raise InputError(
                f"{self.final} is not a results folder of Agg2Exp, so it will not be overwritten: choose another ⟨output⟩."
            )


@contextlib.contextmanager
def new_folder(output: Path, overwrite: bool, check: Callable[[], None]) -> Iterator[Path]:
    """A folder to fill, which takes ``output``'s place when the block ends without an error.

    Args:
        output: where it shall be.
        overwrite: whether an existing folder of ours may be replaced.
        check: called before it takes its place; raises where the user has stopped.

    Raises:
        InputError: see :class:`OutputFolder`, or a file cannot be written.
    """
    folder = OutputFolder(output, overwrite)
    try:
        yield folder.temporary
        check()
        folder.publish()
    except OSError as error:
        raise InputError(f"Cannot write to {folder.final.parent} ({error.strerror or error}): choose another ⟨output⟩.") from error
    finally:
        folder.discard()


def discard_unfinished() -> None:
    """Remove every results folder that this process has begun and not published; for a process that must end at once."""
    with _LOCK:
        for folder in list(_UNFINISHED):
            folder._remove()


def is_replaceable(folder: Path) -> bool:
    """Whether a folder may be deleted: only our own results (or an empty folder) are; other programs write a run.json too."""
    if not folder.is_dir():
        return False
    record = next((path for name in RECORDS if (path := folder / name).exists()), None)
    if record is None:
        return not any(os.scandir(folder))
    try:
        content = read_json(record, "The record")
    except InputError:
        return False
    return isinstance(content, dict) and "agg2exp" in content


def _size(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
