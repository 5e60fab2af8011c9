"""EASE: a full-rank item-item regression in closed form (Steck 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from recspectra.models.base import History, Recommender, Refused, Run, Task


class EASE(Recommender):
    """Item weights B = I - P / diag(P) by columns, P = (X^T X + lambda I)^-1; score x B.

    Dense in items x items by definition: `memory_gb` refuses what would not fit.
    """

    state_names = ("weights",)

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Invert the regularised Gram matrix in float64 by Cholesky."""
        n = task.train.n_items
        needed = 3 * 8 * n**2 / 1024**3
        if needed > self.params.memory_gb:
            raise Refused(
                f"EASE needs about {needed:.1f} GB for {n} x {n} matrices, more than "
                f"memory_gb = {self.params.memory_gb:g}"
            )
        x = task.train.matrix.astype(np.float64)
        gram = (x.T @ x).toarray()
        gram[np.diag_indices(n)] += self.params.regularization
        factor = scipy.linalg.cholesky(gram, lower=True, overwrite_a=True)
        inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        weights = -inverse / np.diag(inverse)  # divides column j by P_jj
        weights[np.diag_indices(n)] = 0.0
        self.weights = weights.astype(np.float32)
        return {}

    def score(self, users: np.ndarray, history: History) -> np.ndarray:
        """Return x B."""
        return history.matrix @ self.weights
