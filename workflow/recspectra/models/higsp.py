"""HiGSP: hierarchical graph signal processing with filters of clusters of users (Xia et al., WWW 2024).

    score = x F_c + alpha1 x D_I^-1/2 V_r V_r^T D_I^1/2 + alpha2 x (I - (I - P)^k2)

P = R^T R and V_r are its leading eigenvectors. F_c belongs to the cluster c of the user: with
C the rows of X of the cluster's users and D the row sums of C^T C,

    F_c = I - (I - N)^k1,  N = B^T B,  B = C D^-1/2.

Users are clustered by their rows of X (`clustering`):

`kmeans`
    k-means.
`gmm-diag`
    A Gaussian mixture with diagonal covariances.
`gmm-full`
    A Gaussian mixture with full covariances, the authors' choice: c matrices of size
    n x n. With fewer users than items they are singular, and the constant that is added
    to their diagonals decides.

Only users with interactions are clustered; a user without any belongs to the cluster in which
an empty row fits best. A user keeps the cluster of the fitted interactions, whatever history
is shown; the history itself is filtered.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.recommender import History, Recommender, Refused, Run, Task
from recspectra.runtime import axis_seed
from recspectra.spectral.operators import degrees, normalised, power
from recspectra.spectral.places import Array, Pieces, Rows, beside
from recspectra.spectral.polynomials import (
    DENSE_SPEED,
    Filter,
    Powers,
    by_blocks,
    cache_width,
    complement,
    formed,
    formed_if_better,
    geometric,
    polynomial_block,
)


class HiGSP(Recommender):
    """Apply the three filters to a batch of rows; users of a cluster are filtered together.

    F_c = B^T q(B B^T) B with q(z) = (1 - (1 - z)^k1) / z. In a cluster with few users the
    matrix q(B B^T) in the middle is formed, else F_c is applied by sparse products.
    """

    state_names = ("r", "dense", "left", "right", "labels", "members", "middles", "middle_ends")
    left_behind = ("labels", "members", "middles", "middle_ends")
    needs_known_users = True

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Cluster the users and prepare the filters of the clusters and of all users."""
        p, matrix = self.params, task.train.matrix
        seed = axis_seed(run.seed, "clusters")
        make = partial(clusters, matrix, p.clusters, p.clustering, seed, p.memory_gb)
        self.labels = task.shared(("higsp-clusters", p.clusters, p.clustering, seed), make)
        _, d_item = degrees(matrix)
        vectors = task.spectrum("item-similarity", p.rank).vectors
        self.left = (power(d_item, -0.5)[:, None] * vectors).astype(np.float32)
        self.right = (power(d_item, 0.5)[:, None] * vectors).astype(np.float32)
        self.r = normalised(matrix).astype(np.float32)
        powers = partial(task.shared, ("similarity-powers",), lambda: Powers(self.r))
        self.dense = formed_if_better(powers, self.r, complement(p.order_global), p.memory_gb)
        self._fit_clusters(matrix)
        self._prepare()
        sizes = np.bincount(self.labels)
        formed_middles = int((np.diff(self.middle_ends) > 0).sum())
        return {"cluster_sizes": sizes.tolist(), "formed": bool(self.dense.size), "middles": formed_middles}

    def _fit_clusters(self, matrix: sp.csr_array) -> None:
        """Scale the members of each cluster; form the matrices in the middle."""
        self.members = sp.csr_array(matrix.astype(np.float32))
        order = self.params.order_cluster
        middles, ends = [np.zeros(0, dtype=np.float32)], [0]
        for users in members(self.labels):
            scale = pair_scale(matrix[users])
            entries = entries_of(matrix.indptr, users)
            self.members.data[entries] = scale[matrix.indices[entries]]
            b = self.members[users]
            if middle_is_faster(b.shape[0], b.nnz, order):
                middles.append(formed(geometric(order), Powers(sp.csr_array(b.T))).ravel())
            else:
                middles.append(middles[0])
            ends.append(ends[-1] + middles[-1].size)
        self.middles, self.middle_ends = np.concatenate(middles), np.array(ends)

    def _prepare(self) -> None:
        """Put the state into one filter for all users and one for each cluster."""
        self.common = Filter(self.r, complement(self.params.order_global), self.dense)
        self.filters = []
        for cluster, users in enumerate(members(self.labels)):
            flat = self.middles[self.middle_ends[cluster] : self.middle_ends[cluster + 1]]
            middle = flat.reshape(len(users), len(users)) if flat.size else None
            self.filters.append(ClusterFilter(self.members[users], self.params.order_cluster, middle))

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the sum of the three filtered rows."""
        p, rows = self.params, history.matrix
        scores = p.alpha1 * ((rows @ self.left) @ self.right.T)
        if p.alpha2 > 0:
            scores += p.alpha2 * self.common(rows)
        labels = self.labels[users]
        for cluster in np.unique(labels):
            places = np.flatnonzero(labels == cluster)
            scores[beside(places, scores)] += self.filters[cluster](rows[places])
        return scores


class ClusterFilter(Pieces):
    """x -> x F_c of one cluster.

    Parameters
    ----------
    b : CSR float32, shape (users of the cluster, n)
        C D^-1/2.
    order : int
        k1.
    middle : array or None
        q(B B^T) where it is formed.
    """

    left_behind = ("coefficients",)

    def __init__(self, b: sp.csr_array, order: int, middle: np.ndarray | None) -> None:
        self.b, self.middle, self.coefficients = b, middle, complement(order)

    def __call__(self, rows: Rows) -> Array:
        """Return x F_c of sparse rows x, dense, shape (b, n)."""
        return by_blocks(rows, self._apply, cache_width(self.b.shape))

    def _apply(self, block: Array) -> Array:
        if self.middle is None:
            return polynomial_block(self.coefficients, self.b, block)
        return self.b.T @ (self.middle @ (self.b @ block))


def middle_is_faster(users: int, nnz: int, order: int) -> bool:
    """Whether forming q(B B^T) takes fewer operations than applying F_c to the cluster's users.

    Counted as in `prefers_formed`: 4 nnz a user and product of the polynomial, against the
    powers (B B^T takes 2 nnz a user, a product of matrices 2 users^3 / DENSE_SPEED), and
    4 nnz + 2 users^2 / DENSE_SPEED for each user.
    """
    products = 1.0 + np.log2(order) if order > 1 else 0.0
    each = 6.0 * nnz + 2.0 * users**2 * (products + 1.0) / DENSE_SPEED
    return order > 1 and each < 4.0 * nnz * order


def pair_scale(rows: sp.csr_array) -> np.ndarray:
    """Return D^-1/2, D the row sums of C^T C, shape (n,)."""
    lengths = np.diff(rows.indptr).astype(np.float64)
    return power(rows.T.astype(np.float64) @ lengths, -0.5)


def members(labels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the users of each cluster, ascending; every cluster has some."""
    yield from np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])


