"""Fixtures shared by all suites."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from Agg2ExpLib.io.write import write_volume
from support.networks import CT_AFFINE, small_chest, write_small_model
from support.standin_fixtures import panelInPath, slicerApp  # noqa: F401
from support.swin_networks import swin
from support.warm_python import warm_python as _warm_python


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also what repeats other tests in many more cases")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        kept = [item for item in items if item.get_closest_marker("full") is None]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.fixture(scope="session", autouse=True)
def warm_python() -> Iterator[str]:
    """An interpreter whose processes start quickly; first in the path, where the module looks for Slicer's."""
    with _warm_python() as python, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(python).parent), prepend=os.pathsep)
        yield python


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a five-label network with its card beside."""
    return write_small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def small_ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT of 34 × 28 × 40 voxels at 6 mm."""
    path = tmp_path_factory.mktemp("ct") / "chest.nii.gz"
    write_volume(path, small_chest(), CT_AFFINE, compress=True)
    return path


@pytest.fixture(scope="session")
def small_lesion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A label map on the CT's grid: 1 in a box of the left lung, 2 in a larger one of the right lung."""
    array = np.zeros((34, 28, 40), dtype=np.uint8)
    array[22:26, 12:18, 20:26] = 1
    array[7:13, 12:18, 18:28] = 2
    path = tmp_path_factory.mktemp("lesion") / "lesions.nrrd"
    write_volume(path, array, CT_AFFINE, compress=True)
    return path


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, and lose much where processors are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def small_swin() -> torch.nn.Module:
    """A small Swin UNETR of three labels."""
    return swin()


@pytest.fixture(scope="session")
def swin_state(small_swin: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Its tensors."""
    return dict(small_swin.state_dict())
