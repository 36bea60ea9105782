"""CT volumes: reading them with every check, writing volumes, and the intensities a model wants.

Arrays are ``[x, y, z]`` (voxel index order of the affine); affines map voxel indices to patient RAS millimetres. Geometry is in
grid.py, DICOM series in dicom.py.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..errors import InputError
from ..system.files import replacing
from .grid import Grid
from .nifti import fits_int16, read_nifti, three_dimensions, write_nifti
from .nrrd import NUMPY_TYPES, map_voxels, read_header, write_nrrd

NIFTI_SUFFIXES = (".nii.gz", ".nii")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
META_SUFFIXES = (".mha", ".mhd")
SUFFIXES = NIFTI_SUFFIXES + NRRD_SUFFIXES + META_SUFFIXES
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
READ_BYTES = 1 << 22
# A CT has air at about -1000 HU and soft tissue around 0.
HIGHEST_CT_MINIMUM = -200
SMALLEST_CT_RANGE = 200
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image in patient space.

    Attributes:
        array: ``[x, y, z]``; HU for a CT (int16 where the values are whole numbers), else what was stored.
        affine: 4×4 float64, voxel index → RAS mm.
        name: file name without its suffixes, or the folder's name; never anything from the image's own tags.
        warnings: full sentences for the user.
    """

    array: np.ndarray
    affine: np.ndarray
    name: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """Shape and affine."""
        x, y, z = (int(size) for size in self.array.shape)
        return Grid((x, y, z), self.affine)


def read_ct(path: str | Path) -> Volume:
    """Read a CT: NIfTI, NRRD, MetaImage, or a folder with a DICOM series.

    Returns:
        The volume in HU on its own grid (no reorientation); doubts, such as values that do not look like HU, are in ``warnings``.

    Raises:
        InputError: anything that makes the file unusable, in one sentence.
    """
    return checked_ct(_read(Path(path)))


def checked_ct(volume: Volume) -> Volume:
    """The volume as a CT: whole numbers as int16, doubts in ``warnings``.

    Raises:
        InputError: voxels that are NaN, infinite, or all the same.
    """
    array, lowest, highest = _checked_values(volume.array, volume.name)
    warnings = volume.warnings + _hu_warnings(lowest, highest)
    if array.dtype.kind in "iu":
        array = array.astype(np.int16 if fits_int16(lowest, highest) else np.float32, copy=False)
    return Volume(array, volume.affine, volume.name, warnings)


def read_volume(path: str | Path) -> Volume:
    """Read any 3D image file (label map, attribution, mask) with its stored type, without the checks of a CT's values.

    Raises:
        InputError: missing, damaged, or not one 3D image with a usable geometry.
    """
    return _read(Path(path))


def read_map(path: str | Path) -> Volume:
    """Read an image with its voxels mapped into memory where the file is an uncompressed NRRD, as attributions are.

    Raises:
        InputError: as :func:`read_volume`.
    """
    path = Path(path)
    if path.name.lower().endswith(".nrrd") and path.is_file():
        mapped = _guarded(path, lambda: map_voxels(path))
        if mapped is not None:
            array, affine = mapped
            _check_affine(path, affine)
            return Volume(array, affine, stem_of(path))
    return _read(path)


def stem_of(path: str | Path) -> str:
    """The file name as given, without its (double) suffix; a folder's whole name. Always fit for UTF-8."""
    # A link is not followed: who names the case in a link means that name, and not the patient's in the file behind it.
    name = Path(path).name if Path(path).name not in ("", "..") else Path(path).resolve().name
    name = name.encode("utf-8", errors="replace").decode("utf-8")
    for suffix in (".seg.nrrd", *SUFFIXES):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def scale_intensity(
    hu: np.ndarray, hu_window: tuple[float, float], intensity_range: tuple[float, float] = (0.0, 1.0)
) -> np.ndarray:
    """Clip HU to a window and map it linearly to the range a network was trained on.

    Args:
        hu: any shape and type.
        hu_window: HU that become the two ends of ``intensity_range``.
        intensity_range: lowest and highest output.

    Returns:
        New float32 array of the same shape in C order.

    Raises:
        ValueError: for an empty window.
    """
    low, high = hu_window
    if not high > low:
        raise ValueError(f"hu_window must go up, not {low} to {high}")
    scaled = np.array(hu, dtype=np.float32, order="C")
    np.clip(scaled, low, high, out=scaled)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    scaled *= np.float32(intensity_range[1] - intensity_range[0])
    scaled += np.float32(intensity_range[0])
    return scaled


