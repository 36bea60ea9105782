"""``slicer.app`` and the main window: what the module touches, around real Qt."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from . import qt_module
from .io_manager import CoreIOManager
from .layout import LayoutManager

qt = qt_module.module()


class Connectable:
    """Signals by PythonQt's signature strings."""

    def __init__(self) -> None:
        self._slots: dict[str, list[Callable]] = {}

    def connect(self, signature: str, slot: Callable) -> bool:
        if signature not in self._signatures():
            raise ValueError(f"Signal {signature} not found on {type(self).__name__}")
        self._slots.setdefault(signature, []).append(slot)
        return True

    def disconnect(self, signature: str, slot: Callable) -> bool:
        slots = self._slots.get(signature, [])
        if slot in slots:
            slots.remove(slot)
            return True
        return False

    def emit_signal(self, signature: str, *arguments: Any) -> None:
        """Only in the stand-in: what Slicer does by itself."""
        for slot in list(self._slots.get(signature, [])):
            slot(*arguments)

    def _signatures(self) -> tuple[str, ...]:
        return ()


class ModuleManager(Connectable):
    """``slicer.app.moduleManager()``."""

    def _signatures(self) -> tuple[str, ...]:
        return ("moduleAboutToBeUnloaded(QString)", "moduleLoaded(QString)", "modulesLoaded(QStringList)")

    def module(self, name: str) -> Any:
        return getattr(slicer.modules, name.lower(), None)

    def modulesNames(self) -> list[str]:
        return [module.name for module in vars(slicer.modules).values() if hasattr(module, "name")]


class Application(Connectable):
    """``slicer.app``.

    Attributes:
        temporaryPath: a folder of this test.
        testing: what ``testingEnabled()`` answers; False at first, so that message boxes are asked (and recorded).
    """

    applicationName = "Slicer"
    applicationVersion = "5.12.0-standin"
    majorVersion, minorVersion = 5, 12
    revision = "standin"
    repositoryRevision = "standin"
    os, arch = "linux", "amd64"
    documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"

    def __init__(self, state: Any, folder: tempfile.TemporaryDirectory):
        super().__init__()
        self._qt_application = qt.QApplication.instance() or qt.QApplication(["Slicer"])
        self._scene = state
        self._folder = folder
        self.temporaryPath = self._folder.name
        self.cachePath = self._folder.name
        self.slicerHome = str(Path(sys.prefix))
        self.defaultScenePath = self._folder.name
        settings = Path(self._folder.name) / "Slicer.ini"
        self.slicerUserSettingsFilePath = str(settings)
        qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
        qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, str(settings.parent))
        self._qt_application.organizationName, self._qt_application.applicationName = "NA-MIC", "Slicer"
        qt.QSettings().clear()
        self.testing = False
        self._paused = 0
        self._layout_manager = LayoutManager(state)
        self._module_manager = ModuleManager()
        self._io = CoreIOManager()
        self._main_window = qSlicerMainWindow()
        self._layout_manager.setViewport(self._main_window.centralWidget())

    def _signatures(self) -> tuple[str, ...]:
        return ("startupCompleted()", "lastWindowClosed()", "aboutToQuit()", "mrmlSceneChanged(vtkMRMLScene*)")

    # Scene
    def applicationLogic(self) -> Any:
        return self._scene.application_logic

    def mrmlScene(self) -> Any:
        return self._scene.scene

    def layoutManager(self) -> LayoutManager:
        return self._layout_manager

    def moduleManager(self) -> ModuleManager:
        return self._module_manager

    def coreIOManager(self) -> CoreIOManager:
        return self._io

    def ioManager(self) -> CoreIOManager:
        return self._io

    def pauseRender(self) -> None:
        self._paused += 1
        self._scene.drawing.pause()

    def resumeRender(self) -> None:
        self._paused -= 1
        self._scene.drawing.resume()

    def setRenderPaused(self, paused: bool) -> None:
        (self.pauseRender if paused else self.resumeRender)()

    # Qt
    def processEvents(self, *arguments: Any) -> None:
        self._qt_application.processEvents(*arguments)
        self._scene.drawing.settle()

    def topLevelWidgets(self) -> list[Any]:
        return qt.QApplication.topLevelWidgets()

    def settings(self) -> Any:
        return qt.QSettings()

    userSettings = settings

    def setOverrideCursor(self, cursor: Any) -> None:
        qt.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        qt.QApplication.restoreOverrideCursor()

    def clipboard(self) -> Any:
        return qt.QApplication.clipboard()

    def palette(self) -> Any:
        return qt.QApplication.palette()

    def font(self) -> Any:
        return qt.QApplication.font()

    def style(self) -> Any:
        return qt.QApplication.style()

    def keyboardModifiers(self) -> Any:
        return qt.QApplication.keyboardModifiers()

    def translate(self, context: str, text: str) -> str:
        return text

    # Process
    def testingEnabled(self) -> bool:
        return self.testing

    def startupEnvironment(self) -> Any:
        environment = qt.QProcessEnvironment.systemEnvironment()
        return environment

    def environment(self) -> Any:
        return qt.QProcessEnvironment.systemEnvironment()

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def pythonConsole(self) -> None:
        return None

    def mainApplicationDirPath(self) -> str:
        return str(Path(sys.executable).parent)

    def close_standin(self) -> None:
        """Only in the stand-in: what is left of the windows goes."""
        view = self._layout_manager.threeDWidget(0).threeDView()
        if view.drawn is not None:
            view.drawn.close()
        for widget in qt.QApplication.topLevelWidgets():
            widget.close()
            widget.deleteLater()
        self._qt_application.processEvents()
        qt.QCoreApplication.sendPostedEvents(None, 52)  # DeferredDelete
        self._folder.cleanup()


