"""Anatomy of the thorax phantom: bodies described by formulas, evaluated at every voxel and written as tissue ids.

Coordinates are mm: ``u`` towards the patient's left, ``a`` towards the front, ``z`` towards the head, with the diaphragm
near z = 85 and the first thoracic vertebra near z = 272. Sizes are those of an adult before each seed's variation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import tissues as t
from .scans import smooth_field

VERTEBRA_HEIGHT = 21.0
FIRST_VERTEBRA = 272.0  # centre of T1
# Of ribs 1..12: how far the front end lies below the spine's end (mm), and where it is (degrees around the cage from the back).
RIB_DROP = (38, 55, 68, 78, 84, 88, 90, 88, 80, 66, 42, 26)
RIB_END = (150, 152, 152, 150, 147, 143, 138, 130, 122, 112, 78, 52)


@dataclass(frozen=True)
class Build:
    """How one patient differs from the average: factors and mm."""

    width: float
    depth: float
    heart: float
    aorta: float
    fat: float
    muscle: float
    diaphragm: float
    fissure: float
    lean: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Build:
        """A random adult."""
        return cls(
            width=rng.uniform(0.9, 1.08),
            depth=rng.uniform(0.9, 1.1),
            heart=rng.uniform(0.88, 1.12),
            aorta=rng.uniform(0.85, 1.25),
            fat=rng.uniform(6, 20),
            muscle=rng.uniform(0.7, 1.2),
            diaphragm=rng.uniform(-12, 14),
            fissure=rng.uniform(-10, 10),
            lean=rng.uniform(-4, 4),
        )


class Body:
    """Evaluates one patient's anatomy on a grid of points; :meth:`build` returns the tissue ids.

    Args:
        u, a, z: coordinates of every voxel, mm, float32 [x, y, z].
        spacing: mm per voxel, for distances.
        rng: of the patient.
    """

    def __init__(self, u: np.ndarray, a: np.ndarray, z: np.ndarray, spacing: Sequence[float], rng: np.random.Generator):
        self.form = Build.draw(rng)
        self.spacing = tuple(spacing)
        self.flat_z, self.rng = z, rng
        shape, size = u.shape, np.asarray(spacing, float)
        # Slight bends at two scales keep every surface from being a formula's.
        self.u, self.a, self.z = (
            axis + np.float32(3.0) * smooth_field(rng, shape, 60 / size) + np.float32(0.8) * smooth_field(rng, shape, 14 / size)
            for axis in (u, a, z)
        )
        self.ids = np.zeros(shape, np.uint8)
        high = np.clip((self.z - 100) / 180, 0, 1.2)
        low = np.clip((100 - self.z) / 100, 0, 1.2)
        self.cage_width = (self.form.width * (143 * (1 - 0.6 * high**2.6) - 4 * low)).astype(np.float32)
        self.cage_depth = (self.form.depth * (96 * (1 - 0.55 * high**1.8) - 4 * low)).astype(np.float32)
        self.back = (-96 * self.form.depth + 14 * np.clip((self.z - 150) / 130, 0, 1.2) ** 2).astype(np.float32)
        self.cage_centre = self.back + self.cage_depth
        across, along = np.abs(self.u) / self.cage_width, (self.a - self.cage_centre) / self.cage_depth
        # Seen from above the cage is a rounded box, flatter behind, where the gutters beside the spine are.
        self.radius = (across**2.4 + np.abs(along) ** 2.2) ** np.float32(1 / 2.3)
        self.angle = np.rad2deg(np.arctan2(across, -along))  # 0 behind, 180 in front
        self.left = self.u > 0

    def spine(self, z: np.ndarray | float) -> np.ndarray:
        """Where (mm to the front) the centre of the vertebral bodies lies at a height."""
        return np.asarray(-70 * self.form.depth - 9 * np.sin(np.pi * np.asarray(z) / 300) + 6.0)

    def front(self, z: float) -> float:
        """Where the cage's front lies at a height, mm."""
        high = np.clip((z - 100) / 180, 0, 1.2)
        depth = self.form.depth * 96 * (1 - 0.55 * high**1.8)
        return float(-96 * self.form.depth + 14 * np.clip((z - 150) / 130, 0, 1.2) ** 2 + 2 * depth)

    def tube(self, points: Sequence[Sequence[float]], radii: Sequence[float] | np.ndarray, squash: float = 1.0) -> np.ndarray:
        """Voxels within a radius of a smooth curve through ``points`` (u, a, z); radii are interpolated between them."""
        from scipy.interpolate import make_interp_spline
        from scipy.spatial import cKDTree

        knots, at = np.linspace(0, 1, len(points)), np.linspace(0, 1, 40 * len(points))
        curve = make_interp_spline(knots, np.asarray(points, float), k=min(3, len(points) - 1))(at)
        thickness = np.interp(at, knots, radii)
        reach = float(np.max(radii)) * max(1.0, 1 / squash) + 1
        low, high = curve.min(0) - reach, curve.max(0) + reach
        near = np.ones(self.ids.shape, bool)
        for axis, lower, upper in zip((self.u, self.a, self.z), low, high, strict=True):
            near &= (axis > lower) & (axis < upper)
        voxels = np.stack([self.u[near], self.a[near] * squash, self.z[near]], 1)
        distance, index = cKDTree(curve * (1, squash, 1)).query(voxels, distance_upper_bound=reach)
        inside = np.zeros(self.ids.shape, bool)
        inside[near] = distance < np.append(thickness, 0)[index]
        return inside

    def ellipsoid(self, centre: Sequence[float], semi: Sequence[float], axis: Sequence[float] = (0, 0, 1)) -> np.ndarray:
        """Voxels of an ellipsoid whose last semi-axis points along ``axis``."""
        third = np.asarray(axis, float) / np.linalg.norm(axis)
        first = np.cross((0.0, 1.0, 0.0), third)
        first /= np.linalg.norm(first)
        inside = np.zeros(self.ids.shape, np.float32)
        du, da, dz = self.u - centre[0], self.a - centre[1], self.z - centre[2]
        for direction, size in zip((first, np.cross(third, first), third), semi, strict=True):
            inside += ((direction[0] * du + direction[1] * da + direction[2] * dz) / size).astype(np.float32) ** 2
        return inside < 1

    def put(self, mask: np.ndarray, tissue: int, over: Sequence[int] | None = None) -> None:
        """Write a tissue id, everywhere in the mask or only over the ids given."""
        self.ids[mask if over is None else mask & np.isin(self.ids, over)] = tissue

    def build(self) -> np.ndarray:
        """Tissue ids, uint8 [x, y, z]."""
        self._wall()
        self._abdomen()
        mediastinum = self._mediastinum()
        spine = self._spine()
        self._lungs(mediastinum | spine)
        self._cage()
        self._shoulders()
        return self.ids

    def _wall(self) -> None:
        """Skin, fat and muscle; inside the cage visceral fat, to be filled."""
        from scipy import ndimage

        f = self.form
        heights = (-20, 190, 225, 250, 276, 298, 330)
        # Below the shoulders the wall follows the cage; above, arms raised, the body narrows to the neck.
        wide = np.interp(self.z, heights, np.array((100, 130, 158, 146, 104, 72, 64)) * f.width + f.fat)
        wide = np.maximum(wide, (self.cage_width + 9 + 8 * f.muscle + f.fat) * (self.z < 250))
        deep = np.interp(self.z, heights, np.array((102, 104, 100, 92, 82, 72, 68)) * f.depth + f.fat)
        deep = np.maximum(deep, (self.cage_depth + 20 + 4 * f.muscle + f.fat) * (self.z < 235))
        neck = np.clip((self.z - 215) / 40, 0, 1)
        middle = (1 - neck) * (self.cage_centre - 9) + neck * -18
        groove = 6 * np.exp(-((self.u / 14) ** 2)) * (self.a < middle)  # the back's furrow over the spine
        body = (np.abs(self.u) / wide) ** 2.5 + (np.abs(self.a - middle) / (deep - groove)) ** 2.3 < 1
        chest = np.exp(-(((np.abs(self.u) - 75) / 40) ** 2) - ((self.z - 150) / 45) ** 2)
        inside = ndimage.distance_transform_edt(body, sampling=self.spacing)
        uneven = 0.25 * smooth_field(self.rng, body.shape, 50 / np.asarray(self.spacing))
        fat = f.fat * (0.55 + 0.9 * chest * (self.a > 40) + uneven)
        self.ids[body] = t.MUSCLE
        planes = np.abs(smooth_field(self.rng, body.shape, np.array((34, 11, 45)) / self.spacing)) < 0.13 / f.muscle
        self.put(planes & (self.radius > 1.03), t.FAT, over=(t.MUSCLE,))  # fat between the muscles
        self.put(body & (inside < np.maximum(fat, 3.5)), t.FAT)
        self.put(body & (inside < 2.4), t.SKIN)
        self.put((self.radius < 0.94) & body & (inside > 12), t.VISCERAL)

    def _dome(self) -> np.ndarray:
        """Height of the diaphragm over every voxel."""
        f = self.form
        side = np.where(self.left, 62, -66) * f.width
        far = ((self.u - side) / (72 * f.width)) ** 2 + ((self.a - 8) / (82 * f.depth)) ** 2
        return np.asarray(np.where(self.left, 82, 94) + f.diaphragm - 46 * far * np.where(self.a < 8, 1.0, 0.6))

    def _abdomen(self) -> None:
        """Liver, stomach with gas, spleen and gut below the diaphragm."""
        below = (self.z < self._dome() - 3) & (self.radius < 0.93) & (self.ids == t.VISCERAL)
        liver = below & (self.u < 30 - 0.35 * (self.a + 20) - 0.2 * (60 - self.z)) & (self.a > -62 + 0.2 * self.u)
        self.put(liver | (below & (self.u < -40)), t.LIVER)
        stomach = self.ellipsoid((58, 28, 38), (42, 38, 44), (0.3, 0, 1)) & below & ~liver
        self.put(stomach, t.STOMACH)
        self.put(stomach & (self.a > 38 + 4 * np.sin(self.u / 9)), t.GAS)
        self.put(self.ellipsoid((92, -38, 46), (26, 40, 44)) & below, t.SPLEEN, over=(t.VISCERAL,))
        gut = self.tube([(100, 40, 10), (70, 70, 22), (0, 78, 5), (-60, 75, -8)], [17, 16, 15, 15])
        self.put(gut & below, 20, over=(t.VISCERAL,))

    def _mediastinum(self) -> np.ndarray:
        """Heart, great vessels, airways, oesophagus and thyroid; returns them with the fat around."""
        from scipy import ndimage

        f, h, r = self.form, self.form.heart, self.form.aorta
        before = self.ids.copy()
        shift = f.diaphragm * 0.6
        parts: list[tuple[int, np.ndarray]] = []
        # Oesophagus first: whatever it touches lies over it.
        s = float(self.spine(150))
        gullet = [(4, -24, 310), (3, -27, 250), (2, s + 30, 190), (6, s + 34, 140), (16, s + 42, 100), (28, -12, 70)]
        parts.append((t.ESOPHAGUS, self.tube(gullet, [7, 8, 8, 8, 9, 10], squash=1.3)))
        heart = self.ellipsoid((24, 28, 122 + shift), (46 * h, 43 * h, 62 * h), (0.62, 0.42, -0.55))
        heart |= self.ellipsoid((-28, 22, 128 + shift), (29 * h, 34 * h, 38 * h))
        heart |= self.ellipsoid((6, -6, 146 + shift), (38 * h, 23 * h, 24 * h))
        heart &= self.z > self._dome() - 8
        veins = [
            [(22, -2, 152), (46, 8, 164), (64, 18, 178)],
            [(24, -10, 142), (44, -20, 132), (62, -30, 118)],
            [(-18, -2, 150), (-42, 6, 160), (-62, 16, 172)],
            [(-18, -10, 140), (-40, -20, 130), (-58, -30, 116)],
        ]
        for vein in veins:
            parts.append((t.PULMONARY_VEIN, self.tube([(u, a, z + shift) for u, a, z in vein], [9, 8, 5])))
        parts.append((t.HEART, heart))
        trunk = [(18, 48, 150 + shift), (20, 34, 172), (20, 8, 182), (36, -14, 178), (62, -22, 164)]
        parts.append((t.BLOOD, self.tube(trunk, [14, 14, 13, 11, 6])))
        parts.append((t.BLOOD, self.tube([(18, 14, 180), (-10, 4, 172), (-36, -2, 170), (-62, -14, 158)], [11, 11, 10, 6])))
        parts.append((62, self.tube([(-30, 14, 246), (-32, 16, 200), (-30, 14, 150 + shift)], [8, 9.5, 10])))
        parts.append((63, self.tube([(-18, -18, -20), (-22, -14, 50), (-26, 4, 108 + shift)], [11, 12, 13])))
        parts.append((59, self.tube([(56, 4, 276), (34, 22, 254), (-4, 34, 244), (-28, 18, 240)], [6.5] * 4)))
        parts.append((60, self.tube([(-50, 6, 274), (-36, 14, 256), (-30, 15, 240)], [7, 7, 8])))
        parts.append((54, self.tube([(-4, 24, 214), (-16, 16, 244), (-24, 8, 272)], [7, 6.5, 6])))
        parts.append((58, self.tube([(8, 14, 216), (18, 6, 250), (24, 2, 310)], [5, 4.5, 4])))
        parts.append((57, self.tube([(-24, 8, 270), (-25, 2, 310)], [4.5, 4])))
        parts.append((56, self.tube([(22, -6, 214), (32, -14, 256), (62, -10, 282)], [6, 5.5, 5])))
        b = float(self.spine(120)) + 26
        arch = [(-4, 22, 158 + shift), (-16, 30, 184), (-9, 24, 206), (9, 4, 216), (24, -20, 210), (30, b + 2, 186)]
        arch += [(28, b - 3, 140), (20, b + 4, 80), (10, b + 8, 20), (6, b + 8, -30)]
        parts.append((t.AORTA, self.tube(arch, np.array([16, 16, 15, 14, 13.5, 13, 12.5, 12, 11, 10.5]) * r)))
        windpipe = [(0, 2, 312), (0, -6, 250), (-1, -16, 205), (-2, -18, 190)]
        parts.append((t.TRACHEA, self.tube(windpipe, [9, 9, 9, 10], squash=1.15)))
        parts.append((t.TRACHEA, self.tube([(-2, -18, 192), (-20, -20, 178), (-40, -20, 164)], [8, 7.5, 6])))
        parts.append((t.TRACHEA, self.tube([(-2, -18, 192), (22, -22, 174), (46, -24, 160)], [7.5, 6.5, 5.5])))
        thyroid = self.ellipsoid((17, 6, 284), (9, 10, 19), (0.2, 0, 1))
        thyroid |= self.ellipsoid((-17, 6, 284), (9.5, 10, 19), (-0.2, 0, 1))
        thyroid |= self.ellipsoid((0, 15, 278), (16, 4, 7))
        parts.insert(0, (t.THYROID, thyroid))
        union = np.zeros(self.ids.shape, bool)
        for _, mask in parts:
            union |= mask
        cushion = ndimage.distance_transform_edt(~union, sampling=self.spacing) < 4
        rough = 2.5 * smooth_field(self.rng, before.shape, 18 / np.asarray(self.spacing))
        thin = 5 * np.clip((self.a - 20) / 30, 0, 1) * np.clip((self.z - 140) / 30, 0, 1) * np.clip((230 - self.z) / 30, 0, 1)
        wide = 8 + rough - thin + 12 * np.clip((self.z - 225) / 30, 0, 1) + 10 * np.clip((110 - self.z) / 60, 0, 1)
        core = np.abs(self.u - 2) < wide
        fat = (cushion | core) & (before == t.VISCERAL)
        neck = cushion & (self.z > 240)
        self.put(neck, t.FAT, over=(t.MUSCLE,))
        body = before > 0
        for tissue, mask in parts:
            self.put(mask & body, tissue)
        return fat | union

    def _spine(self) -> np.ndarray:
        """Vertebrae with canal, cord, arches, processes and discs, and the back muscles beside them; returns the spine."""
        u, a = self.u - self.form.lean * np.sin(self.z / 70), self.a - self.spine(self.z)
        level = (FIRST_VERTEBRA - self.z) / VERTEBRA_HEIGHT  # 0 at the centre of T1, 1 at T2's
        number = np.rint(level)
        offset = (level - number) * -VERTEBRA_HEIGHT  # mm above the centre of its vertebra
        size = 1 + 0.035 * np.clip(level, -1, 13)
        waist = 1 - 0.09 * np.cos(np.pi * np.clip(offset / 9, -1, 1))
        body = (u / (14.5 * size * waist)) ** 2 + (a / (12.5 * size * waist)) ** 2 < 1
        disc = body & (np.abs(offset) > 8.6)
        canal = (u / 9.5) ** 2 + ((a + 12 * size + 8) / 8.5) ** 2 < 1
        ring = (u / 15) ** 2 + ((a + 12 * size + 8) / 14) ** 2 < 1
        arch = ring & ~canal & (np.abs(offset - 1) < 8.5)
        behind = a + 12 * size + 18
        spinous = (np.abs(u) < 3.2) & (behind < 2) & (behind > -26) & (np.abs(offset - 2 - 0.5 * behind * 0.8) < 6)
        wing = np.abs(np.abs(u) - 10) < 24
        transverse = wing & (np.abs(behind - 6 + 0.35 * (np.abs(u) - 10)) < 5) & (np.abs(offset - 3) < 5.5)
        bone = ((body & ~disc) | arch | spinous | transverse) & ~canal
        strand = ((np.abs(u) - 23) / 21) ** 2 + ((behind + 6) / 16) ** 2 < 1
        over = (t.MUSCLE, t.FAT, t.VISCERAL)
        self.put(strand & self.left, t.AUTOCHTHON_LEFT, over)
        self.put(strand & ~self.left, t.AUTOCHTHON_RIGHT, over)
        self.put(canal, t.FAT)
        self.put((u / 6) ** 2 + ((a + 12 * size + 8) / 5) ** 2 < 1, t.SPINAL_CORD)
        self.put(disc, t.DISC)
        known = np.clip(number, -3, 16).astype(int)
        # Ids fall from S1 to C1: T1 is 43, so T(n) is 44 - n, and above T1 follow C7, C6 and so on.
        self.ids[bone & (self.ids > 0)] = (t.VERTEBRAE[17] - known[bone & (self.ids > 0)]).astype(np.uint8)
        return bone | disc | canal | ring

    def _lungs(self, kept: np.ndarray) -> None:
        """Five lobes in what the mediastinum leaves of the cage, above the diaphragm."""
        from scipy import ndimage

        near_spine = ndimage.distance_transform_edt(~kept, sampling=self.spacing) < 2
        space = (self.radius < 0.915) & (self.z > self._dome() + 2) & (self.z < 272) & (self.ids == t.VISCERAL) & ~near_spine
        bend = 10 * np.sin(self.u / 45) + self.form.fissure
        oblique = 208 - 0.82 * (self.a + 92) + bend  # height of the oblique fissure
        lower = self.z < oblique
        middle = ~self.left & ~lower & (self.z < 150 + 0.25 * (np.abs(self.u) - 70) + self.form.fissure)
        self.put(space & self.left, t.LUL)
        self.put(space & self.left & lower, t.LLL)
        self.put(space & ~self.left, t.RUL)
        self.put(space & middle, t.RML)
        self.put(space & ~self.left & lower, t.RLL)

    def _cage(self) -> None:
        """Ribs that slope down from the spine, the cartilages that join them to the sternum, and the sternum."""
        shell = (self.radius > 0.86) & (self.radius < 1.06) & (self.ids > 0)
        angle, z, left = self.angle[shell], self.z[shell], self.left[shell]
        radial = (self.radius[shell] - 0.965) * (self.cage_width[shell] + self.cage_depth[shell]) / 2
        found = self.ids[shell]
        free = ~np.isin(found, [*t.VERTEBRAE, t.SPINAL_CORD, t.AORTA, t.HEART])

        def section(height: np.ndarray, tall: float, thick: float) -> np.ndarray:
            return ((z - height) / tall) ** 2 + (radial / thick) ** 2 < 1

        # Cartilages first, ribs over them.
        for k, (drop, end) in enumerate(zip(RIB_DROP, RIB_END, strict=True)):
            top = FIRST_VERTEBRA + 5 - VERTEBRA_HEIGHT * k
            if k >= 10:
                continue
            meets = 171.0 if k < 7 else RIB_END[k - 1] + 16.0
            # The cartilages of false ribs end on the one above.
            goal = 229.0 - 17.5 * k if k < 7 else top + VERTEBRA_HEIGHT - RIB_DROP[k - 1] + 9
            along = np.clip((angle - end + 2) / (meets - end), 0, 1)
            height = top - drop + (goal - top + drop) * along**1.4 - 5 * np.sin(np.pi * along)
            found[free & section(height, 7.0, 5.0) & (angle > end - 2) & (angle < meets + 3)] = t.CARTILAGE
        for k, (drop, end) in enumerate(zip(RIB_DROP, RIB_END, strict=True)):
            top = FIRST_VERTEBRA + 5 - VERTEBRA_HEIGHT * k
            along = angle / end
            height = top - drop * (0.5 * along + 0.5 * np.sin(np.pi / 2 * np.clip(along, 0, 1)) ** 1.4)
            hoop = free & section(height, 6.0, 4.0) & (angle > 9) & (angle < end)
            found[hoop & left] = t.RIBS_LEFT[k]
            found[hoop & ~left] = t.RIBS_RIGHT[k]
        self.ids[shell] = found
        heights = np.arange(88.0, 243.0, 6.0)
        curve = np.array([self.front(height) for height in heights]) + 1.0
        half = np.interp(self.z, (86, 96, 112, 150, 190, 200, 225, 240), (4, 8, 15, 18, 13, 20, 28, 24))
        plate = ((self.a - np.interp(self.z, heights, curve)) / 6) ** 2 + (self.u / half) ** 4 < 1
        self.put(plate & (self.z > 90) & (self.z < 240), t.STERNUM, over=None)

    def _shoulders(self) -> None:
        """Clavicles and shoulder blades, where the wall has room for them."""
        front = self.front(236)
        over = (t.MUSCLE, t.FAT)
        for side, clavicle, scapula in ((1, t.CLAVICLES[0], t.SCAPULAE[0]), (-1, t.CLAVICLES[1], t.SCAPULAE[1])):
            course = [(side * 22, front - 1, 240), (side * 60, front + 2, 250), (side * 105, front - 26, 258)]
            course.append((side * 135, front - 40, 256))
            self.put(self.tube(course, [7, 6, 6, 6]), clavicle, over)
            lateral = side * self.u
            sheet = np.abs(self.radius - 1.12 - 0.0006 * (self.angle - 55) ** 2 / 10) * self.cage_width < 3.2
            blade = sheet & (self.angle > 28) & (self.angle < 88) & (lateral > 0)
            self.put(blade & (self.z > 152 + 0.9 * (80 - self.angle).clip(0)) & (self.z < 246), scapula, over)
