"""The module's sample data: a synthetic thorax that comes with the extension, and Slicer's own chest CT beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

CATEGORY = "Agg2Exp"
SAMPLE = "Agg2ExpThorax"
NODE_NAME = "Synthetic thorax"
SUGGESTED = "CTChest"  # of Slicer's own samples, the chest CT without a disease
_RESOURCES = Path(__file__).resolve().parents[2] / "Resources"
_FILE = _RESOURCES / "SampleData" / f"{SAMPLE}.nrrd"
_MARK = "Agg2Exp.Sample"
_LUNG_TO_BONE = (-1000.0, 700.0)  # HU


def registerSampleDataSource() -> None:
    """Add the samples to Slicer's module Sample Data; does nothing where that module is switched off. No network is used."""
    try:
        import SampleData
    except ImportError:
        return
    if not _FILE.is_file():
        return
    logic = SampleData.SampleDataLogic()  # registers Slicer's own samples
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE,
        uris=_FILE.as_uri(),
        fileNames=_FILE.name,
        nodeNames=NODE_NAME,
        thumbnailFileName=str(_RESOURCES / "Icons" / f"{SAMPLE}.png"),
        checksums=f"SHA256:{hashlib.sha256(_FILE.read_bytes()).hexdigest()}",
    )
    sources = slicer.modules.sampleDataSources
    ours = sources[CATEGORY]
    for source in [source for name in sources if name != CATEGORY for source in sources[name]]:
        if source.sampleName == SUGGESTED and all(known.sampleName != SUGGESTED for known in ours):
            ours.append(source)


def loadSyntheticThorax() -> Any:
    """The synthetic thorax, 117 × 96 × 100 voxels of 3 mm, as a volume node shown in the slice views; loaded if it is not there.

    Raises:
        RuntimeError: the file is not installed or cannot be read.
    """
    if not _FILE.is_file():
        raise RuntimeError(_("The sample {name} is not installed: install the extension Agg2Exp again.").format(name=_FILE.name))
    there = next((node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetAttribute(_MARK)), None)
    if there is not None:
        return there
    node = slicer.util.loadVolume(str(_FILE), {"name": NODE_NAME, "show": True})
    node.SetAttribute(_MARK, SAMPLE)
    display = node.GetDisplayNode()
    if display is not None:
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(*_LUNG_TO_BONE)
    return node
