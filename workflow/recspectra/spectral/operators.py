"""Matrix-free graph operators: each is applied as a few sparse products, never formed.

Notation: X is the binary user-item matrix (m x n), D_U and D_I its degrees,
R = D_U^-1/2 X D_I^-1/2. A node of degree 0 gets D^-1/2 = 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike

from recspectra.data.interactions import Interactions
from recspectra.spectral.places import Array, Pieces, Rows, dense

SPARSE_SHARE = 0.05  # of users near a user; below it sparse products are faster
ROWS_AT_ONCE = 32  # of users whose dense blocks stay in the cache


class OperatorError(ValueError):
    """An operator's name or parameter is wrong."""


def power(degrees: np.ndarray, exponent: float) -> np.ndarray:
    """Return degrees ** exponent in float64, with 0 where the degree is 0."""
    result = np.zeros(len(degrees), dtype=np.float64)
    np.power(degrees, exponent, out=result, where=degrees > 0)
    return result


def degrees(matrix: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Return (user degrees (m,), item degrees (n,)) in float64."""
    users = np.diff(matrix.indptr).astype(np.float64)
    items = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
    return users, items


def normalised(matrix: sp.csr_array) -> sp.csr_array:
    """Return R = D_U^-1/2 X D_I^-1/2 as float64 CSR, shape (m, n)."""
    d_user, d_item = degrees(matrix)
    left, right = sp.diags_array(power(d_user, -0.5)), sp.diags_array(power(d_item, -0.5))
    return sp.csr_array(left @ matrix.astype(np.float64) @ right)


class Operator(Pieces):
    """A symmetric linear operator given by its product with a vector or block.

    Its attributes that are arrays or sparse matrices are its pieces. A product uses
    nothing but `@`, `*`, `+`, slices and `self.join` on them, so that the pieces may be
    of another precision or kind: see `astype` and `recspectra.spectral.torch_operators`.

    Attributes
    ----------
    size : int
        Number of rows and columns.
    interval : tuple of float
        An interval that holds the whole spectrum.
    """

    size: int
    interval: tuple[float, float]
    join: Callable[[Sequence[Any]], Any] = staticmethod(np.concatenate)

    def __matmul__(self, block: np.ndarray) -> np.ndarray:
        """Return the product with `block`, shape (size,) or (size, b)."""
        raise TypeError(f"{type(self).__name__} must define its product")

    def astype(self, dtype: DTypeLike) -> Self:
        """Return the operator with pieces of a floating-point type; products stay in it."""
        return self.converted(lambda piece: piece.astype(dtype, copy=False))

    def formed(self) -> np.ndarray:
        """Return the dense matrix, shape (size, size); for small graphs and tests."""
        return self @ np.eye(self.size)


class Gram(Operator):
    """R^T R of a sparse R, shape (m, n), whose largest singular value squared is at most `bound`."""

    def __init__(self, r: sp.csr_array, bound: float) -> None:
        self.r, self.rt = r, sp.csr_array(r.T)
        self.size, self.interval = r.shape[1], (0.0, bound)

    def __matmul__(self, block: np.ndarray) -> np.ndarray:
        return self.rt @ (self.r @ block)


class ItemSimilarity(Gram):
    """P = R^T R on items: the normalised item-item similarity (GF-CF, S-Diff's A)."""

    def __init__(self, train: Interactions) -> None:
        super().__init__(normalised(train.matrix), 1.0)


class Bipartite(Operator):
    """Normalised adjacency of the user-item graph, [[0, R], [R^T, 0]]."""

    interval = (-1.0, 1.0)

    def __init__(self, train: Interactions) -> None:
        self.r = normalised(train.matrix)
        self.rt = sp.csr_array(self.r.T)
        self.users = train.n_users
        self.size = train.n_users + train.n_items

    def __matmul__(self, block: np.ndarray) -> np.ndarray:
        top, bottom = block[: self.users], block[self.users :]
        return self.join([self.r @ bottom, self.rt @ top])


class Augmented(Operator):
    """PGSP's normalised graph D^-1/2 [[C_U, X], [X^T, C_I]] D^-1/2 (Liu et al., WWW 2023).

    C_U = X D_I^-1 X^T joins users by common items, C_I = X^T D_U^-1 X items by common
    users; D holds the row sums of the whole. Neither C is formed: a product takes four
    sparse products with X.
    """

    interval = (-1.0, 1.0)

    def __init__(self, train: Interactions) -> None:
        self.x = train.matrix.astype(np.float64)
        self.xt = sp.csr_array(self.x.T)
        self.users, self.size = train.n_users, train.n_users + train.n_items
        d_user, d_item = degrees(train.matrix)
        self.per_user, self.per_item = power(d_user, -1.0), power(d_item, -1.0)
        self.scale = power(self.adjacent(np.ones(self.size)), -0.5)

    def adjacent(self, block: np.ndarray) -> np.ndarray:
        """Return [[C_U, X], [X^T, C_I]] times a block."""
        top, bottom = block[: self.users], block[self.users :]
        to_items, to_users = self.xt @ top, self.x @ bottom
        return self.join(
            [
                self.x @ _rows(self.per_item, to_items) + to_users,
                to_items + self.xt @ _rows(self.per_user, to_users),
            ]
        )

    def __matmul__(self, block: np.ndarray) -> np.ndarray:
        return _rows(self.scale, self.adjacent(_rows(self.scale, block)))


def generalised(matrix: sp.csr_array, exponent: float, shift: float) -> sp.csr_array:
    """Return SGFCF's R_g = (D_U + shift)^-exponent X (D_I + shift)^-exponent, float64 CSR."""
    left, right = (power(d + shift, -exponent) for d in degrees(matrix))
    return sp.csr_array(sp.diags_array(left) @ matrix.astype(np.float64) @ sp.diags_array(right))


class GeneralisedSimilarity(Operator):
    """R_g^T R_g on items, whose eigenvalues are the squared singular values of R_g (SGFCF).

    They lie in [0, 1] for exponent 1/2 and shift 0 only. In general the largest is at
    most max_i (R_g^T R_g v)_i / v_i for any positive v (Collatz and Wielandt); for
    v = (D_I + shift)^exponent that bound is 1 in the case above.
    """

    def __init__(self, train: Interactions, exponent: float, shift: float) -> None:
        if exponent < 0 or shift < 0:
            raise OperatorError(
                f"generalised similarity: exponent {exponent} and shift {shift} must be at least 0"
            )
        self.r = generalised(train.matrix, exponent, shift)
        self.rt = sp.csr_array(self.r.T)
        self.size = train.n_items
        _, d_item = degrees(train.matrix)
        trial = power(d_item + shift, exponent)
        ratios = power(d_item + shift, -exponent) * (self @ trial)
        self.interval = (0.0, float(ratios.max(initial=0.0)))

    def __matmul__(self, block: np.ndarray) -> np.ndarray:
        return self.rt @ (self.r @ block)


def tempered(matrix: sp.csr_array, exponent: float) -> sp.csr_array:
    """Return GiffCF's D_U^-exponent X D_I^-1/2 as float64 CSR, shape (m, n)."""
    d_user, d_item = degrees(matrix)
    left, right = sp.diags_array(power(d_user, -exponent)), sp.diags_array(power(d_item, -0.5))
    return sp.csr_array(left @ matrix.astype(np.float64) @ right)


class TemperedSimilarity(Operator):
    """D_I^-1/2 X^T D_U^-2e X D_I^-1/2 on items, with another exponent for users (GiffCF).

    For e = 1/2 it is `ItemSimilarity`. Its largest eigenvalue is bounded as that of
    `GeneralisedSimilarity`, with v = D_I^1/2.
    """

    def __init__(self, train: Interactions, exponent: float) -> None:
        if exponent < 0:
            raise OperatorError(f"item similarity: exponent {exponent} of users must be at least 0")
        self.r = tempered(train.matrix, exponent)
        self.rt = sp.csr_array(self.r.T)
        self.size = train.n_items
        _, d_item = degrees(train.matrix)
        ratios = power(d_item, -0.5) * (self @ power(d_item, 0.5))
        self.interval = (0.0, float(ratios.max(initial=0.0)))

    def __matmul__(self, block: np.ndarray) -> np.ndarray:
        return self.rt @ (self.r @ block)


def transition_graph(train: Interactions) -> sp.csr_array:
    """Return S' of GSPRec: items i and j are joined if one directly follows the other.

    Binary and symmetric, shape (n, n), float64. An item never follows itself.
    """
    first, second = train.items[:-1], train.items[1:]
    inside = np.ones(max(train.nnz - 1, 0), dtype=bool)
    ends = train.indptr[1:-1] - 1
    inside[ends[(ends >= 0) & (ends < len(inside))]] = False
    inside &= first != second
    shape = (train.n_items, train.n_items)
    ones = np.ones(inside.sum())
    directed = sp.coo_array((ones, (first[inside], second[inside])), shape=shape)
    graph = sp.csr_array(directed + directed.T)
    graph.data[:] = 1.0
    return graph


class UnifiedGraph(Operator):
    """GSPRec's normalised adjacency I - L of Eqs. 2-6, applied without forming it.

    A = [[0, X], [X^T, S~]], S~ = D_S^-1/2 S^(d) D_S^-1/2 and
    S^(d) = sum_k decay^(k-1) S'^k, evaluated by Horner's rule as d sparse
    products. The products with D^-1/2 are diagonal scalings.

    Parameters
    ----------
    train : Interactions
        Ordered interactions.
    depth : int
        d of Eq. 2, at least 1.
    decay : float
        alpha of Eq. 2, in (0, 1).
    """

    interval = (-1.0, 1.0)

    def __init__(self, train: Interactions, depth: int, decay: float) -> None:
        if depth < 1 or not 0 < decay < 1:
            raise OperatorError(f"unified graph: depth {depth} must be >= 1, decay {decay} in (0, 1)")
        self.depth, self.decay = depth, decay
        self.users, self.size = train.n_users, train.n_users + train.n_items
        self.x = train.matrix.astype(np.float64)
        self.xt = sp.csr_array(self.x.T)
        self.s = transition_graph(train)
        ones = np.ones(train.n_items)
        self.d_s = power(self.diffuse(ones), -0.5)
        d_user, d_item = degrees(train.matrix)
        d_item = d_item + self.sequence(ones)
        self.scale = np.concatenate([power(d_user, -0.5), power(d_item, -0.5)])

    def diffuse(self, block: np.ndarray) -> np.ndarray:
        """Return S^(d) times a block (Eq. 2)."""
        total = block
        for _ in range(self.depth - 1):
            total = block + self.decay * (self.s @ total)
        return self.s @ total

    def sequence(self, block: np.ndarray) -> np.ndarray:
        """Return S~ times a block (Eq. 3)."""
        return _rows(self.d_s, self.diffuse(_rows(self.d_s, block)))

    def __matmul__(self, block: np.ndarray) -> np.ndarray:
        scaled = _rows(self.scale, block)
        top, bottom = scaled[: self.users], scaled[self.users :]
        product = self.join([self.x @ bottom, self.xt @ top + self.sequence(bottom)])
        return _rows(self.scale, product)

    def spectral_radius(self, steps: int = 200) -> float:
        """Return rho(S'); the sum of Eq. 2 converges for d to infinity if decay < 1 / rho."""
        return spectral_radius(self.s, steps)


def spectral_radius(graph: sp.csr_array, steps: int = 200) -> float:
    """Return the spectral radius of a symmetric matrix without negative entries.

    By power iteration from a vector of ones, up to a relative change of 1e-10. Every
    step is a lower bound of the radius, so 1 / radius is never taken too small.
    """
    vector = np.full(graph.shape[0], 1.0 / max(graph.shape[0], 1) ** 0.5)
    value = 0.0
    for _ in range(steps):
        vector, before = graph @ vector, value
        value = float(np.linalg.norm(vector))
        if value == 0.0 or abs(value - before) <= 1e-10 * value:
            break
        vector /= value
    return value


class RowSimilarity(Pieces):
    """y R^T R for a block of sparse rows y, as models score users with it.

    y R^T is sparse: it has an entry for each user who shares an item with the row. Where that is few users,
    its product with R stays sparse, too, and costs what its entries cost; else R is applied to a dense
    block of a few users that stays in the processor's cache. Which way is taken depends only on R,
    never on the batch. On a device R is applied to the dense block of all rows.

    Parameters
    ----------
    r : CSR array, shape (m, n)
        A matrix without negative entries.
    ascending : bool
        Whether sums run over users in ascending order either way, as where a dense block is taken;
        without, the sparse way takes them as they come.
    """

    def __init__(self, r: sp.csr_array, ascending: bool = False) -> None:
        self.r, self.rt, self.ascending = r, sp.csr_array(r.T), ascending
        d_item = np.diff(self.rt.indptr).astype(np.float64)
        self.share = float((d_item**2).sum()) / max(r.shape[0], 1) ** 2  # bounds R R^T's density

    def __call__(self, rows: Rows) -> Array:
        """Return y R^T R as a dense block, shape (b, n)."""
        if not sp.issparse(rows):
            return (self.rt @ (self.r @ dense(rows).T)).T
        spread = self.share >= SPARSE_SHARE
        if spread or self.ascending:
            rows = rows.sorted_indices()
        near = rows @ self.rt
        if spread:
            return self._spread(near)
        if self.ascending:
            near.sort_indices()
        return (near @ self.r).toarray()

    def _spread(self, near: sp.csr_array) -> np.ndarray:
        """Return z R of sparse rows z, a few at a time."""
        found = np.empty((near.shape[0], self.r.shape[1]), dtype=np.result_type(near, self.r))
        for start in range(0, near.shape[0], ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            found[rows] = (self.r.T @ near[rows].T.toarray()).T
        return found


def _rows(scale: np.ndarray, block: np.ndarray) -> np.ndarray:
    return scale * block if block.ndim == 1 else scale[:, None] * block


PATTERNS: dict[str, Callable[..., Operator]] = {
    r"item-similarity(?:-u0\.5)?": ItemSimilarity,
    r"item-similarity-u(?P<exponent>[0-9.e-]+)": TemperedSimilarity,
    r"bipartite": Bipartite,
    r"augmented": Augmented,
    r"generalised-e(?P<exponent>[0-9.e-]+)-a(?P<shift>[0-9.e-]+)": GeneralisedSimilarity,
    # The sum of Eq. 2 over no hops is 0: without a sequence graph the graph is bipartite.
    r"unified-d0-a[0-9.e-]+": Bipartite,
    r"unified-d(?P<depth>\d+)-a(?P<decay>[0-9.e-]+)": UnifiedGraph,
}


def build(name: str, train: Interactions, dtype: DTypeLike = np.float64) -> Operator:
    """Return the operator of a name such as `item-similarity` or `unified-d2-a0.4`.

    Its pieces, and so its products with blocks of that type, are of type `dtype`.
    """
    for pattern, make in PATTERNS.items():
        if match := re.fullmatch(pattern, name):
            numbers = {key: _number(text, name) for key, text in match.groupdict().items()}
            return make(train, **numbers).astype(dtype)
    raise OperatorError(f"unknown operator '{name}'; known: {', '.join(PATTERNS)}")


def _number(text: str, name: str) -> int | float:
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise OperatorError(f"operator '{name}': '{text}' is not a number") from None
