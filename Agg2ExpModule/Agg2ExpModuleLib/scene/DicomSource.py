"""The DICOM files that a CT of the scene was loaded from, as Slicer's DICOM database knows them."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError

# What Slicer's reader of scalar volumes sets, in the order of the slices.
_INSTANCES = "DICOM.instanceUIDs"


def dicomFiles(ct: Any) -> list[str]:
    """The files, each once.

    Args:
        ct: volume node.

    Raises:
        InputError: it did not come from DICOM, or its files are not in the database any more.
    """
    name = ct.GetName() if ct is not None else _("The CT")
    database = getattr(slicer, "dicomDatabase", None)
    instances = (ct.GetAttribute(_INSTANCES) or "").split() if ct is not None else []
    series = "" if instances or ct is None else _seriesOf(ct)
    if not instances and not series:
        raise InputError(
            _(
                "{name} was not loaded from DICOM, so there is no series that DICOM objects could refer to: load the CT with "
                "Slicer's module DICOM and explain that."
            ).format(name=name)
        )
    if database is None or not database.isOpen:
        raise InputError(_("Slicer's DICOM database is not open: open the module DICOM once, and try again."))
    found = [database.fileForInstance(uid) for uid in instances] or list(database.filesForSeries(series))
    if not found or not all(found):
        raise InputError(
            _(
                "Slicer's DICOM database does not have the files of {name} any more: import the series again with the module DICOM."
            ).format(name=name)
        )
    return list(dict.fromkeys(str(file) for file in found))


def _seriesOf(ct: Any) -> str:
    """Series Instance UID that the data tree has of a volume, empty for none."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(ct) if hierarchy is not None else 0
    return str(hierarchy.GetItemUID(item, "DICOM") or "") if item else ""
