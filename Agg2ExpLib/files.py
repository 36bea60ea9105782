"""Writing without leaving halves behind: everything is written beside its place and renamed when it is whole."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import InputError

_UNFINISHED: set[Path] = set()


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
        self.final = final.absolute()
        if self.final.exists() and not overwrite:
            raise InputError(f"{final} exists already: choose another --output or add --overwrite to replace it.")
        if overwrite and self.final.exists() and not _is_replaceable(self.final):
            raise InputError(f"{final} is not a results folder of Agg2Exp, so it will not be overwritten: choose another --output.")
        parent = self.final.parent
        self._made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
        try:
            parent.mkdir(parents=True, exist_ok=True)
            self.temporary = parent / f".{self.final.name}.partial-{uuid.uuid4().hex[:8]}"
            self.temporary.mkdir()
        except OSError as error:
            raise InputError(f"Cannot write to {parent} ({error.strerror}): choose another --output.") from None
        _UNFINISHED.add(self.temporary)
        self.require(needed_bytes)

    def require(self, needed_bytes: int) -> None:
        """Refuse to go on where the disk has less room than the results need."""
        free = shutil.disk_usage(self.temporary).free
        if free < needed_bytes:
            self.discard()
            raise InputError(
                f"The results need {needed_bytes / 1e9:.1f} GB but only {free / 1e9:.1f} GB are free at {self.final.parent}: "
                "make room or choose another --output."
            )

    def publish(self) -> Path:
        """Put the finished folder in its place (an old one goes away only now) and return it."""
        if self.final.exists():
            old = self.final.with_name(f".{self.final.name}.old-{uuid.uuid4().hex[:8]}")
            self.final.rename(old)
            self.temporary.rename(self.final)
            shutil.rmtree(old, ignore_errors=True)
        else:
            self.temporary.rename(self.final)
        _UNFINISHED.discard(self.temporary)
        return self.final

    def discard(self) -> None:
        """Remove everything written so far."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        _UNFINISHED.discard(self.temporary)
        with contextlib.suppress(OSError):  # a folder that somebody uses by now stays
            for folder in self._made:
                folder.rmdir()


def discard_unfinished() -> None:
    """Remove every results folder that this process has begun and not published; for a process that must end at once."""
    for folder in list(_UNFINISHED):
        shutil.rmtree(folder, ignore_errors=True)


def _is_replaceable(folder: Path) -> bool:
    """Only our own results (or an empty folder) are ever deleted."""
    return folder.is_dir() and ((folder / "run.json").is_file() or not any(os.scandir(folder)))
