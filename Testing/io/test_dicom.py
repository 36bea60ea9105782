"""DICOM series: geometry from the tags against SimpleITK, any file order, and series that must be refused or doubted."""

import shutil

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.grid import model_grid
from Agg2ExpLib.io.read import read_ct
from Agg2ExpLib.io.resample import resample
from support.geometry import found_place, grids, make_grid, marker_place, paint, save_dicom
from support.paths import DATA

modest = settings(max_examples=25, deadline=None, derandomize=True)
GRID = make_grid((9, 12, 8), (0.9, 1.3, 2.5), signs=(-1, -1, 1))
SERIES = DATA / "lung-pet-ct-dx" / "Lung_Dx-A0002_dicom_8mm_B40f"


@pytest.fixture(scope="module")
def hu():
    """int16 HU on GRID, every slice different."""
    return np.random.default_rng(0).integers(-1024, 2000, GRID.shape).astype(np.int16)


def edit(path, **tags):
    """Change tags of a file; None removes one."""
    data = pydicom.dcmread(path)
    for tag, value in tags.items():
        if value is None:
            delattr(data, tag)
        else:
            setattr(data, tag, value)
    data.save_as(path)


@given(grids(right_handed=True))
@modest
def test_geometry_equals_simpleitk_in_any_orientation(tmp_path_factory, grid):
    import SimpleITK

    folder = tmp_path_factory.mktemp("series")
    array = paint(grid, marker_place(grid))
    save_dicom(folder, array, grid.affine)
    ct = read_ct(folder)
    np.testing.assert_array_equal(ct.array, array)
    np.testing.assert_allclose(ct.affine, grid.affine, atol=1e-6)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    for index in ((0, 0, 0), (3, 1, 2), tuple(size - 1 for size in grid.shape)):
        ras = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        np.testing.assert_allclose(ct.grid.to_ras(index), ras, atol=1e-4)
        assert ct.array[index] == image[index]


@pytest.mark.parametrize(
    ("order", "signs", "plane"),
    [((0, 1, 2), (-1, -1, 1), "axial"), ((0, 2, 1), (-1, -1, 1), "coronal"), ((1, 2, 0), (-1, -1, 1), "sagittal")],
)
def test_the_usual_planes_agree_with_the_patient(tmp_path, order, signs, plane):
    grid = make_grid((24, 28, 20), (1.1, 0.9, 1.3), order, signs)
    place = marker_place(grid)
    names = [f"{number:03d}.dcm" for number in range(19, -1, -1)]
    ct = read_ct(save_dicom(tmp_path / plane, paint(grid, place), grid.affine, names))
    assert ct.name == plane
    np.testing.assert_allclose(found_place(ct.array, ct.affine), place, atol=0.05)
    target = model_grid(ct.grid, (1.5, 1.5, 1.5))
    np.testing.assert_allclose(found_place(resample(ct, target), target.affine), place, atol=0.15)


def test_pixel_spacing_is_rows_then_columns(tmp_path, hu):
    folder = save_dicom(tmp_path, hu, GRID.affine)
    header = pydicom.dcmread(folder / "000.dcm")
    assert [float(value) for value in header.PixelSpacing] == [1.3, 0.9]
    assert (header.Rows, header.Columns) == (12, 9)
    ct = read_ct(folder)
    assert ct.array.shape == (9, 12, 8)
    np.testing.assert_allclose(ct.grid.spacing, (0.9, 1.3, 2.5))


def test_order_of_files_and_instance_numbers_does_not_matter(tmp_path, hu):
    names = [f"{number * 5 % 8}" for number in range(8)]
    folder = save_dicom(tmp_path / "a" / "deep", hu, GRID.affine, names)
    for number, name in enumerate(names):
        edit(folder / name, InstanceNumber=100 - number)
    (tmp_path / "a" / "notes.txt").write_text("not DICOM")
    (tmp_path / "a" / "noname").write_bytes(b"not DICOM either" * 20)
    shutil.copy(folder / "3", folder / "copy of 3")
    ct = read_ct(tmp_path / "a")
    np.testing.assert_array_equal(ct.array, hu)
    np.testing.assert_allclose(ct.affine, GRID.affine, atol=1e-9)
    assert ct.warnings == ()


