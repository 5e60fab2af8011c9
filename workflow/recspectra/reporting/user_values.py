"""Metrics of every user and of every seed, by run, as comparisons take them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recspectra.files import REPAIR, open_regular
from recspectra.reporting.results import StudyError, StudyResults, first_line, names_of, rows_at

if TYPE_CHECKING:
    import pyarrow
    from pyarrow import parquet

BY_RUN = ["model", "variant", "key", "seed"]
MOST_KEPT = 16  # metrics that tables, figures and claims ask for by turns
Wanted = Mapping[str, Any]  # column -> the value that its rows must have


def user_values(files: StudyResults, dataset: str, point: Mapping[str, Any]) -> dict[str, np.ndarray]:
    r"""Return a metric of every user, shape (seeds, users), by `model\0variant\0key`.

    Parameters
    ----------
    files : StudyResults
        The study's files.
    dataset : str
        Name.
    point : dict
        `protocol`, `metric`, `k`, `history`, `mask`, and `fit` where one of them is asked for; with `users`
        only the values of one group of these (`warm`, `cold`, `activity-1` to `activity-4`).

    Raises
    ------
    StudyError
        The file of the dataset is missing, lacks the metric, or models were measured on different users.
    """
    path = files.per_user(dataset)
    if not path.is_file():
        raise StudyError(f"{path}: file not found; a comparison needs it; evaluate the study again")
    found = kept_values([path], point)
    if not found and point.get("users", "all") == "all" and seed_values(files, dataset, point):
        raise StudyError(f"{path}: holds no {point['metric']}@{point['k']} of protocol {point['protocol']}, "
                         "which a comparison needs; delete it and evaluate the study again")  # fmt: skip
    return found


def kept_values(paths: Sequence[Path], point: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return what files of `per_user/` hold of a metric, as `user_values` does; nothing if one lacks it.

    Of several files, the folds of one dataset, each user has the mean over the folds that test it; a model
    that lacks a fold is left out.
    """
    parts = [found for path in paths if (found := _by_run(path, point)) is not None]
    if len(parts) < len(paths):
        return {}
    # A model that lacks a fold is left out.
    runs = [run for run in parts[0] if all(run in part for part in parts)]
    users = np.unique(np.concatenate([part[run][0] for part in parts for run in runs] or [np.empty(0)]))
    values = {run: _over_folds([part[run] for part in parts], users) for run in runs}
    if any(np.isnan(one).any() for one in values.values()):
        where = paths[0] if len(paths) == 1 else paths[0].parent
        raise StudyError(f"{where}: models were measured on different users; delete it and evaluate again")
    found: dict[str, list[np.ndarray]] = {}
    for *name, seed in sorted(runs):
        found.setdefault("\0".join(name), []).append(values[*name, seed])
    return {name: np.stack(seeds) for name, seeds in found.items()}


def _over_folds(parts: Sequence[tuple[np.ndarray, np.ndarray]], users: np.ndarray) -> np.ndarray:
    """Return each user's mean of one run over the folds that test it, NaN where none does."""
    place = np.searchsorted(users, np.concatenate([own for own, _ in parts]))
    counts = np.bincount(place, minlength=len(users))
    sums = np.bincount(place, np.concatenate([values for _, values in parts]), minlength=len(users))
    return np.divide(sums, counts, out=np.full(len(users), np.nan), where=counts > 0)


def _by_run(path: Path, point: Mapping[str, Any]) -> dict[tuple, tuple[np.ndarray, np.ndarray]] | None:
    """Return users and values of one metric by (model, variant, key, seed).

    None where no run finished, or an earlier version wrote the file.
    """
    wanted = {name: value for name, value in point.items() if name != "users"}
    wanted |= _in_group(point.get("users", "all"))
    try:
        found = path.stat()
    except FileNotFoundError:
        raise StudyError(f"{path}: file not found; evaluate the study again") from None
    stamp = found.st_size, found.st_mtime_ns, found.st_ino
    return _read_by_run(path, stamp, tuple(sorted(wanted.items())))


