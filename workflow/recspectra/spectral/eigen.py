"""Leading eigenpairs of a symmetric operator, with residuals and a choice of solver."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from recspectra.artifacts import ArtifactError, read_npz, write_npz
from recspectra.spectral.operators import Operator

DENSE_LIMIT = 1200  # below this size LAPACK on the formed matrix is fastest
TOLERANCE = 1e-4  # largest residual norm that is accepted


class SpectrumError(RuntimeError):
    """The eigensolver did not reach the residual that is asked for."""


@dataclass(frozen=True)
class Spectrum:
    """Leading eigenpairs of an operator A, largest eigenvalue first.

    Attributes
    ----------
    values : float64 array, shape (r,)
        Eigenvalues, descending.
    vectors : float32 array, shape (size, r)
        Orthonormal eigenvectors; the entry of largest magnitude is positive.
    residuals : float64 array, shape (r,)
        ||A v - lambda v|| of each pair, for the stored vectors.
    lowest : float
        Smallest eigenvalue of A (the other end of the spectrum).
    solver : str
        Name of the backend.
    seconds : float
        Wall time of the solve.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    lowest: float
    solver: str
    seconds: float

    @property
    def rank(self) -> int:
        """Number of eigenpairs."""
        return len(self.values)

    def top(self, rank: int) -> Spectrum:
        """Return the leading `rank` pairs (all of them when there are fewer)."""
        keep = slice(0, rank)
        return Spectrum(
            self.values[keep],
            np.ascontiguousarray(self.vectors[:, keep]),
            self.residuals[keep],
            self.lowest,
            self.solver,
            self.seconds,
        )

    def save(self, path: Path | str) -> None:
        """Write to an npz file, atomically."""
        write_npz(
            path,
            values=self.values,
            vectors=self.vectors,
            residuals=self.residuals,
            lowest=np.float64(self.lowest),
            solver=np.str_(self.solver),
            seconds=np.float64(self.seconds),
        )

    @classmethod
    def load(cls, path: Path | str) -> Spectrum:
        """Read what `save` wrote."""
        a = read_npz(path)
        try:
            return cls(
                a["values"],
                a["vectors"],
                a["residuals"],
                float(a["lowest"]),
                str(a["solver"]),
                float(a["seconds"]),
            )
        except KeyError as error:
            raise ArtifactError(f"{path}: array {error} is missing; delete it and run again") from None


def leading(operator: Operator, rank: int, solver: str = "auto", seed: int = 0) -> Spectrum:
    """Compute the `rank` largest eigenpairs of a symmetric operator.

    Parameters
    ----------
    operator : Operator
        Anything with `size` and `@`.
    rank : int
        Number of pairs; more than the size gives all of them.
    solver : {"auto", "dense", "arpack"}
        `auto` takes `dense` for small operators or nearly full rank.
    seed : int
        Seed of ARPACK's start vector.

    Raises
    ------
    SpectrumError
        A residual exceeds `TOLERANCE`, or the solver did not converge.
    """
    rank = min(rank, operator.size)
    if solver == "auto":
        small = operator.size <= DENSE_LIMIT or rank > operator.size // 3
        solver = "dense" if small else "arpack"
    started = time.perf_counter()
    values, vectors, lowest = SOLVERS[solver](operator, rank, seed)
    seconds = time.perf_counter() - started
    order = np.argsort(-values, kind="stable")
    values, vectors = values[order], _signed(vectors[:, order]).astype(np.float32)
    residuals = np.linalg.norm(operator @ vectors.astype(np.float64) - vectors * values, axis=0)
    if not residuals.max(initial=0.0) <= TOLERANCE:
        raise SpectrumError(
            f"solver '{solver}' left a residual of {residuals.max():.1e} > {TOLERANCE:g} at rank "
            f"{rank}; use another solver or a smaller rank"
        )
    return Spectrum(values, vectors, residuals, lowest, solver, seconds)


def _signed(vectors: np.ndarray) -> np.ndarray:
    """Fix the sign of each eigenvector: its entry of largest magnitude is positive."""
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return vectors * np.where(signs == 0, 1.0, signs)


def _dense(operator: Operator, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    formed = operator.formed()
    values, vectors = np.linalg.eigh((formed + formed.T) / 2)
    return values[-rank:], vectors[:, -rank:], float(values[0])


def _arpack(operator: Operator, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    linear = LinearOperator(
        (operator.size, operator.size),
        matvec=lambda v: operator @ v,
        matmat=lambda v: operator @ v,
        dtype=np.float64,
    )
    start = np.random.default_rng(seed).standard_normal(operator.size)
    try:
        values, vectors = eigsh(linear, k=rank, which="LA", v0=start, tol=1e-7)
        lowest = eigsh(linear, k=1, which="SA", v0=start, tol=1e-4, return_eigenvectors=False)
    except ArpackError as error:
        raise SpectrumError(f"solver 'arpack' failed at rank {rank}: {error}") from None
    return values, vectors, float(lowest[0])


SOLVERS = {"dense": _dense, "arpack": _arpack}
