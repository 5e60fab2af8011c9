"""Floor 2: every eigensolver equals LAPACK, tells the truth about its residuals, or says why not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.files import ArtifactError, write_npz
from recspectra.spectral import eigen, solver_block
from recspectra.spectral.eigen import TOLERANCE, SpectrumError, leading
from recspectra.spectral.operators import Operator, build
from recspectra.spectral.solvers import residual_scale
from recspectra.spectral.spectrum import Spectrum

NAMES = ["item-similarity", "bipartite", "unified-d2-a0.4"]
FAMILIES = [*NAMES, "item-similarity-u0.3", "generalised-e0.3-a2.0", "augmented", "unified-d0-a0.4"]
SOLVERS = ["block", "torch-cpu"]


@pytest.fixture(autouse=True)
def _the_torch_solver_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on a GPU runs the same on the CPU, where every machine can test it."""

    def on_the_cpu(operator: Operator, rank: int, seed: int) -> solver_block.Pairs:
        return solver_block.block_lanczos(operator, rank, seed, solver_block.TorchArrays("cpu"))

    monkeypatch.setitem(eigen.SOLVERS, "torch-cpu", on_the_cpu)


class Matrix(Operator):
    """An operator given by a sparse matrix."""

    def __init__(self, matrix: sp.csr_array, interval: tuple[float, float]) -> None:
        self.matrix, self.size, self.interval = sp.csr_array(matrix), matrix.shape[0], interval

    def __matmul__(self, block: np.ndarray) -> np.ndarray:
        return self.matrix @ block


def diagonal(values: np.ndarray, interval: tuple[float, float] = (-1.0, 1.0)) -> Matrix:
    return Matrix(sp.csr_array(sp.diags_array(np.asarray(values, dtype=np.float64))), interval)


def graph(users: int, items: int, per_user: int, seed: int = 0) -> Interactions:
    """Random sequences with a few popular items."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, items + 1) ** 0.7
    weights /= weights.sum()
    drawn = [rng.choice(items, per_user, replace=False, p=weights) for _ in range(users)]
    return from_pairs(np.repeat(np.arange(users), per_user), np.concatenate(drawn), None, (users, items))


@pytest.fixture(scope="module")
def train() -> Interactions:
    return graph(500, 400, 8)


@pytest.fixture(scope="module", params=NAMES)
def operator(request: pytest.FixtureRequest, train: Interactions) -> Operator:
    return build(request.param, train)


def exact(operator: Operator) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(operator.formed())
    return values[::-1], vectors[:, ::-1]


# ------------------------------------------------------------------------ equal to LAPACK


@pytest.mark.parametrize("rank", [1, 20])
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_equals_lapack(solver: str, rank: int, operator: Operator) -> None:
    values, vectors = exact(operator)
    found = leading(operator, rank, solver)
    assert found.solver == solver
    assert np.allclose(found.values, values[:rank], atol=1e-5)
    assert found.lowest == pytest.approx(values[-1], abs=5e-3)
    gap = values[rank - 1] - values[rank]
    sines = np.linalg.norm(found.vectors - vectors[:, :rank] @ (vectors[:, :rank].T @ found.vectors), axis=0)
    assert gap > 1e-3  # so that the subspace is well defined
    assert sines.max() <= 1e-4 / gap  # Davis and Kahan
    assert np.allclose(found.vectors.T @ found.vectors, np.eye(rank), atol=2e-5)


@pytest.mark.parametrize("solver", [*SOLVERS, "dense"])
def test_residuals_are_those_of_the_stored_vectors(solver: str, operator: Operator) -> None:
    found = leading(operator, 10, solver)
    formed, vectors = operator.formed(), found.vectors.astype(np.float64)
    residuals = np.linalg.norm(formed @ vectors - vectors * found.values, axis=0)
    assert np.allclose(residuals, found.residuals, atol=1e-12)
    assert 0.0 < residuals.max() <= 1e-4
    assert (np.diff(found.values) <= 0).all()


@pytest.mark.parametrize("rank", [100, 180])
def test_a_basis_that_must_restart_gives_the_same_pairs(
    rank: int, monkeypatch: pytest.MonkeyPatch, train: Interactions
) -> None:
    operator = build("unified-d2-a0.4", train)
    monkeypatch.setattr(solver_block, "MAX_DEGREE", 1)  # a weak filter needs many steps
    restarts = []
    kept = solver_block._Basis.restart
    monkeypatch.setattr(
        solver_block._Basis,
        "restart",
        lambda self, *pairs, fresh: (restarts.append(fresh), kept(self, *pairs, fresh=fresh)),
    )
    found = leading(operator, rank, "block")
    assert False in restarts
    assert np.allclose(found.values, exact(operator)[0][:rank], atol=1e-5)


# ------------------------------------------------------------------- degenerate and odd cases


def copies(train: Interactions, count: int) -> Interactions:
    """The disjoint union of `count` copies of a graph: every eigenvalue is `count`-fold."""
    m, n = train.shape
    users = np.repeat(np.arange(m), np.diff(train.indptr))
    rows = np.concatenate([users + m * c for c in range(count)])
    columns = np.concatenate([train.items + n * c for c in range(count)])
    return from_pairs(rows, columns, None, (m * count, n * count))


def equal(found: Spectrum, expected: np.ndarray, norm: float = 1.0) -> None:
    """No pair is missing, and the vectors are a basis."""
    assert np.allclose(found.values, np.sort(expected)[::-1][: found.rank], atol=1e-5 * norm)
    assert np.allclose(found.vectors.T @ found.vectors, np.eye(found.rank), atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("count", "rank"), [(40, 60), (40, 20), (90, 100), (120, 130)])
def test_no_copy_of_a_multiple_eigenvalue_is_missed(name: str, count: int, rank: int) -> None:
    part = graph(12, 8, 3)
    expected = np.tile(exact(build(name, part))[0], count)
    operator = build(name, copies(part, count))
    for solver in ("block", "torch-cpu"):
        equal(leading(operator, rank, solver), expected)


@pytest.fixture
def smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave to the block solver what LAPACK takes otherwise: the cases are as hard when small."""
    monkeypatch.setattr(eigen, "DENSE_LIMIT", 1000)


