"""Batches of ordered histories for next-item training.

Rows are left-padded: the latest item stands in the last column, which is where a model
reads its state. Batches may be bucketed by length, so that hardly any column is padding;
a trimmed batch holds the last columns of the padded one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from recspectra.data.interactions import Interactions

POOL = 64  # batches that are sorted by length together


@dataclass(frozen=True)
class SequenceBatch:
    """Histories and what came next.

    Attributes
    ----------
    users : int64 tensor, shape (b,)
        User ids.
    inputs : int64 tensor, shape (b, t)
        Item ids, left-padded with the number of items. t is `max_len`, or where batches
        are bucketed the longest history of the batch.
    targets : int64 tensor, shape (b, t)
        The item that follows each column, -1 where none is to be predicted.
    samples : int64 tensor, shape (b,)
        Which of the samples of `Sequences` the rows are.
    seed : int
        Seed of the noise (dropout) of this batch, drawn from the epoch's generator.
    """

    users: torch.Tensor
    inputs: torch.Tensor
    targets: torch.Tensor
    samples: torch.Tensor
    seed: int


class Sequences:
    """Shuffled batches of histories in the order of time.

    Parameters
    ----------
    train : Interactions
        Rows from the oldest to the newest item. Users of fewer than two items are not served.
    max_len : int
        L, most items of an input.
    batch_size : int
        Rows of a batch; with `bucket` and targets "all", the rows that an average batch has.
    device : str
        Where the index arrays and the batches live.
    targets : {"last", "all", "prefix"}
        `last`: one row per user, whose newest item is the target.
        `all`: each column has a target; for encoders that never look ahead.
        `prefix`: one row per target, the L items before it; for all other encoders.
    windows : {"recent", "every"}
        Whether the newest L targets of a user are served or every one. With "all", longer
        histories are then cut into consecutive windows of L targets.
    bucket : bool
        Whether to put rows of similar length together and to trim what is padding in all
        of them. Batches then have about the same number of targets, so that the mean over
        a batch gives every target the same weight.
    """

    def __init__(
        self, train: Interactions, max_len: int, batch_size: int, device: str, targets: str = "last",
        windows: str = "recent", bucket: bool = False,
    ) -> None:  # fmt: skip
        self.items = torch.as_tensor(train.items.astype("int64"), device=device)
        self.pad, self.max_len, self.batch_size = train.n_items, max_len, batch_size
        self.targets, self.bucket = targets, bucket
        bounds = _bounds(torch.tensor(train.indptr), max_len, targets, windows)
        self.users, self.starts, self.ends = (b.to(device) for b in bounds)
        self.lengths = (bounds[2] - bounds[1]).clamp(max=max_len)  # on the CPU, where order is drawn

    def __len__(self) -> int:
        """Number of rows of an epoch."""
        return len(self.users)

    def __call__(self, generator: torch.Generator) -> Iterator[SequenceBatch]:
        """Yield every row once, in an order drawn from `generator` (a CPU generator)."""
        if not len(self):
            return
        order = torch.randperm(len(self), generator=generator)
        parts = self._bucketed(order, generator) if self.bucket else order.split(self.batch_size)
        seeds = torch.randint(2**62, (len(parts),), generator=generator).tolist()
        for part, seed in zip(parts, seeds, strict=True):
            width = int(self.lengths[part].max()) if self.bucket else self.max_len
            yield self.rows(part.to(self.users.device), width, seed)

    def rows(self, samples: torch.Tensor, width: int, seed: int = 0) -> SequenceBatch:
        """Return some samples as a batch whose rows have `width` columns."""
        starts, ends = self.starts[samples], self.ends[samples]
        inputs = windows_of(self.items, starts, ends, width, self.pad)
        if self.targets == "all":
            following = windows_of(self.items, starts + 1, ends + 1, width, -1)
        else:
            following = torch.full_like(inputs, -1)
            following[:, -1] = self.items[ends]
        return SequenceBatch(self.users[samples], inputs, following, samples, seed)

    def _bucketed(self, order: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Cut an order into batches of similar lengths and similar numbers of targets.

        Within pools of many batches rows are sorted, up and down in turn so that a batch
        across two pools has similar lengths too; then the batches are shuffled.
        """
        pool = torch.arange(len(order)) // (POOL * self.batch_size)
        lengths = self.lengths[order]
        rising = torch.where(pool % 2 == 0, lengths, self.max_len - lengths)
        order = order[torch.argsort(pool * (self.max_len + 1) + rising, stable=True)]
        weights = self.lengths[order] if self.targets == "all" else torch.ones(len(order), dtype=torch.int64)
        quota = self.batch_size * float(weights.sum()) / len(order)
        batch = (torch.cumsum(weights, 0) - weights).double().div(quota).floor().long()
        parts = order.split(torch.unique_consecutive(batch, return_counts=True)[1].tolist())
        return tuple(parts[i] for i in torch.randperm(len(parts), generator=generator))


def _bounds(
    indptr: torch.Tensor, max_len: int, targets: str, windows: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return users, starts and ends of the inputs of all samples, int64 shape (samples,).

    The input of a sample is `items[max(start, end - max_len):end]`; `items[end]` exists and
    belongs to the same user. No sample has an empty input.
    """
    first, last = indptr[:-1], indptr[1:] - 1
    following = (last - first).clamp(min=0)  # items that have something before them
    if targets == "last":
        each = (following > 0).long()
    else:
        reach = following if windows == "every" else following.clamp(max=max_len)
        each = reach if targets == "prefix" else (reach + max_len - 1) // max_len
    users = torch.repeat_interleave(torch.arange(len(first)), each)
    back = torch.arange(len(users)) - torch.repeat_interleave(torch.cumsum(each, 0) - each, each)
    ends = last[users] - back * (max_len if targets == "all" else 1)
    starts = torch.maximum(first[users], ends - max_len)
    return users, starts, ends


def windows_of(
    items: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, width: int, pad: int
) -> torch.Tensor:
    """Return `items[start:end]` row by row, left-padded to `width` columns, the newest kept."""
    columns = ends[:, None] + torch.arange(-width, 0, device=items.device)
    inside = columns >= starts[:, None]
    if not len(items):
        return torch.full_like(columns, pad)
    return torch.where(inside, items[columns.clamp(min=0)], pad)


def left_padded(indptr: Any, items: Any, max_len: int, pad: int) -> torch.Tensor:
    """Return ragged rows as int64, shape (b, max_len), the most recent items of each kept.

    Parameters
    ----------
    indptr, items : arrays or tensors
        Row r has the items `items[indptr[r]:indptr[r + 1]]`, oldest first.
    max_len : int
        Columns.
    pad : int
        What fills the left; ids are below it.

    Raises
    ------
    ValueError
        An id is not in [0, pad).
    """
    indptr, items = torch.as_tensor(indptr).long(), torch.as_tensor(items).long()
    if len(items) and (int(items.min()) < 0 or int(items.max()) >= pad):
        raise ValueError(f"item ids run from {items.min()} to {items.max()}, outside [0, {pad})")
    return windows_of(items, indptr[:-1], indptr[1:], max_len, pad)
