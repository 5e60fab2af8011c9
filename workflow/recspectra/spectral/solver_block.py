"""Chebyshev-filtered block Lanczos with thick restarts, in float32, on NumPy or PyTorch arrays.

1. Some block Lanczos steps from random vectors give the density of eigenvalues
   (stochastic Lanczos quadrature), so the value `cut` above which there are about 1.6 r of them.
2. p is the Chebyshev polynomial that stays within [-1, 1] on [low, cut] and grows fast above.
   The leading pairs of p(A) are those of A, far better separated.
3. Block Lanczos on p(A) with full orthogonalisation: products with A are cheap (sparse), the
   orthogonalisation is not, and the filter makes the basis short, r to 3 r vectors.
4. Residuals are those of A itself. They do not show what is missing: a Krylov space holds no more
   copies of a multiple eigenvalue than a block has columns. So, when residuals are small, a random
   block that is orthogonal to all that was found starts a Krylov space of its own. It is long enough
   to show any eigenvector that is left above the smallest pair. As long as one comes in, the next
   block has twice the columns.

Float32 holds the basis and the products, float64 where rounding stands in the way; small matrices
are float64 on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from recspectra.spectral.operators import Operator
from recspectra.spectral.solvers import Pairs, SpectrumError, dense, residual_scale

Array = Any  # (n, b) float32 or float64: a NumPy array or a PyTorch tensor

TARGET = 4e-6  # largest residual norm, against `residual_scale`, that ends the iteration
ROUGH = 8e-5  # what is accepted where rounding keeps it from falling further
MISSED = 1e-5  # an eigenvalue that grows by more than this in a check had been missed
GROWTH = 1e3  # largest value of p on the spectrum; float32 must keep the small values of p(A)
SPARE = 1.6  # eigenvalues above the cut for each that is wanted
MAX_DEGREE = 12
MAX_RESTARTS = 40  # without a pair that had been missed
PATIENCE = 6  # restarts while fewer pairs than are wanted lie above the cut, and none settles
WIDEST = 128  # columns of a block
SEEN = 30.0  # a missed eigenvector outweighs all others so many times at the end of a check
MOST_STEPS = 24  # of a check
CLEAR = 1.5  # gain above which eigenvalues are well apart from those below the cut


def block(operator: Operator, rank: int, seed: int) -> Pairs:
    """Compute the leading pairs with NumPy and SciPy."""
    return block_lanczos(operator, rank, seed, NumpyArrays())


def block_on(device: str) -> Callable[[Operator, int, int], Pairs]:
    """Return a solver that computes the leading pairs with PyTorch on a device."""
    return lambda operator, rank, seed: block_lanczos(operator, rank, seed, TorchArrays(device))


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
    nodes, counts = _density(arrays.operator(operator), arrays, operator.size, rng)
    norm, low = _norm(nodes), operator.interval[0] - 1e-4 * _norm(nodes)
    for kind in (arrays, arrays.double()):
        apply, wanted, growth = kind.operator(operator), SPARE * rank + 8, GROWTH
        for _ in range(3):
            chosen = _Filter.above(rank, wanted, nodes, counts, low, growth)
            basis = _Basis(kind, lambda b, a=apply, f=chosen: f(a, b), operator.size, capacity, width, rng)
            found = _Search(basis, apply, chosen, rank, norm).run()
            if found is not None:
                return found[0], kind.to_numpy(found[1]), float(nodes[0])
            wanted, growth = 2 * wanted, growth / 10
    raise SpectrumError(
        f"solver 'block' reaches no residual of {ROUGH * residual_scale(norm):.1e} at rank {rank}; use "
        f"solver 'dense' if the operator is symmetric and its interval holds its spectrum"
    )


class _Search:
    """The leading pairs of A from a basis of p(A)."""

    def __init__(
        self, basis: _Basis, apply: Callable[[Array], Array], chosen: _Filter, rank: int, norm: float
    ) -> None:
        self.basis, self.apply, self.chosen, self.rank = basis, apply, chosen, rank
        self.scale = residual_scale(norm)
        self.ratio = 0.25  # true residual / bound; learnt whenever the true one is computed
        self.restarts = 0
        self.locked = 0  # pairs that a search for more started from

    def run(self) -> tuple[np.ndarray, Array] | None:
        """Return the pairs, ascending, once no check brings in another; None if the filter is unfit."""
        found = self._settle()
        while found is not None:
            values, vectors, residuals = found
            grown = self._check()
            if (grown[0] - values).max() <= max(MISSED * self.scale, residuals.max()):
                return values, vectors
            self._restart(values, vectors)
            found = self._settle()
        return None

    def _settle(self) -> tuple[np.ndarray, Array, np.ndarray] | None:
        """Grow and restart the basis until residuals are small; return (values, vectors, residuals).

        None is returned when fewer than `rank` eigenvalues lie above the filter's cut, or when
        rounding, which grows with p, keeps residuals from falling to `ROUGH`.
        """
        basis, rank = self.basis, self.rank
        target, until = TARGET * self.scale, min(rank + basis.width, basis.capacity)
        while self.restarts <= MAX_RESTARTS:
            if not basis.full:
                basis.step()
            if basis.count < until and not basis.full:
                continue
            until = basis.count + max(basis.width, rank // 8)
            gains, mix, rest = basis.ritz()
            bound = float((rest[-rank:] * self.chosen.inverse_slope(gains[-rank:])).max())
            if bound * self.ratio <= target:
                found = _rotated(self.apply, basis.vectors(mix[:, -rank:]), basis.arrays)
                residual = float(found[2].max())
                rounding = residual > 4 * bound  # so it is not the size of the basis
                if residual <= target or (rounding and residual <= ROUGH * self.scale):
                    return found
                if rounding:
                    return None
                self.ratio = residual / bound
            if basis.full:
                if gains[-rank] < 1.05:
                    if self._lock(gains, mix, rest):
                        until = min(rank + basis.width, basis.capacity)
                        continue
                    if self.restarts >= PATIENCE:
                        return None
                basis.shrink(rank, fresh=False)
                until, self.restarts = basis.count + basis.width, self.restarts + 1
        found = _rotated(self.apply, basis.vectors(basis.ritz()[1][:, -rank:]), basis.arrays)
        if found[2].max() <= ROUGH * self.scale:
            return found
        raise SpectrumError(
            f"solver 'block' did not reach a residual of {ROUGH * self.scale:.1e} at rank {rank}: after "
            f"{self.restarts} restarts {found[2].max():.1e} is left; use solver 'dense' or a smaller rank"
        )

    def _check(self) -> tuple[np.ndarray, Array, np.ndarray]:
        """Let in what a random block finds outside of all that is known; return as `_settle` does.

        Ritz pairs beyond `rank` stay in the basis, so that little but what was missed is left.
        """
        basis, rank = self.basis, self.rank
        gains = basis.shrink(rank, fresh=True)
        contrast = max(float(gains[-rank]) / max(float(gains[0]), 1.0), 1.1)
        odds = SEEN * (basis.size / basis.width) ** 0.5
        steps = np.ceil(np.arccosh(odds) / np.arccosh(contrast))
        basis.grow(int(np.clip(steps, 3, MOST_STEPS)), rank)
        _, mix, _ = basis.ritz()
        return _rotated(self.apply, basis.vectors(mix[:, -rank:]), basis.arrays)

    def _lock(self, gains: np.ndarray, mix: np.ndarray, rest: np.ndarray) -> bool:
        """Restart from the leading pairs that have settled, if they are more than the last time.

        Others of the same eigenvalue stay outside: in one Rayleigh-Ritz problem with them those that have
        settled would take up their errors.
        """
        bounds = rest * self.chosen.inverse_slope(gains) * min(self.ratio, 1.0)
        open_ = np.flatnonzero((bounds > TARGET * self.scale) | (gains < 1.05))
        settled = min(len(gains) - 1 - open_[-1] if len(open_) else len(gains), self.rank)
        if settled <= self.locked:
            return False
        values, vectors, residuals = _rotated(
            self.apply, self.basis.vectors(mix[:, len(gains) - settled :]), self.basis.arrays
        )
        good = residuals <= ROUGH * self.scale
        self.locked = int(good.sum())
        self._restart(values[good], vectors[:, good])
        return True

    def _restart(self, values: np.ndarray, vectors: Array) -> None:
        """Go on from pairs that have settled and a wider random block."""
        self.restarts = 0
        self.basis.widen(self.rank)
        self.basis.restart(self.chosen.gains(values), vectors, fresh=True)


def _density(
    apply: Callable[[Array], Array],
    arrays: NumpyArrays | TorchArrays,
    size: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return Ritz values, ascending, and an estimate of how many eigenvalues are as large or larger.

    Block Gauss quadrature: with a random orthonormal start Q, trace f(A) is about
    size / width * trace Q^T f(A) Q.
    """
    width = 8
    steps = min(24, size // width - 2)
    basis = _Basis(arrays, apply, size, steps * width, width, rng)
    while not basis.full:
        basis.step()
    nodes, mix, _ = basis.ritz()
    weights = (mix[:width] ** 2).sum(axis=0) * size / width
    return nodes, np.cumsum(weights[::-1])[::-1]


def _rotated(
    apply: Callable[[Array], Array], vectors: Array, arrays: NumpyArrays | TorchArrays
) -> tuple[np.ndarray, Array, np.ndarray]:
    """Return the Ritz pairs of A itself in the span of `vectors`, ascending, and their residual norms.

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
    return values, vectors, np.sqrt(arrays.small((products * products).sum(0)))


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
        cls, rank: int, wanted: float, nodes: np.ndarray, counts: np.ndarray, low: float, growth: float
    ) -> _Filter:
        """Return the filter with about `wanted` eigenvalues above its cut and `growth` at the top.

        `rank` of them have a gain well above 1: where many are equal, the cut lies below them all.
        """
        top = float(nodes[-1])
        logs = np.log(np.maximum(counts, 1e-6))
        cut = float(np.interp(np.log(wanted), logs[::-1], nodes[::-1]))
        cut = min(cut, top - 0.02 * (top - low))  # many eigenvalues may equal the largest
        found = cls._of(low, cut, top, growth)
        for lower in nodes[nodes < cut][::-1]:
            if counts[found.gains(nodes) >= CLEAR].max(initial=0.0) >= rank or lower <= low:
                break
            found = cls._of(low, float(lower), top, growth)
        return found

    @classmethod
    def _of(cls, low: float, cut: float, top: float, growth: float) -> _Filter:
        mid, half = (low + cut) / 2, (cut - low) / 2
        degree = int(np.arccosh(growth) / np.arccosh((top - mid) / half))
        return cls(mid, half, int(np.clip(degree, 1, MAX_DEGREE)))

    def gains(self, values: np.ndarray) -> np.ndarray:
        """Return p at eigenvalues; 1 at most below the cut."""
        above = np.maximum((values - self.mid) / self.half, 1.0)
        return np.cosh(self.degree * np.arccosh(above))

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

    def shrink(self, rank: int, fresh: bool) -> np.ndarray:
        """Restart with the leading Ritz pairs, some more than `rank`; return their values, ascending."""
        gains, mix, _ = self.ritz()
        keep = min(rank + (self.capacity - rank) // 3, self.count)
        self.restart(gains[-keep:], self.vectors(mix[:, -keep:]), fresh=fresh)
        return gains[-keep:]

    def grow(self, steps: int, rank: int) -> None:
        """Take some steps, with restarts where there is no room."""
        for _ in range(steps):
            if self.full:
                self.shrink(rank, fresh=False)
            self.step()

    def widen(self, rank: int) -> None:
        """Double the columns of the blocks to come, as far as there is room for some of them."""
        self.width = max(self.width, min(2 * self.width, WIDEST, (self.capacity - rank) // 6))

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
    """Basis and products in NumPy arrays."""

    def __init__(self, dtype: DTypeLike = np.float32) -> None:
        self.dtype = np.dtype(dtype)

    def double(self) -> NumpyArrays:
        """Return the same in float64."""
        return NumpyArrays(np.float64)

    def empty(self, rows: int, columns: int) -> Array:
        """Return an array whose columns are contiguous."""
        return np.empty((rows, columns), dtype=self.dtype, order="F")

    def large(self, array: np.ndarray) -> Array:
        """Take a NumPy array."""
        return array.astype(self.dtype)

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
        """Return the product in the precision of the basis."""
        return operator.astype(self.dtype).__matmul__


class TorchArrays:
    """Basis and products in PyTorch tensors on a device."""

    def __init__(self, device: str, dtype: str = "float32") -> None:
        import torch  # here, since importing it takes two seconds

        if device == "cuda" and not torch.cuda.is_available():
            raise SpectrumError("solver 'torch-cuda' needs a GPU and PyTorch with CUDA")
        self.torch, self.device, self.dtype = torch, device, getattr(torch, dtype)

    def double(self) -> TorchArrays:
        """Return the same in float64."""
        return TorchArrays(self.device, "float64")

    def empty(self, rows: int, columns: int) -> Array:
        """Return a tensor whose columns are contiguous."""
        return self.torch.empty((columns, rows), dtype=self.dtype, device=self.device).T

    def large(self, array: np.ndarray) -> Array:
        """Take a NumPy array."""
        return self.torch.from_numpy(array).to(self.device, self.dtype)

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
        """Return the product on the device, in the precision of the basis."""
        from recspectra.spectral.torch_operators import to_torch

        return to_torch(operator, self.device, self.dtype).__matmul__
