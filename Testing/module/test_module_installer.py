"""Installing with the real pip into an environment of its own: what comes first, and what is never exchanged."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
import venv

import pytest

from support.packages import TORCH_FILES, put, put_torch, requirements, wheel
from support.paths import ROOT


@pytest.fixture
def library(slicerApp, monkeypatch):  # noqa: N803
    """The modules under test."""
    monkeypatch.syspath_prepend(str(ROOT / "Agg2ExpModule"))
    from Agg2ExpModuleLib.engine import Child
    from Agg2ExpModuleLib.setup import Installation, Installer, RequirementsCheck

    return types.SimpleNamespace(
        Installer=Installer.Installer,
        InstallError=Installer.InstallError,
        Installation=Installation.Installation,
        Child=Child.Child,
        Check=RequirementsCheck.RequirementsCheck,
        app=slicerApp,
    )


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment, and a PythonSlicer that works on it with this Python's pip."""
    folder = tmp_path_factory.mktemp("Slicer mit Leerzeichen")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    (folder / "bin").mkdir()
    launcher = folder / "bin" / "PythonSlicer"
    launcher.write_text(
        f"#!{sys.executable}\nimport os, sys\nassert sys.argv[1] == '-m', sys.argv\n"
        "assert sys.argv[2] in ('pip', 'light_the_torch'), sys.argv\n"  # the latter is a pip that knows where builds of torch are
        f"os.execv({sys.executable!r}, [{sys.executable!r}, '-m', 'pip', '--python', {str(python)!r}, *sys.argv[3:]])\n"
    )
    launcher.chmod(0o755)
    (site,) = (folder / "env").rglob("site-packages")
    return launcher.parent, site


@pytest.fixture
def site(environment, monkeypatch):
    """The environment's packages, empty at first, with no way to the internet."""
    if os.name == "nt":
        pytest.skip("scripts are made executable by their first line")
    bin_folder, packages = environment
    monkeypatch.setenv("PATH", str(bin_folder), prepend=os.pathsep)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    monkeypatch.delitem(sys.modules, "PyTorchUtils", raising=False)
    for path in packages.iterdir():
        subprocess.run(["rm", "-rf", str(path)], check=True)
    return packages


class Done:
    """An installation that has ended.

    Attributes:
        installer: what it used.
        problem: why it failed, empty where it did not.
        stopped: whether the user did it.
        log: its lines.
        progress: messages with fractions.
        gap: the longest time that the application's event loop stood still.
    """

    def __init__(self, library, tmp_path, site, *lines, wheelFolder=None, stop_at=""):  # noqa: N803
        self.installer = library.Installer(requirements(tmp_path, *lines), [str(site)])
        self.log, self.progress, self.gap, self.problem, self.stopped = [], [], 0.0, None, False
        self.stop_at = stop_at
        self.installation = library.Installation(self.installer, library.Child(), self._on_progress, self.log.append, self._on_done)
        try:
            self.installation.start(self.installer.missing(), wheelFolder and str(wheelFolder))
        except library.InstallError as error:
            self.problem = str(error)
        end = time.monotonic() + 120
        while self.problem is None:
            assert time.monotonic() < end, self.log
            began = time.monotonic()
            library.app.app.processEvents()
            self.gap = max(self.gap, time.monotonic() - began)
            time.sleep(0.005)

    def _on_progress(self, message, fraction):
        self.progress.append((message, fraction))
        if self.stop_at and self.stop_at in message:
            self.stop_at = ""
            self.installation.cancel()

    def _on_done(self, problem, stopped):
        self.problem, self.stopped = problem, stopped


def install(library, tmp_path, site, *lines, **options):
    """Install what is missing of a list: the end, whether it went well, and the log."""
    end = Done(library, tmp_path, site, *lines, **options)
    done = end.problem == "" and not end.stopped
    assert done == (end.installer.missing() == [])
    return end, done, end.log


def version_of(library, site, name):
    return library.Check(paths=[str(site)]).installedVersion(name)


