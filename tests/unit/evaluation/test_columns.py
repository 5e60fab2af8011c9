"""Floor 5: a column's intervals and marks come from one procedure and cannot contradict."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recspectra.evaluation import simultaneous
from recspectra.evaluation.simultaneous import NOTHING, Pair, Panel, Standing, compare, stand

DRAWS = 400


def panel(gaps: list[float], seeds: int = 1, users: int = 80, seed: int = 0, noise: float = 0.1) -> Panel:
    """Return models that lie so far from one another, with shared and own chance of every user."""
    random = np.random.default_rng(seed)
    base = random.gamma(0.5, 0.2, users)
    values = {f"m{j}": gap + base + random.normal(0.0, noise, (seeds, users)) for j, gap in enumerate(gaps)}
    return Panel("d", values, frozenset(values) if seeds > 1 else frozenset())


def one(given: Panel, reference: str | None = None, draws: int = DRAWS) -> dict[str, Standing]:
    return stand([(given, reference)], draws)[0]


@given(
    st.lists(st.sampled_from([0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.08]), min_size=2, max_size=6),
    st.integers(1, 3),
    st.integers(0, 50),
    st.sampled_from([0.0, 0.05, 0.1]),
)
@settings(max_examples=60, deadline=None)
def test_mark_interval_and_p_agree(gaps: list[float], seeds: int, seed: int, noise: float) -> None:
    found = one(panel(gaps, seeds, seed=seed, noise=noise), "m1", 200)
    best = [name for name, standing in found.items() if standing.behind is None]
    assert len(best) == 1
    for name, standing in found.items():
        if name not in best:
            behind = standing.behind
            assert behind.difference >= 0 and behind.low <= behind.difference <= behind.high
            assert standing.tied == (behind.low <= 0) == (behind.p > 0.05)
        if name != "m1":
            against = standing.against
            assert (against.low > 0 or against.high < 0) == (against.p <= 0.05)


@given(st.integers(0, 40))
@settings(max_examples=20, deadline=None)
def test_two_models_are_told_apart_in_both_places_or_in_none(seed: int) -> None:
    found = one(panel([0.0, 0.03, 0.05, 0.02], seed=seed), "m0", 200)
    (best,) = (name for name, standing in found.items() if standing.behind is None)
    if best != "m0":
        assert found["m0"].behind == found[best].against


def test_two_models_are_compared_as_a_claim_compares_them() -> None:
    given = panel([0.0, 0.03], seeds=4)
    (claimed,) = compare([given], [Pair("d", "m1", "m0")], DRAWS)
    behind = one(given)["m0"].behind
    assert (behind.difference, behind.low, behind.high, behind.p) == pytest.approx(
        (claimed.difference, claimed.low, claimed.high, claimed.p)
    )


def test_more_rows_make_it_harder_to_tell_two_models_apart() -> None:
    few, many = panel([0.0, 0.03]), panel([0.0, 0.03, *[-0.2] * 30])
    assert one(many)["m0"].behind.low < one(few)["m0"].behind.low


def test_equal_models_are_tied_and_their_difference_is_0() -> None:
    values = np.random.default_rng(1).random((1, 50))
    found = one(Panel("d", {"a": values, "b": values, "c": values - 0.5}))
    assert found["b"].tied and found["b"].behind.difference == 0.0 and found["b"].behind.p == 1.0
    assert not found["c"].tied
    assert found["a"].value.high > found["a"].value.low  # other users give another value


def test_deterministic_models_with_several_equal_seeds_are_as_with_one() -> None:
    single = panel([0.0, 0.02, 0.04])
    twice = Panel("d", {name: np.repeat(v, 2, axis=0) for name, v in single.values.items()})
    assert one(single) == one(twice)


def test_seeds_that_move_all_users_widen_the_interval_of_a_value() -> None:
    calm = panel([0.0] * 6, seeds=4)
    shaken = {n: v * (1 + 0.6 * np.linspace(-1, 1, 4)[:, None]) for n, v in calm.values.items()}
    for name, standing in one(Panel("d", shaken, calm.trained)).items():
        assert standing.value.high - standing.value.low > 1.5 * _width(one(calm)[name])


def _width(standing: Standing) -> float:
    return standing.value.high - standing.value.low


def test_a_column_of_one_model_has_a_value_and_nothing_to_compare() -> None:
    found = one(panel([0.1]), "m0")["m0"]
    assert found.behind is None and found.against is None
    assert found.value.low < found.value.difference < found.value.high


def test_a_handful_of_users_tells_nothing() -> None:
    hits = np.zeros((1, 500))
    hits[0, :3] = 1.0
    found = one(Panel("d", {"some": hits, "none": np.zeros((1, 500))}))
    assert math.isinf(found["some"].value.low) and found["none"].tied
    assert found["none"].value.low == found["none"].value.high == 0.0


def test_columns_that_are_drawn_together_are_as_those_drawn_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [(panel([0.0, 0.02, 0.05], seed=s), "m0" if s else None) for s in range(3)]
    together = stand(columns, DRAWS)
    monkeypatch.setattr(simultaneous, "PAIRS_AT_ONCE", 1)
    for first, second in zip(together, stand(columns, DRAWS), strict=True):
        assert NOTHING not in first
        for name in first:
            pairs = zip(vars(first[name].value).values(), vars(second[name].value).values(), strict=True)
            assert all(a == pytest.approx(b, nan_ok=True) for a, b in pairs)


def test_the_best_in_truth_is_seldom_left_out() -> None:
    """Six models of one truth: each is the best. The first of them is left out in at most 1 of 20 cases."""
    left_out = 0
    for seed in range(300):
        first = one(panel([0.0] * 6, seed=seed), draws=200)["m0"]
        left_out += first.behind is not None and not first.tied
    assert left_out <= 300 * 0.05 + 2 * math.sqrt(300 * 0.05 * 0.95)


def test_the_interval_of_a_value_covers_its_truth() -> None:
    """Users with an expectation of .1; 300 test sets of them."""
    covered = 0
    for seed in range(300):
        value = one(panel([0.0], users=200, seed=seed), draws=200)["m0"].value
        covered += value.low <= 0.1 <= value.high
    assert 0.92 <= covered / 300 <= 0.985
