"""What is wrong with the rows of lists from elsewhere: errors, which stop. Doubts are in `list_doubts`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from recspectra.data.columns import WHOLE, clean_id
from recspectra.data.ids import Ids
from recspectra.data.interactions import DataError
from recspectra.evaluation.list_files import ListRows

MOST_SHOWN = 3
MOSTLY = 0.5  # a share of users or ids from which on something happened to all of them


class Finding(NamedTuple):
    """What a check found: its name, and the words that people read."""

    check: str
    text: str


class Placed(NamedTuple):
    """Rows with the positions of their users and items, sorted by user and, inside, from best to last.

    Attributes
    ----------
    users, items : int64 arrays
        Positions in the dataset.
    rows : int64 array
        Which row of the file each is.
    """

    users: np.ndarray
    items: np.ndarray
    rows: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """Where each user's list begins."""
        return np.flatnonzero(np.diff(self.users, prepend=-1))

    @property
    def lengths(self) -> np.ndarray:
        """Length of each user's list."""
        return np.diff(self.starts, append=len(self.users))


def place(rows: ListRows, ids: Ids) -> Placed:
    """Return rows as sorted positions.

    Raises
    ------
    DataError
        Ids are unknown, or the rows contradict themselves; one line for each kind of problem.
    """
    users, items = ids.known_users(rows.users), ids.known_items(rows.items)
    _refuse(rows, [*_unknown(rows, ids, users, items), *_spellings(rows)])
    _refuse(rows, [problem for check in CHECKS for problem in check(rows, users, items)])
    return _sorted(rows, users, items)


def _refuse(rows: ListRows, found: Sequence[Finding]) -> None:
    if found:
        raise DataError("\n".join(f"{rows.place}: {finding.text}" for finding in found))


def _sorted(rows: ListRows, users: np.ndarray, items: np.ndarray) -> Placed:
    if rows.order == "rank":
        order = np.lexsort((rows.ranks, users))
    elif rows.order == "score":
        order = np.lexsort((-rows.scores, users))
    else:
        order = np.argsort(users, kind="stable")
    return Placed(users[order], items[order], order)


# ------------------------------------------------------------------------------------------- ids


def _unknown(rows: ListRows, ids: Ids, users: np.ndarray, items: np.ndarray) -> Iterator[Finding]:
    """Ids that the dataset does not have."""
    known = {"user": ids.users.astype(str).tolist(), "item": ids.items.astype(str).tolist()}
    for role, found, given in (("user", users, rows.users), ("item", items, rows.items)):
        if len(lost := np.flatnonzero(found < 0)):
            wrong, every = ({clean_id(given[i]): None for i in part} for part in (lost, range(len(given))))
            other = known["item" if role == "user" else "user"]
            yield Finding(
                f"unknown {role}s",
                f"{rows.at(int(lost[0]))}: unknown {role} {_listed(wrong)}: {len(wrong):,} of {len(every):,} "
                f"{role}s are not among the {len(known[role]):,} of the dataset"
                f"{_why(list(wrong), list(every), known[role], other)}",
            )


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(repr(text[:60]) for text in list(texts)[:MOST_SHOWN])


def _why(lost: list[str], given: list[str], known: list[str], other: list[str]) -> str:
    """Return what may have happened to unknown ids; else a few that are known."""
    zeros, cases = ({form(name): name for name in known} for form in (_without_zeros, str.casefold))
    if near := next((zeros[_without_zeros(text)] for text in lost if _without_zeros(text) in zeros), ""):
        return f"; {near!r} is: were leading zeros lost or added? Keep ids as texts"
    if near := next((cases[text.casefold()] for text in lost if text.casefold() in cases), ""):
        return f"; {near!r} is: upper and lower case differ"
    if len(lost) > MOSTLY * len(given) and len(set(lost) & set(other)) > MOSTLY * len(lost):
        return "; they are ids of the other kind: are the columns of user and item swapped?"
    if all(WHOLE.fullmatch(text) and int(text) <= len(known) for text in given):
        return (
            f"; all are whole numbers up to {len(known):,}: a program's own numbers (RecBole counts from 1) "
            "in place of the ids of your file? Map them back, in RecBole by `dataset.id2token(field, ids)`"
        )
    return f" (such as {_listed(known)})"


def _without_zeros(text: str) -> str:
    return text.lstrip("0") or "0"


