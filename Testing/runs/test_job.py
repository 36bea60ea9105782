"""Job files: what is read, and what is refused with which words."""

import json
from pathlib import Path

import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.runs.job import Job

MINIMAL = {"ct": "ct.nii.gz", "weights": "w.pt", "output": "out"}


def write(folder: Path, content) -> Path:
    path = folder / "job.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_round_trip():
    job = Job.of("a.nii", "w.pt", "out", labels=("aorta",), extra_rois=("x.nrrd:y",), samples=7, sigma=0.3, patient_id="p")
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_relative_paths_count_from_the_job_file(tmp_path):
    content = {**MINIMAL, "extra_rois": ["lesion.nrrd:tumour"], "target_mask": "/abs/mask.nrrd"}
    job = Job.read(write(tmp_path, content))
    assert Path(job.ct) == tmp_path / "ct.nii.gz"
    assert Path(job.output) == tmp_path / "out"
    assert job.extra_rois == (str(tmp_path / "lesion.nrrd:tumour"),)
    assert job.target_mask == "/abs/mask.nrrd"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", "JSON object"),
        ({"ct": "a", "weights": "b"}, "lacks the entry 'output'"),
        ({**MINIMAL, "label": ["aorta"]}, "did you mean 'labels'"),
        ({**MINIMAL, "labels": "aorta"}, "'labels' must be a list of texts"),
        ({**MINIMAL, "labels": [1]}, "'labels' must be a list of texts"),
        ({**MINIMAL, "samples": "20"}, "'samples' must be a whole number"),
        ({**MINIMAL, "samples": True}, "'samples' must be a whole number"),
        ({**MINIMAL, "sigma": None}, "'sigma' must be a number"),
        ({**MINIMAL, "overwrite": 1}, "'overwrite' must be true or false"),
        ({**MINIMAL, "window_batch": "many"}, "window batch"),
        ({**MINIMAL, "task": "train"}, "explain or segment"),
    ],
)
def test_bad_jobs(tmp_path, content, words):
    with pytest.raises(InputError, match=words):
        Job.read(write(tmp_path, content))


def test_missing_job_file(tmp_path):
    with pytest.raises(InputError, match=r"The job file .* does not exist"):
        Job.read(tmp_path / "none.json")
