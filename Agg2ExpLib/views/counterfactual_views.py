"""A counterfactual seen: a strip of CTs along λ with outlines and differences, and the same moving."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.labels import title_of
from ..system.files import replacing
from .plain_text import plain_text
from .planes import draw_plane, plane_of
from .plots import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

    from ..counterfactuals.outcome import Counterfactual, Step

STRIP, MOVING = "counterfactual.png", "counterfactual.gif"
_INK, _PAPER, _TARGET, _LINE = "#e8eaed", "#101214", "#ffd84d", "#7cc4ff"
_PLANES = ("axial", "coronal", "sagittal")
_SOFT, _CONTRAST, _LUNG = (-160.0, 240.0), (-200.0, 500.0), (-1100.0, 300.0)  # HU shown black and white
_COLUMN = 2.5  # inches
_LEAST_SHOWN = 0.15  # of the strongest difference
_COLUMNS, _MOST_LINES = 5, 4
_COLORS = 96
_MILLISECONDS = 140  # a picture of the moving one


def draw_counterfactual(found: Counterfactual, folder: Path) -> list[Path]:
    """Write both pictures into a folder that exists.

    Raises:
        InputError: they cannot be written.
    """
    save_figure(strip_figure(found), folder / STRIP, dpi=110)
    write_moving(found, folder / MOVING)
    return [folder / STRIP, folder / MOVING]


@plain_text
def strip_figure(found: Counterfactual) -> Figure:
    """Columns are CTs from the smallest λ to the largest, rows the three planes; below, the output and volumes along λ.

    The target's outline is solid, dotted where it was. The last row has the differences to the reconstruction, red
    where the CT became denser and blue where lighter.
    """
    from matplotlib.figure import Figure

    view = _View(found)
    shown = _columns(found.steps)
    heights = [*map(view.height, _PLANES), view.height(_PLANES[0])]
    width = max(_COLUMN * len(shown), 2.6 * _COLUMN)
    side = width / (max(len(shown), 2.6) * max(map(view.width, _PLANES)))
    planes = [side * height + 0.12 for height in heights]
    figure = Figure(figsize=(width, sum(planes) + 3.5), facecolor=_PAPER, layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[sum(planes) + 0.6, 2.9])
    above, below = parts
    rows = above.add_gridspec(len(heights), len(shown), height_ratios=planes)
    for column, step in enumerate(shown):
        for row, name in enumerate((*_PLANES, _PLANES[0])):
            axes = above.add_subplot(rows[row, column])
            view.draw(axes, name, step, difference=row == len(_PLANES))
            if row == 0:
                axes.set_title(_caption(step), color=_INK, fontsize=9)
    above.suptitle(_title(found), color=_INK, fontsize=11)
    left, right = below.subplots(1, 2)
    _draw_curve(left, found)
    _draw_volumes(right, found)
    for part in parts:
        part.set_facecolor(_PAPER)
    return figure


def write_moving(found: Counterfactual, path: Path) -> None:
    """The way from the smallest λ to the largest and back as an animated GIF.

    Raises:
        InputError: it cannot be written.
    """
    from PIL import Image

    from ..errors import InputError

    view = _View(found)
    drawn = [_picture(found, view, step) for step in found.steps]
    # One palette for all, of the first picture, and no dithering: half the bytes, and nothing flickers.
    palette = drawn[0].quantize(_COLORS)
    pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in drawn]
    way = [*pictures, *pictures[-2:0:-1]]
    try:
        with replacing(path) as temporary:
            way[0].save(temporary, save_all=True, append_images=way[1:], duration=_MILLISECONDS, loop=0, optimize=False)
    except OSError as error:
        raise InputError(f"Cannot write {path} ({error.strerror or error}): choose another folder.") from error


@plain_text
def moving_figure(found: Counterfactual, view: _View, step: Step) -> Figure:
    """One picture of the moving one: three planes and the curve with a mark."""
    from matplotlib.figure import Figure

    widths = [view.width(name) for name in _PLANES]
    side = 10 / sum(widths)
    figure = Figure(figsize=(10, side * max(map(view.height, _PLANES)) + 2.1), facecolor=_PAPER, layout="constrained")
    rows = figure.add_gridspec(2, 3, width_ratios=widths, height_ratios=[side * max(map(view.height, _PLANES)), 1.5])
    for column, name in enumerate(_PLANES):
        view.draw(figure.add_subplot(rows[0, column]), name, step, difference=False)
    curve = figure.add_subplot(rows[1, :])
    _draw_curve(curve, found)
    curve.plot([step.amount], [step.output], "o", color=_TARGET, markersize=8)
    figure.suptitle(f"{_title(found)}: {_caption(step, ', ')}", color=_INK, fontsize=10)
    return figure


class _View:
    """Where the planes lie, and how a CT is drawn in them."""

    def __init__(self, found: Counterfactual):
        from scipy import ndimage

        self._start, self._spacing = found.start, found.grid.spacing
        strength = np.sum([np.abs(values) for values in found.differences.values()], axis=0)
        smooth = ndimage.gaussian_filter(strength, [6 / size for size in self._spacing])
        self._at = [int(place) for place in np.unravel_index(int(smooth.argmax()), smooth.shape)]
        strongest = strength[strength > 0]
        self._limit = float(np.percentile(strongest, 99)) if strongest.size else 1.0
        index = next((label.index for label in found.labels if label.name == found.target), None)
        self._index = index if found.run["target"]["kind"] == "label" else None
        inside = self._outline(found.start)
        place = inside if inside is not None and inside.any() else smooth >= np.percentile(smooth, 99)
        middle = float(np.median(self._start.hu[place]))
        self._window = _LUNG if middle < -400 else _SOFT if middle < 120 else _CONTRAST

    def height(self, name: str) -> float:
        """Of a plane in mm."""
        shape = plane_of(self._start.hu, name, self._at).shape
        return shape[0] * self._spacing[1 if name == "axial" else 2]

    def width(self, name: str) -> float:
        """Of a plane in mm."""
        shape = plane_of(self._start.hu, name, self._at).shape
        return shape[1] * self._spacing[1 if name == "sagittal" else 0]

    def draw(self, axes: Axes, name: str, step: Step, difference: bool) -> None:
        """One plane of one CT with outlines, or with its difference to the reconstruction."""
        outlines = []
        before, now = self._outline(self._start), self._outline(step)
        if before is not None and now is not None:
            outlines = [(before, _TARGET, "dotted", 0.9), (now, _TARGET, "solid", 1.3)]
        shown = outlines[:1] if difference else outlines if step.amount else outlines[1:]
        draw_plane(axes, name, self._start.hu if difference else step.hu, self._spacing, self._at, self._window, shown)
        if not difference:
            return
        axes.set_facecolor(_PAPER)
        values = plane_of(np.asarray(step.hu, np.float32) - self._start.hu, name, self._at)
        strength = np.clip(np.abs(values) / self._limit, 0, 1)
        alpha = np.where(strength < _LEAST_SHOWN, 0.0, 0.3 + 0.6 * strength)
        extent = (0.0, self.width(name), 0.0, self.height(name))
        axes.imshow(
            values, cmap="RdBu_r", vmin=-self._limit, vmax=self._limit, alpha=alpha, origin="lower", extent=extent, zorder=1.5
        )

    def _outline(self, step: Step) -> np.ndarray | None:
        return None if self._index is None or step.drawn is None else np.equal(step.drawn, self._index)


def _picture(found: Counterfactual, view: _View, step: Step) -> Image.Image:
    """One picture of the moving one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure = moving_figure(found, view, step)
    figure.set_dpi(80)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _columns(steps: tuple[Step, ...]) -> list[Step]:
    """Some CTs, evenly, with both ends and λ = 0."""
    middle = next(number for number, step in enumerate(steps) if step.amount == 0)
    last = len(steps) - 1
    half = _COLUMNS // 2 if 0 < middle < last else _COLUMNS - 1
    chosen = {middle}
    chosen |= {round(middle * k / half) for k in range(half)} if middle else set()
    chosen |= {last - round((last - middle) * k / half) for k in range(half)} if middle < last else set()
    return [steps[number] for number in sorted(chosen)]


