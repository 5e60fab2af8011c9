"""A table of raw interactions, as a reader returns it and `prepare` stores it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recspectra.artifacts import read_npz, write_npz
from recspectra.data.interactions import DataError

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class InteractionTable:
    """Parallel arrays, one entry per interaction, in the order of the files.

    Attributes
    ----------
    users, items : int64 or text arrays
        Ids as the source writes them (`densified` makes them 0, 1, 2, ...).
    times : float64 array or None
        Time stamps in seconds.
    ratings : float64 array or None
        Ratings, where the source has them.
    parts : int8 array or None
        Index into `PARTS` where the source ships its own split.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    ratings: np.ndarray | None
    parts: np.ndarray | None

    def __len__(self) -> int:
        return len(self.users)

    def save(self, path: Path | str) -> None:
        """Write to an npz file, atomically."""
        optional = {"times": self.times, "ratings": self.ratings, "parts": self.parts}
        present = {name: array for name, array in optional.items() if array is not None}
        write_npz(path, users=self.users, items=self.items, **present)

    @classmethod
    def load(cls, path: Path | str) -> InteractionTable:
        """Read what `save` wrote."""
        arrays = read_npz(path)
        optional = [arrays.get(name) for name in ("times", "ratings", "parts")]
        return cls(arrays["users"], arrays["items"], *optional)

    def densified(self) -> tuple[InteractionTable, np.ndarray, np.ndarray]:
        """Return the table with ids 0, 1, 2, ... in the order of the source's ids.

        Returns
        -------
        table, user_labels, item_labels
            `user_labels[u]` is the id that the source gives to user `u`.
        """
        user_labels, users = np.unique(self.users, return_inverse=True)
        item_labels, items = np.unique(self.items, return_inverse=True)
        table = InteractionTable(users, items, self.times, self.ratings, self.parts)
        return table, user_labels, item_labels


def concatenate(tables: list[InteractionTable]) -> InteractionTable:
    """Stack tables; a column that one of them lacks is dropped."""

    def column(name: str) -> np.ndarray | None:
        columns = [getattr(t, name) for t in tables]
        return None if any(c is None for c in columns) else np.concatenate(columns)

    return InteractionTable(*(column(n) for n in ("users", "items", "times", "ratings", "parts")))


def check_duplicates(table: InteractionTable, dataset: str) -> int:
    """Return how many pairs repeat an earlier one; refuse a pair in two parts of a split."""
    dense, _, labels = table.densified()
    keys = dense.users * len(labels) + dense.items
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    repeated = len(table) - len(first)
    if repeated and table.parts is not None:
        crossing = table.parts != table.parts[first][inverse]
        if crossing.any():
            row = int(np.flatnonzero(crossing)[0])
            raise DataError(
                f"dataset '{dataset}': user {table.users[row]}, item {table.items[row]} stands in "
                f"two parts of the shipped split ({int(crossing.sum())} such pairs)"
            )
    return repeated
