"""``importance``: further regions for a result, without running the model again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..io.volume import Volume
from ..monitor import Monitor
from ..roi_importance.matrix import Regions
from ..runs.recompute import extended_matrix
from .log_monitor import LogMonitor
from .result import Result
from .sources import regions_on_grid


def importance(result: Result | str | Path, regions: Mapping[str, Any] | Sequence[str], monitor: Monitor | None = None) -> Result:
    """A result with further regions of interest in its matrix.

    Limits and Monte-Carlo errors stay for the columns that the result has; those of new columns are told from what the result keeps
    of its noise, see :mod:`Agg2ExpLib.roi_importance.kept_noise`.

    Args:
        result: with maps, or its folder.
        regions: as for :func:`~Agg2ExpLib.api.explain.explain`; arrays without an affine are on the result's own grid.
        monitor: is told notices.

    Returns:
        A new result; the given one stays as it is.

    Raises:
        InputError: the result has no maps, or a region cannot be used.

    Examples:
        >>> result = agg2exp.Result.open("result_a")
        >>> with_lesion = agg2exp.importance(result, {"lesion": "lesion.nrrd"})
        >>> upper = np.arange(result.hu.shape[2]) > 20  # a mask on the result's own grid
        >>> halves = agg2exp.importance(result, {"upper": np.broadcast_to(upper, result.hu.shape).copy()})
        >>> halves.matrix.to_frame("limit")["upper"]
    """
    monitor = monitor or LogMonitor()
    result = Result.open(result) if isinstance(result, str | Path) else result
    if result.matrix is None:
        raise InputError("This result holds no attribution maps: make them with explain first.")
    ct = Volume(result.hu, result.affine, result.patient)
    names = [label.name for label in result.labels]
    taken = [*names, *(entry["name"] for entry in result.run.get("classes", ()))]
    added, told = regions_on_grid(regions, ct, result.grid, taken, tuple(result.extra_rois))
    for warning in told:
        monitor.notice(warning)
    extra = [*result.extra_rois.items(), *added]
    columns = Regions(result.segmentation, names, extra)
    sums = {label: columns.sums(map_) for label, map_ in result.maps.items()}
    matrix = extended_matrix(result.matrix, columns, sums, result.noise)
    run = {**result.run, "extra_rois": [name for name, _ in extra], "notices": [*result.notices, *told]}
    return replace(result, matrix=matrix, extra_rois=dict(extra), run=run)