class qSlicerMainWindow(qt.QMainWindow):
    """The main window: a module panel with a scroll bar, a status bar, a module selector."""

    def __init__(self) -> None:
        super().__init__()
        self.objectName = "qSlicerMainWindow"
        self.windowTitle = "3D Slicer"
        self.statusBar()
        self._dock = qt.QDockWidget("Module", self)
        self._dock.objectName = "PanelDockWidget"
        self._panel = qt.QWidget(self._dock)  # qSlicerModulePanel: a grid with the scroll area
        self._panel.objectName = "ModulePanel"
        grid = qt.QGridLayout(self._panel)
        grid.setContentsMargins(0, 0, 0, 0)
        self._scroll = qt.QScrollArea(self._panel)
        self._scroll.objectName = "ScrollArea"
        self._scroll.widgetResizable = True
        self._scroll.horizontalScrollBarPolicy = qt.Qt.ScrollBarAlwaysOff
        grid.addWidget(self._scroll)
        self._dock.setWidget(self._panel)
        self.addDockWidget(qt.Qt.LeftDockWidgetArea, self._dock)
        self.setCentralWidget(qt.QWidget(self))
        self._selector = ModuleSelector(self)

    def moduleSelector(self) -> ModuleSelector:
        return self._selector


class ModuleSelector:
    """The list of modules: choosing one shows its panel and calls ``exit`` and ``enter``."""

    def __init__(self, window: qSlicerMainWindow):
        self._window = window
        self.selectedModule = ""

    def selectModule(self, name: str) -> None:
        if name == self.selectedModule:
            return
        module = getattr(slicer.modules, name.lower(), None)
        if module is None:
            return
        area = self._window._scroll
        if self.selectedModule:
            _tell(getattr(slicer.modules, self.selectedModule.lower()), "exit")
            area.takeWidget()
        frame = module.widgetRepresentation()
        self.selectedModule = module.name
        if frame is not None:
            area.setWidget(frame)
            frame.show()
            _tell(module, "enter")


def _tell(module: object, method: str) -> None:
    frame = module.widgetRepresentation()  # type: ignore[attr-defined]
    widget = frame.self() if frame is not None else None
    if hasattr(widget, method):
        getattr(widget, method)()
