"""Reading tensors from weights files: every form, and every refusal without running what the file holds."""

from __future__ import annotations

import collections
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.checkpoint import as_float32, read_weights
from Agg2ExpLib.system.regular_files import sha256_of_file


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv3d(1, 2, 3)
        self.inner = torch.nn.ModuleList([torch.nn.Linear(3, 4, bias=False), torch.nn.BatchNorm1d(4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.first(x)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return dict(Small().state_dict())


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of the largest mapping in a weights file, as float32."""
    return as_float32(max(read_weights(path).groups.values(), key=len), path.name)


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


class Payload:
    """Creates a file when unpickled by a reader that runs what it reads."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_reads_bare_state_dict(tmp_path, state, suffix, zipped):
    torch.save(state, tmp_path / f"w{suffix}", _use_new_zipfile_serialization=zipped)
    assert same(read_tensors(tmp_path / f"w{suffix}"), state)


@pytest.mark.parametrize("key", ["state_dict", "model", "net", "network", "model_state_dict", "network_weights"])
def test_reads_nested_state_dict(tmp_path, state, key):
    optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4}]}
    checkpoint = {"epoch": 3, "best": np.float64(0.8), "optimizer": optimizer, key: collections.OrderedDict(state)}
    torch.save(checkpoint, tmp_path / "w.pt")
    assert same(read_tensors(tmp_path / "w.pt"), state)


def test_reads_state_dict_nested_twice(tmp_path, state):
    torch.save({"model": {"state_dict": state, "step": torch.tensor(5)}}, tmp_path / "w.pt")
    assert same(read_tensors(tmp_path / "w.pt"), state)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_reads_safetensors_as_float32(tmp_path, state, kind):
    stored = {name: tensor.to(kind) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    save_file(stored, tmp_path / "w.safetensors")
    found = read_tensors(tmp_path / "w.safetensors")
    assert {tensor.dtype for tensor in found.values()} == {torch.float32, torch.int64}
    assert same(found, {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in stored.items()})


@pytest.mark.parametrize("name", ["w.ts", "w.pt"])
def test_reads_tensors_of_torchscript(tmp_path, state, name):
    network = Small().eval()
    network.load_state_dict(state)
    torch.jit.trace(network, torch.rand(1, 1, 4, 4, 4)).save(str(tmp_path / name))
    assert same(read_tensors(tmp_path / name), state)


def test_reads_scripted_half_precision_tensors(tmp_path, state):
    network = Small().half()
    torch.jit.script(network).save(str(tmp_path / "w.ts"))
    found = read_tensors(tmp_path / "w.ts")
    assert same(found, {k: v.float() if v.is_floating_point() else v for k, v in network.state_dict().items()})


def test_torchscript_code_is_not_run(tmp_path):
    """Its ``__setstate__`` would create a file; ``torch.jit.load`` runs it, which shows that the attack is real."""

    class Attack(torch.nn.Module):
        def __init__(self, path: str):
            super().__init__()
            self.path = path
            self.weight = torch.nn.Parameter(torch.ones(2))

        @torch.jit.export
        def __getstate__(self):
            return self.path, self.training

        @torch.jit.export
        def __setstate__(self, state: tuple[str, bool]):
            self.path = state[0]
            self.training = state[1]
            self.weight = torch.from_file(self.path, True, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    target = tmp_path / "made-by-the-weights"
    scripted = torch.jit.script(Attack(str(target)))
    scripted.save(str(tmp_path / "w.ts"))
    with pytest.raises(InputError, match=r"w\.ts"):
        read_tensors(tmp_path / "w.ts")
    assert not target.exists()
    torch.jit.load(str(tmp_path / "w.ts"))
    assert target.exists()


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_pickled_code_is_refused_and_not_run(tmp_path, state, form):
    target, file = tmp_path / "made-by-the-weights", tmp_path / "w.pt"
    checkpoint = {"state_dict": state, "extra": Payload(target)}
    if form == "pickle":
        file.write_bytes(pickle.dumps(checkpoint, protocol=2))
    else:
        torch.save(checkpoint, file, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(InputError, match=r"^w\.pt holds pickled Python code or objects .* refused") as caught:
        read_tensors(file)
    assert not target.exists()
    assert "\n" not in str(caught.value)
    torch.load(file, weights_only=False) if form != "pickle" else pickle.loads(file.read_bytes())
    assert target.exists()  # the payload works where a reader trusts the file


def test_pickled_whole_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(InputError, match="state_dict"):
        read_tensors(tmp_path / "w.pt")


def _torchscript_bytes(folder: Path) -> bytes:
    torch.jit.trace(Small().eval(), torch.rand(1, 1, 4, 4, 4)).save(str(folder / "whole.ts"))
    return (folder / "whole.ts").read_bytes()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".ts"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_truncated_file(tmp_path, state, suffix, share):
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".ts":
        _torchscript_bytes(tmp_path)
    elif suffix == ".pt":
        torch.save(state, whole)
    else:
        save_file(state, whole)
    data = whole.read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=rf"^cut\{suffix} is truncated, damaged or not a weights file"):
        read_tensors(tmp_path / f"cut{suffix}")


def test_torchscript_with_foreign_class_in_its_table(tmp_path):
    import zipfile

    _torchscript_bytes(tmp_path)
    target = tmp_path / "made-by-the-weights"
    with zipfile.ZipFile(tmp_path / "whole.ts") as old, zipfile.ZipFile(tmp_path / "w.ts", "w") as new:
        for name in old.namelist():
            new.writestr(name, pickle.dumps(Payload(target), protocol=2) if name.endswith("/data.pkl") else old.read(name))
    with pytest.raises(InputError, match=r"TorchScript file w\.ts cannot be read"):
        read_tensors(tmp_path / "w.ts")
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 3\n", "Git LFS pointer"),
        (b"/annex/objects/MD5E-s10--abc.pt\n", "git-annex pointer"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\n <html lang='en'>", "web page"),
        (b"not weights at all", "truncated, damaged or not a weights file"),
        (b"\x80\x02}q\x00.", "truncated, damaged or not a weights file"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_other_content(tmp_path, suffix, content, message):
    (tmp_path / f"w{suffix}").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_tensors(tmp_path / f"w{suffix}")


def test_wrong_suffix_missing_file_and_folder(tmp_path):
    (tmp_path / "w.onnx").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match=r"\.onnx is no weights file by its name.*safetensors"):
        read_tensors(tmp_path / "w.onnx")
    with pytest.raises(InputError, match="does not exist"):
        read_tensors(tmp_path / "w.pt")
    with pytest.raises(InputError, match="is not a file"):
        read_tensors(tmp_path)


def test_no_permission(tmp_path, state, monkeypatch):
    torch.save(state, tmp_path / "w.pt")

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("Agg2ExpLib.models.checkpoint.open_regular", refuse)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        read_tensors(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3}, "holds no network weights"),
        ([torch.ones(3)], "holds no network weights"),
        (torch.ones(3), "holds no network weights"),
        ({"a.weight": torch.tensor([1.0, float("nan")])}, "'a.weight' of w.pt has values that are not finite"),
        ({"a.weight": torch.ones(2, 2).to_sparse()}, "sparse, quantized or complex"),
        ({"a.weight": torch.ones(2, dtype=torch.complex64)}, "sparse, quantized or complex"),
    ],
)
def test_unusable_tensors(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InputError, match=message):
        read_tensors(tmp_path / "w.pt")


def test_sha256(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
