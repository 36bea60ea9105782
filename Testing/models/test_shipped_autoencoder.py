"""The autoencoder that comes with the project loads, fits the demo model, is small, and gives a CT back."""

from __future__ import annotations

import numpy as np
import pytest

from Agg2ExpLib.models.model import Model, demo_autoencoder, demo_weights, load_model
from Agg2ExpLib.synthetic.phantom import make_phantom
from Agg2ExpLib.training.reconstruction import TISSUES, errors_of, give_back


@pytest.fixture(scope="module")
def shipped() -> Model:
    return load_model(demo_autoencoder())


def test_it_is_small_licensed_and_for_the_demo_models_grid(shipped: Model) -> None:
    demo = load_model(demo_weights()).card
    assert demo_autoencoder().stat().st_size < 3e6
    assert shipped.task == "autoencoder"
    assert shipped.warnings == ()
    assert shipped.card.spacing == demo.spacing
    assert shipped.card.hu_window == demo.hu_window
    assert shipped.card.licence == "CC BY 4.0"
    assert "LIDC" in (shipped.card.citation or "")
    assert "Not for diagnosis" in (shipped.card.intended_use or "")
    assert (shipped.card.metrics or {})["hu_error"]["held_out"]["volumes"] == 2


@pytest.mark.usefixtures("one_thread")
def test_it_gives_a_phantom_back(shipped: Model) -> None:
    phantom = make_phantom(11, spacing=(4.0, 4.0, 4.0))
    hu = np.ascontiguousarray(phantom.ct[::-1, ::-1, 20:60:8]).astype(np.float32)
    back = give_back(shipped.network, hu, (-1024, 1024))
    errors = dict(zip(("all voxels", *TISSUES), errors_of(hu.clip(-1024, 1024), back), strict=True))
    assert errors["all voxels"] < 70
    assert errors["soft tissue"] < 70
    blurred = np.full_like(hu, hu.mean())
    assert errors_of(hu, blurred)[0] > 5 * errors["all voxels"]
