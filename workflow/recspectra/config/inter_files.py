"""RecBole's atomic files (`.inter`): which column is which, by the names in the first line.

It needs no numerical library: whether such a file has times is asked when the configuration
is read.
"""

from __future__ import annotations

import gzip
import io
import itertools
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from recspectra.files import open_regular

# RecBole's names, without the type behind the colon.
NAMES = {"user": "user_id", "item": "item_id", "rating": "rating", "time": "timestamp"}
LONGEST_LINE = 2**20
BLANK_LINES = 1000  # that may stand above the names


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


def is_gzip(path: Path) -> bool:
    """Whether a file is unpacked before it is read: by its ending or its first bytes."""
    if path.suffix.lower() == ".gz":
        return True
    with open_regular(path) as stream:
        return stream.read(2) == b"\x1f\x8b"


def has_times(path: Path, separator: str = "\t") -> bool:
    """Whether an atomic file has the column of times that is read by default.

    The names stand in the first line that is not blank, as for the reader.
    """
    try:
        with open_regular(path) as file, gzip.open(file) if is_gzip(path) else file as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
            lines = itertools.islice(iter(lambda: text.readline(LONGEST_LINE), ""), BLANK_LINES)
            first = next((line for line in lines if line.strip() or separator in line), "")
    except (OSError, EOFError, zlib.error):
        return False  # whoever reads it says why
    return "time" in columns_of({}, [name.strip() for name in first.split(separator)])
