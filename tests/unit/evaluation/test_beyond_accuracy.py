"""Floor 5: the registry of metrics, and those that look at more than hits, against loops over lists."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import pytrec_eval

from recspectra.config.base import ConfigError
from recspectra.config.metric_names import declared
from recspectra.config.study import METRICS as NAMES
from recspectra.config.study import ClaimConfig, ProtocolConfig
from recspectra.config.yaml_io import validate
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.evaluation.example import example
from recspectra.evaluation.hits import RankedLists, compare
from recspectra.evaluation.metrics import ABOUT, METRICS

USERS, ITEMS, DEPTH = 40, 30, 12
CUTS = [1, 3, 5, 12]
Case = tuple[RankedLists, list[set[int]], list[list[int]]]


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_its_value_on_the_example(name: str) -> None:
    assert METRICS[name](example(), [2]).mean() == pytest.approx(ABOUT[name].example, abs=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_says_what_it_is(name: str) -> None:
    about = ABOUT[name]
    assert about.definition and about.note.endswith(".") and about.source
    shape = METRICS[name](example(), [1, 2]).shape
    assert shape == ((3, 2) if about.of == "user" else (2,))


def test_the_config_knows_the_metrics_of_the_code() -> None:
    assert list(NAMES) == list(METRICS)
    for name, flags in declared().items():
        assert flags == {key: getattr(ABOUT[name], key) for key in flags}


def test_names_are_known_without_numpy() -> None:
    code = "import sys, recspectra.config.study; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -------------------------------------------------------------------------------- loops


@pytest.fixture(scope="module")
def case() -> Case:
    """Lists of items that a user has not, some short; items 28 and 29 are in no user's train."""
    random = np.random.default_rng(5)
    train = [set(random.permutation(28)[: random.integers(1, 9)].tolist()) for _ in range(USERS)]
    lists = [[i for i in random.permutation(ITEMS).tolist() if i not in own][:DEPTH] for own in train]
    for user in range(0, USERS, 5):
        lists[user] = lists[user][: user % 4]
    test = [set(random.permutation(ITEMS)[: random.integers(0, 6)].tolist()) - own for own in train]
    padded = np.array([[*row, *[-1] * (DEPTH - len(row))] for row in lists], dtype=np.int32)
    ranked = compare(padded, pairs(test), train=pairs(train))
    return ranked, train, [lists[u] for u in ranked.users]


def pairs(of_users: list[set[int]]) -> Interactions:
    users = np.repeat(np.arange(len(of_users)), [len(items) for items in of_users])
    items = np.array([i for own in of_users for i in sorted(own)], dtype=np.int64)
    return from_pairs(users, items, None, (len(of_users), ITEMS))


def holders(train: list[set[int]], item: int) -> set[int]:
    return {user for user, own in enumerate(train) if item in own}


def information(train: list[set[int]], item: int) -> float:
    return -math.log2(max(1, len(holders(train, item))) / len(train))


def alike(train: list[set[int]], first: int, second: int) -> float:
    one, other = holders(train, first), holders(train, second)
    return len(one & other) / math.sqrt(len(one) * len(other)) if one and other else 0.0


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


