"""Top lists from scores: masked, exact, with a fixed rule for ties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from recspectra.runtime import Diverged

LOWEST = np.iinfo(np.int64).min
ROWS_AT_ONCE = 256  # keeps the keys of a block in the processor's cache
FIRST_COLUMNS = 256  # looked at first for the smallest ids of a group of equals


class CutTies(NamedTuple):
    """What the rule "smaller ids first" needs where the end of a list cuts a group of equal scores.

    The list keeps the group's larger ids; these are as many of its smaller ids, which that rule keeps.

    Attributes
    ----------
    rows : int32 array, shape (c,)
        Rows whose last group of equals goes on below the list, ascending.
    counts : int32 array, shape (c,)
        How many places at the end of the row's list the group takes.
    items : int32 array, shape (sum of counts,)
        Row by row the group's smallest ids, ascending.
    """

    rows: np.ndarray
    counts: np.ndarray
    items: np.ndarray

    @classmethod
    def join(cls, parts: Sequence[CutTies], sizes: Sequence[int]) -> CutTies:
        """Return the cut groups of blocks of rows, `sizes` rows each, numbered through."""
        starts = np.cumsum([0, *sizes])
        rows = [part.rows + start for part, start in zip(parts, starts[:-1], strict=True)]
        joined = rows, [part.counts for part in parts], [part.items for part in parts]
        return cls(*(np.concatenate(arrays or [[]]).astype(np.int32) for arrays in joined))


NO_CUTS = CutTies(*(np.zeros(0, dtype=np.int32) for _ in CutTies._fields))


class Ranking(NamedTuple):
    """Top lists, larger ids first, with what the other rules for ties need.

    Attributes
    ----------
    lists, positions : int32 arrays, shape (b, k)
        As `top_with_ties` returns them.
    cuts : CutTies
        Groups of equals that the end of a list cuts.
    """

    lists: np.ndarray
    positions: np.ndarray
    cuts: CutTies

    @classmethod
    def join(cls, parts: Sequence[Ranking]) -> Ranking:
        """Return the rankings of blocks of rows as one."""
        lists, positions = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        return cls(lists, positions, CutTies.join([p.cuts for p in parts], [len(p.lists) for p in parts]))


def top_items(scores: np.ndarray, seen: sp.csr_array, k: int) -> np.ndarray:
    """Return the `k` best items of each user, best first.

    Equal scores are ordered by item id, *larger first*: what a reversed ascending
    sort gives, and the rule under which GSPRec's published Popularity row comes out
    to the fourth digit (with smaller ids first MRR@5 on its ML-100K is .0011 lower).
    One partition of 64-bit keys does it: the upper half of a key is the score as an
    order-preserving integer, the lower half is the item id.

    Parameters
    ----------
    scores : float32 array, shape (b, n)
        Higher is better.
    seen : CSR, shape (b, n)
        Items that may not be recommended.
    k : int
        Length of the list.

    Returns
    -------
    int32 array, shape (b, k)
        Item ids; -1 where a user has fewer than `k` candidates.

    Raises
    ------
    Diverged
        A score is NaN.
    """
    return top_with_ties(scores, seen, k, False).lists


def top_with_ties(scores: np.ndarray, seen: sp.csr_array, k: int, ties: bool = True) -> Ranking:
    """Return `top_items`, the middle position of each item among its equals, and the cut groups.

    An item whose score no other candidate shares stands at its own position 1..k. Items
    with equal scores all stand at the middle of the positions that they take together,
    rounded down, those below the list included: 1 + greater scores + half the others.

    Parameters
    ----------
    scores, seen, k
        As in `top_items`.
    ties : bool
        Whether to look for equals; without, positions are 1..k and no group is cut.

    Returns
    -------
    Ranking
    """
    lists = np.full((len(scores), k), -1, dtype=np.int32)
    positions = np.tile(np.arange(1, k + 1, dtype=np.int32), (len(scores), 1))
    cuts, sizes = [], []
    for start in range(0, len(scores), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        keys = _candidates(scores[rows], seen.indptr[start:], seen.indices)
        best = _largest(keys, k)
        items = (best & 0x7FFFFFFF).astype(np.int32)
        items[best == LOWEST] = -1
        lists[rows, : items.shape[1]] = items
        if ties:
            levels = best >> 31
            count = _equal_candidates(scores[rows], items[:, -1], keys)
            positions[rows, : items.shape[1]] = _middle_positions(levels, count)
            cuts.append(_cut_groups(levels, items[:, -1], count, keys))
            sizes.append(len(items))
    return Ranking(lists, positions, CutTies.join(cuts, sizes))


def _cut_groups(levels: np.ndarray, last: np.ndarray, equal: np.ndarray, keys: np.ndarray) -> CutTies:
    """Return the groups of equals that go on below the list, with their smallest ids.

    `levels` holds the scores of the list as integers, shape (b, k), `last` its last items (-1: the list
    has room left), `equal` how many candidates in all score as much as the last item.
    """
    kept = (levels == levels[:, -1:]).sum(axis=1)
    rows = np.flatnonzero((equal > kept) & (last >= 0))
    if not len(rows):
        return NO_CUTS
    items = _smallest_members(keys, rows, levels[rows, -1], kept[rows])
    return CutTies(*(array.astype(np.int32) for array in (rows, kept[rows], items)))


def _smallest_members(
    keys: np.ndarray, rows: np.ndarray, level: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return the first `counts` columns of each row whose key has a level, row by row, flat.

    Large groups have their first members in the first columns, so few columns are looked at at first.
    """
    found = np.zeros((len(rows), counts.max()), dtype=np.int32)
    inside = np.arange(found.shape[1]) < counts[:, None]
    left, width = np.arange(len(rows)), FIRST_COLUMNS
    while len(left):
        # The key of a masked item has a level below all others.
        group = (keys[rows[left], :width] >> 31) == level[left, None]
        rank = np.cumsum(group, axis=1, dtype=np.int32)
        done = rank[:, -1] >= counts[left]
        taken = group[done] & (rank[done] <= counts[left[done], None])
        block = found[left[done]]
        block[inside[left[done]]] = np.nonzero(taken)[1]
        found[left[done]] = block
        left, width = left[~done], 4 * width
    return found[inside]


