"""What the panel does at the moment, and the way there and back: prepare, run, load, or stop."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError

from ..scene.ResultRecord import TARGET_MASK
from ..scene.ResultsInScene import LiveMap, Loading
from ..scene.SceneVolumes import fileNameOf, segmentIds, writeSegment, writeVolumeSteps
from .MethodSettings import REFERENCES, jobEntries
from .OptionWords import inPanelWords
from .PanelState import BUSY, RECORD, PanelState
from .RunTexts import finishedText, freshFolder, problemOf, progressText, resultsRoot
from .Steps import Steps

if TYPE_CHECKING:
    from ..engine.Engine import Engine
    from ..engine.RunOutcome import RunOutcome

IDLE, PREPARING, SEGMENTING, EXPLAINING, LOADING, CANCELLING = (
    "idle",
    "preparing",
    "segmenting",
    "explaining",
    "loading",
    "cancelling",
)


class RunController:
    """One thing at a time.

    Args:
        state: of the panel.
        engine: runs the jobs.

    Attributes:
        phase: ``idle``, ``preparing``, ``segmenting``, ``explaining``, ``loading`` or ``cancelling``.
        task: ``segment``, ``explain`` or the kind of other work, while not idle.
        message, hint: what is going on, or how it ended.
        failed: whether ``message`` tells of a problem.
        fraction: progress in 0..1, None where it is not known.
        notices: what the last run told.
        lastRun: run.json of the run that has just ended here; empty after anything else, such as results made elsewhere.
        onFinished: are given whether all went well, when everything is done and shown.
        onLog: are given lines for the log.
    """

    def __init__(self, state: PanelState, engine: Engine):
        self.state, self.engine = state, engine
        self.phase, self.task = IDLE, ""
        self.message, self.hint, self.failed = "", "", False
        self.fraction: float | None = None
        self.notices: list[str] = []
        self.onFinished: list[Callable[[bool], None]] = []
        self.onLog: list[Callable[[str], None]] = []
        self.live = LiveMap()
        self.partials: dict[str, tuple[Path, int, int]] = {}
        self.lastRun: dict[str, Any] = {}
        self._ct: Any = None
        self._work: Path | None = None
        self._reason = ""
        self._labels: list[str] = []
        self._steps = Steps(state.root)
        self._steps.onProgress = self._onStep
        engine.onEvent.append(self._onEvent)
        engine.onLog.append(self._log)
        engine.onFinished.append(self._onEngineFinished)
        state.controller = self

    @property
    def busy(self) -> bool:
        """Whether something goes on."""
        return self.phase != IDLE

    @property
    def ct(self) -> Any:
        """The CT that is being worked on."""
        return self._ct if self.busy else None

    # Runs

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
            self._say(problem, failed=True)
            return
        self._ct, self.task, self._reason, self.notices = self.state.ct, task, "", []
        self._labels = list(parameters.checkedLabels)
        self.partials.clear()
        self.lastRun = {}
        try:
            folder = getattr(getattr(slicer, "app", None), "temporaryPath", None) or None
            self._work = Path(tempfile.mkdtemp(prefix="Agg2Exp-", dir=folder))
        except OSError as error:
            self._say(
                _("No temporary folder can be made ({reason}): make room on the disk.").format(reason=error.strerror), failed=True
            )
            return
        self._enter(PREPARING, _("Preparing the CT …"))
        job: dict[str, Any] = {}
        self._steps.start(self._prepare(task, job), lambda: self._launch(job), self._onStepsFailed)

    def _prepare(self, task: str, job: dict[str, Any]) -> Iterator[str]:
        """Write what the run reads, and fill the job."""
        parameters, work = self.state.parameters, self._work
        assert parameters is not None
        assert work is not None
        case = parameters.caseName.strip() or self._ct.GetName()
        file = work / f"{fileNameOf(case)}.nrrd"
        yield from writeVolumeSteps(self._ct, file)
        root = resultsRoot(parameters.resultsFolder)
        job |= {
            "task": task,
            "ct": str(file),
            "weights": parameters.weights,
            "output": str(freshFolder(root, fileNameOf(case), task)),
            "patient_id": case,
            "device": parameters.device,
            "precision": parameters.precision,
            "overlap": parameters.overlap,
        }
        if task == "segment":
            return
        job |= {
            "labels": self._labels,
            **jobEntries(parameters),
            "target": parameters.reduction,
        }
        if parameters.globalMask:
            job["mask_coverage"] = parameters.maskCoverage / 100
        if REFERENCES in job:
            for index, volume in enumerate(volumes := job[REFERENCES]):
                yield from writeVolumeSteps(volume, work / f"reference{index}.nrrd")
            job[REFERENCES] = [str(work / f"reference{index}.nrrd") for index in range(len(volumes))]
        if parameters.useDrawnTarget:
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
        self._enter(SEGMENTING if self.task == "segment" else EXPLAINING, _("Starting …"), 0.0)
        self._log(
            _("Job: {job}").format(job={key: value for key, value in job.items() if key not in ("ct", "output", "patient_id")})
        )
        self.engine.start(job, str(self._work))

    def cancel(self, reason: str = "") -> None:
        """Stop what goes on, and say why; nothing of it is kept."""
        if not self.busy or self.phase == CANCELLING:
            return
        self._reason = reason
        self._steps.stop()
        if self.engine.running:
            self._enter(CANCELLING, _("Stopping …"))
            self.engine.cancel()
            return
        self._finish(False, reason or _("Cancelled."))

    def shutdown(self) -> None:
        """End everything before this returns (the application ends)."""
        self._steps.stop()
        self.engine.shutdown()
        if self.busy:
            self._finish(False, self._reason or _("Cancelled."))

    # Other work in steps

    def work(
        self, steps: Iterator[str], message: str, onDone: Callable[[], str], onFailed: Callable[[], None] | None = None
    ) -> bool:
        """Do other work piece by piece.

        Args:
            steps: the work; yields what is being done.
            message: shown at first.
            onDone: called at the end; returns the closing message.
            onFailed: called when it failed.

        Returns:
            False when something goes on already.
        """
        if self.busy:
            return False
        self._ct, self.task, self._reason, self.notices = self.state.ct, "work", "", []
        self.lastRun = {}

        def failed(error: Exception) -> None:
            if onFailed:
                onFailed()
            self._onStepsFailed(error)

        self._enter(LOADING, message)
        self._steps.start(steps, lambda: self._finish(True, onDone()), failed)
        return True

    def say(self, message: str, failed: bool = False, hint: str = "") -> None:
        """Show a message; ignored while something goes on."""
        if not self.busy:
            self._say(message, failed, hint)

    def dismiss(self) -> None:
        """Take the last message away."""
        self.say("")

    # What comes back

    def _onEvent(self, event: dict[str, Any]) -> None:
        if self.phase not in (SEGMENTING, EXPLAINING):
            return
        kind = event["event"]
        if self._ct is None or self._ct.GetScene() is not slicer.mrmlScene:
            self.cancel(_("The CT was removed from the scene, so the run was ended."))
        elif kind == "progress":
            self.fraction = float(event.get("fraction", 0.0))
            self.message = progressText(event)
            self.state.tell({BUSY})
        elif kind == "notice":
            self.notices.append(inPanelWords(str(event.get("template") or event.get("message", ""))))
            self._log(self.notices[-1])
        elif kind == "partial" and event.get("kind") == "attribution":
            self.partials[str(event["label"])] = (Path(event["path"]), int(event["samples"]), int(event["of"]))
            self.state.tell({"partial"})

    def _onEngineFinished(self, outcome: RunOutcome) -> None:
        if not self.busy:  # the panel has been shut down
            return
        if outcome.state == "done" and outcome.result and self._reason:
            shutil.rmtree(outcome.result, ignore_errors=True)  # finished in the moment it was cancelled for a reason
        elif outcome.state == "done" and outcome.result:
            self._load(Path(outcome.result))
            return
        if outcome.state == "error":
            self._finish(False, inPanelWords(outcome.message), inPanelWords(outcome.hint))
        else:
            self._finish(False, self._reason or _("Cancelled. Nothing was kept."), problem=bool(self._reason))

    def _load(self, folder: Path) -> None:
        parameters = self.state.parameters
        if parameters is None or self._ct is None or self._ct.GetScene() is not slicer.mrmlScene:
            gone = _("The CT was removed from the scene; the results are in {folder}.").format(folder=folder)
            self._finish(False, gone)
            return
        self._enter(LOADING, _("Loading the results …"), 1.0)
        loading = Loading(folder, self._ct, 100.0 - parameters.strongest, parameters.sign)

        def loaded() -> None:
            self.live.remove()
            self.lastRun = self._showResult(loading)
            self._finish(True, finishedText(self.lastRun, self.task, self.notices))

        self._steps.start(loading.steps(), loaded, self._onStepsFailed)

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
        self.state.tell({RECORD})
        return run

    def loadFolder(self, folder: Path, ct: Any = None) -> bool:
        """Open a results folder made elsewhere, over the given CT or over the CT that it brings."""
        parameters = self.state.parameters
        if parameters is None:
            return False
        loading = Loading(folder, ct, 100.0 - parameters.strongest, parameters.sign)

        def loaded() -> str:
            parameters.inputVolume = loading.ct
            self._showResult(loading)
            return _("Loaded {name}.").format(name=Path(folder).name)

        return self.work(loading.steps(), _("Loading the results …"), loaded)

    # States

    def _onStep(self, message: str) -> None:
        if message != self.message:
            self.message = message
            self.state.tell({BUSY})

    def _onStepsFailed(self, error: Exception) -> None:
        if isinstance(error, InputError):
            self._finish(False, str(error))
        elif isinstance(error, ImportError):
            missing = error.name or str(error)
            self._finish(False, _("This needs the package {name}.").format(name=missing), _("Install the requirements (Input)."))
        elif isinstance(error, OSError):
            reason = error.strerror or str(error)
            self._finish(
                False,
                _("A file cannot be read or written ({reason}).").format(reason=reason),
                _("Make room, or choose another folder."),
            )
        elif isinstance(error, MemoryError):
            self._finish(False, _("The memory is full."), _("Close other data, or explain fewer labels at a time."))
        else:
            logging.exception("Agg2Exp", exc_info=error)
            self._finish(False, f"{type(error).__name__}: {error}", _("This is a fault of Agg2Exp: please report it with the log."))

    def _enter(self, phase: str, message: str, fraction: float | None = None) -> None:
        self.phase, self.message, self.hint, self.failed, self.fraction = phase, message, "", False, fraction
        self.state.tell({BUSY})

    def _finish(self, well: bool, message: str, hint: str = "", problem: bool | None = None) -> None:
        self.live.remove()
        self.partials.clear()
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)
        self._work = self._ct = None
        self.phase, self.task, self.fraction = IDLE, "", None
        cancelled = message == _("Cancelled. Nothing was kept.") or message == _("Cancelled.")
        self._say(message, failed=(not well and not cancelled) if problem is None else problem, hint=hint)
        for callback in list(self.onFinished):
            callback(well)

    def _say(self, message: str, failed: bool = False, hint: str = "") -> None:
        self.message, self.failed, self.hint = message, failed, hint
        if message:
            self._log(message)
        self.state.tell({BUSY, RECORD} if not self.busy else {BUSY})

    def _log(self, line: str) -> None:
        for callback in list(self.onLog):
            callback(line)
