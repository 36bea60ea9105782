"""Something asked of the engine, beside runs: prepared piece by piece, heard while it is done, brought into the scene."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from ..engine.RunOutcome import DONE, ERROR
from ..engine.WorkFolder import WorkFolder
from ..words.OptionWords import inPanelWords
from .Activity import Ending, Phase
from .RunTexts import progressText

if TYPE_CHECKING:
    from ..engine.RunOutcome import RunOutcome
    from .RunController import RunController

_ON_THE_WAY = ("send", "fetch")


def askEngine(
    controller: RunController,
    task: str,
    message: str,
    steps: Callable[[Path], Iterator[str]],
    request: Mapping[str, Any],
    loading: Callable[[RunOutcome], Iterator[str]],
    told: Callable[[RunOutcome], str],
    hint: Callable[[RunOutcome], str] = lambda outcome: "",
) -> bool:
    """Have the engine do something as the one long thing of the panel.

    Args:
        controller: whose engine is asked.
        task: what it is.
        message: shown while it is done.
        steps: given a folder that goes with the end, prepares what is read piece by piece, and completes the request.
        request: what is asked, read when all is prepared.
        loading: brings what was found into the scene, piece by piece.
        told: the closing message.
        hint: what to do with it.

    Returns:
        False when it cannot begin.
    """

    def heard(event: dict[str, Any]) -> None:
        if controller.ct is None or controller.ct.GetScene() is not slicer.mrmlScene:
            controller.cancel(_("The CT was removed from the scene, so this was ended."))
        elif event["event"] == "progress":
            text = progressText(event) if event.get("stage") in _ON_THE_WAY else message
            controller.progress(text, float(event.get("fraction", 0.0)))
        elif event["event"] == "notice":
            controller.log(inPanelWords(str(event.get("template") or event.get("message", ""))))

    def finished(outcome: RunOutcome) -> None:
        if not controller.busy:  # the panel has been shut down
            return
        if outcome.state == DONE and not controller.reason:
            load(outcome)
        elif outcome.state == ERROR:
            controller.end(Ending.FAILED, inPanelWords(outcome.message), inPanelWords(outcome.hint))
        else:
            if outcome.state == DONE and outcome.result:  # finished in the moment it was cancelled for a reason
                shutil.rmtree(outcome.result, ignore_errors=True)
            text = controller.reason or _("Cancelled. Nothing was kept.")
            controller.end(Ending.CANCELLED, text, alarming=bool(controller.reason))

    def load(outcome: RunOutcome) -> None:
        if controller.ct is None or controller.ct.GetScene() is not slicer.mrmlScene:
            place = outcome.result or str(outcome.content.get("answer", ""))
            gone = _("The CT was removed from the scene; the results are in {folder}.").format(folder=place)
            controller.end(Ending.FAILED, gone)
            return
        controller.enter(Phase.LOADING, _("Loading the answer …"), 1.0)
        controller.goOn(loading(outcome), lambda: controller.end(Ending.WELL, told(outcome), hint(outcome)))

    def launch() -> None:
        controller.enter(Phase.WORKING, message, 0.0)
        controller.engine.ask(request, heard, finished)

    if controller.busy:
        return False
    try:
        folder = WorkFolder()
    except OSError as error:
        text = _("No temporary folder can be made ({reason}): make room on the disk.").format(reason=error.strerror)
        controller.say(text, failed=True)
        return False
    controller.folder = folder
    controller.begin(task, _("Preparing the CT …"), controller.engine.cancel, Phase.PREPARING)
    controller.goOn(steps(folder.path), launch)
    return True
