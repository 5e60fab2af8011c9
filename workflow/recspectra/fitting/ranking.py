"""Top lists from scores: masked, exact, with a fixed rule for ties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from recspectra.runtime import Diverged
from recspectra.spectral.places import Array, is_tensor

LOWEST = np.iinfo(np.int64).min
SCORES_AT_ONCE = 1_000_000  # keeps the rows of a block in the processor's cache
FEW = 16  # times the length of a list: so many candidates are sorted
FIRST_COLUMNS = 256  # looked at first for the smallest ids of a group of equals

Cells = tuple[np.ndarray, np.ndarray]  # rows and columns


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


def top_with_ties(scores: Array, seen: sp.csr_array, k: int, ties: bool = True) -> Ranking:
    """Return the `k` best items of each user, best first, with positions and cut groups.

    Equal scores are ordered by item id, *larger first*: what a reversed ascending
    sort gives, and the rule under which GSPRec's published Popularity row comes out
    to the fourth digit (with smaller ids first MRR@5 on its ML-100K is .0011 lower).

    An item whose score no other candidate shares stands at its own position 1..k. Items
    with equal scores all stand at the middle of the positions that they take together,
    rounded down, those below the list included: 1 + greater scores + half the others.

    Parameters
    ----------
    scores : float32 array or tensor of a device, shape (b, n)
        Higher is better. A tensor is ranked where it is.
    seen : CSR, shape (b, n)
        Items that may not be recommended.
    k : int
        Length of the list.
    ties : bool
        Whether to look for equals; without, positions are 1..k and no group is cut.

    Returns
    -------
    Ranking
        Lists of shape (b, k), with -1 where a user has fewer than `k` candidates.

    Raises
    ------
    Diverged
        A score is NaN.
    """
    return rankings(scores, [seen], k, ties)[0]


def rankings(scores: Array, masks: Sequence[sp.csr_array], k: int, ties: bool = True) -> list[Ranking]:
    """Return `top_with_ties` of the same scores for each mask, a CSR array of shape (b, n)."""
    if is_tensor(scores):
        from recspectra.fitting import device_ranking

        return device_ranking.rankings(scores, masks, k, ties)
    parts: list[list[Ranking]] = [[] for _ in masks]
    size = max(1, SCORES_AT_ONCE // max(scores.shape[1], 1))
    for start in range(0, max(len(scores), 1), size):
        block = Block(scores[start : start + size], k)
        for part, mask in zip(parts, masks, strict=True):
            part.append(block.ranking(cells_of(mask, start, len(block.scores)), ties))
    return [Ranking.join(part) for part in parts]


def cells_of(mask: sp.csr_array, start: int, count: int) -> Cells:
    """Return rows, from 0, and columns of the entries of `count` rows of a mask."""
    ends = mask.indptr[start : start + count + 1]
    return np.repeat(np.arange(count), np.diff(ends)), mask.indices[ends[0] : ends[-1]]


class Block:
    """Scores of some rows that fit into the processor's cache, with what is masked at -inf.

    A column j belongs to group j modulo the number of groups. The k best items of a row are in the
    k groups with the largest maxima, if no other group has a maximum as large. That leaves few
    candidates. Rows in which it does not hold, or in which equal scores stand on both sides of the cut,
    are looked at in full.

    Parameters
    ----------
    scores : float32 array, shape (b, n)
        Left as they are.
    k : int
        Length of the lists.

    Raises
    ------
    Diverged
        A score is NaN.
    """

    def __init__(self, scores: np.ndarray, k: int) -> None:
        self.scores, self.k = np.asarray(scores, dtype=np.float32), k
        count, n = self.scores.shape
        self.height = max(1, round((n / max(k, 1)) ** 0.5))  # items of a group: most work saved
        self.groups = -(-n // self.height)
        self.values = np.full((count, self.height * self.groups), -np.inf, dtype=np.float32)
        np.add(self.scores, np.float32(0.0), out=self.values[:, :n])  # -0.0 becomes 0.0
        self.table = self.values.reshape(count, self.height, self.groups)
        self.maxima = self.table.max(axis=1)
        if np.isnan(self.maxima).any():
            raise Diverged("scores hold NaN")
        self.hidden: Cells = (np.zeros(0, dtype=np.int64),) * 2

    def ranking(self, hidden: Cells, ties: bool) -> Ranking:
        """Return the top lists without some cells."""
        self._hide(hidden)
        found = Found.empty(len(self.values), min(self.k, self.scores.shape[1]))
        left = np.arange(len(self.values))
        for search in (self._in_groups, self._among_few, self._in_rows, self._by_keys):
            if len(left):
                left = left[~search(left, found, ties)]
        return found.ranking(self.k, ties)

    def _hide(self, hidden: Cells) -> None:
        """Show what another mask hid and put these cells at -inf."""
        for cells, shown in ((self.hidden, True), (hidden, False)):
            self.values[cells] = self.scores[cells] + np.float32(0.0) if shown else -np.inf
            group = cells[0], cells[1] % self.groups
            self.maxima[group] = self.table[group[0], :, group[1]].max(axis=1, initial=-np.inf)
        self.hidden = hidden

    def _in_groups(self, rows: np.ndarray, found: Found, ties: bool) -> np.ndarray:
        """Find the lists whose k best groups, and k best items of these, are clear; return which are."""
        k, clear = self.k, np.zeros(len(rows), dtype=bool)
        if not 0 < k < self.groups or self.height < 2:
            return clear
        groups, some = clear_best(self.maxima, k)
        columns = groups[:, None, :] + (self.groups * np.arange(self.height))[:, None]
        columns = columns.reshape(len(groups), self.height * k)
        values = self.values[some[:, None], columns]
        places, sure = clear_best(values, k)
        columns, values = (np.take_along_axis(a[sure], places, axis=1) for a in (columns, values))
        found.put(some[sure], columns, values)
        clear[some[sure]] = True
        return clear

    def _among_few(self, rows: np.ndarray, found: Found, ties: bool) -> np.ndarray:
        """Find the lists of rows with few scores as large as their k-th best group; return which they are."""
        k, clear = self.k, np.zeros(len(rows), dtype=bool)
        if not 0 < k < self.groups:
            return clear
        last = np.partition(self.maxima[rows], self.groups - k, axis=1)[:, self.groups - k, None]
        kept = self.values[rows] >= last
        counts = np.count_nonzero(kept, axis=1)
        clear[:] = (counts <= FEW * k) & (last[:, 0] > -np.inf)
        rows, kept, counts = rows[clear], kept[clear], counts[clear]
        inside = np.arange(counts.max(initial=0)) < counts[:, None]
        keys, columns = np.full(inside.shape, LOWEST, dtype=np.int64), columns_of(kept)
        keys[inside] = keys_of(self.values[np.repeat(rows, counts), columns], columns)
        keys.sort(axis=1)
        found.keys[rows] = keys[:, keys.shape[1] - k :] if len(rows) else LOWEST
        if ties and len(rows):
            found.cut(rows, *group_at_cut(keys, k))
        return clear

    def _in_rows(self, rows: np.ndarray, found: Found, ties: bool) -> np.ndarray:
        """Find the lists whose last score is above -inf; return which they are."""
        k, n = self.k, self.scores.shape[1]
        if not 0 < k < n:
            return np.zeros(len(rows), dtype=bool)
        values = self.values[rows, :n]
        last = np.partition(values, n - k, axis=1)[:, n - k]
        known = last > -np.inf
        rows, values, last = rows[known], values[known], last[known, None]
        above, equal = values > last, Members(values == last)
        kept = k - np.count_nonzero(above, axis=1)
        columns = np.empty((len(rows), k), dtype=np.int64)
        equals = np.arange(k) < kept[:, None]
        columns[equals], columns[~equals] = equal.last(kept), columns_of(above)
        found.put(rows, columns, np.take_along_axis(values, columns, axis=1))
        if ties:
            found.cut(rows, kept, equal.counts, equal.first(kept))
        return known

    def _by_keys(self, rows: np.ndarray, found: Found, ties: bool) -> np.ndarray:
        """Find any lists: those with room left, or with a candidate at -inf, which is not masked."""
        scores, keys = self.scores[rows], sortable(self.scores[rows])
        masked = np.zeros(self.scores.shape, dtype=bool)
        masked[self.hidden] = True
        keys[masked[rows]] = LOWEST
        best = _largest(keys, self.k)
        found.keys[rows] = best
        if ties and best.size:
            items, level = items_of(best[:, -1]), best[:, -1] >> 31
            kept = np.count_nonzero(best >> 31 == level[:, None], axis=1)
            found.below[rows] = np.maximum(_equal_candidates(scores, items, keys) - kept, 0)
            full = np.flatnonzero(items >= 0)
            group = Members((keys[full] >> 31) == level[full, None])
            found.cut(rows[full], kept[full], group.counts, group.first(kept[full]))
        return np.ones(len(rows), dtype=bool)


def clear_best(values: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of the k largest values, ascending, of rows in which they are no question.

    That is where exactly k values are as large as the k-th, and that is above -inf.

    Returns
    -------
    columns : int64 array, shape (rows, k)
    rows : int64 array, ascending
    """
    last = np.partition(values, values.shape[1] - k, axis=1)[:, values.shape[1] - k, None]
    kept = values >= last
    rows = np.flatnonzero((np.count_nonzero(kept, axis=1) == k) & (last[:, 0] > -np.inf))
    return columns_of(kept[rows]).reshape(len(rows), k), rows


