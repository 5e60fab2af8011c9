"""Metrics of every user and of every seed, by run, as comparisons take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recspectra.files import REPAIR, open_regular
from recspectra.reporting.results import StudyError, StudyResults, first_line, names_of

if TYPE_CHECKING:
    from pyarrow import parquet

BY_RUN = ["model", "variant", "key", "seed"]
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
    rows = _rows_of(path, wanted)
    if rows is None:
        return None
    users, values = rows["user"].to_numpy(), rows["value"].to_numpy(dtype=np.float64)
    groups = rows.groupby(BY_RUN, observed=True, sort=False).indices
    return {(*map(str, name), int(seed)): (users[i], values[i]) for (*name, seed), i in groups.items()}


def _rows_of(path: Path, wanted: Wanted) -> pd.DataFrame | None:
    """Return run, user and value of the rows that are wanted; None where the file lacks a column.

    A file holds one metric after the other (`evaluation.per_user`), each in groups of rows whose least and
    largest value of a column it names: groups that can hold no such row are not read.
    """
    from pyarrow import parquet

    try:
        with open_regular(path) as stream:
            file = parquet.ParquetFile(stream)
            if {*wanted, "user"} - set(file.schema_arrow.names):
                return None
            groups = [i for i in range(file.num_row_groups) if _may_hold(file.metadata.row_group(i), wanted)]
            columns = [*BY_RUN, "user", "value", *(name for name in wanted if name not in BY_RUN)]
            rows = file.read_row_groups(groups, columns=columns, use_threads=False).to_pandas()
    except FileNotFoundError:
        raise StudyError(f"{path}: file not found; evaluate the study again") from None
    except MemoryError:
        raise
    except Exception as error:  # Arrow raises a dozen kinds
        raise StudyError(f"{path}: truncated or corrupted ({first_line(error)}); {REPAIR}") from None
    kept = np.logical_and.reduce([np.ones(len(rows), bool), *(rows[n] == v for n, v in wanted.items())])
    return rows if kept.all() else rows[kept]


def _may_hold(group: parquet.RowGroupMetaData, wanted: Wanted) -> bool:
    """Tell whether a group of rows can hold a row that is wanted, by the ends of its columns."""
    columns = [group.column(place) for place in range(group.num_columns)]
    ends = {column.path_in_schema: column.statistics for column in columns}
    known = {name: found for name in wanted if (found := ends[name]) and found.has_min_max}
    return all(found.min <= wanted[name] <= found.max for name, found in known.items())


def _in_group(users: str) -> dict[str, bool | int]:
    """Return what the rows of a group of users have; see `evaluation.per_user`."""
    if users in ("warm", "cold"):
        return {"warm": users == "warm"}
    return {"activity": int(users.removeprefix("activity-"))} if users != "all" else {}


def seed_values(files: StudyResults, dataset: str, point: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the mean over users of every seed, shape (seeds, 1), by the same names."""
    rows = files.metrics[files.metrics["dataset"] == dataset]
    for name, value in point.items():
        rows = rows[rows[name] == value] if name != "users" else rows
    rows = rows[rows["value"].notna()]
    names = names_of(rows)
    return {name: part.to_numpy()[:, None] for name, part in rows["value"].groupby(names, sort=False)}
