"""Text files: opened as they are (plain, gzip, a member of a zip), and cut into records.

One tokenizer cuts for reading and for complaints, so that the line named is the line meant.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, NoReturn

import pandas as pd

from recspectra.config import inter_files
from recspectra.config.dataset import SourceFile
from recspectra.data.interactions import DataError
from recspectra.files import open_regular

READ_ERRORS = (
    ValueError,
    OverflowError,
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    pd.errors.ParserError,
    pd.errors.ParserWarning,
)
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)
SEPARATORS = (",", ";", "\t", "|", "::", " ")
# First bytes of files that are no text, and what to do about them.
FOREIGN = {
    b"PK\x03\x04": "a zip archive (or a spreadsheet); unpack it, or save the sheet as CSV",
    b"BZh": "packed with bzip2; unpack it",
    b"\xfd7zXZ": "packed with xz; unpack it",
    b"\x28\xb5\x2f\xfd": "packed with zstd; unpack it",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}
# A longer field is a quote that was not closed.
csv.field_size_limit(2**24)

LONGEST_LINE = 2**20  # bytes; of a file with a whole history a line:
LONGEST_HISTORY = 2**26
MOST_COLUMNS = 10_000
# Packed text grows three to twenty times. What grows more, beyond a size that does no harm, is a bomb.
MOST_GROWTH = 200
HARMLESS = 2**30

CHUNK = 2**10  # small: rows die young, and the garbage collector does not walk through millions
LINE_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Chunk:
    """Some records of a text file.

    Attributes
    ----------
    lines : sequence of int
        Number of the physical line on which each record starts, from 1.
    rows : list of list of str
        Their fields.
    error : str
        What is wrong with the record after them, with its line; empty if nothing is.
    """

    lines: Sequence[int]
    rows: list[list[str]]
    error: str = ""


@contextlib.contextmanager
def opened(path: Path, file: SourceFile | None) -> Iterator[IO[bytes]]:
    """Yield the bytes of a file; gzip is unpacked, a zip's member is read in place.

    Nothing of an archive is written to the disk, so no member can land outside.
    """
    member = file.member if file else None
    if member is not None:
        try:
            with (
                open_regular(path) as whole,
                zipfile.ZipFile(whole) as archive,
                archive.open(member) as stream,
            ):
                yield stream
        except KeyError:
            raise DataError(f"{path}: the archive has no member '{member}'") from None
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise DataError(f"{path}: no readable zip archive ({error})") from None
        except RuntimeError as error:
            if "password" not in str(error):
                raise
            raise DataError(f"{path}: member '{member}' is encrypted; unpack the archive") from None
    elif inter_files.is_gzip(path):
        with open_regular(path) as packed, gzip.open(packed) as stream:
            yield stream
    else:
        with open_regular(path) as stream:
            yield stream


def first_bytes(path: Path) -> bytes:
    """Return the first bytes of a file; they tell what kind it is, whatever its name says."""
    with open_regular(path) as stream:
        return stream.read(8)


def place_of(path: Path, file: SourceFile | None) -> str:
    """Return what messages call a file: its path and, of an archive, the member."""
    return f"{path}, member {file.member}" if file and file.member else str(path)


def problem_with(error: Any) -> str:
    """Return what a reading error means in words."""
    if isinstance(error, GZIP_ERRORS):
        return f"the gzip file is truncated or damaged ({error})"
    return str(error)


def records(path: Path, file: SourceFile | None, separator: str) -> Iterator[Chunk]:
    """Cut a text file into records, blank ones included.

    Commas, semicolons and other single characters have the quoting of RFC 4180: a field in
    double quotes may hold separators, line breaks and doubled quotes. Tabs and separators of
    several characters have no quoting.

    Yields
    ------
    Chunk
        Records one by one up to the first that is not blank, then many at a time.

    Raises
    ------
    DataError
        With the line: bytes that are not UTF-8, NUL bytes.
    """
    with _text(path, file) as text:
        if len(separator) > 1:
            cut: Iterator[list[str]] = (line.rstrip("\r\n").split(separator) for line in text)
        else:
            quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
            cut = csv.reader(text, delimiter=separator, quoting=quoting, strict=True)
        first, size, narrow = 1, 1, _narrow(cut)
        while True:
            rows: list[list[str]] = []
            error = ""
            try:
                rows.extend(islice(narrow, size))  # keeps what came before an error
            except csv.Error as problem:
                error = _quoting_problem(problem)
            if not rows and not error:
                return
            lines, end = _starts(rows, first, getattr(cut, "line_num", None) if not error else -1)
            yield Chunk(lines, rows, f"line {end}: {error}" if error else "")
            if error:
                return
            first = end
            size = CHUNK if size > 1 or not is_blank(rows[-1]) else 1


def _narrow(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield rows up to one with more columns than any table has."""
    for row in rows:
        if len(row) > MOST_COLUMNS:
            raise csv.Error(f"{len(row):,} columns; at most {MOST_COLUMNS:,} are read")
        yield row


