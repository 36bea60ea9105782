"""The global mask of a results folder as a segment of its own in an MRML scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .mrml_nodes import Segment, add_segmentation

if TYPE_CHECKING:
    from ..runs.results import Results

GLOBAL_MASK = "global_mask"  # segment id
MASK_COLOR = (136, 0, 153)  # told from the maps' red and blue, a label's yellow outline and any grey, by colour-blind readers too
_FILL = 0.15  # faint, but an outline alone does not tell which side of it is kept
_OUTLINE_PIXELS = 1  # thinner than a label's outline, so that both show where they run together


def add_global_mask(scene: Any, results: Results, ct: Any) -> Any:
    """The supervoxels that matter most over all labels as a segmentation node, None where the results have none.

    In slice views it is an outline with a faint tint; in 3D, where it would cover the organs, it is hidden at first.

    Raises:
        InputError: the mask's file cannot be read.
    """
    mask = results.global_mask()
    if mask is None or not mask.array.any():
        return None
    layers = [(mask.array, mask.affine, [Segment(GLOBAL_MASK, "Global mask", MASK_COLOR, 1)])]
    node = add_segmentation(scene, layers, f"{results.patient} global mask", ct)
    display = node.GetDisplayNode()
    display.SetVisibility2DOutline(True)
    display.SetVisibility2DFill(True)
    display.SetOpacity2DFill(_FILL)
    display.SetSliceIntersectionThickness(_OUTLINE_PIXELS)
    display.SetVisibility3D(False)
    return node
