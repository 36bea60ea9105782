"""Train a real nnU-Net, small and short, on synthetic chest CT: ``nnunetv2`` plans, preprocesses and trains; one thread is enough.

    python benchmarks/nnunet_trained.py out/nnunet --anatomies s0011.nii.gz s0327.nii.gz
    agg2exp explain --ct ct.nii.gz --weights out/nnunet/results/Dataset011_SyntheticThorax/*__3d_fullres --output out/result

Needs ``nnunetv2`` (2.8) besides Agg2Exp. The anatomies are TotalSegmentator v2 label maps: no CT is read, all CT are painted. What
nnU-Net plans is kept but for the window, the batch and the width and depth of its network, cut so that training ends within the
hour, and AdamW takes the place of its SGD; the result is a demonstration, not a model to use.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.synthetic.phantom import phantom_anatomy
from Agg2ExpLib.synthetic.scans import Anatomy, draw_example, load_anatomy

if TYPE_CHECKING:
    from Agg2ExpLib.io.volume import Volume

NUMBER, NAME = 11, "Dataset011_SyntheticThorax"
TRAINER = "nnUNetTrainerNoDA"  # the scans differ enough, and left must stay left
SPACING = 5.0
SHAPE = (72, 58, 60)  # voxels of a training scan: 360 x 290 x 300 mm
WINDOW = (40, 48, 48)  # z, y, x
STRIDES = [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]
FEATURES = (8, 16, 32, 64, 96)
# Label of the training scans: the paper's labels that it joins.
LABELS: dict[str, tuple[str, ...]] = {
    "aorta": ("aorta",),
    "lung_left": ("lung_upper_lobe_left", "lung_lower_lobe_left"),
    "lung_right": ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"),
    "trachea": ("trachea",),
    "heart": ("heart",),
    "ribs": ("ribs",),
    "vertebraes": ("vertebraes",),
    "autochthon": ("autochthon_left", "autochthon_right"),
    "sternum": ("sternum",),
}


def label_of_channel() -> np.ndarray:
    """uint8: number of a label of LABELS (1, 2, ...) for every index of labels.PAPER_LABELS, 0 for those left out."""
    numbers = {name: number for number, names in enumerate(LABELS.values(), 1) for name in names}
    return np.array([numbers.get(label.name, 0) for label in PAPER_LABELS], np.uint8)


def write_dataset(raw: Path, anatomies: Sequence[Anatomy], cases: int, shape: tuple[int, int, int] = SHAPE) -> Path:
    """A raw dataset of nnU-Net's: ``cases`` scans with their labels, stored towards left, back and head as most CT are."""
    import nibabel

    folder = raw / NAME
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    affine = np.diag([-SPACING, -SPACING, SPACING, 1.0])
    numbers = label_of_channel()
    for case in range(cases):
        example = draw_example(anatomies, np.random.default_rng(case), shape, SPACING, mirrored=0.0)
        ct, labels = example.ct[::-1, ::-1], numbers[example.labels[::-1, ::-1]]
        nibabel.save(nibabel.Nifti1Image(np.rint(ct).astype(np.int16), affine), folder / "imagesTr" / f"case{case:03d}_0000.nii.gz")
        nibabel.save(nibabel.Nifti1Image(labels, affine), folder / "labelsTr" / f"case{case:03d}.nii.gz")
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0} | {name: number for number, name in enumerate(LABELS, 1)},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description, indent=2), encoding="utf-8")
    return folder


def cut_down(plans: dict[str, Any]) -> dict[str, Any]:
    """nnU-Net's plans with a window and a network that one CPU thread can train."""
    configuration = plans["configurations"]["3d_fullres"]
    stages = len(FEATURES)
    configuration |= {"patch_size": list(WINDOW), "batch_size": 2}
    configuration["architecture"]["arch_kwargs"] |= {
        "n_stages": stages,
        "features_per_stage": list(FEATURES),
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": STRIDES,
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
    }
    return plans


