"""What a window needs is told before, and a window that does not fit is computed with less: the same numbers."""

import json

import numpy as np
import pytest
import torch
from monai.networks import nets

from Agg2ExpLib.attribution.methods import attribute, make_method
from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
from Agg2ExpLib.errors import OutOfMemoryError
from Agg2ExpLib.inference import window_memory
from Agg2ExpLib.inference.averaged import averaged
from Agg2ExpLib.inference.checkpointing import Checkpointing
from Agg2ExpLib.inference.compute import BatchSize
from Agg2ExpLib.inference.footprint import choose_parts, footprint
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.inference.turned import turned
from Agg2ExpLib.inference.window_memory import WindowMemory
from Agg2ExpLib.io.turn import Turn
from Agg2ExpLib.monitor import Monitor, Stage
from support.scene import CPU64

ROI = (16, 16, 32)
NETWORKS = {
    "UNet": lambda: nets.UNet(3, 1, 3, (8, 16, 32), (2, 2), num_res_units=2),
    "SegResNet": lambda: nets.SegResNet(3, init_filters=8, in_channels=1, out_channels=3, blocks_down=(1, 2, 2), blocks_up=(1, 1)),
    "DynUNet": lambda: nets.DynUNet(3, 1, 3, [3] * 3, [1, 2, 2], [2] * 2, filters=[8, 16, 32], norm_name="instance"),
}


def make(name):
    torch.manual_seed(0)
    return NETWORKS[name]().double().eval().requires_grad_(False)


def test_bytes_and_operations_by_hand():
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 1, bias=False), torch.nn.Softplus(), torch.nn.Conv3d(4, 2, 1, bias=False))
    network = network.double().eval().requires_grad_(False)
    voxels = 10 * 11 * 12
    told = footprint(network, (10, 11, 12), CPU64)
    assert told.forward_flops == 2 * voxels * (4 + 8)
    # The image, and the two maps of four channels on either side of the Softplus.
    assert told.forward_bytes == 8 * voxels * (1 + 4 + 4)
    # Besides them the logits, then the cotangent of a label, of both, and of the maps.
    assert 8 * voxels * (9 + 2 + 3) <= told.gradient_bytes <= 8 * voxels * (9 + 2 + 3 + 8)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_parts_that_are_computed_again_give_the_same_in_less(name):
    network = make(name)
    told = footprint(network, ROI, CPU64)
    parts, peak = choose_parts(network, ROI, CPU64, told.gradient_bytes)
    assert peak < 0.9 * told.gradient_bytes
    window = torch.rand((1, 1, *ROI), dtype=torch.float64)
    kept = []

    def gradients():
        held: dict[int, int] = {}

        def pack(tensor):
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        image = window.clone().requires_grad_(True)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            outputs = network(image).unbind(1)
        kept.append(sum(held.values()))
        return [torch.autograd.grad(outputs[k], image, torch.ones_like(outputs[k]), retain_graph=k == 1)[0] for k in (1, 2)]

    plain = gradients()
    with Checkpointing(network, parts) as checkpointing:
        assert checkpointing.is_on
        again = gradients()
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))
    assert not any("forward" in vars(module) for module in network.modules())
    assert kept[0] < told.gradient_bytes


def test_a_network_that_cannot_be_followed_is_left_alone():
    class Deciding(torch.nn.Module):
        def forward(self, window):
            return torch.cat([window, window * (2 if float(window.sum()) > 0 else 3)], dim=1)

    network = Deciding().eval()
    assert footprint(network, ROI, CPU64) is None
    memory = WindowMemory(network, ROI, CPU64, Monitor())
    memory.prepare()
    assert not memory.save()
    assert memory.record() is None


class Short(torch.nn.Module):
    """Runs out of memory where more than so many bytes are kept for the backward pass."""

    def __init__(self, network, most=float("inf")):
        super().__init__()
        self.network, self.most, self.held = network, most, 0
        self.eval()

    def forward(self, window):
        self.held = 0

        def pack(tensor):
            self.held += tensor.nbytes
            return tensor

        if window.device.type == "meta" or not torch.is_grad_enabled():
            return self.network(window)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = self.network(window)
        if self.held > self.most:
            raise MemoryError
        return output


