"""The progress of a part of a long run, told on the scale of the whole."""

from __future__ import annotations

from ..monitor import Stage


class Part(Stage):
    """A part of another stage; the time left that it tells is that of the whole.

    Args:
        whole: the longer stage.
        begin, end: the part's place in it, 0..1.
        words: what the part is, put before its messages.
    """

    def __init__(self, whole: Stage, begin: float, end: float, words: str = ""):
        super().__init__(whole.monitor, whole.name, begin, end)
        self._whole, self._words = whole, words

    def update(self, fraction: float, message: str = "") -> None:
        """Report the part's own progress (0..1) and check for a stop."""
        place = self.start + (self.end - self.start) * min(fraction, 1.0)
        self._whole.update(place, " ".join(text for text in (self._words, message) if text))
