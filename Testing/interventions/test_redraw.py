"""Drawing from the windows that changed equals drawing everything anew with MONAI."""

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference

from Agg2ExpLib.inference.compute import choose_compute
from Agg2ExpLib.inference.segmentation import segment
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.interventions import redraw as redrawing
from Agg2ExpLib.interventions.redraw import Redrawer
from Agg2ExpLib.io.grid import Grid
from Agg2ExpLib.io.turn import Turn
from Agg2ExpLib.models.model import Model
from Agg2ExpLib.monitor import Monitor, Stage
from Agg2ExpLib.preprocessing.preprocessing import Prepared
from Agg2ExpLib.runs.case import Case
from support.networks import NAMES, random_network

ROI = (16, 12, 10)


def make_case(shape, overlap, blend, labels=NAMES, output="softmax"):
    from dataclasses import replace

    rng = np.random.default_rng(1)
    image = rng.random(shape, dtype=np.float32)
    model = Model(random_network(seed=3, channels=5), list(NAMES), roi_size=ROI)
    if output == "sigmoid":
        from Agg2ExpLib.models.labels import make_labels

        model.card = replace(model.card, labels=make_labels(["background", "a", "b", "c", "d", "e"]), output="sigmoid")
    prepared = Prepared(Grid(shape, np.eye(4)), image, image, Turn(), ())
    return Case(model, choose_compute("cpu", "float64"), prepared, WindowPlan(shape, ROI, overlap, blend), Monitor(), 3)


def whole(case, image):
    plan = case.plan
    seen = torch.from_numpy(image).double()[None, None]
    return sliding_window_inference(seen, ROI, 2, case.model.network, overlap=plan.overlap, mode=plan.blend)[0]


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize(
    ("shape", "overlap", "blend"),
    [((40, 30, 25), 0.5, "gaussian"), ((50, 14, 11), 0.25, "constant"), ((12, 30, 9), 0.3, "constant")],
)
def test_equals_everything_anew(shape, overlap, blend, keeps, monkeypatch):
    if not keeps:
        monkeypatch.setattr(redrawing, "_KEPT_SHARE", 0.0)
    case = make_case(shape, overlap, blend)
    before = case.segment(Stage(case.monitor, "segment", 0, 1)).labels
    redrawer = Redrawer(case, before)
    clean = whole(case, case.prepared.image)
    mask = before == 2
    sizes = []
    for seed, corner in enumerate([(2, 3, 1), (shape[0] - 5, 2, 4), (2, 3, 1)]):
        image = case.prepared.image.copy()
        place = tuple(slice(start, start + 4) for start in corner)
        image[place] = np.random.default_rng(seed).random(image[place].shape, dtype=np.float32)
        drawn = redrawer.redraw(image, {"two": (2, mask)}, Stage(case.monitor, "redraw", 0, 1))
        expected = whole(case, image)
        np.testing.assert_array_equal(drawn.before.labels, before)
        np.testing.assert_array_equal(drawn.after.labels, expected.argmax(0).numpy())
        change = float((expected - clean)[2][torch.from_numpy(mask)].mean())
        assert drawn.changes["two"] == pytest.approx(change, abs=1e-5)
        assert 0 < drawn.windows <= len(case.plan.windows)
        sizes.append(drawn.passes)
    if keeps and len(case.plan.windows) > 8:
        assert sizes[2] < sizes[0], "what is known is not computed again"


def test_few_windows_are_computed_for_a_small_change():
    case = make_case((96, 12, 10), 0.0, "constant")
    before = case.segment(Stage(case.monitor, "segment", 0, 1)).labels
    image = case.prepared.image.copy()
    image[3, 4, 5] += 1
    drawn = Redrawer(case, before).redraw(image, {}, Stage(case.monitor, "redraw", 0, 1))
    assert (len(case.plan.windows), drawn.windows, drawn.passes) == (6, 1, 2)


def test_nothing_changed():
    case = make_case((40, 30, 25), 0.5, "gaussian")
    before = case.segment(Stage(case.monitor, "segment", 0, 1)).labels
    drawn = Redrawer(case, before).redraw(case.prepared.image, {"two": (2, before == 2)}, Stage(case.monitor, "redraw", 0, 1))
    assert (drawn.windows, drawn.passes, drawn.changes["two"]) == (0, 0, 0.0)
    np.testing.assert_array_equal(drawn.after.labels, before)


def test_overlapping_labels():
    case = make_case((40, 30, 25), 0.5, "gaussian", output="sigmoid")
    stage = Stage(case.monitor, "segment", 0, 1)
    before = case.segment(stage)
    image = case.prepared.image.copy()
    image[10:20, 5:15, 5:15] = 0
    drawn = Redrawer(case, before.labels).redraw(image, {}, stage)
    np.testing.assert_array_equal(drawn.before.overlapping, before.overlapping)
    changed = segment(case.model.network, torch.from_numpy(image), case.plan, case.compute, case.batch(), stage, output="sigmoid")
    np.testing.assert_array_equal(drawn.after.overlapping, changed.overlapping)
    assert (drawn.after.overlapping != drawn.before.overlapping).any()
