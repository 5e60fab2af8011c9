"""GiffCF: graph signal diffusion of users' rows (Zhu et al., SIGIR 2024).

Rows are smoothed by S = (A / lambda_1 + w V V^T) / (1 + w) with

    A = D_I^-1/2 X^T D_U^-2e X D_I^-1/2

of largest eigenvalue lambda_1 and leading eigenvectors V. Forward, t = 1..T blurs a row:
F_t x = (1 - alpha t/T) x + (alpha t/T) x S. A denoiser estimates x from F_t x and from x,
its condition, with a part of x hidden in training. Backward, from z_T = F_T x,

    z_(t-1) = F_(t-1) x_hat + eta (z_t - F_t x_hat),  x_hat = denoiser(z_t, x, x S, t)

and the scores are z_0. Nothing is drawn at random when users are scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn.functional import silu

from recspectra.layers.graph import SparseMatrix
from recspectra.layers.trained import Trained
from recspectra.models.diffrec import time_code
from recspectra.recommender import History, Run, Task
from recspectra.spectral.operators import tempered
from recspectra.spectral.polynomials import gram, prefers_formed
from recspectra.training.batches import RowBatch, UserRows
from recspectra.training.rows import SparseRows

TIME_FEATURES = 20
START_SCALE = 6.0  # of eigenvectors as items' first vectors
KEPT_BYTES = 2**30  # of smoothed rows that training keeps
PART = 1024  # users whose rows are smoothed at once


class Smoother:
    """y -> y S for blocks of rows, S as in the module's text.

    Dense rows go through the factors of S. For sparse rows S is formed where it is small: a
    product then takes as many of its rows as y has entries, a third of the time on ML-1M.

    Parameters
    ----------
    root : CSR float32, shape (m, n)
        R with A / lambda_1 = R^T R.
    low : array, shape (n, k)
        V, with k = 0 if w = 0.
    weight : float
        w.
    formed : bool
        Whether S is formed, (n, n).
    device : torch.device
        Where blocks live.
    """

    def __init__(
        self, root: sp.csr_array, low: np.ndarray, weight: float, formed: bool, device: torch.device
    ) -> None:
        self.weight = weight
        self.root, self.low = SparseMatrix(root, device), torch.as_tensor(low, device=device)
        self.table: torch.Tensor | None = None
        if formed:
            self.table = self._mixed(torch.as_tensor(gram(root, root), device=device), self.low)

    def _mixed(self, linear: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
        return (linear + self.weight * (projected @ self.low.T)) / (1.0 + self.weight)

    def __call__(self, block: torch.Tensor) -> torch.Tensor:
        """Return y S of dense rows, shape (b, n)."""
        linear = (self.root.T @ (self.root @ block.T)).T
        return self._mixed(linear, block @ self.low)

    def of_rows(self, rows: SparseRows) -> torch.Tensor:
        """Return y S of sparse rows, shape (b, n)."""
        return rows @ self.table if self.table is not None else self(rows.dense())


# ---------------------------------------------------------------------------- denoiser


class Mixer(nn.Module):
    """An MLP over a few features of each entry, with two hidden units: swish, then linear.

    Parameters
    ----------
    features : int
        Number of features.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.inner = nn.Parameter(glorot(2, features))
        self.inner_bias = nn.Parameter(torch.zeros(2))
        self.outer = nn.Parameter(glorot(1, 2)[0])
        self.outer_bias = nn.Parameter(torch.zeros(1))

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return one number for each entry; the features broadcast, the last one is the narrowest."""
        total = self.outer_bias
        for weights, bias, scale in zip(self.inner, self.inner_bias, self.outer, strict=True):
            state = torch.addcmul(bias, features[-1], weights[-1])
            for feature, weight in zip(features[:-1], weights[:-1], strict=True):
                state = torch.addcmul(state, feature, weight)
            total = torch.addcmul(total, silu(state), scale)
        return total


class TimeFeature(nn.Sequential):
    """One number for each time: sinusoids, a layer with swish and a linear one."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(TIME_FEATURES, TIME_FEATURES), nn.SiLU(), nn.Linear(TIME_FEATURES, 1))
        for layer in (self[0], self[2]):
            layer.weight.data = glorot(*layer.weight.shape)
            nn.init.zeros_(layer.bias)

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        """Return the feature of times, shape (b, 1)."""
        return super().forward(time_code(times, TIME_FEATURES))


def glorot(rows: int, columns: int) -> torch.Tensor:
    """Return a matrix drawn uniformly from +-sqrt(6 / (rows + columns))."""
    return math.sqrt(6.0 / (rows + columns)) * (2.0 * torch.rand(rows, columns) - 1.0)


