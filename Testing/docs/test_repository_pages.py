"""The Markdown files as people read them in the repository: links lead somewhere, and commands are those that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from Agg2ExpLib.commands.cli import build_parser
from support.paths import ROOT

PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "RESULTS.md"})
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_COMMANDS = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in _COMMANDS.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                for command in line.split("&&"):
                    if re.match(r"\s*(\.venv/bin/)?agg2exp ", command):
                        yield _name(page), command.strip()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if ":" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


def test_commands_are_understood() -> None:
    commands = list(_commands())
    assert len(commands) > 15
    parser = build_parser()
    for page, command in commands:
        words = shlex.split(command, comments=True)[1:]
        try:
            parser.parse_args(words)
        except SystemExit:
            pytest.fail(f"{page}: {command}")


def test_readme_is_one_screen_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert 'python3 -m venv .venv && .venv/bin/pip install -c constraints.txt ".[views]" && .venv/bin/agg2exp demo' in text
    assert "bash Testing/run.sh" in text
    assert "Not a medical device" in text
    assert text.count("![") == 1


def test_sources_name_only_what_ships() -> None:
    """Code cites equations, papers and pages of the documentation; its references to pages lead somewhere."""
    files = [path for folder in ("Agg2ExpLib", "Agg2ExpModule", "Testing", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 200
    unknown, cited = [], 0
    for file in files:
        text = file.read_text(encoding="utf-8")
        for path, anchor in re.findall(r"\b(docs/[\w/-]+\.md)(?:#([\w-]+))?", text):
            cited += 1
            if not (ROOT / path).is_file() or (anchor and anchor not in _anchors(ROOT / path)):
                unknown.append((file.name, path, anchor))
        unknown += [(file.name, name, "") for name in re.findall(r"\b(?:METHOD|DESIGN)\b(?:\.md)?,? (?:section|\d)", text)]
    assert unknown == []
    assert cited > 2
