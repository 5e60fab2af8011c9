"""The order of a user's interactions, taken from another source with the same ids.

Only train and valid pairs are looked up, and the split keeps only their order: a fit does not see
the places in the other source's sequences, whose gaps would tell where the held-out pairs lie.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recspectra.data.interactions import DataError
from recspectra.data.tables import PARTS, InteractionTable

TEST = PARTS.index("test")


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
        The same rows in the same order; as times the places in the other source, of test pairs after them
        all the rows of the file.

    Raises
    ------
    DataError
        A pair is not in the other source or twice in it, or there are no parts.
    """
    if table.parts is None:
        raise DataError("an order can be taken from another source for a shipped split alone")
    known = table.parts != TEST
    places = np.arange(len(table)) + len(other)
    places[known] = _places(table, known, other)
    return replace(table, times=places.astype(np.float64))


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
