"""ChebyCF, Turbo-CF, SVD-AE and the spectral ridge against plain dense formulas."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.polynomial.chebyshev import chebval
from plain_matrices import dense, fitted, leading_vectors, relative_error, scores_of, to_power

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.models import turbocf
from recspectra.models.chebycf import plateau, series
from recspectra.recommender import Refused
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build


@pytest.fixture(scope="module")
def x(train: Interactions) -> np.ndarray:
    return dense(train)


@pytest.fixture(scope="module")
def p(x: np.ndarray) -> np.ndarray:
    r = to_power(x.sum(axis=1), -0.5) @ x @ to_power(x.sum(axis=0), -0.5)
    return r.T @ r


# ------------------------------------------------------------------------------- ChebyCF


def response(order: int, flatness: float, points: str) -> np.ndarray:
    """Of eigenvalues 1, 0.1 and 0 of P."""
    return chebval(1 - 2 * np.array([1.0, 0.1, 0.0]), series(order, flatness, points))


@pytest.mark.parametrize(
    ("flatness", "extrema", "roots"),
    [
        (1.5, [1.005, 0.096, -0.005], [1.001, 0.141, -0.001]),
        (10.0, [1.046, 0.369, -0.046], [0.996, 0.450, 0.004]),
        (15.0, [1.072, 0.432, -0.072], [0.979, 0.496, 0.021]),
    ],
)
def test_the_filter_has_the_known_response(flatness: float, extrema: list, roots: list) -> None:
    assert response(8, flatness, "extrema") == pytest.approx(extrema, abs=6e-4)
    assert response(8, flatness, "roots") == pytest.approx(roots, abs=6e-4)


def test_values_at_the_roots_are_interpolated_and_those_at_the_extrema_are_not() -> None:
    roots = np.cos((np.arange(7) + 0.5) * np.pi / 7)
    assert np.allclose(chebval(roots, series(6, 3.0, "roots")), plateau(roots, 3.0))
    assert np.abs(chebval(roots, series(6, 3.0, "extrema")) - plateau(roots, 3.0)).max() > 0.01


@pytest.mark.parametrize("points", ["extrema", "roots"])
@pytest.mark.parametrize("order", [1, 2, 8, 12])
def test_chebycf_is_its_formula(
    order: int, points: str, train: Interactions, both: Interactions, x: np.ndarray, p: np.ndarray
) -> None:
    system = fitted("chebycf", train, order=order, flatness=2.5, rank=9, alpha=0.3, beta=0.4, points=points)
    values, vectors = np.linalg.eigh(p)
    filtered = (vectors * chebval(1 - 2 * values, series(order, 2.5, points))) @ vectors.T
    _, low = leading_vectors(p, 9)
    inside = filtered + 0.3 * low @ low.T
    wanted = dense(both) @ to_power(x.sum(axis=0), -0.4) @ inside @ to_power(x.sum(axis=0), 0.4)
    assert relative_error(scores_of(system, both), wanted) < 1e-5


def test_high_orders_of_the_series_stay_exact_in_single_precision(
    train: Interactions, x: np.ndarray, p: np.ndarray
) -> None:
    system = fitted("chebycf", train, order=32, flatness=10.0, rank=1, alpha=0.0, beta=0.0)
    values, vectors = np.linalg.eigh(p)
    wanted = x @ (vectors * chebval(1 - 2 * values, series(32, 10.0, "extrema"))) @ vectors.T
    assert relative_error(scores_of(system, train), wanted) < 1e-5


# ------------------------------------------------------------------------------ Turbo-CF


def plain_turbocf(x: np.ndarray, shown: np.ndarray, alpha: float, s: float, order: int) -> np.ndarray:
    """The matrices of the paper, the power taken entry by entry."""
    r = to_power(x.sum(axis=1), -alpha) @ x @ to_power(x.sum(axis=0), alpha - 1)
    q = (r.T @ r) ** s
    square = q @ q
    return shown @ {1: q, 2: 2 * q - square, 3: q + 0.01 * (-square @ q + 10 * square - 29 * q)}[order]


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["array", "sparse"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(("alpha", "power"), [(0.5, 1.0), (0.6, 0.7), (0.3, 1.4)])
def test_turbocf_is_its_formula(
    alpha: float, power: float, order: int, share: float, train: Interactions, both: Interactions,
    x: np.ndarray, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(turbocf, "DENSE_SHARE", share)
    system = fitted("turbocf", train, alpha=alpha, power=power, filter=order)
    assert system.q.shape == ((0, 0) if power == 1 else (80, 80))
    assert sp.issparse(system.q) is (power == 1 or share == 1.0)
    assert relative_error(scores_of(system, both), plain_turbocf(x, dense(both), alpha, power, order)) < 1e-5


def test_a_graph_of_turbocf_that_does_not_fit_is_refused() -> None:
    row = Interactions(np.array([0, 94_949]), np.arange(94_949, dtype=np.int32), None, 94_949)
    with pytest.raises(Refused, match=r"Turbo-CF needs about 134.3 GB .* memory_gb = 16"):
        fitted("turbocf", row, power=0.7)
    fitted("turbocf", row)  # at power 1 nothing is formed


# -------------------------------------------------------------------------------- SVD-AE


def test_svdae_is_the_solution_of_smallest_norm(
    train: Interactions, both: Interactions, x: np.ndarray
) -> None:
    r = to_power(x.sum(axis=1), -0.5) @ x @ to_power(x.sum(axis=0), -0.5)
    u, s, vt = np.linalg.svd(r, full_matrices=False)
    weights = vt[:12].T @ np.diag(1 / s[:12]) @ u[:, :12].T @ x
    system = fitted("svdae", train, rank=12)
    assert relative_error(scores_of(system, train), u[:, :12] @ u[:, :12].T @ x) < 1e-5  # of the fitted users
    shown = dense(both)
    inputs = to_power(shown.sum(axis=1), -0.5) @ shown @ to_power(x.sum(axis=0), -0.5)
    assert relative_error(scores_of(system, both), inputs @ weights) < 1e-5


def test_svdae_with_randomised_triplets_is_exact_at_full_rank_and_smooths_below(
    train: Interactions, x: np.ndarray
) -> None:
    """At full rank nothing is approximate; below, the authors' way gives other scores at the same rank."""
    r = to_power(x.sum(axis=1), -0.5) @ x @ to_power(x.sum(axis=0), -0.5)
    u = np.linalg.svd(r, full_matrices=False)[0]
    full = min(x.shape)
    whole = scores_of(fitted("svdae", train, rank=full, triplets="randomised"), train)
    rank = np.linalg.matrix_rank(r)
    assert relative_error(whole, u[:, :rank] @ u[:, :rank].T @ x) < 1e-4
    exact, drawn = (
        scores_of(fitted("svdae", train, rank=12, triplets=t), train) for t in ("exact", "randomised")
    )
    assert 1e-3 < relative_error(drawn, exact) < 0.5
    again = scores_of(fitted("svdae", train, rank=12, triplets="randomised"), train)
    assert np.array_equal(drawn, again)
    with pytest.raises(Refused, match=f"rank {full + 1} exceeds the size {full}"):
        fitted("svdae", train, rank=full + 1, triplets="randomised")


