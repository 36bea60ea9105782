"""``slicer.app.coreIOManager()`` for the files this project reads and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

_TYPES = {
    ".mrml": "SceneFile",
    ".mrb": "SceneFile",
    ".seg.nrrd": "SegmentationFile",
    ".nrrd": "VolumeFile",
    ".nii": "VolumeFile",
    ".nii.gz": "VolumeFile",
    ".mha": "VolumeFile",
    ".mhd": "VolumeFile",
    ".csv": "TableFile",
    ".tsv": "TableFile",
    ".txt": "TextFile",
    ".json": "TextFile",
}
_VOLUME_FORMATS = ("NRRD (.nrrd)", "NIfTI (.nii)", "NIfTI (.nii.gz)", "MetaImage (.mha)")  # slicer-core does not list them


class CoreIOManager:
    """Loads into and saves from ``slicer.mrmlScene``."""

    def fileType(self, path: str) -> str:
        name = Path(path).name.lower()
        return next((_TYPES[ending] for ending in sorted(_TYPES, key=len, reverse=True) if name.endswith(ending)), "NoFile")

    def loadNodes(self, filetype: str, properties: dict[str, Any], nodes: Any = None, messages: Any = None) -> bool:
        path, scene = str(properties["fileName"]), slicer.mrmlScene
        if filetype == "SceneFile":
            return self.loadScene(path, clear=bool(properties.get("clear", False)))
        if not Path(path).exists():
            return False
        name = properties.get("name") or Path(path).name.split(".")[0]
        if filetype == "VolumeFile":
            node = self._load_volume(path, name, properties)
        elif filetype == "SegmentationFile":
            logic = slicer.modules.segmentations.logic()
            node = logic.LoadSegmentationFromFile(path, True, name)
        elif filetype == "TableFile":
            node = slicer.modules.tables.logic().AddTable(path, name)
        elif filetype == "TextFile":
            node = scene.AddNewNodeByClass("vtkMRMLTextNode", name)
            node.SetText(Path(path).read_text(encoding="utf-8"))
        else:
            return False
        if node is not None and nodes is not None:
            nodes.AddItem(node)
        return node is not None

    @staticmethod
    def _load_volume(path: str, name: str, properties: dict[str, Any]) -> Any:
        node = slicer.modules.volumes.logic().AddArchetypeVolume(path, name, 1 if properties.get("labelmap") else 0)
        if node is not None and properties.get("show", True):
            slicer.util.setSliceViewerLayers(background=node, fit=True, rotateToVolumePlane=False)
        return node

    def loadScene(self, path: str, clear: bool = True) -> bool:
        scene = slicer.mrmlScene
        if path.lower().endswith(".mrb"):
            folder = Path(slicer.app.temporaryPath) / f"mrb_{abs(hash(path))}_{scene.GetNumberOfNodes()}"
            folder.mkdir(parents=True, exist_ok=True)
            return bool(slicer.app.applicationLogic().OpenSlicerDataBundle(path, str(folder)))
        scene.SetURL(path)
        return bool(scene.Connect() if clear else scene.Import())

    def saveNodes(self, filetype: str, properties: dict[str, Any], messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if filetype == "SceneFile":
            return self.saveScene(path)
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        if "useCompression" in properties:
            storage.SetUseCompression(bool(properties["useCompression"]))
        return bool(storage.WriteData(node))

    def saveScene(self, path: str, *unused: Any) -> bool:
        scene = slicer.mrmlScene
        if path.lower().endswith(".mrb"):
            return bool(scene.WriteToMRB(path))
        if path.lower().endswith(".mrml"):
            scene.SetURL(path)
            return bool(scene.Commit(path))
        return bool(slicer.app.applicationLogic().SaveSceneToSlicerDataBundleDirectory(path))

    def fileWriterExtensions(self, node: Any) -> list[str]:
        """Formats such as "NRRD (.nrrd)" of the node's own storage."""
        storage = node.CreateDefaultStorageNode()
        storage.UnRegister(None)
        kinds = storage.GetSupportedWriteFileTypes()
        return [kinds.GetValue(index) for index in range(kinds.GetNumberOfValues())] or list(_VOLUME_FORMATS)

    def extractKnownExtension(self, path: str, node: Any) -> str:
        form = slicer.vtkDataFileFormatHelper.GetFileExtensionFromFormatString
        endings = [form(kind) for kind in self.fileWriterExtensions(node)]
        return max((ending for ending in endings if path.lower().endswith(ending.lower())), key=len, default="")

    def exportNodes(self, nodeIDs: list[str], fileNames: list[str], properties: Any, harden: bool, messages: Any = None) -> bool:
        for identifier, path in zip(nodeIDs, fileNames, strict=True):
            node = slicer.mrmlScene.GetNodeByID(identifier)
            storage = node.CreateDefaultStorageNode()
            storage.UnRegister(None)
            storage.SetFileName(str(path))
            if not storage.WriteData(node):
                return False
        return True

    def fileWriterFileType(self, node: Any) -> str:
        return f"{node.GetNodeTagName()}File"
