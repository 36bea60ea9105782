"""MONAI bundle folders: what they plainly say is followed, what only running their code would tell is assumed aloud."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from monai.networks import nets

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.models.model_card import read_model_card, write_model_card
from Agg2ExpLib.system.regular_files import sha256_of_file
from support.swin_networks import SWIN_CARD, same_outputs, swin

pytestmark = pytest.mark.usefixtures("one_thread")

# A bundle in the layout of MONAI's model zoo, small, with the expressions such configurations hold.
INFERENCE = {
    "imports": ["$import glob", "$__import__('pathlib').Path('made-by-the-bundle').touch()"],
    "bundle_root": ".",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "channels": 3,
    "pixdim": [1.5, 1.5, 2.0],
    "network_def": {
        "_target_": "SwinUNETR",
        "spatial_dims": 3,
        "img_size": 96,
        "in_channels": 1,
        "out_channels": "@channels",
        "feature_size": 12,
        "use_checkpoint": "$__import__('pathlib').Path('made-by-the-bundle').touch()",
    },
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": "$@pixdim", "mode": "bilinear"},
            {
                "_target_": "ScaleIntensityRanged",
                "keys": "image",
                "a_min": -175,
                "a_max": 250,
                "b_min": 0.0,
                "b_max": 1.0,
                "clip": True,
            },
        ],
    },
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [96, 96, 64], "sw_batch_size": 4},
}
METADATA = {
    "monai_version": "1.5.0",
    "intended_use": "This is an example, not to be used for diagnostic purposes",
    "references": ["Hatamizadeh et al.", "Tang et al."],
    "copyright": "Copyright (c) Someone",
    "eval_metrics": {"mean_dice": 0.8},
    "network_data_format": {
        "outputs": {"pred": {"channel_def": {"0": "background", "1": "Right Kidney", "2": "Portal/Splenic Veins"}}}
    },
}


def bundle(folder: Path, tensors: dict, inference: dict = INFERENCE, metadata: dict = METADATA) -> Path:
    for name in ("configs", "models"):
        (folder / "my_bundle" / name).mkdir(parents=True, exist_ok=True)
    (folder / "my_bundle" / "configs" / "inference.json").write_text(json.dumps(inference))
    (folder / "my_bundle" / "configs" / "metadata.json").write_text(json.dumps(metadata))
    torch.save(tensors, folder / "my_bundle" / "models" / "model.pt")
    return folder / "my_bundle"


def changed(path: str, value: object, root: dict = INFERENCE) -> dict:
    """A deep copy of a configuration with one value replaced; ``path`` is joined by dots."""
    copy = json.loads(json.dumps(root))
    *parents, last = path.split(".")
    part = copy
    for key in parents:
        part = part[int(key)] if isinstance(part, list) else part[key]
    part[int(last) if isinstance(part, list) else last] = value
    return copy


def test_bundle(tmp_path, small_swin, swin_state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = bundle(tmp_path, swin_state)
    model = load_model(folder)
    assert not list(tmp_path.rglob("made-by-the-bundle"))
    assert same_outputs(small_swin, model.network)
    assert model.name == "my_bundle"
    assert model.sha256 == sha256_of_file(folder / "models" / "model.pt")
    card = model.card
    assert [label.name for label in card.labels] == ["background", "right_kidney", "portal_splenic_veins"]
    assert (card.spacing, card.hu_window, card.roi_size) == ((1.5, 1.5, 2.0), (-175.0, 250.0), (96, 96, 64))
    assert card.intensity_range == (0.0, 1.0)
    assert (card.citation, card.licence) == ("Hatamizadeh et al.; Tang et al.", "Copyright (c) Someone")
    assert card.metrics == {"mean_dice": 0.8}
    assert model.warnings == ()
    assert load_model(folder / "models" / "model.pt").card == card  # the file inside is as good as the folder
    write_model_card(folder / "model_card.json", card)
    assert read_model_card(folder / "model_card.json")[0] == card


def test_bundle_of_old_monai_gets_its_patch_merging(tmp_path, swin_state):
    model = load_model(bundle(tmp_path, swin_state, metadata=METADATA | {"monai_version": "1.0.1"}))
    old = swin(downsample="merging_v0.9")
    old.load_state_dict(swin_state)
    assert same_outputs(old, model.network)
    assert model.card.network["downsample"] == "merging_v0.9"


def test_bundle_with_own_card(tmp_path, swin_state):
    folder = bundle(
        tmp_path, swin_state, changed("preprocessing.transforms.3", {"_target_": "HistogramNormalized", "keys": "image"})
    )
    with pytest.raises(InputError, match=r"HistogramNormalized.*model_card\.json"):
        load_model(folder)
    (folder / "model_card.json").write_text(json.dumps(SWIN_CARD))
    assert [label.name for label in load_model(folder).card.labels] == SWIN_CARD["labels"]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("preprocessing.transforms.2.pixdim", "$[1.5, 1.5, 1.5] if @highres else [3, 3, 3]", "Spacingd whose 'pixdim'"),
        ("preprocessing.transforms.3.a_min", "$-np.inf", "ScaleIntensityRanged whose 'a_min'"),
        ("inferer.roi_size", "@nowhere#roi", "'roi_size' of its inferer"),
        ("pixdim", "@pixdim", "Spacingd whose 'pixdim'"),
        ("network_def.norm_name", "$@norm", "'norm_name' of its network"),
    ],
)
def test_bundle_values_that_are_code_are_refused(tmp_path, swin_state, path, value, said):
    folder = bundle(tmp_path, swin_state, changed(path, value))
    with pytest.raises(InputError, match=rf"my_bundle .*{re.escape(said)}.*expression.*model_card\.json") as refused:
        load_model(folder)
    assert str(refused.value).count(". ") == 0
    (folder / "model_card.json").write_text(json.dumps(SWIN_CARD))
    assert load_model(folder).card.roi_size == (64, 32, 32)


def test_bundle_that_says_nothing_is_assumed_aloud(tmp_path, swin_state):
    silent = {key: value for key, value in INFERENCE.items() if key not in ("preprocessing", "inferer")}
    (warning,) = load_model(bundle(tmp_path, swin_state, silent)).warnings
    assert "spacing 1.5 mm and the HU window -1024..1024, windows of 96x96x96" in warning


def test_configuration_for_another_model_file(tmp_path, swin_state):
    """As in the whole-body bundle: the spacing belongs to the file that a switch chooses."""
    chosen = {
        **changed("pixdim", "$[1.5, 1.5, 1.5] if @shown#fine else [3.0, 3.0, 3.0]"),
        "shown": {"fine": False},
        "modelname": "$'model.pt' if @shown#fine else 'coarse.pt'",
        "checkpointloader": {"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/' + @modelname"},
    }
    folder = bundle(tmp_path, swin_state, chosen)
    shutil.copy(folder / "models" / "model.pt", folder / "models" / "coarse.pt")
    model = load_model(folder)
    assert model.card.spacing == (3.0, 3.0, 3.0)
    assert model.sha256 == load_model(folder / "models" / "coarse.pt").sha256
    assert model.warnings == ()
    (warning,) = load_model(folder / "models" / "model.pt").warnings
    assert "is for coarse.pt, and model.pt was taken" in warning


def test_expressions_that_are_plain_values_are_read(tmp_path, swin_state):
    card = load_model(bundle(tmp_path, swin_state, changed("preprocessing.transforms.3.a_min", "$-1000"))).card
    assert card.hu_window == (-1000.0, 250.0)


def test_bundle_with_other_network(tmp_path):
    torch.manual_seed(0)
    network = nets.SegResNet(3, 8, 1, 3, blocks_down=(1, 1), blocks_up=(1,)).eval()
    definition = {
        "_target_": "monai.networks.nets.SegResNet",
        "spatial_dims": 3,
        "init_filters": 8,
        "in_channels": 1,
        "out_channels": 3,
    }
    folder = bundle(tmp_path, network.state_dict(), changed("network_def", {**definition, "blocks_down": [1, 1], "blocks_up": [1]}))
    assert same_outputs(network, load_model(folder).network)
    with pytest.raises(InputError, match=r"'scripts.mine.Thing' of model.pt is not supported"):
        load_model(bundle(tmp_path, network.state_dict(), changed("network_def", {"_target_": "scripts.mine.Thing"})))


def test_bundle_in_yaml(tmp_path, small_swin, swin_state):
    yaml = pytest.importorskip("yaml")
    folder = bundle(tmp_path, swin_state)
    (folder / "configs" / "inference.json").unlink()
    (folder / "configs" / "inference.yaml").write_text(yaml.safe_dump(INFERENCE))
    model = load_model(folder)
    assert model.card.hu_window == (-175.0, 250.0)
    (folder / "configs" / "inference.yaml").write_text("a: !!python/object/apply:os.getcwd []")
    with pytest.raises(InputError, match="not valid YAML"):
        load_model(folder)


def test_unusable_bundles(tmp_path, swin_state):
    with pytest.raises(InputError, match="not a MONAI bundle"):
        load_model(tmp_path)
    folder = bundle(tmp_path, swin_state)
    (folder / "configs" / "metadata.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        load_model(folder)
    (folder / "configs" / "metadata.json").unlink()
    (folder / "models" / "model.pt").unlink()
    with pytest.raises(InputError, match=r"no models/model.pt"):
        load_model(folder)
    for name in ("a.pt", "b.pt"):
        torch.save(swin_state, folder / "models" / name)
    with pytest.raises(InputError, match="several model files"):
        load_model(folder)
    shutil.rmtree(folder / "models")
    with pytest.raises(InputError, match=r"no models/model.pt"):
        load_model(folder)
