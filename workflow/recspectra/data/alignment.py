"""The order of a user's interactions, taken from another source with the same ids.

Only train and valid pairs are looked up, and only their order is kept: a fit sees train
times 1, 2, 3, ..., not the places in the other source's sequences, whose gaps would tell
where the held-out pairs lie.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recspectra.data.interactions import DataError
from recspectra.data.tables import PARTS, InteractionTable

TRAIN, VALID, TEST = range(len(PARTS))


def in_order_of(table: InteractionTable, other: InteractionTable) -> InteractionTable:
    """Return a table with times that sort train and valid pairs as another source does.

    Parameters
    ----------
    table : InteractionTable
        Of a shipped split; its own times are not looked at. Its test pairs are not
        looked up: they come last and keep the order of the file.
    other : InteractionTable
        Holds the same pairs under the same ids; in time order, as its times say or,
        without any, as its rows stand.

    Returns
    -------
    InteractionTable
        The same rows in the same order, with new times (see `times_by_part`).

    Raises
    ------
    DataError
        A pair is not in the other source or twice in it, or there are no parts.
    """
    if table.parts is None:
        raise DataError("an order can be taken from another source for a shipped split alone")
    known = table.parts != TEST
    place = np.arange(len(table))
    place[known] = _places(table, known, other)
    users = np.unique(table.users, return_inverse=True)[1]
    return replace(table, times=times_by_part(users, place, table.parts))


def times_by_part(users: np.ndarray, place: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Return times that order each user's pairs; those of train depend on train alone.

    A user's train pairs get 1, 2, 3, ... in the order of `place`; a valid pair gets a
    time between its neighbours in train, or before or after all of them; test pairs
    follow in file order.

    Parameters
    ----------
    users, place, parts : int arrays
        User, place in time (comparable within a user) and part of each row.
    """
    order = np.lexsort((np.where(parts == TEST, 0, place), parts == TEST, users))
    owner, part = users[order], parts[order]
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    start = np.repeat(first, np.diff(first, append=len(owner)))
    trained = np.cumsum(part == TRAIN)
    seen = trained - np.concatenate([[0], trained])[start]  # of the user, this row included
    known = np.bincount(users, parts != TEST)[owner]
    rank = np.arange(len(owner)) - start
    times = np.empty(len(owner))
    times[order] = np.choose(part, [seen, seen + (rank + 1) / (known + 1), seen + 1 + rank - known])
    return times


# ----------------------------------------------------------------------------- details


def _places(table: InteractionTable, rows: np.ndarray, other: InteractionTable) -> np.ndarray:
    """Return the place in time at which another source has each pair of some rows."""
    n = len(other)
    users = np.unique(np.concatenate([other.users, table.users[rows]]), return_inverse=True)[1]
    labels, items = np.unique(np.concatenate([other.items, table.items[rows]]), return_inverse=True)
    keys = users.astype(np.int64) * len(labels) + items
    sorter = np.argsort(keys[:n])
    repeated = int((np.diff(keys[:n][sorter]) == 0).sum())
    if repeated:
        raise DataError(f"{repeated:,} pairs are repeated, so that their place is not known")
    found = sorter[np.searchsorted(keys[:n], keys[n:], sorter=sorter).clip(max=n - 1)]
    absent = np.flatnonzero(keys[found] != keys[n:])
    if len(absent):
        row = np.flatnonzero(rows)[absent[0]]
        raise DataError(
            f"{len(absent):,} of {len(found):,} train and valid pairs are not there, "
            f"such as user {table.users[row]}, item {table.items[row]}"
        )
    return _oldest_first(other)[found]


def _oldest_first(other: InteractionTable) -> np.ndarray:
    """Return the rank in time of each row; equal times stand as in the file."""
    if other.times is None:
        return np.arange(len(other))
    return np.argsort(np.argsort(other.times, kind="stable"))
