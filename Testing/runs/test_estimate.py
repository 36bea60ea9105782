"""Time and memory told before a run: against the windows that are really made, and against runs that were really done."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Agg2ExpLib.attribution.methods import make_method
from Agg2ExpLib.attribution.smoothgrad import SmoothGrad
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.models.model_card import ModelCard, read_model_card
from Agg2ExpLib.runs.estimate import Speed, count_windows, estimate_run, speed_from_run
from support.paths import ROOT

DEMO_CARD = ROOT / "Agg2ExpModule" / "Resources" / "Demo" / "agg2exp_demo.json"
sizes = st.tuples(*[st.integers(1, 90)] * 3)


@settings(deadline=None, max_examples=50)
@given(sizes, st.tuples(*[st.integers(1, 40)] * 3), st.floats(0, 0.95))
def test_as_many_windows_as_are_made(shape, roi_size, overlap):
    if count_windows(shape, roi_size, overlap) > 3000:
        return
    assert count_windows(shape, roi_size, overlap) == len(WindowPlan(shape, roi_size, overlap).windows)


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return read_model_card(DEMO_CARD)[0]


def run_file(card: ModelCard, **changes) -> dict:
    """What a run.json of the demo model holds, as far as the estimate reads it: 8 windows, 20 samples, 4 labels."""
    run = {
        "task": "explain",
        "model_grid": {"shape": [91, 72, 84], "roi_size": list(card.roi_size)},
        "labels": [{"name": label.name} for label in card.labels],
        "explained": ["aorta", "heart", "trachea", "ribs"],
        "windows": {"explained": 6, "passes": 22},
        "parameters": {"method": "smoothgrad", "samples": 20, "overlap": 0.25},
        "device": "CPU (2 threads)",
        "window_batch": 1,
        "seconds": {"read": 2.0, "segment": 4.0, "explain": 220.0, "importance": 0.5, "total": 227.0},
        "peak_memory_bytes": {"process": 1_800_000_000},
    }
    return {**run, **changes}


def test_speed_of_a_run(card):
    speed = speed_from_run(run_file(card))
    assert speed is not None
    assert (speed.segment_s, speed.pass_s, speed.met, speed.fixed_s) == pytest.approx((0.5, 0.5, 0.5, 3.0))
    assert 1.7e9 < speed.fixed_bytes < 1.8e9
    stored = Speed(**json.loads(json.dumps(dataclasses.asdict(speed))))
    assert stored == speed
    same = estimate_run((91, 72, 84), card, 4, SmoothGrad(20), 0.25, "cpu", speed)
    assert same.windows == 8
    assert same.measured
    assert same.memory_bytes == pytest.approx(1.8e9)
    # 4 labels that each meet half of the windows meet 15/16 of them together, where 6 of 8 was measured.
    assert same.seconds == pytest.approx(5 + 3 + 8 * 0.5 + 20 * 0.5 * 8 * (15 / 16 + 2))


def test_more_work_takes_longer(card):
    speed = speed_from_run(run_file(card))

    def told(shape=(91, 72, 84), labels=4, samples=20, overlap=0.25):
        return estimate_run(shape, card, labels, SmoothGrad(samples), overlap, "cpu", speed)

    assert told(labels=0).seconds == pytest.approx(12)
    assert told(labels=1).seconds < told(labels=4).seconds < told(labels=17).seconds
    assert told(samples=40).seconds - told(labels=0).seconds == pytest.approx(2 * (told().seconds - told(labels=0).seconds))
    assert told(overlap=0.7).windows > told().windows
    assert told(overlap=0.7).seconds > told().seconds
    large = told(shape=(200, 150, 160))
    assert large.memory_bytes > told().memory_bytes > told(labels=0).memory_bytes
    assert told(labels=17).memory_bytes - told().memory_bytes == pytest.approx(
        13 * (9 + 16) * 91 * 72 * 84
    )  # and 8 maps of groups in float16


def test_without_a_measured_speed(card):
    told = estimate_run((85, 64, 80), card, 4, SmoothGrad(2))
    assert told.seconds is None
    assert not told.measured
    # benchmarks/RESULTS.md: 1.57 GiB
    assert 0.7 < told.memory_bytes / (1.57 * 2**30) < 1.6
    bare = dataclasses.replace(card, network=None)
    assert estimate_run((85, 64, 80), bare, 4, SmoothGrad(2)).memory_bytes > told.memory_bytes
    assert estimate_run((85, 64, 80), card, 4, SmoothGrad(2), device="cuda:0").memory_bytes < told.memory_bytes


def test_a_speed_of_something_else_is_left_out(card):
    speed = speed_from_run(run_file(card))
    other = dataclasses.replace(card, roi_size=(96, 96, 96))
    fewer = dataclasses.replace(card, labels=card.labels[:3])
    assert estimate_run((91, 72, 84), other, 4, SmoothGrad(20), speed=speed).seconds is None
    assert estimate_run((91, 72, 84), fewer, 2, SmoothGrad(20), speed=speed).seconds is None
    assert estimate_run((91, 72, 84), card, 4, SmoothGrad(20), device="cuda:0", speed=speed).seconds is None
    assert estimate_run((91, 72, 84), card, 4, SmoothGrad(20), device="auto", speed=speed).seconds is not None


def test_a_gpu_needs_room_for_one_window(card):
    run = run_file(card, device="NVIDIA H200", window_batch=32, peak_memory_bytes={"process": 4e9, "gpu": 64e9})
    speed = speed_from_run(run)
    told = estimate_run((91, 72, 84), card, 4, SmoothGrad(20), device="cuda:0", speed=speed)
    assert told.memory_bytes == pytest.approx(2e9)
    assert told.seconds is not None
    assert estimate_run((91, 72, 84), card, 4, SmoothGrad(20), device="cpu", speed=speed).seconds is None
    without = speed_from_run({**run, "device": "Apple GPU", "peak_memory_bytes": {"process": 4e9}})
    told = estimate_run((91, 72, 84), card, 4, SmoothGrad(20), device="mps", speed=without)
    assert told.seconds is not None
    assert not told.measured


def test_a_segmentation_alone_tells_something_and_forgets_nothing(card):
    run = run_file(card, task="segment")
    run["seconds"] = {"read": 2.0, "segment": 8.0, "total": 10.0}
    alone = speed_from_run(run)
    assert alone.pass_s is None
    assert not estimate_run((91, 72, 84), card, 1, SmoothGrad(20), speed=alone).measured
    told = [estimate_run((91, 72, 84), card, labels, SmoothGrad(20), speed=alone).seconds for labels in (0, 1, 2)]
    assert told[0] < told[1] < told[2]
    before = speed_from_run(run_file(card))
    after = speed_from_run(run, before)
    assert after == dataclasses.replace(before, segment_s=1.0, fixed_s=2.0)
    assert speed_from_run(run, dataclasses.replace(before, channels=3)).pass_s is None
    assert speed_from_run(run, dataclasses.replace(before, device="Apple GPU")).pass_s is None


def test_files_of_other_versions_tell_nothing(card):
    run = run_file(card)
    for key in set(run) - {"window_batch"}:
        assert speed_from_run({name: value for name, value in run.items() if name != key}) is None, key
    for wrong in ({}, {"task": "explain"}, run_file(card, windows={"explained": 0, "passes": 0}), run_file(card, seconds=None)):
        assert speed_from_run(wrong) is None


def test_only_the_methods_that_are_reckoned_with_tell_a_speed(card):
    def speed_of(method, **parameters):
        return speed_from_run(run_file(card, parameters={"method": method, "overlap": 0.25, **parameters}))

    for method in ("gradient", "gradient_x_input"):
        assert speed_of(method).pass_s == pytest.approx(220 / 22)
    for method in ("smoothgrad_squared", "vargrad", "expected_gradients"):
        assert speed_of(method, samples=10).pass_s == pytest.approx(220 / 22 / 10)
    assert speed_of("integrated_gradients", steps=40, samples=10).pass_s == pytest.approx(220 / 22 / 40)
    for method in ("layer_cam", "of_a_later_version"):
        assert speed_of(method) is None


def test_each_method_is_told_by_its_copies(card):
    speed = speed_from_run(run_file(card))
    alone = estimate_run((91, 72, 84), card, 0, None, speed=speed).seconds

    def told(name, labels=4, **parameters):
        return estimate_run((91, 72, 84), card, labels, make_method(name, **parameters), speed=speed)

    once = told("gradient").seconds - alone
    assert told("gradient_x_input").seconds - alone == pytest.approx(once)
    assert told("integrated_gradients", steps=30).seconds - alone == pytest.approx(30 * once)
    assert told("vargrad", samples=8).seconds - alone == pytest.approx(8 * once)
    with_mask = estimate_run((91, 72, 84), card, 4, make_method("gradient"), speed=speed, segmentations=3)
    assert with_mask.seconds - alone == pytest.approx(once + 2 * 8 * 0.5)
    run = run_file(card)
    run["seconds"] |= {"mask": 9.0, "total": 236.0}
    assert speed_from_run(run) == speed
    assert told("layer_cam").seconds is None
    assert told("layer_cam").memory_bytes > 0
    assert estimate_run((91, 72, 84), card, 4, None, speed=speed).seconds is None
    # Two more volumes for each label than a mean: the variance and its mean, of all copies and of a group; for both, 8 maps of
    # groups in float16.
    voxels = 91 * 72 * 84
    per_label = [(told(name, 9).memory_bytes - told(name, 4).memory_bytes) / 5 / voxels for name in ("vargrad", "smoothgrad")]
    assert per_label == pytest.approx([37, 25])


def test_a_real_run_is_foretold(small_ct, small_weights, tmp_path, one_thread):
    from Agg2ExpLib.monitor import Monitor
    from Agg2ExpLib.runs.job import Job
    from Agg2ExpLib.runs.pipeline import run_job

    def run(name, **options):
        result = run_job(Job.of(str(small_ct), str(small_weights), str(tmp_path / name), device="cpu", **options), Monitor())
        return json.loads((result / "run.json").read_text(encoding="utf-8"))

    run("warm", task="segment")  # the first passes of a process are slow
    small, _ = read_model_card(small_weights.with_suffix(".json"))
    first = run("first", labels=("heart",), samples=20)
    grid = first["model_grid"]
    plan = WindowPlan(grid["shape"], grid["roi_size"])
    assert first["windows"]["explained"] <= len(plan.windows)
    assert first["windows"]["passes"] == 2 * first["windows"]["explained"]
    speed = speed_from_run(first)
    second = run("second", labels=("heart", "lung", "bone"), samples=40)
    told = estimate_run(grid["shape"], small, 3, SmoothGrad(40), device="cpu", speed=speed)
    assert told.windows == len(plan.windows)
    computing = told.seconds - 5 - speed.fixed_s
    # Other programs share the processors, so only the order of magnitude is certain.
    assert 1 / 3 < computing / (second["seconds"]["segment"] + second["seconds"]["explain"]) < 3
    for name, options in (("integrated_gradients", {"steps": 30}), ("vargrad", {"samples": 30})):
        run_of_it = run(name, labels=("heart", "lung"), method=name, **options)
        told = estimate_run(grid["shape"], small, 2, make_method(name, **options), device="cpu", speed=speed)
        computing = told.seconds - 5 - speed.fixed_s
        assert 1 / 3 < computing / (run_of_it["seconds"]["segment"] + run_of_it["seconds"]["explain"]) < 3, name


def test_works_where_only_slicer_is():
    code = (
        "import sys\n"
        "class No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'monai', 'nibabel', 'networkx', 'matplotlib', 'psutil'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        "from Agg2ExpLib.attribution.smoothgrad import SmoothGrad\n"
        "from Agg2ExpLib.runs.estimate import estimate_run, speed_from_run\n"
        "from Agg2ExpLib.models.model_card import read_model_card\n"
        f"card, _ = read_model_card({str(DEMO_CARD)!r})\n"
        "assert estimate_run((91, 72, 84), card, 4, SmoothGrad(20)).windows == 8\n"
        "assert speed_from_run({}) is None"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
