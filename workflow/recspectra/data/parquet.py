"""Parquet files: named columns, wherever pandas put them, as ids, numbers and times.

Values are taken from Arrow, not from a data frame: a data frame hides columns that were its
index, and turns whole numbers with gaps into floats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recspectra.data import times
from recspectra.data.columns import BadCell, IdColumn, NumberColumn, Parsed, TimeColumn
from recspectra.data.interactions import DataError
from recspectra.files import machine_memory

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
DAY = 24 * 60 * 60
ROW = 16  # bytes that a user and an item take at least


class Source:
    """An opened Parquet file.

    Attributes
    ----------
    names : list of str
        Columns that are there; an index that pandas keeps as a range in the file's metadata
        is one of them, where it has a name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = pq.ParquetFile(path)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DataError(f"{path}: no readable Parquet file ({error})") from None
        _check_rows(path, len(self))
        schema = self.file.schema_arrow
        metadata = schema.pandas_metadata or {}
        self._ranges = {
            index["name"]: index
            for index in metadata.get("index_columns", [])
            if isinstance(index, dict) and index.get("kind") == "range" and isinstance(index["name"], str)
        }
        self.names = [*schema.names, *(name for name in self._ranges if name not in schema.names)]

    def __len__(self) -> int:
        return self.file.metadata.num_rows

    def column(self, name: str) -> pa.Array:
        """Return one column, decoded where it is a dictionary (pandas' categories)."""
        if name in self._ranges and name not in self.file.schema_arrow.names:
            index = self._ranges[name]
            values = np.arange(index["start"], index["stop"], index["step"])
            if len(values) != len(self):
                raise DataError(
                    f"{self.path}: the index '{name}' has {len(values):,} values for {len(self):,} rows; "
                    "write it as a column (reset_index)"
                )
            return pa.array(values)
        try:
            column = self.file.read(columns=[name], use_pandas_metadata=False).column(name)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise DataError(f"{self.path}: column '{name}' cannot be read ({error})") from None
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _check_rows(path: Path, rows: int) -> None:
    """Refuse rows whose users and items no memory of this machine holds; they may be packed in kilobytes."""
    if rows * ROW > machine_memory():
        raise DataError(
            f"{path}: {rows:,} rows take {rows * ROW / 2**30:,.0f} GB, more memory than this machine has"
        )


class ArrowIds(IdColumn):
    """Ids: whole numbers or texts."""

    _texts = False

    def parse(self, cells: pa.Array) -> Parsed:
        """Return whole numbers as they are, codes for texts."""
        kind, missing = cells.type, _nulls(cells)
        if pa.types.is_floating(kind):
            return self._floats(cells)
        if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
            return cells.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), missing
        self._texts = True
        return super().parse(_texts_of(cells))

    def _floats(self, cells: pa.Array) -> Parsed:
        values = cells.fill_null(np.nan).to_numpy(zero_copy_only=False)
        missing = np.isnan(values)
        digits = np.finfo(values.dtype).nmant + 1
        whole = np.isfinite(values) & (values == np.floor(values))
        for row in np.flatnonzero(~missing & (~np.isfinite(values) | (whole & (abs(values) >= 2.0**digits))))[
            :1
        ]:
            why = "is not finite" if not np.isfinite(values[row]) else (
                f"is beyond 2^{digits}, where floats skip whole numbers; write ids as integers or texts"
            )  # fmt: skip
            raise BadCell(int(row), f"{float(values[row])!r} {why}")
        if whole[~missing].all():
            return np.where(missing, 0, values).astype(np.int64), missing if missing.any() else None
        self._texts = True
        return super().parse(["" if m else str(v) for v, m in zip(values, missing, strict=True)])

    def finish(self, codes: np.ndarray) -> np.ndarray:
        """Return the ids of the rows that are kept."""
        return super().finish(codes) if self._texts else codes.astype(np.int64)


class ArrowNumbers(NumberColumn):
    """Finite numbers: integers, floats, decimals, truth values or texts of numbers."""

    def parse(self, cells: pa.Array) -> Parsed:
        """Return float64 values."""
        if _is_text(cells.type):
            return super().parse(_texts_of(cells))
        if not (_is_number(cells.type) or pa.types.is_boolean(cells.type)):
            raise BadCell(0, f"the column holds {cells.type}, not numbers")
        if pa.types.is_boolean(cells.type):
            cells = cells.cast(pa.int8())
        return _floats(cells)


class ArrowTimes(TimeColumn):
    """Times: time stamps of any unit and zone, dates, numbers, or texts of these."""

    _finish: Callable[[np.ndarray], np.ndarray] | None = None

    def parse(self, cells: pa.Array) -> Parsed:
        """Return integers in the column's unit, or what `TimeColumn` returns for texts."""
        kind = cells.type
        if _is_text(kind):
            return super().parse(_texts_of(cells))
        if pa.types.is_decimal(kind):
            return super().parse(_texts_of(cells))
        if pa.types.is_timestamp(kind) or pa.types.is_date64(kind) or pa.types.is_integer(kind):
            unit = PER_SECOND[kind.unit] if pa.types.is_timestamp(kind) else 1
            unit = 1000 if pa.types.is_date64(kind) else unit
            self._finish = lambda values: times.from_integers(values, unit)
            plain = cells if pa.types.is_integer(kind) else cells.view(pa.int64())
            return plain.fill_null(0).to_numpy(zero_copy_only=False), _nulls(cells)
        if pa.types.is_date32(kind):
            self._finish = lambda values: values.astype(np.float64) * DAY
            return cells.view(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False), _nulls(cells)
        if pa.types.is_floating(kind):
            self._finish = lambda values: values.astype(np.float64)
            return _floats(cells)
        if pa.types.is_null(kind):
            return np.zeros(len(cells)), np.ones(len(cells), dtype=bool)
        raise BadCell(0, f"the column holds {kind}, not times or numbers")

    def finish(self, values: np.ndarray) -> np.ndarray:
        """Return seconds; times that differ stay different."""
        return self._finish(values) if self._finish else super().finish(values)


def _nulls(cells: pa.Array) -> np.ndarray | None:
    return cells.is_null().to_numpy(zero_copy_only=False) if cells.null_count else None


def _floats(cells: pa.Array) -> Parsed:
    if pa.types.is_null(cells.type):
        return np.zeros(len(cells)), np.ones(len(cells), dtype=bool)
    values = cells.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    missing = np.isnan(values)
    for row in np.flatnonzero(np.isinf(values))[:1]:
        raise BadCell(int(row), f"{float(values[row])!r} is not finite")
    return values, missing if missing.any() else None


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_number(kind: pa.DataType) -> bool:
    return (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def _texts_of(cells: pa.Array) -> Sequence[str]:
    """Return ids as texts; an empty text where one is missing."""
    kind = cells.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [_decoded(row, value) for row, value in enumerate(cells.to_pylist())]
    known = _is_text(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)
    if not known:
        raise BadCell(0, f"the column holds {kind}, not whole numbers or texts")
    form = "{:f}" if pa.types.is_decimal(kind) else "{}"
    return ["" if value is None else form.format(value) for value in cells.to_pylist()]


def _decoded(row: int, value: bytes | None) -> str:
    try:
        return "" if value is None else value.decode()
    except UnicodeDecodeError:
        raise BadCell(row, f"{value[:40]!r} is not UTF-8; write ids as texts or whole numbers") from None
