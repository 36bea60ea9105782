"""What a weights file claims to hold, checked against what it stores before anything of it is built."""

from __future__ import annotations

import errno
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..system.memory import require_memory
from ..system.regular_files import open_regular

if TYPE_CHECKING:
    import torch

READ_BYTES = 1 << 22
# Half precision becomes float32, and some layers share their weights; beyond this a file claims what it does not hold.
MOST_GROWTH = 8
SLACK_BYTES = 1 << 20


def check_archive(file: Path) -> None:
    """Refuse an archive whose parts are not whole, or that inflates. PyTorch stores tensors as they are and checks no checksum.

    Raises:
        InputError: it is damaged, or holds compressed tensors.
        OSError: it cannot be read.
    """
    damaged = InputError(f"{file.name} is truncated, damaged or not a weights file: download or save it again.")
    try:
        with open_regular(file) as stream, zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            small = file.stat().st_size + SLACK_BYTES
            # Only the code of a TorchScript archive is deflated by those who write it, and that is not read.
            inflated = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED and not _is_code(entry.filename)]
            if inflated or sum(entry.file_size for entry in entries if not _is_code(entry.filename)) > small:
                raise InputError(f"{file.name} holds compressed tensors, which PyTorch never writes: save the weights again.")
            for entry in entries:
                if _is_code(entry.filename):
                    continue
                with archive.open(entry) as part:
                    while part.read(READ_BYTES):
                        pass
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise damaged from error
    except OSError as error:
        if error.errno in (None, errno.EINVAL):  # a place that a damaged file does not have
            raise damaged from error
        raise


def check_claims(tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    """Refuse tensors that are larger than what the file stores for them, as strides of zero make them.

    Raises:
        InputError: naming the tensor.
    """
    total = 0
    for name, tensor in tensors.items():
        if str(tensor.layout) != "torch.strided" or tensor.is_quantized:
            continue  # refused later, in words of its own
        size = tensor.numel() * tensor.element_size()
        if size > tensor.untyped_storage().nbytes():
            raise InputError(f"The tensor '{name[:80]}' of {file.name} claims more values than are stored: save the weights again.")
        total += tensor.numel() * max(4, tensor.element_size())
    if total > MOST_GROWTH * file.stat().st_size + SLACK_BYTES:
        raise InputError(f"The tensors of {file.name} claim more values than are stored: save the weights again.")
    require_memory(total, f"{file.name}")


def _is_code(name: str) -> bool:
    return "/code/" in name or name.endswith((".py", ".debug_pkl"))
