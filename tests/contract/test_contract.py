"""The contract that every model keeps: applied to each YAML in config/models, without a list."""

from __future__ import annotations

import resource
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.model import Budget, ModelConfig, RunConfig, spectra_of
from recspectra.data.ids import Ids
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.files import read_json, read_npz
from recspectra.fitting import fit as run_module
from recspectra.fitting.fit import Job, execute
from recspectra.fitting.ranking import cut_names, list_name, positions_name
from recspectra.fitting.saved import SavedModel, load_model, save_model
from recspectra.fitting.scoring import NOT_LISTS, Inputs, all_lists, rank
from recspectra.fitting.validation import mean_recall, validator
from recspectra.recommender import History, Recommender, Run, Task, create
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build
from recspectra.spectral.spectrum import Spectrum

CATALOG = Catalog(Path(__file__).resolve().parents[2])
MODELS = CATALOG.names("models")
TRAINED = [n for n in MODELS if CATALOG.model(n).kind == "trained"]
WITH_RANK = [n for n in MODELS if CATALOG.model(n).spectra and "rank" in CATALOG.model(n).params]
ORDERED = [n for n in MODELS if CATALOG.model(n).order]
IDS = Ids(np.array([f"u{n}" for n in range(120)]), np.arange(80))
BEST_LIST = list_name("test", "train+valid", "train+valid")
# Small and fast; a model takes those of its parameters that are here and within bounds.
QUICK = {
    "epochs": 20, "batch_size": 32, "rank": 16, "dimensions": 32, "hidden": 32, "max_len": 12,
    "learning_rate": 5e-3, "patience": 50,
}  # fmt: skip
# A batch is of windows or interactions, not of users: as many as 20 users have and more.
OF_WINDOWS = {"bsarec", "fearec", "fmlprec", "waverec"}
OF_INTERACTIONS = OF_WINDOWS | {
    "dgrec", "impgcn", "jgcf", "lightgcn", "lrgccf", "mf", "ngcf", "sgl", "simplex", "ultragcn",
}  # fmt: skip
OWN = {name: {"batch_size": 256, "learning_rate": 1e-2} for name in OF_INTERACTIONS} | {
    **{name: {"batch_size": 64, "learning_rate": 1e-2, "epochs": 5} for name in OF_WINDOWS},
    "fearec": {"batch_size": 64, "learning_rate": 1e-2, "epochs": 10},
    "sgl": {"batch_size": 64, "learning_rate": 1e-2},  # what it contrasts comes before what it ranks
    "bert4rec": {"batch_size": 20, "max_len": 20, "dimensions": 64, "hidden": 64, "learning_rate": 3e-3},
}

# Where nothing has to be learned; of windows as few batches as of interactions.
SHORT = {name: {"epochs": 2} | ({"batch_size": 256} if name in OF_WINDOWS else {}) for name in MODELS}
ONE = {"epochs": 1}  # where a run is to fail

every_model = pytest.mark.parametrize("name", MODELS)
# Where what is tested lies in no model: one of each kind, and those with a fit of their own.
some_models = pytest.mark.parametrize("name", ["popularity", "higsp", "mf", "sdiff", "wpgrec"])


def params_of(config: ModelConfig, **changes: Any) -> dict[str, Any]:
    wanted = {k: v for k, v in (QUICK | OWN.get(config.name, {}) | changes).items() if k in config.params}
    return config.resolve({k: v for k, v in wanted.items() if config.params[k].check(v) is None})


@dataclass(frozen=True)
class Written:
    """What a run wrote: its folder, its status, its record and its lists."""

    folder: Path
    status: str
    record: dict[str, Any]
    lists: dict[str, np.ndarray]


