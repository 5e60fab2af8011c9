"""Matrix-free graph operators: each is applied as a few sparse products, never formed.

Notation: X is the binary user-item matrix (m x n), D_U and D_I its degrees,
R = D_U^-1/2 X D_I^-1/2. A node of degree 0 gets D^-1/2 = 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from recspectra.data.interactions import Interactions


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


class Operator:
    """A symmetric linear operator given by its product with a vector or block.

    Attributes
    ----------
    size : int
        Number of rows and columns.
    interval : tuple of float
        An interval that holds the whole spectrum.
    """

    size: int
    interval: tuple[float, float]

    def __matmul__(self, block: np.ndarray) -> np.ndarray:
        """Return the product with `block`, shape (size,) or (size, b)."""
        raise TypeError(f"{type(self).__name__} must define its product")

    def formed(self) -> np.ndarray:
        """Return the dense matrix, shape (size, size); for small graphs and tests."""
        return self @ np.eye(self.size)


class ItemSimilarity(Operator):
    """P = R^T R on items: the normalised item-item similarity (GF-CF, S-Diff's A)."""

    interval = (0.0, 1.0)

    def __init__(self, train: Interactions) -> None:
        self.r = normalised(train.matrix)
        self.rt = sp.csr_array(self.r.T)
        self.size = train.n_items

    def __matmul__(self, block: np.ndarray) -> np.ndarray:
        return self.rt @ (self.r @ block)


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
        return np.concatenate([self.r @ bottom, self.rt @ top])


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
        product = np.concatenate([self.x @ bottom, self.xt @ top + self.sequence(bottom)])
        return _rows(self.scale, product)

    def spectral_radius(self, steps: int = 50) -> float:
        """Return rho(S') by power iteration; Eq. 2 converges for decay < 1 / rho."""
        vector = np.ones(self.s.shape[0])
        value = 0.0
        for _ in range(steps):
            vector = self.s @ vector
            value = float(np.linalg.norm(vector))
            if value == 0.0:
                return 0.0
            vector /= value
        return value


def _rows(scale: np.ndarray, block: np.ndarray) -> np.ndarray:
    return scale * block if block.ndim == 1 else scale[:, None] * block


PATTERNS: dict[str, Callable[..., Operator]] = {
    r"item-similarity": ItemSimilarity,
    r"bipartite": Bipartite,
    r"unified-d(?P<depth>\d+)-a(?P<decay>[0-9.e-]+)": lambda train, depth, decay: UnifiedGraph(
        train, int(depth), float(decay)
    ),
}


def build(name: str, train: Interactions) -> Operator:
    """Return the operator of a name such as `item-similarity` or `unified-d2-a0.4`."""
    for pattern, make in PATTERNS.items():
        if match := re.fullmatch(pattern, name):
            return make(train, **match.groupdict())
    raise OperatorError(f"unknown operator '{name}'; known: {', '.join(PATTERNS)}")
