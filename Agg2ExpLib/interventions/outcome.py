"""What a change of the CT does to every label, in numbers, and its folder."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..inference.segmentation import Segmented
from ..io.grid import Grid
from ..io.write import write_volume
from ..models.labels import Label, title_of
from ..system.files import OutputFolder, write_json
from ..system.names import is_file_name
from ..version import __version__
from .edit import Edit

if TYPE_CHECKING:
    import pandas as pd

FOLDER, RECORD, TABLE = "what_if", "what_if.json", "what_if.csv"
CT_AFTER, SEGMENTATION_AFTER = "ct.nii.gz", "segmentation.nii.gz"
# Labels that overlap themselves at least so much are not told one by one.
_LITTLE = 0.99
MOST_OUTLINED = 4  # more outlines before and after, one over the other, cannot be told apart
COLUMNS = ("label", "volume_before_ml", "volume_after_ml", "volume_change_percent", "dice", "mean_logit_change")


@dataclass(frozen=True)
class LabelChange:
    """One label before and after a change of the CT.

    Attributes:
        label: name.
        before_ml, after_ml: volume.
        dice: overlap of the two; NaN where the label was not there before.
        logit: mean change of the label's logit over the voxels it had; NaN where it had none.
    """

    label: str
    before_ml: float
    after_ml: float
    dice: float
    logit: float

    @property
    def percent(self) -> float:
        """Change of the volume; NaN where the label was not there before."""
        return 100 * (self.after_ml / self.before_ml - 1) if self.before_ml else math.nan

    @property
    def changed(self) -> bool:
        """Whether any voxel did."""
        return self.before_ml != self.after_ml or not (math.isnan(self.dice) or self.dice == 1)

    @property
    def changed_much(self) -> bool:
        """Whether people would see it."""
        return self.changed and not self.dice >= _LITTLE


@dataclass(frozen=True, eq=False)
class WhatIf:
    """What a model draws on a changed CT; arrays are ``[x, y, z]`` on the model grid.

    Attributes:
        edit: the change.
        grid: the model grid.
        hu: the changed CT, int16.
        where: voxels that may differ from the CT, boolean.
        before, after: segmentations.
        labels: every label but the background, the most changed first.
        run: what is recorded beside.

    Examples:
        >>> answer = agg2exp.what_if("result_a", "swin_unetr.pt", remove="lung")
        >>> print(answer)
        >>> answer.to_frame().loc["heart", "dice"]
    """

    edit: Edit
    grid: Grid
    hu: np.ndarray
    where: np.ndarray
    before: Segmented
    after: Segmented
    labels: tuple[LabelChange, ...]
    run: dict[str, Any] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """The table, one label a row, the most changed first."""
        import pandas as pd

        return pd.DataFrame(_rows(self.labels), columns=list(COLUMNS)).set_index("label")

    def save(self, result: str | Path, name: str | None = None, overwrite: bool = True) -> Path:
        """Write the changed CT, segmentation, table and record to ``RESULT/what_if/NAME``.

        Args:
            result: folder of the result that was asked about.
            name: of the folder; by default told by the change.
            overwrite: whether an earlier answer of that name is replaced.

        Raises:
            InputError: it exists and may not be replaced, cannot be written, or ``name`` is none for a folder.
        """
        check_name(name)
        place = Path(result) / FOLDER / (name or self.edit.folder_name)
        try:
            place.parent.mkdir(exist_ok=True)
            output = OutputFolder(place, overwrite)
        except OSError as error:
            raise InputError(
                f"Cannot write to {place.parent} ({error.strerror or error}): make room or copy the result."
            ) from error
        try:
            write_volume(output.temporary / CT_AFTER, self.hu, self.grid.affine, compress=True)
            write_volume(output.temporary / SEGMENTATION_AFTER, self.after.labels, self.grid.affine, compress=True)
            (output.temporary / TABLE).write_text(_csv(self.labels), encoding="utf-8", newline="")
            record = {"agg2exp": __version__, "edit": self.edit.to_json(), "title": self.edit.title}
            write_json(output.temporary / RECORD, record | self.run)
            return output.publish()
        except OSError as error:
            raise InputError(
                f"Cannot write to {place.parent} ({error.strerror or error}): make room or copy the result."
            ) from error
        finally:
            output.discard()

    def __str__(self) -> str:
        every = [label for label in self.labels if label.changed]
        changed = [label for label in every if label.changed_much]
        lines = [f"{self.edit.title[0].upper()}{self.edit.title[1:]}: {len(every)} of {len(self.labels)} labels change."]
        width = max((len(title_of(label.label)) for label in changed), default=0)
        for label in changed:
            percent = "new" if math.isnan(label.percent) else f"{label.percent:+.1f} %"
            dice = "" if math.isnan(label.dice) else f"   Dice {label.dice:.3f}"
            volumes = f"{label.before_ml:9.1f} → {label.after_ml:9.1f} ml"
            lines.append(f"  {title_of(label.label):{width}}  {volumes}  {percent:>9}{dice}")
        if rest := len(every) - len(changed):
            lines.append(f"  {rest} other{'s' if rest > 1 else ''} with a Dice of at least {_LITTLE}")
        return "\n".join(lines)


def check_name(name: str | None) -> None:
    """Refuse what would lead out of the result's folder, or is no name on other systems.

    Raises:
        InputError: it is none for a folder.
    """
    if name and not is_file_name(name):
        raise InputError(f"The ⟨name⟩ {name!r} cannot name a folder on every system: use letters, digits, spaces, - and _.")


def outlined(changed: Sequence[str], asked: Collection[str]) -> list[str]:
    """The labels to outline in a picture, :data:`MOST_OUTLINED` at most: what was asked about, then what changes most.

    Args:
        changed: labels that change, the most changed first.
        asked: regions that the question was about.
    """
    first = [name for name in changed if name in asked]
    return [*first, *(name for name in changed if name not in asked)][:MOST_OUTLINED]


def compare(
    before: Segmented, after: Segmented, labels: Sequence[Label], logits: dict[str, float], millilitres: float
) -> tuple[LabelChange, ...]:
    """Every label but the background before and after, the most changed (lowest Dice, then volume) first.

    Args:
        before, after: segmentations on the same grid.
        labels: of the model, the background first.
        logits: mean change of a label's logit, where it is known.
        millilitres: volume of a voxel.
    """
    found = []
    for label in labels[1:]:
        first, second = before.mask(label.index), after.mask(label.index)
        sizes = int(first.sum()), int(second.sum())
        shared = int((first & second).sum())
        dice = 2 * shared / sum(sizes) if sizes[0] else math.nan
        found.append(
            LabelChange(label.name, sizes[0] * millilitres, sizes[1] * millilitres, dice, logits.get(label.name, math.nan))
        )

    def change(entry: LabelChange) -> tuple[float, float]:
        # A label that appears has no Dice, and has changed from nothing to something.
        dice = entry.dice if not math.isnan(entry.dice) else 0.0 if entry.after_ml else 1.0
        return dice, -abs(entry.after_ml - entry.before_ml)

    return tuple(sorted(found, key=change))


def _rows(labels: Sequence[LabelChange]) -> list[tuple[Any, ...]]:
    return [(entry.label, entry.before_ml, entry.after_ml, entry.percent, entry.dice, entry.logit) for entry in labels]


def _csv(labels: Sequence[LabelChange]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, *values in _rows(labels):
        writer.writerow([name, *("" if math.isnan(value) else round(value, 6) for value in values)])
    return file.getvalue()
