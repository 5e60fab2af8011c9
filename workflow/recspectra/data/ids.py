"""Ids as the user's file writes them, and the positions 0, 1, 2, ... that stand for them here."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra.data.columns import as_ids, clean_id
from recspectra.data.interactions import DataError
from recspectra.files import ArtifactError, atomic, open_regular
from recspectra.identity import hash_of

ROLES = ("user", "item")
SHOWN = 60  # letters of an id that a message shows


@dataclass(frozen=True, eq=False)
class Ids:
    """The ids of a dataset's users and items.

    Attributes
    ----------
    users : int64 or text array, shape (n_users,)
        `users[u]` is the id that the file gives to user `u`.
    items : int64 or text array, shape (n_items,)
        The same of items.
    """

    users: np.ndarray
    items: np.ndarray

    def user_positions(self, given: Any) -> np.ndarray:
        """Return the position of each user that is given; see `positions`."""
        return positions(self._users, given, "user")

    def item_positions(self, given: Any) -> np.ndarray:
        """Return the position of each item that is given; see `positions`."""
        return positions(self._items, given, "item")

    def known_items(self, given: Any) -> np.ndarray:
        """Return positions of items, int64, -1 for an item that is not there."""
        return self._items.get_indexer(spelled(given))

    def known_users(self, given: Any) -> np.ndarray:
        """Return positions of users, int64, -1 for a user who is not there."""
        return self._users.get_indexer(spelled(given))

    @cached_property
    def _users(self) -> pd.Index:
        return pd.Index(self.users.astype(str))

    @cached_property
    def _items(self) -> pd.Index:
        return pd.Index(self.items.astype(str))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ids):
            return NotImplemented
        return np.array_equal(self.users, other.users) and np.array_equal(self.items, other.items)

    @property
    def digest(self) -> str:
        """sha256 of the ids as texts, in their order."""
        return hash_of([self.users.astype(str).tolist(), self.items.astype(str).tolist()])

    def save(self, path: Path | str) -> None:
        """Write a Parquet file, atomically: `kind` (user or item), `position` and `id` (a text)."""
        frame = pd.DataFrame(
            {
                "kind": np.repeat(ROLES, [len(self.users), len(self.items)]),
                "position": np.concatenate([np.arange(len(self.users)), np.arange(len(self.items))]),
                "id": np.concatenate([self.users.astype(str), self.items.astype(str)]),
            }
        )
        with atomic(path) as temporary:
            frame.to_parquet(temporary, index=False)

    @classmethod
    def load(cls, path: Path | str) -> Ids:
        """Read what `save` wrote.

        Raises
        ------
        ArtifactError
            The file is missing, damaged or of another kind.
        """
        try:
            with open_regular(path) as stream:
                frame = pd.read_parquet(stream, columns=["kind", "position", "id"])
            parts = [frame[frame["kind"] == kind] for kind in ROLES]
            if any((part["position"].to_numpy() != np.arange(len(part))).any() for part in parts):
                raise ValueError("positions do not run from 0")
            return cls(*(as_ids(part["id"].tolist()) for part in parts))
        except FileNotFoundError:
            raise ArtifactError(f"{path}: file not found") from None
        except Exception as error:  # Arrow raises a dozen kinds
            raise ArtifactError(
                f"{path}: no readable file of ids ({error}); delete it and run again"
            ) from None


def spelled(given: Any) -> list[str]:
    """Return ids as the one spelling that each has in this project (see `columns.clean_id`).

    Raises
    ------
    DataError
        An id is missing (None, NaN, an empty text), or no text of Unicode; or `given` is a frame.
    """
    if isinstance(given, pd.DataFrame):
        raise DataError(
            f"ids: a frame with the columns {', '.join(map(str, given.columns))}; give one column"
        )
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        given = [given]
    return [_spelled(value, row) for row, value in enumerate(given)]


def _spelled(value: Any, row: int) -> str:
    if not isinstance(value, str):
        if value is None or value is pd.NA or value is pd.NaT or value != value:
            raise DataError(f"ids: number {row + 1:,} is missing ({value})")
        value = str(value)
    text = clean_id(value)
    if not text:
        raise DataError(f"ids: number {row + 1:,} is missing (an empty text)")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DataError(f"ids: number {row + 1:,}, {text[:SHOWN]!a}, is no text of Unicode")
    return text


def positions(known: pd.Index, given: Any, role: str) -> np.ndarray:
    """Return the positions of ids, shape (len(given),), int64.

    Raises
    ------
    DataError
        An id is not there; the message names it, how many there are, and the nearest that is there.
    """
    texts = spelled(given)
    found = known.get_indexer(texts)
    lost = np.flatnonzero(found < 0)
    if not len(lost):
        return found
    first = texts[lost[0]][:SHOWN]
    near = difflib.get_close_matches(first, known[:100_000], n=1, cutoff=0.6)
    hint = f"; did you mean '{near[0]}'?" if near else f" (such as {', '.join(map(str, known[:3]))})"
    more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
    raise DataError(f"unknown {role} {first!r}{more}: the data have {len(known):,} {role}s{hint}")
