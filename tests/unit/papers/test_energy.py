"""Energy of user signals per band equals a plain reference."""

from __future__ import annotations

import numpy as np
import pytest

from recspectra.data.interactions import Interactions
from recspectra.papers.gsprec import BEYOND, energy_bands
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build
from recspectra.spectral.spectrum import Spectrum


@pytest.fixture(scope="module")
def chain() -> tuple[Interactions, Spectrum]:
    rows = [[0, 1, 2], [0, 1, 3], [0, 4], [2, 3, 4], [0]]
    indptr = np.cumsum([0, *map(len, rows)])
    train = Interactions(indptr.astype(np.int64), np.concatenate(rows).astype(np.int32), None, 5)
    return train, leading(build("unified-d2-a0.4", train), 10)


def test_energy_of_all_pairs_equals_a_plain_reference(chain: tuple[Interactions, Spectrum]) -> None:
    train, spectrum = chain
    frame = energy_bands(train, spectrum).set_index(["signal", "band"])["share"]
    x = train.matrix.toarray().astype(float)
    mean = x.mean(axis=0)
    own = x - np.outer(x @ mean / (mean @ mean), mean)
    for name, signals in (("whole row", x), ("user-specific", own), ("global trend", mean[None])):
        expected = np.zeros(3)
        for signal in signals:
            padded = np.concatenate([np.zeros(5), signal])
            for value, vector in zip(1.0 - spectrum.values, spectrum.vectors.T, strict=True):
                band = 0 if value < 0.3 else 1 if value < 0.8 else 2
                expected[band] += (vector @ padded) ** 2 / (signal @ signal) / len(signals)
        np.testing.assert_allclose(frame.loc[name].to_numpy()[:3], expected, atol=1e-5)
        assert frame.loc[name].sum() == pytest.approx(1.0)
        assert frame.loc[name, BEYOND] == pytest.approx(0.0, abs=1e-5)


def test_the_size_of_a_coefficient_equals_a_plain_reference(chain: tuple[Interactions, Spectrum]) -> None:
    train, spectrum = chain
    frame = energy_bands(train, spectrum).set_index(["signal", "band"])["magnitude"]
    x = train.matrix.toarray().astype(float)
    mean = x.mean(axis=0)
    own = x - np.outer(x @ mean / (mean @ mean), mean)
    for name, signals in (("whole row", x), ("user-specific", own), ("global trend", mean[None])):
        sizes: list[list[float]] = [[], [], []]
        for value, vector in zip(1.0 - spectrum.values, spectrum.vectors.T, strict=True):
            band = 0 if value < 0.3 else 1 if value < 0.8 else 2
            sizes[band] += [abs(vector[-5:] @ s) / np.linalg.norm(s) for s in signals]
        expected = [np.mean(part) if part else np.nan for part in sizes]
        np.testing.assert_allclose(frame.loc[name].to_numpy()[:3], expected, atol=1e-5)
        assert np.isnan(frame.loc[name, BEYOND])


def test_energy_beyond_the_computed_pairs(chain: tuple[Interactions, Spectrum]) -> None:
    train, spectrum = chain
    few, whole = (energy_bands(train, s).set_index(["signal", "band"]) for s in (spectrum.top(3), spectrum))
    assert few.loc[("whole row", BEYOND), "low"] == pytest.approx(1.0 - spectrum.values[2])
    assert few.loc[("whole row", BEYOND), "share"] > 0.1
    assert few.loc[("whole row", "low"), "share"] == pytest.approx(whole.loc[("whole row", "low"), "share"])
    assert few.loc["whole row", "pairs"].sum() == 3


def test_users_without_a_row_or_a_rest_do_not_count() -> None:
    train = Interactions(np.array([0, 2, 2, 4]), np.array([0, 1, 0, 1], dtype=np.int32), None, 2)
    frame = energy_bands(train, leading(build("bipartite", train), 3)).set_index(["signal", "band"])["share"]
    assert frame.loc["whole row"].sum() == pytest.approx(1.0)
    assert frame.loc["user-specific"].isna().all()  # every row is the profile