PLAIN: dict[str, Callable[[list[set[int]], list[int]], float]] = {
    "novelty": lambda train, row: mean([information(train, item) for item in row]),
    "average_popularity": lambda train, row: mean([float(len(holders(train, item))) for item in row]),
    "diversity": lambda train, row: mean([1 - alike(train, a, b) for a, b in combinations(row, 2)]),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_looks_at_more_than_hits_is_a_mean_over_items_or_pairs(name: str, case: Case) -> None:
    ranked, train, lists = case
    expected = [[PLAIN[name](train, row[:k]) for k in CUTS] for row in lists]
    assert METRICS[name](ranked, CUTS) == pytest.approx(np.array(expected), abs=1e-12)


def test_coverage_and_gini_are_of_all_lists(case: Case) -> None:
    ranked, _, lists = case
    for place, k in enumerate(CUTS):
        counts = sorted(sum(row[:k].count(item) for row in lists) for item in range(ITEMS))
        assert METRICS["coverage"](ranked, CUTS)[place] == sum(c > 0 for c in counts) / ITEMS
        gaps = sum(abs(a - b) for a in counts for b in counts)
        assert METRICS["gini"](ranked, CUTS)[place] == pytest.approx(gaps / (2 * ITEMS * sum(counts)))


def test_gini_of_even_lists_is_0_and_of_one_item_nearly_1() -> None:
    train = pairs([{0}] * ITEMS)
    even = compare(np.arange(ITEMS, dtype=np.int32)[:, None], train, train=train)
    assert METRICS["gini"](even, [1])[0] == 0.0
    same = compare(np.zeros((ITEMS, 1), dtype=np.int32), train, train=train)
    assert METRICS["gini"](same, [1])[0] == pytest.approx(1 - 1 / ITEMS)


# ------------------------------------------------------------------------------ MAP, AUC


def test_map_is_that_of_trec_eval_with_another_denominator(case: Case) -> None:
    ranked, _, lists = case
    targets = {str(u): {str(i): 1 for i in range(ITEMS)} for u in range(len(lists))}
    for u in range(len(lists)):
        hit = {str(i): 1 for i, is_hit in zip(lists[u], ranked.hits[u], strict=False) if is_hit}
        others = {f"x{j}": 1 for j in range(int(ranked.targets[u]) - len(hit))}
        targets[str(u)] = hit | others
    run = {str(u): {str(i): float(-p) for p, i in enumerate(row)} for u, row in enumerate(lists) if row}
    found = pytrec_eval.RelevanceEvaluator(targets, {"map_cut.5"}).evaluate(run)
    ours = METRICS["map"](ranked, [5])[:, 0] * np.minimum(5, ranked.targets) / ranked.targets
    for u, values in found.items():
        assert ours[int(u)] == pytest.approx(values["map_cut_5"], abs=1e-6)


def test_auc_is_the_share_of_pairs_in_order_where_lists_are_whole() -> None:
    random = np.random.default_rng(2)
    train = [set(random.permutation(ITEMS)[:4].tolist()) for _ in range(USERS)]
    lists = [[i for i in random.permutation(ITEMS).tolist() if i not in own] for own in train]
    test = [set(random.permutation(lists[u])[:3].tolist()) | {min(train[u])} for u in range(USERS)]
    whole = np.array([[*row, -1] for row in lists], dtype=np.int32)
    ranked = compare(whole, pairs(test), train=pairs(train))
    for u, value in enumerate(METRICS["auc"](ranked, [5])[:, 0]):
        others = [i for i in lists[u] if i not in test[u]]
        above = sum(lists[u].index(t) < lists[u].index(o) for t in test[u] & set(lists[u]) for o in others)
        assert value == pytest.approx(above / (len(test[u]) * len(others)))
    exact = compare(whole[:, :-1], pairs(test), train=pairs(train))
    assert np.array_equal(METRICS["auc"](exact, [5]), METRICS["auc"](ranked, [5]))
    short = compare(whole[:, :-2], pairs(test), train=pairs(train))
    assert np.isnan(METRICS["auc"](short, [5])).all()


def test_a_list_that_ends_early_is_whole_only_if_it_holds_all_that_may_be_recommended() -> None:
    train, valid = pairs([{0}] * 3), pairs([{0, 1}] * 3)
    all_but = [i for i in range(ITEMS) if i > 1]
    lists = np.full((3, ITEMS), -1, dtype=np.int32)
    lists[0, :5], lists[1, : len(all_but)], lists[2, : len(all_but)] = all_but[:5], all_but, all_but[::-1]
    ranked = compare(lists, pairs([{2}] * 3), train=train, masked=valid)
    assert np.isnan(METRICS["auc"](ranked, [2])[:, 0]).tolist() == [True, False, False]
    assert METRICS["auc"](ranked, [2])[1:, 0].tolist() == [1.0, 0.0]
    assert np.isnan(METRICS["auc"](ranked.within(np.array([True, False, False])), [2])).all()


# ------------------------------------------------------------------------------- config


def test_half_ties_are_for_metrics_that_have_them() -> None:
    given = {"name": "p", "title": "P", "why": "-", "views": [{"history": "train", "mask": "train"}],
             "k": [5], "ties": "half"}  # fmt: skip
    assert validate(ProtocolConfig, given | {"metrics": ["hr", "mrr"]}, "p.yaml")
    with pytest.raises(ConfigError, match="ties: half is defined for hr, mrr, ndcg, recall only"):
        validate(ProtocolConfig, given | {"metrics": ["map"]}, "p.yaml")


def test_models_are_not_compared_by_a_number_of_the_catalogue() -> None:
    claim = {"name": "c", "title": "C", "kind": "gain", "model": "ease", "statement": "s"}
    with pytest.raises(ConfigError, match="gini is a number of the whole catalogue"):
        validate(ClaimConfig, claim | {"metric": "gini"}, "study")
