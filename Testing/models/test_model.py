"""Networks from weights: recognition of Swin UNETR, other MONAI networks, and what happens when things do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from monai.networks import nets
from safetensors.torch import save_model

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models import model as model_module
from Agg2ExpLib.models import swin_unetr
from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.models.model import demo_weights, load_model
from Agg2ExpLib.models.model_card import default_model_card, write_model_card
from Agg2ExpLib.system.regular_files import sha256_of_file
from support.swin_networks import SWIN_ARGUMENTS, SWIN_CARD, same_outputs, save, swin

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    "changes",
    [
        {"window_size": 7, "use_v2": True, "depths": (2, 1, 2, 1)},
        {"window_size": (2, 3, 4), "qkv_bias": False},
        {"window_size": (4, 4, 2), "mlp_ratio": 2.7, "patch_norm": True},
        {"norm_name": "batch", "out_channels": 5, "feature_size": 24, "num_heads": (3, 6, 12, 24)},
        {"norm_name": ("batch", {"affine": False}), "mlp_ratio": 1.0, "num_heads": (12, 1, 3, 6)},
    ],
)
def test_recognises_swin_unetr(tmp_path, changes):
    network = swin(**changes)
    model = load_model(save(tmp_path, network.state_dict()))
    assert same_outputs(network, model.network)
    wanted = {**SWIN_ARGUMENTS, "use_v2": False, "qkv_bias": True, "patch_norm": False, "norm_name": "instance", **changes}
    for key in ("depths", "num_heads", "use_v2", "qkv_bias", "patch_norm", "feature_size", "out_channels"):
        found = model.card.network[key]
        assert (tuple(found) if isinstance(found, list) else found) == wanted[key], key
    size = wanted["window_size"]
    assert model.card.network["window_size"] == ([size] * 3 if isinstance(size, int) else list(size))
    assert json.loads(json.dumps(model.card.network)) == model.card.network


def test_model_is_ready_to_explain(tmp_path, small_swin, swin_state):
    before = torch.get_rng_state()
    model = load_model(
        save(
            tmp_path,
            {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in swin_state.items()},
            SWIN_CARD,
        )
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.network.training
    assert not any(part.training for part in model.network.modules())
    assert all(
        part.dtype == torch.float32 and not part.requires_grad and part.device.type == "cpu" for part in model.network.parameters()
    )
    assert same_outputs(small_swin, model.network)
    assert model.name == "w"
    assert model.sha256 == sha256_of_file(tmp_path / "w.safetensors")
    assert model.architecture == "SwinUNETR v1, feature size 12, depths 1-1-1-1, heads 1-2-2-4, attention window 3x3x3, 3 channels"
    assert [label.name for label in model.card.labels] == SWIN_CARD["labels"]
    assert model.card.roi_size == (64, 32, 32)
    assert model.warnings == ()


def test_architecture_of_the_paper_network():
    args = {"use_v2": True, "feature_size": 48, "depths": (2, 2, 2, 2), "num_heads": (3, 6, 12, 24), "window_size": (7, 7, 7)}
    line = swin_unetr.describe({**args, "downsample": "merging", "out_channels": 17})
    assert line == "SwinUNETR v2, feature size 48, depths 2-2-2-2, heads 3-6-12-24, 17 channels"


@pytest.mark.parametrize("prefix", ["module.", "model.", "net.", "network.", "_orig_mod.", "module._orig_mod.", "_model.network."])
def test_prefixed_names(tmp_path, small_swin, swin_state, prefix):
    model = load_model(
        save(tmp_path, {"epoch": 5, "state_dict": {prefix + name: value for name, value in swin_state.items()}}, name="w.pt")
    )
    assert same_outputs(small_swin, model.network)


def test_prefix_beside_other_tensors(tmp_path, small_swin, swin_state):
    """Lightning keeps the loss's tensors next to the network's."""
    tensors = {f"model.{name}": value for name, value in swin_state.items()} | {"criterion.weight": torch.ones(3)}
    model = load_model(save(tmp_path, {"state_dict": tensors}, SWIN_CARD, name="w.ckpt"))
    assert same_outputs(small_swin, model.network)
    assert model.warnings == ("Left out of w.ckpt, as the names are a loss's or a metric's: 'criterion.weight' 3.",)


def test_old_names(tmp_path, small_swin, swin_state):
    old = {name.replace("swinViT.", "swin_vit.").replace("mlp.linear", "mlp.fc"): value for name, value in swin_state.items()}
    assert set(old) != set(swin_state)
    assert same_outputs(small_swin, load_model(save(tmp_path, old)).network)


def test_position_index_may_be_missing(tmp_path, small_swin, swin_state):
    kept = {name: value for name, value in swin_state.items() if not name.endswith("relative_position_index")}
    assert same_outputs(small_swin, load_model(save(tmp_path, kept)).network)


def test_uneven_window_without_index_needs_the_card(tmp_path):
    network = swin(window_size=(2, 3, 4))
    kept = {name: value for name, value in network.state_dict().items() if not name.endswith("relative_position_index")}
    with pytest.raises(InputError, match="attention window"):
        load_model(save(tmp_path, kept, SWIN_CARD))
    model = load_model(save(tmp_path, kept, SWIN_CARD | {"network": {"class": "SwinUNETR", "window_size": [2, 3, 4]}}))
    assert same_outputs(network, model.network)


@pytest.mark.parametrize("norm", [["instance", {"affine": True}], ["group", {"num_groups": 4}]])
def test_norms_with_weights_need_the_card(tmp_path, norm):
    network = swin(norm_name=(norm[0], norm[1]))
    with pytest.raises(InputError, match="normalisation"):
        load_model(save(tmp_path, network.state_dict(), SWIN_CARD))
    model = load_model(save(tmp_path, network.state_dict(), SWIN_CARD | {"network": {"class": "SwinUNETR", "norm_name": norm}}))
    assert same_outputs(network, model.network)


@pytest.mark.parametrize("downsample", swin_unetr.DOWNSAMPLES)
def test_patch_merging_named_in_the_card(tmp_path, downsample):
    network = swin(downsample=downsample)
    model = load_model(
        save(tmp_path, network.state_dict(), SWIN_CARD | {"network": {"class": "SwinUNETR", "downsample": downsample}})
    )
    assert model.card.network["downsample"] == downsample
    assert same_outputs(network, model.network)


def test_the_three_patch_mergings_differ(swin_state):
    outputs = []
    for downsample in swin_unetr.DOWNSAMPLES:
        network = swin(downsample=downsample)
        network.load_state_dict(swin_state)
        with torch.no_grad():
            outputs.append(network(torch.rand(1, 1, 64, 32, 32, generator=torch.Generator().manual_seed(0))))
    assert not any(torch.allclose(outputs[one], outputs[other]) for one, other in ((0, 1), (0, 2), (1, 2)))


def test_legacy_merging_takes_two_voxels_twice():
    """On an image of voxel offsets the eight channels must be those of MONAI 0.9's layer."""
    layer = swin_unetr.legacy_merging()(1)
    layer.norm = torch.nn.Identity()
    layer.reduction = torch.nn.Identity()
    i, j, k = torch.meshgrid(*[torch.arange(2.0)] * 3, indexing="ij")
    found = layer((100 * i + 10 * j + k)[None, ..., None])
    assert found.flatten().tolist() == [0, 100, 10, 1, 101, 10, 1, 111]
    assert layer(torch.rand(1, 3, 4, 5, 1)).shape == (1, 2, 2, 3, 8)


