"""Readers: one function per file format, looked up by its name in the dataset YAML.

A reader gets the local path of a file, its entry in the YAML and the reader's options
and returns an `InteractionTable`, whose account says what became of each row. Bad content
raises `DataError` with file and line.
"""

from __future__ import annotations

import csv
import functools
import inspect
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pandas as pd

from recspectra.config import inter_files
from recspectra.config.base import check_known
from recspectra.config.dataset import ROLES, DatasetConfig, SourceFile
from recspectra.data import alignment, synthetic
from recspectra.data.columns import NUMBER, IdColumn, NumberColumn, TimeColumn
from recspectra.data.gather import Gathered
from recspectra.data.interactions import DataError
from recspectra.data.tables import PARTS, Account, InteractionTable, concatenate
from recspectra.data.text import (
    READ_ERRORS,
    Chunk,
    first_bytes,
    guess_separator,
    is_blank,
    lines_of,
    opened,
    place_of,
    problem_with,
    records,
)
from recspectra.files import open_regular

Reader = Callable[..., InteractionTable]
WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def read(config: DatasetConfig, folder: Path) -> InteractionTable:
    """Read all files of a dataset with the reader that its YAML names."""
    name, options = config.reader.format, config.reader.options
    _check_reader(config.name, name, options)
    if config.path:
        return _read_own(config)
    if not config.source.files:
        return READERS[name](**options)
    files = [f for f in config.source.files if f.part != "order"]
    table = concatenate([_read_file(config.name, folder, f, name, options) for f in files])
    return _in_order(table, config, folder) if config.reader.order_from else table


def _read_own(config: DatasetConfig) -> InteractionTable:
    """Read a user's own file."""
    path = Path(config.path)
    if not path.is_file():
        raise DataError(f"dataset '{config.name}': {config.where_it_should_be()}")
    reader = READERS[config.reader.format]
    given: dict[str, Any] = {f"{role}_column": column for role, column in config.columns.items()}
    for key in ("separator", "header", "missing"):
        if getattr(config, key) != DatasetConfig.model_fields[key].default:
            given[key] = getattr(config, key)
    for key in given:
        if key not in inspect.signature(reader).parameters:
            raise DataError(
                f"dataset '{config.name}': reader '{config.reader.format}' does not take "
                f"`{'columns' if key.endswith('_column') else key}`"
            )
    try:
        return reader(path, None, **{**given, **config.reader.options})
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _in_order(table: InteractionTable, config: DatasetConfig, folder: Path) -> InteractionTable:
    """Give a table the order of the file with `part: order`."""
    reader = config.reader.order_from
    _check_reader(config.name, reader.format, reader.options)
    file = next(f for f in config.source.files if f.part == "order")
    other = _read_file(config.name, folder, file, reader.format, reader.options)
    try:
        return alignment.in_order_of(table, other)
    except DataError as error:
        raise DataError(f"dataset '{config.name}', order from {file.path}: {error}") from None


def _read_file(
    dataset: str, folder: Path, file: SourceFile, reader: str, options: Mapping[str, Any]
) -> InteractionTable:
    _check_regular(dataset, folder / file.path)
    table = READERS[reader](folder / file.path, file, **options)
    if not len(table):
        raise DataError(f"dataset '{dataset}': {file.path} holds no interactions")
    return table


def _check_regular(dataset: str, path: Path) -> None:
    """Refuse what is no file that ends, such as a pipe."""
    try:
        open_regular(path).close()
    except OSError as error:
        raise DataError(f"dataset '{dataset}': {path} cannot be read ({error.strerror})") from None


def _check_reader(dataset: str, name: str, options: Mapping[str, Any]) -> None:
    """Refuse a reader that does not exist and an option that it does not have."""
    said = f"dataset '{dataset}': unknown reader '{{name}}'; known: {{known}}"
    check_known([name], READERS, said, DataError)
    kinds = get_type_hints(READERS[name])
    known = [n for n in inspect.signature(READERS[name]).parameters if n not in ("path", "file")]
    said = f"dataset '{dataset}': reader '{name}' has no option '{{name}}'; known: {{known}}"
    check_known(options, known, said, DataError)
    for option, value in options.items():
        allowed = get_args(kinds[option]) or (kinds[option],)
        wanted = (*allowed, int) if float in allowed else allowed
        if type(value) not in wanted:
            words = " or ".join(WORDS[kind] for kind in allowed if kind in WORDS)
            raise DataError(f"dataset '{dataset}': reader.options.{option}: {value!r} is not {words}")


