"""``agg2exp train``: a network from CT with a truth, from CT alone, or from synthetic CT, with its model card."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..models.model_card import AUTOENCODER, CLASSIFICATION, SEGMENTATION, parse_model_card
from ..system.files import replacing
from ..system.json_files import parse_json
from ..training.kinds import KINDS, default_of, settings_of
from ..training.monitor import Progress, TrainMonitor
from ..training.settings import KEEP, OPTIMIZERS, PRECISIONS, TrainSettings
from . import train_autoencoder, train_classification, train_segmentation
from .train_cache import fill_cache

if TYPE_CHECKING:
    from ..training.preparation import Prepared
    from ..training.scores import Scores
    from ..training.task import Task
    from ..training.trainer import Trainer

INTERRUPTED = 130
# What makes each task of the options: ``(args, settings, folder) → (task, what is to be prepared)``.
_TASKS: dict[str, Callable[[argparse.Namespace, TrainSettings, Path], tuple[Task, Prepared | None]]] = {
    SEGMENTATION: train_segmentation.new_task,
    CLASSIFICATION: train_classification.new_task,
    AUTOENCODER: train_autoencoder.new_task,
}
# Options that one task has alone.
_OWN = {SEGMENTATION: ("label_map",), CLASSIFICATION: ("pooling", "axes", "heads", "findings", "classes")}
_EXAMPLES = """examples:
  agg2exp train --data Totalsegmentator_dataset --label-map thorax --output trained
  agg2exp train --data nnUNet_raw/Dataset007 --network swin_unetr_v2 --batch 2 --devices 2 --output trained
  agg2exp train --data pairs.csv --label-map liver,tumour --network unet --output trained
  agg2exp train --task classification --data cts.csv --pooling attention --output trained
  agg2exp train --task classification --synthetic s0011.nii.gz --findings nodule,pleural_effusion --spacing 5 --roi 80 --output demo
  agg2exp train --synthetic s0011.nii.gz s0327.nii.gz --phantoms 8 --spacing 4 --roi 64 --steps 6000 --output demo
  agg2exp train --task autoencoder --data cts --synthetic s0011.nii.gz s0327.nii.gz --output slices

The defaults are the paper's recipe. A run that was interrupted goes on when its command is repeated.
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("train", help="train a network", epilog=_EXAMPLES, description=__doc__)
    parser.add_argument("--task", choices=tuple(KINDS), default=SEGMENTATION, help=f"what it is for (default {SEGMENTATION})")
    _add_data_options(parser.add_argument_group("data"))
    _add_recipe_options(parser.add_argument_group("recipe"))
    train_classification.add_options(parser.add_argument_group("classification"))
    _add_machine_options(parser.add_argument_group("machine"))
    group = parser.add_argument_group("output")
    group.add_argument("--output", required=True, metavar="DIR", help="folder for weights, model card, Dice table, checkpoint")
    group.add_argument("--name", default="model", help="stem of the files (default model)")
    group.add_argument("--keep", choices=KEEP, help="weights of the best validation or the last step (default best)")
    group.add_argument("--float16-weights", action="store_true", help="write weights of half the size")
    group.add_argument("--licence", help="licence of the weights, for the model card")
    group.add_argument("--citation", help="how to cite the weights, for the model card")
    parser.set_defaults(do=main)


def _add_data_options(group: Any) -> None:
    group.add_argument(
        "--data",
        metavar="DIR",
        help="CTs with label maps: imagesTr + labelsTr, a folder for each case, or a CSV (ct,labels); for classification a folder "
        "for each class, a CSV (ct,class or a column of 0 and 1 for each class), or an .npz of MedMNIST; "
        "for an autoencoder CTs alone: a folder of volumes and DICOM series, or a CSV (ct)",
    )
    group.add_argument(
        "--label-map", metavar="MAP", help="thorax (TotalSegmentator v2 → the paper's 17), names in order, or a JSON file"
    )
    group.add_argument(
        "--validation", default="0.1", metavar="SHARE", help="share of cases to validate on, or a text file of names (default 0.1)"
    )
    group.add_argument("--no-augment", action="store_true", help="leave out turns, noise, blur and shifts of brightness")
    group.add_argument("--cache", metavar="DIR", help="where prepared cases are kept (default: cache in --output)")
    group.add_argument(
        "--synthetic", nargs="+", default=[], metavar="MAP", help="TotalSegmentator v2 label maps to paint synthetic CT on"
    )
    group.add_argument("--phantoms", type=int, default=0, metavar="N", help="geometric phantoms among the synthetic CT")
    group.add_argument("--held-out", type=int, default=24, metavar="N", help="synthetic examples to validate on (default 24)")


