"""Pages of the site that are made from other files of the repository: its Markdown files, the help of the command line, docstrings.

Links between Markdown files are written for the repository, so that they work on GitHub; here they are bent to the site's pages.
"""

from __future__ import annotations

import argparse
import os
import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
ICON = ROOT / "Agg2ExpModule" / "Resources" / "Icons" / "Agg2ExpModule.png"
# Files outside docs/ that are pages of the site.
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
}
LIBRARY = ROOT / "Agg2ExpLib"
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_TITLES = {"dicom_out": "DICOM out", "io": "Input and output", "roi_importance": "RoI importance"}
_WORDS = {
    "attribution": "The methods, and the gradient of a stitched segmentation that they share.",
    "cohorts": "Many patients: runs, global importance, outliers, comparison of one patient with others.",
    "commands": "The command line, one verb a module.",
    "dicom_out": "Results as DICOM: segmentation, parametric maps, encapsulated report.",
    "errors": "What callers tell apart.",
    "evaluation": "Faithfulness, sensitivity, complexity and efficiency of attribution methods.",
    "roi_importance": "The RoI importance matrix, its tables and graph, Dice, the global mask.",
    "preprocessing": "From a CT to what a network sees.",
    "counterfactuals": "A CT moved until the model answers otherwise: latent shift with an autoencoder of slices.",
    "interventions": "Changed CTs: regions removed, kept alone, noisy, shifted.",
    "reports": "A page and a document on one patient.",
    "serving": "A process that stays alive between jobs.",
    "inference": "Device, precision, windows, segmentation.",
    "io": "CTs, label maps and tables: reading, writing, the model grid.",
    "models": "Weights, networks, model cards, labels.",
    "runs": "One explanation from beginning to end, and its results folder.",
    "synthetic": "Phantoms and synthetic CT.",
    "system": "Files, locks, memory.",
    "training": "Training of networks.",
    "views": "Slicer scenes, pictures and figures.",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file in docs/ holds."""
    pages = {"reference/command-line.md": command_line()}
    for source, place in OUTSIDE.items():
        if place != "index.md":
            pages[place] = _moved((ROOT / source).read_text(encoding="utf-8"), source, place)
    pages |= {f"api/{name}.md": text for name, text in modules().items()}
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
    files.append(File.generated(config, "icon.png", abs_src_path=str(ICON)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Bend links that leave docs/."""
    if page.file.generated_by:
        return markdown
    return _moved(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def modules() -> dict[str, str]:
    """A page of docstrings for every package of the library: its modules, each with all that is public in it."""
    pages = {}
    for name, words in _WORDS.items():
        title = _TITLES.get(name, name.capitalize())
        blocks = [
            f"## {module} {{#Agg2ExpLib.{module}}}\n\n::: Agg2ExpLib.{module}\n    options: {{ show_root_heading: false }}"
            for module in _modules_of(name)
        ]
        pages[name] = "\n\n".join([f"# {title}", words, *blocks]) + "\n"
    return pages


def _modules_of(name: str) -> list[str]:
    if (LIBRARY / f"{name}.py").is_file():
        return [name]
    return [f"{name}.{file.stem}" for file in sorted((LIBRARY / name).glob("*.py")) if file.stem != "__init__"]


def command_line() -> str:
    """The help of every verb."""
    sys.path.insert(0, str(ROOT))
    try:
        from Agg2ExpLib.commands.cli import build_parser
    finally:
        sys.path.remove(str(ROOT))
    os.environ["COLUMNS"] = "100"  # the same page on every terminal
    parts = ["# Command line", "What `agg2exp VERB --help` prints. Exit status: 0 done, 1 error, 2 bad input, 130 cancelled."]
    for name, parser in _parsers("agg2exp", build_parser()):
        parts.append(f"## {name}\n\n```text\n{parser.format_help().strip()}\n```")
    return "\n\n".join(parts) + "\n"


def _parsers(name: str, parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    found = [(name, parser)]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb, sub in action.choices.items():
                found += _parsers(f"{name} {verb}", sub)
    return found


def _moved(markdown: str, source: str, place: str) -> str:
    return _LINK.sub(lambda match: match[1] + _bent(match[2], source, place) + match[3], markdown)


def _bent(link: str, source: str, place: str) -> str:
    """A link in the repository's file ``source``, for the page ``place``."""
    path, mark, anchor = link.partition("#")
    if not path or ":" in path:
        return link
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if target in OUTSIDE:
        page = OUTSIDE[target]
    elif target.startswith("docs/") and not target.startswith("docs/_site"):
        page = target.removeprefix("docs/")
    elif (ROOT / target).exists():
        return f"https://github.com/Agg2Exp/SlicerAgg2Exp/blob/main/{target}{mark}{anchor}"
    else:
        return link
    return posixpath.relpath(page, posixpath.dirname(place) or ".") + mark + anchor