@dataclass
class Bench:
    """The tiny data set, its spectra, and models and runs on it, each made once."""

    data: dict[str, Interactions]
    place: Path = Path()  # where shared runs are written
    spectra: dict[str, Spectrum] = field(default_factory=dict)
    models: dict[str, tuple[Recommender, float]] = field(default_factory=dict)
    short: dict[tuple[str, int], Recommender] = field(default_factory=dict)
    runs: dict[tuple[str, str], Written] = field(default_factory=dict)

    def inputs(self, config: ModelConfig, run: RunConfig, ordered: bool = True) -> Inputs:
        return Inputs(self.data["train"], self.data["valid"], ordered, self._spectra(config, run))

    def _spectra(self, config: ModelConfig, run: RunConfig) -> dict[str, Spectrum]:
        found = {}
        for operator, size in spectra_of(config, run):
            name, _, part = operator.partition("@")
            fitted = self.data["train"]
            if part == "train_valid":
                fitted = fitted.merged(self.data["valid"])
            if f"{operator}-{size}" not in self.spectra:
                self.spectra[f"{operator}-{size}"] = leading(build(name, fitted), size)
            found[name] = self.spectra[f"{operator}-{size}"]
        return found

    def fit(self, name: str, seed: int = 0, **changes: Any) -> Recommender:
        """A freshly fitted model."""
        config = CATALOG.model(name)
        params = params_of(config, **changes)
        inputs = self.inputs(config, RunConfig(model=name, params=params))
        system = create(config, params)
        task = Task(inputs.train, inputs.valid, True, inputs.spectra)
        system.fit(task, Run(seed=seed, validate=validator(inputs)))
        return system

    def fitted(self, name: str) -> Recommender:
        """The fitted model that the tests share."""
        if name not in self.models:
            started = time.process_time()  # of this process alone: others may load the machine
            self.models[name] = self.fit(name), time.process_time() - started
        return self.models[name][0]

    def saved_and_loaded(self, name: str, system: Recommender, path: Path) -> Recommender:
        """A model once it has been a file."""
        about = {"model": name, "title": name, "params": vars(system.params), "fit": "train", "data": "",
                 "dataset": "tiny", "seed": 0, "log": {}}  # fmt: skip
        save_model(path, SavedModel(about, system, self.data["train"], IDS))
        return load_model(path, CATALOG).system

    def fitted_shortly(self, name: str, seed: int = 0) -> Recommender:
        """A model after a few epochs that the tests share."""
        if (name, seed) not in self.short:
            self.short[name, seed] = self.fit(name, seed, **SHORT[name])
        return self.short[name, seed]

    def written(self, name: str, which: str = "run") -> Written:
        """A short run that the tests share: the `run` with its model, the same `again`, its `refit`."""
        if (name, which) not in self.runs:
            folder = self.place / name / which
            if which == "again":  # beside what a killed run left
                (folder / "checkpoints").mkdir(parents=True)
                (folder / "checkpoints" / "checkpoint.safetensors").write_bytes(b"of a killed run")
            fit = "train+valid" if which == "refit" else "train"
            self.runs[name, which] = Written(
                folder, *self.execute(folder, name, fit, keep=IDS if which == "run" else None)
            )
        return self.runs[name, which]

    def scores(self, system: Recommender, users: Any = None) -> np.ndarray:
        """Scores of some users (all of them) given what they had before the test period."""
        both = self.data["train"].merged(self.data["valid"])
        users = np.arange(both.n_users) if users is None else np.asarray(users)
        return system.score(users, History.of(both, users))

    def execute(
        self, folder: Path, name: str, fit: str = "train", ordered: bool = True,
        budget: dict[str, float] | None = None, keep: Ids | None = None, **changes: Any,
    ) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:  # fmt: skip
        """One run into a folder: its status, its record and its lists."""
        config = CATALOG.model(name)
        run = RunConfig(model=name, params=params_of(config, **(SHORT[name] | changes)), fit=fit, top=20)
        limits = Budget(**(budget or {}))
        job = Job("tiny", config, run, run.params, 0, "cpu", 1, limits, "code", folder / "checkpoints")
        status = execute(job, self.inputs(config, run, ordered), folder, keep)
        return status, read_json(folder / "run.json"), read_npz(folder / "rankings.npz")


@pytest.fixture(scope="session")
def bench(tiny: dict[str, Interactions], tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tiny, tmp_path_factory.mktemp("runs"))


# ----------------------------------------------------------------------- configuration


@every_model
def test_resolved_parameters_resolve_to_themselves(name: str) -> None:
    config = CATALOG.model(name)
    params = config.resolve({})
    assert config.resolve(params) == params
    assert set(params) == set(config.params)
    assert all(type(params[k]) is type(v) for k, v in config.resolve(params).items())
    one, two = (RunConfig(model=name, params=config.resolve(p)) for p in ({}, params))
    assert one.key == two.key


def beyond(config: ModelConfig) -> list[tuple[str, Any]]:
    """A value outside each bound and of a wrong type, for each parameter."""
    found: list[tuple[str, Any]] = []
    for name, spec in config.params.items():
        found.append((name, ["a list"]))
        for bound, step in ((spec.ge, -1), (spec.gt, 0), (spec.le, 1), (spec.lt, 0)):
            if bound is not None:
                found.append((name, type(spec.default)(bound + step)))
        if spec.choices:
            found.append((name, "none of them"))
    return found


