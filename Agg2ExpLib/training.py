"""Trains the small demo network on synthetic CT: ``python -m Agg2ExpLib.training --help``.

Every step draws its window from (seed, step), so an interrupted run that is started again ends with the same weights (bit for
bit on one thread).
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import synthetic
from .errors import InputError
from .files import replacing, write_json
from .labels import PAPER_LABELS

if TYPE_CHECKING:
    import torch

HU_WINDOW = (-1024.0, 1024.0)
FOLLOWS = "relative_position_index"  # buffers that the network makes itself
# Labels that count twice in the loss; smaller ones count four times, background and other lobes once.
LARGE = ("lung_middle_lobe_right", "heart", "ribs", "vertebraes", "autochthon_left", "autochthon_right")
HELD_OUT = 1_000_000  # first index of windows and phantoms that no training run draws
LABEL_MAPS_CITATION = (
    "Wasserthal J. et al., Dataset with segmentations of 117 important anatomical structures in 1228 CT images, v2.0.1, "
    "doi:10.5281/zenodo.10047292 (CC BY 4.0), subjects {subjects}: label maps only, no CT"
)
INTENDED_USE = (
    "To demonstrate and test Agg2Exp: rough labels of the thorax on chest CT of adults. Not for diagnosis, treatment, measurement "
    "or any other clinical use, not a benchmark of segmentation quality; trained on synthetic CT only, unreliable with "
    "pathology, children, other body regions, and images other than CT."
)

Draw = Callable[[np.random.Generator], synthetic.Example]


@dataclass(frozen=True)
class Settings:
    """What determines the weights of a run; ``minutes`` does so only when it ends the run before ``steps`` do.

    Attributes:
        steps: optimiser steps of the whole run.
        minutes: training time after which the run ends, its learning rate having fallen accordingly; None for no limit.
        batch: windows a step.
        learning_rate: of AdamW at its peak, after ``warmup`` steps; cosine to 0 from there.
        roi: window in voxels; multiples of 32.
        spacing: mm, isotropic.
    """

    seed: int = 0
    steps: int = 3000
    minutes: float | None = None
    batch: int = 1
    learning_rate: float = 2e-3
    weight_decay: float = 1e-5
    warmup: int = 30
    bfloat16: bool = False
    roi: tuple[int, int, int] = (64, 64, 64)
    spacing: float = 4.0
    network: dict[str, Any] = field(
        default_factory=lambda: {"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [2, 4, 8, 16]}
    )


class Trainer:
    """A network in training: its weights, optimiser, steps taken (and skipped), seconds spent, and the commands of its runs.

    Args:
        settings: the run.
        draw: gives a random window from a generator.
        checkpoint: file the state is kept in; read when it exists.

    Raises:
        InputError: the checkpoint is damaged or belongs to another network.
    """

    def __init__(self, settings: Settings, draw: Draw, checkpoint: Path):
        import torch
        from monai.losses import DiceCELoss

        torch.manual_seed(settings.seed)
        self.settings, self.draw, self.checkpoint = settings, draw, checkpoint
        self.network = build_network(settings.network)
        if settings.bfloat16:  # oneDNN's bfloat16 weight gradient of its 2x2x2 voxels is at times not finite
            _keep_float32(self.network.get_submodule("encoder10"))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        weight = torch.ones(len(PAPER_LABELS))
        for index, label in enumerate(PAPER_LABELS):
            weight[index] = 2.0 if label.name in LARGE else 1.0 if index == 0 or label.name.startswith("lung") else 4.0
        self.loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True, weight=weight)
        self.step, self.skipped, self.seconds = 0, 0, 0.0
        self.runs: list[dict[str, Any]] = []
        if checkpoint.exists():
            try:
                state = torch.load(checkpoint, weights_only=True)
                self.network.load_state_dict(state["network"])
                self.optimizer.load_state_dict(state["optimizer"])
                self.step, self.skipped, self.seconds = state["step"], state["skipped"], state["seconds"]
                self.runs = state["runs"]
            except (RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
                raise InputError(f"{checkpoint} is damaged or of another network: remove it or give another --output.") from error

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        limit = self.settings.minutes
        return max(self.step / self.settings.steps, self.seconds / 60 / limit if limit else 0.0)

    @property
    def learning_rate(self) -> float:
        """Of the next step: rises over the warm-up, then follows a cosine to 0 at the end of the run."""
        rise = min(1.0, (self.step + 1) / self.settings.warmup)
        return self.settings.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress)))

    def train_step(self) -> float:
        """One optimiser step; returns the loss."""
        import torch

        start, settings = time.monotonic(), self.settings
        examples = [self.draw(np.random.default_rng((settings.seed, self.step, k))) for k in range(settings.batch)]
        image = torch.stack([torch.from_numpy(scale(example.ct))[None] for example in examples])
        target = torch.stack([torch.from_numpy(example.labels)[None] for example in examples]).long()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            logits = self.network(image)
        loss = self.loss(logits.float(), target)
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:  # one bad window must not spoil the weights
            self.skipped += 1
        self.step += 1
        self.seconds += time.monotonic() - start
        return float(loss.detach())

    def save(self) -> None:
        """Keep the state; the old one is replaced only when the new one is whole."""
        import torch

        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "skipped": self.skipped,
            "seconds": self.seconds,
            "runs": self.runs,
        }
        with replacing(self.checkpoint) as temporary:
            torch.save(state, temporary)

    def run(self, save_every: int = 50, report: Callable[[str], None] = print) -> None:
        """Train to the end of the run, keeping the state every ``save_every`` steps and at the end."""
        losses: list[float] = []  # of the last steps
        self.network.train()
        while self.progress < 1:
            losses = [*losses[1 - save_every :], self.train_step()]
            if self.skipped > 20 + self.step // 10:
                raise FloatingPointError(f"{self.skipped} of {self.step} steps had no finite gradient: lower the learning rate")
            if self.step % save_every == 0 or self.progress >= 1:
                self.save()
                done = f"{self.seconds / 60:.1f} min, {self.progress:.0%} done, {self.skipped} skipped"
                report(f"step {self.step}: loss {np.nanmean(losses):.3f}, {done}")


def build_network(arguments: dict[str, Any]) -> torch.nn.Module:
    """A new MONAI SwinUNETR from one CT channel to the paper's 17 labels."""
    import warnings

    from monai.networks.nets import SwinUNETR

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's notices to its own callers
        return SwinUNETR(in_channels=1, out_channels=len(PAPER_LABELS), **arguments)


