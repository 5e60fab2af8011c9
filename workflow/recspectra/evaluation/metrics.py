"""Ranking metrics: one function per definition, vectorised over users and cut-offs.

Every function takes a `RankedLists` and a list of cut-offs and returns float64 values of
shape (users, cut-offs). Adding a metric is adding a function to `METRICS` and its
name to `study_schema.METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from recspectra.evaluation.hits import RankedLists, discounts


def ideal(depth: int) -> np.ndarray:
    """Return the DCG of 0..depth hits at the top of a list, shape (depth + 1,)."""
    return np.concatenate([[0.0], np.cumsum(discounts(depth))])


def recall(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """hits / |T|."""
    return ranked.hit_counts(k) / ranked.targets[:, None]


def recall_min(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """hits / min(K, |T|), the truncated recall of GiffCF, SGFCF and Mult-VAE."""
    return ranked.hit_counts(k) / np.minimum(np.array(k), ranked.targets[:, None])


def precision(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """hits / K."""
    return ranked.hit_counts(k) / np.array(k)


def hr(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """1 if there is any hit among the first K, else 0 (hit rate)."""
    return (ranked.hit_counts(k) > 0).astype(np.float64)


def ndcg(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """DCG / DCG of min(K, |T|) hits at the top: the standard definition."""
    best = ideal(max(k))[np.minimum(np.array(k), ranked.targets[:, None])]
    return ranked.dcg(k) / best


def ndcg_hit(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """DCG / DCG of the *retrieved* hits at the top (NGCF, GSPRec); 0 without a hit."""
    return _ratio(ranked.dcg(k), ideal(max(k))[ranked.hit_counts(k)])


def mrr(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """1 / position of the first hit if it is among the first K, else 0."""
    first = ranked.first_hit[:, None]
    return np.where(first <= np.array(k), 1.0 / first, 0.0)


def ndcg_set(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """`ndcg_hit` of the first K items in the order of CPython's set (HiGSP, FaGSP)."""
    return _over_sets(ranked, k, ndcg_hit)


def mrr_set(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """`mrr` of the first K items in the order of CPython's set (HiGSP, FaGSP)."""
    return _over_sets(ranked, k, mrr)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _over_sets(ranked: RankedLists, k: Sequence[int], metric: Callable) -> np.ndarray:
    return np.concatenate([metric(_in_set_order(ranked, cut), [cut]) for cut in k], axis=1)


def _in_set_order(ranked: RankedLists, cut: int) -> RankedLists:
    """Return the first `cut` items in set order; both set metrics share the result."""
    if cut not in ranked.reordered:
        order = set_order(ranked.items[:, :cut])
        hits = np.take_along_axis(ranked.hits[:, :cut], order, axis=1)
        items = np.take_along_axis(ranked.items[:, :cut], order, axis=1)
        ranked.reordered[cut] = RankedLists(items, hits, ranked.targets, ranked.users)
    return ranked.reordered[cut]


# -------------------------------------------------------------- the order of CPython sets

_MINIMUM_TABLE, _LINEAR_PROBES, _PERTURB_SHIFT = 8, 9, 5


def set_order(items: np.ndarray) -> np.ndarray:
    """Return, per row, the positions of `items` in the order `set(row)` iterates.

    CPython keeps a set of small integers in an open-addressing table with hash(i) = i:
    the slot is i modulo the table size, collisions look at the next 9 slots and then
    jump; the table grows when 3/5 full. Iterating walks the slots. Rows must hold
    distinct non-negative ids; -1 pads come last, and stay there.

    Parameters
    ----------
    items : int array, shape (u, k)
        Distinct ids in the order of insertion.

    Returns
    -------
    int64 array, shape (u, k)
        Column indices into `items`.
    """
    lengths = (items >= 0).sum(axis=1)
    order = np.tile(np.arange(items.shape[1], dtype=np.int64), (len(items), 1))
    for length in np.unique(lengths):  # the table grows with the items, not with the pads
        rows = lengths == length
        order[rows, :length] = _order_of_full(items[rows, :length])
    return order


def _order_of_full(items: np.ndarray) -> np.ndarray:
    """Return `set_order` of rows without pads."""
    rows, k = items.shape
    size = _MINIMUM_TABLE
    table = np.full((rows, size), -1, dtype=np.int64)
    for column in range(k):
        _insert(table, items, np.full(rows, column), np.ones(rows, dtype=bool))
        if (column + 1) * 5 >= (size - 1) * 3:
            wanted = (column + 1) * (4 if column + 1 <= 50_000 else 2)
            while size <= wanted:
                size *= 2
            table = _grown(table, items, size)
    slots = np.argsort(table < 0, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(table, slots, axis=1)


def _insert(table: np.ndarray, items: np.ndarray, columns: np.ndarray, active: np.ndarray) -> None:
    """Put column `columns[r]` of row r into the table, for the active rows at once."""
    mask = table.shape[1] - 1
    rows = np.flatnonzero(active)
    keys = items[rows, columns[rows]].astype(np.int64)
    perturb, slot = keys.copy(), keys & mask
    while len(rows):
        probes = np.where(slot + _LINEAR_PROBES <= mask, _LINEAR_PROBES, 0)
        placed = np.zeros(len(rows), dtype=bool)
        for step in range(_LINEAR_PROBES + 1):
            spot = np.minimum(slot + step, mask)
            free = ~placed & (step <= probes) & (table[rows, spot] < 0)
            table[rows[free], spot[free]] = columns[rows[free]]
            placed |= free
        left = ~placed
        rows, slot, perturb = rows[left], slot[left], perturb[left] >> _PERTURB_SHIFT
        slot = (slot * 5 + 1 + perturb) & mask


def _grown(table: np.ndarray, items: np.ndarray, size: int) -> np.ndarray:
    """Return a larger table with the entries put in again in slot order."""
    larger = np.full((len(table), size), -1, dtype=np.int64)
    for slot in range(table.shape[1]):
        columns = table[:, slot]
        _insert(larger, items, np.maximum(columns, 0), columns >= 0)
    return larger


Metric = Callable[[RankedLists, Sequence[int]], np.ndarray]
METRICS: dict[str, Metric] = {
    f.__name__: f for f in (recall, recall_min, precision, hr, ndcg, ndcg_hit, ndcg_set, mrr, mrr_set)
}
