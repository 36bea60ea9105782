"""Kept results of the real nnU-Net (image, logits, labels, gradient; folds and mirroring) are what Agg2Exp computes."""

import sys

import pytest

from support.paths import TESTING

sys.path.insert(0, str(TESTING.parent / "benchmarks"))
from nnunet_agreement import agreement
from nnunet_cases import CASES

sys.path.pop(0)


@pytest.mark.parametrize(
    ("name", "mirror"), [(name, mirror) for name in CASES for mirror in (False, True)[: 1 + CASES[name].mirrored]]
)
def test_it_is_what_nnunet_itself_computes(name, mirror):
    found = agreement(name, mirror)
    assert found.image < 1e-5
    assert found.logits < 1e-5
    assert found.labels == 0
    assert found.gradient < 1e-6
