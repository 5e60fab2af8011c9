"""Which interaction goes to which part: every recipe against a plain one, exactly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recspectra.config.dataset import DatasetConfig, SplitConfig
from recspectra.data import splits
from recspectra.data.interactions import DataError, Interactions
from recspectra.data.tables import InteractionTable

TRAIN, VALID, TEST = (splits.PARTS.index(name) for name in ("train", "valid", "test"))


def table_of(users: np.ndarray, times: np.ndarray | None, seed: int = 0) -> InteractionTable:
    items = np.random.default_rng(seed).integers(0, 50, len(users))
    return InteractionTable(np.asarray(users), items, times, None, None)


def parts_of(recipe: str, table: InteractionTable, **config: object) -> np.ndarray:
    return splits.RECIPES[recipe](table, SplitConfig(recipe=recipe, **config))


def large(levels: int = 3) -> InteractionTable:
    """3,000 rows of 7 users with so many times: few keep their order under an unstable sort."""
    rng = np.random.default_rng(4)
    return table_of(rng.permutation(np.arange(3000) % 7), rng.integers(0, levels, 3000).astype(float))


def by_time(table: InteractionTable, rows: np.ndarray) -> list[int]:
    """Rows from the oldest to the newest; Python's sort is stable."""
    return rows.tolist() if table.times is None else sorted(rows.tolist(), key=lambda row: table.times[row])


def tail(order: list[int], n_valid: int, n_test: int) -> dict[int, int]:
    """The last rows are for test, those before them for validation."""
    n_train = len(order) - n_valid - n_test
    labels = [TRAIN] * n_train + [VALID] * n_valid + [TEST] * n_test
    return dict(zip(order, labels, strict=True))


# -------------------------------------------------------------------------------- by time


def test_temporal_gives_the_newest_to_test_and_the_next_newest_to_validation() -> None:
    times = np.array([7.0, 0.0, 5.0, 9.0, 2.0, 6.0, 1.0, 8.0, 4.0, 3.0])
    parts = parts_of("temporal", table_of(np.zeros(10, int), times), test=0.2, valid=0.3)
    labels = dict(zip(times.tolist(), parts.tolist(), strict=True))
    assert [labels[float(t)] for t in range(10)] == [TRAIN] * 5 + [VALID] * 3 + [TEST] * 2


@pytest.mark.parametrize("table", [large(), large(1), large(1000)])
def test_temporal_is_a_cut_of_the_stable_order(table: InteractionTable) -> None:
    parts = parts_of("temporal", table, test=0.2, valid=0.1)
    assert dict(enumerate(parts.tolist())) == tail(by_time(table, np.arange(3000)), 300, 600)
    times = [table.times[parts == part] for part in (TRAIN, VALID, TEST)]
    assert times[0].max() <= times[1].min() and times[1].max() <= times[2].min()


@pytest.mark.parametrize("recipe", ["temporal-user", "leave-one-out"])
@pytest.mark.parametrize("levels", [0, 1, 3, 1000])
def test_recipes_by_user_cut_the_stable_order_of_each_user(recipe: str, levels: int) -> None:
    table = large(max(levels, 1))
    table = table if levels else table_of(table.users, None)
    parts = parts_of(recipe, table, **({"test": 0.25, "valid": 0.1} if recipe == "temporal-user" else {}))
    for user in range(7):
        mine = np.flatnonzero(table.users == user)
        shares = (len(mine) // 10, len(mine) // 4) if recipe == "temporal-user" else (1, 1)
        expected = tail(by_time(table, mine), *shares)
        assert {row: int(parts[row]) for row in mine.tolist()} == expected


def test_leave_one_out_drops_users_with_two_interactions_and_keeps_those_with_three() -> None:
    parts = parts_of("leave-one-out", table_of(np.array([0, 1, 0, 1, 1, 2]), np.arange(6.0)))
    assert parts.tolist() == [splits.DROPPED, TRAIN, splits.DROPPED, VALID, TEST, splits.DROPPED]


# ------------------------------------------------------------------------------- at random


def test_random_user_takes_its_share_of_every_user() -> None:
    users = np.random.default_rng(0).permutation(np.repeat(np.arange(40), 10))
    parts = parts_of("random-user", table_of(users, None), test=0.2, valid=0.1)
    counts = np.stack([np.bincount(users[parts == part], minlength=40) for part in (TRAIN, VALID, TEST)])
    assert counts.T.tolist() == [[7, 1, 2]] * 40
    counts = np.bincount(users[parts_of("random", table_of(users, None)) == TEST], minlength=40)
    assert counts.min() < 2 < counts.max()  # `random` does not


@pytest.mark.parametrize("recipe", ["random", "random-user"])
def test_a_random_split_follows_its_seed_and_not_the_order_of_the_file(recipe: str) -> None:
    table = table_of(np.repeat(np.arange(20), 30), np.arange(600.0))
    found = [parts_of(recipe, table, seed=seed) for seed in (0, 0, 1, 2)]
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2]) and not np.array_equal(found[2], found[3])
    # Test items stand anywhere among the 30 of a user: their mean place is near 14.5, not 27.
    places = np.arange(600) % 30
    assert abs(places[found[0] == TEST].mean() - 14.5) < 3.0
    assert abs(places[found[0] == VALID].mean() - 14.5) < 4.0


