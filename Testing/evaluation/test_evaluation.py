"""The metrics of an evaluation: the same numbers as Quantus and as stitching by MONAI, and words where there is no number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import quantus
import torch
from monai.inferers import sliding_window_inference

from Agg2ExpLib.attribution.methods import attribute, make_method
from Agg2ExpLib.attribution.stitched import Target
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.evaluation.complexity import complexity
from Agg2ExpLib.evaluation.drops import output_drops
from Agg2ExpLib.evaluation.efficiency import Meter
from Agg2ExpLib.evaluation.faithfulness import correlation, faithfulness, subset_sums
from Agg2ExpLib.evaluation.measure import Subject, measure, warm_up
from Agg2ExpLib.evaluation.score import ABSENT, Row
from Agg2ExpLib.evaluation.sensitivity import Sensitivity, noisy_copy
from Agg2ExpLib.evaluation.settings import Settings
from Agg2ExpLib.evaluation.store import Store
from Agg2ExpLib.evaluation.subsets import random_subset
from Agg2ExpLib.inference.compute import BatchSize, Compute
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.io.grid import Grid
from Agg2ExpLib.io.turn import Turn
from Agg2ExpLib.models.model import Model
from Agg2ExpLib.monitor import Monitor, Stage
from Agg2ExpLib.preprocessing.preprocessing import Prepared
from Agg2ExpLib.preprocessing.step import Intensity
from Agg2ExpLib.runs.case import Case
from support.networks import random_network

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPE, ROI = (14, 12, 10), (8, 8, 8)
CPU = Compute(torch.device("cpu"), torch.float64)
SETTINGS = Settings("w", ("gradient",), runs=8, subset_voxels=300, copies=2, seed=3)


class Totals(torch.nn.Module):
    """``f̂_c`` of a whole batch of volumes by MONAI's own stitching: ``[b, 1, x, y, z]`` → ``[b, labels]``."""

    def __init__(self, network: torch.nn.Module, masks: torch.Tensor):
        super().__init__()
        self.network, self.masks = network, masks

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = sliding_window_inference(images.double(), ROI, 4, self.network, overlap=0.25, mode="constant")
        return (logits * self.masks[None]).sum(dim=(2, 3, 4))


def quiet() -> Stage:
    return Stage(Monitor(), "test", 0, 1)


def small_subject(network: torch.nn.Module, image: torch.Tensor, labels: np.ndarray, folder: Path, channels: int) -> Subject:
    """A patient whose labels are given; drops are computed as in a run."""
    names = tuple(f"label {c}" for c in range(1, channels))
    model = Model(network, ["background", *names], roi_size=ROI)
    steps = tuple(step for step in model.card.preprocessing.steps if isinstance(step, Intensity))
    prepared = Prepared(Grid(SHAPE, np.eye(4)), image.numpy(), image.numpy(), Turn(), steps)
    case = Case(model, CPU, prepared, WindowPlan(SHAPE, ROI), Monitor(), 2)
    targets = tuple(Target(f"label {c}", c, labels == c) for c in range(1, channels) if (labels == c).any())
    engine = case.engine(targets)
    subsets = [random_subset(SHAPE, SETTINGS.subset_voxels, SETTINGS.seed, run) for run in range(SETTINGS.runs)]
    store = Store(folder / "evaluation", {"kind": "evaluation", "model": {}, "settings": {}})
    drops = output_drops(engine, image, subsets, store, {"piece": "drops"}, quiet())
    on_device = [torch.from_numpy(subset) for subset in subsets]
    return Subject(case, labels, names, targets, on_device, drops)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A volume of several windows with three labels, of which the last is absent."""
    network, image = random_network(4), torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = sliding_window_inference(image[None, None].double(), ROI, 4, network, overlap=0.25, mode="constant")
    labels = logits[0, :3].argmax(0).numpy().astype(np.uint8)
    return small_subject(network, image, labels, tmp_path_factory.mktemp("subject"), 4)


def values(rows: list[Row], label: str) -> dict[str, float | None]:
    return {row.metric: row.value for row in rows if row.label == label}


def explain(subject: Subject, method_name: str, image: torch.Tensor, target: Target, **parameters: object) -> np.ndarray:
    """A map of one label by the library."""
    engine = subject.case.engine([target], BatchSize(CPU, Monitor(), 1))
    return attribute(engine, image, make_method(method_name, **parameters), quiet(), segmentation=subject.segmentation)[
        target.name
    ].numpy()


def direct_gradient(subject: Subject, image: torch.Tensor, target: Target) -> np.ndarray:
    """The gradient by autograd through MONAI's stitching of the whole volume."""
    x = image[None, None].double().requires_grad_(True)
    totals = Totals(subject.case.model.network, masks_of(subject))(x)
    return torch.autograd.grad(totals[0, target.channel], x)[0][0, 0].numpy()