def _keep_float32(module: torch.nn.Module) -> None:
    """Let a module calculate in float32 within autocast."""
    import torch

    forward = module.forward

    def in_float32(value: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return forward(value.float())

    module.forward = in_float32


def scale(hu: np.ndarray) -> np.ndarray:
    """HU clipped to HU_WINDOW and scaled to [0, 1], float32: what the network sees."""
    low, high = HU_WINDOW
    return ((np.clip(hu, low, high) - low) / (high - low)).astype(np.float32)


def dice(prediction: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Dice of every foreground label, NaN for those not in the reference; float [17], background NaN."""
    scores = np.full(len(PAPER_LABELS), np.nan)
    for index in range(1, len(PAPER_LABELS)):
        a, b = prediction == index, reference == index
        if b.any():
            scores[index] = 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
    return scores


def predict(network: torch.nn.Module, hu: np.ndarray, roi: Sequence[int]) -> np.ndarray:
    """Labels (uint8 [x, y, z]) of a CT in HU on the network's grid, by sliding window with Gaussian blending."""
    import torch
    from monai.inferers import sliding_window_inference

    network.eval()
    with torch.no_grad():
        image = torch.from_numpy(scale(hu))[None, None]
        logits = sliding_window_inference(image, roi, 1, network, overlap=0.25, mode="gaussian")
    assert isinstance(logits, torch.Tensor)
    return logits[0].argmax(0).numpy().astype(np.uint8)


def measure(network: torch.nn.Module, examples: Sequence[synthetic.Example], roi: Sequence[int]) -> dict[str, Any]:
    """Mean Dice of every label over examples that hold it in at least 20 voxels, and the mean over labels."""
    scores = []
    for example in examples:
        score = dice(predict(network, example.ct, roi), example.labels)
        score[np.bincount(example.labels.ravel(), minlength=len(score))[: len(score)] < 20] = np.nan
        scores.append(score)
    table = np.array(scores)
    result: dict[str, Any] = {"volumes": len(examples)}
    for label in PAPER_LABELS[1:]:
        column = table[:, label.index]
        result[label.name] = None if np.isnan(column).all() else round(float(np.nanmean(column)), 3)
    known = [value for label in PAPER_LABELS[1:] if (value := result[label.name]) is not None]
    result["mean"] = round(float(np.mean(known)), 3) if known else None
    return result


def write_weights(path: Path, network: torch.nn.Module) -> None:
    """The network's tensors in float16 as safetensors, without the position indices that follow from its window."""
    from safetensors.torch import save

    tensors = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items() if not name.endswith(FOLLOWS)}
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors))


