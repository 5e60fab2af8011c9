"""Floor 3: each model equals its formula, written densely and plainly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_matrices import dense, leading_vectors, relative_error, scores_of, to_power

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.recommender import History, Refused, Run, Task, create
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build
from recspectra.spectral.spectrum import Spectrum

CATALOG = Catalog(Path(__file__).resolve().parents[3])


def fitted(name: str, train: Interactions, spectra: dict[str, Spectrum] | None = None, **params: Any) -> Any:
    config = CATALOG.model(name)
    system = create(config, config.resolve(params))
    system.fit(Task(train, None, True, spectra or {}), Run())
    return system


# ------------------------------------------------------------------ popularity and EASE


def test_popularity_counts_users(train: Interactions, both: Interactions) -> None:
    found = scores_of(fitted("popularity", train), both)
    assert np.array_equal(found, np.tile(dense(train).sum(axis=0), (120, 1)))


@pytest.mark.parametrize("regularization", [3.0, 100.0])
def test_ease_equals_a_ridge_regression_per_item_without_the_item_itself(
    train: Interactions, both: Interactions, regularization: float
) -> None:
    x, weights = dense(train), np.zeros((80, 80))
    for item in range(80):
        others = np.delete(np.arange(80), item)
        gram = x[:, others].T @ x[:, others] + regularization * np.eye(79)
        weights[others, item] = np.linalg.solve(gram, x[:, others].T @ x[:, item])
    found = scores_of(fitted("ease", train, regularization=regularization), both)
    assert relative_error(found, dense(both) @ weights) < 1e-5


def test_ease_refuses_matrices_beyond_its_memory(train: Interactions) -> None:
    with pytest.raises(Refused, match=r"the 80 x 80 matrix in single precision, more than memory_gb = 1e-05"):
        fitted("ease", train, memory_gb=1e-5)


# --------------------------------------------------------------------------------- GF-CF


@pytest.mark.parametrize(("rank", "alpha"), [(7, 0.3), (30, 0.0), (80, 2.0)])
def test_gfcf_equals_its_dense_filters(
    train: Interactions, both: Interactions, rank: int, alpha: float
) -> None:
    x = dense(train)
    d_user, d_item = x.sum(axis=1), x.sum(axis=0)
    r = to_power(d_user, -0.5) @ x @ to_power(d_item, -0.5)
    p = r.T @ r
    _, v = leading_vectors(p, rank)
    ideal = to_power(d_item, -0.5) @ v @ v.T @ to_power(d_item, 0.5)
    spectra = {"item-similarity": leading(build("item-similarity", train), rank)}
    found = scores_of(fitted("gfcf", train, spectra, rank=rank, alpha=alpha), both)
    assert relative_error(found, dense(both) @ (p + alpha * ideal)) < 1e-4


# -------------------------------------------------------------------------------- GSPRec


def unified_graph(train: Interactions, depth: int, decay: float) -> np.ndarray:
    """D^-1/2 A D^-1/2 of Eqs. 2 to 6."""
    x, s = dense(train), np.zeros((train.n_items, train.n_items))
    for user in range(train.n_users):
        for first, second in zip(train.sequence(user)[:-1], train.sequence(user)[1:], strict=True):
            s[first, second] = s[second, first] = 1.0
    total = sum(decay ** (k - 1) * np.linalg.matrix_power(s, k) for k in range(1, depth + 1))
    scaled = to_power(total.sum(axis=1), -0.5) @ total @ to_power(total.sum(axis=1), -0.5)
    a = np.block([[np.zeros((len(x), len(x))), x], [x.T, scaled]])
    return to_power(a.sum(axis=1), -0.5) @ a @ to_power(a.sum(axis=1), -0.5)


def gsprec_scores(train: Interactions, history: Interactions, p: dict[str, Any]) -> np.ndarray:
    """Y of Eqs. 4 to 11 with every matrix formed, C_U included."""
    normalised = unified_graph(train, p["depth"], p["decay"])
    values, u = leading_vectors(normalised, p["rank"])
    frequencies, all_frequencies = 1.0 - values, 1.0 - np.linalg.eigvalsh(normalised)
    span = all_frequencies if p["eigenvalue_range"] == "full" else frequencies
    position = (frequencies - span.min()) / (span.max() - span.min())
    g = np.diag(np.exp(-((position - p["center"]) ** 2) / p["width"]))

    x, shown = dense(train), dense(history)
    m = len(x)
    d_i = x.sum(axis=0)
    of_items = to_power(d_i, -0.5 if p["user_similarity"] == "pgsp" else 0.0)
    x_u, shown_u = (to_power(a.sum(axis=1), -0.5) @ a @ of_items for a in (x, shown))
    d_b = np.concatenate([(x_u @ x_u.T).sum(axis=0), d_i])
    x_b = np.hstack([shown_u @ x_u.T, shown])  # [C_U, X]
    passed = np.diag(position <= p["low_cut"] + 1e-9)
    low = (x_b @ to_power(d_b, -0.5) @ u @ passed @ u.T @ to_power(d_b, 0.5))[:, m:]
    if p["eq8"] == "augmented":
        band = (x_b @ to_power(d_b, -0.5) @ u @ g @ u.T @ to_power(d_b, 0.5))[:, m:]
    else:
        right = -0.5 if p["eq8"] == "literal" else 0.5
        band = shown @ to_power(d_i, -0.5) @ u[m:] @ g @ u[m:].T @ to_power(d_i, right)
    return p["phi"] * band + (1.0 - p["phi"]) * low


SETTINGS = [
    {"rank": 12, "phi": 0.5},
    {"rank": 25, "phi": 0.9, "center": 0.6, "width": 0.3, "depth": 3, "decay": 0.25},
    {"rank": 25, "phi": 0.3, "user_similarity": "pgsp"},
    {"rank": 25, "phi": 0.3, "user_similarity": "pgsp", "low_cut": 0.4},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=["default", "other", "pgsp", "pgsp-cut"])
@pytest.mark.parametrize("eigenvalue_range", ["truncated", "full"])
@pytest.mark.parametrize("eq8", ["literal", "balanced", "augmented"])
def test_gsprec_equals_its_equations_in_every_reading(
    train: Interactions, both: Interactions, eq8: str, eigenvalue_range: str, settings: dict
) -> None:
    reading = settings | {"eq8": eq8, "eigenvalue_range": eigenvalue_range}
    p = CATALOG.model("gsprec").resolve(reading)
    name = f"unified-d{p['depth']}-a{p['decay']}"
    system = fitted("gsprec", train, {name: leading(build(name, train), p["rank"])}, **reading)
    for history in (train, both):
        assert relative_error(scores_of(system, history), gsprec_scores(train, history, p)) < 1e-4


def test_the_readings_of_gsprec_differ(train: Interactions) -> None:
    base = CATALOG.model("gsprec").resolve({"rank": 12})
    found = [
        gsprec_scores(train, train, base | {"eq8": eq8, "eigenvalue_range": span})
        for eq8 in ("literal", "balanced", "augmented")
        for span in ("truncated", "full")
    ]
    found += [
        gsprec_scores(train, train, base | one) for one in ({"user_similarity": "pgsp"}, {"low_cut": 0.3})
    ]
    for i, one in enumerate(found):
        assert all(relative_error(one, other) > 1e-2 for other in found[i + 1 :])


def test_gsprec_refuses_data_without_order(train: Interactions) -> None:
    config = CATALOG.model("gsprec")
    with pytest.raises(Refused, match="order"):
        create(config, config.resolve({})).fit(Task(train, None, False, {}), Run())


def test_a_spectrum_that_was_not_prepared_is_named(train: Interactions) -> None:
    with pytest.raises(KeyError, match="spectrum 'item-similarity' was not prepared"):
        fitted("gfcf", train)


# --------------------------------------------------------------------------- the contract


def test_history_has_the_rows_of_its_users_in_their_order() -> None:
    part = from_pairs(np.array([0, 0, 2, 2, 2]), np.array([3, 1, 0, 3, 2]), None, (3, 4))
    history = History.of(part, np.array([2, 1, 0]))
    assert np.array_equal(history.matrix.toarray(), [[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]])
    assert (history.indptr.tolist(), history.items.tolist()) == ([0, 3, 3, 5], [0, 3, 2, 3, 1])
    assert History.of(part, np.array([], dtype=int)).indptr.tolist() == [0]
