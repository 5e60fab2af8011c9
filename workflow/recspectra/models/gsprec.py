"""GSPRec: temporal graph, Gaussian band-pass and low-pass filters (Bin Rabiah and McAuley).

Eq. 8 cannot be right as printed: U has m + n rows where n are needed, and D_I^-1/2
stands on both sides of the filter. Each way to read it is a named variant (`eq8`):

`literal`
    U restricted to its item rows, D_I^-1/2 on both sides.
`balanced`
    U restricted to its item rows, D_I^-1/2 on the left and D_I^+1/2 on the right, as
    in GF-CF and in the paper's own Eq. 9.
`augmented`
    The signal of Eq. 9 instead of a restricted U: X_b D_b^-1/2 U G U^T D_b^+1/2, item
    columns.

Eq. 7 rescales eigenvalues by lambda_min and lambda_max, of the r computed pairs
(`truncated`) or of the whole Laplacian (`full`): `eigenvalue_range`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.data.interactions import Interactions
from recspectra.models.base import History, Recommender, Refused, Run, Task
from recspectra.spectral.eigen import Spectrum
from recspectra.spectral.filters import gaussian_bandpass, rescaled
from recspectra.spectral.operators import degrees, power


class GSPRec(Recommender):
    """Y = phi F_BP + (1 - phi) F_LP (Eq. 11), applied to a batch of user rows in factors.

    Every filter has the form x (left) (right)^T with n x r factors, plus, for the
    user-user part of Eq. 9, x / sqrt(d_u) times one more n x r factor.
    """

    state_names = ("left", "left_scaled", "right")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Scale the eigenvectors of the unified graph by the filters and degrees."""
        if not task.ordered:
            raise Refused("GSPRec builds its graph from the order of interactions; this dataset has none")
        p = self.params
        spectrum = task.spectrum(f"unified-d{p.depth}-a{p.decay}", p.rank)
        _, d_item = degrees(task.train.matrix)
        items = spectrum.vectors[task.train.n_users :].astype(np.float64)
        users = similar_users(task.train, spectrum.vectors[: task.train.n_users])
        down, up = power(d_item, -0.5)[:, None] * items, power(d_item, 0.5)[:, None] * items
        span = eigenvalue_span(spectrum, p.eigenvalue_range)
        gain = gaussian_bandpass(rescaled(1.0 - spectrum.values, *span), p.center, p.width)
        band = p.phi * gain
        low = (1.0 - p.phi) * np.ones_like(gain)
        if p.eq8 == "augmented":
            band, low = np.zeros_like(gain), low + band
        right = power(d_item, -0.5)[:, None] * items if p.eq8 == "literal" else up
        self.left = np.hstack([down * band, down * low]).astype(np.float32)
        self.left_scaled = np.hstack([np.zeros_like(users), users * low]).astype(np.float32)
        self.right = np.hstack([right, up]).astype(np.float32)
        return {
            "eigenvalues": (1.0 - spectrum.values).tolist(),
            "range": list(span),
            "highest": 1.0 - spectrum.lowest,
        }

    def score(self, users: np.ndarray, history: History) -> np.ndarray:
        """Return the fused, filtered rows."""
        lengths = np.diff(history.matrix.indptr).astype(np.float64)
        scaled = sp.diags_array(power(lengths, -0.5).astype(np.float32)) @ history.matrix
        return (history.matrix @ self.left + scaled @ self.left_scaled) @ self.right.T


def similar_users(train: Interactions, user_vectors: np.ndarray) -> np.ndarray:
    """Return X~_U^T D_b^-1/2 U_users, shape (n, r): the user columns of Eq. 9 in a factor.

    C_U = X~_U X~_U^T with X~_U = D_U^-1/2 X; its column sums are the user part of D_b.
    Row u of C_U times the factor's left part is x_u / sqrt(d_u) times this matrix, so
    the m x m matrix C_U is never formed.
    """
    d_user, _ = degrees(train.matrix)
    scaled = sp.diags_array(power(d_user, -0.5)) @ train.matrix.astype(np.float64)
    sums = scaled @ (scaled.T @ np.ones(train.n_users))
    return scaled.T @ (power(sums, -0.5)[:, None] * user_vectors)


def eigenvalue_span(spectrum: Spectrum, eigenvalue_range: str) -> tuple[float, float]:
    """Return lambda_min and lambda_max of Eq. 7, of the Laplacian eigenvalues 1 - mu."""
    frequencies = 1.0 - spectrum.values
    if eigenvalue_range == "full":
        return min(float(frequencies.min()), 0.0), 1.0 - spectrum.lowest
    return float(frequencies.min()), float(frequencies.max())
