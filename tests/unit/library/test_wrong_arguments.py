"""Arguments of a wrong kind, and values that contradict each other: one clear error, never a number."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import recspectra as rs

Call = Callable[["Given"], Any]


class Given:
    """What the calls are made with."""

    def __init__(self, clicks: pd.DataFrame, data: rs.Data, ease: rs.Model) -> None:
        self.clicks, self.data, self.ease = clicks, data, ease
        self.users, self.items = data.users.tolist(), data.items.tolist()
        self.popularity = rs.fit("popularity", data)

    def read(self, **how: Any) -> rs.Data:
        return rs.read(self.clicks, **{"user": "user_id", "item": "item_id", "time": "timestamp"} | how)

    def lists(self, **columns: Any) -> pd.DataFrame:
        """Every item for every user, by rank."""
        users, items = np.repeat(self.users, len(self.items)), self.items * len(self.users)
        ranks = np.tile(np.arange(1, len(self.items) + 1), len(self.users))
        frame = pd.DataFrame({"user": users, "item": items, "rank": ranks}).assign(**columns)
        return frame.drop(columns="rank") if "score" in columns and "rank" not in columns else frame

    def evaluate(self, models: Any, **how: Any) -> pd.DataFrame:
        return rs.evaluate(models, self.data, **{"metrics": ["ndcg"], "k": 5} | how)


@pytest.fixture(scope="module")
def given(clicks: pd.DataFrame, data: rs.Data, ease: rs.Model) -> Given:
    return Given(clicks, data, ease)


READING: list[tuple[Call, str]] = [
    (lambda g: rs.read(None), "source: None is no path"),
    (lambda g: rs.read([1]), r"source: \[1\] is no path"),
    (lambda g: rs.read(""), "source: '' is no path"),
    (lambda g: rs.read("x" * 5000), "cannot be read .File name too long"),
    (lambda g: rs.read("/dev/zero"), "/dev/zero: cannot be read .is not a regular file"),
    (lambda g: rs.read(os.curdir), "cannot be read .Is a directory"),
    (lambda g: g.read(user=["user_id"]), r"the frame has no column \['user_id'\] for user"),
    (lambda g: g.read(filter="k"), "filter: is a str; give a mapping"),
    (lambda g: g.read(filter=["k"]), "filter: is a list; give a mapping"),
    (lambda g: g.read(split=3), "split: is a int; give a mapping"),
    (lambda g: g.read(split=["random"]), "split: is a list; give a mapping"),
    (lambda g: rs.read(g.clicks.assign(user_id=1j), user="user_id", item="item_id"), "no id, number or time"),
    (lambda g: rs.read(g.clicks.assign(user_id=[{}] * len(g.clicks)), user="user_id", item="item_id"),
     "no id, number or time"),
    (lambda g: rs.dataset(None), "name: None is no name of a dataset"),
    (lambda g: rs.dataset("ml-100k.higsp", mirror=5), "mirror: 5 is no path"),
    (lambda g: rs.read_lists(None, g.data), "path: is a NoneType, no path"),
    (lambda g: rs.read_lists(g.clicks, g.data), "path: is a DataFrame, no path; `evaluate` takes a frame"),
    (lambda g: rs.read_lists("x.csv", "data"), "data: is a str"),
    (lambda g: rs.read_lists("x.csv", g.data, history=["tran"]), "history: 'tran' is none of train"),
    (lambda g: rs.read_lists("x.csv", g.data, history=[]), "history: None is none of"),
]  # fmt: skip
FITTING: list[tuple[Call, str]] = [
    (lambda g: rs.fit(["ease"], g.data), r"name: \['ease'\] is no name of a model"),
    (lambda g: rs.fit("ease", g.clicks), "data: is a DataFrame; give what `read` or `dataset` returned"),
    (lambda g: rs.fit("ease", None), "data: is a NoneType"),
    (lambda g: rs.fit("EASE", g.data), "unknown model 'EASE'; known: .*; did you mean 'ease'?"),
    (lambda g: rs.fit("ease", g.data, regularization=10**400), "regularization.*more than 308 digits"),
    (
        lambda g: rs.fit("gfcf", g.data, rnk=3),
        "unknown parameter 'rnk' of model 'gfcf'.*mean 'rank'",
    ),
    (lambda g: rs.fit("gfcf", g.data, rank="3"), "parameter 'rank' of model 'gfcf': '3' is not of type int"),
    (lambda g: rs.fit("gfcf", g.data, rank=0), "0 is out of bounds: must be >= 1"),
    (lambda g: rs.fit("gfcf", g.data, on="valid"), "on: 'valid' is none of train"),
    (lambda g: rs.fit("mf", g.data, seed=-1), "seed: -1 is no whole number of at least 0"),
    (lambda g: rs.fit("mf", g.data, device="gpu"), "device: 'gpu' is none of auto, cpu, cuda"),
    (lambda g: g.ease.save(None), "path: None is no path"),
    (lambda g: g.ease.save(""), "path: '' is no path"),
    (lambda g: g.ease.save("a\0b"), "is no name of a file"),
    (lambda g: rs.load([]), r"path: \[\] is no path"),
]
ASKING: list[tuple[Call, str]] = [
    (lambda g: g.ease.recommend("u1700"), "unknown user 'u1700': the data have 120 users; did you mean"),
    (lambda g: g.ease.recommend(["u1", "u1"]), "'u1' is given twice"),
    (lambda g: g.ease.recommend(k=0), "k: 0 is no whole number"),
    (lambda g: g.ease.recommend(k=2.5), "k: 2.5 is no whole number"),
    (lambda g: g.ease.recommend(history={"new": ["film 999"]}), "unknown item 'film 999'"),
    (lambda g: g.ease.recommend("u1", history={"u2": ["film 1"]}), "history: has no user 'u1'; it has u2"),
    (lambda g: g.ease.recommend(history=["film 1"]), "history: is a list; give a mapping"),
    (lambda g: g.ease.recommend(history=pd.DataFrame({"user": ["a"]})), "the frame has no column 'item'"),
    (lambda g: g.ease.recommend([None]), "number 1 is missing .None"),
    (lambda g: g.ease.recommend(["u1", float("nan")]), "number 2 is missing .nan"),
    (lambda g: g.ease.recommend([pd.NA]), "number 1 is missing"),
    (lambda g: g.ease.recommend([" "]), "number 1 is missing .an empty text"),
    (lambda g: g.ease.recommend(["\ud800"]), r"number 1, '\\ud800', is no text of Unicode"),
    (lambda g: g.ease.recommend(g.clicks), "a frame with the columns user_id, item_id, timestamp"),
    (lambda g: g.ease.recommend("x" * 10**6), f"unknown user '{'x' * 60}': "),
    (lambda g: g.ease.recommend("\x1b[2J"), r"unknown user '\\x1b\[2J'"),
    (lambda g: g.ease.recommend(history={"7": ["film 1"], 7: ["film 2"]}), "user '7' is given twice"),
    (lambda g: g.ease.recommend(history={"a": ["film 1"], "a ": []}), "user 'a' is given twice"),
    (lambda g: g.ease.recommend(["a", "a"], history={"a": ["film 1"]}), "users: 'a' is given twice"),
    (lambda g: g.ease.recommend(history={None: ["film 1"]}), "number 1 is missing"),
    (lambda g: g.ease.recommend(history={"a": {"film 1", "film 2"}}), "'a' are a set, which has no order"),
    (lambda g: g.ease.recommend("u1", exclude_seen="no"), "exclude_seen: 'no' is neither True nor False"),
    (lambda g: g.ease.recommend(history=pd.DataFrame({"user": [np.nan], "item": ["film 1"]})), "is missing"),
    (lambda g: g.ease.recommend(history=pd.DataFrame([["a"] * 3], columns=["user", "user", "item"])),
     "several columns 'user'"),
    (lambda g: g.ease.recommend(history=history_at([np.nan, 1.0])), "column 'time': 1 values are missing"),
    (lambda g: g.ease.recommend(history=history_at(["2020-01-31", "1/2/2020"])), "'time', row 2: '1/2/2020'"),
    (lambda g: g.ease.recommend(history=history_at(["1", ""])), "'time', row 2: the value is missing"),
]  # fmt: skip
MEASURING: list[tuple[Call, str]] = [
    (lambda g: g.evaluate({}), "nothing is given that could be measured"),
    (lambda g: g.evaluate([]), "'lists' is an empty list"),
    (lambda g: g.evaluate({"x": []}), "'x' is an empty list"),
    (lambda g: g.evaluate("ease"), "'lists' is a str; give a Model"),
    (lambda g: g.evaluate({"x": 3}), "'x' is a int; give a Model, a Lists or a frame"),
    (lambda g: g.evaluate(g.ease, protocol="standrad"), "unknown protocol 'standrad'.*mean 'standard'"),
    (lambda g: rs.compare(g.ease, g.ease, g.data, "ndgc"), "unknown metric 'ndgc'.*did you mean 'ndcg'"),
    (lambda g: g.evaluate(g.lists(item="film 999")), "unknown item 'film 999'"),
    (lambda g: g.evaluate({5: g.ease}), "the name 5 is no text"),
    (lambda g: g.evaluate([g.ease, g.popularity]), "is a list of different models; .* name them"),
    (lambda g: g.evaluate([g.ease, g.lists()]), "is a list of different models"),
    (lambda g: g.evaluate([g.ease, g.ease]), "has the same seed twice"),
    (lambda g: rs.evaluate(g.ease, g.clicks), "data: is a DataFrame"),
    (lambda g: rs.compare(g.ease, g.popularity, None), "data: is a NoneType"),
    (lambda g: rs.compare("ease", g.popularity, g.data), "'lists' is a str"),
    (lambda g: rs.compare([], g.popularity, g.data), "'lists' is an empty list"),
    (lambda g: g.evaluate(g.ease, protocol=["standard"]), "is no name of a protocol"),
    (lambda g: g.evaluate(g.ease, metrics=5), r"metrics\[0\]: must be text"),
    (lambda g: g.evaluate(g.ease, k=2.5), r"k\[0\]: Input should be a valid integer"),
    (lambda g: g.evaluate(g.ease, k=10**11), "k: 100,000,000,000 are more places than this machine has"),
    (lambda g: g.evaluate(g.lists(rank=np.nan)), r"row 1: the rank is NaN \(9,600 rows\)"),
    (lambda g: g.evaluate(g.lists(score=np.inf)), "row 1: the score is inf"),
    (lambda g: g.evaluate(g.lists(score="x")), "row 1: the score 'x' is not a number"),
    (lambda g: g.evaluate(g.lists(score="1_0.5")), "row 1: the score '1_0.5' is not a number"),
    (lambda g: g.evaluate(g.lists(score=True)), "row 1: the score 'True' is not a number"),
    (lambda g: g.evaluate(g.lists(score=1j)), "row 1: the score '1j' is not a number"),
    (lambda g: g.evaluate(g.lists(rank=pd.Timestamp("2020"))), "the rank '2020-01-01 .* is not a number"),
    (lambda g: g.evaluate(g.lists(rank=1)), "two items at rank 1"),
    (lambda g: g.evaluate(g.lists(rank=lambda f: -f["rank"])), "rank -1 is no place in a list"),
    (lambda g: g.evaluate(g.lists(rank=lambda f: 2 * f["rank"])), "none at the rank before"),
    (lambda g: g.evaluate(g.lists(rank=lambda f: f["rank"], score=lambda f: f["rank"])), "they contradict"),
    (lambda g: g.evaluate(g.lists().iloc[:0]), "lists 'lists': holds no lists"),
    (lambda g: g.evaluate(g.lists(user=None)), "row 1: the user is missing"),
    (lambda g: g.evaluate(pd.concat([g.lists(), g.lists()[["user"]]], axis=1)), "several columns 'user'"),
    (lambda g: g.evaluate(g.lists().rename(columns={"user": "item", "item": "user"})), "swapped"),
]  # fmt: skip
WRONG = READING + FITTING + ASKING + MEASURING


def history_at(times: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"user": "a", "item": ["film 1", "film 2"], "time": times})


@pytest.mark.parametrize(("call", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_argument_is_named(call: Call, message: str, given: Given) -> None:
    with pytest.raises((rs.ConfigError, rs.DataError, rs.ArtifactError), match=message):
        call(given)


def test_numbers_of_numpy_are_numbers(given: Given) -> None:
    assert given.evaluate(given.ease, k=np.int64(5)).equals(given.evaluate(given.ease))
    assert given.evaluate(given.ease, k=np.array([5])).equals(given.evaluate(given.ease))
    model = rs.fit("gfcf", given.data, rank=np.int64(8), seed=np.int64(1))
    assert model.params["rank"] == 8 and model.about["seed"] == 1


def test_a_device_that_is_not_there_is_named(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(rs.ConfigError, match="device: cuda was asked for"):
        rs.fit("mf", given.data, device="cuda")


def test_a_model_that_diverges_has_an_error_of_its_own(given: Given) -> None:
    with pytest.raises(rs.Diverged, match="nan|inf"):
        rs.fit("mf", given.data, learning_rate=1e30, epochs=3, dimensions=8, device="cpu")


def test_times_in_texts_are_times(given: Given, data: rs.Data) -> None:
    """As texts "10" stands before "9"."""
    model = rs.fit("markov", data)
    expected = model.recommend(history={"a": ["film 2", "film 1"]}, k=5)
    for times in (["10", "9"], [10, 9], pd.to_datetime(["2020-01-02", "2020-01-01"])):
        assert model.recommend(history=history_at(times), k=5).equals(expected)


def test_what_a_user_has_is_taken_out_of_lists_with_a_warning(given: Given) -> None:
    """All items by rank, and the same without those of train and validation, are the same lists."""
    seen = pd.concat([given.data.frame("train"), given.data.frame("valid")])
    both = given.lists().merge(seen[["user", "item"]], how="left", indicator=True)
    own = both[both["_merge"] == "left_only"][["user", "item"]]
    with pytest.warns(UserWarning, match=f"{len(seen):,} of 9,600 entries are items that the user has"):
        found = given.evaluate(given.lists())
    assert found["value"].tolist() == given.evaluate(own)["value"].tolist()


def test_users_without_a_list_are_counted_aloud(given: Given) -> None:
    with pytest.warns(UserWarning, match=r"has no list for 119 of the 120 users .* count as misses"):
        given.evaluate(given.lists().query("user == 'u3'"))


def test_lists_that_are_too_short_for_some_are_counted_aloud(given: Given) -> None:
    """They counted as misses without a word."""
    own = given.lists(rank=1)
    short = own[own["user"].ne("u3") | own.groupby("user").cumcount().lt(3)]
    with pytest.warns(UserWarning, match=r"fewer than 5 items for 1 of the 120 users .* counts as a miss"):
        given.evaluate(short.assign(rank=short.groupby("user").cumcount() + 1))


@pytest.mark.parametrize("history", ["train+valid", ["train+valid"]])
def test_a_history_may_be_one_word(history: Any, given: Given, tmp_path: Path) -> None:
    """The word "train" stands in "train+valid", so validation items stayed in the lists."""
    given.lists().to_csv(tmp_path / "lists.csv", index=False)
    with pytest.warns(UserWarning):
        lists = rs.read_lists(tmp_path / "lists.csv", given.data, history=history)
    left = lists.without(given.data.valid).items
    assert (left == lists.items).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"usr": "user"}, "columns: unknown 'usr'; allowed: user, item, score, rank; did you mean 'user'"),
        ({"user": 1}, "columns.user: 1 is no text"),
        (["user"], "columns: is a list"),
    ],
    ids=range(3),
)
def test_columns_of_lists_have_roles(columns: Any, message: str, given: Given, tmp_path: Path) -> None:
    given.lists().to_csv(tmp_path / "lists.csv", index=False)
    with pytest.raises(rs.ConfigError, match=message):
        rs.read_lists(tmp_path / "lists.csv", given.data, columns=columns)


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        ([0], [[99]], "a position of a item is none of 0 to 79"),
        ([0], [[-2]], "a position of a item"),
        ([500], [[0]], "a position of a user is none of 0 to 119"),
        ([0], [[3, 3]], "a list has an item twice"),
        ([0.5], [[3]], "a position of a user"),
    ],
    ids=range(5),
)
def test_lists_of_impossible_positions_are_refused(
    users: list[Any], items: list[list[int]], message: str, data: rs.Data
) -> None:
    with pytest.raises(ValueError, match=message):
        rs.Lists(np.array(users), np.array(items, dtype=np.int32), None, "x", data.ids)
