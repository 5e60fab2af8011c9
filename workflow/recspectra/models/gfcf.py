"""GF-CF: linear plus ideal low-pass graph filter (Shen et al., CIKM 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np

from recspectra.recommender import History, Recommender, Run, Task
from recspectra.spectral.operators import RowSimilarity, degrees, normalised, power
from recspectra.spectral.places import Array


class GFCF(Recommender):
    """Score x P + alpha x D_I^-1/2 V_k V_k^T D_I^1/2 with P = R^T R.

    P and the ideal filter are applied in factors; nothing of size n x n is formed.
    """

    state_names = ("r", "low", "high")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Keep R and the scaled eigenvectors."""
        _, d_item = degrees(task.train.matrix)
        vectors = task.spectrum("item-similarity", self.params.rank).vectors
        self.r = normalised(task.train.matrix).astype(np.float32)
        self.low = (power(d_item, -0.5)[:, None] * vectors).astype(np.float32)
        self.high = (power(d_item, 0.5)[:, None] * vectors).astype(np.float32)
        self._prepare()
        return {}

    def _prepare(self) -> None:
        self.similarity = RowSimilarity(self.r, ascending=True)

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the filtered rows."""
        scores = (history.matrix @ self.low) @ self.high.T
        scores *= self.params.alpha
        scores += self.similarity(history.matrix)
        return scores
