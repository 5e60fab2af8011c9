"""Ids of the user's file, and top lists as positions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recspectra.data.ids import Ids
from recspectra.data.interactions import DataError
from recspectra.data.splits import split_with_ids
from recspectra.data.tables import InteractionTable
from recspectra.evaluation.lists import Lists
from recspectra.evaluation.read_lists import lists_of, read_lists
from recspectra.files import ArtifactError

IDS = Ids(np.array(["u1", "u17", "u99"]), np.array([7, 12, 40]))


def test_an_id_is_found_however_it_is_written() -> None:
    assert IDS.user_positions([" u17", "u1"]).tolist() == [1, 0]
    assert IDS.item_positions([40, "12", 7.0, np.int64(40)]).tolist() == [2, 1, 0, 2]
    assert IDS.user_positions("u99").tolist() == [2]
    assert IDS.known_items([40, 41]).tolist() == [2, -1]


def test_an_unknown_id_is_named_with_the_nearest() -> None:
    with pytest.raises(
        DataError, match=r"unknown user 'u18' and 1 more: the data have 3 users; did you mean"
    ):
        IDS.user_positions(["u1", "u18", "x"])
    with pytest.raises(DataError, match=r"unknown item '999'.*\(such as 7, 12, 40\)"):
        IDS.item_positions(999)


def test_saved_ids_come_back(tmp_path: Path) -> None:
    IDS.save(tmp_path / "ids.parquet")
    again = Ids.load(tmp_path / "ids.parquet")
    assert again == IDS and again.items.dtype == np.int64 and again.digest == IDS.digest
    assert Ids(IDS.users[::-1], IDS.items).digest != IDS.digest
    (tmp_path / "ids.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(ArtifactError, match="no readable file of ids"):
        Ids.load(tmp_path / "ids.parquet")


def test_a_split_names_its_users_and_items(dataset_config) -> None:
    users = np.repeat(["b", "a", "z"], [4, 4, 2])  # z has too few and is dropped
    items = np.array([30, 10, 20, 40, 10, 20, 30, 40, 50, 10])
    table = InteractionTable(users, items, np.arange(10.0), None, None)
    pieces, ids, _ = split_with_ids(table, dataset_config(split={"recipe": "leave-one-out"}))
    assert ids.users.tolist() == ["a", "b"] and ids.items.tolist() == [10, 20, 30, 40]
    assert ids.items[pieces["test"].sequence(1)].tolist() == [40]


def test_lists_of_a_frame_are_ordered_by_rank_then_score_then_place() -> None:
    rows = {"user": ["u99", "u1", "u1"], "item": [7, 12, 40]}
    by_rank = lists_of(pd.DataFrame(rows | {"rank": [1, 2, 1], "score": [0.0, 1.0, 9.0]}), IDS, "x")
    assert by_rank.users.tolist() == [0, 2] and by_rank.items.tolist() == [[2, 1], [0, -1]]
    assert by_rank.scores[0].tolist() == [9.0, 1.0]
    by_score = lists_of(pd.DataFrame(rows | {"score": [0.0, 9.0, 1.0]}), IDS, "x")
    assert by_score.items[0].tolist() == [1, 2]
    assert lists_of(pd.DataFrame(rows), IDS, "x").items[0].tolist() == [1, 2]
    assert by_rank.of_all(3).tolist() == [[2, 1], [-1, -1], [0, -1]]


@pytest.mark.parametrize("source", ["frame", "Int64", "csv", "parquet", "decimals"])
def test_scores_with_more_digits_than_a_float_order_lists(source: str, tmp_path: Path) -> None:
    kind = "Int64" if source == "Int64" else "int64"
    scores = pd.Series([2**60 + 1, 2**60 + 3, 2**60 + 2], dtype=kind)  # one number as floats
    frame = pd.DataFrame({"user": "u1", "item": [7, 12, 40], "score": scores})
    if source == "decimals":
        frame["score"] = [f"0.12345678901234567{digit}" for digit in (1, 3, 2)]
    path = tmp_path / "lists.csv"
    if source == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    found = read_lists(path) if source not in ("frame", "Int64") else lists_of(frame, IDS, "x")
    assert found.frame()["item"].tolist() == [12, 40, 7]


def test_a_frame_of_lists_comes_back() -> None:
    lists = Lists(np.array([2, 0]), np.array([[1, 0], [2, -1]], dtype=np.int32), None, "x", IDS)
    frame = lists.frame()
    assert frame[["user", "item", "rank"]].to_numpy().tolist() == [
        ["u99", 12, 1],
        ["u99", 7, 2],
        ["u1", 40, 1],
    ]
    assert lists_of(frame, IDS, "x").items.tolist() == [[2, -1], [1, 0]]
    assert lists.cut(1).items.tolist() == [[1], [2]]


def test_lists_that_cannot_be_are_refused() -> None:
    with pytest.raises(
        DataError, match="lists 'x': no column 'item'; lists need user, item and rank or score"
    ):
        lists_of(pd.DataFrame({"user": ["u1"], "movie": [7]}), IDS, "x")
    with pytest.raises(DataError, match="row 2: user 'u1' has item '7' twice"):
        lists_of(pd.DataFrame({"user": ["u1", "u1"], "item": [7, 7]}), IDS, "x")
