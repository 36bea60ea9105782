"""A combo box whose entries stand for values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class ChoiceBox:
    """A QComboBox whose entries stand for values; tells only what the user chooses.

    Args:
        combo: the widget.
        onChosen: is given the value.
    """

    def __init__(self, combo: Any, onChosen: Callable[[str], None]):
        self.combo = combo
        self._values: list[str] = []
        self._shown: list[tuple[str, str]] = []
        self._busy = False
        self._onChosen = onChosen
        combo.currentIndexChanged.connect(self._onIndex)

    def setChoices(self, choices: Sequence[tuple[str, str]], current: str) -> None:
        """Value and text of each entry, and the value to show."""
        self._busy = True
        try:
            if list(choices) != self._shown:
                self._shown = list(choices)
                self._values = [value for value, _text in choices]
                self.combo.clear()
                for _value, text in choices:
                    self.combo.addItem(text)
            self.combo.currentIndex = self._values.index(current) if current in self._values else -1
        finally:
            self._busy = False

    @property
    def value(self) -> str:
        """The value shown, empty for none."""
        index = self.combo.currentIndex
        return self._values[index] if 0 <= index < len(self._values) else ""

    @property
    def text(self) -> str:
        """The text shown, empty for none."""
        index = self.combo.currentIndex
        return self._shown[index][1] if 0 <= index < len(self._shown) else ""

    def _onIndex(self, *_unused: Any) -> None:
        if not self._busy and self.combo.currentIndex >= 0:
            self._onChosen(self.value)
