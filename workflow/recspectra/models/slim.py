"""SLIM: sparse non-negative item-item regressions with an elastic net (Ning and Karypis, ICDM 2011)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso

from recspectra.layers.neighbours import nearest
from recspectra.recommender import History, Recommender, Refused, Run, Task
from recspectra.spectral.operators import degrees, power
from recspectra.spectral.places import Array, dense_product

DENSE_SHARE = 0.25  # of non-zero entries, from which on the Gram matrix is kept as an array
RIDGE_FLOOR = 1e-9  # of the largest degree: keeps the Cholesky factor of equal columns defined


class SLIM(Recommender):
    """Score x W; column j of W minimises, over w >= 0 with w_j = 0,

        1/(2m) ||x_j - X w||^2 + alpha l1_ratio ||w||_1 + alpha (1 - l1_ratio) / 2 ||w||^2.

    Only the `neighbours` items of largest cosine with j may have a weight (fsSLIM of the
    paper); with 0 all items that share a user with j may. Every regression is solved on the
    Gram matrix G of these items: with U^T U = G + m alpha (1 - l1_ratio) I it is the lasso of
    U^-T g_j on U, which has as many rows as columns, however many users there are.
    """  # fmt: skip

    state_names = ("weights",)

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Solve one lasso an item by coordinate descent (scikit-learn)."""
        p, n = self.params, task.train.n_items
        self._guard(task)
        gram = task.shared(("slim-gram",), lambda: gram_matrix(task.train.matrix))
        candidates = task.shared(
            ("slim-candidates", p.neighbours), lambda: candidates_of(task.train.matrix, p.neighbours)
        )
        progress, late = run.progress(n), 0
        found = []
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            for item in range(n):
                items = candidates.indices[candidates.indptr[item] : candidates.indptr[item + 1]]
                weights, in_time = self._regression(gram, items, item, task.train.n_users)
                found.append((items[weights > 0], weights[weights > 0]))
                late += not in_time
                progress.update(item + 1)
        progress.close()
        self.weights = _columns(found, n)
        return {"pairs": int(self.weights.nnz), "not_converged": late}

    def _guard(self, task: Task) -> None:
        """Refuse what does not fit: at most sum_u d_u^2 entries of G, and two tables an item."""
        d_user, d_item = degrees(task.train.matrix)
        n = task.train.n_items
        entries = min(float(d_user @ d_user), float(n) ** 2)
        width = self.params.neighbours
        if width == 0:
            width = min(n, (task.train.matrix.T @ d_user).max(initial=0))
        needed = (16 * entries + 3 * 8 * float(width) ** 2) / 1024**3
        if needed > self.params.memory_gb:
            raise Refused(
                f"SLIM needs about {needed:.1f} GB for the co-occurrences of {n} items, more than "
                f"memory_gb = {self.params.memory_gb:g}"
            )

    def _regression(
        self, gram: np.ndarray | sp.csr_array, items: np.ndarray, target: int, users: int
    ) -> tuple[np.ndarray, bool]:
        """Return the weights of some items for a target, and whether the descent converged."""
        p, k = self.params, len(items)
        if k == 0:
            return np.zeros(0), True
        both, goal = submatrix(gram, items, items), submatrix(gram, items, [target])[:, 0]
        ridge = max(users * p.alpha * (1.0 - p.l1_ratio), RIDGE_FLOOR * both.max())
        both[np.diag_indices(k)] += ridge
        upper = scipy.linalg.cholesky(both, check_finite=False)
        goal = scipy.linalg.solve_triangular(upper, goal, trans="T", check_finite=False)
        # scikit-learn divides the squared error by the rows of U, of which there are k.
        lasso = Lasso(
            alpha=users * p.alpha * p.l1_ratio / k, positive=True, fit_intercept=False,
            copy_X=False, max_iter=p.max_iter, tol=p.tolerance,
        )  # fmt: skip
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            lasso.fit(np.asfortranarray(upper), goal, check_input=False)
        return lasso.coef_, not caught

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return x W."""
        return dense_product(history.matrix, self.weights)


def gram_matrix(x: sp.csr_array) -> np.ndarray | sp.csr_array:
    """Return X^T X, shape (n, n) float32 (counts are exact): dense where few entries are 0."""
    gram = sp.csr_array(x.T) @ x
    return gram.toarray() if gram.nnz > DENSE_SHARE * gram.shape[0] ** 2 else gram


def submatrix(gram: np.ndarray | sp.csr_array, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return some rows and columns of a matrix as a new float64 array."""
    if sp.issparse(gram):
        return gram[rows][:, columns].toarray().astype(np.float64)
    return gram[np.ix_(rows, columns)].astype(np.float64)


def candidates_of(x: sp.csr_array, neighbours: int) -> sp.csr_array:
    """Return, as row j, the items of largest cosine with item j; 0 neighbours means all of them."""
    scale = power(degrees(x)[1], -0.5)
    left, most = sp.csr_array(x.T), neighbours or x.shape[1]
    return nearest(left, x, lambda i, j, both: both * scale[i] * scale[j], most)


def _columns(found: list[tuple[np.ndarray, np.ndarray]], n: int) -> sp.csr_array:
    """Return the matrix with the given (rows, values) as columns, float32 CSR."""
    indptr = np.concatenate([[0], np.cumsum([len(rows) for rows, _ in found])]).astype(np.int64)
    rows = np.concatenate([np.zeros(0, dtype=np.int32), *(rows for rows, _ in found)])
    values = np.concatenate([np.zeros(0), *(values for _, values in found)]).astype(np.float32)
    return sp.csr_array(sp.csc_array((values, rows, indptr), shape=(n, n)))