@pytest.mark.parametrize(("rank", "seed"), [(16, 0), (130, 1)])
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.usefixtures("smaller")
def test_auto_is_complete_for_every_family_of_operators(name: str, rank: int, seed: int) -> None:
    """Copies of a graph and of another one, users and items without interactions: 1,760 items."""
    one, other = graph(6, 8, 3), graph(5, 8, 2, seed=4)
    parts = [copies(one, 150), copies(other, 40)]
    users, items = (np.cumsum([0, *(p.shape[axis] for p in parts)]) for axis in (0, 1))
    pairs = [
        (np.repeat(np.arange(p.n_users), np.diff(p.indptr)) + u, p.items + i)
        for p, u, i in zip(parts, users, items, strict=False)
    ]
    rows, columns = (np.concatenate(side) for side in zip(*pairs, strict=True))
    whole = from_pairs(rows, columns, None, (int(users[-1]) + 50, int(items[-1]) + 240))
    values = [exact(build(name, part))[0] for part in (one, other)]
    expected = np.concatenate([np.tile(values[0], 150), np.tile(values[1], 40), np.zeros(290)])
    found = leading(build(name, whole), rank, seed=seed)
    assert found.solver == "block"
    equal(found, expected, max(1.0, expected.max()))


def evenly(low: float, high: float, count: int) -> np.ndarray:
    return np.linspace(low, high, count, endpoint=False)


REPEATED = {
    "of many components": np.r_[np.ones(1200), evenly(0, 0.9, 600)],
    "inside of the spectrum": np.r_[evenly(0.6, 1, 10), np.full(300, 0.5), evenly(0, 0.48, 1000)],
    "near others": np.r_[np.ones(9), np.full(100, 0.5), evenly(0.49, 0.4999, 300), evenly(0, 0.49, 1000)],
    "all of them": np.repeat(evenly(0.3, 1, 40), 45),
    "close together": np.r_[np.repeat(evenly(0.9, 0.95, 50), 40), evenly(0, 0.9, 1000)],
    "of a small rank": np.r_[np.repeat([1.0, 0.7], 20), np.zeros(1960)],
    "that fall": np.repeat(np.geomspace(1, 1e-3, 40), 45),
    "below negative ones": np.r_[np.full(600, -1.0), np.full(150, 0.2), evenly(-0.9, 0.1, 1000)],
}  # fmt: skip


