"""Top lists of some users: what a model or somebody else's program recommends."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recspectra.data.ids import Ids
from recspectra.data.interactions import Interactions

COLUMNS = ("user", "item", "score", "rank")


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"<lists '{self.name}': {len(self.users):,} users, {self.depth} items each at most>"

    def __post_init__(self) -> None:
        if self.items.ndim != 2 or len(self.items) != len(self.users):
            raise ValueError(
                f"{self.name}: items have the shape {self.items.shape}, users {self.users.shape}"
            )
        if self.scores is not None and self.scores.shape != self.items.shape:
            raise ValueError(f"{self.name}: scores have another shape than items")
        if len(np.unique(self.users)) < len(self.users):
            raise ValueError(f"{self.name}: a user has two lists")
        for role, given, first, known in (
            ("user", self.users, 0, self.ids.users), ("item", self.items, -1, self.ids.items),
        ):  # fmt: skip
            if given.dtype.kind not in "iu" or ((given < first) | (given >= len(known))).any():
                raise ValueError(f"{self.name}: a position of a {role} is none of 0 to {len(known) - 1}")
        places = np.sort(self.items, axis=1)
        if ((np.diff(places, axis=1) == 0) & (places[:, 1:] >= 0)).any():
            raise ValueError(f"{self.name}: a list has an item twice")

    @property
    def depth(self) -> int:
        """Length of the longest list that there is room for."""
        return self.items.shape[1]

    def of_all(self, n_users: int) -> np.ndarray:
        """Return the lists of all users, int32, shape (n_users, depth); paddings where there is none."""
        lists = np.full((n_users, self.depth), -1, dtype=np.int32)
        lists[self.users] = self.items
        return lists

    def without(self, seen: Interactions) -> Lists:
        """Return the lists without what their users have in `seen`; what stands behind moves up."""
        pairs = self.users[:, None] * seen.n_items + self.items
        taken = (self.items >= 0) & np.isin(pairs, seen.users * seen.n_items + seen.items)
        order = np.argsort(taken | (self.items < 0), axis=1, kind="stable")
        items = np.take_along_axis(np.where(taken, -1, self.items), order, axis=1)
        scores = None
        if self.scores is not None:
            scores = np.take_along_axis(np.where(taken, np.nan, self.scores), order, axis=1)
        return replace(self, items=items, scores=scores)

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
