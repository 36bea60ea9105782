"""What the real nnU-Net makes of tiny models: the reference that reading and explaining nnU-Net models is tested against.

    python benchmarks/nnunet_reference.py Testing/models/nnunet_reference

Needs ``nnunetv2``, too heavy for CI: its results are kept as data. For every case of ``nnunet_cases`` it writes a model folder as
nnU-Net's trainer does (random weights, saved by the trainer's own function), and ``reference.npz`` with what nnU-Net's own
preprocessor, predictor and export make of a CT (README.md beside the data says which arrays).

nnU-Net stitches in half precision. Its own code is run once as it is, for its label map, and once with these buffers in float64 and
the same weights, for logits and (by autograd through its sliding windows) gradients that tell errors from rounding.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from nnunet_cases import CASES, SCANS, Case, write_scan

if TYPE_CHECKING:
    import torch

NAME = "nnUNetTrainer__nnUNetPlans__3d_fullres"
PACKAGES = ("nnunetv2", "dynamic-network-architectures", "torch", "numpy", "scipy", "scikit-image", "SimpleITK")


@contextlib.contextmanager
def stitched_in(dtype: torch.dtype) -> Iterator[None]:
    """nnU-Net's sliding window with other buffers than its half precision ones, and a division that autograd knows.

    The windows' weights keep the values that they have in half precision, whose smallest number, 6e-8, lies far above a Gaussian in
    the corners of a window.
    """
    import torch
    from nnunetv2.inference import predict_from_raw_data as theirs

    original = theirs.compute_gaussian

    def weights(*args: Any, **kwargs: Any) -> torch.Tensor:
        return original(*args, **kwargs).to(dtype)

    with (
        mock.patch.object(torch, "half", dtype),
        mock.patch.object(torch, "div", lambda total, weight, out: out.div_(weight)),
        mock.patch.object(theirs, "compute_gaussian", weights),
    ):
        yield


def make_predictor(mirror: bool, differentiable: bool) -> Any:
    """nnU-Net's predictor on the CPU, at its default step; if asked for, its functions without ``inference_mode``."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    class Differentiable(nnUNetPredictor):
        predict_logits_from_preprocessed_data = nnUNetPredictor.predict_logits_from_preprocessed_data.__wrapped__
        predict_sliding_window_return_logits = nnUNetPredictor.predict_sliding_window_return_logits.__wrapped__
        _internal_predict_sliding_window_return_logits = nnUNetPredictor._internal_predict_sliding_window_return_logits.__wrapped__
        _internal_maybe_mirror_and_predict = nnUNetPredictor._internal_maybe_mirror_and_predict.__wrapped__

    kind = Differentiable if differentiable else nnUNetPredictor
    return kind(
        use_mirroring=mirror, perform_everything_on_device=False, device=torch.device("cpu"), verbose=False, allow_tqdm=False
    )


def make_folder(case: Case, folder: Path, data: torch.Tensor) -> None:
    """A model folder with random weights. Every channel's logits get mean 0 and deviation 3 on ``data``: all labels are drawn."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    for fold in range(case.folds):
        trainer = nnUNetTrainer(case.plans | {"continue_training": False}, "3d_fullres", fold, case.dataset(), torch.device("cpu"))
        data_folder = Path(trainer.preprocessed_dataset_folder)
        data_folder.mkdir(parents=True, exist_ok=True)
        (data_folder / "case.b2nd").touch()  # nnU-Net looks only at the name's end
        torch.manual_seed(10 * list(CASES.values()).index(case) + fold)
        trainer.initialize()
        trainer.set_deep_supervision_enabled(False)
        network = trainer.network
        with torch.no_grad():
            for parameter in network.parameters():
                spread = 0.2 if parameter.ndim == 1 else 0.02
                parameter += spread * torch.randn_like(parameter)
            last = network.decoder.seg_layers[-1]
            plans, configuration = trainer.plans_manager, trainer.configuration_manager
            predictor = make_predictor(False, False)
            predictor.manual_initialization(network, plans, configuration, None, case.dataset(), "nnUNetTrainer", None)
            with stitched_in(torch.float32):
                logits = predictor.predict_sliding_window_return_logits(data)
            scale = 3 / logits.std((1, 2, 3))
            last.weight *= scale[:, None, None, None, None]
            last.bias.copy_(scale * (last.bias - logits.mean((1, 2, 3))))
        trainer.inference_allowed_mirroring_axes = case.mirror_axes
        trainer.logger.log("mean_fg_dice", np.float64(0.5), 0)  # a training's log holds NumPy's numbers
        trainer.logger.log("dice_per_class_or_region", [np.float32(0.5)] * (len(case.labels) - 1), 0)
        trainer._best_ema = np.float64(0.5)
        target = folder / f"fold_{fold}"
        target.mkdir(parents=True, exist_ok=True)
        trainer.save_checkpoint(str(target / "checkpoint_final.pth"))
    for name, content in (("plans", case.plans), ("dataset", case.dataset())):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def exact(folder: Path, data: torch.Tensor, mirror: bool, channel: int, mask: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Logits of nnU-Net's own code stitched in float64, and the gradient of their sum over a mask.

    Args:
        data: float32 [1, z, y, x], preprocessed.
        mask: bool [z, y, x]; None for the voxels where the channel's label is drawn.

    Returns:
        ``logits`` [channels, z, y, x], ``mask`` and ``gradient`` [z, y, x]; folds are averaged as nnU-Net does.
    """
    import torch

    predictor = make_predictor(mirror, True)
    predictor.initialize_from_trained_model_folder(str(folder), None)
    predictor.network.double()
    with stitched_in(torch.float64):
        with torch.no_grad():
            logits = predictor.predict_logits_from_preprocessed_data(data.double())
        if mask is None:
            regions = predictor.label_manager.has_regions
            mask = ((logits[channel] > 0) if regions else logits.argmax(0) == channel).numpy()
        gradient = np.zeros(data.shape[1:])
        folds = predictor.list_of_parameters
        for fold in folds:  # nnU-Net loads one fold's weights over the other's, so each has a graph of its own
            predictor.list_of_parameters = [fold]
            leaf = data.double().requires_grad_(True)
            total = predictor.predict_logits_from_preprocessed_data(leaf)[channel][torch.from_numpy(mask)].sum()
            total.backward()
            assert leaf.grad is not None
            gradient += leaf.grad[0].numpy() / len(folds)
    return {"logits": logits.numpy(), "mask": mask, "gradient": gradient}


