"""Regions of interest from label maps: names, thresholds, other grids, small lesions, and what must be refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.grid import Grid, model_grid
from Agg2ExpLib.io.regions import parse_region, read_all_regions, read_mask, read_regions
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.runs.results import check_region_files
from support.geometry import grids, make_grid, save_itk, save_nifti, save_segmentation
from support.paths import DATA

modest = settings(max_examples=30, deadline=None, derandomize=True)
GRID = make_grid((16, 17, 18), (1.5, 1.5, 1.5), origin=(-10.0, -20.0, 30.0))


def save(path, array, grid=GRID):
    if path.name.endswith((".nii", ".nii.gz")):
        return save_nifti(path, array, grid.affine)
    return save_itk(path, array, grid.affine)


@pytest.fixture
def two():
    """Values 3 (a block) and 7 (another) on GRID."""
    array = np.zeros(GRID.shape, np.uint8)
    array[2:5, 3:7, 4:9] = 3
    array[9:13, 10:14, 2:12] = 7
    return array


def test_names_given_or_taken_from_the_file(tmp_path, two):
    path = save(tmp_path / "lungs.nii.gz", two)
    regions, warnings = read_regions(str(path), GRID)
    assert [name for name, _ in regions] == ["lungs_3", "lungs_7"]
    assert warnings == []
    for (_, mask), value in zip(regions, (3, 7), strict=True):
        assert mask.dtype == bool
        assert mask.flags.c_contiguous
        np.testing.assert_array_equal(mask, two == value)
    assert [name for name, _ in read_regions(f"{path}:left, right", GRID)[0]] == ["left", "right"]
    one = save(tmp_path / "lesion.mha", np.where(two == 7, 5, 0).astype(np.int16))
    regions, _ = read_regions(str(one), GRID)
    assert [name for name, _ in regions] == ["lesion"]
    np.testing.assert_array_equal(regions[0][1], two == 7)
    floats = save(tmp_path / "float.nii.gz", two.astype(np.float32))
    np.testing.assert_array_equal(read_regions(str(floats), GRID)[0][1][1], two == 7)


def test_a_threshold_makes_one_region(tmp_path):
    counts = np.random.default_rng(0).integers(0, 5, GRID.shape).astype(np.uint8)
    path = save(tmp_path / "readers.nii.gz", counts)
    regions, _ = read_regions(f"{path}>=2:lesion", GRID)
    assert [name for name, _ in regions] == ["lesion"]
    np.testing.assert_array_equal(regions[0][1], counts >= 2)
    assert read_regions(f"{path}>=4", GRID)[0][0][0] == "readers"
    chance = save(tmp_path / "chance.nii.gz", (counts / 4.0).astype(np.float32))
    np.testing.assert_array_equal(read_regions(f"{chance} >= 0.75:sure", GRID)[0][0][1], counts >= 3)
    with pytest.raises(InputError, match="lower threshold"):
        read_regions(f"{path}>=9", GRID)
    with pytest.raises(InputError, match="1 region but 2 names"):
        read_regions(f"{path}>=2:a,b", GRID)


def test_colons_in_paths_stay_with_the_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.nii.gz", "C:x.nii", "odd:name>=2.nii.gz", "b>=3"):
        (tmp_path / name).touch()
    assert parse_region("a.nii.gz").names == ()
    assert parse_region("a.nii.gz:x,y").names == ("x", "y")
    drive = parse_region("C:x.nii:lesion")
    assert (str(drive.path), drive.names) == ("C:x.nii", ("lesion",))
    assert str(parse_region("C:x.nii").path) == "C:x.nii"
    odd = parse_region("odd:name>=2.nii.gz>=1.5:a")
    assert (str(odd.path), odd.threshold, odd.names) == ("odd:name>=2.nii.gz", 1.5, ("a",))
    assert parse_region("b>=3").threshold is None
    with pytest.raises(InputError, match=r"C:\\data\\m\.nii does not exist"):
        parse_region(r"C:\data\m.nii:lesion")
    with pytest.raises(InputError, match=r"file gone\.nii does not exist"):
        parse_region("gone.nii>=2:lesion")
    for empty in ("a.nii.gz:", "a.nii.gz:x,,y"):
        with pytest.raises(InputError, match="empty name"):
            parse_region(empty)


def segmentation_file(path, layers, segments, grid=GRID):
    return save_segmentation(path, layers, segments, grid)


def test_slicer_segmentations_keep_their_names_and_overlaps(tmp_path, two):
    flat = segmentation_file(tmp_path / "a.seg.nrrd", [two], [("Right lung", 0, 7), ("Heart: left", 0, 3)])
    regions, warnings = read_regions(str(flat), GRID)
    assert [name for name, _ in regions] == ["Right lung", "Heart: left"]
    np.testing.assert_array_equal(regions[0][1], two == 7)
    assert warnings == []
    over = np.zeros_like(two)
    over[3:11, 4:12, 5:7] = 1
    file = segmentation_file(
        tmp_path / "b.seg.nrrd", [two, over], [("one", 0, 3), ("lesion", 1, 1), ("two", 0, 7), ("nothing", 1, 2)]
    )
    regions, warnings = read_regions(str(file), GRID)
    assert [name for name, _ in regions] == ["one", "lesion", "two"]
    np.testing.assert_array_equal(regions[1][1], over == 1)
    np.testing.assert_array_equal(regions[2][1], two == 7)
    assert "'nothing'" in warnings[0]
    assert [name for name, _ in read_regions(f"{file}:x,y,z", GRID)[0]] == ["x", "y", "z"]
    np.testing.assert_array_equal(read_mask(file, GRID)[0], (two > 0) | (over > 0))
    twice = segmentation_file(tmp_path / "c.seg.nrrd", [two], [("same", 0, 3), ("same", 0, 7)])
    with pytest.raises(InputError, match="two regions named 'same'"):
        read_regions(str(twice), GRID)


@given(grids(), st.sampled_from([".nii.gz", ".nrrd", ".mha"]))
@modest
def test_a_ball_of_any_grid_lies_at_its_place_on_the_model_grid(tmp_path_factory, grid, suffix):
    target = model_grid(grid, (1.5, 1.5, 1.5))
    place = grid.to_ras((np.asarray(grid.shape) - 1) * (0.6, 0.44, 0.57))

    def ball(where: Grid) -> np.ndarray:
        index = np.stack(np.meshgrid(*(np.arange(size) for size in where.shape), indexing="ij"), axis=-1)
        return np.linalg.norm(where.to_ras(index) - place, axis=-1)

    path = save(tmp_path_factory.mktemp("ball") / f"ball{suffix}", (ball(grid) < 6).astype(np.uint8), grid)
    mask = read_regions(str(path), target)[0][0][1]
    distance = ball(target)
    # A nearest neighbour is at most half a source voxel's diagonal away.
    slack = np.linalg.norm(grid.spacing) / 2 + 1e-3
    assert mask[distance < 6 - slack].all()
    assert not mask[distance > 6 + slack].any()
    middle = target.to_ras(np.argwhere(mask).mean(axis=0))
    np.testing.assert_allclose(middle, place, atol=max(grid.spacing) / 2 + 0.1)


@pytest.mark.parametrize("at", [(13, 13, 13), (14, 15, 16), (20, 20, 21)])
def test_a_lesion_smaller_than_the_model_voxels_is_kept_and_said(tmp_path, at):
    fine = make_grid((48, 51, 54), (0.5, 0.5, 0.5), origin=GRID.affine[:3, 3] - 0.5)
    array = np.zeros(fine.shape, np.uint8)
    array[at] = 1
    array[5:20, 5:20, 40:50] = 2
    path = save(tmp_path / "lesion.nii.gz", array, fine)
    coarse = model_grid(GRID, (4.0, 4.0, 4.0))
    regions, warnings = read_regions(f"{path}:lesion,lung", coarse)
    mask = dict(regions)["lesion"]
    assert mask.sum() == 1
    assert np.linalg.norm(coarse.to_ras(np.argwhere(mask)[0]) - fine.to_ras(at)) <= 2 * np.sqrt(3)
    assert len(warnings) == 1
    assert "'lesion' is thinner than the model's voxels" in warnings[0]
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.nii.gz", (array == 1).astype(np.uint8), fine), coarse)[0], mask)


def test_a_thin_region_takes_the_voxels_it_fills_by_half(tmp_path):
    fine = make_grid((40, 8, 8), (1, 1, 1), origin=(0.0, 0.0, 0.0))
    coarse = make_grid((8, 2, 2), (5, 4, 4), origin=(2.0, 1.5, 1.5))
    array = np.zeros(fine.shape, np.uint8)
    # All but the plane of voxel centres of the coarse voxels 2 and 3: four fifths of each, missed by every centre.
    array[10:20] = 1
    array[[12, 17]] = 0
    path = save(tmp_path / "shell.nii.gz", array, fine)
    mask = read_regions(str(path), coarse)[0][0][1]
    assert mask[2:4].all()
    assert mask.sum() == 2 * 4


def test_regions_beyond_the_ct_are_said_or_refused(tmp_path, two):
    beside = make_grid(GRID.shape, GRID.spacing, origin=GRID.affine[:3, 3] + (12.0, 0, 0))
    path = save(tmp_path / "shifted.nii.gz", two, beside)
    with pytest.raises(InputError, match="'shifted_7' lies entirely outside"):
        read_regions(str(path), GRID)
    regions, warnings = read_regions(str(save(tmp_path / "part.nii.gz", (two == 3).astype(np.uint8), beside)), GRID)
    np.testing.assert_array_equal(regions[0][1][10:13], (two == 3)[2:5])
    assert warnings == []
    wide = np.zeros(GRID.shape, np.uint8)
    wide[2:14, 5, 5] = 1
    regions, warnings = read_regions(str(save(tmp_path / "wide.nii.gz", wide, beside)), GRID)
    assert regions[0][1].sum() == 6
    assert "42 % of the region 'wide' lie outside" in warnings[0]
    far = make_grid(GRID.shape, GRID.spacing, origin=(500.0, 0, 0))
    with pytest.raises(InputError, match="entirely outside"):
        read_mask(save(tmp_path / "far.nii.gz", two, far), GRID)


def test_unusable_label_maps_are_refused(tmp_path, two):
    def refused(name, array, match, names=""):
        path = save(tmp_path / name, array)
        with pytest.raises(InputError, match=match) as caught:
            read_regions(f"{path}{names}", GRID)
        assert str(caught.value).endswith(".")

    refused("empty.nii.gz", np.zeros(GRID.shape, np.uint8), "no region")
    refused("half.nii.gz", two.astype(np.float32) * 0.5, "not whole numbers")
    refused("negative.nii.gz", -two.astype(np.int16), "negative")
    broken = two.astype(np.float32)
    broken[0, 0, 0] = np.nan
    refused("nan.nii.gz", broken, "NaN")
    refused("names.nii.gz", two, "2 regions but 1 name was given", ":one")
    refused("names.nii.gz", two, "2 regions but 3 names were given", ":a,b,c")
    refused("names.nii.gz", two, "two regions named 'a'", ":a,a")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        read_regions(str(tmp_path / "folder"), GRID)
    with pytest.raises(InputError, match="does not exist"):
        read_mask(tmp_path / "gone.nii.gz", GRID)
    with pytest.raises(InputError, match="is empty"):
        read_mask(save(tmp_path / "nothing.nii.gz", np.zeros(GRID.shape, np.uint8)), GRID)
    cut = segmentation_file(tmp_path / "cut.seg.nrrd", [two, two], [("a", 0, 3)])
    cut.write_bytes(cut.read_bytes()[:-9])
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_regions(str(cut), GRID)


def test_names_of_several_files_must_differ_as_file_names_too(tmp_path, two):
    one = save(tmp_path / "one.nii.gz", (two == 3).astype(np.uint8))
    other = save(tmp_path / "other.nii.gz", (two == 7).astype(np.uint8))
    regions, warnings = read_all_regions([str(one), f"{other}:b"], GRID, ["heart"], ["lung"])
    assert [name for name, _ in regions] == ["one", "b"]
    assert warnings == []
    for name in ("one", "heart", "lung"):
        with pytest.raises(InputError, match=f"two regions named '{name}'"):
            read_all_regions([str(one), f"{other}:{name}"], GRID, ["heart"], ["lung"])
    for first, second in (("a/b", "a:b"), ("Tumour", "tumour"), ("x", "lung")):
        with pytest.raises(InputError, match="too alike"):
            check_region_files(["Lung", first, second])


def test_a_mask_partly_outside_is_said(tmp_path, two):
    affine = GRID.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (GRID.shape[0] // 2)
    far = Grid(GRID.shape, affine)
    wide = np.ones(GRID.shape, np.uint8)
    mask, warnings = read_mask(save(tmp_path / "wide.nii.gz", wide, far), GRID)
    assert mask.any()
    assert len(warnings) == 1
    assert "of the target mask lie outside the CT" in warnings[0]


def test_a_mask_is_what_is_not_zero(tmp_path, two):
    write_volume(tmp_path / "mask.nrrd", two, GRID.affine)
    mask, warnings = read_mask(tmp_path / "mask.nrrd", GRID)
    assert warnings == []
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, two > 0)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared real data are not beside this checkout")
def test_real_reader_counts():
    import nibabel

    path = DATA / "lidc-idri" / "LIDC-IDRI-0001_nodule_reader_count_1p5mm.nii.gz"
    image = nibabel.load(path)
    source = Grid(image.shape, image.affine)
    target = model_grid(source, (1.5, 1.5, 1.5))
    regions, warnings = read_regions(f"{path}>=2:lesion", target)
    assert warnings == []
    counts = np.asarray(image.dataobj)
    assert regions[0][1].sum() == (counts >= 2).sum()
    there = target.to_ras(np.argwhere(regions[0][1]).mean(axis=0))
    np.testing.assert_allclose(there, source.to_ras(np.argwhere(counts >= 2).mean(axis=0)), atol=1e-3)
