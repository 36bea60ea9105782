"""Local RoI importance: how much of each label's attribution falls into each region of interest.

Everything works on plain arrays, so that regions can be added later without running the model again. Rows are explained labels,
columns are regions; ``E[a, b] = ‖e_a · R_b‖₁ / ‖e_a‖₁`` (equation 7 of the paper).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas


# Arrays of the matrix of the map, and the same of what that map would be for endless samples.
LIMIT_OF = {
    "mass": "limit",
    "standard_error": "limit_error",
    "positive_mass": "positive_limit",
    "negative_mass": "negative_limit",
    "mean": "mean_limit",
    "enrichment": "enrichment_limit",
}
ARRAYS = ("mass", "mean", "enrichment", "positive_mass", "negative_mass", "standard_error", *LIMIT_OF.values())


def _unknown() -> np.ndarray:
    return np.empty((0, 0))


@dataclass(frozen=True)
class ImportanceMatrix:
    """The local RoI importance of one patient; every array is ``[rows, columns]`` unless it says otherwise.

    Attributes:
        rows: names of the explained labels.
        columns: names of the regions: the segmented labels in channel order, then ``extra`` regions.
        mass: share of the row's absolute attribution that lies in the column's region (equation 7).
        mean: absolute attribution per voxel of the region; NaN where the region has no voxel.
        enrichment: ``mass`` divided by the region's share of the volume; 1 is what chance gives; NaN as for ``mean``.
        positive_mass: part of ``mass`` that comes from positive (supporting) attribution.
        negative_mass: part of ``mass`` from negative (opposing) attribution; the two add up to ``mass``.
        standard_error: Monte-Carlo standard error of ``mass``; 0 for methods without sampling, NaN where it cannot be told.
        roi_voxels: voxels of each region, shape ``[columns]``.
        extra: names of those columns that are not labels of the model; they may overlap the others.
        limit: what ``mass`` would be for endless samples, see limit.py; ``mass`` itself for methods without sampling, NaN where it
            cannot be told. The others that end so are to their namesakes what ``limit`` is to ``mass``.
        limit_error: standard error of ``limit`` that covers spread and remaining bias.

    Examples:
        >>> matrix = agg2exp.Result.open("result_a").matrix
        >>> matrix.strongest("heart", 3)
        >>> matrix.to_frame()  # rows are labels, columns regions; also "enrichment", "positive", "standard_error", …
        >>> matrix.to_frame("tidy").query("standard_error < 0.01")
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    mass: np.ndarray
    mean: np.ndarray
    enrichment: np.ndarray
    positive_mass: np.ndarray
    negative_mass: np.ndarray
    standard_error: np.ndarray
    roi_voxels: np.ndarray
    extra: tuple[str, ...] = ()
    limit: np.ndarray = field(default_factory=_unknown)
    limit_error: np.ndarray = field(default_factory=_unknown)
    positive_limit: np.ndarray = field(default_factory=_unknown)
    negative_limit: np.ndarray = field(default_factory=_unknown)
    mean_limit: np.ndarray = field(default_factory=_unknown)
    enrichment_limit: np.ndarray = field(default_factory=_unknown)

    def __post_init__(self) -> None:
        for name in LIMIT_OF.values():
            if getattr(self, name).shape != self.mass.shape:
                object.__setattr__(self, name, np.full(self.mass.shape, np.nan))

    def best(self, name: str = "mass") -> np.ndarray:
        """``[rows, columns]`` of ``mass`` or another array of the map, with its limit wherever that is known.

        This is what people are shown; a column whose limit is unknown, as a region added later, keeps the number of the map.
        """
        limit = getattr(self, LIMIT_OF[name])
        known = np.isfinite(self.limit)
        return np.where(known, limit, getattr(self, name))

    @property
    def has_limit(self) -> bool:
        """Whether what :meth:`best` gives differs in kind from the map's own numbers."""
        return bool(np.isfinite(self.limit).any())

    def to_frame(self, values: str = "mass") -> pandas.DataFrame:
        """A pandas frame.

        Args:
            values: a :meth:`variant` or the name of an array such as ``limit``, ``limit_error`` or ``standard_error`` (a row for
                each explained label, a column for each region), or ``tidy``: one line an entry with all of them.

        Raises:
            ValueError: for another name.
        """
        import pandas

        names = ARRAYS
        if values == "tidy":
            index = pandas.MultiIndex.from_product([self.rows, self.columns], names=["label", "roi"])
            found = {name: getattr(self, name).ravel() for name in names}
            found["roi_voxels"] = np.tile(self.roi_voxels, len(self.rows))
            return pandas.DataFrame(found, index=index).reset_index()
        array = getattr(self, values) if values in names else self.variant(values)
        rows, columns = pandas.Index(self.rows, name="label"), pandas.Index(self.columns, name="roi")
        return pandas.DataFrame(array, index=rows, columns=columns)

    def variant(self, name: str) -> np.ndarray:
        """``[rows, columns]`` of one view of the matrix.

        All are the :meth:`best` that is known. ``absolute`` is the share of the attribution; ``positive`` and ``negative`` are
        equation 7 on the positive or negative part alone (over the labels of the model each row sums to 1; NaN where a map has no
        such part); ``mean`` and ``enrichment`` are the attributes of that name. ``mass`` is equation 7 of the map.

        Raises:
            ValueError: for another name.
        """
        if name == "mass":
            return self.mass
        if name == "absolute":
            return self.best()
        if name in ("mean", "enrichment"):
            return self.best(name)
        if name in ("positive", "negative"):
            part = self.best(f"{name}_mass")
            own = [index for index, column in enumerate(self.columns) if column not in self.extra]
            total = part[:, own].sum(axis=1, keepdims=True)
            return np.divide(part, total, out=np.full_like(part, np.nan), where=total > 0)
        raise ValueError(f"no variant '{name}' (absolute, positive, negative, mean, enrichment)")

    def measured(self, sign: str, measure: str) -> np.ndarray:
        """``[rows, columns]`` of a measure, of all attribution or of one sign alone.

        Args:
            sign: ``absolute``, ``positive`` or ``negative``.
            measure: ``mass`` is :meth:`variant`; ``mean`` is attribution per voxel; ``enrichment`` is the mass divided by the
                region's share of the volume. NaN as there.

        Raises:
            ValueError: for another name.
        """
        if sign not in ("absolute", "positive", "negative") or measure not in ("mass", "mean", "enrichment"):
            raise ValueError(f"no measure '{measure}' of '{sign}' attribution")
        if measure == "mass" or sign == "absolute":
            return self.variant(sign if measure == "mass" else measure)
        # both are the mass times a constant of the region: only the mass needs to be split by sign
        part, mass = self.variant(sign) if measure == "enrichment" else self.best(f"{sign}_mass"), self.best()
        share = np.divide(part, mass, out=np.where(np.isnan(part), np.nan, 0.0), where=mass > 0)
        return self.best(measure) * share

    def strongest(self, row: str, count: int = 3, background: bool = False) -> list[tuple[str, float]]:
        """The ``count`` regions with the largest share of a row, strongest first, without the background by default."""
        values = self.best()[self.rows.index(row)]
        order = sorted(range(len(self.columns)), key=lambda index: -values[index])
        names = [(self.columns[i], float(values[i])) for i in order if background or self.columns[i] != "background"]
        return names[:count]


