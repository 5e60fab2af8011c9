"""Hits in top lists: what every metric is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recspectra.data.interactions import Interactions


@dataclass(frozen=True)
class Ranked:
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
    """

    items: np.ndarray
    hits: np.ndarray
    targets: np.ndarray
    users: np.ndarray

    @cached_property
    def hit_counts(self) -> np.ndarray:
        """Hits among the first p items, shape (u, depth)."""
        return np.cumsum(self.hits, axis=1)

    @cached_property
    def reordered(self) -> dict[int, Ranked]:
        """The first K items in another order, by K: filled by metrics that share it."""
        return {}

    @cached_property
    def dcg(self) -> np.ndarray:
        """Discounted cumulative gain at each depth, shape (u, depth)."""
        return np.cumsum(self.hits * discounts(self.hits.shape[1]), axis=1)


def discounts(depth: int) -> np.ndarray:
    """Return 1 / log2(p + 1) for positions p = 1..depth."""
    return 1.0 / np.log2(np.arange(2, depth + 2))


def compare(lists: np.ndarray, truth: Interactions) -> Ranked:
    """Mark the hits in top lists; users without targets are left out.

    Parameters
    ----------
    lists : int32 array, shape (n_users, depth)
        Top lists of all users, -1 as padding.
    truth : Interactions
        Test (or validation) interactions of the same users.
    """
    users = np.flatnonzero(truth.lengths > 0)
    items = lists[users]
    wanted = np.unique(truth.users * truth.n_items + truth.items)
    keys = users[:, None] * truth.n_items + items
    place = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    hits = (wanted[place] == keys) & (items >= 0)
    targets = np.bincount(wanted // truth.n_items, minlength=truth.n_users)[users]
    return Ranked(items, hits, targets, users)


def mean_recall(lists: np.ndarray, truth: Interactions) -> float:
    """Return hits / |T| at the full depth of the lists, averaged over users with targets."""
    ranked = compare(lists, truth)
    return float((ranked.hits.sum(axis=1) / ranked.targets).mean())
