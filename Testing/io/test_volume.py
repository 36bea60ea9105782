"""Reading and writing images: places and values kept in every format."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io import write as write_module
from Agg2ExpLib.io.ct_values import scale_intensity
from Agg2ExpLib.io.grid import model_grid
from Agg2ExpLib.io.read import read_ct, read_map, read_volume
from Agg2ExpLib.io.resample import resample
from Agg2ExpLib.io.source_files import sha256_of
from Agg2ExpLib.io.volume import stem_of
from Agg2ExpLib.io.write import write_volume
from support.geometry import AIR, SMALL_GRID, found_place, grids, make_grid, marker_place, paint, save_itk, save_nifti
from support.geometry import save_as as save
from support.paths import DATA

modest = settings(max_examples=40, deadline=None, derandomize=True)
GRID = SMALL_GRID


@pytest.fixture(scope="module")
def ct():
    """int16 HU on GRID."""
    return paint(GRID, marker_place(GRID), 5.0)


@given(st.data(), st.sampled_from([".nii", ".nii.gz", ".nrrd", ".mha", "dicom"]), st.sampled_from([".nii.gz", ".nrrd"]))
@modest
def test_marker_stays_at_its_patient_coordinates_through_every_format(tmp_path_factory, data, source, result):
    grid = data.draw(grids(right_handed=source == "dicom"))
    folder = tmp_path_factory.mktemp("place")
    place = marker_place(grid)
    ct = read_ct(save(folder, source, paint(grid, place), grid.affine))
    assert ct.warnings == ()
    assert ct.array.dtype == np.int16
    np.testing.assert_allclose(found_place(ct.array, ct.affine), place, atol=0.05)
    target = model_grid(ct.grid, (1.5, 1.5, 1.5))
    write_volume(folder / f"b{result}", resample(ct, target), target.affine)
    for read in (read_volume, read_map):
        again = read(folder / f"b{result}")
        np.testing.assert_allclose(found_place(again.array, again.affine), place, atol=0.15)
        np.testing.assert_allclose(again.affine, target.affine, atol=1e-4)


@given(grids(), st.sampled_from([".nii.gz", ".nii", ".nrrd"]), st.booleans(), st.sampled_from(["i2", "u1", "f4", "?"]))
@modest
def test_other_readers_find_what_we_wrote(tmp_path_factory, grid, suffix, compress, dtype):
    import nibabel
    import SimpleITK

    path = tmp_path_factory.mktemp("write") / f"a{suffix}"
    array = np.random.default_rng(3).integers(0, 2 if dtype == "?" else 100, grid.shape).astype(dtype)
    write_volume(path, array, grid.affine, compress)
    image = SimpleITK.ReadImage(str(path))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).T, array)
    index = (3, 1, 2)
    ras = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
    np.testing.assert_allclose(ras, grid.to_ras(index), atol=1e-3)
    ours = read_volume(path)
    np.testing.assert_array_equal(ours.array, array)
    assert ours.array.dtype == (np.uint8 if dtype == "?" else np.dtype(dtype))
    if suffix != ".nrrd":
        header = nibabel.load(path).header
        assert int(header["sform_code"]) == int(header["qform_code"]) == 1
        np.testing.assert_allclose(header.get_qform(), grid.affine, atol=1e-3)
        np.testing.assert_allclose(header.get_sform(), grid.affine, atol=1e-4)
        assert nibabel.aff2axcodes(header.get_best_affine()) == nibabel.aff2axcodes(grid.affine)


def test_map_is_mapped_into_memory_and_aligned(tmp_path):
    array = np.random.default_rng(4).normal(size=GRID.shape).astype(np.float32)
    write_volume(tmp_path / "aorta.nrrd", array, GRID.affine)
    mapped = read_map(tmp_path / "aorta.nrrd")
    assert isinstance(mapped.array, np.memmap)
    assert mapped.array.flags.aligned
    assert mapped.name == "aorta"
    np.testing.assert_array_equal(mapped.array, array)
    np.testing.assert_array_equal(mapped.affine, GRID.affine)
    write_volume(tmp_path / "zipped.nrrd", array, GRID.affine, compress=True)
    assert (tmp_path / "zipped.nrrd").stat().st_size < (tmp_path / "aorta.nrrd").stat().st_size
    np.testing.assert_array_equal(read_map(tmp_path / "zipped.nrrd").array, array)
    save_itk(tmp_path / "itk.nrrd", array, GRID.affine)
    itk = read_map(tmp_path / "itk.nrrd")
    assert isinstance(itk.array, np.memmap)
    np.testing.assert_array_equal(itk.array, array)
    np.testing.assert_allclose(itk.affine, GRID.affine, atol=1e-12)


def test_ras_nrrd_and_big_endian_are_understood(tmp_path):
    array = np.arange(24, dtype=">i2").reshape(4, 3, 2)
    head = "NRRD0004\ntype: int16\ndimension: 3\nspace: right-anterior-superior\nsizes: 4 3 2\n"
    head += "space directions: (2,0,0) (0,3,0) (0,0,4)\nkinds: domain domain domain\n"
    head += "endian: big\nencoding: raw\nspace origin: (10,20,30)\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + array.tobytes(order="F"))
    for read in (read_map, read_volume):
        got = read(tmp_path / "a.nrrd")
        np.testing.assert_array_equal(got.array, array)
        np.testing.assert_allclose(got.affine, [[2, 0, 0, 10], [0, 3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]])


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_sheared_axes_survive(tmp_path, suffix):
    grid = make_grid((9, 10, 11), (1, 1, 2), shear=0.3)
    array = np.random.default_rng(5).integers(-1000, 1000, grid.shape).astype(np.int16)
    ct = read_ct(save(tmp_path, suffix, array, grid.affine))
    np.testing.assert_allclose(ct.affine, grid.affine, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "slope", "intercept", "expected"),
    [
        ("<u2", 1, -1024, "int16"),
        (">i2", 2, 3, "int16"),
        ("<i2", 0.5, -1000, "float32"),
        ("<u2", 1000, 0, "float32"),
        ("<f8", 2, -1, "float32"),
        ("<i4", None, None, "int16"),
    ],
)
def test_nifti_scale_is_honoured(tmp_path, dtype, slope, intercept, expected):
    import nibabel

    raw = np.random.default_rng(6).integers(0, 2000, (6, 7, 8)).astype(dtype)
    header = nibabel.Nifti1Header(endianness=dtype[0])
    header.set_data_dtype(np.dtype(dtype))
    header.set_data_shape(raw.shape)
    header.set_sform(np.diag([2.0, 2, 2, 1]), 1)
    header["vox_offset"] = 352
    header["scl_slope"], header["scl_inter"] = slope or np.nan, intercept or 0
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4) + raw.tobytes(order="F"))
    wanted = nibabel.load(tmp_path / "a.nii").get_fdata()
    ct = read_ct(tmp_path / "a.nii")
    assert ct.array.dtype == expected
    np.testing.assert_allclose(ct.array, wanted, rtol=1e-6)


def test_names_and_compression_told_from_the_content(tmp_path, ct):
    save_nifti(tmp_path / "Case.1.NII.GZ", ct, GRID.affine)
    plain = save_nifti(tmp_path / "plain.nii", ct, GRID.affine)
    plain.rename(tmp_path / "mislabelled.nii.gz")
    (tmp_path / "zipped.nii").write_bytes(gzip.compress((tmp_path / "mislabelled.nii.gz").read_bytes()))
    for name in ("Case.1.NII.GZ", "mislabelled.nii.gz", "zipped.nii"):
        got = read_ct(tmp_path / name)
        np.testing.assert_array_equal(got.array, ct)
    assert stem_of("x/Case.1.NII.GZ") == "Case.1"
    assert stem_of("x/lesion.seg.nrrd") == "lesion"
    assert stem_of("x/.nrrd") == ".nrrd"
    save_itk(tmp_path / "four.nrrd", ct, GRID.affine)
    trailing = save_nifti(tmp_path / "trailing.nii.gz", ct[..., None, None], GRID.affine)
    assert read_ct(trailing).array.shape == GRID.shape


def test_names_are_as_given_and_fit_for_files(tmp_path, monkeypatch):
    assert stem_of("x/M\udcfcller.nii.gz") == "M?ller", "a file name that is not UTF-8 must not fail when it is written"
    monkeypatch.chdir(tmp_path)
    assert stem_of(".") == tmp_path.name
    (tmp_path / "DOE_JANE.nii.gz").touch()
    (tmp_path / "case7.nii.gz").symlink_to("DOE_JANE.nii.gz")
    assert stem_of("case7.nii.gz") == "case7", "the name behind a link may be the patient's"


def test_units_are_brought_to_millimetres(tmp_path, ct):
    import nibabel

    image = nibabel.Nifti1Image(ct, np.diag([0.001, 0.001, 0.001, 1.0]) @ GRID.affine)
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "a.nii.gz")
    got = read_ct(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(got.affine, GRID.affine, atol=1e-4)
    assert "metres" in got.warnings[0]


def test_doubtful_orientation_is_said(tmp_path, ct):
    import nibabel

    image = nibabel.Nifti1Image(ct, None)
    nibabel.save(image, tmp_path / "none.nii.gz")
    assert "left and right may be swapped" in read_ct(tmp_path / "none.nii.gz").warnings[0]
    image = nibabel.Nifti1Image(ct, GRID.affine)
    image.set_sform(GRID.affine, 1)
    image.set_qform(np.diag([-1.0, 1, 1, 1]) @ GRID.affine, 1)
    nibabel.save(image, tmp_path / "two.nii.gz")
    got = read_ct(tmp_path / "two.nii.gz")
    assert "sform, qform) differ" in got.warnings[0]
    np.testing.assert_allclose(got.affine, GRID.affine, atol=1e-4)
    header = b"NRRD0004\ntype: int16\ndimension: 3\nsizes: 12 13 14\nspacings: 1 1 1\nendian: little\nencoding: raw\n\n"
    (tmp_path / "bare.nrrd").write_bytes(header + ct.tobytes(order="F"))
    assert "left and right may be swapped" in read_ct(tmp_path / "bare.nrrd").warnings[0]
    meta = "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 12 13 14\nElementSpacing = 1 1 1\nElementType = MET_SHORT\n"
    (tmp_path / "bare.mha").write_bytes((meta + "ElementDataFile = LOCAL\n").encode() + ct.tobytes(order="F"))
    told = read_ct(tmp_path / "bare.mha").warnings
    assert any("left and right may be swapped" in sentence for sentence in told)
    assert any("where its first voxel lies" in sentence for sentence in told)


@pytest.mark.parametrize(
    ("values", "doubted"),
    [((-1024, 1500), False), ((-3024, 3071), False), ((-150, 400), True), ((0, 4095), True), ((0, 1), True), ((-3, 3), True)],
)
def test_values_that_do_not_look_like_hu_are_said(tmp_path, values, doubted):
    array = np.linspace(*values, 9 * 9 * 9).reshape(9, 9, 9).astype(np.float32)
    got = read_ct(save_nifti(tmp_path / "a.nii.gz", array, np.eye(4)))
    assert bool(got.warnings) == doubted
    assert all("Hounsfield" in warning for warning in got.warnings)


def test_writing_leaves_no_half_file(tmp_path, ct, monkeypatch):
    write_volume(tmp_path / "a.nrrd", ct, GRID.affine)
    before = (tmp_path / "a.nrrd").read_bytes()

    def full(path, *_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write_module, "write_nrrd", full)
    with pytest.raises(InputError, match="No room left on the disk"):
        write_volume(tmp_path / "a.nrrd", ct + 1, GRID.affine)
    assert [file.name for file in tmp_path.iterdir()] == ["a.nrrd"]
    assert (tmp_path / "a.nrrd").read_bytes() == before
    with pytest.raises(InputError, match="does not exist"):
        write_volume(tmp_path / "nowhere" / "a.nii.gz", ct, GRID.affine)
    with pytest.raises(ValueError, match=r"use \.nii"):
        write_volume(tmp_path / "a.png", ct, GRID.affine)
    with pytest.raises(ValueError, match="3D"):
        write_volume(tmp_path / "a.nrrd", ct[0], GRID.affine)


def test_the_same_content_gives_the_same_bytes(tmp_path, ct):
    for suffix in (".nii.gz", ".nrrd"):
        write_volume(tmp_path / f"a{suffix}", ct, GRID.affine, compress=True)
        write_volume(tmp_path / f"b{suffix}", np.ascontiguousarray(ct), GRID.affine, compress=True)
        assert sha256_of(tmp_path / f"a{suffix}") == sha256_of(tmp_path / f"b{suffix}")


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "b").write_bytes(b"b")
    (folder / "a").write_bytes(b"a")
    first = sha256_of(folder)
    (folder / ".DS_Store").write_bytes(b"x")
    assert sha256_of(folder) == first
    (folder / "a").write_bytes(b"c")
    assert sha256_of(folder) != first
    with pytest.raises(InputError, match="does not exist"):
        sha256_of(tmp_path / "nothing")


def test_scale_intensity_equals_monai():
    from monai.transforms import ScaleIntensityRange

    hu = np.random.default_rng(9).integers(-3024, 3071, (9, 8, 7)).astype(np.int16)
    for window, ends in (((-1024, 1024), (0.0, 1.0)), ((-175, 250), (-1.0, 1.0))):
        wanted = ScaleIntensityRange(*window, *ends, clip=True)(hu.astype(np.float32)).numpy()
        got = scale_intensity(np.asfortranarray(hu), window, ends)
        assert got.dtype == np.float32
        assert got.flags.c_contiguous
        np.testing.assert_allclose(got, wanted, atol=1e-6)
        assert (got.min(), got.max()) == ends
    with pytest.raises(ValueError, match="go up"):
        scale_intensity(hu, (5, 5))


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared real data are not beside this checkout")
@pytest.mark.parametrize(
    "name", ["lidc-idri/LIDC-IDRI-0001_ct_1p5mm.nii.gz", "plastimatch/t0_ct_native.nii.gz", "chestimagingplatform/ct-64.nrrd"]
)
def test_real_cts_agree_with_simpleitk(name):
    import SimpleITK

    ct = read_ct(DATA / name)
    image = SimpleITK.ReadImage(str(DATA / name))
    assert ct.warnings == ()
    assert ct.array.min() >= -1100
    assert ct.array.min() <= AIR + 30
    np.testing.assert_array_equal(ct.array, SimpleITK.GetArrayFromImage(image).T)
    for index in ((0, 0, 0), (10, 20, 30), tuple(size - 1 for size in ct.array.shape)):
        ras = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        np.testing.assert_allclose(ct.grid.to_ras(index), ras, atol=1e-3)
