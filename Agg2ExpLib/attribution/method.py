"""What an attribution method is: its words and parameters for people, and one call that explains every target of an engine.

Nothing here loads torch or numpy, so that menus and command lines can list the methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import InputError
from ..monitor import Monitor, Stage

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..io.grid import Grid
    from ..models.model import Model
    from .stitched import StitchedGradient
    from .supervoxels import Supervoxels


MOST_COUNT = 1_000_000


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method, as options, job files and menus show it.

    Attributes:
        name: in job files; on the command line with ``-`` for ``_``.
        kind: its type in words of Python: ``int``, ``float``, ``bool``, ``str``, ``tuple[str, ...]``, or ``int | str`` for a
            number or ``auto``.
        default: when it is not given.
        help: half a sentence.
        choices: the texts that are allowed; empty for any.
    """

    name: str
    kind: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> Any:
        """The value, lists as tuples.

        Raises:
            InputError: it is of another kind.
        """
        types, words = KINDS[self.kind]
        if isinstance(value, list):
            value = tuple(value)
        fits = isinstance(value, types) and (self.kind == "bool" or not isinstance(value, bool))
        if fits and self.kind.startswith("tuple"):
            fits = all(isinstance(part, str) for part in value)
        if not fits:
            raise InputError(f"⟨{self.name}⟩ must be {words}, not {value!r}.")
        return value


# The kinds of values that parameters and job entries may have: their types, and what they are called in a sentence.
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text"),
    "str | None": ((str, type(None)), "a text or null"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "float | None": ((int, float, type(None)), "a number or null"),
    "int | None": ((int, type(None)), "a whole number or null"),
    "bool": ((bool,), "true or false"),
    "int | str": ((int, str), "a whole number or 'auto'"),
    "tuple[str, ...]": ((tuple,), "a list of texts"),
}


