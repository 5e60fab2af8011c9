"""Leading eigenpairs of a symmetric operator, with residuals and a choice of solver."""

from __future__ import annotations

import time

import numpy as np

from recspectra.spectral.operators import Operator
from recspectra.spectral.solver_block import block, torch_cpu, torch_cuda
from recspectra.spectral.solvers import SpectrumError, arpack, dense, lobpcg_, propack, residual_scale
from recspectra.spectral.spectrum import Spectrum

DENSE_LIMIT = 1200  # below this size LAPACK on the formed matrix is fastest
FEW = 16  # up to this rank ARPACK needs so few products that blocks do not pay
TOLERANCE = 1e-4  # largest residual norm that is accepted, against `residual_scale`


SOLVERS = {
    "dense": dense,
    "block": block,
    "arpack": arpack,
    "lobpcg": lobpcg_,
    "propack": propack,
    "torch-cpu": torch_cpu,
    "torch-cuda": torch_cuda,
}

__all__ = ["SOLVERS", "SpectrumError", "leading"]


def leading(operator: Operator, rank: int, solver: str = "auto", seed: int = 0) -> Spectrum:
    """Compute the `rank` largest eigenpairs of a symmetric operator.

    Parameters
    ----------
    operator : Operator
        Anything with `size`, `interval` (it holds the spectrum) and `@`.
    rank : int
        Number of pairs; more than the size gives all of them.
    solver : {"auto", "dense", "block", "arpack", "lobpcg", "propack", "torch-cpu", "torch-cuda"}
        `auto` takes `dense` up to size 1,200 or for more than a third of all pairs, `arpack` up
        to rank 16, else `block`.
    seed : int
        Seed of the start vectors.

    Raises
    ------
    SpectrumError
        A residual exceeds `TOLERANCE` times `residual_scale` of the operator's norm, or the
        solver is unknown, unfit or did not converge.

    Notes
    -----
    `block` is the default because `workflow/scripts/bench_spectrum.py` found it fastest. Seconds at
    a residual of 1e-4 with one thread; GSPRec's graph of depth 2 and decay 0.4, rank 128 unless said:

    ============================= ============= ====== ====== ===== =========
    dataset                       arpack formed arpack lobpcg block torch-cpu
    ============================= ============= ====== ====== ===== =========
    amazon-beauty.loo                     36.25  21.72  73.98  2.47      3.67
    amazon-beauty.loo, rank 512          404.28      -      - 13.77         -
    ml-1m.diffrec                          9.91   4.43  11.96  2.06      2.38
    ml-1m.pairs, item-similarity           4.67   1.05   1.92  0.66      1.53
    synthetic.amazon-book, rank 200           - 144.68      - 53.51         -
    ============================= ============= ====== ====== ===== =========

    PROPACK took 7.23 s in the fourth row, the only one it can solve. At Amazon-Book's size `block`
    takes 1.4 GB. At rank 8, on graphs of users and items, `arpack` is 2 to 5 times faster
    than `block`.
    """
    rank = min(rank, operator.size)
    if solver == "auto":
        small = operator.size <= DENSE_LIMIT or rank > operator.size // 3
        solver = "dense" if small else "arpack" if rank <= FEW else "block"
    if solver not in SOLVERS:
        raise SpectrumError(f"unknown solver '{solver}'; known: auto, {', '.join(SOLVERS)}")
    started = time.perf_counter()
    values, vectors, lowest = SOLVERS[solver](operator, rank, seed)
    seconds = time.perf_counter() - started
    vectors = _signed(vectors).astype(np.float32)
    values, residuals = _rayleigh(operator, vectors)
    norm = max(float(np.abs(values).max(initial=0.0)), abs(lowest))
    accepted = TOLERANCE * residual_scale(norm)
    if not residuals.max(initial=0.0) <= accepted:
        raise SpectrumError(
            f"solver '{solver}' left a residual of {residuals.max():.1e} > {accepted:.1e} at rank "
            f"{rank}; use another solver or a smaller rank"
        )
    order = np.argsort(-values, kind="stable")
    vectors = np.ascontiguousarray(vectors[:, order])
    return Spectrum(values[order], vectors, residuals[order], lowest, solver, seconds)


def _rayleigh(operator: Operator, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the stored vectors' Rayleigh quotients and residual norms, in float64."""
    values, residuals = (np.zeros(vectors.shape[1]) for _ in range(2))
    for first in range(0, len(values), 64):  # some columns at a time: products are large
        part = slice(first, first + 64)
        v = vectors[:, part].astype(np.float64)
        product = operator @ v
        values[part] = (v * product).sum(axis=0) / (v * v).sum(axis=0)
        residuals[part] = np.linalg.norm(product - v * values[part], axis=0)
    return values, residuals


def _signed(vectors: np.ndarray) -> np.ndarray:
    """Fix the sign of each eigenvector: its entry of largest magnitude is positive."""
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return vectors * np.where(signs == 0, 1.0, signs)
