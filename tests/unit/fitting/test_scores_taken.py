"""What a model hands over is checked where it is taken: scores, and the log of a fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from recspectra.config.catalog import Catalog
from recspectra.config.model import Budget, RunConfig, TuneConfig
from recspectra.data.interactions import Interactions
from recspectra.fitting import tune as tune_module
from recspectra.fitting.fit import Job, execute
from recspectra.fitting.scoring import Inputs, rank
from recspectra.fitting.statuses import attempt
from recspectra.fitting.tune import TuneJob, tune
from recspectra.fitting.validation import validator
from recspectra.identity import data_digest
from recspectra.models.popularity import Popularity
from recspectra.recommender import ContractError, History, Recommender
from recspectra.running import cli
from recspectra.runtime import Diverged

CATALOG = Catalog(Path(__file__).resolve().parents[3])


class Mine(Recommender):
    """A model that returns what it is told to."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        super().__init__({})
        self.make = make

    def score(self, users: np.ndarray, history: History) -> Any:
        return self.make(len(users))


def floats(rows: int, columns: int = 80) -> np.ndarray:
    return np.random.default_rng(0).random((rows, columns), dtype=np.float32)


WRONG = {
    r"Mine.score returned \(50, 81\), expected \(50, 80\)": lambda b: floats(b, 81),
    r"Mine.score returned \(50, 79\), expected \(50, 80\)": lambda b: floats(b, 79),
    r"Mine.score returned \(49, 80\), expected \(50, 80\)": lambda b: floats(b - 1),
    r"Mine.score returned \(80,\), expected \(50, 80\)": lambda b: floats(b)[0],
    r"Mine.score returned \(50, 80, 1\), expected \(50, 80\)": lambda b: floats(b)[:, :, None],
    r"Mine.score returned list, expected a NumPy array of floats, shape \(50, 80\)": lambda b: floats(
        b
    ).tolist(),
    r"Mine.score returned None, expected a NumPy": lambda b: None,
    r"Mine.score returned scipy csr_array, expected a NumPy": lambda b: sp.csr_array(floats(b)),
    r"Mine.score returned numpy MaskedArray, expected": lambda b: np.ma.masked_array(floats(b)),
    r"Mine.score returned values of type int64, expected": lambda b: np.ones((b, 80), dtype=np.int64),
    r"Mine.score returned values of type bool, expected": lambda b: np.ones((b, 80), dtype=bool),
    r"Mine.score returned values of type object, expected": lambda b: floats(b).astype(object),
    r"Mine.score returned values of type complex64, expected": lambda b: floats(b).astype(np.complex64),
}


@pytest.mark.parametrize("message", WRONG, ids=range(len(WRONG)))
def test_scores_of_another_kind_are_refused(message: str, tiny: dict[str, Interactions]) -> None:
    system, train = Mine(WRONG[message]), tiny["train"]
    with pytest.raises(ContractError, match=message):
        rank(system.score, train, [train], 10, 50)
    with pytest.raises(ContractError, match="Mine.score returned"):
        validator(Inputs(train, tiny["valid"], True, {}))(system.score)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_scores_of_any_precision_are_taken(kind: type, tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]
    found = rank(Mine(lambda b: (floats(b) < 0.5).astype(kind)).score, train, [train], 10)[0].lists
    expected = rank(Mine(lambda b: (floats(b) < 0.5).astype(np.float32)).score, train, [train], 10)[0].lists
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("value", [np.inf, 1e39])
def test_infinitely_large_scores_end_as_diverged(value: float, tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]
    scores = np.zeros((120, 80))
    scores[7, 3] = value  # 1e39 is infinite as float32
    with pytest.raises(Diverged, match=r"Mine.score returned an infinitely large score"):
        rank(Mine(lambda b: scores[:b]).score, train, [train], 10, 120)


def test_minus_infinity_stands_after_all_others(tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]
    scores = np.arange(80.0) * np.ones((120, 1))
    scores[:, 40:] = -np.inf
    lists = rank(Mine(lambda b: scores[:b]).score, train, [train], 80, 120)[0].lists
    for user in range(120):
        found = lists[user][lists[user] >= 0].tolist()
        free = sorted(set(range(80)) - set(train.sequence(user).tolist()))
        assert found == [i for i in free[::-1] if i < 40] + [i for i in free[::-1] if i >= 40]


