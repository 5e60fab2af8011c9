"""Middle positions of equal scores, against a plain count."""

import numpy as np
import pytest
import scipy.sparse as sp

from recspectra.data.interactions import from_pairs
from recspectra.evaluation.hits import compare
from recspectra.evaluation.metrics import METRICS
from recspectra.fitting import ranking as ranking_module
from recspectra.fitting.ranking import as_arrays, from_arrays, smaller_ids_first, top_with_ties
from recspectra.fitting.scoring import rank


def few_levels(seed: int, shape: tuple[int, int] = (60, 40)) -> tuple[np.ndarray, sp.csr_array]:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, shape).astype(np.float32)
    return scores, sp.csr_array(rng.random(shape) < 0.2)


@pytest.mark.parametrize("depth", [3, 10, 40, 50])
def test_positions_are_one_plus_greater_plus_half_the_equals(depth: int) -> None:
    scores, seen = few_levels(depth)
    lists, positions, _ = top_with_ties(scores, seen, depth)
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
    lists, positions, _ = top_with_ties(scores, seen, 40)
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


def sorted_rows(scores: np.ndarray, hidden: np.ndarray, depth: int, sign: int) -> list[list[int]]:
    """Candidates sorted in full by score, equal scores by id: `sign` 1 has smaller ids first, -1 larger."""
    rows = []
    for row, masked in zip(scores.tolist(), hidden, strict=True):
        free = [item for item in range(len(row)) if not masked[item]]
        best = sorted(free, key=lambda item, row=row: (-row[item], sign * item))[:depth]
        rows.append(best + [-1] * (depth - len(best)))
    return rows


@pytest.mark.parametrize("levels", [1, 2, 5, 10_000])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("depth", [1, 7, 40, 41, 60])
def test_both_rules_for_ids_equal_a_full_sort(levels: int, share: float, depth: int) -> None:
    rng = np.random.default_rng(levels + depth)
    scores = rng.integers(0, levels, (70, 40)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    hidden = rng.random(scores.shape) < share
    ranking = top_with_ties(scores, sp.csr_array(hidden.astype(np.float32)), depth)
    assert ranking.lists.tolist() == sorted_rows(scores, hidden, depth, -1)
    assert smaller_ids_first(ranking).tolist() == sorted_rows(scores, hidden, depth, 1)


def test_members_of_a_cut_group_are_found_wherever_they_stand() -> None:
    """Few columns are looked at at first; the members of some rows' groups stand behind them."""
    width = 5 * ranking_module.FIRST_COLUMNS
    scores = np.zeros((3, width), dtype=np.float32)
    scores[1, : width - 10] = -1.0
    scores[2, 5:-5] = -1.0
    hidden = np.zeros(scores.shape, dtype=bool)
    ranking = top_with_ties(scores, sp.csr_array(hidden.astype(np.float32)), 8)
    assert ranking.cuts.rows.tolist() == [0, 1, 2]
    assert smaller_ids_first(ranking).tolist() == sorted_rows(scores, hidden, 8, 1)


def test_cut_groups_survive_batches_masks_and_the_file() -> None:
    scores, seen = few_levels(4, (600, 40))
    train = from_pairs(*seen.nonzero(), None, (600, 40))
    nothing = from_pairs(np.array([0]), np.array([0]), None, (600, 40))
    for size in (7, 256, 600):
        found = rank(lambda users, _: scores[users], train, [train, nothing], 5, size)
        for ranking, mask in zip(found, (train, nothing), strict=True):
            again = from_arrays("a", as_arrays("a", ranking) | as_arrays("b", found[0]))
            expected = sorted_rows(scores, mask.matrix.toarray() > 0, 5, 1)
            assert smaller_ids_first(again).tolist() == expected


def test_arrays_of_cut_groups_are_stored_where_there_are_any() -> None:
    scores = np.array([[1.0, 3.0, 3.0, 2.0, 3.0]], dtype=np.float32)
    names = [set(as_arrays("x", top_with_ties(scores, sp.csr_array((1, 5)), depth))) for depth in (2, 3)]
    assert names[1] == {"x", "x.positions"}
    assert names[0] == {"x", "x.positions", "x.cut.rows", "x.cut.counts", "x.cut.items"}


def test_scores_that_differ_in_their_last_bit_are_no_ties() -> None:
    scores = np.full((1, 6), 0.7, dtype=np.float32)
    for column in range(1, 6):
        scores[0, column] = np.nextafter(scores[0, column - 1], np.float32(0.0))
    ranking = top_with_ties(scores, sp.csr_array((1, 6)), 5)
    assert ranking.lists.tolist() == [[0, 1, 2, 3, 4]]
    assert ranking.positions.tolist() == [[1, 2, 3, 4, 5]]
