"""What the tests of the Slicer module share: the panel on a small CT with a small model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from support.networks import small_chest
from support.paths import MODULE_FOLDER

MODULE = MODULE_FOLDER / "Agg2ExpModule.py"
AFFINE = np.diag([-6.0, -6.0, 6.0, 1.0])
AFFINE[:3, 3] = (100.0, 80.0, -300.0)
PATIENCE_S = 300.0


class Panel:
    """The module's panel in the stand-in.

    Attributes:
        app: the stand-in.
        frame: the widget that holds the panel.
        widget: the module's widget object.
    """

    def __init__(self, app: Any, folder: Path, weights: Path, width: int = 350):
        import qt

        # Times and paths of one test must not show in another, nor in the settings of whoever runs the tests.
        qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
        qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, str(folder / "settings"))
        app.app.testing = True  # no search for graphics cards
        app.load_module(MODULE)
        self.app = app
        self.frame = app.show_panel("Agg2ExpModule", width, 1000)
        self.widget = self.frame.self()
        self.parameters.weights = str(weights)
        self.parameters.resultsFolder = str(folder / "results")
        self.parameters.samples = 3
        self.parameters.methodParameters = '{"tolerance": null}'  # a number of samples in place of a precision
        self.results = folder / "results"

    @property
    def parameters(self) -> Any:
        """The scene's parameters."""
        return self.widget.state.parameters

    @property
    def ui(self) -> Any:
        """Widgets by name."""
        return self.widget.ui

    @property
    def controller(self) -> Any:
        """Runs and loads."""
        return self.widget.controller

    @property
    def record(self) -> Any:
        """The results shown."""
        return self.widget.state.record

    def click(self, button: Any) -> None:
        """A real mouse click in the middle of a visible, enabled widget."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        assert button.enabled, f"{button.objectName} is disabled: {button.toolTip}"
        assert button.visible, f"{button.objectName} is hidden"
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.app.app.processEvents()

    def sees(self, widget: Any) -> bool:
        """Whether a widget lies within the visible part of the main window."""
        import slicer

        window = slicer.util.mainWindow()
        where = widget.mapTo(window, widget.rect.center())
        return bool(widget.visible and window.rect.contains(where) and not widget.visibleRegion().isEmpty())

    def open(self, *sections: str) -> None:
        """Unfold these sections and fold the others."""
        for name in ("input", "labels", "explain", "display", "slices", "importance", "compare", "whatIf", "counter", "export"):
            getattr(self.ui, f"{name}Section").collapsed = name not in sections
        self.app.app.processEvents()

    def wait(self, done: Callable[[], bool] | None = None, seconds: float = PATIENCE_S) -> None:
        """Until something is true, by default until nothing goes on."""
        condition = done or (lambda: not self.controller.busy)
        assert self.app.wait(condition, seconds), (
            f"still waiting after {seconds} s: {self.controller.phase} {self.controller.message}"
        )
        self.app.app.processEvents()

    def add_ct(self, name: str = "chest", shift: float = 0.0) -> Any:
        """A volume node with the small chest."""
        import slicer

        from Agg2ExpLib.views.mrml_nodes import add_volume

        affine = AFFINE.copy()
        affine[0, 3] += shift
        array = small_chest()
        if shift:
            array = np.where(array > 100, array + 20, array).astype(np.int16)  # another patient
        return add_volume(slicer.mrmlScene, array, affine, name)

    def explain(self, *labels: str) -> None:
        """Explain labels of the chosen CT, to the end."""
        self.parameters.checkedLabels = list(labels)
        self.ui.applyButton.click()
        self.wait()
        assert not self.controller.failed, self.controller.message

    def draw(self, name: str, box: tuple[slice, slice, slice], node_name: str = "Drawn") -> Any:
        """A segmentation with one box, in voxels of the small chest."""
        import slicer

        from Agg2ExpLib.views.mrml_nodes import Segment, add_segmentation

        mask = np.zeros(small_chest().shape, np.uint8)
        mask[box] = 1
        layers = [(mask, AFFINE, [Segment("Segment_1", name, (255, 0, 0), 1)])]
        node = add_segmentation(slicer.mrmlScene, layers, node_name, self.widget.state.ct)
        node.GetDisplayNode().SetVisibility2DFill(True)
        return node


def watch_for_blocking(panel: Panel) -> list[float]:
    """Processor time of this thread between two turns of the event loop (others may use the machine); grows while it goes on."""
    import qt

    times = [0.0]
    last = [time.thread_time()]

    def tick() -> None:
        now = time.thread_time()
        times.append(now - last[0])
        last[0] = now

    timer = qt.QTimer(panel.frame)
    timer.timeout.connect(tick)
    timer.start(5)
    return times


def panel_with_result(app: Any, folder: Path, *sections: str) -> Panel:
    """The panel showing the heart of the small result that is written here, with these sections unfolded."""
    from support.small_result import write_result

    shown = Panel(app, folder, Path("none"))
    write_result(folder / "result")
    assert shown.widget.exporting.load(folder / "result")
    shown.wait()
    assert not shown.controller.failed, shown.controller.message
    shown.parameters.mapLabel = "heart"
    if sections:
        shown.open(*sections)
    return shown
