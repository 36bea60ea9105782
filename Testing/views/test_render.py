"""Pictures of results: what is left, right, up and in front, what is coloured and outlined, and which files are written."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_fill_holes

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.views.render import render_results
from support.paths import ROOT
from support.small_result import BONE_MARKER, EXPLAINED, MASKED, OPPOSING, SPACING, SUPPORTING, place, write_result

try:
    import slicer
except ImportError:
    slicer = None
needs_slicer = pytest.mark.skipif(slicer is None, reason="slicer-core is not installed")
pytestmark = pytest.mark.xdist_group("render")
ORIENTATIONS = ("axial", "coronal", "sagittal")
# column and row of a picture grow along these voxel axes (right, anterior, superior), times the sign
AXES = {"axial": ((0, -1), (1, -1)), "coronal": ((0, -1), (2, -1)), "sagittal": ((1, -1), (2, -1))}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return write_result(tmp_path_factory.mktemp("straight") / "result")


@pytest.fixture(scope="module")
def rendered(result, tmp_path_factory):
    output = tmp_path_factory.mktemp("rendered")
    return output, render_results(result.folder, output)


def slices(results, points, percentile=95.0, opacity=1.0):
    """Pictures through given RAS points, one a view: ``{orientation: [picture, …]}``."""
    from Agg2ExpLib.views.mrml import new_scene, show_results
    from Agg2ExpLib.views.mrml_bundle import quiet_vtk
    from Agg2ExpLib.views.render import open_views

    found: dict[str, list] = {name: [] for name in ORIENTATIONS}
    with quiet_vtk():
        nodes = show_results(results, new_scene(), percentile=percentile, labels=["heart"])
        nodes.segmentation.GetDisplayNode().SetVisibility(False)
        nodes.extra.GetDisplayNode().SetVisibility(False)
        views = open_views(nodes)
        for name, view in views.items():
            view.show(nodes.ct, nodes.overlays["heart"], opacity)
            for point in points:
                view.jump(point)
                found[name].append(view.picture())
            view.close()
    return found


def where(mask: np.ndarray) -> np.ndarray:
    """Centre of a mask as (column, row) from the picture's centre, in pixels."""
    rows, columns = np.nonzero(mask)
    assert rows.size, "nothing of that colour in the picture"
    return np.array([columns.mean() - (mask.shape[1] - 1) / 2, rows.mean() - (mask.shape[0] - 1) / 2])


def expected(orientation: str, millimetres: np.ndarray, picture) -> np.ndarray:
    return np.array([sign * millimetres[axis] / picture.millimetres for axis, sign in AXES[orientation]])


@needs_slicer
@pytest.mark.parametrize("angles", [(0, 0, 0), (11.0, -23.0, 31.0)])
def test_markers_appear_where_radiologists_expect_them(tmp_path, angles):
    results = write_result(tmp_path / "result", angles)
    affine = results.ct().affine
    marks = (BONE_MARKER, SUPPORTING, OPPOSING)
    pictures = slices(results, [place(affine, mark) for mark in marks], percentile=99.5)
    for orientation in ORIENTATIONS:
        bone, red, blue = pictures[orientation]
        tolerance = 1.5 * max(SPACING) / bone.millimetres
        values = bone.pixels.astype(int)
        bright = (values.min(axis=2) > 240) & (np.ptp(values, axis=2) < 4)
        np.testing.assert_allclose(where(bright), expected(orientation, BONE_MARKER, bone), atol=tolerance)
        values = red.pixels.astype(int)
        np.testing.assert_allclose(
            where(values[..., 0] - values[..., 2] > 60), expected(orientation, SUPPORTING, red), atol=tolerance
        )
        values = blue.pixels.astype(int)
        np.testing.assert_allclose(
            where(values[..., 2] - values[..., 0] > 60), expected(orientation, OPPOSING, blue), atol=tolerance
        )
    assert pictures["axial"][0].edges == ("R", "L", "A", "P")
    assert pictures["coronal"][0].edges == ("R", "L", "S", "I")
    assert pictures["sagittal"][0].edges == ("A", "P", "S", "I")


@needs_slicer
def test_the_position_names_side_and_distance(result):
    point = place(result.ct().affine, SUPPORTING)
    pictures = slices(result, [point])
    for orientation, axis, letters in (("sagittal", 0, "LR"), ("coronal", 1, "PA"), ("axial", 2, "IS")):
        letter, distance = pictures[orientation][0].position
        assert letter == letters[int(point[axis] > 0)]
        assert distance == pytest.approx(abs(point[axis]), abs=max(SPACING) / 2)


