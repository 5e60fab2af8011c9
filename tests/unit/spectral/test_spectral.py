"""Floor 2: operators equal the matrices of the papers, eigenpairs are right, schedules too."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recspectra.config.model import PlannedRun, RunConfig
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.files import ArtifactError, write_npz
from recspectra.papers.gsprec import response_points
from recspectra.spectral import eigen
from recspectra.spectral.eigen import SpectrumError, leading
from recspectra.spectral.filters import gaussian_bandpass, ideal_lowpass, rescaled
from recspectra.spectral.operators import (
    Bipartite,
    ItemSimilarity,
    Operator,
    OperatorError,
    UnifiedGraph,
    build,
    degrees,
    power,
    transition_graph,
)
from recspectra.spectral.schedules import SCHEDULES, log_snr, schedule
from recspectra.spectral.spectrum import Spectrum

NAMES = ["item-similarity", "bipartite", "unified-d1-a0.4", "unified-d2-a0.4", "unified-d5-a0.9"]


def of_rows(rows: list[list[int]], n_items: int) -> Interactions:
    users = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    return from_pairs(users, np.array([i for r in rows for i in r], dtype=int), None, (len(rows), n_items))


@pytest.fixture(scope="module")
def holes() -> Interactions:
    """Users 0, 3 and 6 have nothing, users 2 and 5 one item; nobody has items 0, 5 and 9."""
    return of_rows([[], [1, 2, 3, 7], [4], [], [3, 2, 8, 1], [6], []], 10)


@pytest.fixture(scope="module", params=["tiny", "holes"])
def train(request: pytest.FixtureRequest, tiny: dict[str, Interactions], holes: Interactions) -> Interactions:
    return tiny["train"] if request.param == "tiny" else holes


# ---------------------------------------------------------------- the formulas, formed


def binary(train: Interactions) -> np.ndarray:
    x = np.zeros(train.shape)
    for user in range(train.n_users):
        for item in train.sequence(user):
            x[user, item] = 1.0
    return x


def inverse_root(degree: np.ndarray) -> np.ndarray:
    """D^-1/2, with 0 for a node of degree 0."""
    return np.diag([1.0 / math.sqrt(d) if d > 0 else 0.0 for d in degree])


def transitions(train: Interactions) -> np.ndarray:
    """S' of GSPRec: joined if one directly precedes the other in any sequence."""
    s = np.zeros((train.n_items, train.n_items))
    for user in range(train.n_users):
        row = train.sequence(user)
        for first, second in zip(row[:-1], row[1:], strict=True):
            if first != second:
                s[first, second] = s[second, first] = 1.0
    return s


def diffused(s: np.ndarray, depth: int, decay: float) -> np.ndarray:
    """S~ of Eqs. 2 and 3."""
    total = sum(decay ** (k - 1) * np.linalg.matrix_power(s, k) for k in range(1, depth + 1))
    return inverse_root(total.sum(axis=1)) @ total @ inverse_root(total.sum(axis=1))


def formed_item_similarity(train: Interactions) -> np.ndarray:
    x = binary(train)
    r = inverse_root(x.sum(axis=1)) @ x @ inverse_root(x.sum(axis=0))
    return r.T @ r


def formed_bipartite(train: Interactions) -> np.ndarray:
    x = binary(train)
    m, n = x.shape
    a = np.block([[np.zeros((m, m)), x], [x.T, np.zeros((n, n))]])
    return inverse_root(a.sum(axis=1)) @ a @ inverse_root(a.sum(axis=1))


def formed_unified(train: Interactions, depth: int, decay: float) -> np.ndarray:
    """I - L of Eqs. 5 and 6."""
    x = binary(train)
    a = np.block([[np.zeros((len(x), len(x))), x], [x.T, diffused(transitions(train), depth, decay)]])
    return inverse_root(a.sum(axis=1)) @ a @ inverse_root(a.sum(axis=1))


# ------------------------------------------------------------------------------ operators


def test_item_similarity_equals_its_formula(train: Interactions) -> None:
    assert np.allclose(ItemSimilarity(train).formed(), formed_item_similarity(train), atol=1e-12)


