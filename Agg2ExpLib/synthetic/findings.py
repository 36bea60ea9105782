"""Synthetic chest CT with findings whose place is known: opacified lungs, pleural effusion, nodules, contrast agent.

Arrays are [x, y, z] on RAS axes: left is at the low end of axis 0, the back at the low end of axis 1, the feet at the low end of
axis 2. Patients lie on their back, so that fluid gathers behind.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from . import tissues as t
from .scans import Anatomy, finish, layer_wall, mirror, paint, smooth_field, warp

LEFT, RIGHT, EFFUSION, NODULE, CONTRAST = FINDINGS = (
    "opacified_left_lung",
    "opacified_right_lung",
    "pleural_effusion",
    "nodule",
    "contrast_agent",
)
SHARES = {LEFT: 0.3, RIGHT: 0.3, EFFUSION: 0.35, NODULE: 0.4, CONTRAST: 0.5}  # of random patients that have each
LEAST_OPACIFIED = 0.3  # of a lung's voxels
NODULE_MM = (6.0, 30.0)
_LUNGS = {LEFT: (t.LUL, t.LLL), RIGHT: (t.RUL, t.RML, t.RLL)}
_BLOOD = (t.HEART, *t.ARTERIES, *t.VEINS, t.PULMONARY_VEIN)
_LEAST_EFFUSION_ML = 40.0
_TRIES = 4
_LEAST_BELLY_MM = 120.0  # of body below the lungs


@dataclass(frozen=True)
class Patient:
    """A synthetic CT with what is to be found in it.

    Attributes:
        ct: float32 HU.
        labels: uint8, channel of labels.PAPER_LABELS; an opacified lung is lung all the same, fluid is not.
        masks: bool map of every finding that is there; of the contrast agent the blood that it brightens.
    """

    ct: np.ndarray
    labels: np.ndarray
    masks: dict[str, np.ndarray]

    def target(self, findings: Sequence[str] = FINDINGS) -> np.ndarray:
        """1 where a finding is there, float32."""
        return np.array([name in self.masks for name in findings], np.float32)


def draw_patient(
    anatomies: Sequence[Anatomy],
    rng: np.random.Generator,
    shape: Sequence[int],
    spacing: float,
    findings: Collection[str] | None = None,
    nodule_mm: tuple[float, float] = NODULE_MM,
    mirrored: float = 0.05,
    below: float = 0.0,
) -> Patient:
    """A random scan of the whole chest of a random, deformed body.

    Args:
        anatomies: bodies.
        shape: voxels; about 400 x 320 x 360 mm hold a chest.
        spacing: mm per voxel.
        findings: that the patient has; at random with :data:`SHARES` where not given. One for which the deformed body has no room
            (a nodule in lungs without air) is left out.
        nodule_mm: smallest and largest diameter of nodules.
        mirrored: how often left and right change places.
        below: how often the scan is of the belly below the lungs, in which nothing but contrast agent is to be found; of bodies
            that have a belly.

    Raises:
        InputError: an unknown finding.
    """
    wanted = {name for name in FINDINGS if rng.random() < SHARES[name]} if findings is None else set(findings)
    if unknown := sorted(wanted - set(FINDINGS)):
        raise InputError(f"There is no synthetic finding '{unknown[0]}': choose among {', '.join(FINDINGS)}.")
    anatomy = anatomies[int(rng.integers(len(anatomies)))]
    if rng.random() < mirrored:
        anatomy = mirror(anatomy)
    centre = _chest_centre(anatomy, rng)
    if below and (base := _lung_base(anatomy)) * anatomy.spacing[2] > _LEAST_BELLY_MM and rng.random() < below:
        centre[2] = base - (shape[2] * spacing / 2 + rng.uniform(-20, 60)) / anatomy.spacing[2]
        wanted &= {CONTRAST}
    ids, depth = warp(anatomy, rng, shape, spacing, centre=centre)
    for side in (LEFT, RIGHT):
        if side in wanted and rng.random() < 0.5:
            ids = _pulled(ids, side, rng.uniform(5, 30), spacing)
    full = layer_wall(ids, depth, rng, spacing)
    scan = t.draw_scan(rng, str(rng.choice(["arterial", "venous"])) if CONTRAST in wanted else "plain")
    scan.mean[t.FOAM], scan.texture[t.FOAM] = rng.uniform(-990, -650), rng.uniform(5, 40)
    hu = paint(full, scan, rng, (spacing,) * 3, opacities=False)
    _add_faint_glass(hu, ids, rng, spacing)
    labels, masks = t.CHANNEL_OF_ID[ids], {}
    air = np.isin(ids, t.LUNGS)  # lung that still holds air
    for side in (LEFT, RIGHT):
        if side in wanted:
            masks[side] = _opacify(hu, ids, side, scan, rng, spacing)
            air &= ~masks[side]
    if EFFUSION in wanted:
        masks[EFFUSION] = _add_effusion(hu, ids, air, rng, spacing)
        air &= ~masks[EFFUSION]
        labels[masks[EFFUSION]] = 0
    if NODULE in wanted:
        masks[NODULE] = _add_nodules(hu, air, scan, rng, spacing, nodule_mm)
    if CONTRAST in wanted:
        masks[CONTRAST] = np.isin(ids, _BLOOD)
    hu = _scanned(hu, rng, spacing)
    hu[~np.isfinite(depth)] = -1024
    return Patient(hu, labels, {name: mask for name, mask in masks.items() if mask.any()})


def _chest_centre(anatomy: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """Voxel near the middle of the lungs."""
    places = np.argwhere(np.isin(anatomy.ids[::3, ::3, ::3], t.LUNGS)) * 3.0
    low, high = places.min(0), places.max(0)
    return (low + high) / 2 + rng.uniform(-25, 25, 3) / np.asarray(anatomy.spacing)


def _lung_base(anatomy: Anatomy) -> float:
    """Lowest slice with lung."""
    return float(np.flatnonzero(np.isin(anatomy.ids, t.LUNGS).any((0, 1)))[0])


def _pulled(ids: np.ndarray, side: str, millimetres: float, spacing: float) -> np.ndarray:
    """The heart and what lies around it drawn towards a lung that has lost volume."""
    from scipy import ndimage

    middle = np.argwhere(np.isin(ids, t.LUNGS))
    if not len(middle):
        return ids
    centre = (middle.min(0) + middle.max(0)) / 2
    axes = [(np.arange(n) - c) * spacing for n, c in zip(ids.shape, centre, strict=True)]
    near = [np.exp(-0.5 * (axis / width) ** 2) for axis, width in zip(axes, (45, 60, 90), strict=True)]
    move = millimetres / spacing * near[0][:, None, None] * near[1][None, :, None] * near[2][None, None, :]
    points = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in ids.shape), indexing="ij"))
    points[0] += move if side == LEFT else -move  # to move a body to the left, take what lies further right
    moved: np.ndarray = ndimage.map_coordinates(ids, points, order=0, mode="nearest")
    return moved


def _add_faint_glass(hu: np.ndarray, ids: np.ndarray, rng: np.random.Generator, spacing: float) -> None:
    """Now and then faint ground glass, which is no finding here: never as dense as an opacified lung; in place."""
    if rng.random() < 0.35:
        seen = np.isin(ids, t.LUNGS) & (smooth_field(rng, ids.shape, rng.uniform(10, 35) / spacing) > rng.uniform(1.2, 2.2))
        hu[seen] = np.maximum(hu[seen], rng.uniform(-780, -520) + 30 * rng.standard_normal(int(seen.sum()), dtype=np.float32))


def _opacify(hu: np.ndarray, ids: np.ndarray, side: str, scan: t.Scan, rng: np.random.Generator, spacing: float) -> np.ndarray:
    """Consolidation of a lung from :data:`LEAST_OPACIFIED` to the whole of it, -50 to 60 HU, more with contrast; in place."""
    lung = np.isin(ids, _LUNGS[side])
    if not lung.any():
        return lung
    share = 1.0 if rng.random() < 0.35 else rng.uniform(LEAST_OPACIFIED + 0.03, 1.0)
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    ramps = [np.arange(n) * spacing / 60 * part for n, part in zip(ids.shape, direction, strict=True)]
    order = ramps[0][:, None, None] + ramps[1][None, :, None] + ramps[2][None, None, :]
    order = order + rng.uniform(0.2, 1.5) * smooth_field(rng, ids.shape, rng.uniform(25, 60) / spacing)
    dense = lung if share == 1.0 else lung & (order >= np.quantile(order[lung], 1 - share))
    mean = rng.uniform(-50, 60) + (rng.uniform(0, 60) if scan.phase != "plain" else 0.0)
    level = mean + rng.uniform(5, 30) * smooth_field(rng, ids.shape, rng.uniform(8, 25) / spacing)
    vessels = dense & (hu > level)  # blood with contrast agent shines through
    kept = hu[vessels]
    hu[dense] = level[dense]
    if rng.random() < 0.6:
        hu[vessels] = kept
    if rng.random() < 0.35:  # air bronchograms: tubes where two random fields vanish together
        tubes = smooth_field(rng, ids.shape, 16 / spacing) ** 2 + smooth_field(rng, ids.shape, 16 / spacing) ** 2
        hu[dense & (tubes < rng.uniform(0.01, 0.04))] = rng.uniform(-950, -700)
    return dense


def _add_effusion(hu: np.ndarray, ids: np.ndarray, air: np.ndarray, rng: np.random.Generator, spacing: float) -> np.ndarray:
    """Fluid of 0 to 25 HU behind one lung or both, thickest above the diaphragm; in place."""
    sides = [(LEFT,), (RIGHT,), (LEFT, RIGHT)][int(rng.choice(3, p=[0.35, 0.35, 0.3]))]
    fluid = np.zeros_like(air)
    for side in sides:
        lung = np.isin(ids, _LUNGS[side]) & air
        if not lung.any():
            continue
        span = np.flatnonzero(lung.any((0, 1)))
        for _ in range(_TRIES):
            thick = rng.uniform(18, 65) * np.clip(
                1 - (np.arange(ids.shape[2]) - span[0]) / (np.ptp(span) + 1) / rng.uniform(0.4, 1), 0, 1
            )
            ripple = 1 + 0.15 * smooth_field(rng, ids.shape, 30 / spacing)
            behind = np.cumsum(lung, axis=1) * spacing  # mm of lung from the back to here
            filled = lung & (behind <= thick[None, None, :] * ripple)
            if filled.sum() * spacing**3 / 1000 >= _LEAST_EFFUSION_ML:
                fluid |= filled
                break
    hu[fluid] = rng.uniform(0, 25) + 4 * rng.standard_normal(int(fluid.sum()), dtype=np.float32)
    return fluid


def _add_nodules(
    hu: np.ndarray, air: np.ndarray, scan: t.Scan, rng: np.random.Generator, spacing: float, diameters: tuple[float, float]
) -> np.ndarray:
    """One to three solid nodules: blobs of these diameters in mm, wholly or almost in lung with air; in place."""
    from scipy import ndimage

    mask = np.zeros_like(air)
    room = ndimage.distance_transform_edt(air) * spacing
    points = np.meshgrid(*(np.arange(n, dtype=np.float32) * spacing for n in air.shape), indexing="ij", sparse=True)
    for _ in range(int(rng.integers(1, 4))):
        radius = float(np.exp(rng.uniform(*np.log(diameters)))) / 2
        places = np.argwhere(room > 0.6 * radius)
        if not len(places):
            continue
        centre = (places[rng.integers(len(places))] + rng.uniform(-0.5, 0.5, 3)) * spacing
        stretch = np.exp(rng.normal(0, 0.12, 3))
        distance = np.sqrt(sum(((p - c) / s) ** 2 for p, c, s in zip(points, centre, stretch, strict=True)))
        edge = radius * (1 + rng.uniform(0, 0.15) * smooth_field(rng, air.shape, max(radius, spacing) / spacing))
        inside = np.clip(0.5 + (edge - distance) / spacing, 0, 1)  # the part of each voxel that the blob fills, about
        level = rng.uniform(150, 500) if rng.random() < 0.1 else rng.uniform(10, 70) + (scan.phase != "plain") * rng.uniform(0, 40)
        inside[~air] = 0
        hu[...] = np.where(inside > 0, inside * level + (1 - inside) * hu, hu)
        if inside.any():
            mask |= inside >= min(0.5, float(inside.max()))
    return mask


def _scanned(hu: np.ndarray, rng: np.random.Generator, spacing: float) -> np.ndarray:
    """What a scanner makes of it: blur, noise, streaks, and a calibration that is a little off."""
    from scipy import ndimage

    blur = np.array([1.0, 1.0, 1.0 if rng.random() < 0.7 else rng.uniform(1, 2)]) * rng.uniform(0.25, 0.55)
    hu = finish(ndimage.gaussian_filter(hu, blur), rng, (spacing,) * 3, 0.0, rng.uniform(4, 40))
    return (hu * rng.uniform(0.96, 1.04) + rng.uniform(-15, 15)).clip(-1024, 3071).astype(np.float32)
