"""Simultaneous comparisons: plain references, contradictions, near ties, seeds, error rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recspectra.evaluation import simultaneous
from recspectra.evaluation.simultaneous import (
    Comparison,
    Pair,
    Panel,
    best_of,
    compare,
    kendall,
    over_best,
    resample_means,
    seed_variance,
)

USERS = 60


def gaps_with(p: float, seed: int, users: int = USERS) -> np.ndarray:
    """Gaps of users, mean above 0, whose paired t-test gives exactly this p-value."""
    noise = np.random.default_rng(seed).normal(size=users)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    return 0.01 * (noise + stats.t.isf(p / 2, users - 1) / np.sqrt(users))


def panel_of(dataset: str, p_values: list[float]) -> Panel:
    """A panel in which `ours` is above each rival by so much as its p-value says."""
    ours = np.linspace(0.4, 0.6, USERS)
    rivals = {f"r{i}": (ours - gaps_with(p, i))[None] for i, p in enumerate(p_values)}
    return Panel(dataset, {"ours": ours[None], **rivals})


def pairs_of(*panels: Panel) -> list[Pair]:
    return [Pair(panel.dataset, "ours", name) for panel in panels for name in list(panel.values)[1:]]


def shown(one: Comparison) -> bool:
    return one.low > 0.0 or one.high < 0.0


# ------------------------------------------------------------------------ plain references


def test_one_rival_and_one_seed_is_the_plain_bootstrap_t() -> None:
    random = np.random.default_rng(1)
    own, other = random.random(25), random.random(25)
    (one,) = compare([Panel("d", {"a": own[None], "b": other[None]})], [Pair("d", "a", "b")], draws=999)
    gap, drawn = own - other, []
    counts = np.concatenate(list(simultaneous._user_counts(Panel("d", {"a": own[None]}), 999, 0)))
    for row in counts.astype(int):
        sample = np.repeat(gap, row)
        spread = ((sample - sample.mean()) ** 2).sum() / (25 * 24)
        drawn.append(abs(sample.mean() - gap.mean()) / math.sqrt(spread))
    critical, error = sorted(drawn)[950 - 1], gap.std(ddof=1) / 5
    assert one.difference == pytest.approx(gap.mean())
    assert (one.low, one.high) == pytest.approx(
        (gap.mean() - critical * error, gap.mean() + critical * error)
    )
    assert one.p == pytest.approx((1 + sum(t >= abs(gap.mean()) / error for t in drawn)) / 1000)
    assert one.mde == pytest.approx((critical + 0.84) * error)


def test_many_users_give_the_normal_interval() -> None:
    gap = np.random.default_rng(4).normal(0.02, 0.3, 2000)
    (one,) = compare([Panel("d", {"a": gap[None] + 1, "b": np.ones((1, 2000))})], [Pair("d", "a", "b")])
    half = 1.96 * gap.std(ddof=1) / math.sqrt(2000)
    assert (one.low, one.high) == pytest.approx((gap.mean() - half, gap.mean() + half), abs=0.05 * half)


def test_every_user_is_drawn_as_often_as_every_other() -> None:
    panel = Panel("d", {"a": np.zeros((1, 7))})
    counts = np.concatenate(list(simultaneous._user_counts(panel, 20_000, 0)))
    assert (counts.sum(axis=1) == 7).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.03)
    np.testing.assert_allclose(counts.var(axis=0), 6 / 7, atol=0.04)


def test_batches_of_draws_and_other_datasets_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = panel_of("one", [0.02, 0.3]), panel_of("two", [0.04])
    whole = compare([one, two], pairs_of(one, two), draws=500)
    monkeypatch.setattr(simultaneous, "AT_ONCE", 7 * USERS)
    again = compare([two, one], pairs_of(one, two), draws=500)
    for a, b in zip(whole, again, strict=True):
        assert (a.low, a.high, a.p) == pytest.approx((b.low, b.high, b.p), rel=1e-12)


def test_counts_that_are_kept_are_those_that_are_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = panel_of("one", [0.02, 0.3])
    whole = [compare([panel], pairs_of(panel), draws=300) for _ in range(2)]
    simultaneous._kept_counts.cache_clear()
    monkeypatch.setattr(simultaneous, "KEPT", 0)
    assert compare([panel], pairs_of(panel), draws=300) == whole[0] == whole[1]
    assert simultaneous._kept_counts.cache_info().currsize == 0


# ------------------------------------------------------------- intervals agree with p-values


@given(
    seed=st.integers(0, 10_000),
    users=st.integers(1, 30),
    seeds=st.integers(1, 4),
    draws=st.sampled_from([19, 20, 39, 99, 100, 199]),
    shift=st.sampled_from([0.0, 0.02, 0.1, 0.3]),
    binary=st.booleans(),
)
def test_an_interval_leaves_out_0_if_and_only_if_p_is_at_most_a_twentieth(
    seed: int, users: int, seeds: int, draws: int, shift: float, binary: bool
) -> None:
    random = np.random.default_rng(seed)
    panels = []
    for dataset in ("one", "two"):
        values = {f"m{i}": random.random((seeds if i else 1, users)) + shift * (i == 0) for i in range(4)}
        if binary:
            values = {name: np.round(v) for name, v in values.items()}
        panels.append(Panel(dataset, values, frozenset({"m0", "m1", "m2"})))
    pairs = [Pair(d, "m0", f"m{i}") for d in ("one", "two") for i in (1, 2, 3)]
    found = compare(panels, pairs, draws=draws)
    both = [over_best(found[:3]), over_best(found[3:])]
    for one in [*found, *both, best_of(both)]:
        assert shown(one) == (one.p <= 0.05)
        assert one.low <= one.difference <= one.high
        if math.isfinite(one.gain_low) and abs(one.p - 0.05) > 0.01:
            assert (one.gain_low > 0.0) == (one.low > 0.0) and (one.gain_high < 0.0) == (one.high < 0.0)


# ------------------------------------------------------------------------------ the family


def test_near_ties_are_judged_with_all_datasets_of_the_family() -> None:
    """Each is shown by itself, and as a family of its dataset; of the whole family none is."""
    one, two = panel_of("one", [0.02, 0.03]), panel_of("two", [0.04])
    family = compare([one, two], pairs_of(one, two))
    assert [shown(c) for c in family] == [False] * 3
    assert all(0.05 < c.p < 0.12 for c in family)
    for panel in (one, two):
        for pair in pairs_of(panel):
            (alone,) = compare([panel], [pair])
            assert shown(alone) and alone.p < 0.05
            assert alone.mde < family[0].mde


def test_a_critical_value_of_many_rivals_is_larger_than_that_of_one() -> None:
    random = np.random.default_rng(3)
    values = {"ours": random.random((1, 200))} | {f"r{i}": random.random((1, 200)) for i in range(20)}
    panel = Panel("d", values)
    family = compare([panel], pairs_of(panel))
    (alone,) = compare([panel], pairs_of(panel)[:1])
    ratio = (family[0].high - family[0].low) / (alone.high - alone.low)
    assert 1.3 < ratio < 1.7  # normal: 3.0 against 1.96


def test_a_model_outside_the_family_changes_nothing() -> None:
    panel = panel_of("d", [0.02, 0.3])
    wider = Panel("d", {**panel.values, "other": np.random.default_rng(0).random((1, USERS))})
    assert compare([wider], pairs_of(panel), draws=200) == compare([panel], pairs_of(panel), draws=200)


def test_the_gain_over_the_best_rival_is_bounded_by_all_of_them() -> None:
    ours = np.random.default_rng(0).random((1, 400))
    noise = np.random.default_rng(1).normal(0, 0.05, (2, 400))
    panel = Panel("d", {"ours": ours, "r0": ours - 0.1 + noise[:1], "r1": ours - 0.09 + noise[1:]})
    found = compare([panel], pairs_of(panel))
    best = over_best(found)
    assert best.difference == min(c.difference for c in found)
    assert (best.low, best.high) == (min(c.low for c in found), min(c.high for c in found))
    assert 0.07 < best.low < 0.09 < best.high < 0.11
    assert best.gain_low == min(c.gain_low for c in found) > 0.0


# --------------------------------------------------------------------------- equal models


def test_equal_models_differ_by_nothing_and_leave_the_others_alone() -> None:
    random = np.random.default_rng(0)
    ours = random.random((3, 50))
    panel = Panel("d", {"ours": ours, "same": ours.copy(), "other": ours[:1] - 0.1 * random.random((1, 50))})
    same, other = compare([panel], pairs_of(panel))
    assert (same.difference, same.low, same.high, same.p, same.gain) == (0.0, 0.0, 0.0, 1.0, 0.0)
    assert (other.low, other.high, other.p) != (-math.inf, math.inf, 1.0)
    assert shown(other)
    trained = Panel("d", panel.values, frozenset({"ours", "same"}))
    same, _ = compare([trained], pairs_of(panel))
    assert (same.difference, same.p) == (0.0, 1.0)


def test_a_constant_difference_is_certain() -> None:
    ours = np.random.default_rng(0).random((1, 50))
    panel = Panel("d", {"ours": ours, "below": ours - 0.1, "other": ours + 0.01 * gaps_with(0.5, 0, 50)})
    below, other = compare([panel], pairs_of(panel), draws=199)
    assert (below.low, below.high) == pytest.approx((0.1, 0.1)) and below.p == 1 / 200
    assert math.isfinite(other.low)


def test_a_rival_that_a_handful_of_users_tells_apart_is_not_judged_and_spoils_nothing() -> None:
    ours = np.random.default_rng(0).random((1, 400))
    near, far = ours.copy(), ours - 0.1 * np.random.default_rng(1).random((1, 400))
    near[0, :2] -= 0.5
    panel = Panel("d", {"ours": ours, "near": near, "far": far})
    near_one, far_one = compare([panel], pairs_of(panel))
    assert near_one.difference == pytest.approx(0.0025)
    assert (near_one.low, near_one.high, near_one.p) == (-math.inf, math.inf, 1.0)
    assert shown(far_one)


def test_missing_numbers_and_other_users_are_refused() -> None:
    with pytest.raises(ValueError, match="d: a comparison needs a finite number of every user"):
        Panel("d", {"a": np.array([[0.1, np.nan]])})
    with pytest.raises(ValueError, match="every user under every model"):
        Panel("d", {"a": np.ones((1, 3)), "b": np.ones((1, 2))})
    assert compare([Panel("d", {"a": np.ones((1, 3))})], []) == []


# ----------------------------------------------------------------------------------- seeds


def test_variation_over_seeds_is_that_of_an_analysis_of_variance_by_hand() -> None:
    # Seeds (rows) by users: mean .4; means of seeds .3 and .5; of users .3, .4, .5.
    values = np.array([[0.2, 0.2, 0.5], [0.4, 0.6, 0.5]])
    # B = .02; the rest is +-(0, -.1, .1), squares sum to .04, so W = .04 / (2 * 1) = .02.
    expected = (0.02 - 0.02 / 3) / 0.4**2
    found = seed_variance(Panel("d", {"a": values, "b": values[:1]}, frozenset({"a", "b"})))
    assert found.squared_cv == pytest.approx(expected) and found.df == 1


def test_it_is_pooled_over_trained_models_and_never_negative() -> None:
    first = np.array([[0.2, 0.2, 0.5], [0.4, 0.6, 0.5]])
    second = np.array([[0.6, 0.2, 0.1], [0.6, 0.2, 0.1], [0.6, 0.2, 0.1]])  # no seed changes anything
    one = (0.02 - 0.02 / 3) / 0.4**2
    values = {"a": first, "b": second, "fixed": first * 3}
    found = seed_variance(Panel("d", values, frozenset({"a", "b"})))
    assert found.df == 3 and found.squared_cv == pytest.approx((1 * one + 2 * 0.0) / 3)
    crossed = np.array([[0.1, 0.3], [0.3, 0.1]])  # equal means: B - W / n is below 0
    assert seed_variance(Panel("d", {"a": crossed}, frozenset("a"))).squared_cv == 0.0
    assert seed_variance(Panel("d", {"a": crossed})).df == 0


def with_seeds(random: np.random.Generator, cv: float, rivals: int, users: int, seeds: int = 3) -> Panel:
    """Models of equal truth: users and their noise, and what each seed does to all users together."""
    truth = random.gamma(1.0, 0.1, users)
    values = {}
    for i in range(rivals + 1):
        effect = random.normal(1.0, cv, (seeds, 1))
        values[f"m{i}"] = effect * truth + random.normal(0.0, 0.02, (seeds, users))
    return Panel("d", values, frozenset(values))


def family_of(panel: Panel) -> list[Pair]:
    return [Pair("d", "m0", name) for name in list(panel.values)[1:]]


def test_the_estimate_finds_the_variation_that_was_put_in() -> None:
    random = np.random.default_rng(0)
    found = [seed_variance(with_seeds(random, 0.02, 13, 500)).squared_cv for _ in range(20)]
    assert np.sqrt(np.mean(found)) == pytest.approx(0.02, rel=0.15)


def test_variation_over_seeds_widens_intervals_of_trained_models_only() -> None:
    panel = with_seeds(np.random.default_rng(1), 0.02, 8, 500)
    fixed = Panel("d", {**panel.values, "closed": panel.values["m1"]}, panel.trained)
    pair = [Pair("d", "m0", "m1"), Pair("d", "m0", "closed")]
    (trained,), (half,) = compare([fixed], pair[:1]), compare([fixed], pair[1:])
    (none,) = compare([Panel("d", panel.values)], pair[:1])
    assert none.mde < half.mde < trained.mde


@pytest.mark.slow
def test_family_wise_error_is_kept_with_seeds_and_lost_without() -> None:
    random = np.random.default_rng(7)
    errors = {"with": 0, "without": 0}
    for _ in range(500):
        panel = with_seeds(random, 0.02, 13, 300, seeds=2)
        for name, part in (("with", panel), ("without", Panel("d", panel.values))):
            errors[name] += any(shown(c) for c in compare([part], family_of(panel), draws=399))
    assert errors["with"] / 500 <= 0.08
    assert errors["without"] / 500 > 0.2


@pytest.mark.slow
def test_the_gain_over_the_best_of_equal_rivals_covers_nothing_at_all() -> None:
    """The best of ten equal rivals is lucky; the interval of the gain over it holds 0 all the same."""
    random, missed, replications = np.random.default_rng(8), 0, 300
    for _ in range(replications):
        panel = Panel("d", dict(with_seeds(random, 0.0, 10, 200, seeds=1).values))
        missed += shown(over_best(compare([panel], family_of(panel), draws=399)))
    assert missed / replications <= 0.08


@pytest.mark.slow
def test_the_best_of_equal_settings_is_above_the_others_no_more_often_than_by_chance() -> None:
    """Best against best, both chosen on test, would be above in half of all samples."""
    wrong, chosen = 0, 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(0.3, 0.1, (6, 1, 80))
        panel = Panel("d", {f"s{i}": one for i, one in enumerate(values)})
        pairs = [Pair("d", f"s{i}", f"s{j}") for i in (0, 1, 2) for j in (3, 4, 5)]
        found = compare([panel], pairs, draws=199)
        one = best_of([over_best(found[i : i + 3]) for i in (0, 3, 6)])
        wrong, chosen = wrong + shown(one), chosen + (one.difference > 0.0)
    assert wrong <= 16 and 80 <= chosen <= 120


def test_the_smallest_difference_that_could_be_shown_is_shown_four_times_of_five() -> None:
    random, found, replications = np.random.default_rng(9), 0, 400
    noise = random.normal(0, 1, (replications, 150))
    size = 2.82 / math.sqrt(150)  # (1.97 + .84) standard errors
    for row in noise:
        panel = Panel("d", {"m0": row[None] + size, "m1": np.zeros((1, 150))})
        found += shown(compare([panel], [Pair("d", "m0", "m1")], draws=399)[0])
    assert 0.74 <= found / replications <= 0.86


# ----------------------------------------------------------------------- shares and orders


def test_relative_gains_are_fiellers() -> None:
    random = np.random.default_rng(2)
    rival = random.gamma(2.0, 0.1, 3000)
    ours = 1.1 * rival + random.normal(0, 0.05, 3000)
    panel = Panel("d", {"ours": ours[None], "rival": rival[None]})
    (one,) = compare([panel], pairs_of(panel))
    draws = resample_means(panel)
    low, high = np.quantile(draws[:, 0] / draws[:, 1] - 1, [0.025, 0.975])
    assert one.gain == pytest.approx(ours.mean() / rival.mean() - 1)
    assert (one.gain_low, one.gain_high) == pytest.approx((low, high), abs=0.0005)


def test_a_rival_without_hits_has_no_relative_gain() -> None:
    panel = Panel("d", {"ours": np.random.default_rng(0).random((1, 30)), "rival": np.zeros((1, 30))})
    (one,) = compare([panel], pairs_of(panel), draws=99)
    assert math.isnan(one.gain) and (one.gain_low, one.gain_high) == (-math.inf, math.inf)
    assert shown(one)


def test_resampled_means_vary_as_users_and_seeds_do() -> None:
    panel = with_seeds(np.random.default_rng(5), 0.05, 10, 400)
    means = resample_means(panel)
    own = panel.by_user("m0")
    of_users = own.var(ddof=1) / 400
    of_seeds = seed_variance(panel).squared_cv * own.mean() ** 2 / 3
    assert means.shape == (simultaneous.DRAWS, 11)
    np.testing.assert_allclose(means.mean(axis=0), [panel.by_user(m).mean() for m in panel.values], rtol=0.01)
    assert means[:, 0].var() == pytest.approx(of_users + of_seeds * 20 / 18, rel=0.08)  # chi^2 of 20
    fixed = resample_means(Panel("d", panel.values))
    assert fixed[:, 0].var() == pytest.approx(of_users, rel=0.06)
    np.testing.assert_array_equal(resample_means(panel), means)


def test_kendalls_tau_is_scipys() -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(0, 6, (2, 50, 9)).astype(float)
    expected = [stats.kendalltau(a, b).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(kendall(first, second), expected)
    assert kendall(np.ones(3), np.ones(3)) == 0.0


def orders(random: np.random.Generator, gap: float, models: int = 8, users: int = 200) -> Panel:
    base = random.gamma(1.0, 0.1, users)
    values = {f"m{i}": base + gap * i + random.normal(0, 0.05, users) for i in range(models)}
    return Panel("d", {name: one[None] for name, one in values.items()})


def test_chance_taus_of_models_far_apart_are_1_and_of_equal_ones_around_0() -> None:
    random = np.random.default_rng(5)
    far = simultaneous.chance_taus(resample_means(orders(random, 0.1), draws=400))
    np.testing.assert_array_equal(far, np.ones(200))
    near = simultaneous.chance_taus(resample_means(orders(random, 0.0), draws=2000))
    assert (np.diff(near) >= 0).all() and abs(np.median(near)) < 0.3 and near[0] < -0.3
    same = simultaneous.chance_taus(np.ones((20, 4)))
    np.testing.assert_array_equal(same, np.zeros(10))


@pytest.mark.slow
@pytest.mark.parametrize("gap", [0.0, 0.002, 0.005])
def test_two_samples_of_one_truth_agree_as_well_as_chance_lets_them(gap: float) -> None:
    random, replications, below = np.random.default_rng(6), 200, 0
    for _ in range(replications):
        one, two = orders(random, gap), orders(random, gap)
        means = [np.array([panel.by_user(name).mean() for name in panel.values]) for panel in (one, two)]
        taus = [simultaneous.chance_taus(resample_means(panel, draws=400)) for panel in (one, two)]
        below += float(kendall(*means)) < min(taus, key=np.mean)[9]
    assert below / replications <= 0.1


def test_seeds_of_one_run_count_once_under_two_metrics() -> None:
    rng = np.random.default_rng(0)
    values = {f"{metric}/{model}": rng.random((3, 50)) for metric in "ab" for model in "xyz"}
    runs = {name: name[-1] for name in values}
    once, twice = (Panel("d", values, frozenset(values), r) for r in (runs, {}))
    assert seed_variance(once).df == 6 and seed_variance(twice).df == 12
