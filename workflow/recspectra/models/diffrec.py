"""DiffRec: diffusion on users' rows (Wang et al., SIGIR 2023).

Forward, x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) e with standard normal e, for t = 1..T;
the noise variance 1 - abar_t grows linearly from s low to s high. A network estimates x_0
from x_t and t. Backward, from x_T = x_0 itself and without noise,

    x_(t-1) = a_t x_hat(x_t, t) + b_t x_t,
    a_t = sqrt(abar_(t-1)) beta_t / (1 - abar_t),  b_t = sqrt(alpha_t) (1 - abar_(t-1)) / (1 - abar_t)

so that x_hat(x_1, 1) are the scores. In the code, times count from 0.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from recspectra.data.interactions import latest_places
from recspectra.layers.trained import Trained, given
from recspectra.recommender import History, Refused, Run, Task
from recspectra.spectral.places import Array
from recspectra.training.batches import RowBatch, UserRows
from recspectra.training.importance import TimeSampler
from recspectra.training.rows import SparseRows

LARGEST_BETA = 0.999
FIRST_BETA = 1e-5  # the authors put it in the place of beta_1
PERIOD = 1e4  # of the slowest wave of a time code


# ---------------------------------------------------------------------------- schedule


def signal_shares(steps: int, scale: float, low: float, high: float) -> np.ndarray:
    """Return abar_t, float64, shape (T,)."""
    wanted = 1.0 - np.linspace(scale * low, scale * high, steps)
    betas = np.minimum(1.0 - wanted[1:] / wanted[:-1], LARGEST_BETA)
    return np.cumprod(1.0 - np.concatenate([[FIRST_BETA], betas]))


def posterior(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a_t and b_t, the weights of x_hat and x_t in the mean of x_(t-1)."""
    before = np.concatenate([[1.0], shares[:-1]])
    alphas = shares / before
    return (
        np.sqrt(before) * (1.0 - alphas) / (1.0 - shares),
        np.sqrt(alphas) * (1.0 - before) / (1.0 - shares),
    )


def loss_weights(shares: np.ndarray) -> np.ndarray:
    """Return SNR_(t-1) - SNR_t with SNR_t = abar_t / (1 - abar_t), and 1 for the first time."""
    ratios = shares / (1.0 - shares)
    return np.concatenate([[1.0], ratios[:-1] - ratios[1:]])


def time_code(times: torch.Tensor, size: int) -> torch.Tensor:
    """Return cosines, then sines, of times at rates from 1 down to nearly 1 / PERIOD, shape (b, size)."""
    half = size // 2
    rates = torch.exp(-math.log(PERIOD) * torch.arange(half, device=times.device) / half)
    angles = times[:, None].to(torch.float32) * rates[None, :]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)


# ----------------------------------------------------------------------------- network