# --------------------------------------------------------------------------------- text


def read_delimited(
    path: Path,
    file: SourceFile | None,
    columns: str = "user,item,rating,time",
    separator: str = ",",
    header: bool = False,
    text_ids: bool = False,
    missing: str = "error",
) -> InteractionTable:
    """Read rows such as `user,item,rating,time`; gzip and zip members are read in place.

    Parameters
    ----------
    path : Path
        The local file.
    file : SourceFile or None
        Its entry in the dataset YAML (part of a shipped split, member of a zip).
    columns : str
        Comma-separated names in file order: user, item, rating, time; others are skipped.
    separator : str
        What stands between two columns; one character, or one doubled as in `::`.
    header : bool
        Whether the first line holds names.
    text_ids : bool
        Whether users and items are texts rather than whole numbers.
    missing : {"error", "drop"}
        What to do with rows in which a value is missing.
    """
    names = columns.split(",")
    if not {"user", "item"} <= set(names) or len(set(names)) < len(names):
        raise DataError(f"{path}: columns '{columns}' must name user and item, each once")
    places = {name: place for place, name in enumerate(names) if name in ROLES}
    rows = records(path, file, separator)
    first = _first_row(path, file, rows) if header else []
    return _gather(path, file, rows, places, len(names), missing, not text_ids, first)


def _gather(
    path: Path, file: SourceFile | None, chunks: Iterator[Chunk], places: Mapping[str, int], width: int,
    missing: str = "error", whole: bool = False, header: Sequence[str] = (),
) -> InteractionTable:  # fmt: skip
    """Read all records of a text file; `places` says in which column (from 0) a role stands."""
    columns: dict[str, Any] = {}
    names = {role: header[place].strip() for role, place in places.items() if place < len(header)}
    if header and all(NUMBER.fullmatch(header[places[role]]) for role in ("user", "item")):
        header = ()  # pandas calls columns 0 and 1, which user 0 and item 1 are as well
    for role, place in places.items():
        if role in ("user", "item"):
            columns[role] = IdColumn(whole, header[place] if place < len(header) else "")
        else:
            columns[role] = NumberColumn() if role == "rating" else TimeColumn()
    gathered = Gathered(place_of(path, file), columns, missing, names=names)
    for chunk in chunks:
        lines, rows = chunk.lines, chunk.rows
        uneven = set(map(len, rows)) != {width}
        odd = [i for i, cells in enumerate(rows) if len(cells) != width] if uneven else []
        bad = next((i for i in odd if not is_blank(rows[i])), None)
        good = len(rows) if bad is None else bad
        if odd:
            blank = [i for i in odd if i < good]
            gathered.drop("blank line", len(blank))
            kept = sorted(set(range(good)).difference(blank))
            lines, rows = [lines[i] for i in kept], [rows[i] for i in kept]
        if rows:
            cells = list(zip(*rows, strict=True))
            gathered.add(lines, {role: cells[place] for role, place in places.items()})
        if bad is not None:
            gathered.refuse(f"line {chunk.lines[bad]}: {_columns(len(chunk.rows[bad]))}, expected {width}")
        if chunk.error:
            gathered.refuse(chunk.error)
    return _table(gathered, file)


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _table(gathered: Gathered, file: SourceFile | None) -> InteractionTable:
    arrays = gathered.finish()
    unified = gathered.unified
    examples = [f"{role} {u.example[0]!r} is {u.example[1]!r}" for role, u in unified.items() if u.example]
    account = Account(
        gathered.rows_in,
        dict(gathered.dropped),
        sum(u.count for u in unified.values()),
        tuple(examples),
    )
    return InteractionTable(
        arrays["user"], arrays["item"], arrays.get("time"), arrays.get("rating"),
        _parts(file, len(arrays["user"])), account,
    )  # fmt: skip


def _parts(file: SourceFile | None, rows: int) -> np.ndarray | None:
    if file is None or file.part not in PARTS:
        return None
    return np.full(rows, PARTS.index(file.part), dtype=np.int8)


