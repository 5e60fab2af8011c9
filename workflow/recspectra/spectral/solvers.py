"""LAPACK as an eigensolver, and what residuals are measured against.

A solver takes (operator, rank, seed) and returns (values (r,), vectors (size, r), lowest), in any order.
"""

from __future__ import annotations

import numpy as np

from recspectra.spectral.operators import Operator

Pairs = tuple[np.ndarray, np.ndarray, float]


def residual_scale(norm: float) -> float:
    """Return what residuals are measured against: the operator's norm, a tenth of it where it is large.

    Where eigenvalues fall from 75 to .5, as with SGFCF's weak normalisation, a residual of 1e-4
    of the norm leaves the small ones too rough (the fourth digit of a metric moves); float32
    reaches about 3e-6 of it.
    """
    return norm if norm < 1.0 else max(1.0, norm / 10.0)


class SpectrumError(RuntimeError):
    """The eigensolver did not reach the residual that is asked for."""


def dense(operator: Operator, rank: int, seed: int) -> Pairs:
    """LAPACK on the formed matrix: O(size^2) memory, O(size^3) time."""
    formed = operator.formed()
    values, vectors = np.linalg.eigh((formed + formed.T) / 2)
    return values[-rank:], vectors[:, -rank:], float(values[0])