def test_trained_with_old_monai_is_noticed(tmp_path, swin_state):
    """Training under the old order adds the same change to the columns of both copies of a voxel."""
    trained = dict(swin_state)
    generator = torch.Generator().manual_seed(0)
    for name in [name for name in swin_state if name.endswith("downsample.reduction.weight")]:
        changed = swin_state[name].clone().reshape(swin_state[name].shape[0], 8, -1)
        update = torch.randn(changed.shape, generator=generator) * changed.std()
        update[:, 5], update[:, 6] = update[:, 2], update[:, 3]
        trained[name] = (changed + update).reshape(swin_state[name].shape)
    assert swin_unetr.merging_trace(swin_state) < 0
    model = load_model(save(tmp_path, trained))
    assert model.card.network["downsample"] == "merging_v0.9"
    assert any("MONAI 0.9 to 1.4" in warning for warning in model.warnings)
    named = load_model(save(tmp_path, trained, SWIN_CARD | {"network": {"class": "SwinUNETR", "downsample": "merging"}}))
    assert named.card.network["downsample"] == "merging"


def test_bad_patch_merging(tmp_path, swin_state):
    with pytest.raises(InputError, match=r"'downsample'.*mergingv2"):
        load_model(save(tmp_path, swin_state, SWIN_CARD | {"network": {"class": "SwinUNETR", "downsample": "pool"}}))


def test_tensors_win_over_a_wrong_card(tmp_path, small_swin, swin_state):
    network = {"class": "SwinUNETR", "feature_size": 48, "depths": [1, 1, 1, 1], "window_size": 3, "img_size": 96}
    model = load_model(save(tmp_path, swin_state, SWIN_CARD | {"network": network}))
    assert same_outputs(small_swin, model.network)
    assert len(model.warnings) == 1
    assert "feature_size 48" in model.warnings[0]


