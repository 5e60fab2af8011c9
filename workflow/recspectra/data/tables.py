"""A table of raw interactions, as a reader returns it and `prepare` stores it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from recspectra.data.interactions import DataError
from recspectra.files import read_npz, write_npz

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Account:
    """What became of a source's rows: all of them were read or dropped.

    Attributes
    ----------
    rows_in : int
        Rows of the source, blank lines included.
    dropped : dict
        Reason -> rows that were left out while reading.
    unified : int
        Spellings of ids beyond the first of each id (see `columns.clean_id`).
    examples : tuple of str
        Such spellings and the ids they stand for, in words.
    filtered : dict
        Reason -> interactions that the filter left out.
    layout : dict
        How the source was understood, for people: separator, columns, ...
    """

    rows_in: int
    dropped: dict[str, int] = field(default_factory=dict)
    unified: int = 0
    examples: tuple[str, ...] = ()
    filtered: dict[str, int] = field(default_factory=dict)
    layout: dict[str, str] = field(default_factory=dict)

    @property
    def rows_read(self) -> int:
        """Rows that became interactions."""
        return self.rows_in - sum(self.dropped.values())

    def words(self) -> str:
        """Return one line: rows, what was dropped, what was unified."""
        dropped = f"{sum(self.dropped.values()):,} dropped"
        if self.dropped:
            dropped += f" ({counts_in_words(self.dropped)})"
        unified = f"{self.unified:,} spellings of ids unified"
        if self.examples:
            unified += f" ({', '.join(self.examples)})"
        return f"{self.rows_in:,} rows: {self.rows_read:,} read, {dropped}; {unified}"

    def statistics(self) -> dict[str, Any]:
        """Return what `stats.json` holds of it."""
        return {
            "rows_in": self.rows_in,
            "rows_read": self.rows_read,
            "rows_dropped": self.dropped,
            "rows_filtered": self.filtered,
            "ids_unified": self.unified,
        }

    @classmethod
    def sum(cls, accounts: list[Account]) -> Account:
        """Return the account of several files of one dataset."""
        total: dict[str, int] = {}
        for account in accounts:
            for reason, rows in account.dropped.items():
                total[reason] = total.get(reason, 0) + rows
        examples = tuple(example for a in accounts for example in a.examples)[:2]
        return cls(
            sum(a.rows_in for a in accounts), total, sum(a.unified for a in accounts), examples,
            layout=accounts[0].layout if accounts else {},
        )  # fmt: skip


def counts_in_words(counts: Mapping[str, int]) -> str:
    """Return "2 missing time, 1 blank line" for counts by reason."""
    return ", ".join(f"{rows:,} {reason}" for reason, rows in counts.items())


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
    account : Account
        What became of the source's rows; by default each is an interaction.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    ratings: np.ndarray | None
    parts: np.ndarray | None
    account: Account = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.account is None:
            object.__setattr__(self, "account", Account(len(self.users)))

    def __len__(self) -> int:
        return len(self.users)

    def save(self, path: Path | str) -> None:
        """Write to an npz file, atomically."""
        optional = {"times": self.times, "ratings": self.ratings, "parts": self.parts}
        present = {name: array for name, array in optional.items() if array is not None}
        account = np.array(json.dumps(asdict(self.account)))
        write_npz(path, users=self.users, items=self.items, account=account, **present)

    @classmethod
    def load(cls, path: Path | str) -> InteractionTable:
        """Read what `save` wrote."""
        arrays = read_npz(path)
        optional = [arrays.get(name) for name in ("times", "ratings", "parts")]
        account = None
        if "account" in arrays:
            known = json.loads(str(arrays["account"]))
            account = Account(**known | {"examples": tuple(known["examples"])})
        return cls(arrays["users"], arrays["items"], *optional, account)

    def densified(self) -> tuple[InteractionTable, np.ndarray, np.ndarray]:
        """Return the table with ids 0, 1, 2, ... in the order of the source's ids.

        Returns
        -------
        table, user_labels, item_labels
            `user_labels[u]` is the id that the source gives to user `u`.
        """
        user_labels, users = np.unique(self.users, return_inverse=True)
        item_labels, items = np.unique(self.items, return_inverse=True)
        table = replace(self, users=users, items=items)
        return table, user_labels, item_labels


def concatenate(tables: list[InteractionTable]) -> InteractionTable:
    """Stack the tables of a dataset's files.

    Ids are compared as texts where they are texts in any of the files.

    Raises
    ------
    DataError
        Some of them have times, ratings or parts, and others have none.
    """
    columns = {name: _stacked(tables, name) for name in ("users", "items", "times", "ratings", "parts")}
    return InteractionTable(**columns, account=Account.sum([t.account for t in tables]))


def _stacked(tables: list[InteractionTable], name: str) -> np.ndarray | None:
    columns = [getattr(t, name) for t in tables]
    present = [c for c in columns if c is not None]
    if not present:
        return None
    if len(present) < len(columns):
        raise DataError(f"some of the dataset's files have {name}, others have none")
    if name in ("users", "items") and any(c.dtype.kind == "U" for c in columns):
        present = [c.astype(str) for c in columns]
    return np.concatenate(present)


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
