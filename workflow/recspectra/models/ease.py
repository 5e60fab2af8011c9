"""EASE: a full-rank item-item regression in closed form (Steck 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg.lapack import dpotrf, dpotri

from recspectra.recommender import History, Recommender, Refused, Run, Task

ROWS_AT_ONCE = 512


class EASE(Recommender):
    """Item weights B = I - P / diag(P) by columns, P = (X^T X + lambda I)^-1; score x B.

    Dense in items x items by definition: `memory_gb` refuses what would not fit.
    """

    state_names = ("weights",)

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Invert the regularised Gram matrix in float64, in place, by Cholesky."""
        self._guard(task)
        x = task.train.matrix
        counts = task.shared(("ease-gram",), lambda: sp.csr_array(x.T) @ x)  # float32 is exact
        matrix = counts.toarray(order="F").astype(np.float64)
        matrix[np.diag_indices(len(matrix))] += self.params.regularization
        self.weights = weights_of(inverse(matrix))
        return {}

    def _guard(self, task: Task) -> None:
        """Refuse what does not fit: a matrix in float64, one in float32 and the sparse X^T X."""
        n, lengths = task.train.n_items, np.diff(task.train.matrix.indptr).astype(np.float64)
        entries = min(float(lengths @ lengths), float(n) ** 2)
        needed = ((8 + 4) * float(n) ** 2 + 8 * entries) / 1024**3
        if needed > self.params.memory_gb:
            raise Refused(
                f"EASE needs about {needed:.1f} GB for {n} x {n} matrices, more than "
                f"memory_gb = {self.params.memory_gb:g}"
            )

    def score(self, users: np.ndarray, history: History) -> np.ndarray:
        """Return x B."""
        return history.matrix @ self.weights


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the upper triangle of the inverse of a symmetric positive definite matrix.

    `matrix` is float64 in Fortran order and is overwritten; below the diagonal the result
    holds what was there.

    Raises
    ------
    np.linalg.LinAlgError
        It is not positive definite.
    """
    factor, wrong = dpotrf(matrix, lower=0, clean=0, overwrite_a=1)
    if not wrong:
        factor, wrong = dpotri(factor, lower=0, overwrite_c=1)
    if wrong:
        raise np.linalg.LinAlgError("X^T X + lambda I is not positive definite: take a larger lambda")
    return factor


def weights_of(upper: np.ndarray) -> np.ndarray:
    """Return B = -P / diag(P) by columns, 0 on its diagonal, from the upper triangle of P; float32."""
    n, diagonal = len(upper), np.diag(upper)
    weights = np.empty((n, n), dtype=np.float32)
    for start in range(0, n, ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        weights[rows, start:] = upper[rows, start:] / -diagonal[start:]
        weights[start:, rows] = upper[rows, start:].T / -diagonal[rows]
        square = np.triu(upper[rows, rows], 1)
        weights[rows, rows] = (square + square.T) / -diagonal[rows]  # 0 on the diagonal
    return weights
