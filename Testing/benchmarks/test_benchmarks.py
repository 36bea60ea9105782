"""Every benchmark still runs (``--smoke``: tiny networks, seconds), and the commands of ``gpu.sh`` are commands."""

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from support.paths import TESTING

BENCHMARKS = TESTING.parent / "benchmarks"
# What each prints among other things.
SAYS = {
    "adrenal": r"\| 3D ResNet \| \d\.\d+ \|",
    "autoencoder": r"\| both lungs \| \d\.\d+ \|",
    "cohort_comparison": r"that of another label \| \d of 3",
    "cohort_published": r"Context ranking",
    "classifier_memory": r"\| resnet3d \| float32 \| the volume \| 0\.\d+ \|",
    "compare": r"\| 2 \| captum \| \d+\.\d \|",
    "convergence": r"ours: pairs, limit \| 9\d\.\d %",
    "counterfactual_sanity": r"\| all \d+ layers \| [+–-]",
    "cpu_speed": r"\| 1 \| channels last \| 2 \| 0\.\d+ \|",
    "demo_classifier": r"\| unseen phantoms \(2\) \| contrast_agent \|",
    "demo_weights": r"phantoms \(1\)",
    "device_agreement": r"\| float32 \| 0 of 5760 \| 0\.0e\+00 \| the same bits \|",
    "exactness": r"\| smoothgrad \| \d\.\de-1\d",
    "full_card": r"\| all again \| done: 1 label\(s\), batch 2 \|",
    "keep": r"\| 0.999 \|",
    "window_batches": r"\| bfloat16 \| auto, channels last \| 1 \|",
    "window_memory": r"computed again",
    "later_regions": r"\| 8 \| the model's labels \| 0\.\d+ / ",
    "memory": r"the volume buffers",
    "nnunet_agreement": r"\| regions thick slices \| \S+ \| \d\.\de-0[6-9] \| 0 of 1872",
    "nnunet_reference": r"3 scans for 5 models",
    "nnunet_side_by_side": r"\(float32\): 0 of 2496 voxels",
    "nnunet_trained": r"\d of 9 labels in Dataset011_SyntheticThorax",
    "precision": r"\| float16 \|",
    "reliability": r"; 0 ended wrongly\ncode: \d+ weights that hold code; 0 ran, 0 were accepted",
    "sanity": r"\| smoothgrad \|",
    "serving": r"MB there in",
    "slice_localisation": r"\| attention \| gradient, AUPRC \|",
    "table1": r"\| smoothgrad:samples=2 \|",
}


@pytest.fixture(autouse=True)
def _found(monkeypatch):
    """The benchmarks import each other as scripts do."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_every_benchmark_is_tried():
    scripts = {path.stem for path in BENCHMARKS.glob("*.py") if "\ndef main(" in path.read_text(encoding="utf-8")}
    assert scripts == set(SAYS)


@pytest.mark.parametrize("name", sorted(SAYS))
def test_it_runs(name, tmp_path, monkeypatch, capfd, warm_python):
    monkeypatch.chdir(tmp_path)
    if name != "reliability":  # which limits what its processes may write
        monkeypatch.setattr(sys, "executable", warm_python)
    assert not import_module(name).main(["--smoke"])
    assert re.search(SAYS[name], capfd.readouterr().out)
    assert not list(tmp_path.iterdir())


def test_runs_side_by_side_leave_a_line_each(tmp_path, capfd):
    lines, words = tmp_path / "lines.jsonl", ["--smoke", "--jobs", "2", "--kinds", "mean pooling"]
    adrenal = import_module("adrenal")
    assert adrenal.main([*words, "--results", str(lines)]) == 0
    printed = capfd.readouterr().out
    assert adrenal.main(["--table", str(lines)]) == 0
    assert capfd.readouterr().out == printed
    assert len(lines.read_text(encoding="utf-8").splitlines()) == 1
    ((kind, seed, why),) = adrenal.run_all(adrenal.parse(words), tmp_path / "none.npz", tmp_path, 1)
    assert (kind, seed) == ("mean pooling", 0)
    assert "none.npz cannot be read" in why


def test_the_commands_for_a_gpu_are_commands():
    script = BENCHMARKS / "gpu.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text(encoding="utf-8").replace("\\\n", " ")
    parts = [shlex.split(line) for line in text.splitlines() if line.startswith("part ")]
    assert len(parts) >= 8
    for _, _, seconds, heading, name, *words in ([word for word in part if word != "&"] for part in parts):
        assert int(seconds) > 0
        assert heading
        import_module(name).parse(words)


def test_a_part_for_a_gpu_leaves_its_table(tmp_path):
    words = ["--smoke", "--parts", "exactness,nothing", "--output", str(tmp_path)]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(BENCHMARKS / "gpu.sh"), *words], capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    assert done.returncode == 0, done.stderr
    found = import_module("sections").sections((tmp_path / "gpu.md").read_text(encoding="utf-8"))
    assert len(found) == 1
    assert "| smoothgrad |" in next(iter(found.values()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpu.log", "gpu.md"]
