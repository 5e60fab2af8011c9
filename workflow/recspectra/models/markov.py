"""A first-order Markov chain, what follows what within a few steps; optionally mixed with one hop.

    T_ij = sum over users, over places s < t <= s + window of 1 / (t - s), item i at s, item j at t

is directed: buying j after i says nothing about i after j. Every item of a history votes for what
follows it, the newest most. With the undirected similarity P = R^T R, R = D_U^-1/2 X D_I^-1/2, the
same votes make a one-hop graph filter that knows the order of the history alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.data.interactions import Interactions
from recspectra.recommender import History, Recommender, Refused, Run, Task, refuse_without_order
from recspectra.spectral.operators import RowSimilarity, normalised, power


class Markov(Recommender):
    """Score y ((1 - mix) T' + mix (P - diag P)) with y_i = recency^age; the newest item has age 0.

    T' is T after `normalisation`. T has at most `window` entries an interaction and is formed;
    P, which may be far larger, is applied as R twice.
    """

    state_names = ("directed", "r")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Count the transitions and keep R."""
        p, train = self.params, task.train
        if p.mix < 1.0 or not task.ordered:
            refuse_without_order(task, "Markov", "mix 1 needs no transition" if task.ordered else "")
        counts = task.shared(("transitions", p.window), lambda: transition_counts(train, p.window))
        if p.mix < 1.0 and not (counts - sp.diags_array(counts.diagonal())).count_nonzero():
            raise Refused("Markov finds no user who took one item after another one (mix 1 needs none)")
        r = normalised(train.matrix)
        own = r.multiply(r).sum(axis=0)  # diag P: leaves `directed`, so that P need not be formed
        scaled = (1.0 - p.mix) * over_sums(counts, p.normalisation) - p.mix * sp.diags_array(own)
        self.directed = sp.csr_array(scaled).astype(np.float32)
        self._set_similarity(r.astype(np.float32))
        return {"pairs": int(counts.nnz)}

    def _set_similarity(self, r: sp.csr_array) -> None:
        self.r, self.similar = r, RowSimilarity(r)

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore T' and R."""
        super().load_state(arrays)
        self._set_similarity(self.r)

    def score(self, users: np.ndarray, history: History) -> np.ndarray:
        """Return the votes of the histories; zeros where there is none."""
        rows = by_recency(history, self.params.recency)
        scores = (rows @ self.directed).toarray()
        if self.params.mix:
            scores += np.float32(self.params.mix) * self.similar(rows)
        return scores


def transition_counts(train: Interactions, window: int) -> sp.csr_array:
    """Return T, shape (n, n), float64."""
    users, shape = train.users, (train.n_items, train.n_items)
    counts = sp.csr_array(shape, dtype=np.float64)
    for distance in range(1, min(window, train.lengths.max(initial=1) - 1) + 1):
        inside = users[distance:] == users[:-distance]
        pairs = train.items[:-distance][inside], train.items[distance:][inside]
        counts = counts + sp.coo_array((np.full(len(pairs[0]), 1.0 / distance), pairs), shape=shape).tocsr()
    return counts


def over_sums(counts: sp.csr_array, normalisation: str) -> sp.csr_array:
    """Return T' of T with row sums r and column sums c.

    * symmetric: T_ij / sqrt(r_i c_j)
    * rows: T_ij / r_i
    * none: T / sqrt(max r max c), one number for all entries

    Their largest eigenvalue in magnitude is at most 1, that of P: a mix is one of like with like.
    """
    leaving, arriving = counts.sum(axis=1), counts.sum(axis=0)
    if normalisation == "none":
        leaving, arriving = (np.full(len(v), v.max(initial=0.0)) for v in (leaving, arriving))
    exponents = (-1.0, 0.0) if normalisation == "rows" else (-0.5, -0.5)
    left, right = (sp.diags_array(power(v, e)) for v, e in zip((leaving, arriving), exponents, strict=True))
    return sp.csr_array(left @ counts @ right)


def by_recency(history: History, recency: float) -> sp.csr_array:
    """Return histories with the weight recency^age for each item, shape (b, n), float32."""
    ages = np.repeat(history.indptr[1:], np.diff(history.indptr)) - 1 - np.arange(len(history.items))
    weights = np.power(recency, ages).astype(np.float32)
    return sp.csr_array((weights, history.items, history.indptr), shape=history.matrix.shape)
