"""What the extension's CMake files package: every file, and a module that runs from the installed folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from support.cmake_lists import LISTS, ROOT, FileList

pytestmark = pytest.mark.xdist_group("cmake")
FAKE_SLICER = ROOT / "Testing" / "fake_slicer"
MODULES = "lib/Slicer-5.12/qt-scripted-modules"


@pytest.mark.parametrize("entry", LISTS, ids=lambda entry: f"{entry.cmake.parent.name}-{entry.name}")
def test_every_file_is_listed(entry: FileList):
    listed, expected = entry.listed(), entry.expected()
    missing, gone = [name for name in expected if name not in listed], [name for name in listed if name not in expected]
    assert not missing, f"{entry.name} lacks {', '.join(missing)}: run python Testing/support/cmake_lists.py --write"
    assert not gone, f"{entry.name} names what is not there: {', '.join(gone)}: run python Testing/support/cmake_lists.py --write"
    assert len(set(listed)) == len(listed), "a file is listed twice"


def test_lists_hold_what_a_user_needs():
    scripts, _pages, module, resources = (entry.listed() for entry in LISTS)
    assert "Agg2ExpLib/__main__.py" in scripts
    assert module[0] == "Agg2ExpModule.py"
    for name in (
        "Resources/Demo/agg2exp_demo.safetensors",
        "Resources/Demo/agg2exp_demo.json",
        "Resources/Demo/agg2exp_demo_classifier.json",
        "Resources/Demo/agg2exp_demo_classifier.safetensors",
        "Resources/Demo/agg2exp_slices.safetensors",
        "Resources/Demo/agg2exp_slices.json",
        "Resources/requirements.txt",
        "Resources/UI/Agg2ExpModule.ui",
        "Resources/Icons/Agg2ExpModule.png",
    ):
        assert name in resources


def test_pip_packages_every_folder_of_the_library():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = set(re.findall(r'"(Agg2ExpLib[\w.]*)"', re.search(r"^packages = \[(.*?)\]", text, re.MULTILINE | re.DOTALL).group(1)))
    folders = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in (ROOT / "Agg2ExpLib").rglob("__init__.py")}
    assert folders <= listed, f"pyproject.toml lacks {', '.join(sorted(folders - listed))}"


def test_every_file_beside_the_code_is_packaged():
    """By pip and by Slicer: pages, styles and scripts are read when they are needed, long after the installation."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[tool.setuptools.package-data]")[1].split("[tool.")[0]
    data = {name: re.findall(r'"([^"]+)"', globs) for name, globs in re.findall(r'^"([\w.]+)" = \[(.*)\]$', section, re.MULTILINE)}
    cmake = (ROOT / "Agg2ExpLib" / "CMakeLists.txt").read_text(encoding="utf-8").split()
    library = ROOT / "Agg2ExpLib"
    beside = [path for path in library.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    beside = [path for path in beside if path.name != "CMakeLists.txt" and not path.name.startswith(".")]
    assert len(beside) >= 6
    for path in beside:
        package = path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        assert any(path.match(pattern) for pattern in data.get(package, ())), f"pyproject.toml lacks {path.relative_to(ROOT)}"
        assert path.relative_to(ROOT).as_posix() in cmake, f"CMakeLists.txt lacks {path.relative_to(ROOT)}"


def test_catalogue_entry_names_the_project():
    entry = json.loads((ROOT / "Agg2Exp.json").read_text(encoding="utf-8"))
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "project(Agg2Exp)" in cmake
    assert set(entry) <= {
        "$schema",
        "category",
        "scm_url",
        "scm_revision",
        "scm_type",
        "build_dependencies",
        "build_subdirectory",
        "enabled",
        "tier",
    }
    assert f'set(EXTENSION_DEPENDS "{" ".join(entry["build_dependencies"])}")' in cmake
    repository = entry["scm_url"].removesuffix(".git")
    assert f'set(EXTENSION_HOMEPAGE "{repository}' in cmake
    raw = re.findall(r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/main/(\S+?)[\"\s]", cmake)
    assert "Agg2ExpModule/Resources/Icons/Agg2ExpModule.png" in raw
    assert len(raw) > 1, "the catalogue wants a screenshot"
    assert [name for name in raw if not (ROOT / name).is_file()] == []


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory):
    """The extension configured, built and installed by CMake with a stand-in for Slicer's CMake package."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not installed")
    build, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("installed")
    configure = [cmake, "-S", str(ROOT), "-B", str(build), f"-DSlicer_DIR={FAKE_SLICER}", f"-DCMAKE_INSTALL_PREFIX={prefix}"]
    for command in (
        [*configure, "-DBUILD_TESTING=ON", "-Wdev", "-Werror=dev"],
        [cmake, "--build", str(build)],
        [cmake, "--install", str(build)],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return build, prefix / MODULES


def test_cmake_builds_and_installs_every_file(installed):
    build, modules = installed
    for entry in LISTS:
        for name in entry.expected():
            for folder in (build / MODULES, modules):
                copy = folder / name
                assert copy.is_file(), f"{name} is not in {folder}"
                assert copy.read_bytes() == (entry.base / name).read_bytes()
    assert [path.name for path in modules.glob("*.py")] == ["Agg2ExpModule.py"], "Slicer takes each of these for a module"
    assert (build / "tests.txt").read_text().split() == ["Agg2ExpModule.py"]


def test_installed_library_finds_the_demo_and_runs(installed, tmp_path):
    _, modules = installed
    code = (
        "import Agg2ExpLib, sys; from pathlib import Path; from Agg2ExpLib.models.model import demo_weights\n"
        "home = Path(sys.argv[1]).resolve()\n"
        "assert Path(Agg2ExpLib.__file__).resolve().is_relative_to(home), Agg2ExpLib.__file__\n"
        "assert demo_weights().resolve().is_relative_to(home), demo_weights()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(modules)}
    for command in (["-c", code, str(modules)], ["-m", "Agg2ExpLib", "--help"]):
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_icon_is_square_and_drawn_by_nobody_else():
    from PIL import Image

    with Image.open(ROOT / "Agg2ExpModule" / "Resources" / "Icons" / "Agg2ExpModule.png") as icon:
        assert icon.size == (128, 128)
        assert icon.mode == "RGBA"
