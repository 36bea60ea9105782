"""Readers under fire: whatever bytes a file holds, nothing but InputError comes out, within bounded time and memory."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Agg2ExpLib.cohorts.reference import read_reference
from Agg2ExpLib.cohorts.systems import with_systems
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.csv_lines import read_lines
from Agg2ExpLib.io.patient_table import read_entries
from Agg2ExpLib.io.read import read_ct, read_map, read_volume
from Agg2ExpLib.io.regions import read_regions
from Agg2ExpLib.io.source_files import sha256_of
from Agg2ExpLib.models.bundle import read_bundle
from Agg2ExpLib.models.checkpoint import as_float32, read_weights
from Agg2ExpLib.models.label_maps import read_scheme
from Agg2ExpLib.models.model_card import read_model_card
from Agg2ExpLib.runs.job import Job
from Agg2ExpLib.runs.results import Results
from support.geometry import make_grid, marker_place, paint, save_dicom, save_itk, save_nifti, save_segmentation

GRID = make_grid((7, 8, 5), (1, 1.2, 2.0), signs=(-1, -1, 1))
CT = paint(GRID, marker_place(GRID), 3.0)
fuzzed = settings(
    max_examples=60,
    deadline=2000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# Numbers that headers should not hold, as text.
ODD_TEXTS = [
    "nan",
    "inf",
    "-1",
    "0",
    "1e308",
    "-1e308",
    "1e30",
    "99999999999999999999",
    "1,5",
    "",
    "\0",
    "\ud800",
    "x" * 400,
    "../x",
    "%d",
]
SCALARS = [None, True, -1, 0, 2**70, 1e308, 1e-320, "", "a", "\0", "$", "=1+1", "x" * 400, [], {}, [[]], ["a"], [1, 2, 3], {"a": 1}]
json_values = st.recursive(st.sampled_from(SCALARS), lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@contextlib.contextmanager
def only_input_errors():
    """Fails for anything but an InputError of one line that can be printed."""
    try:
        yield
    except InputError as error:
        text = str(error)
        assert text
        assert "\n" not in text.strip()
        text.encode("utf-8", errors="replace")


@st.composite
def damage(draw, content: bytes, header: int):
    """A file with a few bytes changed, mostly in its header, cut, or lengthened."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = (
            draw(st.integers(0, min(header, len(changed)) - 1)) if draw(st.booleans()) else draw(st.integers(0, len(changed) - 1))
        )
        what = draw(st.integers(0, 3))
        if what == 0:
            changed[place] = draw(st.integers(0, 255))
        elif what == 1:
            changed[place : place + draw(st.integers(1, 8))] = draw(st.binary(max_size=8))
        elif what == 2:
            changed[place : place + 4] = draw(
                st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\xff\x7f"])
            )
        else:
            del changed[place + draw(st.integers(0, 200)) :]
        if not changed:
            break
    return bytes(changed)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Good files of every kind, by suffix, with about the length of their headers."""
    folder = tmp_path_factory.mktemp("good")
    made = {}
    for suffix in (".nii", ".nii.gz"):
        made[suffix] = save_nifti(folder / f"n{suffix}", CT, GRID.affine).read_bytes()
    for suffix in (".nrrd", ".mha"):
        made[suffix] = save_itk(folder / f"i{suffix}", CT, GRID.affine).read_bytes()
    made[".z.nrrd"] = save_itk(folder / "z.nrrd", CT, GRID.affine, True).read_bytes()
    made[".z.mha"] = save_itk(folder / "z.mha", CT, GRID.affine, True).read_bytes()
    layers = [(CT > 0).astype(np.uint8), (CT > 500).astype(np.uint8)]
    made[".seg.nrrd"] = save_segmentation(folder / "s.seg.nrrd", layers, [("a", 0, 1), ("b", 1, 1)], GRID).read_bytes()
    return made


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".z.nrrd", ".z.mha", ".seg.nrrd"])
@given(data=st.data())
@fuzzed
def test_images(tmp_path, images, suffix, data):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data.draw(damage(images[suffix], 500)))
    for read in (read_ct, read_volume, read_map, sha256_of, lambda path: read_regions(str(path), GRID)):
        with only_input_errors():
            read(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@given(data=st.data())
@fuzzed
def test_header_texts(tmp_path, images, suffix, data):
    colon = b":" if suffix == ".nrrd" else b" ="
    lines = images[suffix].split(b"\n")
    fields = [number for number, line in enumerate(lines[:25]) if colon in line]
    number = data.draw(st.sampled_from(fields))
    name, _, value = lines[number].partition(colon)
    parts = value.split(b" ")
    parts[data.draw(st.integers(0, len(parts) - 1))] = data.draw(st.sampled_from(ODD_TEXTS)).encode("utf-8", "surrogatepass")
    lines[number] = name + colon + b" ".join(parts)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"\n".join(lines))
    for read in (read_ct, read_map, sha256_of):
        with only_input_errors():
            read(path)


@given(data=st.data())
@fuzzed
def test_dicom(tmp_path, data):
    folder = tmp_path / "d"
    if not folder.exists():
        save_dicom(folder, CT, GRID.affine)
        (tmp_path / "good").write_bytes((folder / "002.dcm").read_bytes())
    (folder / "002.dcm").write_bytes(data.draw(damage((tmp_path / "good").read_bytes(), 900)))
    with only_input_errors():
        read_ct(folder)


CARD = {"labels": ["background", "a"], "spacing": [1, 1, 1], "hu_window": [-1024, 1024], "roi_size": [32, 32, 32]}
CARD |= {"intensity_range": [0, 1], "colors": {"a": [1, 2, 3]}, "groups": {"a": "bones"}, "network": {"class": "UNet"}}
JOB = {
    "ct": "a.nii",
    "weights": "w.pt",
    "output": "o",
    "labels": ["a"],
    "samples": 2,
    "sigma": 0.1,
    "patient_id": "p",
    "method": "smoothgrad",
}
RUN = {
    "agg2exp": "1", "task": "explain", "patient": "p", "ct": {"name": "a", "sha256": "0"}, "weights": {"name": "w", "sha256": "1"},
    "labels": [{"name": "background", "index": 0, "color": [0, 0, 0], "group": "background", "volume_ml": 1.0},
               {"name": "a", "index": 1, "color": [1, 2, 3], "group": "bones", "volume_ml": 1.0}],
    "explained": ["a"], "absent": [], "extra_rois": [], "parameters": {"method": "gradient"}, "notices": [],
}  # fmt: skip
BUNDLE = {
    "network_def": {"_target_": "UNet", "channels": [1, 2]},
    "inferer": {"roi_size": "@x"},
    "x": [1, 2, 3],
    "preprocessing": {},
}


@st.composite
def altered(draw, content):
    """A JSON object with an entry changed, at any depth."""
    value = json.loads(json.dumps(content))
    place = value
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], (dict, list)) and place[key] and draw(st.booleans()):
            place = place[key]
            continue
        place[key] = draw(json_values)
        return value


def check_run(path):
    (path.parent / "run.json").write_bytes(path.read_bytes())
    results = Results.open(path.parent)
    assert results.labels
    for read in (results.ct, results.segmentation, results.importance, results.extra_rois):
        with only_input_errors():
            read()


def check_bundle(path):
    (path.parent / "configs").mkdir(exist_ok=True)
    (path.parent / "models").mkdir(exist_ok=True)
    (path.parent / "models" / "model.pt").touch()
    (path.parent / "configs" / "inference.json").write_bytes(path.read_bytes())
    read_bundle(path.parent).card(2)


READERS = {
    "card": (CARD, read_model_card),
    "job": (JOB, Job.read),
    "run": (RUN, check_run),
    "bundle": (BUNDLE, check_bundle),
    "scheme": ({"a": 1, "b": [2, 3], "c": ["x_*"]}, lambda path: read_scheme(path, str(path))),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@fuzzed
def test_json(tmp_path, name, data):
    good, read = READERS[name]
    path = tmp_path / "a.json"
    if data.draw(st.booleans()):
        path.write_text(json.dumps(data.draw(altered(good))), encoding="utf-8")
    else:
        path.write_bytes(data.draw(damage(json.dumps(good).encode(), 400)))
    with only_input_errors():
        read(path)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, '{"ct": "\\ud800"}', '{"ct": "a\\u0000b"}', '{"a": NaN}', "[1e999]", ""]
)
def test_json_of_a_hostile_hand(tmp_path, name, text):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        READERS[name][1](path)


@given(data=st.data())
@fuzzed
def test_tables(tmp_path, data):
    path = tmp_path / "a.csv"
    path.write_bytes(data.draw(damage(b"patient,ct,truth,extra_rois\np1,a.nii,b.nii,c.nii:x\np2,d.nii,,\n", 60)))
    for read in (read_lines, lambda path: read_entries(path), lambda path: read_entries(path, check_files=False), read_reference):
        with only_input_errors():
            read(path)
    with only_input_errors():
        with_systems(None, path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@given(data=st.data())
@fuzzed
def test_weights(tmp_path, suffix, data):
    import torch
    from safetensors.torch import save_file

    good = tmp_path / f"good{suffix}"
    if not good.exists():
        tensors = {"a.weight": torch.ones(3, 4), "b": torch.arange(5)}
        save_file(tensors, good) if suffix == ".safetensors" else torch.save(tensors, good)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data.draw(damage(good.read_bytes(), 800)))
    with only_input_errors():
        for group in read_weights(path).groups.values():
            as_float32(group, path.name)
