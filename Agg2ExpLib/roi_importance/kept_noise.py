"""What is kept of a label's noise samples, so that a region added later has a limit too; about a twentieth of the map's size.

Over a region the two sums of the limit (see :mod:`.limit`) are those of ``|ē|``, which the map gives, and of what noise adds or
takes. The latter changes little from voxel to voxel, so its mean over blocks serves for any region: of ``Σ_j w_j |ē₋ⱼ| − |ē|`` one
map, of ``sign(ē₋ⱼ) · eⱼ − |ē|`` one for each group, from which the error follows. Where a region covers a part of a block, it is
reckoned as a sample of the block's voxels, and how far samples may be off is added to the error.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..system.files import replacing
from .limit import GroupSums, LimitRow, group_sums, limit_row, student
from .matrix import Regions, RegionSums

EDGE = 4  # voxels of a block, along each axis; with 3 the limit is a fifth nearer and the file more than twice as large
_DROPPED_BITS = 5  # of a half-precision number's ten, which are noise of the noise and would not compress (relative rounding 1.6 %)
_UPPER, _BETWEEN, _PATTERN, _LOWER = range(4)  # which of the block maps is which; from the last on one for each group


@dataclass(frozen=True)
class KeptNoise:
    """What is kept of one label's samples.

    Attributes:
        shape: of the map, ``[x, y, z]``.
        weights: share of the samples that each group has, ``[groups]``.
        own: ``net``, ``upper`` and ``lower`` of :class:`~.limit.GroupSums` over the model's labels, ``[3, groups, labels]``.
        blocks: maps over blocks, float16 ``[3 + groups, bx, by, bz]``: the mean of what noise adds to ``|ē|``; how far a voxel is
            from its block's mean (standard deviation) in what differs between groups, and in the middle of the two sums, of which
            the limit is made; and for each group the mean of what is missing from ``|ē|``, signed.
        scales: what each block map is multiplied with, ``[3 + groups]``.
    """

    shape: tuple[int, ...]
    weights: np.ndarray
    own: np.ndarray
    blocks: np.ndarray
    scales: np.ndarray

    @classmethod
    def of(
        cls,
        groups: Sequence[np.ndarray],
        samples: Sequence[int],
        attribution: np.ndarray,
        regions: Regions,
        sums: GroupSums | None = None,
    ) -> KeptNoise:
        """From what :func:`~.limit.group_sums` takes.

        Args:
            groups: signed map ``[x, y, z]`` of each group's own samples.
            samples: in each group.
            attribution: the map of all samples, ``[x, y, z]``.
            regions: the columns.
            sums: what ``group_sums`` gave for these, where that is known.
        """
        sums = group_sums(regions, groups, samples) if sums is None else sums
        labels, shape = len(regions.names), attribution.shape
        own = np.stack([sums.net, sums.upper, sums.lower])[:, :, :labels]
        means = np.zeros((_LOWER + len(groups), *(-(-length // EDGE) for length in shape)), np.float32)
        voxels = _voxels(shape)
        for row, start in enumerate(range(0, shape[0], EDGE)):
            slab = slice(start, start + EDGE)
            values = [np.asarray(group[slab], np.float32) for group in groups]
            for kind, value in _noise_of_slab(values, sums.weights, np.asarray(attribution[slab], np.float32)):
                means[kind, row] = _block_sums(value) / voxels[row]
        _spread_in_blocks(means, sums.weights, voxels)
        blocks, scales = np.empty(means.shape, np.float16), np.ones(len(means))
        for kind, mean in enumerate(means):
            largest = float(np.abs(mean).max(initial=0))
            scales[kind] = largest / 32768 if largest > 0 and np.isfinite(largest) else 1.0
            blocks[kind] = _rounded(mean / np.float32(scales[kind]))
        return cls(shape, sums.weights, own, blocks, scales)

    def row(self, regions: Regions, sums: RegionSums) -> LimitRow:
        """The label's limit over the model's labels and any further regions.

        Args:
            regions: the columns; the same labels as before on the same grid.
            sums: what :meth:`.Regions.sums` gives for the label's map.

        Raises:
            InputError: the labels or the grid are others.
        """
        labels = len(regions.names)
        if self.shape != regions.segmentation.shape or self.own.shape[2] != labels:
            raise InputError("What the result keeps of its noise belongs to another result: take the result as it was.")
        weights, groups = self.weights[:, None], len(self.weights)
        shares = np.array([self._over(index) for _, index in regions.extra]).reshape(len(regions.extra), _LOWER + groups).T
        absolute, net = sums.positive[labels:] + sums.negative[labels:], sums.positive[labels:] - sums.negative[labels:]
        lower = absolute + shares[_LOWER:]
        # Without group j |ē| is what the signs of the others make of all groups, less j's part: alike up to a number for all.
        every = absolute + shares[_UPPER] + (weights**2 / (1 - weights) * lower).sum(axis=0)
        every /= (weights / (1 - weights)).sum()
        upper = (every - weights * lower) / (1 - weights)
        further = (np.repeat(net[None], groups, axis=0), upper, lower)
        parts = [np.concatenate([known, new], axis=1) for known, new in zip(self.own, further, strict=True)]
        row = limit_row(GroupSums(self.weights, *parts), labels, sums.mass)
        whole = float((self.weights * self.own[2].sum(axis=1)).sum())
        between, pattern = np.zeros((2, len(regions.columns)))
        if whole > 0:
            between[labels:] = np.sqrt(shares[_BETWEEN] / (groups - 1)) / whole
            pattern[labels:] = np.sqrt(shares[_PATTERN]) / whole
        error = np.sqrt(row.error**2 + (student(groups) * between) ** 2 + pattern**2)
        return replace(row, error=error, standard_error=np.hypot(row.standard_error, between))

    def _over(self, index: np.ndarray) -> np.ndarray:
        """Sums of the block maps over a region, given as flat indices, ``[3 + groups]``; of deviations the variance of the sum."""
        places = [axis // EDGE for axis in np.unravel_index(index, self.shape)]
        counts = self.blocks.shape[1:]
        covered = np.bincount(np.ravel_multi_index(places, counts), minlength=int(np.prod(counts)))
        here = np.flatnonzero(covered)
        covered = covered[here].astype(np.float64)
        values = self.blocks.reshape(len(self.blocks), -1)[:, here].astype(np.float64) * self.scales[:, None]
        total = values @ covered
        free = covered * (1 - covered / _voxels(self.shape).reshape(-1)[here])
        for kind in (_BETWEEN, _PATTERN):
            total[kind] = (values[kind] ** 2 * free).sum()
        return total

    def save(self, path: Path) -> None:
        """Write it, compressed."""
        shape = np.array(self.shape)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, shape=shape, weights=self.weights, own=self.own, blocks=self.blocks, scales=self.scales)

    @classmethod
    def read(cls, path: Path) -> KeptNoise:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: the file is damaged or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                shape, weights, own, blocks, scales = (file[name] for name in ("shape", "weights", "own", "blocks", "scales"))
            groups = len(weights)
            counts = tuple(-(-int(length) // EDGE) for length in shape)
            fits = len(shape) == 3 and own.shape[:2] == (3, groups) and own.ndim == 3 and scales.shape == (_LOWER + groups,)
            if not fits or groups < 2 or blocks.shape != (_LOWER + groups, *counts):
                raise ValueError("sizes that do not fit")
            if any(part.dtype.kind != "f" or not np.isfinite(part).all() for part in (weights, own, blocks, scales)):
                raise ValueError("numbers that are none")
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(
                f"{path} cannot be read ({error}): take the result as it was, or remove this file: regions added later then have "
                "no limit."
            ) from None
        return cls(tuple(int(length) for length in shape), weights, own, blocks, scales)


class NoiseFiles(Mapping[str, KeptNoise]):
    """What files keep of the labels' noise, read when it is asked for.

    Args:
        files: by label.
    """

    def __init__(self, files: Mapping[str, Path]):
        self._files = dict(files)

    def __getitem__(self, name: str) -> KeptNoise:
        return KeptNoise.read(self._files[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _noise_of_slab(values: Sequence[np.ndarray], weights: np.ndarray, attribution: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Which of the block maps, and what its blocks are the means of; of deviations the squares."""
    mean = _weighted(values, weights)
    absolute = np.abs(attribution)
    added, lower = -absolute, []
    for value, weight in zip(values, weights, strict=True):
        others = mean - np.float32(weight) * value
        added += np.float32(weight / (1 - weight)) * np.abs(others)
        lower.append(np.sign(others) * value - absolute)
    yield _UPPER, added
    middle = _weighted(lower, weights)
    yield _BETWEEN, _weighted([(value - middle) ** 2 for value in lower], weights)
    yield _PATTERN, ((added + middle) / 2) ** 2
    yield from enumerate(lower, start=_LOWER)


