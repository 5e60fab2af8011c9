"""MF: matrix factorisation with the BPR loss (Rendle et al., UAI 2009), and what it shares with graphs."""

from __future__ import annotations

from typing import Protocol

import torch

from recspectra.layers.trained import Factors, Tables
from recspectra.recommender import Task
from recspectra.training.losses import bpr, full_softmax, half_squares
from recspectra.training.sampling import PairBatch, Pairs


class PairParams(Protocol):
    """What the loss of pairs needs of a model's parameters."""

    loss: str
    regularization: float


class MF(Factors):
    """s_ui = <p_u, q_i>, learned by mean softplus(s_uj - s_ui) + lambda/2 mean of squared norms.

    With `loss: softmax` a pair costs -log of u's softmax over all items at i.
    """

    def build(self) -> Tables:
        """Return the free vectors."""
        return Tables(*map(int, self.shape), self.params.dimensions, self.params.init_std)

    def batches(self, task: Task) -> Pairs:
        """Return sampled pairs, with uniform negatives where the loss takes them."""
        p = self.params
        negatives = p.negatives if p.loss == "bpr" else 0
        return Pairs(task.train, p.batch_size, str(self.device), negatives, p.sampling)

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the free vectors."""
        return self.module.split()

    def loss(self, batch: PairBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of the batch, with L2 on the vectors that are in it."""
        users, items = self.vectors()
        return pair_loss(users, items, users, items, batch, self.params)


def pair_loss(
    users: torch.Tensor, items: torch.Tensor, free_users: torch.Tensor, free_items: torch.Tensor,
    batch: PairBatch, p: PairParams,
) -> torch.Tensor:  # fmt: skip
    """Return BPR or cross-entropy of final vectors plus L2 on the free ones behind them.

    Parameters
    ----------
    users, items : tensors, shapes (m, d) and (n, d)
        Final vectors.
    free_users, free_items : tensors, shapes (m, d') and (n, d')
        The vectors that are learned.
    batch : PairBatch
        Which rows count.
    p : PairParams
        `loss`, "bpr" or "softmax" over all items, and lambda, `regularization`: of each row's
        squared norm half counts, averaged over the pairs.
    """
    u, i, j = picked = _rows(users, items, batch)
    free = picked if free_users is users and free_items is items else _rows(free_users, free_items, batch)
    penalty = p.regularization * half_squares(*free)
    if p.loss == "softmax":
        return full_softmax(u, items, batch.items) + penalty
    positive = (u * i).sum(dim=1)
    negative = (u[:, None] * j.view(*batch.negatives.shape, -1)).sum(dim=2)
    return bpr(positive, negative) + penalty


def _rows(users: torch.Tensor, items: torch.Tensor, batch: PairBatch) -> tuple[torch.Tensor, ...]:
    """Return the rows of a batch's users (b), items (b) and negatives (b * k).

    The gradient of `index_select` takes a fraction of the time of that of `table[rows]`,
    and each table's gradient is summed in one go.
    """
    both = items.index_select(0, torch.cat((batch.items, batch.negatives.reshape(-1))))
    size = len(batch.items)
    return users.index_select(0, batch.users), *both.split([size, len(both) - size])
