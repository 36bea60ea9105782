"""The rows of the Advanced section that name another computer to compute on, and the question that is asked once for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.serving.ssh import COMMAND, check_host

from .ModelInfo import isThere

if TYPE_CHECKING:
    from .PanelState import Changes, PanelState

HOST = "otherComputer"  # told as a parameter of this name
_HOST, _COMMAND, _AGREED = "Agg2Exp/Host", "Agg2Exp/HostCommand", "Agg2Exp/HostsAgreed"
_ROW = 60  # below those of the .ui file


class OtherComputer:
    """Where runs and questions are computed. Kept in the application's settings and never in the scene: a scene that somebody else
    has made must not send a patient's CT anywhere.

    Args:
        state: of the panel.
    """

    def __init__(self, state: PanelState):
        self.state = state
        grid, parent = state.ui.advancedContents.layout(), state.ui.advancedContents
        self.hostEdit, self.commandEdit = qt.QLineEdit(parent), qt.QLineEdit(parent)
        self.hostEdit.placeholderText, self.commandEdit.placeholderText = _("this one"), COMMAND
        self.hostEdit.toolTip = _(
            "Another computer to compute on, as for ssh: user@workstation, or a name in ~/.ssh/config. It must let you in without "
            "a password. The CT is sent there, results come back, and nothing stays there. Empty: this computer."
        )
        self.commandEdit.toolTip = _("What starts Agg2Exp there.")
        self._commandLabel = qt.QLabel(_("Command there:"), parent)
        for row, (label, edit) in enumerate(
            ((qt.QLabel(_("Computer:"), parent), self.hostEdit), (self._commandLabel, self.commandEdit)), _ROW
        ):
            grid.addWidget(label, row, 0)
            grid.addWidget(edit, row, 1)
        self.hostEdit.text, self.commandEdit.text = self.host, self.command
        self.hostEdit.editingFinished.connect(self._onEdited)
        self.commandEdit.editingFinished.connect(self._onEdited)
        self._show()

    @property
    def host(self) -> str:
        """The other computer; empty for this one."""
        return str(qt.QSettings().value(_HOST) or "").strip()

    @property
    def command(self) -> str:
        """What starts the server there; empty for the usual command."""
        return str(qt.QSettings().value(_COMMAND) or "").strip()

    def refresh(self, changed: Changes) -> None:
        self.hostEdit.enabled = self.commandEdit.enabled = not self.state.busy

    def words(self) -> Sequence[str]:
        """Arguments of ``agg2exp serve``."""
        if not self.host:
            return ()
        return ("--host", self.host, *(("--host-command", self.command) if self.command else ()))

    def problem(self, weights: str) -> str:
        """Why nothing can be computed so, in one sentence; empty when it can."""
        if isThere(weights) and not self.host:
            return _("This model lies on another computer: name it (Advanced), or choose another model.")
        try:
            if self.host:
                check_host(self.host)
        except InputError as error:
            return str(error)
        return ""

    def isAgreed(self) -> bool:
        """Whether the user lets data go there; asked once for each computer."""
        host = self.host
        if not host or host in self._agreed():
            return True
        text = _(
            "This patient's CT, drawn regions and, unless it lies there, the model are sent to {host} through ssh; the results "
            "come back, and what was sent is deleted there at the end of the session. Send them?"
        ).format(host=host)
        if not slicer.util.confirmOkCancelDisplay(text, windowTitle=_("Another computer")):
            return False
        qt.QSettings().setValue(_AGREED, json.dumps([*self._agreed(), host]))
        return True

    def _agreed(self) -> list[str]:
        try:
            return [str(host) for host in json.loads(qt.QSettings().value(_AGREED) or "[]")]
        except (TypeError, ValueError):
            return []

    def _onEdited(self) -> None:
        changed = (self.hostEdit.text.strip(), self.commandEdit.text.strip()) != (self.host, self.command)
        if not changed:
            return
        qt.QSettings().setValue(_HOST, self.hostEdit.text.strip())
        qt.QSettings().setValue(_COMMAND, self.commandEdit.text.strip())
        self._show()
        self.state.tell({HOST, "weights"})

    def _show(self) -> None:
        self._commandLabel.visible = self.commandEdit.visible = bool(self.host)