def write_volume(path: str | Path, array: np.ndarray, affine: np.ndarray, compress: bool = False) -> None:
    """Write a 3D image as ``.nii.gz``, ``.nii`` or ``.nrrd``: to a temporary file beside, then renamed.

    Args:
        path: its suffix decides the format; the folder must exist.
        array: ``[x, y, z]``; bool becomes uint8, float64 and float16 become float32, 64-bit integers become int32.
        affine: 4×4, voxel index → RAS mm.
        compress: for ``.nrrd``; uncompressed files can be mapped into memory (:func:`read_map`). ``.nii.gz`` is always compressed.

    Raises:
        InputError: no room, no permission, or the folder is missing.
        ValueError: for an array that is not 3D, another suffix, or values that do not fit the stored type.
    """
    path = Path(path)
    suffix = next((known for known in (".nii.gz", ".nii", ".nrrd") if path.name.lower().endswith(known)), None)
    if suffix is None:
        raise ValueError(f"cannot write {path.name}: use .nii.gz, .nii or .nrrd")
    if array.ndim != 3:
        raise ValueError(f"cannot write an array of shape {array.shape}: it must be 3D")
    array = _storable(array)
    try:
        with replacing(path) as temporary:
            if suffix == ".nrrd":
                write_nrrd(temporary, array, affine, compress)
            else:
                write_nifti(temporary, array, affine)
    except OSError as error:
        raise _write_problem(path, error) from error


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file, or of a folder: of its files' SHA-256 in the order of their paths (hidden files left out).

    For ``.nhdr`` and ``.mhd`` the voxels' own file is included.

    Raises:
        InputError: the path is missing or cannot be read.
    """
    path = Path(path)
    digests = [_guarded(file, lambda file=file: _file_sha256(file)) for file in files_of(path)]  # type: ignore[misc]
    if len(digests) == 1 and not path.is_dir():
        return digests[0].hexdigest()
    total = hashlib.sha256()
    for digest in digests:
        total.update(digest.digest())
    return total.hexdigest()


def files_of(path: Path) -> list[Path]:
    """The files that :func:`sha256_of` reads, in its order.

    Raises:
        InputError: the path is missing or cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path.")
    if path.is_dir():
        return sorted((file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")), key=Path.as_posix)
    return [path, *_guarded(path, lambda: _detached_voxels(path))]


def _read(path: Path) -> Volume:
    """Any supported image with its geometry checked and its values as stored (DICOM: HU)."""
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path.")
    name = stem_of(path)
    if path.is_dir():
        from .dicom import read_series

        array, affine, warnings = _guarded(path, lambda: read_series(path))
    else:
        suffix = next((known for known in SUFFIXES if path.name.lower().endswith(known)), None)
        if _guarded(path, lambda: path.stat().st_size) == 0:
            raise InputError(f"{path.name} is empty (0 bytes): copy or export it again.")
        if suffix is None:
            raise _unknown_suffix(path)
        reader: Callable[[Path], tuple[np.ndarray, np.ndarray, list[str]]] = read_nifti if suffix in NIFTI_SUFFIXES else _read_itk
        array, affine, warnings = _guarded(path, lambda: reader(path))
    _check_affine(path, affine)
    return Volume(array, affine, name, tuple(warnings))


def _guarded(path: Path, read: Callable[[], T]) -> T:
    """The reader's result; a refusal of the operating system becomes one sentence."""
    try:
        return read()
    except PermissionError as error:
        raise InputError(
            f"{path} cannot be opened (no permission): change its permissions or copy it to a folder of yours."
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the disk or copy it again.") from error


def _unknown_suffix(path: Path) -> InputError:
    with path.open("rb") as stream:
        dicom = stream.read(132)[128:] == b"DICM"
    if dicom or path.suffix.lower() in DICOM_SUFFIXES:
        return InputError(f"{path.name} is one DICOM file: give the folder that holds the whole series ({path.resolve().parent}).")
    return InputError(f"{path.name} is of an unknown kind: give {', '.join(SUFFIXES)} or a folder with a DICOM series.")


def _read_itk(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """NRRD or MetaImage through SimpleITK: voxels ``[x, y, z]``, affine voxel → RAS mm, warnings."""
    import SimpleITK

    oriented, steps = _nrrd_geometry(path) if path.name.lower().endswith(NRRD_SUFFIXES) else _meta_geometry(path)
    # SimpleITK quietly replaces a spacing it does not like.
    if not all(step > 0 for step in steps):
        raise InputError(f"{path.name} has a voxel spacing that is zero or negative: export it again.")
    for file in _detached_voxels(path):
        if not file.is_file():
            raise InputError(f"{path.name} needs the file {file.name} beside it, which is missing: copy both.")
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        sizes = three_dimensions(path, reader.GetSize())
        components = reader.GetNumberOfComponents()
        if components != 1:
            raise InputError(f"{path.name} holds {components} values a voxel (colour or vectors): export a grey-scale image.")
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(f"{path.name} is damaged or incomplete: copy or export it again.") from error
    array = SimpleITK.GetArrayFromImage(image).reshape(sizes[::-1]).transpose()
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path.name} holds {array.dtype} voxels: export the CT as a grey-scale image.")
    dimension = image.GetDimension()
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(dimension, dimension)[:3, :3]
    affine[:3, :3] = direction * np.array(image.GetSpacing())[:3]
    affine[:3, 3] = image.GetOrigin()[:3]
    warnings = []
    if not oriented:
        warnings.append(f"{path.name} does not say how it lies in the patient: left and right may be swapped.")
    return array, LPS_TO_RAS @ affine, warnings


def _meta_fields(path: Path) -> dict[str, str]:
    """The text fields of a MetaImage header, names in lower case."""
    fields: dict[str, str] = {}
    with path.open("rb") as stream:
        for _ in range(200):
            name, equals, value = stream.readline(4096).decode("utf-8", errors="replace").partition("=")
            if not equals:
                break
            fields[name.strip().lower()] = value.strip()
            if name.strip().lower() == "elementdatafile":
                return fields
    raise InputError(f"{path.name} is not a MetaImage file, or it is damaged: export the image again.")


def _meta_geometry(path: Path) -> tuple[bool, list[float]]:
    """Whether a MetaImage header says how it lies in the patient, and the spacing it gives (none where it says nothing)."""
    fields = _meta_fields(path)
    spacing = fields.get("elementspacing", fields.get("elementsize", ""))
    return bool({"transformmatrix", "rotation", "orientation"} & fields.keys()), _floats(spacing)


def _nrrd_geometry(path: Path) -> tuple[bool, list[float]]:
    """As :func:`_meta_geometry`, of a NRRD header."""
    header = read_header(path)
    directions = header.fields.get("space directions", "").replace(", ", ",").split()
    lengths = [float(np.linalg.norm(_floats(text.strip("()").replace(",", " ")))) for text in directions if text != "none"]
    return header.has_orientation, lengths + _floats(header.fields.get("spacings", ""))


def _floats(text: str) -> list[float]:
    """The numbers in a text; NaN stands for "not given" in NRRD and is left out."""
    try:
        return [value for value in map(float, text.split()) if not np.isnan(value)]
    except ValueError:
        return []


def _detached_voxels(path: Path) -> list[Path]:
    """The file beside a ``.nhdr`` or ``.mhd`` header that holds the voxels (none for lists and patterns of files)."""
    lower = path.name.lower()
    if lower.endswith(".nhdr"):
        fields = read_header(path).fields
        name = fields.get("data file", fields.get("datafile", ""))
    elif lower.endswith(".mhd"):
        name = _meta_fields(path)["elementdatafile"]
    else:
        return []
    if not name or name.upper().startswith(("LIST", "LOCAL")) or "%" in name:
        return []
    return [path.parent / name]


def _check_affine(path: Path, affine: np.ndarray) -> None:
    columns = affine[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    if not np.isfinite(affine).all():
        raise InputError(f"{path.name} has a position or orientation that is not a number: export it again.")
    if not (spacing > 0).all():
        raise InputError(f"{path.name} has a voxel spacing of zero: export it again.")
    if abs(np.linalg.det(columns / spacing)) < 1e-3:
        raise InputError(f"{path.name} has axes that do not span a volume (singular orientation): export it again.")


def _checked_values(array: np.ndarray, name: str) -> tuple[np.ndarray, float, float]:
    """The array (floats as float32), its minimum and maximum; refuses NaN, infinite and constant voxels."""
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
    lowest, highest = float(array.min()), float(array.max())
    if not np.isfinite(lowest) or not np.isfinite(highest):
        bad = sum(int(np.count_nonzero(~np.isfinite(array[..., plane]))) for plane in range(array.shape[-1]))
        raise InputError(f"{name} has {bad} voxels that are NaN or infinite: replace them, outside the body by -1000 HU.")
    if lowest == highest:
        raise InputError(f"{name} has the same value ({lowest:g}) in every voxel: it is not a CT, export it again.")
    return array, lowest, highest


def _hu_warnings(lowest: float, highest: float) -> tuple[str, ...]:
    if lowest <= HIGHEST_CT_MINIMUM and highest - lowest >= SMALLEST_CT_RANGE and highest > HIGHEST_CT_MINIMUM:
        return ()
    return (
        f"The voxel values ({lowest:g} to {highest:g}) do not look like Hounsfield units, where air is about -1000: an MR or an "
        "already scaled image gives meaningless results, so give the CT in HU.",
    )


def _storable(array: np.ndarray) -> np.ndarray:
    """The array in a type that NIfTI, NRRD and Slicer know."""
    if array.dtype == bool:
        return array.view(np.uint8)
    if array.dtype in (np.float64, np.float16):
        return array.astype(np.float32)
    if array.dtype in (np.int64, np.uint64):
        if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
            raise ValueError("cannot store 64-bit integers beyond 32 bits")
        return array.astype(np.int32)
    if array.dtype.newbyteorder("=") not in NUMPY_TYPES.values():
        raise ValueError(f"cannot store {array.dtype} voxels")
    return array


def _write_problem(path: Path, error: OSError) -> InputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"No room left on the disk for {path}: free some space or choose another folder.")
    if isinstance(error, PermissionError):
        return InputError(f"No permission to write {path}: choose another folder.")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return InputError(f"The folder {path.parent} does not exist: create it or choose another.")
    return InputError(f"{path} cannot be written ({error.strerror or error}): choose another folder.")


def _file_sha256(path: Path) -> hashlib._Hash:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(READ_BYTES):
            digest.update(block)
    return digest
