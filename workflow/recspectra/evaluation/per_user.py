"""The metrics of every user, as `per_user/{dataset}.parquet` keeps them for comparisons of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recspectra.data.reach import warm_users
from recspectra.files import atomic

if TYPE_CHECKING:
    import pyarrow

    from recspectra.data.interactions import Interactions

QUARTERS = 4
LABELS = ("dataset", "model", "variant", "key", "protocol", "fit", "history", "mask", "metric")
Point = tuple[str, int]  # metric, cut-off


def activity(lengths: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Return the quarter of some users by their number of interactions, 1 (fewest) to 4.

    The borders are the quartiles of these users' numbers. Users of equal numbers are in one quarter, so a
    quarter may be empty.

    Parameters
    ----------
    lengths : int array, shape (n_users,)
        Training interactions of all users.
    users : int array, shape (u,)
        Whose quarters are asked for.

    Returns
    -------
    int8 array, shape (u,)
    """
    own = lengths[users]
    if not len(own):
        return np.zeros(0, dtype=np.int8)
    borders = np.quantile(own, np.arange(1, QUARTERS) / QUARTERS)
    return (1 + np.searchsorted(borders, own, side="left")).astype(np.int8)


@dataclass(frozen=True)
class Members:
    """Users with something to be found: who they are, who is warm, and their quarter by activity.

    Attributes
    ----------
    users : int array, shape (u,)
    warm : bool array, shape (u,)
        Whether a user has a training interaction.
    activity : int8 array, shape (u,)
        See `activity`.
    """

    users: np.ndarray
    warm: np.ndarray
    activity: np.ndarray

    @classmethod
    def of(cls, train: Interactions, users: np.ndarray) -> Members:
        """Return who some users are, by the training interactions of all."""
        return cls(users, warm_users(train)[users], activity(train.lengths, users))

    def group(self, name: str) -> np.ndarray:
        """Return who is in a group: `all`, `warm`, `cold` or `activity-1` to `activity-4`."""
        known = {"all": np.ones(len(self.users), dtype=bool), "warm": self.warm, "cold": ~self.warm}
        return known[name] if name in known else self.activity == int(name.removeprefix("activity-"))

    def within(self, chosen: np.ndarray) -> Members:
        """Return some of them, each in the quarter that it has among all."""
        return Members(self.users[chosen], self.warm[chosen], self.activity[chosen])


class PerUser:
    """Values of every user, collected run by run.

    A file has a row a run, metric and user: the labels of the run, `seed`, `k`, `user`, `warm`, `activity`,
    `value` and `user_id`; all of one metric lie together, so that a reader of one need not read the others.
    """

    def __init__(self) -> None:
        self._parts: dict[tuple, list[tuple[dict[str, Any], Members, np.ndarray]]] = {}

    def add(self, head: Mapping[str, Any], members: Members, values: Mapping[Point, np.ndarray]) -> None:
        """Add the values of one run under one protocol and view."""
        for point, column in values.items():
            place = (head["protocol"], head["history"], head["mask"], *point)
            part = (dict(head), members, column.astype(np.float32))
            self._parts.setdefault(place, []).append(part)

    def frame(self) -> pd.DataFrame:
        """Return all rows; an empty frame without columns if there is none."""
        frames = [table.to_pandas() for table in self._tables()]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def write(self, path: Path, ids: np.ndarray) -> None:
        """Write a Parquet file, atomically and metric by metric.

        Parameters
        ----------
        path : Path
        ids : str array, shape (n_users,)
            The id that the user's file gives to each position.
        """
        from pyarrow import parquet

        with atomic(path) as temporary:
            tables = (_with_ids(table, ids) for table in self._tables())
            if (first := next(tables, None)) is None:
                pd.DataFrame().to_parquet(temporary, index=False)
                return
            with parquet.ParquetWriter(temporary, first.schema) as writer:
                writer.write_table(first)
                for table in tables:
                    writer.write_table(table)

    def _tables(self) -> Iterator[pyarrow.Table]:
        import pyarrow

        for (*_, metric, k), parts in self._parts.items():
            rows = [_rows({**head, "metric": metric}, k, *part) for head, *part in parts]
            yield pyarrow.concat_tables(rows).unify_dictionaries()


def _rows(head: dict[str, Any], k: int, members: Members, values: np.ndarray) -> pyarrow.Table:
    import pyarrow

    count = len(values)
    codes = pyarrow.array(np.zeros(count, dtype=np.int32))
    columns = {name: pyarrow.DictionaryArray.from_arrays(codes, [str(head[name])]) for name in LABELS}
    columns |= {"seed": np.full(count, head["seed"]), "k": np.full(count, k)}
    columns |= {"user": members.users.astype(np.int32), "warm": members.warm, "activity": members.activity}
    return pyarrow.table(columns | {"value": values})


def _with_ids(table: pyarrow.Table, ids: np.ndarray) -> pyarrow.Table:
    import pyarrow

    names = [str(name) for name in ids]
    users = table.column("user").combine_chunks()
    return table.append_column("user_id", pyarrow.DictionaryArray.from_arrays(users, names))
