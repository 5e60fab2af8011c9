"""FaGSP: frequency-aware graph signal processing, a cascade and two parallel filters (Xia et al., 2024).

    score = P11 + P12 + alpha1 P2

Parallel, with P = R^T R:

    P11 = x (I - (I - P)^o1)              item side
    P12 = (I - (I - R R^T)^o2) X          user side

The row of P12 of a user with row r of R is r q(P) R^T X, with q(z) = (1 - (1 - z)^o2) / z, since
(R R^T)^j X = R (R^T R)^(j-1) R^T X. So users fold in, and nothing of size m x m appears: for any
history x of length d, r = x / sqrt(d) D_I^-1/2.

Cascade. Z = X D_I^-1/2 V V^T D_I^1/2 for the `rank_high` right singular vectors V of R with the
smallest singular values. Where the entry of an interaction exceeds the q-quantile of its item's
column of Z, over all users, the interaction has weight 1 + alpha2 instead of 1. Z is small against
the terms that it sums, so it and its quantiles are float64, and an entry that differs from a
quantile by no more than rounding equals it. With X' for the
weighted matrix, R' and D' from its own sums and V' the `rank` leading right singular vectors
of R', P2 = X' D'_I^-1/2 V' V'^T D'_I^1/2. Another history is weighted by the same quantiles.

The smallest singular values are those of the thin decomposition, min(m, n) of them. Values that
are 0 have no vectors of their own, just a space, so what the authors' program takes from it is
arbitrary. `null_space: drop` (default) leaves the space out and takes the smallest values above
0; `keep` counts it as the authors do, with the vectors that LAPACK happens to return.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from recspectra.recommender import History, Recommender, Refused, Run, Task, refuse_large_rank
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import Gram, degrees, normalised, power
from recspectra.spectral.places import Array, Rows, beside, host, scaled
from recspectra.spectral.polynomials import (
    Filter,
    Powers,
    by_blocks,
    cache_width,
    complement,
    formed,
    formed_if_better,
    geometric,
    gram,
    polynomial_block,
    prefers_formed,
)

NEGLIGIBLE = 1e-10  # an eigenvalue of P below it is 0
ROUNDING = 1024 * np.finfo(np.float64).eps  # of an entry of Z, against the magnitude of what it sums
AT_LEAST = 512  # of the lowest eigenvectors are found at once, for the trials to come
ENTRIES_AT_ONCE = 4_000_000  # of Z


class FaGSP(Recommender):
    """Needs all eigenvectors of low eigenvalue of the formed P: `memory_gb` refuses what would not fit."""

    state_names = (
        "r", "roots", "dense_items", "dense_users",
        "high_in", "high_out", "quantiles", "low_in", "low_out",
    )  # fmt: skip
    left_behind = ("high_in", "high_out", "quantiles", "inverse_roots")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Prepare the parallel filters and the cascade."""
        matrix = task.train.matrix
        check_memory(task.train.n_items, self.params.memory_gb)
        self.r = normalised(matrix).astype(np.float32)
        self.roots = power(degrees(matrix)[0], 0.5).astype(np.float32)
        self._fit_parallel(task)
        log = self._fit_cascade(task, run.device)
        self._prepare()
        return {"formed": [bool(self.dense_items.size), bool(self.dense_users.size)], **log}

    def _fit_parallel(self, task: Task) -> None:
        """Form the polynomials where that is faster."""
        p, r = self.params, self.r
        powers = partial(task.shared, ("similarity-powers",), lambda: Powers(r))
        self.dense_items = formed_if_better(powers, r, complement(p.order_item), p.memory_gb)
        self.dense_users = np.zeros((0, 0), dtype=np.float32)
        if prefers_formed(r.shape, r.nnz, p.order_user, p.memory_gb):
            make = lambda: user_side(r, task.train.matrix, powers(), p.order_user)  # noqa: E731
            self.dense_users = task.shared(("fagsp-user-side", p.order_user), make)

    def _fit_cascade(self, task: Task, device: str) -> dict[str, Any]:
        """Find quantiles and weights, then the leading eigenvectors of the weighted graph."""
        p, matrix = self.params, task.train.matrix
        _, d_item = degrees(matrix)
        count = max(p.rank_high, AT_LEAST)
        values, vectors = task.shared(
            ("fagsp-lowest", count, p.null_space), lambda: lowest(matrix, count, p.null_space == "drop")
        )
        high = vectors[:, : p.rank_high]
        self.high_in = power(d_item, -0.5)[:, None] * high
        self.high_out = power(d_item, 0.5)[:, None] * high
        key = ("fagsp-quantiles", p.rank_high, p.quantile, p.null_space)
        coordinates = matrix.astype(np.float64) @ self.high_in
        make = lambda: column_quantiles(coordinates, self.high_out, p.quantile)  # noqa: E731
        self.quantiles = task.shared(key, make)
        weighted = self._weighted(matrix.astype(np.float32))
        make = lambda: leading_factors(weighted, p.rank, device)  # noqa: E731
        self.low_in, self.low_out = task.shared((*key, p.rank, p.alpha2), make)
        raised = float((weighted.data > 1.0).mean()) if p.alpha2 > 0 else 0.0
        return {"raised": raised, "high": high.shape[1], "lowest_eigenvalue": float(values[0])}

    def _weighted(self, rows: sp.csr_array) -> sp.csr_array:
        """Return rows of X': 1 + alpha2 where Z exceeds the quantile of its item."""
        found = rows.copy()
        above = exceeds(rows, self.high_in, self.high_out, self.quantiles)
        found.data += np.float32(self.params.alpha2) * above
        return found

    def _prepare(self) -> None:
        self.items = Filter(self.r, complement(self.params.order_item), self.dense_items)
        self.item_roots = item_roots(self.r, self.roots)
        self.inverse_roots = power(self.item_roots, -1.0)

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return P11 + P12 + alpha1 P2 of the rows."""
        rows = history.matrix
        scores = self.items(rows) + self._user_side(rows)
        if self.params.alpha1 > 0:
            weighted = beside(self._weighted(host(rows)), rows)
            scores += self.params.alpha1 * ((weighted @ self.low_in) @ self.low_out.T)
        return scores

    def _user_side(self, rows: Rows) -> Array:
        """Return P12 = r q(P) R^T X."""
        lengths = np.diff(rows.indptr).astype(np.float64)
        r = sp.csr_array(scaled(host(rows), power(lengths, -0.5), self.inverse_roots).astype(np.float32))
        r = beside(r, rows)
        if len(self.dense_users):
            return r @ self.dense_users
        return by_blocks(r, self._user_side_block, cache_width(self.r.shape))

    def _user_side_block(self, block: Array) -> Array:
        """Return X^T R q(P) y of columns y; X = D_U^1/2 R D_I^1/2."""
        found = self.r @ polynomial_block(geometric(self.params.order_user), self.r, block)
        return self.item_roots[:, None] * (self.r.T @ (self.roots[:, None] * found))


def user_side(r: sp.csr_array, matrix: sp.csr_array, powers: Powers, order: int) -> np.ndarray:
    """Return q(P) R^T X, formed, shape (n, n)."""
    return formed(geometric(order), powers) @ gram(r, matrix.astype(np.float32))


def item_roots(r: sp.csr_array, user_roots: np.ndarray) -> np.ndarray:
    """Return D_I^1/2, shape (n,), float32, which R and D_U^1/2 determine: X has only ones."""
    of_entries = r.data * np.repeat(user_roots, np.diff(r.indptr))
    roots = np.zeros(r.shape[1], dtype=np.float32)
    roots[r.indices] = 1.0 / of_entries
    return roots


def check_memory(items: int, memory_gb: float) -> None:
    """Refuse a formed P, and the working space of its eigenvectors, that would not fit."""
    needed = 3 * 8 * items**2 / 1024**3
    if needed > memory_gb:
        raise Refused(
            f"FaGSP needs about {needed:.1f} GB for the eigenvectors of a matrix of {items} x {items}, "
            f"more than memory_gb = {memory_gb:g}"
        )


def lowest(matrix: sp.csr_array, count: int, drop: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenpairs of P at the lower end of the thin decomposition of R, ascending.

    Of the n eigenvalues of P the n - min(m, n) smallest do not belong to the thin
    decomposition. With `drop` all that are 0 are left out.

    Returns
    -------
    values : float64 array, shape (count or fewer,)
    vectors : float64 array, shape (n, count or fewer)
    """
    used = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1])) if drop else slice(None)
    r = normalised(matrix)[:, used]
    similarity, items = (r.T @ r).toarray(), r.shape[1]
    first, margin = items - min(r.shape), 32 if drop else 0
    while True:
        last = min(first + count + margin, items) - 1
        values, vectors = scipy.linalg.eigh(similarity, subset_by_index=[first, last])
        keep = np.flatnonzero(values > NEGLIGIBLE)[:count] if drop else np.arange(len(values))
        if len(keep) >= count or last == items - 1 or not drop:
            break
        margin = 2 * (margin + int((values <= NEGLIGIBLE).sum()))
    whole = np.zeros((matrix.shape[1], len(keep)))
    whole[used] = vectors[:, keep]
    return values[keep], whole