@pytest.mark.parametrize("rank", [40, 128])
@pytest.mark.parametrize("values", REPEATED.values(), ids=list(REPEATED))
@pytest.mark.usefixtures("smaller")
def test_values_repeated_more_often_than_a_block_is_wide(values: np.ndarray, rank: int) -> None:
    found = leading(diagonal(values), rank)
    assert found.solver == "block"
    equal(found, values)


@pytest.mark.parametrize("rank", [20, 128])
def test_the_block_solver_is_as_exact_as_float32_can_tell(rank: int) -> None:
    """Residuals of 5e-5, small against a spectrum, are large against its gaps: metrics move by .002."""
    values = np.r_[np.linspace(0.3, 1, 200) ** 2, evenly(0, 0.09, 4000)]
    found = leading(diagonal(values), rank)
    assert found.solver == "block"
    assert found.residuals.max() <= 1e-5


@pytest.mark.parametrize("solver", ["block", "torch-cpu", "dense"])
@pytest.mark.parametrize("value", [0.0, 0.7, -0.3])
def test_multiples_of_the_identity(solver: str, value: float) -> None:
    found = leading(diagonal(np.full(700, value)), 30, solver)
    assert np.allclose(found.values, value, atol=1e-6)
    assert found.lowest == pytest.approx(value, abs=1e-5)
    assert found.residuals.max() <= 1e-6
    assert np.allclose(found.vectors.T @ found.vectors, np.eye(30), atol=1e-5)


