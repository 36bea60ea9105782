"""What is missing, what is half installed, and installing with the real pip into an environment of its own."""

from __future__ import annotations

import importlib.machinery
import os
import re
import subprocess
import sys
import time
import types
import venv
import zipfile

import pytest

from support.paths import ROOT

TORCH_FILES = (
    "torch/__init__.py",
    "torch/version.py",
    f"torch/_C{importlib.machinery.EXTENSION_SUFFIXES[0]}",
    "torch/lib/libc10.so",
)


@pytest.fixture
def library(slicerApp, monkeypatch):  # noqa: N803
    """The modules under test."""
    monkeypatch.syspath_prepend(str(ROOT / "Agg2ExpModule"))
    from Agg2ExpModuleLib.engine import Child
    from Agg2ExpModuleLib.setup import Installation, Installer, RequirementsCheck, TorchInstallation

    return types.SimpleNamespace(
        Installer=Installer.Installer,
        InstallError=Installer.InstallError,
        Installation=Installation.Installation,
        Child=Child.Child,
        Check=RequirementsCheck.RequirementsCheck,
        find_broken=TorchInstallation.findBrokenTorch,
        app=slicerApp,
    )


def put(folder, name, version, files=None, requires=()):
    """Install a package by hand."""
    files = [f"{name}/__init__.py"] if files is None else list(files)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {other}" for other in requires)]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    (info / "INSTALLER").write_text("pip\n")
    record = [*files, f"{info.name}/METADATA", f"{info.name}/WHEEL", f"{info.name}/INSTALLER", f"{info.name}/RECORD"]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in record))


def put_torch(folder, version="2.5.1+cu121"):
    put(folder, "torch", version, TORCH_FILES)


def wheel(folder, tmp_path, name, version, requires=(), files=None):
    """Make a wheel."""
    content = tmp_path / "wheels" / f"{name}-{version}"
    put(content, name, version, files, requires)
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path in content.rglob("*"):
            archive.write(path, path.relative_to(content))


def requirements(tmp_path, *lines):
    path = tmp_path / "requirements.txt"
    path.write_text("# what is needed\n\n" + "\n".join(lines) + "\n")
    return path


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


def test_the_list_is_that_of_the_library(library):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1]
    check = library.Check()
    assert {f"{name}>={minimum}" for name, minimum in check.minimums.items()} == set(re.findall(r'"(.+?)"', dependencies)) - {
        "pandas>=2.1"
    }  # of the Python API alone
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
    for words in ("monai>=1.5.1, 3 MB: the segmentation networks", "psutil>=5.9, less than 1 MB", "about 3 MB", "Install now?"):
        assert words in text
    assert "Install" not in installer.describe([])


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
    assert library.find_broken([str(site)]) is None


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


def test_the_size_is_that_of_what_the_extension_chooses(library, monkeypatch):
    from Agg2ExpModuleLib.setup import RequirementsCheck

    sizes = {}
    for card in (None, "/usr/bin/nvidia-smi"):
        monkeypatch.setattr(RequirementsCheck.shutil, "which", lambda _name, card=card: card)
        missing = library.Check(paths=["/nowhere"]).missing()
        sizes[card] = next(requirement.approxSizeMB for requirement in missing if requirement.name == "torch")
    assert sizes[None] < 300
    assert sizes["/usr/bin/nvidia-smi"] >= 2500
