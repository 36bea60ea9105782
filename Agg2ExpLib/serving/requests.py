"""What a program may ask of a process that stays alive: runs, counterfactuals, what-if questions about results of runs."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..counterfactuals.do import do_counterfactual
from ..counterfactuals.job import CounterfactualJob
from ..errors import InputError
from ..inference.compute import choose_compute
from ..inference.network import at_work
from ..interventions.edit import Edit
from ..interventions.effects import remove_each
from ..interventions.outcome import check_name
from ..interventions.subject import Subject, case_of
from ..io.regions import read_all_regions
from ..models.variant import Variant
from ..monitor import Monitor, Stage
from ..runs.job import Job
from ..runs.kept import Kept, stamp
from ..runs.pipeline import run_job
from ..runs.read import read_explanation
from ..runs.results import RUN_FILE, Results
from ..runs.runner import EventMonitor
from ..system.allocator import give_back_freed_memory, keep_freed_memory
from ..system.memory import forget_peak
from .entries import check_entries
from .partial_sender import PartialSender


@dataclass
class Memory:
    """What is kept between requests.

    Attributes:
        files: models and CT.
        subject: the result that was asked about last, with what the windows of its CT gave.
        key: by which it is known again.
    """

    files: Kept = field(default_factory=Kept)
    subject: Subject | None = None
    key: object = None

    @property
    def holds(self) -> bool:
        """Whether there is anything to forget."""
        return self.files.holds or self.subject is not None

    def forget(self) -> None:
        """Forget what is of patients; the model stays."""
        self.files.release(model=False)
        self.subject = self.key = None

    def release(self) -> None:
        """Forget everything."""
        self.files.release()
        self.subject = self.key = None
        give_back()


def give_back() -> None:
    """Memory that is free but held for later goes back to the system and to the graphics card."""
    give_back_freed_memory()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def begin_anew() -> None:
    """Before a request: memory is kept from window to window, and its peak counts from now on, as in a process of its own."""
    keep_freed_memory()
    forget_peak()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def answer(request: Mapping[str, Any], monitor: EventMonitor, memory: Memory) -> dict[str, object]:
    """Do what a request asks.

    Args:
        request: ``do`` and its entries, see :data:`ENTRIES`; paths are absolute.
        monitor: is told progress, notices and files.
        memory: of this process.

    Returns:
        Entries of the event ``done``.

    Raises:
        InputError: the request, or something in it, cannot be used.
        Cancelled: the monitor asked to stop.
    """
    what, entries = check_entries(request)
    if what == "run":
        job = Job.from_json(entries.get("job"))
        return {"result": str(run_job(job, PartialSender(monitor) if entries.get("send") is True else monitor, memory.files))}
    if what == "counterfactual":
        return _counterfactual(CounterfactualJob.from_json(entries.get("job")), monitor, memory)
    if what == "forget":
        memory.forget()
    if what == "prepare":
        prepare()
    if what in ("forget", "prepare"):
        return {}
    if what == "load":
        folds, mirror = _optional(entries, "folds"), entries.get("mirror") is True
        model = memory.files.model(_text(entries, "weights"), _optional(entries, "card"), folds=folds, mirror=mirror)
        return {"labels": list(model.labels), "architecture": model.architecture}
    return _what_if(entries, monitor, memory) if what == "what_if" else _causal(entries, monitor, memory)


def _counterfactual(job: CounterfactualJob, monitor: Monitor, memory: Memory) -> dict[str, object]:
    from ..views.counterfactual_views import draw_counterfactual

    return {"result": str(do_counterfactual(job, monitor, memory.files, draw_counterfactual))}


def prepare() -> None:
    """Load the libraries that every run needs."""
    import monai.inferers  # noqa: F401
    import torch  # noqa: F401

    from ..attribution import methods

    methods.all_parameters()


def _what_if(entries: Mapping[str, Any], monitor: Monitor, memory: Memory) -> dict[str, object]:
    edit = Edit(
        _text(entries, "action"),
        tuple(_texts(entries, "regions")),
        str(entries.get("fill") or "surroundings"),
        _number(entries, "amount", 0.0),
        int(_number(entries, "seed", 0)),
    )
    name = _optional(entries, "name")
    check_name(name)
    subject, result = _subject(entries, monitor, memory)
    with at_work(subject.case.model.network, subject.case.compute):
        outcome = subject.ask(edit, Stage(monitor, "what if", 0.05, 1.0))
    folder = outcome.save(result, name)
    labels = [
        {
            "label": entry.label,
            "before_ml": entry.before_ml,
            "after_ml": entry.after_ml,
            "dice": None if math.isnan(entry.dice) else entry.dice,
            "logit": None if math.isnan(entry.logit) else entry.logit,
        }
        for entry in outcome.labels
    ]
    return {"answer": str(folder), "title": edit.title, "labels": labels}


def _causal(entries: Mapping[str, Any], monitor: Monitor, memory: Memory) -> dict[str, object]:
    subject, result = _subject(entries, monitor, memory)
    with at_work(subject.case.model.network, subject.case.compute):
        names = tuple(_texts(entries, "regions"))
        effects = remove_each(subject, str(entries.get("fill") or "surroundings"), monitor, names)
    return {"answer": str(effects.save(result, subject.result.matrix))}


def _subject(entries: Mapping[str, Any], monitor: Monitor, memory: Memory) -> tuple[Subject, Path]:
    """The result asked about; the last one's windows are not computed again as long as nothing of it has changed."""
    result, ct = Path(_text(entries, "result")), _optional(entries, "ct")
    settings = tuple(str(entries.get(key) or "auto") for key in ("device", "precision"))
    extra = tuple(_texts(entries, "extra_rois"))
    made_by = Variant.noted(Results.open(result).run)
    card = _optional(entries, "card")
    model = memory.files.model(_text(entries, "weights"), card, folds=made_by.folds, mirror=made_by.mirror)
    key = (str(result), stamp(result / RUN_FILE), id(model), ct, stamp(ct), settings)
    if memory.subject is None or memory.key != key:
        memory.subject = memory.key = None
        found = read_explanation(result, maps=False)
        compute = choose_compute(*settings)
        case = case_of(found, model, compute, monitor, memory.files.ct(ct) if ct else None)
        memory.subject, memory.key = Subject(found, case), key
    subject = memory.subject
    subject.listen(monitor)
    labels = [label.name for label in subject.result.labels]
    regions, told = read_all_regions(extra, subject.case.grid, labels, tuple(subject.result.extra_rois))
    for warning in told:
        monitor.notice(warning)
    subject.drawn = dict(regions)
    return subject, result


def _text(entries: Mapping[str, Any], key: str) -> str:
    value = entries.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(f"The request lacks '{key}'.")
    return value


def _optional(entries: Mapping[str, Any], key: str) -> str | None:
    value = entries.get(key)
    if value is not None and not isinstance(value, str):
        raise InputError(f"'{key}' of the request must be a text.")
    return value or None


def _texts(entries: Mapping[str, Any], key: str) -> list[str]:
    value = entries.get(key) or []
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise InputError(f"'{key}' of the request must be a list of texts.")
    return value


def _number(entries: Mapping[str, Any], key: str, default: float) -> float:
    value = entries.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"'{key}' of the request must be a number.")
    return float(value)
