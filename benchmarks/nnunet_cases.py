"""Tiny nnU-Net models and CT on which a reader of nnU-Net folders can go wrong: plans, datasets, scans. Needs no nnU-Net."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CT_NORMALISATION = {"max": 1210.0, "mean": 64.5, "median": 71.0, "min": -990.0}
CT_NORMALISATION |= {"percentile_00_5": -850.0, "percentile_99_5": 640.0, "std": 231.25}
LABELS: dict[str, Any] = {"background": 0, "liver": 1, "spleen": 2, "left kidney": 3}


@dataclass(frozen=True)
class Case:
    """One model folder and the CT it is tried on.

    Attributes:
        ct: name in SCANS.
        plans: the ``plans.json`` of nnU-Net, its only configuration ``3d_fullres``.
        labels: ``labels`` of the ``dataset.json``.
        regions_class_order: of the ``dataset.json`` where labels are regions.
        mirror_axes: axes that the checkpoint allows to mirror, those of the transposed array.
        mirrored: whether results with mirroring are kept too.
        folds: how many.
        channel: of the network's output, whose gradient is kept.
    """

    ct: str
    plans: dict[str, Any]
    labels: dict[str, Any] = field(default_factory=lambda: dict(LABELS))
    regions_class_order: tuple[int, ...] | None = None
    mirror_axes: tuple[int, ...] | None = (0, 1, 2)
    mirrored: bool = False
    folds: int = 1
    channel: int = 2

    def dataset(self) -> dict[str, Any]:
        """The ``dataset.json``."""
        dataset: dict[str, Any] = {"channel_names": {"0": "CT"}, "labels": self.labels, "numTraining": 4, "file_ending": ".nii.gz"}
        if self.regions_class_order is not None:
            dataset["regions_class_order"] = list(self.regions_class_order)
        return dataset


def _plans(configuration: dict[str, Any], transpose: tuple[int, int, int], spacing: tuple[float, float, float]) -> dict[str, Any]:
    """A ``plans.json`` with the given configuration on top of what all have in common.

    Args:
        transpose: new order of the axes (z, y, x) that the reader gives.
        spacing: mm, in the new order.
    """
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    common = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "median_image_size_in_voxels": [14.0, 14.0, 14.0],
        "spacing": list(spacing),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": resampling | {"is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling | {"order": 1},
        "batch_dice": False,
    }
    return {
        "dataset_name": "Dataset900_Reference",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(spacing),
        "original_median_shape_after_transp": [14, 14, 14],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose),
        "transpose_backward": [int(axis) for axis in np.argsort(transpose)],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": CT_NORMALISATION},
        "configurations": {"3d_fullres": common | configuration},
    }


def _architecture(kind: str, kernels: list[list[int]], strides: list[list[int]], **own: Any) -> dict[str, Any]:
    """The ``architecture`` of plans since nnU-Net 2.3; ``kind`` is the module and class in dynamic-network-architectures."""
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.{kind}",
        "arch_kwargs": {
            "n_stages": len(strides),
            "features_per_stage": [3, 4, 6][: len(strides)],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": kernels,
            "strides": strides,
            **own,
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _cases() -> dict[str, Case]:
    cubes, halved = [[3, 3, 3]] * 3, [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
    z_score = {"normalization_schemes": ["ZScoreNormalization"]}
    plain = _architecture("unet.PlainConvUNet", cubes, halved, n_conv_per_stage=[2, 1, 1], n_conv_per_stage_decoder=[1, 2])
    residual = _architecture(
        "unet.ResidualEncoderUNet",
        cubes,
        [[1, 1, 1], [2, 1, 2], [1, 2, 2]],
        n_blocks_per_stage=[1, 1, 1],
        n_conv_per_stage_decoder=[1, 1],
    )
    flat = _architecture(
        "unet.PlainConvUNet", [[1, 3, 3], [3, 3, 3]], [[1, 1, 1], [1, 2, 2]], n_conv_per_stage=[2, 2], n_conv_per_stage_decoder=[1]
    )
    old = {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 3,
        "n_conv_per_stage_encoder": [1, 1, 1],
        "n_conv_per_stage_decoder": [1, 1],
        "num_pool_per_axis": [1, 2, 1],
        "pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 1], [1, 2, 2]],
        "conv_kernel_sizes": cubes,
        "unet_max_num_features": 6,
    }
    regions = {"background": 0, "organ with lesion": [1, 2, 3], "lesion": [2, 3], "core": 3}
    return {
        "plain": Case(
            "oblique", _plans({"architecture": plain, "patch_size": [8, 8, 12]}, (0, 1, 2), (2.6, 1.8, 1.7)), mirrored=True
        ),
        # The window is longer than the scan along the last axis: nnU-Net pads with 0.
        "residual": Case(
            "oblique",
            _plans({"architecture": residual, "patch_size": [8, 6, 16]} | z_score, (2, 0, 1), (2.2, 2.5, 1.9)),
            labels=LABELS | {"ignore": 4},
            mirror_axes=None,
        ),
        "old_plans_two_folds": Case(
            "oblique",
            _plans(old | {"patch_size": [8, 8, 10]}, (1, 0, 2), (1.9, 2.4, 2.1)),
            mirror_axes=(0, 2),
            mirrored=True,
            folds=2,
        ),
        # Slices thicker than three times the voxels: nnU-Net resamples within slices, then takes the nearest slice.
        "regions_thick_slices": Case(
            "thick",
            _plans({"architecture": flat, "patch_size": [4, 8, 12]}, (0, 1, 2), (5.0, 1.9, 1.7)),
            regions,
            (1, 2, 3),
            channel=1,
        ),
        # Rows of 0 HU around the scan are cut off, and only voxels that differ from 0 count for mean and deviation.
        "zeros_cut_off": Case(
            "zero_border",
            _plans(
                {"architecture": flat, "patch_size": [6, 8, 8], "use_mask_for_norm": [True]} | z_score, (0, 2, 1), (2.8, 1.9, 1.6)
            ),
        ),
    }


CASES = _cases()

# Name: voxels (x, y, z), spacing (mm), whether a border of zeros surrounds it.
SCANS: dict[str, tuple[tuple[int, int, int], tuple[float, float, float], bool]] = {
    "oblique": ((14, 15, 10), (1.9, 1.6, 3.0), False),
    "thick": ((14, 15, 7), (1.9, 1.6, 6.4), False),
    "zero_border": ((16, 17, 12), (1.9, 1.6, 3.0), True),
}


def write_scan(name: str, path: Path) -> None:
    """A CT whose axes run, slanted by up to 25 degrees, towards back, feet and right of the patient, at an odd place."""
    import SimpleITK as sitk
    from scipy.ndimage import gaussian_filter

    size, spacing, border = SCANS[name]
    rng = np.random.default_rng(sorted(SCANS).index(name))
    smooth = [2.0 / step for step in spacing[::-1]]
    noise = gaussian_filter(rng.normal(size=size[::-1]), smooth)
    hu = np.digitize(noise / noise.std(), [-1.2, -0.3, 0.4, 1.3]).astype(float)
    hu = np.array([-900.0, -90.0, 40.0, 160.0, 700.0])[hu.astype(int)]
    hu = np.rint(hu + rng.normal(0, 40, hu.shape)).clip(-1024, 3071)
    hu[hu == 0] = 1
    if border:
        hu = np.pad(hu[1:-2, 2:-1, 1:-1], [(1, 2), (2, 1), (1, 1)])
        hu[5, 7, 8] = 0  # a hole, which nnU-Net fills before it looks for zeros
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing(spacing)
    a, b, c = np.deg2rad([25.0, -14.0, 9.0])
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn = turn @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn = turn @ np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    axes = np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]], float)  # columns: voxel axes in the patient's left, back, head
    image.SetDirection((turn @ axes).ravel().tolist())
    image.SetOrigin((31.5, -112.25, 418.0))
    sitk.WriteImage(image, str(path), True)
