"""What Slicer's own test of the module does, from a CT to the reloaded scene; kept small enough for a processor."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import slicer
import vtk

from ..scene.MapSurfaces import surfacesOf
from .Heartbeat import Heartbeat

_SPACING = 4.0  # mm, of the synthetic thorax
_CUT = 160.0  # mm a side of what is used of it
_SECONDS = 900.0
_STILL_S = 0.25  # the application may stand still so long, no longer


def runModuleTest(test: Any, weights: Path | None = None, ct: Any = None, label: str = "heart", samples: int = 2) -> None:
    """Load → segment → explain → overlay → 3D → graph → CSV → save and reload.

    Args:
        test: the ScriptedLoadableModuleTest, which shows what is being done.
        weights: of the model, by default the demo model.
        ct: volume node, by default a part of the synthetic thorax.
        label: what is explained.
        samples: noisy copies.
    """
    slicer.util.selectModule("Agg2ExpModule")
    widget = slicer.util.getModuleWidget("Agg2ExpModule")
    with tempfile.TemporaryDirectory(prefix="Agg2ExpTest-", dir=slicer.app.temporaryPath) as folder:
        walk = _Walk(test, widget, Path(folder))
        with walk.listening():
            walk.walk(weights, ct, label, samples)
        for what, (gap, own) in walk.heartbeat.gaps.items():
            print(f"Agg2Exp: longest standstill during {what}: {1000 * gap:.0f} ms (processor {1000 * own:.0f} ms)")
        assert not walk.complaints, f"VTK has told errors: {walk.complaints[:3]}"
        problem = walk.heartbeat.problem(_STILL_S)
        assert not problem, f"the application stood still: {problem}"


class _Walk:
    def __init__(self, test: Any, widget: Any, folder: Path):
        self.test, self.widget, self.folder = test, widget, folder
        self.heartbeat = Heartbeat(widget.state.root)
        self.complaints: list[str] = []

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear what VTK writes to its output window as errors, which Slicer shows as a red cross."""
        window = vtk.vtkOutputWindow.GetInstance()

        @vtk.calldata_type(vtk.VTK_STRING)
        def heard(_caller: Any, _event: str, text: str) -> None:
            self.complaints.append(text.strip())

        tag = window.AddObserver("ErrorEvent", heard)
        try:
            yield
        finally:
            window.RemoveObserver(tag)

    def walk(self, weights: Path | None, ct: Any, label: str, samples: int) -> None:
        test, widget, ui = self.test, self.widget, self.widget.ui
        parameters = widget.state.parameters
        ct = ct or _smallThorax()
        test.delayDisplay("Segment")
        parameters.inputVolume = ct
        parameters.weights = str(weights or widget.inputs.demoWeights)
        parameters.resultsFolder = str(self.folder / "results")
        parameters.samples = samples
        ui.segmentButton.click()
        self._wait("segmentation")
        record = widget.state.record
        assert record is not None
        assert record.volumes()[label] > 0.0

        test.delayDisplay("Explain")
        parameters.checkedLabels = [label]
        assert ui.applyButton.enabled, ui.applyButton.toolTip
        ui.applyButton.click()
        self._wait("explanation")
        record = widget.state.record
        assert list(record.overlays) == [label]
        assert parameters.mapLabel == label

        test.delayDisplay("Overlay")
        shown = {node.GetForegroundVolumeID() for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}
        assert shown == {record.overlays[label].GetID()}
        self.heartbeat.start("display")
        for strongest in (8.0, 2.0):
            parameters.strongest = strongest
            slicer.app.processEvents()
        assert record.overlays[label].GetAttribute("Agg2Exp.Percentile") == "98"
        ui.jumpButton.click()
        slicer.app.processEvents()
        self.heartbeat.stop()

        test.delayDisplay("3D")
        self.heartbeat.start("3D")
        parameters.in3D = True
        made = waitFor(lambda: not widget.display.in3D.busy, _SECONDS)
        slicer.app.processEvents()
        self.heartbeat.stop()
        assert made, "the surfaces take too long"
        assert surfacesOf(record.overlays[label]), "nothing is shown in 3D"

        test.delayDisplay("Graph and matrix")
        graph = widget.importance.graph.graph()
        assert label in [node.name for node in graph.nodes]
        row = record.matrix.mass[0]
        assert abs(float(row.sum()) - 1.0) < 1e-4

        test.delayDisplay("Export")
        assert widget.exporting.export(self.folder / "export")
        self._wait("export")
        assert (self.folder / "export" / "importance_graph.png").stat().st_size > 5000
        lines = (self.folder / "export" / "roi_importance.csv").read_text(encoding="utf-8").splitlines()
        assert len(lines) == 1 + len(record.matrix.columns)

        test.delayDisplay("Save and reload")
        before, folder = record.matrix.mass.copy(), record.folder
        scene = self.folder / "scene.mrb"
        assert slicer.util.saveScene(str(scene))
        slicer.mrmlScene.Clear()
        assert widget.state.record is None
        slicer.util.loadScene(str(scene))
        record = widget.state.record
        assert record is not None
        assert list(record.overlays) == [label]
        assert (record.matrix.mass == before).all()
        assert widget.state.parameters.samples == samples

        test.delayDisplay("Load the results folder into an empty scene")
        slicer.mrmlScene.Clear()
        assert widget.exporting.load(folder)
        self._wait("loading of a results folder")
        assert list(widget.state.record.overlays) == [label]
        test.delayDisplay("Done")

    def _wait(self, what: str) -> None:
        controller = self.widget.controller
        self.heartbeat.start(what)
        ended = waitFor(lambda: not controller.busy, float(os.environ.get("AGG2EXP_TEST_SECONDS", _SECONDS)))
        self.heartbeat.stop()
        assert ended, f"the {what} takes too long: {controller.message}"
        assert not controller.failed, f"{what}: {controller.message} {controller.hint}"


def waitFor(condition: Callable[[], bool], seconds: float) -> bool:
    """Let the application go on until something is true; False when it takes longer."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        slicer.app.processEvents()
        time.sleep(0.01)
    return True


def _smallThorax() -> Any:
    """The heart's surroundings of the synthetic thorax as a volume node."""
    import numpy as np

    from Agg2ExpLib.models.labels import PAPER_LABELS
    from Agg2ExpLib.synthetic.phantom import make_phantom
    from Agg2ExpLib.views.mrml_nodes import add_volume

    phantom = make_phantom(0, (_SPACING,) * 3)
    heart = next(label.index for label in PAPER_LABELS if label.name == "heart")
    middle = np.argwhere(phantom.labels == heart).mean(axis=0)
    half = int(_CUT / _SPACING / 2)
    low = [max(0, min(int(center) - half, size - 2 * half)) for center, size in zip(middle, phantom.ct.shape, strict=True)]
    part = phantom.ct[tuple(slice(start, start + 2 * half) for start in low)]
    affine = phantom.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array(low)
    return add_volume(slicer.mrmlScene, part, affine, "Synthetic thorax")
