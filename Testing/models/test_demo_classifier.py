"""The shipped demo classifier: small, described, and right about plain synthetic findings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from Agg2ExpLib.models.model import Model, demo_classifier, load_model
from Agg2ExpLib.models.model_card import card_beside
from Agg2ExpLib.synthetic import findings as f
from Agg2ExpLib.synthetic.phantom import phantom_anatomy

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(demo_classifier())


def test_it_is_small_and_says_what_it_is(model: Model) -> None:
    weights = demo_classifier()
    assert weights.stat().st_size + card_beside(weights).stat().st_size < 5e6
    assert not model.warnings
    assert (model.task, model.labels, model.card.output) == ("classification", f.FINDINGS, "sigmoid")
    assert model.card.intended_use is not None
    assert "Not for diagnosis" in model.card.intended_use
    assert model.card.licence == "CC BY 4.0"
    assert model.card.metrics is not None
    assert set(model.card.metrics["scores"]) == {"synthetic_held_out", "phantom_held_out"}


def test_it_tells_plain_findings_apart(model: Model) -> None:
    body = phantom_anatomy(77, (4.0, 4.0, 4.0))

    def logits(*names: str) -> dict[str, float]:
        patient = f.draw_patient([body], np.random.default_rng(9), (80, 64, 72), 5.0, names, mirrored=0.0)
        with torch.no_grad():
            values = model.network(torch.from_numpy(model.card.preprocessing.intensities(patient.ct))[None, None])[0]
        return dict(zip(model.labels, values.tolist(), strict=True))

    healthy, left, right, contrast = logits(), logits(f.LEFT), logits(f.RIGHT), logits(f.CONTRAST)
    effusion = logits(f.EFFUSION)
    assert left[f.LEFT] > max(healthy[f.LEFT], right[f.LEFT], 0)
    assert right[f.RIGHT] > max(healthy[f.RIGHT], left[f.RIGHT], 0)
    assert contrast[f.CONTRAST] > max(healthy[f.CONTRAST], left[f.CONTRAST], 0)
    assert effusion[f.EFFUSION] > healthy[f.EFFUSION] + 0.4  # seen, if not always believed
    assert max(healthy[f.LEFT], healthy[f.RIGHT]) < 0
