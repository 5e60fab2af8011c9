"""What tests of models share: fitted models, scores of all users, and the matrices of formulas."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.config.catalog import Catalog
from recspectra.config.model import RunConfig, spectra_of
from recspectra.data.interactions import Interactions
from recspectra.recommender import History, Recommender, Run, Task, create
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build

CATALOG = Catalog(Path(__file__).resolve().parents[2])


def task_of(name: str, train: Interactions, ordered: bool = True, **params: Any) -> Task:
    """A task with the spectra that the model's YAML asks for."""
    config = CATALOG.model(name)
    needs = spectra_of(config, RunConfig(model=name, params=config.resolve(params)))
    plain = [(operator.partition("@")[0], rank) for operator, rank in needs]
    return Task(train, None, ordered, {operator: leading(build(operator, train), r) for operator, r in plain})


def fitted_and_log(
    name: str, train: Interactions, seed: int = 0, ordered: bool = True, **params: Any
) -> tuple[Any, dict[str, Any]]:
    """A fitted model and the log of its fit."""
    system = create(CATALOG.model(name), CATALOG.model(name).resolve(params))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return system, system.fit(task_of(name, train, ordered, **params), Run(seed=seed))


def fitted(name: str, train: Interactions, seed: int = 0, ordered: bool = True, **params: Any) -> Any:
    """A fitted model."""
    return fitted_and_log(name, train, seed, ordered, **params)[0]


def scores_of(model: Recommender, history: Interactions) -> np.ndarray:
    """Scores of all items for all users who show a history."""
    users = np.arange(history.n_users)
    return model.score(users, History.of(history, users))


def dense(part: Interactions) -> np.ndarray:
    """The matrix of users x items with 1 for what is there."""
    x = np.zeros(part.shape)
    x[part.users, part.items] = 1.0
    return x


def to_power(degree: np.ndarray, exponent: float) -> np.ndarray:
    """D to a power as a matrix, with 0 for a node of degree 0."""
    return np.diag([d**exponent if d > 0 else 0.0 for d in degree])


def both_sides(a: np.ndarray) -> np.ndarray:
    """D^-1/2 A D^-1/2 with the row sums of A."""
    return to_power(a.sum(axis=1), -0.5) @ a @ to_power(a.sum(axis=1), -0.5)


def leading_vectors(matrix: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues and their vectors."""
    values, vectors = np.linalg.eigh(matrix)
    return values[::-1][:rank], vectors[:, ::-1][:, :rank]


def similarity_product(r: sp.csr_array, rows: sp.csr_array) -> np.ndarray:
    """y R^T R as two sparse products with a dense block of all rows."""
    return (r.T @ (r @ rows.T.toarray())).T


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, as a share of the largest expected value."""
    return np.abs(found - expected).max() / np.abs(expected).max()
