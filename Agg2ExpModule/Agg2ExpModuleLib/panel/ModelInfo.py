"""What is known of a model without PyTorch: its labels and settings, and what to tell when they are not known."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.formats import describe_model
from Agg2ExpLib.models.labels import Label
from Agg2ExpLib.models.model_card import AUTOENCODER, CLASSIFICATION, WHOLE, ModelCard, parse_model_card
from Agg2ExpLib.serving.ssh import THERE

DEMO_WEIGHTS = "Demo/agg2exp_demo.safetensors"
DEMO_CLASSIFIER = "agg2exp_demo_classifier.safetensors"  # beside it


@dataclass(frozen=True)
class ModelInfo:
    """A model as the panel shows it.

    Attributes:
        summary: one line for the panel, plain text.
        details: for the tooltip.
        card: None when labels and settings are known only after it was loaded, or cannot be read.
        problem: why the model cannot be used, or empty.
    """

    summary: str
    details: str = ""
    card: ModelCard | None = None
    problem: str = ""

    @property
    def labels(self) -> tuple[Label, ...]:
        """What can be explained: labels without the background, or classes; none when they are known only after a run."""
        return self.card.explainable if self.card else ()

    @property
    def classifies(self) -> bool:
        """Whether it is a classifier: it says something of the whole CT and draws nothing."""
        return self.card is not None and self.card.task == CLASSIFICATION


_there: dict[str, ModelInfo] = {}


def isThere(weights: str) -> bool:
    """Whether a model lies on the other computer."""
    return weights.strip().startswith(THERE)


def rememberThere(models: Sequence[Mapping[str, Any]]) -> None:
    """Keep what the other computer has told of its models."""
    for model in models:
        name, card = str(model["path"]), None
        try:
            card = parse_model_card(model["card"], name)[0] if model.get("card") else None
        except InputError:  # of another version
            card = None
        notes = tuple(str(note) for note in model.get("notes", ()))
        problem = str(model.get("problem") or "")
        info = ModelInfo(summaryOf(card, notes), detailsOf(name, card, notes), card) if card is not None else _unknownThere()
        _there[name] = _unusable(problem) if problem else info


def _unknownThere() -> ModelInfo:
    return ModelInfo(_("A model on the other computer: label names are known after the first run."))


def readModelInfo(weights: str) -> ModelInfo:
    """Look at a model (weights, or the folder of one) as far as that is possible without loading it."""
    if isThere(weights):
        return _there.get(weights.strip()) or _unknownThere()
    if not weights.strip():
        return ModelInfo(_("No model chosen: take the demo model, or give the weights of your own."))
    path = Path(weights.strip())
    return _read(path, _changedAt(path))


@functools.lru_cache(maxsize=16)
def _read(path: Path, _changed: tuple[float, ...]) -> ModelInfo:
    """The panel asks often; a model is read again only when something of it has changed."""
    try:
        described = describe_model(path)
    except InputError as error:
        return _unusable(str(error))
    except OSError as error:
        return _unusable(_("{name} cannot be read ({reason}).").format(name=path, reason=error.strerror or error))
    if described.card is None:
        tip = _("A model card is a JSON file with the weights' name that gives labels, spacing, HU window and window size.")
        return ModelInfo(_("No model card beside the weights: label names are known after the first run."), tip)
    if described.card.task == AUTOENCODER:
        return _unusable(_("{name} is an autoencoder of slices: choose it in the section Counterfactual.").format(name=path.name))
    return ModelInfo(
        summaryOf(described.card, described.notes), detailsOf(path.name, described.card, described.notes), described.card
    )


def _changedAt(path: Path) -> tuple[float, ...]:
    """When the model or what lies in and above its folder was changed."""
    places = [path, path.with_suffix(".json"), path.parent]
    if path.is_dir():
        places += [path / "model_card.json", path / "configs", path / "plans.json", path / "dataset.json"]
    return tuple(place.stat().st_mtime for place in places if place.exists())


def _unusable(problem: str) -> ModelInfo:
    return ModelInfo(problem, problem, None, problem)


def summaryOf(card: ModelCard, notes: tuple[str, ...] = ()) -> str:
    """Labels, spacing and intensities in one line; further sentences are counted, and told in the tip."""
    count = len(card.explainable)
    if card.task == CLASSIFICATION:
        parts = [_("Classifier"), _("1 class") if count == 1 else _("{count} classes").format(count=count)]
    else:
        parts = [_("1 label") if count == 1 else _("{count} labels").format(count=count)]
    if any(card.spacing):
        parts.append(_("{spacing} mm").format(spacing=spacingText(card.spacing)))
    if card.hu_window is not None:
        parts.append(_("HU {low:g} to {high:g}").format(low=card.hu_window[0], high=card.hu_window[1]))
    elif not any(card.spacing):
        parts.append(_("preprocessing of its own"))
    text = " · ".join(parts)
    return "\n".join([text, *notes]) if len(notes) == 1 else text


def spacingText(spacing: Sequence[float]) -> str:
    """Voxel sizes in mm, one where all are alike; axes that keep the CT's own say so."""
    sizes = [f"{step:.3g}" if step else _("own") for step in spacing]
    return " × ".join(sizes) if len(set(sizes)) > 1 else sizes[0]


def detailsOf(name: str, card: ModelCard, notes: tuple[str, ...]) -> str:
    """Everything that is known, for a tooltip."""
    names = _few([label.title for label in card.explainable])
    lines = [
        name,
        (_("Classes: {names}") if card.task == CLASSIFICATION else _("Labels: {names}")).format(names=names),
        _("Preparation: {steps}.").format(steps="; ".join(card.preprocessing.words())),
    ]
    if card.roi_size != WHOLE:
        lines.append(_("Windows of {window} voxels.").format(window=_times(card.roi_size)))
    for title, text in ((_("Intended use"), card.intended_use), (_("Licence"), card.licence), (_("Citation"), card.citation)):
        if text:
            lines.append(f"{title}: {text}")
    return "\n".join([*lines, *notes])


def _times(numbers: tuple[float, ...]) -> str:
    return " × ".join(f"{number:g}" for number in numbers)


def _few(names: list[str], most: int = 40) -> str:
    return ", ".join(names[:most]) + (_(" and {count} more").format(count=len(names) - most) if len(names) > most else "")
