"""A stand-in for 3D Slicer's application in tests: slicer-core's real MRML, real Qt widgets from PySide6.

``install()`` puts ``qt``, ``ctk`` and the missing parts of ``slicer`` where a Slicer has them; ``uninstall()`` takes them away
again, so that other tests see slicer-core alone. Never installed as a package, never imported by the module itself.
"""

from __future__ import annotations

import os
import sys
import tempfile
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_installed: StandIn | None = None
_SUBMODULES = ("slicer.i18n", "slicer.parameterNodeWrapper", "slicer.ScriptedLoadableModule")
_ATTRIBUTES = (
    "mrmlScene",
    "app",
    "dicomDatabase",
    "modules",
    "i18n",
    "parameterNodeWrapper",
    "ScriptedLoadableModule",
    "selfTests",
)


@dataclass
class StandIn:
    """What a test has in its hands.

    Attributes:
        app: ``slicer.app``.
        state: the scene with its logics.
        dialogs: what was asked, and the answers to come.
        complaints: errors that VTK has told.
    """

    app: Any
    state: Any
    dialogs: Any
    complaints: Any

    @property
    def scene(self) -> Any:
        """``slicer.mrmlScene``."""
        return self.state.scene

    def load_module(self, path: str | os.PathLike[str]) -> Any:
        """Load a scripted module, see :func:`slicer_standin.scripted_module.load_module`."""
        from .scripted_module import load_module

        return load_module(path)

    def show_panel(self, name: str, width: int = 350, height: int = 900) -> Any:
        """Select a module in the main window; returns its frame, and ``frame.self()`` is the module's widget object.

        Args:
            name: the module's.
            width, height: of the module panel in pixels, with what is below its scroll area.
        """
        import slicer

        window = slicer.util.mainWindow()
        slicer.util.selectModule(name)
        window.resize(width + 400, height + 120)
        window._panel.setFixedSize(width, height)
        window.show()
        self.app.processEvents()
        return getattr(slicer.modules, name.lower()).widgetRepresentation()

    def wait(self, done: Any, seconds: float = 30.0) -> bool:
        """Run Qt's events until ``done()`` is true; False after ``seconds``."""
        import time

        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                return False
            self.app.processEvents()
            time.sleep(0.005)
        return True

    def renderViews(self, path: str | os.PathLike[str], panel: Any = None, **options: Any) -> Path:
        """Write a picture of panel and slice views, see :func:`slicer_standin.pictures.render_views`."""
        from .pictures import render_views

        return render_views(self, path, panel, **options)


def install() -> StandIn:
    """Make this process look like a Slicer with an empty scene; a second call without ``uninstall`` gives the same."""
    global _installed
    if _installed is not None:
        return _installed
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import slicer
    import slicer.util

    from . import dialogs, i18n, parameters, qt_module

    qt = qt_module.module()
    if qt.QApplication.instance() is None:
        _keep.append(qt.QApplication(["Slicer"]))
    dialogs.replace_file_dialogs(qt)
    from . import ctk_module, dicom, mrml_widgets, sample_data, scripted_module, ui_loader

    qt.QUiLoader = ui_loader.QUiLoader
    sys.modules["qt"] = qt
    sys.modules["ctk"] = _keep_one("ctk", ctk_module.make)
    sys.modules["SampleData"] = _keep_one("SampleData", sample_data.make)
    sys.modules["DICOMLib"] = _keep_one("DICOMLib", dicom.make)
    slicer.dicomDatabase = dicom.ctkDICOMDatabase()
    sys.modules["slicer.i18n"] = slicer.i18n = i18n
    sys.modules["slicer.parameterNodeWrapper"] = slicer.parameterNodeWrapper = parameters
    sys.modules["slicer.ScriptedLoadableModule"] = slicer.ScriptedLoadableModule = scripted_module
    from .view_layout import qSlicerSingletonViewFactory

    for kind in (
        *mrml_widgets.WIDGETS,
        qSlicerSingletonViewFactory,
        scripted_module.qSlicerScriptedLoadableModule,
        scripted_module.qSlicerScriptedLoadableModuleWidget,
    ):
        setattr(slicer, kind.__name__, kind)
    from .application import Application
    from .drawing import Complaints
    from .modules import make_modules
    from .scene import Scene

    folder = tempfile.TemporaryDirectory(prefix="Slicer-standin-")
    complaints = Complaints()
    state = Scene(folder.name)
    slicer.mrmlScene = state.scene
    slicer.modules = make_modules(state)
    slicer.app = Application(state, folder)
    _installed = StandIn(slicer.app, state, dialogs.reset(), complaints)
    return _installed


def uninstall() -> None:
    """Take everything away again; Qt itself stays loaded.

    Raises:
        AttributeError: code has set attributes that its C++ objects do not have; PythonQt would have refused at once.
        RuntimeError: VTK has told errors.
    """
    global _installed
    if _installed is None:
        return
    import slicer

    for module in list(vars(slicer.modules).values()):
        if getattr(module, "name", None):
            slicer.app.moduleManager().emit_signal("moduleAboutToBeUnloaded(QString)", module.name)
    from . import qt_module

    invented, complaints = qt_module.invented_attributes(), _installed.complaints
    _installed.state.release()
    _installed.app.close_standin()
    for name in ("qt", "ctk", "SampleData", "DICOMLib", *_SUBMODULES):
        sys.modules.pop(name, None)
    for name in _ATTRIBUTES:
        if hasattr(slicer, name):
            delattr(slicer, name)
    for name in [name for name in vars(slicer) if name.startswith(("qMRML", "qSlicer"))]:
        delattr(slicer, name)
    _installed = None
    complaints.release()
    if complaints.texts:
        raise RuntimeError("VTK has told errors, which Slicer shows as a red cross:\n" + "\n".join(complaints.texts[:5]))
    if invented:
        raise AttributeError("creation of new attributes on C++ objects is not allowed: " + "; ".join(invented))


_keep: list[Any] = []
_modules: dict[str, types.ModuleType] = {}


def _keep_one(name: str, make: Any) -> types.ModuleType:
    if name not in _modules:
        _modules[name] = make()
    return _modules[name]
