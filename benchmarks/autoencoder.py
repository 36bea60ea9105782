"""How far what the autoencoder gives back is from the CT: HU by tissue, and Dice of what the demo model draws on both.

    python benchmarks/autoencoder.py                       # the shipped autoencoder on CTs that it was not trained on
    python benchmarks/autoencoder.py --section "Autoencoder of CT slices"

CTs: LIDC-IDRI-0002 and aorta_report (kept out of training), and LIDC-IDRI-0001 (seen), from ../shared/data. Contrast agent is where
the model draws heart, aorta and pulmonary vein above 100 HU, bone where it draws ribs, vertebrae and sternum.
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

from Agg2ExpLib.counterfactuals.latents import Latents  # noqa: E402
from Agg2ExpLib.inference.compute import choose_compute  # noqa: E402
from Agg2ExpLib.inference.network import at_work  # noqa: E402
from Agg2ExpLib.io.read import read_ct  # noqa: E402
from Agg2ExpLib.models.model import Model, demo_autoencoder, demo_weights, load_model  # noqa: E402
from Agg2ExpLib.monitor import Monitor, Stage  # noqa: E402
from Agg2ExpLib.roi_importance.dice import dice_per_label  # noqa: E402
from Agg2ExpLib.runs.case import Case, make_case  # noqa: E402

# Name, file, and whether training never saw it.
SCANS = (
    ("LIDC-IDRI-0002", "lidc-idri/LIDC-IDRI-0002_ct_1p5mm.nii.gz", True),
    ("aorta_report", "totalsegmentator/aorta_report/ct_cropped.nii.gz", True),
    ("LIDC-IDRI-0001", "lidc-idri/LIDC-IDRI-0001_ct_1p5mm.nii.gz", False),
)
_VESSELS, _BONES = ("heart", "aorta", "pulmonary_vein"), ("ribs", "vertebraes", "sternum")
_LUNGS = "lung_"


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--autoencoder", type=Path, help="default: the one that comes with the project")
    parser.add_argument(
        "--data", type=Path, default=HERE.parent.parent / "shared" / "data", help="folder (default: ../shared/data)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda:0 or mps")
    parser.add_argument("--section", help="heading in RESULTS.md that the tables replace")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: tiny networks on a coarse phantom")
    return parser.parse_args(argv)


def tissues(hu: np.ndarray, drawn: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Voxels of each tissue, by HU and by what the model draws."""

    def of(labels: Sequence[str]) -> np.ndarray:
        return np.isin(drawn, [names.index(name) for name in labels if name in names])

    return {
        "air": hu < -950,
        "lung": (hu >= -950) & (hu < -500),
        "fat": (hu >= -150) & (hu < -30),
        "soft tissue": (hu >= -30) & (hu < 100),
        "contrast agent": of(_VESSELS) & (hu >= 100),
        "bone": of(_BONES) & (hu >= 100),
    }


def measure(case: Case, autoencoder: Model) -> tuple[dict[str, float], dict[str, float]]:
    """Mean absolute HU error by tissue, and Dice by label."""
    monitor, compute = case.monitor, case.compute
    with at_work(case.model.network, compute), at_work(autoencoder.network, compute):
        latents = Latents(autoencoder, case.hu, compute, monitor)
        back = latents.decode(latents.start)
        import torch

        before = case.segment(Stage(monitor, "before", 0, 1)).labels
        after = case.segment(Stage(monitor, "after", 0, 1), torch.from_numpy(case.prepared.intensity(back))).labels
    names = [label.name for label in case.model.card.labels]
    hu = case.hu.clip(*(autoencoder.card.hu_window or (-np.inf, np.inf)))
    difference = np.abs(back - hu)
    errors = {"all": float(difference.mean())}
    for name, where in tissues(hu, before, names).items():
        errors[name] = float(difference[where].mean()) if where.any() else float("nan")
    values = dice_per_label(after, before, range(1, len(names)))
    dice = dict(zip(names[1:], map(float, values), strict=True))
    lungs = [np.isin(drawn, [k for k, name in enumerate(names) if name.startswith(_LUNGS)]) for drawn in (after, before)]
    dice["both lungs"] = float(dice_per_label(lungs[0], lungs[1], [1])[0])
    return errors, dice


def tables(found: Sequence[tuple[str, bool, dict[str, float], dict[str, float]]]) -> list[str]:
    """Both tables."""

    def shown(value: float, digits: int) -> str:
        return "–" if np.isnan(value) else f"{value:.{digits}f}"

    heads = [f"{name}{'' if unseen else ' (seen in training)'}" for name, unseen, _, _ in found]
    lines = ["", f"| mean absolute error, HU | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {key} | {' | '.join(shown(errors[key], 1) for _, _, errors, _ in found)} |" for key in found[0][2]]
    lines += ["", f"| Dice, reconstruction against CT | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {key} | {' | '.join(shown(dice[key], 3) for _, _, _, dice in found)} |" for key in found[0][3]]
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    compute, monitor = choose_compute("cpu" if args.smoke else args.device, "float32"), Monitor()
    if args.smoke:
        from smoke import coarse_phantom, tiny_autoencoder, tiny_weights

        with tempfile.TemporaryDirectory() as folder:
            coarse_phantom(Path(folder) / "phantom.nii.gz")
            model, autoencoder = load_model(tiny_weights(Path(folder))), tiny_autoencoder()
            case = make_case(read_ct(Path(folder) / "phantom.nii.gz"), model, compute, monitor)
        found = [("phantom", True, *measure(case, autoencoder))]
    else:
        model, autoencoder = load_model(demo_weights()), load_model(args.autoencoder or demo_autoencoder())
        found = []
        for name, file, unseen in SCANS:
            case = make_case(read_ct(args.data / file), model, compute, monitor)
            found.append((name, unseen, *measure(case, autoencoder)))
            print(f"{name}: {found[-1][2]['all']:.1f} HU", file=sys.stderr)
    low, high = autoencoder.card.hu_window or (0.0, 0.0)
    lines = [
        f"{date.today()}, {compute.device_name}, float32. {autoencoder.architecture}; slices on the model grid of the demo weights "
        f"({model.card.spacing[0]:g} mm); HU clipped to {low:g} to {high:g}.",
        *tables(found),
    ]
    print("\n".join(lines))
    if args.section:
        write_section(args.section, "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
