"""Whom a model is asked about: users it knows, or new ones with their history."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from recspectra.config.base import ConfigError
from recspectra.data.columns import BadCell, TimeColumn, as_ids, id_problem
from recspectra.data.ids import Ids, spelled
from recspectra.data.interactions import DataError, Interactions, from_pairs

if TYPE_CHECKING:
    from recspectra.api.model import Model


class Asked(NamedTuple):
    """Users, one a row.

    Attributes
    ----------
    rows : int64 array, shape (b,)
        Positions in `ids`; those of new users follow those of the model.
    numbers : int64 array, shape (b,)
        What the model calls them: their positions, and for every new user the number of known users.
    history : Interactions
        What each row has.
    ids : Ids
        The model's, with the new users after its own.
    """

    rows: np.ndarray
    numbers: np.ndarray
    history: Interactions
    ids: Ids


def asked_users(model: Model, users: Any, history: Any) -> Asked:
    """Return whom a model is asked about; see `Model.recommend`.

    Raises
    ------
    DataError
        A user or item is unknown, or a user of `users` has no history in `history`.
    ConfigError
        The model scores only users that it was fitted on.
    """
    if history is None:
        rows = np.arange(len(model.ids.users)) if users is None else model.ids.user_positions(users)
        _refuse_twice(rows, model.ids.users)
        return Asked(rows, rows, _rows_of(model.history, rows), model.ids)
    if not model.takes_new_users:
        raise ConfigError(
            f"history: {model.about['title']} needs what it learned of each user it was fitted on; it takes "
            "no other history and no new users. Leave `history` out, or take a model whose `takes_new_users` "
            "is true"
        )
    given = _given(history)
    names = list(given) if users is None else spelled(users)
    if lost := [name for name in names if name not in given]:
        raise DataError(f"history: has no user '{lost[0]}'; it has {', '.join(list(given)[:5]) or 'nobody'}")
    return _with_history(model, names, given)


def _with_history(model: Model, names: list[str], given: Mapping[str, list[str]]) -> Asked:
    known = model.ids.known_users(names)
    unknown = dict.fromkeys(name for name, place in zip(names, known, strict=True) if place < 0)
    if problem := next(filter(None, map(id_problem, unknown)), ""):
        raise DataError(f"history: user {problem}")
    new = {name: len(model.ids.users) + number for number, name in enumerate(unknown)}
    users = np.array([*model.ids.users.astype(str), *new]) if new else model.ids.users
    rows = known.copy()
    rows[known < 0] = [new[name] for name in names if name in new]
    _refuse_twice(rows, users)
    numbers = np.where(known < 0, len(model.ids.users), known)
    items = [model.ids.item_positions(given[name]) if given[name] else np.zeros(0, int) for name in names]
    owners = np.repeat(np.arange(len(names)), [len(part) for part in items])
    flat = np.concatenate([np.zeros(0, dtype=np.int64), *items])
    shown = from_pairs(owners, flat, None, (len(names), len(model.ids.items)))
    return Asked(rows, numbers, shown, Ids(as_ids(users.tolist()) if new else users, model.ids.items))


def _refuse_twice(rows: np.ndarray, users: np.ndarray) -> None:
    values, counts = np.unique(rows, return_counts=True)
    if (counts > 1).any():
        raise DataError(f"users: '{users[values[counts > 1][0]]}' is given twice")


def _rows_of(history: Interactions, rows: np.ndarray) -> Interactions:
    """Return the histories of some users, one a row."""
    lengths = history.lengths[rows]
    owners = np.repeat(np.arange(len(rows)), lengths)
    starts = np.repeat(history.indptr[rows] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    items = history.items[np.arange(lengths.sum()) + starts]
    return from_pairs(owners, items, None, (len(rows), history.n_items))


def _given(history: Any) -> dict[str, list[str]]:
    """Return user -> items, oldest first, of a mapping or a frame."""
    if isinstance(history, pd.DataFrame):
        return _of_frame(history)
    if not isinstance(history, Mapping):
        raise ConfigError(
            f"history: is a {type(history).__name__}; give a mapping user -> items, or a frame with the "
            "columns user and item"
        )
    names = spelled(list(history))
    if len(set(names)) < len(names):
        again = next(name for i, name in enumerate(names) if name in names[:i])
        raise DataError(f"history: user '{again}' is given twice; put all items of a user into one list")
    for name, items in zip(names, history.values(), strict=True):
        if isinstance(items, Set):
            raise ConfigError(f"history: the items of '{name}' are a set, which has no order; give a list, "
                              "oldest first")  # fmt: skip
    return {name: spelled(items) for name, items in zip(names, history.values(), strict=True)}


def _of_frame(frame: pd.DataFrame) -> dict[str, list[str]]:
    here = frame.columns.tolist()
    for column in ("user", "item", "time"):
        if here.count(column) > 1 or (column != "time" and column not in here):
            count = "several columns" if column in here else "no column"
            raise DataError(f"history: the frame has {count} '{column}'; it has {', '.join(map(str, here))}")
    if "time" in frame.columns:
        frame = frame.iloc[np.argsort(_times(frame["time"]), kind="stable")]
    users, items = spelled(frame["user"]), spelled(frame["item"])
    found: dict[str, list[str]] = {}
    for user, item in zip(users, items, strict=True):
        found.setdefault(user, []).append(item)
    return found


def _times(column: pd.Series) -> np.ndarray:
    """Return times as numbers; texts are read by the rules of `docs/own-data.md`."""
    if missing := int(column.isna().sum()):
        raise DataError(f"history: column 'time': {missing:,} values are missing; fill them in")
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return column.to_numpy()
    reader = TimeColumn()
    try:
        values, missing = reader.parse([str(value) for value in column])
    except BadCell as error:
        raise DataError(f"history: column 'time', row {error.index + 1:,}: {error}") from None
    if missing is not None:
        raise DataError(f"history: column 'time', row {int(np.argmax(missing)) + 1:,}: the value is missing")
    return reader.finish(values)