COUNTS = np.random.default_rng(1).integers(0, 60, size=80).astype(np.float64)
MANY = np.random.default_rng(2).random(80)


@pytest.mark.parametrize(
    "scores",
    [
        COUNTS * 1e-60,
        COUNTS + 1e12,
        -COUNTS - 1e12,
        1 + MANY * 1e-9,
        MANY * 1e-300,
        np.append(1, MANY[1:] * 1e-60),
    ],
    ids=["small", "far", "below", "near one", "smallest", "all but one small"],
)
def test_scores_whose_differences_float32_cannot_hold_are_refused(
    scores: np.ndarray, tiny: dict[str, Interactions]
) -> None:
    system = Mine(lambda b: np.tile(scores, (b, 1)))
    with pytest.raises(ContractError, match=r"Mine\.score returned scores that lose .* float32: scale them"):
        rank(system.score, tiny["train"], [tiny["train"]], 10)


@pytest.mark.parametrize(
    "scores",
    [
        COUNTS,
        COUNTS * 1e-30,
        COUNTS + 1e5,
        MANY,
        np.log(MANY),
        np.where(COUNTS > 9, COUNTS, -np.inf),
        np.zeros(80),
        np.full(80, 1e-60),
        # Equal but for the rounding of sums in another order.
        COUNTS + MANY * 1e-14,
        1 / 3 + np.arange(80) * 5e-17,
        np.append(np.full(79, 0.1), 1.0) * (1 + MANY * 1e-15),
    ],
    ids=range(11),
)
def test_scores_that_float32_holds_or_that_differ_by_rounding_alone_are_taken(
    scores: np.ndarray, tiny: dict[str, Interactions]
) -> None:
    train = tiny["train"]
    for kind in (np.float64, np.longdouble):
        found = rank(Mine(lambda b, k=kind: np.tile(scores, (b, 1)).astype(k)).score, train, [train], 10)[0]
        assert found.lists.min() >= 0


def test_one_user_whose_differences_are_lost_is_enough_where_it_is_looked_at(
    tiny: dict[str, Interactions],
) -> None:
    scores = np.tile(COUNTS, (120, 1))
    scores[119] *= 1e-60
    with pytest.raises(ContractError, match="lose their differences"):
        rank(Mine(lambda b: scores[:b]).score, tiny["train"], [tiny["train"]], 10, 120)


# -------------------------------------------------------------------------------- fits


