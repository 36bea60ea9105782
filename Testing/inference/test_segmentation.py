"""Segmentation equals MONAI's sliding-window inference."""

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.inference.compute import BatchSize, choose_compute
from Agg2ExpLib.inference.segmentation import segment
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.monitor import Monitor, Stage
from support.networks import random_network

CASES = [
    # shape, window, overlap, blend, window batch
    ((30, 21, 40), (16, 16, 16), 0.25, "constant", 1),
    ((30, 12, 40), (16, 16, 16), 0.5, "gaussian", 5),
    ((20, 33, 18), (24, 16, 16), 0.0, "gaussian", 3),
    ((10, 11, 12), (16, 16, 16), 0.25, "constant", 4),
    ((17, 50, 16), (16, 16, 16), 0.7, "constant", 2),
]


@pytest.mark.parametrize(("shape", "roi", "overlap", "blend", "batch"), CASES)
def test_equals_monai(shape, roi, overlap, blend, batch):
    network = random_network(seed=len(shape) + batch)
    image = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    compute = choose_compute("cpu", "float64")
    plan = WindowPlan(shape, roi, overlap, blend)
    monitor = Monitor()
    ours = segment(network, image, plan, compute, BatchSize(compute, monitor, batch), Stage(monitor, "segment", 0, 1)).labels
    logits = sliding_window_inference(image[None, None], roi, 2, network, overlap=overlap, mode=blend)[0]
    assert ours.dtype == np.uint8
    assert len(np.unique(ours)) > 1
    np.testing.assert_array_equal(ours, logits.argmax(0).numpy())


def test_padding_value_is_used():
    network = random_network()
    image = torch.rand((10, 11, 12), dtype=torch.float64)
    compute, monitor = choose_compute("cpu", "float64"), Monitor()
    plan = WindowPlan(image.shape, (16, 16, 16))
    stage = Stage(monitor, "segment", 0, 1)
    ours = segment(network, image, plan, compute, BatchSize(compute, monitor), stage, pad_value=-1.0).labels
    logits = sliding_window_inference(image[None, None], (16, 16, 16), 1, network, cval=-1.0)[0]
    np.testing.assert_array_equal(ours, logits.argmax(0).numpy())


@pytest.mark.parametrize(("overlap", "blend"), [(1.0, "constant"), (-0.1, "constant"), (0.25, "linear")])
def test_bad_windows(overlap, blend):
    with pytest.raises(InputError):
        WindowPlan((20, 20, 20), (16, 16, 16), overlap, blend)
