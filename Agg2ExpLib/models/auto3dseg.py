"""Models of MONAI's Auto3DSeg SegResNet, as training leaves them and as Slicer's MONAIAuto3DSeg extension keeps them."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..preprocessing.preprocessing import Preprocessing
from ..system.regular_files import open_regular
from . import auto3dseg_config
from .checkpoint import Weights, read_content, tensors_of
from .described import Described
from .foreground import without_background
from .label_names import clean_names
from .labels import Code, Label, make_labels
from .loaded import Loaded
from .model_card import ModelCard, card_beside, read_model_card
from .networks import build_network
from .pickled_settings import read_settings
from .variant import Variant
from .weights_file import check_fits, checksum

SUFFIXES = (".pt", ".pth")
_MAX_BYTES = 4 * 2**20
_SCT = "SCT"


@dataclass(frozen=True)
class Auto3DSeg:
    """A checkpoint with its configuration in it.

    Attributes:
        file: ``model.pt``.
        labels: the table of its labels, where there is one.
        name: of the model.
    """

    file: Path
    labels: Path | None
    name: str


def find(path: Path) -> Auto3DSeg | None:
    """The checkpoint that ``path`` is, or that lies in it beside a ``labels.csv`` or in a folder ``model``.

    Raises:
        InputError: the folder holds several models.
    """
    if path.is_dir():
        return _in_folder(path)
    if path.suffix.lower() not in SUFFIXES or not _is_checkpoint(path):
        return None
    table = path.with_name("labels.csv")
    return Auto3DSeg(path, table if table.is_file() else None, _name(path))


def load(found: Auto3DSeg, card: Path | None, variant: Variant) -> Loaded:
    """The network with its own settings, or those of a model card given or beside it.

    Raises:
        InputError: one sentence that says what is wrong with it.
    """
    variant.refuse(found.name)
    content = read_content(found.file)
    config, state = (content.get(key) if isinstance(content, Mapping) else None for key in ("config", "state_dict"))
    if not isinstance(config, Mapping) or not isinstance(state, Mapping):
        raise InputError(f"{found.file.name} holds no 'config' and 'state_dict' of Auto3DSeg: download or save the model again.")
    beside = found.file.with_suffix(".json")
    card_file = card if card is not None else beside if beside.is_file() else None
    given, warnings = read_model_card(card_file) if card_file is not None else (None, ())
    network = given.network if given is not None and given.network is not None else None
    network = network or auto3dseg_config.read_network(config, found.name)
    steps = None if given is not None else auto3dseg_config.read_steps(config, found.name)
    weights = Weights(found.file.name, {"state_dict": tensors_of(state, found.file)})
    built = build_network(weights, network, given.weights if given else None, given.leave_out if given else ())
    made = built.network
    if given is None:
        assert steps is not None
        given, dropped = _card(found, config, steps, built.channels)
        if dropped:
            made, built = without_background(made), replace(built, channels=built.channels - 1)
    check_fits(given, built, found.file.name)
    return Loaded(
        made,
        replace(given, network=built.spec),
        found.name,
        checksum(found.file),
        built.architecture,
        warnings + built.warnings,
    )


def describe(found: Auto3DSeg) -> Described:
    """Labels and settings by the configuration in the checkpoint, or by a card beside it.

    Raises:
        InputError: one sentence that says why it cannot be explained.
    """
    card = card_beside(found.file)
    if card.is_file():
        return Described("Auto3DSeg", *read_model_card(card))
    content = read_settings(found.file)
    config = content.get("config") if isinstance(content, Mapping) else None
    if not isinstance(config, Mapping):
        raise InputError(f"{found.file.name} of {found.name} cannot be read: download or save the model again.")
    network = auto3dseg_config.read_network(config, found.name)
    channels = network.get("out_channels")
    steps = auto3dseg_config.read_steps(config, found.name)
    return Described("Auto3DSeg", _card(found, config, steps, channels)[0] if isinstance(channels, int) and channels > 0 else None)


def _card(found: Auto3DSeg, config: Mapping[str, Any], steps: Preprocessing, channels: int) -> tuple[ModelCard, bool]:
    """The card by the configuration, and whether the network's first channel is left out."""
    dropped = auto3dseg_config.drops_background(config, channels)
    kept = channels - dropped
    overlapping = bool(config.get("sigmoid", False))
    names = auto3dseg_config.label_names(config, *_table(found, kept, overlapping), dropped)
    spacing = next((step.to_json()["spacing"] for step in steps.steps if step.name == "spacing"), (0.0, 0.0, 0.0))
    card = ModelCard(
        _labels(names, found),
        (spacing[0], spacing[1], spacing[2]),
        None,
        steps=steps,
        output="sigmoid" if overlapping else "softmax",
        **auto3dseg_config.read_window_settings(config, found.name),
    )
    return card, dropped


