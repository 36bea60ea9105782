"""Reads the tensors of a weights file without running anything that is in it.

``.pt``, ``.pth`` and ``.ckpt`` go through ``torch.load(weights_only=True)``, ``.safetensors`` through its own reader and
TorchScript archives through :mod:`.torchscript`.
"""

from __future__ import annotations

import errno
import os
import pickle
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import InputError
from ..system.regular_files import open_regular
from .archive import check_archive, check_claims
from .torchscript import read_torchscript

if TYPE_CHECKING:
    import torch

SUFFIXES = (".pt", ".pth", ".ckpt", ".ts", ".safetensors")
# Where training scripts put the weights beside epoch and optimizer, most telling first.
NESTED_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "network_weights", "model_dict", "weights")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "_model.")

Tensors = dict[str, "torch.Tensor"]


def read_tensors(path: str | os.PathLike[str]) -> Tensors:
    """The tensors of a weights file by name, on the CPU, floating-point ones as float32; names as they are in the file.

    Raises:
        InputError: the file is missing, unreadable, truncated or no weights file, holds code, or has no tensors or non-finite ones.
    """
    file = Path(path)
    return tensors_of(read_content(file), file)


def tensors_of(found: object, file: Path) -> Tensors:
    """The tensors in a part of what :func:`read_content` gave, as :func:`read_tensors` gives them.

    Raises:
        InputError: there are none, or not finite ones, or they claim more than the file holds.
    """
    tensors = _innermost(found, file)
    check_claims(tensors, file)
    return _as_float32(tensors, file)


def read_content(file: Path) -> object:
    """Everything in a weights file, tensors and the plain values beside them.

    Raises:
        InputError: the file is missing, unreadable, truncated or no weights file, or holds code.
    """
    _check_file(file)
    try:
        if file.suffix.lower() == ".safetensors":
            return _read_safetensors(file)
        if _is_torchscript(file):
            return read_torchscript(file)
        return _read_state_dict(file)
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


def name_candidates(tensors: Tensors) -> list[Tensors]:
    """The same tensors under every reading of their names, wrappers' prefixes (``module.``, ``model.`` …) taken off one by one.

    The prefix may belong to the network itself (MONAI's UNet has ``model.``), so the caller chooses the reading that fits. A few
    tensors without the prefix of nearly all others (a loss's own, in Lightning checkpoints) are left out with it.
    """
    candidates = [tensors]
    while True:
        counts = {prefix: sum(name.startswith(prefix) for name in candidates[-1]) for prefix in PREFIXES}
        prefix = max(counts, key=lambda part: counts[part])
        if counts[prefix] == 0 or counts[prefix] < 0.9 * len(candidates[-1]):
            return candidates
        candidates.append({name[len(prefix) :]: value for name, value in candidates[-1].items() if name.startswith(prefix)})


def _check_file(file: Path) -> None:
    try:
        if not file.exists():
            raise InputError(f"The weights file {file} does not exist: check the path.")
        if not file.is_file():
            raise InputError(f"{file} is not a file: give a weights file ({', '.join(SUFFIXES)}) or a MONAI bundle folder.")
        if file.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{file.name} is no weights file by its name: give one ending in {', '.join(SUFFIXES)}, or a MONAI bundle folder."
            )
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


def _read_state_dict(file: Path) -> object:
    import torch

    try:
        with _numpy_scalars_allowed():
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


def _numpy_scalars_allowed() -> Any:
    """Lets ``weights_only`` accept NumPy numbers (a best metric beside the weights), which are data and not code."""
    import numpy as np
    import torch

    allow = getattr(torch.serialization, "safe_globals", None)
    if allow is None:
        return nullcontext()
    core = getattr(np, "_core", None) or np.core
    scalar = core.multiarray.scalar
    kinds = [type(np.dtype(code)) for code in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")]
    return allow([np.dtype, *kinds, (scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")])


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") or "/code/" in name for name in archive.namelist())
    except zipfile.BadZipFile as error:
        _damaged(file, error)


def _innermost(found: object, file: Path) -> Tensors:
    """The mapping from names to tensors, wherever in the checkpoint it lies."""
    import torch

    for _ in range(4):
        if not isinstance(found, Mapping):
            break
        tensors = {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}
        nested = next((found[key] for key in NESTED_KEYS if isinstance(found.get(key), Mapping) and found[key]), None)
        if nested is None or len(tensors) > 8:
            if tensors:
                return tensors
            break
        found = nested
    raise InputError(
        f"{file.name} holds no network weights: expected named tensors, bare or under one of {', '.join(NESTED_KEYS[:5])}."
    )


def _as_float32(tensors: Tensors, file: Path) -> Tensors:
    import torch

    made: Tensors = {}
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_complex():
            raise InputError(
                f"The tensor '{name}' of {file.name} is sparse, quantized or complex: save the network's plain float weights."
            )
        made[name] = tensor.detach().to("cpu", torch.float32) if tensor.is_floating_point() else tensor.detach().to("cpu")
        if tensor.is_floating_point() and not bool(torch.isfinite(made[name]).all()):
            raise InputError(
                f"The tensor '{name}' of {file.name} has values that are not finite: the training went wrong, use other weights."
            )
    return made
