"""Views that are drawn when Slicer's are: at once when something they show changes, once at the end of a paused block.

What is drawn is the slice logic's real pipeline, so that VTK complains here as it does in Slicer; the 3D view, where a test asks
for it, is drawn by Slicer's displayable managers in software.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import vtk

# A volume whose file is read only after the view has heard of it: so it is when a scene is opened here, not in Slicer.
_NO_IMAGE = "has 0 connections but is not optional"
_FRAME_S = 1 / 60  # views are drawn at most so often; what changes in between is drawn together


class Drawing:
    """Watches the slice logics, and what :meth:`watch` adds.

    Attributes:
        count: how often each view was drawn, by its name.
        longest: seconds that the longest drawing of one view took.
        longest_processor: processor seconds of the most costly one, threads that draw included; tells also where others compute.
    """

    def __init__(self, scene: Any, logics: dict[str, Any]):
        self.count: dict[str, int] = {}
        self.longest = self.longest_processor = 0.0
        self._paused = 0
        self._wanted: set[str] = set()
        self._last: dict[str, float] = {}
        self._draws: dict[str, Callable[[], None]] = {}
        self._tags: list[tuple[Any, int]] = []
        for name, logic in logics.items():
            self.watch(name, logic, vtk.vtkCommand.ModifiedEvent, lambda logic=logic: _update(logic))
        # Slicer's views do not draw while a scene is opened, closed or changed in a batch.
        for event, method in ((scene.StartBatchProcessEvent, self.pause), (scene.EndBatchProcessEvent, self.resume)):
            self._tags.append((scene, scene.AddObserver(event, lambda *_, method=method: method())))

    def watch(self, name: str, subject: Any, event: int, draw: Callable[[], None]) -> None:
        """Draw one more view whenever a subject tells an event."""
        self.count[name], self._last[name], self._draws[name] = 0, 0.0, draw
        self._tags.append((subject, subject.AddObserver(event, lambda *_: self._changed(name))))

    def pause(self) -> None:
        """Nothing is drawn until :meth:`resume`."""
        self._paused += 1

    def resume(self) -> None:
        """Draw what has changed meanwhile."""
        self._paused -= 1
        if self._paused == 0:
            self.settle()

    def settle(self) -> None:
        """Draw what has changed; the event loop does it."""
        if not self._paused:
            for name in sorted(self._wanted):
                self._draw(name)

    def release(self) -> None:
        """Watch no more."""
        for logic, tag in self._tags:
            logic.RemoveObserver(tag)

    def _changed(self, name: str) -> None:
        self._wanted.add(name)
        if not self._paused and time.monotonic() - self._last[name] > _FRAME_S:
            self._draw(name)

    def _draw(self, name: str) -> None:
        began, before = time.monotonic(), time.process_time()
        self._draws[name]()
        self._wanted.discard(name)
        self.count[name] += 1
        self._last[name] = time.monotonic()
        self.longest = max(self.longest, self._last[name] - began)
        self.longest_processor = max(self.longest_processor, time.process_time() - before)


def _update(logic: Any) -> None:
    connection = logic.GetImageDataConnection()
    if connection is not None:
        connection.GetProducer().Update()


class Complaints:
    """What VTK writes to its output window as errors, which Slicer shows as a red cross."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._before = vtk.vtkOutputWindow.GetInstance()
        self._window = vtk.vtkStringOutputWindow()
        self._tag = self._window.AddObserver("ErrorEvent", self._on_error)
        vtk.vtkOutputWindow.SetInstance(self._window)

    @vtk.calldata_type(vtk.VTK_STRING)
    def _on_error(self, _caller: Any, _event: str, text: str) -> None:
        if _NO_IMAGE not in text:
            self.texts.append(text.strip())

    def release(self) -> None:
        """VTK talks to whom it talked before."""
        self._window.RemoveObserver(self._tag)
        vtk.vtkOutputWindow.SetInstance(self._before)