def model_card(settings: Settings, subjects: Sequence[str], phantoms: int, metrics: dict[str, Any]) -> dict[str, Any]:
    """The model card of a trained network; ``metrics`` as measured."""
    citation = "Agg2Exp demo weights."
    data = [f"{phantoms} geometric phantoms of Agg2ExpLib.phantom (this project)"] if phantoms else []
    if subjects:
        data.append(LABEL_MAPS_CITATION.format(subjects=", ".join(subjects)))
        citation += f" Trained with: {data[-1]}."
    return {
        "labels": [label.name for label in PAPER_LABELS],
        "groups": {label.name: label.group for label in PAPER_LABELS},
        "colors": {label.name: list(label.color) for label in PAPER_LABELS},
        "spacing": [settings.spacing] * 3,
        "hu_window": list(HU_WINDOW),
        "intensity_range": [0.0, 1.0],
        "roi_size": list(settings.roi),
        "network": {"class": "SwinUNETR", "in_channels": 1, "out_channels": len(PAPER_LABELS), **settings.network},
        "citation": citation,
        "licence": "CC BY 4.0",
        "intended_use": INTENDED_USE,
        "metrics": metrics | {"data": data},
    }


def load_anatomies(label_maps: Sequence[Path], phantoms: int, first_phantom: int = 0) -> list[synthetic.Anatomy]:
    """Anatomies to draw windows from; label maps are listed so often that two windows in three come from them."""
    anatomies = [synthetic.load_anatomy(path) for path in label_maps]
    if phantoms:
        from .phantom import phantom_anatomy

        geometric = [phantom_anatomy(first_phantom + k, spacing=(3.0, 3.0, 3.0)) for k in range(phantoms)]
        anatomies = anatomies * max(1, round(2 * phantoms / max(1, len(anatomies)))) + geometric
    if not anatomies:
        raise InputError("There is nothing to train on: give --label-maps or --phantoms.")
    return anatomies


def held_out_examples(anatomies: Sequence[synthetic.Anatomy], settings: Settings, count: int) -> list[synthetic.Example]:
    """Windows of unseen deformations, scans and noise (of the same bodies)."""
    rngs = (np.random.default_rng((settings.seed, HELD_OUT + k)) for k in range(count))
    return [synthetic.draw_example(anatomies, rng, settings.roi, settings.spacing, mirrored=0.0) for rng in rngs]


def held_out_phantoms(settings: Settings, count: int) -> list[synthetic.Example]:
    """Whole phantoms of seeds that training never used, brought to the network's grid."""
    from .phantom import make_phantom

    examples = []
    for k in range(count):
        phantom = make_phantom(HELD_OUT + k, spacing=(settings.spacing,) * 3)
        # RAS axes: the phantom's first two axes run to the patient's left and back.
        examples.append(synthetic.Example(phantom.ct[::-1, ::-1].astype(np.float32), phantom.labels[::-1, ::-1]))
    return examples


