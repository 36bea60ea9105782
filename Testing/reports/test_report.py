"""The report of a real result: complete, self-contained, and right in a browser."""

import base64
import gzip
import html
import json
import re
import shutil
import subprocess

import nibabel
import numpy as np
import pytest

from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.reports.viewer import BYTE_KNOTS, HU_KNOTS
from Agg2ExpLib.runs.results import Results

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this computer")
LEFT_FRONT_TOP = (22.0, 30.0, -120.0)  # a marker's place in the patient: x is to the right


@pytest.fixture(scope="module")
def result(small_ct, small_weights, tmp_path_factory):
    """A result on a CT with a bright marker, with answered questions."""
    place = tmp_path_factory.mktemp("report")
    image = nibabel.load(small_ct)
    hu = np.asarray(image.dataobj).copy()
    index = np.rint(np.linalg.inv(image.affine) @ [-LEFT_FRONT_TOP[0], LEFT_FRONT_TOP[1], LEFT_FRONT_TOP[2], 1])[:3].astype(int)
    hu[tuple(slice(i - 1, i + 2) for i in index)] = 3000
    nibabel.save(nibabel.Nifti1Image(hu, image.affine), place / "marked.nii.gz")
    words = ["--ct", str(place / "marked.nii.gz"), "--weights", str(small_weights), "--device", "cpu", "--precision", "float32"]
    assert main(["explain", *words, "--samples", "4", "--labels", "heart,lung", "--output", str(place / "result")]) == 0
    asked = ["whatif", str(place / "result"), "--weights", str(small_weights), "--device", "cpu", "--fill", "air"]
    assert main([*asked, "--all", "--no-picture"]) == 0
    assert main([*asked, "--remove", "lung"]) == 0
    assert main(["report", str(place / "result")]) == 0
    return place / "result"


@pytest.fixture(scope="module")
def page(result):
    return (result / "report.html").read_text(encoding="utf-8")


def text_of(page):
    without = re.sub(r"<(script|style).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without)).split())


def test_it_says_what_the_files_say(page, result):
    text, results = text_of(page), Results.open(result)
    matrix = results.importance()
    share = 100 * matrix.best()[matrix.rows.index("heart"), matrix.columns.index("heart")]
    assert f"Heart: {share:.1f}" in text
    assert "of what the model leaned on lies in the heart itself" in text
    for words in ("Research only", "Hot spots", "What if", "Without lung (filled with air)", "marked"):
        assert words in text, words
    assert results.run["weights"]["sha256"] in text
    rows = (result / "what_if/remove_lung_air/what_if.csv").read_text().splitlines()
    assert f"{float(rows[1].split(',')[2]):.1f}" in text


def test_nothing_is_fetched_and_no_path_is_told(page, result):
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "default-src 'none'" in page
    assert str(result.parent) not in page
    assert len(page) < 5e6


def test_the_packed_volumes_are_the_results(page, result):
    data = json.loads(re.search(r'<script type="application/json" id="viewer-data">(.*?)</script>', page, re.DOTALL)[1])
    results = Results.open(result)

    def unpacked(text, dtype):
        return np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype).reshape(data["shape"], order="F")

    np.testing.assert_array_equal(unpacked(data["segmentation"], np.uint8), results.segmentation().array)
    hu = np.interp(unpacked(data["hu"], np.uint8), BYTE_KNOTS, HU_KNOTS)
    inside = np.abs(results.ct().array) < 290
    assert np.abs(hu - results.ct().array)[inside].max() <= 7
    for packed in data["maps"]:
        values = unpacked(packed["data"], np.int8).astype(float)
        true = np.asarray(results.attribution(packed["name"]).array)
        assert (np.sign(values)[values != 0] == np.sign(true)[values != 0]).all()
        strong = np.abs(values) > 20
        order = np.argsort(np.abs(true[strong]))
        assert (np.diff(np.abs(values[strong])[order]) >= -1).all(), "stronger voxels are shown stronger"


@needs_browser
def test_a_browser_shows_the_marker_on_the_patients_left_in_front(result, tmp_path):
    """Radiological convention: the patient's left is on the right of the axial slice, the front is at its top."""
    results = Results.open(result)
    grid = results.ct().grid
    place = (-LEFT_FRONT_TOP[0], LEFT_FRONT_TOP[1], LEFT_FRONT_TOP[2])
    voxel = np.rint(grid.to_index(np.array(place))).astype(int)
    assert results.ct().array[tuple(voxel)] > 1000, "the marker itself"
    script = (result / "report.html").read_text(encoding="utf-8")
    probe = """<script>setTimeout(() => { const out = {};
      document.getElementById('v-map').checked = document.getElementById('v-outline').checked = false;
      const window_ = document.getElementById('v-window'); window_.value = '-300,1200'; window_.dispatchEvent(new Event('change'));
      for (const name of ['axial', 'coronal', 'sagittal']) { const canvas = document.getElementById('v-' + name);
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data; let best = [0, 0, 0], n = 0;
        for (let i = 0; i < pixels.length; i += 4) if (pixels[i] > 250 && pixels[i + 1] > 250 && pixels[i + 2] > 250) {
          best[0] += (i / 4) % canvas.width; best[1] += Math.floor(i / 4 / canvas.width); n++; }
        out[name] = [n, (best[0] / n + 0.5) / canvas.width, (best[1] / n + 0.5) / canvas.height]; }
      document.title = 'PROBE' + JSON.stringify(out) + document.getElementById('viewer').dataset.ready; }, 3000);</script></body>"""
    (tmp_path / "probe.html").write_text(script.replace("</body>", probe), encoding="utf-8")
    where = f"file://{tmp_path / 'probe.html'}#map=heart&at={','.join(map(str, voxel))}"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", f"--user-data-dir={tmp_path / 'p'}"]
    done = subprocess.run(
        [BROWSER, *flags, "--virtual-time-budget=8000", "--dump-dom", where], capture_output=True, text=True, timeout=120
    )
    title = html.unescape(re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)[1])
    assert title.startswith("PROBE"), title[:200] + done.stderr[-300:]
    assert title.endswith("yes")
    told = json.loads(title[len("PROBE") : -len("yes")])
    shape = results.ct().array.shape
    x, y, z = ((voxel[axis] + 0.5) / shape[axis] for axis in range(3))
    for name, (across, down) in {"axial": (1 - x, 1 - y), "coronal": (1 - x, 1 - z), "sagittal": (1 - y, 1 - z)}.items():
        count, right, low = told[name]
        assert count > 0, name
        assert (right, low) == (pytest.approx(across, abs=0.06), pytest.approx(down, abs=0.06)), name
    # the patient's left is on the right, the front above
    assert told["axial"][1] > 0.5
    assert told["axial"][2] < 0.5


def test_the_document_to_print(result):
    data = (result / "report.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", data)) >= 5
    before = data
    assert main(["report", str(result), "--output", str(result.parent / "again")]) == 0
    assert (result.parent / "again" / "report.pdf").read_bytes() == before, "the same report is the same file"


def test_bad_input(result, tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "not a results folder" in capsys.readouterr().err
    (result / "what_if/broken").mkdir()
    try:
        (result / "what_if/broken/what_if.json").write_text("{")
        (result / "what_if/broken/what_if.csv").write_text("label\nheart\n")
        assert main(["report", str(result), "--output", str(tmp_path / "r")]) == 2
        assert "as agg2exp whatif wrote it" in capsys.readouterr().err
    finally:
        shutil.rmtree(result / "what_if/broken")
