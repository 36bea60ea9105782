"""Weights as a single file with a model card beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..system.regular_files import sha256_of_file
from .autoencoders import AUTOENCODERS
from .checkpoint import SUFFIXES, Weights, read_weights
from .classifiers import CLASSIFIERS
from .described import Described
from .labels import PAPER_LABELS
from .loaded import Loaded
from .model_card import AUTOENCODER, CLASSIFICATION, ModelCard, card_beside, default_model_card, read_model_card
from .networks import Built, build_network
from .swin_unetr import MERGING_LEGACY
from .variant import Variant
from .window_memory import require_window_memory


def find(path: Path) -> Path:
    """Anything may be meant as weights."""
    return path


def load(path: Path, card: Path | None, variant: Variant) -> Loaded:
    """The network of a weights file.

    Raises:
        InputError: one sentence that says what is wrong with the weights or the card, or that they do not fit each other.
    """
    variant.refuse(path.name)
    found = read_weights(path)
    card_file = card if card is not None else card_beside(path)
    given: ModelCard | None = None
    warnings: tuple[str, ...] = ()
    if card is not None or card_file.is_file():
        given, warnings = read_model_card(card_file)
    named = given.network if given else None
    if given is None and any(".seg_layers." in name for name, _ in found.shapes()):
        raise InputError(
            f"{path.name} is the checkpoint of an nnU-Net, which is described by files beside it: give it in its folder fold_0, "
            "with plans.json and dataset.json in the folder above."
        )
    if given is None and _is_paper_like(found):
        named = {"downsample": MERGING_LEGACY}  # the paper's code has a network of its own, with MONAI 1.4's patch merging
    if given is not None:
        check_task(given, path.name)
    built = build_network(found, named, given.weights if given else None, given.leave_out if given else ())
    if given is None:
        given, assumed = default_model_card(built.channels)
        warnings += assumed
    check_fits(given, built, path.name)
    card_of = replace(given, network=built.spec)
    return Loaded(built.network, card_of, path.stem, checksum(path), built.architecture, warnings + built.warnings)


def describe(path: Path) -> Described:
    """What a model card says of weights.

    Raises:
        InputError: there is no such file, or its card is wrong.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path.")
    if not path.is_file() or not path.name.lower().endswith(SUFFIXES):
        raise InputError(f"{path.name} is no model by its name: give weights ({', '.join(SUFFIXES)}) or a model's folder.")
    card = card_beside(path)
    if not card.is_file():
        return Described("weights", None, ("No model card lies beside the weights: its labels are known after it was loaded.",))
    return Described("weights", *read_model_card(card))


def check_task(card: ModelCard, source: str) -> None:
    """That the network that a card names does what the card is for.

    Raises:
        InputError: it does not, or a classifier's card names none.
    """
    kind = (card.network or {}).get("class")
    if card.task == CLASSIFICATION and kind not in CLASSIFIERS:
        raise InputError(
            f"The model card of the classifier {source} names the network {kind!r}: its 'network' needs a class of "
            f"{', '.join(CLASSIFIERS)}."
        )
    if card.task != CLASSIFICATION and kind in CLASSIFIERS:
        raise InputError(
            f"The network {kind} of {source} sorts whole volumes, but its model card is for {card.task}: name another network, or "
            'give "task": "classification" and "classes".'
        )
    if card.task == AUTOENCODER and kind not in AUTOENCODERS:
        raise InputError(
            f"The model card of the autoencoder {source} names the network {kind!r}: its 'network' needs a class of "
            f"{', '.join(AUTOENCODERS)}."
        )
    if card.task != AUTOENCODER and kind in AUTOENCODERS:
        raise InputError(
            f"The network {kind} of {source} gives back the CT, but its model card is for {card.task}: name another network, or "
            'give "task": "autoencoder".'
        )


def check_fits(card: ModelCard, built: Built, source: str) -> None:
    """That card and network fit each other.

    Raises:
        InputError: one sentence that says what does not fit.
    """
    if card.task == AUTOENCODER:
        if card.hu_window is None or card.steps is not None:
            raise InputError(f"The model card of the autoencoder {source} must prepare a CT by 'spacing' and 'hu_window' alone.")
        return
    if card.task == CLASSIFICATION:
        if card.channels != built.channels:
            raise InputError(
                f"The model card lists {len(card.labels)} classes, but {source} has {built.channels} outputs: list one class for "
                "each output."
            )
        return
    if card.output == "softmax" and built.channels < 2:
        raise InputError(
            f"{source} has {built.channels} output channel(s): give a network with one channel for the background and one for each "
            'label, or say "output": "sigmoid" in a model card if each channel is a label of its own.'
        )
    if card.channels != built.channels and card.output == "sigmoid":
        raise InputError(
            f"The model card lists {len(card.labels)} labels with the background, but {source} has {built.channels} output "
            'channels: with "output": "sigmoid" list the background and one label for each channel.'
        )
    if card.channels != built.channels:
        raise InputError(
            f"The model card lists {len(card.labels)} labels, but {source} has {built.channels} output channels: list one "
            "label for each channel, the background first."
        )
    divisors = "x".join(map(str, built.divisors if len(set(built.divisors)) > 1 else built.divisors[:1]))
    if any(side % divisor for side, divisor in zip(card.roi_size, built.divisors, strict=True)):
        raise InputError(
            f"'roi_size' {'x'.join(map(str, card.roi_size))} of the model card does not fit {source}: each side must be "
            f"divisible by {divisors}."
        )
    if card.roi_size == built.divisors and built.spec["class"] not in ("UNETR", "SegResNet", "VNet"):
        # The deepest layer would see a single voxel, which instance normalisation cannot treat.
        raise InputError(
            f"'roi_size' {'x'.join(map(str, card.roi_size))} of the model card is too small for {source}: use "
            f"{2 * max(built.divisors)} or more for at least one side."
        )
    spec = built.spec
    first = next((spec[key] for key in ("feature_size", "init_filters", "channels", "features", "filters") if spec.get(key)), 16)
    features = first[0] if isinstance(first, list) else first
    width = features if isinstance(features, int) else 16
    require_window_memory(card.roi_size, width, built.channels, "'roi_size' of the model card")
    if built.spec["class"] == "UNETR":
        image = built.spec.get("img_size")
        if ([image] * 3 if isinstance(image, int) else list(image or [])) != list(card.roi_size):
            raise InputError(
                f"'roi_size' of the model card must equal the img_size {image} of the UNETR in {source}: correct one of them."
            )


def _is_paper_like(weights: Weights) -> bool:
    """Whether these are a Swin UNETR's tensors with the paper's number of labels."""
    return any(name.endswith("out.conv.conv.weight") and shape[0] == len(PAPER_LABELS) for name, shape in weights.shapes())


def checksum(file: Path) -> str:
    """sha256 of a weights file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sha256_of_file(file)
    except OSError as error:
        raise InputError(f"The weights file {file} cannot be read ({error.strerror or error}): check its permissions.") from error
