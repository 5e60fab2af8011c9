"""Values of users are read in groups of rows; what comes back is what a plain filter gives."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from recspectra.reporting import user_values
from recspectra.reporting.results import StudyError
from recspectra.reporting.user_values import BY_RUN, kept_values

POINT = {"protocol": "standard", "metric": "ndcg", "k": 10, "history": "train", "mask": "train"}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Two models, two seeds, two cut-offs, two metrics and nine users, in an order of nobody's."""
    spots = product(["ease", "mf"], [0, 1], ["ndcg", "recall"], [5, 10], range(9))
    frame = pd.DataFrame(spots, columns=["model", "seed", "metric", "k", "user"])
    frame = frame.assign(variant="default", key="a", protocol="standard", history="train", mask="train",
                         warm=frame["user"] < 7, activity=1 + frame["user"] % 4,
                         value=np.arange(len(frame)) / 100)  # fmt: skip
    return frame.sample(frac=1, random_state=0).astype({"activity": "int8"})


def write(folder: Path, rows: pd.DataFrame, size: int, *, statistics: bool = True) -> Path:
    """Write rows in groups of `size`, words stored once."""
    words = dict.fromkeys(("model", "metric", "protocol"), "category")
    table = pa.Table.from_pandas(rows.astype(words), preserve_index=False)
    path = folder / "values.parquet"
    parquet.write_table(table, path, row_group_size=size, write_statistics=statistics)
    return path


def plainly(rows: pd.DataFrame, point: dict) -> dict[str, np.ndarray]:
    """Return the values by run, seeds x users, one filter after the other."""
    users = point.get("users", "all")
    for name, value in point.items():
        rows = rows[rows[name] == value] if name != "users" else rows
    if users != "all":
        rows = (
            rows[rows["warm"] == (users == "warm")]
            if "activity" not in users
            else rows[rows["activity"] == 2]
        )
    found: dict[str, list] = {}
    for (*name, _), part in rows.sort_values("user").groupby(BY_RUN):
        found.setdefault("\0".join(name), []).append(part["value"].to_numpy())
    return {name: np.stack(seeds) for name, seeds in found.items()}


@pytest.mark.parametrize("size", [7, 36, 1000])
@pytest.mark.parametrize("users", ["all", "warm", "cold", "activity-2"])
def test_groups_of_rows_give_what_a_filter_gives(
    rows: pd.DataFrame, tmp_path: Path, size: int, users: str
) -> None:
    for ordered in (rows, rows.sort_values(["metric", "k"])):
        found = kept_values([write(tmp_path, ordered, size)], POINT | {"users": users})
        expected = plainly(rows, POINT | {"users": users})
        assert found.keys() == expected.keys() and len(found) == 2
        assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_a_file_without_the_ends_of_its_columns_is_read_whole(rows: pd.DataFrame, tmp_path: Path) -> None:
    found = kept_values([write(tmp_path, rows, 7, statistics=False)], POINT)
    assert np.array_equal(found["ease\0default\0a"], plainly(rows, POINT)["ease\0default\0a"])


def test_only_groups_that_can_hold_the_metric_are_read(rows: pd.DataFrame, tmp_path: Path) -> None:
    path = write(tmp_path, rows.sort_values(["metric", "k"]), 36)
    file = parquet.ParquetFile(path)
    ends = [user_values._ends(file.metadata.row_group(i)) for i in range(file.num_row_groups)]
    held = [user_values._may_hold(own, POINT) for own in ends]
    assert held == [False, True, False, False]  # ndcg at 5, ndcg at 10, recall
    assert kept_values([path], POINT | {"metric": "map"}) == {}
    assert kept_values([path], POINT | {"fold": 1}) == {}  # a column that the file lacks


def test_a_file_that_is_written_anew_is_read_anew(rows: pd.DataFrame, tmp_path: Path) -> None:
    before = kept_values([write(tmp_path, rows, 36)], POINT)["ease\0default\0a"]
    again = kept_values([write(tmp_path, rows.assign(value=-rows["value"]), 36)], POINT)["ease\0default\0a"]
    assert np.array_equal(again, -before)
    (tmp_path / "values.parquet").unlink()
    with pytest.raises(StudyError, match=r"values\.parquet: file not found; evaluate the study again"):
        kept_values([tmp_path / "values.parquet"], POINT)
