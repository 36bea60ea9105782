"""Colours of maps without a sign and of organs: strength from dark teal to light mint, net support from blue to red.

Strength grows with lightness, so that it is read in print and by colour-blind readers too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .mrml_colors import ENTRIES, FULL_COLOR, HIDDEN, OPPOSING_COLORS, PERCENTILE, SUPPORTING_COLORS, quantiles_of

# Dark teal to light mint: each lighter than the one before, also to colour-blind eyes; not the yellow of a label's outline.
STRENGTH_COLORS = ((0.02, 0.16, 0.24), (0.00, 0.41, 0.47), (0.24, 0.71, 0.59), (0.75, 1.00, 0.78))
_NEUTRAL = (0.72, 0.72, 0.72)


def strength_color(share: float | np.ndarray) -> np.ndarray:
    """``[..., 3]`` for strengths in 0..1; the square root keeps small ones apart."""
    return _ramp(STRENGTH_COLORS, np.sqrt(np.clip(share, 0, 1)))


def net_color(part: float | np.ndarray) -> np.ndarray:
    """``[..., 3]`` for -1 (all opposes, blue) over 0 (grey) to 1 (all supports, red)."""
    part = np.asarray(part, dtype=float)
    strength = np.sqrt(np.clip(np.abs(part), 0, 1))
    red = _ramp((_NEUTRAL, *SUPPORTING_COLORS[1:]), strength)
    blue = _ramp((_NEUTRAL, *OPPOSING_COLORS[1:]), strength)
    return np.asarray(np.where(part[..., None] > 0, red, blue))


def set_picture_colors(node: Any, limit: float, signed: bool) -> None:
    """Show a volume of regions' values: ``[0, limit]``, or ``[-limit, limit]`` where signed; values below all that are transparent.

    Args:
        node: vtkMRMLScalarVolumeNode with a colour table of its own.
        limit: largest absolute value, above 0.
        signed: whether values have a sign.
    """
    at = np.linspace(-1, 1, ENTRIES) if signed else np.linspace(0, 1, ENTRIES)
    _fill(node, np.column_stack([net_color(at) if signed else strength_color(at), np.ones(ENTRIES)]))
    display = node.GetDisplayNode()
    display.SetInterpolate(False)  # between two regions there is no third value
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(-limit if signed else 0.0, limit)
    display.SetThreshold(-1.5 * limit, 1.5 * limit)
    display.SetApplyThreshold(True)


def set_strength_threshold(node: Any, percentile: float) -> float:
    """Show the strongest voxels of a volume without negative values, light where it is strongest.

    Args:
        node: as :func:`~.mrml_colors.measure_overlay` measured it.
        percentile: 0..100; 95 shows the strongest 5 %.

    Returns:
        The threshold in the volume's own units.
    """
    quantiles = quantiles_of(node)
    grid = np.linspace(0, 100, quantiles.size)
    threshold = float(np.interp(np.clip(percentile, 0, 100), grid, quantiles))
    limit = float(np.interp(FULL_COLOR, grid, quantiles)) or float(quantiles[-1]) or 1.0
    # Entries below the first are transparent; the window makes its lower edge the threshold.
    first = int(np.clip(round((ENTRIES - 1) * threshold / limit), 0, ENTRIES - 30)) if threshold > 0 else 0
    limit = threshold * (ENTRIES - 1) / first if first else limit
    table = np.full((ENTRIES, 4), HIDDEN)
    table[:, 3] = np.arange(ENTRIES) >= first
    table[first:, :3] = _ramp(STRENGTH_COLORS, np.linspace(0, 1, ENTRIES - first))
    _fill(node, table)
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, limit)
    node.SetAttribute(PERCENTILE, f"{percentile:g}")
    return threshold


def _fill(node: Any, table: np.ndarray) -> None:
    colors = node.GetDisplayNode().GetColorNode()
    modifying = colors.StartModify()
    for entry, color in enumerate(table):
        colors.SetColor(entry, *(float(part) for part in color))
    colors.EndModify(modifying)


def _ramp(colors: tuple[tuple[float, float, float], ...], at: np.ndarray) -> np.ndarray:
    stops = np.linspace(0, 1, len(colors))
    return np.stack([np.interp(at, stops, [color[channel] for color in colors]) for channel in range(3)], axis=-1)
