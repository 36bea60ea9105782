"""The labels a model segments: names, colours, anatomical systems and terminology.

The table below holds the 17 classes of the Agg2Exp paper (TotalSegmentator v2 thorax) in the channel order of its Swin UNETR;
any other model brings its own names through its model card.
"""

from __future__ import annotations

import colorsys
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..system.names import folded

Color = tuple[int, int, int]

BACKGROUND = "background"

# The paper's: one colour per anatomical system in the importance graph.
GROUP_COLORS: dict[str, Color] = {
    "cardiovascular": (200, 40, 40),
    "muscles": (214, 170, 30),
    "bones": (52, 105, 180),
    "other organs": (128, 128, 128),
    "pathologies": (0, 0, 0),
    "background": (200, 200, 200),
    "classes": (96, 0, 180),
}
CLASS_GROUP = "classes"  # of what a classifier tells apart
OTHER_GROUP = "other organs"
PATHOLOGY_GROUP = "pathologies"


def title_of(name: str) -> str:
    """The name of a label or region as people read it: ``Lung upper lobe left``."""
    return name.replace("_", " ").capitalize()


@dataclass(frozen=True)
class Code:
    """A SNOMED CT code with its meaning, as DICOM and Slicer's terminology entries use it."""

    value: str
    meaning: str
    scheme: str = "SCT"


@dataclass(frozen=True)
class Label:
    """One class of a segmentation model.

    Attributes:
        name: identifier used in files and on the command line, e.g. ``lung_upper_lobe_left``.
        index: channel of the network and voxel value in ``segmentation.nii.gz``; 0 is the background.
        color: red, green, blue in 0..255, for the segment.
        group: anatomical system, a key of :data:`GROUP_COLORS`.
        code: SNOMED CT anatomical structure, when known.
        side: SNOMED CT laterality, when the structure has one.
    """

    name: str
    index: int
    color: Color
    group: str
    code: Code | None = None
    side: Code | None = None

    @property
    def title(self) -> str:
        """The name as people read it: ``Lung upper lobe left``."""
        return title_of(self.name)


_LEFT, _RIGHT = Code("7771000", "Left"), Code("24028007", "Right")
_CARDIO, _MUSCLES, _BONES, _OTHER = "cardiovascular", "muscles", "bones", OTHER_GROUP
_MIDDLE_LOBE = Code("72481006", "Middle lobe of right lung")

_PAPER: tuple[tuple[str, Color, str, Code | None, Code | None], ...] = (
    (BACKGROUND, (0, 0, 0), BACKGROUND, None, None),
    ("aorta", (224, 97, 76), _CARDIO, Code("15825003", "Aorta"), None),
    ("lung_upper_lobe_left", (172, 138, 200), _OTHER, Code("45653009", "Upper lobe of lung"), _LEFT),
    ("lung_lower_lobe_left", (120, 152, 216), _OTHER, Code("90572001", "Lower lobe of lung"), _LEFT),
    ("lung_upper_lobe_right", (202, 164, 140), _OTHER, Code("45653009", "Upper lobe of lung"), _RIGHT),
    ("lung_middle_lobe_right", (150, 206, 180), _OTHER, _MIDDLE_LOBE, None),
    ("lung_lower_lobe_right", (224, 186, 162), _OTHER, Code("90572001", "Lower lobe of lung"), _RIGHT),
    ("trachea", (100, 200, 230), _OTHER, Code("44567001", "Trachea"), None),
    ("heart", (206, 60, 80), _CARDIO, Code("80891009", "Heart"), None),
    ("pulmonary_vein", (186, 77, 130), _CARDIO, Code("122972007", "Pulmonary vein"), None),
    ("thyroid_gland", (62, 162, 114), _OTHER, Code("69748006", "Thyroid"), None),
    ("ribs", (253, 232, 158), _BONES, Code("113197003", "Rib"), None),
    ("vertebraes", (255, 255, 207), _BONES, Code("51282000", "Vertebra"), None),
    ("autochthon_left", (192, 104, 88), _MUSCLES, Code("44947003", "Erector spinae muscle"), _LEFT),
    ("autochthon_right", (171, 85, 68), _MUSCLES, Code("44947003", "Erector spinae muscle"), _RIGHT),
    ("sternum", (244, 217, 90), _BONES, Code("56873002", "Sternum"), None),
    ("costal_cartilages", (111, 184, 210), _BONES, Code("50016007", "Costal cartilage"), None),
)

PAPER_LABELS: tuple[Label, ...] = tuple(
    Label(name, index, color, group, code, side) for index, (name, color, group, code, side) in enumerate(_PAPER)
)
_BY_NAME = {label.name: label for label in PAPER_LABELS}


def distinct_color(index: int) -> Color:
    """A colour for the ``index``-th region without one of its own; neighbours differ by the golden angle in hue."""
    red, green, blue = colorsys.hsv_to_rgb((0.12 + index * 0.618034) % 1.0, 0.55, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def make_labels(
    names: Sequence[str],
    colors: Mapping[str, Sequence[int]] | None = None,
    groups: Mapping[str, str] | None = None,
) -> tuple[Label, ...]:
    """Labels for a network's channels, in channel order with the background first.

    Names of the paper's table keep its colour, system and code unless ``colors`` or ``groups`` say otherwise.
    """
    made = []
    for index, name in enumerate(names):
        known = _BY_NAME.get(name)
        color = (colors or {}).get(name) or (known.color if known else distinct_color(index))
        group = (groups or {}).get(name) or (known.group if known else BACKGROUND if index == 0 else OTHER_GROUP)
        red, green, blue = (int(part) for part in color)
        made.append(Label(name, index, (red, green, blue), group, known.code if known else None, known.side if known else None))
    return tuple(made)


def labels_of(entries: Sequence[Mapping[str, Any]]) -> tuple[Label, ...]:
    """Labels or classes as ``run.json`` lists them: name, color, group."""
    return make_labels(
        [entry["name"] for entry in entries],
        {entry["name"]: entry["color"] for entry in entries},
        {entry["name"]: entry["group"] for entry in entries},
    )


def group_color(group: str) -> Color:
    """Colour of an anatomical system; systems not in the paper share the grey of "other organs"."""
    return GROUP_COLORS.get(group, GROUP_COLORS[OTHER_GROUP])


def select_labels(requested: Iterable[str], labels: Sequence[Label]) -> tuple[Label, ...]:
    """The labels asked for, in channel order, each once.

    Raises:
        InputError: for an unknown name (with the nearest one) or for nothing asked.
    """
    by_name = {label.name: label for label in labels}
    by_folded = {folded(label.name): label for label in labels}
    chosen: set[int] = set()
    for name in (part.strip() for part in requested):
        if not name:
            continue
        label = by_name.get(name) or by_folded.get(folded(name))
        if label is None:
            near = difflib.get_close_matches(folded(name), by_folded, n=1, cutoff=0.5)
            hint = f"did you mean '{by_folded[near[0]].name}'?" if near else f"the model has {', '.join(by_name)}."
            kind = "class" if all(label.group == CLASS_GROUP for label in labels) else "label"
            raise InputError(f"The model has no {kind} '{name}': {hint}")
        chosen.add(label.index)
    if not chosen:
        raise InputError("No label was asked for: name at least one, e.g. ⟨labels⟩ aorta,heart.")
    return tuple(label for label in labels if label.index in chosen)
