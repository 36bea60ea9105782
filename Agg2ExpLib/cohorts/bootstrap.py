"""Confidence intervals of means over patients."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

_BATCH_VALUES = 4_000_000


def mean_interval(values: np.ndarray, confidence: float, resamples: int, seed: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Bias-corrected and accelerated bootstrap interval of the mean over patients (Efron 1987), by ``scipy.stats.bootstrap``.

    Args:
        values: ``[patients, columns]``; NaN where a patient has no value.
        confidence: 0 to 1.
        resamples: how many samples of patients are drawn.
        seed: of the draw.

    Returns:
        Lower and upper ends ``[columns]``; NaN where fewer than two patients have a value, the value itself where all have one.
    """
    from scipy.stats import bootstrap

    low, high = (np.full(values.shape[1], np.nan) for _ in range(2))
    finite = np.isfinite(values)
    # columns that the same patients have are drawn together
    patterns, which = np.unique(finite, axis=1, return_inverse=True)
    for index in range(patterns.shape[1]):
        columns = np.flatnonzero(which.ravel() == index)
        sample = values[np.ix_(patterns[:, index], columns)]
        if len(sample) < 2:
            continue
        constant = np.ptp(sample, axis=0) == 0
        low[columns[constant]] = high[columns[constant]] = sample[0, constant]
        columns, sample = columns[~constant], sample[:, ~constant]
        if not columns.size:
            continue
        batch = max(1, min(resamples, _BATCH_VALUES // sample.size))
        with warnings.catch_warnings():  # BCa is undefined for two or three patients now and then
            warnings.simplefilter("ignore")
            result = bootstrap(
                (sample,),
                np.mean,
                axis=0,
                n_resamples=resamples,
                batch=batch,
                confidence_level=confidence,
                method="BCa",
                rng=np.random.default_rng([*seed, index]),
            )
        tail = (1 - confidence) / 2
        plain = np.quantile(result.bootstrap_distribution, [tail, 1 - tail], axis=-1)
        ends = result.confidence_interval
        low[columns] = np.where(np.isfinite(ends.low), ends.low, plain[0])
        high[columns] = np.where(np.isfinite(ends.high), ends.high, plain[1])
    return low, high