def read_sequences(path: Path, file: SourceFile | None, sort: bool = False) -> InteractionTable:
    """Read one user a line, `user item item ...` from the oldest to the newest (S3Rec).

    Parameters
    ----------
    path : Path
        The local file.
    file : SourceFile or None
        Its entry in the dataset YAML.
    sort : bool
        Sort rows by user and item: for files whose order says nothing, so that all versions of them
        are read alike (LightGCN).
    """
    users, items, dropped = [], [], {}
    for number, line in lines_of(path, file):
        cells = line.split()
        if bad := next((c for c in cells if not c.isascii() or not c.isdigit()), None):
            raise DataError(f"{path}, line {number}: {bad!r} is not a whole number")
        if len(cells) < 2:
            reason = "user without items" if cells else "blank line"
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        try:
            users.append(np.full(len(cells) - 1, int(cells[0]), dtype=np.int64))
            items.append(np.array(list(map(int, cells[1:])), dtype=np.int64))
        except (OverflowError, ValueError):  # of more than 63 bits, of more than 4300 digits
            raise DataError(f"{path}, line {number}: a number is too large") from None
    if not users and not dropped:
        raise DataError(f"{path}: the file is empty")
    none = np.zeros(0, dtype=np.int64)
    user, item = np.concatenate([none, *users]), np.concatenate([none, *items])
    if sort:
        order = np.lexsort((item, user))
        user, item = user[order], item[order]
    account = Account(len(user) + sum(dropped.values()), dropped)
    return InteractionTable(user, item, None, None, _parts(file, len(user)), account)


def read_netflix(path: Path, file: SourceFile | None) -> InteractionTable:
    """Read a file of the Netflix Prize: `movie:` lines, each followed by `user,rating,date`."""
    try:
        # Blank lines stay, so that a row's number is its line's.
        with opened(path, file) as stream:
            rows = pd.read_csv(
                stream, header=None, names=["user", "rating", "date"], dtype=str, index_col=False,
                quoting=csv.QUOTE_NONE, skip_blank_lines=False, na_values=[], keep_default_na=False,
            )  # fmt: skip
    except READ_ERRORS as error:
        raise DataError(f"{path}: {problem_with(error)}") from None
    rows = rows.fillna("")
    blank = (rows["user"].str.strip() == "") & (rows["rating"] == "") & (rows["date"] == "")
    lines = rows.index[~blank] + 1
    account = Account(len(rows), {"blank line": int(blank.sum())} if blank.any() else {})
    rows = rows[~blank]
    movie = (rows["user"].str.endswith(":") & (rows["rating"] == "") & (rows["date"] == "")).to_numpy()
    if not len(rows) or not movie[0]:
        raise DataError(f"{path}, line {lines[0] if len(rows) else 1}: expected a movie such as '1:'")
    item = rows["user"].where(movie).ffill().str.removesuffix(":")
    bad = ~_whole(item).to_numpy()
    rows, lines, item = rows[~movie], lines[~movie], item[~movie]
    dates = pd.to_datetime(rows["date"], errors="coerce", format="%Y-%m-%d")
    rating = pd.to_numeric(rows["rating"], errors="coerce")
    bad = bad[~movie] | ~_whole(rows["user"]).to_numpy() | ~np.isfinite(rating.to_numpy(np.float64))
    bad |= dates.isna().to_numpy()
    if bad.any():
        raise DataError(f"{path}, line {lines[int(bad.argmax())]}: expected user,rating,YYYY-MM-DD")
    account = replace(account, rows_in=account.rows_in - int(movie.sum()))
    return InteractionTable(
        rows["user"].to_numpy(str).astype(np.int64), item.to_numpy(str).astype(np.int64),
        dates.to_numpy("datetime64[s]").astype(np.int64).astype(np.float64),
        rating.to_numpy(np.float64), _parts(file, len(rows)), account,
    )  # fmt: skip


def _whole(texts: pd.Series) -> pd.Series:
    return texts.str.fullmatch(r"[0-9]{1,18}")


# ------------------------------------------------------------------- arrays and parquet


def read_pairs_npy(path: Path, file: SourceFile | None) -> InteractionTable:
    """Read an integer array of shape (n, 2): user, item; no times; order is file order."""
    try:
        pairs = np.load(path, allow_pickle=False)
    except Exception as error:  # a broken header is read by Python's own parser, which raises a dozen kinds
        raise DataError(f"{path}: no readable npy array ({error or type(error).__name__})") from None
    if not isinstance(pairs, np.ndarray):
        raise DataError(f"{path}: expected one npy array, found an npz archive")
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise DataError(f"{path}: expected integers of shape (n, 2), found {pairs.dtype} {pairs.shape}")
    pairs = pairs.astype(np.int64)
    if len(pairs) and pairs.min() < 0:
        row = int(np.flatnonzero((pairs < 0).any(axis=1))[0])
        raise DataError(f"{path}, row {row}: negative id {pairs[row].tolist()}")
    return InteractionTable(pairs[:, 0], pairs[:, 1], None, None, _parts(file, len(pairs)))


