"""How much the outputs drop when random voxels are removed: computed once a patient, for all methods and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..attribution.perturbed import PerturbedOutputs
from ..monitor import Stage
from .store import Store

if TYPE_CHECKING:
    import torch

    from ..attribution.stitched import StitchedGradient

# Subsets between two savings; enough to fill the batches of a GPU.
_AT_A_TIME = 10


def output_drops(
    engine: StitchedGradient,
    image: torch.Tensor,
    subsets: Sequence[np.ndarray],
    store: Store,
    key: dict[str, Any],
    stage: Stage,
) -> dict[str, np.ndarray]:
    """``f̂_c(x) − f̂_c(x_S)`` of every target for every subset S, whose voxels are set to 0.

    Args:
        engine: with the targets; their voxels ``ŷ_c`` stay those of the clean image.
        image: model-grid image ``[x, y, z]``.
        subsets: flat C-order indices.
        store: keeps what is done, so that a run that was ended goes on there.
        key: of these numbers in the store.
        stage: is told the progress.

    Returns:
        Per target float64 ``[subsets]``.
    """
    names = [target.name for target in engine.targets]
    kept = store.arrays(key)
    done = kept["outputs"] if kept.get("names", np.array([])).tolist() == names else np.empty((0, len(names)))
    clean = kept.get("clean")
    if clean is None or len(done) < len(subsets):
        outputs = PerturbedOutputs(engine, image)
        clean = outputs.clean
        while len(done) < len(subsets):
            now, before = subsets[len(done) : len(done) + _AT_A_TIME], len(done)

            def report(part: int, whole: int, now: int = len(now), before: int = before) -> None:
                stage.update((before + now * part / max(whole, 1)) / len(subsets), "removing voxels")

            done = np.concatenate([done, outputs.without_voxels(now, report)])
            store.write_arrays(key, names=np.array(names), clean=clean, outputs=done)
    return {name: clean[column] - done[:, column] for column, name in enumerate(names)}