def _weighted(values: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Mean of arrays, float32."""
    mean = np.zeros_like(values[0])
    for value, weight in zip(values, weights, strict=True):
        mean += np.float32(weight) * value
    return mean


def _spread_in_blocks(means: np.ndarray, weights: np.ndarray, voxels: np.ndarray) -> None:
    """From the mean squares of deviations to the standard deviation of a voxel around its block's mean, in place."""
    middle = np.tensordot(weights, means[_LOWER:], axes=1)
    of_blocks = np.tensordot(weights, (means[_LOWER:] - middle) ** 2, axes=1)
    unbiased = voxels / np.maximum(voxels - 1, 1)
    means[_BETWEEN] = np.sqrt(np.maximum(means[_BETWEEN] - of_blocks, 0) * unbiased)
    means[_PATTERN] = np.sqrt(np.maximum(means[_PATTERN] - ((means[_UPPER] + middle) / 2) ** 2, 0) * unbiased)


def _voxels(shape: Sequence[int]) -> np.ndarray:
    """How many voxels each block holds, ``[bx, by, bz]``: fewer at the far edges."""
    x, y, z = (np.minimum(EDGE, length - np.arange(0, length, EDGE)) for length in shape)
    counts: np.ndarray = x[:, None, None] * y[:, None] * z
    return counts


def _block_sums(slab: np.ndarray) -> np.ndarray:
    """Sums over the blocks of a slab ``[at most EDGE, y, z]``, ``[by, bz]``."""
    flat = slab.sum(axis=0)
    flat = np.pad(flat, [(0, -length % EDGE) for length in flat.shape])
    y, z = flat.shape
    return flat.reshape(y // EDGE, EDGE, z // EDGE, EDGE).sum(axis=(1, 3))


def _rounded(values: np.ndarray) -> np.ndarray:
    """Half precision with the last bits cleared, rounded to nearest; ``values`` are well below its largest number."""
    bits = values.astype(np.float16).view(np.uint16)
    half = np.uint16(1 << (_DROPPED_BITS - 1))
    return ((bits + half) >> _DROPPED_BITS << _DROPPED_BITS).astype(np.uint16).view(np.float16)