def _add_recipe_options(group: Any) -> None:
    networks = [name for kind in KINDS.values() for name in kind.networks]
    first = ", ".join(f"{kind.networks[0]} for {task}" for task, kind in KINDS.items())
    group.add_argument("--network", choices=networks, help=f"default {first}")
    group.add_argument(
        "--network-options", type=_object, default={}, metavar="JSON", help='of its MONAI class, e.g. {"feature_size": 24}'
    )
    group.add_argument("--steps", type=int, help=f"optimiser steps ({default_of('steps')})")
    group.add_argument("--batch", type=int, help=f"examples a step, over all devices ({default_of('batch')})")
    group.add_argument("--optimizer", choices=tuple(OPTIMIZERS), help=default_of("optimizer"))
    group.add_argument("--learning-rate", type=float, help=f"at its peak ({default_of('learning_rate')})")
    group.add_argument("--weight-decay", type=float, help=default_of("weight_decay"))
    group.add_argument("--warmup", type=int, help=f"steps of rising learning rate ({default_of('warmup')})")
    group.add_argument("--clip-norm", type=float, help=f"largest norm of a gradient ({default_of('clip_norm')})")
    group.add_argument("--roi", type=int, nargs="+", metavar="N", help=f"window in voxels, one or three ({default_of('roi')})")
    group.add_argument("--spacing", type=float, nargs="+", metavar="MM", help=f"voxel size, one or three ({default_of('spacing')})")
    group.add_argument("--hu-window", type=float, nargs=2, metavar="HU", help=f"HU range ({default_of('hu_window')})")
    group.add_argument(
        "--label-weights", type=_weights, default={}, metavar="NAME=W,…", help="weight in the loss of labels that do not count once"
    )
    group.add_argument("--seed", type=int, help=f"of weights, examples and augmentation ({default_of('seed')})")


def _add_machine_options(group: Any) -> None:
    group.add_argument("--accelerator", choices=("auto", "cpu", "cuda", "mps"), help=default_of("accelerator"))
    group.add_argument("--devices", metavar="N", help=f"how many, or auto for all ({default_of('devices')})")
    group.add_argument(
        "--precision", choices=PRECISIONS, help=f"{default_of('precision')}, which is bfloat16 on a fast GPU, else float32"
    )
    group.add_argument("--workers", type=int, metavar="N", help=f"processes that prepare examples ({default_of('workers')})")
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    group.add_argument("--validate-every", type=int, metavar="STEPS", help=default_of("validate_every"))
    group.add_argument("--save-every", type=int, metavar="STEPS", help=default_of("save_every"))


def main(args: argparse.Namespace) -> int:
    """Train, measure, write weights and model card; returns the exit status."""
    settings = _settings(args)
    if args.threads is not None and args.threads < 1:
        raise InputError("⟨threads⟩ must be at least 1.")
    if args.held_out < 1 or args.phantoms < 0:
        raise InputError("⟨held_out⟩ must be at least 1, ⟨phantoms⟩ at least 0.")
    if not args.name or Path(args.name).name != args.name:
        raise InputError(f"⟨name⟩ is the stem of a file, not {args.name!r}: leave out the folder.")
    for own, names in _OWN.items():
        if own != args.task and (given := next((name for name in names if getattr(args, name)), None)):
            raise InputError(f"⟨{given}⟩ is for {own}, and ⟨task⟩ is {args.task}: leave it out.")
    folder = Path(args.output)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: choose another ⟨output⟩.")
    task, source = _TASKS[args.task](args, settings, folder)
    _check(args, task, source)
    try:
        if source is not None:
            fill_cache(source, settings)
        folder.mkdir(parents=True, exist_ok=True)
        return _train(args, task, folder)
    except OSError as error:
        raise InputError(f"Cannot write to {folder} ({error.strerror or error}): choose another ⟨output⟩.") from error


def _check(args: argparse.Namespace, task: Task, source: Prepared | None) -> None:
    """Refuse before hours are spent what would be refused in the end: a model card that cannot be read, a network that cannot be.

    Raises:
        InputError: one of the two.
    """
    card = task.card(Progress(), {}, args.licence, args.citation)
    parse_model_card(card.to_dict(), f"the model card {args.name}.json")
    if source is not None:
        task.new_network("cpu")