@dataclass(frozen=True)
class RegionSums:
    """What one attribution map leaves in each region; summable over parts of the volume.

    Attributes:
        positive: sum of the positive attributions per region, ``[columns]``.
        negative: sum of the absolute values of the negative ones, ``[columns]``.
        total: ``‖e‖₁`` over the whole volume.
    """

    positive: np.ndarray
    negative: np.ndarray
    total: float

    @property
    def mass(self) -> np.ndarray:
        """Equation 7 for this map, ``[columns]``; NaN for an all-zero map."""
        with np.errstate(invalid="ignore"):
            return (self.positive + self.negative) / self.total if self.total > 0 else np.full(len(self.positive), np.nan)


class Regions:
    """The columns of the matrix on one grid: a label map that partitions the volume, and extra masks that may overlap.

    Args:
        segmentation: integer label map ``[x, y, z]`` with values ``0 .. len(names) - 1``.
        names: the name of each value.
        extra: further regions, name to boolean mask ``[x, y, z]`` of the same shape.
    """

    def __init__(self, segmentation: np.ndarray, names: Sequence[str], extra: Iterable[tuple[str, np.ndarray]] = ()):
        self.segmentation = segmentation
        self.names = tuple(names)
        self.extra = tuple((name, np.flatnonzero(mask)) for name, mask in extra)
        partition = np.bincount(segmentation.ravel(), minlength=len(self.names))
        self.voxels = np.concatenate([partition, [len(index) for _, index in self.extra]]).astype(np.int64)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns: labels, then extra regions."""
        return self.names + tuple(name for name, _ in self.extra)

    def sums(self, attribution: np.ndarray) -> RegionSums:
        """Positive and negative sums of a signed map ``[x, y, z]`` in every region, accumulated in float64.

        Works through slabs of the first axis, so that it needs no second volume.
        """
        found = None
        for found in self.sums_in_steps(attribution):  # noqa: B007
            pass
        assert found is not None
        return found

    def sums_in_steps(self, attribution: np.ndarray) -> Iterator[RegionSums | None]:
        """:meth:`sums` in pieces for those who must not be kept waiting: None until it is complete."""
        count = len(self.names)
        positive, negative = np.zeros(count), np.zeros(count)
        for start in range(0, attribution.shape[0], 16):
            values = np.asarray(attribution[start : start + 16], dtype=np.float64).ravel()
            index = self.segmentation[start : start + 16].ravel()
            absolute = np.bincount(index, np.abs(values), minlength=count)
            signed = np.bincount(index, values, minlength=count)
            positive += (absolute + signed) / 2
            negative += (absolute - signed) / 2
            yield None
        flat = attribution.reshape(-1) if self.extra else attribution  # a copy for arrays that run through x first
        extra = [np.asarray(flat[index], dtype=np.float64) for _, index in self.extra]
        total = float(positive.sum() + negative.sum())
        yield RegionSums(
            np.concatenate([positive, [values[values > 0].sum() for values in extra]]),
            np.concatenate([negative, [-values[values < 0].sum() for values in extra]]),
            total,
        )


def importance_matrix(
    regions: Regions, sums: dict[str, RegionSums], standard_errors: dict[str, np.ndarray] | None = None
) -> ImportanceMatrix:
    """Equation 7 with its variants from the sums of each explained label's map.

    Args:
        regions: the columns.
        sums: per explained label what :meth:`Regions.sums` gave for its map; a label without any attribution must be left out.
        standard_errors: per label the Monte-Carlo error of each column, ``[columns]``; NaN where not given.
    """
    rows = tuple(sums)
    shape = (len(rows), len(regions.columns))
    positive = np.stack([sums[row].positive for row in rows]) if rows else np.zeros(shape)
    negative = np.stack([sums[row].negative for row in rows]) if rows else np.zeros(shape)
    total = np.array([sums[row].total for row in rows])[:, None]
    voxels = np.where(regions.voxels > 0, regions.voxels, np.nan)
    mass = (positive + negative) / total
    errors = np.full(shape, np.nan)
    for index, row in enumerate(rows):
        if standard_errors and row in standard_errors:
            errors[index] = standard_errors[row]
    return ImportanceMatrix(
        rows=rows,
        columns=regions.columns,
        mass=mass,
        mean=(positive + negative) / voxels,
        enrichment=mass / (voxels / regions.segmentation.size),
        positive_mass=positive / total,
        negative_mass=negative / total,
        standard_error=errors,
        roi_voxels=regions.voxels,
        extra=tuple(name for name, _ in regions.extra),
    )
