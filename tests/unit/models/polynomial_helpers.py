"""The polynomials, operators and plain references that several tests take."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import Polynomial

from recspectra.data.interactions import Interactions
from recspectra.models import fagsp, linkprop
from recspectra.spectral import polynomials
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build, degrees, normalised, power
from recspectra.spectral.polynomials import (
    complement,
    geometric,
    in_complement,
)

NOTHING = np.zeros((0, 0), dtype=np.float32)
SHARPEN = in_complement(Polynomial([0.0, 1.0]) * Polynomial([1.0, -0.7, 0.3]) ** 3)
POLYNOMIALS = {
    "complement 1": complement(1),
    "complement 2": complement(2),
    "complement 8": complement(8),
    "complement 13": complement(13),
    "geometric 1": geometric(1),
    "geometric 5": geometric(5),
    "geometric 9": geometric(9),
    "geometric 14": geometric(14),
    "sharpen": SHARPEN,
    "first power left out": np.array([0.2, 0.0, 0.0, -1.0, 0.5]),
}
every_polynomial = pytest.mark.parametrize("coefficients", POLYNOMIALS.values(), ids=list(POLYNOMIALS))


def dense_p(train: Interactions) -> np.ndarray:
    dense = normalised(train.matrix).toarray()
    return dense.T @ dense


def value(coefficients: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The plain reference: powers of I - P in float64."""
    w = np.eye(len(p)) - p
    return sum(a * np.linalg.matrix_power(w, j) for j, a in enumerate(coefficients))


def ideal(train: Interactions, rank: int) -> np.ndarray:
    vectors = leading(build("item-similarity", train), rank).vectors.astype(np.float64)
    _, d_item = degrees(train.matrix)
    return power(d_item, -0.5)[:, None] * (vectors @ vectors.T) * power(d_item, 0.5)


def close(found: np.ndarray, wanted: np.ndarray) -> bool:
    return np.allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


WAYS = {"matrix-free": False, "formed": True}
both_ways = pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))


def force(monkeypatch: pytest.MonkeyPatch, way: bool) -> None:
    """Take one of the two ways whatever the sizes are."""
    for module in (polynomials, fagsp, linkprop):
        monkeypatch.setattr(module, "prefers_formed", lambda *_: way)