def test_without_a_card(tmp_path, swin_state):
    model = load_model(save(tmp_path, swin_state))
    assert [label.name for label in model.card.labels] == ["background", "label_1", "label_2"]
    assert len(model.warnings) == 1
    paper = swin(out_channels=17, downsample="merging_v0.9")
    model = load_model(save(tmp_path, {f"module.{name}": value for name, value in paper.state_dict().items()}))
    assert same_outputs(paper, model.network)
    assert model.card.labels == PAPER_LABELS
    assert "paper" in model.warnings[0]


def test_card_elsewhere(tmp_path, swin_state):
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "mine.json").write_text(json.dumps(SWIN_CARD | {"spacing": 3}))
    weights = save(tmp_path, swin_state, SWIN_CARD)
    assert load_model(weights, tmp_path / "cards" / "mine.json").card.spacing == (3.0, 3.0, 3.0)
    with pytest.raises(InputError, match="does not exist"):
        load_model(weights, tmp_path / "cards" / "none.json")


def test_loaded_card_can_be_written_and_gives_the_same_network(tmp_path):
    network = swin(downsample="mergingv2", use_v2=True)
    weights = save(tmp_path, network.state_dict(), SWIN_CARD | {"network": {"class": "SwinUNETR", "downsample": "mergingv2"}})
    model = load_model(weights)
    write_model_card(weights.with_suffix(".json"), model.card)
    again = load_model(weights)
    assert again.card == model.card
    assert again.warnings == ()
    assert same_outputs(again.network, network)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["background", "aorta"]}, "lists 2 labels, but w.safetensors has 3 output channels"),
        ({"roi_size": [96, 96, 80]}, "96x96x80 .* divisible by 32"),
        ({"roi_size": 32}, "too small.*use 64"),
        ({"network": {"class": "SENet"}}, "'SENet' .* not supported.*SwinUNETR.*SegResNet"),
        ({"network": {"class": "ResNet"}}, "ResNet .* sorts whole volumes.*for segmentation"),
        ({"network": {"class": ["UNet"]}}, "not supported"),
        ({"network": {"class": "UNet", "channels": [8, 16], "strides": [2]}}, "'out_channels'"),
        ({"network": {"class": "SegResNet", "out_channels": 3, "colour": 1}}, "SegResNet cannot be built .*colour"),
        ({"network": {"class": "SegResNet", "out_channels": 3, "spatial_dims": 2}}, "spatial_dims 2"),
        ({"network": {"class": "SegResNet", "out_channels": 3, "in_channels": 4}}, "4 input channels"),
        ({"network": {"class": "SegResNet", "out_channels": 3}}, "does not fit SegResNet .* missing, first 'convInit.conv.weight'"),
    ],
)
def test_card_that_does_not_fit(tmp_path, swin_state, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        load_model(save(tmp_path, swin_state, SWIN_CARD | changes))
    assert "\n" not in str(caught.value)


def test_two_input_channels(tmp_path):
    with pytest.raises(InputError, match="takes 2 input channels, and a CT has one"):
        load_model(save(tmp_path, swin(in_channels=2).state_dict()))


def test_one_output_channel(tmp_path):
    with pytest.raises(InputError, match="1 output channel"):
        load_model(save(tmp_path, swin(out_channels=1).state_dict()))


def test_two_dimensional_network(tmp_path):
    flat = nets.SwinUNETR(1, 3, feature_size=12, depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 2), spatial_dims=2)
    with pytest.raises(InputError, match="2D Swin UNETR"):
        load_model(save(tmp_path, flat.state_dict()))


@pytest.mark.parametrize("prefix", ["swinViT.", "swin_vit.", ""])
def test_encoder_only(tmp_path, swin_state, prefix):
    encoder = {prefix + name.removeprefix("swinViT."): value for name, value in swin_state.items() if name.startswith("swinViT.")}
    encoder = {f"module.{name}": value for name, value in encoder.items()}
    with pytest.raises(InputError, match=r"only the encoder .* decoder is missing"):
        load_model(save(tmp_path, {"state_dict": encoder, "epoch": 100}, name="w.pt"))


def test_foreign_weights(tmp_path):
    resnet = nets.resnet10(spatial_dims=3, n_input_channels=1).state_dict()
    with pytest.raises(InputError, match=r"is not a Swin UNETR \(\d+ tensors such as 'conv1.weight' 64x1x7x7x7") as caught:
        load_model(save(tmp_path, resnet))
    assert "\n" not in str(caught.value)
    unet = nets.UNet(3, 1, 3, (4, 8), (2,)).state_dict()
    with pytest.raises(InputError, match="is not a Swin UNETR"):
        load_model(save(tmp_path, unet))


