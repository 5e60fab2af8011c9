"""DGRec: graph convolution over diverse neighbours, with attention over layers (Yang et al., WSDM 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from recspectra.layers.graph import SparseMatrix, bipartite
from recspectra.layers.neighbours import padded
from recspectra.layers.trained import Tables
from recspectra.models.mf import MF, pair_loss
from recspectra.models.sgl import Profiled
from recspectra.recommender import History, Run, Task
from recspectra.training.loop import Batches
from recspectra.training.sampling import PairBatch

PAIRS = 8_000_000  # of neighbours of the same user, looked at together: 32 MB a table


class Attentive(nn.Module):
    """Free vectors, the vector that weighs layers, and which neighbours users listen to.

    Parameters
    ----------
    tables : Tables
        Free vectors.
    edges : int
        Interactions of the graph; all are selected at the start.
    """

    def __init__(self, tables: Tables, edges: int) -> None:
        super().__init__()
        self.tables = tables
        self.attention = nn.Parameter(torch.zeros(tables.weight.shape[1]))
        self.register_buffer("selected", torch.ones(edges, dtype=torch.bool))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))


class DGRec(Profiled):
    """Items sum over all their users, users over at most k items that cover their history.

    Messages are divided by the roots of both full degrees. A node's final vector is the
    sum over layers of softmax_l(<a, e^l>) e^l. BPR with L2 on E^0.

    Attributes
    ----------
    skipped : CSR float32, shape (m, n)
        Training interactions that their users do not listen to.
    attention : float32 array, shape (d,)
        a.
    """

    state_names = (*Profiled.state_names, "skipped", "attention")

    def prepare(self, task: Task, run: Run) -> None:
        """Keep the graph whose rows of users are thinned, and the interactions."""
        super().prepare(task, run)
        self.whole = task.shared("bipartite", lambda: bipartite(task.train))
        self.seen = task.train.matrix
        self._cut_for: torch.Tensor | None = None

    def build(self) -> Attentive:
        """Return the free vectors, the attention and the selection."""
        return Attentive(super().build(), self.seen.nnz)

    def batches(self, task: Task) -> Batches:
        """Return sampled pairs; neighbours are selected before every few epochs."""
        return partial(self._epoch, MF.batches(self, task))

    def _epoch(self, pairs: Batches, generator: torch.Generator) -> Iterator[PairBatch]:
        module, p = self.module, self.params
        if p.selection == "submodular" and int(module.epoch) % p.refresh_every == 0:
            items = module.tables.split()[1].detach().cpu()
            found = diverse(items, self.seen, p.neighbours, p.sigma, p.kernel)
            module.selected.copy_(torch.from_numpy(found))
        module.epoch += 1
        self._cut()
        yield from pairs(generator)

    def _cut(self) -> None:
        """Take the edges that are not selected out of the rows of users."""
        selected = self.module.selected
        if self._cut_for is not None and torch.equal(selected, self._cut_for):
            return
        keep, graph = selected.cpu().numpy(), self.whole.copy()
        graph.data[: len(keep)] *= keep  # rows of users come first, items in order
        graph.eliminate_zeros()
        self.graph = SparseMatrix(graph, self.device)
        self._cut_for = selected.clone()

    def refresh(self) -> None:
        """Keep what scoring needs; the selection may be that of another epoch."""
        self._cut()
        super().refresh()
        skipped = self.seen.copy()
        skipped.data[self.module.selected.cpu().numpy()] = 0.0
        skipped.eliminate_zeros()
        self.skipped, self.attention = skipped, self.module.attention.detach().cpu().numpy()

    def free(self) -> torch.Tensor:
        """Return E^0."""
        return self.module.tables.weight

    def combine(self, layers: list[torch.Tensor]) -> torch.Tensor:
        """Return the layers of some nodes, weighted by attention."""
        return attended(layers, self.module.attention)

    def combine_fitted(self, layers: list[torch.Tensor]) -> torch.Tensor:
        """Return the same with the attention that was kept."""
        return attended(layers, torch.as_tensor(self.attention))

    def neighbours(self, users: np.ndarray, history: History) -> sp.csr_array:
        """Return |h|^-1/2 at each item of h, without what training skips."""
        rows = super().neighbours(users, history)
        return sp.csr_array(rows - rows.multiply(self.skipped[users]))

    def loss(self, batch: PairBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of the batch, with L2 on the free vectors that are in it."""
        return pair_loss(*self.vectors(), *self.module.tables.split(), batch, self.params)