@every_model
def test_bounds_and_types_of_parameters_are_enforced(name: str) -> None:
    config = CATALOG.model(name)
    for param, value in [*beyond(config), ("no_such_parameter", 1)]:
        with pytest.raises(ConfigError, match=param):
            config.resolve({param: value})


# ------------------------------------------------------------------------------- scores


@every_model
def test_scores_are_finite_float32_of_users_by_items(name: str, bench: Bench) -> None:
    scores = bench.scores(bench.fitted(name), [3, 50, 7])
    assert isinstance(scores, np.ndarray)
    assert scores.dtype == np.float32
    assert scores.shape == (3, 80)
    assert np.isfinite(scores).all()


@every_model
def test_a_user_without_history_gets_finite_scores(name: str, bench: Bench) -> None:
    nobody = from_pairs(np.array([1]), np.array([4]), np.array([1.0]), (120, 80))
    users = np.array([0, 1, 2])
    scores = bench.fitted(name).score(users, History.of(nobody, users))
    assert scores.shape == (3, 80)
    assert np.isfinite(scores).all()


@every_model
def test_scores_and_lists_do_not_depend_on_the_batch(name: str, bench: Bench) -> None:
    system, train = bench.fitted(name), bench.data["train"]
    whole = bench.scores(system)
    parts = [bench.scores(system, users) for users in np.split(np.arange(120), [1, 2, 3, 10, 60])]
    assert np.allclose(np.concatenate(parts), whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())
    lists = [rank(system.score, train, [train], 20, size)[0][0] for size in (17, 120)]  # 17 leave one alone
    assert np.array_equal(*lists)


@every_model
def test_scores_belong_to_their_user_wherever_it_stands_in_the_batch(name: str, bench: Bench) -> None:
    system = bench.fitted(name)
    whole = bench.scores(system)
    some = [110, 3, 64, 3]
    assert np.allclose(bench.scores(system, some), whole[some], rtol=1e-4, atol=1e-5 * np.abs(whole).max())


@every_model
def test_scoring_changes_neither_the_model_nor_the_history(name: str, bench: Bench) -> None:
    system, users = bench.fitted(name), np.arange(120)
    history = History.of(bench.data["train"], users)
    before = history.matrix.toarray(), history.items.copy()
    first, again = system.score(users, history), system.score(users, history)
    assert np.array_equal(first, again)
    assert np.array_equal(history.matrix.toarray(), before[0])
    assert np.array_equal(history.items, before[1])


@every_model
def test_a_saved_model_gives_the_same_scores(name: str, bench: Bench, tmp_path: Path) -> None:
    system = bench.fitted(name)
    again = bench.saved_and_loaded(name, system, tmp_path / "model.rs")
    assert np.array_equal(bench.scores(again), bench.scores(system))
    again.load_state(again.state())  # what was loaded can be saved and loaded once more
    assert np.array_equal(bench.scores(again), bench.scores(system))


@every_model
def test_only_models_that_need_known_users_look_at_who_a_user_is(name: str, bench: Bench) -> None:
    system, users = bench.fitted(name), np.array([3, 50, 7])
    history = History.of(bench.data["train"], users)
    beyond = np.full(3, 120)
    if system.needs_known_users:
        assert not np.array_equal(system.score(users, history), system.score(users + 20, history))
    else:
        new = system.score(beyond, history)
        assert np.isfinite(new).all()
        alone = [
            system.score(beyond[:1], History.of(bench.data["train"], users[i : i + 1])) for i in range(3)
        ]
        assert np.allclose(np.concatenate(alone), new, rtol=1e-4, atol=1e-5 * np.abs(new).max())
        if name != "sdiff":  # whose noise is drawn by the number of the user
            assert np.array_equal(new, system.score(users, history))


@every_model
def test_the_same_seed_gives_the_same_scores(name: str, bench: Bench) -> None:
    """Of a fit by hand, and of a run whose model was kept."""
    kept = load_model(bench.written(name).folder / "model.rs", CATALOG).system
    assert np.array_equal(bench.scores(bench.fitted_shortly(name)), bench.scores(kept))


SHARING = ["bspm", "dlae", "ease", "fagsp", "higsp", "markov", "sgfcf", "slim", "turbocf"]


