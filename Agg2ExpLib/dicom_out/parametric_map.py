"""Attribution maps as DICOM Parametric Map (PS3.3, A.75): float32 values as they are, with what they mean in codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..io.volume import Volume
from ..models.labels import CLASS_GROUP, Label
from .codes import ATTRIBUTION, FINDING, FINDING_SITE, MEASUREMENT_METHOD, NO_UNITS, WHOLE_BODY, concept, own, short, structure
from .header import MAKER, Header
from .planes import Planes

if TYPE_CHECKING:
    from pydicom import Dataset

# Values at the ends of the grey scale: this percentile of their sizes, as a few voxels are far stronger than the rest.
WINDOW_PERCENTILE = 99.5


def parametric_map(header: Header, planes: Planes, label: Label, attribution: Volume, series: int) -> Dataset:
    """A label's signed map; where the planes are not the model grid's it is interpolated linearly, and 0 outside.

    Args:
        header: what all objects share.
        planes: where the frames lie.
        label: that the map explains.
        attribution: float32.
        series: number of the series.
    """
    from highdicom import VOILUTTransformation
    from highdicom.pm import ParametricMap, RealWorldValueMapping
    from highdicom.sr import CodeContentItem

    frames = planes.sample(attribution, "linear")
    method = header.method or own("unknown", "Unknown method")
    width = 2 * float(np.percentile(np.abs(attribution.array), WINDOW_PERCENTILE))
    mapping = RealWorldValueMapping(
        lut_label="attribution",
        lut_explanation=short(f"Signed attribution of {label.title} by {method.meaning}"),
        unit=concept(NO_UNITS),
        value_range=(float(frames.min()), float(frames.max())),
        slope=1.0,
        intercept=0.0,
        quantity_definition=concept(ATTRIBUTION),
    )
    mapping.QuantityDefinitionSequence.append(CodeContentItem(concept(MEASUREMENT_METHOD), concept(method)))
    about = FINDING if label.group == CLASS_GROUP else FINDING_SITE
    mapping.QuantityDefinitionSequence.append(CodeContentItem(concept(about), concept(structure(label))))
    data = ParametricMap(
        source_images=header.stand_ins(),
        pixel_array=frames,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        # Windows narrower than 1 need the exact kind (PS3.3, C.11.2.1.3.2).
        voi_lut_transformations=[VOILUTTransformation(0.0, width or 1.0, voi_lut_function="LINEAR_EXACT")],
        content_label="ATTRIBUTION",
        content_creator_name=f"{MAKER}^",
        content_description=short(f"{label.title} by {method.meaning}"),
        content_qualification="RESEARCH",
        derivation=concept(method),
        contributing_equipment=header.equipment(),
        **planes.arguments(),
        **header.arguments(series, f"attribution: {label.title}"),
    )
    data.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_anatomy(label)]
    header.finish(data)
    _ascend(data)
    return data


def _anatomy(label: Label) -> Dataset:
    """The structure that the map is about (PS3.3, C.7.6.16.2.8); dcmqi, with which Slicer reads maps, ends where it is missing."""
    from pydicom import Dataset

    item = Dataset()
    item.FrameLaterality = {"Left": "L", "Right": "R"}.get(label.side.meaning if label.side else "", "U")
    item.AnatomicRegionSequence = [concept(WHOLE_BODY if label.group == CLASS_GROUP else structure(label))]
    return item


def _ascend(data: Dataset) -> None:
    """Put the frames in the order of their places along the normal; highdicom sorts them the other way.

    dcmqi takes frames of maps in the order of the file, whatever their places say, and lays them from the lowest place upwards.
    """
    groups = list(data.PerFrameFunctionalGroupsSequence)
    cosines = np.array(data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    normal = np.cross(cosines[:3], cosines[3:])
    order = np.argsort([np.dot(normal, np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)) for group in groups])
    frames = np.frombuffer(data.FloatPixelData, dtype="<f4").reshape(len(groups), -1)
    data.FloatPixelData = frames[order].tobytes()
    data.PerFrameFunctionalGroupsSequence = [groups[index] for index in order]
    for number, group in enumerate(data.PerFrameFunctionalGroupsSequence, 1):
        group.FrameContentSequence[0].DimensionIndexValues = number
