"""GF-CF, PGSP, SGFCF and the variants of GSPRec equal their formulas, written densely and plainly."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from plain_matrices import (
    CATALOG,
    both_sides,
    dense,
    fitted,
    leading_vectors,
    relative_error,
    scores_of,
    task_of,
    to_power,
)

from recspectra.config.base import ConfigError
from recspectra.config.model import RunConfig, spectra_of
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.models import sgfcf as sgfcf_module
from recspectra.models.sgfcf import homophily, over_row_sums, pair_share, raised, spread
from recspectra.recommender import History, Refused, Run, Task, create
from recspectra.spectral import operators


@pytest.fixture(params=[0.0, np.inf], ids=["dense-similarity", "sparse-similarity"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to multiply by a similarity, whatever the data."""
    monkeypatch.setattr(operators, "SPARSE_SHARE", request.param)
    monkeypatch.setattr(sgfcf_module, "SPARSE_SHARE", request.param)


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
    found = scores_of(fitted("gfcf", train, rank=rank, alpha=alpha), both)
    assert relative_error(found, dense(both) @ (p + alpha * ideal)) < 1e-4


def test_a_spectrum_that_was_not_prepared_is_named(train: Interactions) -> None:
    with pytest.raises(KeyError, match="spectrum 'item-similarity' was not prepared"):
        create(CATALOG.model("gfcf"), CATALOG.model("gfcf").resolve({})).fit(Task(train, None, True), Run())


# ---------------------------------------------------------------------------------- PGSP


def pgsp_scores(train: Interactions, history: Interactions, p: dict[str, Any]) -> np.ndarray:
    """Every matrix formed: C_U, C_I, X_b and the filter of all nodes."""
    x, shown = dense(train), dense(history)
    m = len(x)
    d_user, d_item = x.sum(axis=1), x.sum(axis=0)
    r_user, r_item = to_power(d_user, -0.5) @ x, x @ to_power(d_item, -0.5)
    a = both_sides(np.block([[r_item @ r_item.T, x], [x.T, r_user.T @ r_user]]))
    _, w = leading_vectors(a, p["rank"])
    r = to_power(d_user, -0.5) @ x @ to_power(d_item, -0.5)
    r_shown = to_power(shown.sum(axis=1), -0.5) @ shown @ to_power(d_item, -0.5)
    d_b = np.hstack([r @ r.T, x]).sum(axis=0)
    signal = np.hstack([r_shown @ r.T, shown])
    low = (signal @ to_power(d_b, -0.5) @ w @ w.T @ to_power(d_b, 0.5))[:, m:]
    linear = shown @ (r.T @ r)
    if p["linear"] == "balanced":
        linear = shown @ to_power(d_item, -0.5) @ r.T @ r @ to_power(d_item, 0.5)
    return p["phi"] * linear + (1.0 - p["phi"]) * low


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("linear", ["balanced", "plain"])
@pytest.mark.parametrize(("rank", "phi"), [(9, 0.7), (30, 0.2), (9, 0.0), (9, 1.0)])
def test_pgsp_equals_its_formulas(
    train: Interactions, both: Interactions, rank: int, phi: float, linear: str
) -> None:
    p = CATALOG.model("pgsp").resolve({"rank": rank, "phi": phi, "linear": linear})
    system = fitted("pgsp", train, **p)
    for history in (train, both):
        assert relative_error(scores_of(system, history), pgsp_scores(train, history, p)) < 1e-4


@pytest.mark.parametrize("name", ["pgsp", "sgfcf"])
def test_users_without_history_score_0(name: str, train: Interactions) -> None:
    nobody = from_pairs(np.array([1]), np.array([4]), None, train.shape)
    scores = scores_of(fitted(name, train, rank=8), nobody)
    assert scores[1].any()
    assert not scores[0].any()


# --------------------------------------------------------------------------------- SGFCF


def plain_homophily(x: np.ndarray) -> np.ndarray:
    """Share of pairs of a row's columns that occur together in another row, pair by pair."""
    ratios = []
    for row in range(len(x)):
        pairs = list(itertools.combinations(np.flatnonzero(x[row]), 2))
        others = np.delete(x, row, axis=0)
        common = [bool((others[:, i] * others[:, j]).any()) for i, j in pairs]
        ratios.append(np.mean(common) if pairs else 0.0)
    return np.array(ratios)


