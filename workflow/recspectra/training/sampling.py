"""Sampled pairs and negatives for ranking losses, drawn for a whole epoch at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from recspectra.data.interactions import Interactions

CHUNK = 4_000_000  # negatives drawn at once: bounds memory on large data


@dataclass(frozen=True)
class PairBatch:
    """Observed pairs and, for each, items that the user has not.

    Attributes
    ----------
    users, items : int64 tensors, shape (b,)
        Observed pairs.
    negatives : int64 tensor, shape (b, k)
        Items that are not in the user's training row.
    """

    users: torch.Tensor
    items: torch.Tensor
    negatives: torch.Tensor


class Pairs:
    """Shuffled batches of observed pairs with uniform negatives.

    Parameters
    ----------
    train : Interactions
        A negative is an item that is not in the user's row of these.
    batch_size : int
        Pairs per batch.
    device : str
        Where the index arrays live.
    negatives : int
        Negatives of a pair; may be 0.
    by : {"interaction", "user"}
        Whether an epoch takes every interaction once, or draws as many users, each with
        one of its items: the latter gives all users the same weight.
    """

    def __init__(
        self, train: Interactions, batch_size: int, device: str, negatives: int = 1, by: str = "interaction"
    ) -> None:
        self.users = torch.as_tensor(train.users, device=device)
        self.items = torch.as_tensor(train.items.astype("int64"), device=device)
        self.starts = torch.tensor(train.indptr[:-1], device=device)
        self.lengths = torch.as_tensor(train.lengths, device=device)
        self.active = torch.nonzero(self.lengths > 0)[:, 0]
        self.free = Complement(train, device)
        self.batch_size, self.negatives, self.by = batch_size, negatives, by

    def __call__(self, generator: torch.Generator) -> Iterator[PairBatch]:
        """Yield the batches of one epoch; all draws come from `generator` (a CPU generator)."""
        places = self._places(generator)
        for part in places.split(max(self.batch_size, CHUNK // max(1, self.negatives))):
            users, items = self.users[part], self.items[part]
            negatives = self.free.draw(users, self.negatives, generator)
            pieces = (x.split(self.batch_size) for x in (users, items, negatives))
            yield from map(PairBatch, *pieces)

    def __len__(self) -> int:
        """Number of pairs of an epoch."""
        return len(self.users)

    def _places(self, generator: torch.Generator) -> torch.Tensor:
        """Return the positions of the pairs of an epoch, in order."""
        count, device = len(self.users), self.users.device
        if self.by == "interaction":
            return torch.randperm(count, generator=generator).to(device)
        users = torch.randint(len(self.active), (count,), generator=generator).to(device)
        users = self.active[users]
        share = torch.rand(count, generator=generator, dtype=torch.float64).to(device)
        return self.starts[users] + (share * self.lengths[users]).long()


class Complement:
    """Uniform draws from the items that a user has not, without trying again.

    A user's items in ascending order are a_0 < a_1 < ..., so a_j - j items before a_j are
    free, and the free item of rank r is r + #{j : a_j - j <= r}. One search over all rows
    at once counts them.

    Parameters
    ----------
    train : Interactions
        What users have.
    device : str
        Where the arrays live.
    """

    def __init__(self, train: Interactions, device: str) -> None:
        matrix, self.n_items = train.matrix, train.n_items
        degrees = np.diff(matrix.indptr).astype(np.int64)
        starts = matrix.indptr[:-1].astype(np.int64)
        users = np.repeat(np.arange(len(degrees)), degrees)
        before = matrix.indices - (np.arange(matrix.nnz) - starts[users])
        self.keys = torch.as_tensor(users * self.n_items + before, device=device)
        self.starts = torch.as_tensor(starts, device=device)
        self.counts = torch.as_tensor(self.n_items - degrees, device=device)

    def draw(self, users: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        """Return `count` items for each user, int64, shape (len(users), count).

        A user who has all items gets the last one.
        """
        # Searches for one user after the other find the keys in the cache: three times as fast.
        users, order = torch.sort(users, stable=True)
        share = torch.rand((len(users), count), generator=generator, dtype=torch.float64)
        rank = (share.to(users.device) * self.counts[users, None]).long()
        place = torch.searchsorted(self.keys, users[:, None] * self.n_items + rank, right=True)
        items = (rank + place - self.starts[users, None]).clamp_(max=self.n_items - 1)
        return torch.empty_like(items).index_copy_(0, order, items)
