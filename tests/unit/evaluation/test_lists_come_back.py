"""Lists of our own models, written as another program writes them, give the same numbers and no doubts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from elsewhere import CATALOG, World, lists_of_run, written

from recspectra.data import export
from recspectra.evaluation.import_lists import doubts_of_runs
from recspectra.evaluation.measure import measure
from recspectra.evaluation.read_lists import read_lists

MODELS = ["popularity", "ease", "itemknn", "markov", "rp3beta"]
FILES = ["lists.csv", "lists.tsv", "lists.parquet", "lists.trec"]
HISTORIES = {"train": "test_train_train", "train+valid": "test_train+valid_train+valid"}
PROTOCOLS = [CATALOG.protocol(name) for name in ("standard", "sdiff", "validation")]


@pytest.fixture(scope="module")
def world() -> World:
    return World.made("u{:03}", "sku {}")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def runs(world: World, results: Path) -> dict:
    return {name: world.fitted(name, results) for name in MODELS}


def metrics(world: World, planned: object, results: Path) -> pd.DataFrame:
    views = [(protocol, protocol.views) for protocol in PROTOCOLS]
    rows = measure([planned], views, world.pieces, results, world.inputs.digest).rows
    return rows.drop(columns=["model", "key"])


@pytest.mark.parametrize("history", list(HISTORIES))
@pytest.mark.parametrize("name", MODELS)
def test_exported_lists_are_measured_to_the_last_digit(
    name: str, history: str, world: World, results: Path, runs: dict, tmp_path: Path
) -> None:
    lists = lists_of_run(runs[name], results, HISTORIES[history])
    export.lists_csv(lists, np.arange(len(lists)), world.ids, tmp_path / "lists.csv")
    planned, record = world.imported(tmp_path / "lists.csv", tmp_path, history)
    assert record["doubts"] == []
    assert doubts_of_runs([planned], PROTOCOLS, world.pieces, tmp_path) == []
    theirs = metrics(world, planned, tmp_path)
    ours = metrics(world, runs[name], results)
    known = theirs["status"] == "ok"
    assert set(theirs.loc[known, "history"]) == ({"train"} if history == "train" else {"train+valid"})
    assert (theirs.loc[~known, "status"] == "skipped").all() and theirs.loc[~known, "value"].isna().all()
    pd.testing.assert_frame_equal(theirs[known], ours[known], check_exact=True)


@pytest.mark.parametrize("file", FILES)
def test_every_format_gives_the_same_lists(
    file: str, world: World, results: Path, runs: dict, tmp_path: Path
) -> None:
    frame = world.frame(lists_of_run(runs["ease"], results, HISTORIES["train+valid"]))
    frame["item"] = frame["item"].str.replace("sku ", "sku_")
    ids = World.made("u{:03}", "sku_{}")
    planned, record = ids.imported(written(frame, tmp_path / file), tmp_path, "train+valid")
    ours = metrics(world, runs["ease"], results)
    theirs = metrics(ids, planned, tmp_path)
    known = theirs["status"] == "ok"
    assert known.any() and record["doubts"] == []
    assert theirs.loc[known, "value"].tolist() == ours.loc[known, "value"].tolist()


@pytest.mark.parametrize("kept", ["rank", "score", ""], ids=["rank", "score", "order"])
def test_rank_score_or_the_order_of_rows_say_how_a_list_goes(
    kept: str, world: World, results: Path, runs: dict, tmp_path: Path
) -> None:
    frame = world.frame(lists_of_run(runs["ease"], results, HISTORIES["train"]))
    frame = frame[["user", "item", *([kept] if kept else [])]]
    if kept == "rank":  # then rows may stand in any order
        frame = frame.sample(frac=1.0, random_state=0)
    found = read_lists(written(frame, tmp_path / "lists.csv"), world, history=["train"])
    assert np.array_equal(found.of_all(120), lists_of_run(runs["ease"], results, HISTORIES["train"]))
    assert found.doubts == () and found.name == "lists"


def test_names_of_columns_as_other_programs_have_them(
    world: World, results: Path, runs: dict, tmp_path: Path
) -> None:
    frame = world.frame(lists_of_run(runs["ease"], results, HISTORIES["train"]))
    expected = read_lists(written(frame, tmp_path / "a.csv"), world, history=["train"]).frame()
    for names in (
        {"user": "user_id:token", "item": "item_id:token", "score": "score:float"},  # RecBole
        {"user": "user_id", "item": "item_id"},  # LensKit
        {"user": "userId", "item": "itemId", "score": "prediction"},
    ):
        path = written(frame.rename(columns=names), tmp_path / "b.csv")
        assert read_lists(path, world, history=["train"]).frame().equals(expected)
    path = written(frame.rename(columns={"user": "who", "item": "movie"}), tmp_path / "c.csv")
    found = read_lists(path, world, columns={"user": "who", "item": "movie"}, history=["train"])
    assert found.frame().equals(expected)


def test_without_data_the_ids_are_those_of_the_lists(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('user,item\n007,"a, b"\n007,Zoë\n7,Zoë\n', encoding="utf-8")
    frame = read_lists(tmp_path / "a.csv").frame()
    assert frame[["user", "item", "rank"]].to_numpy().tolist() == [
        ["007", "a, b", 1], ["007", "Zoë", 2], ["7", "Zoë", 1],
    ]  # fmt: skip


def test_lists_made_from_train_serve_all_masks(
    world: World, results: Path, runs: dict, tmp_path: Path
) -> None:
    """A file that masks train alone is also the list that masks validation, a few places shorter."""
    lists = lists_of_run(runs["itemknn"], results, "test_train_train")
    path = written(world.frame(lists), tmp_path / "lists.csv")
    planned, _ = world.imported(path, tmp_path, "train,train+valid")
    for view in ("test_train_train", "valid_train_train"):
        assert np.array_equal(lists_of_run(planned, tmp_path, view), lists)
    ours = lists_of_run(runs["itemknn"], results, "test_train_train+valid")
    theirs = lists_of_run(planned, tmp_path, "test_train_train+valid")
    assert np.array_equal(ours[:, :40], theirs[:, :40])
    assert np.array_equal(theirs, lists_of_run(planned, tmp_path, "test_train+valid_train+valid"))
