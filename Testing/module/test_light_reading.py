"""Old results in a plain Slicer: reading and showing them needs only what Slicer brings; NIfTI files are read as by nibabel."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.nifti import read_nifti, write_nifti
from Agg2ExpLib.io.nifti_itk import read_with_itk, write_with_itk
from Agg2ExpLib.io.write import write_volume
from support.geometry import make_grid
from support.paths import ROOT
from support.small_result import write_result

# What "Install requirements" brings; Slicer itself has numpy, vtk, SimpleITK and scipy.
BLOCK = """
import sys

MISSING = {"torch", "monai", "nibabel", "networkx", "matplotlib", "psutil", "pydicom", "safetensors", "einops", "tqdm"}
MISSING |= {"captum", "sklearn"}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""
OPEN = """
import json
import types

import numpy as np
import slicer

translation = types.ModuleType("slicer.i18n")
translation.tr = lambda text: text
sys.modules["slicer.i18n"] = slicer.i18n = translation

from Agg2ExpLib.roi_importance.tables import matrix_from_text, tidy_text
from Agg2ExpLib.views.mrml import show_results
from Agg2ExpLib.views.mrml_nodes import affine_of, array_of
from Agg2ExpLib.runs.results import Results
from Agg2ExpModuleLib.panel.ImportanceModel import ImportanceModel

results = Results.open(sys.argv[1])
nodes = show_results(results)
model = ImportanceModel.fromResults(results)
again = matrix_from_text(tidy_text(model.matrix, "p"), tuple(label.name for label in results.labels))[1]
data = model.graph()
heart = array_of(nodes.overlays["heart"])
peak = np.array(np.unravel_index(heart.argmax(), heart.shape))
print(json.dumps({
    "segments": nodes.segmentation.GetSegmentation().GetNumberOfSegments(),
    "extra": nodes.extra.GetSegmentation().GetNumberOfSegments(),
    "peak": (affine_of(nodes.overlays["heart"])[:3] @ [*peak, 1]).tolist(),
    "affine": affine_of(nodes.ct).tolist(),
    "air": int(array_of(nodes.ct).min()),
    "edges": [[edge.source, edge.target] for edge in data.edges],
    "layout": data.layout,
    "cells": len(model.matrixData().cells),
    "same": again.rows == model.matrix.rows and bool(np.allclose(again.mass, model.matrix.mass, atol=0)),
    "loaded": sorted(MISSING & set(sys.modules)),
}))
"""


def test_a_result_opens_where_nothing_was_installed(tmp_path):
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    from support.small_result import SUPPORTING, place

    results = write_result(tmp_path / "result", (8, -12, 20))
    run = subprocess.run(
        [sys.executable, "-c", BLOCK + OPEN, str(results.folder)],
        capture_output=True,
        text=True,
        timeout=300,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'Agg2ExpModule'}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    told = json.loads(run.stdout.splitlines()[-1])
    affine = results.ct().affine
    assert told["loaded"] == []
    assert (told["segments"], told["extra"], told["air"], told["cells"]) == (3, 1, -1000, 2)
    np.testing.assert_allclose(told["affine"], affine, atol=1e-4)
    np.testing.assert_allclose(told["peak"], place(affine, SUPPORTING), atol=4.0)  # mm, within a voxel
    assert told["layout"] == "anatomical"
    assert told["same"]
    assert ["lesion", "heart"] in told["edges"]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize(
    ("order", "signs", "angles"),
    [
        ((0, 1, 2), (1, 1, 1), (0, 0, 0)),
        ((0, 1, 2), (-1, -1, 1), (0, 0, 0)),
        ((2, 0, 1), (1, -1, -1), (11, -25, 40)),
        ((1, 0, 2), (1, 1, 1), (170, 4, -93)),
    ],
)
def test_without_nibabel_the_same_voxels_lie_at_the_same_place(tmp_path, suffix, dtype, order, signs, angles):
    grid = make_grid((7, 9, 11), (0.8, 1.3, 2.5), order, signs, angles)
    values = np.random.default_rng(1).integers(0, 200, grid.shape).astype(dtype)
    theirs, ours = tmp_path / f"nibabel{suffix}", tmp_path / f"itk{suffix}"
    write_nifti(theirs, values, grid.affine)
    write_with_itk(ours, values, grid.affine)
    for path in (theirs, ours):
        for read in (read_nifti, read_with_itk):
            array, affine, warnings = read(path)
            np.testing.assert_array_equal(array, values)
            assert array.dtype == values.dtype
            np.testing.assert_allclose(affine, grid.affine, atol=1e-4)
            assert warnings == []


def test_what_itk_cannot_hold_is_refused(tmp_path):
    sheared = make_grid((5, 6, 7), (1, 1, 2), (0, 1, 2), (1, 1, 1), (0, 0, 0), shear=0.3)
    values = np.zeros((5, 6, 7), np.uint8)
    with pytest.raises(ValueError, match="sheared"):
        write_with_itk(tmp_path / "a.nii", values, sheared.affine)
    (tmp_path / "b.nii.gz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"b\.nii\.gz cannot be read"):
        read_with_itk(tmp_path / "b.nii.gz")


def test_the_same_image_gives_the_same_bytes(tmp_path):
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, values, np.eye(4))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
