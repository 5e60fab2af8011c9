"""Backends of the eigensolver that LAPACK and SciPy provide.

Each takes (operator, rank, seed) and returns (values (r,), vectors (size, r), lowest), in any order.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh, lobpcg, svds

from recspectra.spectral.operators import Bipartite, ItemSimilarity, Operator

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


def lobpcg_(operator: Operator, rank: int, seed: int) -> Pairs:
    """LOBPCG without a preconditioner; a few more vectors than asked for speed it up."""
    extra = min(rank // 4 + 4, (operator.size - 1) // 5 - rank)
    if extra < 0:
        raise SpectrumError(
            f"solver 'lobpcg' needs a size above 5 * rank; it is {operator.size} at rank {rank}"
        )
    start = _start(operator, rank + extra, seed)
    with warnings.catch_warnings():  # pairs beyond `rank` need not converge: `leading` checks the rest
        warnings.simplefilter("ignore", UserWarning)
        values, vectors = lobpcg(_linear(operator), start, tol=3e-5, maxiter=1000, largest=True)
    order = np.argsort(-values, kind="stable")[:rank]
    return values[order], vectors[:, order], _lowest(operator, seed)


def propack(operator: Operator, rank: int, seed: int) -> Pairs:
    """Golub-Kahan-Lanczos on R, whose singular values sigma and vectors (u, w) are the pairs.

    R^T R has the pairs (sigma^2, w) and the bipartite graph the pairs (sigma, (u, w) / sqrt(2)).
    """
    if not isinstance(operator, (ItemSimilarity, Bipartite)):
        raise SpectrumError(
            f"solver 'propack' needs an operator made of singular vectors (item-similarity, bipartite), "
            f"not {type(operator).__name__}"
        )
    r = operator.r
    if rank > min(r.shape):
        raise SpectrumError(
            f"solver 'propack' failed at rank {rank}: there are {min(r.shape)} singular values"
        )
    start = np.random.default_rng(seed).standard_normal(r.shape[0])
    try:
        left, sigma, right = svds(r, k=rank, solver="propack", v0=start, tol=1e-7)
    except np.linalg.LinAlgError as error:
        raise SpectrumError(f"solver 'propack' failed at rank {rank}: {error}") from None
    if isinstance(operator, ItemSimilarity):
        return sigma**2, right.T, _lowest(operator, seed)
    return sigma, np.concatenate([left, right.T]) / np.sqrt(2.0), -float(sigma.max())


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
