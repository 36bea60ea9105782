"""Every region removed in turn: the matrix of effects beside that of attributions."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..monitor import Monitor, Stage
from ..system.files import OutputFolder, write_json
from ..version import __version__
from .edit import Edit
from .effects_table import PLACE, RECORD, TABLE
from .outcome import FOLDER
from .subject import Subject

if TYPE_CHECKING:
    import pandas as pd

    from ..roi_importance.matrix import ImportanceMatrix

# Fewer regions in common say nothing about an order.
_FEWEST = 4


@dataclass(frozen=True, eq=False)
class Effects:
    """What removing each region does to each label: the direct test of the importance matrix.

    Attributes:
        rows: labels that the model drew.
        columns: regions that were removed in turn.
        dice: ``[rows, columns]``, overlap of the label before and after.
        volume: change of the volume in per cent.
        logit: mean change of the label's logit over the voxels it had; the counterpart of an attribution.
        fill: what took the regions' place.
        run: what is recorded beside.

    Examples:
        >>> effects = agg2exp.causal_matrix("result_a", "swin_unetr.pt")
        >>> effects.to_frame("dice").loc["heart"].nsmallest(3)  # what the heart cannot do without
        >>> effects.agreement(agg2exp.Result.open("result_a").matrix)
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    dice: np.ndarray
    volume: np.ndarray
    logit: np.ndarray
    fill: str
    run: dict[str, Any] = field(default_factory=dict)

    def to_frame(self, values: str = "logit") -> pd.DataFrame:
        """``logit``, ``dice`` or ``volume`` as a table, labels × removed regions."""
        import pandas as pd

        return pd.DataFrame(getattr(self, values), index=list(self.rows), columns=list(self.columns))

    def agreement(self, matrix: ImportanceMatrix) -> dict[str, float]:
        """Spearman's rank correlation, per explained label, of the importance of regions and the size of their effect on the logit.

        1: what the attributions call important is what the model cannot do without, in the same order. NaN with fewer than 4
        regions in common.
        """
        from scipy.stats import spearmanr

        found = {}
        importance = matrix.best()
        for label in matrix.rows:
            if label not in self.rows:
                continue
            shared = [name for name in self.columns if name in matrix.columns]
            ours = [abs(self.logit[self.rows.index(label), self.columns.index(name)]) for name in shared]
            theirs = [importance[matrix.rows.index(label), matrix.columns.index(name)] for name in shared]
            known = [pair for pair in zip(ours, theirs, strict=True) if all(map(math.isfinite, pair))]
            few = len(known) < _FEWEST or any(len(set(side)) < 2 for side in zip(*known, strict=True))
            found[label] = math.nan if few else float(spearmanr(*zip(*known, strict=True)).statistic)
        return found

    def save(self, result: str | Path, matrix: ImportanceMatrix | None = None) -> Path:
        """Write table and record to ``RESULT/what_if/all``.

        Raises:
            InputError: it cannot be written.
        """
        place = Path(result) / FOLDER / PLACE
        agreement = self.agreement(matrix) if matrix is not None else {}
        try:
            place.parent.mkdir(exist_ok=True)
            output = OutputFolder(place, overwrite=True)
        except OSError as error:
            raise InputError(
                f"Cannot write to {place.parent} ({error.strerror or error}): make room or copy the result."
            ) from error
        try:
            (output.temporary / TABLE).write_text(self._csv(), encoding="utf-8", newline="")
            told = {name: None if math.isnan(value) else round(value, 4) for name, value in agreement.items()}
            record = {"agg2exp": __version__, "fill": self.fill, "labels": list(self.rows), "regions": list(self.columns)}
            write_json(output.temporary / RECORD, record | {"rank_correlation": told} | self.run)
            return output.publish()
        except OSError as error:
            raise InputError(
                f"Cannot write to {place.parent} ({error.strerror or error}): make room or copy the result."
            ) from error
        finally:
            output.discard()

    def _csv(self) -> str:
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["label", "removed", "dice", "volume_change_percent", "mean_logit_change"])
        for i, row in enumerate(self.rows):
            for j, column in enumerate(self.columns):
                values = (self.dice[i, j], self.volume[i, j], self.logit[i, j])
                writer.writerow([row, column, *("" if math.isnan(value) else round(float(value), 6) for value in values)])
        return file.getvalue()


def remove_each(subject: Subject, fill: str, monitor: Monitor, names: Sequence[str] = ()) -> Effects:
    """Remove regions in turn.

    Args:
        subject: with its network at work.
        fill: see :func:`~.fills.fill`.
        monitor: is told progress and asked to stop.
        names: of the regions; by default every label that the result holds and every extra region.

    Raises:
        InputError: an unknown region, or nothing to remove.
        Cancelled: the monitor asked to stop.
    """
    wanted = tuple(names) or subject.names
    columns = tuple(name for name in wanted if 0 < np.count_nonzero(subject.mask([name])) < subject.result.segmentation.size)
    if not columns:
        raise InputError("The result holds no region that could be removed: segment a CT in which the model finds something.")
    found = []
    for number, name in enumerate(columns):
        stage = Stage(monitor, f"without {name}", number / len(columns), (number + 1) / len(columns))
        found.append({entry.label: entry for entry in subject.ask(Edit("remove", (name,), fill), stage).labels})
    rows = tuple(label.name for label in subject.result.labels[1:] if found[0][label.name].before_ml > 0)

    def table(value: str) -> np.ndarray:
        return np.array([[getattr(effect[row], value) for effect in found] for row in rows], dtype=np.float64)

    run = {"patient": subject.result.patient, "weights": subject.result.run.get("weights")}
    return Effects(rows, columns, table("dice"), table("percent"), table("logit"), fill, run)