def attended(layers: list[torch.Tensor], vector: torch.Tensor) -> torch.Tensor:
    """Return the sum over l of softmax_l(<a, e^l>) e^l of some nodes, shape (r, d)."""
    stacked = torch.stack(layers)
    return ((stacked @ vector).softmax(dim=0)[:, :, None] * stacked).sum(dim=0)


def diverse(vectors: torch.Tensor, seen: sp.csr_array, count: int, sigma: float, kernel: str) -> np.ndarray:
    """Return which interactions are in their user's facility-location subset.

    Of a user with more than `count` items, those are taken one after the other that
    increase sum over j of max over chosen i of sim_ij most; other users keep all.

    Parameters
    ----------
    vectors : tensor, shape (n, d)
        Item vectors, on a CPU.
    seen : CSR, shape (m, n)
        Users' items.
    count : int
        k.
    sigma, kernel
        See `similarities`.

    Returns
    -------
    bool array, shape (nnz,)
        In the order of `seen.indices`.
    """
    chosen, lengths = np.ones(seen.nnz, dtype=bool), np.diff(seen.indptr)
    order, done = np.argsort(-lengths, kind="stable"), 0
    order = order[lengths[order] > count]
    while done < len(order):
        width = int(lengths[order[done]])
        users = order[done : done + max(1, PAIRS // width**2)]
        items = torch.from_numpy(padded(seen.indices.astype(np.int64), seen.indptr, users, 0, width))
        inside = torch.arange(width) < torch.as_tensor(lengths[users])[:, None]
        picked = cover(similarities(vectors[items], inside, sigma, kernel), inside, count)
        places = seen.indptr[users][:, None] + np.arange(width)
        chosen[places[inside.numpy()]] = picked[inside].numpy()
        done += len(users)
    return chosen


def similarities(points: torch.Tensor, inside: torch.Tensor, sigma: float, kernel: str) -> torch.Tensor:
    """Return exp(-x) with x = |h_i - h_j| / (sigma times its mean over a user's pairs).

    Parameters
    ----------
    points : tensor, shape (b, w, d)
        Vectors h of each user's items.
    inside : bool tensor, shape (b, w)
        Which places hold an item; similarities with others are 0.
    sigma : float
        Width.
    kernel : {"laplace", "gaussian"}
        `gaussian` takes x^2 / 2 for x.
    """
    pairs = inside[:, :, None] & inside[:, None, :]
    distances = torch.cdist(points, points).mul_(pairs)
    distances.diagonal(dim1=1, dim2=2).zero_()
    mean = distances.sum(dim=(1, 2)) / inside.sum(dim=1) ** 2
    x = distances / (sigma * mean).clamp(min=1e-12)[:, None, None]
    return torch.exp(-(x**2 / 2 if kernel == "gaussian" else x)).mul_(pairs)


def cover(similar: torch.Tensor, inside: torch.Tensor, count: int) -> torch.Tensor:
    """Return `count` places of each row chosen greedily, bool, shape (b, w)."""
    rows, chosen = torch.arange(len(similar)), torch.zeros_like(inside)
    reached = torch.zeros(inside.shape)
    for _ in range(count):
        gains = torch.maximum(similar, reached[:, None]).sum(dim=2)  # up to the same constant for all
        best = gains.masked_fill_(chosen | ~inside, -1.0).argmax(dim=1)
        chosen[rows, best] = True
        reached = torch.maximum(reached, similar[rows, best])
    return chosen