@pytest.mark.parametrize(
    ("recipe", "drawn"), [("random", ([15, 19], [1, 3, 9, 16])), ("random-user", ([5, 14], [2, 6, 10, 13]))]
)
def test_a_split_that_was_drawn_once_is_drawn_again(recipe: str, drawn: tuple) -> None:
    """Published numbers hang on it: another way to derive the seed is another split."""
    parts = parts_of(recipe, table_of(np.repeat(np.arange(2), 10), None), seed=3)
    assert tuple(np.flatnonzero(parts == part).tolist() for part in (VALID, TEST)) == drawn


# ------------------------------------------------------------------------------- the shares


@pytest.mark.parametrize("recipe", ["random", "random-user", "temporal", "temporal-user"])
@pytest.mark.parametrize(
    ("length", "shares", "sizes"),
    [
        (100, {"test": 0.29, "valid": 0.07}, (64, 7, 29)),  # .29 * 100 and .07 * 100 are not whole in binary
        (10, {"test": 0.3, "valid": 0.3, "valid_of": "train"}, (5, 2, 3)),
        (10, {"test": 0.3, "valid": 0.3, "valid_of": "all"}, (4, 3, 3)),
        (9, {"test": 0.2, "valid": 0.1}, (8, 0, 1)),
        (10, {"test": 0.2, "valid": 0.0}, (8, 0, 2)),
    ],
)
def test_shares_are_rounded_down(recipe: str, length: int, shares: dict, sizes: tuple) -> None:
    parts = parts_of(recipe, table_of(np.zeros(length, int), np.arange(float(length))), **shares)
    assert tuple(np.bincount(parts, minlength=3).tolist()) == sizes


# ------------------------------------------------------------------------- shipped, whole


def test_a_shipped_split_is_taken_as_it_is_and_needed() -> None:
    shipped = np.array([2, 0, 1, 0], dtype=np.int8)
    table = InteractionTable(np.zeros(4, int), np.arange(4), None, None, shipped)
    assert parts_of("shipped", table).tolist() == [2, 0, 1, 0]
    assert parts_of("shipped", table, exchange=True).tolist() == [1, 0, 2, 0]
    with pytest.raises(DataError, match="needs files with `part"):
        parts_of("shipped", table_of(np.zeros(4, int), None))


MakeConfig = Callable[..., DatasetConfig]


def two_parts(times: bool = False) -> InteractionTable:
    """200 train rows of 20 users and a test row of each, in the order of no user."""
    rng = np.random.default_rng(1)
    users = np.concatenate([rng.permutation(np.arange(200) % 20), np.arange(20)])
    items = np.concatenate([np.arange(200), np.arange(200, 220)])
    parts = np.repeat([TRAIN, TEST], [200, 20]).astype(np.int8)
    return InteractionTable(users, items, rng.random(220) if times else None, None, parts)


def test_validation_is_drawn_from_the_train_part_of_files_that_have_none() -> None:
    table = two_parts()
    found = {s: parts_of("shipped", table, valid=0.155, seed=s) for s in (0, 1)}
    for parts in found.values():
        assert np.array_equal(parts == TEST, table.parts == TEST)  # nothing of test is touched
        assert np.bincount(parts).tolist() == [169, 31, 20]
    assert np.array_equal(parts_of("shipped", table, valid=0.155, seed=1), found[1])
    assert not np.array_equal(found[0], found[1])
    assert two_parts().parts.tolist() == table.parts.tolist()  # the table is as it was


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
def test_train_and_the_validation_drawn_from_it_are_the_train_file(
    ordered: bool, times: bool, dataset_config: MakeConfig
) -> None:
    table = two_parts(times)
    config = dataset_config(split={"recipe": "shipped", "valid": 0.1, "seed": 3}, ordered=ordered)
    pieces, _ = splits.split(table, config)
    assert pieces["valid"].nnz == 20
    union = pieces["train"].merged(pieces["valid"])
    mine = table.parts == TRAIN
    for user in range(20):
        rows = np.flatnonzero(mine & (table.users == user))
        expected = table.items[by_time(table, rows)] if ordered else table.items[rows]
        found = union.sequence(user)
        assert found.tolist() == expected.tolist() if ordered else set(found) == set(expected)


