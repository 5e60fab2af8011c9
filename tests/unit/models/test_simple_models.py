"""Strong simple models: each equals its formula written plainly; bad input is defined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from plain_matrices import dense, fitted, fitted_and_log, relative_error, scores_of
from sklearn.linear_model import ElasticNet

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.layers import neighbours
from recspectra.models import ials
from recspectra.models.slim import gram_matrix, submatrix
from recspectra.recommender import History, Refused


def pruned(columns: np.ndarray, k: int) -> np.ndarray:
    """The k largest entries of each column, the larger row first among equals; no diagonal."""
    kept = np.zeros_like(columns)
    for j, column in enumerate(columns.T):
        order = sorted(range(len(column)), key=lambda i: (np.float32(column[i]), i), reverse=True)
        best = [i for i in order if i != j and column[i] > 0][:k]
        kept[best, j] = column[best]
    return kept


@pytest.fixture(scope="module")
def x(train: Interactions) -> np.ndarray:
    return dense(train)


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


def test_history_has_the_rows_of_its_users_in_their_order() -> None:
    part = from_pairs(np.array([0, 0, 2, 2, 2]), np.array([3, 1, 0, 3, 2]), None, (3, 4))
    history = History.of(part, np.array([2, 1, 0]))
    assert np.array_equal(history.matrix.toarray(), [[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]])
    assert (history.indptr.tolist(), history.items.tolist()) == ([0, 3, 3, 5], [0, 3, 2, 3, 1])
    assert History.of(part, np.array([], dtype=int)).indptr.tolist() == [0]


# --------------------------------------------------------------------------- neighbours


def test_the_largest_entries_of_each_row_are_kept_and_equals_go_to_the_larger_column() -> None:
    rows = np.array([[0.5, 0.1, 0.5, 0.9, 0.5], [0.0, -1.0, 0.0, 0.2, 0.0], [0.0] * 5])
    found = neighbours.largest(sp.csr_array(rows), 3).toarray()
    expected = [[0, 0, 0.5, 0.9, 0.5], [0, 0, 0, 0.2, 0], [0] * 5]
    assert np.array_equal(found, np.array(expected, dtype=np.float32))


@pytest.mark.parametrize("k", [1, 7, 79, 500])
def test_tables_and_blocks_of_any_size_give_the_same_neighbours(
    k: int, train: Interactions, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> np.ndarray:
        matrix = train.matrix.astype(np.float64)
        return neighbours.nearest(sp.csr_array(matrix.T), matrix, lambda i, j, g: g, k).toarray()

    whole = run()
    assert np.array_equal(whole, pruned(x.T @ x, k).T)
    monkeypatch.setattr(neighbours, "ENTRIES", 150)
    monkeypatch.setattr(neighbours, "PADDED", 200)
    assert np.array_equal(run(), whole)


def test_no_block_holds_more_entries_than_allowed(
    train: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "ENTRIES", 400)
    matrix = train.matrix
    left = sp.csr_array(matrix.T)
    ranges = list(neighbours.blocks(left, matrix))
    assert [i for a, b in ranges for i in range(a, b)] == list(range(train.n_items))
    assert len(ranges) > 5
    assert max((left[a:b] @ matrix).nnz for a, b in ranges if b - a > 1) <= 400


def test_ragged_rows_are_padded_at_the_right() -> None:
    flat, indptr = np.array([5, 6, 7, 8]), np.array([0, 2, 2, 4])
    found = neighbours.padded(flat, indptr, np.array([2, 1, 0]), fill=-1, width=3)
    assert found.tolist() == [[7, 8, -1], [-1, -1, -1], [5, 6, -1]]


# ------------------------------------------------------------------------------ itemknn


def plain_weights(x: np.ndarray, weighting: str) -> np.ndarray:
    """Weighted interactions, entry by entry."""
    n, y = x.shape[1], np.zeros_like(x)
    d_user, d_item = x.sum(axis=1), x.sum(axis=0)
    for u, i in zip(*np.nonzero(x), strict=True):
        if weighting == "none":
            y[u, i] = 1.0
        elif weighting == "tf-idf":
            y[u, i] = 1.0 + np.log((1 + n) / (1 + d_user[u]))
        else:
            rarity = np.log(1 + (n - d_user[u] + 0.5) / (d_user[u] + 0.5))
            y[u, i] = rarity * 2.2 / (1 + 1.2 * (1 - 0.75 + 0.75 * d_item[i] / d_item.mean()))
    return y


@pytest.mark.parametrize("weighting", ["none", "tf-idf", "bm25"])
@pytest.mark.parametrize("similarity", ["cosine", "jaccard", "asymmetric", "tversky"])
@pytest.mark.parametrize("shrink", [0.0, 7.5])
def test_itemknn_is_its_formula(
    similarity: str, weighting: str, shrink: float, train: Interactions, x: np.ndarray
) -> None:
    y = plain_weights(x, weighting)
    both = y.T @ y
    source, target = np.diag(both)[:, None], np.diag(both)[None, :]
    size = {
        "cosine": np.sqrt(source * target),
        "asymmetric": source**0.3 * target**0.7,
        "jaccard": source + target - both,
        "tversky": np.maximum(both + 1.5 * (source - both) + 0.9 * (target - both), both),
    }[similarity]
    expected = x @ pruned(both / (size + shrink), 9)
    system = fitted(
        "itemknn", train, similarity=similarity, weighting=weighting, shrink=shrink, neighbours=9,
        asymmetry=0.3, tversky_source=1.5, tversky_target=0.9,
    )  # fmt: skip
    assert np.diff(sp.csc_array(system.similarity).indptr).max() == 9
    np.testing.assert_allclose(scores_of(system, train), expected, rtol=1e-5, atol=1e-6)


def test_the_tversky_index_of_weighted_sets_is_at_most_one() -> None:
    # The users that only item 0 has weigh next to nothing: its weighted set is "smaller" than the overlap.
    others = [(u, i) for u in range(1, 21) for i in (0, *range(2, 10))]
    users, items = np.array([(0, 0), (0, 1), *others]).T
    system = fitted(
        "itemknn", from_pairs(users, items, None, (21, 10)), similarity="tversky", weighting="bm25",
        tversky_source=4.0, tversky_target=0.0,
    )  # fmt: skip
    assert system.similarity[0, 1] == 1.0


# ------------------------------------------------------------------------------ rp3beta


@pytest.mark.parametrize("sides", ["sources", "both"])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.6), (0.7, 0.0), (0.0, 1.3)])
def test_rp3beta_is_a_walk_of_three_steps(
    alpha: float, beta: float, normalise: bool, sides: str, train: Interactions, x: np.ndarray
) -> None:
    d_user, d_item = x.sum(axis=1, keepdims=True), x.sum(axis=0)
    to_item = np.divide(x, d_user, where=d_user > 0, out=np.zeros_like(x)) ** alpha * x
    to_user = np.divide(x, d_item, where=d_item > 0, out=np.zeros_like(x)) ** alpha * x
    walk = (to_user.T @ to_item) * np.where(d_item > 0, np.maximum(d_item, 1) ** -beta, 0)
    walk = pruned(walk.T, 11).T  # of each source, its row
    if normalise:
        walk = walk / np.maximum(walk.sum(axis=1, keepdims=True), 1e-30)
    if sides == "both":
        walk = pruned(walk.astype(np.float32), 11)  # of each target, its column
    system = fitted(
        "rp3beta", train, alpha=alpha, beta=beta, neighbours=11, normalise=normalise, pruned=sides
    )
    np.testing.assert_allclose(scores_of(system, train), x @ walk, rtol=1e-5, atol=1e-8)


# --------------------------------------------------------------------------------- slim


def plain_slim(x: np.ndarray, alpha: float, l1_ratio: float, candidates: np.ndarray) -> np.ndarray:
    """One elastic net an item on the whole interactions, as scikit-learn solves it."""
    weights = np.zeros((x.shape[1],) * 2)
    for j in range(x.shape[1]):
        items = np.flatnonzero(candidates[:, j])
        if len(items):
            model = ElasticNet(
                alpha=alpha, l1_ratio=l1_ratio, positive=True, fit_intercept=False, tol=1e-10, max_iter=20_000
            )
            weights[items, j] = model.fit(x[:, items], x[:, j]).coef_
    return weights


@pytest.mark.parametrize("neighbours", [0, 12])
@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.01, 0.1), (0.001, 0.5), (0.003, 1.0)])
def test_slim_is_the_elastic_net_of_scikit_learn(
    alpha: float, l1_ratio: float, neighbours: int, train: Interactions, x: np.ndarray
) -> None:
    d = np.maximum(x.sum(axis=0), 1)
    candidates = pruned(x.T @ x / np.sqrt(np.outer(d, d)), neighbours or 80)
    expected = plain_slim(x, alpha, l1_ratio, candidates)
    system = fitted(
        "slim", train, alpha=alpha, l1_ratio=l1_ratio, neighbours=neighbours, tolerance=1e-9, max_iter=5000
    )
    found = system.weights.toarray()
    assert np.diag(found).max() == 0
    assert (found > 0).sum() > 80
    np.testing.assert_allclose(found, expected, atol=1e-4)
    default = fitted("slim", train, alpha=alpha, l1_ratio=l1_ratio, neighbours=neighbours)
    np.testing.assert_allclose(default.weights.toarray(), expected, atol=0.02)


def test_a_sparse_gram_matrix_gives_what_a_dense_one_gives(
    train: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recspectra.models.slim.DENSE_SHARE", 0.0)
    whole = gram_matrix(train.matrix)
    dense_scores = scores_of(fitted("slim", train), train)
    monkeypatch.setattr("recspectra.models.slim.DENSE_SHARE", 1.0)
    parts = gram_matrix(train.matrix)
    assert isinstance(whole, np.ndarray)
    assert sp.issparse(parts)
    rows, columns = np.array([3, 9, 4]), np.array([0, 70])
    assert np.array_equal(submatrix(parts, rows, columns), submatrix(whole, rows, columns))
    assert np.array_equal(scores_of(fitted("slim", train), train), dense_scores)


def test_slim_shares_the_weight_of_items_with_the_same_users() -> None:
    users, items = np.repeat(np.arange(9), 4), np.tile(np.arange(4), 9)
    part = from_pairs(users, items, None, (10, 4))
    weights = fitted("slim", part, alpha=1e-6, l1_ratio=1.0).weights.toarray()  # no ridge at all
    assert np.allclose(weights.sum(axis=0), 1.0, atol=1e-3)


def test_slim_says_how_many_regressions_did_not_converge(train: Interactions) -> None:
    def late(**params: Any) -> int:
        return fitted_and_log("slim", train, **params)[1]["not_converged"]

    assert late(max_iter=1, tolerance=1e-12) > 40
    assert late() == 0


# --------------------------------------------------------------------------------- ials


def plain_als(
    x: np.ndarray, items: np.ndarray, epochs: int, penalty: float, a: float, nu: float
) -> tuple[np.ndarray, np.ndarray]:
    """Alternate row by row in float64, in the axes that were given."""

    def solve(rows: np.ndarray, factors: np.ndarray) -> np.ndarray:
        found = np.zeros((len(rows), factors.shape[1]))
        for r, row in enumerate(rows):
            own = factors[row > 0]
            ridge = penalty * (len(own) + a * rows.shape[1]) ** nu * np.eye(factors.shape[1])
            found[r] = np.linalg.solve(own.T @ own + a * factors.T @ factors + ridge, own.sum(axis=0))
        return found

    for _ in range(epochs):
        users = solve(x, items)
        items = solve(x.T, users)
    return solve(x, items), items


@pytest.mark.parametrize("dimensions", [4, 40])  # below and above the lengths of the rows
@pytest.mark.parametrize(("a", "nu"), [(0.1, 1.0), (0.5, 0.4)])
def test_ials_is_the_alternation_written_row_by_row(
    dimensions: int, a: float, nu: float, train: Interactions, x: np.ndarray
) -> None:
    from recspectra.runtime import axis_seed

    generator = np.random.default_rng(axis_seed(3, "init"))
    start = generator.normal(0, 0.1 / dimensions**0.5, (80, dimensions))
    users, items = plain_als(x, start, 5, 0.01, a, nu)
    system = fitted(
        "ials", train, 3, dimensions=dimensions, regularization=0.01, unobserved_weight=a,
        frequency_exponent=nu, epochs=5,
    )  # fmt: skip
    np.testing.assert_allclose(scores_of(system, train), users @ items.T, atol=2e-4)


def test_ials_lowers_its_objective_with_every_epoch(train: Interactions, x: np.ndarray) -> None:
    a, penalty = 0.1, 0.003

    def objective(epochs: int) -> float:
        system = fitted("ials", train, epochs=epochs, regularization=penalty, unobserved_weight=a)
        rows, items = train.matrix, system.factors.astype(np.float64)
        users = system._solve(rows, system.factors, system.values).astype(np.float64)
        s = users @ items.T
        ridge = (x.sum(axis=1) + a * 80) @ (users**2).sum(axis=1)
        ridge += (x.sum(axis=0) + a * 120) @ (items**2).sum(axis=1)
        return (x * (s - 1) ** 2).sum() + a * (s**2).sum() + penalty * ridge

    values = [objective(e) for e in (1, 2, 4, 8, 16)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.9 * values[0]


def test_both_ways_to_solve_a_row_agree_and_padding_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    z = generator.normal(size=(5, 6, 9)).astype(np.float32)
    diagonal = generator.uniform(0.5, 2, size=(5, 9)).astype(np.float32)
    expected = [
        np.linalg.solve(own.T @ own + np.diag(d), own.sum(axis=0)) for own, d in zip(z, diagonal, strict=True)
    ]
    longer = np.concatenate([z, np.zeros((5, 3, 9), dtype=np.float32)], axis=1)
    for solve in (ials.by_factors, ials.by_columns):
        np.testing.assert_allclose(solve(z, diagonal), expected, atol=2e-5)
        np.testing.assert_allclose(solve(longer, diagonal), expected, atol=2e-5)


def test_lengths_are_rounded_up_by_at_most_a_quarter() -> None:
    lengths = np.arange(1, 3000)
    found = ials.rounded(lengths)
    assert (found >= lengths).all()
    assert (found <= 1.25 * lengths).all()
    assert len(np.unique(found)) < 50
    assert np.array_equal(ials.rounded(found), found)


def test_another_seed_gives_other_factors_of_ials_but_nearly_the_same_lists(train: Interactions) -> None:
    one, two = (scores_of(fitted("ials", train, seed), train) for seed in (0, 1))
    assert not np.array_equal(one, two)
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.9


# ---------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("name", ["itemknn", "rp3beta", "slim"])
def test_more_neighbours_than_items_are_all_items(name: str, train: Interactions) -> None:
    few, many = (scores_of(fitted(name, train, neighbours=k), train) for k in (79, 10_000))
    assert np.array_equal(few, many)


@pytest.mark.parametrize(
    ("name", "history", "needed"),
    [("ease", 94_949, 100.8), ("ease", 1, 33.6), ("slim", 94_949, 134.3)],
)
def test_what_does_not_fit_is_refused_with_what_it_needs(name: str, history: int, needed: float) -> None:
    row = Interactions(np.array([0, history]), np.arange(history, dtype=np.int32), None, 94_949)
    with pytest.raises(Refused, match=f"needs about {needed} GB .* memory_gb = 16"):
        fitted(name, row)
