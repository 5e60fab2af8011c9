"""Hits, gains and first hits of lists small enough to be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.evaluation import hits
from recspectra.evaluation.hits import RankedLists, compare, discounts
from recspectra.fitting.validation import mean_recall

# Users 0..3: item 2 twice and item 0; nothing; item 5; item 0.
TRUTH = from_pairs(np.array([0, 0, 0, 2, 3]), np.array([2, 2, 0, 5, 0]), None, (4, 6))
LISTS = np.array([[5, 2, 0], [1, 2, 3], [4, 3, -1], [0, 1, -1]], dtype=np.int32)
POSITIONS = np.array([[1, 2, 2], [1, 2, 3], [1, 2, 3], [2, 2, 3]], dtype=np.int32)


@pytest.fixture(params=[10**9, -1], ids=["dense", "sparse"], autouse=True)
def look_up(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to look hits up: in a dense matrix, and among sorted keys."""
    monkeypatch.setattr(hits, "DENSE", request.param)


@pytest.fixture
def ranked(look_up: None) -> RankedLists:
    return compare(LISTS, TRUTH)


@pytest.fixture
def tied(look_up: None) -> RankedLists:
    """The same lists, where items of equal score stand at their middle position."""
    return compare(LISTS, TRUTH, POSITIONS)


def test_users_without_targets_are_left_out_and_a_target_counts_once(ranked: RankedLists) -> None:
    assert ranked.users.tolist() == [0, 2, 3]
    assert ranked.targets.tolist() == [2, 1, 1]
    assert ranked.items.tolist() == LISTS[[0, 2, 3]].tolist()
    assert ranked.hits.tolist() == [[False, True, True], [False] * 3, [True, False, False]]
    assert ranked.positions is None


def test_padding_is_no_hit_of_the_last_item_of_the_user_before() -> None:
    """Item -1 of user 1 has the key of the last item of user 0, which is a target."""
    truth = from_pairs(np.array([0, 1]), np.array([5, 0]), None, (2, 6))
    lists = np.array([[5, -1], [-1, 0]], dtype=np.int32)
    assert compare(lists, truth).hits.tolist() == [[True, False], [False, True]]


def test_hits_and_gains_by_place(ranked: RankedLists) -> None:
    assert ranked.hit_counts([1, 2, 3]).tolist() == [[0, 1, 2], [0, 0, 0], [1, 1, 1]]
    second, third = 1 / math.log2(3), 1 / math.log2(4)
    expected = [[0.0, second, second + third], [0.0] * 3, [1.0] * 3]
    np.testing.assert_allclose(ranked.dcg([1, 2, 3]), expected)
    assert ranked.first_hit.tolist() == [2.0, math.inf, 1.0]


def test_hits_and_gains_by_position_of_ties(tied: RankedLists) -> None:
    assert tied.positions.tolist() == POSITIONS[[0, 2, 3]].tolist()
    assert tied.hit_counts([1, 2, 3]).tolist() == [[0, 2, 2], [0, 0, 0], [0, 1, 1]]
    second = 1 / math.log2(3)
    np.testing.assert_allclose(tied.dcg([1, 2]), [[0.0, 2 * second], [0.0, 0.0], [0.0, second]])
    assert tied.first_hit.tolist() == [2.0, math.inf, 2.0]


def test_discounts_fall_by_the_logarithm() -> None:
    np.testing.assert_allclose(discounts(3), [1.0, 1 / math.log2(3), 0.5])
    assert len(discounts(0)) == 0


def test_lists_without_places_have_no_hits() -> None:
    empty = compare(np.zeros((4, 0), dtype=np.int32), TRUTH)
    assert empty.first_hit.tolist() == [math.inf] * 3


def test_mean_recall_is_over_users_with_targets() -> None:
    assert mean_recall(LISTS, TRUTH) == pytest.approx((1.0 + 0.0 + 1.0) / 3)
    assert mean_recall(LISTS[:, :2], TRUTH) == pytest.approx((0.5 + 0.0 + 1.0) / 3)


@pytest.mark.parametrize("n_users", [1, 2])
def test_the_last_item_of_the_last_user_is_found(n_users: int) -> None:
    last = np.full(n_users, 8)
    truth = Interactions(np.arange(n_users + 1), last.astype(np.int32), None, 9)
    lists = np.tile(np.array([[7, 8]], dtype=np.int32), (n_users, 1))
    assert compare(lists, truth).hits.tolist() == [[False, True]] * n_users
