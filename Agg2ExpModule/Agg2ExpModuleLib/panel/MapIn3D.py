"""The map in the 3D view: its surfaces are made anew when map or threshold change, while the application answers."""

from __future__ import annotations

import logging
from typing import Any

import slicer

from ..scene.MapSurfaces import hideSurfaces, showSurfaces, surfacesOf, surfaceSteps
from .Steps import Steps


class MapIn3D:
    """Shows one map at a time.

    Args:
        parent: Qt object that owns the timer.
    """

    def __init__(self, parent: Any):
        self._making = Steps(parent)
        self._wanted: tuple[Any, ...] | None = None  # what is shown or being made
        self._ct: Any = None  # that the camera looks at

    @property
    def busy(self) -> bool:
        """Whether surfaces are being made."""
        return self._making.running

    def show(self, overlay: Any, ct: Any, strongest: float, sign: str) -> None:
        """Show a map, or none; returns at once.

        Args:
            overlay: the map's volume node, or None.
            ct: the CT it belongs to; the camera is turned to the first map of another CT.
            strongest, sign: see :func:`surfaceSteps`.
        """
        if overlay is None:
            self._making.stop()
            if self._wanted is not None:
                hideSurfaces()
            self._wanted = None
            return
        wanted = (overlay.GetID(), overlay.GetImageData().GetMTime(), strongest, sign)
        if wanted == self._wanted and (self.busy or surfacesOf(overlay)):
            return
        self._making.stop()
        self._wanted = wanted
        found: dict[str, Any] = {}

        def steps() -> Any:
            found.update((yield from surfaceSteps(overlay, strongest, sign)))

        def made() -> None:
            if overlay.GetScene() is not slicer.mrmlScene:
                return
            with slicer.util.RenderBlocker():
                showSurfaces(overlay, found)
                if ct is not self._ct:
                    self._ct = ct
                    lookAtAll()

        self._making.start(steps(), made, self._onFailed)

    def _onFailed(self, error: Exception) -> None:
        self._wanted = None
        logging.warning("The map cannot be shown in 3D: %s", error)


def lookAtAll() -> None:
    """Move the cameras of the 3D views so that everything is seen; their directions stay."""
    layoutManager = slicer.app.layoutManager()
    for index in range(layoutManager.threeDViewCount if layoutManager is not None else 0):
        layoutManager.threeDWidget(index).threeDView().resetCamera(False, True, True)