def test_bipartite_equals_its_formula(train: Interactions) -> None:
    assert np.allclose(Bipartite(train).formed(), formed_bipartite(train), atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("decay", [0.05, 0.4, 0.95])
def test_unified_graph_equals_equations_2_to_6(train: Interactions, depth: int, decay: float) -> None:
    found = UnifiedGraph(train, depth, decay).formed()
    assert np.allclose(found, formed_unified(train, depth, decay), atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_operators_are_symmetric_with_a_spectrum_in_their_interval(name: str, train: Interactions) -> None:
    operator = build(name, train)
    formed = operator.formed()
    assert np.allclose(formed, formed.T, atol=1e-12)
    values = np.linalg.eigvalsh(formed)
    low, high = operator.interval
    assert low - 1e-9 <= values[0]
    assert values[-1] <= high + 1e-9
    assert values[-1] == pytest.approx(1.0)  # the normalised graph has a component


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_and_a_block_give_the_same_products(name: str, train: Interactions) -> None:
    operator = build(name, train)
    block = np.random.default_rng(0).standard_normal((operator.size, 3))
    columns = [operator @ block[:, j] for j in range(3)]
    assert np.allclose(operator @ block, np.stack(columns, axis=1), atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_nodes_without_edges_get_zeros(name: str, holes: Interactions) -> None:
    formed = build(name, holes).formed()
    offset = 0 if name == "item-similarity" else holes.n_users
    lonely = [offset + i for i in (0, 5, 9)] + ([0, 3, 6] if offset else [])
    assert np.isfinite(formed).all()
    assert (formed[lonely] == 0).all()


def test_transition_graph_equals_a_loop_over_sequences(train: Interactions) -> None:
    found = transition_graph(train)
    assert np.array_equal(found.toarray(), transitions(train))
    assert set(found.data) == {1.0}


def test_transitions_do_not_cross_users_nor_join_an_item_with_itself() -> None:
    found = transition_graph(of_rows([[2], [0, 1], [], [2, 2], [3, 0], [1]], 4)).toarray()
    assert sorted(zip(*np.nonzero(found), strict=True)) == [(0, 1), (0, 3), (1, 0), (3, 0)]


@pytest.mark.parametrize("rows", [[[]], [[], []], [[2]], [[], [1], []]])
def test_transition_graph_of_next_to_nothing_is_empty(rows: list[list[int]]) -> None:
    assert transition_graph(of_rows(rows, 4)).nnz == 0


def test_transitions_follow_time_and_not_item_ids() -> None:
    users, items, times = np.zeros(3, int), np.array([0, 1, 2]), np.array([5.0, 9.0, 7.0])
    found = transition_graph(from_pairs(users, items, times, (1, 3))).toarray()
    assert np.array_equal(found, [[0, 0, 1], [0, 0, 1], [1, 1, 0]])


def test_spectral_radius_is_the_largest_eigenvalue_of_the_transitions(tiny: dict[str, Interactions]) -> None:
    expected = np.abs(np.linalg.eigvalsh(transitions(tiny["train"]))).max()
    assert UnifiedGraph(tiny["train"], 2, 0.4).spectral_radius() == pytest.approx(expected, rel=1e-6)
    assert UnifiedGraph(of_rows([[1]], 3), 2, 0.4).spectral_radius() == 0.0


@pytest.mark.parametrize(("depth", "decay"), [(0, 0.4), (2, 0.0), (2, 1.0), (2, -0.1)])
def test_unified_graph_refuses_parameters_out_of_bounds(
    holes: Interactions, depth: int, decay: float
) -> None:
    with pytest.raises(OperatorError, match="depth"):
        UnifiedGraph(holes, depth, decay)


def test_operators_are_built_by_name(holes: Interactions) -> None:
    unified = build("unified-d3-a1e-05", holes)
    assert (unified.depth, unified.decay) == (3, 1e-05)
    with pytest.raises(OperatorError, match="unknown operator 'unified-d2'; known: item-similarity"):
        build("unified-d2", holes)


def test_degrees_and_their_powers() -> None:
    users, items = degrees(of_rows([[0, 1, 2], [], [2]], 4).matrix)
    assert (users.tolist(), items.tolist()) == ([3, 0, 1], [1, 1, 2, 0])
    assert power(items, -0.5).tolist() == pytest.approx([1, 1, 0.5**0.5, 0])
    assert power(items, 0.5).tolist() == pytest.approx([1, 1, 2**0.5, 0])


# ---------------------------------------------------------------------------- eigenpairs


@pytest.mark.parametrize("name", NAMES)
def test_dense_and_arpack_agree(name: str, tiny: dict[str, Interactions]) -> None:
    operator = build(name, tiny["train"])
    dense, arpack = (leading(operator, 12, solver) for solver in ("dense", "arpack"))
    assert (dense.solver, arpack.solver) == ("dense", "arpack")
    assert np.allclose(dense.values, arpack.values, atol=1e-6)
    assert dense.lowest == pytest.approx(arpack.lowest, abs=1e-3)
    same = dense.vectors.T.astype(float) @ arpack.vectors  # sign convention included
    assert np.allclose(same, np.eye(12), atol=2e-3)


@pytest.mark.parametrize("solver", ["dense", "arpack"])
@pytest.mark.parametrize("name", NAMES)
def test_eigenpairs_solve_the_eigenproblem(name: str, solver: str, tiny: dict[str, Interactions]) -> None:
    operator = build(name, tiny["train"])
    found = leading(operator, 10, solver)
    formed, vectors = operator.formed(), found.vectors.astype(float)
    residuals = np.linalg.norm(formed @ vectors - vectors * found.values, axis=0)
    assert np.allclose(residuals, found.residuals, atol=1e-9)
    assert residuals.max() < 1e-5
    assert np.allclose(found.values, np.linalg.eigvalsh(formed)[::-1][:10], atol=1e-6)
    assert np.allclose(vectors.T @ vectors, np.eye(10), atol=1e-5)
    assert found.vectors.dtype == np.float32


@pytest.mark.parametrize("solver", ["dense", "arpack"])
def test_the_entry_of_largest_magnitude_is_positive(solver: str, tiny: dict[str, Interactions]) -> None:
    vectors = leading(build("bipartite", tiny["train"]), 20, solver).vectors
    assert (vectors[np.abs(vectors).argmax(axis=0), range(20)] > 0).all()


def test_a_rank_beyond_the_size_gives_all_pairs(tiny: dict[str, Interactions]) -> None:
    operator = build("item-similarity", tiny["train"])
    found = leading(operator, 1000)
    assert found.rank == operator.size == 80
    rebuilt = (found.vectors * found.values) @ found.vectors.T
    assert np.allclose(rebuilt, operator.formed(), atol=1e-5)


def test_the_leading_pairs_do_not_depend_on_how_many_are_asked_for(tiny: dict[str, Interactions]) -> None:
    operator = build("unified-d2-a0.4", tiny["train"])
    few, many = leading(operator, 6, "arpack"), leading(operator, 30, "arpack").top(6)
    assert np.allclose(few.values, many.values, atol=1e-6)
    assert np.allclose(few.vectors, many.vectors, atol=1e-3)
    assert many.rank == len(many.residuals) == many.vectors.shape[1] == 6


@pytest.mark.parametrize(
    ("size", "rank", "solver"),
    [(4001, 8, "block"), (4001, 1, "block"), (4001, 1400, "dense"), (4000, 8, "dense"), (50, 3, "dense")],
)
def test_auto_picks_a_solver_by_size_and_rank(
    monkeypatch: pytest.MonkeyPatch, size: int, rank: int, solver: str
) -> None:
    class Identity(Operator):
        def __matmul__(self, block: np.ndarray) -> np.ndarray:
            return block

    def fake(name: str) -> Callable:
        return lambda operator, rank, seed: (np.ones(rank), np.eye(size)[:, :rank], 1.0)

    operator = Identity()
    operator.size = size
    monkeypatch.setattr(eigen, "SOLVERS", {name: fake(name) for name in eigen.SOLVERS})
    assert leading(operator, rank).solver == solver


def test_a_residual_that_is_too_large_is_refused(
    monkeypatch: pytest.MonkeyPatch, tiny: dict[str, Interactions]
) -> None:
    monkeypatch.setattr(eigen, "TOLERANCE", 1e-12)
    with pytest.raises(SpectrumError, match=r"solver 'dense' left a residual of .* at rank 4"):
        leading(build("item-similarity", tiny["train"]), 4, "dense")


def test_same_seed_gives_the_same_bytes(tiny: dict[str, Interactions]) -> None:
    operator = build("unified-d2-a0.4", tiny["train"])
    first, again = (leading(operator, 8, "arpack", seed=1) for _ in range(2))
    assert first.vectors.tobytes() == again.vectors.tobytes()


def test_spectra_come_back_from_disk(tmp_path: Path, tiny: dict[str, Interactions]) -> None:
    spectrum = leading(build("item-similarity", tiny["train"]), 5)
    spectrum.save(tmp_path / "s.npz")
    again = Spectrum.load(tmp_path / "s.npz")
    for name in ("values", "vectors", "residuals"):
        assert np.array_equal(getattr(again, name), getattr(spectrum, name))
    assert (again.lowest, again.solver, again.seconds) == (spectrum.lowest, "dense", spectrum.seconds)
    write_npz(tmp_path / "s.npz", values=spectrum.values)
    with pytest.raises(ArtifactError, match=r"s\.npz: array 'vectors' is missing"):
        Spectrum.load(tmp_path / "s.npz")


# ------------------------------------------------------------------- filters and schedules


def test_bandpass_peaks_at_its_centre() -> None:
    x = np.linspace(0, 1, 101)
    gain = gaussian_bandpass(x, 0.3, 0.05)
    assert gain[30] == 1.0 == gain.max()
    assert gain[80] == pytest.approx(math.exp(-0.25 / 0.05))


def test_the_low_pass_filter_cuts_where_it_should_or_nowhere() -> None:
    x = np.array([0.0, 0.3, 0.31, 1.0, 1.0 + 1e-12])
    assert ideal_lowpass(x, 0.3).tolist() == [1, 1, 0, 0, 0]
    assert ideal_lowpass(x, 0.0).tolist() == [1, 0, 0, 0, 0]
    assert ideal_lowpass(x, 1.0).tolist() == [1, 1, 1, 1, 1]


def test_the_drawn_response_of_gsprec_has_the_cut_and_ends_with_the_last_pair() -> None:
    log = {"eigenvalues": [0.0, 0.4, 1.2], "range": [0.0, 2.0], "highest": 2.0}
    params = {"center": 0.5, "width": 0.1, "phi": 0.4, "low_cut": 0.25}
    run = PlannedRun(dataset="d", run=RunConfig(model="gsprec", params={}), variant="v", group="g", seed=0)
    points = response_points(None, run, {"log": log, "params": params}).set_index("series")
    low, band, both = (points[points.index.str.startswith(n)] for n in ("low", "band", "combined"))
    assert low[low["y"] > 0]["x"].max() == pytest.approx(0.5, abs=0.02)
    assert band[band["y"] > 0]["x"].max() == pytest.approx(1.2, abs=1e-5)
    assert np.allclose(both["y"], 0.4 * band["y"].to_numpy() + 0.6 * low["y"].to_numpy())


def test_rescaling_maps_the_ends_to_0_and_1() -> None:
    assert rescaled(np.array([0.2, 0.5, 1.2]), 0.2, 1.2).tolist() == pytest.approx([0, 0.3, 1])
    assert rescaled(np.array([0.7, 0.7]), 0.7, 0.7).tolist() == [0, 0]


TIMES, FREQUENCIES = np.linspace(0, 2, 9), np.array([0.0, 0.01, 0.3, 1.0, 2.0])
LEVELS = {name: schedule(name, TIMES, FREQUENCIES, 0.1, 0.5) for name in SCHEDULES}


@pytest.mark.parametrize("name", SCHEDULES)
def test_levels_have_one_row_per_time_and_are_clean_at_time_0(name: str) -> None:
    alpha, sigma = LEVELS[name]
    assert alpha.shape == sigma.shape == (9, 5)
    assert np.allclose(alpha[0], 1.0)
    assert np.allclose(sigma[0], 0.0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_signal_falls_and_noise_grows_with_time(name: str) -> None:
    alpha, sigma = LEVELS[name]
    assert (np.diff(alpha, axis=0) <= 0).all()
    assert (np.diff(sigma, axis=0) >= 0).all()
    assert (alpha >= 0).all()
    assert (sigma <= 1).all()


@pytest.mark.parametrize("name", ["vp", "ve"])
def test_bounds_of_signal_and_noise_hold(name: str) -> None:
    alpha, sigma = schedule(name, np.array([0.0, 1.0, 50.0]), FREQUENCIES, 0.1, 0.5)
    assert alpha[-1].min() == pytest.approx(0.1, abs=1e-9)
    assert alpha[-1, 0] == 1.0  # frequency 0 keeps its signal
    assert sigma.max() == 0.5


def test_vp_equals_equations_13_and_14() -> None:
    alpha, sigma = LEVELS["vp"]
    for i, t in enumerate(TIMES):
        for j, d in enumerate(FREQUENCIES):
            kept = math.exp(-t * d)
            assert alpha[i, j] == pytest.approx(0.9 * kept + 0.1)
            assert sigma[i, j] == pytest.approx(min(math.sqrt(1 - kept**2), 0.5))


def test_ve_has_the_signal_of_vp_and_the_same_noise_for_all_frequencies() -> None:
    assert np.array_equal(LEVELS["ve"][0], LEVELS["vp"][0])
    assert np.allclose(LEVELS["ve"][1], 0.5 * np.minimum(TIMES, 1.0)[:, None])


def test_ddpm_preserves_variance_and_knows_no_frequencies() -> None:
    alpha, sigma = schedule("ddpm", np.array([0.0, 0.5, 1.0]), FREQUENCIES, 0.1, 0.5)
    assert np.allclose(alpha**2 + sigma**2, 1.0)
    assert np.ptp(alpha, axis=1).max() == 0.0
    assert alpha[2, 0] == pytest.approx(math.exp(-0.5 * (0.1 + 0.5 * 19.9)))  # integral of beta


def test_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown schedule 'vq'; known: vp, ve, ddpm"):
        schedule("vq", TIMES, FREQUENCIES, 0.1, 0.5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_log_snr_is_the_log_ratio_of_mean_powers(name: str) -> None:
    alpha, sigma = LEVELS[name]
    found = log_snr(alpha, sigma)
    assert found[0] == np.inf
    for i in range(1, len(TIMES)):
        signal = sum(a**2 for a in alpha[i]) / len(alpha[i])
        noise = sum(s**2 for s in sigma[i]) / len(sigma[i])
        assert found[i] == pytest.approx(math.log(signal / noise))
