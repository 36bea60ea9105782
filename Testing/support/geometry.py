"""Builders for the tests of images and regions: grids in any orientation, a marker at a known place, writers that are not ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from Agg2ExpLib.io.grid import Grid

AIR = -1000
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """3×3 rotation about the patient's axes, angles in degrees."""
    (cx, sx), (cy, sy), (cz, sz) = ((np.cos(np.deg2rad(a)), np.sin(np.deg2rad(a))) for a in (x, y, z))
    return (
        np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    )


def make_grid(shape, spacing, order=(0, 1, 2), signs=(1, 1, 1), angles=(0, 0, 0), origin=(-30.0, 12.0, 55.0), shear=0.0) -> Grid:
    """A grid with axes along permuted, flipped, then rotated patient axes; ``shear`` tilts the third into the second."""
    axes = np.zeros((3, 3))
    for voxel_axis, (patient_axis, sign) in enumerate(zip(order, signs, strict=True)):
        axes[patient_axis, voxel_axis] = sign
    affine = np.eye(4)
    affine[:3, :3] = (rotation(*angles) @ axes) * np.asarray(spacing)
    affine[:3, 2] += shear * affine[:3, 1] / spacing[1] * spacing[2]
    affine[:3, 3] = origin
    return Grid(tuple(shape), affine)


@st.composite
def grids(draw, oblique=True, right_handed=False, extent=24.0):
    """Grids of about ``extent`` mm in any orientation, with anisotropic spacing and no axis of equal size by construction."""
    # Irrational steps keep (n − 1) · old / new away from halves, where rounding depends on the last bit.
    spacing = [0.9 + 0.1618 * draw(st.integers(0, 8)) for _ in range(3)]
    shape = [int(extent / step) + 2 + axis + draw(st.integers(0, 3)) for axis, step in enumerate(spacing)]
    order = draw(st.permutations(range(3)))
    signs = [draw(st.sampled_from((1, -1))) for _ in range(3)]
    angles = [draw(st.sampled_from((0.0, 7.3, -21.1, 33.7))) for _ in range(3)] if oblique else (0, 0, 0)
    origin = [draw(st.integers(-200, 200)) + 0.25 for _ in range(3)]
    grid = make_grid(shape, spacing, order, signs, angles, origin)
    if right_handed and np.linalg.det(grid.affine) < 0:
        grid = make_grid(shape, spacing, order, [-signs[0], *signs[1:]], angles, origin)
    return grid


def marker_place(grid: Grid, fractions=(0.58, 0.43, 0.6)) -> np.ndarray:
    """RAS mm of a place inside the grid and away from its middle along every axis."""
    return grid.to_ras((np.asarray(grid.shape) - 1) * np.asarray(fractions))


def paint(grid: Grid, place: np.ndarray, width: float = 2.6) -> np.ndarray:
    """int16 ``[x, y, z]``: air with a bright Gaussian marker (standard deviation ``width`` mm) centred at RAS ``place``."""
    index = np.stack(np.meshgrid(*(np.arange(size) for size in grid.shape), indexing="ij"), axis=-1)
    distance = np.linalg.norm(grid.to_ras(index) - place, axis=-1)
    return np.rint(AIR + 3000 * np.exp(-0.5 * (distance / width) ** 2)).astype(np.int16)


