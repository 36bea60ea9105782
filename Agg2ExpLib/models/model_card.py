"""Model cards: the JSON beside a network's weights that says what its channels mean and how to prepare a CT for it.

Required keys are ``labels`` (channel order, background first), ``spacing`` (mm), ``hu_window`` and ``roi_size`` (voxels). A card
with ``"task": "classification"`` has ``classes`` in place of ``labels`` and sees the whole volume, without ``roi_size``; one with
``"task": "autoencoder"`` has neither. Optional are ``task``, ``intensity_range``, ``preprocessing`` (steps in place of
``hu_window``), ``pad_value``, ``output``, ``overlap``, ``blend``, ``windows``, ``padding``, ``colors``, ``groups``, ``network``,
``weights``, ``leave_out``, ``citation``, ``licence``, ``intended_use`` and ``metrics``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..inference.sliding_window import BLENDS, SCHEMES
from ..system.json_files import parse_json, read_json
from .card_labels import read_classes, read_labels
from .card_values import typed
from .labels import PAPER_LABELS, Label, make_labels

if TYPE_CHECKING:
    from ..preprocessing.preprocessing import Preprocessing

PAPER_SPACING = (1.5, 1.5, 1.5)
PAPER_HU_WINDOW = (-1024.0, 1024.0)
PAPER_ROI_SIZE = (96, 96, 96)
MOST_INTENSITY = 1e6
OUTPUTS = ("softmax", "sigmoid")
SEGMENTATION, CLASSIFICATION, AUTOENCODER = "segmentation", "classification", "autoencoder"
# What a card must give, by the task of its network.
REQUIRED = {
    SEGMENTATION: ("labels", "spacing", "hu_window", "roi_size"),
    CLASSIFICATION: ("classes", "spacing", "hu_window"),
    AUTOENCODER: ("spacing", "hu_window"),
}
WHOLE = (0, 0, 0)  # window of a network that sees the whole volume
PADDINGS = ("constant", "replicate", "reflect", "circular")

_TEXTS = ("citation", "licence", "intended_use")
_WINDOWS = ("overlap", "blend", "windows", "padding")
_PREPARATION = ("intensity_range", "preprocessing", "pad_value")
_OPTIONAL = ("task", *_PREPARATION, "colors", "groups", "network", "weights", "leave_out", "output", *_WINDOWS, *_TEXTS, "metrics")
_MAX_BYTES = 4 * 2**20


@dataclass(frozen=True)
class ModelCard:
    """What a network expects and returns.

    Attributes:
        labels: the background first, then one per output channel that is a label, in channel order; of a classifier its classes,
            one per channel; of an autoencoder none.
        spacing: voxel size of the model grid in mm, along the axes of the network's arrays (R-L, A-P, I-S for most);
            0 where ``steps`` keep the CT's own.
        hu_window: (low, high) in Hounsfield units; values outside are clipped. None where ``steps`` say what is done instead.
        roi_size: sliding window in voxels of the model grid, same axes as ``spacing``; :data:`WHOLE` where there are no windows.
        intensity_range: what ``hu_window`` is scaled to.
        network: class and arguments of the MONAI network, when it is not read off the weights' tensors.
        steps: the whole preprocessing, where it is another than RAS axes, spacing and HU window.
        output: ``softmax``: the first channel is the background, the largest logit wins; ``sigmoid``: one channel for each label
            without the background, which is there where its logit is above 0. Of a classifier: classes that exclude each other, or
            each for itself.
        overlap, blend: of the sliding windows, where the model was made for certain ones.
        windows: whose window positions: ``monai`` or ``nnunet``.
        padding: how an image smaller than a window is filled up to one: ``constant``, or PyTorch's padding of that name, which is
            not followed.
        weights: which of several networks in the file, by the keys and prefix that lead to its tensors.
        leave_out: names of tensors in the file that play no part in the output, or beginnings or patterns of names.
        citation: how to cite the weights.
        licence: licence of the weights.
        intended_use: what the weights are and are not for.
        metrics: measured quality, free form.
        task: ``segmentation``, ``classification`` or ``autoencoder``.
    """

    labels: tuple[Label, ...]
    spacing: tuple[float, float, float]
    hu_window: tuple[float, float] | None
    roi_size: tuple[int, int, int]
    intensity_range: tuple[float, float] = (0.0, 1.0)
    network: dict[str, Any] | None = None
    citation: str | None = None
    licence: str | None = None
    intended_use: str | None = None
    metrics: dict[str, Any] | None = None
    steps: Preprocessing | None = None
    output: str = "softmax"
    overlap: float | None = None
    blend: str | None = None
    windows: str = "monai"
    padding: str = "constant"
    weights: str | None = None
    leave_out: tuple[str, ...] = ()
    task: str = SEGMENTATION

    @property
    def explainable(self) -> tuple[Label, ...]:
        """What a run can explain: the labels without the background, or the classes."""
        return self.labels[1:] if self.task == SEGMENTATION else self.labels

    @property
    def preprocessing(self) -> Preprocessing:
        """From a CT to what the network sees."""
        from ..preprocessing.preprocessing import Preprocessing

        if self.steps is not None or self.hu_window is None:
            assert self.steps is not None, "a card has an HU window or steps"
            return self.steps
        return Preprocessing.simple(self.spacing, self.hu_window, self.intensity_range)

    @property
    def channels(self) -> int:
        """Channels of the network's output."""
        return len(self.labels) - self._first

    def channel(self, label: Label) -> int:
        """The output channel of a label (not of the background, where that has none)."""
        return label.index - self._first

    @property
    def _first(self) -> int:
        """Index of the label of the first channel."""
        return int(self.task == SEGMENTATION and self.output == "sigmoid")

    def to_dict(self) -> dict[str, Any]:
        """The card as plain JSON values; reading them back with :func:`parse_model_card` gives an equal card."""
        card: dict[str, Any] = {} if self.task == SEGMENTATION else {"task": self.task}
        if self.labels:
            card |= {
                "labels" if self.task == SEGMENTATION else "classes": [label.name for label in self.labels],
                "colors": {label.name: list(label.color) for label in self.labels},
                "groups": {label.name: label.group for label in self.labels},
            }
        card["spacing"] = list(self.spacing)
        if self.hu_window is not None:
            card |= {"hu_window": list(self.hu_window), "intensity_range": list(self.intensity_range)}
        if self.steps is not None:
            card |= {"preprocessing": self.steps.to_json(), "pad_value": self.steps.pad_value}
        if self.task == SEGMENTATION:
            card |= {"roi_size": list(self.roi_size), "windows": self.windows}
        if self.task != AUTOENCODER:
            card["output"] = self.output
        card |= {"padding": self.padding} if self.padding != "constant" else {}
        card |= {key: value for key in ("overlap", "blend") if (value := getattr(self, key)) is not None}
        if self.leave_out:
            card["leave_out"] = list(self.leave_out)
        for key in ("network", "weights", *_TEXTS, "metrics"):
            if (value := getattr(self, key)) is not None:
                card[key] = value
        return card

    def to_json(self) -> str:
        """The card as JSON text that ends with a newline."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_model_card(path: str | os.PathLike[str]) -> tuple[ModelCard, tuple[str, ...]]:
    """Read and check a model card.

    Returns:
        The card and one sentence for each thing in it that was not understood.

    Raises:
        InputError: the file cannot be read, is not JSON or has a wrong value; the sentence names file and key.
    """
    file = Path(path)
    return parse_model_card(read_json(file, "The model card", _MAX_BYTES), file.name)


def card_beside(weights: Path) -> Path:
    """Where the card of a weights file lies: the same name with ``.json``; of ``w.pth.tar`` also ``w.json``."""
    beside = weights.with_suffix(".json")
    shorter = beside.with_suffix("").with_suffix(".json")
    return shorter if weights.suffix == ".tar" and not beside.is_file() and shorter.is_file() else beside


def parse_model_card(values: object, source: str) -> tuple[ModelCard, tuple[str, ...]]:
    """Check the JSON values of a card; ``source`` names the file in messages. Returns and raises as :func:`read_model_card`."""
    if not isinstance(values, dict):
        raise InputError(f"The model card {source} must hold one JSON object with {', '.join(REQUIRED[SEGMENTATION])}.")
    task = _choice(values.get("task", SEGMENTATION), tuple(REQUIRED), "task", source)
    required = REQUIRED[task]
    needed = [key for key in required if key != "hu_window" or values.get("preprocessing") is None]
    if missing := [key for key in needed if key not in values]:
        raise InputError(f"The model card {source} lacks '{missing[0]}': it must give {', '.join(required)}.")
    labels = read_labels(values, source) if task == SEGMENTATION else read_classes(values, source) if task == CLASSIFICATION else ()
    hu_window = _interval(values["hu_window"], "hu_window", source, "HU") if "hu_window" in values else None
    intensity_range = _interval(values.get("intensity_range", [0.0, 1.0]), "intensity_range", source, "numbers")
    texts: dict[str, str | None] = {}
    for key in _TEXTS:
        texts[key] = typed(values.get(key), str, key, source, "a text")
    network = typed(values.get("network"), dict, "network", source, 'an object such as {"class": "SwinUNETR"}')
    metrics = typed(values.get("metrics"), dict, "metrics", source, "an object")
    warnings = tuple(
        f"The model card {source} has the key '{key}', which is not known and was left out."
        for key in values
        if key not in required and key not in _OPTIONAL
    )
    card = ModelCard(
        labels=labels,
        spacing=_spacing(values["spacing"], source, own="preprocessing" in values),
        hu_window=hu_window,
        roi_size=_roi_size(values["roi_size"], source) if task == SEGMENTATION else WHOLE,
        intensity_range=intensity_range,
        network=network,
        metrics=metrics,
        steps=_steps(values, source),
        output=_choice(values.get("output", "softmax"), OUTPUTS, "output", source),
        overlap=_overlap(values.get("overlap"), source),
        blend=_choice(values["blend"], BLENDS, "blend", source) if values.get("blend") is not None else None,
        windows=_choice(values.get("windows", "monai"), SCHEMES, "windows", source),
        padding=_choice(values.get("padding", "constant"), PADDINGS, "padding", source),
        weights=typed(values.get("weights"), str, "weights", source, 'a text such as "ema"'),
        leave_out=_texts(values.get("leave_out"), "leave_out", source),
        task=task,
        **texts,
    )
    return card, warnings


def default_model_card(channels: int) -> tuple[ModelCard, tuple[str, ...]]:
    """The settings assumed for weights without a card: the paper's, and its 17 labels where the number of channels matches."""
    settings = "spacing 1.5 mm, HU window -1024..1024 and windows of 96x96x96 voxels"
    if channels == len(PAPER_LABELS):
        labels = PAPER_LABELS
        warning = (
            f"The weights have no model card, so the paper's 17 thorax labels, {settings} and the patch merging of "
            "MONAI 0.9 to 1.4 were assumed."
        )
    else:
        labels = make_labels(default_names(channels))
        warning = (
            f"The weights have no model card, so the labels are called label_1 to label_{channels - 1}, and the paper's "
            f"{settings} were assumed."
        )
    return ModelCard(labels, PAPER_SPACING, PAPER_HU_WINDOW, PAPER_ROI_SIZE), (warning,)


