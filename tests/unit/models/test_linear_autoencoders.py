"""EDLAE, DLAE and RLAE against plain dense formulas; the precision follows from the memory."""

from __future__ import annotations

import numpy as np
import pytest
from plain_matrices import dense, scores_of
from plain_matrices import fitted_and_log as fit

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.layers import linear_autoencoder
from recspectra.layers.linear_autoencoder import column, inverse, weights_of
from recspectra.recommender import Refused

SYSTEMS = ("ease", "edlae", "dlae", "rlae")
SINGLE = {"memory_gb": 0.0001}  # 80 x 80 entries of 12 bytes and the counts need 0.00012
every_model = pytest.mark.parametrize("name", SYSTEMS)


def plain(x: np.ndarray, penalty: float, p: float, xi: float) -> np.ndarray:
    """B, entry by entry: the multiplier of each column is the least that keeps B_jj at or below xi."""
    gamma = penalty + p / (1 - p) * x.sum(axis=0)
    c = np.linalg.inv(x.T @ x + np.diag(gamma))
    b = np.zeros_like(c)
    for j in range(len(c)):
        omega = max(0.0, (1 - xi) / c[j, j] - gamma[j])
        b[:, j] = np.eye(len(c))[:, j] - c[:, j] * (gamma[j] + omega)
    return b


CASES = [
    ("ease", {}, 0.0, 0.0),
    ("edlae", {"dropout": 0.6}, 0.6, 0.0),
    ("dlae", {"dropout": 0.6}, 0.6, 1.0),
    ("dlae", {"dropout": 0.0}, 0.0, 1.0),
    ("rlae", {"xi": 0.15}, 0.0, 0.15),
    ("rlae", {"xi": 0.1, "dropout": 0.4}, 0.4, 0.1),
]


@pytest.mark.parametrize("memory", [{}, SINGLE], ids=["double", "single"])
@pytest.mark.parametrize(("name", "params", "p", "xi"), CASES)
def test_weights_are_those_of_the_formula(
    name: str, params: dict, p: float, xi: float, memory: dict, train: Interactions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(linear_autoencoder, "ROWS_AT_ONCE", 33)
    system, log = fit(name, train, regularization=20.0, **params, **memory)
    expected = plain(dense(train), 20.0, p, xi)
    np.testing.assert_allclose(system.weights, expected, atol=2e-6)
    assert log["precision"] == ("float32" if memory else "float64")
    assert log["at_bound"] == pytest.approx((np.diag(expected) > xi - 1e-9).mean())
    np.testing.assert_allclose(scores_of(system, train), dense(train) @ expected, atol=2e-5)


def test_dlae_is_the_least_squares_of_dropped_inputs(train: Interactions) -> None:
    x, p, penalty = dense(train), 0.3, 5.0
    rng, gram, target = np.random.default_rng(0), np.zeros((80, 80)), np.zeros((80, 80))
    for _ in range(600):
        kept = x * (rng.random(x.shape) < 1 - p) / (1 - p)
        gram, target = gram + kept.T @ kept / 600, target + kept.T @ x / 600
    drawn = np.linalg.solve(gram + penalty * np.eye(80), target)
    system, _ = fit("dlae", train, regularization=penalty, dropout=p)
    assert np.abs(system.weights - drawn).max() < 0.02
    without, _ = fit("dlae", train, regularization=penalty, dropout=0.0)
    assert np.abs(without.weights - drawn).max() > 0.2


def test_rlae_reaches_from_ease_to_lae(train: Interactions) -> None:
    weights = {name: fit(name, train, dropout=0.4)[0].weights for name in ("edlae", "dlae")}
    for xi, name in ((0.0, "edlae"), (1.0, "dlae")):
        found, log = fit("rlae", train, xi=xi, dropout=0.4)
        np.testing.assert_allclose(found.weights, weights[name], atol=1e-6)
        assert log["at_bound"] == 1.0 - xi


def test_xi_bounds_the_diagonal_and_where_nothing_reaches_it_the_model_is_dlae(train: Interactions) -> None:
    free = fit("dlae", train, regularization=20.0, dropout=0.0)[0].weights
    largest = float(np.diag(free).max())
    system, log = fit("rlae", train, regularization=20.0, xi=0.5 * largest)
    assert 0 < log["at_bound"] < 1
    assert np.diag(system.weights).max() == pytest.approx(0.5 * largest, abs=1e-6)
    system, log = fit("rlae", train, regularization=20.0, xi=1.01 * largest)
    assert log["at_bound"] == 0.0
    np.testing.assert_allclose(system.weights, free, atol=1e-6)


# ------------------------------------------------------------------- memory and precision


def test_the_inverse_is_found_and_scaled_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_autoencoder, "ROWS_AT_ONCE", 7)
    a = np.random.default_rng(0).normal(size=(40, 30))
    matrix = np.asfortranarray(a.T @ a + np.eye(30), dtype=np.float32)
    wanted = np.linalg.inv(matrix.astype(np.float64))
    upper = inverse(matrix)
    assert np.shares_memory(upper, matrix)
    assert np.allclose(np.stack([column(upper, j) for j in range(30)], axis=1), wanted, atol=1e-5)
    weights = weights_of(upper, np.full(30, -2.0, dtype=np.float32))
    assert np.shares_memory(weights, matrix)
    assert weights.flags.c_contiguous  # sparse rows times it make no copy
    assert np.allclose(weights, np.eye(30) - wanted / 2, atol=1e-5)


@every_model
def test_a_matrix_that_fits_in_single_precision_alone_is_checked(name: str, train: Interactions) -> None:
    system, log = fit(name, train, **SINGLE)
    assert 0 < log["residual"] < 1e-4
    assert np.abs(system.weights - fit(name, train)[0].weights).max() < 1e-5
    with pytest.raises(Refused, match=r"about 0\.0 GB for the 80 x 80 matrix in single .* memory_gb = 1e-05"):
        fit(name, train, memory_gb=1e-5)


def test_an_inverse_that_single_precision_spoils_is_refused(train: Interactions) -> None:
    doubled = train.merged(from_pairs(train.users, (train.items + 40) % 80, None, train.shape))
    with pytest.raises(Refused, match=r"residual .* larger regularization, or a memory_gb"):
        fit("ease", doubled, regularization=1e-5, **SINGLE)
    assert fit("ease", doubled, regularization=1e-5)[1]["precision"] == "float64"


@pytest.mark.parametrize("penalty", [1e-15, 1e-20, 1e-300])
def test_an_inverse_that_double_precision_spoils_is_refused(train: Interactions, penalty: float) -> None:
    """Fewer users than items: without a penalty there is no inverse, and LAPACK may not see it."""
    few = train.users < 30
    of_few = from_pairs(train.users[few], train.items[few], None, (30, train.n_items))
    with pytest.raises(Refused, match=r"EASE: .* larger (regularization|lambda)$"):
        fit("ease", of_few, regularization=penalty)


def test_more_items_than_lapack_counts_are_refused() -> None:
    row = Interactions(np.array([0, 1]), np.zeros(1, dtype=np.int32), None, 50_000)
    with pytest.raises(Refused, match="46340 items"):
        fit("edlae", row)
