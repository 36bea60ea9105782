"""Python packages made by hand for the tests of installations: installed ones, wheels, a PyTorch, and lists of requirements."""

from __future__ import annotations

import importlib.machinery
import zipfile
from collections.abc import Iterable
from pathlib import Path

TORCH_FILES = (
    "torch/__init__.py",
    "torch/version.py",
    f"torch/_C{importlib.machinery.EXTENSION_SUFFIXES[0]}",
    "torch/lib/libc10.so",
)


def put(folder: Path, name: str, version: str, files: Iterable[str] | None = None, requires: Iterable[str] = ()) -> None:
    """Install a package by hand."""
    files = [f"{name}/__init__.py"] if files is None else list(files)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {other}" for other in requires)]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    (info / "INSTALLER").write_text("pip\n")
    record = [*files, f"{info.name}/METADATA", f"{info.name}/WHEEL", f"{info.name}/INSTALLER", f"{info.name}/RECORD"]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in record))


def put_torch(folder: Path, version: str = "2.5.1+cu121") -> None:
    """Install a PyTorch of a few empty files."""
    put(folder, "torch", version, TORCH_FILES)


def wheel(
    folder: Path, tmp_path: Path, name: str, version: str, requires: Iterable[str] = (), files: Iterable[str] | None = None
) -> None:
    """Make a wheel."""
    content = tmp_path / "wheels" / f"{name}-{version}"
    put(content, name, version, files, requires)
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path in content.rglob("*"):
            archive.write(path, path.relative_to(content))


def requirements(tmp_path: Path, *lines: str) -> Path:
    """A file with a list of requirements."""
    path = tmp_path / "requirements.txt"
    path.write_text("# what is needed\n\n" + "\n".join(lines) + "\n")
    return path
