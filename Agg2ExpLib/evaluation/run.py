"""``agg2exp evaluate``: patients × labels × methods, going on where an earlier run was ended."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, worded
from ..inference.compute import Compute, choose_compute
from ..inference.network import at_work
from ..io.csv_table import write_table
from ..io.patient_table import Entry
from ..io.source_files import sha256_of
from ..io.volume import stem_of
from ..models.labels import Label
from ..models.model import Model, load_model
from ..monitor import Monitor, Stage
from ..runs.record import versions
from ..runs.suits import check_suits
from ..runs.targets import requested_labels
from ..system.files import replacing
from ..version import __version__
from .method_specs import MethodSpec, parse_methods
from .patient import Failure, Setup, evaluate_patient, failure
from .progress import Part
from .score import Row
from .settings import Settings
from .store import Store
from .table import tables_in_latex, tables_in_markdown

FAILED_FILE = "failed.csv"
CSV_FILE, MARKDOWN_FILE, LATEX_FILE = "evaluation.csv", "table.md", "table.tex"
_COLUMNS = ("patient", "label", "method", "metric", "value", "unit", "note")


@dataclass
class Evaluation:
    """What an evaluation did.

    Attributes:
        folder: with its files.
        rows: of ``evaluation.csv``.
        failures: of patients and methods.
        patients: ids.
        earlier: pieces (a method of a patient) that an earlier run had finished.
        pieces: all pieces that are finished now.
    """

    folder: Path
    rows: list[Row] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    patients: tuple[str, ...] = ()
    earlier: int = 0
    pieces: int = 0


def entries_of(cts: Sequence[str]) -> list[Entry]:
    """Patients from the names of their CT files.

    Raises:
        InputError: a file is missing, or two have the same name.
    """
    entries: dict[str, Entry] = {}
    for ct in cts:
        if not Path(ct).exists():
            raise InputError(f"{ct} does not exist: check the path.")
        name = stem_of(ct)
        if name in entries:
            raise InputError(f"Two CTs are named '{name}' ({entries[name].ct} and {ct}): give the patients ids in a ⟨table⟩.")
        entries[name] = Entry(name, ct, None, ())
    return list(entries.values())


def evaluate(
    entries: Sequence[Entry], settings: Settings, output: Path, monitor: Monitor, model: Model | None = None
) -> Evaluation:
    """Evaluate methods into a folder::

        evaluation.csv       patient,label,method,metric,value,unit,note
        table.md, table.tex  mean ± sd over patients × labels, and per label
        evaluation.json      settings, versions, checksum of the weights, device
        failed.csv           patient, method and reason, where any failed
        work/                finished pieces

    Finished pieces are never done again, and failed ones are tried again, when the same command is repeated; methods, labels and
    patients may change from one run to the next.

    Args:
        entries: the patients.
        settings: what is measured.
        output: folder, made or continued.
        monitor: is told progress and notices; its ``stop`` ends the run, and what is finished stays.
        model: in place of the file that the settings name.

    Raises:
        InputError: settings or output cannot be used, or nothing at all could be evaluated.
        Cancelled: the monitor asked to stop.
    """
    monitor = _Once(monitor)
    specs = parse_methods(settings.methods, settings.seed)
    compute = choose_compute(settings.device, settings.precision)
    if model is None:
        card = Path(settings.card) if settings.card else None
        model = load_model(Path(settings.weights), card, settings.folds, settings.mirror)
    check_suits(model, specs[0].make(), target_mask=False, global_mask=False, segmenter=False)
    labels = requested_labels(settings.labels, model.card)
    for warning in model.warnings:
        monitor.notice(warning)
    identities = {spec.text: spec.identity() for spec in specs}
    folder = output.absolute()
    checksums = _checksums(entries, Stage(monitor, "check", 0.0, 0.01))
    record = _record(settings, model, compute, labels, specs, entries)
    store = Store(folder, record)
    evaluation = Evaluation(folder, patients=tuple(entry.patient for entry in entries))

    done: dict[str, dict[str, list[Row]]] = {}
    pending: list[tuple[Entry, dict[str, Any], list[tuple[MethodSpec, dict[str, Any]]]]] = []
    for entry in entries:
        checksum = checksums[entry.patient]
        if isinstance(checksum, InputError):
            evaluation.failures.append(failure(entry.patient, "", checksum, compute))
            continue
        base = {
            "ct": checksum,
            "weights": model.sha256,
            "labels": [label.name for label in labels],
            "model": record["model"],
            "settings": record["settings"],
        }
        keys = {spec.text: {**base, "method": identities[spec.text]} for spec in specs}
        found = {spec.text: store.rows(keys[spec.text], entry.patient, spec.text) for spec in specs}
        done[entry.patient] = {text: rows for text, rows in found.items() if rows is not None}
        evaluation.earlier += len(done[entry.patient])
        todo = [(spec, keys[spec.text]) for spec in specs if found[spec.text] is None]
        if todo:
            pending.append((entry, {**base, "piece": "drops"}, todo))

    setup = Setup(settings, model, compute, labels, store)
    whole = Stage(monitor, "evaluate", 0.01, 1.0)
    with at_work(model.network, compute) if pending else contextlib.nullcontext():
        for number, (entry, drops_key, todo) in enumerate(pending):
            part = Part(whole, number / len(pending), (number + 1) / len(pending), f"{entry.patient}:")
            try:
                outcome = evaluate_patient(entry.patient, Path(entry.ct), todo, drops_key, setup, part)
            except Exception as error:  # one patient must not end the others
                evaluation.failures.append(failure(entry.patient, "", error, compute))
                continue
            done[entry.patient] |= outcome.rows
            evaluation.failures += outcome.failures
            _gather(evaluation, specs, done)
    _gather(evaluation, specs, done)
    store.write_record({**record, "complete": not evaluation.failures, "notices": monitor.notices})
    _refuse_nothing(evaluation, labels)
    return evaluation


class _Once(Monitor):
    """Passes everything on to another monitor, but the same notice only once."""

    def __init__(self, monitor: Monitor):
        super().__init__()
        self._monitor = monitor

    def check(self) -> None:
        """As the other's."""
        self._monitor.check()

    def progress(self, stage: str, fraction: float, message: str = "", eta_s: float | None = None) -> None:
        """As the other's."""
        self._monitor.progress(stage, fraction, message, eta_s)

    def notice(self, message: str) -> None:
        """Passed on where it is new."""
        if worded(message) not in self.notices:
            super().notice(message)
            self._monitor.notice(message)


