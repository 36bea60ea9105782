"""Formulas (``$…$`` and ``$$…$$``, as GitHub shows them) as MathML, which browsers draw without a script."""

from __future__ import annotations

import re
from html import unescape

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(html: str, **_unused: object) -> str:
    """Turn every formula of a page."""
    return _FORMULA.sub(lambda match: convert(unescape(match[3]), display="inline" if match[2] == "(" else "block"), html)
