"""One self-contained HTML page: sortable tables, zoomable figures, no network."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..system.files import replacing

_PAGE = Path(__file__).parent / "page"
# The page may load nothing at all, from nowhere.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True)
class Number:
    """A cell with a number.

    Attributes:
        value: what it is sorted by; NaN is shown as a dash.
        text: what is shown.
        bar: length of a bar beside it, 0..1; None for none.
    """

    value: float
    text: str
    bar: float | None = None


@dataclass(frozen=True)
class Name:
    """A cell with a name and the colour of its system."""

    text: str
    color: str


@dataclass(frozen=True)
class Range:
    """A cell with an interval, never broken into lines."""

    text: str


@dataclass(frozen=True)
class Action:
    """A cell that can be clicked.

    Attributes:
        text: what is shown.
        kind: class of the button, by which a script finds it.
        data: what the script is told, as ``data-`` attributes.
    """

    text: str
    kind: str
    data: tuple[tuple[str, str], ...]


Cell = str | Number | Name | Range | Action


@dataclass
class Page:
    """A page in the making.

    Attributes:
        title: heading.
        subtitle: below it.
    """

    title: str
    subtitle: str
    _parts: list[str] = field(default_factory=list)
    _sections: list[tuple[str, str]] = field(default_factory=list)
    _tables: int = 0
    _styles: list[str] = field(default_factory=list)
    _scripts: list[str] = field(default_factory=list)

    def section(self, title: str, *paragraphs: str) -> None:
        """Begin a section; it gets a link at the top."""
        anchor = f"s{len(self._sections)}"
        self._sections.append((anchor, title))
        self._parts.append(f'<h2 id="{anchor}">{html.escape(title)}</h2>')
        self._parts += [f"<p>{html.escape(text)}</p>" for text in paragraphs]

    def cards(self, items: Iterable[tuple[str, str]]) -> None:
        """Boxes with a large value and a line on what it is."""
        boxes = (f'<div class="card"><b>{html.escape(value)}</b><span>{html.escape(what)}</span></div>' for value, what in items)
        self._parts.append(f'<div class="cards">{"".join(boxes)}</div>')

    def findings(self, sentences: Iterable[str]) -> None:
        """A list of sentences."""
        self._parts.append(f'<ul class="findings">{"".join(f"<li>{html.escape(text)}</li>" for text in sentences)}</ul>')

    def warning(self, title: str, sentences: Sequence[str]) -> None:
        """What the reader must know; nothing where there is nothing."""
        if sentences:
            items = "".join(f"<li>{html.escape(text)}</li>" for text in sentences)
            self._parts.append(f'<div class="warning"><b>{html.escape(title)}</b><ul>{items}</ul></div>')

    def part(self, markup: str, style: str = "", script: str = "") -> None:
        """HTML that is put in as it is, with style and script of its own; the script runs when the page is there."""
        self._parts.append(markup)
        self._styles.append(style)
        self._scripts.append(script)

    def figure(self, path: Path, caption: str, narrow: bool = False) -> None:
        """A figure (``.svg`` or ``.png``), written into the page."""
        kind = "svg+xml" if path.suffix == ".svg" else "png"
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        alt = html.escape(caption, quote=True)
        self._parts.append(
            f'<figure{" class=narrow" if narrow else ""}><button title="click to zoom"><img alt="{alt}" '
            f'src="data:image/{kind};base64,{data}"></button><figcaption>{alt}</figcaption></figure>'
        )

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Cell]], filtered: bool = False) -> None:
        """A table that sorts by a click on a heading; with a field to filter its lines if ``filtered``."""
        self._tables += 1
        name = f"t{self._tables}"
        if filtered:
            hint = "filter, e.g. aorta heart"
            self._parts.append(f'<p><input class="filter" data-table="{name}" placeholder="{hint}" aria-label="{hint}"></p>')
        numeric = [any(isinstance(row[index], Number) for row in rows) for index in range(len(header))]
        head = "".join(
            f"<th{' class=n' if number else ''}><button>{html.escape(text)}</button></th>"
            for text, number in zip(header, numeric, strict=True)
        )
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        self._parts.append(
            f'<div class="scroll"><table id="{name}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )

    def write(self, path: Path) -> None:
        """Write the page."""
        links = "".join(f'<a href="#{anchor}">{html.escape(title)}</a>' for anchor, title in self._sections)
        style = "\n".join([(_PAGE / "report.css").read_text(encoding="utf-8"), *self._styles])
        script = "\n".join([(_PAGE / "report.js").read_text(encoding="utf-8"), *self._scripts])
        text = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self.title)}</title><style>{style}</style></head><body>"
            f"<header><div><h1>{html.escape(self.title)}</h1><div class=faint>{html.escape(self.subtitle)}</div></div></header>"
            f"<nav><div>{links}</div></nav><main>{''.join(self._parts)}</main><script>{script}</script></body></html>\n"
        )
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def percent(share: float, bar: float | None = None) -> Number:
    """A share as percent; ``bar`` is the share that fills the bar, 0 for an empty one."""
    if math.isnan(share):
        return Number(share, "–")
    value = 100 * share
    text = f"{value:.2f} %" if abs(value) < 10 else f"{value:.1f} %"
    return Number(value, text, None if bar is None else min(share / bar, 1.0) if bar > 0 else 0.0)


def plain(value: float, digits: int = 3) -> Number:
    """A number with some significant digits."""
    return Number(value, "–" if math.isnan(value) else f"{value:.{digits}g}")


def fixed(value: float, decimals: int = 3) -> Number:
    """A number with some decimals."""
    return Number(value, "–" if math.isnan(value) else f"{value:.{decimals}f}")


def _cell(cell: Cell) -> str:
    if isinstance(cell, Name):
        return f'<td><span class="dot" style="background:{cell.color}"></span>{html.escape(cell.text)}</td>'
    if isinstance(cell, Number):
        bar = f'<span class="bar"><i style="width:{100 * cell.bar:.0f}%"></i></span>' if cell.bar is not None else ""
        return f'<td class="n" data-v="{cell.value!r}">{html.escape(cell.text)}{bar}</td>'
    if isinstance(cell, Action):
        told = "".join(f' data-{key}="{html.escape(value, quote=True)}"' for key, value in cell.data)
        return f'<td><button class="{cell.kind}"{told}>{html.escape(cell.text)}</button></td>'
    if isinstance(cell, Range):
        return f'<td class="r">{html.escape(cell.text)}</td>'
    return f"<td>{html.escape(cell)}</td>"