def test_svdae_leaves_out_what_has_no_singular_value() -> None:
    users, items = np.repeat(np.arange(6), 3), np.tile(np.arange(3), 6)
    equal = from_pairs(users, items, None, (6, 4))  # of rank 1
    found = scores_of(fitted("svdae", equal, rank=4), equal)
    assert np.allclose(found, [[1.0, 1.0, 1.0, 0.0]], atol=1e-5)


# ------------------------------------------------------------------------ spectral ridge


def plain_ridge(x: np.ndarray, vectors: np.ndarray, penalty: float, p: float, theta: float) -> np.ndarray:
    """The weights of the control as an item-item matrix."""
    degrees = x.sum(axis=0)
    t, back = to_power(degrees, -theta), to_power(degrees, theta)
    gram = x.T @ x
    left = vectors.T @ t @ (gram + p / (1 - p) * np.diag(degrees)) @ t @ vectors
    w = np.linalg.solve(left + penalty * np.eye(len(left)), vectors.T @ t @ gram @ t @ vectors)
    return t @ vectors @ w @ vectors.T @ back


@pytest.mark.parametrize("theta", [0.0, 0.25, 0.5])
@pytest.mark.parametrize(("penalty", "share"), [(1.0, 0.8), (0.0, 0.5), (30.0, 0.0)])
def test_the_spectral_ridge_is_its_formula(
    theta: float, penalty: float, share: float, train: Interactions, both: Interactions, x: np.ndarray,
    p: np.ndarray,
) -> None:  # fmt: skip
    vectors = leading(build("item-similarity", train), 14).vectors.astype(np.float64)
    system = fitted("spectral_ridge", train, rank=14, regularization=penalty, dropout=share, theta=theta)
    wanted = dense(both) @ plain_ridge(x, vectors, penalty, share, theta)
    assert relative_error(scores_of(system, both), wanted) < 1e-5


def test_a_span_beyond_the_data_is_no_error(train: Interactions) -> None:
    few = from_pairs(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2]), None, (3, 6))
    found = scores_of(fitted("spectral_ridge", few, rank=6, regularization=0.0, dropout=0.0), few)
    assert np.isfinite(found).all()
    assert np.allclose(found, dense(few), atol=1e-4)  # W is the identity on what X reaches
