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


def test_energy_and_size_of_all_pairs_equal_a_plain_reference(chain: tuple[Interactions, Spectrum]) -> None:
    train, spectrum = chain
    frame = energy_bands(train, spectrum).set_index(["signal", "band"])
    x = train.matrix.toarray().astype(float)
    mean = x.mean(axis=0)
    own = x - np.outer(x @ mean / (mean @ mean), mean)
    for name, signals in (("whole row", x), ("user-specific", own), ("global trend", mean[None])):
        energy, sizes = np.zeros(3), [[], [], []]
        for value, vector in zip(1.0 - spectrum.values, spectrum.vectors.T, strict=True):
            band = 0 if value < 0.3 else 1 if value < 0.8 else 2
            alphas = [vector[-5:] @ signal / np.linalg.norm(signal) for signal in signals]
            energy[band] += np.mean(np.square(alphas))
            sizes[band] += np.abs(alphas).tolist()
        found = frame.loc[name]
        np.testing.assert_allclose(found["share"].to_numpy()[:3], energy, atol=1e-5)
        means = [np.mean(part) if part else np.nan for part in sizes]
        np.testing.assert_allclose(found["magnitude"].to_numpy()[:3], means, atol=1e-5)
        assert found["share"].sum() == pytest.approx(1.0)
        assert found.loc[BEYOND, "share"] == pytest.approx(0.0, abs=1e-5)
        assert np.isnan(found.loc[BEYOND, "magnitude"])


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
