"""Export as DICOM from the panel: the series found through Slicer's database, the files read back, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")
pytest.importorskip("highdicom", reason="highdicom is not installed")

from support.dicom_export import IDENTITY, SECRETS
from support.geometry import make_grid, save_dicom
from support.module_panel import Panel
from support.networks import small_chest

GRID = make_grid((30, 26, 20), (5.1, 6.3, 9.0), signs=(-1, -1, 1))
pytestmark = pytest.mark.xdist_group("dicom_out")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT with a study, a frame of reference and a patient."""
    from pydicom.uid import generate_uid

    together = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    voxels = np.maximum(small_chest(GRID.shape), -1024)
    return save_dicom(tmp_path_factory.mktemp("disk") / "DICOM", voxels, GRID.affine, **together, **IDENTITY)


@pytest.fixture(scope="module")
def made(series: Path, small_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result of the series."""
    from Agg2ExpLib.commands.cli import main

    folder = tmp_path_factory.mktemp("made") / "chest"
    words = ["--ct", str(series), "--weights", str(small_weights), "--method", "gradient", "--labels", "heart"]
    assert main(["explain", *words, "--device", "cpu", "--precision", "float32", "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def panel(slicerApp, tmp_path: Path, series: Path, made: Path) -> Iterator[Panel]:  # noqa: N803
    """The result over the CT that was loaded from Slicer's DICOM database."""
    import pydicom
    import slicer
    from DICOMLib import DICOMUtils

    panel = Panel(slicerApp, tmp_path, Path("none"))
    assert DICOMUtils.importDicom(str(series))
    uid = str(pydicom.dcmread(next(series.iterdir()), stop_before_pixels=True).SeriesInstanceUID)
    (identifier,) = DICOMUtils.loadSeriesByUID([uid])
    panel.app.app.processEvents()
    node = slicer.mrmlScene.GetNodeByID(identifier)
    assert panel.widget.state.ct is node
    assert panel.widget.exporting.load(made)
    panel.wait()
    assert panel.record.ct is node, panel.controller.message
    panel.open("export")
    return panel


def choose(panel: Panel, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    import qt

    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_unused: str(folder))
    panel.click(panel.ui.dicomButton)


def files(folder: Path) -> dict[str, Any]:
    import pydicom

    return {path.stem: pydicom.dcmread(path) for path in folder.glob("*.dcm")}


def test_written_beside_the_series_without_the_patient(
    panel: Panel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, series: Path
) -> None:
    import slicer

    from Agg2ExpLib.runs.results import Results

    strongest = np.abs(np.asarray(Results.open(panel.record.folder).attribution("heart").array)).max()
    panel.record.folder = None  # from the scene alone
    (tmp_path / "out" / "Agg2Exp DICOM").mkdir(parents=True)
    panel.ui.dicomDatabaseCheckBox.click()
    choose(panel, monkeypatch, tmp_path / "out")
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    folder = tmp_path / "out" / "Agg2Exp DICOM 2"
    written = files(folder)
    assert set(written) == {"segmentation", "map_heart", "report"}
    assert "Wrote 3 DICOM files" in panel.controller.message
    source = files(series)
    theirs = next(iter(source.values()))
    for data in written.values():
        assert data.StudyInstanceUID == theirs.StudyInstanceUID
        assert str(data.PatientName) == ""
        assert slicer.dicomDatabase.fileForInstance(str(data.SOPInstanceUID)).startswith(str(folder))
    raw = b"".join(path.read_bytes() for path in folder.glob("*.dcm"))
    assert not [secret for secret in SECRETS if secret.encode() in raw]
    # the strongest value lies where the result's map has it
    frames = np.frombuffer(written["map_heart"].FloatPixelData, "<f4")
    assert 0.3 * strongest < np.abs(frames).max() <= 1.001 * strongest
    assert not list(Path(panel.app.app.temporaryPath).glob("Agg2Exp-*")), "nothing of the CT is left"


def test_cancelled_and_who_the_patient_is(panel: Panel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, series: Path) -> None:
    """The patient's identity is told only where that is checked, and a cancelled export leaves nothing."""
    assert not panel.ui.dicomIdentityCheckBox.checked
    panel.ui.dicomIdentityCheckBox.click()
    choose(panel, monkeypatch, tmp_path / "out")
    panel.wait(lambda: panel.widget.dicom._child.pid is not None)
    job = json.loads((panel.controller.folder.path / "dicom.json").read_text())
    assert job["with_identity"] is True
    assert job["result"] == str(panel.record.folder)
    assert {Path(file).name for file in job["files"]} == {file.name for file in series.iterdir()}
    panel.click(panel.ui.cancelButton)
    panel.wait()
    assert "Cancelled" in panel.ui.statusLabel.text
    assert not list((tmp_path / "out").iterdir())


def test_what_cannot_be_written(panel: Panel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import slicer

    def refused() -> str:
        panel.click(panel.ui.dicomButton)
        assert panel.controller.failed
        return str(panel.controller.message)

    ct = panel.record.ct
    uids = ct.GetAttribute("DICOM.instanceUIDs")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(ct)
    series = hierarchy.GetItemUID(item, "DICOM")
    # another plugin than that for scalar volumes tells the series alone
    ct.RemoveAttribute("DICOM.instanceUIDs")
    from Agg2ExpModuleLib.scene.DicomSource import dicomFiles

    assert sorted(dicomFiles(ct)) == sorted(slicer.dicomDatabase.filesForSeries(series))
    hierarchy.SetItemUID(item, "DICOM", "")
    assert "not loaded from DICOM" in refused()
    ct.SetAttribute("DICOM.instanceUIDs", uids)
    slicer.dicomDatabase.removeSeries(series)
    assert "import the series again" in refused()
    slicer.dicomDatabase = None
    assert "is not open" in refused()


def test_packages_of_their_own_are_asked_for(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Slicer whose pydicom is too old: what writes is offered, and nothing happens without a yes."""
    packages = panel.widget.dicom.packages
    assert packages.folders() == []
    from Agg2ExpModuleLib.setup import DicomPackages

    monkeypatch.setitem(DicomPackages._MINIMUMS, "pydicom", "99")
    assert packages.folders() is None
    panel.app.app.testing = False  # while it is on, Slicer asks nothing
    panel.app.dialogs.answers.append(False)
    panel.click(panel.ui.dicomButton)
    assert not panel.controller.busy
    assert "highdicom" in panel.app.dialogs.texts[-1]
    for name in DicomPackages._MINIMUMS:
        info = packages.folder / f"{name}-99.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 99\n")
    assert packages.folders() == [str(packages.folder)]