def test_missing_extra_and_misshapen_tensors(tmp_path, swin_state):
    gone, wrong = "decoder3.conv_block.conv1.conv.weight", "encoder2.layer.conv1.conv.weight"
    tensors = {name: value for name, value in swin_state.items() if name != gone}
    with pytest.raises(InputError, match=rf"1 missing, first '{gone}' 24x48x3x3x3"):
        load_model(save(tmp_path, tensors))
    with pytest.raises(InputError, match=r"holds more than SwinUNETR: 'head.weight' 2x2 would be left out"):
        load_model(save(tmp_path, swin_state | {"head.weight": torch.ones(2, 2)}))
    with pytest.raises(InputError, match=rf"1 of the wrong shape, first '{wrong}' 12x11x3x3x3 instead of 12x12x3x3x3"):
        load_model(save(tmp_path, swin_state | {wrong: torch.ones(12, 11, 3, 3, 3)}))
    with pytest.raises(InputError, match=r"lacks the tensor 'swinViT.layers2.0.blocks.0.attn.relative_position_bias_table'"):
        load_model(save(tmp_path, {name: value for name, value in swin_state.items() if "layers2.0.blocks" not in name}))


@pytest.mark.parametrize(
    ("kind", "args", "roi_size"),
    [
        ("UNet", {"channels": [4, 8, 16], "strides": [2, 2], "num_res_units": 1, "norm": ["instance", {"affine": True}]}, 16),
        ("AttentionUnet", {"channels": [4, 8], "strides": [2]}, 16),
        ("BasicUNet", {"features": [4, 4, 8, 8, 8, 4]}, 32),
        ("SegResNet", {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]}, 16),
        ("DynUNet", {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 8, 8]}, 16),
        ("UNETR", {"img_size": [32, 32, 32], "feature_size": 4, "hidden_size": 24, "mlp_dim": 24, "num_heads": 2}, 32),
        ("VNet", {}, 32),
    ],
)
def test_other_networks_named_in_the_card(tmp_path, kind, args, roi_size):
    torch.manual_seed(0)
    needed = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3}
    network = getattr(nets, kind)(**needed, **args).eval()
    network_card = {"class": kind, "out_channels": 3, **args}
    tensors = {f"module.{name}": value for name, value in network.state_dict().items()}
    model = load_model(save(tmp_path, tensors, SWIN_CARD | {"roi_size": roi_size, "network": network_card}, "w.pt"))
    assert same_outputs(network, model.network, (roi_size,) * 3)
    assert model.architecture.startswith(f"{kind}, 3 channels")
    assert not any(part.requires_grad for part in model.network.parameters())
    with pytest.raises(InputError, match="roi_size"):
        load_model(tmp_path / "w.pt", save_card(tmp_path, {"roi_size": 17, "network": network_card}))


def save_card(folder: Path, changes: dict) -> Path:
    (folder / "other.json").write_text(json.dumps(SWIN_CARD | changes))
    return folder / "other.json"


def test_tensors_stored_once_under_one_of_two_names(tmp_path):
    """DynUNet registers its layers twice; safetensors' ``save_model`` keeps one name of each."""
    torch.manual_seed(0)
    args = {"out_channels": 3, "kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 8, 8]}
    network = nets.DynUNet(3, 1, **args).eval()
    save_model(network, str(tmp_path / "w.safetensors"))
    model = load_model(tmp_path / "w.safetensors", save_card(tmp_path, {"roi_size": 16, "network": {"class": "DynUNet", **args}}))
    assert same_outputs(network, model.network, (16, 16, 16))
    tensors = {name: value for name, value in network.state_dict().items() if not name.endswith("conv2.conv.weight")}
    with pytest.raises(InputError, match="missing, first"):
        load_model(save(tmp_path, tensors, name="cut.pt"), tmp_path / "other.json")


def test_demo_weights_are_found(tmp_path, monkeypatch):
    library = tmp_path / "library" / "Agg2ExpLib"
    monkeypatch.setattr(model_module, "__file__", str(library / "models" / "model.py"))
    monkeypatch.setattr(model_module, "DEMO_PACKAGE", "no_such_package.demo_data")
    with pytest.raises(InputError, match="not installed"):
        demo_weights()
    places = [
        library.parent / "Resources" / "Demo",
        library.parent / "Agg2ExpModule" / "Resources" / "Demo",
        tmp_path / "agg2exp_demo_package",
    ]
    for place in places:  # each goes before the one made earlier
        place.mkdir(parents=True)
        (place / model_module.DEMO_NAME).touch()
        if place is places[2]:
            monkeypatch.syspath_prepend(str(tmp_path))
            monkeypatch.setattr(model_module, "DEMO_PACKAGE", "agg2exp_demo_package")
        assert demo_weights() == place / model_module.DEMO_NAME


def test_default_card_fits_a_swin_unetr():
    assert all(side % 32 == 0 for side in default_model_card(17)[0].roi_size)
