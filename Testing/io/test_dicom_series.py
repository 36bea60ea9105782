"""DICOM folders as exports and scanners leave them: scans of one place told apart, nothing left out unsaid, frames read."""

import os

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.read import read_ct
from Agg2ExpLib.io.source_files import sha256_of
from support.geometry import enhanced, make_grid, save_dicom

GRID = make_grid((9, 12, 8), (0.9, 1.3, 2.5), signs=(-1, -1, 1))
HU = np.random.default_rng(0).integers(-1024, 2000, GRID.shape).astype(np.int16)


def edit(path, change):
    data = pydicom.dcmread(path)
    change(data)
    data.save_as(path)


def shifted(mm):
    affine = GRID.affine.copy()
    affine[2, 3] += mm
    return affine


def every(folder, change):
    for number, path in enumerate(sorted(folder.glob("*.dcm"))):
        edit(path, lambda data, number=number: change(data, number))
    return folder


TRAITS = {
    "AcquisitionNumber": (1, 2),
    "TemporalPositionIdentifier": (1, 2),
    "ContrastBolusAgent": ("", "Iomeprol"),
    "ConvolutionKernel": ("B30f", "B70f"),
    "SliceThickness": ("5", "1.25"),
    "KVP": ("80", "140"),
    "ImageType": (["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY", "MPR"]),
}


@pytest.mark.parametrize("trait", TRAITS)
@pytest.mark.parametrize("apart", [0.0, 0.01, 0.3, 1.25])
def test_two_scans_in_one_series_do_not_alternate(tmp_path, trait, apart):
    series = generate_uid()
    first, second = TRAITS[trait]
    save_dicom(tmp_path / "a", HU, GRID.affine, SeriesInstanceUID=series, **{trait: first})
    save_dicom(tmp_path / "b", HU[:, :, :6] + 7, shifted(apart), SeriesInstanceUID=series, **{trait: second})
    ct = read_ct(tmp_path)
    np.testing.assert_array_equal(ct.array, HU)
    assert "8 of 14" in ct.warnings[0]
    np.testing.assert_allclose(ct.affine, GRID.affine, atol=1e-6)


@pytest.mark.parametrize("apart", [0.0, 0.01, 0.3])
def test_scans_that_nothing_tells_apart_are_refused(tmp_path, apart):
    series = generate_uid()
    save_dicom(tmp_path / "a", HU, GRID.affine, SeriesInstanceUID=series)
    save_dicom(tmp_path / "b", HU + 7, shifted(apart), SeriesInstanceUID=series)
    with pytest.raises(InputError, match=f"at the same place .*{apart:.2f} mm apart"):
        read_ct(tmp_path)


