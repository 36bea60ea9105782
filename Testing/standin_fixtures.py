"""The stand-in for Slicer as a fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def slicerApp() -> Iterator:  # noqa: N802
    """A Slicer with an empty scene, gone after the test; see ``slicer_standin.StandIn`` for what it can do."""
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    pytest.importorskip("PySide6", reason="PySide6 is not installed")
    import slicer_standin

    standin = slicer_standin.install()
    yield standin
    slicer_standin.uninstall()
