"""The stand-in for Slicer, and the module beside it, as fixtures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.paths import MODULE_FOLDER


@pytest.fixture
def slicerApp() -> Iterator:  # noqa: N802
    """A Slicer with an empty scene, gone after the test; see ``slicer_standin.StandIn`` for what it can do."""
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    pytest.importorskip("PySide6", reason="PySide6 is not installed")
    import slicer_standin

    standin = slicer_standin.install()
    yield standin
    slicer_standin.uninstall()


@pytest.fixture
def panelInPath(slicerApp, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802, N803
    """A Slicer that can import ``Agg2ExpModuleLib``."""
    monkeypatch.syspath_prepend(str(MODULE_FOLDER))
