"""A home folder with models of every kind in it, small, whole and not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from support.nnunet_model import network_of, plans_of, write_nnunet

ORGANS = {"background": 0, "spleen": 1, "rib_left_1": 2, "aorta": 3}
_CONFIG = {
    "network": {"_target_": "SegResNetDS", "init_filters": 4, "blocks_down": [1, 1], "in_channels": 1, "out_channels": 3},
    "modality": "ct", "normalize_mode": "range", "intensity_bounds": [-180.0, 420.0], "orientation_ras": True,
    "crop_foreground": True, "resample": True, "resample_resolution": [3.0, 3.0, 3.0], "roi_size": [16, 16, 16], "sigmoid": False,
    "input_channels": 1, "output_classes": 3, "extra_modalities": {}, "class_index": None,
}  # fmt: skip
_BUNDLE = {
    "network_def": {"_target_": "SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "init_filters": 8},
    "preprocessing": {"_target_": "Compose", "transforms": [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": "image", "pixdim": [2.0, 2.0, 2.5], "mode": "bilinear"},
        {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -100, "a_max": 200, "b_min": 0, "b_max": 1, "clip": True},
    ]},
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "sw_batch_size": 1},
}  # fmt: skip


def install_task(weights: Path, folder: str, plans: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A task's folder as TotalSegmentator unpacks it; returns the trained model in it."""
    weights.mkdir(parents=True, exist_ok=True)
    plans = plans or plans_of(spacing=[1.5, 1.5, 1.5])
    networks = {"0": changes.pop("network", None) or network_of(plans, len(ORGANS))}
    root = write_nnunet(weights, plans, ORGANS, networks, **changes)
    trained = root.parent.rename(weights / folder) / root.name
    return trained.rename(trained.with_name("nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres"))


def fill_home(home: Path) -> None:
    """TotalSegmentator (one whole task, one for MR, one cut short), Auto3DSeg, a bundle that fits and one that does not."""
    weights = home / ".totalsegmentator" / "nnunet" / "results"
    install_task(weights, "Dataset291_TotalSegmentator_part1_organs_1559subj")
    install_task(weights, "Dataset852_TotalSegMRI_total_3mm_1088subj", dataset={"channel_names": {"0": "MRI"}})
    cut = install_task(weights, "Dataset297_TotalSegmentator_total_3mm_1559subj") / "fold_0" / "checkpoint_final.pth"
    cut.write_bytes(cut.read_bytes()[:20000])
    auto = home / ".MONAIAuto3DSeg" / "models" / "adrenal-v1.0.0" / "adrenal"
    auto.mkdir(parents=True)
    torch.save({"config": _CONFIG, "state_dict": {"a": torch.zeros(3)}, "epoch": 3, "best_metric": 0.9}, auto / "model.pt")
    (auto / "labels.csv").write_text("LabelValue,Name\n1,left adrenal gland\n2,cyst\n")
    for name, changes in (("liver", {}), ("turned", {"axes": {"_target_": "Rotate90d", "keys": "image"}})):
        bundle = home / ".cache" / "torch" / "hub" / "bundle" / name
        (bundle / "configs").mkdir(parents=True)
        (bundle / "models").mkdir()
        config = json.loads(json.dumps(_BUNDLE))
        config["preprocessing"]["transforms"] += changes.values()
        (bundle / "configs" / "inference.json").write_text(json.dumps(config))
        channels = {"outputs": {"pred": {"channel_def": {"0": "background", "1": "liver"}}}}
        (bundle / "configs" / "metadata.json").write_text(json.dumps({"network_data_format": channels}))
        torch.save({"a": torch.zeros(3)}, bundle / "models" / "model.pt")