def test_passes_and_interleaves_of_one_scan_are_read(tmp_path):
    series = generate_uid()
    # a true interleave with equal attributes
    even, odd = GRID.affine.copy(), GRID.affine.copy()
    even[:3, 2] *= 2
    odd[:3, 2] *= 2
    odd[:3, 3] = GRID.to_ras([0, 0, 1])
    save_dicom(tmp_path / "i" / "a", HU[:, :, ::2], even, SeriesInstanceUID=series)
    save_dicom(tmp_path / "i" / "b", HU[:, :, 1::2], odd, SeriesInstanceUID=series)
    # contiguous passes, one acquisition number a slice, and blocks of two acquisitions that follow each other
    every(save_dicom(tmp_path / "p", HU, GRID.affine), lambda data, k: setattr(data, "AcquisitionNumber", 1 + k // 4))
    every(save_dicom(tmp_path / "n", HU, GRID.affine), lambda data, k: setattr(data, "AcquisitionNumber", 1 + k))
    for name in "ipn":
        ct = read_ct(tmp_path / name)
        np.testing.assert_array_equal(ct.array, HU)
        assert ct.warnings == ()
    odd_one = every(save_dicom(tmp_path / "o", HU, GRID.affine), lambda data, k: setattr(data, "KVP", 120 if k != 3 else 100))
    ct = read_ct(odd_one)
    np.testing.assert_array_equal(ct.array, HU)
    assert "tube voltage" in ct.warnings[0]


def spoil(name, path):
    """Make the last slice unusable; the words that tell it."""
    if name == "empty":
        path.write_bytes(b"")
    elif name == "link that leads nowhere":
        path.unlink()
        path.symlink_to(path.with_name("nowhere"))
    elif name == "pipe or device":
        path.unlink()
        os.mkfifo(path)
    elif name == "cut or damaged":
        path.write_bytes(path.read_bytes()[:500])
    elif name == "in colour":
        edit(path, lambda data: setattr(data, "SamplesPerPixel", 3))
    elif name == "without a position":
        edit(path, lambda data: delattr(data, "ImagePositionPatient"))
    elif name == "with a pixel spacing that makes no sense":
        edit(path, lambda data: setattr(data, "PixelSpacing", [1, 0]))
    else:
        content = path.read_bytes()
        place = content.find(b"\x28\x00\x30\x00DS")
        length = int.from_bytes(content[place + 6 : place + 8], "little")
        path.write_bytes(content[: place + 8] + b"1,0\\1,0".ljust(length) + content[place + 8 + length :])


@pytest.mark.parametrize(
    "name",
    [
        "empty",
        "link that leads nowhere",
        "pipe or device",
        "cut or damaged",
        "in colour",
        "without a position",
        "with a pixel spacing that makes no sense",
        "decimal comma",
    ],
)
def test_what_is_left_out_is_told(tmp_path, name):
    folder = save_dicom(tmp_path, HU, GRID.affine)
    spoil(name, folder / "007.dcm")
    ct = read_ct(folder)
    np.testing.assert_array_equal(ct.array, HU[:, :, :7])
    (told,) = ct.warnings
    assert "1 file" in told
    assert (name if name != "decimal comma" else "makes no sense") in told
    assert "007.dcm" in told
    sha256_of(folder)


@pytest.mark.parametrize("length", [132, 134, 137, 140, 141, 142, 143, 200, 400])
def test_a_cut_file_beside_a_series(tmp_path, length):
    folder = save_dicom(tmp_path, HU, GRID.affine)
    (folder / "x.dcm").write_bytes((folder / "003.dcm").read_bytes()[:length])
    ct = read_ct(folder)
    np.testing.assert_array_equal(ct.array, HU)
    assert "cut or damaged" in ct.warnings[0]


def test_identifiers_that_an_export_has_damaged(tmp_path):
    folder = save_dicom(tmp_path / "one", HU, GRID.affine)
    ct = read_ct(every(folder, lambda data, k: setattr(data, "SOPInstanceUID", "1.2.3")))
    np.testing.assert_array_equal(ct.array, HU)
    assert "same SOP Instance UID" in ct.warnings[0]
    folder = save_dicom(tmp_path / "series", HU, GRID.affine)
    with pytest.raises(InputError, match="Series Instance UID of its own"):
        read_ct(every(folder, lambda data, k: setattr(data, "SeriesInstanceUID", generate_uid())))
    folder = save_dicom(tmp_path / "frame", HU, GRID.affine)
    ct = read_ct(every(folder, lambda data, k: setattr(data, "FrameOfReferenceUID", generate_uid())))
    np.testing.assert_array_equal(ct.array, HU)


@pytest.mark.parametrize("count", [1, 8])
def test_slices_sent_twice_are_used_once(tmp_path, count):
    series = generate_uid()
    save_dicom(tmp_path / "a", HU, GRID.affine, SeriesInstanceUID=series)
    save_dicom(tmp_path / "b", HU[:, :, :count], GRID.affine, SeriesInstanceUID=series)
    ct = read_ct(tmp_path)
    np.testing.assert_array_equal(ct.array, HU)
    assert f"{count} slice" in ct.warnings[0]


def test_jitter_of_direction_and_spacing(tmp_path):
    def turn(angle):
        return lambda data, k: setattr(data, "ImageOrientationPatient", ["1", "0", f"{angle * (k % 2)}", "0", "1", "0"])

    np.testing.assert_array_equal(read_ct(every(save_dicom(tmp_path / "a", HU, GRID.affine), turn(2e-3))).array, HU)
    wide = np.repeat(HU, 12, axis=0)
    folder = save_dicom(tmp_path / "b", wide, GRID.affine)
    every(folder, lambda data, k: setattr(data, "ImageOrientationPatient", [1, 0.019 * (k % 2), 0, -0.019 * (k % 2), 1, 0]))
    with pytest.raises(InputError, match="differ in direction"):
        read_ct(folder)
    folder = save_dicom(tmp_path / "c", HU, GRID.affine)
    ct = read_ct(every(folder, lambda data, k: setattr(data, "PixelSpacing", [f"{1.3 + 1e-3 * (k % 2)}", "0.9"])))
    np.testing.assert_array_equal(ct.array, HU)


def test_monitoring_images_of_one_place_are_no_volume(tmp_path):
    save_dicom(tmp_path / "ct", HU, GRID.affine)
    series = generate_uid()
    for number in range(15):
        save_dicom(tmp_path / f"m{number}", HU[:, :, :1] + number, GRID.affine, SeriesInstanceUID=series)
    np.testing.assert_array_equal(read_ct(tmp_path).array, HU)


def test_links_to_a_series_are_followed_and_circles_end(tmp_path):
    folder = save_dicom(tmp_path / "real", HU, GRID.affine)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "series").symlink_to(folder)
    (tmp_path / "study" / "up").symlink_to(tmp_path / "study")
    np.testing.assert_array_equal(read_ct(tmp_path / "study").array, HU)
    before = sha256_of(tmp_path / "study")
    edit(folder / "003.dcm", lambda data: setattr(data, "RescaleIntercept", -1000))
    assert sha256_of(tmp_path / "study") != before


@pytest.mark.parametrize("bits", [12, 16])
def test_monochrome1_and_unused_bits_do_not_change_hu(tmp_path, bits):
    hu = HU.clip(-1024, 3000)
    tags = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": bits, "HighBit": bits - 1}
    folder = save_dicom(tmp_path, hu, GRID.affine, **tags)
    if bits == 12:  # an old overlay in the bits beside
        every(folder, lambda data, k: setattr(data, "PixelData", (np.frombuffer(data.PixelData, "<u2") | 0x4000).tobytes()))
    np.testing.assert_array_equal(read_ct(folder).array, hu)
    every(folder, lambda data, k: data.compress(pydicom.uid.RLELossless))
    np.testing.assert_array_equal(read_ct(folder).array, hu)


@pytest.mark.parametrize("value", [None, "x", "nan"])
def test_a_slice_without_rescale_is_not_shifted(tmp_path, value):
    folder = save_dicom(tmp_path, HU, GRID.affine)
    path = folder / "003.dcm"
    if value is None:
        edit(path, lambda data: (delattr(data, "RescaleIntercept"), delattr(data, "RescaleSlope")))
    else:
        content = path.read_bytes()
        place = content.find(b"\x28\x00\x52\x10DS")
        length = int.from_bytes(content[place + 6 : place + 8], "little")
        path.write_bytes(content[: place + 8] + value.encode().ljust(length) + content[place + 8 + length :])
    with pytest.raises(InputError, match=r"003\.dcm has .*rescale"):
        read_ct(folder)


@pytest.mark.parametrize("compress", [False, True])
def test_enhanced_images_are_read(tmp_path, compress):
    folder = save_dicom(tmp_path / "many", HU, GRID.affine)
    places = [list(pydicom.dcmread(path).ImagePositionPatient) for path in sorted(folder.iterdir())]
    order = [3, 0, 7, 1, 2, 6, 5, 4]
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()

    def many(data):
        enhanced(data, [places[k] for k in order], HU[:, :, order])
        if compress:
            data.compress(pydicom.uid.RLELossless)

    edit(folder / "000.dcm", many)
    # four other slices beside it do not take its place
    save_dicom(tmp_path / "many" / "few", HU[:, :, :4], GRID.affine)
    ct = read_ct(folder)
    np.testing.assert_array_equal(ct.array, HU)
    np.testing.assert_allclose(ct.affine, GRID.affine, atol=1e-6)
    folder = save_dicom(tmp_path / "single", HU, GRID.affine)
    for k, path in enumerate(sorted(folder.iterdir())):
        edit(path, lambda data, k=k: enhanced(data, [places[k]], HU[:, :, k : k + 1]))
    ct = read_ct(folder)
    np.testing.assert_array_equal(ct.array, HU)
    assert ct.warnings == ()


def test_a_cut_jpeg_is_refused(tmp_path):
    from pydicom.encaps import encapsulate

    folder = save_dicom(tmp_path, HU, GRID.affine)

    def change(data):
        data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
        data.PixelData = encapsulate([b"\xff\xd8\xff\xc3 this does not end"])
        data["PixelData"].VR = "OB"

    edit(folder / "002.dcm", change)
    with pytest.raises(InputError, match=r"002\.dcm is cut"):
        read_ct(folder)
