"""A reference as a file: arrays and parameters in NumPy's ``.npz`` without pickle or patient ids; forests grow again."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..system.files import replacing
from ..version import __version__
from .forest import Reference, anomaly_scores

SUFFIX = ".npz"
_FORMAT = 1


def save_reference(path: Path, reference: Reference) -> None:
    """Write a reference.

    Raises:
        InputError: the suffix is not ``.npz``, or the file cannot be written.
    """
    import sklearn

    if path.suffix != SUFFIX:
        raise InputError(f"A reference is written as {SUFFIX}, not as '{path.name}'.")
    content = {
        "agg2exp_reference": _FORMAT,
        "agg2exp": __version__,
        "scikit_learn": sklearn.__version__,
        "rows": reference.rows,
        "columns": reference.columns,
        "trees": reference.trees,
        "seed": reference.seed,
        "weights_sha256": reference.weights,
        "settings": reference.settings,
    }
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(content)), mass=reference.mass, scores=reference.scores)
    except OSError as error:
        raise InputError(f"Cannot write {path} ({error.strerror or error}): choose another place.") from None


def load_reference(path: Path) -> tuple[Reference, list[str]]:
    """Read a reference; nothing in the file is executed.

    Returns:
        The reference, and what the user should know: forests that grow differently here than where it was made.

    Raises:
        InputError: it is no reference of Agg2Exp or damaged.
    """
    reference, made_with = read_reference(path)
    return reference, _check(reference, made_with)


def read_reference(path: Path) -> tuple[Reference, str]:
    """As :func:`load_reference` without growing a forest, so that it needs no scikit-learn.

    Returns:
        The reference, and the version of scikit-learn that it was made with.

    Raises:
        InputError: as for :func:`load_reference`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            mass, scores = file["mass"].astype(np.float64), file["scores"].astype(np.float64)
        if about["agg2exp_reference"] != _FORMAT:
            raise InputError(f"{path} was written by a newer Agg2Exp ({about.get('agg2exp')}): update agg2exp to read it.")
        rows, columns = tuple(map(str, about["rows"])), tuple(map(str, about["columns"]))
        weights = tuple(map(str, about["weights_sha256"]))
        settings = dict(about.get("settings", {}))  # older files have none
        reference = Reference(rows, columns, mass, scores, int(about["trees"]), int(about["seed"]), weights, settings)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a reference of Agg2Exp ({error}): make one with ⟨save_reference⟩.") from None
    if mass.ndim != 3 or mass.shape[1:] != (len(rows), len(columns)) or scores.shape != mass.shape[:2] or not mass.size:
        raise InputError(f"{path} is damaged: its arrays do not fit each other.")
    return reference, str(about.get("scikit_learn"))


def _check(reference: Reference, made_with: str) -> list[str]:
    """Grow one forest again and compare."""
    import sklearn

    here = np.flatnonzero(np.isfinite(reference.mass[:, 0, 0]))
    if len(here) < 2:
        return []
    rows = reference.mass[here, 0]
    again = anomaly_scores(rows[1:], rows[:1], reference.trees, reference.seed)[0]
    if abs(again - reference.scores[here[0], 0]) < 1e-9:
        return []
    return [
        f"The reference was made with scikit-learn {made_with}; {sklearn.__version__} grows other trees from the same seed, so "
        "scores differ slightly from those of its maker."
    ]
