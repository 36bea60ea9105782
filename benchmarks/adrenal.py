"""Classifiers on AdrenalMNIST3D (MedMNIST v2, CC BY 4.0): attention, mean and max pooling of slices, and a network in 3D.

    python benchmarks/adrenal.py [../shared/data/medmnist/adrenalmnist3d.npz] [--seeds 4] [--epochs 8] [--keep DIR]
    python benchmarks/adrenal.py --backbone resnet18 --epochs 30 --accelerator cuda --jobs 16 --results adrenal.jsonl
    python benchmarks/adrenal.py --table adrenal.jsonl

The official split: trained on its training set, weights of the best validation AUROC kept, the test set asked once. The small
networks and few epochs are for two cores; ``resnet18`` is the default of ``agg2exp train`` with its learning rate. Nothing was
tuned. With --keep runs that ended are not repeated and one that was interrupted goes on. With --jobs each run is a process of its
own with one thread; --results takes a line for each that ends, so that what was finished stays when the rest is cut off.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))

MD5 = {"bbd3c5a5576322bc4cdfea780653b1ce": "28", "17721accfe9fb005146a47d33bc54b2f": "64"}  # as in the medmnist package's list
SMALL = {
    **{"layers": [1, 1, 1, 1], "block_inplanes": [16, 32, 64, 128]},
    **{"conv1_t_size": 3, "conv1_t_stride": 2, "no_max_pool": True},
}
# Options of the ResNets, learning rate at its peak.
BACKBONES: dict[str, tuple[dict[str, Any], float]] = {"small": (SMALL, 1e-3), "resnet18": ({}, 2e-4)}
POOLED = {"attention pooling": "attention", "mean pooling": "mean", "max pooling": "max"}
KINDS = (*POOLED, "3D ResNet")
BATCH = 32
MEASURES = ("auroc", "accuracy", "f1", "mcc")


def run(data: Path, kind: str, seed: int, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One network trained and tested; what was measured before is read."""
    import torch

    from Agg2ExpLib.models.model import load_model
    from Agg2ExpLib.training.classification_task import ClassificationTask
    from Agg2ExpLib.training.kinds import settings_of
    from Agg2ExpLib.training.medmnist_source import INTENSITIES, MedmnistSource
    from Agg2ExpLib.training.trainer import Trainer

    name = f"{kind.replace(' ', '_')}_{seed}" + ("" if args.backbone == "small" else f"_{args.backbone}")
    found = folder / f"{name}.result.json"
    if found.exists():
        return dict(json.loads(found.read_text(encoding="utf-8")))
    source = MedmnistSource(data, ("normal", "mass"))
    options, peak = BACKBONES[args.backbone]
    network = "resnet3d" if kind not in POOLED else "slice_resnet18"
    steps = max(2, round(args.epochs * len(source.targets) / BATCH))
    settings = settings_of(
        "classification",
        {
            **{"network": network, "network_options": {**options, **({"pooling": POOLED[kind]} if kind in POOLED else {})}},
            **{"seed": seed, "steps": steps, "batch": BATCH, "workers": args.workers},
            **{"learning_rate": args.learning_rate or peak, "warmup": steps // 15, "validate_every": max(1, steps // 6)},
            **{"save_every": max(25, steps // 20) if args.keep else steps, "precision": args.precision},
            **{"roi": source.shape, "spacing": (1.0, 1.0, 1.0), "hu_window": INTENSITIES, "accelerator": args.accelerator},
        },
    )
    task = ClassificationTask(settings, source)
    trainer = Trainer(task, folder, name)
    device, began = trainer.fabric.device, time.monotonic()
    trainer.run()
    minutes = (time.monotonic() - began) / 60
    clock = time.process_time if device.type == "cpu" else time.perf_counter  # of others on the machine it knows nothing
    start = clock()
    (folder / f"{name}.json").write_text(task.card(trainer.progress, {}, None, None).to_json(), encoding="utf-8")
    test = task.examine(load_model(trainer.weights).network.to(device)).to_dict()["test"]
    milliseconds = 1000 * (clock() - start) / (sum(1 for _ in source.validation()) + sum(1 for _ in source.test()))
    result = {
        "kind": kind,
        "seed": seed,
        "auroc": test["mean"],
        "accuracy": test["accuracy"],
        "f1": test["classes"]["mass"]["f1"],
        "mcc": test["mcc"],
        "parameters": sum(weight.numel() for weight in trainer.network.parameters()),
        "operations": operations(trainer.network.cpu(), source.shape),
        "milliseconds": milliseconds,
        "minutes": minutes,
        "threads": torch.get_num_threads(),
        "epochs": steps * BATCH / len(source.targets),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "data": data.stem,
        "backbone": args.backbone,
        "torch": torch.__version__,
    }
    found.write_text(json.dumps(result), encoding="utf-8")
    return result


def operations(network: Any, shape: Sequence[int]) -> int:
    """Multiplications of one volume's way through a network (half of what PyTorch's counter of operations says)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    training = network.training
    network.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.zeros(1, 1, *shape))
    network.train(training)
    return int(counter.get_total_flops()) // 2


def run_all(args: argparse.Namespace, data: Path, folder: Path, seeds: int) -> Iterator[tuple[str, int, dict[str, Any] | str]]:
    """Each run with its result, or with why there is none, as they end: here one after the other, or side by side as processes."""
    kinds = args.kinds.split(",") if args.kinds else list(KINDS)
    todo = [(kind, seed) for seed in range(args.first_seed, args.first_seed + seeds) for kind in kinds]
    if args.jobs == 1:
        for kind, seed in todo:
            yield kind, seed, run(data, kind, seed, args, folder)
        return
    with ThreadPoolExecutor(args.jobs) as pool:
        started = {pool.submit(run_alone, args, data, kind, seed, folder): (kind, seed) for kind, seed in todo}
        for done in as_completed(started):
            yield *started[done], done.result()


def run_alone(args: argparse.Namespace, data: Path, kind: str, seed: int, folder: Path) -> dict[str, Any] | str:
    """A run in a process of its own; where it fails, the last line that it said."""
    words = ["--kinds", kind, "--first-seed", str(seed), "--keep", str(folder), "--threads", str(args.threads)]
    for name in ("epochs", "backbone", "accelerator", "precision", "workers", "learning_rate"):
        if (value := getattr(args, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    command = [sys.executable, str(HERE), str(data), *words, "--one"]
    env = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def table(results: Sequence[dict[str, Any]]) -> list[str]:
    """Mean ± standard deviation over the seeds."""
    first = results[0]
    lines = [
        f"{first['data']}, official split, {first['backbone']} networks, {first['epochs']:.1f} epochs, {first['device']}, "
        f"{first['threads']} thread(s) a run, torch {first['torch']}:",
        "",
        f"| network | AUROC | accuracy | F1 of a mass | MCC | weights | million multiplications | {first['device']}: ms a volume "
        "| minutes of training | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        rows = [row for row in results if row["kind"] == kind]
        if not rows:
            continue
        cells = []
        for measure in MEASURES:
            values = [row[measure] for row in rows]
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}")
        speed, minutes = (np.median([row[key] for row in rows]) for key in ("milliseconds", "minutes"))
        size = f"{rows[0]['parameters'] / 1e6:.2f} M | {rows[0]['operations'] / 1e6:.0f} | {speed:.1f} | {minutes:.1f}"
        lines.append(f"| {kind} | {' | '.join(cells)} | {size} | {len(rows)} |")
    return lines


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data/medmnist/adrenalmnist3d.npz"))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kinds", help="of networks, a comma between (default all)")
    parser.add_argument("--backbone", choices=tuple(BACKBONES), default="small")
    parser.add_argument("--learning-rate", type=float, help="at its peak (default: the backbone's)")
    parser.add_argument("--accelerator", choices=("auto", "cpu", "cuda", "mps"), default="cpu")
    parser.add_argument("--precision", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--workers", type=int, default=0, help="processes of each run that vary the volumes")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, each in a process of its own")
    parser.add_argument("--results", type=Path, help="file that gets a line of JSON for each run as it ends")
    parser.add_argument("--table", type=Path, help="only print the table of such a file")
    parser.add_argument("--keep", type=Path, help="folder for checkpoints and results, so that the benchmark can go on")
    parser.add_argument("--smoke", action="store_true", help="tiny made-up volumes, seconds")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if unknown := [kind for kind in (args.kinds or "").split(",") if kind and kind not in KINDS]:
        parser.error(f"there is no '{unknown[0]}': choose some of {', '.join(KINDS)}")
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, test, print."""
    args = parse(arguments)
    if args.table:
        print(*table([json.loads(line) for line in args.table.read_text(encoding="utf-8").splitlines()]), sep="\n")
        return 0
    import torch

    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder, data, seeds = args.keep or Path(temporary), args.data, args.seeds
        folder.mkdir(parents=True, exist_ok=True)
        if args.one:
            print(json.dumps(run(data, args.kinds, args.first_seed, args, folder)))
            return 0
        if args.smoke:
            data, args.epochs, seeds = made_up(Path(temporary)), 1, 1
        elif (sum_ := hashlib.md5(data.read_bytes(), usedforsecurity=False).hexdigest()) not in MD5:
            print(f"{data} is not the released AdrenalMNIST3D (MD5 {sum_}).", file=sys.stderr)
            return 1
        results, failed = [], 0
        for kind, seed, found in run_all(args, data, folder, seeds):
            if isinstance(found, str):
                failed += 1
                print(f"{kind}, seed {seed} failed: {found}", file=sys.stderr, flush=True)
                continue
            results.append(found)
            print(f"{kind}, seed {seed}: AUROC {found['auroc']:.3f}, {found['minutes']:.1f} min", file=sys.stderr, flush=True)
            if args.results:
                with args.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")
    if results:
        print(*table(results), sep="\n")
    return 1 if failed else 0


def made_up(folder: Path) -> Path:
    """Balls and cubes in the released form."""
    arrays: dict[str, Any] = {}
    place = np.stack(np.meshgrid(*[np.arange(12) - 5.5] * 3, indexing="ij"))
    shapes = np.linalg.norm(place, axis=0) < 5, np.abs(place).max(0) < 3
    for part, count in (("train", 32), ("val", 6), ("test", 8)):
        labels = np.arange(count) % 2
        arrays[f"{part}_images"] = np.stack([shapes[k] * 255 for k in labels]).astype(np.uint8)
        arrays[f"{part}_labels"] = labels[:, None].astype(np.uint8)
    np.savez(folder / "shapes.npz", **arrays)
    return folder / "shapes.npz"


if __name__ == "__main__":
    raise SystemExit(main())
