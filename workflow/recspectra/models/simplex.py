"""SimpleX and MF-CCL: users as they and their items are, cosine contrast (Mao et al., CIKM 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn.functional import normalize

from recspectra.data.interactions import Interactions
from recspectra.layers.graph import SparseMatrix
from recspectra.layers.trained import Tables, Trained, given
from recspectra.recommender import History, Run, Task
from recspectra.spectral.operators import power
from recspectra.spectral.places import Array
from recspectra.training.batches import UserRows
from recspectra.training.losses import cosine_contrastive, half_squares
from recspectra.training.views import dropped


@dataclass(frozen=True)
class SharedBatch:
    """Observed pairs and one set of negatives for all of them.

    What a negative costs depends on the user alone, so it is counted once for each of the
    distinct users, times how often that user comes.

    Attributes
    ----------
    users, items : int64 tensors, shape (b,)
        Observed pairs.
    distinct : int64 tensor, shape (r,)
        The users, each once.
    place : int64 tensor, shape (b,)
        Where each pair's user stands in `distinct`.
    negatives : int64 tensor, shape (k,)
        Distinct items.
    shares : float32 tensor, shape (r, k)
        What a user and a negative count: pairs of the user / b, spread evenly over the
        negatives that count. They sum to 1, less what users without such negatives have.
    """

    users: torch.Tensor
    items: torch.Tensor
    distinct: torch.Tensor
    place: torch.Tensor
    negatives: torch.Tensor
    shares: torch.Tensor


class SharedNegatives:
    """Shuffled batches of all observed pairs; the negatives of a batch are shared by its pairs.

    Scores of users with shared negatives are a product of two matrices, which takes a
    fraction of the time of gathering other negatives for each pair.

    Parameters
    ----------
    train : Interactions
        The observed pairs.
    batch_size, negatives : int
        Pairs, and items, of a batch.
    rejected : bool
        Whether negatives that a user has in `train` do not count for that user.
    device : str
        Where the index arrays live.
    """

    def __init__(
        self, train: Interactions, batch_size: int, negatives: int, rejected: bool, device: str
    ) -> None:
        self.users = torch.as_tensor(train.distinct.users, device=device)
        self.rows = UserRows(train, batch_size, device)
        self.n_items, self.rejected = train.n_items, rejected
        self.batch_size, self.negatives = batch_size, min(negatives, train.n_items)

    def __call__(self, generator: torch.Generator) -> Iterator[SharedBatch]:
        """Yield the batches of one epoch; all draws come from `generator` (a CPU generator)."""
        device = self.users.device
        order = torch.randperm(len(self.users), generator=generator).to(device)
        for part in order.split(self.batch_size):
            negatives = torch.randperm(self.n_items, generator=generator)[: self.negatives].to(device)
            users = self.users[part]
            distinct, place, counts = torch.unique(users, return_inverse=True, return_counts=True)
            counted = self.counted(distinct, negatives)
            shares = counted * (counts / len(part) / counted.sum(dim=1).clamp(min=1.0))[:, None]
            yield SharedBatch(users, self.rows.items[part], distinct, place, negatives, shares)

    def counted(self, users: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
        """Return 1 where a negative counts for a user and 0 elsewhere, shape (users, negatives)."""
        counted = torch.ones(len(users), len(negatives), device=users.device)
        if not self.rejected:
            return counted
        column = torch.full((self.n_items,), -1, device=users.device)
        column[negatives] = torch.arange(len(negatives), device=users.device)
        batch = self.rows.rows(users)
        row = torch.arange(len(users), device=users.device).repeat_interleave(batch.lengths)
        found = column[batch.items]
        counted[row[found >= 0], found[found >= 0]] = 0.0
        return counted


class Aggregator(nn.Module):
    """Free vectors of users and items, the map V of the history, and biases."""

    def __init__(self, tables: Tables, items: int) -> None:
        super().__init__()
        self.tables = tables
        self.history = nn.Linear(tables.weight.shape[1], tables.weight.shape[1], bias=False)
        nn.init.xavier_uniform_(self.history.weight)
        self.bias, self.user_bias = nn.Parameter(torch.zeros(items)), nn.Parameter(torch.zeros(tables.users))
        self.global_bias = nn.Parameter(torch.zeros(()))


class SimpleX(Trained):
    """s_ui = cos(gamma e_u + (1 - gamma) V mean of e_j over the history, e_i), plus a bias b_i if wanted.

    Learned by the cosine contrastive loss. With gamma = 1 it is MF-CCL. Biases of users and of all
    pairs (`training_bias`) move scores against the margin while it learns and change no ranking.
    """

    needs_known_users = True

    def prepare(self, task: Task, run: Run) -> None:
        """Put the matrix that averages over histories on the device."""
        if self.params.gamma < 1.0:
            self.mean = SparseMatrix(averaging(task.train.matrix), self.device)
            self.lengths = torch.as_tensor(np.diff(task.train.matrix.indptr), device=self.device)

    def build(self) -> Aggregator:
        """Return the free vectors and the map."""
        m, n = map(int, self.shape)
        return Aggregator(Tables(m, n, self.params.dimensions, self.params.init_std), n)

    def batches(self, task: Task) -> SharedNegatives:
        """Return pairs with shared negatives."""
        p = self.params
        return SharedNegatives(task.train, p.batch_size, p.negatives, p.rejected, str(self.device))

    def loss(self, batch: SharedBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the cosine contrastive loss, with L2 on the free vectors in the batch."""
        p, m = self.params, self.module
        free_users, free_items = m.tables.split()
        apart = p.own_item == "removed" and p.gamma < 1.0  # then each pair has another user vector
        means = None if p.gamma == 1.0 else self._means(free_items, batch, apart)
        found = self.fuse(free_users.index_select(0, batch.users if apart else batch.distinct), means)
        found = self._directions(found, generator)
        picked = free_items.index_select(0, batch.items)
        targets, others = normalize(picked, dim=1), normalize(free_items[batch.negatives], dim=1)
        positive = ((found if apart else found.index_select(0, batch.place)) * targets).sum(dim=1)
        negative, shares = found @ others.T, batch.shares
        if apart:
            pairs = torch.bincount(batch.place, minlength=len(batch.distinct))
            shares = (shares / pairs[:, None])[batch.place]
        if p.item_bias:
            positive, negative = positive + m.bias[batch.items], negative + m.bias[batch.negatives]
        if p.training_bias:
            shift = m.user_bias + m.global_bias
            positive = positive + shift[batch.users]
            negative = negative + shift[batch.users if apart else batch.distinct][:, None]
        squares = half_squares(free_users.index_select(0, batch.users), picked)
        return (
            cosine_contrastive(positive, negative, shares, p.margin, p.negative_weight)
            + p.regularization * squares
        )

    def _directions(self, users: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return users' vectors at length 1, some entries dropped before or after that."""
        rate = self.params.dropout
        if self.params.dropout_at == "after":
            return dropped(normalize(users, dim=1), rate, generator)
        return normalize(dropped(users, rate, generator), dim=1)

    def _means(self, items: torch.Tensor, batch: SharedBatch, apart: bool) -> torch.Tensor:
        """Return the mean item of each distinct user or, without the pair's own item, of each pair."""
        means = self.mean @ items
        if not apart:
            return means[batch.distinct]
        length = self.lengths[batch.users][:, None]
        return (means[batch.users] * length - items[batch.items]) / (length - 1).clamp(min=1)

    def fuse(self, own: torch.Tensor, means: torch.Tensor | None) -> torch.Tensor:
        """Return gamma e_u + (1 - gamma) V mean, rows of users."""
        if means is None:
            return own
        return self.params.gamma * own + (1.0 - self.params.gamma) * self.module.history(means)

    def refresh(self) -> None:
        """Keep items' directions for scoring."""
        self._items = normalize(self.module.tables.split()[1], dim=1)

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return cosines (plus biases) of users, as their history shows them, with all items."""
        own, items = self.module.tables.split()
        means = None
        with torch.no_grad():
            if self.params.gamma < 1.0:
                rows = averaging(history.matrix) @ items.cpu().numpy()
                means = torch.as_tensor(rows, device=self.device)
            ids = torch.as_tensor(users, dtype=torch.int64, device=self.device)
            scores = normalize(self.fuse(own[ids], means), dim=1) @ self._items.T
            if self.params.item_bias:
                scores = scores + self.module.bias
        return given(scores)


def averaging(matrix: sp.csr_array) -> sp.csr_array:
    """Return the rows of a binary matrix divided by their sums, float32; empty ones stay empty."""
    scale = power(np.diff(matrix.indptr), -1.0).astype(np.float32)
    return sp.csr_array(sp.diags_array(scale) @ matrix)
