"""Reads the tensors of a weights file without running anything that is in it.

``.pt``, ``.pth``, ``.ckpt``, ``.bin`` and ``.pth.tar`` go through ``torch.load(weights_only=True)``, ``.safetensors`` through its
own reader and TorchScript archives through :mod:`.torchscript`. :mod:`.readings` finds which of the tensors are the network's.
"""

from __future__ import annotations

import errno
import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..errors import InputError
from ..system.regular_files import open_regular
from .archive import check_archive, check_claims
from .pickled_data import Unread, data_types_allowed
from .torchscript import Script, read_torchscript

if TYPE_CHECKING:
    import torch

SUFFIXES = (".pt", ".pth", ".ckpt", ".ts", ".safetensors", ".bin", ".tar")
# What training needs to go on and a network does not: never weights, whatever their names.
_OF_TRAINING = re.compile(r"optim|sched|scaler|callback|loops|(^|_)(amp|rng|history|log|logs|logging)(_|$)", re.IGNORECASE)
_DEEPEST = 4

Tensors = dict[str, "torch.Tensor"]


@dataclass(frozen=True)
class Weights:
    """The tensors of a weights file as they are in it.

    Attributes:
        source: the file's name, for messages.
        groups: mappings from names to tensors by the keys that lead to them, joined by dots; "" is the file itself.
        beside: keys of numbers, lists and arrays beside the tensors, such as ``epoch``.
        script: what else the table of a TorchScript archive tells; None for anything else.
    """

    source: str
    groups: Mapping[str, Tensors]
    beside: tuple[str, ...] = ()
    script: Script | None = None

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor], source: str) -> Weights:
        """A plain state dict."""
        return cls(source, {"": dict(tensors)})

    def shapes(self) -> list[tuple[str, tuple[int, ...]]]:
        """Name and shape of every tensor in every group."""
        return [(name, tuple(tensor.shape)) for group in self.groups.values() for name, tensor in group.items()]


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """What a weights file holds, on the CPU, in the types it is stored in; what an optimizer keeps is left out.

    Raises:
        InputError: the file is missing, unreadable, truncated or no weights file, holds code, or has no named tensors.
    """
    file = Path(path)
    _check_file(file)
    script: Script | None = None
    with _problems_told(file):
        if file.suffix.lower() == ".safetensors":
            found: object = _read_safetensors(file)
        elif _is_torchscript(file):
            script = read_torchscript(file)
            found = script.tensors
        else:
            found = read_checkpoint(file)
    groups: dict[str, Tensors] = {}
    _gather(found, "", groups)
    if not groups:
        raise InputError(
            f"{file.name} holds no network weights: expected named tensors, bare or under a key such as state_dict or model."
        )
    check_claims({f"{place}.{name}".strip("."): part for place, group in groups.items() for name, part in group.items()}, file)
    return Weights(file.name, groups, tuple(_numbers_beside(found, "")), script)


def read_content(file: Path) -> object:
    """As :func:`read_checkpoint`, of a file that may be anything: for readers of formats with more than tensors.

    Raises:
        InputError: it is missing, unreadable, truncated or no weights file, or holds code.
    """
    _check_file(file)
    with _problems_told(file):
        return read_checkpoint(file)


def tensors_of(found: Mapping[object, object], file: Path) -> Tensors:
    """The named tensors of one mapping that :func:`read_content` found, floating-point ones as float32.

    Raises:
        InputError: there are none, or not finite ones, or they claim more than the file holds.
    """
    groups: dict[str, Tensors] = {}
    _gather(found, "", groups)
    tensors = groups.get("")
    if not tensors:
        raise InputError(f"{file.name} holds no network weights: copy or save it again.")
    check_claims(tensors, file)
    return as_float32(tensors, file.name)


