"""How well a classifier tells its classes apart: AUROC, average precision, accuracy, F1 and MCC by scikit-learn."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..system.files import replacing
from .class_source import Case
from .scores import device_of

if TYPE_CHECKING:
    import torch

MEASURES = ("auroc", "average_precision", "accuracy", "f1", "mcc")


@dataclass(frozen=True)
class ClassScores:
    """Logits of the cases of a validation, and what follows from them.

    Attributes:
        classes: in channel order.
        output: ``softmax``: the largest logit wins; ``sigmoid``: a class is there where its logit is above 0.
        tables: for each set of cases logits and truth, both float ``[cases, classes]``.
    """

    classes: tuple[str, ...]
    output: str
    tables: Mapping[str, tuple[np.ndarray, np.ndarray]]

    @property
    def mean(self) -> float:
        """Mean AUROC over classes, then over sets; NaN where no class has cases of both kinds."""
        means = [row["mean"] for row in self.to_dict(digits=None).values() if row["mean"] is not None]
        return float(np.mean(means)) if means else float("nan")

    def to_dict(self, digits: int | None = 4) -> dict[str, dict[str, Any]]:
        """For each set: ``volumes``, ``mean`` (of the classes' AUROC), the mean of the other measures, and ``classes``: each
        against the rest; None where all cases are of one kind. With ``softmax`` accuracy and MCC are those of the choice of one
        class."""
        from sklearn.metrics import accuracy_score, matthews_corrcoef

        def told(value: float) -> float | None:
            return None if np.isnan(value) else float(value) if digits is None else round(float(value), digits)

        result: dict[str, dict[str, Any]] = {}
        for group, (logits, truth) in self.tables.items():
            chosen = self._chosen(logits)
            single = [
                _measured(logits[:, k] - self._rest(logits, k), chosen[:, k], truth[:, k] > 0.5) for k in range(truth.shape[1])
            ]
            means = {key: _mean([row[key] for row in single]) for key in MEASURES}
            if self.output == "softmax":
                pair = truth.argmax(1), chosen.argmax(1)
                means["accuracy"], means["mcc"] = accuracy_score(*pair), matthews_corrcoef(*pair)
            result[group] = {
                "volumes": len(truth),
                "mean": told(means["auroc"]),
                **{key: told(means[key]) for key in MEASURES[1:]},
                "classes": {
                    name: {"positive": int(truth[:, k].sum()), **{key: told(single[k][key]) for key in MEASURES}}
                    for k, name in enumerate(self.classes)
                },
            }
        return result

    def lines(self) -> list[str]:
        """For people: the measures of every class."""
        found = []
        width = max(len(name) for name in (*self.classes, "mean"))
        for group, row in self.to_dict().items():
            found.append(f"{group.replace('_', ' ').capitalize()} ({row['volumes']}):")
            rows = {**row["classes"], "mean": {"auroc": row["mean"], **row}}
            for name, values in rows.items():
                numbers = ", ".join(f"{_TITLES[key]} {_shown(values[key])}" for key in MEASURES)
                found.append(f"  {name:{width}}  {numbers}")
        return found

    def _chosen(self, logits: np.ndarray) -> np.ndarray:
        if self.output == "sigmoid":
            return logits > 0
        return np.eye(logits.shape[1], dtype=bool)[logits.argmax(1)]

    def _rest(self, logits: np.ndarray, k: int) -> np.ndarray | float:
        """With ``softmax`` what a class must beat: the log of the others' summed exponentials."""
        if self.output == "sigmoid":
            return 0.0
        return np.logaddexp.reduce(np.delete(logits, k, axis=1), axis=1)


_TITLES = {"auroc": "AUROC", "average_precision": "average precision", "accuracy": "accuracy", "f1": "F1", "mcc": "MCC"}


def _measured(score: np.ndarray, chosen: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """One class against the rest; NaN for what a set of one kind cannot tell."""
    from sklearn.metrics import average_precision_score, f1_score, matthews_corrcoef, roc_auc_score

    accuracy = float((chosen == truth).mean()) if len(truth) else float("nan")
    if truth.all() or not truth.any():
        return {**dict.fromkeys(MEASURES, float("nan")), "accuracy": accuracy}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network that always says the same has MCC 0
        return {
            "auroc": float(roc_auc_score(truth, score)),
            "average_precision": float(average_precision_score(truth, score)),
            "accuracy": accuracy,
            "f1": float(f1_score(truth, chosen, zero_division=0)),
            "mcc": float(matthews_corrcoef(truth, chosen)),
        }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def score(
    network: torch.nn.Module,
    cases: Iterable[Case],
    classes: tuple[str, ...],
    output: str,
    scaled: Any,
    fabric: Any = None,
) -> ClassScores:
    """Ask a network about whole volumes, each in its own size; with several processes each takes its share.

    Args:
        network: keeps its mode; asked on the device where it is.
        scaled: from HU to what the network sees, float32.
    """
    import torch

    rank, ranks = (fabric.global_rank, fabric.world_size) if fabric else (0, 1)
    device = device_of(network)
    training = network.training
    network.eval()
    rows: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    try:
        for number, case in enumerate(cases):
            logits = torch.zeros(len(classes), dtype=torch.float64, device=device)
            if number % ranks == rank:
                with torch.no_grad():
                    logits = network(torch.from_numpy(scaled(case.hu))[None, None].to(device))[0].double()
            if ranks > 1:
                logits = fabric.all_reduce(logits, reduce_op="sum")
            rows.setdefault(case.group, []).append((logits.cpu().numpy(), case.target))
    finally:
        network.train(training)
    tables = {group: (np.stack([a for a, _ in row]), np.stack([b for _, b in row])) for group, row in rows.items()}
    return ClassScores(classes, output, tables)


def write_history(path: Path, measure: str, history: Sequence[Mapping[str, Any]]) -> None:
    """All validations as a tidy CSV: step, loss, set, class (``mean`` for all together), the measures, positive, volumes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "loss", "set", "class", *MEASURES, "positive", "volumes"])
    for entry in history:
        for group, row in entry[measure].items():
            for name, values in {**row["classes"], "mean": {"auroc": row["mean"], **row, "positive": None}}.items():
                numbers = ["" if values[key] is None else values[key] for key in (*MEASURES, "positive")]
                writer.writerow([entry["step"], entry["loss"], group, name, *numbers, row["volumes"]])
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
