"""Chebyshev-filtered block Lanczos with thick restarts, in float32, on NumPy or PyTorch arrays.

1. Some block Lanczos steps from random vectors give the density of eigenvalues
   (stochastic Lanczos quadrature), so the value `cut` above which there are about 1.6 r of them.
2. p is the Chebyshev polynomial that stays within [-1, 1] on [low, cut] and grows fast above.
   The leading pairs of p(A) are those of A, far better separated.
3. Block Lanczos on p(A) with full orthogonalisation: products with A are cheap (sparse), the
   orthogonalisation is not, and the filter makes the basis short, r to 3 r vectors.
4. Residuals are those of A itself. When they are small a random block, orthogonal to the pairs,
   joins: copies of a multiple eigenvalue that the first Krylov space cannot see come in through it.

Float32 holds the basis and the products; small matrices are float64 on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recspectra.spectral.operators import Operator
from recspectra.spectral.solvers import Pairs, SpectrumError, dense, residual_scale

Array = Any  # (n, b) float32: a NumPy array or a PyTorch tensor

TARGET = 8e-5  # largest residual norm, against `residual_scale`, that ends the iteration
MISSED = 1e-4  # an eigenvalue that grows by more than this in the last check had been missed
GROWTH = 1e3  # largest value of p on the spectrum; float32 must keep the small values of p(A)
SPARE = 1.6  # eigenvalues above the cut for each that is wanted
MAX_DEGREE = 12
MAX_RESTARTS = 20


def block(operator: Operator, rank: int, seed: int) -> Pairs:
    """Compute the leading pairs with NumPy and SciPy."""
    return block_lanczos(operator, rank, seed, NumpyArrays())


def torch_cpu(operator: Operator, rank: int, seed: int) -> Pairs:
    """Compute the leading pairs with PyTorch on the CPU."""
    return block_lanczos(operator, rank, seed, TorchArrays("cpu"))


def torch_cuda(operator: Operator, rank: int, seed: int) -> Pairs:
    """Compute the leading pairs with PyTorch on the GPU."""
    return block_lanczos(operator, rank, seed, TorchArrays("cuda"))


def block_lanczos(operator: Operator, rank: int, seed: int, arrays: NumpyArrays | TorchArrays) -> Pairs:
    """Compute the `rank` largest eigenpairs; LAPACK takes over when the basis would fill the space.

    Parameters
    ----------
    operator : Operator
        Its `interval` must hold the spectrum.
    rank : int
        Number of pairs.
    seed : int
        Seed of all random blocks: same seed, same bytes on the CPU.
    arrays : NumpyArrays or TorchArrays
        Where the basis lives.

    Raises
    ------
    SpectrumError
        The residual does not fall below `TARGET` within `MAX_RESTARTS` restarts.
    """
    width = int(np.clip(8 * -(-rank // 128), 16, 64))
    capacity = min(rank + max(2 * rank, 12 * width), operator.size - 2 * width)
    if capacity < rank + 4 * width:
        return dense(operator, rank, seed)
    rng = np.random.default_rng(seed)
    apply = arrays.operator(operator)
    nodes, counts = _density(apply, arrays, operator.size, rng)
    wanted, growth, norm = SPARE * rank + 8, GROWTH, _norm(nodes)
    for _ in range(4):
        chosen = _Filter.above(wanted, nodes, counts, operator.interval[0] - 1e-4 * norm, growth)
        basis = _Basis(arrays, lambda b, f=chosen: f(apply, b), operator.size, capacity, width, rng)
        found = _converge(basis, apply, chosen, rank, norm)
        if found is not None:
            return found[0], arrays.to_numpy(found[1]), float(nodes[0])
        wanted, growth = 2 * wanted, growth / 10
    raise SpectrumError(
        f"solver 'block' reaches no residual of {TARGET * residual_scale(norm):.1e} at rank {rank} "
        f"in float32; "
        f"use solver 'arpack' (float64) if the operator is symmetric and its interval holds its spectrum"
    )


def _converge(
    basis: _Basis, apply: Callable[[Array], Array], chosen: _Filter, rank: int, norm: float
) -> tuple[np.ndarray, Array] | None:
    """Grow and restart the basis until the pairs hold; None if the filter is unfit.

    That is when fewer than `rank` eigenvalues lie above its cut, or when rounding, which grows
    with p, keeps residuals from falling. They are relative to `residual_scale`.
    """
    target, missed = TARGET * residual_scale(norm), MISSED * residual_scale(norm)
    known: np.ndarray | None = None
    ratio = 0.25  # true residual / bound; learnt whenever the true one is computed
    until, restarts = rank + basis.width, 0
    while restarts <= MAX_RESTARTS:
        basis.step()
        if basis.count < until and not basis.full:
            continue
        until = basis.count + max(basis.width, rank // 8)
        gains, mix, rest = basis.ritz()
        bound = float((rest[-rank:] * chosen.inverse_slope(gains[-rank:])).max())
        if bound * ratio <= target:
            vectors = basis.vectors(mix[:, -rank:])
            values, rotated, residual = _rotated(apply, vectors, basis.arrays)
            if residual <= target:
                if known is not None and (values - known).max() <= missed:
                    return values, rotated
                known = values
                basis.restart(gains[-rank:], vectors, fresh=True)
                until, restarts = rank + 3 * basis.width, restarts + 1
                continue
            if residual > 4 * bound:  # so it is rounding, not the size of the basis
                return None
            ratio = residual / bound
        if basis.full:
            if gains[-rank] < 1.05:
                return None
            keep = rank + (basis.capacity - rank) // 3
            basis.restart(gains[-keep:], basis.vectors(mix[:, -keep:]), fresh=False)
            until, restarts = basis.count + basis.width, restarts + 1
    raise SpectrumError(
        f"solver 'block' did not reach a residual of {target:.1e} at rank {rank}: after {restarts} restarts "
        f"about {bound * ratio:.1e} is left; use solver 'arpack' (float64) or a smaller rank"
    )


def _density(
    apply: Callable[[Array], Array],
    arrays: NumpyArrays | TorchArrays,
    size: int,
    rng: np.random.Generator,
    width: int = 8,
    steps: int = 24,
) -> tuple[np.ndarray, np.ndarray]:
    """Return Ritz values, ascending, and an estimate of how many eigenvalues are as large or larger.

    Block Gauss quadrature: with a random orthonormal start Q, trace f(A) is about
    size / width * trace Q^T f(A) Q.
    """
    steps = min(steps, size // width - 2)
    basis = _Basis(arrays, apply, size, steps * width, width, rng)
    while not basis.full:
        basis.step()
    nodes, mix, _ = basis.ritz()
    weights = (mix[:width] ** 2).sum(axis=0) * size / width
    return nodes, np.cumsum(weights[::-1])[::-1]


def _rotated(
    apply: Callable[[Array], Array], vectors: Array, arrays: NumpyArrays | TorchArrays
) -> tuple[np.ndarray, Array, float]:
    """Return the Ritz pairs of A itself in the span of `vectors` and their largest residual norm.

    p(A) in float32 mixes pairs whose gains are small against the largest; A does not.
    """
    products = arrays.empty(*vectors.shape)
    for first in range(0, vectors.shape[1], 64):  # some columns at a time: less memory
        part = slice(first, first + 64)
        products[:, part] = apply(arrays.copied(vectors[:, part]))
    h = arrays.small(vectors.T @ products)
    values, turn = np.linalg.eigh((h + h.T) / 2)
    vectors, products = vectors @ arrays.large(turn), products @ arrays.large(turn)
    products -= vectors * arrays.large(values)
    squares = arrays.small((products * products).sum(0))
    return values, vectors, float(squares.max()) ** 0.5


def _norm(nodes: np.ndarray) -> float:
    """Return the norm of A; 1 for a matrix of zeros."""
    return float(np.abs(nodes).max()) or 1.0


@dataclass(frozen=True)
class _Filter:
    """p(A) = T_degree((A - mid) / half), which maps [low, cut] to [-1, 1]."""

    mid: float
    half: float
    degree: int

    @classmethod
    def above(
        cls, wanted: float, nodes: np.ndarray, counts: np.ndarray, low: float, growth: float
    ) -> _Filter:
        """Return the filter with about `wanted` eigenvalues above its cut and `growth` at the top."""
        top = float(nodes[-1])
        logs = np.log(np.maximum(counts, 1e-6))
        cut = float(np.interp(np.log(wanted), logs[::-1], nodes[::-1]))
        cut = min(cut, top - 0.02 * (top - low))  # many eigenvalues may equal the largest
        mid, half = (low + cut) / 2, (cut - low) / 2
        degree = int(np.arccosh(growth) / np.arccosh((top - mid) / half))
        return cls(mid, half, int(np.clip(degree, 1, MAX_DEGREE)))

    def __call__(self, apply: Callable[[Array], Array], start: Array) -> Array:
        """Return p(A) times a block by the three-term recurrence."""
        previous, current = start, (apply(start) - self.mid * start) * (1.0 / self.half)
        for _ in range(self.degree - 1):
            following = apply(current)
            following *= 2.0 / self.half
            following -= (2.0 * self.mid / self.half) * current
            following -= previous
            previous, current = current, following
        return current

    def inverse_slope(self, gains: np.ndarray) -> np.ndarray:
        """Bound |x - y| / |p(x) - p(y)| for p(x) = gain and y in [low, cut].

        Where eigenvalues fall by orders of magnitude, x may lie far above the cut: the width of
        [low, cut] is no bound of |x - y| then.
        """
        above = np.cosh(np.arccosh(np.maximum(gains, 1.0)) / self.degree)  # (x - mid) / half
        return self.half * (above + 1.0) / np.maximum(gains - 1.0, 1e-3)


class _Basis:
    """Orthonormal V with B V = V H + Q R in the last block of columns; Q is the next block."""

    def __init__(
        self,
        arrays: NumpyArrays | TorchArrays,
        product: Callable[[Array], Array],
        size: int,
        capacity: int,
        width: int,
        rng: np.random.Generator,
    ) -> None:
        self.arrays, self.product, self.rng = arrays, product, rng
        self.size, self.capacity, self.width = size, capacity, width
        self.v = arrays.empty(size, capacity)
        self.h = np.zeros((capacity, capacity))
        self.count = 0
        self.next, self.r = self._orthonormal(self._random(width), 0.0)

    @property
    def full(self) -> bool:
        """True when another block does not fit."""
        return self.count + self.width > self.capacity

    def step(self) -> None:
        """Append the next block and find the one after it."""
        new = slice(self.count, self.count + self.width)
        self.v[:, new] = self.next
        self.count = new.stop
        block = self.product(self.next)
        known = self.v[:, : self.count]
        scale = float(self.arrays.small((block * block).sum(0)).max()) ** 0.5
        inner = known.T @ block
        block -= known @ inner
        column = self.arrays.small(inner)
        self.h[: self.count, new] = column
        self.h[new, : self.count] = column.T
        self.next, self.r = self._orthonormal(block, scale)

    def ritz(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return Ritz values (ascending), their coordinates in V and residual norms."""
        h = self.h[: self.count, : self.count]
        values, mix = np.linalg.eigh((h + h.T) / 2)
        return values, mix, np.linalg.norm(self.r @ mix[-self.width :], axis=0)

    def vectors(self, mix: np.ndarray) -> Array:
        """Return V times coordinates."""
        return self.v[:, : self.count] @ self.arrays.large(mix)

    def restart(self, values: np.ndarray, vectors: Array, fresh: bool) -> None:
        """Keep only Ritz pairs; `fresh` goes on from a random block, else from the next one."""
        self.count = len(values)
        self.v[:, : self.count] = vectors
        self.h[:] = 0.0
        self.h[range(self.count), range(self.count)] = values
        if fresh:
            self.next, self.r = self._orthonormal(self._random(self.width), 0.0)

    def _random(self, columns: int) -> Array:
        drawn = self.rng.standard_normal((self.size, columns), dtype=np.float32)
        return self.arrays.large(drawn / np.float32(self.size**0.5))

    def _orthonormal(self, block: Array, scale: float) -> tuple[Array, np.ndarray]:
        """Return Q, orthonormal and orthogonal to V, and R with block = Q R.

        Directions that are rounding errors against `scale` are replaced by random ones, with
        zeros in R: so the basis goes on growing when it is invariant.
        """
        known, r = self.v[:, : self.count], np.eye(self.width)
        floor = (1e-6 * scale) ** 2 + 1e-30
        for attempt in range(6):
            squares, turn = np.linalg.eigh(self.arrays.small(block.T @ block))
            alive = squares > floor
            root = np.sqrt(np.where(alive, squares, 1.0))
            block = block @ self.arrays.large(turn / root)
            r = np.where(alive, root, 0.0)[:, None] * (turn.T @ r)
            if not alive.all():
                block[:, np.flatnonzero(~alive)] = self._random(int((~alive).sum()))
            elif attempt and squares[0] > 0.5:
                break
            block -= known @ (known.T @ block)
            floor = 1e-6
        return self.arrays.copied(block), r


