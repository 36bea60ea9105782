"""Does a map depend on what the network has learned? Parameter randomisation (Adebayo et al. 2018, arXiv:1810.03292).

Layer after layer, from the output to the input, the weights of a copy of the network are shuffled; a map that stays alike shows the
image, not the model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Likeness:
    """How alike a map is after the weights of some layers were shuffled.

    Attributes:
        layer: the last layer shuffled; all behind it are shuffled too.
        correlation: Spearman's, of the absolute values of the maps; None where it is undefined because a map is constant.
    """

    layer: str
    correlation: float | None


def spearman(one: np.ndarray, other: np.ndarray) -> float | None:
    """Spearman's rank correlation of the absolute values of two maps of one shape; None where one of them is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(np.abs(values).ravel()) for values in (one, other)]
    if any(values[0] == values.min() == values.max() for values in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def shuffled_cascade(network: torch.nn.Module, seed: int = 0) -> Iterator[tuple[str, torch.nn.Module]]:
    """The network with the weights of its last layer shuffled, then of its last two, and so on; the given one stays as it is.

    Layers are the network's direct children that have weights, in the order in which they were built, which for MONAI's networks is
    from input to output. Shuffling keeps the distribution of each tensor.

    Args:
        network: with weights.
        seed: of the shuffling.

    Yields:
        Name of the layer just shuffled, and the same changing copy every time.
    """
    import torch

    changed = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    layers = [(name, layer) for name, layer in changed.named_children() if any(True for _ in layer.parameters())]
    for name, layer in reversed(layers):
        with torch.no_grad():
            for tensor in layer.parameters():
                order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
                tensor.copy_(tensor.flatten()[order].reshape(tensor.shape))
        yield name, changed


def parameter_randomisation(
    network: torch.nn.Module, explain: Callable[[torch.nn.Module], np.ndarray], seed: int = 0
) -> list[Likeness]:
    """How alike the map stays while the layers are shuffled one after another.

    Args:
        network: with its learned weights.
        explain: the map ``[x, y, z]`` of a network for fixed image, target and random numbers.
        seed: of the shuffling.
    """
    learned = explain(network)
    return [Likeness(name, spearman(learned, explain(changed))) for name, changed in shuffled_cascade(network, seed)]
