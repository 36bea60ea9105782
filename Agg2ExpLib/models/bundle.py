"""Reads what a MONAI bundle folder says about its network, without running any of its expressions.

A bundle's configuration may hold Python (values that start with ``$``). Only plain values and references to plain values (``@key``,
``@key#part``, ``$@key``) are followed here; everything else counts as not said. See https://docs.monai.io/en/stable/mb_specification.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..system.json_files import read_json
from ..system.regular_files import open_regular
from .labels import PAPER_LABELS, make_labels
from .model_card import PAPER_HU_WINDOW, PAPER_ROI_SIZE, PAPER_SPACING, ModelCard, clean_label_name, default_names
from .swin_unetr import MERGING_LEGACY

_CONFIGS = ("inference.json", "inference.yaml", "inference.yml", "evaluate.json", "train.json")
_REFERENCE = re.compile(r"^\$?@([\w#.]+)$")
# Intensity transforms that the linear HU window of a model card cannot stand for.
_OTHER_SCALING = (
    "NormalizeIntensityd", "ScaleIntensityd", "ScaleIntensityRangePercentilesd", "HistogramNormalized", "ThresholdIntensityd",
    "MaskIntensityd", "ClipIntensityPercentilesd", "Lambdad",
)  # fmt: skip
_MAX_BYTES = 4 * 2**20
_MOST_PARTS, _MOST_DEPTH = 100_000, 60
_UNKNOWN = object()  # a value that only running the bundle's code would tell


@dataclass(frozen=True)
class Bundle:
    """What a bundle folder plainly says.

    Attributes:
        folder: the bundle.
        weights: its model file.
        network: ``class`` and arguments of ``network_def``, where plain.
        settings: card values by key (``spacing``, ``hu_window``, ``intensity_range``, ``roi_size``, texts), where plain.
        names: label names by channel.
        unsuited: why the bundle's preprocessing cannot be followed, or empty.
    """

    folder: Path
    weights: Path
    network: dict[str, Any] | None
    settings: dict[str, Any] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    unsuited: str = ""

    def card(self, channels: int) -> tuple[ModelCard, tuple[str, ...]]:
        """The model card of the bundle, and a sentence that names what had to be assumed.

        Raises:
            InputError: the preprocessing is of a kind that only a model card of the user's own can replace.
        """
        if self.unsuited:
            raise InputError(f"The bundle {self.folder.name} {self.unsuited}: say what fits in a model_card.json in its folder.")
        assumed = [
            text
            for key, text in (
                ("spacing", "spacing 1.5 mm"),
                ("hu_window", "HU window -1024..1024"),
                ("roi_size", "windows of 96x96x96 voxels"),
            )
            if key not in self.settings
        ]
        if set(self.names) == set(range(channels)) and len({name.casefold() for name in self.names.values()}) == channels:
            labels = make_labels([self.names[index] for index in range(channels)])
        else:
            labels = PAPER_LABELS if channels == len(PAPER_LABELS) else make_labels(default_names(channels))
            assumed.insert(0, "the paper's labels" if channels == len(PAPER_LABELS) else f"labels label_1 to label_{channels - 1}")
        warnings = (
            (f"The bundle {self.folder.name} does not plainly say everything, so these were assumed: {', '.join(assumed)}.",)
            if assumed
            else ()
        )
        settings = {"spacing": PAPER_SPACING, "hu_window": PAPER_HU_WINDOW, "roi_size": PAPER_ROI_SIZE, **self.settings}
        return ModelCard(labels=labels, network=self.network, **settings), warnings


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
            config = _read(folder / "configs" / name)
            break
    metadata = _read(folder / "configs" / "metadata.json") if (folder / "configs" / "metadata.json").is_file() else {}
    settings, unsuited = _settings(config)
    for key, source in (("citation", "references"), ("licence", "copyright"), ("intended_use", "intended_use")):
        value = metadata.get(source)
        text = "; ".join(str(part) for part in value) if isinstance(value, list) else value
        if isinstance(text, str) and text.strip():
            settings[key] = text.strip()
    if isinstance(metadata.get("eval_metrics"), dict):
        settings["metrics"] = metadata["eval_metrics"]
    return Bundle(folder, weights or _model_file(folder), _network(config, metadata), settings, _names(metadata), unsuited)


def _model_file(folder: Path) -> Path:
    models = folder / "models"
    for name in ("model.pt", "model.pth", "model.safetensors", "model.ts"):
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


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.suffix == ".json":
            values: object = read_json(file, "The bundle's", _MAX_BYTES)
        else:
            with open_regular(file) as stream:
                data = stream.read(_MAX_BYTES + 1)
            if len(data) > _MAX_BYTES:
                raise ValueError("too large")
            text = data.decode("utf-8-sig")
            try:
                import yaml
            except ImportError as error:
                raise InputError(
                    f"{file.name} needs the package PyYAML to be read: install it with `pip install pyyaml`."
                ) from error
            try:
                values = yaml.safe_load(text)
                _check_size(values)
            except yaml.YAMLError as error:
                raise ValueError(str(error)) from error
    except OSError as error:
        raise InputError(f"The bundle's {file} cannot be read ({error.strerror or error}): check its permissions.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The bundle's {file} is not valid {file.suffix[1:].upper()}: download the bundle again.") from error
    return values if isinstance(values, dict) else {}


def _check_size(values: object) -> None:
    """Refuse what its aliases multiply: entries of YAML may be used again and again in each other.

    Raises:
        ValueError: it has too many entries, or is nested too deep.
    """
    level, count = [values], 0
    for _ in range(_MOST_DEPTH):
        deeper: list[object] = []
        for value in level:
            deeper += list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
            if len(deeper) > _MOST_PARTS:
                raise ValueError("too many entries")
        count += len(deeper)
        if count > _MOST_PARTS:
            raise ValueError("too many entries")
        if not deeper:
            return
        level = deeper
    raise ValueError("nested too deep")


class _Budget:
    """How many parts may still be looked at: references can refer to each other so that they multiply."""

    def __init__(self) -> None:
        self.left = _MOST_PARTS

    def spend(self) -> None:
        """Count one part.

        Raises:
            InputError: there were too many.
        """
        self.left -= 1
        if self.left < 0:
            raise InputError("The bundle's configuration refers to itself again and again: give a model card instead.")


def _resolve(value: Any, config: dict[str, Any], depth: int = 0, budget: _Budget | None = None) -> Any:
    """``value`` with references replaced by what they plainly refer to; ``_UNKNOWN`` where that is an expression.

    Raises:
        InputError: the references multiply.
    """
    budget = budget or _Budget()
    budget.spend()
    if depth > 20:
        return _UNKNOWN
    if isinstance(value, str):
        if match := _REFERENCE.match(value):
            part: Any = config
            for key in re.split(r"#|::", match.group(1)):
                if isinstance(part, list) and key.isdigit() and int(key) < len(part):
                    part = part[int(key)]
                elif isinstance(part, dict) and key in part:
                    part = _resolve(part[key], config, depth + 1, budget) if isinstance(part[key], str) else part[key]
                else:
                    return _UNKNOWN
            return _resolve(part, config, depth + 1, budget)
        return _UNKNOWN if value.startswith(("$", "@", "%")) else value
    if isinstance(value, list):
        parts = [_resolve(part, config, depth + 1, budget) for part in value]
        return _UNKNOWN if any(part is _UNKNOWN for part in parts) else parts
    if isinstance(value, dict):
        resolved = {key: _resolve(part, config, depth + 1, budget) for key, part in value.items()}
        return {key: part for key, part in resolved.items() if part is not _UNKNOWN}
    return value


def _network(config: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any] | None:
    """``network_def`` as a card's ``network``; None when its class is not plainly given."""
    raw = config.get("network_def", config.get("network"))
    target = _resolve(raw, config)
    if not isinstance(raw, dict) or not isinstance(target, dict) or not isinstance(target.get("_target_"), str):
        return None
    kind = target["_target_"].rsplit(".", 1)[-1]
    network = {"class": kind, **{key: value for key, value in target.items() if not key.startswith("_")}}
    if kind == "SwinUNETR":
        version = re.match(r"(\d+)\.(\d+)", str(metadata.get("monai_version", "")))
        if version and (int(version[1]), int(version[2])) < (1, 5) and network.get("downsample", "merging") == "merging":
            network["downsample"] = MERGING_LEGACY  # the same word meant another order of voxels then
    return network


