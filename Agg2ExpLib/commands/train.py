"""``agg2exp train``: a segmentation network from CT with label maps, or from synthetic CT, with its model card."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..system.files import replacing
from ..system.json_files import parse_json
from ..training.monitor import Progress, TrainMonitor
from ..training.network_choice import NETWORKS
from ..training.settings import KEEP, PRECISIONS, TrainSettings

if TYPE_CHECKING:
    from ..training.sources import Source
    from ..training.trainer import Trainer
    from ..training.validation import Scores

INTERRUPTED = 130
_DEFAULTS = TrainSettings()
_EXAMPLES = """examples:
  agg2exp train --data Totalsegmentator_dataset --label-map thorax --output trained
  agg2exp train --data nnUNet_raw/Dataset007 --network swin_unetr_v2 --batch 2 --devices 2 --output trained
  agg2exp train --data pairs.csv --label-map liver,tumour --network unet --output trained
  agg2exp train --synthetic s0011.nii.gz s0327.nii.gz --phantoms 8 --spacing 4 --roi 64 --steps 6000 --output demo

The defaults are the paper's recipe. A run that was interrupted goes on when its command is repeated.
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("train", help="train a segmentation network", epilog=_EXAMPLES, description=__doc__)
    _add_data_options(parser.add_argument_group("data"))
    _add_recipe_options(parser.add_argument_group("recipe"))
    _add_machine_options(parser.add_argument_group("machine"))
    group = parser.add_argument_group("output")
    group.add_argument("--output", required=True, metavar="DIR", help="folder for weights, model card, Dice table, checkpoint")
    group.add_argument("--name", default="model", help="stem of the files (default model)")
    group.add_argument("--keep", choices=KEEP, default=_DEFAULTS.keep, help="weights of the best validation or the last step")
    group.add_argument("--float16-weights", action="store_true", help="write weights of half the size")
    group.add_argument("--licence", help="licence of the weights, for the model card")
    group.add_argument("--citation", help="how to cite the weights, for the model card")
    parser.set_defaults(do=main)


