"""References of a derived object to the source's images and frames, in place of those to the stand-ins that it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .source import Image, Source, passing_uid

if TYPE_CHECKING:
    from pydicom import Dataset


def point_to_source(data: Dataset, source: Source) -> None:
    """Turn every reference to a stand-in into one to the image or frame behind it."""
    images = {passing_uid(image): image for image in source.images}
    for groups in data.get("PerFrameFunctionalGroupsSequence") or []:
        for derivation in groups.get("DerivationImageSequence") or []:
            for item in derivation.get("SourceImageSequence") or []:
                _point(item, images[str(item.ReferencedSOPInstanceUID)])
    data.SourceImageSequence = instances(source)
    if data.get("ReferencedSeriesSequence"):
        data.ReferencedSeriesSequence[0].ReferencedInstanceSequence = instances(source)


def instances(source: Source) -> list[Any]:
    """A reference to each file of the source; to some of its frames where the others were left out."""
    from pydicom import Dataset

    used: dict[str, list[int]] = {}
    classes: dict[str, str] = {}
    for image in source.images:
        classes[image.instance] = image.sop_class
        used.setdefault(image.instance, [])
        if image.frame is not None:
            used[image.instance].append(image.frame)
    found = []
    for instance, frames in used.items():
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = classes[instance], instance
        if frames and len(frames) < source.frames[instance]:
            item.ReferencedFrameNumber = sorted(frames)
        found.append(item)
    return found


def _point(item: Dataset, image: Image) -> None:
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.sop_class, image.instance
    if image.frame is not None:
        item.ReferencedFrameNumber = image.frame
