"""Top lists from scores on a device: the lists, positions and cut groups of `ranking`, byte by byte.

A device has no cache to search in parts. All scores become keys, and the k largest are taken: what
`ranking.Block` does with the rows that its faster searches leave.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch

from recspectra.fitting.ranking import LOWEST, Found, Ranking, cells_of, items_of
from recspectra.runtime import Diverged
from recspectra.spectral.places import beside, host


def rankings(scores: torch.Tensor, masks: Sequence[sp.csr_array], k: int, ties: bool) -> list[Ranking]:
    """Return the top lists of the same scores for each mask.

    Parameters
    ----------
    scores : float32 tensor, shape (b, n)
        Higher is better.
    masks, k, ties
        As in `ranking.rankings`.

    Raises
    ------
    Diverged
        A score is NaN.
    """
    if bool(scores.isnan().any()):
        raise Diverged("scores hold NaN")
    keys = keys_of(scores)
    return [_ranking(keys, mask, k, ties) for mask in masks]


def keys_of(scores: torch.Tensor) -> torch.Tensor:
    """Return the int64 keys of `ranking.sortable`."""
    bits = (scores + 0.0).contiguous().view(torch.int32)  # -0.0 becomes 0.0
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.long() << 31) | torch.arange(scores.shape[1], device=scores.device)


def _ranking(keys: torch.Tensor, mask: sp.csr_array, k: int, ties: bool) -> Ranking:
    """Return the top lists without what a mask holds."""
    shown = keys.clone()
    shown[tuple(beside(part.astype(np.int64), keys) for part in cells_of(mask, 0, len(keys)))] = LOWEST
    found = Found.empty(len(keys), min(k, keys.shape[1]))
    if found.keys.size:
        found.keys[:] = host(shown.topk(found.keys.shape[1], dim=1).values)
    if ties and found.keys.size:
        _find_equals(keys, shown, found)
    return found.ranking(k, ties)


def _find_equals(keys: torch.Tensor, shown: torch.Tensor, found: Found) -> None:
    """Find how far the last item's equals go on below the list, and the smallest ids of cut groups."""
    last = found.keys[:, -1]
    items, rows = items_of(last), np.arange(len(last))
    levels = keys[beside(rows, keys), beside(items.astype(np.int64), keys)] >> 31
    equal = (shown >> 31) == levels[:, None]
    counts = host(equal.sum(dim=1))
    kept = np.count_nonzero(found.keys >> 31 == last[:, None] >> 31, axis=1)
    found.below[:] = np.maximum(counts - kept, 0)
    cut = np.flatnonzero((items >= 0) & (counts > kept))
    if len(cut):
        found.cut(cut, kept[cut], counts[cut], _smallest(equal[beside(cut, keys)], kept[cut]))


def _smallest(group: torch.Tensor, counts: np.ndarray) -> np.ndarray:
    """Return the first `counts` columns of each row in which a table is true, flat, ascending."""
    n = group.shape[1]
    columns = torch.arange(n, device=group.device)
    first = torch.where(group, columns, n).topk(int(counts.max()), dim=1, largest=False, sorted=True).values
    return host(first)[np.arange(first.shape[1]) < counts[:, None]]
