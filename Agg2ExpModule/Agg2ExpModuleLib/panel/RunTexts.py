"""What must be said and decided around a run: whether it can start, where its results go, how it is told."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.labels import title_of

from ..scene.SceneVolumes import segmentIds
from .MethodSettings import problemOfMethod
from .PanelState import PanelState


def problemOf(state: PanelState, task: str) -> str:
    """Why a run cannot start now, in one sentence; empty when it can."""
    from ..scene.SceneVolumes import checkVolume
    from .ModelInfo import readModelInfo
    from .RegionsModel import problemOfSegmenter

    parameters, ct = state.parameters, state.ct
    if state.missing:
        return _("Install the requirements first (Input).")
    if parameters is None or ct is None:
        return _("Choose a CT first (Input).")
    if ct.GetAttribute("Agg2Exp.Label"):
        return _("{name} is an attribution map: choose the CT itself.").format(name=ct.GetName())
    if not parameters.weights.strip():
        return _("Choose a model first (Input), for instance the demo model.")
    try:
        checkVolume(ct)
    except InputError as error:
        return str(error)
    if state.elsewhere is not None and (problem := state.elsewhere.problem(parameters.weights)):
        return problem
    info = readModelInfo(parameters.weights)
    if info.problem:
        return info.problem
    if info.classifies:
        if task == "segment":
            return _("This model is a classifier, which draws nothing: explain its classes.")
        if task == "explain" and not list(parameters.checkedLabels):
            return _("Check at least one class to explain (Classes).")
        return problemOfSegmenter(state, info) or (problemOfMethod(parameters) if task == "explain" else "")
    if task != "explain":
        return ""
    if parameters.useDrawnTarget:
        if parameters.targetSegmentation is None or parameters.targetSegment not in segmentIds(parameters.targetSegmentation):
            return _("Choose the drawn segment to explain (Labels).")
    elif not list(parameters.checkedLabels):
        return _("Check at least one label to explain (Labels).")
    return problemOfMethod(parameters)


def resultsRoot(chosen: str) -> Path:
    """Where results folders go: the folder chosen, else beside the saved scene, else in the user's documents."""
    if chosen.strip():
        return Path(chosen).expanduser()
    url = slicer.mrmlScene.GetURL() or ""
    if url and Path(url).is_absolute() and Path(url).parent.is_dir():
        return Path(url).parent / f"{Path(url).stem} Agg2Exp"
    documents = Path.home() / "Documents"
    return (documents if documents.is_dir() else Path.home()) / "Agg2Exp"


def freshFolder(root: Path, case: str, task: str) -> Path:
    """A results folder that does not exist yet; it tells case, task and time."""
    name = f"{case} {task} {datetime.now():%Y-%m-%d %H.%M.%S}"
    folder, number = root / name, 2
    while folder.exists():
        folder, number = root / f"{name} ({number})", number + 1
    return folder


def progressText(event: dict[str, Any]) -> str:
    """One line of progress: what, which label, how long it will take."""
    stage, message = event.get("stage", ""), str(event.get("message", "") or "")
    what = {
        "read": _("Reading CT and model"),
        "send": _("Sending to the other computer"),
        "fetch": _("Fetching the results"),
        "segment": _("Segmenting"),
        "explain": _("Explaining"),
        "importance": _("Summing over regions"),
        "mask": _("Testing the global mask"),
    }.get(stage, str(stage).capitalize())
    detail = message.replace("_", " ") if stage in ("explain", "importance", "send", "fetch") else ""
    eta = event.get("eta_s")
    parts = [f"{what} {detail}".strip()]
    if eta is not None and stage in ("segment", "explain"):
        parts.append(_("{time} left").format(time=durationText(float(eta))))
    return " · ".join(parts)


def classText(classes: list[dict[str, Any]], most: int = 3) -> str:
    """What a classifier says, the most probable classes first."""
    first = sorted(classes, key=lambda entry: -float(entry["probability"]))[:most]
    told = ", ".join(f"{title_of(entry['name'])} {100 * float(entry['probability']):.1f} %" for entry in first)
    return _("The classifier says {classes}.").format(classes=told)


def durationText(seconds: float) -> str:
    """``40 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def finishedText(run: dict[str, Any], task: str, notices: list[str]) -> str:
    """How a run went, with its notices."""
    seconds = (run.get("seconds") or {}).get("total")
    time = durationText(float(seconds)) if seconds else ""
    if task == "segment":
        found = sum(1 for entry in run.get("labels", ())[1:] if entry.get("volume_ml"))
        text = _("Found {count} labels in {time} on {device}.").format(count=found, time=time, device=run.get("device", ""))
    else:
        count = len(run.get("explained", ()))
        text = (
            _("Explained {count} labels in {time} on {device}.")
            if count != 1
            else _("Explained {count} label in {time} on {device}.")
        )
        if run.get("classes"):
            text = (
                _("Explained {count} classes in {time} on {device}.")
                if count != 1
                else _("Explained {count} class in {time} on {device}.")
            )
        text = text.format(count=count, time=time, device=run.get("device", ""))
        if run.get("classes"):
            text += " " + classText(run["classes"])
    return "\n".join([text, *notices])
