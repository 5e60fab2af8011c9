"""LinkProp and LinkProp-Multi: a degree-aware count of paths of length three (Fu et al., WWW 2022).

    L = D_U^-alpha X D_I^-beta X^T D_U^-gamma X D_I^-delta

sums over the paths from a user to an item over another user, each divided by powers of the
degrees on its way. Special cases: (beta, gamma, delta) = (1/2, 1, 1/2) is the linear part of
GF-CF, (a, a, 0) is P3alpha, (a, a, b) is RP3beta. D_U^-alpha only scales a user's row, so it
changes no ranking; it counts where links of different users are compared, in LinkProp-Multi.

LinkProp-Multi repeats `rounds` times: score all pairs, take the best `top` of those unseen
pairs that have a positive score, and count them as interactions in the degrees. X itself
stays. `rounds: 0` is LinkProp. `top` is a share of those pairs, as third-party ports have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.recommender import History, Recommender, Run, Task
from recspectra.spectral.operators import SPARSE_SHARE, RowSimilarity, degrees, power
from recspectra.spectral.places import Array, scaled
from recspectra.spectral.polynomials import gram, prefers_formed

BATCH_SCORES = 4_000_000  # scores held at once while links are compared
SHIFT = 10  # lower bits of a score that a comparison of links drops: 1 part in 8,192
BINS = 1 << (31 - SHIFT)


class LinkProp(Recommender):
    """Score x D_I^-beta (X^T D_U^-gamma X) D_I^-delta for any history x.

    The matrix in the middle, R^T R with R = D_U^(-gamma/2) X, is formed where that is
    faster and fits into `memory_gb`; else R is applied twice. Trials share it by gamma.
    """

    state_names = ("r", "middle", "item_in", "item_out")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Put the degrees into factors, again after each round of links."""
        p, matrix = self.params, task.train.matrix
        shared = lambda: self._middle(matrix, d_user)  # noqa: E731
        d_user, d_item = own_user, own_item = degrees(matrix)
        self.r, self.middle = task.shared(("linkprop", p.gamma, p.memory_gb), shared)
        self._prepare()
        self._set_items(d_item)
        links = []
        for _ in range(p.rounds):
            new_user, new_item = self._best_links(matrix, d_user)
            d_user, d_item = own_user + new_user, own_item + new_item
            self.r, self.middle = self._middle(matrix, d_user)
            self._prepare()
            self._set_items(d_item)
            links.append(int(new_item.sum()))
        return {"links": links, "formed": bool(self.middle.size)}

    def _middle(self, matrix: sp.csr_array, d_user: np.ndarray) -> tuple[sp.csr_array, np.ndarray]:
        """Return R and, where it is worth it, R^T R (else a matrix without entries)."""
        scale = power(d_user, -0.5 * self.params.gamma)
        r = sp.csr_array(sp.diags_array(scale) @ matrix.astype(np.float64)).astype(np.float32)
        dense = RowSimilarity(r).share >= SPARSE_SHARE and prefers_formed(
            r.shape, r.nnz, 1, self.params.memory_gb
        )
        return r, gram(r, r) if dense else np.zeros((0, 0), dtype=np.float32)

    def _prepare(self) -> None:
        self.similarity = RowSimilarity(self.r)

    def _set_items(self, d_item: np.ndarray) -> None:
        self.item_in = power(d_item, -self.params.beta).astype(np.float32)
        self.item_out = power(d_item, -self.params.delta).astype(np.float32)

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return x D_I^-beta R^T R D_I^-delta."""
        rows = scaled(history.matrix, right=self.item_in)
        scores = rows @ self.middle if len(self.middle) else self.similarity(rows)
        scores *= self.item_out
        return scores

    # ------------------------------------------------------------------- LinkProp-Multi

    def _best_links(self, matrix: sp.csr_array, d_user: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many of the best unseen pairs each user and each item gets.

        Scores are compared as the integers that their bits are, in `BINS` bins, so that a
        histogram gives the threshold: two passes over the pairs and no list of them. All
        pairs in the last bin count, which lets through scores up to 1 / 8,192 too small.
        """
        counts = np.zeros(BINS, dtype=np.int64)
        for _, bins in self._pairs(matrix, d_user):
            counts += np.bincount(bins.ravel(), minlength=BINS)
        threshold = lowest_bin(counts, self.params.top)
        of_users, of_items = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[1])
        for users, bins in self._pairs(matrix, d_user):
            chosen = bins >= threshold
            of_users[users] = chosen.sum(axis=1)
            of_items += chosen.sum(axis=0)
        return of_users, of_items

    def _pairs(self, matrix: sp.csr_array, d_user: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield users and the bins of their scores; 0 is that of seen items and of score 0."""
        scale = power(d_user, -self.params.alpha).astype(np.float32)
        size = max(1, BATCH_SCORES // matrix.shape[1])
        for start in range(0, matrix.shape[0], size):
            users = np.arange(start, min(start + size, matrix.shape[0]))
            rows = matrix[users]
            scores = self.score(users, History(rows, rows.indptr, rows.indices)) * scale[users, None]
            scores[np.repeat(np.arange(len(users)), np.diff(rows.indptr)), rows.indices] = 0.0
            yield users, scores.view(np.int32) >> SHIFT


def lowest_bin(counts: np.ndarray, share: float) -> int:
    """Return the first of the highest bins that hold at least `share` of the counts above bin 0."""
    above = np.cumsum(counts[:0:-1])  # of the last bin, of the last two, ...
    wanted = share * above[-1]
    return len(counts) - 1 - int(np.searchsorted(above, wanted)) if wanted > 0 else len(counts)
