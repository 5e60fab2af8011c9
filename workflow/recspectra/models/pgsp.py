"""PGSP: a mixed-frequency filter of personalised graph signals (Liu et al., WWW 2023).

Score = phi P0 + (1 - phi) P1. W are the leading eigenvectors of the augmented graph
D^-1/2 [[C_U, X], [X^T, C_I]] D^-1/2 (`augmented` in `recspectra.spectral.operators`), R is
D_U^-1/2 X D_I^-1/2, and the personalised signal is X_b = [R R^T, X] with column sums D_b:

    P1 = (X_b D_b^-1/2 W W^T D_b^1/2)[:, m:]

The linear part P0 has two readings (`linear`), a flag of the authors' programs:

`balanced`
    X D_I^-1/2 R^T R D_I^1/2, the scaling that P1 has (their choice on Gowalla).
`plain`
    X R^T R.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recspectra.recommender import History, Recommender, Run, Task
from recspectra.spectral.operators import RowSimilarity, degrees, normalised, power
from recspectra.spectral.places import Array, Rows, beside, scaled


class PGSP(Recommender):
    """Apply P0 and P1 to a batch of user rows in factors; nothing of size m x m is formed.

    A row x of X_b is [r R^T, x] with r = x / sqrt(d) D_I^-1/2, so that

        x_b D_b^-1/2 W = x / sqrt(d) D_I^-1/2 R^T D_bu^-1/2 W_users + x D_I^-1/2 W_items

    needs two factors of shape (n, rank). Any history folds in: x and its length d are
    taken from it, R, D_I and W from the interactions that were fitted.
    """

    state_names = ("r", "item_root", "near", "low", "right")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Scale the eigenvectors of the augmented graph by degrees and by R."""
        train = task.train
        spectrum = task.spectrum("augmented", self.params.rank)
        users, items = np.split(spectrum.vectors.astype(np.float64), [train.n_users])
        _, d_item = degrees(train.matrix)
        r = normalised(train.matrix)
        sums = r @ (r.T @ np.ones(train.n_users))  # of the user columns of X_b
        down = power(d_item, -0.5)[:, None]
        self.near = (down * (r.T @ (power(sums, -0.5)[:, None] * users))).astype(np.float32)
        self.low = (down * items).astype(np.float32)
        self.right = (power(d_item, 0.5)[:, None] * items).astype(np.float32)
        self.r, self.item_root = r.astype(np.float32), power(d_item, 0.5).astype(np.float32)
        self._prepare()
        return {"eigenvalues": (1.0 - spectrum.values).tolist()}

    def _prepare(self) -> None:
        self.similarity = RowSimilarity(self.r)
        self.inverse_root = power(self.item_root, -1.0).astype(np.float32)

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the fused, filtered rows."""
        phi, rows = np.float32(self.params.phi), history.matrix
        linear = self._linear(rows) if phi > 0 else 0.0
        linear *= float(phi)
        if phi == 1:
            return linear
        low, near = rows @ self.low, rows @ self.near
        shrink = beside(power(np.diff(rows.indptr), -0.5).astype(np.float32)[:, None], near)
        scores = (float(1 - phi) * (low + shrink * near)) @ self.right.T
        scores += linear
        return scores

    def _linear(self, rows: Rows) -> Array:
        """Return the rows of P0."""
        if self.params.linear == "plain":
            return self.similarity(rows)
        found = self.similarity(scaled(rows, right=self.inverse_root))
        found *= self.item_root
        return found