def _caption(step: Step, between: str = "\n") -> str:
    amount = f"λ = {step.amount:+.3g}" if step.amount else "λ = 0 (reconstruction)"
    return f"{amount}{between}probability {step.probability:.3f}"


def _title(found: Counterfactual) -> str:
    return f"{found.patient}: {title_of(found.target).lower()} {' and '.join(found.differences)} as the model sees it"


def _draw_curve(axes: Axes, found: Counterfactual) -> None:
    amounts = [step.amount for step in found.steps]
    axes.plot(amounts, [step.output for step in found.steps], ".-", color=_LINE, linewidth=1.4)
    axes.axvline(0, color=_INK, linewidth=0.5, alpha=0.5)
    name = "mean probability" if found.run["objective"] == "volume" else "logit"
    _dress(axes, f"output ({name})")


def _draw_volumes(axes: Axes, found: Counterfactual) -> None:
    """Volumes of the labels that change most, the target first, in per cent of the reconstruction's."""
    from ..models.labels import BACKGROUND

    before = found.start.volumes
    spread = {
        name: max(abs(step.volumes[name] - before[name]) for step in found.steps)
        for name in before
        if before[name] and name != BACKGROUND
    }
    order = sorted(spread, key=lambda name: (name != found.target, -spread[name]))[:_MOST_LINES]
    colors = {label.name: "#{:02x}{:02x}{:02x}".format(*label.color) for label in found.labels}
    for name in order:
        values = [100 * step.volumes[name] / before[name] for step in found.steps]
        axes.plot([step.amount for step in found.steps], values, ".-", color=colors[name], linewidth=1.4, label=title_of(name))
    axes.axvline(0, color=_INK, linewidth=0.5, alpha=0.5)
    _dress(axes, "volume, % of that at λ = 0")
    if order:
        axes.legend(fontsize=7, labelcolor=_INK, facecolor=_PAPER, edgecolor=_PAPER)


def _dress(axes: Axes, words: str) -> None:
    axes.set_facecolor(_PAPER)
    axes.set_xlabel("λ", color=_INK, fontsize=9)
    axes.set_ylabel(words, color=_INK, fontsize=9)
    axes.tick_params(colors=_INK, labelsize=8)
    for side in axes.spines.values():
        side.set_color("#5a5f66")