@functools.lru_cache(maxsize=MOST_KEPT)
def _read_by_run(
    path: Path, stamp: tuple[int, ...], wanted: tuple[tuple[str, Any], ...]
) -> dict[tuple, tuple[np.ndarray, np.ndarray]] | None:
    """Read what `_by_run` returns; `stamp` tells a file that was written anew."""
    rows = _rows_of(path, dict(wanted))
    if rows is None:
        return None
    users, values = rows["user"].to_numpy(), rows["value"].to_numpy()
    parts: dict[tuple, list[slice]] = {}
    for name, part in _stretches(rows.select(BY_RUN)):
        parts.setdefault(name, []).append(part)
    return {name: (_joined(users, own), _joined(values, own)) for name, own in parts.items()}


def _joined(values: np.ndarray, parts: list[slice]) -> np.ndarray:
    return np.concatenate([values[part] for part in parts])


def _stretches(labels: pyarrow.Table) -> Iterator[tuple[tuple, slice]]:
    """Yield the labels of each stretch of equal rows and where it lies: a run's rows are one stretch."""
    if not labels.num_rows:
        return
    codes = [_codes(column) for column in labels.columns]
    changes = np.logical_or.reduce([code[1:] != code[:-1] for code in codes])
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    ends = [*starts[1:], labels.num_rows]
    for row, start, end in zip(labels.take(starts).to_pylist(), starts, ends, strict=True):
        *name, seed = row.values()
        yield (*map(str, name), int(seed)), slice(start, end)


def _codes(column: pyarrow.ChunkedArray) -> np.ndarray:
    """Return numbers that are equal where a column's values are."""
    import pyarrow

    if pyarrow.types.is_integer(column.type):
        return column.to_numpy()
    words = column if pyarrow.types.is_dictionary(column.type) else column.dictionary_encode()
    return words.unify_dictionaries().combine_chunks().indices.to_numpy()


def _rows_of(path: Path, wanted: Wanted) -> pyarrow.Table | None:
    """Return the rows that are wanted; None where the file lacks a column.

    A file holds one metric after the other (`evaluation.per_user`), each in groups of rows whose least and
    largest value of a column it names: groups that can hold no such row are not read.
    """
    from pyarrow import parquet

    try:
        with open_regular(path) as stream:
            file = parquet.ParquetFile(stream)
            if {*wanted, "user"} - set(file.schema_arrow.names):
                return None
            ends = [_ends(file.metadata.row_group(i)) for i in range(file.num_row_groups)]
            groups = [i for i, own in enumerate(ends) if _may_hold(own, wanted)]
            asked = [name for name in wanted if any(ends[i].get(name) != (wanted[name],) * 2 for i in groups)]
            columns = list(dict.fromkeys([*BY_RUN, "user", "value", *asked]))
            rows = file.read_row_groups(groups, columns=columns, use_threads=False)
    except MemoryError:
        raise
    except Exception as error:  # Arrow raises a dozen kinds
        raise StudyError(f"{path}: truncated or corrupted ({first_line(error)}); {REPAIR}") from None
    for name in asked:
        rows = rows.filter(rows[name].to_pandas().eq(wanted[name]).to_numpy())
    return rows


def _ends(group: parquet.RowGroupMetaData) -> dict[str, tuple[Any, Any]]:
    """Return the least and the largest value of each column of a group of rows, where they are known."""
    columns = [group.column(place) for place in range(group.num_columns)]
    found = {column.path_in_schema: column.statistics for column in columns}
    return {name: (one.min, one.max) for name, one in found.items() if one and one.has_min_max}


def _may_hold(ends: Mapping[str, tuple[Any, Any]], wanted: Wanted) -> bool:
    return all(ends[name][0] <= value <= ends[name][1] for name, value in wanted.items() if name in ends)


def _in_group(users: str) -> dict[str, bool | int]:
    """Return what the rows of a group of users have; see `evaluation.per_user`."""
    if users in ("warm", "cold"):
        return {"warm": users == "warm"}
    return {"activity": int(users.removeprefix("activity-"))} if users != "all" else {}


def seed_values(files: StudyResults, dataset: str, point: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the mean over users of every seed, shape (seeds, 1), by the same names."""
    wanted = {name: value for name, value in point.items() if name != "users"} | {"dataset": dataset}
    rows = rows_at(files.metrics, wanted)
    rows = rows[rows["value"].notna()]
    names = names_of(rows)
    return {name: part.to_numpy()[:, None] for name, part in rows["value"].groupby(names, sort=False)}
