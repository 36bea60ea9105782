"""A segmentation network with its model card, from weights in any of the forms people have them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..inference.network import check_evaluates
from ..system.memory import require_memory
from ..system.regular_files import sha256_of_file
from .bundle import bundle_of, read_bundle
from .checkpoint import Weights, read_weights
from .labels import PAPER_LABELS
from .model_card import (
    PAPER_HU_WINDOW,
    PAPER_ROI_SIZE,
    PAPER_SPACING,
    ModelCard,
    card_beside,
    default_model_card,
    parse_model_card,
    read_model_card,
)
from .networks import Built, build_network
from .swin_unetr import MERGING_LEGACY

if TYPE_CHECKING:
    import torch

DEMO_NAME = "agg2exp_demo.safetensors"
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

    Attributes:
        network: as given; from files float32, on the CPU, in ``eval()``, weights without gradients.
        card: labels and settings; of a network from files its ``network`` holds the class and arguments that were built.
        name: file or bundle folder name without suffix.
        architecture: one line such as "SwinUNETR v2, feature size 48, depths 2-2-2-2, heads 3-6-12-24, 17 channels".
        warnings: sentences about what was assumed or left out.

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
        sha256: str | None = None,
        architecture: str | None = None,
        warnings: tuple[str, ...] = (),
    ):
        if not callable(getattr(network, "state_dict", None)):
            raise InputError(f"A model needs a torch.nn.Module, not a {type(network).__name__}: for files there is Model.load.")
        check_evaluates(network)
        if not isinstance(labels, ModelCard):
            values = {
                "labels": list(labels),
                "spacing": list(spacing),
                "hu_window": list(hu_window),
                "roi_size": roi_size if isinstance(roi_size, int) else list(roi_size),
                "intensity_range": list(intensity_range),
            }
            labels, _ = parse_model_card(values, f"of {name}")
        self.network, self.card, self.name, self.warnings = network, labels, name, warnings
        self.architecture = architecture or f"{type(network).__name__}, {len(self.card.labels)} channels"
        self._sha256 = sha256

    @classmethod
    def load(cls, weights: str | os.PathLike[str], card: str | os.PathLike[str] | None = None) -> Model:
        """A model from files; see :func:`load_model`.

        Examples:
            >>> model = agg2exp.Model.load("swin_unetr.pt")
            >>> model = agg2exp.Model.load("swin_unetr.pt", card="swin_unetr.json")
        """
        return load_model(weights, card)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the output channels, the background first."""
        return tuple(label.name for label in self.card.labels)

    @property
    def sha256(self) -> str:
        """Of the weights file (of a bundle: of the model file in it); of a network in memory: of its tensors by name."""
        if self._sha256 is None:
            self._sha256 = _sha256_of_tensors(self.network)
        return self._sha256

    def __repr__(self) -> str:
        return f"Model({self.name}: {self.architecture}; labels {', '.join(self.labels)})"


def load_model(weights: str | os.PathLike[str], card: str | os.PathLike[str] | None = None) -> Model:
    """Load a network from weights; nothing in the files is run.

    Args:
        weights: state dict (``.pt``, ``.pth``, ``.ckpt``, ``.safetensors``), TorchScript archive or MONAI bundle folder.
        card: model card; by default the JSON beside the weights with the same stem, or ``model_card.json`` in a bundle folder, or
            what the bundle's configuration says; without any of these the paper's settings are assumed.

    Raises:
        InputError: one sentence that says what is wrong with the weights or the card, or that they do not fit each other.
    """
    path = Path(weights)
    folder = bundle_of(path)
    bundle = None
    if folder is None:
        file, card_file = path, card_beside(path)
    else:
        bundle = read_bundle(folder, path if path != folder else None)
        file, card_file = bundle.weights, folder / "model_card.json"
    found = read_weights(file)
    given: ModelCard | None = None
    warnings: tuple[str, ...] = ()
    if card is not None or card_file.is_file():
        given, warnings = read_model_card(card if card is not None else card_file)
    named = given.network if given else None
    if named is None and bundle is not None:
        named = bundle.network
    if given is None and bundle is None and _is_paper_like(found):
        named = {"downsample": MERGING_LEGACY}  # the paper's code has a network of its own, with MONAI 1.4's patch merging
    built = build_network(found, named, given.weights if given else None, given.leave_out if given else ())
    if given is None:
        given, assumed = bundle.card(built.channels) if bundle is not None else default_model_card(built.channels)
        warnings += assumed
    _check(given, built, file.name)
    return Model(
        built.network,
        replace(given, network=built.spec),
        sha256=_sha256(file),
        name=folder.resolve().name if folder is not None else file.stem,
        architecture=built.architecture,
        warnings=warnings + built.warnings,
    )


