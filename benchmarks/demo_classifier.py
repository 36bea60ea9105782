"""What the demo classifier finds: AUROC on fresh synthetic chests, and its answers on real CT where the truth is plain.

python benchmarks/demo_classifier.py [--weights FILE] [--data ../shared/data] [--volumes 80]
python benchmarks/demo_classifier.py --train DIR [--data ../shared/data]     # makes the weights again
    [--smoke]

Synthetic: deformations, findings and noise that no training saw, of the two bodies it was trained on, and of unseen phantoms. Real:
measured after the training, nothing was chosen by it; a truth that cannot be seen at a glance is left open.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from Agg2ExpLib.synthetic.findings import CONTRAST, LEFT, NODULE, RIGHT, Patient, draw_patient

if TYPE_CHECKING:
    from Agg2ExpLib.models.model import Model

LABEL_MAPS = ("s0011_totalv2_multilabel_1p5mm.nii.gz", "s0327_totalv2_multilabel_1p5mm.nii.gz")
FIRST_SEED = 3_000_000  # of the volumes measured; training and its validation draw from numbers below a million
SHAPE, SPACING, NODULES_MM = (80, 64, 72), 5.0, (10.0, 30.0)
RECIPE = [
    *("--phantoms", "4", "--volumes", "3000", "--held-out", "60", "--spacing", "5", "--roi", "80", "64", "72"),
    *("--hu-window", "-600", "400", "--network", "slice_resnet10", "--steps", "2100", "--keep", "last", "--batch", "16"),
    *("--learning-rate", "1e-3", "--warmup", "100", "--validate-every", "350", "--save-every", "350", "--float16-weights"),
    *("--network-options", '{"block_inplanes": [16, 32, 64, 128], "conv1_t_size": 3, "conv1_t_stride": 1, "no_max_pool": true}'),
    *("--name", "agg2exp_demo_classifier"),
]


@dataclass(frozen=True)
class Real:
    """A patient with what is plain to see: 1 there, 0 not there."""

    name: str
    path: str
    truth: dict[str, int] = field(default_factory=dict)


CASES = (
    Real("plastimatch t0 (left lung opaque)", "plastimatch/t0_ct_native.nii.gz", {LEFT: 1, RIGHT: 0}),
    Real(
        "LIDC-IDRI-0001 (mass, CT angiography)",
        "lidc-idri/LIDC-IDRI-0001_ct_1p5mm.nii.gz",
        {LEFT: 0, RIGHT: 0, NODULE: 1, CONTRAST: 1},
    ),
    Real(
        "LIDC-IDRI-0002 (nodule, no contrast)",
        "lidc-idri/LIDC-IDRI-0002_ct_1p5mm.nii.gz",
        {LEFT: 0, RIGHT: 0, NODULE: 1, CONTRAST: 0},
    ),
    Real("Lung_Dx-A0002 (tumour, 8 mm slices)", "lung-pet-ct-dx/Lung_Dx-A0002_dicom_8mm_B40f", {LEFT: 0, RIGHT: 0, NODULE: 1}),
    Real("ct-64 (4 mm)", "chestimagingplatform/ct-64.nrrd", {LEFT: 0, RIGHT: 0}),
    Real(
        "aorta_report (heart alone, CT angiography)",
        "totalsegmentator/aorta_report/ct_cropped.nii.gz",
        {LEFT: 0, RIGHT: 0, CONTRAST: 1},
    ),
    Real("example_ct (abdomen)", "totalsegmentator/example_ct.nii.gz", {}),
)


def patients(data: Path, count: int, shape: Sequence[int] = SHAPE, spacing: float = SPACING) -> Iterator[tuple[str, Patient]]:
    """Fresh chests of the trained bodies (where their label maps are at hand), then as many of unseen phantoms."""
    from Agg2ExpLib.synthetic.phantom import phantom_anatomy
    from Agg2ExpLib.synthetic.scans import load_anatomy

    maps = [data / "totalsegmentator-labels" / name for name in LABEL_MAPS]
    bodies = {"trained bodies": [load_anatomy(path) for path in maps if path.is_file()]}
    bodies["unseen phantoms"] = [phantom_anatomy(FIRST_SEED + k) for k in range(max(1, count // 10))]
    for number, (group, anatomies) in enumerate(bodies.items()):
        for k in range(count if anatomies else 0):
            rng = np.random.default_rng((FIRST_SEED, number, k))
            yield group, draw_patient(anatomies, rng, shape, spacing, nodule_mm=NODULES_MM)


def synthetic(model: Model, data: Path, count: int) -> list[str]:
    """Measures on fresh synthetic chests, as a table."""
    from Agg2ExpLib.training.class_scores import MEASURES, score
    from Agg2ExpLib.training.class_source import Case

    def cases() -> Iterator[Case]:
        for k, (group, patient) in enumerate(patients(data, count)):
            yield Case(group, str(k), patient.ct, patient.target(model.labels))

    scores = score(model.network, cases(), model.labels, model.card.output, model.card.preprocessing.intensities).to_dict()
    lines = ["| chests | class | with it | AUROC | average precision | accuracy | F1 | MCC |", "|---|---|---|---|---|---|---|---|"]
    for group, row in scores.items():
        for name, values in row["classes"].items():
            numbers = " | ".join("-" if values[key] is None else f"{values[key]:.3f}" for key in MEASURES)
            lines.append(f"| {group} ({row['volumes']}) | {name} | {values['positive']} | {numbers} |")
    return lines


def real(model: Model, data: Path) -> list[str]:
    """Probabilities on real CT, as a table; bold where the answer is wrong at 0.5."""
    import torch

    from Agg2ExpLib.io.read import read_ct

    lines = [f"| real CT | {' | '.join(model.labels)} |", f"|---|{'---|' * len(model.labels)}"]
    right = asked = 0
    for case in CASES:
        if not (data / case.path).exists():
            continue
        image = model.card.preprocessing.prepare(read_ct(data / case.path)).image
        with torch.no_grad():
            found = torch.sigmoid(model.network(torch.from_numpy(image)[None, None])[0]).tolist()
        cells = []
        for name, value in zip(model.labels, found, strict=True):
            truth = case.truth.get(name)
            good = truth is None or (value > 0.5) == bool(truth)
            asked, right = asked + (truth is not None), right + (truth is not None and good)
            told = "" if truth is None else f" ({'yes' if truth else 'no'})"
            cells.append(f"{value:.2f}{told}" if good else f"**{value:.2f}{told}**")
        lines.append(f"| {case.name} | {' | '.join(cells)} |")
    return [*lines, "", f"{right} of {asked} plain answers are right."] if asked else ["No real CT at hand."]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or make the weights again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="default: the shipped ones")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--volumes", type=int, default=80, help="synthetic chests of each kind")
    parser.add_argument("--train", type=Path, metavar="DIR", help="train into this folder instead")
    parser.add_argument("--pooling", default="attention", help="of the slices, with --train")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="few chests, no real CT")
    args = parser.parse_args(arguments)
    if args.train:
        from Agg2ExpLib.commands.cli import main as agg2exp

        maps = [str(args.data / "totalsegmentator-labels" / name) for name in LABEL_MAPS]
        chosen = ["--pooling", args.pooling, "--cache", str(args.train / "cache")]
        return agg2exp(["train", "--task", "classification", "--synthetic", *maps, *RECIPE, *chosen, "--output", str(args.train)])
    import torch

    from Agg2ExpLib.models.model import demo_classifier, load_model

    torch.set_num_threads(args.threads)
    model = load_model(args.weights or demo_classifier())
    nowhere = Path("no_data")
    print(f"{date.today()}, {model.name} (sha256 {model.sha256[:12]}): {model.architecture}.\n")
    print(*synthetic(model, nowhere if args.smoke else args.data, 2 if args.smoke else args.volumes), sep="\n")
    print("", *real(model, nowhere if args.smoke else args.data), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
