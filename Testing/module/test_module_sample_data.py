"""The sample data of the module: registered without network, loaded at its place."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from Agg2ExpLib.io.read import read_volume
from Agg2ExpLib.views.mrml_nodes import affine_of, array_of


@pytest.fixture
def sample(slicerApp, monkeypatch):  # noqa: N803
    from support.paths import ROOT

    monkeypatch.syspath_prepend(str(ROOT / "Agg2ExpModule"))
    for name in [name for name in sys.modules if name.startswith("Agg2ExpModuleLib")]:
        monkeypatch.delitem(sys.modules, name)
    from Agg2ExpModuleLib.scene import SampleDataSource

    return SampleDataSource


def test_samples_are_registered_once_with_their_picture(sample):
    import qt
    import SampleData

    sample.registerSampleDataSource()
    sample.registerSampleDataSource()
    sources = SampleData.SampleDataLogic.sampleDataSourcesByCategory("Agg2Exp")
    assert [source.sampleName for source in sources] == ["Agg2ExpThorax", "CTChest"]
    picture = qt.QPixmap(sources[0].thumbnailFileName)
    assert picture.width() == picture.height() == 160
    (node,) = SampleData.SampleDataLogic().downloadSamples("Agg2ExpThorax")
    assert node.GetName() == "Synthetic thorax"


def test_thorax_lies_in_the_scene_as_in_its_file(sample):
    import slicer

    node = sample.loadSyntheticThorax()
    expected = read_volume(sample._FILE)
    np.testing.assert_allclose(affine_of(node), expected.affine, atol=1e-4)
    np.testing.assert_array_equal(array_of(node), expected.array)
    assert -1024 <= expected.array.min() < -900
    assert expected.array.max() > 300
    composite = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == node.GetID()
    assert node.GetDisplayNode().GetWindowLevelMax() == 700.0


def test_without_sample_data_module_nothing_happens(sample, monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    sample.registerSampleDataSource()