def test_from_a_folder_of_wheels(library, tmp_path, site):
    folder = tmp_path / "Räder und Pakete"
    put(site, "numpy", "1.26.0")
    put(site, "oddly", "2.0.dev368-gabc")  # a version that pip cannot read
    wheel(folder, tmp_path, "monai", "1.5.2", ["torch>=99", "numpy>=99"])
    wheel(folder, tmp_path, "nibabel", "5.3.0", ["numpy>=1.20", "helper"])
    wheel(folder, tmp_path, "helper", "1.0")
    wheel(folder, tmp_path, "numpy", "99.0")
    lines = ("numpy>=1.24", "monai>=1.5.1", "nibabel>=5.2")
    installer, done, log = install(library, tmp_path, site, *lines, wheelFolder=str(folder))
    assert done, installer.problem
    assert version_of(library, site, "numpy") == "1.26.0"
    assert version_of(library, site, "helper") == "1.0"
    assert any("Successfully installed" in line for line in log)
    assert installer.gap < 1.0
    fractions = [fraction for _message, fraction in installer.progress]
    assert fractions == sorted(fractions)


def test_an_old_package_of_ours_is_exchanged(library, tmp_path, site):
    put(site, "networkx", "2.8")
    wheel(tmp_path / "w", tmp_path, "networkx", "3.4")
    installer, done, _log = install(library, tmp_path, site, "networkx>=3.2", wheelFolder=str(tmp_path / "w"))
    assert done, installer.problem
    assert version_of(library, site, "networkx") == "3.4"


def test_nothing_that_is_there_is_exchanged_on_the_way(library, tmp_path, site):
    put(site, "numpy", "1.26.0")
    wheel(tmp_path / "w", tmp_path, "nibabel", "5.3.0", ["numpy>=2"])
    wheel(tmp_path / "w", tmp_path, "numpy", "2.4.0")
    lines = ("numpy>=1.24", "nibabel>=5.2")
    installer, done, _log = install(library, tmp_path, site, *lines, wheelFolder=str(tmp_path / "w"))
    assert not done
    assert "ERROR" in installer.problem
    assert "the log says more" in installer.problem
    assert version_of(library, site, "numpy") == "1.26.0"


def test_without_internet(library, tmp_path, site):
    installer, done, _log = install(library, tmp_path, site, "einops>=0.7")
    assert not done
    assert "No matching distribution found for einops" in installer.problem
    assert "folder of wheels" in installer.problem


def test_a_folder_without_wheels(library, tmp_path, site):
    for folder in (tmp_path, tmp_path / "none"):
        installer, done, _log = install(library, tmp_path, site, "einops>=0.7", wheelFolder=str(folder))
        assert not done
        assert "contains no wheels" in installer.problem


def test_numpy_is_never_exchanged(library, tmp_path, site):
    put(site, "numpy", "1.20.0")
    wheel(tmp_path / "w", tmp_path, "numpy", "2.4.0")
    installer, done, log = install(library, tmp_path, site, "numpy>=1.24", "tqdm>=4", wheelFolder=str(tmp_path / "w"))
    assert not done
    assert "newer Slicer" in installer.problem
    assert log == []
    assert version_of(library, site, "numpy") == "1.20.0"


def test_torch_without_the_extension(library, tmp_path, site, monkeypatch):
    wheel(tmp_path / "w", tmp_path, "tqdm", "4.70")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "w"))
    installer, done, _log = install(library, tmp_path, site, "torch>=2.2", "tqdm>=4.66")
    assert not done
    assert 'extension "PyTorch"' in installer.problem
    assert "restart" in installer.problem
    assert [requirement.name for requirement in installer.installer.missing()] == ["torch", "tqdm"]
    assert installer.log == [], "nothing was downloaded"


