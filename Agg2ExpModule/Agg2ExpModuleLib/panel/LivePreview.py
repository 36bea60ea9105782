"""The preliminary map of a run that goes on: read again as it is refined, no more often than views can follow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import qt

from ..words.MethodWords import shortTitle
from .Activity import Phase
from .InputSection import InputSection
from .PanelState import PanelState
from .RunController import RunController
from .Steps import Steps

_EVERY_S = 1.5  # it is read and measured anew


class LivePreview:
    """Reads it into ``controller.live``.

    Args:
        state: of the panel.
        controller: of the run.
        inputs: has the labels' titles.
        onRead: called when it is there, or refined.
    """

    def __init__(self, state: PanelState, controller: RunController, inputs: InputSection, onRead: Callable[[], None]):
        self._state, self._controller, self._inputs, self._onRead = state, controller, inputs, onRead
        self._last = 0.0
        self._reading = Steps(state.root)
        self._timer = qt.QTimer(state.root)
        self._timer.timeout.connect(self._onTimer)

    def show(self) -> None:
        """There is news: read it now, or when it is time."""
        wait = self._last + _EVERY_S - time.monotonic()
        if wait <= 0:
            self._read()
        elif not self._timer.active:
            self._timer.start(int(1000 * wait) + 1)

    def stop(self) -> None:
        """The run explains no more."""
        self._reading.stop()

    def _onTimer(self) -> None:
        self._timer.stop()
        self._read()

    def _read(self) -> None:
        parameters, controller = self._state.parameters, self._controller
        if parameters is None or controller.phase is not Phase.EXPLAINING or not controller.partials:
            return
        if controller.ct is not self._state.ct or self._reading.running:  # the user looks at another patient, or it is too early
            return
        self._last = time.monotonic()
        wanted = parameters.mapLabel
        label = wanted if wanted in controller.partials else controller.live.label or next(iter(controller.partials))
        path, samples, of = controller.partials[label]
        title = {entry.name: entry.title for entry in self._inputs.model.labels}.get(label, label)
        name = f"{shortTitle(title)} {samples}/{of}"  # the corner of a view has little room
        steps = controller.live.steps(path, label, name, 100.0 - parameters.strongest, parameters.sign)
        self._reading.start(steps, self._onRead, self._onFailed)

    def _onFailed(self, error: Exception) -> None:
        logging.warning("The preliminary map cannot be shown: %s", error)
