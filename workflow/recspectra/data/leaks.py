"""What a split lets a model know of the time that it is tested on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recspectra.data.interactions import Interactions


def leaks(pieces: Mapping[str, Interactions]) -> dict[str, Any]:
    """Return checks of a split for `stats.json`.

    Parameters
    ----------
    pieces : mapping
        `train`, `valid` and `test`; without times nothing can be said of time.

    Returns
    -------
    dict
        `test_in_train`, `test_in_valid` and `valid_in_train`, (user, item) pairs that stand in both parts.
        With times: `test_before_last_train`, the share of test interactions that are earlier than the last
        one of train, whoever had it; `users_with_future_train`, the share of test users who have a training
        interaction later than their first test one; `valid_before_last_train`, as the first of valid;
        `last_train`, `first_test`, seconds since 1970. Without times these are None.
    """
    train, valid, test = (pieces[name] for name in ("train", "valid", "test"))
    found: dict[str, Any] = {
        "test_in_train": _both(test, train),
        "test_in_valid": _both(test, valid),
        "valid_in_train": _both(valid, train),
    }
    return found | (_in_time(train, valid, test) if train.times is not None else dict.fromkeys(OF_TIME))


OF_TIME = (
    "test_before_last_train", "valid_before_last_train", "users_with_future_train", "last_train", "first_test"
)  # fmt: skip


def _both(first: Interactions, second: Interactions) -> int:
    return int(first.matrix.multiply(second.matrix).nnz)


def _in_time(train: Interactions, valid: Interactions, test: Interactions) -> dict[str, float]:
    last = float(train.times.max())
    first_test = np.full(test.n_users, np.inf)
    np.minimum.at(first_test, test.users, test.times)
    ahead = np.zeros(test.n_users, dtype=bool)
    ahead[train.users[train.times > first_test[train.users]]] = True
    there = np.isfinite(first_test)
    values = (
        float((test.times < last).mean()), float((valid.times < last).mean()), float(ahead[there].mean()),
        last, float(test.times.min()),
    )  # fmt: skip
    return dict(zip(OF_TIME, values, strict=True))


def describe(found: Mapping[str, Any]) -> list[str]:
    """Return what a split leaks in words; nothing without times."""
    if found["last_train"] is None:
        return []
    early, future = found["test_before_last_train"], found["users_with_future_train"]
    if not early:
        return ["no test interaction is earlier than the last training one"]
    return [
        f"{early:.1%} of the test interactions are earlier than the last training one; {future:.1%} of the "
        "test users have a training interaction later than their first test one"
    ]