def test_files_with_a_validation_part_need_no_draw_and_those_without_are_told_of_it(
    dataset_config: MakeConfig,
) -> None:
    with pytest.raises(DataError, match="have a validation part; take `valid`"):
        parts_of("shipped", shipped_table(), valid=0.1)
    with pytest.raises(DataError, match=r"the valid part of the split is empty; .*valid: 0\.1.* draws one"):
        splits.split(two_parts(), dataset_config(split={"recipe": "shipped"}))


def shipped_table() -> InteractionTable:
    """Users 5 and 9, items 3, 4 and 8; the validation pair is the newest, item 8 is not in train."""
    users, items = np.array([9, 5, 9, 5, 5, 9]), np.array([4, 3, 3, 4, 8, 8])
    times = np.array([3.0, 1.0, 2.0, 6.0, 4.0, 5.0])
    return InteractionTable(users, items, times, None, np.array([0, 0, 0, 1, 2, 2], dtype=np.int8))


def test_the_parts_hold_the_rows_that_the_recipe_gives_them(dataset_config: MakeConfig) -> None:
    pieces, said = splits.split(shipped_table(), dataset_config(split={"recipe": "shipped"}))
    assert said == []
    assert [piece.shape for piece in pieces.values()] == [(2, 3)] * 3
    found = {name: (p.users.tolist(), p.items.tolist(), p.times.tolist()) for name, p in pieces.items()}
    assert found == {
        "train": ([0, 1, 1], [0, 0, 1], [1.0, 2.0, 3.0]),
        "valid": ([0], [1], [6.0]),
        "test": ([0, 1], [2, 2], [4.0, 5.0]),
    }


def test_times_of_data_without_order_are_not_kept(dataset_config: MakeConfig) -> None:
    config = dataset_config(split={"recipe": "shipped"}, ordered=False)
    pieces, _ = splits.split(shipped_table(), config)
    assert [piece.times for piece in pieces.values()] == [None] * 3


@pytest.mark.parametrize(("code", "name"), list(enumerate(splits.PARTS)))
def test_an_empty_part_is_named(code: int, name: str, dataset_config: MakeConfig) -> None:
    table = shipped_table()
    table.parts[table.parts == code] = (code + 1) % 3
    with pytest.raises(DataError, match=f"'tiny': the {name} part of the split is empty"):
        splits.split(table, dataset_config(split={"recipe": "shipped"}))


@pytest.mark.parametrize(("users", "items"), [(2, 2), (2, 5), (5, 2)])
def test_two_users_and_two_items_are_enough(users: int, items: int, dataset_config: MakeConfig) -> None:
    u, i = (side.ravel() for side in np.indices((users, items)))
    table = InteractionTable(u, i, np.arange(float(len(u))), None, None)
    pieces, _ = splits.split(table, dataset_config(split={"recipe": "random", "test": 0.3, "valid": 0.3}))
    assert {piece.shape for piece in pieces.values()} == {(users, items)}


# ------------------------------------------------------------------------------- the counts


def test_the_statistics_count_what_is_there(dataset_config: MakeConfig) -> None:
    config = dataset_config(split={"recipe": "shipped"})
    table = shipped_table()
    table.parts[:] = [2, 0, 0, 1, 1, 2]
    pieces, _ = splits.split(table, config)
    found = splits.statistics(config, pieces)
    expected = {
        "dataset": "tiny", "users": 2, "items": 3, "interactions": 6, "train": 2, "valid": 2, "test": 2,
        "test_users": 1, "density": 1.0, "mean_length": 3.0, "items_unseen_in_train": 2, "ordered": True,
        "times": True,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    without = dataset_config(split={"recipe": "shipped"}, ordered=False)
    found = splits.statistics(without, splits.split(table, without)[0])
    assert (found["ordered"], found["times"]) == (False, False)


def test_what_is_saved_is_read_back(dataset_config: MakeConfig, tmp_path: Path) -> None:
    pieces, _ = splits.split(shipped_table(), dataset_config(split={"recipe": "shipped"}))
    splits.save(pieces, {"users": 2}, tmp_path)
    assert json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))["users"] == 2
    for name, piece in pieces.items():
        back = Interactions.load(tmp_path / f"{name}.npz")
        assert (back.users.tolist(), back.items.tolist()) == (piece.users.tolist(), piece.items.tolist())
        assert (back.times.tolist(), back.shape) == (piece.times.tolist(), piece.shape)


