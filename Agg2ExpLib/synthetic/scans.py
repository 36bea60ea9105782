"""Synthetic chest CT: anatomies (label maps of tissue ids) deformed at random and painted with the HU of a random scan.

Arrays are [x, y, z] on RAS axes (axis 0 towards the patient's right). Only geometry comes from label maps; no CT is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import tissues as t


@dataclass(frozen=True)
class Anatomy:
    """Tissue ids of one body and how far outside its bones and organs each voxel lies.

    Attributes:
        ids: uint8 [x, y, z], see :mod:`tissues`; 0 outside the hull of all structures.
        depth: float32 [x, y, z], mm outside that hull (0 inside), from which skin, fat and muscle are layered.
        spacing: mm per voxel along each axis.
        name: for messages and the model card.
    """

    ids: np.ndarray
    depth: np.ndarray
    spacing: tuple[float, float, float]
    name: str = ""


@dataclass(frozen=True)
class Example:
    """One training window: ``ct`` float32 HU and ``labels`` uint8 (channel of labels.PAPER_LABELS), both [x, y, z]."""

    ct: np.ndarray
    labels: np.ndarray


def load_anatomy(path: str | Path, step_mm: float = 3.0, margin_mm: float = 75.0) -> Anatomy:
    """Read a TotalSegmentator v2 label map (117 ids) and fill the body around its structures.

    Raises:
        InputError: for a file that is missing or is not such a label map.
    """
    import nibabel

    path = Path(path)
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        ids = np.asarray(image.dataobj)
    except (OSError, nibabel.filebasedimages.ImageFileError) as error:
        raise InputError(f"{path.name} cannot be read as a label map ({error}): give a whole .nii or .nii.gz file.") from error
    if ids.ndim != 3 or ids.min() < 0 or ids.max() > t.CARTILAGE or not np.isin(t.LUNGS, ids).any():
        raise InputError(f"{path.name} is no TotalSegmentator v2 label map of a thorax: it needs ids 0 to 117 with lung lobes.")
    zooms = image.header.get_zooms()[:3]
    steps = [max(1, round(step_mm / zoom)) for zoom in zooms]
    spacing = tuple(float(zoom * step) for zoom, step in zip(zooms, steps, strict=True))
    ids = ids[tuple(slice(None, None, step) for step in steps)].astype(np.uint8)
    margin = [(round(margin_mm / size),) * 2 for size in spacing[:2]]
    return complete_anatomy(np.pad(ids, [*margin, (0, 0)]), (spacing[0], spacing[1], spacing[2]), path.name.split("_")[0])


def complete_anatomy(ids: np.ndarray, spacing: tuple[float, float, float], name: str = "") -> Anatomy:
    """Give unlabelled voxels between the structures a tissue: visceral fat within the organs' hull, muscle around it."""
    from scipy import ndimage

    ids = ids.copy()
    bones_and_muscles = np.isin(ids, [*t.BONES, *t.MUSCLES, t.CARTILAGE])
    outer, inner = _slice_hulls(ids > 0), _slice_hulls((ids > 0) & ~bones_and_muscles)
    unlabelled = ids == 0
    ids[unlabelled & outer] = t.MUSCLE
    ids[unlabelled & inner] = t.VISCERAL
    depth = ndimage.distance_transform_edt(~outer, sampling=spacing).astype(np.float32)
    return Anatomy(ids, depth, spacing, name)


def _slice_hulls(mask: np.ndarray) -> np.ndarray:
    """Convex hull of every axial slice."""
    from scipy.spatial import ConvexHull, QhullError

    hulls = mask.copy()
    x, y = (np.arange(n, dtype=np.float32) for n in mask.shape[:2])
    for z in range(mask.shape[2]):
        rows = np.flatnonzero(mask[:, :, z].any(1))
        if len(rows) < 2:
            continue
        first = mask[rows, :, z].argmax(1)
        last = mask.shape[1] - 1 - mask[rows, ::-1, z].argmax(1)
        try:
            hull = ConvexHull(np.concatenate([np.stack([rows, first], 1), np.stack([rows, last], 1)]))
        except QhullError:  # all on one line: it is its own hull
            continue
        inside = [a * x[:, None] + b * y <= 1e-4 - c for a, b, c in hull.equations.astype(np.float32)]
        hulls[:, :, z] = np.logical_and.reduce(inside)
    return hulls


