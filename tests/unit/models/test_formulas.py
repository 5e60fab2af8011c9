"""Floor 3: each model equals its formula, written densely and plainly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_matrices import dense, leading_vectors, relative_error, scores_of, to_power

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.recommender import History, Run, Task, create
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
