"""What is known of a model without PyTorch: its model card, and what to tell when there is none."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.labels import Label
from Agg2ExpLib.models.model_card import ModelCard, read_model_card

WEIGHTS_SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors", ".ts", ".bin", ".tar")
DEMO_WEIGHTS = "Demo/agg2exp_demo.safetensors"


@dataclass(frozen=True)
class ModelInfo:
    """A model as the panel shows it.

    Attributes:
        summary: one line for the panel, plain text.
        details: for the tooltip.
        card: None when the weights have none, or it cannot be read.
        problem: why the weights cannot be used, or empty.
    """

    summary: str
    details: str = ""
    card: ModelCard | None = None
    problem: str = ""

    @property
    def labels(self) -> tuple[Label, ...]:
        """The card's labels without the background; none when they are known only after a run."""
        return self.card.labels[1:] if self.card else ()


def readModelInfo(weights: str) -> ModelInfo:
    """Look at weights (a file, or a MONAI bundle folder) as far as that is possible without loading them."""
    if not weights.strip():
        return ModelInfo(_("No model chosen: take the demo model, or give the weights of your own."))
    path = Path(weights)
    if not path.exists():
        return _unusable(_("{name} does not exist: check the path.").format(name=path))
    card = _cardOf(path)
    return _read(path, card, card.stat().st_mtime_ns if card is not None else 0)


@functools.lru_cache(maxsize=8)
def _read(path: Path, card: Path | None, _changed: int) -> ModelInfo:
    """The panel asks often; a card is read again only when it has changed."""
    if card is None:
        return ModelInfo(
            _("No model card beside the weights: label names are known after the first run."),
            _("A model card is a JSON file with the weights' name that gives labels, spacing, HU window and window size."),
        )
    try:
        content, warnings = read_model_card(card)
    except InputError as error:
        return _unusable(str(error))
    return ModelInfo(_summary(path, content), _details(path, content, warnings), content)


def _cardOf(path: Path) -> Path | None:
    folder = path if path.is_dir() else path.parent.parent if path.parent.name == "models" else None
    places = [folder / "model_card.json"] if folder else []
    if path.is_file():
        places.insert(0, path.with_suffix(".json"))
    return next((place for place in places if place.is_file()), None)


def _unusable(problem: str) -> ModelInfo:
    return ModelInfo(problem, problem, None, problem)


def _summary(path: Path, card: ModelCard) -> str:
    spacing = _spacing(card)
    count = len(card.labels) - 1
    if card.hu_window is None:
        return _("{count} labels · {spacing} mm · preprocessing of its own").format(count=count, spacing=spacing)
    low, high = card.hu_window
    return _("{count} labels · {spacing} mm · HU {low:g} to {high:g}").format(count=count, spacing=spacing, low=low, high=high)


def _spacing(card: ModelCard) -> str:
    """The voxel size; axes that keep the CT's own say so."""
    sizes = [f"{step:g}" if step else _("own") for step in card.spacing]
    return " × ".join(sizes) if len(set(sizes)) > 1 else sizes[0]


def _details(path: Path, card: ModelCard, warnings: tuple[str, ...]) -> str:
    window = " × ".join(map(str, card.roi_size))
    lines = [
        path.name,
        _("Labels: {names}").format(names=", ".join(label.title for label in card.labels[1:])),
        _("The CT is resampled to {spacing} mm and seen in windows of {window} voxels.").format(
            spacing=" × ".join(f"{step:g}" if step else _("own") for step in card.spacing), window=window
        ),
    ]
    for title, text in ((_("Intended use"), card.intended_use), (_("Licence"), card.licence), (_("Citation"), card.citation)):
        if text:
            lines.append(f"{title}: {text}")
    return "\n".join([*lines, *warnings])
