"""Tuning: the same budget for all, nothing lost, nothing repeated, never worse than the defaults."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_study import load, refused

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.model import (
    Budget,
    ModelConfig,
    RunConfig,
    SearchRange,
    TuneConfig,
    needed_spectra,
    spectra_of,
    tuning_spectra,
)
from recspectra.config.yaml_io import validate
from recspectra.data.interactions import Interactions
from recspectra.fitting import tune as module
from recspectra.fitting.scoring import Inputs
from recspectra.fitting.tune import TuneJob, chosen, trials_table, tune, write_tuning
from recspectra.fitting.validation import validator
from recspectra.recommender import Recommender, Refused

PARAMS = {
    "rank": {"type": "int", "default": 4, "ge": 1},
    "alpha": {"type": "float", "default": 0.5, "ge": 0, "le": 1},
    "kind": {"type": "choice", "default": "plain", "choices": ["plain", "other"]},
}


class Hill(Recommender):
    """A model whose validation value is a function of its parameters."""

    fitted: list[dict[str, Any]] = []
    die_at: int | None = None

    def fit(self, task: Any, run: Any) -> dict[str, Any]:
        if Hill.die_at == len(Hill.fitted):
            raise KeyboardInterrupt
        Hill.fitted.append(vars(self.params))
        task.shared("calls", list).append(1)
        if self.params.kind == "other":
            raise Refused("not this kind")
        return {}

    def height(self) -> float:
        return 1.0 - (self.params.alpha - 0.3) ** 2 - (self.params.rank - 7) ** 2 / 100.0

    def score(self, users: Any, history: Any) -> Any:
        return self


@pytest.fixture(autouse=True)
def hill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "create", lambda model, params: Hill(params))
    monkeypatch.setattr(module, "validator", lambda *_, **__: lambda score: score(None, None).height())
    Hill.fitted, Hill.die_at = [], None


def model(**changes: Any) -> ModelConfig:
    paper = {"title": "t", "venue": "v", "citation": "c"}
    plain = {"name": "hill", "class_name": "Hill", "title": "Hill", "kind": "closed-form", "paper": paper}
    return validate(ModelConfig, {**plain, "params": PARAMS, **changes}, "hill.yaml")


@pytest.fixture
def job() -> Callable[..., TuneJob]:
    def make(search: dict[str, Any], trials: int = 12, seed: int = 0, **changes: Any) -> TuneJob:
        config = TuneConfig(model="hill", params={}, search=search, trials=trials, seed=seed)
        return TuneJob("tiny", model(search=search, **changes), config, "cpu", Budget(memory_gb=64))

    return make


@pytest.fixture
def inputs(tiny: dict[str, Interactions]) -> Inputs:
    return Inputs(tiny["train"], tiny["valid"], True, {})


WIDE = {"rank": list(range(1, 30)), "alpha": SearchRange(low=0.0, high=1.0)}


def test_every_budget_is_spent_and_no_point_is_tried_twice(
    job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path
) -> None:
    study = tune(job(WIDE, trials=12), inputs, tmp_path / "a.sqlite")
    points = [json.dumps(p, sort_keys=True) for p in Hill.fitted]
    assert len(points) == len(set(points)) == len(study.trials) == 12


def test_a_search_spends_no_trial_on_what_the_data_cannot_have(
    job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path
) -> None:
    """With few items trials went to ranks above them, the defaults among these."""
    bounded = PARAMS | {"rank": PARAMS["rank"] | {"default": 500, "below": "items"}}
    made = job({"rank": [1, 3, 5, 9, 10, 400], "alpha": [0.1, 0.2, 0.3]}, trials=8, params=bounded)
    made.sizes = {"items": 10}
    study = tune(made, inputs, tmp_path / "a.sqlite")
    assert [p["rank"] for p in Hill.fitted][0] == 9
    assert len(study.trials) == 8 and max(p["rank"] for p in Hill.fitted) == 9
    made.sizes = {"items": 1}  # nothing fits: what is refused says so
    assert made.first[0]["rank"] == 500
    Hill.fitted = []
    made = job({"rank": SearchRange(low=1, high=400)}, trials=8, params=bounded)
    made.sizes = {"items": 10}
    tune(made, inputs, tmp_path / "b.sqlite")
    assert [p["rank"] for p in Hill.fitted][0] == max(p["rank"] for p in Hill.fitted) == 9


def test_trials_of_another_space_are_not_used(job: Callable[..., TuneJob], inputs: Inputs) -> None:
    bounded = PARAMS | {"rank": PARAMS["rank"] | {"below": "items"}}
    one, other = (job({"rank": [1, 4, 400]}, params=params) for params in (PARAMS, bounded))
    one.sizes = other.sizes = {"items": 10}
    assert one.first == other.first
    assert module.trials_file(one, inputs) != module.trials_file(other, inputs)


def test_only_whole_numbers_are_below_a_count() -> None:
    kind = PARAMS["kind"] | {"below": "items"}
    with pytest.raises(ConfigError, match=r"params\.kind\.below: .*only a parameter of type int"):
        model(search={}, params=PARAMS | {"kind": kind})


def test_trials_are_compared_on_users_drawn_once(
    job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Interactions] = []

    def validator(given: Inputs, **_: Any) -> Callable[[Any], float]:
        seen.append(given.valid)
        return lambda score: score(None, None).height()

    monkeypatch.setattr(module, "validator", validator)
    for number, (users, seed) in enumerate([(None, 0), (5, 0), (5, 0), (5, 1), (10_000, 0)]):
        made = job(WIDE, trials=1, seed=seed)
        made.config = made.config.model_copy(update={"users": users})
        tune(made, inputs, tmp_path / f"{number}.sqlite")
    whole, few, again, other, most = (set(np.flatnonzero(v.lengths)) for v in seen[::2])
    assert whole == most == set(np.flatnonzero(inputs.valid.lengths))
    assert few == again and len(few) == len(other) == 5 and few != other and few <= whole
    for user in few:
        assert seen[2].sequence(user).tolist() == inputs.valid.sequence(user).tolist()


def test_users_that_trials_are_compared_on_keep_the_order_of_their_items(inputs: Inputs) -> None:
    place = np.arange(inputs.valid.nnz, dtype=np.int32)
    ordered = replace(inputs.valid, preceding=place)
    config = TuneConfig(model="hill", params={}, search={"rank": [1, 2]}, trials=2, seed=0, users=5)
    few = module._compared_on(ordered, config)
    kept = np.isin(ordered.users, few.users)
    assert (
        few.preceding.tolist() == place[kept].tolist() and few.items.tolist() == ordered.items[kept].tolist()
    )


def test_a_number_of_users_is_part_of_a_searchs_key_and_its_absence_is_not() -> None:
    plain = {"model": "hill", "params": {}, "search": {"rank": [1, 2]}, "trials": 2, "seed": 0}
    assert "users" not in TuneConfig(**plain).model_dump()
    assert TuneConfig(**plain, users=5).key != TuneConfig(**plain).key


def test_defaults_come_first_then_the_authors_values(
    job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path
) -> None:
    best = {"tiny": {"rank": 9, "alpha": 0.25}, "another": {"rank": 1}}
    tune(job(WIDE, trials=3, best=best), inputs, tmp_path / "a.sqlite")
    assert [(p["rank"], p["alpha"]) for p in Hill.fitted[:2]] == [(4, 0.5), (9, 0.25)]


def test_a_range_reaches_as_far_as_what_is_tried_first(
    job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path
) -> None:
    search = {"rank": SearchRange(low=5, high=20), "alpha": SearchRange(low=0.2, high=0.4, log=True)}
    made = job(search, trials=8, best={"tiny": {"rank": 40, "alpha": 0.1}})
    tune(made, inputs, tmp_path / "a.sqlite")
    assert [(p["rank"], p["alpha"]) for p in Hill.fitted[:2]] == [(4, 0.5), (40, 0.1)]
    assert all(4 <= p["rank"] <= 40 and 0.1 <= p["alpha"] <= 0.5 for p in Hill.fitted)
    assert len(Hill.fitted) == 8


def test_a_small_grid_is_exhausted_and_the_job_stops_earlier(
    job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path
) -> None:
    study = tune(job({"rank": [2, 4, 6]}, trials=12), inputs, tmp_path / "a.sqlite")
    assert sorted(p["rank"] for p in Hill.fitted) == [2, 4, 6]
    assert chosen(job({"rank": [2, 4, 6]}), study)["params"]["rank"] == 6


def test_the_search_finds_the_top(job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path) -> None:
    study = tune(job(WIDE, trials=40), inputs, tmp_path / "a.sqlite")
    found = chosen(job(WIDE), study)
    assert found["value"] > 0.98
    assert found["value"] == max(t.value for t in study.trials)
    assert abs(found["params"]["rank"] - 7) <= 1


def test_what_is_fixed_is_not_searched(job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path) -> None:
    made = job({"rank": [1, 2, 3, 5, 8]}, trials=4)
    made.config = made.config.model_copy(update={"params": {"alpha": 0.9}})
    study = tune(made, inputs, tmp_path / "a.sqlite")
    assert {p["alpha"] for p in Hill.fitted} == {0.9}
    assert chosen(made, study)["params"]["alpha"] == 0.9


def test_a_search_that_is_killed_three_times_goes_on_and_ends_with_the_same_trials(
    job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path
) -> None:
    whole = tune(job(WIDE, trials=8), inputs, tmp_path / "whole.sqlite")
    Hill.fitted = []
    for lost in (0, 5, 7):
        Hill.die_at = lost
        with pytest.raises(KeyboardInterrupt):
            tune(job(WIDE, trials=8), inputs, tmp_path / "killed.sqlite")
    Hill.die_at = None
    again = tune(job(WIDE, trials=8), inputs, tmp_path / "killed.sqlite")
    assert len(Hill.fitted) == 8  # the trials that ran were lost, no other was fitted again
    tables = [trials_table(job(WIDE, trials=8), s).drop(columns="seconds") for s in (whole, again)]
    assert tables[0].equals(tables[1])


def test_a_finished_search_fits_nothing_more(
    job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path
) -> None:
    for left in (5, 0):
        Hill.fitted = []
        tune(job(WIDE, trials=5), inputs, tmp_path / "a.sqlite")
        assert len(Hill.fitted) == left


def test_seeds_search_other_points(job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path) -> None:
    for seed in (0, 1):
        tune(job(WIDE, trials=6, seed=seed), inputs, tmp_path / f"{seed}.sqlite")
    assert Hill.fitted[1:6] != Hill.fitted[7:]


def test_failed_trials_count_are_recorded_and_never_chosen(
    job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path
) -> None:
    search = {"kind": ["other", "plain"], "rank": [4, 5, 6]}
    made = job(search, trials=6)
    table = trials_table(made, study := tune(made, inputs, tmp_path / "a.sqlite"))
    assert len(table) == 6
    failed = table[table["status"] == "skipped"]
    assert len(failed) == 3
    assert set(failed["reason"]) == {"not this kind"}
    assert failed["value"].isna().all()
    assert table["best"].is_monotonic_increasing
    assert chosen(made, study)["params"]["kind"] == "plain"


def test_where_every_trial_fails_the_defaults_are_chosen_with_the_reason(
    job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path
) -> None:
    made = job(
        {"kind": ["other"]}, trials=3, params={**PARAMS, "kind": PARAMS["kind"] | {"default": "other"}}
    )
    found = chosen(made, tune(made, inputs, tmp_path / "a.sqlite"))
    assert (found["status"], found["reason"], found["value"]) == ("skipped", "not this kind", None)


def test_trials_share_what_they_compute(job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path) -> None:
    made = job(WIDE, trials=5)
    tune(made, inputs, tmp_path / "a.sqlite")
    assert len(made.cache["calls"]) == 5


def test_files_of_a_search_are_complete_and_repeatable(
    job: Callable[..., TuneJob], inputs: Inputs, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        made = job(WIDE, trials=5)
        write_tuning(made, tune(made, inputs, tmp_path / f"{name}.sqlite"), inputs, tmp_path / name)
    one, two = (tmp_path / name / "best.json" for name in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()
    assert json.loads(one.read_text())["budget"] == 5
    assert (
        (tmp_path / "a" / "trials.csv")
        .read_text()
        .startswith("trial,value,best,status,reason,seconds,params")
    )


def test_validation_ranks_only_users_with_targets(
    tiny: dict[str, Interactions], inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[np.ndarray] = []

    def score(users: np.ndarray, history: Any) -> np.ndarray:
        asked.append(users)
        return np.tile(np.arange(80, dtype=np.float32), (len(users), 1))

    value = validator(inputs)(score)
    assert np.array_equal(np.concatenate(asked), np.flatnonzero(tiny["valid"].lengths > 0))
    assert 0 < value < 1


# -------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"low": 2.0, "high": 1.0}, "low 2 must be below high 1"),
        ({"low": 0.0, "high": 1.0, "log": True}, "log needs a positive low"),
        ([], "must not be empty"),
        ([1.5], "out of bounds"),
        ({"low": 0.5, "high": 1.5}, "out of bounds"),
    ],
)
def test_a_wrong_search_space_is_refused(space: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        model(search={"alpha": space})


def test_what_is_drawn_by_its_logarithm_starts_from_positive_values() -> None:
    search = {"alpha": {"low": 0.1, "high": 0.2, "log": True}}
    with pytest.raises(ConfigError, match="search.alpha: drawn by its logarithm, but best.tiny has 0"):
        model(search=search, best={"another": {"rank": 2}, "tiny": {"alpha": 0.0}})


def test_an_operator_cannot_be_named_after_a_range() -> None:
    spectra = [{"operator": "unified-d2-a{alpha}", "rank": "{rank}"}]
    with pytest.raises(ConfigError, match="give a list of values"):
        model(search={"alpha": {"low": 0.1, "high": 0.2}}, spectra=spectra)


def test_a_tuned_run_asks_for_all_spectra_that_may_be_chosen() -> None:
    spectra = [{"operator": "unified-d2-a{alpha}", "rank": "{rank}"}]
    system = model(search={"alpha": [0.2, 0.4], "rank": {"low": 2, "high": 100}}, spectra=spectra)
    config = TuneConfig(model="hill", params={}, search=system.search, trials=3, seed=0)
    run = RunConfig(model="hill", params={}, tune=config)
    wanted = {(f"unified-d2-a{a}@train", 128) for a in (0.2, 0.4, 0.5)}
    assert set(spectra_of(system, run)) == set(tuning_spectra(system, config)) == wanted
    params = system.resolve({"alpha": 0.4, "rank": 3})
    assert needed_spectra(system, run, params) == [("unified-d2-a0.4@train", 128)]


def study(catalog: Catalog, tmp_path: Path, **entry: Any) -> Any:
    models = [{"model": "gsprec", "tune": True, **entry}]
    return load(tmp_path, catalog, tuning={"trials": 3}, models=models)


def test_ablations_share_the_tuning_of_the_whole_model(catalog: Catalog, tmp_path: Path) -> None:
    whole = study(catalog, tmp_path).runs[0].run
    part = study(catalog, tmp_path, after={"phi": 0.0}).runs[0].run
    assert part.tune == whole.tune
    assert part.params == {"phi": 0.0}
    assert part.key != whole.key


def test_fixed_values_leave_the_search(catalog: Catalog, tmp_path: Path) -> None:
    run = study(catalog, tmp_path, params={"phi": 0.25}).runs[0].run
    assert "phi" not in run.tune.search
    assert run.tune.params == {"phi": 0.25}


def test_a_model_without_anything_to_search_is_an_ordinary_run(catalog: Catalog, tmp_path: Path) -> None:
    assert study(catalog, tmp_path, model="popularity").runs[0].run.tune is None


def test_tuning_and_best_settings_exclude_each_other(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        study(catalog, tmp_path, use_best=True)


def test_a_tuned_model_needs_a_budget(tmp_path: Path) -> None:
    assert "tuning: {trials: 20}" in refused(tmp_path, models=[{"model": "ease", "tune": True}])


def test_a_run_that_is_not_tuned_has_no_tuning_in_its_key() -> None:
    dumped = RunConfig(model="ease", params={"regularization": 1.0}).model_dump()
    assert set(dumped) == {"model", "class_name", "params", "fit", "top"}


def test_optional_datasets_take_part_only_where_they_are_present(catalog: Catalog, tmp_path: Path) -> None:
    models = [
        {"model": "ease"},
        {"model": "gfcf", "datasets": ["lastfm.loo"]},
        {"model": "popularity", "datasets": ["synthetic", "ml-1m.loo"]},
    ]
    optional = ["lastfm.loo", "ml-1m.loo"]

    def runs(*present: str) -> list[tuple[str, str]]:
        return [
            (r.run.model, r.dataset)
            for r in load(tmp_path, catalog, present=present, models=models, optional_datasets=optional).runs
        ]

    both = [
        ("ease", "synthetic"),
        ("ease", "lastfm.loo"),
        ("gfcf", "lastfm.loo"),
        ("popularity", "synthetic"),
    ]
    assert runs("synthetic", "lastfm.loo") == both == runs("lastfm.loo")
    assert runs() == [("ease", "synthetic"), ("popularity", "synthetic")]


@pytest.mark.parametrize(
    ("need", "words"),
    [
        ({"rank": "{alpha}"}, r"spectra\[0\]\.rank: '\{alpha\}' is not a whole number .*one of \{rank\}"),
        ({"rank": "{kind}"}, r"rank: '\{kind\}' is not a whole number"),
        ({"rank": "many"}, "rank: 'many' is not a whole number"),
        ({"rank": "0"}, "rank: '0' is not a whole number of at least 1"),
        ({"rank": "{zzz}"}, "rank: the model has no parameter 'zzz'; it has rank"),
        ({"rank": "{}"}, r"rank: '\{\}' cannot be filled in"),
        ({"rank": "{rank"}, r"rank: '\{rank' cannot be filled in"),
        ({"operator": "unified-d{depht}"}, r"spectra\[0\]\.operator: the model has no parameter 'depht'"),
        ({"operator": "unified-d{kind:.2f}"}, r"operator: .* cannot be filled in"),
    ],
)
def test_a_spectrum_that_no_parameter_fills_is_refused(need: dict[str, str], words: str) -> None:
    plain = {"operator": "item-similarity", "rank": "{rank}"}
    with pytest.raises(ConfigError, match=rf"hill\.yaml: .*{words}"):
        model(spectra=[plain | need])
    assert model(spectra=[plain, plain | {"rank": "8"}])
    with pytest.raises(ConfigError, match=r"rank: '\{none\}' is not a whole number of at least 1"):
        model(params=PARAMS | {"none": {"type": "int", "default": 0}}, spectra=[plain | {"rank": "{none}"}])
