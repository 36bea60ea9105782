"""Small files that claim much: refused before anything of it is built."""

import json
import time
import zipfile

import pytest
import torch

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.bundle import read_bundle
from Agg2ExpLib.models.checkpoint import read_weights
from Agg2ExpLib.models.model import load_model


def test_strides_of_zero(tmp_path):
    torch.save({"a": torch.zeros(1).expand(100_000, 100_000)}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"'a' of a\.pt claims more values than are stored"):
        read_weights(tmp_path / "a.pt")
    base = torch.zeros(50_000)
    torch.save({f"t{k}": base[:] for k in range(400)}, tmp_path / "b.pt")
    with pytest.raises(InputError, match=r"b\.pt claim more values"):
        read_weights(tmp_path / "b.pt")


def test_deflated_and_damaged_archives(tmp_path):
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as good, zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as small:
        for name in good.namelist():
            small.writestr(name, good.read(name))
    with pytest.raises(InputError, match="compressed tensors"):
        read_weights(tmp_path / "b.pt")
    content = bytearray((tmp_path / "a.pt").read_bytes())
    content[2_000_000] ^= 1  # inside the tensor: PyTorch reads it without a word
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_weights(tmp_path / "c.pt")


def test_references_and_aliases_that_multiply(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").touch()
    config: dict[str, object] = {f"a{k}": [f"@a{k + 1}"] * 9 for k in range(9)} | {"a9": 1}
    (tmp_path / "configs" / "inference.json").write_text(json.dumps(config | {"network_def": {"_target_": "UNet", "x": "@a0"}}))
    began = time.monotonic()
    with pytest.raises(InputError, match="again and again"):
        read_bundle(tmp_path)
    (tmp_path / "configs" / "inference.json").unlink()
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1]"] + [f"a{k}: &a{k} [{','.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 9)]
    (tmp_path / "configs" / "inference.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError, match="YAML"):
        read_bundle(tmp_path)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("network", [{"features": [100_000] * 6}, {"features": [4] * 2000}])
def test_networks_far_larger_than_their_weights(tmp_path, network):
    torch.save({"a.weight": torch.zeros(3, 4)}, tmp_path / "a.pt")
    card = {"labels": ["background", "a"], "spacing": [1, 1, 1], "hu_window": [0, 1], "roi_size": [32, 32, 32]}
    card["network"] = {"class": "BasicUNet", "out_channels": 2, **network}
    (tmp_path / "a.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="far larger than its weights"):
        load_model(tmp_path / "a.pt")


def test_a_window_that_no_memory_holds(tmp_path, monkeypatch):
    from monai.networks.nets import BasicUNet

    net = BasicUNet(3, 1, 2, features=(4, 4, 4, 4, 4, 4), norm="batch")
    torch.save(net.state_dict(), tmp_path / "a.pt")
    card = {"labels": ["background", "a"], "spacing": [1, 1, 1], "hu_window": [0, 1], "roi_size": [1024, 1024, 1024]}
    card["network"] = {"class": "BasicUNet", "out_channels": 2, "features": [4] * 6, "norm": "batch"}
    (tmp_path / "a.json").write_text(json.dumps(card))
    monkeypatch.setattr("Agg2ExpLib.system.memory.free_memory", lambda: 8e9)
    with pytest.raises(InputError, match=r"One window of 1024x1024x1024 voxels .* needs .* GB"):
        load_model(tmp_path / "a.pt")
