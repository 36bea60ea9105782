"""How well the demo weights segment: Dice per label on synthetic CT, phantoms and real CT, and pictures on unlabelled patients.

    python benchmarks/demo_weights.py                                # the shipped weights
    python benchmarks/demo_weights.py --weights new/agg2exp_demo.safetensors --output out/new

Every scan takes the way of ``agg2exp segment``: model grid, sliding windows, largest logit. The labels are then brought to the
reference's grid (nearest voxel), which keeps every reference voxel, so a coarse model grid costs Dice as it should. Writes
``demo_weights.csv`` (every case), ``demo_weights.md`` (the tables) and a PNG for each patient. Real references are measured, never
trained or tuned on.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from label_pictures import PATIENTS, Patient, draw  # noqa: E402

from Agg2ExpLib.errors import InputError  # noqa: E402
from Agg2ExpLib.io.read import read_ct, read_volume  # noqa: E402
from Agg2ExpLib.io.resample import resample  # noqa: E402
from Agg2ExpLib.io.volume import Volume  # noqa: E402
from Agg2ExpLib.models.labels import PAPER_LABELS  # noqa: E402
from Agg2ExpLib.roi_importance.dice import dice_per_label  # noqa: E402
from Agg2ExpLib.synthetic import scans as synthetic  # noqa: E402
from Agg2ExpLib.synthetic import tissues  # noqa: E402

if TYPE_CHECKING:
    from Agg2ExpLib.inference.compute import Compute
    from Agg2ExpLib.models.model import Model

# Of the first case of each kind; training and its validation draw from seeds below a million.
FIRST_SEED = 2_000_000
FEWEST_VOXELS = 20  # of a label in a reference; below that Dice is a matter of luck
PHANTOM_SPACING = (2.0, 2.0, 2.0)
BODY_SHAPE, BODY_SPACING = (128, 107, 128), 3.0  # 384 x 321 x 384 mm at the spacing the anatomies are kept at
NAMES = tuple(label.name for label in PAPER_LABELS)
BOTH_LUNGS = "both_lungs"
LOBES = tuple(index for index, name in enumerate(NAMES) if name.startswith("lung_"))
LUNG = len(NAMES)  # in references: lung of no named lobe
CIP_LUNG_REGIONS = range(1, 15)  # low byte of a label: whole, right, left lung, five lobes, six thirds
WINDOWS, BODIES, PHANTOMS = "synthetic windows", "synthetic bodies", "phantoms"
WHOLE = "whole scan"


@dataclass(frozen=True)
class Part:
    """What of a case is measured: the labels (names), and the slices along the third axis (bool) or None for all."""

    name: str
    labels: tuple[str, ...]
    slices: np.ndarray | None = None


@dataclass(frozen=True)
class Case:
    """A CT with its reference: uint8 labels (indices of labels.PAPER_LABELS, or LUNG) on any grid."""

    group: str
    name: str
    ct: Volume
    reference: Volume
    parts: tuple[Part, ...] = (Part(WHOLE, (*NAMES[1:], BOTH_LUNGS)),)


@dataclass(frozen=True)
class Row:
    """One measured Dice."""

    group: str
    case: str
    part: str
    label: str
    dice: float
    reference_voxels: int
    predicted_voxels: int
    voxel_mm3: float


def segment_ct(model: Model, ct: Volume, compute: Compute) -> Volume:
    """What ``agg2exp segment`` draws with its defaults, in channels of PAPER_LABELS (by name; others become background)."""
    from Agg2ExpLib.monitor import Monitor, Stage
    from Agg2ExpLib.runs.case import make_case

    monitor = Monitor()
    case = make_case(ct, model, compute, monitor)
    drawn = case.segment(Stage(monitor, "segment", 0.0, 1.0))
    meaning = np.array([NAMES.index(label.name) if label.name in NAMES else 0 for label in model.card.labels], np.uint8)
    return Volume(meaning[drawn.labels], case.grid.affine)


def measure(case: Case, prediction: Volume) -> list[Row]:
    """Dice of every label that the reference holds, in each part of the case."""
    predicted = resample(prediction, case.reference.grid, "nearest")
    voxel = abs(float(np.linalg.det(case.reference.affine[:3, :3])))
    rows = []
    for part in case.parts:
        slices = slice(None) if part.slices is None else part.slices
        ours, truth = predicted[:, :, slices], case.reference.array[:, :, slices]
        lungs = [np.isin(labels, (*LOBES, LUNG)) for labels in (ours, truth)]
        for name in part.labels:
            a, b = lungs if name == BOTH_LUNGS else (ours == NAMES.index(name), truth == NAMES.index(name))
            voxels = int(np.count_nonzero(b))
            if voxels >= FEWEST_VOXELS:
                [score] = dice_per_label(a, b, [1])
                found = int(np.count_nonzero(a))
                rows.append(Row(case.group, case.name, part.name, name, float(score), voxels, found, round(voxel, 3)))
    return rows


def synthetic_cases(anatomies: Sequence[synthetic.Anatomy], model: Model, count: int, bodies: int) -> Iterator[Case]:
    """Windows as in training and whole bodies, of deformations, scans and noise that training never drew."""
    card = model.card
    for kind, number, shape, spacing in (
        (WINDOWS, count, card.roi_size, min(card.spacing)),
        (BODIES, bodies, BODY_SHAPE, BODY_SPACING),
    ):
        for k in range(number):
            rng, anatomy = np.random.default_rng([FIRST_SEED + k, shape[0]]), anatomies[k % len(anatomies)]
            example = synthetic.draw_example([anatomy], rng, roi=shape, spacing=spacing, mirrored=0.0)
            affine = np.diag([spacing] * 3 + [1.0])
            yield Case(kind, f"{anatomy.name} {FIRST_SEED + k}", Volume(example.ct, affine), Volume(example.labels, affine))


def phantom_cases(count: int, spacing: tuple[float, float, float] = PHANTOM_SPACING) -> Iterator[Case]:
    """Whole phantoms of unseen seeds."""
    from Agg2ExpLib.synthetic.phantom import make_phantom

    for seed in range(FIRST_SEED, FIRST_SEED + count):
        phantom = make_phantom(seed, spacing)
        yield Case(PHANTOMS, f"phantom {seed}", Volume(phantom.ct, phantom.affine), Volume(phantom.labels, phantom.affine))


def example_ct(folder: Path) -> Case:
    """Abdomen and pelvis with the lung bases; all labels that are in it, and once more within the slices that hold lung."""
    reference = _total_segmentator(folder / "example_seg_fast_force_split.nii.gz")
    lung = np.asarray(np.isin(reference.array, LOBES).any((0, 1)))
    labels = (*NAMES[1:], BOTH_LUNGS)
    parts = (Part(WHOLE, labels), Part(f"{np.count_nonzero(lung)} slices with lung", labels, lung))
    return Case("real", "example_ct", read_ct(folder / "example_ct.nii.gz"), reference, parts)


def aorta_report(folder: Path) -> Case:
    """Thorax with heart and aorta labelled over their whole extent; nothing can be said of the vertebrae, of which only T12 is."""
    reference = _total_segmentator(folder / "partial_multilabel_totalv2_ids.nii.gz")
    parts = [Part(WHOLE, ("heart", "aorta"))]
    for name in ("heart", "aorta"):
        slices = np.equal(reference.array, NAMES.index(name)).any((0, 1))
        parts.append(Part("slices with it", (name,), slices))
    return Case("real", "aorta_report", read_ct(folder / "ct_cropped.nii.gz"), reference, tuple(parts))


def cip_lungs(folder: Path) -> Case:
    """Both lungs as one: every voxel in a lung region, whatever its type (vessels and small airways in the lung are lung)."""
    stored = read_volume(folder / "lm-64.nrrd")
    region = stored.array & 255  # the high byte is the type: 2 airway, 3 vessel; region 0 of these is hilum and trachea
    lungs = np.isin(region, CIP_LUNG_REGIONS).astype(np.uint8) * np.uint8(LUNG)
    parts = (Part(WHOLE, (BOTH_LUNGS,)),)
    return Case("real", "ct-64", read_ct(folder / "ct-64.nrrd"), Volume(lungs, stored.affine), parts)


def _total_segmentator(path: Path) -> Volume:
    """A label map with TotalSegmentator v2 ids as indices of PAPER_LABELS."""
    stored = read_volume(path)
    return Volume(tissues.CHANNEL_OF_ID[stored.array], stored.affine)


# Folder in the data, what it serves for, and how to read it.
REAL: tuple[tuple[str, str, Callable[[Path], Case]], ...] = (
    ("totalsegmentator", "Dice on an abdomen with lung bases", example_ct),
    ("totalsegmentator/aorta_report", "Dice of heart and aorta", aorta_report),
    ("chestimagingplatform", "Dice of both lungs", cip_lungs),
)


def table(rows: Sequence[Row]) -> list[str]:
    """Markdown: the mean Dice of every label in each synthetic group, then each label of each real scan."""
    groups = [group for group in (WINDOWS, BODIES, PHANTOMS) if any(row.group == group for row in rows)]
    lines = []
    if groups:
        number = {group: len({row.case for row in rows if row.group == group}) for group in groups}
        lines += [
            "| label | " + " | ".join(f"{group} ({number[group]})" for group in groups) + " |",
            "|---" * (len(groups) + 1) + "|",
        ]
        means = {group: _means([row for row in rows if row.group == group]) for group in groups}
        for name in (*NAMES[1:], BOTH_LUNGS):
            lines.append(f"| {name} | " + " | ".join(_number(means[group].get(name)) for group in groups) + " |")
        overall = {group: [value for name, value in means[group].items() if name != BOTH_LUNGS] for group in groups}
        cells = [
            f"**{np.mean(overall[group]):.2f}**" + (f" of {len(overall[group])}" if len(overall[group]) < len(NAMES) - 1 else "")
            for group in groups
        ]
        lines += ["| **mean of 16 labels** | " + " | ".join(cells) + " |", ""]
    real = [row for row in rows if row.group == "real"]
    if real:
        lines += ["| real CT | part | label | Dice | reference voxels | predicted voxels |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {row.case} | {row.part} | {row.label} | {row.dice:.2f} | {row.reference_voxels} | {row.predicted_voxels} |"
            for row in real
        ]
        lines.append("")
    return lines


def _means(rows: Sequence[Row]) -> dict[str, float]:
    """Mean Dice of each label over the cases that hold it."""
    names = dict.fromkeys(row.label for row in rows)
    return {name: float(np.mean([row.dice for row in rows if row.label == name])) for name in names}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def notes(rows: Sequence[Row]) -> list[str]:
    """What the numbers mean, for the cases that were measured."""
    measured = {row.group for row in rows} | {row.case for row in rows}
    said = {
        "": "Labels on the model grid were brought to the reference's grid (nearest voxel). A label counts in cases that hold at "
        f"least {FEWEST_VOXELS} voxels of it, and there over the whole case; `{BOTH_LUNGS}` is the five lobes as one.",
        WINDOWS: "Synthetic windows and bodies: unseen deformations, tissues and noise of the two bodies that training knows, so "
        "they say nothing about other patients. Windows lie on the model's own grid, bodies (384 × 321 × 384 mm, 3 mm) and "
        "phantoms (2 mm) on grids of their own.",
        "example_ct": "example_ct (3 mm): abdomen and pelvis with only the lung bases, far from what the weights are for; the "
        "second part is what lies in the thorax. The reference is TotalSegmentator's own fast segmentation, not an expert's.",
        "aorta_report": "aorta_report (1.5 mm): CT angiography, a narrow field of view, a wide aorta with two lumens of unequal "
        "contrast. Heart (with the pulmonary trunk, as in TotalSegmentator v2) and aorta are labelled from end to end, so a voxel "
        "without the label is not heart or not aorta, and Dice over the whole scan is fair; 'slices with it' leaves out false "
        "voxels above and below. No other label is complete (of the vertebrae only T12), so none is measured.",
        "ct-64": "ct-64 (about 4 mm, Chest Imaging Platform): a voxel is lung when its region is a lung or a part of one, its "
        "vessels and small airways included; airways and vessels of no region (trachea, main bronchi, hilum) are not.",
    }
    return [f"- {text}" for key, text in said.items() if not key or key in measured]


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="default: the demo weights of this project")
    parser.add_argument("--card", type=Path, help="model card (default: the .json beside the weights)")
    parser.add_argument(
        "--data", type=Path, default=HERE.parent.parent / "shared" / "data", help="folder (default: ../shared/data)"
    )
    parser.add_argument("--output", type=Path, default=Path("out") / "demo_weights", help="folder (default: %(default)s)")
    parser.add_argument(
        "--held-out", type=int, default=16, metavar="N", help="synthetic windows; a quarter as many bodies, phantoms"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda:0 or mps")
    parser.add_argument("--no-pictures", action="store_true", help="only the numbers")
    parser.add_argument("--update-card", action="store_true", help="write the Dice into the model card beside the weights, too")
    parser.add_argument("--section", help="heading in RESULTS.md that the tables replace")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network on a coarse phantom")
    args = parser.parse_args(argv)
    if args.held_out < 1:
        parser.error("--held-out must be at least 1")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, draw and write; returns the exit status."""
    args = parse(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            run(small(args, Path(folder)) if args.smoke else args)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Cannot write to {args.output} ({error.strerror or error}): choose another --output.", file=sys.stderr)
        return 2
    return 0


def small(args: argparse.Namespace, folder: Path) -> argparse.Namespace:
    """The same with a network and scans that take no time."""
    from smoke import coarse_phantom, tiny_weights

    coarse_phantom(folder / "phantom.nii.gz")
    changed = {"data": folder, "weights": tiny_weights(folder), "output": folder / "out", "held_out": 1, "device": "cpu"}
    return argparse.Namespace(**{**vars(args), **changed})


def run(args: argparse.Namespace) -> None:
    """The whole check."""
    from tqdm import tqdm

    from Agg2ExpLib.inference.compute import choose_compute
    from Agg2ExpLib.models.model import demo_weights, load_model
    from Agg2ExpLib.system.allocator import keep_freed_memory

    keep_freed_memory()
    model = load_model(args.weights or demo_weights(), args.card)
    compute = choose_compute(args.device)
    model.network.to(compute.device, compute.dtype)
    args.output.mkdir(parents=True, exist_ok=True)

    fewer = max(1, args.held_out // 4)
    patients = () if args.no_pictures else (Patient("phantom.nii.gz", (0, 0, 0), "phantom"),) if args.smoke else PATIENTS
    rows: list[Row] = []
    with tqdm(total=args.held_out + 2 * fewer + len(REAL) + len(patients), disable=None, unit="scan") as bar:
        for case in _cases(args.data, model, args.held_out, fewer, (8.0, 8.0, 8.0) if args.smoke else PHANTOM_SPACING):
            bar.set_description(case.name)
            rows += measure(case, segment_ct(model, case.ct, compute))
            bar.update()
        for patient in patients:
            with _skipping(f"the picture of {patient.citation.split(',')[0]}"):
                ct = read_ct(args.data / patient.file)
                bar.set_description(ct.name)
                title = f"{model.name}, {_spacing(model)} mm"
                draw(args.output / f"{ct.name}.png", ct, segment_ct(model, ct, compute), patient, title)
            bar.update()

    head = (
        f"{date.today()}, {compute.device_name}, {compute.precision}. {model.name} (sha256 {model.sha256[:12]}): "
        f"{model.architecture}; {_spacing(model)} mm, windows of {' × '.join(map(str, model.card.roi_size))} voxels."
    )
    text = "\n".join([head, "", *table(rows), *notes(rows)])
    (args.output / "demo_weights.md").write_text(text + "\n", encoding="utf-8")
    with (args.output / "demo_weights.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) | {"dice": round(row.dice, 4)} for row in rows)
    print(text)
    if args.update_card:
        weights = Path(args.weights or demo_weights())
        update_card(args.card or weights.with_suffix(".json"), rows)
    if args.section:
        from compare import write_section

        write_section(args.section, text)


def update_card(path: Path, rows: Sequence[Row]) -> None:
    """Put the measured Dice into a model card, in the place of what its training measured."""
    from Agg2ExpLib.system.files import write_json

    card = json.loads(path.read_text(encoding="utf-8"))
    dice: dict[str, dict[str, float]] = {}
    for group in (WINDOWS, BODIES, PHANTOMS):
        means = _means([row for row in rows if row.group == group])
        if means:
            overall = float(np.mean([value for name, value in means.items() if name != BOTH_LUNGS]))
            dice[group] = {name: round(value, 3) for name, value in (means | {"mean of 16 labels": overall}).items()}
    for row in rows:
        if row.group == "real":
            dice.setdefault(f"real CT: {row.case}, {row.part}", {})[row.label] = round(row.dice, 3)
    card["metrics"] = card.get("metrics", {}) | {"dice": dice}
    write_json(path, card)


def _cases(data: Path, model: Model, windows: int, fewer: int, spacing: tuple[float, float, float]) -> Iterator[Case]:
    """Every case in turn, so that one is in memory at a time."""
    maps = sorted((data / "totalsegmentator-labels").glob("*.nii.gz"))
    if maps:
        yield from synthetic_cases([synthetic.load_anatomy(path) for path in maps], model, windows, fewer)
    else:
        _say(f"Skipped Dice on synthetic CT: there is no label map in {data / 'totalsegmentator-labels'}.")
    yield from phantom_cases(fewer, spacing)
    for folder, what, read in REAL:
        case = None
        with _skipping(what):
            case = read(data / folder)
        if case:
            yield case


@contextlib.contextmanager
def _skipping(what: str) -> Iterator[None]:
    """Say why something could not be done, and go on."""
    try:
        yield
    except InputError as error:
        _say(f"Skipped {what}: {error}")


def _say(message: str) -> None:
    from tqdm import tqdm

    tqdm.write(message, file=sys.stderr)


def _spacing(model: Model) -> str:
    sizes = [f"{size:g}" for size in model.card.spacing]
    return sizes[0] if len(set(sizes)) == 1 else " × ".join(sizes)


if __name__ == "__main__":
    raise SystemExit(main())
