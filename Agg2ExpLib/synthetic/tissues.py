"""Tissue ids of an anatomy (label map), the network channel each belongs to, and the HU each may have in one CT scan.

Ids 1..117 are those of the TotalSegmentator v2 "total" class map (doi:10.1148/ryai.230024); higher ids fill what that
map leaves open, so that a whole body can be painted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AIR, SPLEEN, KIDNEYS, LIVER, STOMACH = 0, 1, (2, 3), 5, 6
LUL, LLL, RUL, RML, RLL = 10, 11, 12, 13, 14
LUNGS = (LUL, LLL, RUL, RML, RLL)
ESOPHAGUS, TRACHEA, THYROID, BOWEL = 15, 16, 17, (6, 18, 19, 20)
BLADDER, SPINAL_CORD = 21, 79
VERTEBRAE = tuple(range(26, 51))  # S1, L5..L1, T12..T1, C7..C1
HEART, AORTA, PULMONARY_VEIN = 51, 52, 53
ARTERIES = (52, 54, 55, 56, 57, 58, 65, 66)
VEINS = (59, 60, 62, 63, 64, 67, 68)
PULMONARY_BLOOD = (53, 61)
SCAPULAE, CLAVICLES = (71, 72), (73, 74)
LIMB_BONES = (25, *range(69, 79), 91)
AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT = 86, 87
MUSCLES = tuple(range(80, 90))
RIBS_LEFT, RIBS_RIGHT = tuple(range(92, 104)), tuple(range(104, 116))
STERNUM, CARTILAGE = 116, 117
# Not in the class map: what lies between its structures.
MUSCLE, FAT, SKIN, TABLE, DISC, BLOOD, VISCERAL, GAS, FOAM = range(118, 127)

BONES = (*VERTEBRAE, *LIMB_BONES, *RIBS_LEFT, *RIBS_RIGHT, STERNUM)
_PARENCHYMA = (4, 7, 8, 9, ESOPHAGUS, 22, 23, 24, SPINAL_CORD, 90, DISC)

# Network channel (index in labels.PAPER_LABELS) of every id; 0 is background.
CHANNEL_OF_ID = np.zeros(256, np.uint8)
for _channel, _ids in {
    1: (AORTA,),
    2: (LUL,),
    3: (LLL,),
    4: (RUL,),
    5: (RML,),
    6: (RLL,),
    7: (TRACHEA,),
    8: (HEART,),
    9: (PULMONARY_VEIN,),
    10: (THYROID,),
    11: (*RIBS_LEFT, *RIBS_RIGHT),
    12: VERTEBRAE,
    13: (AUTOCHTHON_LEFT,),
    14: (AUTOCHTHON_RIGHT,),
    15: (STERNUM,),
    16: (CARTILAGE,),
}.items():
    CHANNEL_OF_ID[list(_ids)] = _channel

# Id after mirroring left and right. A mirrored middle lobe becomes part of the (two-lobed) left upper lobe.
MIRRORED_ID = np.arange(256, dtype=np.uint8)
for _left, _right in (
    (LUL, RUL),
    (LLL, RLL),
    *((left, left + 1) for left in (69, 71, 73, 75, 77, 80, 82, 84, 86, 88, 65, 67)),
    *zip(RIBS_LEFT, RIBS_RIGHT, strict=True),
    (3, 2),
    (9, 8),
    (23, 24),
    (56, 55),
    (58, 57),
    (59, 60),
):
    MIRRORED_ID[[_left, _right]] = _right, _left
MIRRORED_ID[RML] = LUL


@dataclass(frozen=True)
class Scan:
    """One scan's tissues: mean and texture (standard deviation) in HU by id, and what single numbers cannot say.

    Attributes:
        mean, texture: float32 [256], HU.
        blood, myocardium: HU of the heart's chambers and of its wall.
        cortex: HU that the outermost layer of a bone lies above its inside.
        phase: ``plain``, ``arterial`` or ``venous``.
    """

    mean: np.ndarray
    texture: np.ndarray
    blood: float
    myocardium: float
    cortex: float
    phase: str


def draw_scan(rng: np.random.Generator, phase: str | None = None) -> Scan:
    """Tissue HU of one random chest CT, each within the range such tissue has in patients at 100-140 kV."""
    phase = phase or str(rng.choice(["plain", "arterial", "venous"], p=[0.4, 0.3, 0.3]))
    mean, texture = np.zeros(256, np.float32), np.full(256, 6, np.float32)

    def set_hu(ids: int | tuple[int, ...], low: float, high: float, spread: float = 6) -> float:
        value = rng.uniform(low, high)
        mean[np.atleast_1d(ids)] = value
        texture[np.atleast_1d(ids)] = spread
        return float(value)

    blood = {"plain": (30, 55), "arterial": (180, 420), "venous": (110, 190)}[phase]
    gain = {"plain": 0.0, "arterial": rng.uniform(0.1, 0.5), "venous": rng.uniform(0.7, 1.2)}[phase]
    set_hu(tuple(range(1, 126)), 30, 55)
    set_hu(AIR, -1005, -990, 3)
    set_hu(LUNGS, -900, -760, 25)
    set_hu((TRACHEA, GAS), -1000, -940, 8)
    set_hu(FAT, -125, -85, 8)
    set_hu(VISCERAL, -110, -70, 12)
    set_hu(SKIN, -40, 40, 10)
    muscle = set_hu((*MUSCLES, MUSCLE), 35, 65, 12)
    set_hu((AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT), muscle - 15, muscle + 5, 14)
    set_hu(_PARENCHYMA, 20, 60, 10)
    set_hu(LIVER, 40 + 40 * gain, 70 + 55 * gain)
    set_hu(SPLEEN, 40 + 60 * gain, 60 + 90 * gain)
    set_hu(KIDNEYS, 30 + 100 * gain, 45 + 180 * gain, 15)
    set_hu(BOWEL, 0, 60, 20)
    set_hu(BLADDER, -5, 20)
    set_hu(THYROID, 70 + 40 * gain, 130 + 80 * gain, 10)
    arterial = set_hu((*ARTERIES, *PULMONARY_BLOOD), *blood)
    # The right side of the heart may be denser than the aorta (early bolus) or as yet unenhanced.
    right = set_hu((*VEINS, BLOOD), 30, 55) if phase == "plain" else set_hu((*VEINS, BLOOD), 60, arterial * 1.3)
    set_hu(HEART, min(arterial, right), max(arterial, right) + 1, 8)
    if phase == "plain":
        mean[[HEART, BLOOD, *VEINS]] = arterial + rng.uniform(-5, 5)
    set_hu(BONES, 130, 330, 50)
    set_hu(VERTEBRAE, 90, 280, 35)
    set_hu((*RIBS_LEFT, *RIBS_RIGHT), 150, 420, 60)
    set_hu(STERNUM, 60, 240, 30)
    set_hu(CARTILAGE, 60, 160, 25)
    if rng.random() < 0.5:  # foam
        set_hu(TABLE, -970, -800, 10)
    else:
        set_hu(TABLE, -300, 100, 30)
    myocardium = float(arterial) if phase == "plain" else float(rng.uniform(70, 130))
    return Scan(mean, texture, float(arterial), myocardium, float(rng.uniform(100, 420)), phase)
