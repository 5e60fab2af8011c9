"""Synthetic data: sizes, seeds and what is planted in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recspectra.data.interactions import DataError
from recspectra.data.synthetic import generate
from recspectra.data.tables import InteractionTable

SMALL = {"users": 60, "items": 50, "interactions": 700, "communities": 4}


@pytest.mark.parametrize("size", [SMALL, {}, {"users": 30, "items": 90, "interactions": 330}])
def test_synthetic_sizes_are_exact_and_pairs_unique(size: dict[str, int]) -> None:
    table = generate(**size)
    wanted = {"users": 1000, "items": 800, "interactions": 40_000} | size
    assert len(table) == wanted["interactions"]
    assert len(set(zip(table.users.tolist(), table.items.tolist(), strict=True))) == len(table)
    assert np.array_equal(np.unique(table.users), np.arange(wanted["users"]))
    assert table.items.min() >= 0
    assert table.items.max() < wanted["items"]


def test_synthetic_histories_are_as_long_as_asked() -> None:
    lengths = np.bincount(generate(**SMALL, min_length=7).users)
    assert lengths.min() >= 7
    assert lengths.max() <= SMALL["items"] // 3


def test_same_seed_gives_the_same_bytes_and_another_seed_other_data(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        generate(**SMALL, seed=seed).save(tmp_path / f"{name}.npz")
    first, again, other = ((tmp_path / f"{n}.npz").read_bytes() for n in "abc")
    assert first == again
    assert first != other


def test_synthetic_times_increase_for_every_user() -> None:
    table = generate(**SMALL)
    same_user = table.users[1:] == table.users[:-1]
    assert (np.diff(table.times)[same_user] > 0).all()


def share_of_frequent_transitions(table: InteractionTable) -> float:
    """Share of steps from an item to one of its three most frequent followers."""
    same_user = table.users[1:] == table.users[:-1]
    counts = np.zeros((table.items.max() + 1,) * 2)
    np.add.at(counts, (table.items[:-1][same_user], table.items[1:][same_user]), 1)
    return np.sort(counts, axis=1)[:, -3:].sum() / counts.sum()


def test_planted_successors_follow_far_more_often_than_by_chance() -> None:
    planted = generate(users=400, items=80, interactions=8000, follow=0.6)
    chance = generate(users=400, items=80, interactions=8000, follow=0.0)
    assert share_of_frequent_transitions(planted) > 2 * share_of_frequent_transitions(chance)


def test_communities_stand_out_in_the_spectrum() -> None:
    """Four communities give four singular values above the bulk; one is there without any."""

    def gap(loyalty: float) -> float:
        table = generate(users=200, items=120, interactions=4000, communities=4, loyalty=loyalty, follow=0.0)
        x = np.zeros((200, 120))
        x[table.users, table.items] = 1
        values = np.linalg.svd(x, compute_uv=False)
        return values[3] / values[4]

    assert gap(0.9) > 1.3
    assert gap(0.0) < 1.1


@pytest.mark.parametrize("interactions", [10, 100_000])
def test_sizes_that_do_not_fit_are_refused(interactions: int) -> None:
    with pytest.raises(DataError, match=f"{interactions} interactions do not fit 60 users"):
        generate(**(SMALL | {"interactions": interactions}))


def test_a_walk_that_can_find_nothing_new_ends_with_an_error() -> None:
    with pytest.raises(DataError, match="find no new items"):
        generate(users=30, items=80, interactions=600, communities=8, loyalty=1.0, follow=0.0)