def sgfcf_scores(train: Interactions, history: Interactions, p: dict[str, Any]) -> np.ndarray:
    """By the SVD of R_g; the rows of U of a history that was not fitted are r V / s."""
    x, shown = dense(train), dense(history)
    d_user, d_item, length = x.sum(axis=1), x.sum(axis=0), shown.sum(axis=1)
    item = to_power(d_item + p["alpha"], -p["eps"])
    r = to_power(d_user + p["alpha"], -p["eps"]) @ x @ item
    r_shown = to_power(length + p["alpha"], -p["eps"]) @ shown @ item
    u, s, vt = (part for part in np.linalg.svd(r, full_matrices=False))
    u, s, v = u[:, : p["rank"]], s[: p["rank"]], vt[: p["rank"]].T
    if history is not train:
        u = r_shown @ v / s
    t = s / s.max()
    if p["exponents"] == "shared":
        low = u @ np.diag(t ** (2 * p["beta"])) @ v.T
    else:
        of_users, of_items = (plain_homophily(part) for part in (x, x.T))
        scale = lambda h: p["beta_low"] + (p["beta_high"] - p["beta_low"]) * (h - h.min()) / np.ptp(h)  # noqa: E731
        low = (u * t ** scale(of_users)[:, None]) @ (v * t ** scale(of_items)[:, None]).T
    high = r_shown @ r.T @ r
    return summed(low, p["row_sums"]) + p["gamma"] * summed(high, p["row_sums"])


def summed(block: np.ndarray, row_sums: str) -> np.ndarray:
    magnitudes = {"signed": block, "absolute": np.abs(block)}.get(row_sums)
    return block if magnitudes is None else block / magnitudes.sum(axis=1, keepdims=True)


SETTINGS = [
    {"rank": 16},
    {"rank": 11, "eps": 0.5, "alpha": 4.0, "beta": 1.3, "gamma": 0.8, "row_sums": "signed"},
    {"rank": 25, "eps": 0.2, "beta": 0.4, "gamma": 2.0, "row_sums": "none"},
    {"rank": 16, "exponents": "individual", "beta_low": 0.3, "beta_high": 2.0, "gamma": 0.5},
]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_sgfcf_equals_its_singular_value_decomposition(
    train: Interactions, both: Interactions, settings: dict[str, Any]
) -> None:
    p = CATALOG.model("sgfcf").resolve(settings)
    system = fitted("sgfcf", train, **settings)
    for history in (train, both):
        assert relative_error(scores_of(system, history), sgfcf_scores(train, history, p)) < 2e-4


def test_triplets_without_signal_are_left_out() -> None:
    """Rank 2 of 4: the other singular values are 0, and their inverse must not appear."""
    twice = from_pairs(np.repeat(np.arange(4), 2), np.array([0, 1, 0, 1, 2, 3, 2, 3]), None, (4, 4))
    system = fitted("sgfcf", twice, rank=4, beta=0.1)
    found = scores_of(system, twice)
    assert np.allclose(found, np.kron(np.eye(2), np.full((2, 2), 0.5)), atol=1e-5)


def test_what_a_row_is_divided_by() -> None:
    block = np.array([[3.0, -1.0], [-3.0, 1.0], [0.0, 0.0], [1.0, -1.0]])
    assert over_row_sums(block, "none") is block
    assert over_row_sums(block, "absolute").tolist() == [[0.75, -0.25], [-0.75, 0.25], [0, 0], [0.5, -0.5]]
    # A negative sum turns the second row around.
    assert over_row_sums(block, "signed").tolist() == [[1.5, -0.5], [1.5, -0.5], [0, 0], [1, -1]]


def test_powers_of_single_exponents() -> None:
    found = raised(np.array([1.0, 0.5, 0.0]), np.array([0.0, 1.0, 2.0]))
    assert np.allclose(found, [[1, 1, 0], [1, 0.5, 0], [1, 0.25, 0]])


def test_exponents_are_linear_in_the_ratio() -> None:
    assert np.allclose(spread(np.array([0.2, 0.6, 0.4]), 1.0, 2.0), [1.0, 2.0, 1.5])
    assert spread(np.array([0.3, 0.3]), 0.7, 1.1).tolist() == [0.7, 0.7]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("entries", [1, 500, 10**9])
def test_homophily_equals_a_count_pair_by_pair(
    train: Interactions, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sgfcf_module, "BLOCK_ENTRIES", entries)
    of_users, of_items = homophily(train.matrix)
    x = dense(train)
    assert np.allclose(of_users, plain_homophily(x), atol=1e-12)
    assert np.allclose(of_items, plain_homophily(x.T), atol=1e-12)
    assert np.ptp(of_users) > 0 < np.ptp(of_items)


