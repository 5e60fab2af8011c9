"""CODIGEM: a diffusion generative model of users' rows (Walker et al., KSEM 2022).

Rows get noise, z_1 = sqrt(1 - beta) x + sqrt(beta) e, and so on up to z_T; networks learn the
way back from z_T to z_1, and a decoder the one from z_1 to x. Noise has no parameters, the
decoder shares none with the networks of the way back, and what is ranked is the decoder's
output for z_1, made from the history. So those networks have no influence on any ranking,
and they are not built here: what is left is a denoising autoencoder.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from recspectra.layers.autoencoder import Autoencoder
from recspectra.models.sdiff import counter_normal
from recspectra.recommender import History, Run, Task
from recspectra.runtime import axis_seed
from recspectra.training.batches import RowBatch
from recspectra.training.losses import squared_tanh
from recspectra.training.rows import SparseRows


class Decoder(nn.Module):
    """An MLP from z_1 to x: PReLU after each hidden layer; the tanh after the last is not in it.

    Parameters
    ----------
    items : int
        Number of items n.
    hidden : int
        Units of a hidden layer.
    layers : int
        Number of hidden layers.
    """

    def __init__(self, items: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.first = nn.Linear(items, hidden)
        self.middle = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(layers - 1)])
        self.activations = nn.ModuleList([nn.PReLU() for _ in range(layers)])
        self.last = nn.Linear(hidden, items)

    def forward(self, first: torch.Tensor) -> torch.Tensor:
        """Return the last hidden layer, given the first before its activation."""
        state = self.activations[0](first)
        for layer, activation in zip(self.middle, self.activations[1:], strict=True):
            state = activation(layer(state))
        return state


class CODIGEM(Autoencoder):
    """x_hat = tanh(decoder(z_1)), loss sum_i (x_hat_i - x_i)^2 / 2; ranked by z_1 = sqrt(1 - beta) x.

    Scores are those before the tanh, which changes no order.
    """

    optimiser = "adamax"
    state_names = ("noise_seed",)

    def prepare(self, task: Task, run: Run) -> None:
        """Fix the noise that scoring may use."""
        self.noise_seed = np.int64(axis_seed(run.seed, "scoring"))

    def build(self) -> Decoder:
        """Return the decoder; torch's own start."""
        return Decoder(int(self.shape[1]), self.params.hidden, self.params.layers)

    def refresh(self) -> None:
        """Keep the first layer the way that sparse rows take it."""
        self._first = self.module.first.weight.T.contiguous()

    def loss(self, batch: RowBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the mean of half the squared errors, given noisy rows."""
        net, rows = self.module, SparseRows.of(batch, int(self.shape[1]))
        noisy = torch.randn(len(rows), rows.width, generator=generator, device=self.device)
        noisy.mul_(self.params.beta**0.5)
        noisy[rows.owners, rows.columns] += (1.0 - self.params.beta) ** 0.5 * rows.values
        return squared_tanh(net(net.first(noisy)), net.last.weight, net.last.bias, rows)

    def represent(self, users: np.ndarray, history: History) -> torch.Tensor:
        """Return the last hidden layer for z_1, the mean one or, by choice, a noisy one."""
        rows = SparseRows.from_matrix(history.matrix, self.device)
        first = (rows @ self._first) * (1.0 - self.params.beta) ** 0.5 + self.module.first.bias
        if self.params.evaluation_noise:
            noise = counter_normal(int(self.noise_seed), 1, users, rows.width)
            first = first + self.params.beta**0.5 * torch.as_tensor(noise, device=self.device) @ self._first
        return self.module(first)
