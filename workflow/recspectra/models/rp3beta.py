"""RP3beta: three steps of a random walk, less drawn to popular items (Paudel et al., 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.layers.neighbours import largest, nearest
from recspectra.recommender import History, Recommender, Run, Task
from recspectra.spectral.operators import degrees, power
from recspectra.spectral.places import Array, dense_product


class RP3beta(Recommender):
    """Score x W with W_ij = d_i^-alpha (sum_u x_ui d_u^-alpha x_uj) d_j^-beta.

    The first factors are the probabilities of the steps from item to user to item, each
    raised to alpha; `beta` 0 is P3alpha. Row i keeps its `neighbours` largest entries
    other than W_ii; with `normalise` it is then divided by their sum; where both sides are
    `pruned`, column j keeps its `neighbours` largest of what is left. The step from the
    user to its items has the same weight for each of them and is left out.
    """

    state_names = ("walk",)

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Keep the largest transition weights of each item."""
        p, x = self.params, task.train.matrix.astype(np.float64)
        d_user, d_item = degrees(x)
        leave, arrive = power(d_item, -p.alpha), power(d_item, -p.beta)
        right = sp.csr_array(sp.diags_array(power(d_user, -p.alpha)) @ x)
        walk = nearest(
            sp.csr_array(x.T), right, lambda i, j, steps: leave[i] * steps * arrive[j], p.neighbours
        )
        walk = normalised_rows(walk) if p.normalise else walk
        self.walk = largest_columns(walk, p.neighbours) if p.pruned == "both" else walk
        return {"pairs": int(self.walk.nnz)}

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return x W."""
        return dense_product(history.matrix, self.walk)


def largest_columns(matrix: sp.csr_array, k: int) -> sp.csr_array:
    """Return the `k` largest positive entries of each column. float32."""
    return sp.csr_array(largest(sp.csr_array(matrix.T), k).T)


def normalised_rows(matrix: sp.csr_array) -> sp.csr_array:
    """Return a non-negative matrix with rows that sum to 1; empty rows stay empty. float32."""
    total = matrix.astype(np.float64).sum(axis=1)
    return sp.csr_array(sp.diags_array(power(total, -1.0)) @ matrix).astype(np.float32)
