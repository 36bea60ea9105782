"""The job of a counterfactual, with the files that it is made from: CT, drawn segments."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ..scene.ResultRecord import TARGET_MASK
from ..scene.SceneVolumes import fileNameOf, segmentIds, writeSegment
from .ModelInfo import readModelInfo
from .PanelState import PanelState
from .Parameters import chosenOverlap
from .RegionsModel import segmenterWeights
from .RunTexts import freshFolder, resultsRoot

if TYPE_CHECKING:
    from ..scene.CtFile import CtFile


def counterfactualJob(state: PanelState, ctFile: CtFile, ct: Any, target: str, work: Path) -> Generator[str, None, dict[str, Any]]:
    """Write what the engine reads; yields what is being done.

    Args:
        state: of the panel.
        ctFile: of the CT, which is not written again while it is the same.
        ct: the volume node.
        target: name of the label or class.
        work: folder for the other files.

    Returns:
        Entries of the job, see ``Agg2ExpLib.counterfactuals.job``.
    """
    parameters, record = state.parameters, state.record
    assert parameters is not None
    case = parameters.caseName.strip() or ct.GetName()
    file = yield from ctFile.steps(ct, case)
    root = resultsRoot(parameters.resultsFolder)
    job: dict[str, Any] = {
        "ct": str(file),
        "weights": parameters.weights,
        "target": target,
        "direction": parameters.counterDirection,
        "device": parameters.device,
        "precision": parameters.precision,
        "overlap": chosenOverlap(parameters),
        "patient_id": case,
        "output": str(freshFolder(root, fileNameOf(case), f"counterfactual {fileNameOf(target)}")),
        "autoencoder": parameters.autoencoder.strip() or None,
    }
    if readModelInfo(parameters.weights).classifies:
        job["segmenter"] = segmenterWeights(state) or None
    elif parameters.useDrawnTarget and parameters.targetSegment in segmentIds(parameters.targetSegmentation):
        writeSegment(parameters.targetSegmentation, parameters.targetSegment, work / f"{TARGET_MASK}.nrrd")
        job["target_mask"] = str(work / f"{TARGET_MASK}.nrrd")
        yield _("Preparing the drawn segment …")
    job["extra_rois"] = []
    if record is not None and record.extra is not None:
        for index, name in enumerate(name for name in segmentIds(record.extra) if name != TARGET_MASK):
            writeSegment(record.extra, name, work / f"region{index}.nrrd")
            job["extra_rois"].append(f"{work / f'region{index}.nrrd'}:{name}")
            yield _("Preparing the regions …")
    return job
