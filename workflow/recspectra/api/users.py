"""Whom a model is asked about: users it knows, or new ones with their history."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from recspectra.config.base import ConfigError
from recspectra.data.columns import as_ids
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
    new = [name for name, place in zip(names, known, strict=True) if place < 0]
    users = np.array([*model.ids.users.astype(str), *new]) if new else model.ids.users
    rows = known.copy()
    rows[known < 0] = len(model.ids.users) + np.arange(len(new))
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
    return {spelled([user])[0]: spelled(items) for user, items in history.items()}


def _moments(times: pd.Series) -> np.ndarray:
    """Return times as numbers that can be ordered; texts may be numbers or dates, all of one kind."""
    dates = partial(pd.to_datetime, format="ISO8601", utc=True)
    for read in (pd.to_numeric, dates) if times.notna().all() else ():
        with contextlib.suppress(ValueError, TypeError):
            found = read(times)
            if found.notna().all():
                return (found.astype("int64") if read is dates else found).to_numpy()
    raise DataError("history: the column time must have a number, or a date such as 2020-01-31, in every row")


def _of_frame(frame: pd.DataFrame) -> dict[str, list[str]]:
    for column in ("user", "item"):
        if column not in frame.columns:
            raise DataError(
                f"history: the frame has no column '{column}'; it has {', '.join(map(str, frame.columns))}"
            )
    if "time" in frame.columns:
        frame = frame.iloc[np.argsort(_moments(frame["time"]), kind="stable")]
    users, items = spelled(frame["user"]), spelled(frame["item"])
    found: dict[str, list[str]] = {}
    for user, item in zip(users, items, strict=True):
        found.setdefault(user, []).append(item)
    return found
