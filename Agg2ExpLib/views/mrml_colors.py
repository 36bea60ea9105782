"""Signed colours of an attribution overlay: blue opposes, red supports, the weak middle is transparent.

Slice views of Slicer treat the alpha of a colour table as on or off and map a volume's window ``[-m, m]`` to the entries
``floor((v + m) / 2m · 255)`` of the table. With the entries ``127 - k .. 127 + k`` transparent, exactly the voxels with
``|v| >= (2k + 1) / 255 · m`` show; so ``m`` is chosen such that this equals the wanted threshold.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np

Sign = Literal["both", "supporting", "opposing"]

ENTRIES = 256
_MIDDLE = 127
_WIDEST = 100  # at least 27 entries a side stay for colour, however strong the threshold
_QUANTILES = "Agg2Exp.Quantiles"
PERCENTILE = "Agg2Exp.Percentile"
_SIGN = "Agg2Exp.Sign"
_SAMPLE = 400_000
HIDDEN = 0.45  # grey
FULL_COLOR = 99.5  # percentile of |value| with the strongest colour

# From the weakest shown value to the strongest; light to saturated, so that strength reads in print too.
SUPPORTING_COLORS = ((1.00, 0.72, 0.42), (0.98, 0.36, 0.16), (0.80, 0.00, 0.10))
OPPOSING_COLORS = ((0.50, 0.84, 1.00), (0.16, 0.52, 1.00), (0.05, 0.10, 0.85))


def absolute_quantiles(values: np.ndarray) -> np.ndarray:
    """Quantiles 0, 0.1, … 100 % of ``|values|`` (shape ``[1001]``), from at most some hundred thousand evenly spread voxels."""
    flat = values.reshape(-1) if values.flags.c_contiguous else values.T.reshape(-1)
    step = max(1, flat.size // _SAMPLE)
    sample = np.sort(np.abs(flat[::step].astype(np.float64)))
    quantiles = sample[np.round(np.linspace(0, sample.size - 1, 1001)).astype(int)]
    quantiles[-1] = max(float(quantiles[-1]), float(flat.max()), -float(flat.min()))
    return quantiles


def overlay_scale(quantiles: np.ndarray, percentile: float) -> tuple[float, float, int]:
    """Threshold and window of an overlay.

    Args:
        quantiles: what :func:`absolute_quantiles` gave.
        percentile: voxels below this percentile of ``|values|`` are hidden; 95 shows the strongest 5 %.

    Returns:
        ``(threshold, m, k)``: shown are values with ``|v| >= threshold``, the window is ``[-m, m]``, the table's entries
        ``127 - k .. 127 + k`` are transparent. ``m`` is near the 99.5th percentile, so that single peaks do not flatten the rest.
    """
    grid = np.linspace(0, 100, quantiles.size)
    threshold = float(np.interp(np.clip(percentile, 0, 100), grid, quantiles))
    window = float(np.interp(FULL_COLOR, grid, quantiles)) or float(quantiles[-1]) or 1.0
    if threshold <= 0:
        return window / (ENTRIES - 1), window, 0
    k = int(np.clip(round(((ENTRIES - 1) * threshold / window - 1) / 2), 0, _WIDEST))
    return threshold, threshold * (ENTRIES - 1) / (2 * k + 1), k


def signed_colors(k: int, sign: Sign = "both") -> np.ndarray:
    """The table ``[256, 4]`` (red, green, blue, alpha in 0..1) with the entries ``127 - k .. 127 + k`` transparent."""
    table = np.zeros((ENTRIES, 4))
    distance = np.abs(np.arange(ENTRIES) - _MIDDLE)
    strength = np.clip((distance - k - 1) / max(1, _MIDDLE - k - 1), 0, 1)
    stops = np.linspace(0, 1, len(SUPPORTING_COLORS))
    for channel in range(3):
        supporting = np.interp(strength, stops, [color[channel] for color in SUPPORTING_COLORS])
        opposing = np.interp(strength, stops, [color[channel] for color in OPPOSING_COLORS])
        table[:, channel] = np.where(np.arange(ENTRIES) > _MIDDLE, supporting, opposing)
    shown = distance > k
    if sign == "supporting":
        shown[:_MIDDLE] = False
    elif sign == "opposing":
        shown[_MIDDLE:] = False
    table[:, 3] = shown
    return table


def measure_overlay(node: Any, values: np.ndarray, quantiles: np.ndarray | None = None) -> None:
    """Keep the quantiles of an overlay's values with its volume node (also in a saved scene), for quick thresholds later."""
    found = absolute_quantiles(values) if quantiles is None else quantiles
    node.SetAttribute(_QUANTILES, json.dumps([float(f"{value:.7g}") for value in found]))


def quantiles_of(node: Any) -> np.ndarray:
    """What :func:`measure_overlay` kept with a volume node.

    Raises:
        ValueError: the node is no overlay.
    """
    stored = node.GetAttribute(_QUANTILES)
    display = node.GetDisplayNode()
    if not stored or display is None or display.GetColorNode() is None:
        raise ValueError(f"{node.GetName()} is not an attribution overlay of Agg2Exp.")
    return np.array(json.loads(stored))


def set_overlay_threshold(node: Any, percentile: float = 95.0, sign: Sign | None = None) -> float:
    """Show only the strongest voxels of an overlay: those at or above a percentile of ``|value|`` over its volume.

    Args:
        node: an overlay's vtkMRMLScalarVolumeNode made by :func:`Agg2ExpLib.views.mrml.show_results`.
        percentile: 0..100; 95 shows the strongest 5 %.
        sign: ``both``, ``supporting`` (positive) or ``opposing`` (negative) values; None keeps what is set.

    Returns:
        The threshold in the overlay's own units.

    Raises:
        ValueError: the node is no such overlay.
    """
    quantiles = quantiles_of(node)
    display = node.GetDisplayNode()
    colors = display.GetColorNode()
    shown = sign or node.GetAttribute(_SIGN) or "both"
    threshold, window, k = overlay_scale(quantiles, percentile)
    modifying = colors.StartModify()
    table = signed_colors(k, shown)
    table[table[:, 3] == 0, :3] = HIDDEN  # legends draw what views do not
    for entry, color in enumerate(table):
        colors.SetColor(entry, *(float(part) for part in color))
    colors.EndModify(modifying)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(-window, window)
    node.SetAttribute(PERCENTILE, f"{percentile:g}")
    node.SetAttribute(_SIGN, shown)
    return threshold


def overlay_state(node: Any) -> tuple[float, Sign]:
    """Percentile and sign that an overlay shows now."""
    return float(node.GetAttribute(PERCENTILE) or 95.0), node.GetAttribute(_SIGN) or "both"


def color_node_for(scene: Any, name: str) -> Any:
    """A vtkMRMLColorTableNode of its own for the overlay volume of that name, in the scene and saved with it."""
    import slicer

    colors = slicer.vtkMRMLColorTableNode()
    colors.SetName(f"{name} colours")
    colors.SetTypeToUser()
    colors.SetHideFromEditors(False)  # hidden colour nodes are not saved with a scene
    colors.SetNumberOfColors(ENTRIES)
    for entry in range(ENTRIES):
        side = "middle" if entry == _MIDDLE else "supports" if entry > _MIDDLE else "opposes"
        colors.SetColor(entry, f"{side} {abs(entry - _MIDDLE)}", 0.0, 0.0, 0.0, 1.0)
    colors.GetLookupTable().SetTableRange(0, ENTRIES - 1)
    scene.AddNode(colors)
    return colors
