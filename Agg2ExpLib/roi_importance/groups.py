"""The maps of a label's groups of noise samples, from which limit and error of its importance are told."""

from __future__ import annotations

import numpy as np

MOST_GROUPS = 8  # maps kept at a time: with more the interval hardly narrows, with fewer Student's t widens it


class GroupMaps:
    """The maps of one label's groups of samples, never more than a few: neighbours are merged when their number grows too large.

    Which samples share a group depends on how many there are alone, so that a run that stopped at n samples gives what a run of n
    samples gives. Maps are kept as float16 over a common scale (a relative rounding of 5e-4, far below the noise).

    Args:
        most: maps kept at a time, even.
    """

    def __init__(self, most: int = MOST_GROUPS):
        self.most = most
        self.maps: list[np.ndarray] = []
        self.scales: list[float] = []
        self.samples: list[int] = []
        self._size = 1  # parts in a full group
        self._parts: list[int] = []

    def add(self, values: np.ndarray, samples: int) -> None:
        """Take in the map ``[x, y, z]`` of further samples, independent of those before; only the last may bring fewer."""
        if self._parts and self._parts[-1] < self._size:
            self._merge_into(len(self.maps) - 1, values, samples)
            self._parts[-1] += 1
            return
        if len(self.maps) == self.most:
            for number in range(self.most // 2):
                self._merge_into(number, self.map(number + 1), self.samples[number + 1])
                for kept in (self.maps, self.scales, self.samples, self._parts):
                    del kept[number + 1]
            self._size *= 2
            self._parts = [self._size] * len(self.maps)
        self.maps.append(np.empty(values.shape, np.float16))
        self.scales.append(1.0)
        self.samples.append(samples)
        self._parts.append(1)
        self._keep(len(self.maps) - 1, values)

    def map(self, number: int) -> np.ndarray:
        """A group's map, float32 ``[x, y, z]``."""
        return self.maps[number].astype(np.float32) * np.float32(self.scales[number])

    def _merge_into(self, number: int, values: np.ndarray, samples: int) -> None:
        share = samples / (self.samples[number] + samples)
        self._keep(number, (1 - share) * self.map(number) + share * values)
        self.samples[number] += samples

    def _keep(self, number: int, values: np.ndarray) -> None:
        largest = float(np.abs(values).max(initial=0))
        scale = largest / 32768 if largest > 0 and np.isfinite(largest) else 1.0
        self.maps[number][...] = values / np.float32(scale)
        self.scales[number] = scale