def test_individual_exponents_are_those_of_the_user(train: Interactions) -> None:
    system = fitted("sgfcf", train, rank=16, exponents="individual", beta_low=0.3, beta_high=2.0)
    whole, some = scores_of(system, train), np.array([90, 7, 33])
    found = system.score(some, History.of(train, some))
    assert np.allclose(found, whole[some], atol=1e-6)
    assert not np.allclose(system.score(some[::-1], History.of(train, some)), whole[some], atol=1e-4)


def test_homophily_of_columns_without_pairs_is_0() -> None:
    part = from_pairs(np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 0, 1, 2, 1]), None, (4, 4))
    # Rows 0 and 1 share columns 0 and 1; row 3 has column 1 alone; columns 2 and 3 have no pair.
    assert pair_share(part.matrix).tolist() == pytest.approx([1.0, 1 / 3, 0.0, 0.0])


# -------------------------------------------------------------------------------- GSPRec


def gsprec_scores(train: Interactions, history: Interactions, p: dict[str, Any]) -> np.ndarray:
    """Y of Eqs. 2 to 11 with every matrix formed, C_U included; the sum of Eq. 2 may be empty."""
    x, shown, s = dense(train), dense(history), np.zeros((train.n_items, train.n_items))
    for user in range(train.n_users):
        for first, second in zip(train.sequence(user)[:-1], train.sequence(user)[1:], strict=True):
            s[first, second] = s[second, first] = 1.0
    hops = [p["decay"] ** (k - 1) * np.linalg.matrix_power(s, k) for k in range(1, p["depth"] + 1)]
    m, total = len(x), sum(hops, np.zeros_like(s))
    graph = both_sides(np.block([[np.zeros((m, m)), x], [x.T, both_sides(total)]]))
    values, u = leading_vectors(graph, p["rank"])
    all_values = np.linalg.eigvalsh(graph) if p["eigenvalue_range"] == "full" else values
    position = (all_values.max() - values) / np.ptp(all_values)
    g = np.diag(np.exp(-((position - p["center"]) ** 2) / p["width"]))
    d_i = x.sum(axis=0)
    of_items = to_power(d_i, -0.5 if p["user_similarity"] == "pgsp" else 0.0)
    x_u, shown_u = (to_power(a.sum(axis=1), -0.5) @ a @ of_items for a in (x, shown))
    d_b = np.concatenate([(x_u @ x_u.T).sum(axis=0), d_i])
    x_b = np.hstack([shown_u @ x_u.T, shown])  # [C_U, X]
    passed = np.diag(position <= p["low_cut"] + 1e-9)
    low = (x_b @ to_power(d_b, -0.5) @ u @ passed @ u.T @ to_power(d_b, 0.5))[:, m:]
    right = to_power(d_i, -0.5 if p["eq8"] == "literal" else 0.5)
    band = shown @ to_power(d_i, -0.5) @ u[m:] @ g @ u[m:].T @ right
    if p["eq8"] == "augmented":
        band = (x_b @ to_power(d_b, -0.5) @ u @ g @ u.T @ to_power(d_b, 0.5))[:, m:]
    return p["phi"] * band + (1.0 - p["phi"]) * low


GSPREC = {
    "default": {"rank": 12, "phi": 0.5},
    "other": {"rank": 25, "phi": 0.9, "center": 0.6, "width": 0.3, "depth": 3, "decay": 0.25},
    "pgsp": {"rank": 25, "phi": 0.3, "user_similarity": "pgsp"},
    "pgsp-cut": {"rank": 25, "phi": 0.3, "user_similarity": "pgsp", "low_cut": 0.4},
    "NB": {"rank": 14, "center": 0.4, "phi": 0.0},
    "NL": {"rank": 14, "center": 0.4, "phi": 1.0},
    "NS": {"rank": 14, "center": 0.4, "depth": 0},
    "SE": {"rank": 14, "center": 0.4, "depth": 1},
}


@pytest.mark.parametrize("settings", GSPREC.values(), ids=list(GSPREC))
@pytest.mark.parametrize("eigenvalue_range", ["truncated", "full"])
@pytest.mark.parametrize("eq8", ["literal", "balanced", "augmented"])
def test_gsprec_equals_its_equations_in_every_reading(
    train: Interactions, both: Interactions, eq8: str, eigenvalue_range: str, settings: dict[str, Any]
) -> None:
    reading = settings | {"eq8": eq8, "eigenvalue_range": eigenvalue_range}
    p = CATALOG.model("gsprec").resolve(reading)
    system = fitted("gsprec", train, **reading)
    for history in (train, both):
        assert relative_error(scores_of(system, history), gsprec_scores(train, history, p)) < 1e-4


