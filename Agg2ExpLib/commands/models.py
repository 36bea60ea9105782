"""``agg2exp models``: the models on this computer, with their labels and settings, and whether they can be explained."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ..models.model_card import CLASSIFICATION, SEGMENTATION

if TYPE_CHECKING:
    from ..models.installed import InstalledModel

_EXAMPLES = """examples:
  agg2exp models
  agg2exp models liver                                     # only those whose name or labels have the word
  agg2exp models --json > models.json
  agg2exp explain --ct chest.nii.gz --weights totalsegmentator:total_part1 --labels liver --output result

Looked for in: TotalSegmentator's weights folder (TOTALSEG_WEIGHTS_PATH, TOTALSEG_HOME_DIR), nnU-Net's (nnUNet_results),
~/.MONAIAuto3DSeg/models, MONAI's bundles (TORCH_HOME), AGG2EXP_MODELS. Nothing is loaded and nothing is downloaded.
"""
_WIDTH = 100


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("models", help="list the models on this computer", epilog=_EXAMPLES, description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="list only models with all of these in their name, kind or labels")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Look and print."""
    from ..models.installed import installed_models

    models = [model for model in installed_models() if _matches(model, args.words)]
    if args.json:
        print(json.dumps([model.to_json() for model in models], indent=2, ensure_ascii=False))
        return 0
    for model in models:
        print(_text(model))
    if not models:
        print("No such model was found on this computer.")
    return 0


def _matches(model: InstalledModel, words: list[str]) -> bool:
    text = " ".join([model.name, model.kind, *(label.name for label in model.labels)]).casefold()
    return all(word.casefold() in text for word in words)


def _text(model: InstalledModel) -> str:
    lines = [f"{model.name}  ({model.kind})", f"  --weights {model.weights}"]
    if model.problem:
        return "\n".join([*lines, f"  cannot be explained: {model.problem}", ""])
    if model.card is not None:
        spacing, window = model.card.spacing, " × ".join(map(str, model.card.roi_size))
        seen = f"windows of {window} voxels" if model.card.task == SEGMENTATION else "the whole CT at once"
        told = f"{' × '.join(f'{step:g}' if step else 'own' for step in spacing)} mm, " if any(spacing) else ""
        lines.append(f"  can be explained: {told}{seen}")
        names = [label.name for label in model.labels]
        shown = ", ".join(names)
        if len(shown) > _WIDTH:
            shown = shown[:_WIDTH].rpartition(",")[0] + ", …"
        one, many = ("class", "classes") if model.card.task == CLASSIFICATION else ("label", "labels")
        lines.append(f"  {len(names)} {one if len(names) == 1 else many}: {shown}")
        if model.card.licence:
            lines.append(f"  licence: {model.card.licence}")
    else:
        lines.append("  its labels are known after it was loaded")
    licence = model.card.licence if model.card else None
    return "\n".join([*lines, *(f"  {note}" for note in model.notes if note != licence), ""])