class Network(nn.Module):
    """An MLP from (x_t, t) to an estimate of x_0: tanh between its layers, a linear last one.

    Parameters
    ----------
    items : int
        Number of items n.
    widths : list of int
        Widths of the hidden layers.
    code : int
        Size of the time code.
    sampler : TimeSampler
        Kept here for its buffers.

    Notes
    -----
    The first layer acts on x_t and the time code side by side; its two parts are kept apart.
    """

    def __init__(self, items: int, widths: list[int], code: int, sampler: TimeSampler) -> None:
        super().__init__()
        self.sampler = sampler
        self.code = _layer(code, code)
        self.first = _layer(items, widths[0], fan_in=items + code)
        self.first_code = _layer(code, widths[0], fan_in=items + code, bias=False)
        pairs = zip(widths[:-1], widths[1:], strict=True)
        self.middle = nn.ModuleList([_layer(a, b) for a, b in pairs])
        self.last = _layer(widths[-1], items)

    def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Return the estimate of x_0, shape (b, n)."""
        return self.last(self.hidden(self.first(x) + self.moment(times)))

    def moment(self, times: torch.Tensor) -> torch.Tensor:
        """Return what times add to the first layer, shape (b, widths[0])."""
        return self.first_code(self.code(time_code(times, self.code.in_features)))

    def hidden(self, first: torch.Tensor) -> torch.Tensor:
        """Return the last hidden layer, given the first before its tanh."""
        state = torch.tanh(first)
        for layer in self.middle:
            state = torch.tanh(layer(state))
        return state


def _layer(inputs: int, outputs: int, fan_in: int = 0, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, std=math.sqrt(2.0 / ((fan_in or inputs) + outputs)))
    if bias:
        nn.init.normal_(layer.bias, std=1e-3)
    return layer


def hidden_widths(dims: str) -> list[int]:
    """Return the widths of the hidden layers: "200-600" means 600, 200, 600, and "1000" just 1000."""
    decoder = [int(width) for width in dims.split("-")]
    return [*decoder[::-1], *decoder[1:]]


# ------------------------------------------------------------------------------ model


class DiffRec(Trained):
    """x_hat trained by w_t mean (x_0 - x_hat)^2 over random t; scores as in the module's text."""

    def prepare(self, task: Task, run: Run) -> None:
        """Refuse weights by time where the rows have no order, and variances that fall."""
        if self.params.weights == "time" and not task.ordered:
            raise Refused("weights: time needs interactions in order; this data set has none")
        if self.params.low > self.params.high:
            raise Refused(f"low {self.params.low} exceeds high {self.params.high}: the noise must not shrink")

    def build(self) -> Network:
        """Return the network; fix the schedule."""
        p = self.params
        shares = signal_shares(p.steps, p.scale, p.low, p.high)
        self.posterior = posterior(shares)
        self._signal = self._tensor(np.sqrt(shares))
        self._noise = self._tensor(np.sqrt(1.0 - shares))
        self._weight = self._tensor(loss_weights(shares) if p.reweight else np.ones(p.steps))
        sampler = TimeSampler(p.steps, p.sampling)
        return Network(int(self.shape[1]), hidden_widths(p.dims), p.time_dimensions, sampler)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=self.device)

    def batches(self, task: Task) -> UserRows:
        """Return users' rows."""
        return UserRows(task.train, self.params.batch_size, str(self.device))

    def loss(self, batch: RowBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the weighted squared errors at one random time for each user, made unbiased."""
        clean = self._weighted(SparseRows.of(batch, int(self.shape[1]))).dense()
        times, odds = self.module.sampler.draw(len(clean), generator)
        noisy = self._corrupted(clean, times, generator)
        errors = (self.module(noisy, times) - clean).square().mean(dim=1) * self._weight[times]
        self.module.sampler.record(times, errors.detach())
        return (errors / odds).mean()

    def _weighted(self, rows: SparseRows) -> SparseRows:
        """Return x_0 of binary rows whose entries are in order, oldest first."""
        if self.params.weights == "none":
            return rows
        return replace(rows, values=rising(rows.lengths, self.params.oldest_weight))

    def _corrupted(
        self, clean: torch.Tensor, times: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Return x_t after dropout."""
        dropout = self.params.dropout
        noisy = torch.randn(clean.shape, generator=generator, device=self.device)
        noisy.mul_(self._noise[times][:, None]).addcmul_(clean, self._signal[times][:, None])
        if dropout:
            keep = torch.rand(clean.shape, generator=generator, device=self.device) >= dropout
            noisy.mul_(keep).mul_(1.0 / (1.0 - dropout))
        return noisy

    def refresh(self) -> None:
        """Fold the last layer and the first into one small matrix.

        Between two passes x_t is only seen through the first layer. So with F and L the
        weights of the first and the last, the way from the last hidden layer u of a pass
        to the next one's first is u L F instead of (u L) F: no row of n numbers is formed.
        """
        net, p = self.module, self.params
        self._first = net.first.weight.T.contiguous()
        self._fold = net.last.weight.T @ self._first
        self._fold_bias = net.last.bias @ self._first
        self._moments = net.moment(torch.arange(p.steps, device=self.device)) + net.first.bias

    @torch.no_grad()
    def score(self, users: np.ndarray, history: History) -> Array:
        """Return x_hat of the last backward step, from x_T = the history."""
        net = self.module
        columns, indptr = (torch.as_tensor(a, device=self.device) for a in latest_items(history))
        ones = torch.ones(len(columns), device=self.device)
        rows = SparseRows(columns.int(), indptr.int(), ones, int(self.shape[1]))
        x = self._weighted(rows) @ self._first
        for step in range(self.params.steps - 1, 0, -1):
            a, b = (float(weights[step]) for weights in self.posterior)
            estimate = net.hidden(x + self._moments[step]) @ self._fold + self._fold_bias
            x = a * estimate + b * x
        return given(net.last(net.hidden(x + self._moments[0])))


def latest_items(history: History) -> tuple[np.ndarray, np.ndarray]:
    """Return the items of histories and where the rows start; of repeats the latest stays, as in training."""
    rows = np.repeat(np.arange(len(history.indptr) - 1), np.diff(history.indptr))
    kept = latest_places(rows, history.items, history.matrix.shape[1])
    return history.items[kept], np.concatenate([[0], np.cumsum(np.diff(history.matrix.indptr))])


def rising(lengths: torch.Tensor, oldest: float) -> torch.Tensor:
    """Return weights of rows' entries that rise evenly from `oldest` to 1, row after row (T-DiffRec).

    The only entry of a row gets `oldest`.
    """
    starts = torch.cumsum(lengths, 0) - lengths
    place = torch.arange(int(lengths.sum()), device=lengths.device) - torch.repeat_interleave(starts, lengths)
    last = torch.repeat_interleave((lengths - 1).clamp(min=1), lengths)
    return oldest + (1.0 - oldest) * place / last