class Extension(types.ModuleType):
    """The PyTorch extension's module, which says what its tool shall be asked for."""

    def __init__(self):
        super().__init__("PyTorchUtils")

        class PyTorchUtilsLogic:
            @staticmethod
            def _getPipInstallArguments(forceComputationBackend=None, torchVersionRequirement=None):  # noqa: N802, N803
                return ["install", "torch" + torchVersionRequirement, "torchvision"]

        self.PyTorchUtilsLogic = PyTorchUtilsLogic


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Wheels that pip finds without being told where; the newest torch, which the extension does not want, among them."""
    folder = tmp_path / "index"
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setitem(sys.modules, "PyTorchUtils", Extension())
    wheel(folder, tmp_path, "light_the_torch", "0.8.1", ["helper"])
    wheel(folder, tmp_path, "torch", "2.5.1", ["helper"], TORCH_FILES)
    wheel(folder, tmp_path, "torchvision", "0.20", ["torch==2.5.1", "numpy"])
    wheel(folder, tmp_path, "helper", "1.0")
    return folder


def test_torch_comes_first_and_nothing_else_brings_it(library, tmp_path, site, index, monkeypatch):
    put(site, "numpy", "2.4.1")
    put(site, "SimpleITK", "2.4.0")
    put_torch(site, "2.4.0")
    (site / "torch" / "version.py").unlink()
    monkeypatch.delitem(sys.modules, "torch")
    wheel(index, tmp_path, "captum", "0.8.0", ["torch>=99", "numpy<2"])
    wheel(index, tmp_path, "monai", "1.5.2", ["torch>=99", "numpy>=99"])
    wheel(index, tmp_path, "nibabel", "5.3.0", ["numpy", "SimpleITK"])
    wheel(index, tmp_path, "SimpleITK", "99.0")
    wheel(index, tmp_path, "numpy", "99.0")
    lines = ("captum>=0.7", "numpy>=1.24", "monai>=1.5.1", "torch>=2.2", "SimpleITK>=2.3", "nibabel>=5.2")
    end, done, log = install(library, tmp_path, site, *lines)
    assert done, end.problem
    assert any("Deleted the incomplete PyTorch" in line for line in log)
    commands = [line.split()[2] for line in log if line.startswith("PythonSlicer ")]
    assert commands == ["pip", "light_the_torch", "pip", "pip"]
    versions = {name: version_of(library, site, name) for name in ("torch", "numpy", "SimpleITK", "captum", "monai", "nibabel")}
    assert versions == {
        "torch": "2.5.1",
        "numpy": "2.4.1",
        "SimpleITK": "2.4.0",
        "captum": "0.8.0",
        "monai": "1.5.2",
        "nibabel": "5.3.0",
    }
    assert end.gap < 1.0, "the application was blocked"
    assert any("PyTorch" in message for message, _fraction in end.progress)


def test_stopped_before_anything_is_in_place(library, tmp_path, site, index):
    wheel(index, tmp_path, "monai", "1.5.2")
    end = Done(library, tmp_path, site, "torch>=2.2", "monai>=1.5.1", stop_at="Installing light")
    assert end.stopped
    assert version_of(library, site, "torch") is None
    assert version_of(library, site, "monai") is None


def test_stopped_while_files_are_put_into_place(library, tmp_path, site, index):
    """What has begun is completed, since half a package is worse than none; what comes after it is not begun."""
    put(site, "light_the_torch", "0.8.1")
    put(site, "numpy", "2.4.1")
    wheel(index, tmp_path, "monai", "1.5.2")
    end = Done(library, tmp_path, site, "torch>=2.2", "monai>=1.5.1", "numpy>=1", stop_at="Putting PyTorch into place")
    assert end.stopped
    assert version_of(library, site, "torch") == "2.5.1"
    assert version_of(library, site, "monai") is None
    assert library.Check(paths=[str(site)]).brokenTorch() is None


def test_a_broken_torch_in_use_is_not_touched(library, tmp_path, site, index, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    put_torch(site)
    (site / "torch" / "version.py").unlink()
    end, done, _log = install(library, tmp_path, site, "torch>=2.2")
    assert not done
    assert "restart Slicer" in end.problem
    assert (site / "torch" / "__init__.py").is_file()


def test_torch_that_cannot_be_had_ends_it(library, tmp_path, site, index):
    wheel(index, tmp_path, "monai", "1.5.2")
    end, done, _log = install(library, tmp_path, site, "torch>=9", "monai>=1.5.1")
    assert not done
    assert "PyTorch could not be installed" in end.problem
    assert "ERROR" in end.problem
    assert version_of(library, site, "torch") is None
    assert version_of(library, site, "monai") is None, "without torch the rest is of no use"


def test_torch_from_a_folder_of_wheels(library, tmp_path, site):
    wheel(tmp_path / "w", tmp_path, "torch", "2.5.1", ["helper"], TORCH_FILES)
    wheel(tmp_path / "w", tmp_path, "helper", "1.0")
    end, done, _log = install(library, tmp_path, site, "torch>=2.2", wheelFolder=str(tmp_path / "w"))
    assert done, end.problem


def test_progress_of_downloads_is_told(library, tmp_path):
    told = []
    installer = library.Installer(requirements(tmp_path, "monai>=1.5.1"), ["/nowhere"])
    installation = library.Installation(installer, None, lambda *what: told.append(what), lambda line: None, None)
    installation._commands = installer.plan([*installer.missing()])
    installation._total = 3.0
    for line in ("  Downloading monai-1.5.2-py3-none-any.whl (2.7 MB)", "Progress 0 of 2700000", "Progress 1350000 of 2700000"):
        installation._onLine(line)
    assert told[0][0] == "Downloading monai (2.7 MB) …"
    assert told[-1] == ("Downloading for monai: 1 of 3 MB …", pytest.approx(0.45))