def _spellings(rows: ListRows) -> Iterator[Finding]:
    """One id in several spellings, such as `7` and `7.0`."""
    for role, given in (("user", rows.users), ("item", rows.items)):
        first: dict[str, str] = {}
        for text in dict.fromkeys(given):
            if (other := first.setdefault(clean_id(text), text)) != text:
                yield Finding(
                    "mixed ids",
                    f"{rows.at(list(given).index(text))}: {role} {clean_id(text)!r} is written as {other!r} "
                    f"and as {text!r}: were files joined, or ids read as numbers?",
                )
                break


# ----------------------------------------------------------------------------------- rows of a user


def _duplicates(rows: ListRows, users: np.ndarray, items: np.ndarray) -> Iterator[Finding]:
    """The same item twice for a user."""
    _, first = np.unique(users * (items.max() + 1) + items, return_index=True)
    if len(again := np.setdiff1d(np.arange(len(users)), first)):
        row, held = int(again[0]), len(np.unique(users[again]))
        most = held > MOSTLY * len(np.unique(users))
        yield Finding(
            "duplicates",
            f"{rows.at(row)}: user {rows.users[row]!r} has item {rows.items[row]!r} twice ({len(again):,} "
            f"such rows, of {held:,} users){'; are several runs or seeds mixed?' if most else ''}",
        )


def _odd_ranks(rows: ListRows, users: np.ndarray, items: np.ndarray) -> Iterator[Finding]:
    """Ranks that are no whole numbers."""
    ranks = _ranks(rows)
    if len(odd := np.flatnonzero((ranks != np.floor(ranks)) | (ranks < 0))):
        row = int(odd[0])
        yield Finding("odd ranks", f"{rows.at(row)}: rank {ranks[row]:g} is no place in a list")


def _repeated_ranks(rows: ListRows, users: np.ndarray, items: np.ndarray) -> Iterator[Finding]:
    """Two items of a user at one rank."""
    ranks = _ranks(rows)
    order = np.lexsort((ranks, users[: len(ranks)]))
    same = np.flatnonzero((np.diff(users[order]) == 0) & (np.diff(ranks[order]) == 0))
    if len(same):
        row = int(order[same[0] + 1])
        yield Finding(
            "repeated ranks",
            f"{rows.at(row)}: user {rows.users[row]!r} has two items at rank {ranks[row]:g} ({len(same):,} "
            "such rows); are the lists of several runs or seeds mixed?",
        )


def _rank_gaps(rows: ListRows, users: np.ndarray, items: np.ndarray) -> Iterator[Finding]:
    """An item at a rank, and none at the rank before; ranks count from 0 or 1, for all users alike."""
    ranks = _ranks(rows)
    order = np.lexsort((ranks, users[: len(ranks)]))
    starts = np.diff(users[order], prepend=-1) != 0
    base = min(ranks.min(initial=1), 1)
    steps = np.where(starts, ranks[order] - base + 1, np.diff(ranks[order], prepend=0))
    if len(gaps := np.flatnonzero(steps > 1)):
        row = int(order[gaps[0]])
        yield Finding(
            "rank gaps",
            f"{rows.at(row)}: user {rows.users[row]!r} has an item at rank {ranks[row]:g} and none at the "
            f"rank before ({len(np.unique(users[order][gaps])):,} users have gaps): are rows missing? Number "
            "the ranks anew if that is meant",
        )


def _scores_against_ranks(rows: ListRows, users: np.ndarray, items: np.ndarray) -> Iterator[Finding]:
    """Ranks and scores that put items into different orders."""
    if rows.ranks is None or rows.scores is None:
        return
    order = np.lexsort((rows.ranks, users))
    inside = np.diff(users[order]) == 0
    rises = np.flatnonzero(inside & (np.diff(rows.scores[order]) > 0))
    if len(rises):
        row, every = int(order[rises[0] + 1]), len(rises) == inside.sum()
        yield Finding(
            "scores not sorted",
            f"{rows.at(row)}: user {rows.users[row]!r} has a higher score at rank {rows.ranks[row]:g} than "
            f"at the rank before ({len(rises):,} such rows): they contradict, leave the wrong one out"
            f"{'; is a small score the better one?' if every else ''}",
        )


def _ranks(rows: ListRows) -> np.ndarray:
    return np.zeros(0) if rows.ranks is None else rows.ranks


CHECKS: tuple[Callable[[ListRows, np.ndarray, np.ndarray], Iterator[Finding]], ...] = (
    _duplicates, _odd_ranks, _repeated_ranks, _rank_gaps, _scores_against_ranks,
)  # fmt: skip
