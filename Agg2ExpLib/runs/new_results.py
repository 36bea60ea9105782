"""A results folder around the work that fills it: published when all went well, gone otherwise, and what failed in one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, OutOfMemoryError
from ..inference.compute import Compute, is_out_of_memory
from ..system.files import OutputFolder


@contextlib.contextmanager
def new_results(place: Path, overwrite: bool, compute: Compute) -> Iterator[OutputFolder]:
    """A folder to fill, which takes its place when the block ends without an error.

    Args:
        place: where the results shall be.
        overwrite: whether results that are there may be replaced.
        compute: whose memory may be too small.

    Raises:
        InputError: it exists, or a file cannot be read or written.
        OutOfMemoryError: see :func:`volumes_must_fit`.
    """
    output = OutputFolder(place, overwrite)
    try:
        with volumes_must_fit(compute):
            yield output
            output.publish()
    except InputError as error:
        if (hidden := str(output.temporary)) not in error.template:
            raise
        raise InputError(error.template.replace(hidden, str(output.final))) from error
    except OSError as error:
        raise _file_problem(error, output) from error
    finally:
        output.discard()


@contextlib.contextmanager
def volumes_must_fit(compute: Compute) -> Iterator[None]:
    """Turn a full memory into a sentence.

    Raises:
        OutOfMemoryError: the memory was too small for the volumes, or for the network.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"The volumes of this scan do not fit into the memory of the {compute.device_name}.",
            "Explain fewer labels at a time, close other programs, or run on the CPU with ⟨device⟩ cpu.",
        ) from error


def check_apart(ct: Path, output: Path) -> None:
    """Refuse an output in the CT's own folder, whose files would be read as the CT's the next time.

    Raises:
        InputError: it lies there.
    """
    try:
        inside = ct.is_dir() and ct.resolve() in (output.resolve(), *output.resolve().parents)
    except (OSError, RuntimeError, ValueError):  # a circle of links, which is told where it is opened
        inside = False
    if inside:
        raise InputError(f"The output must not lie in the folder of the CT ({ct.name}): choose another ⟨output⟩.")


def _file_problem(error: OSError, output: OutputFolder) -> InputError:
    """What the operating system refused, in one sentence: reading something given, or writing the results."""
    reason = error.strerror or str(error)
    if isinstance(error.filename, str) and not error.filename.startswith((str(output.temporary), str(output.final))):
        return InputError(f"{error.filename} cannot be read ({reason}): check the path and its permissions.")
    return InputError(f"Cannot write the results to {output.final.parent} ({reason}): make room or choose another ⟨output⟩.")
