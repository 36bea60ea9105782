"""A network with its model card, from weights in any of the forms people have them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..inference.network import check_evaluates
from .formats import read_model
from .model_card import (
    AUTOENCODER,
    CLASSIFICATION,
    PAPER_HU_WINDOW,
    PAPER_ROI_SIZE,
    PAPER_SPACING,
    SEGMENTATION,
    ModelCard,
    parse_model_card,
)
from .variant import Variant

if TYPE_CHECKING:
    import torch

DEMO_NAME = "agg2exp_demo.safetensors"
DEMO_CLASSIFIER_NAME = "agg2exp_demo_classifier.safetensors"
AUTOENCODER_NAME = "agg2exp_slices.safetensors"
DEMO_PACKAGE = "Agg2ExpLib.demo_data"


class Model:
    """A network with what its channels mean and how a CT is prepared for it.

    From files: :meth:`load`. Any network in memory::

        model = Model(network, ["background", "liver"], spacing=(2, 2, 2), hu_window=(-160, 240), roi_size=(96, 96, 96))

    Args:
        network: takes ``[batch, 1, x, y, z]`` CT windows in RAS order scaled to ``intensity_range``, returns logits
            ``[batch, label, x, y, z]``; must be in evaluation mode.
        labels: name of each output channel, the background first; or a whole card, which says all the rest too.
        spacing: voxel size of the model grid in mm, (R-L, A-P, I-S).
        hu_window: HU that are scaled to ``intensity_range``; values beyond are clipped.
        roi_size: sliding window in voxels, one side or three.
        intensity_range: what the network was trained on.
        name: in results.
        task: ``segmentation``, or ``classification`` for a network that returns logits ``[batch, class]`` of whole volumes; its
            ``labels`` are the classes then.
        output: ``softmax`` or ``sigmoid``, see :class:`~Agg2ExpLib.models.model_card.ModelCard`.

    Attributes:
        network: as given; from files float32, on the CPU, in ``eval()``, weights without gradients.
        card: labels and settings; of a network from files its ``network`` holds the class and arguments that were built.
        name: file or bundle folder name without suffix.
        architecture: one line such as "SwinUNETR v2, feature size 48, depths 2-2-2-2, heads 3-6-12-24, 17 channels".
        warnings: sentences about what was assumed or left out.
        variant: which folds of an nnU-Net, and whether mirrored.

    Raises:
        InputError: no module, one in training mode, or settings that make no sense.

    Examples:
        >>> model = agg2exp.Model.load("swin_unetr.pt")
        >>> labels = ["background", "lung", "heart"]
        >>> own = agg2exp.Model(network, labels, spacing=(6, 6, 6), hu_window=(-1024, 1024), roi_size=32)
        >>> own.labels, own.architecture, own.card.hu_window
    """

    def __init__(
        self,
        network: torch.nn.Module,
        labels: Sequence[str] | ModelCard,
        *,
        spacing: Sequence[float] = PAPER_SPACING,
        hu_window: Sequence[float] = PAPER_HU_WINDOW,
        roi_size: Sequence[int] | int = PAPER_ROI_SIZE,
        intensity_range: Sequence[float] = (0.0, 1.0),
        name: str = "network",
        task: str = SEGMENTATION,
        output: str = "softmax",
        sha256: str | None = None,
        architecture: str | None = None,
        warnings: tuple[str, ...] = (),
        variant: Variant | None = None,
    ):
        if not callable(getattr(network, "state_dict", None)):
            raise InputError(f"A model needs a torch.nn.Module, not a {type(network).__name__}: for files there is Model.load.")
        check_evaluates(network)
        if not isinstance(labels, ModelCard):
            values = {
                "task": task,
                "output": output,
                **({} if task == AUTOENCODER else {"classes" if task == CLASSIFICATION else "labels": list(labels)}),
                "spacing": list(spacing),
                "hu_window": list(hu_window),
                **({"roi_size": roi_size if isinstance(roi_size, int) else list(roi_size)} if task == SEGMENTATION else {}),
                "intensity_range": list(intensity_range),
            }
            labels, _ = parse_model_card(values, f"of {name}")
        self.network, self.card, self.name, self.warnings = network, labels, name, warnings
        self.architecture = architecture or f"{type(network).__name__}, {len(self.card.labels)} channels"
        self.variant = variant or Variant()
        self._sha256 = sha256

    @classmethod
    def load(
        cls,
        weights: str | os.PathLike[str],
        card: str | os.PathLike[str] | None = None,
        folds: str | None = None,
        mirror: bool = False,
    ) -> Model:
        """A model from files; see :func:`load_model`.

        Examples:
            >>> model = agg2exp.Model.load("swin_unetr.pt")
            >>> model = agg2exp.Model.load("swin_unetr.pt", card="swin_unetr.json")
        """
        return load_model(weights, card, folds, mirror)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the output channels, the background first; of a classifier its classes."""
        return tuple(label.name for label in self.card.labels)

    @property
    def task(self) -> str:
        """``segmentation``, ``classification`` or ``autoencoder``."""
        return self.card.task

    def require(self, task: str, what: str) -> None:
        """Refuse a model of another kind.

        Args:
            task: that is needed.
            what: what needs it, as the beginning of a sentence.

        Raises:
            InputError: the model's task is another.
        """
        if self.task != task:
            kinds = {SEGMENTATION: "a segmentation network", CLASSIFICATION: "a classifier", AUTOENCODER: "an autoencoder"}
            raise InputError(f"{what} needs {kinds[task]}, but {self.name} is {kinds[self.task]}: give another model.")

    @property
    def sha256(self) -> str:
        """Of the weights file (of a bundle: of the model file in it); of a network in memory: of its tensors by name."""
        if self._sha256 is None:
            self._sha256 = _sha256_of_tensors(self.network)
        return self._sha256

    def __repr__(self) -> str:
        kind = "classes" if self.task == CLASSIFICATION else "labels"
        return f"Model({self.name}: {self.architecture}; {kind} {', '.join(self.labels)})"