@contextmanager
def _problems_told(file: Path) -> Iterator[None]:
    """What reading can raise, in one sentence."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            f"{file.name} does not fit into memory: close other programs or use a machine with more memory."
        ) from error
    except OSError as error:
        if error.errno in (None, errno.EINVAL):  # readers seek to places that a cut file does not have
            _damaged(file, error)
        raise InputError(f"{file} cannot be read ({error.strerror or error}): check the file and its permissions.") from error


def read_checkpoint(file: Path) -> object:
    """Everything in a file that ``torch.save`` wrote, with stand-ins for values that are not tensors or plain Python.

    Raises:
        InputError: it is damaged, or holds code or objects that are no plain data.
        OSError: it cannot be read.
    """
    import torch

    try:
        with data_types_allowed():
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        with file.open("rb") as stream:
            is_pickle = stream.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
        if is_pickle:  # whole, but with something that only running it would build
            raise InputError(
                f"{file.name} holds pickled Python code or objects besides tensors and was refused, nothing of it was run: save "
                "`model.state_dict()` alone, best as .safetensors."
            ) from error
        _damaged(file, error)
    except (
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        AssertionError,
        zipfile.BadZipFile,
    ) as error:
        _damaged(file, error)


def _check_file(file: Path) -> None:
    try:
        if not file.exists():
            raise InputError(f"The weights file {file} does not exist: check the path.")
        if not file.is_file():
            raise InputError(f"{file} is not a file: give a weights file ({', '.join(SUFFIXES)}).")
        if file.suffix.lower() not in SUFFIXES:
            raise InputError(f"{file.name} is no weights file by its name: give one ending in {', '.join(SUFFIXES)}, or a folder.")
        with open_regular(file) as stream:
            head = stream.read(512)
    except OSError as error:
        raise InputError(f"The weights file {file} cannot be read ({error.strerror or error}): check its permissions.") from error
    if head.startswith(b"PK"):
        check_archive(file)
    text = head.lstrip().lower()
    if not head:
        raise InputError(f"The weights file {file.name} is empty: download or copy it again.")
    if text.startswith(b"version https://git-lfs"):
        raise InputError(f"{file.name} is a Git LFS pointer and not the weights themselves: fetch them with `git lfs pull`.")
    if b"/annex/objects/" in text:
        raise InputError(f"{file.name} is a git-annex pointer and not the weights themselves: fetch them with `git annex get`.")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise InputError(f"{file.name} is a web page and not weights: the download went wrong, so download the file again.")


def _damaged(file: Path, error: BaseException | None = None) -> NoReturn:
    raise InputError(f"{file.name} is truncated, damaged or not a weights file: download or save it again.") from error


def _read_safetensors(file: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(file), device="cpu")
    except (SafetensorError, ValueError, KeyError) as error:
        _damaged(file, error)


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") or "/code/" in name for name in archive.namelist())
    except zipfile.BadZipFile as error:
        _damaged(file, error)


def _gather(found: object, place: str, into: dict[str, Tensors], depth: int = 0) -> None:
    """Every mapping from names to tensors, wherever in the checkpoint it lies."""
    import torch

    if not isinstance(found, Mapping) or depth > _DEEPEST:
        return
    tensors = {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}
    if tensors:
        into[place] = tensors
    for key, value in found.items():
        if isinstance(key, str) and not _OF_TRAINING.search(key):
            _gather(value, f"{place}.{key}" if place else key, into, depth + 1)


def _numbers_beside(found: object, place: str, depth: int = 0) -> Iterator[str]:
    for key, value in found.items() if isinstance(found, Mapping) and depth <= _DEEPEST else ():
        if isinstance(key, str) and not _OF_TRAINING.search(key):
            inner = f"{place}.{key}" if place else key
            if isinstance(value, int | float | list | tuple | Unread) and not isinstance(value, bool):
                yield inner
            yield from _numbers_beside(value, inner, depth + 1)


def as_float32(tensors: Mapping[str, torch.Tensor], source: str) -> Tensors:
    """The tensors with floating-point ones as float32.

    Raises:
        InputError: one of them is sparse, quantized or complex, or has values that are not finite.
    """
    import torch

    made: Tensors = {}
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_complex():
            raise InputError(
                f"The tensor '{name}' of {source} is sparse, quantized or complex: save the network's plain float weights."
            )
        made[name] = tensor.detach().to("cpu", torch.float32) if tensor.is_floating_point() else tensor.detach().to("cpu")
        if tensor.is_floating_point() and not bool(torch.isfinite(made[name]).all()):
            raise InputError(
                f"The tensor '{name}' of {source} has values that are not finite: the training went wrong, use other weights."
            )
    return made
