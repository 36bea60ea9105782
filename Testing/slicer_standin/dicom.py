"""``slicer.dicomDatabase`` and ``DICOMLib.DICOMUtils``: what is imported is known by its UIDs, and series become volumes."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import slicer


class ctkDICOMDatabase:
    """Knows files by the UIDs in their headers; an instance that is imported again keeps its first file."""

    def __init__(self) -> None:
        self.isOpen = True
        self._files: dict[str, tuple[str, str]] = {}  # instance → file, series

    def fileForInstance(self, instance: str) -> str:
        return self._files.get(instance, ("", ""))[0]

    def instanceForFile(self, file: str) -> str:
        return next((uid for uid, (path, _series) in self._files.items() if path == file), "")

    def filesForSeries(self, series: str, hits: int = -1) -> tuple[str, ...]:
        found = tuple(path for path, theirs in self._files.values() if theirs == series)
        return found if hits < 0 else found[:hits]

    def removeSeries(self, series: str) -> bool:
        self._files = {uid: entry for uid, entry in self._files.items() if entry[1] != series}
        return True

    def _insert(self, path: Path) -> None:
        import pydicom

        tags = ["SOPInstanceUID", "SeriesInstanceUID"]
        data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
        self._files.setdefault(str(data.SOPInstanceUID), (str(path), str(data.SeriesInstanceUID)))


def importDicom(dicomDataDir: str, dicomDatabase: Any = None, copyFiles: bool = False) -> bool:
    """Import every DICOM file in a folder; False where that fails."""
    import pydicom

    for path in sorted(Path(dicomDataDir).rglob("*")):
        if path.is_file():
            try:
                (dicomDatabase or slicer.dicomDatabase)._insert(path)
            except pydicom.errors.InvalidDicomError:
                continue  # Slicer's indexer leaves other files out
    return True


def loadSeriesByUID(seriesUIDs: list[str]) -> list[str]:
    """Ids of the volumes, made as Slicer's plugin for scalar volumes makes them."""
    return [_volume(series).GetID() for series in seriesUIDs]


def _volume(series: str) -> Any:
    import pydicom

    def height(file: str) -> float:
        data = pydicom.dcmread(file, stop_before_pixels=True)
        cosines = np.array(data.ImageOrientationPatient, float)
        return float(np.cross(cosines[:3], cosines[3:]) @ np.array(data.ImagePositionPatient, float))

    files = sorted(slicer.dicomDatabase.filesForSeries(series), key=height)
    node, storage = slicer.vtkMRMLScalarVolumeNode(), slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(files[0])
    for file in files:
        storage.AddFileName(file)
    if not storage.ReadData(node):
        raise RuntimeError(f"The series {series} cannot be read")
    node.SetName(slicer.mrmlScene.GenerateUniqueName("CT"))
    node.SetAttribute("DICOM.instanceUIDs", " ".join(slicer.dicomDatabase.instanceForFile(file) for file in files))
    display = slicer.vtkMRMLScalarVolumeDisplayNode()
    slicer.mrmlScene.AddNode(display)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    node.SetAndObserveDisplayNodeID(display.GetID())
    slicer.mrmlScene.AddNode(node)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    hierarchy.SetItemUID(hierarchy.GetItemByDataNode(node), "DICOM", series)
    return node


def make() -> types.ModuleType:
    """The module ``DICOMLib``."""
    module = types.ModuleType("DICOMLib", __doc__)
    module.DICOMUtils = types.ModuleType("DICOMLib.DICOMUtils")
    module.DICOMUtils.importDicom, module.DICOMUtils.loadSeriesByUID = importDicom, loadSeriesByUID
    return module