def test_an_operator_of_low_rank_is_completed_by_its_null_space() -> None:
    found = leading(diagonal(np.r_[np.linspace(0.5, 1, 10), np.zeros(690)]), 40, "block")
    assert np.allclose(found.values, np.r_[np.linspace(1, 0.5, 10), np.zeros(30)], atol=1e-5)
    assert np.allclose(found.vectors.T @ found.vectors, np.eye(40), atol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_residual_is_relative_to_the_norm(scale: float) -> None:
    values = np.linspace(-1, 1, 800) ** 3 * scale
    found = leading(diagonal(values, (-scale, scale)), 20, "block")
    assert np.allclose(found.values, values[::-1][:20], atol=1e-5 * scale)
    assert 0.0 < found.residuals.max() <= 1e-4 * scale


@pytest.mark.parametrize("solver", ["block", "torch-cpu"])
@pytest.mark.parametrize("top", [1.0, 40.0])
def test_eigenvalues_that_fall_by_orders_of_magnitude(solver: str, top: float) -> None:
    """The largest lie far above the cut of the filter, as with SGFCF's similarity at rank 512."""
    values = top * np.concatenate([np.geomspace(1.0, 1e-4, 900), np.zeros(800)])
    found = leading(diagonal(values, (0.0, top)), 512, solver)
    assert found.solver == solver
    assert found.residuals.max() <= TOLERANCE * residual_scale(top)
    assert np.allclose(found.values, values[:512], atol=2 * TOLERANCE * residual_scale(top))


def test_the_largest_are_wanted_and_not_those_of_largest_magnitude() -> None:
    found = leading(diagonal(np.r_[np.linspace(-1, -0.5, 600), np.linspace(0, 0.1, 200)]), 20, "block")
    assert np.allclose(found.values, np.linspace(0.1, 0, 200)[:20], atol=1e-5)
    assert found.lowest == pytest.approx(-1.0, abs=5e-3)


@pytest.mark.parametrize("solver", ["block", "torch-cpu", "auto"])
@pytest.mark.parametrize("rank", [30, 31, 1000])
def test_a_rank_near_or_above_the_size_gives_what_there_is(solver: str, rank: int) -> None:
    found = leading(diagonal(np.arange(31) / 31), rank, solver)
    assert found.rank == min(rank, 31)
    assert np.allclose(found.values, np.arange(31)[::-1][:rank] / 31, atol=1e-7)


@pytest.mark.parametrize("solver", ["block", "torch-cpu"])
def test_lapack_takes_over_when_the_basis_would_fill_the_space(solver: str) -> None:
    values = np.linspace(-1, 1, 260)
    found = leading(diagonal(values), 200, solver)
    assert np.allclose(found.values, values[::-1][:200], atol=1e-7)


# ------------------------------------------------------------- determinism, precision, devices


@pytest.mark.parametrize("solver", SOLVERS)
def test_same_seed_same_bytes(solver: str, train: Interactions) -> None:
    operator = build("unified-d2-a0.4", train)
    first, again, other = (leading(operator, 20, solver, seed) for seed in (3, 3, 4))
    assert first.vectors.tobytes() == again.vectors.tobytes()
    assert first.values.tobytes() == again.values.tobytes()
    assert first.vectors.tobytes() != other.vectors.tobytes()
    assert np.allclose(first.values, other.values, atol=1e-6)


def test_torch_and_numpy_run_the_same_algorithm(operator: Operator) -> None:
    here, there = leading(operator, 20, "block"), leading(operator, 20, "torch-cpu")
    assert np.allclose(here.values, there.values, atol=1e-6)
    assert np.allclose(here.vectors.T @ there.vectors, np.eye(20), atol=2e-3)


def test_the_gpu_gives_the_same_pairs(operator: Operator) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        with pytest.raises(SpectrumError, match="needs a GPU"):
            leading(operator, 20, "torch-cuda")
        return
    here, there = leading(operator, 20, "block"), leading(operator, 20, "torch-cuda")
    assert np.allclose(here.values, there.values, atol=1e-5)


def test_the_default_does_not_import_torch(root: Path) -> None:
    code = "import sys, recspectra.spectral.eigen; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(root / "workflow")}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_the_density_counts_eigenvalues() -> None:
    values = np.linspace(-1, 1, 2000) ** 3
    apply = solver_block.NumpyArrays().operator(diagonal(values))
    nodes, counts = solver_block._density(apply, solver_block.NumpyArrays(), 2000, np.random.default_rng(0))
    assert nodes[0] == pytest.approx(-1.0, abs=5e-3)
    for threshold in (0.7, 0.3, -0.2):
        estimate = np.interp(threshold, nodes, counts)
        assert estimate == pytest.approx((values >= threshold).sum(), rel=0.15)


# ------------------------------------------------------------------------------- refusals


def test_an_operator_that_is_not_symmetric_is_refused() -> None:
    rng = np.random.default_rng(0)
    matrix = sp.random_array((700, 700), density=0.02, rng=rng)
    with pytest.raises(SpectrumError, match=r"solver 'block' .* rank 30"):
        leading(Matrix(matrix / 8, (-1.0, 1.0)), 30, "block")


def test_too_few_restarts_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver_block, "MAX_RESTARTS", 0)
    monkeypatch.setattr(solver_block, "MAX_DEGREE", 3)
    operator = diagonal(np.linspace(-1, 1, 3000))
    with pytest.raises(SpectrumError, match=r"did not reach a residual of 8.0e-05 at rank 100: after 1 "):
        leading(operator, 100, "block")


def test_an_unknown_solver_is_refused(train: Interactions) -> None:
    with pytest.raises(SpectrumError, match="unknown solver 'magic'; known: auto, dense, block"):
        leading(build("item-similarity", train), 5, "magic")


@pytest.mark.parametrize("solver", ["dense", "block"])
def test_the_entry_of_largest_magnitude_is_positive(solver: str, tiny: dict[str, Interactions]) -> None:
    vectors = leading(build("bipartite", tiny["train"]), 20, solver).vectors
    assert (vectors[np.abs(vectors).argmax(axis=0), range(20)] > 0).all()


def test_the_leading_pairs_do_not_depend_on_how_many_are_asked_for(tiny: dict[str, Interactions]) -> None:
    operator = build("unified-d2-a0.4", tiny["train"])
    few, many = leading(operator, 6, "block"), leading(operator, 30, "block").top(6)
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