def default_names(channels: int) -> tuple[str, ...]:
    """Label names of a network that nobody described: ``background``, ``label_1``, ``label_2`` …"""
    return ("background", *(f"label_{index}" for index in range(1, channels)))


def write_model_card(path: str | os.PathLike[str], card: ModelCard) -> None:
    """Write a card as JSON, first beside ``path`` and then renamed, so that no half-written card is ever read.

    Raises:
        InputError: the card could not be read back, or the folder cannot be written to.
    """
    file = Path(path)
    text = card.to_json()
    parse_model_card(parse_json(text, f"The model card {file.name}"), file.name)
    beside = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"The model card {file} cannot be written ({error.strerror or error}): choose another folder.") from error


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf


def _numbers(value: object) -> list[float] | None:
    entries: Sequence[object] = value if isinstance(value, list) else [value]
    numbers = [_float(entry) for entry in entries if isinstance(entry, (int, float)) and not isinstance(entry, bool)]
    return numbers if len(numbers) == len(entries) and all(math.isfinite(number) for number in numbers) else None


def _spacing(value: object, source: str, own: bool = False) -> tuple[float, float, float]:
    numbers = _numbers(value) or []
    numbers = numbers * 3 if len(numbers) == 1 else numbers
    if len(numbers) != 3 or not all(0.05 <= number <= 50 or (own and number == 0) for number in numbers):
        raise InputError(f"'spacing' of {source} must be one or three numbers from 0.05 to 50 (mm).")
    return numbers[0], numbers[1], numbers[2]


