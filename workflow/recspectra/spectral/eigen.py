"""Leading eigenpairs of a symmetric operator, with residuals and a choice of solver."""

from __future__ import annotations

import time

import numpy as np

from recspectra.devices import NODES
from recspectra.spectral.operators import Operator
from recspectra.spectral.solver_block import block, block_on
from recspectra.spectral.solvers import SpectrumError, dense, residual_scale
from recspectra.spectral.spectrum import Spectrum

DENSE_LIMIT = NODES  # up to this size LAPACK on the formed matrix is affordable, and it is exact
TOLERANCE = 1e-4  # largest residual norm that is accepted, against `residual_scale`


SOLVERS = {"dense": dense, "block": block, "torch-cuda": block_on("cuda")}

__all__ = ["SOLVERS", "SpectrumError", "exact", "leading"]


def exact(size: int, rank: int) -> bool:
    """Return whether all pairs of an operator of this size are computed, exactly and on a CPU."""
    return size <= DENSE_LIMIT or rank > size // 3


def leading(
    operator: Operator, rank: int, solver: str = "auto", seed: int = 0, device: str = "cpu"
) -> Spectrum:
    """Compute the `rank` largest eigenpairs of a symmetric operator.

    Parameters
    ----------
    operator : Operator
        Anything with `size`, `interval` (it holds the spectrum) and `@`.
    rank : int
        Number of pairs; more than the size gives all of them.
    solver : {"auto", "dense", "block", "torch-cuda"}
        `auto` takes `dense` up to size 4,000 or for more than a third of all pairs, else `block`, on
        a GPU `torch-cuda`, which is the same with tensors.
    seed : int
        Seed of the start vectors.
    device : str
        Where `auto` may compute: `cpu` or `cuda`.

    Raises
    ------
    SpectrumError
        A residual exceeds `TOLERANCE` times `residual_scale` of the operator's norm, or the solver is
        unknown, unfit or did not converge.

    Notes
    -----
    The pairs are complete: an eigenvalue appears as often as it has eigenvectors, one for each
    component of a graph at the least. `dense` finds all; `block` checks what it left out and goes on
    until nothing is. Residuals do not show that.

    Residuals that are small against the spectrum can be large against its gaps, and then move
    metrics. With a residual r at the rank asked for, and float32 vectors as stored, on HiGSP's ML-100K
    (history and mask train):

    ============================= ======= ================== ==================
    model, size of graph         metric  r about 5e-5       exact
    ============================= ======= ================== ==================
    GF-CF, rank 256, 1,682        ndcg_set@10         .6560              .6539
    BSPM, rank 448, 1,682         ndcg_set@10         .5878              .5903
    PGSP, rank 512, 2,625         ndcg_set@10         .6441              .6441
    SGFCF, rank 250, 1,682        ndcg_set@10         .6976              .6977
    ============================= ======= ================== ==================

    Between 2,810 (DiffRec's ML-1M, items) and 12,101 nodes (Beauty) the difference is .0001 at most.
    So small graphs have exact pairs, and `block` ends at a residual of 4e-6, where the fourth digit
    stands still. CPU seconds and peak memory with one thread (`workflow/benchmarks/spectrum.py`
    sets the solvers side by side):

    ======================================== ====== ====== ======== =======
    dataset, operator, rank                    size solver  seconds  GB
    ======================================== ====== ====== ======== =======
    ml-1m.diffrec, item-similarity, 128       2,810 dense      8.95    0.52
    ml-1m.diffrec, unified-d2-a0.4, 128       8,759 block      3.54    0.21
    amazon-beauty.higsp, item-similarity, 256 12,101 block     4.52    0.28
    ======================================== ====== ====== ======== =======

    A residual of 8e-5 without the checks of today took 3.33 and 3.79 s in the last two rows.
    """
    rank = min(rank, operator.size)
    if solver == "auto":
        large = "block" if device == "cpu" else f"torch-{device}"
        solver = "dense" if exact(operator.size, rank) else large
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
