"""`read` and `dataset`: one's own files and frames, and those of config/datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import recspectra as rs


def test_a_frame_and_its_files_are_read_alike(clicks: pd.DataFrame, data: rs.Data, tmp_path: Path) -> None:
    clicks.to_csv(tmp_path / "my clicks.csv", index=False)
    clicks.to_parquet(tmp_path / "clicks.parquet")
    columns = {"user": "user_id", "item": "item_id", "time": "timestamp"}
    for name in ("my clicks.csv", "clicks.parquet"):
        again = rs.read(tmp_path / name, **columns)
        assert again.digest == data.digest and again.ids == data.ids
    assert rs.read(tmp_path / "my clicks.csv", **columns).name == "my-clicks"


def test_every_interaction_stands_in_one_part_with_its_own_ids(clicks: pd.DataFrame, data: rs.Data) -> None:
    pairs = {name: set(map(tuple, data.frame(name)[["user", "item"]].to_numpy())) for name in
             ("train", "valid", "test", "all")}  # fmt: skip
    assert pairs["all"] == set(map(tuple, clicks[["user_id", "item_id"]].to_numpy()))
    assert sum(len(pairs[p]) for p in ("train", "valid", "test")) == len(pairs["all"]) == len(clicks)
    newest = clicks.sort_values("timestamp").groupby("user_id").tail(1)
    assert set(map(tuple, newest[["user_id", "item_id"]].to_numpy())) <= pairs["test"]


def test_columns_of_a_frame_may_be_numbers(clicks: pd.DataFrame, data: rs.Data) -> None:
    numbered = clicks.set_axis([0, 1, 2], axis=1)  # as one made of an array has them
    assert rs.read(numbered, user=0, item=1, time=2).digest == data.digest
    with pytest.raises(rs.DataError, match="no column 3 for time; it has 0, 1, 2"):
        rs.read(numbered, user=0, item=1, time=3)


def test_what_is_noted_on_a_frame_is_no_matter(clicks: pd.DataFrame, data: rs.Data) -> None:
    noted = clicks.copy()
    noted.attrs["made by"] = {"me"}  # a set is no JSON
    again = rs.read(noted, user="user_id", item="item_id", time="timestamp")
    assert again.digest == data.digest and noted.attrs == {"made by": {"me"}}


def test_split_and_filter_are_those_of_a_yaml(clicks: pd.DataFrame) -> None:
    columns = {"user": "user_id", "item": "item_id", "time": "timestamp"}
    left = rs.read(clicks, **columns, split="leave-one-out", filter={"k_core_items": 20})
    assert left.test.lengths.tolist() == [1] * len(left.users)
    assert left.known.matrix.sum(axis=0).min() >= 18  # of 20 some went with users of fewer than three
    drawn = [
        rs.read(clicks, **columns, split={"recipe": "random-user", "seed": seed}).digest for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    split = {"recipe": "random-user", "seed": np.arange(2)[1]}  # a number of NumPy's
    assert rs.read(clicks, **columns, split=split).digest == drawn[2]


@pytest.mark.parametrize("recipe", ["random-user", "random", "k-fold"])
def test_drawn_parts_of_ordered_rows_make_up_the_order_of_the_file(recipe: str, clicks: pd.DataFrame) -> None:
    rows = clicks.sort_values("timestamp", kind="stable")
    ids = {"user": "user_id", "item": "item_id", "split": recipe}
    timed = rs.read(rows, time="timestamp", **ids)
    ordered = rs.read(rows.drop(columns="timestamp"), ordered=True, **ids)
    equal = rs.read(rows.assign(timestamp=7), time="timestamp", **ids)
    told = timed.frame()[["user", "item"]]
    assert equal.frame()[["user", "item"]].equals(told) and set(equal.frame()["time"]) == {7.0}
    assert ordered.frame().equals(told)  # and no times, where the file has none
    assert all(list(ordered.frame(part)) == ["user", "item"] for part in ("train", "valid", "test"))
    one, other = (rs.fit("markov", given, on="all", window=1) for given in (timed, ordered))
    assert one.recommend(k=5).equals(other.recommend(k=5))
    assert one.system.directed.nnz == other.system.directed.nnz


def test_a_split_that_rounds_everything_down_says_so() -> None:
    few = pd.DataFrame({"user": ["a", "b"] * 7, "item": range(14)})
    with pytest.raises(
        rs.DataError, match="valid part .*0.1 of a user's .* the most .* are 7; `leave-one-out`"
    ):
        rs.read(few)
    assert rs.read(few, ordered=True, split="leave-one-out").valid.nnz == 2


def test_an_index_may_hold_a_column(clicks: pd.DataFrame, data: rs.Data) -> None:
    indexed = clicks.set_index("user_id")
    assert rs.read(indexed, user="user_id", item="item_id", time="timestamp").digest == data.digest


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"user": "usr"}, rs.DataError, "no column 'usr' for user.*user_id"),
    ({"item": "user_id"}, rs.ConfigError, "two roles have the same column"),
    ({"time": None, "split": "temporal"}, rs.ConfigError, "'temporal' needs the order in time"),
    ({"split": "leave-one"}, rs.ConfigError, r"split.recipe: .*did you mean 'leave-one-out'"),
    ({"split": {"recipe": "random", "tests": 0.1}}, rs.ConfigError, r"split.tests: unknown key"),
    ({"filter": {"min_ratings": 3}}, rs.ConfigError, "did you mean 'min_rating'"),
    ({"filter": {"min_rating": 3}}, rs.DataError, "the data have no ratings"),
    ({"missing": "skip"}, rs.ConfigError, "missing: Input should be 'error' or 'drop'"),
    ({"filter": {"k_core_users": 900}}, rs.DataError, "the filter leaves no interactions"),
    ({"time": "item_id"}, rs.ConfigError, "two roles have the same column"),
]


@pytest.mark.parametrize(("change", "kind", "message"), WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize("form", ["frame", "file"])
def test_what_is_wrong_is_named(
    form: str,
    change: dict[str, Any],
    kind: type[Exception],
    message: str,
    clicks: pd.DataFrame,
    tmp_path: Path,
) -> None:
    source: Any = clicks
    if form == "file":
        source = tmp_path / "clicks.csv"
        clicks.to_csv(source, index=False)
    with pytest.raises(kind, match=message):
        rs.read(source, **{"user": "user_id", "item": "item_id", "time": "timestamp"} | change)


def test_content_that_cannot_be_read_is_named(clicks: pd.DataFrame, tmp_path: Path) -> None:
    lost = clicks.assign(user_id=clicks["user_id"].where(np.arange(len(clicks)) != 4))
    with pytest.raises(rs.DataError, match="the frame, row 5, column 'user_id' .user.: the value is missing"):
        rs.read(lost, user="user_id", item="item_id")
    assert rs.read(lost, user="user_id", item="item_id", missing="drop").known.nnz == len(clicks) - 1
    mixed = clicks.astype({"user_id": object})
    mixed.loc[3, "user_id"] = 3.5j
    with pytest.raises(rs.DataError, match="no id, number or time"):
        rs.read(mixed, user="user_id", item="item_id")
    with pytest.raises(rs.DataError, match="there is no such file"):
        rs.read(tmp_path / "nowhere.csv")
    with pytest.raises(rs.DataError, match=r"line 3, column 'time'"):
        (tmp_path / "a.csv").write_text("user,item,time\n1,2,3\n1,3,yesterday\n")
        rs.read(tmp_path / "a.csv", time="time")


def test_a_dataset_is_what_the_workflow_makes_of_its_yaml() -> None:
    found = rs.dataset("synthetic")
    assert found.train.shape == (1000, 800) and found.known.nnz == 40_000
    assert found.title == "Synthetic (embedded)"


def test_a_dataset_without_its_files_says_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECSPECTRA_MIRROR", raising=False)
    with pytest.raises(rs.DataError, match=r"'ml-100k.higsp' needs the file(.|\n)*Where to get it"):
        rs.dataset("ml-100k.higsp", mirror=tmp_path / "mirror")
    with pytest.raises(rs.ConfigError, match="unknown dataset 'ml-100k.higs'.*did you mean"):
        rs.dataset("ml-100k.higs")


def test_a_package_without_its_configuration_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSPECTRA_ROOT", str(tmp_path))
    with pytest.raises(rs.ConfigError, match="has no config/models; install the package from its checkout"):
        rs.dataset("synthetic")
