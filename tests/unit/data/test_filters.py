"""Filters against plain loops."""

from collections import Counter

import numpy as np
import pytest

from recspectra.config.dataset import FilterConfig
from recspectra.data import filters
from recspectra.data.interactions import DataError
from recspectra.data.tables import InteractionTable


def random_table(seed: int = 0, rows: int = 300) -> InteractionTable:
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 40, rows), rng.zipf(1.5, rows) % 60
    times = rng.integers(0, 50, rows).astype(float)
    return InteractionTable(users, items, times, rng.integers(1, 6, rows).astype(float), None)


def pairs(table: InteractionTable) -> list[tuple[int, int]]:
    return list(zip(table.users.tolist(), table.items.tolist(), strict=True))


def plain_core(rows: list[tuple[int, int]], k: int) -> list[tuple[int, int]]:
    while True:
        users, items = Counter(u for u, _ in rows), Counter(i for _, i in rows)
        kept = [(u, i) for u, i in rows if users[u] >= k and items[i] >= k]
        if len(kept) == len(rows):
            return rows
        rows = kept


@pytest.mark.parametrize("k", [2, 3, 4])
def test_k_core_is_that_of_a_plain_loop(k: int) -> None:
    table = filters.apply(random_table(), FilterConfig())[0]
    kept, _ = filters.apply(table, FilterConfig(k_core_users=k, k_core_items=k))
    assert pairs(kept) == plain_core(pairs(table), k)
    assert 0 < len(kept) < len(table)


@pytest.mark.parametrize("which", ["first", "last"])
def test_one_of_repeated_pairs_is_kept_by_time(which: str) -> None:
    table = random_table()
    kept, said = filters.apply(table, FilterConfig(duplicates=which))
    best: dict[tuple[int, int], float] = {}
    for pair, time in zip(pairs(table), table.times, strict=True):
        choose = min if which == "first" else max
        best[pair] = choose(best.get(pair, time), time)
    assert dict(zip(pairs(kept), kept.times, strict=True)) == best
    assert len(kept) == len(best)
    assert "repeated pairs" in said[0]


def test_repeated_pairs_can_be_kept() -> None:
    table = random_table()
    assert len(filters.apply(table, FilterConfig(duplicates="all"))[0]) == len(table)


def test_ratings_below_the_threshold_go() -> None:
    kept, _ = filters.apply(random_table(), FilterConfig(min_rating=4.0, duplicates="all"))
    assert kept.ratings.min() == 4.0
    assert len(kept) == (random_table().ratings >= 4).sum()


def test_sampled_users_keep_all_their_rows() -> None:
    table = random_table()
    kept, _ = filters.apply(table, FilterConfig(sample_users=10, duplicates="all"))
    chosen = set(kept.users.tolist())
    assert len(chosen) == 10
    assert len(kept) == np.isin(table.users, list(chosen)).sum()


def test_threshold_without_ratings_is_refused() -> None:
    table = InteractionTable(np.zeros(2, int), np.arange(2), None, None, None)
    with pytest.raises(DataError, match="no ratings"):
        filters.apply(table, FilterConfig(min_rating=1.0))


def test_nothing_left_is_refused_with_the_steps() -> None:
    with pytest.raises(DataError, match=r"leaves no interactions; dropped .* 400/400-core"):
        filters.apply(random_table(), FilterConfig(k_core_users=400, k_core_items=400))