def _equal_candidates(scores: np.ndarray, last: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return how many candidates score as much as the last item of each list, shape (b,).

    Comparing 32-bit scores is several times faster than comparing keys; masked items with
    that score are counted first and taken off.
    """
    rows = np.arange(len(scores))
    level = scores[rows, last][:, None]
    equal = scores == level
    counts = np.count_nonzero(equal, axis=1)
    tied = np.flatnonzero(counts > 1)
    counts[tied] = np.count_nonzero(equal[tied] & (keys[tied] != LOWEST), axis=1)
    return counts


def _candidates(scores: np.ndarray, indptr: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return the sortable keys of a block, the lowest key where an item is masked."""
    keys = sortable(scores)
    rows = np.repeat(np.arange(len(scores)), np.diff(indptr[: len(scores) + 1]))
    keys[rows, indices[indptr[0] : indptr[0] + len(rows)]] = LOWEST
    return keys


def _largest(keys: np.ndarray, k: int) -> np.ndarray:
    """Return the k largest keys of each row, descending (all of them where there are fewer)."""
    n = keys.shape[1]
    kept = np.partition(keys, n - k, axis=1)[:, n - k :] if k < n else keys
    return np.sort(kept, axis=1)[:, ::-1]


def _middle_positions(best: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """Return the middle position of each listed item among all with its score.

    `best` holds the scores of the list, descending, `equal` how many candidates in all score
    as much as its last item.
    """
    k = best.shape[1]
    place = np.arange(k)
    new = np.ones_like(best, dtype=bool)
    new[:, 1:] = best[:, 1:] != best[:, :-1]
    first = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    ends = np.ones_like(new)
    ends[:, :-1] = new[:, 1:]
    last = np.minimum.accumulate(np.where(ends, place, k)[:, ::-1], axis=1)[:, ::-1]
    below = np.maximum(equal - (best == best[:, -1:]).sum(axis=1), 0)
    last = np.where(best == best[:, -1:], last + below[:, None], last)
    return ((first + last) // 2 + 1).astype(np.int32)


def sortable(scores: np.ndarray) -> np.ndarray:
    """Return int64 keys, larger for a higher score and, at equal scores, a larger column.

    Shape (b, n) as `scores`; the column is held in the lower 31 bits.
    """
    scores = np.asarray(scores, dtype=np.float32) + np.float32(0.0)  # -0.0 becomes 0.0
    if np.isnan(scores).any():
        raise Diverged("scores hold NaN")
    bits = scores.view(np.int32)
    ordered = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    return (ordered.astype(np.int64) << 31) | np.arange(scores.shape[1], dtype=np.int64)


def batches(n_users: int, size: int) -> Iterator[np.ndarray]:
    """Yield user ids 0..n_users-1 in runs of at most `size`."""
    for start in range(0, n_users, size):
        yield np.arange(start, min(start + size, n_users))


def list_name(target: str, history: str, mask: str) -> str:
    """Return the name of a list in `rankings.npz`, for instance `test_train_train+valid`."""
    return f"{target}_{history}_{mask}"


def positions_name(name: str) -> str:
    """Return the name under which the positions of a list's tied items are kept."""
    return f"{name}.positions"


def cut_names(name: str) -> list[str]:
    """Return the names under which a list's cut groups are kept, in the order of `CutTies`."""
    return [f"{name}.cut.{part}" for part in CutTies._fields]


def as_arrays(name: str, ranking: Ranking) -> dict[str, np.ndarray]:
    """Return a ranking as the arrays of `rankings.npz`; those of cut groups where there are any."""
    arrays = {name: ranking.lists, positions_name(name): ranking.positions}
    cuts = dict(zip(cut_names(name), ranking.cuts, strict=True)) if len(ranking.cuts.rows) else {}
    return arrays | cuts


def from_arrays(name: str, arrays: Mapping[str, np.ndarray]) -> Ranking:
    """Return the ranking that `as_arrays` stored; KeyError where there is none of that name."""
    names = cut_names(name)
    cuts = CutTies(*(arrays[n] for n in names)) if names[0] in arrays else NO_CUTS
    return Ranking(arrays[name], arrays[positions_name(name)], cuts)


def smaller_ids_first(ranking: Ranking) -> np.ndarray:
    """Return the lists under the rule that of equal scores the smaller id stands first.

    Items share a middle position exactly when their scores are equal. Of a group that the end of the list
    cuts, the list then holds the smallest ids.
    """
    order = np.lexsort((ranking.lists, ranking.positions), axis=1)
    lists = np.take_along_axis(ranking.lists, order, axis=1)
    rows, counts, items = ranking.cuts
    places = np.arange(lists.shape[1])[None, :] >= lists.shape[1] - counts[:, None]
    found = lists[rows]
    found[places] = items  # row by row, from left to right
    lists[rows] = found
    return lists
