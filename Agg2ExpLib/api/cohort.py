"""``cohort``: many results, or tables of them, as one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..monitor import Monitor
from .log_monitor import LogMonitor
from .result import Result

if TYPE_CHECKING:
    from ..cohorts.summarise import Summary


def cohort(
    sources: Sequence[Result | str | Path] | str | Path,
    output: str | Path | None = None,
    monitor: Monitor | None = None,
    **options: Any,
) -> Summary:
    """Global RoI importance of a cohort: the mean matrix with confidence intervals.

    Args:
        sources: results, results folders, folders of them, or CSV tables.
        output: folder for tables, figures and ``report.html``; nothing is written without it.
        monitor: is told notices.
        options: see :class:`~Agg2ExpLib.cohorts.summarise.SummaryOptions`: ``name``, ``compare``, ``confidence``, ``resamples``, …

    Returns:
        The summary: ``overall`` (global matrix with its interval), ``systems``, ``cohort`` (the matrices), ``notices``.

    Raises:
        InputError: a source cannot be read, or they do not belong together.

    Examples:
        >>> results = [agg2exp.Result.open(folder) for folder in ("result_a", "result_b", "result_c")]
        >>> found = agg2exp.cohort(results)  # or folders, or CSV tables
        >>> found.overall.matrix().to_frame().loc["heart"].nlargest(3)
        >>> found.overall.low, found.overall.high  # 95 % interval of every entry
        >>> agg2exp.cohort(results, "summary")  # writes tables, figures and report.html
    """
    from ..cohorts.summarise import SummaryOptions, compute_summary, summarise_cohort

    monitor = monitor or LogMonitor()
    unknown = [key for key in options if key not in SummaryOptions.__dataclass_fields__]
    if unknown:
        raise InputError(f"A cohort has no option '{unknown[0]}': there are {', '.join(SummaryOptions.__dataclass_fields__)}.")
    chosen = SummaryOptions(**options)
    given = [sources] if isinstance(sources, Result | str | Path) else list(sources)
    with tempfile.TemporaryDirectory(prefix="agg2exp_cohort_") as folder:
        paths: list[str | Path] = []
        for number, source in enumerate(given):
            if isinstance(source, Result):
                paths.append(_as_folder(source, Path(folder) / str(number)))
            else:
                paths.append(source)
        if output is not None:
            return summarise_cohort(paths, output, chosen, monitor)
        found = compute_summary(paths, chosen)
    for notice in found.notices:
        monitor.notice(notice)
    return found


def _as_folder(result: Result, folder: Path) -> Path:
    """The parts of a result that cohorts read."""
    from ..roi_importance.tables import write_tidy
    from ..runs.results import RUN_FILE, TIDY_FILE
    from ..system.files import write_json

    if result.matrix is None:
        raise InputError(f"The result of {result.patient} explains nothing: make it with explain.")
    folder.mkdir()
    write_json(folder / RUN_FILE, result.run)
    write_tidy(folder / TIDY_FILE, result.matrix, result.patient)
    return folder
