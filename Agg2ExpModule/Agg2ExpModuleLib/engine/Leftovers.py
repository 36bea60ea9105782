"""What a killed run leaves beside its results folder, and how it is cleared away.

A run writes into ``.NAME.partial-ID`` beside its results folder ``NAME``, holds the file ``.NAME.lock-ID``, and removes both by
itself, unless it is killed.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path


class Leftovers:
    """Remembers what is there before a run, so that only what the run has left goes.

    Args:
        output: the results folder of the run, absolute.
    """

    def __init__(self, output: Path):
        self._output = output.resolve() if output.is_symlink() else output
        self._missingParents = [folder for folder in self._output.parents if not folder.exists()]
        self._before = self._unfinished()

    def discard(self) -> None:
        """Clear away what the run has left; what cannot be removed (a file still open on Windows) stays."""
        # Folders first: without its file a folder would no longer be known as abandoned.
        for folder in sorted(self._unfinished() - self._before, key=Path.is_file):
            # Killed between moving the old results away and the new ones in: the old ones come back.
            if ".old-" in folder.name and not self._output.exists():
                with contextlib.suppress(OSError):
                    folder.rename(self._output)
            elif folder.is_file():
                with contextlib.suppress(OSError):
                    folder.unlink()
            else:
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self._missingParents:
            with contextlib.suppress(OSError):  # there is something in it, or it was never made
                folder.rmdir()

    def _unfinished(self) -> set[Path]:
        begins = tuple(f".{self._output.name}.{kind}-" for kind in ("partial", "old", "lock"))
        with contextlib.suppress(OSError):
            return {path for path in self._output.parent.iterdir() if path.name.startswith(begins)}
        return set()