@pytest.mark.parametrize("name", SHARING)
def test_trials_share_what_their_parameters_leave_as_it_is(name: str, bench: Bench) -> None:
    """A trial after others scores as one that shares nothing, and computes nothing again."""
    config, cache = CATALOG.model(name), {}
    own = {"exponents": "individual", "power": 0.7}  # where there is something to share

    def trial(known: dict[Any, Any], **changes: Any) -> np.ndarray:
        params = params_of(config, **(own | changes))
        spectra = bench.inputs(config, RunConfig(model=name, params=params)).spectra
        system = create(config, params)
        system.fit(Task(bench.data["train"], None, True, spectra, known), Run())
        return bench.scores(system)

    first = trial(cache)
    shared = {key: id(value) for key, value in cache.items()}
    assert shared
    for param, space in config.search.items():
        other = {param: 40 if "rank" in param else config.choices(param, space)[-1]}
        assert np.array_equal(trial(cache, **other), trial({}, **other))
    assert np.array_equal(trial(cache), first)
    assert shared.items() <= {key: id(value) for key, value in cache.items()}.items()


@pytest.mark.parametrize("name", TRAINED)
def test_another_seed_gives_other_scores_of_a_trained_model(name: str, bench: Bench) -> None:
    one, two = (bench.fitted_shortly(name, seed) for seed in (0, 1))
    assert not np.array_equal(bench.scores(one), bench.scores(two))


# ----------------------------------------------------------------------------- learning


def recall_of(system: Recommender, bench: Bench) -> float:
    inputs = Inputs(bench.data["train"], bench.data["valid"], True, {})
    return mean_recall(all_lists(system.score, inputs, "train", 20)[BEST_LIST], bench.data["test"])


@pytest.mark.parametrize("name", [n for n in MODELS if n != "popularity"])
def test_the_planted_pattern_is_learned(name: str, bench: Bench) -> None:
    floor = recall_of(bench.fitted("popularity"), bench)
    assert 0.25 < floor < 0.5
    assert recall_of(bench.fitted(name), bench) > floor + 0.15


@every_model
def test_a_fit_takes_seconds(name: str, bench: Bench) -> None:
    bench.fitted(name)
    assert bench.models[name][1] < 20.0


# ------------------------------------------------------------------------ runs on disk

LISTS = {
    list_name("test", "train", "train"),
    list_name("test", "train", "train+valid"),
    list_name("test", "train+valid", "train+valid"),
}


@every_model
def test_a_run_writes_its_lists_and_its_record(name: str, bench: Bench) -> None:
    run = bench.written(name)
    status, record, lists = run.status, run.record, dict(run.lists)
    assert status == record["status"] == str(lists.pop("status")) == "ok"
    assert record["data"] == str(lists.pop("data")) and record["code"] == str(lists.pop("code")) == "code"
    assert record["key"] == str(lists.pop("key")) and record["seed"] == int(lists.pop("seed"))
    names = LISTS | {list_name("valid", "train", "train")}
    cut = {n for n in lists if n in sum(map(cut_names, names), [])}  # where the end of a list cuts equals
    assert set(lists) - cut == names | {positions_name(n) for n in names}
    lists = {n: found for n, found in lists.items() if n not in cut}
    assert all(found.shape == (120, 20) and found.dtype == np.int32 for found in lists.values())
    assert record["config"]["model"] == name
    assert record["key"] == RunConfig(**record["config"]).key
    assert all(record[f"{what}_seconds"] >= 0 for what in ("fit", "score", "spectrum"))
    assert record["peak_memory_mb"] > 0
    written = ["model.rs", "rankings.npz", "run.json"]
    assert sorted(p.name for p in run.folder.iterdir()) == written


@every_model
def test_lists_hold_what_their_names_say(name: str, bench: Bench) -> None:
    lists = bench.written(name).lists
    train, valid = bench.data["train"], bench.data["valid"]
    for mask, parts in (("train", [train]), ("train+valid", [train, valid])):
        found = lists[list_name("test", "train", mask)]
        for user in range(0, 120, 11):
            hidden = {i for part in parts for i in part.sequence(user).tolist()}
            assert not hidden & set(found[user].tolist())
            assert len(set(found[user].tolist())) == 20
    expected = rank(bench.fitted_shortly(name).score, train.merged(valid), [train.merged(valid)], 20)[0][0]
    assert np.array_equal(lists[BEST_LIST], expected)
    assert np.array_equal(lists["valid_train_train"], lists["test_train_train"])


