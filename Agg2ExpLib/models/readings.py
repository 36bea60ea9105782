"""Which tensors of a weights file are the network's, and what would be left out.

Training scripts wrap networks (``backbone.``, ``module.``), keep averaged copies beside them (``ema``) and put layers before and
after them. A *reading* is one place in the file with one prefix taken off the names. Tensors of no reading of the network may have
a part in the output: an input normalisation, a layer before, a head behind, a temperature. They are named and refused.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from .checkpoint import Weights

if TYPE_CHECKING:
    import torch

# Left by profilers (thop), averaging and batch normalisation; no network computes with them once trained.
COUNTERS = ("total_ops", "total_params", "num_batches_tracked", "n_averaged", "num_updates", "decay", "initted", "step", "steps",
            "global_step", "epoch", "iteration", "iter")  # fmt: skip
_AVERAGED = re.compile(r"ema|teacher|averag|swa|momentum", re.IGNORECASE)
_OF_LOSS = re.compile(
    r"(^|[._])(loss|losses|criterion|criterions|metric|metrics|class_weights?|pos_weight|rng_state|best_\w+)([._]|$)"
    r"|(^|\.)(train|val|valid|test)_(dice|iou|acc|accuracy|score)([._]|$)",
    re.IGNORECASE,
)
_SUSPICIOUS = re.compile(r"(^|\.)(mean|std|var|scale|shift|temperature|normali[sz](ation|er)|intensity\w*)$", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """One way to read the tensors.

    Attributes:
        place: the keys that lead to the tensors, joined by dots; "" is the file itself.
        prefix: what is taken off their names: "" or something that ends with a dot.
        tensors: those with the prefix, without it.
    """

    place: str
    prefix: str
    tensors: Mapping[str, torch.Tensor]

    @property
    def title(self) -> str:
        """As a model card names it: ``ema``, ``state_dict.student``."""
        return f"{self.place}.{self.prefix}".strip(".")


def readings(weights: Weights, known: Collection[str]) -> list[Reading]:
    """Every reading under which some of the ``known`` names are in the file, those with most of them first."""
    found = []
    for place, group in weights.groups.items():
        counts: Counter[str] = Counter()
        for name in group:
            parts = name.split(".")
            for cut in range(len(parts)):
                if ".".join(parts[cut:]) in known:
                    counts["".join(f"{part}." for part in parts[:cut])] += 1
        for prefix, count in counts.items():
            tensors = {name[len(prefix) :]: part for name, part in group.items() if name.startswith(prefix)}
            found.append((count, Reading(place, prefix, tensors)))
    # Of equal ones the shortest title: the file's own first.
    return [reading for _, reading in sorted(found, key=lambda entry: (-entry[0], len(entry[1].title), entry[1].title))]


def choose(fitting: Sequence[Reading], weights: Weights, asked: str | None, title: str) -> tuple[Reading, tuple[str, ...]]:
    """One of several readings that fit a network, and a sentence where others with other values were passed over.

    Args:
        fitting: at least one.
        weights: the file.
        asked: ``weights`` of the model card.
        title: of the network.

    Raises:
        InputError: several fit and nothing says which counts, or none is the one asked for.
    """
    if asked is not None:
        for reading in fitting:
            if asked.strip(".") in (reading.title, reading.prefix.strip("."), reading.place):
                return reading, ()
        raise InputError(
            f"'weights' of the model card asks for '{asked}' of {weights.source}, but {title} fits {_listed(fitting)}: name that."
        )
    different = [reading for reading in fitting[1:] if not _same(reading, fitting[0])]
    if not different:
        return fitting[0], ()
    rivals = [fitting[0], *different]
    averaged = [reading for reading in rivals if _AVERAGED.search(reading.title)]
    if len(averaged) != 1:
        raise InputError(
            f"{weights.source} holds {title} {len(rivals)} times with other values ({_listed(rivals)}): say which as "
            f'"weights": "{rivals[0].title}" in the model card.'
        )
    taken = averaged[0]
    others = [reading for reading in rivals if reading is not taken]
    return taken, (
        f"{weights.source} holds {title} {len(rivals)} times: the averaged weights {_listed([taken])} were taken, and "
        f'{_listed(others)} not; say "weights": "{others[0].title}" in the model card for those.',
    )


def check_left_out(
    taken: Reading,
    weights: Weights,
    own: Callable[[str], bool],
    copies: Iterable[Reading],
    leave_out: Sequence[str],
    title: str,
) -> tuple[str, ...]:
    """Refuse a file of which something that can change the output would be left out.

    Args:
        taken: the reading that the network is filled with.
        weights: the file.
        own: whether a name without the prefix is the network's.
        copies: other readings of the same network, which may be left out.
        leave_out: what the model card says plays no part: names, or beginnings or patterns of names.
        title: of the network.

    Returns:
        Sentences about what was left out without harm being plain.

    Raises:
        InputError: naming what would be left out.
    """
    network = [taken, *copies]
    losses: list[str] = []
    others: list[str] = []
    for place, group in weights.groups.items():
        for name, tensor in group.items():
            if (
                any(
                    reading.place == place and name.startswith(reading.prefix) and own(name[len(reading.prefix) :])
                    for reading in network
                )
                or name.rsplit(".", 1)[-1] in COUNTERS
            ):
                continue
            full = f"{place}.{name}".strip(".")
            if any(_named(part, candidate) for part in leave_out for candidate in (full, name, _without(name, taken.prefix))):
                continue
            shown = f"'{_without(name, taken.prefix) if place == taken.place else full}' {size_of(tensor)}"
            (losses if _OF_LOSS.search(full) else others).append(shown)
    others += [
        f"'{name}' {value:g}"
        for name, value in _numbers_outside(weights, taken, title)
        if not any(_named(part, name) for part in leave_out)
    ]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise InputError(
            f"{weights.source} holds more than {title}: {', '.join(others[:3])}{more} would be left out and may change the output; "
            'if they play no part in it, name them as "leave_out" in the model card.'
        )
    sentences = []
    if losses:
        more = f" and {len(losses) - 1} more" if len(losses) > 1 else ""
        sentences.append(f"Left out of {weights.source}, as the names are a loss's or a metric's: {losses[0]}{more}.")
    if suspicious := [
        key for key in weights.beside if _SUSPICIOUS.search(key) and not any(_named(part, key) for part in leave_out)
    ]:
        sentences.append(
            f"{weights.source} has '{suspicious[0]}' beside the weights, which was left out: check that the model card scales "
            'intensities as in training, or name it as "leave_out" there.'
        )
    if weights.script is not None and not _is_known_class(weights, taken, title):
        sentences.append(
            f"{weights.source} is a TorchScript program, of which only the tensors were read, into {title}; what else it computes "
            "(a scaling, a flip, another activation) is not seen: compare its own segmentation with this one."
        )
    return tuple(sentences)


def size_of(tensor: torch.Tensor) -> str:
    """A tensor's shape for messages: ``24x48x3x3x3``."""
    return "x".join(str(length) for length in tensor.shape) or "scalar"