def column_quantiles(left: np.ndarray, right: np.ndarray, share: float) -> np.ndarray:
    """Return the quantile of each column of Z = A B^T, shapes (m, k) and (n, k), a few columns at a time."""
    found = np.empty(len(right))
    size = max(1, ENTRIES_AT_ONCE // max(len(left), 1))
    for start in range(0, len(right), size):
        block = right[start : start + size] @ left.T
        found[start : start + size] = np.quantile(block, share, axis=1, overwrite_input=True)
    return found


def exceeds(rows: sp.csr_array, inward: np.ndarray, outward: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return for each interaction whether its entry of Z = X A B^T is above its item's limit.

    An entry is a sum over its own row and a dot product of its own, so it does not depend on the
    batch. Entries nearer to a limit than rounding equal it: a quantile can be an entry itself.

    Parameters
    ----------
    rows : CSR array, shape (b, n)
        X.
    inward, outward : float64 arrays, shape (n, k)
        A and B.
    limits : float64 array, shape (n,)
        One for each column of Z.

    Returns
    -------
    bool array, shape (nnz,)
    """
    x = rows.astype(np.float64)
    coordinates, sizes = x @ inward, x @ np.linalg.norm(inward, axis=1)
    lengths = np.linalg.norm(outward, axis=1)
    users = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    found = np.empty(rows.nnz, dtype=bool)
    step = max(1, ENTRIES_AT_ONCE // max(inward.shape[1], 1))
    for start in range(0, rows.nnz, step):
        part = slice(start, start + step)
        user, item = users[part], rows.indices[part]
        z = (coordinates[user] * outward[item]).sum(axis=1)
        found[part] = z - limits[item] > ROUNDING * sizes[user] * lengths[item]
    return found


def leading_factors(weighted: sp.csr_array, rank: int, device: str = "cpu") -> tuple[np.ndarray, np.ndarray]:
    """Return D'^-1/2 V' and D'^1/2 V' of the `rank` leading right singular vectors of R', float32."""
    x = weighted.astype(np.float64)
    d_user, d_item = x.sum(axis=1), x.sum(axis=0)
    r = sp.csr_array(sp.diags_array(power(d_user, -0.5)) @ x @ sp.diags_array(power(d_item, -0.5)))
    vectors = leading_vectors(r, rank, device)
    scales = power(d_item, -0.5), power(d_item, 0.5)
    return tuple((scale[:, None] * vectors).astype(np.float32) for scale in scales)


def leading_vectors(r: sp.csr_array, rank: int, device: str = "cpu") -> np.ndarray:
    """Return the leading eigenvectors of R^T R, shape (n, rank), of a normalised R."""
    items = r.shape[1]
    refuse_large_rank(rank, items)
    return leading(Gram(r, 1.0), rank, device=device).vectors