def label_map(folder: Path, logits: np.ndarray, properties: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """nnU-Net's label maps of given logits: on the network's grid, and exported to the CT's (both uint8)."""
    import torch
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape as convert

    predictor = make_predictor(False, False)
    predictor.initialize_from_trained_model_folder(str(folder), None)
    manager = predictor.label_manager
    here = manager.convert_logits_to_segmentation(torch.from_numpy(logits).float())
    back = convert(torch.from_numpy(logits), predictor.plans_manager, predictor.configuration_manager, manager, properties)
    return np.asarray(here, np.uint8), np.asarray(back, np.uint8)


def run(case: Case, folder: Path, ct: Path) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Make the model folder and everything that nnU-Net says about the CT: arrays, and what half precision changes."""
    import SimpleITK as sitk
    import torch
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(copy.deepcopy(case.plans))
    configuration = plans.get_configuration("3d_fullres")
    preprocessor = configuration.preprocessor_class(verbose=False)
    array, _, properties = preprocessor.run_case([str(ct)], None, plans, configuration, case.dataset())
    data = torch.from_numpy(np.asarray(array, np.float32))
    make_folder(case, folder, data)

    found = exact(folder, data, False, case.channel)
    segmentation, on_ct = label_map(folder, found["logits"], properties)
    arrays = {
        "preprocessed": data[0].numpy(),
        "logits": found["logits"].astype(np.float32),
        "segmentation": segmentation,
        "segmentation_on_ct": on_ct,
        "mask": found["mask"],
        "gradient": found["gradient"].astype(np.float32),
    }
    if case.mirrored:
        mirrored = exact(folder, data, True, case.channel, found["mask"])
        arrays["mirrored_logits"] = mirrored["logits"].astype(np.float32)
        arrays["mirrored_gradient"] = mirrored["gradient"].astype(np.float32)

    # As nnU-Net is used: files in, files out, half precision.
    predictor = make_predictor(False, False)
    predictor.initialize_from_trained_model_folder(str(folder), None)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "label_map"
        predictor.predict_from_files_sequential([[str(ct)]], [str(out)])
        arrays["predicted"] = sitk.GetArrayFromImage(sitk.ReadImage(f"{out}.nii.gz")).astype(np.uint8)
    half = predictor.predict_logits_from_preprocessed_data(data).float().numpy()
    with stitched_in(torch.float32):
        single = predictor.predict_logits_from_preprocessed_data(data).numpy()
    told = {
        "largest logit": float(np.abs(found["logits"]).max()),
        "largest difference of logits, half": float(np.abs(half - found["logits"]).max()),
        "largest difference of logits, float32": float(np.abs(single - found["logits"]).max()),
        "voxels of the CT labelled otherwise, half": int((arrays["predicted"] != on_ct).sum()),
    }
    return arrays, told


def write(target: Path) -> dict[str, Any]:
    """All cases, below ``target``; returns what is said of each."""
    target.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {"versions": {name: version(name) for name in PACKAGES}}
    for name in SCANS:
        write_scan(name, target / f"{name}.nii.gz")
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("raw", "preprocessed", "results"):
            os.environ[f"nnUNet_{name}"] = str(Path(scratch) / name)
        for name, case in CASES.items():
            arrays, told[name] = run(case, target / name / NAME, target / f"{case.ct}.nii.gz")
            np.savez_compressed(target / name / "reference.npz", allow_pickle=False, **arrays)
    (target / "reference.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="where scans, models and references go")
    parser.add_argument("--smoke", action="store_true", help="only write the scans and count the models, without nnU-Net")
    args = parser.parse_args(argv)
    if args.smoke:
        with tempfile.TemporaryDirectory() as scratch:
            for name in SCANS:
                write_scan(name, Path(scratch) / f"{name}.nii.gz")
            print(f"{len(list(Path(scratch).iterdir()))} scans for {len(CASES)} models")
        return 0
    if args.folder is None:
        parser.error("give a folder to write to")
    print(json.dumps(write(args.folder), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
