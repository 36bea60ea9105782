"""What can be imported: Agg2ExpLib, installed with the extension or in the checkout beside the module, and other packages."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path


def ensureLibrary() -> Path:
    """The folder that holds the package Agg2ExpLib; put on Python's path if it is not there yet.

    Raises:
        ImportError: the package is in none of the known places.
    """
    spec = find_spec("Agg2ExpLib")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent.parent
    module = Path(__file__).resolve().parents[2]
    for folder in (module, module.parent):
        if (folder / "Agg2ExpLib" / "__init__.py").is_file():
            sys.path.append(str(folder))
            return folder
    raise ImportError("Agg2ExpLib is missing: install the extension Agg2Exp again, or add its whole folder to the module paths.")


def isInstalled(package: str) -> bool:
    """Whether a package can be imported, found out without importing it."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False
