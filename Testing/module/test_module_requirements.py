"""What is missing, too old or half installed, found without importing anything; and how the user is asked."""

from __future__ import annotations

import re
import subprocess
import sys
import types

import pytest

from support.packages import TORCH_FILES, put, put_torch, requirements
from support.paths import ROOT


@pytest.fixture
def library(slicerApp, monkeypatch):  # noqa: N803
    """The modules under test."""
    monkeypatch.syspath_prepend(str(ROOT / "Agg2ExpModule"))
    from Agg2ExpModuleLib.setup import Installer, RequirementsCheck, TorchInstallation

    return types.SimpleNamespace(
        Installer=Installer.Installer,
        Check=RequirementsCheck.RequirementsCheck,
        find_broken=TorchInstallation.findBrokenTorch,
    )


def test_the_list_is_that_of_the_library(library):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1]
    networks = re.search(r"^nnunet = \[(.*?)\]", text, re.MULTILINE)[1]
    check = library.Check()
    needed = set(re.findall(r'"(.+?)"', f"{dependencies} {networks}")) - {"pandas>=2.1"}  # of the Python API alone
    assert {f"{name}>={minimum}" for name, minimum in check.minimums.items()} == needed
    for requirement in library.Check(paths=["/nowhere"]).missing():
        assert len(requirement.why) > 5, requirement
        assert requirement.approxSizeMB > 0


def test_nothing_is_missing_here_and_nothing_is_imported_to_find_out():
    code = (
        "import sys, types\n"
        "sys.modules['slicer'] = types.ModuleType('slicer'); sys.modules['slicer.i18n'] = i18n = types.ModuleType('slicer.i18n')\n"
        "i18n.tr = str; sys.path.insert(0, 'Agg2ExpModule')\n"
        "from Agg2ExpModuleLib.setup.Installer import Installer\n"
        "missing = Installer().missing(); assert missing == [], missing\n"
        "heavy = {'torch', 'monai', 'numpy', 'SimpleITK', 'qt', 'Agg2ExpLib'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_missing_too_old_and_built_in(library, tmp_path):
    packages = tmp_path / "site"
    put(packages, "monai", "1.4.0")
    put(packages, "einops", "0.7")
    put(packages, "networkx", "3.2rc1")
    put(packages, "tqdm", "4.66.0.post1+local")
    (packages / "SimpleITK").mkdir()
    (packages / "SimpleITK" / "__init__.py").touch()  # built into Slicer, unknown to pip
    (packages / "nibabel" / "tests").mkdir(parents=True)  # what an uninstallation left
    names = ("monai>=1.5.1", "einops>=0.7.0", "networkx>=3.2", "tqdm>=4.66", "SimpleITK>=2.3", "nibabel>=5.2")
    missing = library.Check(requirements(tmp_path, *names), [str(packages)]).missing()
    assert [requirement.spec for requirement in missing] == ["monai>=1.5.1", "nibabel>=5.2"]
    assert "1.4.0 is too old" in missing[0].why


def test_of_a_package_that_is_there_twice_the_one_that_is_imported_counts(library, tmp_path):
    put(tmp_path / "a", "typing_extensions", "4.12")
    put(tmp_path / "b", "Typing.Extensions", "4.1")
    check = library.Check(paths=[str(tmp_path / "a"), str(tmp_path / "b")])
    assert check.installedVersions() == {"typing-extensions": "4.12"}


def test_a_line_of_another_form_is_refused(library, tmp_path):
    with pytest.raises(ValueError, match="monai==1"):
        library.Check(requirements(tmp_path, "monai==1.5.1"))


def test_a_whole_torch_and_none_are_not_broken(library, tmp_path):
    assert library.find_broken([str(tmp_path)]) is None
    put_torch(tmp_path)
    assert library.find_broken([str(tmp_path), str(tmp_path)]) is None
    assert library.find_broken() is None  # the one that runs these tests


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("torch", "files are missing"),
        ("torch/__init__.py", "files are missing"),
        ("torch/version.py", "version.py"),
        (TORCH_FILES[2], "torch/_C"),
        ("torch/lib/libc10.so", "libc10.so"),
        ("torch-2.5.1+cu121.dist-info/RECORD", "list of its files"),
        ("torch-2.5.1+cu121.dist-info", "not registered"),
        ("second", "2.1.0, 2.5.1+cu121"),
    ],
)
def test_a_broken_torch_is_recognised_and_removed(library, tmp_path, damage, words):
    put_torch(tmp_path)
    put(tmp_path, "monai", "1.5.1")
    put(tmp_path, "torchvision", "0.20")
    (tmp_path / "~orch" / "lib").mkdir(parents=True)
    (tmp_path / "torchgen").mkdir()
    if damage == "second":
        (tmp_path / "torch-2.1.0.dist-info").mkdir()
        (tmp_path / "torch-2.1.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 2.1.0\n")
    else:
        subprocess.run(["rm", "-r", str(tmp_path / damage)], check=True)
    check = library.Check(paths=[str(tmp_path)])
    broken = check.brokenTorch()
    assert words in broken.reason
    torch = next(requirement for requirement in check.missing() if requirement.name == "torch")
    assert broken.reason in torch.why
    question = library.Installer(paths=[str(tmp_path)]).describe([torch])
    assert all(str(folder) in question for folder in broken.folders)
    assert broken.remove() == []
    assert {path.name for path in tmp_path.iterdir()} == {
        "monai",
        "monai-1.5.1.dist-info",
        "torchvision",
        "torchvision-0.20.dist-info",
    }
    assert check.brokenTorch() is None


def test_the_question(library, tmp_path):
    installer = library.Installer(requirements(tmp_path, "monai>=1.5.1", "psutil>=5.9"), ["/nowhere"])
    text = installer.describe(installer.missing())
    for words in ("monai>=1.5.1, 2 MB: the segmentation networks", "psutil>=5.9, less than 1 MB", "about 2 MB", "Install now?"):
        assert words in text
    assert "Install" not in installer.describe([])


@pytest.mark.parametrize(
    ("system", "machine", "card", "least", "most"),
    [
        ("linux", "x86_64", None, 190, 300),
        ("linux", "x86_64", "/usr/bin/nvidia-smi", 2500, 4000),
        ("darwin", "arm64", None, 110, 200),
        ("darwin", "x86_64", None, 150, 200),
        ("win32", "AMD64", None, 120, 250),
        ("win32", "AMD64", "nvidia-smi.exe", 2500, 4000),
    ],
)
def test_the_size_is_that_of_what_the_extension_chooses(library, monkeypatch, system, machine, card, least, most):
    from Agg2ExpModuleLib.setup import RequirementsCheck

    monkeypatch.setattr(RequirementsCheck.shutil, "which", lambda _name: card)
    monkeypatch.setattr(RequirementsCheck.platform, "machine", lambda: machine)
    monkeypatch.setattr(RequirementsCheck, "sys", types.SimpleNamespace(platform=system, path=sys.path))
    missing = library.Check(paths=["/nowhere"]).missing()
    size = next(requirement.approxSizeMB for requirement in missing if requirement.name == "torch")
    assert least <= size <= most
