"""``evaluate``: which attribution method is best for a model and these scans."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..models.model import Model
from ..monitor import Monitor
from .log_monitor import LogMonitor
from .sources import read_ct

if TYPE_CHECKING:
    from ..evaluation.run import Evaluation


def evaluate(
    cts: Any,
    model: Model | str | Path,
    methods: Sequence[str] | str,
    labels: Sequence[str] = (),
    output: str | Path | None = None,
    monitor: Monitor | None = None,
    **settings: Any,
) -> Evaluation:
    """Faithfulness, sensitivity, complexity, time and memory of attribution methods.

    Args:
        cts: scans by patient id, a list of them, or one; anything that :func:`~Agg2ExpLib.api.sources.read_ct` takes.
        model: a model, or the file of its weights.
        methods: each ``name`` or ``name:parameter=value,…``, such as ``"smoothgrad:samples=10"``.
        labels: names to explain; by default all that are found.
        output: folder for tables and finished pieces; the same call goes on where one was interrupted. Nothing is kept without it.
        monitor: is told progress and notices.
        settings: see :class:`~Agg2ExpLib.evaluation.settings.Settings`: ``runs``, ``copies``, ``metrics``, ``device``, …

    Returns:
        The evaluation: ``rows``, one number each, and ``failures``.

    Raises:
        InputError: something given cannot be used, or nothing at all could be evaluated.

    Examples:
        >>> model = agg2exp.Model.load("swin_unetr.pt")
        >>> methods = ["gradient", "smoothgrad:samples=2"]
        >>> found = agg2exp.evaluate("chest.nii.gz", model, methods, ["heart"], runs=4, subset_voxels=500, copies=1)
        >>> [(row.method, row.metric, row.value) for row in found.rows]
    """
    from ..evaluation.run import entries_of
    from ..evaluation.run import evaluate as evaluate_into
    from ..evaluation.settings import Settings
    from ..io.patient_table import Entry

    unknown = [key for key in settings if key not in Settings.__dataclass_fields__]
    if unknown:
        raise InputError(f"An evaluation has no setting '{unknown[0]}': there are {', '.join(Settings.__dataclass_fields__)}.")
    names = (methods,) if isinstance(methods, str) else tuple(methods)
    weights = "" if isinstance(model, Model) else str(model)
    chosen = Settings(weights, names, labels=tuple(labels), **settings)
    with tempfile.TemporaryDirectory(prefix="agg2exp_evaluate_") as folder:
        scratch = Path(folder)
        if isinstance(cts, Mapping):
            files = {name: _as_file(ct, scratch / str(number)) for number, (name, ct) in enumerate(cts.items())}
            entries = [Entry(name, file, None, ()) for name, file in files.items()]
        else:
            given = list(cts) if isinstance(cts, list | tuple) and not _is_pair(cts) else [cts]
            entries = entries_of([_as_file(ct, scratch / str(number)) for number, ct in enumerate(given)])
        place = Path(output) if output is not None else scratch / "evaluation"
        return evaluate_into(entries, chosen, place, monitor or LogMonitor(), model if isinstance(model, Model) else None)


def _is_pair(cts: Any) -> bool:
    """Whether this is one array with its affine, and not two scans."""
    return isinstance(cts, tuple) and len(cts) == 2 and getattr(cts[1], "shape", None) == (4, 4)


def _as_file(ct: Any, folder: Path) -> str:
    """A scan's file; one in memory is written for as long as the evaluation runs."""
    if isinstance(ct, str | Path):
        return str(ct)
    from ..io.write import write_volume

    volume = read_ct(ct)
    folder.mkdir()
    path = folder / f"{volume.name or 'ct'}.nii.gz"
    write_volume(path, volume.array, volume.affine, compress=True)
    return str(path)