def _checksums(entries: Sequence[Entry], stage: Stage) -> dict[str, str | InputError]:
    """sha256 of each patient's CT, or why it cannot be read.

    Raises:
        InputError: two patients have the same scan or the same name.
    """
    if not entries:
        raise InputError("There is no patient to evaluate: name a CT with ⟨ct⟩ or patients with ⟨table⟩.")
    found: dict[str, str | InputError] = {}
    names: dict[str, str] = {}
    for number, entry in enumerate(entries):
        stage.update(number / len(entries), f"{entry.patient}: checksum")
        if entry.patient in found:
            raise InputError(f"Patient '{entry.patient}' occurs twice: each may occur once.")
        try:
            checksum = sha256_of(Path(entry.ct))
        except InputError as error:
            found[entry.patient] = error
            continue
        if checksum in names:
            raise InputError(f"The patients '{names[checksum]}' and '{entry.patient}' have the same scan: leave one out.")
        names[checksum] = entry.patient
        found[entry.patient] = checksum
    return found


def _record(
    settings: Settings,
    model: Model,
    compute: Compute,
    labels: tuple[Label, ...],
    specs: tuple[MethodSpec, ...],
    entries: Sequence[Entry],
) -> dict[str, Any]:
    """``evaluation.json``; ``model`` and ``settings`` must stay the same in a folder."""
    card = model.card
    return {
        "agg2exp": __version__,
        "kind": "evaluation",
        "weights": {"name": model.name, "sha256": model.sha256, "architecture": model.architecture, **model.variant.to_json()},
        "model": {
            "weights": model.sha256,
            "labels": [label.name for label in card.labels],
            "preprocessing": card.preprocessing.to_json(),
            "roi_size": list(card.roi_size),
            **({"mirror": True} if model.variant.mirror else {}),
        },
        # Seconds and memory of different devices do not belong into one table.
        "settings": {**settings.fixed(), "device": compute.device_name, "precision": compute.precision},
        "labels": [label.name for label in labels],
        "methods": {spec.text: {"method": spec.name, **spec.make().record()} for spec in specs},
        "patients": [entry.patient for entry in entries],
        "versions": versions(),
        "complete": False,
    }


def _gather(evaluation: Evaluation, specs: Sequence[MethodSpec], done: dict[str, dict[str, list[Row]]]) -> None:
    """The tables of everything that is finished, in the order of patients and methods: the same bytes however the run went."""
    pieces = [done[name][spec.text] for name in evaluation.patients for spec in specs if spec.text in done.get(name, {})]
    evaluation.pieces = len(pieces)
    evaluation.rows = [row for piece in pieces for row in piece]
    folder, names = evaluation.folder, [spec.text for spec in specs]
    try:
        write_table(folder / CSV_FILE, _COLUMNS, [[getattr(row, name) for name in _COLUMNS] for row in evaluation.rows])
        for file, text in (
            (MARKDOWN_FILE, tables_in_markdown(evaluation.rows, names)),
            (LATEX_FILE, tables_in_latex(evaluation.rows, names)),
        ):
            with replacing(folder / file) as temporary:
                temporary.write_text(text, encoding="utf-8")
        if evaluation.failures:
            lines = [[one.patient, one.method, one.reason] for one in evaluation.failures]
            write_table(folder / FAILED_FILE, ["patient", "method", "reason"], lines)
        else:
            (folder / FAILED_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write to {folder} ({error.strerror or error}): make room and repeat the command.") from None


def _refuse_nothing(evaluation: Evaluation, labels: tuple[Label, ...]) -> None:
    """Say so where there is not a single number.

    Raises:
        InputError: for a reason that the user can change.
    """
    if any(row.value is not None for row in evaluation.rows):
        return
    if evaluation.failures:
        if all(one.bad_input for one in evaluation.failures):
            raise InputError(evaluation.failures[0].reason)
        return
    names = ", ".join(label.name for label in labels)
    raise InputError(f"The model found none of the labels ({names}) in any scan, so there is nothing to evaluate: name others.")
