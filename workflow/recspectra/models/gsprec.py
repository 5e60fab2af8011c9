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

C_U of Eq. 9 is X~_U X~_U^T with X~_U = D_U^-1/2 X as printed (`user_similarity: paper`) or
R R^T with R = D_U^-1/2 X D_I^-1/2, as in PGSP, where the equation comes from (`pgsp`).

Eq. 9 has all r pairs pass the low-pass filter; the caption of Figure 6 keeps the lower 30 % of
the spectrum. `low_cut: 0.3` reads it as rescaled eigenvalues of at most 0.3.

The variants of Tables 5 and 6 are parameters: `phi: 0` has no band-pass part (NB), `phi: 1`
no low-pass part (NL), `depth: 0` no sequence graph (NS): the sum of Eq. 2 over no hops is
0, which leaves the bipartite graph. The text never says what SE is. `depth: 1`, sequence
edges without diffusion, is the reading taken: its loss in Table 5 is the smallest, and
"sequential diffusion removal causes the smallest drop" is what the text says of Table 5's
variants. A decay close to 1 (hops of equal weight) would be another.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.data.interactions import Interactions
from recspectra.recommender import History, Recommender, Run, Task, refuse_without_order
from recspectra.spectral.filters import gaussian_bandpass, ideal_lowpass, rescaled
from recspectra.spectral.operators import degrees, normalised, power, spectral_radius, transition_graph
from recspectra.spectral.places import Array, scaled
from recspectra.spectral.spectrum import Spectrum


class GSPRec(Recommender):
    """Y = phi F_BP + (1 - phi) F_LP (Eq. 11), applied to a batch of user rows in factors.

    Every filter has the form x (left) (right)^T with n x r factors, plus, for the
    user-user part of Eq. 9, x / sqrt(d_u) times one more n x r factor. Filters that end
    in the same `right` are one product: all of them, unless Eq. 8 is read literally.
    """

    state_names = ("left", "left_scaled", "right")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Scale the eigenvectors of the unified graph by the filters and degrees."""
        p = self.params
        if p.depth > 0:
            refuse_without_order(task, "GSPRec", "depth 0 leaves the sequence graph out")
        log = self._convergence(task)
        if note := log.get("note"):
            warnings.warn(note, stacklevel=2)
        spectrum = task.spectrum(f"unified-d{p.depth}-a{p.decay}", p.rank)
        span = eigenvalue_span(spectrum, p.eigenvalue_range)
        position = rescaled(1.0 - spectrum.values, *span)
        band, low = gaussian_bandpass(position, p.center, p.width), ideal_lowpass(position, p.low_cut)
        self._set_factors(task.train, spectrum, p.phi * band, (1.0 - p.phi) * low)
        frequencies = 1.0 - spectrum.values
        return {
            "eigenvalues": frequencies.tolist(),
            "range": list(span),
            "highest": 1.0 - spectrum.lowest,
            **log,
        }

    def _convergence(self, task: Task) -> dict[str, Any]:
        """Check alpha < 1 / rho(S'), Lemma 1's condition; at depth 0 and 1 alpha plays no part."""
        p = self.params
        if p.depth < 2:
            return {}
        radius = task.shared(("transition-radius",), lambda: spectral_radius(transition_graph(task.train)))
        if p.decay * radius < 1.0:
            return {"spectral_radius": radius, "alpha_limit": 1.0 / radius if radius else None}
        note = (
            f"decay {p.decay:g} does not satisfy the paper's condition alpha < 1 / rho(S') = "
            f"{1.0 / radius:.4g} (rho = {radius:.4g}): the sum of Eq. 2 would diverge for d to infinity. "
            f"With d = {p.depth} it is finite and nothing diverges; long paths only weigh more than "
            "short ones, the more the deeper."
        )
        return {"spectral_radius": radius, "alpha_limit": 1.0 / radius, "note": note}

    def _set_factors(
        self, train: Interactions, spectrum: Spectrum, band: np.ndarray, low: np.ndarray
    ) -> None:
        """Put the gains of both filters, shape (r,), into factors."""
        _, d_item = degrees(train.matrix)
        items = spectrum.vectors[train.n_users :].astype(np.float64)
        users = similar_users(train, spectrum.vectors[: train.n_users], self.params.user_similarity)
        down, up = power(d_item, -0.5)[:, None] * items, power(d_item, 0.5)[:, None] * items
        parts = [(down * (low + band), users * low, up)]
        if self.params.eq8 == "augmented":
            parts = [(down * (low + band), users * (low + band), up)]
        elif self.params.eq8 == "literal":  # its band-pass part ends in D_I^-1/2
            both = [(low, down * low, users * low, up), (band, down * band, np.zeros_like(users), down)]
            parts = [factors for gain, *factors in both if gain.any()] or parts
        names = ("left", "left_scaled", "right")
        for name, factors in zip(names, zip(*parts, strict=True), strict=True):
            setattr(self, name, np.hstack(factors).astype(np.float32))

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the fused, filtered rows."""
        lengths = np.diff(history.matrix.indptr).astype(np.float64)
        shrunk = scaled(history.matrix, power(lengths, -0.5).astype(np.float32))
        return (history.matrix @ self.left + shrunk @ self.left_scaled) @ self.right.T


def similar_users(train: Interactions, user_vectors: np.ndarray, user_similarity: str) -> np.ndarray:
    """Return the user columns of Eq. 9 in a factor, shape (n, r), so that C_U (m x m) is never formed.

    C_U = X~ X~^T, whose column sums are the user part of D_b. With X~ = D_U^-1/2 X D_I^-e, row u of
    C_U D_b^-1/2 U_users is x_u / sqrt(d_u) times D_I^-e X~^T D_b^-1/2 U_users.

    Parameters
    ----------
    train : Interactions
        X.
    user_vectors : array, shape (m, r)
        U_users.
    user_similarity : {"paper", "pgsp"}
        e = 0, or e = 1/2 so that X~ is R.
    """
    d_user, d_item = degrees(train.matrix)
    if user_similarity == "pgsp":
        rows, again = normalised(train.matrix), power(d_item, -0.5)[:, None]
    else:
        rows, again = sp.diags_array(power(d_user, -0.5)) @ train.matrix.astype(np.float64), 1.0
    sums = rows @ (rows.T @ np.ones(train.n_users))
    return again * (rows.T @ (power(sums, -0.5)[:, None] * user_vectors))


def eigenvalue_span(spectrum: Spectrum, eigenvalue_range: str) -> tuple[float, float]:
    """Return lambda_min and lambda_max of Eq. 7, of the Laplacian eigenvalues 1 - mu."""
    frequencies = 1.0 - spectrum.values
    if eigenvalue_range == "full":
        return min(float(frequencies.min()), 0.0), 1.0 - spectrum.lowest
    return float(frequencies.min()), float(frequencies.max())