@needs_slicer
def test_pixels_are_square_and_all_views_have_one_scale(result):
    from support.small_result import SHAPE

    pictures = slices(result, [place(result.ct().affine, SUPPORTING)])
    extent = np.array(SHAPE) * SPACING
    scale = pictures["axial"][0].millimetres
    for orientation, ((across, _), (along, _)) in AXES.items():
        picture = pictures[orientation][0]
        assert picture.millimetres == pytest.approx(scale, rel=0.01)
        rows, columns, _ = picture.pixels.shape
        assert columns / rows == pytest.approx(extent[across] / extent[along], rel=0.01)


@needs_slicer
def test_anatomy_stays_visible_and_weak_voxels_transparent(result):
    points = [place(result.ct().affine, SUPPORTING)]
    plain = slices(result, points, opacity=0.0)["axial"][0].pixels.astype(int)
    half = slices(result, points, percentile=99.5, opacity=0.6)["axial"][0].pixels.astype(int)
    assert np.ptp(plain, axis=2).max() <= 2, "the CT alone is grey"
    coloured = np.ptp(half, axis=2) > 25
    assert 0.001 < coloured.mean() < 0.1
    untouched = np.abs(half - plain).max(axis=2) < 3
    assert (coloured | untouched).mean() > 0.995, "no veil over the rest"


@needs_slicer
def test_all_files_are_written_and_nothing_else(rendered):
    output, written = rendered
    assert [path.name for path in written if path.name.endswith("_views.png")] == [f"{label}_views.png" for label in EXPLAINED]
    names = {f"{label}_{view}.png" for label in EXPLAINED for view in (*ORIENTATIONS, "views")}
    names |= {f"importance_{kind}.{suffix}" for kind in ("matrix", "graph") for suffix in ("png", "svg")} | {"scene.mrb"}
    assert {path.name for path in written} == names == {path.name for path in output.iterdir()}
    from matplotlib.image import imread

    for label in EXPLAINED:
        single = [imread(output / f"{label}_{view}.png") for view in ORIENTATIONS]
        together = imread(output / f"{label}_views.png")
        assert together.shape[1] > 2 * max(image.shape[1] for image in single[1:])


@needs_slicer
def test_the_saved_scene_shows_the_first_label_in_slicers_own_views(rendered, tmp_path):
    output, _ = rendered
    with zipfile.ZipFile(output / "scene.mrb") as archive:
        elements = list(ElementTree.fromstring(archive.read("scene/scene.mrml")))
    identifier = {element.get("name"): element.get("id") for element in elements}
    views = {element.get("layoutName"): element.get("references") for element in elements if element.tag == "SliceComposite"}
    assert set(views) == {"Red", "Green", "Yellow"}
    for references in views.values():
        assert f"backgroundVolume:{identifier['small thorax CT']};" in references
        assert f"foregroundVolume:{identifier['Heart attribution']};" in references


@needs_slicer
def test_the_label_is_outlined_in_yellow_through_its_largest_section(result):
    from Agg2ExpLib.views.mrml import new_scene, show_results
    from Agg2ExpLib.views.mrml_bundle import quiet_vtk
    from Agg2ExpLib.views.render import open_views, render_label

    segmentation = result.segmentation()
    heart = segmentation.array == 8
    with quiet_vtk():
        nodes = show_results(result, new_scene(), percentile=99.9)
        display = nodes.segmentation.GetDisplayNode()
        display.SetSegmentVisibility("trachea", False)
        views = open_views(nodes)
        pictures = dict(render_label(nodes, "heart", views))
        for view in views.values():
            view.close()
    for orientation, axis in (("axial", 2), ("coronal", 1), ("sagittal", 0)):
        picture = pictures[orientation]
        areas = heart.sum(axis=tuple(other for other in range(3) if other != axis))
        index = np.zeros(3)
        index[axis] = areas.argmax()
        assert picture.position[1] == pytest.approx(
            abs((segmentation.affine[:3, :3] @ index + segmentation.affine[:3, 3])[axis]), abs=0.1
        )
        pixels = picture.pixels.astype(int)
        yellow = (pixels[..., 0] > 170) & (pixels[..., 1] > 150) & (pixels[..., 2] < 120)
        section = np.argwhere(np.take(heart, areas.argmax(), axis=axis))
        box = np.ptp(section, axis=0) + 1  # voxels along the two other axes, in their order
        others = [other for other in range(3) if other != axis]
        sizes = {other: length * SPACING[other] / picture.millimetres for other, length in zip(others, box, strict=True)}
        rows, columns = np.nonzero(yellow)
        (across, _), (along, _) = AXES[orientation]
        assert np.ptp(columns) == pytest.approx(sizes[across], abs=12)
        assert np.ptp(rows) == pytest.approx(sizes[along], abs=12)
        assert yellow.sum() < 0.5 * np.ptp(columns) * np.ptp(rows), "an outline, not a filled area"
    assert display.GetSegmentVisibility("heart")
    assert not display.GetSegmentVisibility("trachea"), "what was hidden stays hidden afterwards"
    assert nodes.extra.GetDisplayNode().GetVisibility2D()