def _add_data_options(group: Any) -> None:
    group.add_argument(
        "--data", metavar="DIR", help="CTs with label maps: imagesTr + labelsTr, a folder for each case, or a CSV (ct,labels)"
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
    group.add_argument("--held-out", type=int, default=24, metavar="N", help="synthetic windows to validate on (default 24)")


def _add_recipe_options(group: Any) -> None:
    d = _DEFAULTS
    group.add_argument("--network", choices=tuple(NETWORKS), default=d.network, help=f"default {d.network}")
    group.add_argument(
        "--network-options", type=_object, default={}, metavar="JSON", help='of its MONAI class, e.g. {"feature_size": 24}'
    )
    group.add_argument("--steps", type=int, default=d.steps, help=f"optimiser steps (default {d.steps})")
    group.add_argument("--batch", type=int, default=d.batch, help=f"windows a step, over all devices (default {d.batch})")
    group.add_argument("--learning-rate", type=float, default=d.learning_rate, help=f"at its peak (default {d.learning_rate})")
    group.add_argument("--weight-decay", type=float, default=d.weight_decay, help=f"default {d.weight_decay}")
    group.add_argument("--warmup", type=int, default=d.warmup, help=f"steps of rising learning rate (default {d.warmup})")
    group.add_argument("--clip-norm", type=float, default=d.clip_norm, help=f"largest norm of a gradient (default {d.clip_norm})")
    group.add_argument("--roi", type=int, nargs="+", default=[96], metavar="N", help="window in voxels, one or three (default 96)")
    group.add_argument(
        "--spacing", type=float, nargs="+", default=[1.5], metavar="MM", help="voxel size, one or three (default 1.5)"
    )
    group.add_argument("--hu-window", type=float, nargs=2, default=d.hu_window, metavar="HU", help="HU range (default -1024 1024)")
    group.add_argument(
        "--label-weights", type=_weights, default={}, metavar="NAME=W,…", help="weight in the loss of labels that do not count once"
    )
    group.add_argument("--seed", type=int, default=d.seed, help="of weights, windows and augmentation (default 0)")


def _add_machine_options(group: Any) -> None:
    d = _DEFAULTS
    group.add_argument("--accelerator", choices=("auto", "cpu", "cuda", "mps"), default=d.accelerator, help="default auto")
    group.add_argument("--devices", default=d.devices, metavar="N", help="how many, or auto for all (default 1)")
    group.add_argument(
        "--precision", choices=PRECISIONS, default=d.precision, help="default auto: bfloat16 on a fast GPU, else float32"
    )
    group.add_argument("--workers", type=int, default=d.workers, metavar="N", help="processes that prepare windows (default 0)")
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    group.add_argument("--validate-every", type=int, default=d.validate_every, metavar="STEPS", help=f"default {d.validate_every}")
    group.add_argument("--save-every", type=int, default=d.save_every, metavar="STEPS", help=f"default {d.save_every}")


def main(args: argparse.Namespace) -> int:
    """Train, measure, write weights and model card; returns the exit status."""
    settings = _settings(args)
    if args.threads is not None and args.threads < 1:
        raise InputError("⟨threads⟩ must be at least 1.")
    if args.held_out < 1 or args.phantoms < 0:
        raise InputError("⟨held_out⟩ must be at least 1, ⟨phantoms⟩ at least 0.")
    if not args.name or Path(args.name).name != args.name:
        raise InputError(f"⟨name⟩ is the stem of a file, not {args.name!r}: leave out the folder.")
    folder = Path(args.output)
    source = _source(args, settings, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _train(args, settings, source, folder)
    except OSError as error:
        raise InputError(f"Cannot write to {folder} ({error.strerror or error}): choose another ⟨output⟩.") from error


def _train(args: argparse.Namespace, settings: TrainSettings, source: Source, folder: Path) -> int:
    import torch

    from ..training.trainer import Trainer

    if args.threads:
        torch.set_num_threads(args.threads)
    bar = _Bar(folder / f"{args.name}_dice.csv")
    trainer = Trainer(settings, source, folder, args.name, bar)
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
    from ..training.card import model_card
    from ..training.validation import validate

    path = folder / f"{args.name}.json"

    def write(dice: dict[str, Any]) -> None:
        card = model_card(
            trainer.settings, trainer.source, trainer.spec, trainer.progress, dice, licence=args.licence, citation=args.citation
        )
        with replacing(path) as temporary:
            temporary.write_text(card.to_json(), encoding="utf-8")

    write({})
    scores = validate(load_model(trainer.weights).network, trainer.source, trainer.settings)
    write(scores.to_dict())
    for group, values in scores.to_dict().items():
        print(f"Dice, {group.replace('_', ' ')} ({values['volumes']}):")
        for name, value in values.items():
            if name not in ("volumes", "mean"):
                print(f"  {name:26} {'not there' if value is None else f'{value:.3f}'}")
        print(f"  {'mean':26} {values['mean']}")
    print(f"Weights: {trainer.weights}")
    print(f"Model card: {path}")


def _source(args: argparse.Namespace, settings: TrainSettings, folder: Path) -> Source:
    if not args.data:
        from ..training.synthetic_source import SyntheticSource

        return SyntheticSource([Path(path) for path in args.synthetic], args.phantoms, settings, args.held_out)
    if args.synthetic or args.phantoms:
        raise InputError("⟨data⟩ and ⟨synthetic⟩ (or ⟨phantoms⟩) exclude each other: choose one source.")
    from tqdm import tqdm

    from ..models.label_maps import read_scheme
    from ..training.pairs import find_pairs
    from ..training.pairs_source import PairsSource

    data = Path(args.data)
    scheme = read_scheme(data, args.label_map)
    pairs = find_pairs(data)
    held_out = _held_out([pair.name for pair in pairs], args.validation, settings.seed)
    training = [pair for pair in pairs if pair.name not in held_out]
    cache = Path(args.cache) if args.cache else folder / "cache"
    validation = [pair for pair in pairs if pair.name in held_out]
    source = PairsSource(training, validation, scheme, settings, cache, data.name, not args.no_augment)
    for _ in tqdm(source.prepare(), total=len(pairs), desc="preparing", unit="CT", disable=None, leave=False):
        pass
    return source


def _held_out(names: list[str], share: str, seed: int) -> set[str]:
    """Names of the cases to validate on: those a file lists, or a share drawn at random, at least one of two or more."""
    import numpy as np

    file = Path(share)
    if file.is_file():
        listed = {line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()}
        if unknown := sorted(listed - set(names)):
            raise InputError(f"{share} names the case '{unknown[0]}', which is not among the data.")
        return listed
    try:
        part = float(share)
    except ValueError:
        raise InputError(f"⟨validation⟩ must be a share such as 0.1 or a text file of case names, not {share!r}.") from None
    if not 0 <= part < 1:
        raise InputError(f"⟨validation⟩ must be at least 0 and below 1, not {share}.")
    count = min(max(1, round(part * len(names))), len(names) - 1) if part else 0
    return {str(name) for name in np.random.default_rng(seed).permutation(sorted(names))[:count]}


def _settings(args: argparse.Namespace) -> TrainSettings:
    values = {key: value for key, value in vars(args).items() if key in TrainSettings.__dataclass_fields__}
    values["roi"], values["spacing"] = _three(args.roi, "⟨roi⟩"), _three(args.spacing, "⟨spacing⟩")
    values["hu_window"] = tuple(float(value) for value in args.hu_window)
    return TrainSettings(**values)


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

    def __init__(self, table: Path):
        self._bar: Any = None
        self._table = table

    def step(self, progress: Progress, steps: int, loss: float) -> None:
        """Move the bar."""
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=steps, initial=progress.step - 1, unit="step", disable=None, dynamic_ncols=True)
        self._bar.update(progress.step - self._bar.n if not self._bar.disable else 0)
        self._bar.set_postfix_str(f"loss {loss:.3f}" + (f", Dice {progress.best:.3f}" if progress.best >= 0 else ""), refresh=False)

    def validated(self, progress: Progress, scores: Scores) -> None:
        """Write the table anew; where nobody watches, a line on stderr."""
        from ..training.validation import write_history

        write_history(self._table, progress.history)
        if not sys.stderr.isatty():
            means = ", ".join(f"{group} {values['mean']}" for group, values in scores.to_dict().items())
            minutes = progress.seconds / 60
            print(
                f"step {progress.step}: {minutes:.1f} min, {progress.skipped} skipped, mean Dice {means}",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
