"""Runs of the model: prepare what they read, start them, hear them, and bring their results into the scene."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from ..engine.RunOutcome import CANCELLED, DONE, ERROR
from ..engine.WorkFolder import WorkFolder, clearAbandoned
from ..scene.CtFile import CtFile
from ..scene.ResultRecord import TARGET_MASK
from ..scene.ResultsInScene import LiveMap, Loading
from ..scene.SceneVolumes import fileNameOf, segmentIds, writeSegment, writeVolumeSteps
from ..words.OptionWords import inPanelWords
from .Activity import Activity, Ending, Phase
from .MethodSettings import REFERENCES, jobEntries
from .ModelInfo import readModelInfo
from .PanelState import PanelState, Topic
from .Parameters import chosenOverlap
from .RegionsModel import segmenterWeights
from .RunTexts import finishedText, freshFolder, problemOf, progressText, resultsRoot

if TYPE_CHECKING:
    from ..engine.Engine import Engine
    from ..engine.RunOutcome import RunOutcome

_RUNNING = (Phase.SEGMENTING, Phase.EXPLAINING)


class RunController(Activity):
    """Runs and loads; one at a time, as of every other activity of the panel.

    Args:
        state: of the panel.
        engine: runs the jobs.

    Attributes:
        notices: what the last run told.
        lastRun: run.json of the run that has just ended here; empty after anything else, such as results made elsewhere.
        live: the preliminary map of the run that goes on.
        partials: label to file, samples so far and of all, of the run that goes on.
        ctFile: the CT for whoever computes with it.
    """

    def __init__(self, state: PanelState, engine: Engine):
        super().__init__(state)
        self.engine = engine
        self.notices: list[str] = []
        self.live = LiveMap()
        self.ctFile = CtFile()
        self.partials: dict[str, tuple[Path, int, int]] = {}
        self.lastRun: dict[str, Any] = {}
        self._ct: Any = None
        self._reason = ""
        self._labels: list[str] = []
        engine.onEvent.append(self._onEvent)
        engine.onLog.append(self.log)
        engine.onFinished.append(self._onEngineFinished)

    @property
    def ct(self) -> Any:
        """The CT that is being worked on."""
        return self._ct if self.busy else None

    @property
    def reason(self) -> str:
        """Why it is being stopped, where the user did not ask for that."""
        return self._reason

    def isAgreed(self) -> bool:
        """Whether data may go where it is computed with."""
        return self.state.elsewhere is None or self.state.elsewhere.isAgreed()

    def segment(self) -> None:
        """Find the labels in the chosen CT."""
        self._run("segment")

    def explain(self) -> None:
        """Explain the checked labels of the chosen CT."""
        self._run("explain")

    def _run(self, task: str) -> None:
        if self.busy:
            return
        parameters = self.state.parameters
        problem = problemOf(self.state, task)
        if parameters is None or problem:
            self.say(problem, failed=True)
            return
        if not self.isAgreed():
            return
        self._labels = list(parameters.checkedLabels)
        clearAbandoned()
        try:
            self.folder = WorkFolder()
        except OSError as error:
            text = _("No temporary folder can be made ({reason}): make room on the disk.").format(reason=error.strerror)
            self.say(text, failed=True)
            return
        self.begin(task, _("Preparing the CT …"), self.engine.cancel, Phase.PREPARING)
        job: dict[str, Any] = {}
        self._steps.start(self._prepare(task, job), lambda: self._launch(job), self.endBadly)

    def _prepare(self, task: str, job: dict[str, Any]) -> Iterator[str]:
        """Write what the run reads, and fill the job."""
        parameters = self.state.parameters
        assert parameters is not None
        assert self.folder is not None
        work = self.folder.path
        case = parameters.caseName.strip() or self._ct.GetName()
        file = yield from self.ctFile.steps(self._ct, case)
        root = resultsRoot(parameters.resultsFolder)
        job |= {
            "task": task,
            "ct": str(file),
            "weights": parameters.weights,
            "output": str(freshFolder(root, fileNameOf(case), task)),
            "patient_id": case,
            "device": parameters.device,
            "precision": parameters.precision,
            "overlap": chosenOverlap(parameters),
        }
        if task == "segment":
            return
        job |= {
            "labels": self._labels,
            **jobEntries(parameters),
            "target": parameters.reduction,
            "keep": parameters.keep / 100,
        }
        classifies = readModelInfo(parameters.weights).classifies
        if classifies:
            job |= {"segmenter": segmenterWeights(self.state) or None, "target": "sum"}
        if parameters.globalMask and not classifies:
            job["mask_coverage"] = parameters.maskCoverage / 100
        if REFERENCES in job:
            for index, volume in enumerate(volumes := job[REFERENCES]):
                yield from writeVolumeSteps(volume, work / f"reference{index}.nrrd")
            job[REFERENCES] = [str(work / f"reference{index}.nrrd") for index in range(len(volumes))]
        if parameters.useDrawnTarget and not classifies:
            writeSegment(parameters.targetSegmentation, parameters.targetSegment, work / f"{TARGET_MASK}.nrrd")
            job["target_mask"] = str(work / f"{TARGET_MASK}.nrrd")
            yield _("Preparing the drawn segment …")
        job["extra_rois"] = []
        record = self.state.record
        if record is not None and record.extra is not None:
            for index, name in enumerate(name for name in segmentIds(record.extra) if name != TARGET_MASK):
                writeSegment(record.extra, name, work / f"region{index}.nrrd")
                job["extra_rois"].append(f"{work / f'region{index}.nrrd'}:{name}")
                yield _("Preparing the regions …")

    def _launch(self, job: dict[str, Any]) -> None:
        self.enter(Phase.SEGMENTING if self.task == "segment" else Phase.EXPLAINING, _("Starting …"), 0.0)
        told = {key: value for key, value in job.items() if key not in ("ct", "output", "patient_id")}
        self.log(_("Job: {job}").format(job=told))
        self.engine.start(job)

    def begin(self, task: str, message: str, onCancel: Any, phase: Phase = Phase.WORKING) -> bool:
        if self.busy:
            return False
        self._ct, self._reason, self.notices, self.lastRun = self.state.ct, "", [], {}
        self.partials.clear()
        return super().begin(task, message, onCancel, phase)

    def end(self, ending: Ending, message: str, hint: str = "", alarming: bool | None = None) -> None:
        self.live.remove()
        self.partials.clear()
        self._ct = None
        super().end(ending, message, hint, alarming)

    def cancel(self, reason: str = "") -> None:
        """Stop what goes on, and say why; nothing of a run is kept."""
        if self.cancellable:
            self._reason = reason
            super().cancel(reason)

    def shutdown(self) -> None:
        """End everything before this returns (the application ends)."""
        self._steps.stop()
        self.engine.shutdown()
        if self.busy:
            self.end(Ending.CANCELLED, self._reason or _("Cancelled."))
        self.ctFile.forget()

    def forgetCt(self) -> None:
        """The CT goes, and what was kept of it for further runs."""
        self.ctFile.forget()
        self.engine.warm.forget()

    # What comes back

    def _onEvent(self, event: dict[str, Any]) -> None:
        if self.phase not in _RUNNING:
            return
        kind = event["event"]
        if self._ct is None or self._ct.GetScene() is not slicer.mrmlScene:
            self.cancel(_("The CT was removed from the scene, so the run was ended."))
        elif kind == "progress":
            self.progress(progressText(event), float(event.get("fraction", 0.0)))
        elif kind == "notice":
            self.notices.append(inPanelWords(str(event.get("template") or event.get("message", ""))))
            self.log(self.notices[-1])
        elif kind == "partial" and event.get("kind") == "attribution":
            self.partials[str(event["label"])] = (Path(event["path"]), int(event["samples"]), int(event["of"]))
            self.state.tell({Topic.PARTIAL})

    def _onEngineFinished(self, outcome: RunOutcome) -> None:
        if not self.busy:  # the panel has been shut down
            return
        if outcome.state == DONE and outcome.result and not self._reason:
            self._load(Path(outcome.result))
        elif outcome.state == ERROR:
            self.end(Ending.FAILED, inPanelWords(outcome.message), inPanelWords(outcome.hint))
        else:
            if outcome.state != CANCELLED and outcome.result:  # finished in the moment it was cancelled for a reason
                shutil.rmtree(outcome.result, ignore_errors=True)
            self.end(Ending.CANCELLED, self._reason or _("Cancelled. Nothing was kept."), alarming=bool(self._reason))

    def _load(self, folder: Path) -> None:
        parameters = self.state.parameters
        if parameters is None or self._ct is None or self._ct.GetScene() is not slicer.mrmlScene:
            gone = _("The CT was removed from the scene; the results are in {folder}.").format(folder=folder)
            self.end(Ending.FAILED, gone)
            return
        self.enter(Phase.LOADING, _("Loading the results …"), 1.0)
        loading = Loading(folder, self._ct, 100.0 - parameters.strongest, parameters.sign)

        def loaded() -> None:
            self.live.remove()
            self.lastRun = self._showResult(loading)
            self.end(Ending.WELL, finishedText(self.lastRun, self.task, self.notices))

        self._steps.start(loading.steps(), loaded, self.endBadly)

    def _showResult(self, loading: Loading) -> dict[str, Any]:
        """Choose what was loaded; returns its run.json."""
        from Agg2ExpLib.runs.results import Results

        parameters, record = self.state.parameters, loading.record
        run = Results.open(loading.folder).run
        if parameters is None or record is None:
            return run
        explained = run.get("explained", ())
        if record.ct is self.state.ct:  # the user may look at another patient by now
            parameters.record = record.node
        if explained and parameters.mapLabel not in explained:
            parameters.mapLabel = explained[0]
        self.state.tell({Topic.RECORD})
        return run

    def loadFolder(self, folder: Path, candidate: Any = None) -> bool:
        """Open a results folder made elsewhere, over ``candidate`` where that is its CT, else with the CT that it brings."""
        parameters = self.state.parameters
        if parameters is None:
            return False
        loading = Loading(folder, None, 100.0 - parameters.strongest, parameters.sign, candidate)

        def loaded() -> str:
            parameters.inputVolume = loading.ct
            self._showResult(loading)
            return _("Loaded {name}.").format(name=Path(folder).name)

        return self.work(loading.steps(), _("Loading the results …"), loaded)
