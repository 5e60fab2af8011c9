"""Paired comparisons of two systems over the same users.

The users of a test set are the sample: every user has one number under either system, the
mean over seeds. An interval says what other users of the same kind would give; it says
nothing of another split, another training seed or another dataset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 10_000
LEVEL = 0.95
DRAWS_AT_ONCE = 4_000_000  # 32 MB of user numbers


@dataclass(frozen=True)
class Comparison:
    """One system minus another over the same users.

    Attributes
    ----------
    difference : float
        Mean over users of first minus second.
    low, high : float
        Percentile bootstrap interval of the difference at the level `LEVEL`.
    p : float
        Two-sided p-value of the paired t-test; 1 if all users have the same number.
    users : int
        How many users there are.
    """

    difference: float
    low: float
    high: float
    p: float
    users: int


def compare(
    first: np.ndarray, others: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> list[Comparison]:
    """Compare one system with several over the same users.

    Parameters
    ----------
    first : array, shape (users,)
        A metric of each user.
    others : array, shape (users, c)
        The same metric of the same users under c other systems.
    resamples : int
        Bootstrap samples of the users; all c comparisons share them.
    seed : int
        Seed of the resampling.

    Raises
    ------
    ValueError
        There are no users, or a number is missing.
    """
    gaps = np.asarray(first, dtype=np.float64)[:, None] - np.asarray(others, dtype=np.float64)
    if not gaps.size or not np.isfinite(gaps).all():
        raise ValueError("a paired comparison needs a finite number of every user under both systems")
    means = bootstrap_means(gaps, resamples, seed)
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return [
        Comparison(float(gap.mean()), float(low[j]), float(high[j]), t_test(gap), len(gap))
        for j, gap in enumerate(gaps.T)
    ]


def t_test(gaps: np.ndarray) -> float:
    """Return the two-sided p-value of the paired t-test; NaN for a single user."""
    if len(gaps) < 2:
        return float("nan")
    if np.ptp(gaps) == 0.0:
        return 1.0 if gaps[0] == 0.0 else 0.0
    return float(stats.ttest_1samp(gaps, 0.0).pvalue)


def bootstrap_means(values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Return the mean of every column over resampled rows, shape (resamples, c).

    A resample draws as many rows as there are, with replacement. How often each row is
    drawn is counted, so all columns cost one matrix product.
    """
    users = len(values)
    generator = np.random.default_rng(seed)
    size = max(1, DRAWS_AT_ONCE // users)
    parts = []
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = generator.integers(0, users, size=(rows, users)) + users * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * users).reshape(rows, users)
        parts.append(counts @ values / users)
    return np.concatenate(parts)


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values corrected for their number by Holm's step-down method; NaN stays NaN.

    The smallest of n is multiplied by n, the next by n - 1, ...; a corrected value is at
    least the one before it and at most 1.
    """
    p = np.asarray(p, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected
