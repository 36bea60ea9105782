"""Classifiers on AdrenalMNIST3D (MedMNIST v2, CC BY 4.0): attention, mean and max pooling of slices, and a small network in 3D.

python benchmarks/adrenal.py [../shared/data/medmnist/adrenalmnist3d.npz] [--seeds 4] [--epochs 8] [--keep DIR] [--smoke]

The official split: trained on its training set, weights of the best validation AUROC kept, the test set asked once. The networks
are small and the epochs few, so that two cores suffice; nothing was tuned. With --keep runs that ended are not repeated and one
that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

MD5 = {"bbd3c5a5576322bc4cdfea780653b1ce": "28", "17721accfe9fb005146a47d33bc54b2f": "64"}  # as in the medmnist package's list
STEM = {"conv1_t_size": 3, "conv1_t_stride": 2, "no_max_pool": True}
SMALL = {"layers": [1, 1, 1, 1], "block_inplanes": [16, 32, 64, 128], **STEM}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "attention pooling": ("slice_resnet10", {**SMALL, "pooling": "attention"}),
    "mean pooling": ("slice_resnet10", {**SMALL, "pooling": "mean"}),
    "max pooling": ("slice_resnet10", {**SMALL, "pooling": "max"}),
    "3D ResNet": ("resnet3d", SMALL),
}
BATCH, PEAK = 32, 1e-3
MEASURES = ("auroc", "accuracy", "f1", "mcc")


def run(data: Path, kind: str, seed: int, epochs: float, folder: Path) -> dict[str, Any]:
    """One network trained and tested; what was measured before is read."""
    import torch

    from Agg2ExpLib.models.model import load_model
    from Agg2ExpLib.training.classification_task import ClassificationTask
    from Agg2ExpLib.training.kinds import settings_of
    from Agg2ExpLib.training.medmnist_source import INTENSITIES, MedmnistSource
    from Agg2ExpLib.training.trainer import Trainer

    name = f"{kind.replace(' ', '_')}_{seed}"
    found = folder / f"{name}.result.json"
    if found.exists():
        return dict(json.loads(found.read_text(encoding="utf-8")))
    source = MedmnistSource(data, ("normal", "mass"))
    network, options = KINDS[kind]
    steps = max(2, round(epochs * len(source.targets) / BATCH))
    settings = settings_of(
        "classification",
        {
            **{"network": network, "network_options": options, "seed": seed, "steps": steps, "batch": BATCH},
            **{"learning_rate": PEAK, "warmup": steps // 15, "validate_every": max(1, steps // 6), "save_every": 25},
            **{"roi": source.shape, "spacing": (1.0, 1.0, 1.0), "hu_window": INTENSITIES, "accelerator": "cpu"},
        },
    )
    task = ClassificationTask(settings, source)
    trainer = Trainer(task, folder, name)
    trainer.run()
    start = time.process_time()
    (folder / f"{name}.json").write_text(task.card(trainer.progress, {}, None, None).to_json(), encoding="utf-8")
    test = task.examine(load_model(trainer.weights).network).to_dict()["test"]
    volumes = sum(1 for _ in source.validation()) + sum(1 for _ in source.test())
    result = {
        "auroc": test["mean"],
        "accuracy": test["accuracy"],
        "f1": test["classes"]["mass"]["f1"],
        "mcc": test["mcc"],
        "parameters": sum(weight.numel() for weight in trainer.network.parameters()),
        "operations": operations(trainer.network, source.shape),
        "milliseconds": 1000 * (time.process_time() - start) / volumes,
        "minutes": trainer.progress.seconds / 60,
        "threads": torch.get_num_threads(),
        "epochs": steps * BATCH / len(source.targets),
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


def table(results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Mean ± standard deviation over the seeds."""
    lines = [
        "| network | AUROC | accuracy | F1 of a mass | MCC | weights | million multiplications | CPU ms a volume | seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, rows in results.items():
        cells = []
        for measure in MEASURES:
            values = [row[measure] for row in rows]
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}")
        speed = np.median([row["milliseconds"] for row in rows])
        size = f"{rows[0]['parameters'] / 1e6:.2f} M | {rows[0]['operations'] / 1e6:.0f} | {speed:.1f}"
        lines.append(f"| {kind} | {' | '.join(cells)} | {size} | {len(rows)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, test, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data/medmnist/adrenalmnist3d.npz"))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kinds", help="of networks, a comma between (default all)")
    parser.add_argument("--keep", type=Path, help="folder for checkpoints and results, so that the benchmark can go on")
    parser.add_argument("--smoke", action="store_true", help="tiny made-up volumes, seconds")
    args = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(args.threads)
    kinds = args.kinds.split(",") if args.kinds else list(KINDS)
    with tempfile.TemporaryDirectory() as temporary:
        folder, data, epochs, seeds = args.keep or Path(temporary), args.data, args.epochs, args.seeds
        folder.mkdir(parents=True, exist_ok=True)
        if args.smoke:
            data, epochs, seeds = made_up(Path(temporary)), 1, 1
        elif (sum_ := hashlib.md5(data.read_bytes(), usedforsecurity=False).hexdigest()) not in MD5:
            print(f"{data} is not the released AdrenalMNIST3D (MD5 {sum_}).", file=sys.stderr)
            return 1
        results: dict[str, list[dict[str, Any]]] = {}
        for seed in range(args.first_seed, args.first_seed + seeds):  # all networks with a seed, then the next
            for kind in kinds:
                results.setdefault(kind, []).append(run(data, kind, seed, epochs, folder))
                last = results[kind][-1]
                print(f"{kind}, seed {seed}: AUROC {last['auroc']:.3f}, {last['minutes']:.1f} min", file=sys.stderr, flush=True)
    first = next(iter(results.values()))[0]
    print(f"{data.stem}, official split, {first['epochs']:.1f} epochs, {first['threads']} thread(s), torch {torch.__version__}:\n")
    print(*table(results), sep="\n")
    return 0


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