def _is_known_class(weights: Weights, taken: Reading, title: str) -> bool:
    """Whether a TorchScript program says by its class that it is MONAI's network and nothing around it."""
    name = weights.script.classes.get("", "") if weights.script else ""
    plain = re.sub(r"\.___torch_mangle_\d+", "", name)
    return taken.title == "" and plain.startswith("__torch__.monai.networks.nets.") and plain.rsplit(".", 1)[-1] == title.split()[0]


def _numbers_outside(weights: Weights, taken: Reading, title: str) -> list[tuple[str, float]]:
    """Numbers of a TorchScript program that are not its network's own, as a wrapper's mean and deviation."""
    if weights.script is None or _is_known_class(weights, taken, title):
        return []
    found = []
    for name, value in weights.script.numbers.items():
        owner, _, key = name.rpartition(".")
        of_torch = weights.script.classes.get(owner, "").startswith("__torch__.torch.nn.")
        inside = name.startswith(taken.prefix) and not (taken.prefix == "" and owner == "" and _SUSPICIOUS.match(key))
        if not of_torch and not inside:
            found.append((name, value))
    return found


def _same(one: Reading, other: Reading) -> bool:
    import torch

    if one.tensors.keys() != other.tensors.keys():
        return False
    pairs = [(tensor, other.tensors[name]) for name, tensor in one.tensors.items()]
    return all(first.shape == second.shape and torch.equal(first, second) for first, second in pairs)


def _listed(several: Sequence[Reading]) -> str:
    return ", ".join(f"'{reading.title}'" if reading.title else "its own names" for reading in several)


def _without(name: str, prefix: str) -> str:
    return name.removeprefix(prefix)


def _named(part: str, name: str) -> bool:
    return name == part or name.startswith(part.rstrip(".") + ".") or fnmatch.fnmatchcase(name, part)