def entries_of(indptr: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Return where the entries of some rows of a CSR matrix are."""
    lengths = np.diff(indptr)[users]
    shift = np.repeat(indptr[users] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return np.arange(lengths.sum()) + shift


# -------------------------------------------------------------------------- clustering


def clusters(matrix: sp.csr_array, count: int, clustering: str, seed: int, memory_gb: float) -> np.ndarray:
    """Return the cluster 0, 1, ... of each user, shape (m,); clusters that stay empty are left out."""
    from sklearn.cluster import KMeans
    from sklearn.mixture import GaussianMixture

    some = np.flatnonzero(np.diff(matrix.indptr) > 0)
    count, state = min(count, len(some)), seed % 2**32
    if count <= 1:
        return np.zeros(matrix.shape[0], dtype=np.int64)
    parts = np.ones(matrix.nnz), matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    rows = sp.csr_matrix(parts, shape=matrix.shape)  # scikit-learn takes no 64-bit indices
    if clustering == "kmeans":
        model = KMeans(count, n_init=1, random_state=state).fit(rows[some])
    else:
        kind = clustering.removeprefix("gmm-")
        check_memory(matrix.shape, count, kind, memory_gb)
        rows = rows.toarray()
        model = GaussianMixture(count, covariance_type=kind, random_state=state).fit(rows[some])
    return np.unique(model.predict(rows), return_inverse=True)[1]


def check_memory(shape: tuple[int, int], count: int, kind: str, memory_gb: float) -> None:
    """Refuse a Gaussian mixture whose matrices would not fit."""
    users, items = shape
    covariances = 3 * count * items**2 if kind == "full" else 0
    needed = 8 * (3 * users * items + covariances) / 1024**3
    if needed > memory_gb:
        raise Refused(
            f"HiGSP's clustering gmm-{kind} needs about {needed:.1f} GB for {users} users, {items} items "
            f"and {count} clusters, more than memory_gb = {memory_gb:g}; clustering: kmeans needs none of it"
        )
