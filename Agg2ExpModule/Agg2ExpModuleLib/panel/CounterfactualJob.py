"""The files that a counterfactual is made from: CT, drawn segments, and the job."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from ..scene.ResultRecord import TARGET_MASK
from ..scene.SceneVolumes import fileNameOf, segmentIds, writeSegment, writeVolumeSteps
from .PanelState import PanelState
from .RegionsModel import segmenterWeights
from .RunTexts import freshFolder, resultsRoot


def writeCounterfactualJob(state: PanelState, classifies: bool, ct: Any, target: str, work: Path) -> Generator[str, None, Path]:
    """Write what the process that makes a counterfactual reads; yields what is being done.

    Args:
        state: of the panel.
        classifies: whether the model is a classifier.
        ct: the volume node.
        target: name of the label or class.
        work: folder for the files.

    Returns:
        The job file.
    """
    parameters, record = state.parameters, state.record
    assert parameters is not None
    case = parameters.caseName.strip() or ct.GetName()
    file = work / f"{fileNameOf(case)}.nrrd"
    yield from writeVolumeSteps(ct, file)
    root = resultsRoot(parameters.resultsFolder)
    job: dict[str, Any] = {
        "ct": str(file),
        "model": parameters.weights,
        "target": target,
        "direction": parameters.counterDirection,
        "device": parameters.device,
        "precision": parameters.precision,
        "patient_id": case,
        "output": str(freshFolder(root, fileNameOf(case), f"counterfactual {fileNameOf(target)}")),
    }
    if parameters.autoencoder.strip():
        job["autoencoder"] = parameters.autoencoder.strip()
    if classifies:
        job["segmenter"] = segmenterWeights(state) or None
    elif parameters.useDrawnTarget and parameters.targetSegment in segmentIds(parameters.targetSegmentation):
        writeSegment(parameters.targetSegmentation, parameters.targetSegment, work / f"{TARGET_MASK}.nrrd")
        job["target_mask"] = str(work / f"{TARGET_MASK}.nrrd")
        yield _("Preparing the drawn segment …")
    if record is not None and record.extra is not None:
        job["regions"] = []
        for index, name in enumerate(name for name in segmentIds(record.extra) if name != TARGET_MASK):
            writeSegment(record.extra, name, work / f"region{index}.nrrd")
            job["regions"].append(f"{work / f'region{index}.nrrd'}:{name}")
            yield _("Preparing the regions …")
    file = work / "counterfactual.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    return file
