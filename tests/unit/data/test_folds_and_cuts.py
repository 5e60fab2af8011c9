"""Splits by moment, by the newest n and by fold: no leak, nothing lost, the same again, clear refusals."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recspectra.config.base import ConfigError
from recspectra.config.dataset import DatasetConfig, SplitConfig
from recspectra.config.yaml_io import validate
from recspectra.data import splits
from recspectra.data.interactions import DataError, Interactions
from recspectra.data.leaks import OF_TIME, describe, leaks
from recspectra.data.tables import InteractionTable

TRAIN, VALID, TEST, DROPPED = 0, 1, 2, -1


def table(
    rows: int = 400, users: int = 12, levels: int = 60, timed: bool = True, seed: int = 0
) -> InteractionTable:
    """Distinct pairs of users and items; several share a second."""
    random = np.random.default_rng(seed)
    pairs = random.permutation(users * 50)[:rows]
    times = random.integers(0, levels, rows).astype(float) if timed else None
    return InteractionTable(pairs // 50, pairs % 50, times, None, None)


def parts(given: InteractionTable, recipe: str, **keys: object) -> np.ndarray:
    return splits.RECIPES[recipe](given, SplitConfig(recipe=recipe, **keys))


def dataset(recipe: str, ordered: bool = True, **keys: object) -> DatasetConfig:
    source = {"name": "s", "licence": "l", "citation": "c"}
    return validate(DatasetConfig, {"name": "d", "title": "D", "source": source, "ordered": ordered,
                                    "reader": {"format": "table"}, "split": {"recipe": recipe, **keys}},
                    "d.yaml")  # fmt: skip


def pieces(given: InteractionTable, recipe: str, **keys: object) -> dict[str, Interactions]:
    return splits.split(given, dataset(recipe, **keys))[0]


# ---------------------------------------------------------------------------- by moment


@given(st.integers(0, 30), st.sampled_from([3, 20, 1000]), st.sampled_from([0.1, 0.2, 0.5]))
@settings(max_examples=30, deadline=None)
def test_nothing_that_is_tested_is_as_early_as_anything_learnt(seed: int, levels: int, share: float) -> None:
    whole = table(levels=levels, seed=seed)
    try:
        found = parts(whole, "temporal-global", test=share, valid=0.1)
    except DataError:
        assert levels == 3  # one second holds too much
        return
    of = {part: whole.times[found == part] for part in (TRAIN, VALID, TEST)}
    assert len(of[TEST]) >= int(share * len(whole))
    for early, late in ((TRAIN, VALID), (VALID, TEST), (TRAIN, TEST)):
        if len(of[early]) and len(of[late]):
            assert of[early].max() < of[late].min()


def test_a_cut_is_a_date_or_seconds() -> None:
    whole = table()
    days = InteractionTable(whole.users, whole.items, whole.times * 86_400.0, None, None)
    by_date = parts(days, "temporal-global", cut="1970-02-10", valid_cut="1970-02-01T00:00:00Z")
    by_number = parts(days, "temporal-global", cut=40 * 86_400.0, valid_cut=31 * 86_400)
    assert np.array_equal(by_date, by_number)
    assert np.array_equal(by_date == TEST, days.times >= datetime(1970, 2, 10, tzinfo=UTC).timestamp())
    assert np.array_equal(by_date == TRAIN, days.times < datetime(1970, 2, 1, tzinfo=UTC).timestamp())


def test_only_warm_users_are_tested_if_asked_for() -> None:
    users = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    times = np.array([1.0, 5.0, 9.0, 6.0, 9.0, 2.0, 5.5, 8.0])  # user 1 comes after training
    whole = InteractionTable(users, np.arange(8), times, None, None)
    cuts = {"cut": 8.0, "valid_cut": 5.0}
    assert parts(whole, "temporal-global", **cuts).tolist() == [0, 1, 2, 1, 2, 0, 1, 2]
    assert parts(whole, "temporal-global", **cuts, warm_only=True).tolist() == [0, 1, 2, -1, -1, 0, 1, 2]
    found, said = splits.split(whole, dataset("temporal-global", **cuts, warm_only=True))
    assert said == ["dropped 1 users without a training interaction (`warm_only`)"]
    assert found["train"].n_users == 2 and (found["train"].lengths > 0).all()


# --------------------------------------------------------------------------- the newest n


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_newest_n_are_tested_and_the_n_before_them_validate(n: int) -> None:
    whole = table(rows=200, users=15)
    found = parts(whole, "leave-n-out", n=n)
    for user in range(15):
        rows = sorted(np.flatnonzero(whole.users == user).tolist(), key=lambda row: whole.times[row])
        expected = [DROPPED] * len(rows)
        if len(rows) > 2 * n:
            expected = [TRAIN] * (len(rows) - 2 * n) + [VALID] * n + [TEST] * n
        assert found[rows].tolist() == expected
    if n == 1:
        assert np.array_equal(found, parts(whole, "leave-one-out"))


def test_users_that_are_too_few_for_n_are_counted() -> None:
    short = InteractionTable(
        np.array([0] * 7 + [1] * 4 + [2] * 5), np.arange(16), np.arange(16.0), None, None
    )
    _, said = splits.split(short, dataset("leave-n-out", n=2))
    assert said == ["dropped 1 users with fewer than 5 interactions"]
    with pytest.raises(DataError, match="no user has 9 interactions, as the split needs; the most are 7"):
        parts(short, "leave-n-out", n=4)


# ------------------------------------------------------------------------------- by fold


@given(st.integers(0, 20), st.integers(3, 7))
@settings(max_examples=20, deadline=None)
def test_every_interaction_is_tested_in_one_fold_and_validates_in_one(seed: int, folds: int) -> None:
    whole = table(rows=150, timed=False, seed=seed)
    all_parts = [parts(whole, "k-fold", folds=folds, fold=f + 1, seed=3) for f in range(folds)]
    tested = np.array([found == TEST for found in all_parts])
    assert (tested.sum(axis=0) == 1).all()
    validated = np.array([found == VALID for found in all_parts])
    assert np.array_equal(validated, np.roll(tested, -1, axis=0))
    for user in range(12):  # a user's folds differ by one interaction at most
        sizes = tested[:, whole.users == user].sum(axis=1)
        assert sizes.max() - sizes.min() <= 1


def test_union_of_the_parts_is_the_file_and_ids_are_those_of_every_fold() -> None:
    whole = table(timed=False)
    found = [pieces(whole, "k-fold", ordered=False, folds=4, fold=f) for f in (1, 2, 3, 4)]
    expected = set(zip(whole.users.tolist(), whole.items.tolist(), strict=True))
    for one in found:
        pairs = [(u, i) for piece in one.values() for u, i in zip(piece.users, piece.items, strict=True)]
        assert len(pairs) == len(expected) and set(pairs) == expected
    tests = [(u, i) for one in found for u, i in zip(one["test"].users, one["test"].items, strict=True)]
    assert sorted(tests) == sorted(expected)


@pytest.mark.parametrize(
    ("recipe", "keys"),
    [("temporal-global", {"test": 0.2}), ("leave-n-out", {"n": 2}), ("k-fold", {"folds": 3, "fold": 2})],
)
def test_the_same_configuration_gives_the_same_split(recipe: str, keys: dict) -> None:
    first, second = (pieces(table(), recipe, **keys) for _ in range(2))
    for name, piece in first.items():
        assert np.array_equal(piece.items, second[name].items)
        assert np.array_equal(piece.indptr, second[name].indptr)
    if recipe == "k-fold":
        other = pieces(table(), recipe, **keys, seed=1)
        assert not np.array_equal(other["test"].items, first["test"].items)


# --------------------------------------------------------------------------------- leaks


def plain_leaks(found: dict[str, Interactions]) -> dict[str, float]:
    rows = {name: list(zip(p.users.tolist(), p.items.tolist(), p.times.tolist(), strict=True))
            for name, p in found.items()}  # fmt: skip
    last = max(t for *_, t in rows["train"])
    firsts = {u: min(t for v, _, t in rows["test"] if v == u) for u in {u for u, *_ in rows["test"]}}
    future = [any(u == v and t > firsts[u] for v, _, t in rows["train"]) for u in firsts]
    early = {name: np.mean([t < last for *_, t in rows[name]]) for name in ("test", "valid")}
    return {"test_before_last_train": early["test"], "valid_before_last_train": early["valid"],
            "users_with_future_train": np.mean(future), "last_train": last,
            "first_test": min(t for *_, t in rows["test"])}  # fmt: skip


@pytest.mark.parametrize("recipe", ["temporal-global", "temporal-user", "leave-n-out", "k-fold", "random"])
def test_leaks_are_those_of_a_plain_count(recipe: str) -> None:
    found = pieces(table(), recipe)
    told = leaks(found)
    assert {name: told[name] for name in OF_TIME} == pytest.approx(plain_leaks(found))
    assert told["test_in_train"] == told["valid_in_train"] == told["test_in_valid"] == 0
    if recipe == "temporal-global":
        assert told["test_before_last_train"] == told["users_with_future_train"] == 0.0
        assert describe(told) == ["no test interaction is earlier than the last training one"]
    if recipe in ("k-fold", "random"):
        assert told["users_with_future_train"] > 0.5
        assert f"{told['users_with_future_train']:.1%} of the test users have" in describe(told)[0]


def test_without_times_nothing_is_said_of_time_and_overlaps_are_counted() -> None:
    whole = table(rows=300, timed=False)
    some = slice(0, 60)  # stand twice
    both = InteractionTable(
        np.append(whole.users, whole.users[some]), np.append(whole.items, whole.items[some]), None, None, None
    )
    told = leaks(pieces(both, "random", ordered=False))
    assert all(told[name] is None for name in OF_TIME) and describe(told) == []
    assert told["test_in_train"] > 0


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("recipe", "keys", "message"),
    [
        ("temporal-global", {"cut": "1.2.2020"}, "split.cut: '1.2.2020' is no date; write"),
        ("temporal-global", {"cut": 5.0, "test": 0.2}, "cut, test: both say where the part begins"),
        ("temporal-global", {"cut": 5.0, "valid_cut": 6.0}, "validation must begin before `cut`"),
        ("temporal-global", {"valid_cut": 6.0}, "valid_cut: give `cut` as well"),
        ("k-fold", {"folds": 2}, "split.folds: .*greater than or equal to 3"),
        ("k-fold", {"folds": 3, "fold": 4}, "fold: there are folds 1 to 3"),
        ("leave-n-out", {"n": 0}, "split.n: .*greater than or equal to 1"),
        ("temporal", {"cut": 5.0}, "cut: recipe 'temporal' does not use this key"),
        ("leave-n-out", {"folds": 5}, "folds: recipe 'leave-n-out' does not use this key"),
    ],
)
def test_a_split_that_cannot_be_meant_is_refused(recipe: str, keys: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataset(recipe, **keys)


def test_data_that_cannot_be_split_so_say_why() -> None:
    with pytest.raises(DataError, match="'temporal-global' needs time stamps"):
        parts(table(timed=False), "temporal-global")
    with pytest.raises(
        DataError, match=r"all interactions lie on one side of the cut \(99\); they are from 0 to 59"
    ):
        parts(table(), "temporal-global", cut=99.0)
    few = InteractionTable(np.array([0, 1]), np.array([0, 1]), None, None, None)
    with pytest.raises(DataError, match="part of the split is empty"):
        pieces(few, "k-fold", ordered=False)


def test_what_older_recipes_were_made_with_is_the_same_text() -> None:
    assert set(SplitConfig(recipe="temporal").model_dump()) == {
        "recipe", "valid", "test", "valid_of", "seed", "exchange"
    }  # fmt: skip
    assert SplitConfig(recipe="k-fold").model_dump()["folds"] == 5