def test_tilted_gantry_gives_the_sheared_affine(tmp_path):
    grid = make_grid((20, 26, 18), (1.2, 1.1, 2.0), signs=(-1, -1, 1), shear=0.36)
    place = marker_place(grid)
    ct = read_ct(save_dicom(tmp_path, paint(grid, place), grid.affine))
    np.testing.assert_allclose(ct.affine, grid.affine, atol=1e-6)
    np.testing.assert_allclose(found_place(ct.array, ct.affine), place, atol=0.1)


def test_every_slice_has_its_own_rescale(tmp_path, hu):
    folder = save_dicom(tmp_path / "a", hu, GRID.affine)
    data = pydicom.dcmread(folder / "004.dcm")
    data.PixelData = ((hu[:, :, 4].T.astype(int) + 3000) // 2).astype("<u2").tobytes()
    data.RescaleSlope, data.RescaleIntercept = 2, -3000
    data.save_as(folder / "004.dcm")
    ct = read_ct(folder)
    assert ct.array.dtype == np.int16
    np.testing.assert_array_equal(ct.array[..., :4], hu[..., :4])
    assert np.abs(ct.array[..., 4].astype(int) - hu[..., 4]).max() <= 1
    edit(folder / "006.dcm", RescaleSlope="0.5", RescaleIntercept="-700.25")
    ct = read_ct(folder)
    assert ct.array.dtype == np.float32
    np.testing.assert_array_equal(ct.array[..., 5], hu[..., 5])
    np.testing.assert_allclose(ct.array[..., 6], (hu[..., 6].astype(float) + 1024) * 0.5 - 700.25, atol=1e-3)


def jpeg_2000(raw, path):
    """The file with its pixels replaced by GDCM's lossless JPEG 2000 code of ``raw``."""
    import SimpleITK

    writer = SimpleITK.ImageFileWriter()
    writer.SetFileName(str(path.with_suffix(".j2k.dcm")))
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG2000")
    writer.Execute(SimpleITK.GetImageFromArray(raw[None]))
    coded, data = pydicom.dcmread(path.with_suffix(".j2k.dcm")), pydicom.dcmread(path)
    path.with_suffix(".j2k.dcm").unlink()
    data.file_meta.TransferSyntaxUID = coded.file_meta.TransferSyntaxUID
    data.PixelData = coded.PixelData
    data["PixelData"].VR = "OB"
    return data


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEG2000Lossless"])
def test_compressed_pixels_are_decoded(tmp_path, hu, syntax):
    folder = save_dicom(tmp_path, hu, GRID.affine)
    for path in list(folder.iterdir()):
        data = pydicom.dcmread(path)
        if syntax == "RLELossless":
            data.compress(pydicom.uid.RLELossless)
        else:
            data = jpeg_2000(data.pixel_array, path)
        assert data.file_meta.TransferSyntaxUID == getattr(pydicom.uid, syntax)
        data.save_as(path)
    np.testing.assert_array_equal(read_ct(folder).array, hu)


def test_the_ct_with_the_most_slices_is_chosen_and_the_others_counted(tmp_path, hu):
    save_dicom(tmp_path / "big", hu, GRID.affine)
    save_dicom(tmp_path / "small", hu[:, :, :5], GRID.affine)
    save_dicom(tmp_path / "pet", np.concatenate([hu, hu], 2), GRID.affine, Modality="PT")
    scout = save_dicom(tmp_path / "scout", hu[:, :, :1], GRID.affine, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    ct = read_ct(tmp_path)
    np.testing.assert_array_equal(ct.array, hu)
    assert len(ct.warnings) == 1
    assert "3 DICOM series" in ct.warnings[0]
    assert "Secret" not in ct.warnings[0] + ct.name
    with pytest.raises(InputError, match="no DICOM image"):
        read_ct(scout)
    assert any("modality PT" in warning for warning in read_ct(tmp_path / "pet").warnings)


def test_two_phases_in_one_series(tmp_path, hu):
    uid = pydicom.uid.generate_uid()
    save_dicom(tmp_path / "p1", hu, GRID.affine, SeriesInstanceUID=uid, AcquisitionNumber=1)
    save_dicom(tmp_path / "p2", hu[:, :, :6] + 7, GRID.affine, SeriesInstanceUID=uid, AcquisitionNumber=2)
    ct = read_ct(tmp_path)
    np.testing.assert_array_equal(ct.array, hu)
    assert "8 of 14" in ct.warnings[0]
    for path in tmp_path.rglob("*.dcm"):
        edit(path, AcquisitionNumber=1)
    with pytest.raises(InputError, match="at the same place"):
        read_ct(tmp_path)


def test_missing_slices_are_refused(tmp_path, hu):
    folder = save_dicom(tmp_path, hu, GRID.affine)
    (folder / "005.dcm").unlink()
    with pytest.raises(InputError, match=r"lacks slices: 004\.dcm and 006\.dcm are 5\.00 mm apart instead of 2\.50 mm"):
        read_ct(folder)


def test_small_jitter_is_tolerated_larger_is_said_or_refused(tmp_path, hu):
    folder = save_dicom(tmp_path, hu, GRID.affine)
    place = [float(value) for value in pydicom.dcmread(folder / "003.dcm").ImagePositionPatient]
    for shift, outcome in ((0.1, None), (0.5, "slightly uneven"), (1.3, "lacks slices|not evenly")):
        edit(folder / "003.dcm", ImagePositionPatient=[place[0], place[1], place[2] + shift])
        if shift > 1:
            with pytest.raises(InputError, match=outcome):
                read_ct(folder)
        else:
            warnings = read_ct(folder).warnings
            assert (not warnings) if outcome is None else outcome in warnings[0]
    edit(folder / "003.dcm", ImagePositionPatient=[place[0] + 0.6, place[1], place[2]])
    with pytest.raises(InputError, match="not evenly spaced"):
        read_ct(folder)


def test_unusable_series_are_refused(tmp_path, hu):
    with pytest.raises(InputError, match="single slice"):
        read_ct(save_dicom(tmp_path / "one", hu[:, :, :1], GRID.affine))
    folder = save_dicom(tmp_path / "spacing", hu, GRID.affine)
    for path in folder.iterdir():
        edit(path, PixelSpacing=[0, 1])
    with pytest.raises(InputError, match="makes no sense"):
        read_ct(folder)
    folder = save_dicom(tmp_path / "place", hu, GRID.affine)
    for path in folder.iterdir():
        edit(path, ImagePositionPatient=None)
    with pytest.raises(InputError, match="no DICOM image"):
        read_ct(folder)
    folder = save_dicom(tmp_path / "frames", hu[:, :, :1], GRID.affine, NumberOfFrames=8)
    with pytest.raises(InputError, match="several frames whose places are not given"):
        read_ct(folder)


@pytest.mark.parametrize("lost", [3, 60, 150])
def test_a_truncated_slice_is_refused(tmp_path, hu, lost):
    folder = save_dicom(tmp_path, hu, GRID.affine)
    path = folder / "002.dcm"
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(InputError, match=r"002\.dcm"):
        read_ct(folder)


@pytest.mark.skipif(not SERIES.is_dir(), reason="the shared real data are not beside this checkout")
def test_real_series_equals_simpleitk_and_the_raw_pixels():
    import SimpleITK

    ct = read_ct(SERIES)
    assert ct.warnings == ()
    assert (ct.array.dtype, ct.array.shape) == (np.int16, (512, 512, 30))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(SERIES)))
    image = reader.Execute()
    np.testing.assert_array_equal(ct.array, SimpleITK.GetArrayFromImage(image).T)
    for index in ((0, 0, 0), (500, 20, 29), (37, 411, 7)):
        ras = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        np.testing.assert_allclose(ct.grid.to_ras(index), ras, atol=1e-3)
    one = pydicom.dcmread(SERIES / "1-04.dcm")
    height = ct.grid.to_index(np.array(one.ImagePositionPatient, dtype=float) * (-1, -1, 1))
    np.testing.assert_allclose(height[:2], 0, atol=1e-6)
    raw = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
    np.testing.assert_array_equal(ct.array[:, :, round(height[2])], raw.T)
