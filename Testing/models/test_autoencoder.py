"""Slice autoencoders: any slice size, latents that reach no farther than they should, files and cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.autoencoders import new_autoencoder
from Agg2ExpLib.models.model import Model, load_model
from Agg2ExpLib.models.slice_autoencoder import SliceAutoencoder
from support.networks import random_network

SPEC = {"class": "SliceAutoencoder", "channels": [4, 6], "latent_channels": 3, "blocks": [1, 1]}
CARD = {"task": "autoencoder", "spacing": [6, 6, 6], "hu_window": [-1024, 1024], "network": SPEC}


def write(folder: Path, card: dict, state: dict | None = None) -> Path:
    path = folder / "slices.safetensors"
    torch.manual_seed(0)
    save_file(state or new_autoencoder(SPEC).state_dict(), path)
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_volumes_of_any_size_come_back_slice_by_slice(axis: int) -> None:
    torch.manual_seed(0)
    network = SliceAutoencoder([4, 6], 3, [1, 1], axis).eval()
    assert network.stride == 4
    volume = torch.rand(2, 1, 9, 10, 11)
    with torch.no_grad():
        back = network(volume)
        one = volume.movedim(axis + 2, 1)[1, 4]  # one slice alone [1, h, w]
        latents = network.encode(one[None])
        assert latents.shape[-2:] == tuple(-(-side // 4) for side in one.shape[-2:])
        alone = network.decode(latents, (one.shape[-2], one.shape[-1]))
    assert back.shape == volume.shape
    torch.testing.assert_close(back.movedim(axis + 2, 1)[1, 4], alone[0])


def test_padding_is_the_border_and_is_cut_off_again() -> None:
    torch.manual_seed(0)
    network = SliceAutoencoder([4, 6], 3, [1, 1]).eval()
    small = torch.rand(1, 1, 6, 5)
    whole = torch.nn.functional.pad(small, (0, 3, 0, 2), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(network.encode(small), network.encode(whole))
        torch.testing.assert_close(
            network.decode(network.encode(small), (6, 5)), network.decode(network.encode(whole), (8, 8))[..., :6, :5]
        )


def test_a_latent_changes_only_what_lies_near_it() -> None:
    torch.manual_seed(0)
    network = SliceAutoencoder([4, 6], 3, [0, 1]).eval()
    latents = torch.zeros(1, 3, 16, 4)
    moved = latents.clone()
    moved[:, :, 0] += 1
    with torch.no_grad():
        difference = (network.decode(moved, (64, 16)) - network.decode(latents, (64, 16))).abs().amax(dim=(0, 1, 3))
    assert difference[:4].min() > 0
    assert difference[32:].max() == 0


def test_files_make_the_same_network(tmp_path: Path) -> None:
    model = load_model(write(tmp_path, CARD))
    assert model.task == "autoencoder"
    assert model.labels == ()
    assert model.card.network == {**SPEC}
    assert "axial slices, 4 times down" in model.architecture
    torch.manual_seed(0)
    own = new_autoencoder(SPEC).eval()
    volume = torch.rand(1, 1, 8, 8, 3)
    with torch.no_grad():
        torch.testing.assert_close(model.network(volume), own(volume))
    again = Model(own, (), spacing=(6, 6, 6), hu_window=(-1024, 1024), task="autoencoder")
    assert again.sha256 != model.sha256  # of the tensors, not of a file
    model.require("autoencoder", "A counterfactual")
    with pytest.raises(InputError, match=r"needs a segmentation network, but slices is an autoencoder: give another model\.$"):
        model.require("segmentation", "A segmentation")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": {**SPEC, "class": "UNet"}}, "names the network 'UNet'"),
        ({"network": {**SPEC, "depth": 3}}, "has no setting 'depth'"),
        ({"network": {**SPEC, "channels": []}}, "needs a list of channels above 0"),
        ({"network": {**SPEC, "axis": 4}}, "axis of slices is 0, 1 or 2"),
        ({"network": {**SPEC, "channels": [4, 8]}}, "does not fit"),
        ({"network": {**SPEC, "channels": [40000, 60000]}}, "far larger than its weights"),
        ({"task": "segmentation", "labels": ["background", "a"], "roi_size": 8}, "gives back the CT, but its model card is for"),
        ({"task": "classification", "classes": ["a", "b"]}, "needs a class of"),
        ({"preprocessing": [{"step": "ras_spacing", "spacing": [6, 6, 6]}]}, "by 'spacing' and 'hu_window' alone"),
    ],
)
def test_wrong_cards_get_one_sentence(tmp_path: Path, change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        load_model(write(tmp_path, CARD | change))
    assert "\n" not in str(caught.value)


def test_an_autoencoder_card_does_not_take_other_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit the SliceAutoencoder named in the model card"):
        load_model(write(tmp_path, CARD, dict(random_network().state_dict())))
