"""How near Agg2Exp comes to the real nnU-Net: image, logits, labels and gradients of the kept references of ``nnunet_reference``.

    python benchmarks/nnunet_agreement.py

Needs no nnU-Net. Ours is computed in float64 on the CPU, as the reference was.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from nnunet_cases import CASES

from Agg2ExpLib.attribution.stitched import Target
from Agg2ExpLib.inference.compute import choose_compute
from Agg2ExpLib.inference.network import at_work
from Agg2ExpLib.io.read import read_ct
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.monitor import Monitor, Stage
from Agg2ExpLib.runs.case import Case, make_case

if TYPE_CHECKING:
    import torch

KEPT = Path(__file__).parent.parent / "Testing" / "models" / "nnunet_reference"
MODEL = "nnUNetTrainer__nnUNetPlans__3d_fullres"


@dataclass(frozen=True)
class Agreement:
    """Differences from nnU-Net of one case.

    Attributes:
        image: largest difference of what the network sees.
        logits: largest difference of the stitched logits.
        labels: voxels of the model grid that are labelled otherwise.
        gradient: largest difference over the largest gradient.
        voxels: of the model grid.
    """

    image: float
    logits: float
    labels: int
    gradient: float
    voxels: int


def stitched_logits(case: Case) -> torch.Tensor:
    """Logits [channel, x, y, z] on the model grid, from the windows' plan alone."""
    import torch

    padded = case.plan.pad(case.image.double(), case.pad_value)
    total = torch.zeros((case.model.card.channels, *padded.shape), dtype=torch.float64)
    weight = case.plan.weight.double()
    for window in case.plan.windows:
        with torch.no_grad():
            total[(slice(None), *window)] += case.network(padded[window][None, None])[0] * weight
    return (total / case.plan.weight_sum(torch.float64))[(slice(None), *case.plan.inside)]


def agreement(name: str, mirror: bool = False) -> Agreement:
    """Ours and nnU-Net's for a case of ``nnunet_cases``."""
    with np.load(KEPT / name / "reference.npz") as kept:
        theirs = dict(kept)
    monitor, compute = Monitor(), choose_compute("cpu", "float64")
    stage = Stage(monitor, "explain", 0, 1)
    model = load_model(KEPT / name / MODEL, mirror=mirror)
    case = make_case(read_ct(KEPT / f"{CASES[name].ct}.nii.gz"), model, compute, monitor)
    turn = case.prepared.turn
    kind = "mirrored_" if mirror else ""
    with at_work(model.network, compute):
        logits = np.stack([turn.forth(part) for part in stitched_logits(case).numpy()])
        labels = turn.forth(case.segment(stage).labels)
        target = Target("label", CASES[name].channel, np.ascontiguousarray(turn.back(theirs["mask"])))
        engine = case.engine([target])
        sums = engine.new_buffers()
        engine.add([case.image.double()], sums, stage, 0, 1)
        gradient = turn.forth(sums["label"][case.plan.inside].numpy())
    drawn = theirs["segmentation"] if not mirror else np.asarray(theirs["mirrored_logits"].argmax(0))
    return Agreement(
        float(np.abs(turn.forth(case.prepared.image) - theirs["preprocessed"]).max()),
        float(np.abs(logits - theirs[f"{kind}logits"]).max()),
        int((labels != drawn).sum()),
        float(np.abs(gradient - theirs[f"{kind}gradient"]).max() / np.abs(theirs[f"{kind}gradient"]).max()),
        drawn.size,
    )


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: one case")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    lines = [
        f"{date.today()}, ours in float64 on the CPU ({platform.machine()}), against kept results of nnunetv2 2.8.1: its own code, "
        "its own weights of windows, buffers in float64. Largest differences; gradients relative to the largest.",
        "",
        "| model | image | logits | labels that differ | gradient |",
        "|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        for mirror in (False, True) if case.mirrored else (False,):
            if args.smoke and (name, mirror) != ("regions_thick_slices", False):
                continue
            found = agreement(name, mirror)
            title = name.replace("_", " ") + (", mirrored" if mirror else "")
            lines.append(
                f"| {title} | {found.image:.1e} | {found.logits:.1e} | {found.labels} of {found.voxels} | {found.gradient:.1e} |"
            )
    print("\n".join(lines))
    if args.section:
        from compare import write_section

        write_section(args.section, "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
