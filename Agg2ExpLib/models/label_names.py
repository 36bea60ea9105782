"""Label names as other programs give them, made fit for file names and options."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..system.names import FORMULA, folded, is_reserved, same_form


def clean_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names that can be file names and parts of a comma-separated option, each its own.

    Spaces become underscores, what file names cannot hold as well, and a name that is there already gets a number.
    """
    cleaned: list[str] = []
    taken: set[str] = set()
    for name in names:
        text = re.sub(r"[\s/\\:*?\"<>|,\x00-\x1f\x7f]+", "_", same_form(str(name).strip()))[:90].strip(".")
        if not text or text.startswith(FORMULA) or is_reserved(text):
            text = f"label_{text.lstrip(''.join(FORMULA))}"
        unique, number = text, 2
        while folded(unique) in taken:
            unique, number = f"{text}_{number}", number + 1
        taken.add(folded(unique))
        cleaned.append(unique)
    return tuple(cleaned)
