"""Filters and noise schedules equal their formulas; the log-SNR is that of Table 3 of S-Diff."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recspectra.config.model import PlannedRun, RunConfig
from recspectra.papers.gsprec import response_points
from recspectra.spectral.filters import gaussian_bandpass, ideal_lowpass, rescaled
from recspectra.spectral.schedules import SCHEDULES, log_snr, mean_log_snr, schedule

THOUSAND = np.arange(1, 1001) / 1000


def test_mean_log_snr_is_the_mean_over_times_of_the_log_of_the_sum_of_ratios() -> None:
    alpha, sigma = np.array([[1.0, 0.5], [0.8, 0.2]]), np.array([[0.1, 0.5], [0.4, 0.9]])
    expected = (math.log(100.0 + 1.0) + math.log(4.0 + 0.04 / 0.81)) / 2
    assert mean_log_snr(alpha, sigma) == pytest.approx(expected)


def test_mean_log_snr_leaves_frequencies_without_noise_out_or_gives_them_the_floor() -> None:
    alpha, sigma = np.ones((3, 2)), np.array([[0.0, 0.5]] * 3)
    assert mean_log_snr(alpha, sigma) == pytest.approx(math.log(4.0))
    assert mean_log_snr(alpha, sigma, floor=0.01) == pytest.approx(math.log(104.0))


@pytest.mark.parametrize(
    ("items", "printed"), [(2810, 5.25), pytest.param(34_395, 7.74, marks=pytest.mark.slow)]
)
def test_mean_log_snr_of_ddpm_is_what_table_3_prints(items: int, printed: float) -> None:
    levels = schedule("ddpm", THOUSAND, np.zeros(items), 0.0, 1.0)
    assert mean_log_snr(*levels) == pytest.approx(printed, abs=0.02)


def test_bandpass_peaks_at_its_centre() -> None:
    x = np.linspace(0, 1, 101)
    gain = gaussian_bandpass(x, 0.3, 0.05)
    assert gain[30] == 1.0 == gain.max()
    assert gain[80] == pytest.approx(math.exp(-0.25 / 0.05))


def test_the_low_pass_filter_cuts_where_it_should_or_nowhere() -> None:
    x = np.array([0.0, 0.3, 0.31, 1.0, 1.0 + 1e-12])
    assert ideal_lowpass(x, 0.3).tolist() == [1, 1, 0, 0, 0]
    assert ideal_lowpass(x, 0.0).tolist() == [1, 0, 0, 0, 0]
    assert ideal_lowpass(x, 1.0).tolist() == [1, 1, 1, 1, 1]


def test_the_drawn_response_of_gsprec_has_the_cut_and_ends_with_the_last_pair() -> None:
    log = {"eigenvalues": [0.0, 0.4, 1.2], "range": [0.0, 2.0], "highest": 2.0}
    params = {"center": 0.5, "width": 0.1, "phi": 0.4, "low_cut": 0.25}
    run = PlannedRun(dataset="d", run=RunConfig(model="gsprec", params={}), variant="v", group="g", seed=0)
    points = response_points(None, run, {"log": log, "params": params}).set_index("series")
    low, band, both = (points[points.index.str.startswith(n)] for n in ("low", "band", "combined"))
    assert low[low["y"] > 0]["x"].max() == pytest.approx(0.5, abs=0.02)
    assert band[band["y"] > 0]["x"].max() == pytest.approx(1.2, abs=1e-5)
    assert np.allclose(both["y"], 0.4 * band["y"].to_numpy() + 0.6 * low["y"].to_numpy())


def test_rescaling_maps_the_ends_to_0_and_1() -> None:
    assert rescaled(np.array([0.2, 0.5, 1.2]), 0.2, 1.2).tolist() == pytest.approx([0, 0.3, 1])
    assert rescaled(np.array([0.7, 0.7]), 0.7, 0.7).tolist() == [0, 0]


TIMES, FREQUENCIES = np.linspace(0, 2, 9), np.array([0.0, 0.01, 0.3, 1.0, 2.0])


LEVELS = {name: schedule(name, TIMES, FREQUENCIES, 0.1, 0.5) for name in SCHEDULES}


@pytest.mark.parametrize("name", SCHEDULES)
def test_levels_have_one_row_per_time_and_are_clean_at_time_0(name: str) -> None:
    alpha, sigma = LEVELS[name]
    assert alpha.shape == sigma.shape == (9, 5)
    assert np.allclose(alpha[0], 1.0)
    assert np.allclose(sigma[0], 0.0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_signal_falls_and_noise_grows_with_time(name: str) -> None:
    alpha, sigma = LEVELS[name]
    assert (np.diff(alpha, axis=0) <= 0).all()
    assert (np.diff(sigma, axis=0) >= 0).all()
    assert (alpha >= 0).all()
    assert (sigma <= 1).all()


@pytest.mark.parametrize("name", ["vp", "ve"])
def test_bounds_of_signal_and_noise_hold(name: str) -> None:
    alpha, sigma = schedule(name, np.array([0.0, 1.0, 50.0]), FREQUENCIES, 0.1, 0.5)
    assert alpha[-1].min() == pytest.approx(0.1, abs=1e-9)
    assert alpha[-1, 0] == 1.0  # frequency 0 keeps its signal
    assert sigma.max() == 0.5


def test_vp_equals_equations_13_and_14() -> None:
    alpha, sigma = LEVELS["vp"]
    for i, t in enumerate(TIMES):
        for j, d in enumerate(FREQUENCIES):
            kept = math.exp(-t * d)
            assert alpha[i, j] == pytest.approx(0.9 * kept + 0.1)
            assert sigma[i, j] == pytest.approx(min(math.sqrt(1 - kept**2), 0.5))


def test_ve_has_the_signal_of_vp_and_the_same_noise_for_all_frequencies() -> None:
    assert np.array_equal(LEVELS["ve"][0], LEVELS["vp"][0])
    assert np.allclose(LEVELS["ve"][1], 0.5 * np.minimum(TIMES, 1.0)[:, None])


def test_ddpm_preserves_variance_and_knows_no_frequencies() -> None:
    alpha, sigma = schedule("ddpm", np.array([0.0, 0.5, 1.0]), FREQUENCIES, 0.1, 0.5)
    assert np.allclose(alpha**2 + sigma**2, 1.0)
    assert np.ptp(alpha, axis=1).max() == 0.0
    assert alpha[2, 0] == pytest.approx(math.exp(-0.5 * (0.1 + 0.5 * 19.9)))  # integral of beta


def test_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown schedule 'vq'; known: vp, ve, ddpm"):
        schedule("vq", TIMES, FREQUENCIES, 0.1, 0.5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_log_snr_is_the_log_ratio_of_mean_powers(name: str) -> None:
    alpha, sigma = LEVELS[name]
    found = log_snr(alpha, sigma)
    assert found[0] == np.inf
    for i in range(1, len(TIMES)):
        signal = sum(a**2 for a in alpha[i]) / len(alpha[i])
        noise = sum(s**2 for s in sigma[i]) / len(sigma[i])
        assert found[i] == pytest.approx(math.log(signal / noise))