def _settings(config: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Spacing, HU window and window size where they are plainly given, and why the preprocessing cannot be followed."""
    settings: dict[str, Any] = {}
    unsuited = ""
    steps = config.get("preprocessing", {})
    transforms = steps.get("transforms", []) if isinstance(steps, dict) else []
    for raw in transforms if isinstance(transforms, list) else []:
        step = _resolve(raw, config)
        if not isinstance(step, dict) or step.get("_disabled_") is True:
            continue
        name = str(step.get("_target_", "")).rsplit(".", 1)[-1]
        if name == "Spacingd" and (spacing := _three(step.get("pixdim"))):
            settings["spacing"] = spacing
        elif name == "ScaleIntensityRanged":
            if hu_window := _interval(step.get("a_min"), step.get("a_max")):
                settings["hu_window"] = hu_window
            if intensity_range := _interval(step.get("b_min"), step.get("b_max")):
                settings["intensity_range"] = intensity_range
        elif name == "Orientationd" and step.get("axcodes", "RAS") != "RAS":
            unsuited = f"turns its images to {step['axcodes']}, and Agg2Exp works in RAS"
        elif name in _OTHER_SCALING:
            unsuited = f"scales intensities with {name}, and Agg2Exp knows a linear HU window only"
    inferer = _resolve(config.get("inferer", {}), config)
    if isinstance(inferer, dict) and (size := _three(inferer.get("roi_size"))):
        settings["roi_size"] = tuple(int(side) for side in size)
    return settings, unsuited


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


def _interval(low: Any, high: Any) -> tuple[float, float] | None:
    return (float(low), float(high)) if _is_number(low) and _is_number(high) and low < high else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _three(value: Any) -> tuple[float, float, float] | None:
    numbers = [value] * 3 if _is_number(value) else value
    if isinstance(numbers, list) and len(numbers) == 3 and all(_is_number(number) and number > 0 for number in numbers):
        return float(numbers[0]), float(numbers[1]), float(numbers[2])
    return None
