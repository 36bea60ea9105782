"""Sanity of counterfactuals: a class that hangs on one region changes that region, and shuffled weights give another answer.

    python benchmarks/counterfactual_sanity.py --section "Counterfactuals: sanity"

1. Classifiers made by hand, whose logit is the mean intensity of one organ of LIDC-IDRI-0001 (as the demo model draws it) and
   depends on nothing else: which share of the HU that change lies in the organ, and how near to it the rest, against chance (share
   of the volume).
2. The demo model as it is and with all of its weights shuffled layer by layer (each tensor's values in another order), the heart
   less, over the same voxels and to the same change of the CT: Spearman's rank correlation of the HU difference. Where it lies is
   told by the question (the logits of fixed voxels) and not by the weights alone, so that its size stays alike; which way each
   voxel goes must not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from compare import write_section  # noqa: E402

from Agg2ExpLib.api.counterfactual import counterfactual  # noqa: E402
from Agg2ExpLib.counterfactuals.canvas import Canvas  # noqa: E402
from Agg2ExpLib.counterfactuals.latents import Latents  # noqa: E402
from Agg2ExpLib.counterfactuals.outputs import Output  # noqa: E402
from Agg2ExpLib.counterfactuals.shift import Shift  # noqa: E402
from Agg2ExpLib.evaluation.sanity import shuffled_cascade, spearman  # noqa: E402
from Agg2ExpLib.inference.compute import Compute, choose_compute  # noqa: E402
from Agg2ExpLib.inference.network import at_work  # noqa: E402
from Agg2ExpLib.io.read import read_ct  # noqa: E402
from Agg2ExpLib.io.volume import Volume  # noqa: E402
from Agg2ExpLib.models.model import Model, demo_autoencoder, demo_weights, load_model  # noqa: E402
from Agg2ExpLib.monitor import Monitor, Stage  # noqa: E402
from Agg2ExpLib.runs.case import Case, make_case  # noqa: E402

ORGANS = ("heart", "vertebraes", "lung_lower_lobe_left")
NEAR_MM = 16.0  # half the side of a latent pixel of 8 voxels of 4 mm
CHANGE = 10.0  # λ: 1 % of the CT's intensities


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--autoencoder", type=Path, help="default: the one that comes with the project")
    parser.add_argument(
        "--ct", type=Path, default=HERE.parent.parent / "shared" / "data" / "lidc-idri" / "LIDC-IDRI-0001_ct_1p5mm.nii.gz"
    )
    parser.add_argument("--section", help="heading in RESULTS.md that the tables replace")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: tiny networks on a coarse phantom")
    return parser.parse_args(argv)


def organ_classifier(where: np.ndarray, model: Model) -> Model:
    """A classifier of "dense" whose logit is the mean intensity over a mask on the model's own grid."""
    import torch

    class OneOrgan(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.where: torch.Tensor
            self.register_buffer("where", torch.from_numpy(where).float() / float(where.sum()))

        def forward(self, volumes: torch.Tensor) -> torch.Tensor:
            value = 10 * ((volumes[:, 0] * self.where).sum(dim=(1, 2, 3)) - 0.5)
            return torch.stack([-value, value], 1)

    card = model.card
    return Model(
        OneOrgan().eval(),
        ["light", "dense"],
        spacing=card.spacing,
        hu_window=card.hu_window or (-1024, 1024),
        task="classification",
    )


def one_organ(ct: Volume, model: Model, drawn: np.ndarray, autoencoder: Model, organs: Sequence[str]) -> list[str]:
    """The table of the first check."""
    from scipy import ndimage

    names = [label.name for label in model.card.labels]
    lines = [
        "| class hangs on | direction | in the organ | within 16 mm of it | chance: organ, with 16 mm |",
        "|---|---|---|---|---|",
    ]
    for organ in organs:
        where = drawn == names.index(organ)
        if not where.any():
            continue
        found = counterfactual(
            ct,
            organ_classifier(where, model),
            "dense",
            end=CHANGE,
            frames=1,
            autoencoder=autoencoder,
            device="cpu",
            monitor=Monitor(),
        )
        near = ndimage.distance_transform_edt(~where, sampling=found.grid.spacing) <= NEAR_MM
        for direction, values in found.differences.items():
            strength = np.abs(values)
            inside, close = (float(strength[mask].sum() / strength.sum()) for mask in (where, near))
            lines.append(f"| {organ} | {direction} | {inside:.1%} | {close:.1%} | {where.mean():.1%}, {near.mean():.1%} |")
    return lines


def difference_of(case: Case, ct: Volume, autoencoder: Model, region: np.ndarray, label: int, compute: Compute) -> np.ndarray:
    """HU that change when a label is to become less."""
    monitor = case.monitor
    stage = Stage(monitor, "shift", 0, 1)
    with at_work(case.model.network, compute), at_work(autoencoder.network, compute):
        latents = Latents(autoencoder, case.hu, compute, monitor)
        output = Output(case, case.model.card.labels[label], region, "logit")
        assert autoencoder.card.hu_window is not None
        shift = Shift(Canvas(case, autoencoder, ct), latents, output, autoencoder.card.hu_window[0], slice(None), stage)
        return np.asarray(latents.decode(shift._moved(-CHANGE * shift.scale)) - shift.start.hu)


def shuffled(case: Case, ct: Volume, drawn: np.ndarray, autoencoder: Model, label: int, compute: Compute) -> list[str]:
    """The table of the second check."""
    region, body = drawn == label, case.hu > -900
    layers = list(shuffled_cascade(case.model.network))
    network = layers[-1][1]  # the same copy every time: by now all of it is shuffled
    other = Case(Model(network, case.model.card, name="shuffled"), compute, case.prepared, case.plan, case.monitor)
    learned, changed = (difference_of(one, ct, autoencoder, region, label, compute) for one in (case, other))

    def told(value: float | None) -> str:
        return "–" if value is None else f"{value:+.2f}"

    cells = [spearman(learned[where], changed[where]) for where in (body, region)]
    cells.append(spearman(np.abs(learned[body]), np.abs(changed[body])))
    return [
        "| weights shuffled | HU difference, body | HU difference, label | its size, body |",
        "|---|---|---|---|",
        f"| all {len(layers)} layers | {' | '.join(map(told, cells))} |",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    compute, monitor = choose_compute("cpu", "float32"), Monitor()
    if args.smoke:
        from smoke import coarse_phantom, tiny_autoencoder, tiny_weights

        with tempfile.TemporaryDirectory() as folder:
            coarse_phantom(Path(folder) / "phantom.nii.gz")
            model, autoencoder, ct = (
                load_model(tiny_weights(Path(folder))),
                tiny_autoencoder(),
                read_ct(Path(folder) / "phantom.nii.gz"),
            )
    else:
        model, autoencoder, ct = load_model(demo_weights()), load_model(args.autoencoder or demo_autoencoder()), read_ct(args.ct)
    case = make_case(ct, model, compute, monitor)
    with at_work(model.network, compute):
        drawn = case.segment(Stage(monitor, "segment", 0, 1)).labels
    present = np.bincount(drawn.ravel(), minlength=len(model.labels))
    largest = int(present[1:].argmax()) + 1
    organs = ORGANS if set(ORGANS) <= set(model.labels) else (model.labels[largest],)
    lines = [
        f"{date.today()}, {compute.device_name}, float32. {ct.name}, {autoencoder.name}, λ = ±{CHANGE:g} (the CT changes by "
        "1 %): share of the absolute HU difference in the organ that the class hangs on.",
        "",
        *one_organ(ct, model, drawn, autoencoder, organs),
        "",
    ]
    label = model.labels.index("heart") if "heart" in model.labels and present[model.labels.index("heart")] else largest
    lines += [
        f"Rank correlation of the HU difference for *{model.labels[label]} less* between the demo model and the same with "
        "shuffled weights:",
        "",
        *shuffled(case, ct, drawn, autoencoder, label, compute),
    ]
    print("\n".join(lines))
    if args.section:
        write_section(args.section, "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
