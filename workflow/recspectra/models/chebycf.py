"""ChebyCF: a plateau-shaped graph filter by Chebyshev interpolation (Kim et al., SIGIR 2025).

With P = R^T R and L = I - 2 P, whose spectrum lies in [-1, 1] (-1: smoothest),

    plateau    g(x) = 1/2 - sign(x) |x|^phi / 2
    filter     c(L) = sum_k c_k T_k(L),  c_k = 2 / (K + 1) sum_j g_j T_k(z_j), c_0 halved
    score      [x D_I^-beta (c(L) + alpha V V^T)] D_I^beta

with the roots z_j of T_{K+1} and the leading eigenvectors V of P. Where the values g_j are taken is a
reading (`points`):

`extrema`
    g_j = g(cos((K - j) pi / K)), as the authors' program does: c(L) is not g's interpolant then, but
    that of a plateau stretched a little.
`roots`
    g_j = g(z_j): the interpolant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.polynomial.chebyshev import chebvander

from recspectra.recommender import History, Recommender, Run, Task
from recspectra.spectral.operators import degrees, normalised, power
from recspectra.spectral.places import Array, scaled
from recspectra.spectral.polynomials import Block, by_blocks, cache_width, similarity_block


class ChebyCF(Recommender):
    """Apply the series to a batch of user rows by its recurrence; no item-item matrix is formed."""

    state_names = ("r", "item_in", "item_out", "left", "right")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Keep R, the powers of the degrees and the scaled eigenvectors."""
        p, matrix = self.params, task.train.matrix
        _, d_item = degrees(matrix)
        vectors = task.spectrum("item-similarity", p.rank).vectors
        self.r = normalised(matrix).astype(np.float32)
        self.item_in = power(d_item, -p.beta).astype(np.float32)
        self.item_out = power(d_item, p.beta).astype(np.float32)
        self.left = self.item_in[:, None] * vectors
        self.right = np.float32(p.alpha) * self.item_out[:, None] * vectors
        return {}

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the filtered rows."""
        p = self.params
        coefficients = series(p.order, p.flatness, p.points)
        apply = lambda block: chebyshev_block(coefficients, self.r, block)  # noqa: E731
        signal = scaled(history.matrix, right=self.item_in)
        scores = by_blocks(signal, apply, cache_width(self.r.shape))
        scores *= self.item_out
        if p.alpha > 0:
            scores += (history.matrix @ self.left) @ self.right.T
        return scores


def plateau(x: np.ndarray, flatness: float) -> np.ndarray:
    """Return g(x): 1 at x = -1, 1/2 at 0, 0 at 1, and the flatter around 0 the larger `flatness`."""
    return 0.5 - 0.5 * np.sign(x) * np.abs(x) ** flatness


def series(order: int, flatness: float, points: str) -> np.ndarray:
    """Return the coefficients c_0, ..., c_K of the plateau, shape (order + 1,)."""
    steps = np.arange(order, -1, -1)
    roots = np.cos((steps + 0.5) * np.pi / (order + 1))
    taken = roots if points == "roots" else np.cos(steps * np.pi / order)
    found = 2.0 / (order + 1) * chebvander(roots, order).T @ plateau(taken, flatness)
    found[0] /= 2.0
    return found


def chebyshev_block(coefficients: np.ndarray, r: sp.csr_array, block: Block) -> Block:
    """Return sum_k c_k T_k(I - 2 P) y for a dense block of columns y, shape (n, b), of order 1 or more."""
    scales = coefficients.tolist()
    before, now = block, block - 2 * similarity_block(r, block)
    total = scales[0] * before + scales[1] * now
    for scale in scales[2:]:
        after = similarity_block(r, now)  # 2 (I - 2 P) T_k y - T_(k-1) y, in place; factors of 2 are exact
        after *= -4
        after += 2 * now
        after -= before
        before, now = now, after
        total += scale * now
    return total