def _roi_size(value: object, source: str) -> tuple[int, int, int]:
    numbers = _numbers(value) or []
    numbers = numbers * 3 if len(numbers) == 1 else numbers
    if len(numbers) != 3 or not all(number.is_integer() and 8 <= number <= 1024 for number in numbers):
        raise InputError(f"'roi_size' of {source} must be one or three whole numbers from 8 to 1024 (voxels).")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def _interval(value: object, key: str, source: str, unit: str) -> tuple[float, float]:
    numbers = (_numbers(value) if isinstance(value, list) else None) or []
    if len(numbers) != 2 or not numbers[0] < numbers[1]:
        raise InputError(f"'{key}' of {source} must be two {unit}, the lower one first.")
    if max(abs(number) for number in numbers) > MOST_INTENSITY or numbers[1] - numbers[0] < 1 / MOST_INTENSITY:
        raise InputError(f"'{key}' of {source} must lie within ±{MOST_INTENSITY:g}, its two {unit} apart.")
    return numbers[0], numbers[1]


def _steps(values: Mapping[str, Any], source: str) -> Preprocessing | None:
    if values.get("preprocessing") is None:
        return None
    from ..preprocessing.preprocessing import Preprocessing

    pad = _numbers(values.get("pad_value", 0.0))
    if pad is None or len(pad) != 1:
        raise InputError(f"'pad_value' of {source} must be a number.")
    return Preprocessing.from_json(values["preprocessing"], source, pad[0])


def _choice(value: object, choices: Sequence[str], key: str, source: str) -> str:
    if value not in choices:
        raise InputError(f"'{key}' of {source} must be {' or '.join(choices)}, not {value!r}.")
    return str(value)


def _overlap(value: object, source: str) -> float | None:
    if value is None:
        return None
    numbers = _numbers(value) or []
    if len(numbers) != 1 or not 0 <= numbers[0] < 1:
        raise InputError(f"'overlap' of {source} must be a number from 0 to less than 1.")
    return numbers[0]


def _texts(value: object, key: str, source: str) -> tuple[str, ...]:
    entries = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(entry, str) and entry.strip() for entry in entries):
        raise InputError(f"'{key}' of {source} must list names.")
    return tuple(entry.strip() for entry in entries)
