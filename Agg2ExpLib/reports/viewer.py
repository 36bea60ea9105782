"""The slice viewer of a report: CT, segmentation and maps packed into the page, drawn by a script in it, without a network."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.labels import title_of

if TYPE_CHECKING:
    from ..runs.explanation import Explanation

_PAGE = Path(__file__).parent / "page"
# Finer volumes are shown with voxels of twice, three times … the size, so that a page stays small enough to be sent.
MOST_VOXELS = 3_000_000
# HU to a byte: fine steps where tissues differ little, coarse ones elsewhere.
HU_KNOTS, BYTE_KNOTS = (-1024.0, -200.0, 300.0, 1500.0), (0.0, 60.0, 210.0, 255.0)
# Weaker voxels are left out; the strength that full colour stands for.
SHOWN_FROM, FULL_AT = 80.0, 99.8


def viewer(found: Explanation) -> tuple[str, str, str]:
    """Markup, style and script of the viewer.

    Args:
        found: with maps.
    """
    step = max(int(np.ceil((found.hu.size / MOST_VOXELS) ** (1 / 3))), 1)
    hu = _mean(found.hu.astype(np.float32), step)
    bytes_of_hu = np.rint(np.interp(hu, HU_KNOTS, BYTE_KNOTS)).astype(np.uint8)
    segmentation = found.segmentation[::step, ::step, ::step][tuple(slice(0, size) for size in hu.shape)]
    data: dict[str, Any] = {
        "shape": list(hu.shape),
        "step": step,
        "spacing": [size * step for size in found.grid.spacing],
        "affine": found.grid.affine.tolist(),
        "huKnots": HU_KNOTS,
        "byteKnots": BYTE_KNOTS,
        "hu": _packed(bytes_of_hu),
        "segmentation": _packed(segmentation.astype(np.uint8)),
        "labels": [{"name": label.name, "title": title_of(label.name), "color": list(label.color)} for label in found.labels],
        "maps": [_map(name, values, found, step) for name, values in found.maps.items()],
    }
    text = json.dumps(data).replace("<", "\\u003c")  # no end of the script within the data
    markup = (_PAGE / "viewer.html").read_text(encoding="utf-8")
    markup += f'<script type="application/json" id="viewer-data">{text}</script>'
    style, script = ((_PAGE / f"viewer.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return markup, style, script


def _map(name: str, values: np.ndarray, found: Explanation, step: int) -> dict[str, Any]:
    coarse = _mean(np.asarray(values, dtype=np.float32), step)
    strength = np.abs(coarse)
    limit = float(np.percentile(strength[strength > 0], FULL_AT)) if strength.any() else 1.0
    weakest = float(np.percentile(strength, SHOWN_FROM))
    kept = np.where(strength >= weakest, coarse, 0)
    # In steps of the square root weak voxels keep their order.
    scaled = np.sign(kept) * np.sqrt(np.minimum(np.abs(kept) / limit, 1))
    percentiles = {
        str(p): float(np.sqrt(min(np.percentile(strength, p) / limit, 1))) for p in (80, 85, 90, 93, 95, 97, 98, 99, 99.5)
    }
    index = next((label.index for label in found.labels if label.name == name), -1)  # a class has no outline
    packed = _packed(np.rint(127 * scaled).astype(np.int8).view(np.uint8))
    return {"name": name, "title": title_of(name), "index": index, "data": packed, "percentiles": percentiles}


def _mean(values: np.ndarray, step: int) -> np.ndarray:
    """Means of blocks; what is left over at the ends is cut off."""
    if step == 1:
        return values
    x, y, z = (size // step for size in values.shape)
    blocks = values[: x * step, : y * step, : z * step].reshape(x, step, y, step, z, step)
    return np.asarray(blocks.mean(axis=(1, 3, 5)))


def _packed(array: np.ndarray) -> str:
    """Bytes in the order x fastest, compressed, as text."""
    return base64.b64encode(gzip.compress(array.tobytes(order="F"), 6, mtime=0)).decode("ascii")
