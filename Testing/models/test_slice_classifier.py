"""Slice classifiers: exact contributions, chunks that change nothing, and descriptions that make no sense."""

import json

import pytest
import torch

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.classifiers import new_classifier
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.models.model_card import parse_model_card
from Agg2ExpLib.models.slice_classifier import SliceClassifier
from support.classifiers import CLASSES, classifier_spec, small_classifier, write_small_classifier

POOLINGS = ("attention", "mean", "max")


@pytest.fixture(params=POOLINGS)
def network(request):
    return small_classifier(request.param, (0, 2)).double()


@pytest.fixture
def volume():
    return torch.rand(1, 1, 9, 12, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_contributions_and_constant_sum_to_the_logit(network, volume):
    weights, parts, constant = network.slice_parts(network.slice_features(volume)[0])
    assert weights.shape == (9 + 10,)
    assert weights.sum().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(parts.sum(1) + constant, network(volume)[0], rtol=0, atol=1e-12)
    assert parts.std(dim=1).min() > 0


def test_attention_is_what_the_paper_describes(volume):
    network = small_classifier("attention", (2,)).double()
    features = network.slice_features(volume)[0]
    attention, width = network.attention, features.shape[1] // 4
    query = attention.in_proj_weight[: features.shape[1]] @ features.mean(0) + attention.in_proj_bias[: features.shape[1]]
    keys = features @ attention.in_proj_weight[features.shape[1] : -features.shape[1]].T
    shares = [
        torch.softmax(keys[:, h * width : (h + 1) * width] @ query[h * width : (h + 1) * width] / width**0.5, 0) for h in range(4)
    ]
    torch.testing.assert_close(network.slice_parts(features)[0], torch.stack(shares).mean(0))
    assert network.slice_parts(features)[0].max() > 1.05 / 10  # not the plain mean


def test_chunks_change_neither_output_nor_gradient(network, volume):
    def gradient():
        image = volume.clone().requires_grad_()
        output = network(image)
        return output, torch.stack([torch.autograd.grad(logit, image, retain_graph=True)[0] for logit in output[0]])

    output, whole = gradient()
    network.chunk_pixels = 3 * 9 * 12
    again, chunked = gradient()
    torch.testing.assert_close(again, output, rtol=0, atol=1e-12)
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-12)
    assert whole.abs().max() > 1e-6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pooling": "median"}, "no pooling 'median'"),
        ({"axes": [3]}, "axes of slices"),
        ({"axes": []}, "axes of slices"),
        ({"axes": [2.0]}, "axes of slices"),
        ({"axes": "axial"}, "axes of slices"),
        ({"heads": "4"}, "16 features .* '4' heads"),
        ({"heads": 3}, "16 features .* 3 heads"),
        ({"backbone": "resnet18"}, 'needs a "backbone"'),
        ({"backbone": {"class": "SwinUNETR"}}, "'SwinUNETR' is not supported in a classifier"),
        ({"out_channels": None}, "lacks 'out_channels'"),
        ({"dropout": 0.1}, "no setting 'dropout'"),
    ],
)
def test_descriptions_that_make_no_sense(changes, words):
    with pytest.raises(InputError, match=words):
        new_classifier(classifier_spec() | changes)


def test_model_from_files(tmp_path):
    model = load_model(write_small_classifier(tmp_path))
    assert (model.task, model.labels) == ("classification", CLASSES)
    assert "attention pooling, 3 classes" in model.architecture
    assert isinstance(model.network, SliceClassifier)
    assert parse_model_card(json.loads(model.card.to_json()), "x") == (model.card, ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ["a", "b"]}, "lists 2 classes, but .* 3 outputs"),
        ({"classes": ["a", "b", "background"]}, "the class 'background'"),
        ({"classes": ["a"], "output": "softmax"}, "2 to 256 classes"),
        ({"task": "segmentation", "labels": ["background", "a", "b"], "roi_size": 32}, "sorts whole volumes"),
        ({"task": "sorting"}, "'task'"),
        ({"network": {"class": "UNet"}}, "classifier .* names the network 'UNet'"),
        ({"network": classifier_spec() | {"backbone": "resnet18"}}, 'needs a "backbone"'),
        ({"spacing": None}, "'spacing'"),
    ],
)
def test_cards_that_do_not_fit(tmp_path, changes, words):
    weights = write_small_classifier(tmp_path)
    card = weights.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))
    with pytest.raises(InputError, match=words):
        load_model(weights)
