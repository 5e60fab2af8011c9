"""LinkProp, BSPM, HiGSP and FaGSP against their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from plain_matrices import fitted, scores_of
from polynomial_helpers import (
    both_ways,
    close,
    dense_p,
    force,
    ideal,
    value,
)

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.models import bspm, fagsp, higsp, linkprop
from recspectra.recommender import History, Refused
from recspectra.spectral.operators import degrees, normalised, power
from recspectra.spectral.polynomials import (
    complement,
)

# ------------------------------------------------------------------------------ LinkProp


def linkprop_reference(
    x: np.ndarray, shown: np.ndarray, d_user: np.ndarray, d_item: np.ndarray, exponents: tuple
) -> np.ndarray:
    beta, gamma, delta = exponents
    left = shown * power(d_item, -beta)
    return left @ (x.T * power(d_user, -gamma)) @ x * power(d_item, -delta)


@both_ways
def test_linkprop_is_its_formula(
    monkeypatch: pytest.MonkeyPatch, way: bool, train: Interactions, both: Interactions
) -> None:
    force(monkeypatch, way)
    system = fitted("linkprop", train, beta=0.3, gamma=0.8, delta=0.6)
    assert bool(system.middle.size) is way
    x, shown = train.matrix.toarray(), both.matrix.toarray()
    wanted = linkprop_reference(x, shown, *degrees(train.matrix), (0.3, 0.8, 0.6))
    assert close(scores_of(system, both), wanted)


def test_linkprop_multi_adds_the_best_links_to_the_degrees(train: Interactions) -> None:
    exponents, top, alpha = (0.3, 0.8, 0.6), 0.02, 0.4
    x = train.matrix.toarray().astype(np.float64)
    d_user, d_item = degrees(train.matrix)
    for _ in range(2):
        found = linkprop_reference(x, x, d_user, d_item, exponents) * power(d_user, -alpha)[:, None]
        found[x > 0] = 0.0
        count = int(np.ceil(top * (found > 0).sum()))
        added = found >= np.sort(found.ravel())[-count] * (1 - 2.0**-14)
        d_user, d_item = x.sum(1) + added.sum(1), x.sum(0) + added.sum(0)
    keys = dict(zip(("beta", "gamma", "delta"), exponents, strict=True))
    system = fitted("linkprop", train, rounds=2, top=top, alpha=alpha, **keys)
    found, wanted = scores_of(system, train), linkprop_reference(x, x, d_user, d_item, exponents)
    # A link more or less in a degree of dozens: pairs in the last bin of the histogram.
    assert np.median(np.abs(found - wanted) / wanted.max()) < 1e-3
    assert np.abs(found / wanted.max() - wanted / wanted.max()).max() < 0.02
    plain = scores_of(fitted("linkprop", train, **keys), train)
    assert np.abs(plain - wanted).max() / wanted.max() > 0.02


def test_links_of_the_last_bin_are_chosen_together() -> None:
    counts = np.array([100, 5, 0, 3, 2])  # bin 0 is that of pairs without a score
    assert [linkprop.lowest_bin(counts, s) for s in (0.1, 0.2, 0.3, 0.5, 0.6, 1.0)] == [4, 4, 3, 3, 1, 1]
    assert linkprop.lowest_bin(np.array([7, 0, 0]), 0.5) == 3


def test_linkprop_batches_of_links_make_no_difference(
    monkeypatch: pytest.MonkeyPatch, train: Interactions
) -> None:
    whole = fitted("linkprop", train, rounds=1, top=0.05)
    monkeypatch.setattr(linkprop, "BATCH_SCORES", 80 * 7)
    assert np.array_equal(fitted("linkprop", train, rounds=1, top=0.05).item_in, whole.item_in)


# ---------------------------------------------------------------------------------- BSPM


def bspm_reference(train: Interactions, shown: np.ndarray, **given: Any) -> np.ndarray:
    """Solve the equations step by step on dense rows."""
    p, h = dense_p(train), given["time"] / given["steps"]
    blurred, low = shown @ p, given["beta"] * (shown @ ideal(train, given["rank"]))
    state = blurred + low if given["merge"] == "early" else blurred
    points = [blurred]
    for _ in range(given["steps"]):
        if given["solver"] == "euler":
            state = state - h * (state @ p)
        else:
            k1 = -state @ p
            k2 = -(state + h / 2 * k1) @ p
            k3 = -(state + h / 2 * k2) @ p
            k4 = -(state + h * k3) @ p
            state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        points.append(state)
    end = np.mean(points, axis=0) if given["combine"] else state
    return end if given["merge"] == "early" else end + low


@both_ways
@pytest.mark.parametrize("solver", ["euler", "rk4"])
@pytest.mark.parametrize("merge", ["early", "late"])
@pytest.mark.parametrize(("combine", "steps"), [(False, 1), (True, 1), (False, 2), (True, 3)])
def test_bspm_solves_the_equations(
    monkeypatch: pytest.MonkeyPatch, train: Interactions, both: Interactions,
    way: bool, solver: str, merge: str, combine: bool, steps: int,
) -> None:  # fmt: skip
    force(monkeypatch, way)
    system = fitted(
        "bspm", train, rank=10, beta=0.3, solver=solver, merge=merge, combine=combine, sharpen_time=2.2,
        sharpen_steps=steps,
    )  # fmt: skip
    assert bool(system.dense.size) is way
    wanted = bspm_reference(
        train, both.matrix.toarray(), time=2.2, steps=steps, solver=solver, merge=merge, combine=combine,
        beta=0.3, rank=10,
    )  # fmt: skip
    assert close(scores_of(system, both), wanted)


def test_many_steps_approach_the_exponential() -> None:
    z = np.linspace(0, 1, 5)
    for solver, steps, error in (("euler", 50, 0.01), ("rk4", 5, 1e-4)):
        assert np.abs(bspm.sharpened(solver, 1.5, steps)[-1](z) - np.exp(-1.5 * z)).max() < error


# --------------------------------------------------------------------------------- HiGSP


def higsp_reference(train: Interactions, shown: np.ndarray, labels: np.ndarray, **given: Any) -> np.ndarray:
    """Form the matrices of the paper, cluster by cluster."""
    found = given["alpha1"] * (shown @ ideal(train, given["rank"]))
    found += given["alpha2"] * (shown @ value(complement(given["k2"]), dense_p(train)))
    for label in np.unique(labels):
        c = train.matrix.toarray()[labels == label].astype(np.float64)
        g = c.T @ c
        n = power(g.sum(1), -0.5)[:, None] * g * power(g.sum(0), -0.5)
        found[labels == label] += shown[labels == label] @ value(complement(given["k1"]), n)
    return found


@both_ways
@pytest.mark.parametrize("middle", [False, True])
def test_higsp_is_its_formula(
    monkeypatch: pytest.MonkeyPatch, way: bool, middle: bool, train: Interactions, both: Interactions
) -> None:
    force(monkeypatch, way)
    monkeypatch.setattr(higsp, "middle_is_faster", lambda *_: middle)
    system = fitted(
        "higsp", train, rank=9, alpha1=0.2, alpha2=0.6, order_cluster=3, order_global=7, clusters=4
    )
    assert bool(system.dense.size) is way
    assert bool(system.middles.size) is middle
    assert len(np.unique(system.labels)) == 4
    wanted = higsp_reference(
        train, both.matrix.toarray(), system.labels, rank=9, alpha1=0.2, alpha2=0.6, k1=3, k2=7
    )
    assert close(scores_of(system, both), wanted)


@pytest.mark.parametrize("clustering", ["kmeans", "gmm-diag", "gmm-full"])
def test_users_of_a_community_are_clustered_together(clustering: str) -> None:
    x = np.kron(np.eye(3), np.ones((10, 8)))
    x[np.random.default_rng(0).random(x.shape) < 0.2] = 0
    labels = higsp.clusters(sp.csr_array(x), 3, clustering, 1, 16.0)
    assert all(len(np.unique(labels[start : start + 10])) == 1 for start in (0, 10, 20))
    assert sorted(np.unique(labels)) == [0, 1, 2]


@pytest.mark.parametrize("clustering", ["kmeans", "gmm-diag"])
def test_users_without_interactions_have_a_cluster_and_do_not_shape_any(clustering: str) -> None:
    x = np.kron(np.eye(2), np.ones((10, 8)))
    x[0, 0] = x[12, 9] = 0
    alone = higsp.clusters(sp.csr_array(x), 2, clustering, 1, 16.0)
    more = higsp.clusters(sp.csr_array(np.vstack([x, np.zeros((30, 16))])), 2, clustering, 1, 16.0)
    assert np.array_equal(more[:20], alone)
    assert len(np.unique(more[20:])) == 1


def test_more_clusters_than_users_and_equal_users_are_no_error(recwarn: Any) -> None:
    x = sp.csr_array(np.ones((4, 5)))
    assert np.array_equal(np.unique(higsp.clusters(x, 9, "kmeans", 0, 16.0)), [0])
    assert np.array_equal(higsp.clusters(x, 1, "kmeans", 0, 16.0), np.zeros(4))


def test_a_mixture_that_does_not_fit_is_refused() -> None:
    with pytest.raises(Refused, match=r"gmm-full needs about 15.9 GB .* memory_gb = 8"):
        higsp.check_memory((22_363, 12_101), 3, "full", 8.0)
    higsp.check_memory((22_363, 12_101), 3, "diag", 8.0)


# --------------------------------------------------------------------------------- FaGSP


def fagsp_reference(train: Interactions, high: np.ndarray, **given: Any) -> np.ndarray:
    """The matrices of the paper on the fitted interactions, m x m included."""
    x = train.matrix.toarray().astype(np.float64)
    r = normalised(train.matrix).toarray()
    _, d_item = degrees(train.matrix)
    items = x @ value(complement(given["o1"]), r.T @ r)
    users = value(complement(given["o2"]), r @ r.T) @ x
    z = x @ (power(d_item, -0.5)[:, None] * (high @ high.T) * power(d_item, 0.5))
    above = z - np.quantile(z, given["q"], axis=0) > 1e-12 * np.abs(z).max()
    weighted = x * (1 + given["alpha2"] * above)
    d_user, d_item = weighted.sum(1), weighted.sum(0)
    normal = power(d_user, -0.5)[:, None] * weighted * power(d_item, -0.5)
    low = np.linalg.svd(normal)[2][: given["rank"]].T
    cascade = weighted @ (power(d_item, -0.5)[:, None] * (low @ low.T) * power(d_item, 0.5))
    return items + users + given["alpha1"] * cascade


@both_ways
@pytest.mark.parametrize("null_space", ["drop", "keep"])
def test_fagsp_is_its_formula_with_the_matrix_of_users(
    monkeypatch: pytest.MonkeyPatch, way: bool, null_space: str, train: Interactions
) -> None:
    force(monkeypatch, way)
    monkeypatch.setattr(fagsp, "ENTRIES_AT_ONCE", 500)
    system = fitted(
        "fagsp", train, rank_high=12, rank=9, alpha1=0.6, alpha2=0.4, order_item=5, order_user=7,
        quantile=0.83, null_space=null_space,
    )  # fmt: skip
    assert bool(system.dense_items.size) is bool(system.dense_users.size) is way
    high = fagsp.lowest(train.matrix, 12, null_space == "drop")[1]
    wanted = fagsp_reference(train, high, rank=9, alpha1=0.6, alpha2=0.4, o1=5, o2=7, q=0.83)
    assert close(scores_of(system, train), wanted)


def test_the_lowest_vectors_are_those_of_the_thin_decomposition() -> None:
    x = sp.csr_array((np.random.default_rng(3).random((12, 20)) < 0.4).astype(np.float32))
    values, vectors = fagsp.lowest(x, 4, False)
    _, singular, right = np.linalg.svd(normalised(x).toarray(), full_matrices=False)
    assert np.allclose(values, singular[::-1][:4] ** 2)
    assert np.allclose(np.abs((right[::-1][:4] * vectors.T).sum(1)), 1)


def test_singular_values_of_zero_are_dropped_with_items_that_nobody_has() -> None:
    x = (np.random.default_rng(4).random((60, 20)) < 0.4).astype(np.float32)
    x[:, 5], x[:, 7] = 0, x[:, 3]  # no users; the same users as another item
    values, vectors = fagsp.lowest(sp.csr_array(x), 20, True)
    assert values.shape == (18,)
    assert values.min() > 1e-4
    assert not vectors[5].any()
    assert np.allclose(vectors.T @ vectors, np.eye(18))
    kept = fagsp.lowest(sp.csr_array(x), 3, False)[0]
    assert np.allclose(kept[:2], 0, atol=1e-12)
    assert np.isclose(kept[2], values[0])


def test_more_zeros_than_expected_are_all_dropped() -> None:
    half = (np.random.default_rng(5).random((90, 40)) < 0.3).astype(np.float32)
    x = sp.csr_array(np.hstack([half, half]))  # every item twice: 40 zeros
    values, _ = fagsp.lowest(x, 4, True)
    assert values.shape == (4,)
    assert values.min() > 1e-4


def test_quantiles_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    left, right = (rng.standard_normal((size, 3)).astype(np.float32) for size in (50, 11))
    monkeypatch.setattr(fagsp, "ENTRIES_AT_ONCE", 120)
    found = fagsp.column_quantiles(left, right, 0.7)
    assert np.allclose(found, np.quantile(left @ right.T, 0.7, axis=0), atol=1e-5)


def small_z(users: int) -> sp.csr_array:
    """A matrix whose lowest vectors make a Z of .002 in the median, as on real data."""
    return sp.csr_array((np.random.default_rng(0).random((users, 400)) < 0.2).astype(np.float32))


@pytest.mark.parametrize(("users", "share"), [(401, 0.7), (400, 0.7), (401, 0.5)])
def test_flags_are_those_of_exact_quantiles(users: int, share: float) -> None:
    """With 401 users the quantiles are entries, so equal to themselves and not above."""
    x = small_z(users)
    high, d_item = fagsp.lowest(x, 20, True)[1], degrees(x)[1]
    inward, outward = power(d_item, -0.5)[:, None] * high, power(d_item, 0.5)[:, None] * high
    z = x.toarray().astype(np.float64) @ inward @ outward.T
    limits = np.quantile(z, share, axis=0)
    distance = np.abs(z - limits)[x.toarray() > 0]
    assert ((distance > 1e-9) & (distance < 3e-6)).any()  # near to a quantile and not equal to it
    wanted = (z > limits + 1e-12)[np.repeat(np.arange(users), np.diff(x.indptr)), x.indices]
    found_limits = fagsp.column_quantiles(x.astype(np.float64) @ inward, outward, share)
    found = fagsp.exceeds(x, inward, outward, found_limits)
    assert found.dtype == bool
    assert np.array_equal(found, wanted)
    assert 0.2 < found.mean() < 0.9
    alone = [fagsp.exceeds(x[[user]], inward, outward, found_limits) for user in range(users)]
    assert np.array_equal(np.concatenate(alone), found)


def test_a_fitted_model_raises_what_exceeds_exact_quantiles() -> None:
    """The whole way: no step between the vectors and the weights is rounded to float32."""
    x = small_z(401)
    users = np.repeat(np.arange(401), np.diff(x.indptr))
    train = from_pairs(users, x.indices, None, x.shape)
    system = fitted("fagsp", train, rank_high=20, rank=9, alpha1=0.6, alpha2=0.4, order_item=5, order_user=7)
    high = fagsp.lowest(train.matrix, 20, True)[1]
    wanted = fagsp_reference(train, high, rank=9, alpha1=0.6, alpha2=0.4, o1=5, o2=7, q=0.7)
    assert close(scores_of(system, train), wanted)


def test_leading_vectors_of_few_and_of_many() -> None:
    r = normalised(sp.csr_array((np.random.default_rng(7).random((90, 40)) < 0.3).astype(np.float32)))
    few, many = fagsp.leading_vectors(r, 5), fagsp.leading_vectors(r, 20)[:, :5]
    assert np.allclose(few @ few.T, many @ many.T, atol=1e-5)
    with pytest.raises(Refused, match="rank 41 exceeds the size 40 of the graph; .* such as `rank=10`"):
        fagsp.leading_vectors(r, 41)


def test_leading_vectors_of_many_components_are_complete() -> None:
    part = normalised(sp.csr_array((np.random.default_rng(8).random((9, 6)) < 0.5).astype(np.float32)))
    r = sp.csr_array(sp.block_diag([part] * 70))
    vectors = fagsp.leading_vectors(r, 70)
    assert np.allclose(((r @ vectors) ** 2).sum(0), 1.0, atol=1e-5)  # each of the 70 has the value 1 once
    assert np.allclose(vectors.T @ vectors, np.eye(70), atol=1e-5)


def test_fagsp_refuses_what_does_not_fit(train: Interactions) -> None:
    with pytest.raises(Refused, match=r"needs about 201.5 GB .* memory_gb = 16"):
        fagsp.check_memory(94_949, 16.0)
    with pytest.raises(Refused, match="memory_gb"):
        fitted("fagsp", train, memory_gb=1e-6)


def test_another_history_is_weighted_and_filtered_anew(train: Interactions) -> None:
    system = fitted("fagsp", train, rank_high=10, rank=8)
    one = from_pairs(np.array([0, 0]), np.array([3, 9]), np.zeros(2), (train.n_users, train.n_items))
    other = from_pairs(np.array([5, 5]), np.array([3, 9]), np.zeros(2), (train.n_users, train.n_items))
    found = system.score(np.array([0]), History.of(one, np.array([0])))
    assert np.array_equal(found, system.score(np.array([5]), History.of(other, np.array([5]))))
    assert not close(found, system.score(np.array([0]), History.of(train, np.array([0]))))
