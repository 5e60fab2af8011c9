"""Random views of what is learned on: thinned graphs, drawn anew for each epoch, and dropout."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from recspectra.data.interactions import Interactions
from recspectra.layers.graph import SparseMatrix


def dropped(block: torch.Tensor, rate: float, generator: torch.Generator) -> torch.Tensor:
    """Return the block with entries set to 0 at the rate, the others divided by 1 - rate."""
    if rate == 0.0:
        return block
    draws = torch.rand(block.shape, generator=generator, device=block.device)
    return block * (draws >= rate) / (1.0 - rate)


class Thinner:
    """Normalised bipartite graphs of random subsets of the interactions.

    Edges are kept in the order of users and in that of items, so that a subset becomes a
    CSR matrix without sorting.

    Parameters
    ----------
    train : Interactions
        All edges.
    kind : {"edges", "nodes", "walk"}
        A share of the edges is left out; all edges of a share of the users and of a share
        of the items; a share of the edges, another one in each layer.
    ratio : float
        That share.
    layers : int
        Number of layers that a view is for.
    device : str or torch.device
        Where views live.
    """

    def __init__(
        self, train: Interactions, kind: str, ratio: float, layers: int, device: str | torch.device = "cpu"
    ) -> None:
        matrix = train.matrix
        self.shape, self.kind, self.ratio, self.layers, self.device = train.shape, kind, ratio, layers, device
        self.users = np.repeat(np.arange(train.n_users, dtype=np.int32), np.diff(matrix.indptr))
        self.items = matrix.indices.astype(np.int32)
        self.by_item = np.argsort(self.items, kind="stable")

    def __call__(self, generator: torch.Generator) -> list[SparseMatrix]:
        """Return the graph of each layer of a view, drawn from `generator` (a CPU generator)."""
        if self.kind == "walk":
            return [self._draw(generator) for _ in range(self.layers)]
        return [self._draw(generator)] * self.layers

    def _draw(self, generator: torch.Generator) -> SparseMatrix:
        return SparseMatrix(self.graph(self.keep(generator)), self.device, symmetric=True)

    def keep(self, generator: torch.Generator) -> np.ndarray:
        """Return which edges stay, bool, shape (nnz,), in the order of users."""
        if self.kind != "nodes":
            return _some(len(self.users), self.ratio, generator)
        users, items = (_some(size, self.ratio, generator) for size in self.shape)
        return users[self.users] & items[self.items]

    def graph(self, keep: np.ndarray) -> sp.csr_array:
        """Return D^-1/2 A D^-1/2 of the edges that stay, degrees being those of A, float32."""
        m, n = self.shape
        users, items = self.users[keep], self.items[keep]
        d_user, d_item = np.bincount(users, minlength=m), np.bincount(items, minlength=n)
        weights = np.zeros(len(keep), dtype=np.float32)
        weights[keep] = 1.0 / np.sqrt(d_user[users] * d_item[items].astype(np.float64))
        back = self.by_item[keep[self.by_item]]
        indptr = np.concatenate([[0], np.cumsum(np.concatenate([d_user, d_item]))])
        indices = np.concatenate([items + np.int32(m), self.users[back]])
        data = np.concatenate([weights[keep], weights[back]])
        return sp.csr_array((data, indices, indptr), shape=(m + n, m + n))


def _some(count: int, ratio: float, generator: torch.Generator) -> np.ndarray:
    """Return a mask that leaves out `ratio * count` places, rounded down."""
    keep = np.ones(count, dtype=bool)
    keep[torch.randperm(count, generator=generator)[: int(ratio * count)].numpy()] = False
    return keep