def _train(args: argparse.Namespace, task: Task, folder: Path) -> int:
    import torch

    from ..training.trainer import Trainer

    if args.threads:
        torch.set_num_threads(args.threads)
    bar = _Bar(folder / f"{args.name}_{task.measure}.csv", task)
    trainer = Trainer(task, folder, args.name, bar)
    with _stopping(trainer):
        finished = trainer.run(_command())
    bar.close()
    chief = trainer.fabric.is_global_zero
    if not finished:
        if chief:
            print(f"Stopped after step {trainer.progress.step}: repeat the command to go on from there.", file=sys.stderr)
        return INTERRUPTED
    if chief:
        _finish(args, trainer, folder)
    trainer.fabric.barrier()
    return 0


def _finish(args: argparse.Namespace, trainer: Trainer, folder: Path) -> None:
    """Card and a last measurement of what is shipped: the weights as a user's ``load_model`` reads them."""
    from ..models.model import load_model

    path = folder / f"{args.name}.json"

    def write(scores: dict[str, Any]) -> None:
        card = trainer.task.card(trainer.progress, scores, args.licence, args.citation)
        with replacing(path) as temporary:
            temporary.write_text(card.to_json(), encoding="utf-8")

    write({})
    network = load_model(trainer.weights).network.to(trainer.fabric.device)
    scores = trainer.task.examine(network)
    write(scores.to_dict())
    print(*scores.lines(), f"Weights: {trainer.weights}", f"Model card: {path}", sep="\n")


def _settings(args: argparse.Namespace) -> TrainSettings:
    values = {key: value for key, value in vars(args).items() if key in TrainSettings.__dataclass_fields__ and key != "task"}
    for key in ("roi", "spacing"):
        values[key] = None if values[key] is None else _three(values[key], f"⟨{key}⟩")
    values["hu_window"] = None if args.hu_window is None else tuple(float(value) for value in args.hu_window)
    return settings_of(args.task, values)


def _three(values: list[Any], option: str) -> tuple[Any, Any, Any]:
    if len(values) not in (1, 3):
        raise InputError(f"{option} takes one number or three, not {len(values)}.")
    return (values[0], values[0], values[0]) if len(values) == 1 else (values[0], values[1], values[2])


def _object(text: str) -> dict[str, Any]:
    try:
        value = parse_json(text, "it")
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('must be an object such as {"feature_size": 24}')
    return value


def _weights(text: str) -> dict[str, float]:
    try:
        pairs = [part.split("=") for part in text.split(",") if part.strip()]
        return {name.strip(): float(value) for name, value in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be NAME=WEIGHT,NAME=WEIGHT, not {text!r}") from None


def _command() -> str:
    """The command as typed, without the folders of this machine."""
    words = [Path(word).name if os.sep in word else word for word in sys.argv[1:]]
    return "agg2exp " + shlex.join(words)


@contextmanager
def _stopping(trainer: Trainer) -> Iterator[None]:
    """Ctrl-C and the scheduler's SIGTERM end the run after the present step, its state kept; a second one ends it at once."""

    def stop(number: int, frame: object) -> None:
        trainer.stop()
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Bar(TrainMonitor):
    """A tqdm bar on a terminal, and the table of validations."""

    def __init__(self, table: Path, task: Task):
        self._bar: Any = None
        self._table, self._task = table, task

    def step(self, progress: Progress, steps: int, loss: float) -> None:
        """Move the bar."""
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=steps, initial=progress.step - 1, unit="step", disable=None, dynamic_ncols=True)
        self._bar.update(progress.step - self._bar.n if not self._bar.disable else 0)
        best = "" if progress.best is None else f", {self._task.title} {progress.best:.3f}"
        self._bar.set_postfix_str(f"loss {loss:.3f}{best}", refresh=False)

    def validated(self, progress: Progress, scores: Scores) -> None:
        """Write the table anew; where nobody watches, a line on stderr."""
        self._task.write_history(self._table, progress.history)
        if not sys.stderr.isatty():
            means = ", ".join(f"{group} {values['mean']}" for group, values in scores.to_dict().items())
            minutes = progress.seconds / 60
            print(
                f"step {progress.step}: {minutes:.1f} min, {progress.skipped} skipped, mean {self._task.title} {means}",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
