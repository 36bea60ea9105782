"""Table 1 of the paper for the demo weights: attribution methods measured on two public scans, through the command itself.

    python benchmarks/table1.py                        # the settings of the paper, for a GPU
    python benchmarks/table1.py --reduced --section "Table 1: methods compared (reduced)"

Repeat the command to go on after an interruption. Prints a Markdown section; ``--section`` also puts it into RESULTS.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

SCANS = ROOT.parent / "shared" / "data" / "lidc-idri"
CTS = tuple(SCANS / f"LIDC-IDRI-000{number}_ct_1p5mm.nii.gz" for number in (1, 2))

# The paper's methods (equations 3 to 6), then others of ours.
METHODS = (
    "gradient",
    "smoothgrad",
    "integrated_gradients:rule=right",
    "kernel_shap:supervoxels=semantic",
    "kernel_shap:supervoxels=cubes",
    "kernel_shap:supervoxels=slic",
    "integrated_gradients",
    "smoothgrad:antithetic=on",
    "gradient_x_input",
    "layer_cam",
)
OPTIONS: dict[str, str] = {}

# For two processor cores: everything takes fewer samples, so the spread between runs is larger than at full settings.
REDUCED_METHODS = (
    "gradient",
    "smoothgrad:samples=6",
    "integrated_gradients:rule=right,steps=6",
    "kernel_shap:supervoxels=semantic,coalitions=40",
    "kernel_shap:supervoxels=cubes,regions=27,coalitions=40",
    "kernel_shap:supervoxels=slic,regions=27,coalitions=40",
    "integrated_gradients:baseline=mean,steps=6",
    "gradient_x_input",
    "layer_cam",
)
REDUCED_OPTIONS = {"--labels": "aorta,heart,trachea,ribs,lung_upper_lobe_left", "--runs": "50", "--copies": "1"}


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reduced", action="store_true", help="settings for two processor cores")
    parser.add_argument("--ct", nargs="+", type=Path, default=list(CTS), help="other scans")
    parser.add_argument("--weights", type=Path, help="other weights than the demo's")
    parser.add_argument("--methods", nargs="+", help="other methods")
    parser.add_argument("--output", type=Path, default=Path("out") / "table1", help="folder of the evaluation (default out/table1)")
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("more", nargs="*", help="after --: further options of agg2exp evaluate, e.g. -- --subset-voxels 1000")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network on a coarse phantom")
    return parser.parse_args(argv)


def small(args: argparse.Namespace, folder: Path) -> argparse.Namespace:
    """The same with a network and a scan that take no time."""
    from smoke import coarse_phantom, tiny_weights

    changed = vars(args) | {
        "ct": [coarse_phantom(folder / "phantom.nii.gz")],
        "weights": tiny_weights(folder),
        "output": folder / "table1",
        "methods": ["gradient", "smoothgrad:samples=2"],
        "more": ["--runs", "3", "--subset-voxels", "50", "--copies", "1", "--device", "cpu"],
    }
    return argparse.Namespace(**changed)


def command(args: argparse.Namespace) -> list[str]:
    """The public command with its options; later ones count where one is given twice."""
    from Agg2ExpLib.models.model import demo_weights

    methods = args.methods or (REDUCED_METHODS if args.reduced else METHODS)
    options = REDUCED_OPTIONS if args.reduced else OPTIONS
    words = ["evaluate", "--ct", *map(str, args.ct), "--weights", str(args.weights or demo_weights())]
    words += ["--output", str(args.output), *(word for pair in options.items() for word in pair), "--methods", *methods]
    return [sys.executable, "-m", "Agg2ExpLib", *words, *args.more]


def section(folder: Path, reduced: bool) -> str:
    """What an evaluation found, with everything that its numbers depend on."""
    from Agg2ExpLib.evaluation.score import Row
    from Agg2ExpLib.evaluation.table import markdown_table

    record = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    with (folder / "evaluation.csv").open(newline="", encoding="utf-8") as file:
        rows = [
            Row(**line, value=float(number) if number else None) for line in csv.DictReader(file) for number in [line.pop("value")]
        ]
    methods, settings = list(record["methods"]), record["settings"]
    chosen = ", ".join(f"{name.replace('_', ' ')} {settings[name]}" for name in ("runs", "subset_voxels", "copies"))
    noise = f"{settings['noise']} noise ±{settings['radius']:g}" if settings["noise"] == "uniform" else "gaussian noise"
    lines = [
        f"{date.today()}, {settings['device']}, {platform.machine()}, torch {record['versions']['torch']}, "
        f"{settings['precision']}. `agg2exp evaluate` with {record['weights']['architecture']} at "
        f"{record['model']['preprocessing'][0]['spacing'][0]:g} mm on {', '.join(record['patients'])}; "
        f"labels {', '.join(record['labels'])}; {chosen}, {noise}, threshold "
        f"{settings['threshold']:g}, seed {settings['seed']}.",
        "",
    ]
    if reduced:
        lines += ["Reduced settings (`--reduced`): fewer samples, subsets and copies than in the paper.", ""]
    lines += [markdown_table(rows, methods)]
    for label in dict.fromkeys(row.label for row in rows if row.label and row.value is not None):
        lines += [f"### {label}", "", markdown_table(rows, methods, label)]
    return "\n".join(lines).rstrip()


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        measure(small(args, Path(folder)) if args.smoke else args)


def measure(args: argparse.Namespace) -> None:
    """Evaluate, and print the section."""
    status = _in_this_process(command(args)) if args.smoke else subprocess.run(command(args), env=_environment()).returncode
    if status not in (0, 1):  # 1: some methods failed, which failed.csv tells
        sys.exit(status)
    text = section(args.output, args.reduced)
    print(text)
    failed = args.output / "failed.csv"
    if failed.exists():
        print(failed.read_text(encoding="utf-8"), file=sys.stderr)
    if args.section:
        from compare import write_section

        write_section(args.section, text)


def _in_this_process(words: list[str]) -> int:
    """The command's status, without the time that a process of its own takes to start."""
    from Agg2ExpLib.commands.cli import main as agg2exp

    return agg2exp(words[words.index("Agg2ExpLib") + 1 :])


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}


if __name__ == "__main__":
    main()
