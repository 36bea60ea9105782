"""Layer CAM against captum's LayerGradCam and the papers' formulas, on small Swin UNETRs."""

import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam

from Agg2ExpLib.attribution.layer_cam import find_layer
from Agg2ExpLib.attribution.methods import attribute, make_method
from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.inference.compute import BatchSize, choose_compute
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.monitor import Monitor, Stage
from support.networks import random_network
from support.swin_networks import swin

CPU64 = choose_compute("cpu", "float64")
WINDOW = (64, 32, 32)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network():
    return swin().double().eval().requires_grad_(False)


def explain(network, image, targets, plan, batch=1, **parameters):
    engine = StitchedGradient(network, plan, targets, CPU64, BatchSize(CPU64, Monitor(), batch))
    return attribute(engine, image, make_method("layer_cam", **parameters), Stage(Monitor(), "explain", 0, 1))


def one_window(seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(WINDOW, dtype=torch.float64, generator=generator)
    mask = torch.rand(WINDOW, generator=generator) < 0.1
    return image, Target("label", 1, mask.numpy()), WindowPlan(WINDOW, WINDOW)


@pytest.mark.parametrize(("layer", "relu"), [("2", True), ("decoder2", False)])
def test_grad_cam_agrees_with_captum(network, layer, relu):
    image, target, plan = one_window()

    def summed(volume):
        return (network(volume)[:, target.channel] * torch.from_numpy(target.mask)).sum(dim=(1, 2, 3))

    theirs = LayerGradCam(summed, find_layer(network, layer)).attribute(image[None, None], relu_attributions=relu)
    theirs = LayerAttribution.interpolate(theirs, WINDOW, "trilinear")[0, 0]
    ours = explain(network, image, [target], plan, layer=layer, cam="gradcam", relu=relu)["label"]
    assert theirs.abs().sum() > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    assert not relu or ours.min() >= 0


def test_layer_cam_by_its_formula(network):
    image, target, plan = one_window(1)
    layer, kept = find_layer(network, "1"), []
    handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    logits = network(image[None, None].clone().requires_grad_(True))
    handle.remove()
    (gradient,) = torch.autograd.grad((logits[0, 1] * torch.from_numpy(target.mask)).sum(), kept[0])
    cam = (gradient.relu() * kept[0]).sum(1, keepdim=True).relu()
    expected = torch.nn.functional.interpolate(cam, WINDOW, mode="trilinear")[0, 0].detach()
    ours = explain(network, image, [target], plan, layer="1")["label"]
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-12)


def test_windows_add_up_whatever_the_batch_and_labels():
    """Over several windows: every window's own map with the cotangent ``ŷ · w / Σw``, in one go for all labels."""
    generator = torch.Generator().manual_seed(3)
    network = random_network(seed=1, width=4)
    image = torch.rand((14, 9, 11), dtype=torch.float64, generator=generator)
    plan = WindowPlan(image.shape, (8, 8, 8), 0.25, "gaussian")
    targets = [Target(str(c), c, (torch.rand(image.shape, generator=generator) < 0.2).numpy()) for c in range(3)]
    ours = explain(network, image, targets, plan, 3, layer="3")
    for target in targets:
        expected = torch.zeros_like(image)
        for window in plan.windows:
            crop = image[window][None, None]
            features = network[:4](crop).detach().requires_grad_(True)
            cotangent = torch.from_numpy(target.mask[window]) * plan.weight.double() / plan.weight_sum(torch.float64)[window]
            (gradient,) = torch.autograd.grad((network[4:](features)[0, target.channel] * cotangent).sum(), features)
            expected[window] += (gradient.relu() * features).sum(1)[0].relu().detach()
        torch.testing.assert_close(ours[target.name], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("layer", "word"), [("2", "not a Swin UNETR"), ("decoder2", "no layer 'decoder2'")])
def test_networks_without_the_layer(layer, word):
    from monai.networks.nets import UNet

    unet = UNet(3, 1, 2, channels=(4, 8), strides=(2,))
    with pytest.raises(InputError, match=word):
        find_layer(unet, layer)


def test_layers_that_give_no_maps(network):
    image, target, plan = one_window()
    with pytest.raises(InputError, match="no maps of channels in space"):
        explain(network, image, [target], plan, layer="swinViT.layers1.0.blocks.0.mlp")