def _starts(rows: list[list[str]], first: int, last: int | None) -> tuple[Sequence[int], int]:
    """Return the line on which each record starts, and the line after the last record.

    `last` is the number of lines that the tokenizer has taken; None if each record is a line.
    """
    if last is None or last == first - 1 + len(rows):
        return range(first, first + len(rows)), first + len(rows)
    lines = []
    for row in rows:
        lines.append(first)
        first += 1 + sum(len(LINE_BREAK.findall(cell)) for cell in row)
    return lines, first


def lines_of(path: Path, file: SourceFile | None) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a text file; it raises what `records` does."""
    with _text(path, file, LONGEST_HISTORY) as text:
        yield from enumerate(text, start=1)


def is_blank(cells: list[str]) -> bool:
    """Whether a record is an empty line."""
    return not cells or (len(cells) == 1 and not cells[0].strip())


def guess_separator(path: Path, file: SourceFile | None, names: list[str]) -> str:
    """Return the separator that gives all of some columns, without names several; or an empty text."""
    with opened(path, file) as stream:
        line = stream.readline(2**16).decode("utf-8-sig", "replace").rstrip("\r\n")
    for separator in SEPARATORS:
        cells = {cell.strip().strip('"') for cell in line.split(separator)}
        if set(names) <= cells if names else separator != " " and separator in line:
            return separator
    return ""


@contextlib.contextmanager
def _text(path: Path, file: SourceFile | None, longest: int = LONGEST_LINE) -> Iterator[IO[str]]:
    """Yield the text of a file, line ends as they are, after a look at all of its bytes."""
    place = place_of(path, file)
    try:
        with opened(path, file) as stream:
            good = _is_text(_checked(stream, place, path.stat().st_size, longest))
        with opened(path, file) as stream:
            if not good:
                _refuse_bytes(stream, place)
            yield io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    except GZIP_ERRORS as error:
        raise DataError(f"{place}: {problem_with(error)}") from None


def _checked(stream: IO[bytes], place: str, packed: int, longest: int) -> Iterator[bytes]:
    """Yield the blocks of a stream; refuse a line that no table has, and what unpacks without end."""
    size, line = 0, 0
    while block := stream.read(2**20):
        yield block
        size += len(block)
        end = max(block.rfind(b"\n"), block.rfind(b"\r"))
        line = line + len(block) if end < 0 else len(block) - end - 1
        if line > longest:
            raise DataError(f"{place}: a line of more than {longest:,} bytes; it is no table of interactions")
        if size > HARMLESS and size > MOST_GROWTH * packed:
            raise DataError(
                f"{place}: unpacks to more than {MOST_GROWTH} times its {packed:,} bytes, which no table of "
                "interactions does; unpack it yourself if you trust it"
            )


def _is_text(blocks: Iterator[bytes]) -> bool:
    """Whether bytes are UTF-8 without NUL bytes and start like a text."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    start = True
    try:
        for block in blocks:
            if b"\0" in block or (start and block.startswith(tuple(FOREIGN))):
                return False
            start = False
            decode(block)
        decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


def _refuse_bytes(stream: IO[bytes], place: str) -> NoReturn:
    """Raise `DataError` with the first line that is no UTF-8 text."""
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
    number = 1
    while line := text.readline(LONGEST_LINE):
        raw = line.encode("utf-8", "surrogateescape")
        for magic, what in FOREIGN.items():
            if number == 1 and raw.startswith(magic):
                raise DataError(f"{place}: the file is {what}")
        if "\0" in line:
            raise DataError(
                f"{place}, line {number}: a NUL byte; the file is damaged, no text or not UTF-8 (UTF-16?)"
            )
        try:
            raw.decode()
        except UnicodeDecodeError:
            shown = raw.rstrip(b"\r\n")[:80]
            raise DataError(f"{place}, line {number}: not UTF-8: {shown!r}; save the file as UTF-8") from None
        number += line.endswith(("\n", "\r"))
    raise DataError(f"{place}: the file ends within a character; it is damaged or not UTF-8")


def _quoting_problem(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end of data" in text or "field limit" in text:
        return 'a quote (") is opened in this line and never closed; double it where it is part of a text'
    if "expected after" in text:
        return 'text follows a closing quote ("); a quote inside of a quoted text must be doubled'
    return text