def load_model(
    weights: str | os.PathLike[str],
    card: str | os.PathLike[str] | None = None,
    folds: str | None = None,
    mirror: bool = False,
) -> Model:
    """Load a network from weights; nothing in the files is run.

    Args:
        weights: state dict (``.pt``, ``.pth``, ``.ckpt``, ``.safetensors``), TorchScript archive, MONAI bundle folder, or a model
            in any other of the forms of :mod:`~Agg2ExpLib.models.formats`.
        card: model card; by default the JSON beside the weights with the same stem, or ``model_card.json`` in a bundle folder, or
            what the model's own files say; without any of these the paper's settings are assumed.
        folds, mirror: see :class:`~Agg2ExpLib.models.variant.Variant`.

    Raises:
        InputError: one sentence that says what is wrong with the weights or the card, or that they do not fit each other.
    """
    loaded = read_model(Path(weights), Path(card) if card is not None else None, Variant(folds, mirror))
    return Model(
        loaded.network,
        loaded.card,
        sha256=loaded.sha256,
        name=loaded.name,
        architecture=loaded.architecture,
        warnings=loaded.warnings,
        variant=Variant(folds, mirror),
    )


def demo_weights() -> Path:
    """The small demo weights that come with the project, with their model card beside them.

    They lie in the installed package, a checkout's ``Agg2ExpModule/Resources/Demo`` or a Slicer extension's ``Resources/Demo``.

    Raises:
        InputError: they are in none of these places.
    """
    return _shipped(DEMO_NAME, "The demo weights")


def demo_autoencoder() -> Path:
    """The autoencoder of CT slices that comes with the project, in the same places as :func:`demo_weights`.

    Raises:
        InputError: it is in none of them.
    """
    return _shipped(AUTOENCODER_NAME, "The autoencoder")


def demo_classifier() -> Path:
    """The small demo classifier of findings in the chest, in the same places as :func:`demo_weights`.

    Raises:
        InputError: it is in none of them.
    """
    return _shipped(DEMO_CLASSIFIER_NAME, "The demo classifier")


def _shipped(name: str, words: str) -> Path:
    home = Path(__file__).resolve().parents[2]
    places = [
        *_packaged(),
        home / "Agg2ExpModule" / "Resources" / "Demo",
        home / "Resources" / "Demo",
    ]
    for place in places:
        if (place / name).is_file():
            return place / name
    verb = "are" if words.endswith("s") else "is"
    raise InputError(f"{words} {name} {verb} not installed: reinstall Agg2Exp, or name your own weights.")


def _packaged() -> list[Path]:
    from importlib.util import find_spec

    try:
        spec = find_spec(DEMO_PACKAGE)
    except (ImportError, ValueError):
        return []
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []


def _sha256_of_tensors(network: torch.nn.Module) -> str:
    import hashlib

    import torch

    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
