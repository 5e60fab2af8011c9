"""Filters against plain loops: what each drops, and in which order they work."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from recspectra.config.dataset import FilterConfig
from recspectra.data import filters
from recspectra.data.interactions import DataError
from recspectra.data.tables import InteractionTable

Pair = tuple[int, int]


def pairs(table: InteractionTable) -> list[tuple[int, int]]:
    return list(zip(table.users.tolist(), table.items.tolist(), strict=True))


def test_threshold_without_ratings_is_refused() -> None:
    table = InteractionTable(np.zeros(2, int), np.arange(2), None, None, None)
    with pytest.raises(DataError, match="no ratings"):
        filters.apply(table, FilterConfig(min_rating=1.0))


def table_of(rows: list[tuple[int, int, float]]) -> InteractionTable:
    """Make a table of (user, item, rating) without times."""
    users, items, ratings = (np.array(column) for column in zip(*rows, strict=True))
    return InteractionTable(users, items, None, ratings.astype(float), None)


def filtered(table: InteractionTable, **config: object) -> InteractionTable:
    return filters.apply(table, FilterConfig(**config))[0]


def plain_core(rows: list[Pair], of_users: int, of_items: int) -> list[Pair]:
    while True:
        users, items = Counter(u for u, _ in rows), Counter(i for _, i in rows)
        kept = [(u, i) for u, i in rows if users[u] >= of_users and items[i] >= of_items]
        if kept == rows:
            return rows
        rows = kept


# --------------------------------------------------------------------------------- k-core


@pytest.mark.parametrize(("of_users", "of_items"), [(4, 2), (2, 6), (0, 6), (6, 0), (1, 5)])
def test_users_and_items_have_a_core_of_their_own(of_users: int, of_items: int) -> None:
    rng = np.random.default_rng(2)
    drawn = {(int(u), int(i)) for u, i in zip(rng.integers(0, 40, 250), rng.zipf(1.4, 250) % 40, strict=True)}
    table = table_of([(u, i, 1.0) for u, i in sorted(drawn)])
    kept = pairs(filtered(table, k_core_users=of_users, k_core_items=of_items))
    assert kept == plain_core(pairs(table), of_users, of_items)
    assert 0 < len(kept) < len(table)
    assert kept != plain_core(pairs(table), of_items, of_users)


def test_a_count_that_is_reached_is_enough() -> None:
    table = table_of([(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1), (2, 0, 1)])
    assert pairs(filtered(table, k_core_users=2)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert pairs(filtered(table, k_core_items=3)) == [(0, 0), (1, 0), (2, 0)]


# ------------------------------------------------------------------------- order of the steps


def test_repeated_pairs_do_not_help_into_the_core() -> None:
    table = table_of([(0, 0, 1)] * 3 + [(1, 0, 1), (1, 1, 1), (2, 0, 1), (2, 1, 1)])
    assert pairs(filtered(table, k_core_users=2)) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert pairs(filtered(table, k_core_users=2, duplicates="all"))[:3] == [(0, 0)] * 3


def test_low_ratings_go_before_repeated_pairs_and_before_the_core() -> None:
    table = table_of([(0, 0, 1), (0, 0, 5), (0, 1, 4), (1, 0, 5), (1, 1, 1)])
    assert pairs(filtered(table, min_rating=4)) == [(0, 0), (0, 1), (1, 0)]
    assert pairs(filtered(table, min_rating=4, k_core_users=2)) == [(0, 0), (0, 1)]


def test_users_are_drawn_of_those_with_ratings_enough_and_before_the_core() -> None:
    liked = [(user, item, 5.0) for user in range(10) for item in (user, 100)]
    table = table_of(liked + [(user, 0, 1.0) for user in range(10, 40)])
    assert len(np.unique(filtered(table, min_rating=4, sample_users=10).users)) == 10
    assert set(pairs(filtered(table, sample_users=40, k_core_items=2))) >= {(10, 0), (39, 0)}
    drawn = filtered(table, min_rating=4, sample_users=4, k_core_items=4)
    assert drawn.items.tolist() == [100] * 4  # four users: a core taken before has item 100 as well
    with pytest.raises(DataError, match=r"leaves no interactions; dropped .* 0/5-core"):
        filtered(table, min_rating=4, sample_users=4, k_core_items=5)


# ------------------------------------------------------------------------ sampling of users


def sampled(seed: int, count: int = 10) -> list[int]:
    table = table_of([(user, item, 1.0) for user in range(200) for item in range(3)])
    return np.unique(filtered(table, sample_users=count, seed=seed).users).tolist()


def test_users_are_drawn_by_the_seed_and_no_user_twice() -> None:
    assert sampled(1) == sampled(1)
    assert sampled(0) != sampled(1) != sampled(2)
    assert [len(sampled(seed, 150)) for seed in range(5)] == [150] * 5


def test_users_that_were_drawn_once_are_drawn_again() -> None:
    """Published numbers hang on it: another way to derive the seed is another dataset."""
    assert sampled(3, 4) == [97, 129, 133, 156]


@pytest.mark.parametrize("count", [200, 201, 10_000])
def test_as_many_users_as_there_are_is_all_of_them(count: int) -> None:
    assert sampled(0, count) == list(range(200))


# ------------------------------------------------------------------------- repeated pairs


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("which", ["first", "last"])
def test_of_pairs_with_equal_times_the_place_in_the_file_decides(which: str, timed: bool) -> None:
    """Thousands of rows and three times: few stay in order under a sort that is not stable."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 30, 5000), rng.integers(0, 20, 5000)
    times, places = rng.integers(0, 3, 5000).astype(float), np.arange(5000.0)
    rows = list(zip(users.tolist(), items.tolist(), places.tolist(), strict=True))
    wanted: dict[Pair, float] = {}
    for user, item, place in sorted(rows, key=lambda row: times[int(row[2])] if timed else 0):
        if which == "last" or (user, item) not in wanted:
            wanted[user, item] = place
    table = InteractionTable(users, items, times if timed else None, places, None)
    kept = filtered(table, duplicates=which)
    assert dict(zip(pairs(kept), kept.ratings.tolist(), strict=True)) == wanted
    assert kept.ratings.tolist() == sorted(kept.ratings)  # rows stay in the order of the file