@every_model
def test_a_refit_has_no_validation_list_and_sees_the_validation_items(name: str, bench: Bench) -> None:
    refit, run = bench.written(name, "refit"), bench.written(name)
    assert refit.status == "ok"
    found = {n for n in refit.lists if ".cut." not in n}
    assert found - set(NOT_LISTS) == LISTS | {positions_name(n) for n in LISTS}
    assert not refit.record["log"].get("validation_curve")
    assert refit.record["key"] != run.record["key"]
    assert any(not np.array_equal(refit.lists[n], run.lists[n]) for n in LISTS)


@some_models
def test_checkpoints_are_gone_once_the_results_are_on_disk(name: str, bench: Bench) -> None:
    again = bench.written(name, "again")
    assert again.status == "ok"
    assert sorted(p.name for p in again.folder.iterdir()) == ["rankings.npz", "run.json"]


@some_models
def test_two_runs_write_the_same_rankings(name: str, bench: Bench) -> None:
    one, two = (bench.written(name, which).folder / "rankings.npz" for which in ("run", "again"))
    assert one.read_bytes() == two.read_bytes()


# ----------------------------------------------------------------------------- statuses


def assert_failed(result: tuple[str, dict, dict], status: str, reason: str) -> None:
    """The run ended with a status and a reason, and left no lists behind."""
    found, record, lists = result
    assert found == record["status"] == str(lists["status"]) == status
    assert reason in record["reason"]
    assert set(lists) == set(NOT_LISTS)


@pytest.mark.parametrize("name", WITH_RANK)
def test_a_rank_beyond_the_graph_is_skipped_with_the_reason(name: str, bench: Bench, tmp_path: Path) -> None:
    result = bench.execute(tmp_path, name, rank=5000)
    assert_failed(result, "skipped", "rank 5000 exceeds the size")


@pytest.mark.parametrize("name", ORDERED)
def test_data_without_order_are_skipped_with_the_reason(name: str, bench: Bench, tmp_path: Path) -> None:
    assert_failed(bench.execute(tmp_path, name, ordered=False), "skipped", "order")


@every_model
def test_a_run_beyond_its_time_ends_as_timeout(name: str, bench: Bench, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGALRM)
    result = bench.execute(tmp_path, name, budget={"minutes": 1e-7})
    assert_failed(result, "timeout", "time budget of 6e-06 s")
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@some_models
def test_a_run_beyond_its_memory_ends_as_oom(
    name: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(bench.fitted_shortly(name))
    scores = kind.score

    def greedy(self: Recommender, users: np.ndarray, history: History) -> np.ndarray:
        np.zeros(2**32, dtype=np.uint8)  # 4 GB that are never touched
        return scores(self, users, history)

    monkeypatch.setattr(kind, "score", greedy)
    before = resource.getrlimit(resource.RLIMIT_AS)
    assert_failed(
        bench.execute(tmp_path / "low", name, budget={"memory_gb": 2.0}, **ONE), "oom", "limit 2 GB above"
    )
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert bench.execute(tmp_path / "high", name, budget={"memory_gb": 6.0}, **ONE)[0] == "ok"


@pytest.mark.parametrize("name", ["mf", "sdiff", "wpgrec"])
def test_memory_that_torch_does_not_get_ends_as_oom(
    name: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    kind = type(bench.fitted_shortly(name))
    monkeypatch.setattr(kind, "score", lambda *_: torch.empty(2**32, dtype=torch.uint8))
    assert_failed(bench.execute(tmp_path, name, budget={"memory_gb": 2.0}, **ONE), "oom", "allocate")


@pytest.mark.parametrize("name", TRAINED)
def test_a_fit_that_explodes_ends_as_diverged(name: str, bench: Bench, tmp_path: Path) -> None:
    assert_failed(bench.execute(tmp_path, name, learning_rate=1e30), "diverged", "nan")


@some_models
def test_scores_that_are_nan_end_as_diverged(
    name: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(bench.fitted_shortly(name))
    monkeypatch.setattr(kind, "score", lambda self, users, _: np.full((len(users), 80), np.nan))
    assert_failed(bench.execute(tmp_path, name, **ONE), "diverged", "NaN")


def test_a_defect_is_raised_and_leaves_no_rankings(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: Any) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(run_module, "all_lists", defect)
    with pytest.raises(RuntimeError, match="shapes"):
        bench.execute(tmp_path, "popularity")
    assert list(tmp_path.iterdir()) == []
