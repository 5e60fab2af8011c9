"""Choose hyperparameters on validation: the same number of trials for every model.

The search is Optuna's TPE (or the whole grid, where that is no larger than the budget). It
starts with the model's defaults and, where its YAML has them, good known settings for the
dataset (`best`, mostly its authors'). Every trial goes to an SQLite file at once:
a job that was killed goes on where it was, and ends with the same trials as one that was not.
"""

from __future__ import annotations

import gc
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.trial import FrozenTrial, TrialState

from recspectra.config.base import Scalar
from recspectra.config.model import Budget, ModelConfig, TuneConfig
from recspectra.config.scale import USABLE, Caps
from recspectra.config.yaml_io import canonical_json
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.files import provenance, write_json, write_text
from recspectra.fitting.scoring import Inputs
from recspectra.fitting.statuses import attempt, ended_by_cap
from recspectra.fitting.validation import validator
from recspectra.identity import hash_of
from recspectra.recommender import Run, Task, create, fitted, scorer_on
from recspectra.runtime import Progress, axis_seed

RANDOM_SHARE = 0.3  # of the trials are drawn at random before TPE has something to learn from
MISSES = 200  # draws in a row that give nothing new: the space is exhausted
COLUMNS = ["trial", "value", "best", "status", "reason", "seconds", "params"]

Params = dict[str, Scalar]


@dataclass
class TuneJob:
    """Everything that says what one tuning job is.

    `minutes` are the most that a trial learns; `caps_text` is written down for the workflow (see
    `config.scale.caps_text`). `sizes` are the numbers of `items` and of `nodes`: what a parameter must be
    `below` in its YAML. Without them every value is tried.
    """

    dataset: str
    model: ModelConfig
    config: TuneConfig
    device: str
    budget: Budget
    code: str = ""
    minutes: float | None = None
    caps_text: str = ""
    sizes: dict[str, int] = field(default_factory=dict)
    cache: dict = field(default_factory=dict)

    @property
    def caps(self) -> Caps:
        """Return the caps of a trial: on epochs that of the job's configuration."""
        return Caps(epochs=self.config.epochs, minutes=self.minutes)

    @property
    def fixed(self) -> Params:
        """Return the values that no trial changes."""
        values = self.model.resolve(self.config.params)
        return {name: value for name, value in values.items() if name not in self.config.search}

    @property
    def first(self) -> list[Params]:
        """Return what is tried first: the defaults, then the authors' values for the dataset.

        A value that the data cannot have gives way to the largest of the search that they can.
        """
        defaults = self.model.resolve({})
        known = {**defaults, **self.model.resolve(self.model.best.get(self.dataset, {}))}
        blocks = [
            {name: self._fitting(name, values[name]) for name in self.config.search}
            for values in (defaults, known)
        ]
        return [b for i, b in enumerate(blocks) if b not in blocks[:i]]

    def _fits(self, name: str, value: Scalar) -> bool:
        """Return whether the data can have a value of a parameter."""
        size = self.sizes.get(self.model.params[name].below or "")
        return size is None or value < size

    def _fitting(self, name: str, value: Scalar) -> Scalar:
        space = self.config.search[name]
        if self._fits(name, value):
            return value
        if not isinstance(space, list):
            return max(space.low, self.sizes[self.model.params[name].below] - 1)
        return max((v for v in space if self._fits(name, v)), default=value)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the search space; what is tried first belongs to it, a range reaches that far."""
        found: dict[str, BaseDistribution] = {}
        for name, space in self.config.search.items():
            extra = [params[name] for params in self.first]
            if isinstance(space, list):
                fitting = [value for value in space if self._fits(name, value)]
                found[name] = CategoricalDistribution(list(dict.fromkeys([*fitting, *extra])))
                continue
            low, high = min(space.low, *extra), max(self._fitting(name, space.high), *extra)
            if self.model.params[name].type == "int":
                found[name] = IntDistribution(int(low), int(high), log=space.log)
            else:
                found[name] = FloatDistribution(low, high, log=space.log)
        return found


def trials_file(job: TuneJob, inputs: Inputs) -> str:
    """Return the name of the SQLite file of a job's trials.

    It follows from all that a trial's value is made from and that the job's key does not say: code, data,
    eigenpairs, the cap on minutes, the values that are fixed, those that are tried first and those that the
    data can have. Trials made from anything else stay, in a file of their own.
    """
    made_from = {
        "code": job.code, "data": inputs.digest, "fixed": job.fixed, "first": job.first,
        "spectra": {name: spectrum.digest for name, spectrum in inputs.spectra.items()},
        "space": {name: distribution_to_json(space) for name, space in job.distributions().items()},
    }  # fmt: skip
    if job.minutes:
        made_from["minutes"] = job.minutes
    return f"trials-{hash_of(made_from)[:16]}.sqlite"


def tune(job: TuneJob, inputs: Inputs, database: Path, progress: Progress | None = None) -> optuna.Study:
    """Run the trials that are not in `database` yet and return the study.

    Parameters
    ----------
    job : TuneJob
        What to search, with how many trials.
    inputs : Inputs
        Train and validation interactions and the spectra; no test data. With `users` a trial sees the
        validation items of as many users, drawn once by the seed of the search.
    database : Path
        SQLite file; made where it is missing.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{database}", study_name="tune", direction="maximize", load_if_exists=True
    )
    inputs, by = replace(inputs, valid=_compared_on(inputs.valid, job.config)), job.config.validate_by
    validate, final = validator(inputs, by=by), validator(inputs, refuse_ties=True, by=by)
    for params in _suggestions(job, study):
        record = _try(job, inputs, validate, final, {**job.fixed, **params})
        study.add_trial(_frozen(job, params, record))
        if progress:
            progress.update(len(study.get_trials(deepcopy=False)), validation=record["value"])
    return study


