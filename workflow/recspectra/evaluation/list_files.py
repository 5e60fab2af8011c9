"""Files of lists as rows: CSV, TSV, Parquet and TREC runs, with the line of each row.

What cannot be read as rows is refused here; what the rows say is judged by `list_checks`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa

from recspectra.config.base import ConfigError, nearest
from recspectra.data import parquet, times
from recspectra.data.columns import NONFINITE, NUMBER, SHORT
from recspectra.data.interactions import DataError
from recspectra.data.text import READ_ERRORS, first_bytes, guess_separator, is_blank, lines_of, records
from recspectra.files import open_regular

# How programs call these columns; RecBole writes the type behind a colon.
NAMES = {
    "user": ("user", "user_id", "userid", "uid", "query_id", "qid"),
    "item": ("item", "item_id", "itemid", "iid", "doc_id", "docid"),
    "score": ("score", "scores", "prediction", "predicted", "pred"),
    "rank": ("rank",),
}
# A column with several of these holds several runs, of which one must be chosen.
RUNS = ("seed", "run", "run_id", "tag", "fold", "repeat", "epoch", "model", "algorithm")
TREC = ("user", "Q0", "item", "rank", "score", "tag")


@dataclass(frozen=True)
class ListRows:
    """Rows of a file of lists, in its order.

    Attributes
    ----------
    place : str
        The file.
    unit : str
        What `lines` counts: `line` of a text, `row` of a Parquet file.
    lines : int64 array
        Number of each row, from 1.
    users, items : sequence of str
        Ids as they are written.
    scores, ranks : float64 array or None
        Where the file has them; NaN where a number is not one.
    order : {"rank", "score", ""}
        What says how a list is ordered; empty: the order of the rows.
    """

    place: str
    unit: str
    lines: np.ndarray
    users: Sequence[str]
    items: Sequence[str]
    scores: np.ndarray | None
    ranks: np.ndarray | None
    order: str

    def at(self, row: int) -> str:
        """Return where a row stands, in words."""
        return f"{self.unit} {int(self.lines[row]):,}"


def read_rows(path: Path | str, columns: Mapping[str, str] | None = None) -> ListRows:
    """Read a file of lists.

    Parameters
    ----------
    path : Path
        `.parquet`, or a text: a TREC run (six fields, the second `Q0`), else columns with a header.
    columns : mapping, optional
        Role (`user`, `item`, `score`, `rank`) -> name of its column; by default common names are looked for.

    Raises
    ------
    DataError
        The file is missing, empty, no such table, or a row cannot be read; the message names its line.
    """
    path = Path(path)
    try:
        open_regular(path).close()
        if first_bytes(path).startswith(b"PAR1"):
            rows = _parquet(path, columns or {})
        else:
            rows = _trec(path) if _is_trec(path) else _delimited(path, columns or {})
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except READ_ERRORS as error:
        raise DataError(f"{path}: {error}") from None
    if not len(rows.lines):
        raise DataError(f"{path}: holds no lists")
    return rows


def rows_of(frame: pd.DataFrame, place: str) -> ListRows:
    """Return the rows of a frame with the columns `user`, `item` and, where they are there, `score`, `rank`.

    Raises
    ------
    DataError
        A column is missing or there twice, an id is missing, or a score or a rank is no finite number.
    """
    here = frame.columns.tolist()
    for role in NAMES:
        if here.count(role) > 1 or (role in ("user", "item") and role not in here):
            count = "several columns" if role in here else "no column"
            _refuse(
                place,
                f"{count} '{role}'; lists need user, item and rank or score, there are "
                f"{', '.join(map(str, here))}",
            )
    if not len(frame):
        _refuse(place, "holds no lists")
    lines = np.arange(1, len(frame) + 1)
    ids = {role: _of_frame(place, role, frame[role]) for role in ("user", "item")}
    known = [role for role in ("score", "rank") if role in here]
    if known == ["score", "rank"] and frame["score"].isna().all():
        known = ["rank"]  # what `Lists.frame` says of lists without scores
    numbers = {role: _frame_numbers(place, lines, role, frame[role]) for role in known}
    return _ordered(place, "row", lines, ids["user"], ids["item"], numbers)


def _of_frame(place: str, role: str, column: pd.Series) -> list[str]:
    if len(lost := np.flatnonzero(column.isna())):
        _refuse(place, f"row {lost[0] + 1:,}: the {role} is missing")
    return [str(value) for value in column]


def _frame_numbers(place: str, lines: np.ndarray, role: str, column: pd.Series) -> np.ndarray:
    """Return numbers; texts of numbers are taken, truth values and times are none."""
    if column.dtype.kind in "iu" and not column.isna().any():
        return times.from_integers(np.asarray(column, dtype=column.dtype.kind + "8"))
    if column.dtype.kind in "iuf":
        return _finite(place, "row", lines, role, column.to_numpy(dtype=np.float64, na_value=np.nan))
    return _numbers(place, "row", lines, role, [str(value) for value in column])


# ----------------------------------------------------------------------------------------------- columns


def _roles(path: Path, present: Sequence[str], given: Mapping[str, str]) -> dict[str, int]:
    """Return in which column each role stands."""
    given = _given_columns(given)
    plain = [name.strip().strip('"').partition(":")[0].lower() for name in present]
    found: dict[str, int] = {}
    for role, names in NAMES.items():
        wanted = [given[role].partition(":")[0].lower()] if role in given else list(names)
        places = [i for i, name in enumerate(plain) if name in wanted]
        if len(places) > 1:
            both = " and ".join(repr(present[i]) for i in places)
            say = f"`columns: {{{role}: {present[places[0]]}}}`"
            _refuse(path, f"columns {both} may both be the {role}; say which by {say}")
        if role in given and not places:
            _refuse(path, f"there is no column '{given[role]}' for the {role}; there are {_listed(present)}")
        if places:
            found[role] = places[0]
    for role in ("user", "item"):
        if role not in found:
            _refuse(
                path,
                f"no column is the {role}: a header with {', '.join(NAMES[role][:3])} is needed, or "
                f"`columns: {{{role}: NAME}}`; the first line has {_listed(present)}",
            )
    return found


def _given_columns(given: Any) -> dict[str, str]:
    """Return the names of columns that somebody gave, by role."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"columns: is a {type(given).__name__}; give a mapping role -> name of its column")
    for role, name in given.items():
        if role not in NAMES:
            raise ConfigError(f"columns: unknown {role!r}; allowed: {', '.join(NAMES)}{nearest(role, NAMES)}")
        if not isinstance(name, str):
            raise ConfigError(f"columns.{role}: {name!r} is no text")
    return dict(given)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:40]) for name in names[:8]) + (", ..." if len(names) > 8 else "")


