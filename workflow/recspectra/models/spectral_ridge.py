"""Spectral ridge: the best linear denoiser in the span of leading eigenvectors, with no filter shape.

What a spectral filter's quality owes to the span, and what to the filter, is told apart by this
control. With the K leading eigenvectors U of P = R^T R, T = D_I^-theta and X~, in which a share p of the
entries of X is dropped (and the rest divided by 1 - p), it minimises over W, shape (K, K),

    E ||X~ T U W - X T U||^2 + lambda ||W||^2

whose solution is, with D the item degrees and Z = X T U,

    W = (Z^T Z + p / (1 - p) U^T D T^2 U + lambda I)^-1 Z^T Z,   score x T U W U^T T^-1

W is not symmetric for p > 0. With all eigenvectors and theta = 0 it is DLAE; p = 0 and lambda = 0 give
W = I on what X reaches, with theta = 1/2 GF-CF's ideal low-pass filter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import pinvh

from recspectra.recommender import History, Recommender, Run, Task
from recspectra.spectral.operators import degrees, power
from recspectra.spectral.places import Array


class SpectralRidge(Recommender):
    """The item-item matrix is kept in two factors of shape (n, K)."""

    state_names = ("left", "right")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Solve for W in double precision."""
        p, matrix = self.params, task.train.matrix
        _, d_item = degrees(matrix)
        vectors = task.spectrum("item-similarity", p.rank).vectors.astype(np.float64)
        scaled = power(d_item, -p.theta)[:, None] * vectors
        z = matrix @ scaled
        dropped = p.dropout / (1.0 - p.dropout) * (scaled.T @ (d_item[:, None] * scaled))
        gram = z.T @ z
        weights = pinvh(gram + dropped + p.regularization * np.eye(len(gram))) @ gram
        self.left = (scaled @ weights).astype(np.float32)
        self.right = (power(d_item, p.theta)[:, None] * vectors).astype(np.float32)
        return {}

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the denoised rows."""
        return (history.matrix @ self.left) @ self.right.T