def masks_of(subject: Subject) -> torch.Tensor:
    return torch.from_numpy(np.stack([subject.segmentation == c for c in range(4)])).double()


@pytest.mark.parametrize(("name", "parameters"), [("gradient", {}), ("smoothgrad", {"samples": 2}), ("layer_cam", {"layer": "3"})])
def test_the_metrics_are_those_of_quantus(subject, name, parameters, monkeypatch):
    rows = measure(subject, "p", name, make_method(name, **parameters), SETTINGS, quiet())
    model = Totals(subject.case.model.network, masks_of(subject)).eval()
    x = subject.image[None, None].numpy()
    for target in subject.targets:
        ours = values(rows, target.name)

        def of(image: np.ndarray, target: Target = target) -> np.ndarray:
            volume = torch.from_numpy(np.asarray(image).reshape(SHAPE))
            if name == "gradient":  # nothing of ours in it
                return direct_gradient(subject, volume, target)
            return explain(subject, name, volume, target, **parameters)

        a, y = of(x)[None, None], np.array([target.channel])

        subsets = iter([subset.numpy() for subset in subject.subsets])
        monkeypatch.setattr(np.random, "choice", lambda n, size, replace, subsets=subsets: next(subsets))
        metric = quantus.FaithfulnessCorrelation(
            nr_runs=SETTINGS.runs,
            subset_size=SETTINGS.subset_voxels,
            perturb_baseline=0.0,
            return_aggregate=False,
            disable_warnings=True,
        )
        (theirs,) = metric(model=model, x_batch=x, y_batch=y, a_batch=a, device="cpu", channel_first=True)
        monkeypatch.undo()
        assert next(subsets, None) is None, "Quantus drew all subsets from ours"
        assert ours["faithfulness"] == pytest.approx(theirs, abs=1e-6)

        copies = iter(noisy_copy(subject.image, copy, 0.1, "uniform", SETTINGS.seed).numpy() for copy in range(SETTINGS.copies))
        metric = quantus.AvgSensitivity(
            nr_samples=SETTINGS.copies,
            perturb_func=lambda arr, copies=copies, **_: next(copies).reshape(arr.shape),
            normalise=True,
            return_aggregate=False,
            disable_warnings=True,
        )
        (theirs,) = metric(
            model=model,
            x_batch=x,
            y_batch=y,
            a_batch=a,
            device="cpu",
            channel_first=True,
            explain_func=lambda model, inputs, targets, of=of, **_: of(inputs)[None, None],
        )
        assert next(copies, None) is None
        assert ours["sensitivity"] == pytest.approx(theirs, rel=1e-9)

        metric = quantus.EffectiveComplexity(eps=SETTINGS.threshold, return_aggregate=False, disable_warnings=True)
        (theirs,) = metric(model=model, x_batch=x, y_batch=y, a_batch=a, device="cpu", channel_first=True)
        assert ours["complexity"] == pytest.approx(theirs / a.size, abs=1e-12)


