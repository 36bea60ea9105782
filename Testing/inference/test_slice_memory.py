"""How classifiers run on GPUs: chunks that fill the card without crowding it, full precision unless another is asked for."""

from __future__ import annotations

import pytest
import torch

from Agg2ExpLib.inference.compute import Compute, choose_compute
from Agg2ExpLib.inference.slice_memory import chunk_for
from Agg2ExpLib.models.slice_classifier import CHUNK_PIXELS


@pytest.mark.parametrize(("gigabytes", "pixels"), [(0.5, CHUNK_PIXELS), (8, 952_380), (80, 9_523_809), (1000, 2**24)])
def test_chunks_follow_the_free_memory(gigabytes: float, pixels: int) -> None:
    assert chunk_for(int(gigabytes * 1e9), CHUNK_PIXELS) == pixels


def test_half_precision_is_for_classifiers_only_where_asked_for() -> None:
    gpu = torch.device("cuda", 0)
    assert Compute(gpu, torch.float32, torch.bfloat16, by_itself=True).for_classifiers().precision == "float32"
    assert Compute(gpu, torch.float32, torch.bfloat16).for_classifiers().precision == "bfloat16"
    asked = choose_compute("cpu", "bfloat16")
    assert asked.for_classifiers() == asked
