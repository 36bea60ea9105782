"""The models that lie on this computer, where the programs people use put them. Nothing is loaded and nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from . import totalsegmentator
from .checkpoint import SUFFIXES
from .formats import describe_model
from .labels import Label
from .model import demo_classifier, demo_weights
from .model_card import AUTOENCODER, ModelCard, card_beside

_MOST = 500  # folders looked at in one place


@dataclass(frozen=True)
class InstalledModel:
    """A model found on this computer.

    Attributes:
        name: as people call it: ``total_part1``, ``Dataset501_Liver 3d_fullres``, ``demo``.
        kind: where it comes from: TotalSegmentator, nnU-Net, Auto3DSeg, MONAI bundle, demo, or models of the user's own folder.
        weights: what ``--weights`` and :meth:`Model.load` take for it.
        path: the file or folder.
        card: labels and settings; None where they are not known before it is loaded, or there is a problem.
        problem: why it cannot be explained, in one sentence; empty where it can.
        notes: what a user should know.

    Examples:
        >>> for model in agg2exp.installed_models():
        ...     print(model.name, len(model.labels), model.problem or "can be explained")
    """

    name: str
    kind: str
    weights: str
    path: Path
    card: ModelCard | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[Label, ...]:
        """What can be explained: labels without the background, or classes; empty where they are not known yet."""
        return self.card.explainable if self.card else ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for other programs."""
        card = self.card
        return {
            "name": self.name,
            "kind": self.kind,
            "weights": self.weights,
            "path": str(self.path),
            "can_be_explained": not self.problem,
            "problem": self.problem,
            "task": card.task if card else None,
            "labels": [label.name for label in self.labels],
            "groups": {label.name: label.group for label in self.labels},
            "spacing": [step or None for step in card.spacing] if card else None,  # None: the CT's own
            "roi_size": list(card.roi_size) if card else None,
            "preprocessing": list(card.preprocessing.words()) if card else [],
            "licence": card.licence if card else None,
            "notes": list(self.notes),
        }


def installed_models() -> list[InstalledModel]:
    """What lies where TotalSegmentator, nnU-Net, Auto3DSeg and MONAI keep models, in ``$AGG2EXP_MODELS``, and the demo models.

    Models that cannot be explained are listed with the reason.

    Examples:
        >>> for model in agg2exp.installed_models():
        ...     print(model.kind, model.name, model.weights)
    """
    found: dict[Path, InstalledModel] = {}
    for model in _everywhere():
        found.setdefault(_real(model.path), model)
    return list(found.values())


def _everywhere() -> Iterator[InstalledModel]:
    for task, folder in totalsegmentator.dataset_folders():
        yield _described(task.name, "TotalSegmentator", totalsegmentator.SCHEME + task.name, folder)
    results = os.environ.get("nnUNet_results")  # noqa: SIM112 - nnU-Net's own spelling
    for trained in _trained(Path(results)) if results else ():
        name = f"{trained.parent.name} {trained.name.rpartition('__')[2]}"
        yield _described(name, "nnU-Net", str(trained), trained)
    auto3d = _home() / ".MONAIAuto3DSeg" / "models"
    for folder in _folders(auto3d):
        yield _described(folder.name, "Auto3DSeg", str(folder), folder)
    for folder in _folders(_bundles()):
        if (folder / "configs").is_dir():
            yield _described(folder.name, "MONAI bundle", str(folder), folder)
    own = os.environ.get("AGG2EXP_MODELS")
    for path in _own(Path(own)) if own else ():
        yield _described(path.name, "your models", str(path), path)
    for name, find in (("demo", demo_weights), ("demo classifier", demo_classifier)):
        try:
            demo = find()
        except InputError:
            continue
        yield _described(name, "demo", str(demo), demo)


def _described(name: str, kind: str, weights: str, path: Path) -> InstalledModel:
    try:
        described = describe_model(Path(weights))
    except InputError as error:
        return InstalledModel(name, kind, weights, path, None, str(error))
    except OSError as error:
        return InstalledModel(name, kind, weights, path, None, f"{path} cannot be read ({error.strerror or error}).")
    problem = ""
    if described.card is not None and described.card.task == AUTOENCODER:
        problem = "It is an autoencoder, which draws nothing: it serves to make counterfactual CTs."
    return InstalledModel(name, kind, weights, path, described.card, problem, described.notes)


def _trained(results: Path) -> Iterator[Path]:
    """Trained models of nnU-Net below its results folder, those of TotalSegmentator left out."""
    for dataset in _folders(results):
        if totalsegmentator.task_of(dataset.name) is None:
            yield from totalsegmentator.trained_folders(dataset)


def _own(folder: Path) -> Iterator[Path]:
    """What may be models in a folder of the user's own: folders, and weights with a card beside them."""
    yield from (part for part in _folders(folder) if not part.name.startswith("."))
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
        yield from (file for file in files if card_beside(file).is_file())
    except OSError:
        return


def _bundles() -> Path:
    """Where MONAI downloads bundles to."""
    cache = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "torch"
    return Path(cache) / "hub" / "bundle"


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(part for part in place.iterdir() if part.is_dir())[:_MOST] if place.is_dir() else []
    except OSError:
        return []


def _home() -> Path:
    return Path.home()


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except OSError:
        return path


if __name__ == "__main__":  # for the panel, which lists models in a process of its own
    import json

    print(json.dumps({"event": "done", "models": [model.to_json() for model in installed_models()]}), flush=True)
