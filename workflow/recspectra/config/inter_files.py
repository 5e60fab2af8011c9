"""RecBole's atomic files (`.inter`): which column is which, by the names in the first line.

It needs no numerical library: whether such a file has times is asked when the configuration
is read.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

# RecBole's names, without the type behind the colon.
NAMES = {"user": "user_id", "item": "item_id", "rating": "rating", "time": "timestamp"}


def is_inter(path: str) -> bool:
    """Whether a file is taken for an atomic file, by its ending."""
    return path.lower().endswith((".inter", ".inter.gz"))


def columns_of(given: Mapping[str, str], present: Sequence[str]) -> dict[str, str]:
    """Return the columns of an atomic file by role, as they are called in its first line.

    Parameters
    ----------
    given : mapping
        Role -> name, with or without the type behind the colon (`date` or `date:float`).
    present : sequence of str
        Names in the first line.

    Returns
    -------
    dict
        All roles that are given, user and item, and of rating and time those that are there
        under RecBole's names. A name that is not there is returned as it was given.
    """
    columns = {}
    for role, usual in NAMES.items():
        wanted = given.get(role, usual)
        found = [name for name in present if wanted in (name, name.partition(":")[0])]
        if found or role in given or role in ("user", "item"):
            columns[role] = found[0] if found else wanted
    return columns


def has_times(path: Path) -> bool:
    """Whether an atomic file has the column of times that is read by default."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as stream:
            first = stream.readline(2**16).decode("utf-8-sig", "replace")
    except (OSError, EOFError):
        return False  # whoever reads it says why
    return "time" in columns_of({}, [name.strip() for name in first.split("\t")])