class NumpyArrays:
    """Basis and products in float32 NumPy arrays."""

    def empty(self, rows: int, columns: int) -> Array:
        """Return an array whose columns are contiguous."""
        return np.empty((rows, columns), dtype=np.float32, order="F")

    def large(self, array: np.ndarray) -> Array:
        """Take a NumPy array."""
        return array.astype(np.float32)

    def small(self, array: Array) -> np.ndarray:
        """Give a float64 NumPy array."""
        return array.astype(np.float64)

    def copied(self, block: Array) -> Array:
        """Return the block with contiguous rows."""
        return np.ascontiguousarray(block)

    def to_numpy(self, block: Array) -> np.ndarray:
        """Give a NumPy array."""
        return block

    def operator(self, operator: Operator) -> Callable[[Array], Array]:
        """Return the product in float32."""
        return operator.astype(np.float32).__matmul__


class TorchArrays:
    """Basis and products in float32 PyTorch tensors on a device."""

    def __init__(self, device: str) -> None:
        import torch  # here, since importing it takes two seconds

        if device == "cuda" and not torch.cuda.is_available():
            raise SpectrumError("solver 'torch-cuda' needs a GPU and PyTorch with CUDA")
        self.torch, self.device = torch, device

    def empty(self, rows: int, columns: int) -> Array:
        """Return a tensor whose columns are contiguous."""
        return self.torch.empty((columns, rows), dtype=self.torch.float32, device=self.device).T

    def large(self, array: np.ndarray) -> Array:
        """Take a NumPy array."""
        return self.torch.from_numpy(array.astype(np.float32)).to(self.device)

    def small(self, array: Array) -> np.ndarray:
        """Give a float64 NumPy array."""
        return array.double().cpu().numpy()

    def copied(self, block: Array) -> Array:
        """Return the block with contiguous rows."""
        return block.contiguous()

    def to_numpy(self, block: Array) -> np.ndarray:
        """Give a NumPy array."""
        return block.cpu().numpy()

    def operator(self, operator: Operator) -> Callable[[Array], Array]:
        """Return the product in float32 on the device."""
        from recspectra.spectral.torch_operators import to_torch

        return to_torch(operator, self.device).__matmul__
