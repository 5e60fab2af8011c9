"""Polynomials of an operator: both ways to compute them, and what is formed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.polynomial import Polynomial
from polynomial_helpers import (
    NOTHING,
    close,
    dense_p,
    every_polynomial,
    value,
)

from recspectra.data.interactions import Interactions
from recspectra.spectral import polynomials
from recspectra.spectral.polynomials import (
    Filter,
    Powers,
    cache_width,
    complement,
    formed,
    formed_if_better,
    geometric,
    gram,
    in_complement,
    prefers_formed,
    squared,
)

# --------------------------------------------------------------------------- polynomials


@every_polynomial
def test_both_ways_are_the_polynomial(coefficients: np.ndarray, train: Interactions, r: sp.csr_array) -> None:
    rows = train.matrix.astype(np.float32)
    free = Filter(r, coefficients, NOTHING)(rows)
    dense = Filter(r, coefficients, formed(coefficients, Powers(r)))(rows)
    wanted = rows @ value(coefficients, dense_p(train))
    assert free.dtype == dense.dtype == np.float32
    assert np.abs(free - wanted).max() <= 1e-5 * np.abs(wanted).max()
    assert np.abs(free - dense).max() <= 1e-5 * np.abs(wanted).max()


def test_coefficients_are_those_of_the_formulas() -> None:
    z = np.linspace(0, 1, 11)
    in_w = lambda a: Polynomial(a)(1 - z)  # noqa: E731
    assert np.allclose(in_w(complement(7)), 1 - (1 - z) ** 7)
    assert np.allclose(z * in_w(geometric(7)), 1 - (1 - z) ** 7)
    assert np.allclose(in_w(in_complement(Polynomial([1.0, -2.0, 0.5]))), 1 - 2 * z + z**2 / 2)


def test_high_orders_stay_exact_in_single_precision(train: Interactions, r: sp.csr_array) -> None:
    rows = train.matrix.astype(np.float32)
    wanted = rows @ value(complement(64), dense_p(train))
    assert np.abs(Filter(r, complement(64), NOTHING)(rows) - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_the_width_of_blocks_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, train: Interactions, r: sp.csr_array
) -> None:
    rows = train.matrix.astype(np.float32)
    whole = Filter(r, complement(4), NOTHING)(rows)
    monkeypatch.setattr(polynomials, "WIDE", 7)
    monkeypatch.setattr(polynomials, "NARROW", 1)
    assert cache_width(r.shape) == 7
    assert np.array_equal(Filter(r, complement(4), NOTHING)(rows), whole)


def test_powers_are_formed_once(
    monkeypatch: pytest.MonkeyPatch, train: Interactions, r: sp.csr_array
) -> None:
    calls = []
    monkeypatch.setattr(polynomials, "squared", lambda a: calls.append(1) or squared(a))
    powers = Powers(r)
    assert close(powers[12], np.linalg.matrix_power(np.eye(80) - dense_p(train), 12))
    assert sorted(powers.known) == [1, 2, 3, 6, 12]
    assert len(calls) == 3
    formed(complement(12), powers)
    assert len(calls) == 3


def test_a_square_is_symmetric_to_the_bit() -> None:
    a = np.random.default_rng(0).standard_normal((30, 30)).astype(np.float32)
    a += a.T
    assert np.allclose(squared(a), a @ a, atol=1e-4)
    assert np.array_equal(squared(a), squared(a).T)


def test_gram_in_blocks_of_columns(
    monkeypatch: pytest.MonkeyPatch, train: Interactions, r: sp.csr_array
) -> None:
    monkeypatch.setattr(polynomials, "COLUMNS_AT_ONCE", 7)
    assert close(gram(r, train.matrix.astype(np.float32)), (r.T @ train.matrix).toarray())


@pytest.mark.parametrize(
    ("shape", "nnz", "degree", "expected"),
    [
        ((6040, 3706), 720_152, 8, True),  # ML-1M
        ((6040, 3706), 720_152, 1, True),
        ((943, 1682), 72_000, 2, False),  # ML-100K
        ((22_363, 12_101), 142_921, 8, False),  # Amazon-Beauty
        ((108_822, 94_949), 3_146_256, 14, False),  # Amazon-Book
    ],
)
def test_what_is_formed_follows_from_sizes(
    shape: tuple[int, int], nnz: int, degree: int, expected: bool
) -> None:
    assert prefers_formed(shape, nnz, degree, 16.0) is expected


def test_what_does_not_fit_is_not_formed(r: sp.csr_array) -> None:
    assert not prefers_formed((6040, 3706), 720_152, 8, 0.1)

    def fail() -> Powers:
        raise AssertionError("powers were asked for")

    assert formed_if_better(fail, r, complement(8), 1e-9).size == 0


def test_blocks_fit_the_cache() -> None:
    assert cache_width((6040, 3706)) == 128
    assert cache_width((22_363, 12_101)) == 32
    assert cache_width((108_822, 94_949)) == 16
