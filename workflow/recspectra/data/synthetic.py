"""Embedded synthetic data with planted structure, the same bytes for the same seed.

Users and items belong to communities, items have power-law popularity, and an
item has a few planted successors that a user tends to take next, so there is
something to find for collaborative, spectral and order-aware models alike.
"""

from __future__ import annotations

import numpy as np

from recspectra.data.interactions import DataError
from recspectra.data.tables import InteractionTable

START = 1_600_000_000  # seconds; any fixed moment will do
LARGEST = 10**8  # users, items, interactions
STEEPEST = 10  # exponent of popularity
LONGEST_WALK = 20_000  # steps; a user who finds nothing new in so many never will


def generate(
    users: int = 1000,
    items: int = 800,
    interactions: int = 40_000,
    communities: int = 8,
    exponent: float = 0.8,
    loyalty: float = 0.8,
    follow: float = 0.35,
    successors: int = 3,
    min_length: int = 10,
    seed: int = 0,
) -> InteractionTable:
    """Draw a dataset.

    Parameters
    ----------
    users, items, interactions : int
        Sizes; the number of interactions is met exactly.
    communities : int
        Planted groups of users and items.
    exponent : float
        Item popularity falls as rank ** -exponent.
    loyalty : float
        Probability that a free choice falls into the user's own community.
    follow : float
        Probability that the next item is a planted successor of the last one.
    successors : int
        Planted successors of each item.
    min_length : int
        Shortest history.
    seed : int
        Seed of the generator.

    Returns
    -------
    InteractionTable
        Unique (user, item) pairs with increasing time stamps per user.

    Raises
    ------
    DataError
        A value is out of bounds, or the sizes do not fit each other.
    """
    _check_sizes(
        users=(users, 1, LARGEST), items=(items, 1, LARGEST), interactions=(interactions, 1, LARGEST),
        communities=(communities, 1, items), successors=(successors, 1, items),
        min_length=(min_length, 0, items), exponent=(exponent, -STEEPEST, STEEPEST),
        loyalty=(loyalty, 0, 1), follow=(follow, 0, 1), seed=(seed, 0, 2**63 - 1),
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    item_group = rng.integers(communities, size=items)
    user_group = rng.integers(communities, size=users)
    weight = (1.0 + rng.permutation(items)) ** -exponent
    chains = _successors(rng, item_group, weight, successors)
    lengths = _lengths(rng, users, items, interactions, min_length)
    picked = _walk(rng, lengths, user_group, item_group, weight, chains, loyalty, follow)
    picked = _every_item_once(rng, picked, items)
    user_ids = np.repeat(np.arange(users), lengths)
    gaps = rng.exponential(3600.0, size=interactions).astype(np.int64) + 1
    first = START + rng.integers(0, 30 * 86_400, size=users)
    times = _per_user_cumsum(gaps, lengths) + np.repeat(first, lengths)
    return InteractionTable(user_ids, picked, times.astype(np.float64), None, None)


def _check_sizes(**given: tuple[float, float, float]) -> None:
    """Refuse a value that is not between its bounds."""
    for name, (value, low, high) in given.items():
        if not low <= value <= high:
            raise DataError(f"reader.options.{name}: {value} is not between {low} and {high}")


def _lengths(rng: np.random.Generator, users: int, items: int, total: int, shortest: int) -> np.ndarray:
    """Log-normal history lengths that sum to `total`."""
    longest = max(items // 3, shortest)
    if not shortest * users <= total <= longest * users:
        raise DataError(f"{total} interactions do not fit {users} users with {shortest} to {longest} each")
    raw = rng.lognormal(0.0, 0.7, size=users)
    low, high = 0.0, 1e9
    for _ in range(200):
        scale = (low + high) / 2
        if np.clip(raw * scale, shortest, longest).sum() < total:
            low = scale
        else:
            high = scale
    lengths = np.floor(np.clip(raw * low, shortest, longest)).astype(np.int64)
    missing = total - lengths.sum()
    room = np.flatnonzero(lengths < longest)
    lengths[rng.choice(room, size=missing, replace=missing > len(room))] += 1
    while lengths.sum() < total:  # two draws fell on one user: hand out the rest in order
        lengths[np.flatnonzero(lengths < longest)[0]] += 1
    return lengths


def _successors(rng: np.random.Generator, group: np.ndarray, weight: np.ndarray, count: int) -> np.ndarray:
    """Planted successors of each item, inside its community, shape (items, count)."""
    sampler = _GroupSampler(group, weight)
    return np.stack([sampler.draw(rng, group) for _ in range(count)], axis=1)


class _GroupSampler:
    """Draws items of a given community in proportion to their weight."""

    def __init__(self, group: np.ndarray, weight: np.ndarray) -> None:
        self.order = np.argsort(group, kind="stable")
        self.cumulative = np.concatenate([[0.0], np.cumsum(weight[self.order])])
        starts = np.searchsorted(group[self.order], np.arange(group.max() + 2))
        self.low, self.high = self.cumulative[starts[:-1]], self.cumulative[starts[1:]]
        self.filled = np.flatnonzero(self.high > self.low)

    def draw(self, rng: np.random.Generator, groups: np.ndarray) -> np.ndarray:
        groups = self.filled[groups % len(self.filled)]
        low, high = self.low[groups], self.high[groups]
        point = low + rng.random(len(groups)) * (high - low)
        found = np.searchsorted(self.cumulative, point, side="right") - 1
        return self.order[np.minimum(found, len(self.order) - 1)]


def _walk(
    rng: np.random.Generator,
    lengths: np.ndarray,
    user_group: np.ndarray,
    item_group: np.ndarray,
    weight: np.ndarray,
    chains: np.ndarray,
    loyalty: float,
    follow: float,
) -> np.ndarray:
    """Let all users walk at once; repeated items are dropped, so walks run longer."""
    communities = int(item_group.max()) + 1
    sampler = _GroupSampler(item_group, weight)
    kept: list[np.ndarray] = []
    have = np.zeros(len(lengths), dtype=np.int64)
    seen = np.empty(0, dtype=np.int64)
    n_items = len(item_group)
    last = sampler.draw(rng, user_group)
    active = np.arange(len(lengths))
    for _ in range(LONGEST_WALK):
        if not len(active):
            break
        group = user_group[active].copy()
        wander = rng.random(len(active)) > loyalty
        group[wander] = rng.integers(communities, size=wander.sum())
        free = sampler.draw(rng, group)
        chained = chains[last[active], rng.integers(chains.shape[1], size=len(active))]
        choice = np.where(rng.random(len(active)) < follow, chained, free)
        last[active] = choice
        keys = active * n_items + choice
        place = np.searchsorted(seen, keys)
        new = (
            (place == len(seen)) | (seen[np.minimum(place, max(len(seen) - 1, 0))] != keys)
            if len(seen)
            else np.ones(len(keys), dtype=bool)
        )
        kept.append(keys[new])
        seen = np.insert(seen, place[new], keys[new])
        have[active[new]] += 1
        active = active[have[active] < lengths[active]]
    if len(active):
        raise DataError(f"{len(active)} users find no new items; lower loyalty, communities or interactions")
    keys = np.concatenate(kept)
    by_user = np.argsort(keys // n_items, kind="stable")
    return (keys % n_items)[by_user]


def _every_item_once(rng: np.random.Generator, picked: np.ndarray, items: int) -> np.ndarray:
    """Put items that nobody took in the place of interactions with popular ones."""
    counts = np.bincount(picked, minlength=items)
    missing = np.flatnonzero(counts == 0)
    if not len(missing):
        return picked
    spare = np.flatnonzero(counts[picked] > len(missing) + 1)
    if len(spare) < len(missing):
        return picked
    picked = picked.copy()
    picked[rng.choice(spare, len(missing), replace=False)] = missing
    return picked


def _per_user_cumsum(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Cumulative sum that starts anew at every user."""
    total = np.cumsum(values)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    before = np.where(starts > 0, total[np.maximum(starts - 1, 0)], 0)
    return total - np.repeat(before, lengths)
