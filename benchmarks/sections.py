"""Takes the sections of a file such as ``gpu.sh`` writes over into RESULTS.md, each in place of the one with its heading.

python benchmarks/sections.py DIR/gpu.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from compare import write_section


def sections(text: str) -> dict[str, str]:
    """Heading (``## …``) → what stands under it."""
    found: dict[str, str] = {}
    for part in f"\n{text}".split("\n## ")[1:]:
        heading, _, body = part.partition("\n")
        if body.strip():
            found[heading.strip()] = body.strip()
    return found


if __name__ == "__main__":
    for file in sys.argv[1:]:
        for heading, body in sections(Path(file).read_text(encoding="utf-8")).items():
            write_section(heading, body)
