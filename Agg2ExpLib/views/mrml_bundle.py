"""A scene with all its data in one ``.mrb`` file, and VTK's messages kept off the terminal."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError


@contextlib.contextmanager
def quiet_vtk() -> Iterator[None]:
    """Silence VTK's own warnings (a missing X server, each file put into a bundle) while the block runs."""
    import vtk

    shown = vtk.vtkObject.GetGlobalWarningDisplay()
    verbosity = vtk.vtkLogger.GetCurrentVerbosityCutoff()
    vtk.vtkObject.GlobalWarningDisplayOff()
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtk.vtkObject.SetGlobalWarningDisplay(shown)
        vtk.vtkLogger.SetStderrVerbosity(verbosity)


def write_bundle(scene: Any, path: Path) -> None:
    """Write a scene as ``.mrb``, beside and renamed when complete.

    Raises:
        InputError: it cannot be written.
    """
    path = path.absolute()  # Slicer refuses to save into a relative folder
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
    except OSError as error:
        raise InputError(f"Cannot write to {path.parent} ({error.strerror}): choose another ⟨output⟩.") from None
    scratch = work
    try:
        if not _is_utf8(str(work)):
            scratch = Path(tempfile.mkdtemp(prefix="agg2exp-scene-"))  # Slicer writes only to paths that are UTF-8
        content = scratch / path.stem  # a bundle is the zip of one folder of its name
        content.mkdir()
        with quiet_vtk():
            saved = scene.SaveSceneToSlicerDataBundleDirectory(str(content), None)
        if not saved:
            raise InputError(f"The scene could not be saved as {path}: look for room on the disk and for write permission.")
        bundle = work / path.name
        with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(content.rglob("*")):
                packed = zipfile.ZIP_STORED if file.suffix == ".nrrd" else None  # NRRD is compressed already
                archive.write(file, file.relative_to(scratch), compress_type=packed)
        bundle.replace(path)
    except OSError as error:
        raise InputError(f"The scene could not be saved as {path} ({error.strerror}): choose another ⟨output⟩.") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
