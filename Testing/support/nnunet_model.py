"""Small trained model folders of nnU-Net v2, made with its own network package and laid out as nnU-Net lays them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

LABELS = {"background": 0, "lung": 1, "heart": 2, "bone": 3}
INTENSITIES = {"mean": 40.0, "std": 320.0, "percentile_00_5": -950.0, "percentile_99_5": 900.0, "median": 20.0, "min": -1024.0}
KERNELS = [[1, 3, 3], [3, 3, 3], [3, 3, 3]]
STRIDES = [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
FEATURES = [4, 8, 8]
PATCH, SPACING = [12, 20, 16], [3.1, 1.7, 1.9]
TRAINED = "nnUNetTrainer__nnUNetPlans__3d_fullres"


def arch_block(residual: bool = False) -> dict[str, Any]:
    """``architecture`` as plans have it since nnU-Net 2.4."""
    name = "ResidualEncoderUNet" if residual else "PlainConvUNet"
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "arch_kwargs": {
            "n_stages": 3,
            "features_per_stage": FEATURES,
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": KERNELS,
            "strides": STRIDES,
            "n_blocks_per_stage" if residual else "n_conv_per_stage": [2, 1, 1],
            "n_conv_per_stage_decoder": [1, 2],
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


def plans_of(old: bool = False, residual: bool = False, **changes: Any) -> dict[str, Any]:
    """A ``plans.json``; ``changes`` replace entries of its configuration, or of itself where it has them."""
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration: dict[str, Any] = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": PATCH,
        "spacing": SPACING,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
    }
    block = arch_block(residual)
    if old:
        kwargs = block["arch_kwargs"]
        configuration |= {
            "UNet_class_name": block["network_class_name"].rsplit(".", 1)[-1],
            "UNet_base_num_features": FEATURES[0],
            "unet_max_num_features": FEATURES[-1],
            "n_conv_per_stage_encoder": [2, 1, 1],
            "n_conv_per_stage_decoder": kwargs["n_conv_per_stage_decoder"],
            "num_pool_per_axis": [1, 2, 2],
            "pool_op_kernel_sizes": STRIDES,
            "conv_kernel_sizes": KERNELS,
        }
    else:
        configuration["architecture"] = block
    key = "foreground_intensity_properties_per_channel"
    plans: dict[str, Any] = {
        "dataset_name": "Dataset998_Tiny",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        key: {"0": INTENSITIES},
    }
    plans |= {name: value for name, value in changes.items() if name in plans}
    configuration |= {name: value for name, value in changes.items() if name not in plans}
    return {**plans, "configurations": {"3d_fullres": configuration, "2d": {"patch_size": [16, 16]}}}


def network_of(plans: dict[str, Any], channels: int, seed: int = 0) -> Any:
    """A random network as nnU-Net builds it for training, that is with deep supervision."""
    from dynamic_network_architectures.architectures import unet

    configuration = plans["configurations"]["3d_fullres"]
    block = configuration.get("architecture") or arch_block(configuration["UNet_class_name"] == "ResidualEncoderUNet")
    kwargs = {**block["arch_kwargs"], "conv_op": torch.nn.Conv3d, "norm_op": torch.nn.InstanceNorm3d, "nonlin": torch.nn.LeakyReLU}
    torch.manual_seed(seed)
    kind = getattr(unet, block["network_class_name"].rsplit(".", 1)[-1])
    network: Any = kind(input_channels=1, num_classes=channels, deep_supervision=True, **kwargs)
    with torch.no_grad():  # nothing may be as constant as a norm's start
        for name, tensor in network.named_parameters():
            if tensor.ndim == 1:
                tensor.copy_((0.5 if name.endswith("weight") else -0.3) + torch.rand_like(tensor))
        for layer in network.decoder.seg_layers:  # each label shall win somewhere
            layer.weight.normal_()
            layer.weight -= layer.weight.mean(1, keepdim=True)
            layer.bias.zero_()
    return network


def see_bright(network: Any, threshold: float = 3.0) -> Any:
    """The same network with weights by which label 1 is what is brighter than its window by so many deviations."""
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            tensor.fill_(1.0 if tensor.ndim == 1 and name.endswith("weight") else 0.0)
        stages = [*network.encoder.stages[0][0].convs, *network.decoder.stages[-1].convs]
        for stage in stages:
            weight = stage.conv.weight
            middle = tuple(size // 2 for size in weight.shape[2:])
            source = FEATURES[0] if stage is stages[2] else 0  # what skips comes behind what was brought up
            weight[(0, source, *middle)] = 1.0
        network.decoder.seg_layers[-1].weight[1, 0] = 1.0
        network.decoder.seg_layers[-1].bias[1] = -threshold
    return network


def save_checkpoint(file: Path, network: torch.nn.Module, plans: dict[str, Any], **changes: Any) -> Path:
    """A checkpoint with all that nnU-Net's trainer puts into it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "network_weights": network.state_dict(),
        "optimizer_state": torch.optim.SGD(network.parameters(), 0.01, momentum=0.99, nesterov=True).state_dict(),
        "grad_scaler_state": None,
        "logging": {
            "mean_fg_dice": [np.float64(0.5)],
            "ema_fg_dice": [np.float64(0.4)],
            "dice_per_class_or_region": [[np.float32(0.2), np.float64(0.7)]],
            "train_losses": [np.float32(-0.3)],
            "epoch_start_timestamps": [1.5],
        },
        "_best_ema": np.float64(0.4),
        "current_epoch": 1000,
        "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save({**content, **changes}, file)
    return file


def write_nnunet(
    folder: Path,
    plans: dict[str, Any] | None = None,
    labels: dict[str, Any] | None = None,
    networks: dict[str, torch.nn.Module] | None = None,
    name: str = "checkpoint_final.pth",
    dataset: dict[str, Any] | None = None,
    **checkpoint: Any,
) -> Path:
    """A trained model folder in ``folder/Dataset998_Tiny``, one fold for each network; returns it."""
    plans, labels = plans or plans_of(), labels or LABELS
    regions = any(isinstance(value, list) and len(value) > 1 for value in labels.values())
    channels = len(labels) - ("ignore" in labels) - regions
    networks = networks or {"0": network_of(plans, channels)}
    root = folder / "Dataset998_Tiny" / TRAINED
    for fold, network in networks.items():
        save_checkpoint(root / f"fold_{fold}" / name, network, plans, **checkpoint)
    described = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 2, "file_ending": ".nii.gz", **(dataset or {})}
    (root / "plans.json").write_text(json.dumps(plans))
    (root / "dataset.json").write_text(json.dumps(described))
    return root