def test_drops_are_those_of_the_whole_volume(subject):
    model = Totals(subject.case.model.network, masks_of(subject))
    flat = subject.image.double().flatten()
    for run, subset in enumerate(subject.subsets):
        without = flat.clone()
        without[subset] = 0
        with torch.no_grad():
            change = model(flat.reshape(1, 1, *SHAPE)) - model(without.reshape(1, 1, *SHAPE))
        for target in subject.targets:
            assert subject.drops[target.name][run] == pytest.approx(float(change[0, target.channel]), rel=1e-9)


def test_drops_go_on_where_they_were(subject, tmp_path, monkeypatch):
    from Agg2ExpLib.evaluation import drops as module

    engine = subject.case.engine(subject.targets, BatchSize(CPU, Monitor(), 2))
    subsets = [subset.numpy() for subset in subject.subsets]
    store = Store(tmp_path / "out", {"kind": "evaluation", "model": {}, "settings": {}})
    monkeypatch.setattr(module, "_AT_A_TIME", 3)

    class Ended(Exception):
        pass

    def write(key, write=store.write_arrays, **arrays):
        write(key, **arrays)
        if len(arrays["outputs"]) == 6:
            raise Ended

    monkeypatch.setattr(store, "write_arrays", write)
    with pytest.raises(Ended):
        output_drops(engine, subject.image, subsets, store, {"piece": "drops"}, quiet())
    asked: list[int] = []
    real = module.PerturbedOutputs.without_voxels

    def count(self, removals, report):
        asked.append(len(removals))
        return real(self, removals, report)

    monkeypatch.undo()
    monkeypatch.setattr(module.PerturbedOutputs, "without_voxels", count)
    found = output_drops(engine, subject.image, subsets, store, {"piece": "drops"}, quiet())
    assert asked == [2], "six of eight were kept"
    for name, drops in subject.drops.items():
        np.testing.assert_array_equal(found[name], drops)
    output_drops(engine, subject.image, subsets, store, {"piece": "drops"}, quiet())
    assert asked == [2], "nothing is left to do"


def test_absent_labels_are_said(subject):
    rows = measure(subject, "p", "gradient", make_method("gradient"), SETTINGS, quiet())
    absent = [row for row in rows if row.label == "label 3"]
    assert [(row.metric, row.value, row.note) for row in absent] == [
        (metric, None, ABSENT) for metric in ("faithfulness", "sensitivity", "scale_under_noise", "complexity")
    ]
    nothing = replace(subject, targets=(), drops={})
    rows = measure(nothing, "p", "gradient", make_method("gradient"), SETTINGS, quiet())
    assert {row.note for row in rows} == {ABSENT}, "no seconds of a run that did not happen"


