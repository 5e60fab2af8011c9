"""Parquet files from pandas, and where a path is looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_files import DAY, HEAD, own, text_file

from recspectra.config.catalog import Catalog
from recspectra.config.dataset import read_dataset
from recspectra.data.interactions import DataError
from recspectra.data.readers import read

# ------------------------------------------------------------------------------ Parquet


@pytest.mark.parametrize(
    "index", [["timestamp"], ["user_id"], ["user_id", "item_id"], ["item_id", "timestamp"]]
)
def test_columns_are_found_in_the_index_of_pandas(tmp_path: Path, index: list[str]) -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [10, 11, 10], "timestamp": [9, 2, 5]})
    frame.set_index(index).to_parquet(tmp_path / "a.parquet")
    table = read(own(tmp_path / "a.parquet"), Path("unused"))
    assert (table.users.tolist(), table.items.tolist()) == ([1, 1, 2], [10, 11, 10])
    assert table.times.tolist() == [9, 2, 5]


def test_a_range_in_the_metadata_is_a_column(tmp_path: Path) -> None:
    index = pd.RangeIndex(30, 0, -10, name="timestamp")
    pd.DataFrame({"user_id": [1, 1, 2], "item_id": [10, 11, 10]}, index=index).to_parquet(
        tmp_path / "a.parquet"
    )
    assert read(own(tmp_path / "a.parquet"), Path("unused")).times.tolist() == [30, 20, 10]


def parquet_of(folder: Path, **columns: Any) -> Path:
    rows = len(next(iter(columns.values())))
    plain = {"user_id": list(range(rows)), "item_id": list(range(rows)), "timestamp": list(range(rows))}
    pq.write_table(pa.table({**plain, **columns}), folder / "a.parquet")
    return folder / "a.parquet"


STAMPS = [1_600_000_000_000_000_005, 1_600_000_000_000_000_001, 1_600_000_000_000_000_003]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (pa.array([1500, 1250], pa.timestamp("ms")), [1.5, 1.25]),
        (pa.array([1500000, 1250000], pa.timestamp("us", tz="Asia/Tokyo")), [1.5, 1.25]),
        (pa.array([-1500, 0], pa.timestamp("s")), [-1500, 0]),
        (pa.array([2, 1], pa.date32()), [2 * DAY, DAY]),
        (pa.array([2 * 86400000, 86400000], pa.date64()), [2 * DAY, DAY]),
        (pa.array([1.5, -2.5]), [1.5, -2.5]),
        (pa.array(["1970-01-02", "1970-01-01"]).dictionary_encode(), [DAY, 0]),
        (pa.array(["7", "8"], pa.large_string()), [7, 8]),
    ],
)
def test_times_of_any_type_are_seconds(tmp_path: Path, times: pa.Array, seconds: list[float]) -> None:
    assert read(own(parquet_of(tmp_path, timestamp=times)), Path("unused")).times.tolist() == seconds


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.timestamp("ns"), pa.timestamp("ns", tz="UTC")])
def test_times_in_nanoseconds_stay_apart(tmp_path: Path, kind: pa.DataType) -> None:
    times = read(own(parquet_of(tmp_path, timestamp=pa.array(STAMPS, kind))), Path("unused")).times
    assert np.argsort(times).tolist() == [1, 2, 0]
    assert len(set(times.tolist())) == 3


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([1.0, 2.0]), [1, 2]),
        (pa.array([1.5, 2.0]), ["1.5", "2"]),
        (pa.array([1, 2], pa.int8()), [1, 2]),
        (pa.array([2**64 - 1, 1], pa.uint64()), [str(2**64 - 1), "1"]),
        (pa.array([2, 1], pa.uint64()), [2, 1]),
        (pa.array(["1", "1.0"]), [1, 1]),
        (pa.array(["a", " a"]).dictionary_encode(), ["a", "a"]),
        (pa.array([b"anna", b"bo"], pa.binary()), ["anna", "bo"]),
    ],
)
def test_ids_of_any_type_are_whole_numbers_or_texts(tmp_path: Path, ids: pa.Array, expected: list) -> None:
    assert read(own(parquet_of(tmp_path, user_id=ids)), Path("unused")).users.tolist() == expected


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"user_id": [True, False]}, "row 1, column 'user_id' .user.: the column holds bool"),
        ({"user_id": [1.0, 2.0**60]}, "row 2, column 'user_id' .user.: .* floats skip whole numbers"),
        ({"user_id": [1.0, np.inf]}, "row 2, column 'user_id' .user.: inf is not finite"),
        ({"user_id": pa.array([b"\xff\xfe"], pa.binary())}, "is not UTF-8"),
        ({"user_id": pa.array([1], pa.timestamp("s"))}, "holds timestamp"),
        ({"user_id": [[1], [2]]}, "holds list"),
        ({"user_id": pa.array([None, None])}, "row 1, column 'user_id' .user.: the value is missing; 2 rows"),
        ({"timestamp": [5.0, np.nan]}, "row 2, column 'timestamp' .time.: the value is missing; 1 row has"),
        ({"user_id": ["a", " "]}, "row 2, column 'user_id' .user.: the value is missing"),
        ({"timestamp": [True]}, "column 'timestamp' .time.: the column holds bool"),
        ({"timestamp": [1.0, np.inf]}, "row 2, column 'timestamp' .time.: inf is not finite"),
        ({"timestamp": ["2020-01-01", "x"]}, "row 2, column 'timestamp' .time.: 'x' is not a date"),
    ],
)
def test_parquet_columns_that_cannot_be_meant_are_refused(
    tmp_path: Path, columns: dict[str, Any], why: str
) -> None:
    with pytest.raises(DataError, match=rf"a\.parquet, {why}|a\.parquet.*{why}"):
        read(own(parquet_of(tmp_path, **columns)), Path("unused"))


def test_rows_of_parquet_without_a_value_are_dropped(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"user_id": pd.array([2**60 + 1, None, 3], dtype="Int64"), "item_id": ["a", "b", None]}
    )
    frame.assign(timestamp=pd.to_datetime(["2020-01-01", "2020-01-02", None])).to_parquet(
        tmp_path / "a.parquet"
    )
    table = read(own(tmp_path / "a.parquet", missing="drop"), Path("unused"))
    assert table.users.tolist() == [2**60 + 1]  # a data frame would have made it a float
    assert table.account.dropped == {"missing user": 1, "missing item": 1}


# -------------------------------------------------------------------------------- paths


def test_a_relative_path_is_looked_for_beside_the_yaml_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yaml = text_file(
        tmp_path / "config", "d.yaml", "name: d\npath: my clicks.csv\ncolumns: {user: u, item: i}\n"
    )
    absent = read_dataset(yaml, "d.yaml")
    with pytest.raises(DataError) as caught:
        read(absent, Path("unused"))
    for folder in ("config", "here"):
        assert f"no file {tmp_path / folder / 'my clicks.csv'}" in str(caught.value)
    for folder in ("here", "config"):  # the YAML's folder comes first
        place = text_file(tmp_path / folder, "my clicks.csv", "u,i\n1,2\n")
        assert read_dataset(yaml, "d.yaml").path == str(place)
        assert len(read(read_dataset(yaml, "d.yaml"), Path("unused"))) == 1


def test_the_home_folder_can_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    yaml = text_file(tmp_path, "d.yaml", "name: d\npath: ~/a.csv\ncolumns: {user: u, item: i}\n")
    assert read_dataset(yaml, "d.yaml").path == str(tmp_path / "a.csv")


def test_the_catalog_finds_a_file_beside_its_yaml(project: Path) -> None:
    folder = project / "config" / "datasets"
    text_file(folder, "a.csv", HEAD + "1,2,3\n")
    text_file(folder, "mine.yaml", "name: mine\npath: a.csv\ncolumns: {user: user_id, item: item_id}\n")
    assert Catalog(project).dataset("mine").path == str(folder / "a.csv")
