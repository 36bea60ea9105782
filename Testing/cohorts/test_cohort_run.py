"""Cohorts on real worker processes: killed workers, a killed driver, failing patients, and the same final tables."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import torch

from Agg2ExpLib.cohorts.cluster import offers_gpu, open_client
from Agg2ExpLib.cohorts.run import run_cohort
from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.grid import Grid
from Agg2ExpLib.io.patient_table import read_entries
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.runs.job import Job
from Agg2ExpLib.system.regular_files import sha256_of_file
from support.autoencoders import write_exact_autoencoder
from support.classifiers import write_small_classifier
from support.geometry import save_segmentation
from support.networks import CT_AFFINE, NAMES, small_chest

if TYPE_CHECKING:
    from distributed import Client

pytest.importorskip("distributed", reason="needs the extra 'cohort'")
pytestmark = pytest.mark.xdist_group("cohort_run")
TABLES = ("roi_importance.csv", "dice.csv", "global_importance.csv")
OPTIONS = ("--labels", "lung,heart", "--samples", "2", "--device", "cpu", "--workers")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients whose truth is the CT above a threshold as label 1."""
    folder = tmp_path_factory.mktemp("cohort")
    lines = ["patient,ct,truth,sex"]
    for index in range(3):
        hu = small_chest() + 5 * index
        write_volume(folder / f"ct{index}.nii.gz", hu, CT_AFFINE, compress=True)
        write_volume(folder / f"truth{index}.nii.gz", (hu > 0).astype("uint8"), CT_AFFINE, compress=True)
        lines.append(f"p{index},ct{index}.nii.gz,truth{index}.nii.gz,f")
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "table.csv"


