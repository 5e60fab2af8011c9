"""Floor 4: every metric equals its definition written out in loops, and trec_eval's."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import pytrec_eval

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.evaluation.hits import RankedLists, compare
from recspectra.evaluation.metrics import ACCURACY as METRICS
from recspectra.evaluation.metrics import set_order
from recspectra.fitting.scoring import rank

CUTS = [1, 2, 5, 10, 20, 50]
List, Targets = list[int], set[int]


# ------------------------------------------------------------------ definitions in loops


def hits_in(items: List, targets: Targets) -> list[bool]:
    return [item in targets for item in items]


def dcg(hits: list[bool]) -> float:
    return sum(1.0 / math.log2(position + 1) for position, hit in enumerate(hits, start=1) if hit)


def plain_recall(items: List, targets: Targets, k: int) -> float:
    return sum(hits_in(items[:k], targets)) / len(targets)


def plain_recall_min(items: List, targets: Targets, k: int) -> float:
    return sum(hits_in(items[:k], targets)) / min(k, len(targets))


def plain_precision(items: List, targets: Targets, k: int) -> float:
    return sum(hits_in(items[:k], targets)) / k


def plain_f1(items: List, targets: Targets, k: int) -> float:
    p, r = plain_precision(items, targets, k), plain_recall(items, targets, k)
    return 2 * p * r / (p + r) if p + r else 0.0


def plain_map(items: List, targets: Targets, k: int) -> float:
    hits = hits_in(items[:k], targets)
    return sum(sum(hits[: i + 1]) / (i + 1) for i in range(len(hits)) if hits[i]) / min(k, len(targets))


def plain_hr(items: List, targets: Targets, k: int) -> float:
    return float(any(hits_in(items[:k], targets)))


def plain_ndcg(items: List, targets: Targets, k: int) -> float:
    return dcg(hits_in(items[:k], targets)) / dcg([True] * min(k, len(targets)))


def plain_ndcg_hit(items: List, targets: Targets, k: int) -> float:
    hits = hits_in(items[:k], targets)
    return dcg(hits) / dcg(sorted(hits, reverse=True)) if any(hits) else 0.0


def plain_mrr(items: List, targets: Targets, k: int) -> float:
    for position, hit in enumerate(hits_in(items[:k], targets), start=1):
        if hit:
            return 1.0 / position
    return 0.0


def as_set(items: List, k: int) -> List:
    """What the HiGSP evaluator does to a list."""
    return list({item for item in items[:k] if item >= 0})


def plain_ndcg_set(items: List, targets: Targets, k: int) -> float:
    return plain_ndcg_hit(as_set(items, k), targets, k)


def plain_mrr_set(items: List, targets: Targets, k: int) -> float:
    return plain_mrr(as_set(items, k), targets, k)


PLAIN: dict[str, Callable[[List, Targets, int], float]] = {
    name.removeprefix("plain_"): f for name, f in list(globals().items()) if name.startswith("plain_")
}


# ------------------------------------------------------------------------------- data


def truth_of(targets: list[Targets], n_items: int) -> Interactions:
    users = np.repeat(np.arange(len(targets)), [len(t) for t in targets])
    items = np.array([i for t in targets for i in sorted(t)], dtype=np.int64)
    return from_pairs(users, items, None, (len(targets), n_items))


@pytest.fixture(scope="module")
def example() -> tuple[np.ndarray, list[Targets], int]:
    """Lists of 300 users, some short (padded), with 0 to 60 targets each."""
    rng = np.random.default_rng(3)
    n_users, n_items, depth = 300, 900, 50
    lists = np.stack([rng.permutation(n_items)[:depth] for _ in range(n_users)]).astype(np.int32)
    for user in range(0, n_users, 7):
        lists[user, rng.integers(depth) :] = -1
    targets = [set(rng.permutation(n_items)[: rng.integers(0, 61)].tolist()) for _ in range(n_users)]
    for user in range(n_users):  # many hits, for some users at every position
        targets[user] |= set(lists[user, rng.random(depth) < rng.random()].tolist()) - {-1}
    targets[0] = set()
    return lists, targets, n_items


@pytest.fixture(scope="module")
def ranked(example: tuple[np.ndarray, list[Targets], int]) -> RankedLists:
    lists, targets, n_items = example
    return compare(lists, truth_of(targets, n_items))


# -------------------------------------------------------------------------- definitions


@pytest.mark.parametrize("name", METRICS)
def test_metric_equals_its_definition(name: str, ranked: RankedLists, example: tuple) -> None:
    lists, targets, _ = example
    values = METRICS[name](ranked, CUTS)
    expected = [[PLAIN[name](lists[u].tolist(), targets[u], k) for k in CUTS] for u in ranked.users]
    assert np.abs(values - expected).max() < 1e-9


def test_cut_offs_may_come_in_any_order(ranked: RankedLists) -> None:
    for metric in METRICS.values():
        assert np.array_equal(metric(ranked, [20, 5]), metric(ranked, [5, 20])[:, ::-1])


def test_nobody_with_targets_gives_no_rows() -> None:
    truth = from_pairs(np.empty(0, int), np.empty(0, int), None, (3, 4))
    ranked = compare(np.zeros((3, 2), dtype=np.int32), truth)
    assert METRICS["ndcg"](ranked, [1, 2]).shape == (0, 2)


# ---------------------------------------------------------------------------- trec_eval


def trec(lists: np.ndarray, targets: list[Targets], measure: str, k: int) -> dict[int, float]:
    """Values of trec_eval on the first k items, by user."""
    relevant = {str(u): {str(i): 1 for i in t} for u, t in enumerate(targets) if t}
    run = {
        str(u): {str(i): float(k - p) for p, i in enumerate(row[:k].tolist()) if i >= 0}
        for u, row in enumerate(lists)
    }
    name = measure.format(k=k)
    found = pytrec_eval.RelevanceEvaluator(relevant, {name}).evaluate(run)
    return {int(u): values[name.replace(".", "_")] for u, values in found.items()}


@pytest.mark.parametrize("k", [1, 5, 10, 20])
@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("recall", "recall.{k}"),
        ("ndcg", "ndcg_cut.{k}"),
        ("mrr", "recip_rank"),
        ("hr", "success.{k}"),
        ("precision", "P.{k}"),
    ],
)
def test_metric_equals_trec_eval(
    name: str, measure: str, k: int, ranked: RankedLists, example: tuple
) -> None:
    lists, targets, _ = example
    expected = trec(lists, targets, measure, k)
    values = METRICS[name](ranked, [k])[:, 0]
    pairs = [(value, expected.get(u, 0.0)) for u, value in zip(ranked.users, values, strict=True)]
    assert len(expected) > 200
    assert max(abs(a - b) for a, b in pairs) < 1e-9


# --------------------------------------------------------------------------- set order


def test_set_order_is_that_of_the_published_evaluators_python() -> None:
    """Written down once (CPython 3.11): numbers hang on it, whatever Python measures them."""
    rows = np.array([[40, 8, 900, 33, 5], [16, 8, 0, 1, 24], [10**6, 64, 32, 96, 128]], dtype=np.int32)
    ordered = np.take_along_axis(rows, set_order(rows), axis=1)
    assert ordered.tolist() == [[33, 900, 5, 40, 8], [0, 1, 8, 16, 24], [10**6, 32, 64, 96, 128]]


def test_pads_come_last_in_set_order() -> None:
    rows = np.array([[40, 8, -1, -1], [-1, -1, -1, -1], [16, 8, 0, 1]], dtype=np.int32)
    ordered = np.take_along_axis(rows, set_order(rows), axis=1)
    assert ordered[0].tolist() == [*{40, 8}, -1, -1]
    assert ordered[1].tolist() == [-1] * 4
    assert ordered[2].tolist() == [*set(rows[2].tolist())]  # a set of constants in a .pyc has another order


# ---------------------------------------------------------------------- lists of all users


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_lists_do_not_depend_on_the_number_of_users_per_batch(
    size: int, tiny: dict[str, Interactions]
) -> None:
    train = tiny["train"]
    scores = np.random.default_rng(0).integers(0, 9, size=train.shape).astype(np.float32)
    both = train.merged(tiny["valid"])
    found = rank(lambda users, _: scores[users], train, [train, both], 12, size)
    expected = rank(lambda users, _: scores[users], train, [train, both], 12)
    for one, two in zip(found, expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one[:2], two[:2], strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(one.cuts, two.cuts, strict=True))


def test_rank_shows_each_user_its_own_history(tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]
    lists = rank(lambda _, history: history.matrix.toarray(), train, [tiny["valid"]], 5, 7)[0][0]
    assert all(set(lists[u]) <= set(train.sequence(u)) for u in range(train.n_users))
