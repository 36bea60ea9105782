"""Voxels are taken only from whole streams: any damaged byte, length or claim is refused, and headers reach no other files."""

import gzip
import os
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.read import read_ct, read_volume
from Agg2ExpLib.io.regions import read_regions
from Agg2ExpLib.io.source_files import files_of, sha256_of
from support.geometry import SMALL_GRID, marker_place, paint, save_as, save_itk, save_segmentation

GRID = SMALL_GRID
CT = paint(GRID, marker_place(GRID), 5.0)


def compressed(folder, suffix):
    """A compressed file of CT, and the file of its voxels."""
    path = (
        save_as(folder, suffix, CT, GRID.affine) if suffix == ".nii.gz" else save_itk(folder / f"a{suffix}", CT, GRID.affine, True)
    )
    return path, max(folder.iterdir(), key=lambda file: file.stat().st_size)


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nhdr", ".nii.gz"])
def test_every_changed_byte_of_a_stream_is_noticed(tmp_path, suffix):
    path, voxels = compressed(tmp_path, suffix)
    good = voxels.read_bytes()
    # The stream lies at the end; its first ten bytes are gzip's header, in which time and system play no part.
    start = max(len(good) - zlib_length(good), 0) + 10
    for place in np.linspace(start, len(good) - 1, 40).astype(int):
        bad = bytearray(good)
        bad[place] ^= 0x10
        voxels.write_bytes(bad)
        with pytest.raises(InputError, match="damaged"):
            read_ct(path)
    voxels.write_bytes(good)
    np.testing.assert_array_equal(read_ct(path).array, CT)


def zlib_length(content):
    """Bytes of the compressed stream at the end of a file."""
    for start in range(len(content)):
        if content[start : start + 2] in (b"\x1f\x8b", b"\x78\x9c", b"\x78\x01", b"\x78\xda", b"\x78\x5e"):
            try:
                zlib.decompress(content[start:], 47)
            except zlib.error:
                continue
            return len(content) - start
    raise AssertionError("no stream")


