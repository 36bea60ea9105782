"""The documentation site: it builds without a warning, needs no network, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import Agg2ExpLib as agg2exp
from support.paths import ROOT
from support.site import SitePage, build_site, fetched_by_style, read_page

# One process builds it for all of these.
pytestmark = pytest.mark.xdist_group("site")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("site")
    build_site(folder)
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, SitePage]:
    return {path: read_page(path) for path in sorted(site.rglob("*.html"))}


def _is_local(address: str) -> bool:
    parts = urlsplit(address)
    return not parts.scheme and not parts.netloc


def test_nothing_is_fetched_from_the_network(site: Path, pages: dict[Path, SitePage]) -> None:
    asked = [(path.name, address) for path, page in pages.items() for address in page.fetched]
    asked += [(path.name, address) for path in site.rglob("*.css") for address in fetched_by_style(path)]
    assert len(asked) > len(pages)
    assert [(name, address) for name, address in asked if not _is_local(address) and not address.startswith("data:")] == []


def test_links_within_the_site_lead_somewhere(site: Path, pages: dict[Path, SitePage]) -> None:
    broken, followed = [], 0
    for path, page in pages.items():
        if path.name == "404.html":  # served at any address
            continue
        for address in {*page.links, *page.fetched}:
            parts = urlsplit(address)
            if not _is_local(address):
                continue
            followed += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.is_file() or (anchor and target in pages and anchor not in {*pages[target].ids, "__skip"}):
                broken.append((path.relative_to(site), address))
    assert broken == []
    assert followed > 1000


def test_formulas_are_drawn_without_a_script(site: Path) -> None:
    text = (site / "method.html").read_text(encoding="utf-8")
    assert text.count("<math") > 30
    for path in site.rglob("*.html"):
        assert "arithmatex" not in path.read_text(encoding="utf-8"), path


def test_every_module_is_in_the_reference(site: Path, pages: dict[Path, SitePage]) -> None:
    library = ROOT / "Agg2ExpLib"
    modules = [
        path.relative_to(library) for path in library.glob("*/*.py") if path.stem != "__init__" and path.parent.name != "api"
    ]
    documented = {anchor for path, page in pages.items() if path.parent.name == "api" for anchor in page.ids}
    assert len(modules) > 100
    assert [str(path) for path in modules if f"Agg2ExpLib.{path.parent.name}.{path.stem}" not in documented] == []


def test_every_public_name_is_in_the_python_reference(site: Path, pages: dict[Path, SitePage]) -> None:
    documented = pages[site / "api" / "index.html"].ids
    assert [name for name in agg2exp.__all__ if f"Agg2ExpLib.{name}" not in documented and name != "__version__"] == []


def test_docstrings_show_no_roles_of_other_tools(site: Path) -> None:
    for path in (site / "api").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert ":class:" not in text, path
        assert ":func:" not in text, path
        assert "&gt;&gt;&gt; " not in re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL), path
    attribution = (site / "api" / "attribution.html").read_text(encoding="utf-8")
    assert 'href="#Agg2ExpLib.attribution.noise.NoisyCopies"' in attribution
