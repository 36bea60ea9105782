"""Makes the picture of a map that is wanted, while the application answers, and the regions' surfaces for the 3D view."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import qt
import slicer

from ..scene.OrganSurfaces import hideOrganSurfaces, organSurfaces, organSurfaceSteps, showOrganSurfaces, tintOrganSurfaces
from ..scene.PictureKey import SUPPORT
from ..scene.Pictures import RegionMap, Request, pictureFor, pictureSteps, regionValues
from .MapIn3D import lookAtAll
from .Steps import Steps

_PATIENCE_MS = 60  # a slider that is dragged changes with every pixel


class PictureMaker:
    """One picture at a time.

    Args:
        parent: Qt object that owns the timers.
        onMade: called when a picture that was not there has come into the scene.
    """

    def __init__(self, parent: Any, onMade: Callable[[], None]):
        self._onMade = onMade
        self._steps, self._steps3D = Steps(parent), Steps(parent)
        self._wanted: Request | None = None
        self._regions = RegionMap()
        self._surfaces: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self._in3D: tuple[Any, ...] | None = None  # what is shown in 3D or being made
        self._ct: Any = None  # that the camera looks at
        self._timer = qt.QTimer(parent)
        self._timer.timeout.connect(self._start)

    @property
    def busy(self) -> bool:
        """Whether a picture or surfaces are being made."""
        return self._timer.active or self._steps.running or self._steps3D.running

    def node(self, request: Request) -> Any:
        """The volume that shows a request; None while it is being made."""
        found = pictureFor(request)
        if found is not None:
            self.stop()
        elif self._wanted is None or self._wanted.key != request.key:
            self.stop()
            self._wanted = request
            self._timer.start(_PATIENCE_MS)
        return found

    def stop(self) -> None:
        """No picture is wanted."""
        self._timer.stop()
        self._steps.stop()
        self._wanted = None

    def _start(self) -> None:
        self._timer.stop()
        request = self._wanted
        if request is None:
            return

        def made() -> None:
            self._wanted = None
            self._onMade()

        self._steps.start(pictureSteps(request, self._regions), made, self._onFailed)

    def show3D(self, request: Request | None, ct: Any) -> None:
        """Show the regions in 3D, tinted as a request wants, or not at all; returns at once.

        Args:
            request: for organs, or None.
            ct: that the results belong to; the camera is turned to the first regions of another CT.
        """
        if request is None:
            self._steps3D.stop()
            if self._in3D is not None or organSurfaces():
                hideOrganSurfaces()
            self._in3D = None
            return
        wanted = (request.record.identifier, request.key)
        if wanted == self._in3D:
            return
        self._steps3D.stop()
        self._in3D = wanted

        def steps() -> Any:
            while self._steps.running or self._timer.active:  # the slices first, which need the regions too
                yield None
            yield from self._regions.fillSteps(request.record)
            if self._surfaces[0] != self._regions.key or not organSurfaces():
                found = yield from organSurfaceSteps(self._regions)
                self._surfaces = (self._regions.key, found)
                titles = request.record.titles
                with slicer.util.RenderBlocker():
                    showOrganSurfaces(found, titles, _transformOf(request))
                    self._tint(request)
            yield None

        def made() -> None:
            with slicer.util.RenderBlocker():
                self._tint(request)
                if ct is not self._ct:
                    self._ct = ct
                    lookAtAll()

        self._steps3D.start(steps(), made, self._on3DFailed)

    @staticmethod
    def _tint(request: Request) -> None:
        values, limit = regionValues(request)
        tintOrganSurfaces(values, limit, request.kind == SUPPORT)

    def _onFailed(self, error: Exception) -> None:
        self._wanted = None
        logging.warning("The picture of the map cannot be made: %s", error)

    def _on3DFailed(self, error: Exception) -> None:
        self._in3D = None
        logging.warning("The regions cannot be shown in 3D: %s", error)


def _transformOf(request: Request) -> str | None:
    overlay = request.record.overlays.get(request.label)
    return overlay.GetTransformNodeID() if overlay is not None else None
