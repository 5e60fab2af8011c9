"""SVD-AE: a linear autoencoder by a truncated pseudo-inverse (Hong et al., IJCAI 2024).

With the leading triplets of the normalised R = D_U^-1/2 X D_I^-1/2, R = U S V^T + ..., the weights are

    B = V S^-1 U^T X

the solution of R B = X of smallest norm in these directions: the input is normalised, the target is not.
A history x of length d is scored as d^-1/2 x D_I^-1/2 B. Since U = R V / S, the eigenpairs (S^2, V) of
R^T R are all that is needed. Triplets with a singular value of 0 carry no signal and are left out.

The authors' program takes a randomised decomposition of rank K instead, with two power iterations and nothing
drawn beyond K. Its last triplets are far from exact, which smooths: their printed numbers need it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.recommender import History, Recommender, Run, Task, refuse_large_rank
from recspectra.spectral.operators import degrees, normalised, power
from recspectra.spectral.places import Array, beside

SMALLEST = 1e-6  # eigenvalues of R^T R below this share of the largest count as 0
POWER_ITERATIONS = 2  # of a randomised decomposition, as in the authors' program
AUTHORS_SEED = 42  # of their program: another one moves recall_min@10 on Yelp2018 by .0004


class SVDAE(Recommender):
    """B is kept in two factors, D_I^-1/2 V S^-1 and X^T U."""

    state_names = ("left", "right")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Form the factors from the eigenpairs of R^T R, or from a randomised decomposition of R."""
        matrix = task.train.matrix
        if self.params.triplets == "randomised":
            refuse_large_rank(self.params.rank, min(matrix.shape))
            left, singular, right = randomised_triplets(normalised(matrix), self.params.rank, run.seed)
            values = singular.astype(np.float64) ** 2
        else:
            spectrum = task.spectrum("item-similarity", self.params.rank)
            left, values, right = None, spectrum.values, spectrum.vectors
        values = np.where(values > SMALLEST * values.max(initial=0.0), values, 0.0)
        scaled, kept = right * power(values, -0.5), values > 0
        left = normalised(matrix) @ scaled if left is None else left * kept
        _, d_item = degrees(matrix)
        self.left = (power(d_item, -0.5)[:, None] * scaled).astype(np.float32)
        self.right = (matrix.T @ left).astype(np.float32)
        return {"singular_values": np.sqrt(values).tolist()}

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the rows of the autoencoder's output."""
        coefficients = history.matrix @ self.left
        shrink = power(np.diff(history.matrix.indptr), -0.5).astype(np.float32)
        return (beside(shrink[:, None], coefficients) * coefficients) @ self.right.T


def randomised_triplets(r: sp.csr_array, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return U, S and V of a randomised decomposition of R, shapes (m, rank), (rank,), (n, rank), float32.

    Seed 0 draws what the authors' program draws.
    """
    import torch

    entries = r.astype(np.float32).tocoo()
    sparse = torch.sparse_coo_tensor(
        np.stack([entries.row, entries.col]), entries.data, entries.shape, check_invariants=True
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(AUTHORS_SEED + seed)
        found = torch.svd_lowrank(sparse.coalesce(), q=rank, niter=POWER_ITERATIONS)
    return tuple(part.numpy() for part in found)
