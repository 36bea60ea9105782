"""Colours and texts' sizes of the drawn parts of the panel, taken from the window's own palette: light and dark themes alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Color = tuple[int, int, int]

# From weak to strong; ends of a perceptually even yellow-red and blue-free ramp, readable beside the systems' colours.
_LIGHT_RAMP = ((255, 255, 255), (254, 224, 144), (250, 146, 62), (217, 47, 30), (128, 0, 26))
_DARK_RAMP = ((46, 46, 50), (96, 40, 52), (178, 52, 44), (240, 132, 58), (255, 226, 150))
# More and less than others: the colour-blind can tell them (ColorBrewer's PRGn), and they are not red and blue (support, oppose).
_LIGHT_SIGNS = {1: (118, 42, 131), -1: (27, 120, 55)}
_DARK_SIGNS = {1: (206, 160, 222), -1: (127, 206, 128)}
# What supports and what opposes, of the maps' own hues; without a sign between ink and paper.
_LIGHT_BARS = {1: (206, 62, 16), -1: (22, 98, 214), 0: (92, 96, 108)}
_DARK_BARS = {1: (255, 128, 74), -1: (96, 168, 255), 0: (186, 190, 198)}


@dataclass(frozen=True)
class PanelColors:
    """Colours 0..255: ``paper`` is behind all, ``ink`` and ``faint`` write, ``line`` separates, ``accent`` marks the focus."""

    paper: Color
    ink: Color
    faint: Color
    line: Color
    accent: Color

    @classmethod
    def ofWidget(cls, widget: Any) -> PanelColors:
        """From a widget's palette."""
        import qt

        palette = widget.palette

        def part(role: Any) -> Color:
            color = palette.color(role)
            return color.red(), color.green(), color.blue()

        return cls.of(part(qt.QPalette.Base), part(qt.QPalette.Text), part(qt.QPalette.Highlight))

    @classmethod
    def of(cls, paper: Color, ink: Color, accent: Color) -> PanelColors:
        """With the derived colours between paper and ink."""
        return cls(paper, ink, mixed(ink, paper, 0.36), mixed(ink, paper, 0.82), accent)

    @property
    def dark(self) -> bool:
        """Whether light text stands on a dark ground."""
        return luminance(self.paper) < luminance(self.ink)

    def shown(self, color: Color) -> Color:
        """A system's colour where it can be told from the ground: black becomes light on a dark theme, dark blue lighter."""
        if not self.dark:
            return color
        if max(color) < 40:
            return 235, 235, 235
        return mixed(color, (255, 255, 255), 0.22)

    def heat(self, strength: float) -> Color:
        """Colour of the heat map for a strength in 0..1."""
        ramp = _DARK_RAMP if self.dark else _LIGHT_RAMP
        if self.dark:
            ramp = (mixed(self.paper, (128, 128, 128), 0.06), *ramp[1:])
        at = min(1.0, max(0.0, strength)) * (len(ramp) - 1)
        index = min(int(at), len(ramp) - 2)
        return mixed(ramp[index], ramp[index + 1], at - index)

    def signed(self, sign: int) -> Color:
        """Colour of what is more (1) or less (-1) than in others."""
        return (_DARK_SIGNS if self.dark else _LIGHT_SIGNS)[sign]

    def bar(self, sign: int) -> Color:
        """Colour of a bar that supports (1), opposes (-1) or has no sign (0)."""
        return (_DARK_BARS if self.dark else _LIGHT_BARS)[sign]

    def diverging(self, value: float) -> Color:
        """Colour of the heat map of differences for -1..1."""
        if not value:
            return mixed(self.paper, self.ink, 0.03)
        return mixed(self.paper, self.signed(1 if value > 0 else -1), 0.04 + 0.92 * min(1.0, abs(value)))

    def gray(self, strength: float) -> Color:
        """As :meth:`heat`, without a hue, for the background."""
        return mixed(self.paper, self.ink, 0.04 + 0.36 * min(1.0, max(0.0, strength)))


def mixed(first: Color, second: Color, part: float) -> Color:
    """``part`` of the second colour in the first."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue


def luminance(color: Color) -> float:
    """Perceived brightness in 0..1."""
    return (0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]) / 255


def writing(ground: Color) -> Color:
    """Black or white, what can be read on a ground."""
    return (255, 255, 255) if luminance(ground) < 0.58 else (20, 20, 22)