def start(table: Path, weights: Path, output: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "Agg2ExpLib", "cohort", "run", str(table), "--weights", str(weights), "--output", str(output)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([*command, *OPTIONS, "2"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def working(driver: subprocess.Popen, output: Path) -> list[psutil.Process]:
    """Worker processes that hold an unfinished patient's folder, once there is one."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and driver.poll() is None:
        if any((output / "patients").glob(".*.partial-*")):
            children = psutil.Process(driver.pid).children(recursive=True)
            found = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
            if found:
                return found
        time.sleep(0.02)
    raise AssertionError(f"no worker began: {driver.communicate()}")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
    """A running cluster of one worker that holds a GPU, so to speak."""
    with open_client(None, 1, 1) as client:
        yield client


@pytest.fixture(scope="module")
def undisturbed(table, small_weights, tmp_path_factory, cluster) -> dict[str, bytes]:
    """The tables of a run that nobody disturbs, on workers that run already."""
    output = tmp_path_factory.mktemp("run") / "plain"
    args = ["cohort", "run", str(table), "--weights", str(small_weights), "--output", str(output), *OPTIONS[:-1]]
    with contextlib.redirect_stdout(io.StringIO()) as told:
        assert main([*args, "--scheduler", cluster.scheduler.address]) == 0
    assert "3 patients finished; 0 failed." in told.getvalue()
    patient = output / "patients" / "p0"
    assert not (patient / "attributions").exists(), "maps are dropped unless wanted"
    assert (patient / "run.json").is_file()
    with (output / "roi_importance.csv").open(encoding="utf-8") as file:
        assert list(dict.fromkeys(line["patient"] for line in csv.DictReader(file))) == ["p0", "p1", "p2"]
    with (output / "dice.csv").open(encoding="utf-8") as file:
        scores = [line for line in csv.DictReader(file) if line["patient"] == "p2"]
    assert [line["label"] for line in scores] == list(NAMES)
    assert [bool(line["dice"]) for line in scores] == [True, True, False, False, False]
    return {name: (output / name).read_bytes() for name in TABLES}


def test_killed_workers_and_a_killed_driver_change_nothing(table, small_weights, tmp_path, undisturbed):
    output = tmp_path / "out"
    driver = start(table, small_weights, output)
    working(driver, output)[0].send_signal(signal.SIGKILL)
    while driver.poll() is None and not list((output / "patients").glob("*/done.json")):
        time.sleep(0.02)
    children = psutil.Process(driver.pid).children(recursive=True) if driver.poll() is None else []
    driver.kill()
    driver.communicate()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive, "workers end with their driver"
    before = {path: path.stat().st_mtime_ns for path in (output / "patients").glob("*/run.json")}
    assert before
    again = start(table, small_weights, output)
    told, errors = again.communicate(timeout=600)
    assert again.returncode == 0, errors
    assert "of them earlier" in told
    done = {path.parent for path in (output / "patients").glob("*/done.json")}
    assert len(done) == 3
    assert {name: (output / name).read_bytes() for name in TABLES} == undisturbed
    assert not list((output / "patients").glob(".*")), "nothing half-done is left"


def test_a_failing_patient_is_reported_and_the_rest_goes_on(table, small_weights, tmp_path, capfd, cluster):
    bad = table.parent / "bad.csv"
    (table.parent / "broken.nii.gz").write_bytes(b"no image")
    bad.write_text("patient,ct\np1,ct1.nii.gz\nqq,broken.nii.gz\n", encoding="utf-8")
    args = ["cohort", "run", str(bad), "--weights", str(small_weights), "--output", str(tmp_path / "out"), *OPTIONS[:-1]]
    args += ["--scheduler", cluster.scheduler.address]
    assert main(args) == 1
    told = capfd.readouterr()
    assert "1 patients finished; 1 failed." in told.out
    with (tmp_path / "out" / "failed.csv").open(encoding="utf-8") as file:
        (line,) = csv.DictReader(file)
    assert line["patient"] == "qq"
    assert "the CT is not a NIfTI file" in line["reason"]
    assert "broken" not in line["reason"]
    assert (tmp_path / "out" / "roi_importance.csv").read_text(encoding="utf-8").count("p1,lung") == 5
    assert main([*args, "--seed", "4"]) == 2
    assert "holds a cohort with other settings" in capfd.readouterr().err


def lines_of(path: Path, patient: str) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return [line for line in csv.DictReader(file) if line["patient"] == patient]


def test_patients_are_done_again_when_their_files_hold_something_else_and_only_then(table, small_weights, tmp_path, capfd, cluster):
    for name in ("ct0.nii.gz", "ct1.nii.gz", "truth0.nii.gz", "truth1.nii.gz"):
        shutil.copy(table.parent / name, tmp_path)
    lines = "patient,ct,truth\np0,ct0.nii.gz,truth0.nii.gz\np1,ct1.nii.gz,truth1.nii.gz\n"
    (tmp_path / "table.csv").write_text(lines, encoding="utf-8")
    output = tmp_path / "out"
    args = ["cohort", "run", str(tmp_path / "table.csv"), "--weights", str(small_weights), "--output", str(output), *OPTIONS[:-1]]
    there, here = ["--scheduler", cluster.scheduler.address], ["--workers", "1"]

    def again(earlier: int, where: list[str] = there) -> None:
        assert main([*args, *where]) == 0
        told = f", {earlier} of them earlier" if earlier else ""
        assert f"2 patients finished{told}; 0 failed." in capfd.readouterr().out

    def state() -> tuple[dict[str, bytes], dict[str, int]]:
        return {name: (output / name).read_bytes() for name in TABLES}, {
            name: (output / "patients" / name / "run.json").stat().st_mtime_ns for name in ("p0", "p1")
        }

    def noted(patient: str) -> dict:
        return json.loads((output / "patients" / patient / "done.json").read_text(encoding="utf-8"))

    again(0)
    tables, times = state()
    first = noted("p1")
    assert list(first["inputs"]) == ["ct", "truth"]
    assert "ct1" not in json.dumps(first), "a file name may be the patient's"

    # touched, copied, and noted by an older version: nothing is done again, and the notes are those of now
    os.utime(tmp_path / "ct0.nii.gz", ns=(5, 5))
    shutil.copy(table.parent / "truth0.nii.gz", tmp_path)
    (output / "patients" / "p1" / "done.json").write_text(json.dumps({"key": first["key"]}), encoding="utf-8")
    record = json.loads((output / "cohort.json").read_text(encoding="utf-8"))
    del record["label_map"], record["settings"]["blend"]  # choices that the older version did not have
    (output / "cohort.json").write_text(json.dumps(record), encoding="utf-8")
    again(2)
    assert state() == (tables, times)
    assert noted("p0")["inputs"]["ct"]["modified_ns"] == 5
    assert noted("p1") == first

    # another truth under the same name
    truth = (small_chest() > -150).astype("uint8")
    write_volume(tmp_path / "truth0.nii.gz", truth, CT_AFFINE, compress=True)
    again(1, here)
    after, now = state()
    assert (now["p0"] > times["p0"], now["p1"] == times["p1"]) == (True, True)
    assert after["roi_importance.csv"] == tables["roi_importance.csv"]
    dice = {line["label"]: float(line["dice"] or "nan") for line in lines_of(output / "dice.csv", "p0")}
    assert after["dice.csv"] != tables["dice.csv"]
    assert 0 < dice["background"] < 1
    assert lines_of(output / "dice.csv", "p1") == list(csv.DictReader(tables["dice.csv"].decode().splitlines()))[len(NAMES) :]

    # another CT under the same name, of an older version's patient too
    (output / "patients" / "p1" / "done.json").write_text(json.dumps({"key": first["key"]}), encoding="utf-8")
    write_volume(tmp_path / "ct1.nii.gz", np.flip(small_chest(), axis=0).copy(), CT_AFFINE, compress=True)
    before, times = after, now
    again(1)
    after, now = state()
    assert (now["p0"] == times["p0"], now["p1"] > times["p1"]) == (True, True)
    assert noted("p1")["inputs"]["ct"]["sha256"] != first["inputs"]["ct"]["sha256"]
    assert [after[name] != before[name] for name in TABLES] == [True, True, True]
    old = [line for line in csv.DictReader(before["roi_importance.csv"].decode().splitlines()) if line["patient"] == "p0"]
    assert lines_of(output / "roi_importance.csv", "p0") == old
    assert not list((output / "patients").glob(".*"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("patient,ct\na,ct0.nii.gz\nA,ct1.nii.gz\n", "line 3: patient 'A' occurs twice"),
        ("patient,ct\na,gone.nii.gz\nb,gone2.nii.gz\n", "gone.nii.gz .patient 'a'. and 1 more files are missing"),
        ("patient,CT\na,ct0.nii.gz\n", "no column 'ct': is it 'CT'"),
        ("patient,ct\n../a,ct0.nii.gz\n", "cannot name a folder"),
        ("patient,ct\na,\n", "patient 'a' has no CT"),
        ("patient,ct,extra_rois\na,ct0.nii.gz,gone.nrrd:x\n", "The label map file .*gone.nrrd does not exist"),
    ],
)
def test_bad_tables(table, text, words):
    path = table.parent / "wrong.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_entries(path)


def test_a_folder_that_is_no_cohort_and_impossible_workers(table, small_weights, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    args = ["cohort", "run", str(table), "--weights", str(small_weights), "--samples", "2", "--output"]
    assert main([*args, str(tmp_path)]) == 2
    assert "is no cohort of Agg2Exp and not empty" in capsys.readouterr().err
    assert main([*args, str(tmp_path / "out"), "--workers", "0"]) == 2
    assert main([*args, str(tmp_path / "out"), "--workers", "1", "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "--workers must be at least 1, and goes without --scheduler" in capsys.readouterr().err


def test_models_that_cannot_serve_any_patient_are_refused_at_once(table, small_weights, tmp_path, capsys):
    args = ["cohort", "run", str(table), "--method", "gradient", "--output", str(tmp_path / "out"), "--weights"]
    classifier, autoencoder = write_small_classifier(tmp_path), write_exact_autoencoder(tmp_path)
    for models, sentence in (
        ([autoencoder], "exact is an autoencoder, which draws nothing"),
        ([classifier, "--segmenter", classifier], "--segmenter needs a segmentation network"),
        ([small_weights, "--labels", "hart"], "did you mean 'heart'"),
    ):
        assert main([*args, *map(str, models)]) == 2
        assert sentence in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def where(name: str) -> str | None:
    """An environment variable of the worker."""
    return os.environ.get(name)


def test_a_running_cluster_whose_workers_hold_a_gpu_each(table, small_weights, tmp_path, cluster):
    (table.parent / "one.csv").write_text("patient,ct\np1,ct1.nii.gz\n", encoding="utf-8")
    job = Job.of(ct="", weights=str(small_weights), output=str(tmp_path / "out"), labels=("heart",), samples=2)
    assert offers_gpu(cluster)
    assert cluster.submit(where, "CUDA_VISIBLE_DEVICES", resources={"GPU": 1}).result() == "0"
    seen: list[tuple[int, int, str, str | None]] = []
    address = cluster.scheduler.address
    run = run_cohort(table.parent / "one.csv", job, address, keep_maps=True, progress=lambda *e: seen.append(e))
    assert (run.finished, run.failed, run.earlier) == (["p1"], {}, 0)
    assert seen == [(1, 1, "p1", None)]
    assert (tmp_path / "out" / "patients" / "p1" / "attributions" / "heart.nrrd").is_file(), "maps are kept when wanted"


def test_a_classifier_is_told_with_the_content_of_the_model_that_drew_its_regions(table, small_weights, tmp_path, cluster, capsys):
    (table.parent / "one.csv").write_text("patient,ct\np1,ct1.nii.gz\n", encoding="utf-8")
    classifier, segmenter = write_small_classifier(tmp_path), tmp_path / "drawing.pt"
    for suffix in (".pt", ".json"):
        shutil.copy(small_weights.with_suffix(suffix), segmenter.with_suffix(suffix))
    args = ["cohort", "run", str(table.parent / "one.csv"), "--weights", str(classifier), "--segmenter", str(segmenter)]
    args += ["--method", "gradient", "--output", str(tmp_path / "out"), "--scheduler", cluster.scheduler.address]
    assert main(args) == 0
    text = (tmp_path / "out" / "cohort.json").read_text(encoding="utf-8")
    assert json.loads(text)["segmenter"] == {"name": "drawing.pt", "sha256": sha256_of_file(segmenter)}
    assert str(tmp_path) not in text
    content = torch.load(segmenter, weights_only=True)
    torch.save({**content, "epoch": 2}, segmenter)
    assert main(args) == 2
    assert "other segmenter" in capsys.readouterr().err


def test_on_a_cluster_the_workers_look_at_the_files(table, small_weights, tmp_path, cluster):
    """Names in the truth, other names in the table, and a CT that is broken after it was good."""
    array = (small_chest() > 0).astype("uint8")
    grid = Grid(array.shape, CT_AFFINE)
    write_volume(tmp_path / "index.nii.gz", array, CT_AFFINE, compress=True)
    write_volume(tmp_path / "seven.nii.gz", array * 7, CT_AFFINE, compress=True)
    save_segmentation(tmp_path / "slicer.seg.nrrd", [array * 2], [("Lung", 0, 2)], grid)
    for name in "abc":
        shutil.copy(table.parent / "ct0.nii.gz", tmp_path / f"{name}.nii.gz")
    path = tmp_path / "table.csv"
    lines = ["patient,ct,truth", "a,a.nii.gz,index.nii.gz", 'b,b.nii.gz,"seven.nii.gz:lung"', "c,c.nii.gz,slicer.seg.nrrd"]
    path.write_text("\n".join(lines), encoding="utf-8")
    output = tmp_path / "out"
    job = Job.of(ct="", weights=str(small_weights), output=str(output), labels=("heart",), samples=2, device="cpu")

    def again() -> tuple[list[str], list[str], int]:
        run = run_cohort(path, job, cluster.scheduler.address)
        return run.finished, list(run.failed), run.earlier

    assert again() == (["a", "b", "c"], [], 0)
    dice = {name: {line["label"]: line["dice"] for line in lines_of(output / "dice.csv", name)} for name in "abc"}
    assert 0 < float(dice["a"]["lung"]) < 1
    assert dice["a"]["lung"] == dice["b"]["lung"] == dice["c"]["lung"]
    assert [bool(dice[name]["background"]) for name in "abc"] == [True, False, False], "the rest of few names is no background"
    assert again() == (["a", "b", "c"], [], 3)

    (tmp_path / "a.nii.gz").write_bytes(b"no image")
    path.write_text("\n".join(lines).replace("index.nii.gz", "seven.nii.gz:lung"), encoding="utf-8")
    assert again() == (["b", "c"], ["a"], 2)
    assert not (output / "patients" / "a").exists(), "results of the CT before would pass for this one's"
    shutil.copy(table.parent / "ct0.nii.gz", tmp_path / "a.nii.gz")
    path.write_text("\n".join(line.rpartition(",")[0] for line in lines), encoding="utf-8")
    assert again() == (["a", "b", "c"], [], 0), "the table names no truth any more"
    assert not (output / "dice.csv").exists()
    with pytest.raises(InputError, match="holds a cohort with other label map"):
        run_cohort(path, job, label_map="lung,heart")