def test_one_window_that_does_not_fit():
    network = Short(make("DynUNet"))
    network(torch.zeros((1, 1, *ROI), dtype=torch.float64, requires_grad=True))
    network.most = 0.8 * network.held
    image = torch.rand((20, 16, 32), dtype=torch.float64)
    plan = WindowPlan(image.shape, ROI)
    mask = np.zeros(tuple(image.shape), dtype=bool)
    mask[5:15, 4:10, 5:25] = True
    target = Target("one", 1, mask)

    def explain(seen, batch):
        engine = StitchedGradient(seen, plan, [target], CPU64, batch)
        return attribute(engine, image, make_method("gradient"), Stage(Monitor(), "explain", 0, 1))["one"]

    with pytest.raises(OutOfMemoryError):
        explain(network, BatchSize(CPU64, Monitor(), 2))
    monitor = Monitor()
    with WindowMemory(network, ROI, CPU64, monitor) as memory:
        found = explain(network, BatchSize(CPU64, monitor, 2, memory.save))
        assert memory.checkpointed
    assert torch.equal(found, explain(network.network, BatchSize(CPU64, Monitor(), 1)))
    assert len(monitor.notices) == 2  # a smaller batch first
    assert "batches of 1" in monitor.notices[0]
    assert "gradient checkpointing" in monitor.notices[1]
    assert not any("forward" in vars(module) for module in network.modules())


def test_means_of_several_passes_too(monkeypatch):
    network = turned(averaged([make("DynUNet"), make("DynUNet")], (0,)), Turn((2, 1, 0), (True, False, True)))
    monkeypatch.setattr(window_memory, "_LEAST_VOXELS", 0)
    window = torch.rand((1, 1, *ROI), dtype=torch.float64)

    def gradient():
        image = window.clone().requires_grad_(True)
        return torch.autograd.grad(network(image)[:, 1].sum(), image)[0]

    plain = gradient()
    with WindowMemory(network, ROI, CPU64, Monitor()) as memory:
        one = footprint(make("DynUNet"), ROI, CPU64)
        assert memory.footprint.forward_bytes == one.forward_bytes
        assert memory.footprint.forward_flops == 4 * one.forward_flops
        assert memory.save()
        assert {name.split(".")[2] for name in memory.checkpointed} == {"0", "1"}
        assert torch.equal(gradient(), plain)


def test_a_run_prepares_for_too_little_memory(small_ct, small_weights, tmp_path, monkeypatch):
    from Agg2ExpLib.runs.job import Job
    from Agg2ExpLib.runs.pipeline import run_job

    class Heard(Monitor):
        told = ()

        def expected(self, memory_bytes):
            self.told = (*self.told, memory_bytes)

    def run(name):
        monitor = Heard()
        options = {"labels": ("heart",), "method": "gradient", "device": "cpu", "precision": "float64"}
        folder = run_job(Job.of(str(small_ct), str(small_weights), str(tmp_path / name), **options), monitor)
        assert len(monitor.told) == 1
        return json.loads((folder / "run.json").read_text(encoding="utf-8")), folder, monitor.told[0]

    plain, before, told = run("plain")
    assert "window_memory" not in plain  # too small a window to follow
    assert told > 0.5e9
    monkeypatch.setattr(window_memory, "_LEAST_VOXELS", 0)
    monkeypatch.setattr("Agg2ExpLib.inference.window_memory.WindowMemory._free", lambda memory: 1e6)
    lean, after, _ = run("lean")
    record = lean["window_memory"]
    assert record["checkpointed"]
    assert record["checkpointed_bytes"] < 0.9 * record["gradient_bytes"]
    assert any("gradient checkpointing" in notice and "0.0 GB are free" in notice for notice in lean["notices"])
    name = "attributions/heart.nrrd"
    assert (before / name).read_bytes() == (after / name).read_bytes()
