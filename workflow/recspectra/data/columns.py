"""Columns of a table as they are read: cells in, arrays and the rows without a value out.

`parse` takes the cells of some rows and returns their values and a mask of missing ones (None
if there are none); `finish` turns the values of all rows that are kept into the final array.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recspectra.data import times

Parsed = tuple[np.ndarray, np.ndarray | None]

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
NONFINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
WITH_COMMAS = re.compile(r"[+-]?[0-9]+(,[0-9]+)+(\.[0-9]+)?")
ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?P<clock>[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r"(?P<zone> ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?))?)?"
)
OTHER_DATE = re.compile(r"[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}\b.*")
# What programs write where a number is missing. As an id each is a text like any other.
MARKS = {"", "na", "n/a", "<na>", "nan", "nat", "none", "null", "\\n"}
WHOLE = re.compile(r"0|-?[1-9][0-9]*")
WHOLE_AS_FLOAT = re.compile(r"(0|-?[1-9][0-9]*)\.0+|-0(?:\.0+)?")
LONGEST_ID = 500
BYTE_ORDER_MARK = "\ufeff"
# Cells of up to so many characters hold at most 15 digits, which float64 tells apart.
SHORT = 15


class BadCell(Exception):
    """A cell cannot be read: its position among the cells given, and why."""

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(problem)
        self.index, self.problem = index, problem


@dataclass(frozen=True)
class Unified:
    """How many spellings of ids are other spellings of the same id, and one of them."""

    count: int = 0
    example: tuple[str, str] | None = None


# ---------------------------------------------------------------------------------- ids


def clean_id(text: str) -> str:
    """Return the one spelling of an id.

    White space around it goes, its letters are composed (Unicode NFC), and a whole number
    written as a float (`12.0`) is the whole number. Nothing else is touched: `007`, `7` and
    `1.50`, `1.5` stay different ids.
    """
    text = text.strip()
    if not text.isascii():
        return unicodedata.normalize("NFC", text)
    if match := WHOLE_AS_FLOAT.fullmatch(text):
        return match[1] or "0"
    return text


def as_ids(labels: Sequence[str]) -> np.ndarray:
    """Return ids as int64 where all are whole numbers that fit, else as texts."""
    if all(WHOLE.fullmatch(label) for label in labels):
        numbers = [int(label) for label in labels]
        if all(-(2**63) <= number < 2**63 for number in numbers):
            return np.array(numbers, dtype=np.int64)
    return np.array(labels, dtype=str)


def id_problem(label: str) -> str:
    """Return why a text is no id, or an empty text."""
    if len(label) > LONGEST_ID:
        return f"an id of {len(label):,} characters; is this the right column?"
    if "\n" in label or "\r" in label:
        return f"{label!r} holds a line break; is a quote not closed?"
    if len(label) > 1 and label[0] == label[-1] == '"':
        return (
            f"the quotes of {label} would be part of the id; write it without them (a comma-separated "
            "file may have quotes, with no blank before them)"
        )
    if "\0" in label:
        return f"{label!r} holds a NUL character"
    if BYTE_ORDER_MARK in label:
        return (
            f"{label!r} holds a byte order mark (U+FEFF), which stands at the start of a file; "
            "were files joined? Take it out"
        )
    return ""


class IdColumn:
    """Ids of users or items; with `whole` all must be whole numbers from 0.

    Attributes
    ----------
    header : set of int
        Codes of the cells that are the column's own name (`name`): where files were joined.
    unified : Unified
        Set by `finish`.
    """

    def __init__(self, whole: bool = False, name: str = "") -> None:
        self.whole, self.name = whole, clean_id(name)
        self.header: set[int] = set()
        self.unified = Unified()
        self._codes: defaultdict[str, int] = defaultdict()
        self._codes.default_factory = self._codes.__len__
        self._clean: list[str] = []
        self._missing: list[int] = []

    def parse(self, cells: Sequence[str]) -> Parsed:
        """Return a code for each cell."""
        codes = np.fromiter(map(self._codes.__getitem__, cells), np.int64, len(cells))
        for row in np.flatnonzero(codes >= len(self._clean)).tolist():
            if codes[row] < len(self._clean):
                continue  # new in these rows, and seen a few rows ago
            label = clean_id(cells[row])
            if not label:
                self._missing.append(len(self._clean))
            elif problem := self._problem(label):
                raise BadCell(row, problem)
            elif label == self.name:
                self.header.add(len(self._clean))
            self._clean.append(label)
        return codes, np.isin(codes, self._missing) if self._missing else None

    def _problem(self, label: str) -> str:
        if problem := id_problem(label):
            return problem
        if not self.whole:
            return ""
        if not re.fullmatch("[+-]?[0-9]+", label):
            return f"{label!r} is not a number"
        if int(label) < 0:
            return f"{label!r} is negative"
        return f"{label!r} is too large" if int(label) >= 2**63 else ""

    def finish(self, codes: np.ndarray) -> np.ndarray:
        """Return the ids of the rows that are kept."""
        used, place = np.unique(codes, return_inverse=True)
        spelled = np.array([*self._codes, ""], dtype=object)[used].tolist()
        labels = [self._clean[code] for code in used.tolist()]
        if self.whole:
            return np.array([int(label) for label in labels], dtype=np.int64)[place]
        self.unified = _unified(spelled, labels)
        return as_ids(labels)[place]


def _unified(spelled: list[str], labels: list[str]) -> Unified:
    count = len(labels) - len(set(labels))
    if not count:
        return Unified()
    first: dict[str, str] = {}
    for text, label in zip(spelled, labels, strict=True):
        if first.setdefault(label, text) != text:
            other = text if text != label else first[label]
            return Unified(count, (other, label))
    return Unified(count)


# ------------------------------------------------------------------------------ numbers


def _fast_floats(cells: Sequence[str]) -> np.ndarray | None:
    """Return the numbers of some cells, or None where they need a closer look."""
    joined = "".join(cells)
    if not joined.isascii() or "_" in joined:  # Python reads 1_000 and other scripts' digits
        return None
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def number_problem(cell: str) -> str:
    """Return why a cell is no finite number, or an empty text."""
    if NONFINITE.fullmatch(cell) or (NUMBER.fullmatch(cell) and not math.isfinite(float(cell))):
        return f"{cell!r} is not finite"
    if NUMBER.fullmatch(cell):
        return ""
    comma = (
        "; write numbers without commas, with a point before decimals" if WITH_COMMAS.fullmatch(cell) else ""
    )
    return f"{cell!r} is not a number{comma}"


def is_missing(cell: str) -> bool:
    """Whether a cell of a column of numbers or times stands for no value."""
    return cell.strip().lower() in MARKS


class NumberColumn:
    """Finite numbers, such as ratings; any sign."""

    def parse(self, cells: Sequence[str]) -> Parsed:
        """Return float64 values; NaN where missing."""
        values = _fast_floats(cells)
        return (values, None) if values is not None else self._look(cells, number_problem, float)

    def _look(self, cells: Sequence[str], problem_of: Any, value_of: Any) -> Parsed:
        """Read cell by cell, and say what is wrong with the first bad one."""
        missing = np.fromiter(map(is_missing, cells), bool, len(cells))
        values: list[Any] = []
        for index, cell in enumerate(cells):
            text = cell.strip()
            if missing[index]:
                values.append(math.nan)
            elif problem := problem_of(text):
                raise BadCell(index, problem)
            else:
                values.append(value_of(text))
        array = np.array(values, dtype=object if value_of is str else np.float64)
        return array, missing if missing.any() else None

    def finish(self, values: np.ndarray) -> np.ndarray:
        """Return the numbers of the rows that are kept."""
        return values.astype(np.float64)


# -------------------------------------------------------------------------------- times


class TimeColumn(NumberColumn):
    """Times as numbers (taken as seconds) or as ISO 8601 dates or dates with clock time.

    One column has one format, that of its first value: numbers, dates, or dates with clock
    time, these with or without a zone. Without a zone UTC is meant.
    """

    def __init__(self) -> None:
        self.format = ""

    def parse(self, cells: Sequence[str]) -> Parsed:
        """Return float64, texts where that has too few digits, or for dates int64 nanoseconds since 1970."""
        self.format = self.format or next((_format_of(c.strip()) for c in cells if not is_missing(c)), "")
        if self.format in ("number", ""):
            return self._numbers(cells)
        return self._dates(cells)

    def _numbers(self, cells: Sequence[str]) -> Parsed:
        values = _fast_floats(cells)
        if values is None:
            return self._look(cells, self._problem, str if _is_long(cells) else float)
        return (np.array(cells, dtype=object), None) if _is_long(cells) else (values, None)

    def _dates(self, cells: Sequence[str]) -> Parsed:
        missing = np.fromiter(map(is_missing, cells), bool, len(cells))
        texts = [cell.strip() for cell in cells]
        for index, text in enumerate(texts):
            if not missing[index] and (problem := self._problem(text)):
                raise BadCell(index, problem)
        rows = np.flatnonzero(~missing)
        values = np.zeros(len(cells), dtype=np.int64)
        values[rows] = _nanoseconds(
            [texts[row].replace(" UTC", "Z").replace("UTC", "Z") for row in rows], rows
        )
        return values, missing if missing.any() else None

    def _problem(self, text: str) -> str:
        """Return what is wrong with a cell of a column in this column's format."""
        found = _format_of(text)
        if found and found == self.format:
            return number_problem(text) if found == "number" else ""
        if found and self.format:
            return f"{text!r} is a {found}, the values above it are {self.format}s; write all in one format"
        if OTHER_DATE.fullmatch(text):
            return (
                f"{text!r} is not a number, and as a date it may mean different days; "
                "write dates as 2020-01-31 or 2020-01-31 12:00:00"
            )
        if self.format == "number":
            return number_problem(text)
        return (
            f"{text!r} is not a {self.format or 'number or a date'} such as 2020-01-31 or 2020-01-31 12:00:00"
        )

    def finish(self, values: np.ndarray) -> np.ndarray:
        """Return seconds; times that differ stay different."""
        if self.format in ("number", ""):
            return times.from_texts(values) if values.dtype == object else values.astype(np.float64)
        return times.from_integers(values.astype(np.int64), 10**9)


def _is_long(cells: Sequence[str]) -> bool:
    return max(map(len, cells), default=0) > SHORT


def _format_of(text: str) -> str:
    """Return `number`, one of three formats of dates, or an empty text."""
    if match := ISO.fullmatch(text):
        clock, zone = match["clock"], match["zone"]
        return "date with time and zone" if zone else "date with time" if clock else "date"
    return "number" if NUMBER.fullmatch(text) or NONFINITE.fullmatch(text) else ""


def _nanoseconds(texts: list[str], rows: np.ndarray) -> np.ndarray:
    """Return int64 nanoseconds since 1970 (UTC) of ISO texts; `rows` are their places."""
    try:
        stamps = pd.to_datetime(pd.Series(texts, dtype=object), format="ISO8601", utc=True)
        return stamps.dt.as_unit("ns").astype(np.int64).to_numpy()
    except (ValueError, OverflowError):
        if len(texts) == 1:
            raise BadCell(
                int(rows[0]), f"{texts[0]!r} is no date of the calendar from 1678 to 2261"
            ) from None
    half = len(texts) // 2  # find the first bad one
    return np.concatenate([_nanoseconds(texts[:half], rows[:half]), _nanoseconds(texts[half:], rows[half:])])