def train(preprocessed: Path, epochs: int, iterations: int) -> Path:
    """Plan, preprocess and train fold 0 with nnU-Net's own code, or go on where that stopped; returns the model's folder."""
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess_dataset
    from nnunetv2.run.run_training import get_trainer_from_args, maybe_load_checkpoint
    from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler

    plans_file = preprocessed / NAME / "nnUNetPlans.json"
    if not plans_file.is_file():
        extract_fingerprints([NUMBER], num_processes=1, verbose=False)
        plan_experiments([NUMBER])
        plans = cut_down(json.loads(plans_file.read_text(encoding="utf-8")))
        plans_file.write_text(json.dumps(plans, indent=4), encoding="utf-8")
        preprocess_dataset(NUMBER, configurations=["3d_fullres"], num_processes=[1])
    os.environ.update(nnUNet_n_proc_DA="0")  # windows are cut in this process
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - nnU-Net's loaders draw from it
    started = any(preprocessed.parent.glob(f"results/{NAME}/*/fold_0/checkpoint_latest.pth"))
    device = torch.device("cpu")
    trainer = get_trainer_from_args(str(NUMBER), "3d_fullres", 0, TRAINER, continue_training=started, device=device)
    trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = epochs, iterations, 4
    trainer.save_every = 5
    trainer.initial_lr = 2e-3

    def optimizers() -> tuple[Any, Any]:
        optimizer = torch.optim.AdamW(trainer.network.parameters(), trainer.initial_lr, weight_decay=trainer.weight_decay)
        return optimizer, PolyLRScheduler(optimizer, trainer.initial_lr, trainer.num_epochs)

    trainer.configure_optimizers = optimizers  # nnU-Net's SGD drew only lungs after 480 steps
    if started:
        maybe_load_checkpoint(trainer, True, False)
    trainer.run_training()
    return Path(trainer.output_folder).parent


def stored_as_trained(ct: Volume) -> Volume:
    """The same scan with its axes towards left, back and head, as the training scans are stored: nnU-Net does not turn scans."""
    from nibabel import orientations

    from Agg2ExpLib.io.volume import Volume

    turn = orientations.ornt_transform(orientations.io_orientation(ct.affine), orientations.axcodes2ornt(("L", "P", "S")))
    affine = ct.affine @ orientations.inv_ornt_aff(turn, ct.array.shape)
    return Volume(np.ascontiguousarray(orientations.apply_orientation(ct.array, turn)), affine)


def measure(model_folder: Path, data: Path) -> list[str]:
    """Dice of what Agg2Exp draws with the model on real CT with references, as ``demo_weights`` measures it; lungs as one."""
    from demo_weights import LUNG, NAMES, REAL, table
    from demo_weights import measure as dice

    from Agg2ExpLib.inference.compute import choose_compute
    from Agg2ExpLib.inference.network import at_work
    from Agg2ExpLib.io.volume import Volume
    from Agg2ExpLib.models.model import load_model
    from Agg2ExpLib.monitor import Monitor, Stage
    from Agg2ExpLib.runs.case import make_case

    model, compute, monitor = load_model(model_folder), choose_compute("cpu", "float32"), Monitor()
    known = {name: NAMES.index(name) for name in NAMES} | {"lung_left": LUNG, "lung_right": LUNG}
    meaning = np.array([known.get(name, 0) for name in model.labels], np.uint8)
    measured = {*LABELS, "both_lungs"}
    rows = []
    for folder, _, read in REAL:
        reference = read(data / folder)
        case = make_case(stored_as_trained(reference.ct), model, compute, monitor)
        with at_work(model.network, compute):
            drawn = case.segment(Stage(monitor, "segment", 0, 1)).labels
        rows += [row for row in dice(reference, Volume(meaning[drawn], case.grid.affine)) if row.label in measured]
    return table(rows)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="where raw, preprocessed and results go")
    parser.add_argument("--anatomies", type=Path, nargs="*", default=[], help="TotalSegmentator v2 label maps")
    parser.add_argument("--phantoms", type=int, default=4, help="bodies of the phantom to use besides")
    parser.add_argument("--cases", type=int, default=160, help="training scans to paint")
    parser.add_argument("--epochs", type=int, default=22)
    parser.add_argument("--iterations", type=int, default=40, help="training steps an epoch, of two windows each")
    parser.add_argument("--measure", type=Path, metavar="DATA", help="only Dice of the trained model on real CT with references")
    parser.add_argument("--smoke", action="store_true", help="only paint a small dataset, without nnU-Net")
    args = parser.parse_args(argv)
    if args.smoke:
        return smoke()
    if args.folder is None:
        parser.error("give a folder to work in")
    folder = args.folder.resolve()
    if args.measure:
        print("\n".join(measure(next(folder.glob(f"results/{NAME}/*__3d_fullres")), args.measure)))
        return 0
    for name in ("raw", "preprocessed", "results"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(folder / name)
    if not (folder / "raw" / NAME / "dataset.json").is_file():
        anatomies = [load_anatomy(path) for path in args.anatomies] + [phantom_anatomy(seed) for seed in range(args.phantoms)]
        write_dataset(folder / "raw", anatomies, args.cases)
    print(train(folder / "preprocessed", args.epochs, args.iterations))
    return 0


def smoke() -> int:
    import tempfile

    from Agg2ExpLib.io.read import read_volume

    with tempfile.TemporaryDirectory() as scratch:
        folder = write_dataset(Path(scratch), [phantom_anatomy(0, (8.0, 8.0, 8.0))], 2, (40, 32, 32))
        labels = read_volume(folder / "labelsTr" / "case001.nii.gz")
        print(f"{len(np.unique(labels.array)) - 1} of {len(LABELS)} labels in {folder.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
