"""The documentation site, built once, and its pages as a browser would see them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from support.paths import ROOT

# What makes a browser fetch something by itself; a link to click is another thing.
_FETCHING = dict.fromkeys(("script", "img", "iframe", "source", "video", "audio", "embed"), "src") | {"object": "data"}
_NOT_FETCHED = {"canonical", "prev", "next", "edit", "alternate"}


@dataclass
class SitePage(HTMLParser):
    """What one page of the site asks for.

    Attributes:
        fetched: addresses that a browser fetches by itself.
        links: addresses that can be clicked.
        ids: anchors.
    """

    fetched: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in one element."""
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.ids.add(values["id"])
        if tag in _FETCHING and values.get(_FETCHING[tag]):
            self.fetched.append(values[_FETCHING[tag]])
        if tag == "link" and not _NOT_FETCHED & set(values.get("rel", "").split()):
            self.fetched.append(values["href"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        self.fetched += _in_style(values.get("style", ""))


def read_page(path: Path) -> SitePage:
    """One page."""
    page = SitePage()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def fetched_by_style(path: Path) -> list[str]:
    """Addresses in a style sheet."""
    return _in_style(path.read_text(encoding="utf-8"))


def _in_style(text: str) -> list[str]:
    return re.findall(r"(?:url\(|@import )\s*[\"']?([^\"')\s]+)", text)


def build_site(folder: Path) -> None:
    """Build it; a warning is a failure."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=quiet, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr, done.stderr
