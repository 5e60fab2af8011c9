"""iALS: implicit alternating least squares (Hu et al., ICDM 2008; Rendle et al., RecSys 2022)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.layers.neighbours import padded
from recspectra.recommender import History, Recommender, Run, Task
from recspectra.runtime import axis_seed

AT_ONCE = 4_000_000  # numbers in a table of gathered factors or of matrices to solve: 16 MB


class IALS(Recommender):
    """Score <w_u, h_i>, where users W and items H minimise

        sum_observed (<w, h> - 1)^2 + a sum_all <w, h>^2
            + lambda (sum_u (|I_u| + a n)^nu ||w_u||^2 + sum_i (|U_i| + a m)^nu ||h_i||^2)

    with a = `unobserved_weight`, lambda = `regularization` and nu = `frequency_exponent`.
    A user's factors are not kept: they are solved for from the history that is shown.
    An epoch solves exactly for all users and then for all items. The start is random;
    the seed of the run decides it.
    """  # fmt: skip

    state_names = ("factors", "values")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Alternate for `epochs` epochs; keep the items in the axes of H^T H, and its eigenvalues."""
        p = self.params
        rows = task.train.matrix
        columns = sp.csr_array(rows.T)
        generator = np.random.default_rng(axis_seed(run.seed, "init"))
        shape = (task.train.n_items, p.dimensions)
        items = generator.normal(0.0, 0.1 / np.sqrt(p.dimensions), shape).astype(np.float32)
        progress = run.progress(p.epochs)
        for epoch in range(p.epochs):
            users = self._solve(rows, *principal(items))
            items = self._solve(columns, *principal(users))
            progress.update(epoch + 1)
        progress.close()
        self.factors, self.values = principal(items)
        return {"epochs": p.epochs}

    def _solve(self, rows: sp.csr_array, factors: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the best factors of some rows given those of the columns.

        Parameters
        ----------
        rows : CSR, shape (b, c)
            Observed columns of each row.
        factors : float32 array, shape (c, d)
            Factors Z of the columns, in axes in which Z^T Z is diagonal.
        values : float64 array, shape (d,)
            That diagonal.

        Returns
        -------
        float32 array, shape (b, d)
            In the same axes; 0 for an empty row.
        """
        p, (count, columns), d = self.params, rows.shape, len(values)
        table = np.concatenate([factors, np.zeros((1, d), dtype=np.float32)])  # the last row pads
        solved = np.zeros((count, d), dtype=np.float32)
        lengths = np.diff(rows.indptr)
        widths = rounded(lengths)
        for width in np.unique(widths[lengths > 0]):
            members = np.flatnonzero(widths == width)
            size = max(1, int(AT_ONCE // (max(width, min(width, d)) * d)))
            for some in np.split(members, range(size, len(members), size)):
                z = table[padded(rows.indices, rows.indptr, some, fill=columns, width=int(width))]
                penalty = p.regularization * (lengths[some] + p.unobserved_weight * columns) ** (
                    p.frequency_exponent
                )
                diagonal = p.unobserved_weight * values + penalty[:, None]
                solver = by_columns if width < d else by_factors
                solved[some] = solver(z, diagonal.astype(np.float32))
        return solved

    def score(self, users: np.ndarray, history: History) -> np.ndarray:
        """Return W H^T with W solved for the histories (`users` themselves play no part)."""
        return self._solve(history.matrix, self.factors, self.values) @ self.factors.T


def principal(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors turned so that Z^T Z is diagonal, and that diagonal (d,) in float64."""
    gram = factors.T.astype(np.float64) @ factors.astype(np.float64)
    values, axes = np.linalg.eigh(gram)
    return factors @ axes.astype(np.float32), np.maximum(values, 0.0)


def by_factors(z: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """Return (Z^T Z + D)^-1 Z^T 1 of each row, shape (b, d), from models of size d.

    `z` has shape (b, width, d), padded with zeros, and `diagonal` (b, d).
    """
    d = diagonal.shape[1]
    models = z.transpose(0, 2, 1) @ z
    models[:, np.arange(d), np.arange(d)] += diagonal
    return np.linalg.solve(models, z.sum(axis=1)[:, :, None])[:, :, 0]


def by_columns(z: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """Return the same as `by_factors` from models of size width, cheaper for short rows.

    (Z^T Z + D)^-1 Z^T 1 = D^-1 Z^T (I + Z D^-1 Z^T)^-1 1; a padded column is apart from the
    others and is multiplied by 0.
    """
    width = z.shape[1]
    scaled = z / diagonal[:, None, :]
    models = scaled @ z.transpose(0, 2, 1)
    models[:, np.arange(width), np.arange(width)] += 1.0
    right = np.ones((len(z), width, 1), dtype=np.float32)
    return (scaled.transpose(0, 2, 1) @ np.linalg.solve(models, right))[:, :, 0]


def rounded(lengths: np.ndarray) -> np.ndarray:
    """Return lengths rounded up to one of four steps an octave: 1..8, 10, 12, 14, 16, 20, ...

    Rows of one rounded length are solved together. It follows from the row alone, so its
    factors are the same in every batch.
    """
    octave = np.floor(np.log2(np.maximum(lengths, 1))).astype(np.int64)
    step = 2 ** np.maximum(octave - 2, 0)
    return -(-lengths // step) * step
