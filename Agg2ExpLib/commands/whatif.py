"""``agg2exp whatif``: what would the model draw if a region were not there, alone, noisy, or lighter or darker?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..interventions.choices import ACTIONS, FILLS
from .options import add_device_options, add_extra_rois, add_host_options, split

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
  agg2exp whatif result --weights swin_unetr.pt --remove heart --host me@workstation
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
    add_host_options(parser)
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Ask, write and tell."""
    from .terminal import work_in_terminal

    print(work_in_terminal(lambda monitor: _answer(args, monitor), "Cancelled: nothing was written."))
    return 0


def _answer(args: argparse.Namespace, monitor: Monitor) -> str:
    from ..api.result import Result

    result = Result.open(args.result)
    if args.all:
        effects, folder = _removed_in_turn(args, result, monitor)
        if args.picture:
            _draw_effects(folder / "causal_matrix.png", effects, result)
        return f"{_told(effects, result)}\n{folder}"
    answer, folder = _changed(args, result, monitor)
    if args.picture:
        _draw(folder / "what_if.png", answer, result)
    return f"{answer}\n{folder}"


def _changed(args: argparse.Namespace, result: Result, monitor: Monitor) -> tuple[WhatIf, Path]:
    """One change: the answer and its folder."""
    from ..api.what_if import what_if
    from ..interventions.outcome import check_name

    check_name(args.name)  # before it is computed
    asked: dict[str, Any] = {name: getattr(args, name) or () for name in ACTIONS}
    how = {"fill": args.fill, "amount": args.amount, "seed": args.seed}
    if args.host:
        from ..interventions.read import read_what_if

        action, regions = next((name, list(names)) for name, names in asked.items() if names)
        folder = _asked_there(
            {"do": "what_if", "action": action, "regions": regions, "name": args.name, **how}, args, result, monitor
        )
        return read_what_if(folder, result), folder
    answer = what_if(result, _model(args, result), monitor=monitor, **asked, **how, **_common(args))
    return answer, answer.save(args.result, args.name)


def _removed_in_turn(args: argparse.Namespace, result: Result, monitor: Monitor) -> tuple[Effects, Path]:
    """Every region removed: the effects and their folder."""
    from ..api.what_if import causal_matrix

    if args.host:
        from ..interventions.read import read_removed_in_turn

        folder = _asked_there({"do": "causal", "fill": args.fill}, args, result, monitor)
        return read_removed_in_turn(folder), folder
    effects = causal_matrix(result, _model(args, result), fill=args.fill, monitor=monitor, **_common(args))
    return effects, effects.save(args.result, result.matrix)


def _common(args: argparse.Namespace) -> dict[str, Any]:
    return {"regions": args.extra_rois or None, "ct": args.ct, "device": args.device, "precision": args.precision}


def _asked_there(question: dict[str, Any], args: argparse.Namespace, result: Result, monitor: Monitor) -> Path:
    """Ask another computer; its answer lies in the result here."""
    from ..serving.remote import asked_by_ssh

    files = {"result": str(args.result), "weights": _weights(args, result), "card": args.card, "ct": args.ct}
    settings = {"extra_rois": args.extra_rois, "device": args.device, "precision": args.precision}
    return Path(str(asked_by_ssh(args.host, args.host_command, question | files | settings, monitor)["answer"]))


def _weights(args: argparse.Namespace, result: Result) -> str:
    """The weights named, or the demo's where they made the result.

    Raises:
        InputError: none are named, and it was others.
    """
    from ..models.model import demo_weights
    from ..system.regular_files import sha256_of_file

    if args.weights:
        return str(args.weights)
    made_by = result.run.get("weights") or {}
    if made_by.get("sha256") == sha256_of_file(demo_weights()):
        return str(demo_weights())
    raise InputError(f"The result was made with the weights '{made_by.get('name', '?')}': name their file with ⟨weights⟩.")


def _model(args: argparse.Namespace, result: Result) -> Model:
    from ..models.model import load_model
    from ..models.variant import Variant

    variant = Variant.noted(result.run)
    return load_model(Path(_weights(args, result)), args.card, variant.folds, variant.mirror)


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
