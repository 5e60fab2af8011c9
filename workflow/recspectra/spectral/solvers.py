"""Backends of the eigensolver that LAPACK and SciPy provide.

Each takes (operator, rank, seed) and returns (values (r,), vectors (size, r), lowest), in any order.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

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


def arpack(operator: Operator, rank: int, seed: int) -> Pairs:
    """Implicitly restarted Lanczos, one vector at a time, in float64."""
    linear, start = _linear(operator), _start(operator, 1, seed)[:, 0]
    try:
        values, vectors = eigsh(linear, k=rank, which="LA", v0=start, tol=1e-7)
    except (ArpackError, TypeError) as error:  # TypeError: rank is the size
        raise SpectrumError(f"solver 'arpack' failed at rank {rank}: {error}") from None
    return values, vectors, _lowest(operator, seed)


def _linear(operator: Operator, shift: float | None = None) -> LinearOperator:
    def product(block: np.ndarray) -> np.ndarray:
        found = operator @ block
        return found if shift is None else shift * block - found

    shape = (operator.size, operator.size)
    return LinearOperator(shape, matvec=product, matmat=product, dtype=np.float64)


def _start(operator: Operator, columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((operator.size, columns))


def _lowest(operator: Operator, seed: int) -> float:
    """Return the smallest eigenvalue, as `shift` less the largest of `shift - operator`.

    ARPACK's tolerance is relative to the eigenvalue that it looks for. Several operators here
    are positive semidefinite and have a smallest one of 0, which it would never be near enough to.
    """
    upper = operator.interval[1]
    shift = 2.0 * upper if upper > 0 else 1.0  # `shift - operator` is never 0
    linear, start = _linear(operator, shift), _start(operator, 1, seed)[:, 0]
    try:
        found = eigsh(linear, k=1, which="LA", v0=start, tol=1e-4, return_eigenvectors=False)
    except (ArpackError, TypeError) as error:
        raise SpectrumError(f"the smallest eigenvalue was not found: {error}") from None
    return shift - float(found[0])