def test_a_damaged_region_is_refused(tmp_path):
    mask = np.zeros(GRID.shape, np.uint8)
    mask[3:9, 4:9, 2:9] = 1
    path = save_itk(tmp_path / "r.nrrd", mask, GRID.affine, True)
    good = path.read_bytes()
    for place in range(len(good) - 30, len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(InputError):
            read_regions(str(path), GRID)


@pytest.mark.parametrize("size", [None, 0, 1, 10**9])
def test_the_compressed_size_of_a_meta_image(tmp_path, size):
    path = save_itk(tmp_path / "a.mha", CT, GRID.affine, True)
    lines = path.read_bytes().split(b"\n")
    wrong = [f"CompressedDataSize = {size}".encode() if line.startswith(b"CompressedDataSize") else line for line in lines]
    path.write_bytes(b"\n".join(line for line in wrong if size is not None or not line.startswith(b"CompressedDataSize")))
    if size:
        with pytest.raises(InputError, match="damaged"):
            read_ct(path)
    else:
        np.testing.assert_array_equal(read_ct(path).array, CT)
        path.write_bytes(path.read_bytes()[:-3])
        with pytest.raises(InputError, match="damaged"):
            read_ct(path)


def nrrd(path, data, encoding="raw", extra="", kind="short"):
    header = f"NRRD0004\ntype: {kind}\ndimension: 3\nspace: RAS\nsizes: 12 13 14\nspace directions: (2,0,0) (0,1,0) (0,0,3)\n"
    path.write_bytes(f"{header}endian: little\nencoding: {encoding}\nspace origin: (1,2,3)\n{extra}\n".encode() + data)
    return path


def test_encodings_of_nrrd(tmp_path):
    raw = CT.tobytes(order="F")
    half = len(raw) // 2
    for encoding, data in {
        "raw": raw,
        "gzip": gzip.compress(raw),
        "gz": gzip.compress(raw[:half]) + gzip.compress(raw[half:]),
        "hex": raw.hex().encode(),
        "ascii": " ".join(map(str, CT.ravel(order="F"))).encode(),
    }.items():
        ct = read_ct(nrrd(tmp_path / "a.nrrd", data, encoding))
        np.testing.assert_array_equal(ct.array, CT)
        np.testing.assert_array_equal(ct.affine, [[2, 0, 0, 1], [0, 1, 0, 2], [0, 0, 3, 3], [0, 0, 0, 1]])
        for bad in (data[:-7], data + data[:9]):
            with pytest.raises(InputError, match="damaged"):
                read_ct(nrrd(tmp_path / "b.nrrd", bad, encoding))
    with pytest.raises(InputError, match="encoded as 'bzip2'"):
        read_ct(nrrd(tmp_path / "a.nrrd", raw, "bzip2"))
    with pytest.raises(InputError, match="header"):
        read_ct(nrrd(tmp_path / "a.nrrd", raw, extra="spcae units: x\n"))


def test_voxels_in_several_files_beside_the_header(tmp_path):
    parts = [CT[:, :, :7], CT[:, :, 7:]]
    for number, part in enumerate(parts, start=1):
        (tmp_path / f"part{number:02d}.raw").write_bytes(part.tobytes(order="F"))
    listed = nrrd(tmp_path / "a.nhdr", b"", extra="data file: LIST\npart01.raw\npart02.raw")
    pattern = nrrd(tmp_path / "b.nhdr", b"", extra="data file: part%02d.raw 1 2 1\n")
    meta = "ObjectType = Image\nNDims = 3\nDimSize = 12 13 14\nTransformMatrix = -1 0 0 0 -1 0 0 0 1\nOffset = -1 -2 3\n"
    meta += "ElementSpacing = 2 1 3\nElementType = MET_SHORT\nElementDataFile = "
    (tmp_path / "c.mhd").write_text(f"{meta}LIST\npart01.raw\npart02.raw\n")
    (tmp_path / "d.mha").write_text(f"{meta}part%02d.raw 1 2 1\n")
    for path in (listed, pattern, tmp_path / "c.mhd", tmp_path / "d.mha"):
        ct = read_ct(path)
        np.testing.assert_array_equal(ct.array, CT)
        np.testing.assert_allclose(ct.affine[:3, 3], [1, 2, 3])
        assert [file.name for file in files_of(path)] == [path.name, "part01.raw", "part02.raw"]
        before = sha256_of(path)
        (tmp_path / "part02.raw").write_bytes((parts[1] + 1).astype(np.int16).tobytes(order="F"))
        assert sha256_of(path) != before
        (tmp_path / "part02.raw").write_bytes(parts[1].tobytes(order="F"))


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.raw", "..", "sub/x.raw", "C:\\x.raw", "a\\b.raw", "/dev/zero"])
def test_a_header_names_only_files_beside_it(tmp_path, name):
    (tmp_path / "secret.raw").write_bytes(CT.tobytes(order="F"))
    folder = tmp_path / "case"
    folder.mkdir()
    nrrd(folder / "a.nhdr", b"", extra=f"data file: {name}\n")
    nrrd(folder / "b.nrrd", b"", extra=f"data file: LIST\n{name}")
    meta = "ObjectType = Image\nNDims = 3\nDimSize = 12 13 14\nElementType = MET_SHORT\nElementDataFile = "
    (folder / "c.mhd").write_text(f"{meta}{name}\n")
    (folder / "d.mha").write_text(f"{meta}LIST\n{name}\n")
    for path in sorted(folder.iterdir()):
        with pytest.raises(InputError, match="only files beside it"):
            read_volume(path)
        assert files_of(path) == [path]


def test_claims_are_checked_before_anything_is_allocated(tmp_path):
    huge = "NRRD0004\ntype: double\ndimension: 3\nspace: RAS\nsizes: 99999 99999 99999\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"
    (tmp_path / "a.nrrd").write_text(f"{huge}endian: little\nencoding: gzip\nspace origin: (0,0,0)\n\n")
    (tmp_path / "b.mha").write_text("NDims = 3\nDimSize = 65535 65535 65535\nElementType = MET_DOUBLE\nElementDataFile = LOCAL\n")
    for name in ("a.nrrd", "b.mha"):
        with pytest.raises(InputError, match="damaged"):
            read_ct(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.nii.gz")
    os.mkfifo(tmp_path / "voxels.raw")
    nrrd(tmp_path / "b.nhdr", b"", extra="data file: voxels.raw\n")
    for name, words in (("a.nii.gz", "pipe"), ("b.nhdr", "missing")):
        with pytest.raises(InputError, match=words):
            read_ct(tmp_path / name)


def test_what_a_header_leaves_open_is_told(tmp_path):
    raw = CT.tobytes(order="F")
    meta = {
        "NDims": "3",
        "DimSize": "12 13 14",
        "TransformMatrix": "-1 0 0 0 -1 0 0 0 1",
        "Offset": "1 2 3",
        "ElementSpacing": "2 2 2",
    }
    for lost, words in (("Offset", "first voxel"), ("ElementSpacing", "how large"), ("TransformMatrix", "left and right")):
        text = "".join(f"{name} = {value}\n" for name, value in meta.items() if name != lost)
        (tmp_path / "a.mha").write_bytes(f"{text}ElementType = MET_SHORT\nElementDataFile = LOCAL\n".encode() + raw)
        (told,) = read_ct(tmp_path / "a.mha").warnings
        assert words in told
    for origin in ("", "space origin: (nan,nan,nan)\n"):
        text = "NRRD0004\ntype: short\ndimension: 3\nspace: LPS\nsizes: 12 13 14\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"
        (tmp_path / "b.nrrd").write_bytes(f"{text}{origin}endian: little\nencoding: raw\n\n".encode() + raw)
        (told,) = read_ct(tmp_path / "b.nrrd").warnings
        assert "first voxel" in told


@given(st.integers(1, 3), st.booleans(), st.booleans())
@settings(max_examples=12, deadline=None, derandomize=True)
def test_old_slicer_segmentations_keep_every_segment(tmp_path_factory, count, labelled, layered):
    path = tmp_path_factory.mktemp("old") / "old.seg.nrrd"
    layers = [np.zeros(GRID.shape, np.uint8) for _ in range(count)]
    for number, layer in enumerate(layers):
        layer[2 + number : 6 + number, 3:8, 4:9] = 1
    save_segmentation(path, layers if count > 1 else [*layers, layers[0] * 0], [(f"s{k}", k, 1) for k in range(count)], GRID)
    content = path.read_bytes()
    if not labelled:
        content = b"\n".join(line for line in content.split(b"\n") if b"_LabelValue" not in line)
    if not layered:
        content = b"\n".join(line for line in content.split(b"\n") if b"_Layer:" not in line)
    path.write_bytes(content)
    regions, warnings = read_regions(str(path), GRID)
    assert [name for name, _ in regions] == [f"s{k}" for k in range(count)]
    assert not warnings
    for (_, mask), layer in zip(regions, layers, strict=True):
        np.testing.assert_array_equal(mask, layer == 1)


def test_a_list_of_one_layer_and_a_single_slice(tmp_path):
    mask = np.zeros((*GRID.shape[:2], 1), np.uint8)
    mask[3:9, 4:10] = 1
    affine = GRID.affine.copy()
    affine[:3, 3] = GRID.to_ras([0, 0, 5])
    regions, _ = read_regions(str(save_as(tmp_path, ".nii.gz", mask, affine)), GRID)
    expected = np.zeros(GRID.shape, bool)
    expected[3:9, 4:10, 5] = True
    np.testing.assert_array_equal(regions[0][1], expected)
    one = save_segmentation(tmp_path / "one.seg.nrrd", [expected * 1, expected * 0], [("lesion", 0, 1)], GRID)
    content = one.read_bytes().replace(b"sizes: 2 ", b"sizes: 1 ")
    head, _, voxels = content.partition(b"\n\n")
    one.write_bytes(head + b"\n\n" + voxels[::2])
    ((name, found),), _ = read_regions(str(one), GRID)
    assert name == "lesion"
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(InputError, match="single slice"):
        read_ct(tmp_path / "a.nii.gz")
