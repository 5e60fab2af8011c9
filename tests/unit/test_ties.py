"""Middle positions of equal scores, against a plain count."""

import numpy as np
import pytest
import scipy.sparse as sp

from recspectra.data.interactions import from_pairs
from recspectra.evaluation.hits import compare
from recspectra.evaluation.metrics import METRICS
from recspectra.evaluation.ranking import smaller_ids_first, top_with_ties


def few_levels(seed: int, shape: tuple[int, int] = (60, 40)) -> tuple[np.ndarray, sp.csr_array]:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, shape).astype(np.float32)
    return scores, sp.csr_array(rng.random(shape) < 0.2)


@pytest.mark.parametrize("depth", [3, 10, 40, 50])
def test_positions_are_one_plus_greater_plus_half_the_equals(depth: int) -> None:
    scores, seen = few_levels(depth)
    lists, positions = top_with_ties(scores, seen, depth)
    hidden = seen.toarray()
    for row in range(len(scores)):
        free = scores[row][~hidden[row]]
        for item, position in zip(lists[row], positions[row], strict=True):
            if item >= 0:
                mine = scores[row, item]
                assert position == 1 + (free > mine).sum() + ((free == mine).sum() - 1) // 2


def test_one_target_metrics_with_half_ties_match_a_plain_rank() -> None:
    scores, seen = few_levels(1)
    rng = np.random.default_rng(3)
    targets = np.array([rng.choice(np.flatnonzero(~row)) for row in seen.toarray().astype(bool)])
    truth = from_pairs(np.arange(60), targets, None, (60, 40))
    lists, positions = top_with_ties(scores, seen, 40)
    ranked = compare(lists, truth, positions)
    ranks = []
    for row, target in enumerate(targets):
        free = scores[row][~seen.toarray().astype(bool)[row]]
        mine = scores[row, target]
        ranks.append(1 + (free > mine).sum() + ((free == mine).sum() - 1) // 2)
    ranks = np.array(ranks)
    for k in (5, 10):
        found = ranks <= k
        assert METRICS["hr"](ranked, [k])[:, 0] == pytest.approx(found.astype(float))
        assert METRICS["ndcg"](ranked, [k])[:, 0] == pytest.approx(found / np.log2(ranks + 1))
        assert METRICS["mrr"](ranked, [k])[:, 0] == pytest.approx(found / ranks)


def test_without_ties_positions_are_places() -> None:
    scores = np.random.default_rng(0).permutation(400).reshape(10, 40).astype(np.float32)
    lists, positions = top_with_ties(scores, sp.csr_array((10, 40)), 20)
    assert (positions == np.arange(1, 21)).all()
    assert np.array_equal(smaller_ids_first(lists, positions), lists)


def test_smaller_ids_first_reverses_groups_only() -> None:
    scores = np.array([[1.0, 3.0, 3.0, 2.0, 3.0]], dtype=np.float32)
    lists, positions = top_with_ties(scores, sp.csr_array((1, 5)), 5)
    assert lists.tolist() == [[4, 2, 1, 3, 0]]
    assert smaller_ids_first(lists, positions).tolist() == [[1, 2, 4, 3, 0]]


def test_scores_that_differ_in_their_last_bit_are_no_ties() -> None:
    scores = np.full((1, 6), 0.7, dtype=np.float32)
    for column in range(1, 6):
        scores[0, column] = np.nextafter(scores[0, column - 1], np.float32(0.0))
    lists, positions = top_with_ties(scores, sp.csr_array((1, 6)), 5)
    assert lists.tolist() == [[0, 1, 2, 3, 4]]
    assert positions.tolist() == [[1, 2, 3, 4, 5]]
