"""Paired comparisons over users: known small cases, plain references, seeds and batches."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recspectra.evaluation import significance
from recspectra.evaluation.significance import bootstrap_means, compare, holm, t_test


def test_t_test_of_a_case_that_can_be_done_by_hand() -> None:
    # mean 3, standard deviation 2, n 4: t = 3 / (2 / sqrt 4) = 3 with 3 degrees of freedom.
    gaps = np.array([3.0 - math.sqrt(6), 3.0, 3.0, 3.0 + math.sqrt(6)])
    t = 3.0
    angle = math.atan(t / math.sqrt(3))
    inside = 2 / math.pi * (angle + math.sin(angle) * math.cos(angle))  # closed form for 3
    assert gaps.std(ddof=1) == pytest.approx(2.0)
    assert t_test(gaps) == pytest.approx(1.0 - inside)


def test_equal_and_constant_differences() -> None:
    assert t_test(np.zeros(5)) == 1.0
    assert t_test(np.full(5, 0.1)) == 0.0
    assert math.isnan(t_test(np.array([0.3])))


def test_comparison_of_equal_systems_is_nothing() -> None:
    values = np.random.default_rng(0).random(50)
    (same,) = compare(values, values[:, None])
    assert (same.difference, same.low, same.high, same.p, same.users) == (0.0, 0.0, 0.0, 1.0, 50)


def test_difference_has_the_sign_of_first_minus_other() -> None:
    random = np.random.default_rng(1)
    first = random.random(400).round(3)
    up, down = compare(
        first,
        np.stack([first - 0.1 - 0.01 * random.random(400), first + 0.2 + 0.01 * random.random(400)], axis=1),
    )
    assert up.difference == pytest.approx(0.105, abs=0.001) and up.low > 0.1 and up.p < 1e-10
    assert down.difference == pytest.approx(-0.205, abs=0.001) and down.high < -0.2


def test_bootstrap_of_two_users_takes_three_values() -> None:
    means = bootstrap_means(np.array([[0.0], [1.0]]), 20_000, seed=3)[:, 0]
    values, counts = np.unique(means, return_counts=True)
    np.testing.assert_allclose(values, [0.0, 0.5, 1.0])
    np.testing.assert_allclose(counts / len(means), [0.25, 0.5, 0.25], atol=0.02)


def test_bootstrap_equals_a_plain_loop_over_the_same_draws() -> None:
    values = np.random.default_rng(2).random((30, 3))
    fast = bootstrap_means(values, 40, seed=5)
    generator = np.random.default_rng(5)
    plain = [values[generator.integers(0, 30, size=30)].mean(axis=0) for _ in range(40)]
    np.testing.assert_allclose(fast, plain)


def test_bootstrap_does_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random((31, 2))
    whole = bootstrap_means(values, 101, seed=5)
    monkeypatch.setattr(significance, "DRAWS_AT_ONCE", 31 * 7)
    np.testing.assert_allclose(bootstrap_means(values, 101, seed=5), whole, rtol=1e-12)
    assert not np.array_equal(bootstrap_means(values, 101, seed=6), whole)


def test_interval_is_near_the_normal_one_for_many_users() -> None:
    gaps = np.random.default_rng(4).normal(0.02, 0.3, 2000)
    (one,) = compare(gaps, np.zeros((2000, 1)))
    half = 1.96 * gaps.std(ddof=1) / math.sqrt(2000)
    assert one.low == pytest.approx(gaps.mean() - half, abs=0.1 * half)
    assert one.high == pytest.approx(gaps.mean() + half, abs=0.1 * half)


@pytest.mark.parametrize(
    ("p", "corrected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.04, 0.01], [0.04, 0.02]),
        ([0.9, 0.8, 0.7], [1.0, 1.0, 1.0]),
        ([0.2], [0.2]),
        ([], []),
        ([0.01, math.nan, 0.02], [0.02, math.nan, 0.02]),
    ],
)
def test_holm(p: list[float], corrected: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p)), corrected)


@pytest.mark.parametrize("first", [np.array([0.1, np.nan]), np.array([])])
def test_missing_numbers_are_refused(first: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite number of every user"):
        compare(first, np.zeros((len(first), 1)))


def test_two_users_are_enough_for_a_test() -> None:
    # mean 2, standard deviation sqrt 2: t = 2 with one degree of freedom, a Cauchy distribution.
    assert t_test(np.array([1.0, 3.0])) == pytest.approx(1.0 - 2.0 / math.pi * math.atan(2.0))


def test_a_comparison_draws_the_same_ten_thousand_samples_every_time() -> None:
    values = np.random.default_rng(7).random((25, 3))
    whole = bootstrap_means(values, 10_000, seed=0)
    np.testing.assert_array_equal(bootstrap_means(values), whole)
    assert compare(values[:, 0], values[:, 1:]) == compare(values[:, 0], values[:, 1:], 10_000, 0)
    low, high = np.quantile(bootstrap_means(values[:, :1] - values[:, 1:]), [0.025, 0.975], axis=0)
    found = compare(values[:, 0], values[:, 1:])
    np.testing.assert_allclose([[one.low, one.high] for one in found], np.stack([low, high], axis=1))
