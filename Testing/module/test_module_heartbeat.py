"""Results that arrive, preliminary maps and old results that are loaded never make the application stand still; measured on a CT of
some million voxels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support import small_result
from support.module_panel import Panel

LIMIT_S = 0.25
SHAPE = (170, 130, 140)


@pytest.fixture(scope="module")
def large_result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small results folder with twenty times the voxels."""
    folder = tmp_path_factory.mktemp("large") / "result"
    kept = small_result.SHAPE, small_result.SPACING
    spacing = [size * old / new for size, old, new in zip(kept[1], kept[0], SHAPE, strict=True)]
    small_result.SHAPE, small_result.SPACING = SHAPE, tuple(spacing)
    try:
        small_result.write_result(folder, global_mask=True)
    finally:
        small_result.SHAPE, small_result.SPACING = kept
    return folder


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Iterator[Panel]:  # noqa: N803
    return Panel(slicerApp, tmp_path, Path("none"))


def test_old_results_are_loaded_in_short_pieces(panel: Panel, large_result: Path) -> None:
    from Agg2ExpModuleLib.panel.Heartbeat import Heartbeat

    heartbeat = Heartbeat(panel.frame)
    heartbeat.start("into an empty scene")
    assert panel.widget.exporting.load(large_result)
    panel.wait()
    heartbeat.start("again, over what is there")
    assert panel.widget.exporting.load(large_result)
    panel.wait()
    heartbeat.stop()
    assert not panel.controller.failed, panel.controller.message
    assert len(panel.record.overlays) == 2
    assert not heartbeat.problem(LIMIT_S), heartbeat.problem(LIMIT_S)


def test_preliminary_maps_and_results_arrive_in_short_pieces(panel: Panel, large_result: Path) -> None:
    """What the engine tells at the end of a run is told here of results that are there already."""
    import slicer

    from Agg2ExpLib.runs.results import Results
    from Agg2ExpLib.views.mrml import add_ct
    from Agg2ExpModuleLib.engine.RunOutcome import DONE, RunOutcome
    from Agg2ExpModuleLib.panel.Activity import Phase
    from Agg2ExpModuleLib.panel.Heartbeat import Heartbeat

    ct = add_ct(slicer.mrmlScene, Results.open(large_result).ct(), "large")
    panel.app.app.processEvents()
    controller = panel.controller
    assert controller.begin("explain", "Explaining", lambda: None, Phase.EXPLAINING)
    heartbeat = Heartbeat(panel.frame)
    heartbeat.start("preliminary maps")
    for samples, label in enumerate(("heart", "heart", "lung_upper_lobe_left"), start=1):
        path = large_result / "attributions" / f"{label}.nrrd"
        panel.parameters.mapLabel = label
        event = {"event": "partial", "kind": "attribution", "label": label, "path": str(path), "samples": samples, "of": 3}
        for callback in list(controller.engine.onEvent):
            callback(event)
        panel.wait(
            lambda name=f" {samples}/3": controller.live.node is not None and controller.live.node.GetName().endswith(name), 20
        )
    assert panel.widget.display.shown is controller.live.node
    heartbeat.start("results")
    for callback in list(controller.engine.onFinished):
        callback(RunOutcome(DONE, result=str(large_result)))
    panel.wait()
    heartbeat.stop()
    assert not controller.failed, controller.message
    assert panel.record.ct is ct
    assert panel.widget.display.shown is panel.record.overlays["lung_upper_lobe_left"]
    assert not heartbeat.problem(LIMIT_S), heartbeat.problem(LIMIT_S)


def test_the_heartbeat_notices_a_standstill(panel: Panel) -> None:
    """Processor time of the main thread is counted on any machine."""
    import time

    from Agg2ExpModuleLib.panel.Heartbeat import Heartbeat

    heartbeat = Heartbeat(panel.frame)
    heartbeat.start("sums")
    panel.app.app.processEvents()
    end = time.thread_time() + 0.3
    while time.thread_time() < end:
        np.ones(1000).sum()
    panel.wait(lambda: heartbeat.gaps.get("sums", (0.0, 0.0))[1] > 0, 5)
    heartbeat.stop()
    assert heartbeat.problem(LIMIT_S).startswith("sums")
    assert heartbeat.slowest()[0] == "sums"
    assert not heartbeat.problem(30.0)
