"""Text files: opened as they are (plain, gzip, a member of a zip), and their bad lines found."""

from __future__ import annotations

import contextlib
import gzip
import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd

from recspectra.data.interactions import DataError
from recspectra.dataset_schema import SourceFile

COLUMNS = {"user": "int64", "item": "int64", "rating": "float64", "time": "float64"}
READ_ERRORS = (
    ValueError,
    OverflowError,
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    pd.errors.ParserError,
    pd.errors.ParserWarning,
)


@contextlib.contextmanager
def opened(path: Path, file: SourceFile | None) -> Iterator[IO[bytes]]:
    """Yield the bytes of a file; gzip is unpacked, a zip's member is read in place.

    Nothing of an archive is written to the disk, so no member can land outside.
    """
    member = file.member if file else None
    if member is not None:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
                yield stream
        except KeyError:
            raise DataError(f"{path}: the archive has no member '{member}'") from None
        except zipfile.BadZipFile as error:
            raise DataError(f"{path}: no readable zip archive ({error})") from None
    elif path.suffix == ".gz":
        with gzip.open(path, "rb") as stream:
            yield stream
    else:
        with open(path, "rb") as stream:
            yield stream


def problem_with(error: Any) -> str:
    """Return what a reading error means in words."""
    if isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile)):
        return f"the gzip file is truncated or damaged ({error})"
    return str(error)


def first_bad_line(
    path: Path, file: SourceFile | None, names: list[str], separator: str, header: bool,
    kinds: dict[str, str],
) -> str | None:  # fmt: skip
    """Return what is wrong with the first bad line of a text file, or None."""
    try:
        with opened(path, file) as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    text = line.decode("utf-8-sig").rstrip("\r\n")
                except UnicodeDecodeError:
                    return f"{path}, line {number}: not UTF-8: {line[:80]!r}"
                if not text.strip() or (header and number == 1):
                    continue
                if problem := _bad_row(text.split(separator), names, kinds):
                    return f"{path}, line {number}{problem}"
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return f"{path}: {problem_with(error)}"
    return None


def _bad_row(cells: list[str], names: list[str], kinds: dict[str, str]) -> str | None:
    if len(cells) != len(names):
        return f": {len(cells)} columns, expected {len(names)}"
    for name, cell in zip(names, cells, strict=True):
        if name in kinds and (problem := _bad_cell(name, kinds[name], cell)):
            return f", column '{name}': {problem}"
    return None


def _bad_cell(name: str, kind: str, cell: str) -> str | None:
    if kind == "str":
        return None if cell.strip() else "the value is missing"
    try:
        value = int(cell) if kind == "int64" else float(cell)
    except ValueError:
        return f"{cell!r} is not a number" if cell.strip() else "the value is missing"
    if not math.isfinite(value):
        return f"{cell!r} is not finite"
    if kind == "int64" and value >= 2**63:
        return f"{cell!r} is too large"
    return f"{cell!r} is negative" if value < 0 else None
