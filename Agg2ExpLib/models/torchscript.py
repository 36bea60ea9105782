"""Reads the tensors of a TorchScript archive without loading the program in it.

A TorchScript archive is a program: ``torch.jit.load`` would compile it and run the ``__setstate__`` methods it defines. Here only
its table of tensors (``data.pkl``) is read, with an unpickler that knows containers and tensors and nothing else; the network is
then built from MONAI's own classes.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    import torch

_STORAGES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
}
# What a damaged or hostile table can make the unpickler, the archive or the tensors raise.
_READ_ERRORS = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    StopIteration,
    LookupError,
    ValueError,
    TypeError,
    EOFError,
    AttributeError,
    RuntimeError,
    ImportError,
    OSError,
    AssertionError,
)


class _ScriptObject:
    """Stands for any scripted module of an archive: holds its attributes and its class's name, has no behaviour."""

    qualified = ""

    def __setstate__(self, state: object) -> None:
        self.state = state


class _ScriptUnpickler(pickle.Unpickler):
    """Unpickles a TorchScript archive's ``data.pkl`` into plain containers and tensors; any other global is refused."""

    def __init__(self, data: bytes, storage: Callable[[tuple[Any, ...]], torch.Tensor]):
        super().__init__(io.BytesIO(data))
        self._storage = storage

    def persistent_load(self, pid: Any) -> torch.Tensor:
        return self._storage(pid)

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return type("_ScriptObject", (_ScriptObject,), {"qualified": f"{module}.{name}"})
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch.jit._pickle":  # typed lists: the value is the first argument
            return lambda value, *_: value
        if module == "torch" and name.endswith("Storage"):
            return name
        raise pickle.UnpicklingError(f"the archive refers to {module}.{name}")


def _rebuild_tensor(storage: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> torch.Tensor:
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    count = math.prod(map(int, size))
    # A stride of zero would make many values of one.
    if count > storage.numel() or (count and not (offset >= 0 and min(stride, default=0) >= 0 and last < storage.numel())):
        raise pickle.UnpicklingError("a tensor reaches beyond its data")
    return storage.as_strided(size, stride, offset).clone()


@dataclass
class Script:
    """What the table of a TorchScript archive holds, by the names that its state dict would give.

    Attributes:
        tensors: in the type they are stored in.
        classes: qualified class of each module; that of the whole program under "".
        numbers: fractional numbers that modules keep beside their tensors.
    """

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)


def read_torchscript(file: Path) -> Script:
    """The tensors of a TorchScript archive, and what else its table tells of the program.

    Raises:
        InputError: the archive is damaged or holds something other than modules, containers and plain tensors.
    """
    import torch

    types = {f"{kind}Storage": getattr(torch, name) for kind, name in _STORAGES.items()}
    try:
        with zipfile.ZipFile(file) as archive:
            table = next(name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl"))
            root = table.rsplit("/", 1)[0]
            read: dict[str, torch.Tensor] = {}

            def storage(pid: tuple[Any, ...]) -> torch.Tensor:
                kind, key = str(pid[1]), str(pid[2])
                if key not in read:
                    data = bytearray(archive.read(f"{root}/data/{key}"))
                    read[key] = torch.frombuffer(data, dtype=types[kind]) if data else torch.empty(0, dtype=types[kind])
                return read[key]

            found = _ScriptUnpickler(archive.read(table), storage).load()
    except _READ_ERRORS as error:
        raise InputError(
            f"The tensors of the TorchScript file {file.name} cannot be read: give the network's state dict instead."
        ) from error
    script = Script()
    _collect(found, "", script)
    return script


def _collect(value: object, name: str, into: Script, depth: int = 0) -> None:
    """Put a scripted module's parts and those of the modules in it under the names a state dict would give them."""
    import torch

    if depth > 60 or not isinstance(value, _ScriptObject):
        return
    into.classes[name] = value.qualified
    for key, part in value.state.items() if isinstance(value.state, dict) else ():
        inner = f"{name}.{key}" if name else str(key)
        if isinstance(part, torch.Tensor):
            into.tensors[inner] = part
        elif isinstance(part, float):
            into.numbers[inner] = part
        else:
            _collect(part, inner, into, depth + 1)
