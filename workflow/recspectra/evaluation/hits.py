"""Hits in top lists: what every metric is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from recspectra.data.interactions import Interactions

DENSE = 100_000_000  # cells, a byte each, up to which hits are looked up in a dense matrix: six times faster


@dataclass(frozen=True)
class RankedLists:
    """Top lists of the users who have something to be found.

    Attributes
    ----------
    items : int32 array, shape (u, depth)
        Item ids, best first; -1 pads a short list.
    hits : bool array, shape (u, depth)
        Whether the item at a position is a target.
    targets : int64 array, shape (u,)
        Number of targets |T| of each user, at least 1.
    users : int64 array, shape (u,)
        User ids.
    positions : int32 array, shape (u, depth), or None
        Where an item stands when items with equal scores share their middle position;
        None counts places in the list.
    train : Interactions or None
        What models learned from, for metrics that look at more than hits.
    candidates : int64 array, shape (u,), or None
        How many items may be recommended to each user; None where nobody said, which is for lists that end
        early only as they hold all.
    """

    items: np.ndarray
    hits: np.ndarray
    targets: np.ndarray
    users: np.ndarray
    positions: np.ndarray | None = None
    train: Interactions | None = None
    candidates: np.ndarray | None = None

    @property
    def known(self) -> Interactions:
        """The training interactions.

        Raises
        ------
        ValueError
            `compare` was not given them.
        """
        if self.train is None:
            raise ValueError("this metric needs the training interactions: compare(..., train=...)")
        return self.train

    def within(self, chosen: np.ndarray) -> RankedLists:
        """Return the lists of some of the users."""
        places = None if self.positions is None else self.positions[chosen]
        parts = (self.items[chosen], self.hits[chosen], self.targets[chosen], self.users[chosen])
        candidates = None if self.candidates is None else self.candidates[chosen]
        return RankedLists(*parts, places, self.train, candidates)

    def hit_counts(self, k: Sequence[int]) -> np.ndarray:
        """Return the hits among the first K, shape (u, cut-offs)."""
        if self.positions is None:
            return np.cumsum(self.hits, axis=1)[:, np.array(k) - 1]
        return np.stack([(self.hits & (self.positions <= cut)).sum(axis=1) for cut in k], axis=1)

    def dcg(self, k: Sequence[int]) -> np.ndarray:
        """Return the discounted cumulative gain of the first K, shape (u, cut-offs)."""
        if self.positions is None:
            gains = np.cumsum(self.hits * discounts(self.hits.shape[1]), axis=1)
            return gains[:, np.array(k) - 1]
        gains = self.hits / np.log2(self.positions.astype(np.float64) + 1.0)
        return np.stack([np.where(self.positions <= cut, gains, 0.0).sum(axis=1) for cut in k], axis=1)

    @cached_property
    def first_hit(self) -> np.ndarray:
        """Position of the first hit, infinite without one, shape (u,)."""
        places = np.arange(1.0, self.hits.shape[1] + 1) if self.positions is None else self.positions
        return np.where(self.hits, places, np.inf).min(axis=1, initial=np.inf)


def discounts(depth: int) -> np.ndarray:
    """Return 1 / log2(p + 1) for positions p = 1..depth."""
    return 1.0 / np.log2(np.arange(2, depth + 2))


def compare(
    lists: np.ndarray,
    truth: Interactions,
    positions: np.ndarray | None = None,
    train: Interactions | None = None,
    masked: Interactions | None = None,
) -> RankedLists:
    """Mark the hits in top lists; users without targets are left out.

    Parameters
    ----------
    lists : int32 array, shape (n_users, depth)
        Top lists of all users, -1 as padding.
    truth : Interactions
        Test (or validation) interactions of the same users.
    positions : int32 array, shape (n_users, depth), optional
        Places that equal scores share.
    train : Interactions, optional
        Training interactions, for metrics that look at more than hits.
    masked : Interactions, optional
        What may not be recommended, for metrics that need whole lists.
    """
    users = np.flatnonzero(truth.lengths > 0)
    items, wanted = lists[users], truth.matrix[users]
    targets = np.diff(wanted.indptr).astype(np.int64)
    places = None if positions is None else positions[users]
    candidates = None if masked is None else masked.n_items - masked.distinct.lengths[users]
    return RankedLists(items, _held(wanted, items), targets, users, places, train, candidates)


def _held(rows: sp.csr_array, items: np.ndarray) -> np.ndarray:
    """Return whether each row of a matrix holds the items that are listed for it; -1 is none."""
    if np.prod(rows.shape, dtype=np.int64) <= DENSE:
        held = np.take_along_axis(rows.astype(bool).toarray(), np.maximum(items, 0).astype(np.intp), axis=1)
    else:
        count, n_items = rows.shape
        known = np.repeat(np.arange(count), np.diff(rows.indptr)) * n_items + rows.indices
        asked = np.arange(count)[:, None] * n_items + items
        held = known[np.minimum(np.searchsorted(known, asked), len(known) - 1)] == asked
    return held & (items >= 0)
