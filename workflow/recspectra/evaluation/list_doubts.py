"""What is odd about lists from elsewhere: doubts, which stop nothing and stay with the numbers.

`doubts` need train and validation only. Those that compare with test items (`doubts_at_test`) are raised
where test data may be read, by the evaluation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from recspectra.data.interactions import Interactions
from recspectra.evaluation.list_checks import MOSTLY, Finding, Placed
from recspectra.evaluation.list_files import ListRows

FEWEST = 20  # users; a sign in fewer is none
IN_ORDER = 0.9  # share of users whose hits stand in the order of the test part
HIT_ODDS, HIT_ERRORS = 2.5, 5.0  # test hits above validation hits: ratio of odds, difference in errors
LIKE_CHANCE = (0.5, 2.0)
LEAKED = "were test data used to make the lists?"
LEAKS = ("test items first", "test order", "test above validation")  # checks that ask this


# -------------------------------------------------------------------------- by train and validation


def doubts(
    rows: ListRows, placed: Placed, train: Interactions, valid: Interactions, histories: Collection[str]
) -> list[Finding]:
    """Return what is odd about lists, seen without test data.

    Parameters
    ----------
    rows, placed : ListRows, Placed
        The file, and what `list_checks.place` makes of it.
    train, valid : Interactions
        Of the dataset.
    histories : collection of str
        What the model was shown, as the study says: `train`, `train+valid`.
    """
    return [
        *_seen_in_train(placed, train), *_seen_in_valid(placed, valid, histories), *_unsorted(rows, placed),
        *_equal_scores(rows, placed), *_same_for_all(placed),
    ]  # fmt: skip


def in_part(placed: Placed, part: Interactions) -> np.ndarray:
    """Return which rows hold an item that the user has in a part of the split."""
    return np.isin(
        placed.users * part.n_items + placed.items, np.unique(part.users * part.n_items + part.items)
    )


def _seen_in_train(placed: Placed, train: Interactions) -> Iterator[Finding]:
    if not (seen := in_part(placed, train)).any():
        return
    chance = train.distinct.lengths[placed.users].sum() / train.n_items
    low, high = LIKE_CHANCE
    users = len(np.unique(placed.users[seen]))
    random = chance > FEWEST and low < seen.sum() / chance < high
    hint = (
        "; as many as in lists drawn at random: do the ids stand for others, such as a program's own numbers?"
    )
    yield Finding(
        "items of train",
        f"{seen.sum():,} of {len(seen):,} entries, of {users:,} users, are items "
        f"that the user has in train; they are taken out, as for all models{hint if random else ''}",
    )


def _seen_in_valid(placed: Placed, valid: Interactions, histories: Collection[str]) -> Iterator[Finding]:
    seen = in_part(placed, valid)
    if seen.any() and "train" not in histories:
        yield Finding(
            "items of validation",
            f"{seen.sum():,} of {len(seen):,} entries are validation items of the user; they are taken out "
            "(write `history: train` if the model was not shown them)",
        )


def _unsorted(rows: ListRows, placed: Placed) -> Iterator[Finding]:
    if rows.order != "score":
        return
    scores, inside = rows.scores[placed.rows], np.diff(placed.users) == 0
    moved = np.flatnonzero(inside & (np.diff(placed.rows) < 0) & (np.diff(scores) < 0))
    if len(moved):
        yield Finding(
            "unsorted rows",
            f"the rows of {len(np.unique(placed.users[moved])):,} users do not stand in the order of their "
            "scores; they were sorted by score",
        )


def _equal_scores(rows: ListRows, placed: Placed) -> Iterator[Finding]:
    if rows.order != "score":
        return
    scores, starts = rows.scores[placed.rows], placed.starts
    long = placed.lengths > 1
    flat = long & (np.maximum.reduceat(scores, starts) == np.minimum.reduceat(scores, starts))
    if flat.sum() > MOSTLY * long.sum():
        yield Finding(
            "equal scores",
            f"all scores of a list are equal, for {flat.sum():,} users: the order of the rows was taken",
        )


def _same_for_all(placed: Placed) -> Iterator[Finding]:
    users, lengths = len(placed.starts), placed.lengths
    if users < FEWEST or lengths.min() != lengths.max():
        return
    lists = placed.items.reshape(users, -1)
    if (lists == lists[0]).all():
        yield Finding("same for all", f"the lists of all {users:,} users are the same")


# ------------------------------------------------------------------------------------- by test data


def doubts_at_test(
    lists: np.ndarray, pieces: Mapping[str, Interactions], k: int, unmasked: np.ndarray | None = None
) -> list[Finding]:
    """Return what is odd about lists, seen with test items.

    Parameters
    ----------
    lists : int32 array, shape (n_users, depth)
        Lists without items of train and validation; -1 pads.
    pieces : mapping
        `train`, `valid` and `test`.
    k : int
        Largest cut-off that is measured.
    unmasked : int32 array, optional
        The same with validation items, where the model could list them.
    """
    test = pieces["test"]
    found = [
        *_absent(lists, test),
        *_short(lists, pieces, k),
        *leaks(lists, test),
    ]
    return found if unmasked is None else [*found, *_above_validation(unmasked, pieces, k)]


def leaks(lists: np.ndarray, test: Interactions) -> list[Finding]:
    """Return what in lists of shape (n_users, depth) speaks for knowledge of the test items."""
    return [*_perfect(lists, test), *_in_order(lists, test)]


def _absent(lists: np.ndarray, test: Interactions) -> Iterator[Finding]:
    users = np.flatnonzero(test.lengths > 0)
    if absent := int((lists[users] < 0).all(axis=1).sum()):
        yield Finding(
            "absent users", f"{absent:,} of {len(users):,} test users have no list; they count with 0"
        )


def _short(lists: np.ndarray, pieces: Mapping[str, Interactions], k: int) -> Iterator[Finding]:
    users = np.flatnonzero(pieces["test"].lengths > 0)
    length, train = (lists[users] >= 0).sum(axis=1), pieces["train"]
    candidates = train.n_items - train.merged(pieces["valid"]).distinct.lengths[users]
    short = (length > 0) & (length < np.minimum(k, candidates))
    if short.any():
        yield Finding(
            "short lists",
            f"{short.sum():,} of {len(users):,} test users have fewer than {k} items (half of these at most "
            f"{int(np.median(length[short]))}); the places behind count as misses",
        )


def _perfect(lists: np.ndarray, test: Interactions) -> Iterator[Finding]:
    """Lists that begin with all test items, which no model knows that well."""
    wanted = {user: set(test.sequence(user).tolist()) for user in np.flatnonzero(test.lengths > 0)}
    whole = sum(set(lists[user, : len(items)].tolist()) == items for user, items in wanted.items())
    if len(wanted) >= FEWEST and whole > MOSTLY * len(wanted):
        yield Finding(
            "test items first",
            f"the lists of {whole:,} of {len(wanted):,} test users begin with exactly their test items: "
            f"{LEAKED}",
        )


def _in_order(lists: np.ndarray, test: Interactions) -> Iterator[Finding]:
    """Hits that stand in the order of the test part; of three, one list in six has it by chance."""
    found = []
    for user in np.flatnonzero(test.lengths >= 3):
        place = {item: i for i, item in enumerate(test.sequence(user).tolist())}
        hits = [place[item] for item in lists[user].tolist() if item in place]
        found += [hits in (sorted(hits), sorted(hits, reverse=True))] if len(hits) >= 3 else []
    if len(found) >= FEWEST and sum(found) > IN_ORDER * len(found):
        yield Finding(
            "test order",
            f"of {len(found):,} users with three hits or more, {sum(found):,} have them in the order of the "
            f"test part: {LEAKED}",
        )


def _above_validation(lists: np.ndarray, pieces: Mapping[str, Interactions], k: int) -> Iterator[Finding]:
    """Test items found far more often than validation items, in lists that may hold both."""
    (at_test, one), (at_valid, other) = (
        _found(lists, pieces[part].distinct, k) for part in ("test", "valid")
    )
    odds = at_test * (1.0 - at_valid) > HIT_ODDS * at_valid * (1.0 - at_test)
    if odds and at_test - at_valid > HIT_ERRORS * np.hypot(one, other):
        yield Finding(
            "test above validation",
            f"the first {k} items find {at_test:.1%} of the test items and {at_valid:.1%} of the validation "
            f"items: {LEAKED}",
        )


def _found(lists: np.ndarray, part: Interactions, k: int) -> tuple[float, float]:
    """Return the mean over users of the share of items found among the first k, and its standard error."""
    users = np.flatnonzero(part.lengths > 0)
    top = lists[users, :k]
    hits = np.isin(users[:, None] * part.n_items + top, part.users * part.n_items + part.items) & (top >= 0)
    shares = hits.sum(axis=1) / np.minimum(part.lengths[users], k)
    return float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(len(users))) if len(users) > 1 else np.inf