def test_an_older_row_further_down_the_file_is_the_first() -> None:
    table = InteractionTable(
        np.array([0, 0, 0]), np.array([7, 7, 7]), np.array([5.0, 3.0, 9.0]), np.array([1.0, 2.0, 3.0]), None
    )
    assert filtered(table, duplicates="first").ratings.tolist() == [2.0]
    assert filtered(table, duplicates="last").ratings.tolist() == [3.0]


@pytest.mark.parametrize("shape", [(3, 50), (50, 3)])
def test_pairs_that_differ_are_never_taken_for_one(shape: tuple[int, int]) -> None:
    users, items = (side.ravel() for side in np.indices(shape))
    table = table_of([(u, i, 1.0) for u, i in zip(users.tolist(), items.tolist(), strict=True)])
    assert len(filtered(table)) == 150


# ---------------------------------------------------------------------------- what is said


def test_every_step_says_how_many_rows_it_dropped() -> None:
    rows = [(0, 0, 1.0), (0, 0, 5.0), (0, 0, 4.0), (0, 1, 5.0), (1, 0, 5.0)]
    config = FilterConfig(min_rating=2.0, k_core_users=2)
    kept, said = filters.apply(table_of(rows), config)
    assert pairs(kept) == [(0, 0), (0, 1)]
    assert [line.split(":")[0] for line in said] == ["dropped 1 interactions"] * 3
    assert [next(w for w in ("rating", "repeated", "core") if w in line) for line in said] == [
        "rating", "repeated", "core"
    ]  # fmt: skip
    assert filters.apply(kept, config)[1] == []
