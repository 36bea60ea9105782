"""One picture of what a user would see: the panel at the left, the three slice views of the real scene beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import slicer

from . import qt_module

qt = qt_module.module()
_VIEWS = ("axial", "coronal", "sagittal")
COLORS = {"axial": "#f34a33", "coronal": "#4eb04e", "sagittal": "#edd54c"}
_BAR = 22  # pixels of the coloured bar above a view, as in Slicer


def render_views(standin: Any, path: str | os.PathLike[str], panel: Any = None, size: int = 360, extra: Any = None) -> Path:
    """Compose and write a PNG.

    Args:
        standin: from ``install()``.
        path: of the PNG.
        panel: a module's frame from ``show_panel``; grabbed as far as the module panel shows it. None for the views alone.
        size: edge of a slice view in pixels.
        extra: a widget in the fourth place, where Slicer has its 3D view (the importance graph, say).
    """
    standin.app.processEvents()
    views = {orientation: view_image(standin.scene, orientation, size) for orientation in _VIEWS}
    left = slicer.util.mainWindow()._panel.grab() if panel is not None else None
    block = size + _BAR
    width = (left.width() + 8 if left is not None else 0) + 2 * size + 8
    height = max(left.height() if left is not None else 0, 2 * block + 8)
    sheet = qt.QImage(width, height, qt.QImage.Format_RGB32)
    sheet.fill(qt.QColor(240, 240, 240))
    painter = qt.QPainter(sheet)
    x = 0
    if left is not None:
        painter.drawPixmap(0, 0, left)
        x = left.width() + 8
    for index, orientation in enumerate(("axial", None, "coronal", "sagittal")):
        corner = qt.QPoint(x + (index % 2) * (size + 8), (index // 2) * (block + 8))
        if orientation is not None:
            image, position = views[orientation]
            painter.fillRect(qt.QRect(corner, qt.QSize(size, _BAR)), qt.QColor(COLORS[orientation]))
            painter.setPen(qt.QColor("black"))
            painter.drawText(corner + qt.QPoint(8, _BAR - 6), f"{orientation.capitalize()}   {position[0]}: {position[1]:.0f} mm")
            painter.drawImage(corner + qt.QPoint(0, _BAR), image)
        elif extra is not None:
            picture = extra.grab()
            scaled = picture.scaled(size, block, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation)
            painter.drawPixmap(corner + qt.QPoint((size - scaled.width()) // 2, (block - scaled.height()) // 2), scaled)
    painter.end()
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not sheet.save(str(target)):
        raise OSError(f"{target} could not be written")
    return target


def view_image(scene: Any, orientation: str, size: int | tuple[int, int] = 360) -> tuple[Any, tuple[str, float]]:
    """A slice view as the scene has it now: volumes, opacities, outlines and position as the module set them.

    Returns:
        The picture (QImage) and the position as ``(letter, mm)``.

    Raises:
        Agg2ExpLib.errors.InputError: this machine cannot draw offscreen.
    """
    from Agg2ExpLib.views.slice_views import ORIENTATIONS, SliceView

    source = slicer.app.layoutManager().sliceWidget(ORIENTATIONS[orientation][0])
    width, height = (size, size) if isinstance(size, int) else size
    with SliceView(scene, orientation, (width, height), name=f"Picture {orientation}") as view:
        _follow(view, source, width, height)
        picture = view.picture()
    rows, columns, _ = picture.pixels.shape
    image = qt.QImage(picture.pixels.tobytes(), columns, rows, 3 * columns, qt.QImage.Format_RGB888).copy()
    return image, picture.position


def _follow(view: Any, source: Any, width: int, height: int) -> None:
    """Give a guest view the state of one of the application's views."""
    node, composite = source.mrmlSliceNode(), source.mrmlSliceCompositeNode()
    guest = view._logic.GetSliceCompositeNode()
    for layer in ("Background", "Foreground", "Label"):
        getattr(guest, f"Set{layer}VolumeID")(getattr(composite, f"Get{layer}VolumeID")())
    guest.SetForegroundOpacity(composite.GetForegroundOpacity())
    guest.SetLabelOpacity(composite.GetLabelOpacity())
    view.node.GetSliceToRAS().DeepCopy(node.GetSliceToRAS())
    field = node.GetFieldOfView()
    edge = min(field[0], field[1]) / min(width, height)  # mm a pixel
    view.node.SetFieldOfView(edge * width, edge * height, field[2])
    view.node.SetDimensions(width, height, 1)
    view.node.UpdateMatrices()
