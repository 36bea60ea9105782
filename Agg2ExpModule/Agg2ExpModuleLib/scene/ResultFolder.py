"""A results folder of a record on the disk: the one it was read from, or one written from the scene."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError

from .InBackground import inBackground
from .ResultRecord import ResultRecord
from .ResultsOfScene import ResultsOfScene
from .SceneVolumes import volumeAffine


def resultFolder(record: ResultRecord, work: Path) -> Generator[str, None, Path]:
    """Where segmentation, CT on the model grid, regions and settings of a record lie; maps are left out where it is written.

    Args:
        record: of the scene.
        work: folder to write into where the one it was read from is gone, or lacks regions that were added.

    Raises:
        InputError: the scene does not hold enough of it.
    """
    if record.folder is not None:
        return record.folder
    folder = work / "result"
    if (folder / "run.json").is_file():
        return folder
    what = _("Preparing the results …")
    yield what
    results = ResultsOfScene(record)
    if record.ct is None or record.segmentation is None:
        raise InputError(_("The CT or the segmentation of these results is gone: segment the CT anew."))
    labels = results.labelMap()
    for _label in results.fillSteps(labels):
        yield what
    regions = results.extra_rois()
    yield what
    ct, affine = record.ct, volumeAffine(record.ct)
    run = {**record.run, "explained": [], "extra_rois": list(regions)}

    def write() -> None:
        import numpy as np

        from Agg2ExpLib.io.grid import Grid
        from Agg2ExpLib.io.resample import resample
        from Agg2ExpLib.io.volume import Volume
        from Agg2ExpLib.io.write import write_volume
        from Agg2ExpLib.runs.results import CT_FILE, EXTRA_ROIS, RUN_FILE, SEGMENTATION_FILE, extra_roi_path
        from Agg2ExpLib.views.mrml_nodes import array_of

        x, y, z = results.shape
        hu = resample(Volume(array_of(ct), affine), Grid((x, y, z), results.affine), "linear")
        (folder / EXTRA_ROIS).mkdir(parents=True, exist_ok=True)
        write_volume(folder / CT_FILE, np.clip(np.rint(hu), -32768, 32767).astype(np.int16), results.affine, compress=True)
        write_volume(folder / SEGMENTATION_FILE, labels.array, results.affine, compress=True)
        for name, volume in regions.items():
            write_volume(extra_roi_path(folder, name), volume.array, results.affine, compress=True)
        (folder / RUN_FILE).write_text(json.dumps(run), encoding="utf-8")

    writing = inBackground(write)
    for _turn in writing:
        yield what
    return folder
