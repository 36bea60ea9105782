"""The folders of the panel are layers, and no two of its files need each other."""

from __future__ import annotations

import ast
import graphlib
import re
from pathlib import Path

from support.paths import MODULE_FOLDER

LIB = MODULE_FOLDER / "Agg2ExpModuleLib"


def imports(path: Path) -> set[str]:
    """Files (``folder.Name``) that a file needs when it is imported or when it works, not those for type hints alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hints = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    skipped = {id(inner) for node in hints for inner in ast.walk(node)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in skipped:
            folder = [path.parent.name] if node.level == 1 else []
            module = [*folder, *(node.module or "").split(".")]
            names = [".".join(module)] if len(module) == 2 and module[1] else [f"{module[0]}.{each.name}" for each in node.names]
            found |= set(names)
    return found


def files() -> dict[str, set[str]]:
    return {f"{path.parent.name}.{path.stem}": imports(path) for path in sorted(LIB.glob("*/*.py")) if path.stem != "__init__"}


def test_a_file_imports_only_from_its_own_layer_and_those_below() -> None:
    text = (LIB / "__init__.py").read_text(encoding="utf-8")
    order = re.search(r"^ +(\w+(?: < \w+)+)$", text, re.MULTILINE)
    assert order is not None
    layers = order[1].split(" < ")
    assert set(layers) == {path.name for path in LIB.iterdir() if (path / "__init__.py").is_file()}
    known = files()
    assert len(known) > 50
    for name, needed in known.items():
        layer = layers.index(name.split(".")[0])
        for other in needed:
            assert other in known, f"{name} imports {other}"
            assert layers.index(other.split(".")[0]) <= layer, f"{name} imports {other}, which stands above it"


def test_no_circles() -> None:
    graphlib.TopologicalSorter(files()).prepare()
