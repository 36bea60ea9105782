"""Labels and regions as DICOM Segmentation (PS3.3, A.51): binary, one segment for each label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..io.volume import Volume
from ..models.labels import Code, Label
from ..version import __version__
from .codes import ABNORMAL, SPATIAL, category, concept, own, short, structure
from .header import MAKER, Header
from .planes import Planes

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset


def label_segmentation(header: Header, planes: Planes, labels: Sequence[Label], segmentation: Volume, series: int) -> Dataset:
    """The predicted labels that have voxels on the planes.

    Args:
        header: what all objects share.
        planes: where the frames lie.
        labels: of the model, background first.
        segmentation: values are the labels' ``index``.
        series: number of the series.

    Raises:
        InputError: there is none.
    """
    frames = planes.sample(segmentation, "nearest")
    there = np.bincount(frames.ravel(), minlength=len(labels)) > 0
    drawn = [label for label in labels[1:] if there[label.index]]
    if not drawn:
        raise InputError("The result has no segment on these slices: there is nothing to write as a DICOM segmentation.")
    # Segments are numbered from 1 without gaps (PS3.3, C.8.20.4).
    numbers = np.zeros(len(labels), dtype=np.uint8)
    segments = []
    for number, label in enumerate(drawn, 1):
        numbers[label.index] = number
        segments.append(
            _segment(
                number, label.title, category(label), structure(label), "AUTOMATIC", header.algorithm(), label.color, label.side
            )
        )
    return _segmentation(header, planes, numbers[frames], segments, series, "segmentation")


def region_segmentation(header: Header, planes: Planes, name: str, title: str, mask: Volume, series: int) -> Dataset | None:
    """One further region as an object of its own, since regions may overlap; None where no voxel of it is on the planes.

    Args:
        header: what all objects share.
        planes: where the frames lie.
        name: of the region.
        title: as people read it.
        mask: not 0 is inside.
        series: number of the series.
    """
    from highdicom import AlgorithmIdentificationSequence

    frames = planes.sample(Volume(mask.array.astype(np.uint8), mask.affine, name), "nearest")
    if not frames.any():
        return None
    if name.endswith("_whole") or name == "global_mask":
        kind, algorithm = "AUTOMATIC", header.algorithm()
    else:
        # Who drew a region that was given to the run is not known.
        kind = "SEMIAUTOMATIC"
        algorithm = AlgorithmIdentificationSequence(
            "given, origin not recorded", concept(own("given", "Given region")), __version__, MAKER
        )
    lesion = not name.endswith("_whole") and name not in ("global_mask", "target_mask")
    segment = _segment(1, title, ABNORMAL if lesion else SPATIAL, own(name, title), kind, algorithm, (255, 160, 0))
    return _segmentation(header, planes, frames, [segment], series, f"region: {title}")


def _segment(
    number: int,
    title: str,
    kind: Code,
    code: Code,
    algorithm_type: str,
    algorithm: AlgorithmIdentificationSequence,
    color: tuple[int, int, int],
    side: Code | None = None,
) -> SegmentDescription:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    segment = SegmentDescription(
        number,
        short(title),
        concept(kind),
        concept(code),
        algorithm_type,
        algorithm,
        display_color=CIELabColor.from_rgb(*color),
    )
    if side is not None:
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [concept(side)]
    return segment


def _segmentation(header: Header, planes: Planes, frames: np.ndarray, segments: list[Any], series: int, title: str) -> Dataset:
    from highdicom.seg import Segmentation

    data = Segmentation(
        source_images=header.stand_ins(),
        pixel_array=frames,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        content_label="SEGMENTATION",
        content_creator_name=f"{MAKER}^",
        content_description=short(f"{title} by {header.model}"),
        contributing_equipment=header.equipment(),
        **planes.arguments(),
        **header.arguments(series, title),
    )
    header.finish(data)
    return data
