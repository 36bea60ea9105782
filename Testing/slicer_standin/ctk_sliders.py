"""The ``ctk`` sliders with numbers beside them."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal

from . import qt_module
from .properties import computed, qt_property

qt = qt_module.module()


class ctkSliderWidget(qt.QWidget):
    """A slider of doubles with a spin box."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    autoSpinBoxWidth = qt_property(bool, "autoSpinBoxWidth", True)
    tickInterval = qt_property(float, "tickInterval", 0.0)
    tickPosition = qt_property(int, "tickPosition", 0)
    spinBoxAlignment = qt_property(int, "spinBoxAlignment", 2)
    tracking = qt_property(bool, "tracking", True)
    popupSlider = qt_property(bool, "popupSlider", False)

    def __init__(self, parent: Any = None):
        super().__init__(parent)
        self._slider = qt.QSlider(Qt.Horizontal, self)
        self._spin = qt.QDoubleSpinBox(self)
        self._spin.maximum, self._spin.singleStep, self._spin.decimals = 100.0, 1.0, 2
        self._slider.setRange(0, 100)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin)
        self.focusProxy()
        self.setFocusProxy(self._slider)
        self.setSizePolicy(qt.QSizePolicy.Minimum, qt.QSizePolicy.Fixed)
        self._busy = False
        self._announced = 0.0
        self._dragging = False
        self._spin.valueChanged.connect(self._from_spin)
        self._slider.valueChanged.connect(self._from_slider)
        self._slider.sliderPressed.connect(self._press)
        self._slider.sliderReleased.connect(self._release)

    def _press(self) -> None:
        self._dragging = True

    def _release(self) -> None:
        self._dragging = False
        self._announce()

    def _from_slider(self, position: int) -> None:
        if not self._busy:
            self._spin.value = self._spin.minimum + position * self._spin.singleStep

    def _from_spin(self, value: float) -> None:
        self._place()
        self._announce()

    def _announce(self) -> None:
        value = self._spin.value
        if self._dragging and not self.tracking:
            self.valueIsChanging.emit(value)
        elif value != self._announced:
            self._announced = value
            self.valueChanged.emit(value)

    def _place(self) -> None:
        self._busy = True
        step = self._spin.singleStep or 1.0
        self._slider.setRange(0, max(0, min(2**31 - 1, round((self._spin.maximum - self._spin.minimum) / step))))
        self._slider.value = round((self._spin.value - self._spin.minimum) / step)
        self._busy = False

    def _spin_part(name: str, kind: type) -> Any:  # noqa: N805
        def put(self: Any, value: Any) -> None:
            setattr(self._spin, name, kind(value))
            self._place()
            self._announce()

        return computed(kind, lambda self: getattr(self._spin, name), put)

    decimals = _spin_part("decimals", int)
    singleStep = _spin_part("singleStep", float)
    minimum = _spin_part("minimum", float)
    maximum = _spin_part("maximum", float)
    value = _spin_part("value", float)
    prefix = _spin_part("prefix", str)
    suffix = _spin_part("suffix", str)
    pageStep = qt_property(float, "pageStep", 10.0)
    spinBoxVisible = computed(
        bool, lambda self: not self._spin.isHidden(), lambda self, value: setattr(self._spin, "visible", bool(value))
    )
    del _spin_part

    def setValue(self, value: float) -> None:
        self.value = value

    def setSpinBoxVisible(self, visible: bool) -> None:
        self.spinBoxVisible = visible

    def reset(self) -> None:
        self.value = 0.0


class ctkRangeWidget(qt.QWidget):
    """Two spin boxes around a slider with two handles; the slider is left out here."""

    valuesChanged = Signal(float, float)
    minimumValueChanged = Signal(float)
    maximumValueChanged = Signal(float)
    minimumValueIsChanging = Signal(float)
    maximumValueIsChanging = Signal(float)
    rangeChanged = Signal(float, float)
    tickInterval = qt_property(float, "tickInterval", 0.0)
    autoSpinBoxWidth = qt_property(bool, "autoSpinBoxWidth", True)
    spinBoxTextAlignment = qt_property(int, "spinBoxTextAlignment", 1)
    spinBoxAlignment = qt_property(int, "spinBoxAlignment", 128)
    tracking = qt_property(bool, "tracking", True)
    symmetricMoves = qt_property(bool, "symmetricMoves", False)

    def __init__(self, parent: Any = None):
        super().__init__(parent)
        self._low, self._high = qt.QDoubleSpinBox(self), qt.QDoubleSpinBox(self)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for box in (self._low, self._high):
            box.setRange(0.0, 99.0)
            layout.addWidget(box)
        self._high.value = 99.0
        self._low.valueChanged.connect(self._low_moved)
        self._high.valueChanged.connect(self._high_moved)

    def _low_moved(self, value: float) -> None:
        if self._high.value < value:
            self._high.value = value
        self.minimumValueChanged.emit(value)
        self.valuesChanged.emit(value, self._high.value)

    def _high_moved(self, value: float) -> None:
        if self._low.value > value:
            self._low.value = value
        self.maximumValueChanged.emit(value)
        self.valuesChanged.emit(self._low.value, value)

    def _both(name: str, kind: type) -> Any:  # noqa: N805
        def put(self: Any, value: Any) -> None:
            for box in (self._low, self._high):
                setattr(box, name, kind(value))
            if name in ("minimum", "maximum"):
                self.rangeChanged.emit(self._low.minimum, self._low.maximum)

        return computed(kind, lambda self: getattr(self._low, name), put)

    decimals = _both("decimals", int)
    singleStep = _both("singleStep", float)
    minimum = _both("minimum", float)
    maximum = _both("maximum", float)
    prefix = _both("prefix", str)
    suffix = _both("suffix", str)
    del _both
    minimumValue = computed(float, lambda self: self._low.value, lambda self, value: setattr(self._low, "value", float(value)))
    maximumValue = computed(float, lambda self: self._high.value, lambda self, value: setattr(self._high, "value", float(value)))

    def setMinimumValue(self, value: float) -> None:
        self.minimumValue = value

    def setMaximumValue(self, value: float) -> None:
        self.maximumValue = value

    def setValues(self, low: float, high: float) -> None:
        self.minimumValue, self.maximumValue = low, high

    def reset(self) -> None:
        self.setValues(0.0, 0.0)


class ctkDoubleRangeSlider(ctkRangeWidget):
    """Two handles on one slider."""

    sliderPressed = Signal()
    sliderReleased = Signal()
    positionsChanged = Signal(float, float)
    minimumPositionChanged = Signal(float)
    maximumPositionChanged = Signal(float)
    orientation = qt_property(int, "orientation", 1)
    minimumPosition = ctkRangeWidget.minimumValue
    maximumPosition = ctkRangeWidget.maximumValue
