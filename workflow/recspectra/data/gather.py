"""Parsed chunks of a source joined into one table; rows without a value counted, named, dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from recspectra.data.columns import BadCell, IdColumn, NumberColumn, Parsed, number_problem
from recspectra.data.interactions import DataError


class Gathered:
    """Rows of one source, taken chunk by chunk.

    Parameters
    ----------
    place : str
        The file, as messages call it.
    columns : dict
        Role (`user`, `item`, `rating`, `time`) -> its column.
    missing : {"error", "drop"}
        What to do with a row in which a value is missing.
    unit : str
        `line` or `row`: what the numbers of rows count.
    names : dict
        Role -> what its column is called there, for messages; the role itself by default.
    """

    def __init__(
        self, place: str, columns: Mapping[str, Any], missing: str = "error", unit: str = "line",
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self.place, self.columns, self.missing, self.unit = place, columns, missing, unit
        self.names = names
        self.rows_in = 0
        self.dropped: Counter[str] = Counter()
        self._first, self._at, self._count = "", 0, 0
        self._kept: dict[str, list[np.ndarray]] = {role: [] for role in columns}

    def add(self, numbers: Sequence[int], cells: Mapping[str, Any]) -> None:
        """Take rows: their line numbers and, for each role, its cells."""
        parsed: dict[str, Parsed] = {}
        for role, column in self.columns.items():
            try:
                parsed[role] = column.parse(cells[role])
            except BadCell as bad:
                self.refuse(f"{self.unit} {numbers[bad.index]}, {self._called(role)}: {bad.problem}")
        self._refuse_header(numbers, parsed)
        lost = np.zeros(len(numbers), dtype=bool)
        for role, (_, missing) in parsed.items():
            if missing is not None:
                rows = np.flatnonzero(missing & ~lost)
                lost |= missing
                self._note(role, numbers, cells[role], rows)
        self.rows_in += len(numbers)
        for role, (values, _) in parsed.items():
            self._kept[role].append(values[~lost] if lost.any() else values)

    def _refuse_header(self, numbers: Sequence[int], parsed: Mapping[str, Parsed]) -> None:
        """Refuse a row whose user and item are the names of their columns."""
        named = {role: column.header for role, column in self.columns.items() if isinstance(column, IdColumn)}
        if not named or not all(named.values()):
            return
        is_name = [np.isin(parsed[role][0], list(codes)) for role, codes in named.items()]
        rows = np.flatnonzero(np.logical_and.reduce(is_name))
        if len(rows):
            self.refuse(
                f"{self.unit} {numbers[int(rows[0])]}: the names of the columns once more; were files "
                "joined? Take the line out"
            )

    def _note(self, role: str, numbers: Sequence[int], cells: Any, rows: np.ndarray) -> None:
        """Count rows in which the value of a role is missing; keep the words for the first."""
        if not len(rows):
            return
        self.dropped[f"missing {role}"] += len(rows)
        self._count += len(rows)
        number = numbers[int(rows[0])]
        if not self._first or number < self._at:
            text = str(cells[int(rows[0])] or "").strip() if self.unit == "line" else ""
            found = isinstance(self.columns[role], NumberColumn) and text
            problem = number_problem(text) if found else "the value is missing"
            self._at = number
            self._first = f"{self.unit} {number}, {self._called(role)}: {problem}"

    def _called(self, role: str) -> str:
        name = self.names.get(role, role)
        return f"column '{name}'" + (f" ({role})" if name != role else "")

    def drop(self, reason: str, rows: int) -> None:
        """Count rows that are left out."""
        if rows:
            self.rows_in += rows
            self.dropped[reason] += rows

    def refuse(self, what: str) -> NoReturn:
        """Raise `DataError` for a bad row, or for a missing value above it."""
        first = self._first if self._first and self.missing == "error" else what
        raise DataError(f"{self.place}, {first}")

    def finish(self) -> dict[str, np.ndarray]:
        """Return the arrays by role.

        Raises
        ------
        DataError
            Values are missing and are not to be dropped; the count and the first are named.
        """
        if self._count and self.missing == "error":
            rows = "1 row has" if self._count == 1 else f"{self._count:,} rows have"
            raise DataError(
                f"{self.place}, {self._first}; {rows} a missing value: fill it in, "
                'or leave such rows out: `missing: drop` in the dataset\'s YAML, `missing="drop"` for rs.read'
            )
        return {role: column.finish(_joined(self._kept[role])) for role, column in self.columns.items()}

    @property
    def unified(self) -> dict[str, Any]:
        """Role -> what `columns.Unified` says of its ids, where some were unified."""
        ids = {role: c.unified for role, c in self.columns.items() if isinstance(c, IdColumn)}
        return {role: unified for role, unified in ids.items() if unified.count}


def _joined(chunks: list[np.ndarray]) -> np.ndarray:
    # An empty chunk may have another type, which would round the integers of the rest.
    full = [chunk for chunk in chunks if len(chunk)]
    return np.concatenate(full) if full else np.zeros(0, dtype=np.int64)
