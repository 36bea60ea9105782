"""Python code in the documentation runs: the examples of public docstrings, the tutorial, and the scripts in examples/."""

from __future__ import annotations

import doctest
import logging
import re
import runpy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

import Agg2ExpLib as agg2exp
from Agg2ExpLib.attribution.methods import METHODS
from Agg2ExpLib.io.grid import Grid
from support.autoencoders import write_exact_autoencoder
from support.classifiers import CLASSES, write_small_classifier
from support.dicom_export import write_series
from support.networks import CT_AFFINE, random_network, small_chest
from support.paths import ROOT

pytestmark = [pytest.mark.usefixtures("one_thread", "workplace"), pytest.mark.xdist_group("documented_code")]
TUTORIAL = ROOT / "docs" / "tutorials" / "python.md"
CLASSIFIERS = ROOT / "docs" / "how-to" / "classifiers.md"
PUBLIC = sorted(name for name in agg2exp.__all__ if not name.startswith("__"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, small_ct: Path, small_weights: Path, small_lesion: Path) -> Path:
    """A folder with the files that the documentation speaks of."""
    folder = tmp_path_factory.mktemp("workplace")
    shutil.copy(small_ct, folder / "chest.nii.gz")
    classifier = write_small_classifier(folder)
    for suffix in (".safetensors", ".json"):
        classifier.with_suffix(suffix).rename(folder / f"classifier{suffix}")
    write_exact_autoencoder(folder, "slices")
    shutil.copy(small_lesion, folder / "lesion.nrrd")
    write_series(folder / "series", Grid((34, 28, 40), CT_AFFINE))
    for stem in ("swin_unetr", "weights"):
        for file in (small_weights, small_weights.with_suffix(".json")):
            shutil.copy(file, folder / f"{stem}{file.suffix}")
    for name in ("a", "b", "c"):
        found = agg2exp.explain(small_ct, small_weights, ["heart"], samples=2, seed=ord(name), patient_id=name, device="cpu")
        found.save(folder / f"result_{name}")
    return folder


@pytest.fixture
def workplace(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder as the current one; methods that are added and loggers that are changed do not last, nor do new folders."""
    monkeypatch.chdir(prepared)
    monkeypatch.setattr(METHODS, "_methods", dict(METHODS._methods))
    level, before = logging.getLogger("agg2exp").level, set(prepared.iterdir())
    yield prepared
    logging.getLogger("agg2exp").setLevel(level)
    for path in set(prepared.iterdir()) - before:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def run(code: str, names: dict[str, Any], place: str) -> None:
    exec(compile(code, place, "exec", dont_inherit=True), names)


@pytest.mark.parametrize("name", PUBLIC)
def test_examples_of_the_public_names_run(name: str) -> None:
    docstring = getattr(agg2exp, name).__doc__
    examples = doctest.DocTestParser().get_examples(docstring)
    assert "Examples:" in docstring
    assert examples
    network = random_network(3).float()
    names = {"agg2exp": agg2exp, "np": np, "torch": torch, "nibabel": nibabel, "logging": logging, "dataclass": dataclass}
    names |= {"network": network, "hu": small_chest(), "__name__": "example"}
    for example in examples:
        run(example.source, names, f"example of {name}")


def test_the_python_tutorial_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 10
    names: dict[str, Any] = {"__name__": "tutorial"}
    for block in blocks:
        run(block, names, TUTORIAL.name)
    assert Path("graph.svg").stat().st_size > 1000


def test_the_page_on_classifiers_runs() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", CLASSIFIERS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "classifiers"}
    run(block, names, CLASSIFIERS.name)
    assert names["result"].matrix.rows == CLASSES


def test_a_method_of_ones_own_is_the_size_of_the_gradient(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "own_method.py"), run_name="__main__")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["gradient", "saliency", "saliency"]
    gradient = agg2exp.explain("chest.nii.gz", "weights.pt", ["heart"], "gradient", device="cpu")
    saliency = agg2exp.explain("chest.nii.gz", "weights.pt", ["heart"], "saliency", power=2.0, device="cpu")
    np.testing.assert_allclose(saliency.maps["heart"], gradient.maps["heart"] ** 2, rtol=1e-5)
    assert (gradient.maps["heart"] < 0).any()
    with pytest.raises(agg2exp.InputError, match="power must be positive"):
        agg2exp.explain("chest.nii.gz", "weights.pt", ["heart"], "saliency", power=0.0)
