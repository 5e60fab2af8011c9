"""SVD-AE: a linear autoencoder by a truncated pseudo-inverse (Hong et al., IJCAI 2024).

With the leading triplets of the normalised R = D_U^-1/2 X D_I^-1/2, R = U S V^T + ..., the weights are

    B = V S^-1 U^T X

the solution of R B = X of smallest norm in these directions: the input is normalised, the target is not.
A history x of length d is scored as d^-1/2 x D_I^-1/2 B. Since U = R V / S, the eigenpairs (S^2, V) of
R^T R are all that is needed. Triplets with a singular value of 0 carry no signal and are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recspectra.recommender import History, Recommender, Run, Task
from recspectra.spectral.operators import degrees, normalised, power
from recspectra.spectral.places import Array, beside

SMALLEST = 1e-6  # eigenvalues of R^T R below this share of the largest count as 0


class SVDAE(Recommender):
    """B is kept in two factors, D_I^-1/2 V S^-1 and X^T U."""

    state_names = ("left", "right")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Form the factors from the eigenpairs of R^T R."""
        spectrum, matrix = task.spectrum("item-similarity", self.params.rank), task.train.matrix
        _, d_item = degrees(matrix)
        values = np.where(spectrum.values > SMALLEST * spectrum.values.max(initial=0.0), spectrum.values, 0.0)
        scaled = spectrum.vectors * power(values, -0.5)
        self.left = (power(d_item, -0.5)[:, None] * scaled).astype(np.float32)
        self.right = (matrix.T @ (normalised(matrix) @ scaled)).astype(np.float32)
        return {"singular_values": np.sqrt(values).tolist()}

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the rows of the autoencoder's output."""
        coefficients = history.matrix @ self.left
        shrink = power(np.diff(history.matrix.indptr), -0.5).astype(np.float32)
        return (beside(shrink[:, None], coefficients) * coefficients) @ self.right.T