def build_parser() -> argparse.ArgumentParser:
    """The command line of ``python -m Agg2ExpLib.training``."""
    parser = argparse.ArgumentParser(
        prog="python -m Agg2ExpLib.training",
        description="Train the demo network on synthetic chest CT. Run again with the same options to go on after an end.",
        epilog="Example: python -m Agg2ExpLib.training --label-maps s0011.nii.gz s0327.nii.gz --phantoms 8 --output demo",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for weights, model card and checkpoint")
    parser.add_argument("--name", default="agg2exp_demo", help="file name of weights and card (default: %(default)s)")
    parser.add_argument("--label-maps", type=Path, nargs="*", default=[], help="TotalSegmentator v2 label maps to paint")
    parser.add_argument("--phantoms", type=int, default=0, help="number of geometric phantoms to train on as well")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=3000, help="optimiser steps (default: %(default)s)")
    parser.add_argument("--minutes", type=float, help="end earlier, after so many minutes of training")
    parser.add_argument("--batch", type=int, default=1, help="windows a step (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="at its peak (default: %(default)s)")
    parser.add_argument("--bfloat16", action="store_true", help="train in mixed precision")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--save-every", type=int, default=50, metavar="STEPS", help="how often to keep the state")
    parser.add_argument("--held-out", type=int, default=24, help="windows (and a quarter as many phantoms) to measure Dice on")
    parser.add_argument("--measure-only", action="store_true", help="write weights and card of the checkpoint as it is")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Train, measure and write weights and model card; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.steps < 1 or args.batch < 1 or args.held_out < 1 or args.phantoms < 0:
        parser.error("--steps, --batch and --held-out must be at least 1, --phantoms at least 0")
    if args.threads < 1 or args.save_every < 1 or not (args.minutes is None or args.minutes > 0) or not args.learning_rate > 0:
        parser.error("--threads, --save-every, --minutes and --learning-rate must be above 0")
    try:
        _train(args, list(sys.argv[1:] if argv is None else argv))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Cannot write to {args.output} ({error.strerror or error}): choose another --output.", file=sys.stderr)
        return 2
    return 0


def _train(args: argparse.Namespace, argv: list[str]) -> None:
    import torch

    torch.set_num_threads(args.threads)
    settings = Settings(args.seed, args.steps, args.minutes, args.batch, args.learning_rate, bfloat16=args.bfloat16)
    anatomies = load_anatomies(args.label_maps, args.phantoms)
    args.output.mkdir(parents=True, exist_ok=True)

    def draw(rng: np.random.Generator) -> synthetic.Example:
        return synthetic.draw_example(anatomies, rng, settings.roi, settings.spacing)

    trainer = Trainer(settings, draw, args.output / f"{args.name}.checkpoint.pt")
    words = [Path(word).name if "/" in word else word for word in argv]  # no folders of this machine
    if not args.measure_only:
        trainer.runs.append({"from_step": trainer.step, "command": " ".join(["python -m Agg2ExpLib.training", *words])})
        trainer.run(args.save_every, lambda line: print(line, flush=True))

    weights = args.output / f"{args.name}.safetensors"
    write_weights(weights, trainer.network)
    network = _read_back(weights, settings)  # measured is what is shipped: the rounded weights
    mapped = anatomies[: len(args.label_maps)]
    metrics: dict[str, Any] = {"dice": {}}
    if mapped:
        windows = held_out_examples(mapped, settings, args.held_out)
        metrics["dice"]["synthetic_held_out"] = measure(network, windows, settings.roi)
    if args.phantoms:
        whole = held_out_phantoms(settings, max(1, args.held_out // 4))
        metrics["dice"]["phantom_held_out"] = measure(network, whole, settings.roi)
    taken = {"steps_taken": trainer.step, "minutes_taken": round(trainer.seconds / 60, 1)}
    metrics["training"] = {"runs": trainer.runs, "settings": asdict(settings) | taken}
    card = model_card(settings, [anatomy.name for anatomy in mapped], args.phantoms, metrics)
    write_json(args.output / f"{args.name}.json", card)
    print(json.dumps(metrics["dice"], indent=2))


def _read_back(weights: Path, settings: Settings) -> torch.nn.Module:
    from safetensors.torch import load_file

    network = build_network(settings.network)
    own = {name: value for name, value in network.state_dict().items() if name.endswith(FOLLOWS)}
    network.load_state_dict(own | {name: value.float() for name, value in load_file(weights).items()})
    return network


if __name__ == "__main__":
    raise SystemExit(main())
