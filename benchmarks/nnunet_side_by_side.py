"""One CT through a trained nnU-Net twice: with Agg2Exp, and with the ``nnunetv2`` that is installed.

    python benchmarks/nnunet_side_by_side.py --model out/nnunet/results/Dataset011_SyntheticThorax/*__3d_fullres --ct ct.nii.gz

Tells how far the images that the network sees differ, how many voxels of the model grid are labelled otherwise (nnU-Net with its
stitching in float32, and as it is used, in half precision), and Dice between both label maps on the CT's own grid. There nnU-Net
interpolates logits, while ours takes the nearest voxel of the model grid. Folds and mirroring: fold 0, no mirroring.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from nnunet_agreement import KEPT, MODEL

from Agg2ExpLib.inference.compute import choose_compute
from Agg2ExpLib.inference.network import at_work
from Agg2ExpLib.io.read import read_ct
from Agg2ExpLib.io.resample import resample
from Agg2ExpLib.io.volume import Volume
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.monitor import Monitor, Stage
from Agg2ExpLib.roi_importance.dice import dice_per_label
from Agg2ExpLib.runs.case import make_case

if TYPE_CHECKING:
    from Agg2ExpLib.models.model import Model


def ours(model: Model, ct: Path) -> dict[str, np.ndarray]:
    """What the network sees and the label map in the network's own order of axes, and the label map on the CT's grid."""
    compute, monitor, volume = choose_compute("cpu", "float32"), Monitor(), read_ct(ct)
    case = make_case(volume, model, compute, monitor)
    with at_work(model.network, compute):
        labels = case.segment(Stage(monitor, "segment", 0, 1)).labels
    turn = case.prepared.turn
    on_ct = resample(Volume(labels, case.grid.affine), volume.grid, "nearest", outside=0)
    return {"image": turn.forth(case.prepared.image), "labels": turn.forth(labels), "on_ct": on_ct}


def theirs(folder: Path, ct: Path) -> dict[str, np.ndarray]:
    """The same by nnU-Net's own code; ``labels_half`` and ``on_ct`` as it is used, ``labels`` with stitching in float32."""
    import torch
    from nnunet_reference import label_map, make_predictor, stitched_in

    predictor: Any = make_predictor(False, False)
    predictor.initialize_from_trained_model_folder(str(folder), (0,))
    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    preprocessor = configuration.preprocessor_class(verbose=False)
    array, _, properties = preprocessor.run_case([str(ct)], None, plans, configuration, predictor.dataset_json)
    data = torch.from_numpy(np.asarray(array, np.float32))
    half = predictor.predict_logits_from_preprocessed_data(data)
    with stitched_in(torch.float32):
        single = predictor.predict_logits_from_preprocessed_data(data)
    labels_half, on_ct = label_map(folder, half.numpy(), properties)
    labels = label_map(folder, single.numpy(), properties)[0]
    return {"image": array[0], "labels": labels, "labels_half": labels_half, "on_ct": on_ct.transpose(2, 1, 0)}


def table(model: Model, own: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[str]:
    """The comparison in words and a row for each label."""
    size = own["labels"].size
    lines = [f"model grid {' x '.join(map(str, own['labels'].shape))}; what the network sees differs by at most "
             f"{np.abs(own['image'] - other['image']).max():.1e}"]  # fmt: skip
    for name, words in (("labels", "float32"), ("labels_half", "half precision, as it is used")):
        if name in other:
            lines.append(f"labelled otherwise than nnU-Net ({words}): {int((own['labels'] != other[name]).sum())} of {size} voxels")
    numbers = range(1, len(model.labels))
    scores = dice_per_label(own["on_ct"], other["on_ct"], numbers)
    lines += ["", "| label | Dice, ours and nnU-Net's, on the CT's grid | ours, voxels | nnU-Net's, voxels |", "|---|---|---|---|"]
    for number, score in zip(numbers, scores, strict=True):
        counts = [int((each["on_ct"] == number).sum()) for each in (own, other)]
        lines.append(f"| {model.labels[number]} | {score:.3f} | {counts[0]} | {counts[1]} |")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of a trained model")
    parser.add_argument("--ct", type=Path, help="NIfTI")
    parser.add_argument("--smoke", action="store_true", help="a kept result in place of nnU-Net")
    args = parser.parse_args(argv)
    if args.smoke:
        folder, ct = KEPT / "plain" / MODEL, KEPT / "oblique.nii.gz"
        with np.load(KEPT / "plain" / "reference.npz") as kept:
            other = {"image": kept["preprocessed"], "labels": kept["segmentation"], "on_ct": kept["predicted"].transpose(2, 1, 0)}
    elif args.model is None or args.ct is None:
        parser.error("give --model and --ct")
    else:
        folder, ct = args.model, args.ct
        other = theirs(folder, ct)
    model = load_model(folder)
    print("\n".join(table(model, ours(model, ct), other)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
