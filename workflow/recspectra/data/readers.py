"""Readers: one function per file format, looked up by its name in the dataset YAML.

A reader gets the local path of a file, its entry in the YAML and the reader's options
and returns an `InteractionTable`. Bad content raises `DataError` with file and line.
"""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra.data import alignment, synthetic
from recspectra.data.interactions import DataError
from recspectra.data.tables import PARTS, InteractionTable, concatenate
from recspectra.data.text import COLUMNS, READ_ERRORS, first_bad_line, opened, problem_with
from recspectra.dataset_schema import DatasetConfig, SourceFile

Reader = Callable[..., InteractionTable]


def read(config: DatasetConfig, folder: Path) -> InteractionTable:
    """Read all files of a dataset with the reader that its YAML names."""
    name, options = config.reader.format, config.reader.options
    _check_reader(config.name, name, options)
    if config.path:
        columns = {f"{k}_column": v for k, v in config.columns.items()} if name == "table" else {}
        return READERS[name](Path(config.path), None, **columns, **options)
    if not config.source.files:
        return READERS[name](**options)
    files = [f for f in config.source.files if f.part != "order"]
    table = concatenate([_read_file(config.name, folder, f, name, options) for f in files])
    return _in_order(table, config, folder) if config.reader.order_from else table


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
    table = READERS[reader](folder / file.path, file, **options)
    if not len(table):
        raise DataError(f"dataset '{dataset}': {file.path} holds no interactions")
    return table


def _check_reader(dataset: str, name: str, options: Mapping[str, Any]) -> None:
    """Refuse a reader that does not exist and an option that it does not have."""
    if name not in READERS:
        raise DataError(
            f"dataset '{dataset}': unknown reader '{name}'; known: {', '.join(READERS)}{_hint(name, READERS)}"
        )
    _check_options(dataset, name, options)


def _hint(word: str, words: Any) -> str:
    match = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean '{match[0]}'?" if match else ""


def _check_options(dataset: str, name: str, options: Mapping[str, Any]) -> None:
    """Refuse an option that the reader does not have."""
    known = [n for n in inspect.signature(READERS[name]).parameters if n not in ("path", "file")]
    for option in options:
        if option not in known:
            raise DataError(
                f"dataset '{dataset}': reader '{name}' has no option '{option}'; "
                f"known: {', '.join(known) or 'none'}{_hint(option, known)}"
            )


# --------------------------------------------------------------------------------- text