def found_place(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """RAS mm of the marker's centre of mass, computed from the voxel indices and the affine alone."""
    weight = np.asarray(array, dtype=np.float64) - AIR
    index = [
        (weight * np.arange(size).reshape([-1 if a == axis else 1 for a in range(3)])).sum()
        for axis, size in enumerate(weight.shape)
    ]
    return (affine @ [*(np.array(index) / weight.sum()), 1])[:3]


def save_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    """Through nibabel."""
    import nibabel

    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def save_itk(path: Path, array: np.ndarray, affine: np.ndarray, compress: bool = False) -> Path:
    """Through SimpleITK: NRRD, MetaImage (or NIfTI)."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T))
    lps = FLIP @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(path), compress)
    return path


def save_dicom(folder: Path, array: np.ndarray, affine: np.ndarray, names=None, slope=1.0, intercept=-1024.0, **tags) -> Path:
    """Through pydicom: one CT slice a file, ``array`` in HU; ``names`` are the files' names in slice order."""
    import pydicom
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    lps = FLIP @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    series = tags.pop("SeriesInstanceUID", generate_uid())
    for number in range(array.shape[2]):
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
        data.SeriesInstanceUID, data.StudyInstanceUID = series, generate_uid()
        data.Modality, data.PatientName, data.PatientID = "CT", "Secret^Name", "SECRET-ID"
        data.ImageType, data.InstanceNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], number + 1
        data.Columns, data.Rows = array.shape[0], array.shape[1]
        data.PixelSpacing = [_ds(spacing[1]), _ds(spacing[0])]
        data.ImageOrientationPatient = [_ds(value) for value in (lps[:3, :2] / spacing[:2]).T.ravel()]
        data.ImagePositionPatient = [_ds(value) for value in (lps @ [0, 0, number, 1])[:3]]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.RescaleSlope, data.RescaleIntercept = _ds(slope), _ds(intercept)
        stored = np.rint((array[:, :, number].T - intercept) / slope)
        assert stored.min() >= 0, "an unsigned value below 0 would come out as a large one"
        assert stored.max() < 2**16
        data.PixelData = np.ascontiguousarray(stored.astype("<u2")).tobytes()
        for tag, value in tags.items():
            setattr(data, tag, value)
        data.save_as(folder / (names[number] if names else f"{number:03d}.dcm"), enforce_file_format=True)
    return folder


def enhanced(data, places, array):
    """Turn a plain slice into an enhanced image with these frames ``[x, y, k]``."""

    from pydicom import Dataset

    def item(**values):
        made = Dataset()
        for name, value in values.items():
            setattr(made, name, value)
        return made

    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    data.NumberOfFrames = len(places)
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=data.ImageOrientationPatient)],
        PixelMeasuresSequence=[item(PixelSpacing=data.PixelSpacing, SliceThickness="2.5")],
        PixelValueTransformationSequence=[item(RescaleSlope="1", RescaleIntercept="-1024", RescaleType="HU")],
    )
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=list(place))], FrameContentSequence=[item(FrameAcquisitionNumber=1)])
        for place in places
    ]
    data.PixelData = b"".join((array[:, :, k].T.astype(int) + 1024).astype("<u2").tobytes() for k in range(array.shape[2]))
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(data, name)


def _ds(value: float) -> str:
    """A DICOM decimal string (16 characters at most)."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))


def save_segmentation(path, layers, segments, grid):
    """A .seg.nrrd as Slicer writes it: ``layers`` [l, x, y, z], ``segments`` (name, layer, value)."""
    lps = np.diag([-1.0, -1, 1, 1]) @ grid.affine
    vectors = " ".join(f"({','.join(str(float(v)) for v in lps[:3, axis])})" for axis in range(3))
    several = len(layers) > 1
    lines = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {4 if several else 3}",
        "space: left-posterior-superior",
        f"sizes: {f'{len(layers)} ' if several else ''}{' '.join(map(str, grid.shape))}",
        f"space directions: {'none ' if several else ''}{vectors}",
        f"kinds: {'list ' if several else ''}domain domain domain",
        "endian: little",
        "encoding: raw",
        f"space origin: ({','.join(str(float(v)) for v in lps[:3, 3])})",
    ]
    for number, (name, layer, value) in enumerate(segments):
        lines += [f"Segment{number}_Name:={name}", f"Segment{number}_LabelValue:={value}", f"Segment{number}_Layer:={layer}"]
    voxels = np.stack(layers) if several else layers[0]
    path.write_bytes(("\n".join(lines) + "\n\n").encode() + voxels.astype(np.uint8).tobytes(order="F"))
    return path


SMALL_GRID = make_grid((12, 13, 14), (1.5, 2.0, 2.5), signs=(-1, -1, 1), angles=(5, 10, -20))


def save_as(folder, suffix, array, affine):
    if suffix == "dicom":
        return save_dicom(folder / "series", array, affine)
    saver = save_nifti if suffix.startswith(".nii") else save_itk
    return saver(folder / f"a{suffix}", array, affine)
