"""Models in closed form on a second device: scores are the CPU's up to rounding, and lists agree to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forked import in_a_fork
from test_contract import BEST_LIST, CATALOG, MODELS, Bench, params_of

from recspectra.config.model import Budget, RunConfig, TuneConfig
from recspectra.data.interactions import Interactions
from recspectra.files import read_json, read_npz
from recspectra.fitting.fit import Job, execute
from recspectra.fitting.scoring import rank
from recspectra.recommender import BOUND, History, Recommender, Run, Task, create, scorer_on
from recspectra.spectral import eigen
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build
from recspectra.spectral.places import host, is_tensor

CLOSED = [name for name in MODELS if CATALOG.model(name).kind == "closed-form"]
ON_A_DEVICE = [name for name in CLOSED if CATALOG.model(name).gpu]
# Why others stay on the CPU; docs/running.md says so.
ON_THE_CPU = {
    "popularity": "has nothing to compute",
    "ials": "solves a small system for each user",
    "markov": "scores by the order of a history, which is a product of sparse matrices made anew for each",
}
WAYS: dict[str, list[dict[str, Any]]] = {
    "bspm": [{"memory_gb": 1e-9}],
    "fagsp": [{"null_space": "keep"}],
    "gsprec": [{"eq8": "literal"}, {"eq8": "augmented"}],
    "higsp": [{"clusters": 3, "memory_gb": 1e-9}],
    "linkprop": [{"rounds": 1}, {"memory_gb": 1e-9}],
    "pgsp": [{"linear": "plain"}, {"phi": 0.0}, {"phi": 1.0}],
    "sgfcf": [{"exponents": "individual"}, {"row_sums": "signed"}, {"row_sums": "none"}],
    "turbocf": [{"filter": 2}, {"filter": 3}, {"power": 1.0}],
}
CASES = [(name, {}) for name in ON_A_DEVICE] + [(name, way) for name in WAYS for way in WAYS[name]]


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench(tiny: dict[str, Interactions]) -> Bench:
    return Bench(tiny)


def fitted(bench: Bench, name: str, changes: dict[str, Any], device: str = "cpu") -> Recommender:
    config = CATALOG.model(name)
    params = params_of(config, **changes)
    inputs = bench.inputs(config, RunConfig(model=name, params=params))
    system = create(config, params)
    system.fit(Task(inputs.train, None, True, inputs.spectra), Run(device=device))
    return system


def assert_same_lists(here: np.ndarray, there: np.ndarray, scores: np.ndarray) -> None:
    """Where two lists differ, the scores of the two items differ by twice the bound at most."""
    assert np.array_equal(here < 0, there < 0)
    rows = np.arange(len(here))[:, None]
    bound = BOUND * np.abs(scores).max(axis=1, keepdims=True)
    assert (np.abs(scores[rows, here] - scores[rows, there]) <= 2 * bound).all()


def test_every_other_model_has_a_reason_to_stay_on_the_cpu(root: Path) -> None:
    assert set(CLOSED) - set(ON_A_DEVICE) == set(ON_THE_CPU)
    said = (root / "docs" / "running.md").read_text(encoding="utf-8").partition("## With a GPU")[2]
    for name in ON_THE_CPU:
        assert CATALOG.model(name).title in said


@pytest.mark.parametrize(("name", "changes"), CASES, ids=[f"{n}-{'-'.join(map(str, c))}" for n, c in CASES])
@in_a_fork
def test_scores_and_lists_are_those_of_the_cpu(name: str, changes: dict[str, Any], bench: Bench) -> None:
    system = fitted(bench, name, changes)
    before = {key: array.copy() for key, array in system.state().items()}
    score = scorer_on("sim", CATALOG.model(name), system)
    assert score.__qualname__ == system.score.__qualname__
    both, users = bench.data["train"].merged(bench.data["valid"]), np.arange(120)
    here, found = bench.scores(system), score(users, History.of(both, users))
    assert is_tensor(found) and str(found.device) == "sim:0"
    bound = BOUND * np.abs(here).max(axis=1, keepdims=True)
    assert (np.abs(host(found) - here) <= bound).all()
    for mask in (both, bench.data["train"]):
        lists = [rank(s, both, [mask], 20, size=50)[0].lists for s in (system.score, score)]
        assert_same_lists(*lists, here)
    after = system.state()  # the model itself stays where it is
    assert before.keys() == after.keys() and all(np.array_equal(before[k], after[k]) for k in after)


@pytest.mark.parametrize("name", ["gfcf", "edlae", "fagsp", "itemknn"])
@in_a_fork
def test_a_run_on_a_device_writes_what_one_on_the_cpu_does(name: str, bench: Bench, tmp_path: Path) -> None:
    config = CATALOG.model(name)
    run = RunConfig(model=name, params=params_of(config), fit="train", top=20)
    inputs, found = bench.inputs(config, run), {}
    for place in ("cpu", "sim"):
        job = Job("tiny", config, run, run.params, 0, place, 1, Budget(), "code")
        assert execute(job, inputs, tmp_path / place) == "ok"
        assert read_json(tmp_path / place / "run.json")["device"] == place
        found[place] = read_npz(tmp_path / place / "rankings.npz")
    scores = bench.scores(fitted(bench, name, {}))
    assert_same_lists(found["cpu"][BEST_LIST], found["sim"][BEST_LIST], scores)


@in_a_fork
def test_what_does_not_fit_a_device_is_scored_on_the_cpu(bench: Bench) -> None:
    from recspectra import recommender

    system, config, users = fitted(bench, "ease", {}), CATALOG.model("ease"), np.arange(5)
    assert system.nbytes == 80 * 80 * 4
    for free, there in ((2 * system.nbytes - 1, False), (2 * system.nbytes, True)):
        recommender.free_bytes = lambda _, free=free: free
        found = scorer_on("sim", config, system)(users, History.of(bench.data["train"], users))
        assert is_tensor(found) is there


@in_a_fork
def test_a_run_whose_arrays_do_not_fit_a_device_records_the_cpu(bench: Bench, tmp_path: Path) -> None:
    from recspectra import recommender

    config = CATALOG.model("ease")
    run = RunConfig(model="ease", params=params_of(config), fit="train", top=20)
    job = Job("tiny", config, run, run.params, 0, "sim", 1, Budget(), "code")
    for free, where in ((0, "cpu"), (10**9, "sim")):
        recommender.free_bytes = lambda _, free=free: free
        assert execute(job, bench.inputs(config, run), tmp_path / where) == "ok"
        assert read_json(tmp_path / where / "run.json")["device"] == where


@in_a_fork
def test_trials_of_a_search_are_scored_on_the_device(bench: Bench, tmp_path: Path) -> None:
    from recspectra.fitting import device_ranking
    from recspectra.fitting.tune import TuneJob, tune

    config, ranked, rankings = CATALOG.model("gfcf"), [], device_ranking.rankings
    device_ranking.rankings = lambda *given: ranked.append(len(given[0])) or rankings(*given)
    search = TuneConfig(model="gfcf", params={"rank": 16}, search={"alpha": [0.1, 1.0]}, trials=2, seed=0)
    inputs, values = bench.inputs(config, RunConfig(model="gfcf", params={"rank": 16})), []
    for place in ("cpu", "sim"):
        study = tune(TuneJob("tiny", config, search, place, Budget()), inputs, tmp_path / f"{place}.sqlite")
        values.append([trial.value for trial in study.trials])
        assert bool(ranked) is (place == "sim")
    assert np.allclose(*values, atol=1e-9)


@pytest.mark.parametrize("name", ["ease", "dlae"])
@pytest.mark.parametrize("memory_gb", [16.0, 1e-4])
@in_a_fork
def test_linear_autoencoders_are_inverted_on_a_device(
    name: str, memory_gb: float, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recspectra.spectral import torch_operators

    monkeypatch.setattr("recspectra.layers.linear_autoencoder.LinearAutoencoder._guard", lambda *_: kind)
    calls, inverse = [], torch_operators.cholesky_inverse
    monkeypatch.setattr(
        torch_operators, "cholesky_inverse", lambda *given: calls.append(1) or inverse(*given)
    )
    kind = np.float64 if memory_gb > 1 else np.float32
    here, there = (fitted(bench, name, {}, place).weights for place in ("cpu", "sim"))
    assert calls == [1]
    assert np.abs(there - here).max() <= (1e-6 if kind == np.float64 else 1e-4) * np.abs(here).max()


@in_a_fork
def test_a_matrix_that_is_not_positive_definite_is_refused_on_a_device() -> None:
    from recspectra.layers.linear_autoencoder import inverse

    with pytest.raises(np.linalg.LinAlgError, match="larger lambda"):
        inverse(np.asfortranarray(np.diag([1.0, -1.0])), "sim")


@pytest.mark.parametrize("operator", ["item-similarity", "augmented", "unified-d2-a0.4"])
@in_a_fork
def test_eigenpairs_are_those_of_the_cpu(
    operator: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eigen, "DENSE_LIMIT", 0)
    matrix = build(operator, bench.data["train"])
    here, there = leading(matrix, 2, device="cpu"), leading(matrix, 2, device="sim")
    assert (here.solver, there.solver) == ("block", "torch-sim")
    assert np.allclose(here.values, there.values, atol=1e-5)
    assert leading(matrix, matrix.size, device="sim").solver == "dense"  # which is exact
