"""Turbo-CF: polynomial filters of an item graph with adjusted entries (Park et al., SIGIR 2024).

    R_a = D_U^-alpha X D_I^(alpha - 1),  Q = (R_a^T R_a)^(s), each entry to the power s

    filter 1    x Q
    filter 2    x (2 Q - Q^2)
    filter 3    x (.71 Q + .1 Q^2 - .01 Q^3)

The power is one of entries: unless s = 1, Q is no function of a spectrum, may have negative eigenvalues
and some far above 1. At s = 1 filter 1 is LinkProp with exponents 1 - alpha, 2 alpha, 1 - alpha.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.recommender import History, Recommender, Refused, Run, Task
from recspectra.spectral.operators import RowSimilarity, degrees, power
from recspectra.spectral.places import Array, dense_product
from recspectra.spectral.polynomials import Block, by_blocks, cache_width, similarity_block

FILTERS = {1: (1.0,), 2: (2.0, -1.0), 3: (0.71, 0.1, -0.01)}  # of Q, Q^2, Q^3
DENSE_SHARE = 0.25  # of entries of Q that are not 0, from which on it is kept as an array


class TurboCF(Recommender):
    """Q is formed (sparse, where most entries are 0) for a power other than 1; else R_a is applied twice."""

    state_names = ("r", "q")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Scale the interactions by powers of the degrees; form Q where its entries are changed."""
        p, matrix = self.params, task.train.matrix
        d_user, d_item = degrees(matrix)
        left, right = power(d_user, -p.alpha), power(d_item, p.alpha - 1.0)
        scaled = sp.diags_array(left) @ matrix.astype(np.float64) @ sp.diags_array(right)
        self.r = sp.csr_array(scaled).astype(np.float32)
        self.q = sp.csr_array((0, 0), dtype=np.float32)
        if p.power != 1:
            self._guard(d_user)
            plain = task.shared(("turbocf", p.alpha), lambda: sp.csr_array(self.r.T) @ self.r)
            self.q = to_power(plain, p.power)
        self._prepare()
        return {"formed": bool(self.q.shape[0])}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore R_a and Q."""
        super().load_state(arrays)
        self._prepare()

    def _prepare(self) -> None:
        self.similarity = RowSimilarity(self.r)

    def _guard(self, d_user: np.ndarray) -> None:
        """Refuse what does not fit: Q, of at most sum_u d_u^2 entries, twice."""
        n = self.r.shape[1]
        needed = 16 * min(float(d_user @ d_user), float(n) ** 2) / 1024**3
        if needed > self.params.memory_gb:
            raise Refused(
                f"Turbo-CF needs about {needed:.1f} GB for the co-occurrences of {n} items, more than "
                f"memory_gb = {self.params.memory_gb:g}"
            )

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the filtered rows."""
        rows, weights = history.matrix, FILTERS[self.params.filter]
        if len(weights) > 1:
            return by_blocks(rows, self._polynomial, cache_width(self.r.shape))
        if not self.q.shape[0]:
            return self.similarity(rows)
        return dense_product(rows, self.q)

    def _polynomial(self, block: Block) -> Block:
        """Return q_1 Q y + q_2 Q^2 y + ... for a dense block of columns y, shape (n, b), by Horner's rule."""
        weights = FILTERS[self.params.filter]
        total = weights[-1] * block
        for weight in weights[-2::-1]:
            total = self._once(total) + weight * block
        return self._once(total)

    def _once(self, block: Block) -> Block:
        return self.q @ block if self.q.shape[0] else similarity_block(self.r, block)


def to_power(matrix: sp.csr_array, exponent: float) -> np.ndarray | sp.csr_array:
    """Return a matrix with its entries to a power; as an array where few of them are 0."""
    raised = matrix.copy()
    np.power(raised.data, np.float32(exponent), out=raised.data)
    return raised.toarray() if raised.nnz > DENSE_SHARE * raised.shape[0] ** 2 else raised
