"""ItemKNN: item-item similarities of the few nearest items (Sarwar et al., WWW 2001)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.layers.neighbours import Rule, nearest
from recspectra.recommender import History, Recommender, Run, Task
from recspectra.spectral.operators import degrees, power
from recspectra.spectral.places import Array, dense_product


class ItemKNN(Recommender):
    """Score x S, where column j of S holds the similarities of the `neighbours` items nearest to j.

    With Y the weighted interactions, G = Y^T Y and g_i = G_ii, S_ij is G_ij over

    * cosine: sqrt(g_i g_j) + shrink
    * asymmetric: g_i^a g_j^(1-a) + shrink, with a = `asymmetry`
    * jaccard: g_i + g_j - G_ij + shrink
    * tversky: G_ij + s (g_i - G_ij) + t (g_j - G_ij) + shrink, with s = `tversky_source` and
      t = `tversky_target`; never below G_ij + shrink

    G is formed in blocks and pruned at once; memory does not grow with n^2.
    """

    state_names = ("similarity",)

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Keep the nearest items of each target item."""
        y = weighted(task.train.matrix.astype(np.float64), self.params.weighting)
        columns = nearest(sp.csr_array(y.T), y, self._rule(y), self.params.neighbours)
        self.similarity = sp.csr_array(columns.T)
        return {"pairs": int(self.similarity.nnz)}

    def _rule(self, y: sp.csr_array) -> Rule:
        """Return the similarity as a function of (target, source, G)."""
        p, g = self.params, y.multiply(y).sum(axis=0)
        a = {"cosine": 0.5, "asymmetric": p.asymmetry}.get(p.similarity)
        s, t = (1.0, 1.0) if p.similarity == "jaccard" else (p.tversky_source, p.tversky_target)

        def product(target: np.ndarray, source: np.ndarray, both: np.ndarray) -> np.ndarray:
            return both / (power(g, a)[source] * power(g, 1.0 - a)[target] + p.shrink)

        def sets(target: np.ndarray, source: np.ndarray, both: np.ndarray) -> np.ndarray:
            union = both + s * (g[source] - both) + t * (g[target] - both)
            return both / (np.maximum(union, both) + p.shrink)

        return sets if a is None else product

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return x S."""
        return dense_product(history.matrix, self.similarity)


def weighted(x: sp.csr_array, weighting: str) -> sp.csr_array:
    """Return the interactions X with weights: an item is a document and its users are the words.

    tf-idf multiplies row u by log((1 + n) / (1 + d_u)) + 1. bm25 multiplies entry (u, i) by
    log(1 + (n - d_u + 0.5) / (d_u + 0.5)) 2.2 / (1 + 1.2 (0.25 + 0.75 d_i / mean d)).
    """
    d_user, d_item = degrees(x)
    n = x.shape[1]
    if weighting == "tf-idf":
        return sp.csr_array(sp.diags_array(np.log((1 + n) / (1 + d_user)) + 1.0) @ x)
    if weighting == "bm25":
        rare = np.log1p((n - d_user + 0.5) / (d_user + 0.5))
        relative = d_item / max(d_item.mean(), 1e-12)
        return sp.csr_array(
            sp.diags_array(rare) @ x @ sp.diags_array(2.2 / (1.0 + 1.2 * (0.25 + 0.75 * relative)))
        )
    return x
