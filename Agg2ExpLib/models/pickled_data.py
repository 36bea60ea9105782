"""Types that training scripts leave beside the tensors of a checkpoint and that are data: allowed by name, and not built.

``torch.load(weights_only=True)`` refuses every class it does not know. Those listed here carry numbers, paths and settings; a
stand-in takes the place of each, so that the tensors beside them can be read and nothing of the named packages is run.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
_VALUES = (
    *(f"{module}.{name}" for module in _NUMPY for name in ("scalar", "_reconstruct", "ndarray", "dtype")),
    *(f"{module}.{name}" for module in ("numpy.core.numeric", "numpy._core.numeric") for name in ("_frombuffer",)),
    *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in (
        "Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")),
    *(f"builtins.{name}" for name in ("list", "dict", "tuple", "int", "float", "str", "bool", "range", "slice", "frozenset")),
    *(f"datetime.{name}" for name in ("datetime", "date", "timedelta")),
    "argparse.Namespace", "types.SimpleNamespace", "uuid.UUID", "fractions.Fraction", "decimal.Decimal",
)  # fmt: skip
MAPPINGS = (
    "collections.defaultdict", "lightning.fabric.utilities.data.AttributeDict", "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict", "lightning.pytorch.utilities.parsing.AttributeDict",
    "addict.addict.Dict", "easydict.EasyDict", "box.box.Box",
)  # fmt: skip


class Unread:
    """Stands for a value that is not needed: takes whatever it would be made of, and forgets it."""

    def __new__(cls, *_args: object, **_settings: object) -> Unread:
        """An empty one."""
        return super().__new__(cls)

    def __init__(self, *_args: object, **_settings: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


class PlainDict:
    """Makes a plain dictionary, whatever mapping it stands for: nothing else may be filled with entries."""

    def __new__(cls, *entries: Any, **_settings: object) -> Any:
        return {key: value for entry in entries if isinstance(entry, dict) for key, value in entry.items()}


class _PlainList:
    """Makes a plain list."""

    def __new__(cls, *entries: Any, **_settings: object) -> Any:
        return [value for entry in entries if isinstance(entry, list | tuple) for value in entry]


def data_types_allowed() -> Any:
    """A context in which ``torch.load(weights_only=True)`` reads files that hold the types listed here."""
    import torch

    allow = getattr(torch.serialization, "safe_globals", None)
    if allow is None:
        return nullcontext()
    return allow(
        [*((Unread, name) for name in _VALUES), *((PlainDict, name) for name in MAPPINGS), (_PlainList, "collections.deque")]
    )