def read_delimited(
    path: Path,
    file: SourceFile | None,
    columns: str = "user,item,rating,time",
    separator: str = ",",
    header: bool = False,
    text_ids: bool = False,
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
    """
    names = columns.split(",")
    if not {"user", "item"} <= set(names) or len(set(names)) < len(names):
        raise DataError(f"{path}: columns '{columns}' must name user and item, each once")
    kinds = dict(COLUMNS) | ({"user": "str", "item": "str"} if text_ids else {})
    try:
        frame = _read_text(path, file, names, separator, header, kinds)
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: the file is empty") from None
    except READ_ERRORS as error:
        raise _text_error(path, file, names, separator, header, kinds, error) from None
    numbers = [n for n in frame if kinds[n] != "str"]
    values = frame[numbers].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any() or _missing(frame, kinds):
        raise _text_error(path, file, names, separator, header, kinds, "bad value")
    return _table(frame, file)


def _read_text(
    path: Path, file: SourceFile | None, names: list[str], separator: str, header: bool,
    kinds: dict[str, str],
) -> pd.DataFrame:  # fmt: skip
    doubled = len(separator) == 2 and separator[0] == separator[1]
    spread = [n for name in names for n in (name, f"_{name}")][:-1] if doubled else names
    with warnings.catch_warnings(), opened(path, file) as stream:
        warnings.simplefilter("error", pd.errors.ParserWarning)  # more columns than names
        frame = pd.read_csv(
            stream,
            sep=separator[0] if doubled else separator,
            header=0 if header else None,
            names=spread,
            dtype={n: kinds.get(n, "str") for n in spread},
            na_values=[],
            keep_default_na=False,
            index_col=False,
            encoding="utf-8-sig",
        )
    return frame[[n for n in names if n in COLUMNS]]


def _missing(frame: pd.DataFrame, kinds: dict[str, str]) -> bool:
    return any((frame[n] == "").any() for n in frame if kinds[n] == "str")


def _text_error(
    path: Path, file: SourceFile | None, names: list[str], separator: str, header: bool,
    kinds: dict[str, str], error: Any,
) -> DataError:  # fmt: skip
    found = first_bad_line(path, file, names, separator, header, kinds)
    return DataError(found or f"{path}: {problem_with(error)}")


def _table(frame: pd.DataFrame, file: SourceFile | None) -> InteractionTable:
    def column(name: str) -> np.ndarray | None:
        if name not in frame:
            return None
        if name in ("user", "item"):
            return as_ids(frame[name])
        return frame[name].to_numpy(dtype=np.float64)

    return InteractionTable(
        column("user"), column("item"), column("time"), column("rating"), _parts(file, len(frame))
    )


def as_ids(column: pd.Series) -> np.ndarray:
    """Return ids as int64 where all are whole numbers that fit, else as texts."""
    if pd.api.types.is_integer_dtype(column.dtype) and not pd.api.types.is_unsigned_integer_dtype(
        column.dtype
    ):
        return column.to_numpy(dtype=np.int64)
    texts = column.astype(str)
    if texts.str.fullmatch(r"-?(0|[1-9]\d{0,17})").all():
        return texts.to_numpy(dtype=str).astype(np.int64)
    return texts.to_numpy(dtype=str)


def _parts(file: SourceFile | None, rows: int) -> np.ndarray | None:
    if file is None or file.part not in PARTS:
        return None
    return np.full(rows, PARTS.index(file.part), dtype=np.int8)


def read_sequences(path: Path, file: SourceFile | None) -> InteractionTable:
    """Read one user a line, `user item item ...` from the oldest to the newest (S3Rec)."""
    users, items = [], []
    with opened(path, file) as stream:
        for number, line in enumerate(stream, start=1):
            cells = line.decode("utf-8", "replace").split()
            if not cells:
                continue
            if bad := next((c for c in cells if not c.isascii() or not c.isdigit()), None):
                raise DataError(f"{path}, line {number}: {bad!r} is not a whole number")
            users.append(np.full(len(cells) - 1, int(cells[0]), dtype=np.int64))
            items.append(np.array(cells[1:], dtype=np.int64))
    if not users:
        raise DataError(f"{path}: the file is empty")
    user, item = np.concatenate(users), np.concatenate(items)
    return InteractionTable(user, item, None, None, _parts(file, len(user)))


def read_netflix(path: Path, file: SourceFile | None) -> InteractionTable:
    """Read a file of the Netflix Prize: `movie:` lines, each followed by `user,rating,date`."""
    rows = pd.read_csv(path, header=None, names=["user", "rating", "date"], dtype=str)
    movie = rows["user"].str.endswith(":")
    if not len(rows) or not movie.iloc[0]:
        raise DataError(f"{path}, line 1: expected a movie such as '1:'")
    item = rows["user"].where(movie).ffill().str.rstrip(":")
    rows = rows.assign(item=item)[~movie]
    dates = pd.to_datetime(rows["date"], errors="coerce", format="%Y-%m-%d")
    numbers = rows[["user", "item", "rating"]].apply(pd.to_numeric, errors="coerce")
    bad = numbers.isna().any(axis=1) | dates.isna()
    if bad.any():
        raise DataError(f"{path}, line {int(bad.idxmax()) + 1}: expected user,rating,YYYY-MM-DD")
    frame = numbers.astype({"user": np.int64, "item": np.int64})
    seconds = dates.to_numpy("datetime64[s]").astype(np.int64)
    return _table(frame.assign(time=seconds), file)


# ------------------------------------------------------------------- arrays and parquet


def read_pairs_npy(path: Path, file: SourceFile | None) -> InteractionTable:
    """Read an integer array of shape (n, 2): user, item; no times; order is file order."""
    try:
        pairs = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: no readable npy array ({error})") from None
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
    user_column: str = "user",
    item_column: str = "item",
    rating_column: str = "",
    time_column: str = "",
) -> InteractionTable:
    """Read a CSV, TSV (by its ending, .gz allowed) or Parquet file with named columns."""
    names = {"user": user_column, "item": item_column, "rating": rating_column, "time": time_column}
    names = {key: column for key, column in names.items() if column}
    if path.suffix == ".parquet":
        return _parquet(path, file, names)
    separator = "\t" if path.name.removesuffix(".gz").endswith((".tsv", ".inter")) else ","
    return _headed(path, file, names, separator)


def read_inter(path: Path, file: SourceFile | None) -> InteractionTable:
    """Read a RecBole atomic file: tab-separated, names such as `user_id:token`."""
    known = {"user": "user_id:token", "item": "item_id:token", "rating": "rating:float",
             "time": "timestamp:float"}  # fmt: skip
    present = header_of(path, file, "\t")
    names = {k: v for k, v in known.items() if v in present or k in ("user", "item")}
    return _headed(path, file, names, "\t")


def header_of(path: Path, file: SourceFile | None, separator: str) -> list[str]:
    """Return the names in the first line of a text file."""
    try:
        with opened(path, file) as stream:
            line = stream.readline().decode("utf-8-sig")
    except READ_ERRORS as error:
        raise DataError(f"{path}, line 1: {problem_with(error)}") from None
    if not line.strip():
        raise DataError(f"{path}: the file is empty")
    return line.rstrip("\r\n").split(separator)


def _headed(path: Path, file: SourceFile | None, names: dict[str, str], separator: str) -> InteractionTable:
    header = header_of(path, file, separator)
    _require(path, names, header)
    place = {column: key for key, column in names.items()}
    order = ",".join(place.get(column, f"skip{i}") for i, column in enumerate(header))
    table = read_delimited(path, file, order, separator, header=True, text_ids=True)
    if not len(table):
        raise DataError(f"{path}: the file has a header and no rows")
    return table


def _require(path: Path, names: dict[str, str], present: list[str]) -> None:
    for key, column in names.items():
        if column not in present:
            raise DataError(
                f"{path}: no column '{column}' for {key}; columns: {', '.join(present)}"
                f"{_hint(column, present)}"
            )


def _parquet(path: Path, file: SourceFile | None, names: dict[str, str]) -> InteractionTable:
    try:
        import pyarrow.parquet as pq

        _require(path, names, list(pq.read_schema(path).names))
        frame = pq.read_table(path, columns=list(names.values())).to_pandas()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no readable Parquet file ({error})") from None
    frame = frame.rename(columns={column: key for key, column in names.items()})
    if not len(frame):
        raise DataError(f"{path}: the file holds no rows")
    if frame.isna().to_numpy().any():
        row = int(np.flatnonzero(frame.isna().any(axis=1))[0])
        raise DataError(f"{path}, row {row + 1}: a value is missing")
    if "time" in frame and pd.api.types.is_datetime64_any_dtype(frame["time"]):
        frame["time"] = frame["time"].to_numpy("datetime64[s]").astype(np.float64)
    for key in ("rating", "time"):
        if key in frame and not pd.api.types.is_numeric_dtype(frame[key]):
            raise DataError(f"{path}: column '{names[key]}' for {key} holds no numbers")
        if key in frame and (frame[key] < 0).any():
            row = int(np.flatnonzero(frame[key] < 0)[0])
            raise DataError(f"{path}, row {row + 1}: column '{names[key]}' is negative")
    return _table(frame, file)


READERS: dict[str, Reader] = {
    "delimited": read_delimited,
    "sequences": read_sequences,
    "pairs-npy": read_pairs_npy,
    "netflix": read_netflix,
    "table": read_table,
    "inter": read_inter,
    "synthetic": synthetic.generate,
}
