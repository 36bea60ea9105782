"""Recognises a half-installed PyTorch without importing it, since importing would keep its files in use."""

from __future__ import annotations

import importlib.machinery
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from slicer.i18n import tr as _

_LIBRARIES = re.compile(r"^torch/lib/[^/,\n]+\.(?:so|dll|dylib)(?=,)", re.MULTILINE)
# What belongs to PyTorch beside each other; pip renames packages that it failed to remove to names with a tilde.
_FOLDERS = ("torch", "torchgen", "functorch", "torch-*.dist-info", "~orch", "~orchgen", "~orch-*.dist-info")


@dataclass(frozen=True)
class BrokenTorch:
    """A PyTorch that is there but cannot work.

    Attributes:
        reason: what is wrong with it, for the user.
        folders: what must go before it can be installed again.
    """

    reason: str
    folders: tuple[Path, ...]

    def remove(self) -> list[Path]:
        """Delete the folders; returns those that could not be deleted."""
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)
        importlib.invalidate_caches()
        return [folder for folder in self.folders if folder.exists()]


def findBrokenTorch(paths: Sequence[str] | None = None) -> BrokenTorch | None:
    """What is wrong with the installed PyTorch; None when it is whole, or not there at all.

    Args:
        paths: where packages are, by default ``sys.path``.
    """
    search = list(sys.path if paths is None else paths)
    spec = importlib.machinery.PathFinder.find_spec("torch", search)
    found = {(str(each.locate_file("")), each.version): each for each in metadata.distributions(name="torch", path=search)}
    package = Path(spec.origin).parent if spec is not None and spec.origin else None
    if package is None and not found:
        return None
    reason = _whatIsWrong(package, list(found.values()))
    if reason is None:
        return None
    sites = {Path(site) for site, _version in found} | ({package.parent} if package is not None else set())
    folders = {folder for site in sites for pattern in _FOLDERS for folder in site.glob(pattern) if folder.is_dir()}
    return BrokenTorch(reason, tuple(sorted(folders)))


def _whatIsWrong(package: Path | None, found: list[metadata.Distribution]) -> str | None:
    if package is None:
        return _("its files are missing")
    if not found:
        return _("it is not registered as installed")
    if len(found) > 1:
        return _("two versions are mixed: {versions}").format(versions=", ".join(sorted(str(each.version) for each in found)))
    record = found[0].read_text("RECORD")
    if not record:
        return _("the list of its files is missing")
    if not (package / "version.py").is_file():
        return _("{file} is missing").format(file="torch/version.py")
    if not any((package / f"_C{suffix}").is_file() for suffix in importlib.machinery.EXTENSION_SUFFIXES):
        return _("it was made for another version of Python, or {file} is missing").format(file="torch/_C")
    for name in _LIBRARIES.findall(record):
        if not (package.parent / name).is_file():
            return _("{file} is missing").format(file=name)
    return None