def _refuse(place: Path | str, what: str) -> NoReturn:
    raise DataError(f"{place}: {what}")


def _one_run(path: Path, name: str, values: Sequence[str]) -> None:
    """Refuse several runs in one file: which of them is meant?"""
    if len(found := sorted(set(values))) > 1:
        _refuse(
            path,
            f"column '{name}' has {len(found):,} values ({_listed(found)}): the lists of several runs are "
            "mixed; write a file for each, with `{seed}` in the path of `lists:`",
        )


# -------------------------------------------------------------------------------------------------- text


def table(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header of a text, its other rows, and the line of each of them.

    Raises
    ------
    DataError
        A row has another number of columns than the header, or the file is empty or no text.
    """
    tabs = path.name.lower().removesuffix(".gz").endswith((".tsv", ".inter"))
    separator = "\t" if tabs else guess_separator(path, None, []) or ","
    head: list[str] | None = None
    kept: list[list[str]] = []
    lines: list[int] = []
    for line, cells in _cells(path, separator):
        if head is None:
            head = cells
        elif len(cells) != len(head):
            _refuse(path, f"line {line:,}: {len(cells)} columns, the header has {len(head)}; is it cut off?")
        else:
            kept.append(cells)
            lines.append(line)
    if head is None:
        _refuse(path, "the file is empty")
    return head, kept, lines


def _delimited(path: Path, given: Mapping[str, str]) -> ListRows:
    head, kept, lines = table(path)
    places = _roles(path, head, given)
    by_place = list(zip(*kept, strict=True)) if kept else [()] * len(head)
    for i, name in enumerate(head):
        if name.strip().lower() in RUNS and i not in places.values():
            _one_run(path, name, by_place[i])
    texts = {role: by_place[place] for role, place in places.items()}
    return _rows(path, "line", np.array(lines, dtype=np.int64), texts)


def _cells(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a text that are not blank, with their lines."""
    for chunk in records(path, None, separator):
        for line, cells in zip(chunk.lines, chunk.rows, strict=True):
            if not is_blank(cells):
                yield line, cells
        if chunk.error:
            _refuse(path, chunk.error)


def _is_trec(path: Path) -> bool:
    """Whether the first line is one of a TREC run."""
    line = next((text for _, text in lines_of(path, None) if text.strip()), "")
    cells = line.split()
    return path.suffix in (".trec", ".run") or (len(cells) == len(TREC) and cells[1].upper() == "Q0")


def _trec(path: Path) -> ListRows:
    kept, lines = [], []
    for line, text in lines_of(path, None):
        cells = text.split()
        if len(cells) not in (0, len(TREC)):
            _refuse(
                path,
                f"line {line:,}: {len(cells)} fields, a TREC run has 6 ({' '.join(TREC)}); is it cut off?",
            )
        if cells:
            kept.append(cells)
            lines.append(line)
    columns = dict(zip(TREC, zip(*kept, strict=True), strict=True)) if kept else dict.fromkeys(TREC, ())
    _one_run(path, "tag", columns["tag"])
    roles = {role: columns[role] for role in NAMES}
    return _rows(path, "line", np.array(lines, dtype=np.int64), roles)


def _rows(path: Path, unit: str, lines: np.ndarray, texts: Mapping[str, Sequence[str]]) -> ListRows:
    for role in ("user", "item"):
        empty = next((i for i, text in enumerate(texts[role]) if not text.strip()), None)
        if empty is not None:
            _refuse(path, f"{unit} {int(lines[empty]):,}: the {role} is missing")
    numbers = {
        role: _numbers(path, unit, lines, role, texts[role]) for role in texts if role not in ("user", "item")
    }
    return _ordered(path, unit, lines, texts["user"], texts["item"], numbers)


def _numbers(path: Path | str, unit: str, lines: np.ndarray, role: str, texts: Sequence[str]) -> np.ndarray:
    values = np.empty(len(texts))
    for row, text in enumerate(map(str.strip, texts)):
        if not (NUMBER.fullmatch(text) or NONFINITE.fullmatch(text)):
            _refuse(path, f"{unit} {int(lines[row]):,}: the {role} {text[:40]!r} is not a number")
        values[row] = float(text)
    values = _finite(path, unit, lines, role, values)
    # Numbers with more digits than float64 has stay different, as times do.
    long = max(map(len, texts), default=0) > SHORT
    return times.from_texts(np.array(texts, dtype=object)) if long else values


def _finite(path: Path | str, unit: str, lines: np.ndarray, role: str, values: np.ndarray) -> np.ndarray:
    """Refuse NaN and infinite values: masked items belong into no list."""
    if len(wrong := np.flatnonzero(~np.isfinite(values))):
        row = int(wrong[0])
        value = "NaN" if math.isnan(values[row]) else f"{values[row]}, as of a masked item"
        more = f" ({len(wrong):,} rows)" if len(wrong) > 1 else ""
        _refuse(path, f"{unit} {int(lines[row]):,}: the {role} is {value}{more}; leave such rows out")
    return values


def _ordered(
    path: Path | str, unit: str, lines: np.ndarray, users: Sequence[str], items: Sequence[str],
    numbers: Mapping[str, np.ndarray],
) -> ListRows:  # fmt: skip
    order = next((role for role in ("rank", "score") if role in numbers), "")
    return ListRows(
        str(path), unit, lines, users, items, numbers.get("score"), numbers.get("rank"), order
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------- Parquet


def _parquet(path: Path, given: Mapping[str, str]) -> ListRows:
    source = parquet.Source(path)
    places = _roles(path, source.names, given)
    lines = np.arange(1, len(source) + 1)
    for name in source.names:
        if name.lower() in RUNS and name not in [source.names[i] for i in places.values()]:
            _one_run(path, name, [str(value) for value in source.column(name).unique().to_pylist()])
    ids = {role: _ids(path, role, source.column(source.names[places[role]])) for role in ("user", "item")}
    numbers = {}
    for role in ("score", "rank"):
        if role in places:
            column = source.column(source.names[places[role]])
            if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
                _refuse(path, f"the column of the {role} holds {column.type}, not numbers")
            numbers[role] = _arrow_numbers(path, lines, role, column)
    return _ordered(path, "row", lines, ids["user"], ids["item"], numbers)


def _arrow_numbers(path: Path, lines: np.ndarray, role: str, column: pa.Array) -> np.ndarray:
    if pa.types.is_integer(column.type) and not column.null_count:
        return times.from_integers(column.to_numpy(zero_copy_only=False))
    values = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return _finite(path, "row", lines, role, values)


def _ids(path: Path, role: str, column: pa.Array) -> list[str]:
    """Return ids as texts; whole numbers that became floats are whole numbers."""
    values = column.to_pylist()
    if None in values or (pa.types.is_floating(column.type) and any(map(math.isnan, values))):
        row = next(i for i, v in enumerate(values) if v is None or (isinstance(v, float) and math.isnan(v)))
        _refuse(path, f"row {row + 1:,}: the {role} is missing")
    if not all(isinstance(value, str | int | float) for value in values):
        _refuse(
            path, f"the column of the {role} holds {column.type}, not ids: one row for each item is needed"
        )
    return [str(value) for value in values]
