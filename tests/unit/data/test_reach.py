"""What of a test set can be found at all: counts against plain loops, refusal, words; repeats in data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recspectra.config.catalog import Catalog
from recspectra.config.dataset import DatasetConfig
from recspectra.config.yaml_io import validate
from recspectra.data import splits
from recspectra.data.interactions import DataError, Interactions, from_pairs
from recspectra.data.reach import COLUMNS, reach, warm_users
from recspectra.data.reach_words import describe
from recspectra.data.tables import InteractionTable
from recspectra.recommender import Run, Task, create
from recspectra.training.batches import UserRows

CATALOG = Catalog(Path(__file__).resolve().parents[3])
SHAPE = (40, 25)


def drawn(seed: int, repeats: bool = True) -> dict[str, Interactions]:
    """Random parts in which some users and items are missing and some pairs stand twice."""
    rng, parts = np.random.default_rng(seed), {}
    for name, count in (("train", 120), ("valid", 30), ("test", 60)):
        users, items = rng.integers(0, 40, count), rng.integers(0, 25, count)
        if name == "train":
            items = items[users % 3 > 0] % 20
            users = users[users % 3 > 0]
        if not repeats:
            users, items = np.unique(np.stack([users, items]), axis=1)
        parts[name] = from_pairs(users, items, rng.random(len(users)), SHAPE)
    return parts


def pairs(part: Interactions) -> set[tuple[int, int]]:
    return set(zip(part.users.tolist(), part.items.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_plain_sets(seed: int) -> None:
    parts = drawn(seed)
    train, valid, test = (pairs(parts[name]) for name in ("train", "valid", "test"))
    found = reach(parts)
    assert tuple(found) == COLUMNS
    assert found["test_targets"] == len(test)
    assert found["masked_valid_targets"] == len(valid & train)
    for known, suffix in ((train, ""), (train | valid, "_with_valid")):
        users, items = {u for u, _ in known}, {i for _, i in known}
        assert found[f"cold_users{suffix}"] == len({u for u, _ in test} - users)
        assert found[f"cold_targets{suffix}"] == sum(u not in users for u, _ in test)
        assert found[f"unknown_items{suffix}"] == len({i for _, i in test} - items)
        assert found[f"unknown_targets{suffix}"] == sum(i not in items for _, i in test)
        assert found[f"masked_targets{suffix}"] == len(test & known)
    assert min(found[f"{name}"] for name in COLUMNS) > 0 or seed  # the first draw has some of each
    assert warm_users(parts["train"]).tolist() == [u in {u for u, _ in train} for u in range(40)]


def test_words_say_what_is_counted_and_nothing_where_there_is_nothing() -> None:
    stats = {"test_users": 169, "test_targets": 2000, "cold_users": 120, "cold_users_with_valid": 80,
             "cold_targets": 1500, "unknown_items": 7, "unknown_items_with_valid": 3, "unknown_targets": 9,
             "masked_targets": 4, "masked_targets_with_valid": 5, "masked_valid_targets": 6}  # fmt: skip
    assert describe(stats) == [
        "120 of 169 test users have no training interaction (80 none in train and valid); they have 1,500 of "
        "2,000 test targets (75.0%).",
        "7 test items stand in no training interaction (3 none in train and valid), so no model can know "
        "them: 9 of 2,000 test targets (0.4%).",
        "5 of 2,000 test targets (0.2%) repeat what the user has in train or valid (4 in train): they are "
        "masked and can never be hit.",
        "6 validation targets repeat what the user has in train.",
    ]
    assert describe({"test_users": 3, "test_targets": 5}) == []
    assert describe(dict.fromkeys(COLUMNS, float("nan"))) == []  # a file of an older version


# ------------------------------------------------------------------------------- repeats


def played(share: float, recipe: str = "leave-one-out") -> tuple[InteractionTable, DatasetConfig]:
    """Ten plays of 100 users; the last, or the last but one, repeats the first for a share of them."""
    users = np.repeat(np.arange(100), 10)
    items = (np.tile(np.arange(10), 100) + users) % 50
    place = 9 if recipe == "leave-one-out" else 8
    again = np.arange(100)[: round(100 * share)]
    items[again * 10 + place] = items[again * 10]
    source = {"name": "plays", "licence": "-", "citation": "-"}
    config = {"name": "plays", "title": "plays", "source": source, "reader": {"format": "table"},
              "filter": {"duplicates": "all"}, "split": {"recipe": "leave-one-out"},
              "ordered": True}  # fmt: skip
    table = InteractionTable(users, items, np.arange(1000.0), None, None)
    return table, validate(DatasetConfig, config, "plays.yaml")


def test_targets_that_are_mostly_masked_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"dataset 'plays': 51 of 100 test targets .* train or valid"
    ) as caught:
        splits.split(*played(0.51))
    assert "`filter: {duplicates: first}` or `{duplicates: last}`" in str(caught.value)
    with pytest.raises(DataError, match=r"51 of 100 valid targets stand in the same user's train as well"):
        splits.split(*played(0.51, "valid"))


def test_half_of_the_targets_may_be_masked_and_are_counted() -> None:
    table, config = played(0.5)
    stats = splits.statistics(config, splits.split(table, config)[0])
    assert stats["masked_targets"] == stats["masked_targets_with_valid"] == 50
    assert stats["repeats"] == 50
    assert stats["interactions"] == 1000
    assert stats["density"] == 950 / (100 * 50)
    assert "50 of 100 test targets (50.0%) repeat" in describe(stats)[0]


def test_distinct_keeps_the_latest_place_of_a_repeated_item() -> None:
    users, items = np.array([0, 0, 0, 0, 1, 1]), np.array([3, 1, 3, 2, 4, 4])
    part = from_pairs(users, items, np.arange(6.0), (3, 5))
    assert [part.distinct.sequence(u).tolist() for u in range(3)] == [[1, 3, 2], [4], []]
    assert part.distinct.times.tolist() == [1, 2, 3, 5]
    assert part.distinct.distinct is part.distinct
    assert (part.distinct.matrix != part.matrix).nnz == 0


def test_popularity_counts_users_not_plays() -> None:
    users, items = np.array([0, 0, 0, 1, 2]), np.array([1, 1, 1, 2, 2])
    system = create(CATALOG.model("popularity"), {})
    train = from_pairs(users, items, None, (3, 4))
    system.fit(Task(train, None, False), Run())
    assert system.score(np.array([0]), None).tolist() == [[0, 1, 2, 0]]


def test_rows_of_learned_models_are_binary() -> None:
    part = drawn(0)["train"]
    rows = UserRows(part, 10, "cpu")
    users = np.unique(part.users)
    for user in users:
        found = sorted(rows.rows(rows.users[rows.users == user]).items.tolist())
        assert found == sorted(set(part.sequence(user).tolist()))
