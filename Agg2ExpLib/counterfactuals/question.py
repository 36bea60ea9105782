"""What is asked of a CT and a model: which label or class, which way, how far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .choices import DIRECTIONS, FRAMES, LESS, MORE, OBJECTIVES, SMOOTH_MM

_MOST_FRAMES = 100
MOST_LAMBDA = 1e6


@dataclass(frozen=True)
class Question:
    """What is asked of a case.

    Attributes:
        target: the label or class.
        direction: ``less``, ``more`` or ``both``.
        objective: of a label: ``volume``, its mean probability over its own voxels and 20 mm around them, or over the drawn target;
            ``logit``, its mean logit over its own voxels or the drawn target. ``auto``: ``volume``. Of a class always its logit.
        frames: CTs in each direction.
        end: λ of the last frame in place of a search, without a sign; None to search.
        slices: first and last slice that may change; None for all.
        smooth: mm, standard deviation of a Gaussian across the slices through which the direction goes; 0 as in the papers.
        mask: drawn target, boolean ``[x, y, z]`` on the canvas.
        extra_rois: further regions, name and boolean mask on the canvas.

    Raises:
        InputError: something that makes no sense.
    """

    target: str
    direction: str = DIRECTIONS[0]
    objective: str = OBJECTIVES[0]
    frames: int = FRAMES
    end: float | None = None
    slices: tuple[int, int] | None = None
    smooth: float = SMOOTH_MM
    mask: np.ndarray | None = None
    extra_rois: tuple[tuple[str, np.ndarray], ...] = ()

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise InputError(f"Unknown ⟨direction⟩ '{self.direction}': use {', '.join(DIRECTIONS)}.")
        if self.objective not in OBJECTIVES:
            raise InputError(f"Unknown ⟨objective⟩ '{self.objective}': use {', '.join(OBJECTIVES)}.")
        if not 1 <= self.frames <= _MOST_FRAMES:
            raise InputError(f"⟨frames⟩ must be from 1 to {_MOST_FRAMES}, not {self.frames}.")
        if not 0 <= self.smooth <= 100:
            raise InputError(f"⟨smooth⟩ must be from 0 to 100 mm, not {self.smooth:g}.")
        if self.end == 0:
            raise InputError("A λ of 0 changes nothing: give a ⟨lambda⟩ such as 20, or leave it out to search for one.")
        if self.end is not None and self.end < 0:
            raise InputError(f"⟨lambda⟩ has no sign, and it is {self.end:g}: say with ⟨direction⟩ which way.")
        if self.end is not None and not self.end <= MOST_LAMBDA:
            raise InputError(
                f"⟨lambda⟩ must be above 0 and at most {MOST_LAMBDA:g}, where nothing is left of the CT, not {self.end:g}: give "
                "one such as 20, or leave it out to search for one."
            )

    @property
    def directions(self) -> tuple[str, ...]:
        """Those that are asked for."""
        return (LESS, MORE) if self.direction == DIRECTIONS[0] else (self.direction,)