def test_counts_that_differ_are_refused_all_at_once(dataset_config: MakeConfig) -> None:
    found = {"users": 120, "items": 30, "interactions": 500, "train": 300, "valid": 100, "test": 100}
    said = splits.check_counts(dataset_config(expected={"users": 120, "test": 100}), found)
    assert said[:2] == ["users: found 120, expected 120", "items: found 30"]
    assert [line.split(":")[0] for line in said] == list(found)
    assert len(splits.check_counts(dataset_config(), found)) == 6
    wrong = dataset_config(expected={"users": 119, "items": 30, "test": 90})
    with pytest.raises(DataError) as caught:
        splits.check_counts(wrong, found)
    assert "'tiny'" in str(caught.value) and "items" not in str(caught.value)
    assert "users: found 120, expected 119; test: found 100, expected 90" in str(caught.value)


# --------------------------------------------------------------- order where times say little


@pytest.mark.parametrize("times", ["none", "some equal", "all equal"])
@pytest.mark.parametrize("recipe", ["random", "random-user", "k-fold", "temporal-user", "leave-one-out"])
def test_parts_together_stand_in_the_order_of_time_and_then_of_the_file(
    dataset_config: MakeConfig, recipe: str, times: str
) -> None:
    """Held-out rows of a drawn split stood behind those of train with the same time."""
    rng = np.random.default_rng(8)
    users, items = rng.permutation(np.arange(240) % 8), rng.permutation(240)  # no pair twice
    known = {"none": None, "some equal": rng.integers(0, 9, 240) * 1.0, "all equal": np.full(240, 5.0)}
    table = InteractionTable(users, items, known[times], None, None)
    pieces, _ = splits.split(table, dataset_config(split={"recipe": recipe}))
    union = pieces["train"].merged(pieces["valid"])
    whole = union.merged(pieces["test"])
    for user in range(8):
        expected = items[by_time(table, np.flatnonzero(users == user))].tolist()
        assert whole.sequence(user).tolist() == expected
        kept = set(union.sequence(user).tolist())
        assert union.sequence(user).tolist() == [item for item in expected if item in kept]
    assert (whole.times is None) == (times == "none")


@pytest.mark.parametrize("times", [None, np.full(240, 5.0)], ids=["none", "equal"])
def test_what_a_fit_is_given_does_not_tell_where_test_rows_lie(
    dataset_config: MakeConfig, times: np.ndarray | None
) -> None:
    users, items = np.arange(240) % 8, np.arange(240)
    config = dataset_config(split={"recipe": "random-user"})
    whole = InteractionTable(users, items, times, None, None)
    pieces, _ = splits.split(whole, config)
    train, valid = (set(pieces[name].items.tolist()) for name in ("train", "valid"))
    expected = [
        sum(other in train for other in items[(users == user) & (items < item)])
        for user in range(8) for item in sorted(valid & set(items[users == user].tolist()))
    ]  # fmt: skip
    assert pieces["valid"].preceding.tolist() == expected and pieces["train"].preceding is None
    assert (pieces["train"].times is None) == (times is None)
    unordered = dataset_config(split={"recipe": "random-user"}, ordered=False)
    assert all(p.times is None and p.preceding is None for p in splits.split(whole, unordered)[0].values())


# ------------------------------------------------------------------------------ what is refused


def test_users_that_are_dropped_are_said_and_their_items_go(dataset_config: MakeConfig) -> None:
    users, items = np.array([0, 0, 0, 1, 1, 2, 2, 2]), np.array([0, 1, 2, 3, 4, 0, 1, 2])
    table = InteractionTable(users, items, np.arange(8.0), None, None)
    pieces, said = splits.split(table, dataset_config(split={"recipe": "leave-one-out"}))
    assert said == ["dropped 1 users with fewer than three interactions"]
    assert pieces["train"].shape == (2, 3)


@pytest.mark.parametrize(
    ("users", "items", "recipe", "message"),
    [
        ([0] * 6, range(6), "random", "at least two of each"),
        (range(6), [0] * 6, "random", "at least two of each"),
        ([0, 1] * 3, range(6), "temporal", "needs time stamps"),
    ],
)
def test_data_that_cannot_be_split_are_refused(
    users: object, items: object, recipe: str, message: str, dataset_config: MakeConfig
) -> None:
    table = InteractionTable(np.array(list(users)), np.array(list(items)), None, None, None)
    with pytest.raises(DataError, match=message):
        splits.split(table, dataset_config(split={"recipe": recipe, "test": 0.3, "valid": 0.3}))