def demo_weights() -> Path:
    """The small demo weights that come with the project, with their model card beside them.

    They lie in the installed package, a checkout's ``Agg2ExpModule/Resources/Demo`` or a Slicer extension's ``Resources/Demo``.

    Raises:
        InputError: they are in none of these places.
    """
    home = Path(__file__).resolve().parents[2]
    places = [
        *_packaged(),
        home / "Agg2ExpModule" / "Resources" / "Demo",
        home / "Resources" / "Demo",
    ]
    for place in places:
        if (place / DEMO_NAME).is_file():
            return place / DEMO_NAME
    raise InputError(f"The demo weights {DEMO_NAME} are not installed: reinstall Agg2Exp, or name your own weights.")


def _packaged() -> list[Path]:
    from importlib.util import find_spec

    try:
        spec = find_spec(DEMO_PACKAGE)
    except (ImportError, ValueError):
        return []
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []


def _check(card: ModelCard, built: Built, source: str) -> None:
    """That card and network fit each other."""
    if len(card.labels) != built.channels:
        raise InputError(
            f"The model card lists {len(card.labels)} labels, but {source} has {built.channels} output channels: list one "
            "label for each channel, the background first."
        )
    if any(side % built.divisor for side in card.roi_size):
        raise InputError(
            f"'roi_size' {'x'.join(map(str, card.roi_size))} of the model card does not fit {source}: each side must be "
            f"divisible by {built.divisor}."
        )
    if card.roi_size == (built.divisor,) * 3 and built.spec["class"] not in ("UNETR", "SegResNet", "VNet"):
        # The deepest layer would see a single voxel, which instance normalisation cannot treat.
        raise InputError(
            f"'roi_size' {'x'.join(map(str, card.roi_size))} of the model card is too small for {source}: use "
            f"{2 * built.divisor} or more for at least one side."
        )
    spec = built.spec
    first = next((spec[key] for key in ("feature_size", "init_filters", "channels", "features", "filters") if spec.get(key)), 16)
    features = first[0] if isinstance(first, list) else first
    # Three maps of the first layer and the logits twice are the least that a pass holds.
    values = math.prod(card.roi_size) * (3 * (features if isinstance(features, int) else 16) + 2 * built.channels)
    require_memory(4 * values, f"One window of {'x'.join(map(str, card.roi_size))} voxels ('roi_size' of the model card)")
    if built.spec["class"] == "UNETR":
        image = built.spec.get("img_size")
        if ([image] * 3 if isinstance(image, int) else list(image or [])) != list(card.roi_size):
            raise InputError(
                f"'roi_size' of the model card must equal the img_size {image} of the UNETR in {source}: correct one of them."
            )


def _is_paper_like(weights: Weights) -> bool:
    """Whether these are a Swin UNETR's tensors with the paper's number of labels."""
    return any(name.endswith("out.conv.conv.weight") and shape[0] == len(PAPER_LABELS) for name, shape in weights.shapes())


def _sha256(file: Path) -> str:
    try:
        return sha256_of_file(file)
    except OSError as error:
        raise InputError(f"The weights file {file} cannot be read ({error.strerror or error}): check its permissions.") from error


def _sha256_of_tensors(network: torch.nn.Module) -> str:
    import hashlib

    import torch

    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