def _compared_on(valid: Interactions, config: TuneConfig) -> Interactions:
    """Return the validation items of the users that trials are compared on."""
    users = np.flatnonzero(valid.lengths > 0)
    if config.users is None or config.users >= len(users):
        return valid
    drawn = np.random.default_rng(axis_seed(config.seed, "validation-users"))
    kept = np.isin(valid.users, drawn.choice(users, config.users, replace=False))
    times, preceding = (None if a is None else a[kept] for a in (valid.times, valid.preceding))
    return replace(from_pairs(valid.users[kept], valid.items[kept], times, valid.shape), preceding=preceding)


def _suggestions(job: TuneJob, study: optuna.Study) -> Iterator[Params]:
    """Yield new points until the budget is spent or the space is exhausted.

    The sampler is seeded anew from the number of finished trials, so the points do not
    depend on how often the job was interrupted.
    """
    space = job.distributions()
    while True:
        trials = study.get_trials(deepcopy=False)
        tried = {t.user_attrs["params"] for t in trials}
        if len(trials) >= job.config.trials:
            return
        planned = [*job.first, *(_grid(space) if _grid_size(space) <= job.config.trials else [])]
        waiting = [p for p in planned if canonical_json(p) not in tried]
        point = waiting[0] if waiting else _drawn(job, study, space, len(trials), tried)
        if point is None:
            return
        yield point


def _grid_size(space: dict[str, BaseDistribution]) -> float:
    sizes = [len(d.choices) if isinstance(d, CategoricalDistribution) else math.inf for d in space.values()]
    return math.prod(sizes)


def _grid(space: dict[str, BaseDistribution]) -> list[Params]:
    values = [distribution.choices for distribution in space.values()]
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*values)]


def _drawn(
    job: TuneJob, study: optuna.Study, space: dict[str, BaseDistribution], done: int, tried: set[str]
) -> Params | None:
    """Return a point that was not tried, from TPE given the finished trials; None if there is none."""
    memory = optuna.create_study(direction="maximize")
    memory.add_trials([t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE])
    startup = max(4, round(RANDOM_SHARE * job.config.trials))
    for miss in range(MISSES if _grid_size(space) > len(tried) else 0):
        # After many repetitions of known points only chance leads away from them.
        startup = startup if miss < MISSES // 4 else job.config.trials + MISSES
        seed = axis_seed(job.config.seed, f"trial-{done}-{miss}") % 2**32
        memory.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
        asked = memory.ask(space)
        memory.tell(asked, state=TrialState.FAIL)
        if canonical_json(asked.params) not in tried:
            return dict(asked.params)
    return None