def read_table(
    path: Path,
    file: SourceFile | None,
    user_column: str | int = "user",
    item_column: str | int = "item",
    rating_column: str | int = "",
    time_column: str | int = "",
    separator: str | None = None,
    header: bool = True,
    missing: str = "error",
) -> InteractionTable:
    """Read a CSV, TSV (by its ending, .gz allowed) or Parquet file with named columns.

    Parameters
    ----------
    path : Path
        The local file.
    file : SourceFile or None
        Its entry in the dataset YAML, if it is one of a source's files.
    user_column, item_column, rating_column, time_column : str or int
        Names of columns; without a header their numbers, from 1. Empty: there is none.
    separator : str or None
        What stands between two columns of a text; by default a tab in `.tsv` and `.inter`
        files, a comma in others.
    header : bool
        Whether the first line of a text holds names.
    missing : {"error", "drop"}
        What to do with rows in which a value is missing.
    """
    names = {"user": user_column, "item": item_column, "rating": rating_column, "time": time_column}
    names = {role: column for role, column in names.items() if column != ""}
    _check_distinct(path, names)
    if file is None and first_bytes(path).startswith(b"PAR1"):
        return _parquet(path, file, names, missing)
    ending = path.name.lower().removesuffix(".gz")
    if ending.endswith((".parquet", ".pq")):
        return _parquet(path, file, names, missing)
    chosen = separator or ("\t" if ending.endswith((".tsv", ".inter")) else ",")
    form = f"text, separator {_shown(chosen)}{'' if header else ', no header'}"
    return _read_columns(path, file, lambda _: names, chosen, header, missing, form)


def read_inter(
    path: Path,
    file: SourceFile | None,
    user_column: str = "",
    item_column: str = "",
    rating_column: str = "",
    time_column: str = "",
    separator: str = "\t",
    missing: str = "error",
) -> InteractionTable:
    """Read a RecBole atomic file: tab-separated, without quoting, names such as `user_id:token`.

    Columns are found by name, with or without the type behind the colon; those that are not
    named are RecBole's own (`user_id`, `item_id`, and where they are there `rating`, `timestamp`).
    """
    given = {"user": user_column, "item": item_column, "rating": rating_column, "time": time_column}
    given = {role: column for role, column in given.items() if column}
    _check_distinct(path, given)
    names_in = functools.partial(inter_files.columns_of, given)
    return _read_columns(path, file, names_in, separator, True, missing, "RecBole's .inter, separator tab")


def _read_columns(
    path: Path, file: SourceFile | None, names_in: Callable[[list[str]], Mapping[str, Any]], separator: str,
    header: bool, missing: str, form: str,
) -> InteractionTable:  # fmt: skip
    """Read a text with a column for each role; `names_in` says which, given the cells of the first line."""
    rows = records(path, file, separator)
    present = _first_row(path, file, rows)
    find = _places if header else _numbered
    places = find(path, file, names_in(present), present, separator)
    rows = rows if header else records(path, file, separator)  # once more, from the top
    names_row = present if header else ()
    table = _gather(path, file, rows, places, len(present), missing, header=names_row)
    _need_rows(path, table, header)
    return _laid_out(table, form, _named(places, names_row))


def _named(places: Mapping[str, int], names: Sequence[str]) -> dict[str, str]:
    """Return in which column each role was found, by its name where there are names."""
    return {role: f"{names[place]} (column {place + 1})" if names else f"column {place + 1}"
            for role, place in places.items()}  # fmt: skip


def _check_distinct(path: Path, names: Mapping[str, Any]) -> None:
    """Refuse one column in two roles: every user would be an item."""
    for role, column in names.items():
        if (first := next(other for other in names if names[other] == column)) != role:
            raise DataError(f"{path}: column '{column}' is named for {first} and for {role}; name another")


def _first_row(path: Path, file: SourceFile | None, rows: Iterator[Chunk]) -> list[str]:
    """Return the cells of the first line that is not blank."""
    for chunk in rows:
        if chunk.error:
            raise DataError(f"{place_of(path, file)}, {chunk.error}")
        if not is_blank(chunk.rows[0]):
            return [_tidy(cell) for cell in chunk.rows[0]]
    raise DataError(f"{place_of(path, file)}: the file is empty")


def _tidy(name: str) -> str:
    """Return a column's name as it is compared: without white space around it, composed."""
    return unicodedata.normalize("NFC", name.strip())


