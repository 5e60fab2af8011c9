"""Readers: one function per file format, looked up by its name in the dataset YAML.

A reader gets the local paths of the dataset's files and the reader's options
and returns an `InteractionTable`. Bad content raises `DataError` with the file
and the line.
"""

from __future__ import annotations

import difflib
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config import DatasetConfig, SourceFile
from recspectra.data import synthetic
from recspectra.data.interactions import DataError
from recspectra.data.tables import PARTS, InteractionTable, concatenate

Reader = Callable[..., InteractionTable]
COLUMNS = {"user": "int64", "item": "int64", "rating": "float64", "time": "float64"}


def read(config: DatasetConfig, folder: Path) -> InteractionTable:
    """Read all files of a dataset with the reader that its YAML names."""
    name = config.reader.format
    if name not in READERS:
        match = difflib.get_close_matches(name, READERS, n=1)
        hint = f"; did you mean '{match[0]}'?" if match else ""
        raise DataError(
            f"dataset '{config.name}': unknown reader '{name}'; known: {', '.join(READERS)}{hint}"
        )
    options: Mapping[str, Any] = config.reader.options
    _check_options(config.name, name, options)
    if not config.source.files:
        return READERS[name](**options)
    tables = [READERS[name](folder / f.path, f, **options) for f in config.source.files]
    if any(len(t) == 0 for t in tables):
        empty = next(f.path for f, t in zip(config.source.files, tables, strict=True) if not len(t))
        raise DataError(f"dataset '{config.name}': {empty} holds no interactions")
    return concatenate(tables)


def _check_options(dataset: str, name: str, options: Mapping[str, Any]) -> None:
    """Refuse an option that the reader does not have."""
    known = [n for n in inspect.signature(READERS[name]).parameters if n not in ("path", "file")]
    for option in options:
        if option not in known:
            match = difflib.get_close_matches(option, known, n=1)
            hint = f"; did you mean '{match[0]}'?" if match else ""
            raise DataError(
                f"dataset '{dataset}': reader '{name}' has no option '{option}'; "
                f"known: {', '.join(known) or 'none'}{hint}"
            )


def read_delimited(
    path: Path, file: SourceFile, columns: str = "user,item,rating,time", separator: str = ","
) -> InteractionTable:
    """Read text rows such as `user,item,rating,time` without a header line.

    Parameters
    ----------
    path : Path
        The local file.
    file : SourceFile
        Its entry in the dataset YAML (names the part of a shipped split).
    columns : str
        Comma-separated names out of user, item, rating, time.
    separator : str
        What stands between two columns.
    """
    names = columns.split(",")
    if not {"user", "item"} <= set(names) <= set(COLUMNS):
        raise DataError(f"{path}: columns '{columns}' must name user, item and else rating or time")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # more columns than names
            frame = pd.read_csv(
                path,
                sep=separator,
                header=None,
                names=names,
                encoding="utf-8-sig",
                dtype={n: COLUMNS[n] for n in names},
                na_values=[],
                keep_default_na=False,
                index_col=False,
                engine="c" if len(separator) == 1 else "python",
            )
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: the file is empty") from None
    except (ValueError, OverflowError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DataError(_first_bad_line(path, names, separator) or f"{path}: {error}") from None
    values = frame[names].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        raise DataError(_first_bad_line(path, names, separator) or f"{path}: bad value")
    return _table(frame, file)


def _table(frame: pd.DataFrame, file: SourceFile) -> InteractionTable:
    def column(name: str) -> np.ndarray | None:
        return frame[name].to_numpy() if name in frame else None

    return InteractionTable(
        column("user"), column("item"), column("time"), column("rating"), _parts(file, len(frame))
    )


def _parts(file: SourceFile, rows: int) -> np.ndarray | None:
    return None if file.part == "all" else np.full(rows, PARTS.index(file.part), dtype=np.int8)


def _first_bad_line(path: Path, names: list[str], separator: str) -> str | None:
    """Return what is wrong with the first bad line of a text file, or None."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline=None) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue  # pandas skips blank lines too
            cells = line.rstrip("\n").split(separator)
            if len(cells) != len(names):
                return f"{path}, line {number}: {len(cells)} columns, expected {len(names)}"
            for name, cell in zip(names, cells, strict=True):
                if problem := _bad_cell(name, cell):
                    return f"{path}, line {number}, column '{name}': {problem}"
    return None


def _bad_cell(name: str, cell: str) -> str | None:
    text = cell.encode("utf-8", "backslashreplace").decode("utf-8")
    try:
        value = int(cell) if COLUMNS[name] == "int64" else float(cell)
    except ValueError:
        return f"{text!r} is not a number"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{text!r} is not finite"
    if isinstance(value, int) and value >= 2**63:
        return f"{text!r} is too large"
    return f"{text!r} is negative" if value < 0 else None


def read_pairs_npy(path: Path, file: SourceFile) -> InteractionTable:
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


READERS: dict[str, Reader] = {
    "delimited": read_delimited,
    "pairs-npy": read_pairs_npy,
    "synthetic": synthetic.generate,
}
