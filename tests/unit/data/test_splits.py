"""Every split recipe: disjoint, covering, deterministic, and no look into the future."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recspectra.config.dataset import USED, DatasetConfig, SplitConfig
from recspectra.config.yaml_io import validate
from recspectra.data import splits
from recspectra.data.interactions import DataError
from recspectra.data.tables import InteractionTable

RECIPES = ["random", "random-user", "temporal", "temporal-user", "leave-one-out"]


def dataset(recipe: str, **split: object) -> DatasetConfig:
    source = {"name": "made", "licence": "-", "citation": "-"}
    return validate(
        DatasetConfig,
        {
            "name": "made", "title": "made", "source": source, "reader": {"format": "table"},
            "split": {"recipe": recipe, **split}, "ordered": True,
        },
        "made.yaml",
    )  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> InteractionTable:
    lengths = draw(st.lists(st.integers(3, 12), min_size=4, max_size=12))
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(len(lengths)), lengths)
    items = np.concatenate([rng.choice(20, n, replace=False) for n in lengths])
    times = rng.integers(0, 15, len(users)).astype(float)  # many ties
    order = rng.permutation(len(users))
    return InteractionTable(users[order], items[order], times[order], None, None)


def rows_of(parts: np.ndarray, name: str) -> np.ndarray:
    return np.flatnonzero(parts == splits.PARTS.index(name))


@pytest.mark.parametrize("recipe", RECIPES)
@settings(max_examples=30, deadline=None)
@given(table=tables(), seed=st.integers(0, 5))
def test_parts_cover_everything_once_and_repeat(recipe: str, table: InteractionTable, seed: int) -> None:
    config = SplitConfig(recipe=recipe, **({"seed": seed} if "seed" in USED[recipe] else {}))
    parts = splits.RECIPES[recipe](table, config)
    assert len(parts) == len(table)
    assert set(np.unique(parts)) <= {0, 1, 2}  # every user has three interactions, none is dropped
    assert np.array_equal(parts, splits.RECIPES[recipe](table, config))


@settings(max_examples=40, deadline=None)
@given(table=tables())
def test_temporal_user_never_trains_on_later_than_it_tests(table: InteractionTable) -> None:
    parts = splits.temporal_user(table, SplitConfig(recipe="temporal-user", test=0.3, valid=0.2))
    for user in np.unique(table.users):
        mine = table.users == user
        for earlier, later in ((0, 1), (1, 2), (0, 2)):
            before, after = table.times[mine & (parts == earlier)], table.times[mine & (parts == later)]
            assert not len(before) or not len(after) or before.max() <= after.min()


@settings(max_examples=40, deadline=None)
@given(table=tables())
def test_temporal_never_trains_on_later_than_it_tests(table: InteractionTable) -> None:
    parts = splits.temporal(table, SplitConfig(recipe="temporal", test=0.3, valid=0.2))
    train, test = table.times[parts == 0], table.times[parts == 2]
    assert train.max() <= test.min()


@settings(max_examples=40, deadline=None)
@given(table=tables())
def test_leave_one_out_takes_the_last_two(table: InteractionTable) -> None:
    parts = splits.leave_one_out(table, SplitConfig(recipe="leave-one-out"))
    for user in np.unique(table.users):
        mine = np.flatnonzero(table.users == user)
        ordered = mine[np.argsort(table.times[mine], kind="stable")]
        assert parts[ordered].tolist() == [0] * (len(mine) - 2) + [1, 2]


def test_equal_times_keep_the_order_of_the_file() -> None:
    table = InteractionTable(np.zeros(5, int), np.array([9, 4, 7, 1, 3]), np.full(5, 8.0), None, None)
    parts = splits.leave_one_out(table, SplitConfig(recipe="leave-one-out"))
    assert parts.tolist() == [0, 0, 0, 1, 2]


def test_users_too_short_for_leave_one_out_are_dropped_and_said() -> None:
    users = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    items = np.array([0, 1, 2, 3, 4, 0, 1, 2])
    table = InteractionTable(users, items, np.arange(8.0), None, None)
    pieces, said = splits.split(table, dataset("leave-one-out"))
    assert said == ["dropped 1 users with fewer than three interactions"]
    assert pieces["train"].shape == (2, 3)  # items 3 and 4 went with user 1


def test_shares_are_taken_as_the_yaml_says() -> None:
    table = InteractionTable(np.repeat([0, 1], 500), np.tile(np.arange(500), 2), None, None, None)
    of_all = splits.random(table, SplitConfig(recipe="random", test=0.2, valid=0.1))
    of_train = splits.random(table, SplitConfig(recipe="random", test=0.2, valid=0.1, valid_of="train"))
    assert np.bincount(of_all).tolist() == [700, 100, 200]
    assert np.bincount(of_train).tolist() == [720, 80, 200]


def test_seed_changes_a_random_split() -> None:
    table = InteractionTable(np.repeat([0, 1], 50), np.tile(np.arange(50), 2), None, None, None)
    first, second = (splits.random(table, SplitConfig(recipe="random", seed=s)) for s in (0, 1))
    assert not np.array_equal(first, second)


def test_exchange_swaps_shipped_valid_and_test() -> None:
    parts = np.array([0, 1, 2], dtype=np.int8)
    table = InteractionTable(np.zeros(3, int), np.arange(3), None, None, parts)
    swapped = splits.shipped(table, SplitConfig(recipe="shipped", exchange=True))
    assert swapped.tolist() == [0, 2, 1]


def test_temporal_split_needs_times() -> None:
    table = InteractionTable(np.zeros(3, int), np.arange(3), None, None, None)
    with pytest.raises(DataError, match="needs time stamps"):
        splits.temporal(table, SplitConfig(recipe="temporal"))


@pytest.mark.parametrize(("users", "items"), [([0] * 6, range(6)), (range(6), [0] * 6)])
def test_one_user_or_one_item_is_refused(users: object, items: object) -> None:
    table = InteractionTable(np.array(list(users)), np.array(list(items)), None, None, None)
    with pytest.raises(DataError, match="at least two of each"):
        splits.split(table, dataset("random", test=0.3, valid=0.3))
