"""Whole evaluations: files, killed and stopped processes, failures that do not end the rest, and bad input."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import Cancelled, InputError
from Agg2ExpLib.evaluation.method_specs import parse_methods
from Agg2ExpLib.evaluation.run import Evaluation, entries_of, evaluate
from Agg2ExpLib.evaluation.score import ABSENT
from Agg2ExpLib.evaluation.settings import Settings
from Agg2ExpLib.io.patient_table import Entry
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.monitor import Monitor
from support.autoencoders import write_exact_autoencoder
from support.networks import CT_AFFINE, small_chest

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.xdist_group("evaluation_run")]
METHODS = ("gradient", "smoothgrad:samples=4", "kernel_shap:coalitions=20", "integrated_gradients:baseline=mean,steps=4")
LABELS = ("heart", "vessel")
TIMED = ("seconds", "seconds_per_label", "peak_memory")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of two CTs and a table of them."""
    folder = tmp_path_factory.mktemp("scans")
    for index in range(2):
        write_volume(folder / f"ct{index}.nii.gz", small_chest() + 5 * index, CT_AFFINE, compress=True)
    (folder / "patients.csv").write_text("patient,ct\none,ct0.nii.gz\ntwo,ct1.nii.gz\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def settings(small_weights: Path) -> Settings:
    """Settings for small scans, those of the command below."""
    return Settings(str(small_weights), METHODS, labels=LABELS, runs=12, subset_voxels=2000, copies=1, device="cpu")


def command(scans: Path, settings: Settings, output: Path) -> list[str]:
    words = ["evaluate", "--table", str(scans / "patients.csv"), "--weights", settings.weights, "--output", str(output)]
    words += ["--labels", "heart,vessel", "--runs", "12", "--subset-voxels", "2000", "--copies", "1", "--device", "cpu"]
    return [*words, "--methods", *METHODS]


def start(python: str, words: list[str]) -> subprocess.Popen:
    call = [python, "-m", "Agg2ExpLib", *words]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def entries(scans: Path) -> list[Entry]:
    return [Entry(name, str(scans / f"ct{index}.nii.gz"), None, ()) for index, name in enumerate(("one", "two"))]


def lines(folder: Path) -> list[dict[str, str]]:
    with (folder / "evaluation.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def untimed(folder: Path) -> list[dict[str, str]]:
    return [line for line in lines(folder) if line["metric"] not in TIMED]


@pytest.fixture(scope="module")
def plain(scans: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """An evaluation that nobody disturbs."""
    return evaluate(entries(scans), settings, tmp_path_factory.mktemp("plain") / "out", Monitor())


def test_the_files(plain, settings):
    assert plain.failures == []
    assert (plain.pieces, plain.earlier) == (8, 0)
    found = lines(plain.folder)
    assert list(found[0]) == ["patient", "label", "method", "metric", "value", "unit", "note"]
    assert list(dict.fromkeys((line["patient"], line["method"]) for line in found)) == [
        (patient, method) for patient in ("one", "two") for method in METHODS
    ]
    heart = {line["metric"]: float(line["value"]) for line in found[:4]}
    assert list(heart) == ["faithfulness", "sensitivity", "scale_under_noise", "complexity"]
    assert 0 < heart["faithfulness"] < 1
    assert heart["sensitivity"] > 0
    assert 0 < heart["complexity"] < 1
    absent = [line for line in found if line["label"] == "vessel"]
    assert len(absent) == 4 * 8
    assert {(line["value"], line["note"]) for line in absent} == {("", ABSENT)}
    assert [line["metric"] for line in found[8:11]] == ["seconds_per_label", "seconds", "peak_memory"]
    record = json.loads((plain.folder / "evaluation.json").read_text(encoding="utf-8"))
    assert record["complete"]
    assert record["settings"]["subset_voxels"] == 2000
    assert record["methods"]["smoothgrad:samples=4"] == {
        "method": "smoothgrad",
        "samples": 4,
        "sigma": 0.1,
        "seed": 0,
        "antithetic": True,
        "limit": True,
        "tolerance": None,
    }
    assert len(record["weights"]["sha256"]) == 64
    text = (plain.folder / "table.md").read_text(encoding="utf-8")
    assert "2 patients × 1 label;" in text
    assert "The segmentation of 2 patients lacks vessel" in text
    assert "## heart" in text
    assert "## vessel" not in text
    assert r"kernel\_shap:coalitions=20 & $" in (plain.folder / "table.tex").read_text(encoding="utf-8")
    assert not (plain.folder / "failed.csv").exists()


def pieces(output: Path) -> dict[Path, int]:
    """Finished pieces and when they were written."""
    return {path: path.stat().st_mtime_ns for path in (output / "work").glob("*.json") if not path.name.startswith(".")}


def until_one_more(process: subprocess.Popen, output: Path, count: int) -> None:
    """Wait until there are more pieces than that."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if len(pieces(output)) > count:
            return
        time.sleep(0.005)
    raise AssertionError(f"no piece was finished: {process.communicate()}")


def test_a_killed_and_a_stopped_evaluation_go_on(plain, scans, settings, tmp_path, warm_python):
    output = tmp_path / "out"
    process = start(warm_python, command(scans, settings, output))
    until_one_more(process, output, 0)
    process.kill()
    process.communicate()
    killed = pieces(output)
    assert 0 < len(killed) < 8

    process = start(warm_python, command(scans, settings, output))
    until_one_more(process, output, len(killed))
    process.send_signal(signal.SIGINT)
    told, errors = process.communicate(timeout=60)
    assert process.returncode == 130, (told, errors)
    assert "what is finished is kept; repeat the command to go on" in errors
    stopped = pieces(output)
    assert len(killed) < len(stopped) < 8
    for path in stopped:
        assert json.loads(path.read_text(encoding="utf-8"))["rows"]

    again = evaluate(entries(scans), settings, output, Monitor())
    assert again.earlier == len(stopped)
    after = pieces(output)
    assert len(after) == 8
    assert {path: after[path] for path in stopped} == stopped, "finished pieces are not done again"
    assert untimed(output) == untimed(plain.folder)


def test_methods_labels_and_patients_may_change_but_settings_not(plain, scans, settings):
    class Silent(Monitor):
        def progress(self, stage, fraction, message="", eta_s=None):
            assert stage == "check", f"nothing is computed, but {message}"

    fewer = evaluate(entries(scans)[1:], replace(settings, methods=METHODS[1::-1]), plain.folder, Silent())
    assert [row.method for row in fewer.rows[::11]] == ["smoothgrad:samples=4", "gradient"]
    # the same method in other words
    same = evaluate(entries(scans), replace(settings, methods=("smoothgrad:seed=0,samples=4",)), plain.folder, Silent())
    assert same.earlier == 2
    with pytest.raises(InputError, match=r"another runs \(12 there, 13 now\)"):
        evaluate(entries(scans), replace(settings, runs=13), plain.folder, Silent())
    with pytest.raises(InputError, match=r"another precision \(float32 there, float64 now\)"):
        evaluate(entries(scans), replace(settings, precision="float64"), plain.folder, Silent())
    back = evaluate(entries(scans), settings, plain.folder, Silent())
    assert back.earlier == 8


def test_a_failing_patient_and_a_failing_method_do_not_end_the_rest(scans, settings, tmp_path, capsys):
    (scans / "broken.nii.gz").write_bytes(b"no image")
    (scans / "some.csv").write_text("patient,ct\nqq,broken.nii.gz\none,ct0.nii.gz\n", encoding="utf-8")
    words = command(scans, settings, tmp_path / "out")
    words[words.index("--table") + 1] = str(scans / "some.csv")
    words[words.index("--methods") :] = ["--methods", "layer_cam:layer=9", "gradient", "--metrics", "complexity"]
    assert main(words) == 1
    told = capsys.readouterr()
    assert "1 of 4 pieces" in told.out
    assert "| gradient |" in told.out
    with (tmp_path / "out" / "failed.csv").open(encoding="utf-8") as file:
        failed = list(csv.DictReader(file))
    assert [(line["patient"], line["method"]) for line in failed] == [("qq", ""), ("one", "layer_cam:layer=9")]
    assert "broken.nii.gz" in failed[0]["reason"]
    assert "no layer '9'" in failed[1]["reason"]
    assert {line["metric"] for line in lines(tmp_path / "out")} == {"complexity", *TIMED}
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["complete"] is False


def test_stop_is_heard(scans, settings, tmp_path):
    class Stops(Monitor):
        def progress(self, stage, fraction, message="", eta_s=None):
            if "smoothgrad" in message:
                self.stop()

    with pytest.raises(Cancelled):
        evaluate(entries(scans), settings, tmp_path / "out", Stops())
    assert len(pieces(tmp_path / "out")) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"methods": ("gradiant",)}, "Unknown attribution method 'gradiant': did you mean 'gradient'"),
        ({"methods": ()}, "No method was asked for"),
        ({"labels": ("hart",)}, "no label 'hart': did you mean 'heart'"),
        ({"labels": ("vessel",)}, r"found none of the labels \(vessel\) in any scan"),
        ({"subset_voxels": 10**6}, r"has 38080 voxels .*\(34 × 28 × 40\), fewer than the 1000000 .* set subset_voxels to 380"),
        ({"methods": ("layer_cam",)}, "finds no encoder stage 2"),
        ({"weights": "gone.pt"}, "gone.pt"),
    ],
)
def test_bad_input_is_one_sentence(scans, settings, tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        evaluate(entries(scans), replace(settings, **change), tmp_path / "out", Monitor())


def test_bad_patients_and_folders(scans, settings, tmp_path):
    with pytest.raises(InputError, match="Two CTs are named 'ct0'"):
        entries_of([str(scans / "ct0.nii.gz"), str(scans / "." / "ct0.nii.gz")])
    with pytest.raises(InputError, match=r"gone.nii.gz does not exist"):
        entries_of([str(scans / "gone.nii.gz")])
    autoencoder = write_exact_autoencoder(tmp_path)
    with pytest.raises(InputError, match="exact is an autoencoder, which draws nothing"):
        evaluate(entries(scans), replace(settings, weights=str(autoencoder)), tmp_path / "out", Monitor())
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="no patient to evaluate"):
        evaluate([], settings, tmp_path / "out", Monitor())
    twice = [Entry("one", str(scans / "ct0.nii.gz"), None, ()), Entry("other", str(scans / "ct0.nii.gz"), None, ())]
    with pytest.raises(InputError, match="'one' and 'other' have the same scan"):
        evaluate(twice, settings, tmp_path / "out", Monitor())
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is no evaluation of Agg2Exp and not empty"):
        evaluate(entries(scans), settings, tmp_path, Monitor())


def test_exit_status_of_bad_input(scans, settings, tmp_path, capsys):
    assert main([*command(scans, settings, tmp_path / "out"), "--runs", "0"]) == 2
    assert "at least three random subsets, not 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_methods_in_words(scans):
    specs = parse_methods(
        [
            "smoothgrad:samples=10,antithetic=off",
            "kernel_shap:supervoxels=cubes,regions=64,coalitions=auto",
            f"expected_gradients:references={scans / 'ct0.nii.gz'}+{scans / 'ct1.nii.gz'}",
            "layer_cam:layer=4,relu=off",
            "gradient",
        ],
        seed=7,
    )
    one, shap, expected, cam, gradient = specs
    assert one.parameters == {"samples": 10, "sigma": 0.1, "seed": 7, "antithetic": False, "tolerance": None, "limit": True}
    assert (shap.parameters["regions"], shap.parameters["coalitions"]) == (64, "auto")
    assert len(expected.parameters["references"]) == 2
    assert all(len(checksum) == 64 for checksum in expected.identity()["references"])
    assert cam.parameters == {"layer": "4", "cam": "layercam", "relu": False}
    assert gradient.parameters == {}
    assert one.make().samples == 10


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["smoothgrad:sample=3"], "no parameter 'sample' .*: did you mean 'samples'"),
        (["smoothgrad:samples"], "write parameter=value"),
        (["smoothgrad:samples=many"], "must be a whole number, not 'many'"),
        (["smoothgrad:sigma=x"], "must be a number, not 'x'"),
        (["smoothgrad:antithetic=maybe"], "must be on or off, not 'maybe'"),
        (["smoothgrad:samples=0"], "at least one noise sample"),
        (["kernel_shap:coalitions=few"], "a whole number or auto, not 'few'"),
        (["kernel_shap:supervoxels=balls"], "balls"),
        (["expected_gradients:references=gone.nii"], "gone.nii does not exist"),
        (["gradient", "gradient"], "'gradient' is named twice"),
        (["smoothgrad", "smoothgrad:samples=20"], "'smoothgrad' and 'smoothgrad:samples=20' are the same"),
    ],
)
def test_methods_that_cannot_be_read(texts, words):
    with pytest.raises(InputError, match=words):
        parse_methods(texts, 0)
