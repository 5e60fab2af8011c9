"""NGCF: graph convolution with feature transforms and interaction terms (Wang et al., SIGIR 2019)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn.functional import leaky_relu, normalize

from recspectra.data.interactions import Interactions
from recspectra.layers.graph import SparseMatrix, bipartite
from recspectra.layers.trained import Tables
from recspectra.models.mf import MF, pair_loss
from recspectra.recommender import Run, Task
from recspectra.training.sampling import PairBatch
from recspectra.training.views import dropped

SLOPE = 0.2  # of LeakyReLU


class Convolutions(nn.Module):
    """Free vectors and, for each layer, the transforms W_1 and W_2 with their biases."""

    def __init__(self, tables: Tables, layers: int) -> None:
        super().__init__()
        size = tables.weight.shape[1]
        self.tables = tables
        self.sums, self.products = (nn.ModuleList(map(_linear, [size] * layers)) for _ in range(2))


def _linear(size: int) -> nn.Linear:
    layer = nn.Linear(size, size)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class NGCF(MF):
    """e' = LeakyReLU(s W_1 + b_1) + LeakyReLU((t * e) W_2 + b_2) with neighbourhood sums s and t.

    Final vectors are [E^0, e^1/|e^1|, ..., e^K/|e^K|]; what goes on to the next layer is
    not normalised. s = A_hat e + e and t = A_hat e with `propagation: paper`; the other
    readings take s = t = A e with another matrix A, see `adjacency`. With `activation: once`
    LeakyReLU is taken of the sum of both transforms.
    """

    def prepare(self, task: Task, run: Run) -> None:
        """Put the adjacency on the device."""
        kind = self.params.propagation
        graph = task.shared(("ngcf", kind), lambda: adjacency(task.train, kind))
        self.graph = SparseMatrix(graph, self.device, symmetric=kind == "paper")

    def build(self) -> Convolutions:
        """Return the free vectors and the transforms."""
        return Convolutions(super().build(), self.params.layers)

    def vectors(self, generator: torch.Generator | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all layers side by side; with a generator, messages are dropped at random."""
        layer = self.module.tables.weight
        found = [layer]
        for linear, product in zip(self.module.sums, self.module.products, strict=True):
            message = self.graph @ layer
            total = message + layer if self.params.propagation == "paper" else message
            parts = linear(total), product(message * layer)
            once = self.params.activation == "once"
            layer = leaky_relu(sum(parts), SLOPE) if once else sum(leaky_relu(x, SLOPE) for x in parts)
            if generator is not None:
                layer = dropped(layer, self.params.dropout, generator)
            found.append(normalize(layer, dim=1))
        return self.module.tables.split(torch.cat(found, dim=1))

    def loss(self, batch: PairBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of the batch, with L2 on the final vectors that are in it."""
        final = self.vectors(generator)
        return pair_loss(*final, *final, batch, self.params)


def adjacency(train: Interactions, kind: str) -> sp.csr_array:
    """Return the matrix that sums over neighbours, shape (m + n, m + n).

    Parameters
    ----------
    train : Interactions
        The edges of A.
    kind : {"paper", "mean-loops", "mean-plus-identity"}
        D^-1/2 A D^-1/2; rows of A + I divided by their sums (the code's default); rows of
        A divided by their sums, plus I (the default according to its readme).
    """
    if kind == "paper":
        return bipartite(train)
    x, size = train.matrix, sum(train.shape)
    graph = sp.csr_array(sp.block_array([[None, x], [x.T, None]]))
    if kind == "mean-loops":
        graph = sp.csr_array(graph + sp.eye_array(size))
    scaled = sp.diags_array(1.0 / np.maximum(graph.sum(axis=1), 1.0)) @ graph
    if kind == "mean-plus-identity":
        scaled = scaled + sp.eye_array(size)
    return sp.csr_array(scaled).astype(np.float32)
