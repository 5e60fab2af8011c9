"""Transitions: every part equals a plain loop; weights, recency, scales and bad input by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_matrices import scores_of

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.models.markov import over_sums, transition_counts
from recspectra.recommender import Refused, Run, Task, create
from recspectra.spectral import operators

CONFIG = Catalog(Path(__file__).resolve().parents[3]).model("markov")
NORMALISATIONS = CONFIG.params["normalisation"].choices


def fitted(train: Interactions, cache: dict | None = None, **params: Any) -> Any:
    system = create(CONFIG, CONFIG.resolve(params))
    system.fit(Task(train, None, True, {}, {} if cache is None else cache), Run())
    return system


def sequences(*rows: list[int], n_items: int) -> Interactions:
    """One user a row, oldest item first."""
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    items = np.array([i for row in rows for i in row], dtype=int)
    return from_pairs(users, items, None, (len(rows), n_items))


def reversed_in_time(part: Interactions) -> Interactions:
    return from_pairs(part.users[::-1], part.items[::-1], None, part.shape)


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
    for window, recency in ((5, 0.7), (2, 1.0)):
        params = {"window": window, "recency": recency, "normalisation": normalisation, "mix": mix}
        expected = plain_scores(train, train, **params)
        np.testing.assert_allclose(scores_of(fitted(train, **params), train), expected, atol=2e-6)
        assert expected.max() > 0.1


def test_both_ways_to_apply_the_similarity_agree(
    train: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for share in (0.0, 2.0):
        monkeypatch.setattr(operators, "SPARSE_SHARE", share)
        found.append(scores_of(fitted(train, mix=0.6), train))
    np.testing.assert_allclose(*found, atol=1e-6)


# ------------------------------------------------------------------------ weights by hand


def test_a_transition_is_directed_and_weighs_one_over_its_distance() -> None:
    counts = transition_counts(sequences([0, 1, 2, 3], n_items=4), 2).toarray()
    expected = [[0, 1, 0.5, 0], [0, 0, 1, 0.5], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert counts.tolist() == expected


def test_no_transition_leads_from_one_user_to_the_next() -> None:
    counts = transition_counts(sequences([0, 1], [], [2], [3, 1], n_items=4), 5).toarray()
    assert np.argwhere(counts).tolist() == [[0, 1], [3, 1]]


def test_time_reversed_transposes_the_transitions_and_leaves_the_similarity(train: Interactions) -> None:
    back = reversed_in_time(train)
    forth = transition_counts(train, 4).toarray()
    np.testing.assert_allclose(transition_counts(back, 4).toarray(), forth.T, atol=1e-12)
    assert not np.allclose(forth, forth.T)
    one, two = (scores_of(fitted(part, mix=1.0), train) for part in (train, back))
    np.testing.assert_allclose(one, two, atol=1e-7)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_transitions_and_similarity_have_comparable_scales(normalisation: str, train: Interactions) -> None:
    scaled = over_sums(transition_counts(train, 5), normalisation).toarray()
    assert 0.1 < np.abs(np.linalg.eigvals(scaled)).max() <= 1 + 1e-9


def test_rows_that_are_normalised_sum_to_one(train: Interactions) -> None:
    counts = transition_counts(train, 5)
    sums = over_sums(counts, "rows").sum(axis=1)
    np.testing.assert_allclose(sums, counts.sum(axis=1) > 0)
    assert sums[19] == 0


# ------------------------------------------------------------------------------- recency


def test_the_newest_item_weighs_one_and_each_older_one_less_by_the_factor() -> None:
    train = sequences([0, 3], [1, 4], [2, 5], n_items=6)  # i leads to i + 3 and nowhere else
    scores = scores_of(fitted(train, recency=0.5), sequences([0, 2, 1], n_items=6))
    assert scores.tolist() == [[0, 0, 0, 0.25, 1.0, 0.5]]


def test_recency_0_is_the_newest_item_alone_and_1_forgets_the_order(train: Interactions) -> None:
    back = reversed_in_time(train)
    last = sequences(*(train.sequence(u)[-1:].tolist() for u in range(30)), n_items=20)
    newest, alike = (fitted(train, recency=r, mix=0.5) for r in (0.0, 1.0))
    assert np.allclose(scores_of(newest, train), scores_of(newest, last), atol=1e-7)
    assert not np.allclose(scores_of(newest, train), scores_of(newest, back), atol=1e-3)
    assert np.allclose(scores_of(alike, train), scores_of(alike, back), atol=1e-6)


def test_ages_count_from_the_end_of_the_history_that_is_shown() -> None:
    train = sequences([0, 3], [1, 4], n_items=5)
    longer = train.merged(sequences([1], [], n_items=5))
    scores = scores_of(fitted(train, recency=0.5), longer)
    assert scores.tolist() == [[0, 0, 0, 0.25, 1.0], [0, 0, 0, 0, 0.5]]


def test_in_a_very_long_history_old_items_fade_to_nothing() -> None:
    row = list(range(4000))
    scores = scores_of(fitted(sequences(row, n_items=4000), window=1), sequences(row, n_items=4000))
    assert np.isfinite(scores).all()
    assert scores[0, 1] == 0
    assert scores[0, -1] == pytest.approx(0.7)


# ----------------------------------------------------------------------------- bad input


def test_data_without_order_are_refused(train: Interactions) -> None:
    system = create(CONFIG, CONFIG.resolve({}))
    with pytest.raises(Refused, match="order"):
        system.fit(Task(train, None, False), Run())


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_nothing_to_learn_from_gives_zeros(normalisation: str) -> None:
    for part in (sequences([], [], n_items=3), sequences([0], [2], n_items=3)):
        scores = scores_of(fitted(part, normalisation=normalisation, mix=1.0), part)
        assert scores.shape == (2, 3)
        assert not scores.any()


@pytest.mark.parametrize("mix", [0.0, 0.5])
def test_a_user_without_history_gets_zeros(mix: float, train: Interactions) -> None:
    scores = scores_of(fitted(train, mix=mix), train)
    assert not scores[[0, 12, 24]].any()
    assert scores[11].any()


def test_trials_share_the_transitions_of_a_window_and_do_not_change_them(train: Interactions) -> None:
    cache: dict = {}
    first = scores_of(fitted(train, cache), train)
    for normalisation in NORMALISATIONS:
        fitted(train, cache, normalisation=normalisation, mix=0.5)
    fitted(train, cache, window=2)
    assert set(cache) == {("transitions", 5), ("transitions", 2)}
    assert np.array_equal(scores_of(fitted(train, cache), train), first)
    assert np.array_equal(cache["transitions", 5].toarray(), transition_counts(train, 5).toarray())


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
