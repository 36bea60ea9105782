"""Graph or matrix large beside the slices, in a layout of its own; part of the section RoI importance."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from ..drawing.LargeView import GRAPH, MATRIX, LargeView
from ..scene.ViewLayout import ViewLayout
from .ChoiceBox import ChoiceBox
from .ImportanceSection import ImportanceSection
from .PanelState import Changes, PanelState, Topic


class BesideSection:
    """Controls it. The layout stays while the user works in other modules, and goes with the scene and the panel.

    Args:
        state: of the panel.
        importance: whose graph and matrix are shown once more.

    Attributes:
        layout: the views.
        view: what is shown in one of them; None in a Slicer without views.
    """

    def __init__(self, state: PanelState, importance: ImportanceSection):
        self.state, self.ui, self._importance = state, state.ui, importance
        self.layout = ViewLayout()
        self.layout.onLeft.append(self._off)
        self._what = ChoiceBox(self.ui.besideCombo, self._onWhat)
        holder = self.layout.holder()
        self.view: LargeView | None = LargeView(holder) if holder is not None else None
        if self.view is not None:
            importance.addLarge(self.view.graph, self.view.matrix)
            self.view.onChosen.append(self._onWhat)
            self.view.onClosed.append(self._off)

    def refresh(self, changed: Changes) -> None:
        parameters, ui, view = self.state.parameters, self.ui, self.view
        if view is None:
            ui.besideButton.visible = ui.besideCombo.visible = False
            return
        if parameters is None:  # the scene is being closed or opened
            self.layout.leave()
            return
        if "besideWhat" in changed:
            self._what.setChoices([(GRAPH, _("Graph")), (MATRIX, _("Matrix"))], parameters.besideWhat)
            view.show(parameters.besideWhat)
        if "beside" in changed:
            (self.layout.enter if parameters.beside else self.layout.leave)()
        if changed & {"beside", Topic.RECORD, Topic.SCENE, "record", "inputVolume"}:
            ui.besideButton.enabled = parameters.beside or self._importance.model is not None
        view.setTitle(self._importance.title, self._importance.title)

    def shutdown(self) -> None:
        """The panel goes."""
        self.layout.shutdown()
        if self.view is not None and self.layout.holder() is not None:  # else it went with the main window
            self.view.remove()

    def _off(self) -> None:
        self._set("beside", False)

    def _onWhat(self, what: str) -> None:
        self._set("besideWhat", what)

    def _set(self, name: str, value: Any) -> None:
        if self.state.parameters is not None:
            setattr(self.state.parameters, name, value)
