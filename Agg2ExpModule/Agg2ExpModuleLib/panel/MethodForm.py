"""The rows of the Explain section that hold the parameters of the chosen attribution method, made from the library's registry."""

from __future__ import annotations

import math
from typing import Any

import qt

from ..words.MethodWords import choiceTitle, parameterTitles, precisions, sentence, titleOf
from .ChoiceBox import ChoiceBox
from .MethodSettings import AUTO, OWN, PRECISION, REFERENCES, isIdle, methodEntries, methods, setValue, valueOf
from .PanelState import PanelState
from .ReferenceList import ReferenceList

_LARGEST = 1_000_000
_FIELD_CHARACTERS = 8


class MethodForm:
    """Rows of a grid, one for each parameter of any method; those of the chosen method are shown.

    Samples, noise and seed stand in the ``.ui`` file and are bound to the scene there; all others are made here.

    Args:
        state: of the panel.
        parent: the widget with the form; its first rows are those of the ``.ui`` file.
    """

    def __init__(self, state: PanelState, parent: Any):
        self.state, self._parent = state, parent
        ui = state.ui
        self._rows: dict[str, tuple[Any, ...]] = {
            "samples": (ui.samplesLabel, ui.samplesSpinBox),
            "sigma": (ui.noiseLabel, ui.noiseSpinBox),
            "seed": (ui.seedLabel, ui.seedSpinBox),
        }
        self._fields: dict[str, _Field | ReferenceList] = {}
        self._made = False

    def field(self, name: str) -> Any:
        """The widget of a parameter."""
        return self._rows[name][-1]

    def refresh(self) -> None:
        """Show the parameters of the chosen method with their values."""
        parameters = self.state.parameters
        assert parameters is not None
        if not self._made:
            self._made = True
            self._make()
        shown = {entry.name: entry for entry in methodEntries(parameters.method)}
        for name, widgets in self._rows.items():
            entry = shown.get(name)
            usable = entry is not None and not self.state.busy and not isIdle(parameters, entry)
            for widget in widgets:
                widget.visible = entry is not None
                widget.enabled = usable
            if entry is not None and name in self._fields:
                self._fields[name].show(valueOf(parameters, entry))

    def _make(self) -> None:
        entries = {entry.name: entry for method in methods().values() for entry in method.parameters()}
        order = [name for name in parameterTitles() if name in entries and name != "seed"]
        order += [name for name in entries if name not in order and name != "seed"]
        # A grid: hidden rows of a form layout would leave gaps. The rows of the .ui file below begin at a higher number.
        grid = self._parent.layout()
        for row, name in enumerate(order):
            if name in OWN:
                for column, widget in enumerate(self._rows[name]):
                    grid.addWidget(widget, row, column)
                continue
            entry = entries[name]
            if name == REFERENCES:
                field: _Field | ReferenceList = ReferenceList(self.state, self._parent)
            else:
                field = _Field(entry, self._parent, lambda value, entry=entry: self._set(entry, value))
            title, tip = titleOf(name), sentence(entry.help)
            field.widget.toolTip = tip
            if entry.kind == "bool":
                field.widget.text = title
                grid.addWidget(field.widget, row, 0, 1, 2)
                self._rows[name] = (field.widget,)
            else:
                label = qt.QLabel(f"{title}:", self._parent)
                grid.addWidget(label, row, 0)
                grid.addWidget(field.widget, row, 1)
                self._rows[name] = (label, field.widget)
            self._fields[name] = field

    def _set(self, entry: Any, value: Any) -> None:
        if self.state.parameters is not None:
            setValue(self.state.parameters, entry, value)


class _Field:
    """One widget for one parameter.

    Args:
        entry: the parameter.
        parent: of the widget.
        onChanged: is given the value when the user has changed it.
    """

    def __init__(self, entry: Any, parent: Any, onChanged: Any):
        self._entry, self._onChanged, self._busy = entry, onChanged, False
        self._choice: ChoiceBox | None = None
        self._precision = entry.name == PRECISION
        if entry.choices or self._precision:
            self.widget = qt.QComboBox(parent)
            self.widget.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon
            self.widget.minimumContentsLength = _FIELD_CHARACTERS
            chosen = (lambda title: onChanged(precisions().get(title))) if self._precision else onChanged
            self._choice = ChoiceBox(self.widget, chosen)
        elif entry.kind == "bool":
            self.widget = qt.QCheckBox(parent)
            self.widget.toggled.connect(self._onWidget)
        elif entry.kind == "float":
            self.widget = qt.QDoubleSpinBox(parent)
            self.widget.decimals = _decimals(entry.default)
            self.widget.minimum, self.widget.maximum = 0.0, float(_LARGEST)
            self.widget.singleStep = 10.0 ** -(self.widget.decimals - 1)
            self.widget.valueChanged.connect(self._onWidget)
        elif entry.kind in ("int", "int | str"):
            self.widget = qt.QSpinBox(parent)
            self.widget.minimum, self.widget.maximum = (1, _LARGEST)
            if entry.kind == "int | str":  # the lowest value of the spin box stands for the word
                self.widget.minimum = 0
                self.widget.specialValueText = AUTO
            self.widget.valueChanged.connect(self._onWidget)
        else:
            self.widget = qt.QLineEdit(parent)
            self.widget.textChanged.connect(self._onWidget)

    def show(self, value: Any) -> None:
        """Show a value; nobody is told."""
        self._busy = True
        try:
            if self._choice is not None and self._precision:
                titles = {error: title for title, error in precisions().items()}
                self._choice.setChoices([(title, title) for title in precisions()], titles.get(value, titles[None]))
            elif self._choice is not None:
                self._choice.setChoices([(name, choiceTitle(name)) for name in self._entry.choices], value)
            elif self._entry.kind == "bool":
                self.widget.checked = bool(value)
            elif self._entry.kind == "float":
                self.widget.value = float(value)
            elif self._entry.kind in ("int", "int | str"):
                self.widget.value = 0 if value == AUTO else int(value)
            elif self.widget.text != str(value):
                self.widget.text = str(value)
        finally:
            self._busy = False

    def _onWidget(self, *_unused: Any) -> None:
        if self._busy:
            return
        kind = self._entry.kind
        if kind == "bool":
            value: Any = self.widget.checked
        elif kind == "str":
            value = self.widget.text.strip()
        else:
            value = self.widget.value
            if kind == "int | str" and value == 0:
                value = AUTO
        self._onChanged(value)


def _decimals(default: float) -> int:
    """Two digits of the default are shown, one at least after the point."""
    return max(1, 1 - math.floor(math.log10(default))) if default > 0 else 2
