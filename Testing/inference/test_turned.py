"""A network whose arrays run along other axes sees what it would see alone, and its gradient comes back to the same voxels."""

import itertools

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from nibabel.orientations import axcodes2ornt, inv_ornt_aff

from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
from Agg2ExpLib.inference.compute import BatchSize, choose_compute
from Agg2ExpLib.inference.segmentation import segment
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.inference.turned import turned
from Agg2ExpLib.io.grid import Grid, closest_to_ras
from Agg2ExpLib.io.turn import Turn
from Agg2ExpLib.monitor import Monitor, Stage
from support.networks import random_network

ORIENTATIONS = ["".join(codes) for order in itertools.permutations(("RL", "AP", "SI")) for codes in itertools.product(*order)]


def grid_in(codes, shape):
    """A grid whose own axes run as the codes say."""
    affine = inv_ornt_aff(axcodes2ornt(tuple(codes)), shape)
    return Grid(shape, affine @ np.diag([2.0, 3.0, 4.0, 1.0]))


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_there_and_back(codes):
    shape = (4, 5, 6)
    grid = grid_in(codes, shape)
    array = np.arange(120).reshape(shape)
    turn = Turn.of(grid)
    ours = turn.back(array)
    ras = closest_to_ras(grid)
    assert ours.shape == ras.shape
    assert turn.is_identity == (codes == "RAS")
    # the same voxel lies at the same place in the patient
    for index in np.ndindex(shape):
        place = np.rint(ras.to_index(grid.to_ras(np.array(index)))).astype(int)
        assert ours[tuple(place)] == array[index]
    np.testing.assert_array_equal(turn.forth(ours), array)
    batch = torch.from_numpy(array)[None, None]
    np.testing.assert_array_equal(turn.tensor_back(batch)[0, 0].numpy(), ours)
    np.testing.assert_array_equal(turn.tensor_forth(turn.tensor_back(batch)).numpy(), batch.numpy())
    assert turn.sizes_back(turn.sizes(ours.shape)) == ours.shape == turn.sizes_back(shape)


@pytest.mark.parametrize("codes", ["LPS", "SAR", "PIR", "LAS"])
@pytest.mark.parametrize(("shape", "overlap"), [((17, 26, 12), 0.3), ((9, 13, 21), 0.5)])
def test_windows_lie_as_the_networks_own_framework_lays_them(codes, shape, overlap):
    """Positions and padding are not symmetric: they must be counted along the network's axes."""
    network = random_network(seed=2)
    roi = (16, 12, 10)
    own = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    leaf = own.clone().requires_grad_(True)
    logits = sliding_window_inference(leaf[None, None], roi, 1, network, overlap=overlap, mode="gaussian")[0]
    expected = logits.argmax(0).numpy()
    mask = expected == 1
    (logits[1] * torch.from_numpy(mask)).sum().backward()

    turn = Turn.of(grid_in(codes, shape))
    image = torch.from_numpy(np.ascontiguousarray(turn.back(own.numpy())))
    plan = WindowPlan(image.shape, turn.sizes_back(roi), overlap, "gaussian", turn=turn)
    behind, compute, monitor = turned(network, turn), choose_compute("cpu", "float64"), Monitor()
    batch, stage = BatchSize(compute, monitor, 2), Stage(monitor, "segment", 0, 1)
    labels = segment(behind, image, plan, compute, batch, stage).labels
    np.testing.assert_array_equal(turn.forth(labels), expected)
    engine = StitchedGradient(behind, plan, [Target("one", 1, labels == 1)], compute, batch)
    sums = engine.new_buffers()
    engine.add([image], sums, stage, 0, 1)
    # MONAI keeps its Gaussian in single precision
    found = turn.forth(sums["one"][plan.inside].numpy())
    np.testing.assert_allclose(found, leaf.grad.numpy(), rtol=0, atol=1e-7 * float(leaf.grad.abs().max()))


def test_overlapping_labels_are_told_by_their_own_logits():
    network = random_network(seed=4)
    image = torch.rand((20, 17, 23), dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    plan, compute, monitor = WindowPlan(image.shape, (16, 16, 16), 0.5, "gaussian"), choose_compute("cpu", "float64"), Monitor()
    stage = Stage(monitor, "segment", 0, 1)
    drawn = segment(network, image, plan, compute, BatchSize(compute, monitor, 2), stage, output="sigmoid")
    logits = sliding_window_inference(image[None, None], (16, 16, 16), 1, network, overlap=0.5, mode="gaussian")[0].numpy()
    assert drawn.overlapping.any(axis=(1, 2, 3)).sum() >= 2
    assert (drawn.overlapping.sum(axis=0) > 1).any(), "nothing overlaps"
    for number, own in enumerate(logits, start=1):
        np.testing.assert_array_equal(drawn.mask(number), own > 0)
    last = np.where(logits > 0, np.arange(1, len(logits) + 1)[:, None, None, None], 0).max(axis=0)
    np.testing.assert_array_equal(drawn.labels, last)
    counts = drawn.count(len(logits) + 1)
    assert counts[0] == (logits <= 0).all(axis=0).sum()
    assert list(counts[1:]) == [int((own > 0).sum()) for own in logits]
