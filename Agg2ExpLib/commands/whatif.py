"""``agg2exp whatif``: what would the model draw if a region were not there, alone, noisy, or lighter or darker?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..interventions.choices import ACTIONS, FILLS
from .options import add_device_options, add_extra_rois, split

if TYPE_CHECKING:
    from ..api.result import Result
    from ..interventions.effects import Effects
    from ..interventions.outcome import WhatIf
    from ..models.model import Model
    from ..monitor import Monitor

_EXAMPLES = """examples:
  agg2exp whatif agg2exp_demo/result --remove vertebraes
  agg2exp whatif result --weights swin_unetr.pt --remove heart,aorta --fill mean
  agg2exp whatif result --weights swin_unetr.pt --shift heart --amount -100
  agg2exp whatif result --weights swin_unetr.pt --extra-rois blob.nrrd:blob --remove blob
  agg2exp whatif result --weights swin_unetr.pt --all
The answers lie in result/what_if: the changed CT, the new segmentation, a table and a picture for each; with --all one table of
what removing each region does to each label, and how well that agrees with the importance matrix.
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("whatif", help="change a region and see what the model draws", epilog=_EXAMPLES, description=__doc__)
    parser.add_argument("result", type=Path, metavar="RESULT", help="results folder; the answer is written into it")
    parser.add_argument("--weights", metavar="FILE", help="of the model that made the result (not needed for the demo model)")
    parser.add_argument("--card", metavar="FILE", help="model card; default: the .json beside the weights")
    parser.add_argument("--ct", metavar="FILE", help="the original CT; default: the result's copy, rounded to whole HU")
    change = parser.add_argument_group("change").add_mutually_exclusive_group(required=True)
    change.add_argument("--remove", type=split, metavar="A,B", help="fill these regions")
    change.add_argument("--keep", type=split, metavar="A,B", help="fill everything else")
    change.add_argument("--noise", type=split, metavar="A,B", help="add noise of --amount HU")
    change.add_argument("--shift", type=split, metavar="A,B", help="add --amount HU")
    change.add_argument("--all", action="store_true", help="remove every region in turn")
    more = parser.add_argument_group("how")
    more.add_argument("--fill", choices=FILLS, default=FILLS[0], help=f"what takes a region's place (default {FILLS[0]}, harmonic)")
    more.add_argument("--amount", type=float, default=0.0, metavar="HU", help="of noise or shift")
    more.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    more.add_argument("--name", metavar="NAME", help="of the answer's folder; default: told by the change")
    more.add_argument("--no-picture", dest="picture", action="store_false", help="write no picture")
    add_extra_rois(more)
    add_device_options(parser)
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Ask, write and tell."""
    from .terminal import work_in_terminal

    print(work_in_terminal(lambda monitor: _answer(args, monitor), "Cancelled: nothing was written."))
    return 0


def _answer(args: argparse.Namespace, monitor: Monitor) -> str:
    from ..api.result import Result
    from ..api.what_if import causal_matrix, what_if

    result = Result.open(args.result)
    model = _model(args, result)
    common = {"regions": args.extra_rois or None, "ct": args.ct, "device": args.device, "precision": args.precision}
    if args.all:
        effects = causal_matrix(result, model, fill=args.fill, monitor=monitor, **common)
        folder = effects.save(args.result, result.matrix)
        if args.picture:
            _draw_effects(folder / "causal_matrix.png", effects, result)
        return f"{_told(effects, result)}\n{folder}"
    asked: dict[str, Any] = {name: getattr(args, name) or () for name in ACTIONS}
    answer = what_if(result, model, fill=args.fill, amount=args.amount, seed=args.seed, monitor=monitor, **asked, **common)
    folder = answer.save(args.result, args.name)
    if args.picture:
        _draw(folder / "what_if.png", answer, result)
    return f"{answer}\n{folder}"


def _model(args: argparse.Namespace, result: Result) -> Model:
    """The model named, or the demo's where it made the result.

    Raises:
        InputError: none is named, and it was another.
    """
    from ..models.model import demo_weights, load_model
    from ..models.variant import Variant
    from ..system.regular_files import sha256_of_file

    if args.weights:
        variant = Variant.noted(result.run)
        return load_model(Path(args.weights), args.card, variant.folds, variant.mirror)
    made_by = result.run.get("weights") or {}
    if made_by.get("sha256") == sha256_of_file(demo_weights()):
        return load_model(demo_weights())
    raise InputError(f"The result was made with the weights '{made_by.get('name', '?')}': name their file with ⟨weights⟩.")


def _told(effects: Effects, result: Result) -> str:
    import math

    from ..models.labels import title_of

    lines = [f"{len(effects.columns)} regions removed in turn (filled with {effects.fill.replace('_', ' ')})."]
    agreement = effects.agreement(result.matrix) if result.matrix is not None else {}
    for i, row in enumerate(effects.rows):
        worst = [j for j in effects.dice[i].argsort() if effects.columns[j] != row][:3]
        told = ", ".join(f"{title_of(effects.columns[j])} ({effects.dice[i, j]:.2f})" for j in worst)
        rank = agreement.get(row, math.nan)
        note = "" if math.isnan(rank) else f"; effects rank as the importance does: {rank:+.2f}"
        lines.append(f"  {title_of(row)}: Dice falls most without {told}{note}")
    return "\n".join(lines)


def _draw(path: Path, answer: WhatIf, result: Result) -> None:
    from ..interventions.outcome import outlined
    from ..views.plots import save_figure
    from ..views.what_if_figure import what_if_figure

    colors = {label.name: (label.color, label.index) for label in result.labels}
    changed = [entry.label for entry in answer.labels if entry.changed]
    seen = outlined(changed, answer.edit.regions)
    outlines = {name: (answer.before.mask(colors[name][1]), answer.after.mask(colors[name][1]), colors[name][0]) for name in seen}
    region = answer.where if answer.edit.action != "keep" else ~answer.where
    title = f"{result.patient}: {answer.edit.title}"
    words = str(answer).splitlines()[1:5]
    figure = what_if_figure(
        result.hu, answer.hu, region, outlines, result.grid.spacing, title, words, left_out=len(changed) - len(seen)
    )
    save_figure(figure, path)


def _draw_effects(path: Path, effects: Effects, result: Result) -> None:
    from ..views.effects_figure import effects_figure
    from ..views.plots import save_figure

    save_figure(effects_figure(effects, result.matrix), path)
