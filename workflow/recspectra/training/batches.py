"""Mini-batches of user rows on a device, straight from CSR: no dense users x items matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from recspectra.data.interactions import Interactions


@dataclass(frozen=True)
class RowBatch:
    """Rows of some users in the layout that `embedding_bag` takes.

    Attributes
    ----------
    users : int64 tensor, shape (b,)
        User ids.
    items : int64 tensor, shape (nnz of the batch,)
        Item ids of all rows, one row after the other.
    offsets : int64 tensor, shape (b,)
        Where each row starts in `items`.
    """

    users: torch.Tensor
    items: torch.Tensor
    offsets: torch.Tensor

    @property
    def indptr(self) -> torch.Tensor:
        """Where each row starts, and the end of the last one, shape (b + 1,)."""
        return torch.cat([self.offsets, self.offsets.new_full((1,), len(self.items))])

    @property
    def lengths(self) -> torch.Tensor:
        """Items of each row, shape (b,)."""
        return torch.diff(self.indptr)

    def project(self, table: torch.Tensor) -> torch.Tensor:
        """Return sums of table rows, shape (b, table.shape[1]): x @ table."""
        return torch.nn.functional.embedding_bag(self.items, table, self.offsets, mode="sum")


class UserRows:
    """All users' rows on a device, served in shuffled batches; an item stands once in a row.

    Parameters
    ----------
    train : Interactions
        Users without interactions are never served.
    batch_size : int
        Users per batch.
    device : str
        Where the index arrays live.
    """

    def __init__(self, train: Interactions, batch_size: int, device: str) -> None:
        train = train.distinct
        self.indptr = torch.tensor(train.indptr, device=device)
        self.items = torch.as_tensor(train.items.astype("int64"), device=device)
        self.users = torch.as_tensor((train.lengths > 0).nonzero()[0], device=device)
        self.batch_size = batch_size

    def __call__(self, generator: torch.Generator) -> Iterator[RowBatch]:
        """Yield every user once, in an order drawn from `generator` (a CPU generator)."""
        order = torch.randperm(len(self.users), generator=generator).to(self.users.device)
        for chunk in self.users[order].split(self.batch_size):
            yield self.rows(chunk)

    def rows(self, users: torch.Tensor) -> RowBatch:
        """Return the rows of some users."""
        starts = self.indptr[users]
        lengths = self.indptr[users + 1] - starts
        offsets = torch.cumsum(lengths, 0) - lengths
        flat = torch.arange(int(lengths.sum()), device=users.device)
        flat = flat + torch.repeat_interleave(starts - offsets, lengths)
        return RowBatch(users, self.items[flat], offsets)
