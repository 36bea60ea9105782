"""The CT, model and result that changes are asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..inference.compute import Compute
from ..inference.sliding_window import WindowPlan
from ..io.turn import Turn
from ..models.model import Model
from ..models.model_card import SEGMENTATION
from ..models.variant import Variant
from ..monitor import Monitor, Stage
from ..preprocessing.preprocessing import Prepared
from ..preprocessing.ras_spacing import RasSpacing
from ..preprocessing.step import Geometry, Intensity
from ..runs.case import Case, make_case
from ..runs.explanation import whole_name
from .edit import Edit
from .outcome import LabelChange, WhatIf, compare
from .redraw import Redrawer, Redrawn

if TYPE_CHECKING:
    from ..io.volume import Volume
    from ..models.labels import Label
    from ..runs.explanation import Explanation

# Share of the voxels whose label may differ from the result's, by rounding to whole HU and another device.
_ROUNDING = 0.01


class Subject:
    """One result whose CT is changed; its network must be at work.

    Args:
        result: an explanation or a segmentation, in memory or read from its folder.
        case: from :func:`case_of`.
        regions: masks by name that may be changed, beside the result's labels and extra regions.

    Attributes:
        drawn: further masks by name, which may be replaced between questions.
    """

    def __init__(self, result: Explanation, case: Case, regions: Mapping[str, np.ndarray] | None = None):
        self.result, self.case = result, case
        self._masks: dict[str, np.ndarray] = {**result.extra_rois, **(regions or {})}
        self._redrawer = Redrawer(case, result.segmentation)
        self.drawn: dict[str, np.ndarray] = {}
        self._told = False

    def listen(self, monitor: Monitor) -> None:
        """From now on this monitor is told and asked."""
        self.case.monitor = monitor
        self._redrawer.listen()

    @property
    def names(self) -> tuple[str, ...]:
        """Regions that can be named, without the background."""
        return (*(label.name for label in self.result.labels[1:]), *self._masks, *self.drawn)

    def mask(self, names: Sequence[str]) -> np.ndarray:
        """The voxels of regions, boolean ``[x, y, z]``.

        Raises:
            InputError: an unknown name.
        """
        import difflib

        labels = {label.name: label for label in self.result.labels}
        found = np.zeros(self.result.segmentation.shape, dtype=bool)
        for name in names:
            if name in labels:
                found |= self._own(labels[name])
            elif (mask := self._masks.get(name, self.drawn.get(name))) is not None:
                found |= mask
            else:
                near = difflib.get_close_matches(name, self.names, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(self.names)}."
                raise InputError(f"This result has no region '{name}': {hint}")
        return found

    def _own(self, label: Label) -> np.ndarray:
        """All voxels of a label, also those that other labels hide in the segmentation."""
        whole = self.result.extra_rois.get(whole_name(label.name)) if self.case.model.card.output == "sigmoid" else None
        return whole if whole is not None else np.equal(self.result.segmentation, label.index)

    def ask(self, edit: Edit, stage: Stage) -> WhatIf:
        """What the model draws after a change.

        Raises:
            InputError: the region is empty, unknown, or cannot be changed so.
            Cancelled: the monitor asked to stop.
        """
        case = self.case
        hu, where = edit.apply(case.hu, self.mask(edit.regions), case.grid.spacing)
        image = np.where(where, case.prepared.intensity(hu), case.prepared.image)
        card = case.model.card
        targets = {}
        for label in card.labels[1:]:
            mask = self._own(label)
            if mask.any():
                targets[label.name] = (card.channel(label), mask)
        drawn = self._redrawer.redraw(image, targets, stage)
        self._check(drawn)
        labels = compare(drawn.before, drawn.after, card.labels, drawn.changes, float(np.prod(case.grid.spacing)) / 1000)
        whole = np.clip(np.rint(hu), -32768, 32767).astype(np.int16)
        run = self._record(drawn, where, labels)
        return WhatIf(edit, case.grid, whole, where, drawn.before, drawn.after, labels, run)

    def _check(self, drawn: Redrawn) -> None:
        """Tell once where the model does not draw what the result shows."""
        differ = float(np.mean(drawn.before.labels != self.result.segmentation))
        if differ > _ROUNDING and not self._told:
            self._told = True
            self.case.monitor.notice(
                f"On the CT as it is the model now draws {100 * differ:.1f} % of the voxels otherwise than in the result: give the "
                "original CT with ⟨ct⟩, and the device and precision of the result."
            )

    def _record(self, drawn: Redrawn, where: np.ndarray, labels: Sequence[LabelChange]) -> dict[str, Any]:
        return {
            "patient": self.result.patient,
            "weights": self.result.run.get("weights"),
            "changed_voxels": int(where.sum()),
            "changed_labels": [entry.label for entry in labels if entry.changed],
            "windows": {"touched": drawn.windows, "computed": drawn.passes, "all": len(self.case.plan.windows)},
            "device": self.case.compute.device_name,
            "precision": self.case.compute.precision,
        }


def case_of(result: Explanation, model: Model, compute: Compute, monitor: Monitor, ct: Volume | None = None) -> Case:
    """The case of a result.

    Args:
        result: whose grid and windows they are.
        model: that made it.
        compute: device and precision.
        monitor: is told and asked.
        ct: the original CT; without it the result's own copy is taken, which is on the model grid and rounded to whole HU.

    Raises:
        InputError: another model, another CT, or the original CT is needed.
    """
    if result.run.get("classes"):
        raise InputError(
            "This result explains a classifier, which draws nothing: what-if needs the result of a segmentation network."
        )
    model.require(SEGMENTATION, "What-if")
    made_by = (result.run.get("weights") or {}).get("sha256")
    if made_by and made_by != model.sha256:
        raise InputError("The result was made with other weights: give those that it was made with.")
    if Variant.noted(result.run).mirror != model.variant.mirror:
        raise InputError(
            "The result was made with mirrored windows or without, and the model is not: load it with the same ⟨mirror⟩."
        )
    if len(model.card.labels) != len(result.labels):
        raise InputError("The model has other labels than the result: give the model that it was made with.")
    parameters = result.run.get("parameters") or {}
    card, overlap, blend = model.card, parameters.get("overlap"), parameters.get("blend")
    if ct is not None:
        case = make_case(ct, model, compute, monitor, overlap, blend)
        if not case.grid.same_as(result.grid):
            raise InputError("The CT does not lie on the result's grid: give the CT that the result was made from.")
        return case
    steps = card.preprocessing.steps
    geometry = [step for step in steps if isinstance(step, Geometry)]
    # Intensities must follow the geometry, and depend on the CT's own values alone.
    if len(geometry) != 1 or not isinstance(steps[0], RasSpacing):
        raise InputError("This model prepares its CT in ways that the result's copy does not hold: give the original CT with ⟨ct⟩.")
    hu = np.asarray(result.hu, dtype=np.float32)
    fitted: list[Intensity] = []
    values = hu
    for step in steps:
        if isinstance(step, Intensity):
            fitted.append(step.fitted(values))
            values = fitted[-1].apply(values)
    prepared = Prepared(result.grid, hu, np.ascontiguousarray(values, dtype=np.float32), Turn(), tuple(fitted))
    from ..inference.sliding_window import BLEND, OVERLAP

    plan = WindowPlan(
        result.grid.shape,
        card.roi_size,
        next(value for value in (overlap, card.overlap, OVERLAP) if value is not None),
        blend or card.blend or BLEND,
        card.windows,
    )
    return Case(model, compute, prepared, plan, monitor)
