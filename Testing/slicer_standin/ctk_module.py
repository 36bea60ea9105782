"""The ``ctk`` widgets our module uses, as far as their headers let Python see them: properties, public slots and signals."""

from __future__ import annotations

import types
from typing import Any

from PySide6.QtCore import Qt, Signal

from . import qt_module
from .ctk_sliders import ctkDoubleRangeSlider, ctkRangeWidget, ctkSliderWidget
from .dialogs import answer_of
from .properties import computed, qt_property

qt = qt_module.module()


class ctkCollapsibleButton(qt.QAbstractButton):
    """A button over its contents; children are hidden while it is collapsed."""

    contentsCollapsed = Signal(bool)
    collapsedHeight = qt_property(int, "collapsedHeight", 10)
    contentsFrameShape = qt_property(int, "contentsFrameShape", 0)
    contentsFrameShadow = qt_property(int, "contentsFrameShadow", 16)
    contentsLineWidth = qt_property(int, "contentsLineWidth", 1)
    contentsMidLineWidth = qt_property(int, "contentsMidLineWidth", 0)
    buttonTextAlignment = qt_property(int, "buttonTextAlignment", 0x81)
    indicatorAlignment = qt_property(int, "indicatorAlignment", 0x81)

    def __init__(self, *arguments: Any):
        text, parent = _text_and_parent(arguments)
        super().__init__(parent)
        self._hidden_by_collapse: list[Any] = []
        self.text = text
        self.checkable = True
        self.checked = True
        self.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.Preferred)
        self._reserve_header()
        self.toggled.connect(self._on_toggled)

    def _reserve_header(self) -> None:
        self.setContentsMargins(0, self._header_height(), 0, 0)

    def _header_height(self) -> int:
        return max(self.fontMetrics().height() + 8, 22)

    def _put_collapsed(self, value: bool) -> None:
        self.checked = not value

    collapsed = computed(bool, lambda self: not self.checked, _put_collapsed)

    def _on_toggled(self, expanded: bool) -> None:
        children = [child for child in self.children() if child.isWidgetType() and not child.isWindow()]
        if expanded:
            for child in self._hidden_by_collapse:
                if child in children:
                    child.visible = True
            self._hidden_by_collapse = []
            self.maximumHeight = 16777215
        else:
            self._hidden_by_collapse = [
                child
                for child in children
                if not child.testAttribute(Qt.WA_WState_ExplicitShowHide) or not child.testAttribute(Qt.WA_WState_Hidden)
            ]
            for child in self._hidden_by_collapse:
                child.visible = False
            self.maximumHeight = self._header_height() + self.collapsedHeight
        self.updateGeometry()
        self.contentsCollapsed.emit(not expanded)

    def childEvent(self, event: Any) -> None:
        super().childEvent(event)
        child = event.child()
        if event.polished() and not self.checked and child.isWidgetType() and child not in self._hidden_by_collapse:
            self._hidden_by_collapse.append(child)
            child.visible = False

    def sizeHint(self) -> Any:
        return self._with_contents(120, "sizeHint")

    def minimumSizeHint(self) -> Any:
        return self._with_contents(40, "minimumSize")

    def _with_contents(self, width: int, hint: str) -> Any:
        layout, header = self.layout(), self._header_height()
        if not self.checked or layout is None:
            return qt.QSize(width, header + (0 if self.checked else self.collapsedHeight))
        contents = getattr(layout, hint)()
        return qt.QSize(max(width, contents.width()), contents.height() + header)

    def hitButton(self, position: Any) -> bool:
        return position.y() <= self._header_height()

    def paintEvent(self, event: Any) -> None:
        painter = qt.QPainter(self)
        header = qt.QRect(0, 0, self.width, self._header_height())
        option = qt.QStyleOptionButton()
        option.initFrom(self)
        option.rect = header
        self.style().drawControl(qt.QStyle.CE_PushButtonBevel, option, painter, self)
        arrow = qt.QStyleOption()
        arrow.initFrom(self)
        side = header.height() // 2
        arrow.rect = qt.QRect(6, header.height() // 4, side, side)
        kind = qt.QStyle.PE_IndicatorArrowDown if self.checked else qt.QStyle.PE_IndicatorArrowRight
        self.style().drawPrimitive(kind, arrow, painter, self)
        painter.drawText(header.adjusted(side + 14, 0, 0, 0), int(Qt.AlignLeft | Qt.AlignVCenter), self.text)
        painter.end()


class ctkCollapsibleGroupBox(qt.QGroupBox):
    """A group box whose check mark shows and hides its contents."""

    collapsedHeight = qt_property(int, "collapsedHeight", 14)

    def __init__(self, *arguments: Any):
        text, parent = _text_and_parent(arguments)
        super().__init__(parent)
        self.title = text
        self.checkable = True
        self.checked = True
        self.toggled.connect(self._show_contents)

    def _show_contents(self, shown: bool) -> None:
        for child in self.children():
            if child.isWidgetType():
                child.visible = shown
        self.maximumHeight = 16777215 if shown else self.fontMetrics().height() + self.collapsedHeight

    def _put_collapsed(self, value: bool) -> None:
        self.checked = not value

    collapsed = computed(bool, lambda self: not self.checked, _put_collapsed)


class ctkComboBox(qt.QComboBox):
    """A combo box with a text for "nothing chosen"."""

    currentUserDataAsStringChanged = Signal(str)
    defaultText = qt_property(str, "defaultText", "")
    defaultIcon = qt_property("QIcon", "defaultIcon")
    forceDefault = qt_property(bool, "forceDefault", False)
    elideMode = qt_property(int, "elideMode", 3)
    scrollWheelEffect = qt_property(int, "scrollWheelEffect", 1)
    NeverScroll, AlwaysScroll, ScrollWithFocus, ScrollWithNoVScrollBar = range(4)

    def setCurrentUserDataAsString(self, data: str) -> None:
        self.currentIndex = self.findData(data)

    currentUserDataAsString = computed(str, lambda self: self.currentData or "", setCurrentUserDataAsString)


class ctkCheckBox(qt.QCheckBox):
    """A check box whose mark can be an icon."""

    indicatorIcon = qt_property("QIcon", "indicatorIcon")
    indicatorIconSize = qt_property("QSize", "indicatorIconSize")


class ctkSearchBox(qt.QLineEdit):
    """A line edit with a magnifying glass and a button that clears it."""

    showSearchIcon = qt_property(bool, "showSearchIcon", False)
    alwaysShowClearIcon = qt_property(bool, "alwaysShowClearIcon", False)
    searchIcon = qt_property("QIcon", "searchIcon")
    clearIcon = qt_property("QIcon", "clearIcon")

    def __init__(self, parent: Any = None):
        super().__init__(parent)
        self.placeholderText = "Search..."
        self.clearButtonEnabled = True


class ctkColorPickerButton(qt.QPushButton):
    """A button that shows a colour and asks for another."""

    colorChanged = Signal("QColor")
    displayColorName = qt_property(bool, "displayColorName", True, "update")
    dialogOptions = qt_property(int, "dialogOptions", 0)

    def __init__(self, *arguments: Any):
        text, parent = _text_and_parent(arguments)
        super().__init__(parent)
        self.text = text
        self._color = qt.QColor(0, 0, 0)

    def setColor(self, color: Any) -> None:
        if qt.QColor(color) != self._color:
            self._color = qt.QColor(color)
            picture = qt.QPixmap(16, 16)
            picture.fill(self._color)
            self.icon = qt.QIcon(picture)
            self.colorChanged.emit(self._color)

    color = computed("QColor", lambda self: self._color, setColor)

    def changeColor(self) -> None:
        """Only in a running Slicer: opens the colour dialog."""


class ctkPathLineEdit(qt.QWidget):
    """A path with a history kept in the settings."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    label = qt_property(str, "label", "")
    options = qt_property(int, "options", 0)
    settingKey = qt_property(str, "settingKey", "", "retrieveHistory")
    sizeAdjustPolicy = qt_property(int, "sizeAdjustPolicy", 1)
    minimumContentsLength = qt_property(int, "minimumContentsLength", 0)
    nameFilters = qt_property("QStringList", "nameFilters", lambda self: [])
    filters = qt_property("QVariant", "filters", 7)
    Dirs, Files, Drives, NoSymLinks = 0x001, 0x002, 0x004, 0x008
    AllEntries, Readable, Writable, Executable = 0x007, 0x010, 0x020, 0x040
    Hidden, AllDirs, NoDotAndDotDot, NoFilter = 0x100, 0x400, 0x1000, -1

    def __init__(self, *arguments: Any):
        parent = arguments[-1] if arguments and not isinstance(arguments[-1], str | int | list | tuple) else None
        super().__init__(parent)
        self._combo = qt.QComboBox(self)
        self._combo.editable = True
        self._combo.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        self._combo.minimumContentsLength = 8
        self._combo.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon
        self._browse = qt.QToolButton(self)
        self._browse.text = "..."
        self._browse.clicked.connect(lambda *_: self.browse())
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        layout.addWidget(self._browse)
        self.setFocusProxy(self._combo)
        self._combo.editTextChanged.connect(self.currentPathChanged.emit)
        if len(arguments) >= 2 and isinstance(arguments[0], str):
            self.label, self.nameFilters = arguments[0], list(arguments[1])

    def setCurrentPath(self, path: str) -> None:
        if not isinstance(path, str):
            raise ValueError(f"Could not find matching overload for given arguments: ({path!r},)")
        self._combo.setEditText(path)

    currentPath = computed(str, lambda self: self._combo.currentText, setCurrentPath)
    showBrowseButton = computed(
        bool, lambda self: not self._browse.isHidden(), lambda self, value: setattr(self._browse, "visible", bool(value))
    )
    showHistoryButton = qt_property(bool, "showHistoryButton", True)

    def browse(self) -> None:
        """The file dialog's answer comes from the stand-in's ``dialogs.file_answers``."""
        from .dialogs import next_file

        path = next_file()
        if path:
            self.setCurrentPath(path)

    def _key(self) -> str:
        return self.settingKey or self.objectName

    def retrieveHistory(self) -> None:
        current = self.currentPath
        self._combo.clear()
        key = self._key()
        history = qt.QSettings().value(f"PathLineEdit/{key}") or [] if key else []
        for path in [history] if isinstance(history, str) else history:
            self._combo.addItem(path)
        self._combo.setEditText(current)

    def addCurrentPathToHistory(self) -> None:
        if not self._key():
            return
        path = self.currentPath
        history = [self._combo.itemText(index) for index in range(self._combo.count)]
        history = [path] + [entry for entry in history if entry != path]
        settings = qt.QSettings()
        settings.setValue(f"PathLineEdit/{self._key()}", history[:14])
        self.retrieveHistory()


class ctkDirectoryButton(qt.QWidget):
    """A button that shows a folder and asks for another."""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)
    caption = qt_property(str, "caption", "")
    acceptMode = qt_property(int, "acceptMode", 0)
    elideMode = qt_property(int, "elideMode", 3)

    def __init__(self, *arguments: Any):
        text, parent = _text_and_parent(arguments)
        super().__init__(parent)
        self._button = qt.QPushButton(self)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self._directory = ""
        self._button.clicked.connect(lambda *_: self.browse())
        self._put(text or ".")

    def _put(self, path: str) -> None:
        absolute = qt.QDir(path or ".").absolutePath()
        if absolute != self._directory:
            self._directory = absolute
            self._button.text = absolute
            self.directoryChanged.emit(absolute)
        self.directorySelected.emit(absolute)

    directory = computed(str, lambda self: self._directory, _put)
    text = computed(str, lambda self: self._button.text, lambda self, value: setattr(self._button, "text", value))

    def browse(self) -> str:
        """The dialog's answer comes from the stand-in's ``dialogs.file_answers``."""
        from .dialogs import next_file

        path = next_file()
        if path:
            self._put(path)
        return self._directory


class ctkMessageBox(qt.QMessageBox):
    """A message box that nobody has to click away: it is recorded and answers as the test said."""

    dontShowAgain = qt_property(bool, "dontShowAgain", False)
    dontShowAgainSettingsKey = qt_property(str, "dontShowAgainSettingsKey", "")
    dontShowAgainVisible = qt_property(bool, "dontShowAgainVisible", False)

    def exec_(self) -> Any:
        return answer_of(self)

    def exec(self) -> Any:
        return answer_of(self)


def _text_and_parent(arguments: tuple[Any, ...]) -> tuple[str, Any]:
    text = next((argument for argument in arguments if isinstance(argument, str)), "")
    parent = next((argument for argument in arguments if argument is not None and not isinstance(argument, str)), None)
    return text, parent


WIDGETS = (
    ctkCollapsibleButton,
    ctkCollapsibleGroupBox,
    ctkComboBox,
    ctkCheckBox,
    ctkSearchBox,
    ctkColorPickerButton,
    ctkPathLineEdit,
    ctkDirectoryButton,
    ctkMessageBox,
    ctkSliderWidget,
    ctkRangeWidget,
    ctkDoubleRangeSlider,
)


def make() -> types.ModuleType:
    """The ``ctk`` module with these classes and nothing else."""
    ctk = types.ModuleType("ctk", __doc__)
    for kind in WIDGETS:
        setattr(ctk, kind.__name__, kind)
    return ctk
