"""How the panel asks for, shows and ends an installation of what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import Panel


@pytest.fixture
def panel(slicerApp, tmp_path: Path, small_weights: Path) -> Iterator[Panel]:  # noqa: N803
    return Panel(slicerApp, tmp_path, small_weights)


class FewPackages:
    """An installer on a computer where two packages are missing until they are installed."""

    def __init__(self) -> None:
        from Agg2ExpModuleLib.setup.RequirementsCheck import Requirement

        self.needed = [Requirement("torch", "torch>=2.2", 2500.0, "runs it"), Requirement("monai", "monai>=1.5.1", 3.0, "networks")]
        self.obstacle = ""
        self.code = "print('Installing collected packages: torch')"

    def missing(self) -> list:
        return self.needed

    def describe(self, missing: list) -> str:
        return f"Install {len(missing)} packages?"

    def plan(self, missing: list, wheelFolder: str | None = None) -> list:  # noqa: N803
        from Agg2ExpModuleLib.setup.Installer import Command, InstallError

        if self.obstacle:
            raise InstallError(self.obstacle)
        return [Command("PyTorch", ("-c", self.code), 2500.0)]

    def constraints(self, command: object, missing: list) -> str:
        if self.code.startswith("print"):
            self.needed = []  # it will be there
        return ""

    def removeBrokenTorch(self) -> str:  # noqa: N802
        return ""


def test_missing_packages_are_named_and_asked_for(panel: Panel) -> None:
    panel.add_ct()
    panel.widget.requirements.installer = installer = FewPackages()
    panel.widget.requirements.check()
    panel.open("input", "explain")
    assert panel.ui.requirementsFrame.visible
    assert "torch, monai" in panel.ui.requirementsLabel.text
    assert "2.5 GB" in panel.ui.requirementsLabel.text
    assert not panel.ui.segmentButton.enabled
    assert "requirements" in panel.ui.applyButton.toolTip
    panel.app.app.testing = False  # ask as in use
    installer.obstacle = "Install the extension first."
    panel.click(panel.ui.installButton)
    assert panel.app.dialogs.texts == [], "what cannot succeed is not asked for"
    assert panel.ui.statusLabel.text == "Install the extension first."
    assert panel.sees(panel.ui.statusLabel)
    installer.obstacle = ""
    panel.app.dialogs.answers.append(False)
    panel.click(panel.ui.installButton)
    assert not panel.controller.busy
    assert panel.app.dialogs.texts == ["Install 2 packages?"]
    panel.app.dialogs.answers.append(True)
    panel.click(panel.ui.installButton)
    assert panel.controller.task == "install"
    panel.wait()
    assert not panel.ui.requirementsFrame.visible
    assert panel.ui.segmentButton.enabled
    assert panel.ui.statusLabel.text == "Everything is installed."
    assert panel.sees(panel.ui.statusLabel)


def test_an_installation_is_seen_stopped_and_its_failure_told_where_one_looks(panel: Panel) -> None:
    panel.widget.requirements.installer = installer = FewPackages()
    panel.widget.requirements.check()
    panel.open("input")
    installer.code = "import time; time.sleep(600)"
    panel.app.app.testing = False  # ask as in use; the answer is yes
    panel.click(panel.ui.installButton)
    panel.wait(lambda: panel.widget.requirements.child.pid is not None)
    assert panel.sees(panel.ui.progressBar)
    assert panel.sees(panel.ui.cancelButton)
    assert not panel.ui.applyButton.enabled
    panel.click(panel.ui.cancelButton)
    panel.wait(seconds=20)
    assert "stopped" in panel.ui.statusLabel.text
    installer.code = "import sys; sys.exit('ERROR: no space left on device')"
    panel.click(panel.ui.installButton)
    panel.wait()
    assert panel.controller.failed
    assert "no space left on device" in panel.ui.statusLabel.text
    assert "no space left on device" in panel.ui.logText.plainText
    assert panel.sees(panel.ui.statusLabel)
    panel.click(panel.ui.logButton)
    for _round in range(5):
        panel.app.app.processEvents()
    assert panel.sees(panel.ui.logText)