@pytest.mark.parametrize(
    ("log", "said"), [(None, "None"), ([], "list"), (3, "int"), (np.float32(1), "numpy float32")]
)
def test_a_fit_without_a_log_is_refused(
    log: Any, said: str, tiny: dict[str, Interactions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Popularity, "fit", lambda *_: log)
    config = CATALOG.model("popularity")
    run = RunConfig(model="popularity", params={})
    job = Job("tiny", config, run, {}, 0, "cpu", 1, Budget(), "code")
    inputs = Inputs(tiny["train"], tiny["valid"], True, {})
    with pytest.raises(ContractError, match=rf"Popularity.fit returned {said}, expected a dict"):
        execute(job, inputs, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "log", [{1: 2, "a": 3}, {"loss": np.float32(1)}, {"loss": float("nan")}, {"users": {3, 4}}]
)
def test_a_log_that_is_no_json_is_refused_before_anything_is_ranked(
    log: Any, tiny: dict[str, Interactions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Popularity, "fit", lambda *_: log)
    job = Job("tiny", CATALOG.model("popularity"), RunConfig(model="popularity", params={}), {}, 0, "cpu", 1,
              Budget(), "code")  # fmt: skip
    with pytest.raises(ContractError, match=r"Popularity.fit returned a dict that run.json cannot hold \("):
        execute(job, Inputs(tiny["train"], tiny["valid"], True, {}), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("said", "is_memory"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", True),
        ("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate", True),
        ("unable to mmap 80 bytes from file: Cannot allocate memory (12)", True),
        ("failed to allocate 400 bytes", True),
        ("wrong allocation of users to folds", False),
        ("cannot allocate users to folds", False),
        ("user 3 is not allocated", False),
    ],
)
def test_a_defect_that_speaks_of_allocation_is_not_out_of_memory(said: str, is_memory: bool) -> None:
    record: dict[str, Any] = {"status": "ok"}

    def work() -> None:
        raise RuntimeError(said)

    if is_memory:
        attempt(work, record, Budget(memory_gb=64), "cpu")
        assert record["status"] == "oom"
    else:
        with pytest.raises(RuntimeError, match=said):
            attempt(work, record, Budget(memory_gb=64), "cpu")


def _prune(x: sp.csr_array) -> None:
    x.data *= np.arange(x.shape[1], dtype=np.float32)[x.indices]
    x.eliminate_zeros()


CHANGES: dict[str, Callable[[Interactions], Any]] = {
    "pruned": lambda train: _prune(train.matrix),
    "without zeros": lambda train: train.matrix.eliminate_zeros(),
    "set": lambda train: train.matrix.indices.fill(0),
    "cell": lambda train: train.matrix.__setitem__((0, 0), 2.0),
    "shuffled": lambda train: np.random.default_rng(0).shuffle(train.items),
    "indptr": lambda train: np.minimum(train.indptr, 3, out=train.indptr),
    "times": lambda train: train.times.sort(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_fit_that_changes_its_inputs_is_refused(
    change: str, tiny: dict[str, Interactions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Popularity, "fit", lambda system, task, run: CHANGES[change](task.train) or {})
    job = Job("tiny", CATALOG.model("popularity"), RunConfig(model="popularity", params={}), {}, 0, "cpu", 1,
              Budget(), "code")  # fmt: skip
    inputs = Inputs(from_saved(tiny["train"], tmp_path), tiny["valid"], True, {})
    with pytest.raises(ContractError, match=r"Popularity\.fit changes in place .*change a copy"):
        execute(job, inputs, tmp_path / "run")
    assert data_digest(inputs.train) == data_digest(tiny["train"])
    assert np.array_equal(inputs.train.matrix.toarray(), tiny["train"].matrix.toarray())


def from_saved(data: Interactions, folder: Path) -> Interactions:
    """The same with arrays of its own."""
    data.save(folder / "train.npz")
    return Interactions.load(folder / "train.npz")


def test_a_matrix_whose_arrays_are_exchanged_is_the_model_s_own(tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]
    before = train.matrix.toarray()
    x = train.matrix
    x.data = np.zeros_like(x.data)
    assert not x.toarray().any()
    assert np.array_equal(train.matrix.toarray(), before)


def test_a_score_that_changes_its_users_keeps_their_masks(tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]

    def score(users: np.ndarray, history: History) -> np.ndarray:
        users[:] = 0
        return floats(len(users))

    for user, row in enumerate(rank(score, train, [train], 80)[0].lists):
        assert not set(row.tolist()) & set(train.sequence(user).tolist())


def test_a_score_that_changes_kept_data_is_refused(tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]

    def score(users: np.ndarray, history: History) -> np.ndarray:
        train.matrix.data[:] = 0
        return floats(len(users))

    with pytest.raises(ContractError, match="score changes in place what it was given"):
        rank(score, train, [train], 10)


def test_a_trial_without_a_log_is_refused(
    tiny: dict[str, Interactions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CATALOG.model("ease")
    monkeypatch.setattr(tune_module, "create", lambda *_: Quiet({}))
    job = TuneJob("tiny", config, TuneConfig(model="ease", params={}, search={"regularization": [1.0]},
                                             trials=1, seed=0), "cpu", Budget())  # fmt: skip
    with pytest.raises(ContractError, match=r"Quiet.fit returned None"):
        tune(job, Inputs(tiny["train"], tiny["valid"], True, {}), tmp_path / "trials.sqlite")


class Quiet(Popularity):
    """A model whose fit says nothing."""

    def fit(self, *args: Any) -> None:
        super().fit(*args)


def test_a_broken_contract_is_one_line_for_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise ContractError("Mine.score returned (256, 801), expected (256, 800)")

    with pytest.raises(SystemExit):
        cli.main(work)
    assert capsys.readouterr().err == "error: Mine.score returned (256, 801), expected (256, 800)\n"
