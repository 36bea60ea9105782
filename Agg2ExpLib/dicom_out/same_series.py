"""Whether a DICOM series is the CT of a result: by its files' checksum, else by the CT itself, voxel by voxel."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..io.source_files import sha256_of
from ..preprocessing.preprocessing import Preprocessing
from ..runs.explanation import Explanation
from .source import Source

# A CT that went through another format comes back with places in float32 and values rounded.
SAME_PLACE = 0.02
SAME_HU = 2.0
SAME_SHARE = 0.99


def check_same_series(found: Explanation, source: Source) -> None:
    """Refuse a series that the result was not made from.

    Where the checksum of the files differs (files added, or a CT that was converted before it was explained), the series is brought
    to the model grid as the run did it, and must give the CT that the result holds.

    Raises:
        InputError: another series.
    """
    if (found.run.get("ct") or {}).get("sha256") == sha256_of(source.folder):
        return
    steps = (found.run.get("model_grid") or {}).get("preprocessing")
    if steps is None:
        raise InputError(
            f"Whether the series in {source.folder.name} is the CT of this result cannot be told, since its run.json does not say "
            "how the CT was prepared: explain the series again."
        )
    prepared = Preprocessing.from_json(steps, "run.json").prepare(source.ct())
    if not prepared.grid.same_as(found.grid, SAME_PLACE):
        raise _another(source, "it lies elsewhere or has another spacing")
    same = np.abs(np.rint(prepared.hu) - found.hu) <= SAME_HU
    if same.mean() < SAME_SHARE:
        raise _another(source, f"{100 * (1 - same.mean()):.0f} % of its voxels differ")


def _another(source: Source, why: str) -> InputError:
    return InputError(
        f"The series in {source.folder.name} is not the CT of this result ({why}): give the folder with the series that was "
        "explained."
    )