@pytest.mark.parametrize(
    ("settings", "products"),
    [
        ({"eq8": "balanced"}, 1),
        ({"eq8": "augmented"}, 1),
        ({"eq8": "literal"}, 2),
        ({"eq8": "literal", "phi": 0.0}, 1),
        ({"eq8": "literal", "phi": 1.0}, 1),
    ],
    ids=str,
)
def test_filters_that_end_alike_are_one_product(
    train: Interactions, settings: dict[str, Any], products: int
) -> None:
    system = fitted("gsprec", train, rank=10, **settings)
    assert all(getattr(system, name).shape == (80, 10 * products) for name in system.state_names)


def test_a_band_that_holds_no_eigenvalue_scores_0(train: Interactions) -> None:
    for eq8 in ("literal", "balanced", "augmented"):
        system = fitted("gsprec", train, rank=4, phi=1.0, center=1.0, width=1e-6, eq8=eq8)
        assert not scores_of(system, train).any()


def test_gsprec_without_the_sequence_graph_needs_no_order(train: Interactions) -> None:
    system = fitted("gsprec", train, ordered=False, depth=0, rank=8)
    assert np.array_equal(
        scores_of(system, train), scores_of(fitted("gsprec", train, depth=0, rank=8), train)
    )
    for depth in (1, 2):
        with pytest.raises(Refused, match=r"order of interactions.*depth 0 leaves the sequence graph out"):
            fitted("gsprec", train, ordered=False, depth=depth, rank=8)


def test_depth_0_is_within_bounds_and_below_is_not() -> None:
    config = CATALOG.model("gsprec")
    run = RunConfig(model="gsprec", params=config.resolve({"depth": 0, "rank": 32}))
    assert spectra_of(config, run) == [("unified-d0-a0.4@train", 32)]
    with pytest.raises(ConfigError, match="depth"):
        config.resolve({"depth": -1})


def fit_log(train: Interactions, **params: Any) -> tuple[dict[str, Any], list[str]]:
    """The log of a fit and its warnings."""
    config, task = CATALOG.model("gsprec"), task_of("gsprec", train, rank=2, **params)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log = create(config, config.resolve({"rank": 2, **params})).fit(task, Run())
    return log, [str(w.message) for w in caught if w.filename == __file__]


def test_a_decay_beyond_the_condition_of_lemma_1_is_said_and_fitted(train: Interactions) -> None:
    log, said = fit_log(train)
    s = operators.transition_graph(train).toarray()
    radius = np.linalg.eigvalsh(s)[-1]
    assert log["spectral_radius"] == pytest.approx(radius, rel=1e-5)
    assert log["alpha_limit"] == pytest.approx(1.0 / radius, rel=1e-5)
    assert said == [log["note"]]
    assert (
        f"decay 0.4 does not satisfy the paper's condition alpha < 1 / rho(S') = {1 / radius:.4g}" in said[0]
    )
    assert "nothing diverges" in said[0]


def test_a_decay_within_the_condition_is_not_remarked_upon() -> None:
    chain = from_pairs(np.repeat([0, 1, 2], 2), np.array([0, 1, 2, 3, 4, 5]), None, (3, 6))
    log, said = fit_log(chain)  # three single edges: rho = 1
    assert (log["spectral_radius"], log["alpha_limit"]) == (pytest.approx(1.0), pytest.approx(1.0))
    assert said == []
    assert "note" not in log


@pytest.mark.parametrize("depth", [0, 1])
def test_where_decay_plays_no_part_its_condition_is_not_looked_at(train: Interactions, depth: int) -> None:
    log, said = fit_log(train, depth=depth)
    assert said == []
    assert not {"note", "spectral_radius", "alpha_limit"} & set(log)


def test_published_settings_are_those_of_table_3() -> None:
    best = CATALOG.model("gsprec").best
    table = {
        "ml-100k.higsp": (0.5, 0.2, 0.1, 32),
        "ml-1m": (0.3, 0.8, 0.1, 128),
        "netflix": (0.3, 0.4, 0.3, 256),
        "amazon-beauty.higsp": (0.5, 0.8, 0.3, 512),
    }
    for dataset, values in table.items():
        assert tuple(best[dataset][name] for name in ("phi", "center", "width", "rank")) == values
    assert set(best) <= set(CATALOG.names("datasets"))
