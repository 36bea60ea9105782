"""A MONAI bundle folder: what it says about its network, without running any of its expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..preprocessing.hu_window import HuWindow
from ..preprocessing.preprocessing import Preprocessing
from ..preprocessing.spacing import Spacing
from ..preprocessing.step import Intensity
from .bundle_config import is_plain, read_config, resolve
from .bundle_outputs import read_output, read_windows
from .bundle_steps import Unsuited, read_steps
from .card_labels import clean_label_name
from .labels import BACKGROUND, PAPER_LABELS, make_labels
from .model_card import PAPER_HU_WINDOW, PAPER_ROI_SIZE, PAPER_SPACING, ModelCard, default_names
from .networks import ALLOWED
from .swin_unetr import MERGING_LEGACY

if TYPE_CHECKING:
    from ..preprocessing.step import Step

_CONFIGS = ("inference.json", "inference.yaml", "inference.yml", "evaluate.json", "train.json")
# Arguments of a network that change nothing of what it computes, or that its tensors tell.
_NEEDLESS = re.compile(r"use_checkpoint|img_size|out_channels|feature_size|.*drop(out|path)?.*(rate|prob)?|pretrained")
_NO_CT = ("mr", "mri", "mrt", "pt", "pet", "us", "ultrasound", "xray", "x-ray", "xr", "cr", "dx", "mg", "oct", "rgb")


@dataclass(frozen=True)
class Bundle:
    """What a bundle folder plainly says.

    Attributes:
        folder: the bundle.
        weights: its model file.
        network: ``class`` and arguments of ``network_def``, where plain.
        steps: its preprocessing; None where it has none.
        windows: ``roi_size``, ``overlap``, ``blend``, ``pad_value``; None where nothing is said.
        output: ``softmax`` or ``sigmoid``.
        texts: of the card, by key.
        names: label names by channel.
        other: the model file that the configuration is for, where that is another one.
        left: steps after the network that are not done.
        unsuited: why the bundle cannot be followed, or empty.
    """

    folder: Path
    weights: Path
    network: dict[str, Any] | None
    steps: tuple[Step, ...] | None = None
    windows: dict[str, Any] | None = None
    output: str = "softmax"
    texts: dict[str, Any] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    other: str = ""
    left: tuple[str, ...] = ()
    unsuited: str = ""

    def drops_background(self, channels: int) -> bool:
        """Whether the first of several overlapping channels is the background, which is no label then."""
        return self.output == "sigmoid" and channels > 1 and self.names.get(0, "").casefold() == BACKGROUND

    def check(self) -> None:
        """Refuse what cannot be followed.

        Raises:
            InputError: one sentence that names it.
        """
        if self.unsuited:
            raise InputError(f"The bundle {self.folder.name} {self.unsuited}: say what fits in a model_card.json in its folder.")

    def card(self, channels: int) -> tuple[ModelCard, tuple[str, ...]]:
        """The model card of the bundle for a network of so many channels, and what had to be assumed or is left out.

        Raises:
            InputError: the bundle does something that only a model card of the user's own can replace.
        """
        self.check()
        assumed = [
            text
            for missing, text in (
                (self.steps is None, "spacing 1.5 mm and the HU window -1024..1024"),
                (self.windows is None, "windows of 96x96x96 voxels"),
            )
            if missing
        ]
        names = self._label_names(channels)
        if names is not None:
            labels = make_labels(names)
        elif channels == len(PAPER_LABELS) and self.output == "softmax":
            labels = PAPER_LABELS
            assumed.insert(0, "the paper's labels")
        else:
            count = channels + (self.output == "sigmoid") - self.drops_background(channels)
            labels = make_labels(default_names(count))
            assumed.insert(0, f"labels label_1 to label_{count - 1}")
        warnings: tuple[str, ...] = (
            (f"The bundle {self.folder.name} does not plainly say everything, so these were assumed: {', '.join(assumed)}.",)
            if assumed
            else ()
        )
        if self.left:
            warnings += (f"What the bundle {self.folder.name} does after its network is not done: {', '.join(self.left)}.",)
        if self.other:
            warnings += (
                f"The configuration of the bundle {self.folder.name} is for {self.other}, and {self.weights.name} was taken: check "
                "that its spacing and labels are the same.",
            )
        windows = dict(self.windows or {"roi_size": PAPER_ROI_SIZE})
        pad = windows.pop("pad_value", 0.0)
        hu_window: tuple[float, float] | None = PAPER_HU_WINDOW
        spacing, intensity_range, steps = PAPER_SPACING, (0.0, 1.0), None
        if self.steps is not None:
            steps = Preprocessing(self.steps, pad)
            spacing = next((step.spacing for step in reversed(self.steps) if isinstance(step, Spacing)), (0.0, 0.0, 0.0))
            scales = [step for step in self.steps if isinstance(step, Intensity)]
            alone = scales[0] if len(scales) == 1 and isinstance(scales[0], HuWindow) else None
            hu_window = alone.hu_window if alone else None
            intensity_range = alone.intensity_range if alone else (0.0, 1.0)
        card = ModelCard(
            labels,
            spacing,
            hu_window,
            intensity_range=intensity_range,
            network=self.network,
            steps=steps,
            output=self.output,
            **windows,
            **self.texts,
        )
        return card, warnings

    def _label_names(self, channels: int) -> list[str] | None:
        """The background and a name for each label, where the bundle names all of them."""
        named = self.names
        if self.output == "sigmoid" and not self.drops_background(channels):
            if set(named) == set(range(channels)) and named[0].casefold() != BACKGROUND:
                named = {0: BACKGROUND, **{index + 1: name for index, name in named.items()}}
            channels += 1
        names = [named[index] for index in range(channels)] if set(named) == set(range(channels)) else []
        return names if names and len({name.casefold() for name in names}) == channels else None


def bundle_of(path: Path) -> Path | None:
    """The bundle folder that ``path`` is, or in whose ``models`` folder it lies; else None.

    Raises:
        InputError: ``path`` is a folder, but not a bundle.
    """
    if path.is_dir():
        if (path / "models").is_dir() or (path / "configs").is_dir():
            return path
        raise InputError(
            f"The folder {path} is not a MONAI bundle (no configs and models in it): give a bundle folder or a weights file."
        )
    beside = path.with_suffix(".json")
    inside = path.parent.name == "models" and (path.parent.parent / "configs" / "metadata.json").is_file()
    return path.parent.parent if inside and path.is_file() and not beside.is_file() else None


def read_bundle(folder: Path, weights: Path | None = None) -> Bundle:
    """Read a bundle folder; ``weights`` names one of several model files in it.

    Raises:
        InputError: there is no model file, or a configuration file cannot be read.
    """
    config: dict[str, Any] = {}
    for name in _CONFIGS:
        if (folder / "configs" / name).is_file():
            config = read_config(folder / "configs" / name)
            break
    metadata = read_config(folder / "configs" / "metadata.json") if (folder / "configs" / "metadata.json").is_file() else {}
    texts: dict[str, Any] = {}
    for key, source in (("citation", "references"), ("licence", "copyright"), ("intended_use", "intended_use")):
        value = metadata.get(source)
        text = "; ".join(str(part) for part in value) if isinstance(value, list) else value
        if isinstance(text, str) and text.strip():
            texts[key] = text.strip()
    if isinstance(metadata.get("eval_metrics"), dict):
        texts["metrics"] = metadata["eval_metrics"]
    found: dict[str, Any] = {"texts": texts, "names": _names(metadata)}
    try:
        found["network"] = _network(config, metadata)
        _check_modality(metadata)
        _check_dataset(config)
        found["steps"] = read_steps(config, "preprocessing", old=_version(metadata) < (1, 5))
        found["windows"] = read_windows(config)
        found["output"], found["left"] = read_output(config)
    except Unsuited as reason:
        found["unsuited"] = str(reason)
    configured = _configured_file(config)
    file = weights or _model_file(folder, configured)
    if configured not in ("", file.name) and (folder / "models" / configured).is_file():
        found["other"] = configured
    return Bundle(folder, file, found.pop("network", None), **found)


def _configured_file(config: dict[str, Any]) -> str:
    """The name of the model file that the configuration loads, where it plainly says one."""
    handlers = config.get("handlers")
    places = [
        config.get("checkpointloader"),
        *(handlers if isinstance(handlers, list) else []),
        {"load_path": config.get("ckpt_path")},
    ]
    for place in places:
        path = resolve(place.get("load_path"), config) if isinstance(place, dict) else None
        if isinstance(path, str) and path.strip():
            return re.split(r"[/\\]", path)[-1]
    return ""


def _model_file(folder: Path, configured: str = "") -> Path:
    models = folder / "models"
    for name in (configured or "model.pt", "model.pt", "model.pth", "model.safetensors", "model.ts"):
        if (models / name).is_file():
            return models / name
    found = sorted(file for file in models.glob("*") if file.suffix in (".pt", ".pth", ".safetensors", ".ts"))
    if not found:
        raise InputError(f"The bundle {folder} has no models/model.pt: download the bundle with its weights.")
    if len(found) > 1:
        raise InputError(
            f"The bundle {folder} has several model files and no models/model.pt: name one of them instead of the folder."
        )
    return found[0]


def _network(config: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any] | None:
    """``network_def`` as a card's ``network``; None when its class is not plainly given.

    Raises:
        InputError: the network is the bundle's own, or an argument that its tensors do not tell is an expression.
    """
    raw = config.get("network_def", config.get("network"))
    target = resolve(raw, config)
    if not isinstance(raw, dict) or not isinstance(target, dict) or not isinstance(target.get("_target_"), str):
        return None
    place, _, kind = target["_target_"].rpartition(".")
    if place and not (place + ".").startswith("monai.networks.nets."):
        kind = target["_target_"]
    values = {key: value for key, value in target.items() if not key.startswith("_")}
    if kind in ALLOWED and (open_ := [k for k, v in values.items() if not is_plain(v) and not _NEEDLESS.fullmatch(k)]):
        raise Unsuited(f"gives '{open_[0]}' of its network by an expression, which only running the bundle would tell")
    network = {"class": kind, **{key: value for key, value in values.items() if is_plain(value)}}
    if kind == "SwinUNETR" and _version(metadata) < (1, 5) and network.get("downsample", "merging") == "merging":
        network["downsample"] = MERGING_LEGACY  # the same word meant another order of voxels then
    return network


def _version(metadata: dict[str, Any]) -> tuple[int, int]:
    """The MONAI that the bundle was made for; of one that does not say, the present one."""
    version = re.match(r"(\d+)\.(\d+)", str(metadata.get("monai_version", "")))
    return (int(version[1]), int(version[2])) if version else (99, 0)


def _check_modality(metadata: dict[str, Any]) -> None:
    """Refuse images that are no CT, several channels, and flat ones."""
    inputs = metadata.get("network_data_format")
    image: Any = inputs.get("inputs") if isinstance(inputs, dict) else None
    image = image.get("image") if isinstance(image, dict) else None
    if not isinstance(image, dict):
        return
    named = str(image.get("modality", ""))
    words = re.split(r"[^a-z-]+", named.casefold())
    if "ct" not in words and any(word in _NO_CT for word in words):
        raise Unsuited(f"is for {named} images, and Agg2Exp explains networks for CT")
    channels, shape = image.get("num_channels"), image.get("spatial_shape")
    if isinstance(channels, int) and channels > 1:
        raise Unsuited(f"takes {channels} input channels, and a CT has one")
    if isinstance(shape, list) and len(shape) == 2:
        raise Unsuited("is for 2D images, and Agg2Exp explains 3D networks")


def _check_dataset(config: dict[str, Any]) -> None:
    """Refuse a dataset that prepares its images by something else than ``preprocessing``."""
    dataset = config.get("dataset")
    transform = dataset.get("transform", "@preprocessing") if isinstance(dataset, dict) else "@preprocessing"
    if transform not in ("@preprocessing", "$@preprocessing", None):
        raise Unsuited("prepares its images by another transform than its 'preprocessing'")


def _names(metadata: dict[str, Any]) -> dict[int, str]:
    """Label names by channel from ``network_data_format.outputs.pred.channel_def``, in lower case with underscores."""
    found: Any = metadata
    for key in ("network_data_format", "outputs", "pred", "channel_def"):
        found = found.get(key) if isinstance(found, dict) else None
    names = {}
    for index, name in found.items() if isinstance(found, dict) else ():
        if str(index).isdigit() and isinstance(name, str):
            try:
                names[int(index)] = clean_label_name(re.sub(r"[/\\:,]+", " ", name).lower(), "channel_def", "metadata.json")
            except InputError:
                continue
    return names
