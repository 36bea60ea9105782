"""The direction of a latent shift is the exact gradient: autograd through encoder, decoder, intensities and stitched network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference

from Agg2ExpLib.counterfactuals.canvas import Canvas
from Agg2ExpLib.counterfactuals.intensities import slope
from Agg2ExpLib.counterfactuals.latents import Latents
from Agg2ExpLib.counterfactuals.outputs import Output
from Agg2ExpLib.counterfactuals.shift import Shift, across_slices
from Agg2ExpLib.inference.compute import choose_compute
from Agg2ExpLib.inference.network import at_work
from Agg2ExpLib.inference.segmentation import Segmented
from Agg2ExpLib.io.resample import resample
from Agg2ExpLib.io.volume import Volume
from Agg2ExpLib.models.classifiers import new_classifier
from Agg2ExpLib.models.model import Model
from Agg2ExpLib.models.slice_autoencoder import SliceAutoencoder
from Agg2ExpLib.monitor import Monitor, Stage
from Agg2ExpLib.preprocessing.clip import Clip
from Agg2ExpLib.preprocessing.ct_normalisation import CtNormalisation
from Agg2ExpLib.preprocessing.hu_window import HuWindow
from Agg2ExpLib.preprocessing.squash import Squash
from Agg2ExpLib.preprocessing.step import Intensity
from Agg2ExpLib.runs.case import Case, make_case
from support.networks import random_network, small_chest

pytestmark = pytest.mark.usefixtures("one_thread")
COMPUTE = choose_compute("cpu", "float64")
WINDOW, OWN = (-1024.0, 1024.0), (-900.0, 900.0)  # of the autoencoder and of the explained model


CT = Volume(small_chest((20, 18, 22)), np.diag([6.0, 6, 6, 1]), "ct")


def stage() -> Stage:
    return Stage(Monitor(), "test", 0.0, 1.0)


def autoencoder() -> Model:
    torch.manual_seed(2)
    network = SliceAutoencoder([4, 6], 3, [1, 1]).eval()
    return Model(network, (), spacing=(6, 6, 6), hu_window=WINDOW, task="autoencoder")


def case_of(output: str = "softmax") -> Case:
    labels = ["background", "a", "b"] if output == "softmax" else ["background", "a", "b", "c"]
    network = random_network(3, width=4)
    model = Model(network, labels, spacing=(6, 6, 6), hu_window=OWN, roi_size=(16, 16, 16), output=output)
    return make_case(CT, model, COMPUTE, Monitor())


def whole_chain(slicer: Model, latents: torch.Tensor, size: tuple[int, int], network: torch.nn.Module) -> torch.Tensor:
    """Logits from latents, as one graph."""
    intensity = slicer.network.decode(latents, size)[:, 0].movedim(0, 2)  # axial slices
    hu = (intensity * (WINDOW[1] - WINDOW[0]) + WINDOW[0]).clamp(*WINDOW)
    image = (hu.clamp(*OWN) - OWN[0]) / (OWN[1] - OWN[0])
    return sliding_window_inference(image[None, None], (16, 16, 16), 1, network, overlap=0.25, mode="constant")[0]


@pytest.mark.parametrize(("objective", "output"), [("logit", "softmax"), ("volume", "softmax"), ("volume", "sigmoid")])
def test_the_gradient_equals_autograd_through_the_whole_chain(objective: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Agg2ExpLib.counterfactuals.latents._CHUNK_PIXELS", 20 * 18 * 4)  # several chunks of slices
    case, slicer = case_of(output), autoencoder()
    label = case.model.card.labels[2]
    region = np.random.default_rng(0).random(case.grid.shape) < 0.3
    with at_work(case.model.network, COMPUTE), at_work(slicer.network, COMPUTE):
        latents = Latents(slicer, case.hu, COMPUTE, Monitor())
        canvas = Canvas(case, slicer, CT)
        shift = Shift(canvas, latents, Output(case, label, region, objective), WINDOW[0], slice(None), stage())
        point = latents.start.clone().requires_grad_(True)
        logits = whole_chain(slicer, point, latents.size, case.model.network)
        channel = case.model.card.channel(label)
        shares = torch.sigmoid(logits[channel]) if output == "sigmoid" else torch.softmax(logits, 0)[channel]
        value = (logits[channel] if objective == "logit" else shares)[torch.from_numpy(region)].mean()
        (expected,) = torch.autograd.grad(value, point)
        assert shift.before.value == pytest.approx(float(value.detach()), rel=1e-6)
        assert shift.before.probability == pytest.approx(float(shares[torch.from_numpy(region)].mean().detach()), rel=1e-6)
        assert float((shift._direction - expected).norm() / expected.norm()) < 1e-6

        some = Shift(canvas, latents, Output(case, label, region, objective), WINDOW[0], slice(3, 7), stage())
        assert float((some._direction[3:7] - expected[3:7]).norm() / expected[3:7].norm()) < 1e-6
        assert not some._direction[:3].any()
        assert not some._direction[7:].any()
        moved = some.frame(1.0, stage())
        assert (np.abs(moved.hu - some.start.hu).max(axis=(0, 1)) > 0).tolist() == [3 <= z < 7 for z in range(22)]
        assert moved.change == pytest.approx(0.001, rel=0.06)


def test_a_class_is_followed_exactly_too() -> None:
    torch.manual_seed(0)
    spec = {"class": "ResNet", "block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [2, 3, 4, 5], "feed_forward": False}
    backbone = {**spec, "conv1_t_size": 3}
    network = new_classifier({"class": "SliceClassifier", "backbone": backbone, "heads": 1, "out_channels": 2}).eval()
    model = Model(network, ["a", "b"], spacing=(6, 6, 6), hu_window=WINDOW, task="classification")
    ct = Volume(small_chest((20, 18, 6)), np.diag([6.0, 6, 6, 1]), "ct")
    case = make_case(ct, model, COMPUTE, Monitor())
    slicer = autoencoder()
    one = np.zeros(case.grid.shape, dtype=bool)
    one[0, 0, 0] = True
    with at_work(network, COMPUTE), at_work(slicer.network, COMPUTE):
        latents = Latents(slicer, case.hu, COMPUTE, Monitor())
        canvas = Canvas(case, slicer, ct)
        shift = Shift(canvas, latents, Output(case, model.card.labels[1], one, "logit"), WINDOW[0], slice(None), stage())
        point = latents.start.clone().requires_grad_(True)
        image = slicer.network.decode(point, latents.size)[:, 0].movedim(0, 2).clamp(0, 1)
        logits = network(image[None, None])[0]
        (expected,) = torch.autograd.grad(logits[1], point)
    assert shift.before.value == pytest.approx(float(logits[1].detach()), rel=1e-6)
    assert shift.before.probability == pytest.approx(float(torch.softmax(logits, 0)[1].detach()), rel=1e-6)
    assert float((shift._direction - expected).norm() / expected.norm()) < 1e-6


def test_a_model_on_a_coarser_grid_sees_the_canvas_by_linear_sampling() -> None:
    rng = np.random.default_rng(0)
    ct = Volume(small_chest((40, 36, 44)), np.diag([-4.0, -4, 4, 1]), "ct")
    model = Model(random_network(3, width=4), ["background", "a", "b"], spacing=(10, 10, 10), hu_window=OWN, roi_size=(16, 16, 16))
    case = make_case(ct, model, COMPUTE, Monitor())
    canvas = Canvas(case, autoencoder(), ct)
    assert not canvas.own
    assert canvas.grid.spacing == pytest.approx((6, 6, 6))
    assert "is moved on the finer grid" in case.monitor.notices[0]
    seen = resample(Volume(canvas.hu, canvas.grid.affine, "canvas"), case.grid, "linear", outside=None)
    np.testing.assert_allclose(canvas.image(canvas.hu), case.prepared.intensity(seen), atol=2e-5)
    inside = rng.uniform(-800, 800, canvas.grid.shape)
    gradient, step = rng.normal(size=case.grid.shape), rng.normal(size=canvas.grid.shape)
    moved = (canvas.image(inside + step).astype(float) - canvas.image(inside - step)) / 2
    assert float((canvas.pull_back(inside, gradient) * step).sum()) == pytest.approx(float((gradient * moved).sum()), rel=1e-3)
    mask = rng.random(case.grid.shape) < 0.3
    there_and_back = canvas.on_model_grid(canvas.shown(Segmented(mask.astype(np.uint8))).labels)
    np.testing.assert_array_equal(there_and_back[:-1, :-1, :-1], mask[:-1, :-1, :-1])  # the last ones reach beyond the canvas


def test_a_smooth_direction_still_rises_and_stays_in_its_slices() -> None:
    direction = torch.randn(20, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    smooth = across_slices(direction, slice(4, 15), 1.5)
    assert not smooth[:4].any()
    assert not smooth[15:].any()
    assert float((smooth * direction).sum()) > 0
    rough = [(values[1:] - values[:-1]).norm() / values.norm() for values in (smooth[4:15], direction[4:15])]
    assert rough[0] < 0.5 * rough[1]
    assert across_slices(direction, slice(None), 0.0) is direction


@pytest.mark.parametrize(
    ("step", "rel"),
    [
        (HuWindow((-200.0, 300.0), (-1.0, 1.0)), 1e-6),
        (CtNormalisation((-300.0, 400.0), 20.0, 80.0), 1e-6),
        (Clip(-100.0, 100.0), 1e-6),
        (Squash("sigmoid"), 1e-3),
    ],
)
def test_slopes_of_intensities(step: Intensity, rel: float) -> None:
    hu = np.array([-500.0, -150.0, 0.3, 1.7, 90.0, 500.0], dtype=np.float32)
    steps = [HuWindow((-1000.0, 1000.0), (-4.0, 4.0)), step] if isinstance(step, Squash) else [step]
    width = 0.5
    double = [np.asarray(hu, np.float64) + side for side in (-width, width)]
    low, high = (_through(steps, values) for values in double)
    np.testing.assert_allclose(slope(steps, hu), (high - low) / (2 * width), rtol=max(rel, 2e-3), atol=1e-5)


def _through(steps: list[Intensity], values: np.ndarray) -> np.ndarray:
    for step in steps:
        values = step.apply(values)
    return values.astype(np.float64)
