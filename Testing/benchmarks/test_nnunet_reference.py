"""The kept results of the real nnU-Net belong to the models and scans that ``nnunet_cases`` describes today."""

import json
import sys

import nibabel
import numpy as np
import pytest

from support.paths import TESTING

sys.path.insert(0, str(TESTING.parent / "benchmarks"))
from nnunet_cases import CASES, SCANS, write_scan

sys.path.pop(0)
KEPT = TESTING / "models" / "nnunet_reference"


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_models_are_those_described(name):
    case, folder = CASES[name], KEPT / name / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    assert json.loads((folder / "plans.json").read_text(encoding="utf-8")) == case.plans
    assert json.loads((folder / "dataset.json").read_text(encoding="utf-8")) == case.dataset()
    assert len(list(folder.glob("fold_*/checkpoint_final.pth"))) == case.folds


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_results_are_of_one_scan(name):
    case = CASES[name]
    with np.load(KEPT / name / "reference.npz") as kept:
        shape = kept["preprocessed"].shape
        assert kept["logits"].shape[1:] == kept["segmentation"].shape == kept["gradient"].shape == shape
        assert kept["predicted"].shape == kept["segmentation_on_ct"].shape == SCANS[case.ct][0][::-1]
        assert ("mirrored_logits" in kept) == case.mirrored
        assert set(np.unique(kept["segmentation"])) == {0, 1, 2, 3}


@pytest.mark.parametrize("name", sorted(SCANS))
def test_the_scans_are_those_described(name, tmp_path):
    write_scan(name, tmp_path / "ct.nii.gz")
    made, kept = nibabel.load(tmp_path / "ct.nii.gz"), nibabel.load(KEPT / f"{name}.nii.gz")
    np.testing.assert_allclose(made.affine, kept.affine, atol=1e-5)
    assert (np.abs(np.asarray(made.dataobj) - np.asarray(kept.dataobj)) <= 1).mean() > 0.99  # one HU of rounding elsewhere
    assert nibabel.aff2axcodes(kept.affine) == ("P", "I", "R")
