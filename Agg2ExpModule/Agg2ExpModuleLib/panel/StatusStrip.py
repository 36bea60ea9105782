"""The strip that tells what goes on: always visible, below what is scrolled, with the progress and the button that stops it."""

from __future__ import annotations

from typing import Any

from .Activity import Activity
from .CohortComparison import CohortComparison
from .InputSection import problemStyle
from .PanelState import Changes, PanelState, Topic
from .Scrolling import intoView, scrollAreaOf


class StatusStrip:
    """Controls the strip. It lies in the panel as the ``.ui`` file has it until :meth:`place` finds a better place.

    Args:
        state: of the panel.
        activity: whose message and progress it shows; while there is none, those of the comparison.
        comparison: with a cohort.
    """

    def __init__(self, state: PanelState, activity: Activity, comparison: CohortComparison):
        self.state, self.ui, self.activity, self.comparison = state, state.ui, activity, comparison
        self._away = False
        ui = self.ui
        ui.dismissButton.clicked.connect(self._onDismiss)
        ui.cancelButton.clicked.connect(self._onCancel)
        ui.logButton.clicked.connect(self._onLogButton)
        activity.onLog.append(self._onLog)
        self.show()

    def refresh(self, changed: Changes) -> None:
        if changed & {Topic.BUSY, Topic.COMPARISON, Topic.COMPARISON_PROGRESS}:
            self.show()

    def show(self) -> None:
        """Show what goes on, or how it ended."""
        ui, activity, comparison = self.ui, self.activity, self.comparison
        message, hint, fraction = activity.message, activity.hint, activity.fraction
        busy, cancellable, failed = activity.busy, activity.cancellable, activity.failed
        if not busy and comparison.running:
            busy, cancellable, failed = True, True, False
            message, hint, fraction = comparison.message, "", comparison.fraction
        ui.runFrame.visible = busy or bool(message)
        ui.progressBar.visible = busy
        if busy:
            # Without a known fraction the bar runs to and fro.
            ui.progressBar.maximum = 0 if fraction is None else 1000
            if fraction is not None:
                ui.progressBar.value = round(1000 * fraction)
        text = "\n".join(part for part in (message, hint) if part)
        ui.statusLabel.text = text
        ui.statusLabel.toolTip = text
        ui.statusLabel.styleSheet = problemStyle(failed)
        ui.cancelButton.visible = busy
        ui.cancelButton.enabled = cancellable
        ui.dismissButton.visible = not busy
        # Before the first run there is nothing in it.
        ui.logButton.visible = bool(message)

    # Where it is

    def place(self) -> None:
        """Put it below the scroll area that the panel lies in; called when the module is opened."""
        area = scrollAreaOf(self.state.root)
        layout = area.parentWidget().layout() if area is not None and area.parentWidget() is not None else None
        if layout is None or self._away:
            return
        self._away = True
        if hasattr(layout, "rowCount"):  # a grid
            layout.addWidget(self.ui.runFrame, layout.rowCount(), 0)
        else:
            layout.addWidget(self.ui.runFrame)
        self.show()

    def takeBack(self) -> None:
        """Put it back into the panel: another module is opened, or the panel goes and the strip with it."""
        if self._away:
            self._away = False
            self.state.root.layout().insertWidget(0, self.ui.runFrame)

    # What the user does

    def _onCancel(self, *_unused: Any) -> None:
        if self.activity.busy:
            self.activity.cancel()
        else:
            self.comparison.cancel()

    def _onDismiss(self, *_unused: Any) -> None:
        self.activity.dismiss()

    def _onLogButton(self, *_unused: Any) -> None:
        self.ui.logSection.collapsed = False
        intoView(self.state.root, self.ui.logSection)

    def _onLog(self, line: str) -> None:
        self.ui.logText.appendPlainText(line)
