"""The CT tasks of TotalSegmentator: names, folders, spacing and licence (facts of its version 2.18, ``map_tasks_config.py``)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LUNGS, _HEAD, _NECK = "lungs", "skull", "clavicles and vertebrae C1 to T4"


@dataclass(frozen=True)
class Task:
    """One trained model of TotalSegmentator.

    Attributes:
        name: as TotalSegmentator calls the task; the parts and resolutions of one task have an ending of their own.
        folder: of the data set in its weights folder; later releases may have something behind it.
        spacing: mm that TotalSegmentator resamples to, (R-L, A-P, I-S); None where nnU-Net alone does.
        step: share of a window from one to the next.
        cropped: what TotalSegmentator crops the CT to first, with another model.
        licensed: whether the weights need a licence of their own.
        modality: ``CT``, or ``MR`` for what cannot be explained here.
    """

    name: str
    folder: str
    spacing: tuple[float, float, float] | None = None
    step: float = 0.5
    cropped: str = ""
    licensed: bool = False
    modality: str = "CT"

    @property
    def task(self) -> str:
        """The name to download it by."""
        return re.sub(r"_(part\d+|fast|fastest)$", "", self.name)

    @property
    def dataset(self) -> str:
        """``Dataset291``."""
        return self.folder.split("_", 1)[0]


def _cube(size: float) -> tuple[float, float, float]:
    return size, size, size


_FINE = (0.75, 0.75, 1.0)
_TOTAL = ("part1", "part2", "part3", "part4", "part5", "fast", "fastest")
_V2 = ("Dataset291_TotalSegmentator_part1_organs", "Dataset292_TotalSegmentator_part2_vertebrae",
       "Dataset293_TotalSegmentator_part3_cardiac", "Dataset294_TotalSegmentator_part4_muscles",
       "Dataset295_TotalSegmentator_part5_ribs", "Dataset297_TotalSegmentator_total_3mm",
       "Dataset298_TotalSegmentator_total_6mm")  # fmt: skip
_V3 = ("Dataset831_TotalSegmentator_part1_organs", "Dataset832_TotalSegmentator_part2_vertebrae",
       "Dataset833_TotalSegmentator_part3_cardiac", "Dataset834_TotalSegmentator_part4_muscles",
       "Dataset835_TotalSegmentator_part5_ribs", "Dataset836_TotalSegmentator_total_3mm",
       "Dataset837_TotalSegmentator_total_6mm")  # fmt: skip
_TOTAL_SPACING = {"fast": 3.0, "fastest": 6.0}

TASKS: tuple[Task, ...] = (
    *(
        Task(f"{task}_{part}", folder, _cube(_TOTAL_SPACING.get(part, 1.5)), 0.8)
        for task, folders in (("total", _V2), ("total_v3", _V3))
        for part, folder in zip(_TOTAL, folders, strict=True)
    ),
    Task("body", "Dataset299_body", _cube(1.5)),
    Task("body_fast", "Dataset300_body_6mm", _cube(6.0)),
    Task("lung_vessels", "Dataset117_lung_airways_arteries_veins", (0.703125, 0.703125, 1.0), cropped=_LUNGS),
    Task("lung_vessels_LEGACY", "Dataset258_lung_vessels", cropped=_LUNGS),
    Task("cerebral_bleed", "Dataset150_icb", cropped="brain"),
    Task("hip_implant", "Dataset260_hip_implant", cropped="femurs and hips"),
    Task("pleural_pericard_effusion", "Dataset315_thoraxCT", cropped=_LUNGS),
    Task("liver_vessels", "Dataset008_HepaticVessel", cropped="liver"),
    Task("head_glands_cavities", "Dataset775_head_glands_cavities", _FINE, cropped=_HEAD),
    Task("headneck_bones_vessels", "Dataset776_headneck_bones_vessels", _FINE, cropped=_NECK),
    Task("head_muscles", "Dataset777_head_muscles", _FINE, cropped=_HEAD),
    Task("headneck_muscles_part1", "Dataset778_headneck_muscles_part1", _FINE, cropped=_NECK),
    Task("headneck_muscles_part2", "Dataset779_headneck_muscles_part2", _FINE, cropped=_NECK),
    Task("oculomotor_muscles", "Dataset351_oculomotor_muscles", (0.47251562774181366, 0.47251562774181366, 0.8500002026557922),
         cropped=_HEAD),
    Task("lung_nodules", "Dataset913_lung_nodules", _cube(1.5), cropped=_LUNGS),
    Task("kidney_cysts", "Dataset789_kidney_cyst", _cube(1.5), cropped="kidneys, liver, spleen and colon"),
    Task("breasts", "Dataset527_breasts", _cube(1.5)),
    Task("ventricle_parts", "Dataset552_ventricle_parts", (0.4384765625, 0.4345703125, 1.0), cropped="brain"),
    Task("liver_segments", "Dataset570_ct_liver_segments", (0.8046879768371582, 0.8046879768371582, 1.5), cropped="liver"),
    Task("liver_lesions", "Dataset591_ct_liver_lesions", _FINE, cropped="liver"),
    Task("craniofacial_structures", "Dataset115_mandible", _cube(0.5), cropped=_HEAD),
    Task("abdominal_muscles", "Dataset952_abdominal_muscles", _FINE, cropped="trunk"),
    Task("teeth", "Dataset113_ToothFairy3", _cube(0.5), cropped="teeth"),
    Task("trunk_cavities", "Dataset343_mediastinum", _cube(1.5)),
    Task("vertebrae_body", "Dataset305_vertebrae_discs", _cube(1.5)),
    Task("vertebrae_pp", "Dataset803_TotalSegmentator_vertebrae_inner", _cube(1.5)),
    Task("heartchambers_highres", "Dataset301_heart_highres", cropped="heart", licensed=True),
    Task("appendicular_bones", "Dataset304_appendicular_bones", _cube(1.5), licensed=True),
    Task("tissue_types", "Dataset481_tissue", _cube(1.5), licensed=True),
    Task("tissue_4_types", "Dataset485_tissue_4types", _cube(1.5), licensed=True),
    Task("face", "Dataset303_face", _cube(1.5), licensed=True),
    Task("brain_structures", "Dataset409_neuro", (0.5, 0.5, 1.0), cropped="brain", licensed=True),
    Task("thigh_shoulder_muscles", "Dataset857_TotalSegMRI_thigh_shoulder", _cube(1.5), licensed=True),
    Task("coronary_arteries", "Dataset509_coronary_arteries", _cube(0.7), cropped="heart", licensed=True),
    Task("coronary_arteries_LEGACY", "Dataset507_coronary_arteries", _cube(0.7), cropped="heart", licensed=True),
    Task("aortic_sinuses", "Dataset920_aortic_sinuses", _cube(0.7), cropped="heart", licensed=True),
    Task("renal_arteries", "Dataset710_renal_arteries", _cube(1.5), cropped="abdominal aorta", licensed=True),
    Task("aorta_annulus", "Dataset713_annulus_proper", _cube(0.8), cropped="aortic root", licensed=True),
    Task("aortic_dissection", "Dataset716_aorta_true_false_lumen", _cube(0.8), cropped="aorta", licensed=True),
    Task("pulmonary_artery_landmarks", "Dataset514_annulus_pulmonary", (0.7802734375, 0.7802734375, 1.0), licensed=True),
    *(
        Task(name, folder, modality="MR")
        for name, folder in (
            ("total_mr_part1", "Dataset850_TotalSegMRI_part1_organs"),
            ("total_mr_part2", "Dataset851_TotalSegMRI_part2_muscles"),
            ("total_mr_fast", "Dataset852_TotalSegMRI_total_3mm"),
            ("total_mr_fastest", "Dataset853_TotalSegMRI_total_6mm"),
            ("body_mr", "Dataset597_mri_body_139subj"),
            ("body_mr_fast", "Dataset598_mri_body_6mm"),
            ("vertebrae_mr", "Dataset756_mri_vertebrae"),
            ("liver_segments_mr", "Dataset576_mri_liver_segments"),
            ("liver_lesions_mr", "Dataset589_ct_mri_liver_lesions"),
            ("brain_aneurysm", "Dataset615_MAXIMUS"),
            ("appendicular_bones_mr", "Dataset855_TotalSegMRI_appendicular_bones"),
            ("tissue_types_mr", "Dataset925_MRI_tissue"),
            ("face_mr", "Dataset856_TotalSegMRI_face"),
        )
    ),
)  # fmt: skip


def task_of(folder: str) -> Task | None:
    """The task that a data set's folder belongs to; a user's own data set may have the same number, but not the same name."""
    found = [task for task in TASKS if folder == task.folder or folder.startswith(f"{task.folder}_")]
    return max(found, key=lambda task: len(task.folder), default=None)
