"""Floor 4: top lists equal a plain sort, with masks, ties and short candidate sets."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recspectra.fitting.ranking import ROWS_AT_ONCE, batches, list_name, top_items
from recspectra.runtime import Diverged


def seen_of(mask: np.ndarray) -> sp.csr_array:
    return sp.csr_array(mask.astype(np.float32))


def sorted_items(scores: np.ndarray, mask: np.ndarray, k: int) -> list[list[int]]:
    """Best first by (score, item id), both larger first; masked items left out."""
    rows = []
    for row, hidden in zip(scores.tolist(), mask, strict=True):
        candidates = [item for item in range(len(row)) if not hidden[item]]
        best = sorted(candidates, key=lambda item, row=row: (row[item], item), reverse=True)[:k]
        rows.append(best + [-1] * (k - len(best)))
    return rows


def check(scores: np.ndarray, mask: np.ndarray, k: int) -> None:
    found = top_items(scores, seen_of(mask), k)
    assert found.dtype == np.int32
    assert found.tolist() == sorted_items(scores, mask, k)


@pytest.mark.parametrize("k", [1, 3, 29, 30, 31, 60])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95, 1.0])
def test_lists_equal_a_plain_sort(k: int, share: float) -> None:
    rng = np.random.default_rng(k)
    scores = rng.standard_normal((40, 30)).astype(np.float32)
    check(scores, rng.random((40, 30)) < share, k)


@pytest.mark.parametrize("k", [5, 30])
def test_many_ties_go_to_the_larger_item(k: int) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(-1, 2, size=(50, 30)).astype(np.float32)
    check(scores, rng.random((50, 30)) < 0.3, k)


def test_equal_scores_give_the_items_from_the_last_down() -> None:
    found = top_items(np.zeros((1, 6), dtype=np.float32), seen_of(np.zeros((1, 6))), 4)
    assert found.tolist() == [[5, 4, 3, 2]]


def test_blocks_of_rows_are_joined_in_order() -> None:
    rng = np.random.default_rng(1)
    n_rows = 2 * ROWS_AT_ONCE + 3
    scores = rng.integers(0, 5, size=(n_rows, 12)).astype(np.float32)
    check(scores, rng.random((n_rows, 12)) < 0.4, 4)


def test_fewer_candidates_than_k_are_padded() -> None:
    mask = np.array([[1, 0, 1, 1], [1, 1, 1, 1]], dtype=bool)
    found = top_items(np.ones((2, 4), dtype=np.float32), seen_of(mask), 3)
    assert found.tolist() == [[1, -1, -1], [-1, -1, -1]]


def test_an_item_of_score_minus_infinity_still_stands_before_the_padding() -> None:
    scores = np.array([[-np.inf, -np.inf, -np.inf]], dtype=np.float32)
    mask = np.array([[0, 1, 0]], dtype=bool)
    assert top_items(scores, seen_of(mask), 3).tolist() == [[2, 0, -1]]


def test_infinite_and_negative_scores_are_in_order() -> None:
    big = np.finfo(np.float32).max
    scores = np.array([[-1.0, np.inf, -big, big, -np.inf, 0.0, -1e-45, 1e-45]], dtype=np.float32)
    assert top_items(scores, seen_of(np.zeros_like(scores)), 8).tolist() == [[1, 3, 7, 5, 6, 0, 2, 4]]


def test_minus_zero_ties_with_zero() -> None:
    scores = np.array([[0.0, -0.0, 0.0, -0.0]], dtype=np.float32)
    assert top_items(scores, seen_of(np.zeros_like(scores)), 4).tolist() == [[3, 2, 1, 0]]


@pytest.mark.parametrize("masked", [False, True])
def test_nan_raises_diverged(masked: bool) -> None:
    scores = np.array([[1.0, np.nan, 0.0]], dtype=np.float32)
    mask = np.array([[0, masked, 0]], dtype=bool)
    with pytest.raises(Diverged, match="NaN"):
        top_items(scores, seen_of(mask), 2)


def test_scores_are_left_as_they_are() -> None:
    scores = np.array([[0.5, -0.0, 2.0]], dtype=np.float32)
    before = scores.copy()
    top_items(scores, seen_of(np.ones_like(scores)), 2)
    assert np.array_equal(scores.view(np.int32), before.view(np.int32))


FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf")]), st.floats(width=32, allow_nan=False)
)


@given(st.data())
def test_any_scores_any_mask_any_k(data: st.DataObject) -> None:
    b, n = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9))
    cells = st.lists(st.lists(FLOATS, min_size=n, max_size=n), min_size=b, max_size=b)
    flags = st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=b, max_size=b)
    scores, mask = np.array(data.draw(cells), dtype=np.float32), np.array(data.draw(flags))
    check(scores, mask, data.draw(st.integers(1, 12)))


@pytest.mark.parametrize(("n_users", "size"), [(10, 3), (9, 3), (1, 5), (0, 4)])
def test_batches_cover_every_user_once(n_users: int, size: int) -> None:
    found = list(batches(n_users, size))
    assert [u for batch in found for u in batch] == list(range(n_users))
    assert all(1 <= len(batch) <= size for batch in found)


def test_list_names_are_those_of_the_artefact_contract() -> None:
    assert list_name("test", "train", "train+valid") == "test_train_train+valid"