def smooth_field(rng: np.random.Generator, shape: Sequence[int], scale: float | Sequence[float] | np.ndarray) -> np.ndarray:
    """Gaussian random field, mean 0 and variance 1 at every voxel, correlated over ``scale`` voxels; float32."""
    scales = np.broadcast_to(np.asarray(scale, float), 3)
    weights = []
    for size, width in zip(shape, scales, strict=True):
        width = max(float(width), 0.5)
        knots = np.arange(-2, size / width + 2) * width
        kernel = np.exp(-0.5 * ((np.arange(size)[:, None] - knots) / (0.8 * width)) ** 2)
        weights.append((kernel / np.linalg.norm(kernel, axis=1, keepdims=True)).astype(np.float32))
    field = rng.standard_normal([matrix.shape[1] for matrix in weights], dtype=np.float32)
    for matrix in weights:  # each product moves the next axis to the front of the line
        field = np.tensordot(field, matrix, axes=(0, 1))
    return field


def mirror(anatomy: Anatomy) -> Anatomy:
    """The body seen in a mirror, its ids renamed so that left stays the patient's left (two-lobed lung on the right)."""
    return Anatomy(t.MIRRORED_ID[anatomy.ids[::-1]], anatomy.depth[::-1], anatomy.spacing, anatomy.name)


