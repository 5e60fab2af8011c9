"""The reference of `recspectra.fitting.ranking`: scores of a row as 64-bit keys, and all of them sorted.

The upper half of a key is the score as an order-preserving integer, the lower half is the item id.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recspectra.fitting.ranking import CutTies, Ranking

LOWEST = np.iinfo(np.int64).min


def plain_ranking(scores: np.ndarray, seen: sp.csr_array, k: int, ties: bool = True) -> Ranking:
    """Top lists with middle positions and cut groups; see `top_with_ties`."""
    lists = np.full((len(scores), k), -1, dtype=np.int32)
    positions = np.tile(np.arange(1, k + 1, dtype=np.int32), (len(scores), 1))
    keys = candidates(scores, seen)
    best = np.sort(keys, axis=1)[:, ::-1][:, :k]
    items = (best & 0x7FFFFFFF).astype(np.int32)
    items[best == LOWEST] = -1
    lists[:, : items.shape[1]] = items
    if not ties:
        return Ranking(lists, positions, CutTies(*(np.zeros(0, dtype=np.int32) for _ in range(3))))
    levels = best >> 31
    count = equal_candidates(scores, items[:, -1], keys)
    positions[:, : items.shape[1]] = middle_positions(levels, count)
    return Ranking(lists, positions, cut_groups(levels, items[:, -1], count, keys))


def candidates(scores: np.ndarray, seen: sp.csr_array) -> np.ndarray:
    """The keys of all scores, the lowest where an item is masked."""
    bits = (scores.astype(np.float32) + np.float32(0.0)).view(np.int32)
    ordered = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    keys = (ordered.astype(np.int64) << 31) | np.arange(scores.shape[1])
    keys[np.repeat(np.arange(len(scores)), np.diff(seen.indptr)), seen.indices] = LOWEST
    return keys


def equal_candidates(scores: np.ndarray, last: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """How many candidates score as much as the last item of each list."""
    equal = scores == scores[np.arange(len(scores)), last][:, None]
    counts = np.count_nonzero(equal, axis=1)
    return np.where(counts > 1, np.count_nonzero(equal & (keys != LOWEST), axis=1), counts)


def cut_groups(levels: np.ndarray, last: np.ndarray, equal: np.ndarray, keys: np.ndarray) -> CutTies:
    """Groups of equals that the end of a list cuts, with their smallest ids."""
    kept = (levels == levels[:, -1:]).sum(axis=1)
    rows = np.flatnonzero((equal > kept) & (last >= 0))
    items = [np.flatnonzero(keys[row] >> 31 == levels[row, -1])[: kept[row]] for row in rows]
    parts = rows, kept[rows], np.concatenate([np.zeros(0, dtype=np.int64), *items])
    return CutTies(*(part.astype(np.int32) for part in parts))


def middle_positions(best: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """The middle position of each listed item among all with its score."""
    found = np.empty(best.shape, dtype=np.int32)
    for row, (levels, count) in enumerate(zip(best, equal, strict=True)):
        for place, level in enumerate(levels):
            same = np.flatnonzero(levels == level)
            last = same[-1] + (max(count - len(same), 0) if level == levels[-1] else 0)
            found[row, place] = (same[0] + last) // 2 + 1
    return found
