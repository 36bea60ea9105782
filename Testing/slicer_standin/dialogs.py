"""Dialogs without anybody to answer them: what was asked is kept, what shall be answered is set beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Asked:
    """One message box.

    Attributes:
        text: what it said.
        title: of the window, without padding.
        details: the fold-out text, "" when there was none.
        buttons: Qt's standard buttons.
        answer: what it returned.
    """

    text: str
    title: str
    details: str
    buttons: Any
    answer: Any


@dataclass
class Dialogs:
    """Record of message boxes, and answers for the next ones.

    Attributes:
        asked: all message boxes, oldest first.
        answers: taken from the front: True (OK, Yes, Retry), False (Cancel, No, Close) or a button of qt.QMessageBox.
        default: when ``answers`` is empty.
        file_answers: paths for the file dialogs of ctk widgets and qt.QFileDialog, taken from the front; without one a dialog
            returns "" as if it had been cancelled.
    """

    asked: list[Asked] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    default: Any = True
    file_answers: list[str] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """What the message boxes said."""
        return [entry.text for entry in self.asked]


current = Dialogs()


def reset() -> Dialogs:
    """Forget everything; returns the new record."""
    global current
    current = Dialogs()
    return current


def next_file() -> str:
    """The path a file dialog returns."""
    return str(current.file_answers.pop(0)) if current.file_answers else ""


def answer_of(box: Any) -> Any:
    """Record a message box and return the button it shall answer with."""
    from PySide6.QtWidgets import QMessageBox

    wanted = current.answers.pop(0) if current.answers else current.default
    buttons = box.standardButtons
    if isinstance(wanted, bool):
        yes = (QMessageBox.Ok, QMessageBox.Yes, QMessageBox.Retry, QMessageBox.Save, QMessageBox.Open)
        no = (QMessageBox.Cancel, QMessageBox.No, QMessageBox.Close, QMessageBox.Ok)
        wanted = next((button for button in (yes if wanted else no) if buttons & button), QMessageBox.Ok)
    current.asked.append(Asked(box.text, box.windowTitle.strip(), box.detailedText, buttons, wanted))
    return wanted


def replace_file_dialogs(qt: Any) -> None:
    """Static functions of qt.QFileDialog return the answers set beforehand; PythonQt gives the path alone, PySide a pair."""
    for name in ("getOpenFileName", "getSaveFileName", "getExistingDirectory"):
        setattr(qt.QFileDialog, name, staticmethod(lambda *arguments, **options: next_file()))
    qt.QFileDialog.getOpenFileNames = staticmethod(lambda *arguments, **options: [path for path in [next_file()] if path])
    for name in ("exec_", "exec"):
        setattr(qt.QMessageBox, name, answer_of)


__all__ = ["Asked", "Dialogs", "answer_of", "current", "next_file", "replace_file_dialogs", "reset"]