def group_at_cut(keys: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of the last item's equals: how many of k are listed, how many there are, the smallest ids, flat.

    `keys` hold at least k candidates a row, ascending, and all that score as much as the last of them.
    """
    width = keys.shape[1]
    equal = keys >> 31 == keys[:, width - k, None] >> 31
    counts, kept = np.count_nonzero(equal, axis=1), np.count_nonzero(equal[:, width - k :], axis=1)
    starts = np.arange(len(keys)) * width + width - k + kept - counts
    return kept, counts, items_of(keys.ravel()[ranges(starts, kept)])


class Members:
    """Columns of the cells of a table that are true, a few at either end of each row."""

    def __init__(self, table: np.ndarray) -> None:
        self.table, self.counts = table, np.count_nonzero(table, axis=1)

    def first(self, counts: np.ndarray) -> np.ndarray:
        """Return the first `counts` columns of each row, flat, ascending."""
        return first_columns(self.table, counts)

    def last(self, counts: np.ndarray) -> np.ndarray:
        """Return the last `counts` columns of each row, flat, descending."""
        return self.table.shape[1] - 1 - first_columns(self.table[:, ::-1], counts)


def first_columns(table: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the first `counts` columns of each row in which a table is true, flat; there are as many.

    Large groups have their first members in the first columns, so few columns are looked at at first.
    """
    found = np.zeros((len(table), counts.max(initial=0)), dtype=np.int64)
    inside = np.arange(found.shape[1]) < counts[:, None]
    left = np.arange(len(table))
    for width in (FIRST_COLUMNS, table.shape[1]):
        there = np.count_nonzero(table[left, :width], axis=1)
        done = there >= counts[left]
        rows, there = left[done], there[done]
        taken = ranges(np.cumsum(there) - there, counts[rows])
        filled = np.zeros_like(inside)
        filled[rows] = inside[rows]
        found[filled] = columns_of(table[rows, :width])[taken]
        left = left[~done]
    return found[inside]


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return start, start + 1, ... of each row, `counts` numbers each, flat."""
    return np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)


def columns_of(table: np.ndarray) -> np.ndarray:
    """Return the columns of the cells that are true, row by row, flat (faster than `np.nonzero`)."""
    return np.flatnonzero(table) % max(table.shape[1], 1)


class Found(NamedTuple):
    """The lists of a block as far as they are found.

    Attributes
    ----------
    keys : int64 array, shape (b, k) or (b, n) where that is less
        As `sortable` returns them, in any order; `LOWEST` where the list has room left.
    below : int64 array, shape (b,)
        Candidates below the list that score as much as its last item.
    counts : int64 array, shape (b,)
        Places at the end of the list that a cut group takes; 0 where none is cut.
    smallest : int32 array, shape as that of `keys`
        That many of the group's smallest ids, ascending, then anything.
    """

    keys: np.ndarray
    below: np.ndarray
    counts: np.ndarray
    smallest: np.ndarray

    @classmethod
    def empty(cls, rows: int, width: int) -> Found:
        """Return that nothing is found yet."""
        below, counts = np.zeros((2, rows), dtype=np.int64)
        keys = np.full((rows, width), LOWEST, dtype=np.int64)
        return cls(keys, below, counts, np.zeros((rows, width), dtype=np.int32))

    def put(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> None:
        """Keep the lists of some rows, in any order."""
        self.keys[rows] = keys_of(values, columns)

    def cut(self, rows: np.ndarray, kept: np.ndarray, counts: np.ndarray, smallest: np.ndarray) -> None:
        """Keep what of the groups at the end of the lists is below them.

        Of a group's `counts` members `kept` are listed; `smallest` has as many of its smallest ids, flat.
        """
        some = np.flatnonzero(counts > kept)
        self.below[rows] = counts - kept
        self.counts[rows[some]] = kept[some]
        inside = np.zeros(self.smallest.shape, dtype=bool)
        inside[rows] = np.arange(inside.shape[1]) < kept[:, None]
        self.smallest[inside] = smallest

    def ranking(self, k: int, ties: bool) -> Ranking:
        """Return the lists in order, shape (b, k)."""
        keys = np.sort(self.keys, axis=1)[:, ::-1]
        lists = np.full((len(keys), k), -1, dtype=np.int32)
        positions = np.tile(np.arange(1, k + 1, dtype=np.int32), (len(keys), 1))
        lists[:, : keys.shape[1]] = items_of(keys)
        if ties:
            positions[:, : keys.shape[1]] = _middle_positions(keys >> 31, self.below)
        return Ranking(lists, positions, self._cuts() if ties else NO_CUTS)

    def _cuts(self) -> CutTies:
        rows = np.flatnonzero(self.counts)
        inside = np.arange(self.smallest.shape[1]) < self.counts[rows, None]
        parts = rows, self.counts[rows], self.smallest[rows][inside]
        return CutTies(*(array.astype(np.int32) for array in parts))


def items_of(keys: np.ndarray) -> np.ndarray:
    """Return the columns of keys, int32, -1 for `LOWEST`."""
    items = (keys & 0x7FFFFFFF).astype(np.int32)
    items[keys == LOWEST] = -1
    return items


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


def _largest(keys: np.ndarray, k: int) -> np.ndarray:
    """Return the k largest keys of each row, descending (all of them where there are fewer)."""
    n = keys.shape[1]
    kept = np.partition(keys, n - k, axis=1)[:, n - k :] if k < n else keys
    return np.sort(kept, axis=1)[:, ::-1]


def _middle_positions(best: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return the middle position of each listed item among all with its score.

    `best` holds the scores of the list, descending, `below` how many candidates below it score
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
    last = np.where(best == best[:, -1:], last + below[:, None], last)
    return ((first + last) // 2 + 1).astype(np.int32)


def sortable(scores: np.ndarray) -> np.ndarray:
    """Return int64 keys, larger for a higher score and, at equal scores, a larger column.

    Shape (b, n) as `scores`; the column is held in the lower 31 bits.
    """
    if np.isnan(scores).any():
        raise Diverged("scores hold NaN")
    return keys_of(scores, np.arange(scores.shape[1], dtype=np.int64))


def keys_of(scores: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return `sortable` of scores that stand in other columns than their own; none is NaN."""
    bits = (np.asarray(scores, dtype=np.float32) + np.float32(0.0)).view(np.int32)  # -0.0 becomes 0.0
    ordered = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    return (ordered.astype(np.int64) << 31) | columns


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
