"""Transitions: every part equals a plain loop; a long history and bad input by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_matrices import scores_of

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.models.markov import transition_counts
from recspectra.recommender import Refused, Run, Task, create
from recspectra.spectral import operators

CONFIG = Catalog(Path(__file__).resolve().parents[3]).model("markov")
NORMALISATIONS = CONFIG.params["normalisation"].choices


def fitted(train: Interactions, **params: Any) -> Any:
    system = create(CONFIG, CONFIG.resolve(params))
    system.fit(Task(train, None, True), Run())
    return system


def sequences(*rows: list[int], n_items: int) -> Interactions:
    """One user a row, oldest item first."""
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    items = np.array([i for row in rows for i in row], dtype=int)
    return from_pairs(users, items, None, (len(rows), n_items))


@pytest.fixture(scope="module")
def train() -> Interactions:
    """30 users with 0 to 11 of 20 items in random order; item 19 has nobody."""
    rng = np.random.default_rng(4)
    return sequences(*(rng.permutation(19)[: u % 12].tolist() for u in range(30)), n_items=20)


# ------------------------------------------------------------------------- plain reference


def plain_counts(train: Interactions, window: int) -> np.ndarray:
    counts = np.zeros((train.n_items, train.n_items))
    for user in range(train.n_users):
        row = train.sequence(user)
        for s in range(len(row)):
            for t in range(s + 1, min(s + window, len(row) - 1) + 1):
                counts[row[s], row[t]] += 1 / (t - s)
    return counts


def plain_normalised(counts: np.ndarray, normalisation: str) -> np.ndarray:
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    found = np.zeros_like(counts)
    for i, j in zip(*np.nonzero(counts), strict=True):
        scale = {
            "symmetric": (rows[i] * columns[j]) ** 0.5,
            "rows": rows[i],
            "none": (rows.max() * columns.max()) ** 0.5,
        }
        found[i, j] = counts[i, j] / scale[normalisation]
    return found


def plain_similarity(train: Interactions) -> np.ndarray:
    x = np.zeros(train.shape)
    x[train.users, train.items] = 1.0
    r = x / np.sqrt(np.maximum(x.sum(axis=1, keepdims=True), 1) * np.maximum(x.sum(axis=0), 1))
    similarity = r.T @ r
    np.fill_diagonal(similarity, 0.0)
    return similarity


def plain_scores(
    train: Interactions, history: Interactions, window: int, recency: float, normalisation: str, mix: float
) -> np.ndarray:
    directed = plain_normalised(plain_counts(train, window), normalisation)
    weights = (1 - mix) * directed + mix * plain_similarity(train)
    scores = np.zeros(history.shape)
    for user in range(history.n_users):
        for age, item in enumerate(history.sequence(user)[::-1]):
            scores[user] += recency**age * weights[item]
    return scores


@pytest.mark.parametrize("window", [1, 3, 10, 500])
def test_transitions_are_those_of_the_plain_loop(window: int, train: Interactions) -> None:
    found = transition_counts(train, window).toarray()
    np.testing.assert_allclose(found, plain_counts(train, window), atol=1e-12)
    assert (found > 0).sum() > 50


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_scores_are_those_of_the_plain_loop(normalisation: str, mix: float, train: Interactions) -> None:
    more = train.merged(sequences(*([u % 19] for u in range(30)), n_items=20))
    for window, recency in ((5, 0.7), (2, 1.0), (3, 0.0)):
        params = {"window": window, "recency": recency, "normalisation": normalisation, "mix": mix}
        system = fitted(train, **params)
        for history in (train, more):
            expected = plain_scores(train, history, **params)
            np.testing.assert_allclose(scores_of(system, history), expected, atol=2e-6)
        assert expected.max() > 0.1


def test_both_ways_to_apply_the_similarity_agree(
    train: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for share in (0.0, 2.0):
        monkeypatch.setattr(operators, "SPARSE_SHARE", share)
        found.append(scores_of(fitted(train, mix=0.6), train))
    np.testing.assert_allclose(*found, atol=1e-6)


# ------------------------------------------------------------------------------- recency


def test_in_a_very_long_history_old_items_fade_to_nothing() -> None:
    row = list(range(4000))
    scores = scores_of(fitted(sequences(row, n_items=4000), window=1), sequences(row, n_items=4000))
    assert np.isfinite(scores).all()
    assert scores[0, 1] == 0
    assert scores[0, -1] == pytest.approx(0.7)


# ----------------------------------------------------------------------------- bad input


def refusal(pairs: list[tuple[int, int]], **params: float) -> str:
    """What a fit on these (user, item) pairs is refused with; empty if it is not."""
    users, items = np.array(pairs).T
    try:
        fitted(from_pairs(users, items, None, (4, 6)), **params)
    except Refused as error:
        return str(error)
    return ""


def test_data_without_a_transition_are_refused() -> None:
    single, repeated, one = [(0, 1), (1, 2), (2, 3)], [(0, 1), (0, 1), (1, 2)], [(0, 1), (0, 2), (1, 2)]
    assert "no user has two interactions" in refusal(single)
    assert "no user has two interactions" in refusal(single, mix=0.5)
    assert "no user who took one item after another one" in refusal(repeated)
    assert not refusal(single, mix=1.0)  # the similarity alone
    assert not refusal(one)
