"""The lists of files in the CMake files.

``python Testing/support/cmake_lists.py`` prints them as they should be, ``--write`` writes them.

Slicer packages only what is listed.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_NOT_PACKAGED = {"CMakeLists.txt"}


@dataclass(frozen=True)
class FileList:
    """One ``set(NAME files…)`` of a CMake file.

    Attributes:
        cmake: the CMake file.
        name: of the variable.
        base: folder that the names are relative to.
        patterns: what belongs into it, below the CMake file's folder.
    """

    cmake: Path
    name: str
    base: Path
    patterns: tuple[str, ...]

    def expected(self) -> list[str]:
        """The names as the tree has them: the module's own file or the package's first, then by name."""
        found = {
            path.relative_to(self.base).as_posix()
            for pattern in self.patterns
            for path in self.cmake.parent.glob(pattern)
            if path.is_file()
            and path.name not in _NOT_PACKAGED
            and "__pycache__" not in path.parts
            and not path.name.startswith(".")
        }
        return sorted(found, key=lambda name: (name.count("/"), name.lower(), name))

    def listed(self) -> list[str]:
        """The names as the CMake file has them."""
        match = self._search()
        return match.group(2).split()

    def write(self) -> None:
        """Put the expected names into the CMake file."""
        text, match = self.cmake.read_text(encoding="utf-8"), self._search()
        names = "".join(f"\n  {name}" for name in self.expected())
        self.cmake.write_text(text[: match.start(2)] + names + text[match.end(2) :], encoding="utf-8", newline="\n")

    def _search(self) -> re.Match[str]:
        match = re.search(rf"(set\({self.name}\b)([^)]*?)(\n  \))", self.cmake.read_text(encoding="utf-8"))
        if match is None:
            raise ValueError(f"{self.cmake} has no set({self.name} …) with its closing bracket on a line of its own")
        return match


_BESIDE = ("**/*.css", "**/*.html", "**/*.js", "py.typed")
LISTS = (
    FileList(ROOT / "Agg2ExpLib" / "CMakeLists.txt", "AGG2EXPLIB_SCRIPTS", ROOT, ("**/*.py",)),
    FileList(ROOT / "Agg2ExpLib" / "CMakeLists.txt", "AGG2EXPLIB_RESOURCES", ROOT, _BESIDE),
    FileList(ROOT / "Agg2ExpModule" / "CMakeLists.txt", "MODULE_PYTHON_SCRIPTS", ROOT / "Agg2ExpModule", ("**/*.py",)),
    FileList(ROOT / "Agg2ExpModule" / "CMakeLists.txt", "MODULE_PYTHON_RESOURCES", ROOT / "Agg2ExpModule", ("Resources/**/*",)),
)


def main() -> None:
    """Print or write all lists."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="change the CMake files")
    write = parser.parse_args().write
    for entry in LISTS:
        if write:
            entry.write()
        else:
            print(f"# {entry.cmake.relative_to(ROOT)}\nset({entry.name}")
            print("".join(f"  {name}\n" for name in entry.expected()) + "  )\n")


if __name__ == "__main__":
    main()
