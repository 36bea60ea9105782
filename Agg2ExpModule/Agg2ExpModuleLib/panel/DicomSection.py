"""The part of Export that writes DICOM: segmentation, maps and report beside the series that the CT was loaded from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError

from ..scene.DicomSource import dicomFiles
from ..setup.DicomPackages import MEGABYTES, DicomPackages
from ..setup.Installer import sizeText
from ..words.OptionWords import inPanelWords
from .Activity import Ending
from .FolderQuestion import askFolder
from .PanelState import Changes, PanelState, Topic
from .ResultParts import ResultParts

if TYPE_CHECKING:
    from ..engine.Child import Child
    from ..engine.RunOutcome import RunOutcome
    from .RunController import RunController

_FOLDER = "Agg2Exp DICOM"  # no name of the case, which may be the patient's


class DicomSection:
    """Controls it.

    Args:
        state: of the panel.
        controller: tells progress and end.
        child: writes, and installs what that takes.
    """

    def __init__(self, state: PanelState, controller: RunController, child: Child):
        self.state, self.ui, self.controller, self.packages = state, state.ui, controller, DicomPackages()
        self._child = child
        self.ui.dicomButton.clicked.connect(self._onExport)

    def refresh(self, changed: Changes) -> None:
        if self.state.parameters is not None and changed & {Topic.RECORD, Topic.SCENE, Topic.BUSY, "record", "inputVolume"}:
            record = self.state.record
            self.ui.dicomButton.enabled = not self.state.busy and record is not None and record.segmentation is not None

    def shutdown(self) -> None:
        """The panel goes: what is being written is given up."""
        self._child.shutdown()

    def export(self, folder: Path) -> bool:
        """Write into a new folder in this one; False when something else goes on, or there is nothing to refer to."""
        parameters, record, controller = self.state.parameters, self.state.record, self.controller
        files, packages = self._files(), self.packages.folders()
        if parameters is None or record is None or files is None or packages is None or controller.busy:
            return False
        target = freeFolder(folder / _FOLDER)
        identity, database = bool(self.ui.dicomIdentityCheckBox.checked), bool(parameters.exportToDatabase)
        job: dict[str, Any] = {"output": str(target), "files": files, "packages": packages, "with_identity": identity}

        def steps() -> Iterator[str]:
            assert controller.folder is not None
            work = controller.folder.path
            yield _("Preparing the export …")
            parts = ResultParts(record, work)
            found = yield from parts.folder()
            job["work"] = str(work)
            job.update(parts.about())
            if "source" in found:
                job["result"] = found["source"]
                answers = Path(found["source"]) / "what_if"
                job["answers"] = str(answers) if answers.is_dir() else None
            else:
                job["parts"] = found
            (work / "dicom.json").write_text(json.dumps(job), encoding="utf-8")

        def arguments() -> list[str]:
            return ["-m", "Agg2ExpLib.dicom_out.export_job", str(Path(job["work"]) / "dicom.json")]

        def done(outcome: RunOutcome) -> str:
            count = len(outcome.content.get("written", ()))
            text = _("Wrote {count} DICOM files to {folder}.").format(count=count, folder=target)
            return f"{text} {_addToDatabase(target)}" if database else text

        return controller.workInChild("dicom", _("Writing DICOM …"), steps(), self._child, arguments, done)

    def install(self) -> None:
        """Install what writing takes, then go on; the user has agreed."""
        controller, child = self.controller, self._child
        said: list[str] = []

        def finished(outcome: RunOutcome) -> None:
            child.onLog.remove(controller.log)
            child.onLog.remove(said.append)
            child.onFinished.remove(finished)
            if not controller.busy:  # the panel has been shut down
                return
            if self.packages.folders() is not None:
                controller.end(Ending.WELL, _("Everything is installed."))
                self._ask()
            elif outcome.exitedWell or any("ERROR" in line for line in said):
                reason = next((line for line in reversed(said) if "ERROR" in line), outcome.message)
                text = _("What writes DICOM could not be installed ({reason}): check the internet connection; the log says more.")
                controller.end(Ending.FAILED, text.format(reason=reason))
            else:
                controller.end(Ending.CANCELLED, _("Cancelled."))

        if controller.begin("install", _("Installing what writes DICOM …"), child.stop):
            child.onLog += [controller.log, said.append]
            child.onFinished.append(finished)
            child.start(self.packages.arguments())

    def _files(self) -> list[str] | None:
        """Of the CT; without them the reason is told."""
        record = self.state.record
        try:
            return dicomFiles(record.ct if record is not None else None)
        except InputError as error:
            self.controller.say(inPanelWords(error.template), failed=True)
            return None

    def _onExport(self, *_unused: Any) -> None:
        if self._files() is None:
            return
        if self.packages.folders() is not None:
            self._ask()
            return
        question = _(
            "Writing DICOM needs the Python packages highdicom and pydicom 3 (about {size} to download).\n\nThey are installed for "
            "Agg2Exp alone; Slicer's own packages stay as they are. Install now?"
        )
        if slicer.util.confirmOkCancelDisplay(question.format(size=sizeText(MEGABYTES)), _("Export as DICOM")):
            self.install()

    def _ask(self) -> None:
        folder = askFolder(_("Export as DICOM to"))
        if folder is not None:
            self.export(folder)


def freeFolder(path: Path) -> Path:
    """The path, with a number where something is there already."""
    number = 2
    free = path
    while free.exists():
        free, number = path.with_name(f"{path.name} {number}"), number + 1
    return free


def _addToDatabase(folder: Path) -> str:
    """Add what was written to Slicer's DICOM database, which then refers to these files; returns how that went."""
    from DICOMLib import DICOMUtils

    if DICOMUtils.importDicom(str(folder)):
        return _("They are in Slicer's DICOM database.")
    return _("They could not be added to Slicer's DICOM database: import the folder with the module DICOM.")