def parameter(default: Any, help: str, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field that is a :class:`Parameter` of its method.

    Examples:
        >>> @dataclass
        ... class Sharper(agg2exp.methods()["gradient"]):
        ...     power: float = agg2exp.parameter(2.0, "how much strong voxels stand out")
        >>> Sharper(power=3.0).power
    """
    return field(default=default, metadata={"help": help, "choices": choices})


@dataclass(frozen=True)
class Estimate:
    """Where the attribution stands after a group of samples; maps are made one at a time, when asked for, and only until the next
    group begins, whose sums take the place of these.

    Attributes:
        samples: copies taken so far.
        names: the targets.
        group_samples: copies in the last group.
    """

    samples: int
    names: tuple[str, ...]
    group_samples: int
    _so_far: Callable[[str], torch.Tensor]
    _group: Callable[[str], torch.Tensor]

    def mean(self, name: str) -> np.ndarray:
        """The attribution so far, from all copies taken, ``[x, y, z]``."""
        return self._so_far(name).cpu().numpy()

    def group_mean(self, name: str) -> np.ndarray:
        """The attribution from the copies of the last group alone, ``[x, y, z]``."""
        return self._group(name).cpu().numpy()


@dataclass(frozen=True)
class Request:
    """What a method is asked to explain.

    Attributes:
        engine: the stitched network with its targets.
        image: model-grid image ``[x, y, z]``.
        stage: is told the progress.
        scales: factor of each target, 1 where missing (``1 / |ŷ_c|`` for the ``mean`` target).
        on_estimate: is given the estimate after each group of samples. It may answer with the number of samples that targets are
            expected to need; those that have them get no more.
        segmentation: labels predicted for the image, integers ``[x, y, z]``; None where there are none.
        hu: the CT on the model grid, ``[x, y, z]``; None where nobody knows it.
    """

    engine: StitchedGradient
    image: torch.Tensor
    stage: Stage
    scales: dict[str, float]
    on_estimate: Callable[[Estimate], Mapping[str, float] | None]
    segmentation: np.ndarray | None = None
    hu: np.ndarray | None = None

    def scale(self, name: str) -> float:
        """The factor of one target."""
        return self.scales.get(name, 1.0)


@dataclass
class Method(ABC):
    """An attribution method. Subclasses are dataclasses whose fields, made by :func:`parameter`, are their parameters.

    Attributes:
        name: on the command line and in job files.
        title: in menus.
        summary: one sentence on what it does.
        when: one sentence on when to use it.
        random: whether the result depends on a seed; the others have no Monte-Carlo error.

    Examples:
        >>> method = agg2exp.methods()["smoothgrad"](samples=8, antithetic=True)
        >>> method.title, method.random, method.samples
        >>> [entry.name for entry in method.parameters()]
        >>> method.record()
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    when: ClassVar[str]
    random: ClassVar[bool] = False

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The parameters that were given, with those that follow from them."""
        return values

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        """Everything that can be set, in the order in which to show it."""
        return tuple(
            Parameter(entry.name, _kind_of(entry.type), entry.default, entry.metadata["help"], entry.metadata["choices"])
            for entry in fields(cls)
            if "help" in entry.metadata
        )

    @property
    def samples(self) -> int:
        """Copies of the image that the network sees."""
        return 1

    def cost(self) -> float | None:
        """Copies of the image that pass through the network forward and, once for each label, backward.

        None for methods whose work is of another kind, so that their time cannot be told before a run.
        """
        return float(self.samples)

    def memory(self, labels: int) -> float:
        """Bytes that the method holds for each voxel of the model grid beside the engine's image, masks and one map a label, in
        float32.

        Args:
            labels: how many are explained.
        """
        return summing_bytes(1, 1, labels)

    @property
    def supervoxels_used(self) -> Supervoxels | None:
        """The supervoxels that the method works on, where it does."""
        return None

    @property
    def spread_is_error(self) -> bool:
        """Whether the groups of copies are independent repetitions, so that their spread gives the Monte-Carlo error."""
        return self.random

    @property
    def wanted_error(self) -> float | None:
        """Percentage points below which the error of the importance is to be brought; None for a fixed number of samples."""
        return None

    @property
    def tells_limit(self) -> bool:
        """Whether the importance for endless samples is told beside that of the map."""
        return self.spread_is_error

    def prepare(self, model: Model, grid: Grid, monitor: Monitor) -> None:
        """Look at the model and read further inputs, before anything long begins.

        Raises:
            InputError: the method does not suit the network, or an input cannot be read.
        """
        return

    def record(self) -> dict[str, Any]:
        """The parameters for ``run.json``: JSON values that name no place and no patient."""
        values = {entry.name: getattr(self, entry.name) for entry in self.parameters()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @abstractmethod
    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """The map of every target, ``[x, y, z]`` on the CPU, in the engine's dtype."""

    def _check_choices(self) -> None:
        for entry in self.parameters():
            value = getattr(self, entry.name)
            if entry.choices and value not in entry.choices:
                raise InputError(f"Unknown {entry.name} '{value}' for {self.name}: choose one of {', '.join(entry.choices)}.")


def summing_bytes(group: int, groups: int, labels: int, own: float = 0.0) -> float:
    """:meth:`Method.memory` of a method that sums gradients in the engine.

    Args:
        group: copies in the largest group, which exist at once beside what makes the last of them.
        groups: how many there are; a single one needs no sums of its own.
        labels: how many are explained.
        own: bytes a voxel of the method's own volumes.
    """
    return own + 4 * (group + 1) + labels * (4 if groups > 1 else 0)


def collecting_bytes(held: float, labels: int, images: int = 0) -> float:
    """:meth:`Method.memory` of a method that looks at one copy's gradients at a time.

    Args:
        held: bytes a voxel that it holds for each label beside mask and gradient.
        labels: how many are explained.
        images: further volumes, such as references.
    """
    return 4 * (2 + images) + labels * held


def _kind_of(annotation: Any) -> str:
    """A field's type in words of Python, whether it was written as a text or not."""
    if isinstance(annotation, str):
        return annotation
    return annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else str(annotation)


def check_count(title: str, option: str, words: str, value: int, least: int = 1) -> None:
    """Refuse a number of samples or steps that is too small, or that no run would ever end.

    Raises:
        InputError: with the option to change.
    """
    if value < least:
        number = {1: "one", 2: "two"}.get(least, str(least))
        raise InputError(f"{title} needs at least {number} {words}, not {value}: set ⟨{option}⟩ to 20, say.")
    if value > MOST_COUNT:
        raise InputError(f"{title} takes at most {MOST_COUNT} for ⟨{option}⟩, not {value}: set it to 20, say.")


def check_seed(seed: int) -> None:
    """Refuse a negative seed.

    Raises:
        InputError: it is negative.
    """
    if seed < 0:
        raise InputError(f"The seed must not be negative, but it is {seed}.")


def equal_groups(samples: int, least: int = 1, even: bool = False) -> list[Sequence[int]]:
    """Samples in groups of equal size, for at least 8 groups where there are enough; a rest makes a smaller last one.

    After each group a better map is there to show, and what differs between groups gives limit and Monte-Carlo error. The groups
    are the same on every machine, so that these are too.

    Args:
        samples: to be grouped.
        least: smallest size of a group, at most 4.
        even: whether a group holds an even number.
    """
    size = max(least, min(4, samples // 8))
    if even:
        size += size % 2
    return [range(start, min(start + size, samples)) for start in range(0, samples, size)]
