"""Noise schedules: the mean logarithm of the signal-to-noise ratio that Table 3 of S-Diff prints."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from recspectra.config.catalog import Catalog
from recspectra.spectral.schedules import mean_log_snr, schedule

CATALOG = Catalog(Path(__file__).resolve().parents[3])
USERS = np.arange(400)


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