def _places(
    path: Path, file: SourceFile | None, names: Mapping[str, Any], present: list[str], separator: str
) -> dict[str, int]:
    """Return where the named columns stand, from 0."""
    wanted = {role: _tidy(str(column)) for role, column in names.items()}
    try:
        _require(path, wanted, present)
    except DataError as error:
        raise DataError(f"{error}{_why_absent(path, file, wanted, present, separator)}") from None
    for role, column in wanted.items():
        if column.endswith((":token_seq", ":float_seq")):
            raise DataError(
                f"{place_of(path, file)}: column '{column}' for {role} holds several values a row; "
                f"write one row for each, and name the column '{column.removesuffix('_seq')}'"
            )
    return {role: present.index(column) for role, column in wanted.items()}


def _why_absent(
    path: Path, file: SourceFile | None, wanted: Mapping[str, str], present: list[str], separator: str
) -> str:
    """Return what is probably wrong where named columns are not in the first line."""
    found = guess_separator(path, file, list(wanted.values()))
    if not found and len(present) == 1:
        found = guess_separator(path, file, [])
    if found and found != separator:
        return _separator_hint(found)
    if any(f'"{column}"' in present for column in wanted.values()):
        return "; the names are in quotes, which tab-separated files do not have: write it without quotes"
    if not set(wanted.values()) & set(present) and any(NUMBER.fullmatch(cell) for cell in present):
        return "; if the first line holds data, write `header: false` and number the columns from 1"
    return ""


def _separator_hint(separator: str) -> str:
    shown = {"\t": "\\t"}.get(separator, separator)
    return f'; the file looks separated by {_shown(separator)}: write `separator: "{shown}"`'


def _shown(separator: str) -> str:
    return {"\t": "tab", " ": "blank"}.get(separator, f"'{separator}'")


def _numbered(
    path: Path, file: SourceFile | None, names: Mapping[str, Any], first: list[str], separator: str
) -> dict[str, int]:
    """Return where columns given by number (from 1) stand, from 0."""
    for role, number in names.items():
        if not isinstance(number, int) or number < 1:
            raise DataError(
                f"{place_of(path, file)}: without a header columns are numbers from 1; {role} is {number!r}"
            )
        if number > len(first):
            found = guess_separator(path, file, []) if len(first) == 1 else ""
            raise DataError(
                f"{place_of(path, file)}, line 1: no column {number} for {role}, found "
                f"{_columns(len(first))}{_separator_hint(found) if found not in ('', separator) else ''}"
            )
    return {role: number - 1 for role, number in names.items()}


def _need_rows(path: Path, table: InteractionTable, header: bool) -> None:
    if not len(table):
        dropped = f" that can be read ({table.account.words()})" if table.account.rows_in else ""
        raise DataError(f"{path}: the file has {'a header and ' if header else ''}no rows{dropped}")


def _laid_out(table: InteractionTable, form: str, columns: Mapping[str, str]) -> InteractionTable:
    """Return a table whose account says how the file was understood."""
    layout = {"format": form, "columns": ", ".join(f"{role} = {column}" for role, column in columns.items())}
    return replace(table, account=replace(table.account, layout=layout))


def _require(path: Path, names: Mapping[str, str], present: list[str]) -> None:
    for role, column in names.items():
        said = f"{path}: no column '{{name}}' for {role}; columns: {{known}}"
        check_known([column], present, said, DataError)
        if present.count(column) > 1:
            raise DataError(
                f"{path}: column '{column}' for {role} stands there {present.count(column)} times"
            )


def _parquet(path: Path, file: SourceFile | None, names: Mapping[str, Any], missing: str) -> InteractionTable:
    from recspectra.data import parquet  # pyarrow takes a while to load

    source = parquet.Source(path)
    wanted = {role: str(column) for role, column in names.items()}
    _require(path, wanted, source.names)
    if not len(source):
        raise DataError(f"{path}: the file holds no rows")
    kinds = {"rating": parquet.ArrowNumbers, "time": parquet.ArrowTimes}
    gathered = Gathered(
        str(path), {role: kinds.get(role, parquet.ArrowIds)() for role in wanted}, missing, "row", wanted
    )
    gathered.add(range(1, len(source) + 1), {role: source.column(column) for role, column in wanted.items()})
    table = _table(gathered, file)
    _need_rows(path, table, header=False)
    return _laid_out(table, "Parquet", wanted)


READERS: dict[str, Reader] = {
    "delimited": read_delimited,
    "sequences": read_sequences,
    "pairs-npy": read_pairs_npy,
    "netflix": read_netflix,
    "table": read_table,
    "inter": read_inter,
    "synthetic": synthetic.generate,
}