@needs_slicer
def test_views_can_be_opened_again(result):
    points = [place(result.ct().affine, BONE_MARKER)]
    first = slices(result, points)["coronal"][0].pixels
    np.testing.assert_array_equal(first, slices(result, points)["coronal"][0].pixels)
    from Agg2ExpLib.views.mrml import new_scene, show_results
    from Agg2ExpLib.views.slice_views import SliceView

    nodes = show_results(result, new_scene())
    seen = []
    for _ in range(2):  # twice in one scene: the slice node is there already
        with SliceView(nodes.scene, "axial", (200, 150)) as view:
            view.show(nodes.ct)
            view.jump(points[0])
            seen.append(view.picture().pixels)
    assert seen[0].max() > 200
    np.testing.assert_array_equal(*seen)
    assert nodes.scene.GetNumberOfNodesByClass("vtkMRMLSliceNode") == 1
    del view  # its logic takes the slice's 3D model along
    before = nodes.scene.GetNumberOfNodes()
    with SliceView(nodes.scene, "axial", (200, 150), name="guest") as view:
        view.show(nodes.ct)
        view.jump(points[0])
        np.testing.assert_array_equal(view.picture().pixels, seen[0])
        assert nodes.scene.GetNumberOfNodesByClass("vtkMRMLSliceNode") == 2
    assert nodes.scene.GetNumberOfNodes() == before, "a guest view leaves nothing behind"


@needs_slicer
def test_labels_percentile_and_sign(result, tmp_path, capfd):
    for percentile, folder in ((95.0, "five"), (99.9, "few")):
        written = render_results(result.folder, tmp_path / folder, percentile, ["heart"], figures=False, scene=False)
        assert {path.name for path in written} == {f"heart_{view}.png" for view in (*ORIENTATIONS, "views")}
    only_blue = render_results(result.folder, tmp_path / "blue", 95.0, ["heart"], "opposing", figures=False, scene=False)
    from matplotlib.image import imread

    def share(path: Path, first: int, second: int) -> float:
        pixels = imread(path)[:-140]  # without the legend
        return float((pixels[..., first] - pixels[..., second] > 0.2).mean())

    assert share(tmp_path / "five" / "heart_coronal.png", 0, 2) > 1.5 * share(tmp_path / "few" / "heart_coronal.png", 0, 2)
    coronal = next(path for path in only_blue if path.name == "heart_coronal.png")
    assert share(coronal, 0, 2) < share(tmp_path / "five" / "heart_coronal.png", 0, 2) / 3, "only the yellow outline is left"
    output = capfd.readouterr()
    assert output.out == output.err == "", "rendering is silent"


