"""Top lists of some users: what a model or somebody else's program recommends."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recspectra.data.ids import Ids
from recspectra.data.interactions import DataError

COLUMNS = ("user", "item", "score", "rank")


@dataclass(frozen=True)
class Lists:
    """Top lists of some users.

    Attributes
    ----------
    users : int64 array, shape (u,)
        Positions of the users, each once.
    items : int32 array, shape (u, depth)
        Positions of the items of each user, best first; -1 pads a short list.
    scores : float array, shape (u, depth), or None
        Their scores where they are known, NaN at paddings.
    name : str
        What tables call the lists.
    ids : Ids
        The ids of the dataset that the positions belong to.
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray | None
    name: str
    ids: Ids

    def __post_init__(self) -> None:
        if self.items.ndim != 2 or len(self.items) != len(self.users):
            raise ValueError(
                f"{self.name}: items have the shape {self.items.shape}, users {self.users.shape}"
            )
        if self.scores is not None and self.scores.shape != self.items.shape:
            raise ValueError(f"{self.name}: scores have another shape than items")
        if len(np.unique(self.users)) < len(self.users):
            raise ValueError(f"{self.name}: a user has two lists")

    @property
    def depth(self) -> int:
        """Length of the longest list that there is room for."""
        return self.items.shape[1]

    def of_all(self, n_users: int) -> np.ndarray:
        """Return the lists of all users, int32, shape (n_users, depth); paddings where there is none."""
        lists = np.full((n_users, self.depth), -1, dtype=np.int32)
        lists[self.users] = self.items
        return lists

    def cut(self, k: int) -> Lists:
        """Return the first `k` items of each list."""
        scores = None if self.scores is None else self.scores[:, :k]
        return replace(self, items=self.items[:, :k], scores=scores)

    def frame(self) -> pd.DataFrame:
        """Return one row per recommendation, with the file's own ids: user, item, score, rank (from 1)."""
        rows, columns = np.nonzero(self.items >= 0)
        scores = np.full(len(rows), np.nan) if self.scores is None else self.scores[rows, columns]
        values = (
            self.ids.users[self.users[rows]],
            self.ids.items[self.items[rows, columns]],
            scores,
            columns + 1,
        )
        return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))


def lists_of(frame: pd.DataFrame, ids: Ids, name: str) -> Lists:
    """Return the lists of a frame with the columns `user`, `item` and `rank` or `score`.

    Rows of a user are ordered by `rank` where there is one, else by falling `score` (equal ones keep the
    order of the frame), else as they stand.

    Raises
    ------
    DataError
        A column is missing, an id is unknown, or a user has an item twice.
    """
    for column in ("user", "item"):
        if column not in frame.columns:
            raise DataError(
                f"lists '{name}': no column '{column}'; lists need user, item and rank or score, "
                f"there are {', '.join(map(str, frame.columns))}"
            )
    users, items = ids.user_positions(frame["user"]), ids.item_positions(frame["item"])
    order = _order(frame, users)
    users, items = users[order], items[order]
    _refuse_repeats(users, items, ids, name)
    owners, starts, lengths = np.unique(users, return_index=True, return_counts=True)
    places = np.arange(len(users)) - np.repeat(starts, lengths)
    rows = np.repeat(np.arange(len(owners)), lengths)
    lists = np.full((len(owners), lengths.max(initial=0)), -1, dtype=np.int32)
    lists[rows, places] = items
    scores = None
    if "score" in frame.columns:
        scores = np.full(lists.shape, np.nan)
        scores[rows, places] = frame["score"].to_numpy(dtype=np.float64)[order]
    return Lists(owners.astype(np.int64), lists, scores, name, ids)


def _order(frame: pd.DataFrame, users: np.ndarray) -> np.ndarray:
    """Return the rows of a frame by user and, inside, from the best to the last."""
    if "rank" in frame.columns:
        return np.lexsort((frame["rank"].to_numpy(dtype=np.float64), users))
    if "score" in frame.columns:
        return np.lexsort((-frame["score"].to_numpy(dtype=np.float64), users))
    return np.argsort(users, kind="stable")


def _refuse_repeats(users: np.ndarray, items: np.ndarray, ids: Ids, name: str) -> None:
    _, first = np.unique(users * len(ids.items) + items, return_index=True)
    if len(first) < len(users):
        row = int(np.setdiff1d(np.arange(len(users)), first)[0])
        user, item = ids.users[users[row]], ids.items[items[row]]
        raise DataError(f"lists '{name}': user '{user}' has item '{item}' twice")