def warp(
    anatomy: Anatomy,
    rng: np.random.Generator,
    shape: Sequence[int],
    spacing: float,
    strength: float = 1.0,
    centre: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """A window of ``shape`` voxels of ``spacing`` mm of the randomly deformed body: (ids, depth).

    Args:
        centre: voxel of the anatomy in the window's middle; at random around the lungs where not given.
    """
    from scipy import ndimage

    source = np.asarray(anatomy.spacing)
    size = np.asarray(anatomy.ids.shape)
    angles = np.deg2rad(rng.normal(0, 6, 3).clip(-15, 15)) * strength
    zoom = np.exp(rng.normal(0, 0.1, 3) + rng.normal(0, 0.1)) ** strength
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        turn, (a, b) = np.eye(3), [k for k in range(3) if k != axis]
        turn[[a, b], [a, b]], turn[a, b], turn[b, a] = np.cos(angle), -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    centre = _window_centre(anatomy, rng) if centre is None else centre
    axes = [((np.arange(n) - (n - 1) / 2) * spacing).astype(np.float32) for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    scale_mm = rng.uniform(45, 110)
    for axis in range(3):
        points[axis] += smooth_field(rng, shape, scale_mm / spacing) * np.float32(rng.uniform(0, 0.11) * scale_mm * strength)
    voxels = np.tensordot((matrix / zoom).astype(np.float32), points, axes=1) / source[:, None, None, None].astype(np.float32)
    voxels += centre.astype(np.float32)[:, None, None, None]
    # Beyond the first and last slice the body goes on for a few cm at most, then the scan ends.
    reach = rng.uniform(0, 40, 2) / source[2]
    ended = (voxels[2] < -reach[0]) | (voxels[2] > size[2] - 1 + reach[1])
    voxels[2] = voxels[2].clip(0, size[2] - 1)
    ids = ndimage.map_coordinates(anatomy.ids, voxels, order=0, mode="constant", cval=0)
    depth = ndimage.map_coordinates(anatomy.depth, voxels, order=1, mode="nearest")
    depth[ended] = np.inf
    ids[ended] = 0
    return ids, depth


def _window_centre(anatomy: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """Voxel the window is centred on: anywhere around the lungs, now and then below them."""
    lungs = np.isin(anatomy.ids[::4, ::4, ::4], t.LUNGS)
    low, high = [], []
    for axis in range(3):
        span = np.flatnonzero(lungs.any(tuple(k for k in range(3) if k != axis))) * 4
        low.append(span[0] if len(span) else 0)
        high.append(span[-1] if len(span) else anatomy.ids.shape[axis] - 1)
    lower, upper = np.array(low, float), np.array(high, float)
    wide = rng.random() < 0.25  # a window of a broad scan may lie far to one side, or behind the back
    place = rng.uniform((-0.1, -0.5, 0.1), (1.1, 1.0, 0.9)) if wide else rng.uniform(0.32, 0.68, 3)
    place[2] = rng.uniform(-0.6, 0.2) if rng.random() < 0.15 else rng.uniform(0.05, 1.0)
    return lower + place * (upper - lower)


def layer_wall(ids: np.ndarray, depth: np.ndarray, rng: np.random.Generator, spacing: float) -> np.ndarray:
    """Ids with muscle, fat, skin and a table painted where the anatomy has nothing (outside its hull)."""
    ids = ids.copy()
    outside = ids == t.AIR
    bumps = smooth_field(rng, ids.shape, 60 / spacing)
    muscle = rng.uniform(3, 16) * np.exp(0.3 * bumps)
    fat = muscle + rng.uniform(3, 35) * np.exp(0.5 * smooth_field(rng, ids.shape, 70 / spacing))
    skin = fat + max(2.0, spacing * 0.6)
    ids[outside & (depth < skin)] = t.SKIN
    ids[outside & (depth < fat)] = t.FAT
    ids[outside & (depth < muscle)] = t.MUSCLE
    body = ids > 0
    if body.any():
        _add_couch(ids, body, np.isfinite(depth), rng, spacing)
    # Unlabelled tissue among the organs: fat, with vessels and nodes that the label map does not name.
    among = ids == t.VISCERAL
    ids[among & (smooth_field(rng, ids.shape, rng.uniform(12, 25) / spacing) > rng.uniform(-0.7, 0.9))] = t.BLOOD
    return ids


def _add_couch(ids: np.ndarray, body: np.ndarray, scanned: np.ndarray, rng: np.random.Generator, spacing: float) -> None:
    """At times what lies around a patient: a table or a hollow couch filled with foam, cushions, blankets; in place.

    Foam and cloth are as light as lung and must not be taken for it.
    """
    free = ~body & scanned
    y = np.arange(ids.shape[1])[None, :, None]
    if rng.random() < 0.7:
        back = int(np.argmax(body.any((0, 2))))  # first row that holds body: its back
        across = (np.arange(ids.shape[0]) - rng.uniform(0.3, 0.7) * ids.shape[0])[:, None, None] * spacing
        bend = rng.uniform(0, 90) * (across / 250) ** 2 if rng.random() < 0.6 else 0 * across  # a cradle rises at its sides
        top = back - rng.uniform(0, 15) / spacing + bend / spacing
        thickness = rng.uniform(4, 90) / spacing
        width = rng.uniform(180, 300)
        slab = (y <= top) & (y > top - thickness) & (np.abs(across) < width) & free
        shell = slab & ((y > top - 1) | (y <= top - thickness + 1) | (np.abs(across) > width - spacing))
        ids[slab] = t.FOAM if rng.random() < 0.7 else t.TABLE
        ids[shell] = t.TABLE
        if rng.random() < 0.5:  # rails under it, and the gantry's floor
            below = (y <= top - thickness - rng.uniform(10, 60) / spacing) & free
            ids[below & (smooth_field(rng, ids.shape, (20 / spacing, 4, 200)) > 1.3)] = t.TABLE
    if rng.random() < 0.4:
        cushions = smooth_field(rng, ids.shape, rng.uniform(20, 60) / spacing) > rng.uniform(0.6, 1.8)
        near = (y < np.argmax(body.any((0, 2))) + rng.uniform(0, 160) / spacing) & free
        ids[cushions & near & (ids == t.AIR)] = t.FOAM
    if rng.random() < 0.4:
        from scipy import ndimage

        near = ndimage.binary_dilation(body, iterations=int(rng.integers(1, 4))) & free & (ids == t.AIR)
        ids[near & (smooth_field(rng, ids.shape, rng.uniform(8, 40) / spacing) > rng.uniform(-0.3, 1.2))] = t.FOAM


def paint(
    ids: np.ndarray,
    scan: t.Scan,
    rng: np.random.Generator,
    spacing: Sequence[float],
    opacities: bool = True,
    back_first: bool = True,
) -> np.ndarray:
    """HU (float32, no noise, no blur) of every voxel of an id map in one scan, textures in mm so that any grid serves.

    Args:
        opacities: whether lungs have ground glass, consolidation or a mass now and then, which nothing tells of.
        back_first: whether axis 1 runs from the back to the front, as on RAS axes.
    """
    from scipy import ndimage

    size = np.asarray(spacing, float)

    def field(millimetres: float) -> np.ndarray:
        return smooth_field(rng, ids.shape, millimetres / size)

    hu = scan.mean[ids] + scan.texture[ids] * field(7)
    bone = np.isin(ids, [*t.BONES])
    hu[bone & ~ndimage.binary_erosion(bone)] += scan.cortex * min(1.0, 3.0 / float(size.max()))
    heart = ids == t.HEART
    wall = np.clip(0.5 + 1.2 * field(22), 0, 1)
    hu[heart] = (wall * scan.myocardium + (1 - wall) * hu)[heart]
    gut = np.isin(ids, [*t.BOWEL, t.ESOPHAGUS])
    hu[gut & (field(18) > rng.uniform(0.3, 1.8))] = scan.mean[t.GAS]
    _paint_lungs(hu, ids, scan, rng, field, opacities, back_first)
    return hu.astype(np.float32)


def _paint_lungs(
    hu: np.ndarray,
    ids: np.ndarray,
    scan: t.Scan,
    rng: np.random.Generator,
    field: Callable[[float], np.ndarray],
    opacities: bool,
    back_first: bool,
) -> None:
    """Lungs denser at the back, with vessels (where two random fields vanish together: curves) and opacities; in place."""
    lungs = np.isin(ids, t.LUNGS)
    # Patients lie on their back, where the weight of the lung above presses the air out.
    depth = np.linspace(1, 0, ids.shape[1], dtype=np.float32)[None, :: 1 if back_first else -1, None]
    hu[lungs] += (rng.uniform(0, 90) * depth**2 + rng.uniform(0, 30) * field(30))[lungs]
    vessels = field(16) ** 2 + field(16) ** 2 < rng.uniform(0.005, 0.05)
    small = field(8) ** 2 + field(8) ** 2 < rng.uniform(0.01, 0.06)
    hu[lungs & small] += rng.uniform(100, 450)
    hu[lungs & vessels] = scan.mean[t.BLOOD] - rng.uniform(0, 200)
    if opacities and rng.random() < 0.35:  # ground glass, consolidation or a mass: lung all the same
        sick = lungs & (field(rng.uniform(10, 35)) > rng.uniform(1.4, 2.4))
        hu[sick] = rng.uniform(-650, 60)


def finish(hu: np.ndarray, rng: np.random.Generator, spacing: Sequence[float], blur_mm: float, noise: float) -> np.ndarray:
    """Scanner blur, correlated noise and, at times, streaks; clipped to what a CT stores. ``noise`` in HU."""
    from scipy import ndimage

    sigma = blur_mm / np.asarray(spacing, float)
    hu = ndimage.gaussian_filter(hu, sigma)
    hu += noise * smooth_field(rng, hu.shape, rng.uniform(0.8, 1.6))
    if rng.random() < 0.3:  # photon starvation runs from side to side and changes from slice to slice
        streaks = smooth_field(rng, hu.shape, (60, 1.5, 1.5))
        hu += rng.uniform(5, 40) * streaks * (hu > -900)
    return hu.clip(-1024, 3071)


def draw_example(
    anatomies: Sequence[Anatomy],
    rng: np.random.Generator,
    roi: Sequence[int] = (64, 64, 64),
    spacing: float = 4.0,
    mirrored: float = 0.05,
) -> Example:
    """A random window of a random scan of a random, deformed anatomy.

    Args:
        mirrored: how often left and right change places (situs inversus is rare, so rarely).
    """
    anatomy = anatomies[int(rng.integers(len(anatomies)))]
    if rng.random() < mirrored:
        anatomy = mirror(anatomy)
    ids, depth = warp(anatomy, rng, roi, spacing)
    full = layer_wall(ids, depth, rng, spacing)
    scan = t.draw_scan(rng)
    scan.mean[t.FOAM], scan.texture[t.FOAM] = rng.uniform(-990, -650), rng.uniform(5, 40)
    hu = paint(full, scan, rng, (spacing,) * 3)
    blur = np.array([1.0, 1.0, 1.0 if rng.random() < 0.7 else rng.uniform(1, 2)]) * rng.uniform(0.25, 0.65) * spacing
    from scipy import ndimage

    hu = ndimage.gaussian_filter(hu, blur / spacing)
    hu = finish(hu, rng, (spacing,) * 3, 0.0, rng.uniform(4, 45))
    hu = hu * rng.uniform(0.95, 1.05) + rng.uniform(-20, 20)
    labels = t.CHANNEL_OF_ID[ids]
    outside = ~np.isfinite(depth)
    hu[outside] = -1024
    _crop_field_of_view(hu, labels, rng)
    return Example(hu.clip(-1024, 3071).astype(np.float32), labels)


def _crop_field_of_view(hu: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> None:
    """At times cut some sides off, as narrow scans and padded windows look; in place."""
    for axis in range(3):
        for end in (0, 1):
            if rng.random() < 0.12:
                width = int(rng.integers(1, hu.shape[axis] // 3))
                cut = [slice(None)] * 3
                cut[axis] = slice(0, width) if end == 0 else slice(hu.shape[axis] - width, None)
                hu[tuple(cut)] = -1024
                labels[tuple(cut)] = 0