class Denoiser(nn.Module):
    """Estimate of x from the blurred row z, the condition c, its smoothed c S and t.

    With E the items' vectors: [z E / n, c E / max(|c|_1, 1), time] are mixed for each of
    the d coordinates, the result is taken back to items by E^T, and
    [that, c, c S, time] are mixed for each item.

    Parameters
    ----------
    items : int
        Number of items n.
    dimensions : int
        Length d of an item's vector.
    """

    def __init__(self, items: int, dimensions: int) -> None:
        super().__init__()
        self.items = items
        self.vectors = nn.Parameter(glorot(items, dimensions))
        self.coordinate_time, self.item_time = TimeFeature(), TimeFeature()
        self.coordinates, self.entries = Mixer(3), Mixer(4)

    def forward(
        self, blurred: torch.Tensor, shown: SparseRows, smoothed: torch.Tensor, times: torch.Tensor
    ) -> torch.Tensor:
        """Return x_hat, shape (b, n).

        Parameters
        ----------
        blurred : tensor, shape (b, d)
            z E.
        shown : SparseRows, shape (b, n)
            c, without negative entries.
        smoothed : tensor, shape (b, n)
            c S.
        times : tensor, shape (b,)
            t.
        """
        condition = (shown @ self.vectors) / shown.sums().clamp(min=1.0)[:, None]
        mixed = self.coordinates([blurred / self.items, condition, self.coordinate_time(times)])
        return self.entries([mixed @ self.vectors.T, shown.dense(), smoothed, self.item_time(times)])


# ------------------------------------------------------------------------------ model


class GiffCF(Trained):
    """The denoiser is trained by the squared error of x_hat, for random t and random halves of x."""

    state_names = ("root", "low")
    _start: np.ndarray | None = None
    _smoothed: torch.Tensor | None = None  # x S of all users, while it is fitted

    def prepare(self, task: Task, run: Run) -> None:
        """Keep R, scaled so that R^T R has the largest eigenvalue 1, V if it counts, and the start."""
        p = self.params
        spectrum = task.spectrum(f"item-similarity-u{p.user_exponent}", p.rank)
        root = tempered(task.train.matrix, p.user_exponent)
        self.root = (root / math.sqrt(spectrum.values[0])).astype(np.float32)
        self.low = spectrum.vectors if p.ideal_weight else spectrum.vectors[:, :0]
        self._start = START_SCALE * spectrum.vectors[:, : p.dimensions] if p.start == "spectrum" else None

    def build(self) -> Denoiser:
        """Return the denoiser; make the smoother."""
        p = self.params
        formed = prefers_formed(self.root.shape, self.root.nnz, 1, p.memory_gb)
        self.smooth = Smoother(self.root, self.low, p.ideal_weight, formed, self.device)
        denoiser = Denoiser(int(self.shape[1]), p.dimensions)
        if self._start is not None:
            denoiser.vectors.data[:, : self._start.shape[1]] = torch.as_tensor(self._start)
        return denoiser

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Train the denoiser."""
        try:
            return super().fit(task, run)
        finally:
            self._smoothed = None

    def batches(self, task: Task) -> UserRows:
        """Return users' rows; smooth all of them once, where there is room."""
        served = UserRows(task.train, self.params.batch_size, str(self.device))
        if 4 * task.train.n_users * task.train.n_items <= KEPT_BYTES:
            parts = torch.arange(task.train.n_users, device=self.device).split(PART)
            rows = (SparseRows.of(served.rows(part), task.train.n_items) for part in parts)
            self._smoothed = torch.cat([self.smooth.of_rows(part) for part in rows])
        return served

    def _smoothed_rows(self, batch: RowBatch, rows: SparseRows) -> torch.Tensor:
        return self.smooth.of_rows(rows) if self._smoothed is None else self._smoothed[batch.users]

    def loss(self, batch: RowBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the squared errors of x_hat, summed over items, at one random time for each user."""
        p, net = self.params, self.module
        rows = SparseRows.of(batch, net.items)
        clean, shown = rows.dense(), rows.dropped(p.dropout, generator)
        times = torch.randint(1, p.steps + 1, (len(clean),), generator=generator, device=self.device)
        share = p.alpha * times[:, None] / p.steps
        blurred = torch.lerp(clean, self._smoothed_rows(batch, rows), share) @ net.vectors
        estimate = net(blurred, shown, self.smooth.of_rows(shown), times)
        return (estimate - clean).square().sum() / len(clean)

    def refresh(self) -> None:
        """Smooth the items' vectors: (y S) E = y (S E) spares the product with S."""
        self._blurred = self.smooth(self.module.vectors.T).T

    @torch.no_grad()
    def score(self, users: np.ndarray, history: History) -> np.ndarray:
        """Return z_0.

        Every z_t is P + Q S for two blocks of rows that follow from the x_hat alone, and
        the denoiser sees z_t E = P E + Q (S E) only: one product with S, for z_0, is enough.
        """
        p, net = self.params, self.module
        rows = SparseRows.from_matrix(history.matrix, self.device)
        clean, smoothed = rows.dense(), self.smooth.of_rows(rows)
        share = p.alpha / p.steps
        plain, blurred = (1.0 - share * p.steps) * clean, share * p.steps * clean
        for step in range(p.steps, 0, -1):
            seen = plain @ net.vectors + blurred @ self._blurred
            times = torch.full((len(clean),), step, device=self.device)
            estimate = net(seen, rows, smoothed, times)
            now, then = share * step, share * (step - 1)
            plain = (1.0 - then - p.noise_decay * (1.0 - now)) * estimate + p.noise_decay * plain
            blurred = (then - p.noise_decay * now) * estimate + p.noise_decay * blurred
        return (plain + self.smooth(blurred)).cpu().numpy()