def _in_folder(folder: Path) -> Auto3DSeg | None:
    """The model in a folder of the extension (anywhere in it), or in a folder of a training."""
    places = [folder / "model.pt", folder / "model" / "model.pt"]
    file = next((place for place in places if place.is_file() and _is_checkpoint(place)), None)
    if file is None:
        tables = [table for depth in ("*", "*/*", "*/*/*") for table in sorted(folder.glob(f"{depth}/labels.csv"))[:100]]
        several = [table.with_name("model.pt") for table in tables if _is_checkpoint(table.with_name("model.pt"))]
        if len(several) > 1:
            raise InputError(
                f"The folder {folder.name} holds {len(several)} Auto3DSeg models: give one of them, such as "
                f"{several[0].parent.relative_to(folder)}."
            )
        if not several:
            return None
        file = several[0]
    table = file.with_name("labels.csv")
    return Auto3DSeg(file, table if table.is_file() else None, folder.resolve().name)


def _is_checkpoint(file: Path) -> bool:
    """Whether the archive's table of contents names a configuration with a network beside the weights."""
    try:
        with open_regular(file) as stream, zipfile.ZipFile(stream) as archive:
            table = next(entry for entry in archive.infolist() if entry.filename.endswith("data.pkl"))
            if table.file_size > _MAX_BYTES:
                return False
            with archive.open(table) as part:
                content = part.read(_MAX_BYTES)
    except (OSError, zipfile.BadZipFile, StopIteration, ValueError, RuntimeError, NotImplementedError, InputError, EOFError):
        return False  # what it is instead is said by who reads weights
    return all(word in content for word in (b"state_dict", b"config", b"_target_", b"roi_size"))


def _name(file: Path) -> str:
    """The model's own folder: the file is called ``model.pt`` in all of them."""
    if file.stem != "model":
        return file.stem
    place = file.resolve().parent
    return (place.parent if place.name == "model" else place).name or file.stem


def _table(found: Auto3DSeg, channels: int, overlapping: bool) -> tuple[dict[int, str], int]:
    """Names by label value, and how many labels there are."""
    return {value: row["Name"] for value, row in _rows(found).items()}, channels - (not overlapping)


def _labels(names: list[str], found: Auto3DSeg) -> tuple[Label, ...]:
    """Labels with the SNOMED CT codes of ``labels.csv``, where those are anatomical structures."""
    rows = _rows(found)
    made = []
    for label in make_labels(clean_names(names)):
        row: Mapping[str, str] = rows.get(label.index, {})
        code, side = (_code(row, f"SegmentedPropertyType{part}CodeSequence") for part in ("", "Modifier"))
        anatomical = row.get("SegmentedPropertyCategoryCodeSequence.CodeValue") == "123037004"
        made.append(replace(label, code=code, side=side) if anatomical and code and label.code is None else label)
    return tuple(made)


def _code(row: Mapping[str, str], part: str) -> Code | None:
    scheme, value, meaning = (row.get(f"{part}.{key}", "") for key in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning"))
    return Code(value, meaning) if scheme == _SCT and value and meaning else None


def _rows(found: Auto3DSeg) -> dict[int, dict[str, str]]:
    """The rows of ``labels.csv`` by label value.

    Raises:
        InputError: it cannot be read, or has no columns LabelValue and Name.
    """
    if found.labels is None:
        return {}
    wrong = InputError(f"The labels.csv of {found.name} must have the columns LabelValue and Name: download the model again.")
    try:
        with open_regular(found.labels) as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise wrong
        table = list(csv.DictReader(data.decode("utf-8-sig").splitlines()))
        rows = {int(row["LabelValue"]): _texts(row) for row in table if row.get("LabelValue")}
    except OSError as error:
        raise InputError(f"{found.labels} cannot be read ({error.strerror or error}): check its permissions.") from error
    except (UnicodeDecodeError, csv.Error, KeyError, ValueError, TypeError) as error:
        raise wrong from error
    if not rows or not all(row.get("Name", "").strip() for row in rows.values()):
        raise wrong
    return rows


def _texts(row: Mapping[str | Any, Any]) -> dict[str, str]:
    return {key: value.strip() for key, value in row.items() if isinstance(key, str) and isinstance(value, str)}