def _try(job: TuneJob, inputs: Inputs, validate: Any, final: Any, params: Params) -> dict[str, Any]:
    """Fit one point and measure it on validation; a failure is a record with a status."""
    record: dict[str, Any] = {"status": "ok", "reason": "", "value": None, "capped": ""}
    task = Task(inputs.train, inputs.valid, inputs.ordered, inputs.spectra, job.cache)

    def work() -> None:
        system = create(job.model, params)
        label = f"tune {job.model.name} {job.dataset}"
        log = fitted(system, task, Run(job.config.seed, job.device, label, None, validate, caps=job.caps))
        record.update(ended_by_cap(log, job.caps))
        record["value"] = final(scorer_on(job.device, job.model, system))

    started = time.perf_counter()
    attempt(work, record, job.budget, job.device)
    record["seconds"] = time.perf_counter() - started
    if record["status"] == "oom":
        job.cache.clear()
    gc.collect()
    return record


def _frozen(job: TuneJob, params: Params, record: dict[str, Any]) -> FrozenTrial:
    attributes = {k: record[k] for k in ("status", "reason", "seconds", "capped")}
    attributes["params"] = canonical_json(params)
    ok = record["status"] in USABLE
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE if ok else TrialState.FAIL,
        value=record["value"] if ok else None,
        params=params,
        distributions=job.distributions(),
        user_attrs=attributes,
    )


# ------------------------------------------------------------------------------- files


def trials_table(job: TuneJob, study: optuna.Study) -> pd.DataFrame:
    """Return one row a trial, in order; `best` is the best value so far."""
    trials = study.get_trials(deepcopy=False)
    rows = [
        {
            "trial": number,
            "value": trial.value if trial.state == TrialState.COMPLETE else np.nan,
            **{k: trial.user_attrs[k] for k in ("status", "reason", "seconds", "params")},
        }
        for number, trial in enumerate(trials, start=1)
    ]
    frame = pd.DataFrame(rows, columns=[c for c in COLUMNS if c != "best"])
    frame["value"] = frame["value"].astype("float64")
    return frame.assign(best=frame["value"].cummax().ffill())[COLUMNS]


def chosen(job: TuneJob, study: optuna.Study) -> dict[str, Any]:
    """Return the best trial's values with the fixed ones, and how they were found.

    Of equal trials the earlier wins. Without any that finished, the defaults are taken,
    with the status of the first, so that the run that follows shows why.
    """
    trials = study.get_trials(deepcopy=False)
    finished = [t for t in trials if t.state == TrialState.COMPLETE]
    best = max(finished, key=lambda t: (t.value, -t.number)) if finished else trials[0]
    return {
        "model": job.model.name,
        "dataset": job.dataset,
        "key": job.config.key,
        "params": job.model.resolve({**job.config.params, **best.params}),
        "metric": f"{job.config.validate_by} on validation",
        "value": best.value if finished else None,
        "status": best.user_attrs["status"],
        "reason": best.user_attrs["reason"],
        "trial": trials.index(best) + 1,
        "trials": len(trials),
        "finished": len(finished),
        "budget": job.config.trials,
        "search": job.config.model_dump()["search"],
        "caps": (now := Caps(minutes=job.minutes)).text,
        "caps_text": job.caps_text or now.text,
        "capped": "minutes" if any(t.user_attrs["capped"] == "minutes" for t in trials) else "",
    }


def write_tuning(job: TuneJob, study: optuna.Study, inputs: Inputs, folder: Path) -> None:
    """Write `trials.csv` and, last, `best.json`."""
    origin = {"data": inputs.digest, "code": job.code, "provenance": provenance()}
    write_text(folder / "trials.csv", trials_table(job, study).to_csv(index=False, lineterminator="\n"))
    write_json(folder / "best.json", chosen(job, study) | origin)
