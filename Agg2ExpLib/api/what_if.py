"""``what_if`` and ``causal_matrix``: the model asked about a changed CT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError
from ..inference.compute import choose_compute
from ..inference.network import at_work
from ..interventions.edit import Edit
from ..interventions.effects import Effects, remove_each
from ..interventions.outcome import WhatIf
from ..interventions.subject import Subject, case_of
from ..io.volume import Volume
from ..models.model import Model, load_model
from ..models.variant import Variant
from ..monitor import Monitor, Stage
from .log_monitor import LogMonitor
from .result import Result
from .sources import read_ct, regions_on_grid

_T = TypeVar("_T")
Names = str | Sequence[str]


def what_if(
    result: Result | str | Path,
    model: Model | str | Path,
    *,
    remove: Names = (),
    keep: Names = (),
    noise: Names = (),
    shift: Names = (),
    fill: str = "surroundings",
    amount: float = 0.0,
    seed: int = 0,
    regions: Mapping[str, Any] | Sequence[str] | None = None,
    ct: Any = None,
    device: str = "auto",
    precision: str = "auto",
    monitor: Monitor | None = None,
) -> WhatIf:
    """What would the model draw if a region were not there, alone, noisy, or lighter or darker?

    Args:
        result: with a segmentation, or its folder.
        model: that made it, or the file of its weights.
        remove, keep, noise, shift: exactly one of them: the names of one or more regions (labels or extra regions).
        fill: what takes the place of what is removed (or not kept): ``surroundings``, ``blurred``, ``mean``, ``air`` or
            ``soft_tissue``.
        amount: HU: standard deviation of the noise, or the shift.
        seed: of the noise.
        regions: further regions that may be named, as for :func:`~Agg2ExpLib.api.explain.explain`, such as a drawn blob.
        ct: the original CT; by default the result's copy on the model grid, rounded to whole HU.
        device, precision: see :func:`~Agg2ExpLib.api.explain.segment`.
        monitor: is told progress and notices.

    Returns:
        The changed CT, both segmentations, and for every label its volume before and after, Dice, and the change of its logit.

    Raises:
        InputError: not exactly one change, an unknown or empty region, a fill that needs surroundings where there are none, or a
            model that did not make the result.

    Examples:
        >>> answer = agg2exp.what_if("result_a", "swin_unetr.pt", remove="lung", fill="air")
        >>> print(answer)
        >>> answer.after.labels.shape, answer.to_frame()["dice"].min()
        >>> darker = agg2exp.what_if("result_a", "swin_unetr.pt", shift="heart", amount=-100)
        >>> folder = darker.save("result_a")
    """
    asked = {"remove": remove, "keep": keep, "noise": noise, "shift": shift}
    given = {action: (names,) if isinstance(names, str) else tuple(names) for action, names in asked.items() if names}
    if len(given) != 1:
        raise InputError("Ask for exactly one change: remove, keep, noise or shift.")
    ((action, names),) = given.items()
    edit = Edit(action, names, fill, amount, seed)
    monitor = monitor or LogMonitor()

    def work(subject: Subject) -> WhatIf:
        return subject.ask(edit, Stage(monitor, "what if", 0.05, 1.0))

    return _with_subject(result, model, regions, ct, device, precision, monitor, work)


def causal_matrix(
    result: Result | str | Path,
    model: Model | str | Path,
    *,
    fill: str = "surroundings",
    names: Sequence[str] = (),
    regions: Mapping[str, Any] | Sequence[str] | None = None,
    ct: Any = None,
    device: str = "auto",
    precision: str = "auto",
    monitor: Monitor | None = None,
) -> Effects:
    """Remove every region in turn and see what becomes of each label: whether the attributions can be trusted for this patient.

    Args:
        result, model, fill, regions, ct, device, precision, monitor: see :func:`what_if`.
        names: regions to remove; by default every label that the result holds and every extra region.

    Raises:
        InputError: see :func:`what_if`.

    Examples:
        >>> effects = agg2exp.causal_matrix("result_a", "swin_unetr.pt", fill="air")
        >>> effects.to_frame("dice")
        >>> effects.agreement(agg2exp.Result.open("result_a").matrix)
    """
    monitor = monitor or LogMonitor()

    def work(subject: Subject) -> Effects:
        return remove_each(subject, fill, monitor, names)

    return _with_subject(result, model, regions, ct, device, precision, monitor, work)


def _with_subject(
    result: Result | str | Path,
    model: Model | str | Path,
    regions: Mapping[str, Any] | Sequence[str] | None,
    ct: Any,
    device: str,
    precision: str,
    monitor: Monitor,
    work: Callable[[Subject], _T],
) -> _T:
    result = Result.open(result) if isinstance(result, str | Path) else result
    if not isinstance(model, Model):
        made_by = Variant.noted(result.run)
        model = load_model(model, folds=made_by.folds, mirror=made_by.mirror)
    compute = choose_compute(device, precision)
    own = Volume(result.hu, result.affine, result.patient)
    labels = [label.name for label in result.labels]
    added, told = regions_on_grid(regions, own, result.grid, labels, tuple(result.extra_rois))
    for warning in told:
        monitor.notice(warning)
    case = case_of(result, model, compute, monitor, read_ct(ct) if ct is not None else None)
    with at_work(model.network, compute):
        return work(Subject(result, case, dict(added)))