@needs_slicer
def test_a_target_mask_is_outlined_in_place_of_the_label(tmp_path):
    from Agg2ExpLib.views.mrml import new_scene, show_results
    from Agg2ExpLib.views.mrml_bundle import quiet_vtk
    from Agg2ExpLib.views.render import open_views, render_label

    results = write_result(tmp_path / "result", target_mask=True)
    with quiet_vtk():
        nodes = show_results(results, new_scene(), percentile=99.99, labels=["heart"])
        views = open_views(nodes)
        pictures = render_label(nodes, "heart", views, (nodes.extra, "target_mask"))
        for view in views.values():
            view.close()
    for orientation, picture in pictures:
        pixels = picture.pixels.astype(int)
        yellow = (pixels[..., 0] > 170) & (pixels[..., 1] > 150) & (pixels[..., 2] < 120)
        aim = expected(orientation, SUPPORTING, picture)
        np.testing.assert_allclose(where(yellow), aim, atol=max(SPACING) / picture.millimetres)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["hart"]}, "did you mean 'heart'"),
        ({"labels": ["zzz"]}, "it explains heart"),
        ({"percentile": 100.0}, "percentile must be"),
        ({"percentile": -1.0}, "percentile must be"),
    ],
)
def test_bad_input_is_said_and_nothing_written(result, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        render_results(result.folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_no_results_folder(tmp_path):
    with pytest.raises(InputError, match="no results folder"):
        render_results(tmp_path / "nothing", tmp_path / "out")


def test_figures_need_no_slicer(result, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "slicer", None)
    with pytest.raises(InputError, match="pip install"):
        render_results(result.folder, tmp_path / "all")
    assert not (tmp_path / "all").exists()
    written = render_results(result.folder, tmp_path / "figures", views=False, scene=False)
    assert len(written) == 4
    assert all(path.stat().st_size > 1000 for path in written)


@needs_slicer
@pytest.mark.skipif(bool(ctypes.util.find_library("OSMesa")), reason="OSMesa draws here")
@pytest.mark.skipif(sys.platform != "linux", reason="EGL is Linux' way to draw without a screen")
def test_a_machine_that_cannot_draw_says_what_to_install(result, tmp_path):
    code = (
        "import sys; from Agg2ExpLib.views.render import render_results; from Agg2ExpLib.errors import InputError\n"
        "try: render_results(sys.argv[1], sys.argv[2], figures=False, scene=False)\n"
        "except InputError as error: print(error)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    environment |= {"__EGL_VENDOR_LIBRARY_DIRS": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(result.folder), str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "libegl1" in done.stdout) == (0, True), done.stderr


@needs_slicer
def test_the_original_ct_is_shown_in_full_resolution_and_checked(small_ct, small_weights, tmp_path):
    from Agg2ExpLib.io.read import read_ct
    from Agg2ExpLib.io.write import write_volume
    from Agg2ExpLib.monitor import Monitor
    from Agg2ExpLib.runs.job import Job
    from Agg2ExpLib.runs.pipeline import run_job
    from Agg2ExpLib.runs.results import Results
    from Agg2ExpLib.views.mrml import new_scene, show_results
    from Agg2ExpLib.views.mrml_nodes import affine_of, array_of

    job = Job.of(str(small_ct), str(small_weights), str(tmp_path / "r"), labels=("heart",), method="gradient", device="cpu")
    results = Results.open(run_job(job, Monitor()))
    original = read_ct(small_ct)
    nodes = show_results(results, new_scene(), original)
    np.testing.assert_allclose(affine_of(nodes.ct), original.affine)
    np.testing.assert_array_equal(array_of(nodes.ct), original.array)
    written = render_results(results.folder, tmp_path / "v", scene=False, figures=False, ct=small_ct)
    assert {path.name for path in written} >= {"heart_axial.png", "heart_views.png"}
    other = tmp_path / "other.nii.gz"
    write_volume(other, original.array[::-1], original.affine, compress=True)
    with pytest.raises(InputError, match="is not the CT"):
        render_results(results.folder, tmp_path / "w", ct=other)


@needs_slicer
def test_the_global_mask_is_outlined_without_overlay(tmp_path):
    from Agg2ExpLib.views.mrml import new_scene, show_results
    from Agg2ExpLib.views.mrml_bundle import quiet_vtk
    from Agg2ExpLib.views.render import open_views, render_global_mask

    results = write_result(tmp_path / "result", global_mask=True)
    assert results.global_mask() is not None
    written = render_results(results.folder, tmp_path / "out", scene=False, figures=False, labels=["heart"])
    assert [path.name for path in written][-1] == "global_mask_views.png"
    with quiet_vtk():
        nodes = show_results(results, new_scene(), labels=["heart"])
        views = open_views(nodes)
        pictures = dict(render_global_mask(nodes, views))
        for view in views.values():
            view.close()
    for picture in pictures.values():
        pixels = picture.pixels.astype(int)
        yellow = (pixels[..., 0] > 180) & (pixels[..., 1] > 160) & (pixels[..., 2] < 90)
        assert yellow.sum() > 30
        mask, labels = results.global_mask().array > 0, results.segmentation().array
        assert set(np.unique(labels[mask])) == set(MASKED)
        tinted = np.ptp(pixels, axis=-1) > 15
        inside = binary_fill_holes(yellow)
        assert tinted[inside].mean() > 0.9, "the mask is not filled"
        assert not (tinted & ~binary_dilation(inside, iterations=4)).any(), "something besides the mask is coloured"