class Linear(torch.nn.Module):
    """Two labels: 0 and ``factor · x``, wherever x > 0."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([0 * images, self.factor * images], dim=1)


@pytest.mark.parametrize(("factor", "words"), [(3.0, "the map is constant"), (0.0, "the map is zero everywhere")])
def test_a_constant_map_has_no_correlation(factor, words, tmp_path):
    labels = np.ones(SHAPE, dtype=np.uint8)
    subject = small_subject(Linear(factor).eval(), torch.rand(SHAPE) + 0.1, labels, tmp_path, 2)
    rows = {row.metric: row for row in measure(subject, "p", "g", make_method("gradient"), SETTINGS, quiet()) if row.label}
    assert rows["faithfulness"].value is None
    assert rows["faithfulness"].note.startswith(words)
    assert (rows["complexity"].value, rows["sensitivity"].value) == ((1.0, 0.0) if factor else (None, None))


def test_correlations_that_are_undefined():
    drops = np.arange(5.0)
    subsets = [torch.arange(4)] * 5
    e = torch.tensor([[[1.0, 2.0, -3.0, 0.5]]], dtype=torch.float64)
    assert "all subsets hold the same attribution" in faithfulness(e, subsets, drops).note
    assert "the same amount every time" in correlation(drops, np.ones(5)).note
    assert correlation(drops, -2 * drops).value == pytest.approx(-1)
    assert subset_sums(e, [torch.tensor([0, 2])]).tolist() == [-2.0]
    with pytest.raises(FloatingPointError):
        complexity(torch.tensor([1.0, float("inf")]), 0.1)


def test_maps_that_are_not_finite_are_refused(subject):
    class Wild(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return subject.case.model.network(images) * float("inf")

    wild = replace(subject.case, model=Model(Wild().eval(), subject.case.model.card))
    with pytest.raises(InputError, match=r"The map of 'label 1' is not finite in float64: use precision float32"):
        measure(replace(subject, case=wild), "p", "g", make_method("gradient"), SETTINGS, quiet())


def test_sensitivity_leaves_the_scale_out_and_tells_it():
    e = torch.tensor([1.0, -2.0, 0.0])
    found = Sensitivity()
    found.add(e, 5 * e)
    assert (found.score().value, found.scale().value) == (0.0, 5.0)
    found.add(e, torch.tensor([0.0, -1.0, 0.0]))
    assert found.score().value == pytest.approx(0.5 / np.sqrt(1.25) / 2)
    found.add(e, 0 * e)
    assert found.score().value is None
    assert "noisy copy is zero" in found.score().note


def test_subsets_and_noise_depend_on_seed_and_number_alone():
    one = random_subset((5, 6, 7), 50, 0, 3)
    assert len(np.unique(one)) == 50
    assert one.min() >= 0
    assert one.max() < 210
    np.testing.assert_array_equal(one, random_subset((5, 6, 7), 50, 0, 3))
    assert any(one != random_subset((5, 6, 7), 50, 0, 4))
    assert any(one != random_subset((5, 6, 7), 50, 1, 3))
    counts = np.bincount(np.concatenate([random_subset((2, 2, 5), 5, 0, run) for run in range(2000)]), minlength=20)
    assert np.abs(counts - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75), "every voxel is as likely"
    with pytest.raises(InputError, match=r"has 210 voxels .*fewer than the 211 .* set subset_voxels"):
        random_subset((5, 6, 7), 211, 0, 0)
    x = torch.zeros(40, 40, 40)
    uniform, gaussian = noisy_copy(x, 0, 0.1, "uniform", 0), noisy_copy(x, 0, 0.1, "gaussian", 0)
    assert float(uniform.abs().max()) == pytest.approx(0.1, rel=1e-3)
    assert float(uniform.std()) == pytest.approx(0.1 / np.sqrt(3), rel=0.02)
    assert float(gaussian.std()) == pytest.approx(0.1, rel=0.02)
    assert not torch.equal(uniform, noisy_copy(x, 1, 0.1, "uniform", 0))


def test_time_and_memory_of_a_piece_of_work():
    import time

    with Meter(CPU) as meter:
        block = np.ones(30_000_000)
        time.sleep(0.05)
        del block
    assert 0.05 < meter.seconds < 5
    assert 0.9 * 240e6 < meter.peak_bytes < 1.5 * 240e6, "a peak that is over when the work ends"
    with Meter(CPU) as meter:
        pass
    assert meter.peak_bytes < 20e6


def test_efficiency_rows_and_a_warm_start(subject):
    warm_up(subject, quiet())
    rows = {row.metric: row for row in measure(subject, "p", "g", make_method("gradient"), SETTINGS, quiet()) if not row.label}
    assert rows["seconds_per_label"].value == pytest.approx(rows["seconds"].value / 2)
    assert rows["seconds"].note == "2 labels in one run"
    assert rows["peak_memory"].unit == "bytes"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runs": 0}, "at least three random subsets, not 0: set runs"),
        ({"subset_voxels": 0}, "subset_voxels"),
        ({"copies": 0}, "at least one noisy copy"),
        ({"radius": 0.0}, "radius"),
        ({"noise": "salt"}, "Unknown noise 'salt'"),
        ({"threshold": 1.0}, "threshold"),
        ({"metrics": ("faith",)}, "Unknown metric 'faith'"),
        ({"seed": -1}, "seed must not be negative"),
        ({"window_batch": 0}, "window batch"),
    ],
)
def test_settings_that_make_no_sense(change, words):
    with pytest.raises(InputError, match=words):
        replace(SETTINGS, **change)
