"""SGFCF: a simplified graph filter with a generalised normalisation (Peng et al., 2024).

    R_g  = (D_U + alpha)^-eps X (D_I + alpha)^-eps = U diag(s) V^T,  t = s / s_max
    low  = U t^(2 beta) V^T          of the leading `rank` singular triplets
    high = R_g R_g^T R_g
    score = low / |low| + gamma high / |high|, where |.| is the sum of a row

The singular triplets come from the eigenpairs (s^2, v) of R_g^T R_g. Since U = R_g V / s, a
row of the low-pass part is

    low_u = r_u V diag(t^(2 beta) / s) V^T,  r_u = (d + alpha)^-eps x_u (D_I + alpha)^-eps

which is defined for any history x_u of length d: users fold in, with D_I, V and s from the
interactions that were fitted. A triplet with s = 0 carries no signal and is left out.

With `exponents: individual` (the paper's individualised filter, IGF) a user and an item have
exponents of their own, low = (U * t^beta_u) (V * t^beta_i)^T, linear in their homophily from
`beta_low` at the smallest ratio to `beta_high` at the largest. They are those of the fitted
interactions, whatever history is shown.

What the row sums are is a reading (`row_sums`): `signed` as the authors do, which turns a
row around where its sum is negative; `absolute`, the sum of magnitudes; `none`, no sums. The
authors' sigmoid around the score is monotone and left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.recommender import History, Recommender, Run, Task
from recspectra.spectral.operators import SPARSE_SHARE, RowSimilarity, degrees, generalised, power
from recspectra.spectral.places import Array, beside, scaled
from recspectra.spectral.spectrum import Spectrum

SMALLEST = 1e-6  # singular values below this share of the largest count as 0
BLOCK_ENTRIES = 20_000_000  # of the co-occurrence matrix that are held at once


class SGFCF(Recommender):
    """Both parts are applied to a batch of user rows in factors; only scores are dense."""

    state_names = ("r", "item_scale", "left", "right", "position", "user_exponents")
    left_behind = ("position", "user_exponents")

    @property
    def needs_known_users(self) -> bool:
        """Whether each user has an exponent of its own."""
        return self.params.exponents == "individual"

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Scale the right singular vectors by the filter; keep R_g for the high part."""
        p, train = self.params, task.train
        spectrum = task.spectrum(f"generalised-e{p.eps}-a{p.alpha}", p.rank)
        of_users, of_items = self._exponents(task)
        singular, self.position = positions(spectrum)
        _, d_item = degrees(train.matrix)
        scale = power(d_item + p.alpha, -p.eps)
        vectors = spectrum.vectors.astype(np.float64)
        left = scale[:, None] * vectors * power(singular, -1.0)
        if p.exponents == "shared":  # else it depends on the user, see `score`
            left *= power(self.position, p.beta)
        self.left = left.astype(np.float32)
        self.right = (vectors * raised(self.position, of_items)).astype(np.float32)
        self.user_exponents, self.item_scale = of_users, scale.astype(np.float32)
        self.r = generalised(train.matrix, p.eps, p.alpha).astype(np.float32)
        self.similarity = RowSimilarity(self.r)
        return {"singular_values": singular.tolist()}

    def _exponents(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        """Return the exponents of t for each user and each item, shapes (m,) and (n,)."""
        p, shape = self.params, task.train.shape
        if p.exponents == "shared":
            return np.full(shape[0], p.beta), np.full(shape[1], p.beta)
        ratios = task.shared(("homophily",), lambda: homophily(task.train.matrix))
        return tuple(spread(ratio, p.beta_low, p.beta_high) for ratio in ratios)

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore the factors, and the similarity from R_g."""
        super().load_state(arrays)
        self.similarity = RowSimilarity(self.r)

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the sum of the low-pass part and of gamma times the high part."""
        p, rows = self.params, history.matrix
        lengths = np.diff(rows.indptr).astype(np.float64)
        signal = scaled(rows, power(lengths + p.alpha, -p.eps).astype(np.float32))
        coefficients = signal @ self.left
        if p.exponents == "individual":
            gains = raised(self.position, self.user_exponents[users])
            coefficients = coefficients * beside(gains.astype(np.float32), coefficients)
        scores = over_row_sums(coefficients @ self.right.T, p.row_sums)
        if p.gamma > 0:
            high = self.similarity(scaled(signal, right=self.item_scale))
            scores += p.gamma * over_row_sums(high, p.row_sums)
        return scores


def positions(spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    """Return singular values s and t = s / s_max, both 0 where s is negligible."""
    singular = np.sqrt(np.clip(spectrum.values, 0.0, None))
    largest = singular.max(initial=0.0)
    singular[singular <= SMALLEST * largest] = 0.0
    return singular, singular / largest if largest > 0 else singular


def raised(position: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """Return t ** exponent for every exponent (row) and t (column); 0 where t is 0."""
    logarithm = np.log(position, out=np.full_like(position, -np.inf), where=position > 0)
    with np.errstate(invalid="ignore"):
        return np.where(position > 0, np.exp(exponents[:, None] * logarithm), 0.0)


def over_row_sums(block: Array, row_sums: str) -> Array:
    """Divide each row by its sum (`signed`), its sum of magnitudes (`absolute`) or nothing."""
    if row_sums == "none":
        return block
    sums = (block if row_sums == "signed" else abs(block)).sum(axis=1)
    sums[sums == 0] = 1
    return block / sums[:, None]


def spread(ratios: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map ratios linearly so that the smallest becomes `low` and the largest `high`."""
    span = np.ptp(ratios) if len(ratios) else 0.0
    place = (ratios - ratios.min()) / span if span > 0 else np.zeros_like(ratios)
    return low + (high - low) * place


def homophily(matrix: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Return the homophily ratios of users and of items.

    Of a user: the share of pairs of the user's items that another user has, too. Of an
    item: the share of pairs of its users that have another item in common.
    """
    transposed = sp.csr_array(matrix.T)
    return pair_share(transposed), pair_share(matrix)


def pair_share(matrix: sp.csr_array) -> np.ndarray:
    """Return for each column: the share of pairs of its rows that share another column.

    A column without a pair of rows gets 0. The co-occurrence matrix of rows is formed a
    block of rows at a time: with N its entries of 2 and more off the diagonal, column c
    has sum_ab x_ac N_ab x_bc such ordered pairs.
    """
    rows, _ = matrix.shape
    size = max(1, BLOCK_ENTRIES // max(rows, 1))
    transposed, pairs = sp.csr_array(matrix.T), np.zeros(matrix.shape[1])
    for start in range(0, rows, size):
        block = matrix[start : start + size]
        near = sp.csr_array(block @ transposed)
        near.data = (near.data >= 2).astype(np.float32)
        near.eliminate_zeros()
        full = near.nnz > SPARSE_SHARE * near.shape[0] * rows
        found = (near.toarray() if full else near) @ matrix
        pairs += np.asarray(block.multiply(found).sum(axis=0)).ravel()
    own = np.diff(matrix.indptr) >= 2  # the diagonal was counted, too
    pairs -= matrix.T @ own.astype(np.float64)
    _, counts = degrees(matrix)
    return pairs * power(counts * (counts - 1.0), -1.0)
