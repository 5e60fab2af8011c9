"""Lists from elsewhere: read, checked, and brought into the form in which a model's lists are evaluated."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.base import ConfigError
from recspectra.data.columns import as_ids, clean_id
from recspectra.data.ids import Ids
from recspectra.data.interactions import Interactions
from recspectra.evaluation.list_checks import Finding, Placed, place
from recspectra.evaluation.list_doubts import doubts, in_part
from recspectra.evaluation.list_files import ListRows, read_rows, rows_of
from recspectra.evaluation.lists import Lists
from recspectra.fitting.ranking import NO_CUTS, Ranking, as_arrays, list_name

BOTH = "train+valid"


@dataclass(frozen=True, repr=False)
class ReadLists(Lists):
    """Lists from a file.

    Attributes
    ----------
    doubts : tuple of Finding
        What is odd about them, `check` and `text`; nothing where the data were not given.
    history : tuple of str
        What the model was shown when it made them.
    """

    doubts: tuple[Finding, ...] = ()
    history: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, history {' and '.join(self.history) or 'not said'}>"


def read_lists(
    path: Path | str, data: Any = None, name: str = "", columns: Mapping[str, str] | None = None,
    history: str | Collection[str] = (BOTH,),
) -> ReadLists:  # fmt: skip
    """Read lists that another program made, from CSV, TSV, Parquet or a TREC run.

    One row for each recommendation: user, item and, where the file has them, rank and score. Without either
    the rows of a user stand from the best to the last. Ids are those of the data's own file.

    Parameters
    ----------
    path : Path
        The file.
    data : Data, optional
        What `recspectra.read` or `recspectra.dataset` returned: unknown ids stop; items that a user has in
        train are taken out, and validation items unless `history` says `train`. Without it nothing is
        compared, and the ids are those of the lists.
    name : str
        What tables call the lists; by default the file's name.
    columns : mapping, optional
        Role (`user`, `item`, `score`, `rank`) -> name of its column, where that is no common one.
    history : str or collection of str
        What the model was shown: `train`, `train+valid`.

    Returns
    -------
    ReadLists
        With `doubts`; each of them is also a warning.

    Raises
    ------
    DataError
        The file cannot be read, has unknown ids or contradicts itself; the message names the line.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "lists.csv"
    >>> _ = path.write_text("user,item,rank\\nu17,kettle,1\\nu17,lamp,2\\nu99,kettle,1\\n")
    >>> read_lists(path).frame()[["user", "item", "rank"]].values.tolist()
    [['u17', 'kettle', 1], ['u17', 'lamp', 2], ['u99', 'kettle', 1]]
    """
    shown = _histories(history)
    if not isinstance(path, str | PathLike):
        raise ConfigError(f"path: is a {type(path).__name__}, no path; `evaluate` takes a frame as it is")
    if data is not None and not isinstance(getattr(data, "ids", None), Ids):
        raise ConfigError(f"data: is a {type(data).__name__}; give what `read` or `dataset` returned")
    rows = read_rows(path, columns)
    ids = _own_ids(rows) if data is None else data.ids
    placed = place(rows, ids)
    found = [] if data is None else doubts(rows, placed, data.train, data.valid, shown)
    for finding in found:
        warnings.warn(f"{path}: {finding.text}", stacklevel=2)
    if data is not None:
        placed = _unseen(placed, data.train, data.valid, shown)
    users, items, scores = _as_lists(rows, placed)
    return ReadLists(users, items, scores, name or Path(path).stem, ids, tuple(found), shown)


def lists_of(frame: pd.DataFrame, ids: Ids, name: str) -> Lists:
    """Return the lists of a frame with the columns `user`, `item` and `rank` or `score`.

    Rows of a user are ordered by `rank` where there is one, else by falling `score` (equal ones keep the
    order of the frame), else as they stand. The checks are those of a file.

    Raises
    ------
    DataError
        A column is missing, an id is unknown, a number is none, or the rows contradict each other.
    """
    rows = rows_of(frame, f"lists '{name}'")
    users, items, scores = _as_lists(rows, place(rows, ids))
    return Lists(users, items, scores, name, ids)


def _histories(history: Any) -> tuple[str, ...]:
    """Return what a model was shown as a tuple."""
    given = (history,) if isinstance(history, str) else tuple(history or ())
    for one in given or (None,):
        if one not in ("train", BOTH):
            raise ConfigError(f"history: {one!r} is none of train, {BOTH}")
    return given


def _unseen(placed: Placed, train: Interactions, valid: Interactions, histories: Collection[str]) -> Placed:
    """Return rows without items of train, and without those of validation where the model was shown them."""
    seen = in_part(placed, train)
    if "train" not in histories:
        seen |= in_part(placed, valid)
    return Placed(*(column[~seen] for column in placed))


def _own_ids(rows: ListRows) -> Ids:
    """Return the ids that the lists themselves name."""
    known = (np.unique(as_ids(list(map(clean_id, set(given))))) for given in (rows.users, rows.items))
    return Ids(*known)


def _as_lists(rows: ListRows, placed: Placed) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return users, items and scores as `Lists` has them."""
    lengths = placed.lengths
    inside = np.arange(lengths.max(initial=0)) < lengths[:, None]
    items = np.full(inside.shape, -1, dtype=np.int32)
    items[inside] = placed.items
    if rows.scores is None:
        return placed.users[placed.starts], items, None
    scores = np.full(inside.shape, np.nan)
    scores[inside] = rows.scores[placed.rows]
    return placed.users[placed.starts], items, scores


# ----------------------------------------------------------------------------------------- rankings


def rankings(
    placed: Placed, train: Interactions, valid: Interactions, histories: Collection[str], fit: str, top: int
) -> dict[str, np.ndarray]:
    """Return the arrays of `rankings.npz` that lists from elsewhere can stand for.

    Items that a user has in train are taken out, for masks with validation those too. A model that was shown
    `train` gives the lists of that history, and those in which validation items are to be found; these need
    lists that have some of them.

    Parameters
    ----------
    placed : Placed
        What `list_checks.place` returned.
    train, valid : Interactions
        Of the dataset.
    histories : collection of str
        What the model was shown: `train`, `train+valid`.
    fit : str
        What it was fitted on.
    top : int
        Length of the lists that are kept.
    """
    in_train, in_valid = in_part(placed, train), in_part(placed, valid)
    masked = _lists_without(placed, in_train | in_valid, train.n_users, top)
    found = {list_name("test", history, BOTH): masked for history in histories}
    if "train" in histories and in_valid.any():
        open_lists = _lists_without(placed, in_train, train.n_users, top)
        found[list_name("test", "train", "train")] = open_lists
        if fit == "train":
            found[list_name("valid", "train", "train")] = open_lists
    return {key: array for name, lists in found.items() for key, array in _arrays(name, lists).items()}


def _lists_without(placed: Placed, seen: np.ndarray, n_users: int, top: int) -> np.ndarray:
    """Return the lists of all users without some rows, shape (n_users, top), -1 as padding."""
    users, items = placed.users[~seen], placed.items[~seen]
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    places = np.arange(len(users)) - np.repeat(starts, np.diff(starts, append=len(users)))
    lists = np.full((n_users, top), -1, dtype=np.int32)
    kept = places < top
    lists[users[kept], places[kept]] = items[kept]
    return lists


def _arrays(name: str, lists: np.ndarray) -> dict[str, np.ndarray]:
    positions = np.tile(np.arange(1, lists.shape[1] + 1, dtype=np.int32), (len(lists), 1))
    return as_arrays(name, Ranking(lists, positions, NO_CUTS))
