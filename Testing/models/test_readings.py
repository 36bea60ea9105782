"""Which tensors of a file are the network's: wrappers, copies, other values beside them, and what must not be left out."""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import pathlib

import numpy as np
import pytest
import torch
from monai.networks import nets

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.models.model_card import read_model_card, write_model_card
from support.swin_networks import SWIN_CARD, same_outputs, save

pytestmark = pytest.mark.usefixtures("one_thread")
UNET = {"out_channels": 3, "channels": [4, 8], "strides": [2]}
CARD = SWIN_CARD | {"roi_size": 16, "network": {"class": "UNet", **UNET}}


def unet(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return nets.UNet(3, 1, **UNET).eval()


def prefixed(prefix: str, state: dict) -> dict:
    return {prefix + name: value for name, value in state.items()}


def written(folder, checkpoint, name: str = "w.pt", **changes):
    torch.save(checkpoint, folder / name)
    (folder / name).with_suffix(".json").write_text(json.dumps(CARD | changes))
    return folder / name


@pytest.mark.parametrize("prefix", ["backbone.", "model.", "student.", "a.b-c.", "module.swin_unetr.", "_forward_module.net."])
def test_any_prefix(tmp_path, small_swin, swin_state, prefix):
    assert same_outputs(small_swin, load_model(save(tmp_path, prefixed(prefix, swin_state))).network)
    network = unet()
    assert same_outputs(network, load_model(written(tmp_path, prefixed(prefix, network.state_dict()))).network, (16,) * 3)


@pytest.mark.parametrize("key", ["ema", "student", "model_weights", "whatever", "a/b"])
@pytest.mark.parametrize("name", ["w.bin", "w.pth.tar", "w.tar"])
def test_any_key_and_further_suffixes(tmp_path, key, name):
    network = unet()
    path = written(tmp_path, {key: {"inner": prefixed("net.", network.state_dict())}, "epoch": 3}, name)
    model = load_model(path)
    assert same_outputs(network, model.network, (16,) * 3)
    assert model.warnings == ()


def test_card_of_a_name_with_two_suffixes(tmp_path):
    torch.save(unet().state_dict(), tmp_path / "w.pth.tar")
    (tmp_path / "w.json").write_text(json.dumps(CARD))
    assert load_model(tmp_path / "w.pth.tar").labels == ("background", "aorta", "heart")


BESIDE = {
    "arrays": {"losses": np.arange(4.0), "table": np.zeros(2, [("a", "f4")]), "objects": np.array(["a", None], object)},
    "numbers": {"best": np.float64(0.8), "seen": np.int64(4), "rate": np.float16(0.5)},
    "paths": {"root": pathlib.PurePosixPath("/d"), "here": pathlib.Path("a"), "windows": pathlib.PureWindowsPath("c:/d")},
    "settings": {"hyper_parameters": argparse.Namespace(lr=1, root=pathlib.Path("a")), "when": datetime.datetime(2026, 1, 2)},
    "mappings": {"log": collections.defaultdict(list, {"loss": [1.0]}), "seen": collections.Counter("ab")},
    "lists": {"last": collections.deque([1, 2], 5), "sizes": frozenset([1]), "shape": torch.Size([1, 2])},
    "counters": {"total_ops": torch.zeros(1), "total_params": torch.zeros(1), "n_averaged": torch.tensor(3)},
    "training": {"optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}, "lr_scheduler": {"x": torch.ones(1)}},
}


@pytest.mark.parametrize("kind", BESIDE)
@pytest.mark.parametrize("zipped", [True, False])
def test_data_beside_the_tensors(tmp_path, kind, zipped):
    network = unet()
    torch.save({"state_dict": network.state_dict(), **BESIDE[kind]}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    (tmp_path / "w.json").write_text(json.dumps(CARD))
    model = load_model(tmp_path / "w.pt")
    assert same_outputs(network, model.network, (16,) * 3)
    assert model.warnings == ()


def test_tensors_in_a_default_dictionary(tmp_path):
    network = unet()
    path = written(tmp_path, {"state_dict": collections.defaultdict(list, network.state_dict())})
    assert same_outputs(network, load_model(path).network, (16,) * 3)


def test_counters_in_every_module(tmp_path):
    """As thop leaves them."""
    network = unet()
    for part in network.modules():
        part.register_buffer("total_ops", torch.zeros(1))
        part.register_buffer("total_params", torch.zeros(1))
    model = load_model(written(tmp_path, network.state_dict()))
    assert model.warnings == ()


def parts(state: dict) -> dict[str, dict]:
    head = {"head.weight": torch.eye(3)[[0, 2, 1]].reshape(3, 3, 1, 1, 1), "head.bias": torch.zeros(3)}
    return {
        "normalisation": prefixed("net.", state) | {"mean": torch.tensor(0.3), "std": torch.tensor(0.2)},
        "head": prefixed("net.", state) | head,
        "stem": prefixed("net.", state) | {"stem.weight": -torch.ones(1, 1, 1, 1, 1)},
        "temperature": state | {"temperature": torch.tensor(2.0)},
        "inside": {"state_dict": state, "head": {"weight": torch.ones(3)}},
        "other network": {"generator": state, "refiner": {"conv.weight": torch.ones(3, 3, 1, 1, 1)}},
    }


@pytest.mark.parametrize(
    ("kind", "named", "leave_out"),
    [
        ("normalisation", "'mean' scalar, 'std' scalar", ["mean", "std"]),
        ("head", "'head.weight' 3x3x1x1x1, 'head.bias' 3", ["head"]),
        ("stem", "'stem.weight' 1x1x1x1x1", ["stem.*"]),
        ("temperature", "'temperature' scalar", ["temperature"]),
        ("inside", "'head.weight' 3", ["head.weight"]),
        ("other network", "'refiner.conv.weight' 3x3x1x1x1", ["refiner."]),
    ],
)
def test_more_than_the_network(tmp_path, kind, named, leave_out):
    network = unet()
    path = written(tmp_path, parts(network.state_dict())[kind])
    with pytest.raises(InputError, match=rf'w\.pt holds more than UNet: {named} would be left out .* "leave_out"') as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    model = load_model(written(tmp_path, parts(network.state_dict())[kind], leave_out=leave_out))
    assert same_outputs(network, model.network, (16,) * 3)
    with pytest.raises(InputError, match="holds more than UNet"):
        load_model(written(tmp_path, parts(network.state_dict())[kind], leave_out=["another"]))


def test_numbers_beside_the_weights_are_told(tmp_path):
    content = {"state_dict": unet().state_dict(), "data": {"mean": 0.3, "std": np.array([0.2])}}
    assert "has 'data.mean' beside the weights" in load_model(written(tmp_path, content)).warnings[0]
    assert load_model(written(tmp_path, content, leave_out=["data"])).warnings == ()


@pytest.mark.parametrize(
    ("plain", "averaged"), [("model.", "ema_model."), ("student.", "teacher."), ("net.module.", "net_ema.module.")]
)
def test_averaged_weights_beside_plain_ones(tmp_path, plain, averaged):
    network, average = unet(0), unet(1)
    both = prefixed(plain, network.state_dict()) | prefixed(averaged, average.state_dict()) | {"ema_decay.decay": torch.tensor(0.9)}
    model = load_model(written(tmp_path, both))
    assert same_outputs(average, model.network, (16,) * 3)
    assert len(model.warnings) == 1
    assert f"averaged weights '{averaged[:-1]}' were taken" in model.warnings[0]
    asked = load_model(written(tmp_path, both, weights=plain[:-1]))
    assert same_outputs(network, asked.network, (16,) * 3)
    assert asked.warnings == ()


def test_keys_of_averaged_weights(tmp_path, small_swin, swin_state):
    other = {name: value + 1 if value.is_floating_point() else value for name, value in swin_state.items()}
    model = load_model(save(tmp_path, {"state_dict": other, "state_dict_ema": swin_state}, SWIN_CARD, "w.pt"))
    assert same_outputs(small_swin, model.network)
    assert "averaged weights 'state_dict_ema' were taken" in model.warnings[0]


def test_two_networks_of_which_none_is_plainly_meant(tmp_path):
    both = prefixed("first.", unet(0).state_dict()) | prefixed("second.", unet(1).state_dict())
    with pytest.raises(InputError, match=r"holds UNet 2 times with other values \('first', 'second'\): say which as \"weights\""):
        load_model(written(tmp_path, both))
    assert same_outputs(unet(1), load_model(written(tmp_path, both, weights="second")).network, (16,) * 3)
    with pytest.raises(InputError, match=r"asks for 'third' .* fits 'first', 'second'"):
        load_model(written(tmp_path, both, weights="third"))
    same = prefixed("first.", unet(0).state_dict()) | prefixed("second.", unet(0).state_dict())
    assert load_model(written(tmp_path, same)).warnings == ()


class Wrapped(torch.nn.Module):
    """Scales what the network sees, with numbers that are no tensors."""

    def __init__(self, numbers: bool) -> None:
        super().__init__()
        self.net = unet()
        if numbers:
            self.mean = 0.25

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x.flip(2))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_of_the_network_alone_and_of_more(tmp_path):
    (tmp_path / "w.json").write_text(json.dumps(CARD))
    torch.jit.trace(unet(), torch.rand(1, 1, 16, 16, 16)).save(str(tmp_path / "w.ts"))
    model = load_model(tmp_path / "w.ts")
    assert same_outputs(unet(), model.network, (16,) * 3)
    assert model.warnings == ()
    torch.jit.trace(Wrapped(numbers=False), torch.rand(1, 1, 16, 16, 16)).save(str(tmp_path / "w.ts"))
    model = load_model(tmp_path / "w.ts")
    assert same_outputs(unet(), model.network, (16,) * 3)
    assert "is a TorchScript program, of which only the tensors were read" in model.warnings[0]
    torch.jit.script(Wrapped(numbers=True)).save(str(tmp_path / "w.ts"))
    with pytest.raises(InputError, match=r"holds more than UNet: 'mean' 0\.25 would be left out"):
        load_model(tmp_path / "w.ts")


def test_card_keys_are_kept_and_checked(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(CARD | {"weights": "ema", "leave_out": "head"}))
    card, warnings = read_model_card(tmp_path / "a.json")
    assert (card.weights, card.leave_out, warnings) == ("ema", ("head",), ())
    write_model_card(tmp_path / "b.json", card)
    assert read_model_card(tmp_path / "b.json")[0] == card
    for wrong in ({"weights": 3}, {"leave_out": [3]}, {"leave_out": {"a": 1}}):
        (tmp_path / "a.json").write_text(json.dumps(CARD | wrong))
        with pytest.raises(InputError, match=next(iter(wrong))):
            read_model_card(tmp_path / "a.json")
