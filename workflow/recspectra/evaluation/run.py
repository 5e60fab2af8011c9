"""One run from data to rankings: fit a system, rank the lists, write what came of it.

A run that fails in a way that is a result (out of memory or time, diverged,
refused) ends with that status and a reason. Any other error is a defect and is
raised.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from recspectra.artifacts import atomic, provenance, write_json, write_npz
from recspectra.data.interactions import Interactions
from recspectra.evaluation.hits import mean_recall
from recspectra.evaluation.ranking import Ranking, as_arrays, batches, list_name, top_with_ties
from recspectra.identity import data_digest, fit_digest
from recspectra.models.base import (
    History,
    Recommender,
    Refused,
    Run,
    Scorer,
    Task,
    check_scores,
    create,
    fitted,
)
from recspectra.run_schema import Budget, ModelConfig, RunConfig
from recspectra.runtime import Diverged, OutOfTime, memory_budget, peak_memory_mb, time_budget
from recspectra.schema import Scalar
from recspectra.spectral.spectrum import Spectrum

BATCH_SCORES = 4_000_000  # scores held at once: 16 MB of float32
VALIDATION_K = 20
NOT_LISTS = ("status", "data", "code")  # what `rankings.npz` holds besides lists


@dataclass(frozen=True)
class Inputs:
    """Data of a run; test interactions are not among them."""

    train: Interactions
    valid: Interactions
    ordered: bool
    spectra: Mapping[str, Spectrum]

    def part(self, name: str) -> Interactions:
        """Return `train` or the union `train+valid`."""
        return self.train if name == "train" else self.train.merged(self.valid)

    @cached_property
    def digest(self) -> str:
        """What `stats.json` calls `fit`: the digest of train, valid and whether they are ordered."""
        return fit_digest(self.train, self.valid, self.ordered)


def read_spectra(folder: Path, needs: list[tuple[str, int]], fitted: Interactions) -> dict[str, Spectrum]:
    """Return the spectra of a dataset by operator; refuse those of other interactions.

    Parameters
    ----------
    folder : Path
        `results/spectra/DATASET`.
    needs : list of (operator id, rank)
        As `run_schema.spectra_of` returns them.
    fitted : Interactions
        What the operators are built from.
    """
    data = data_digest(fitted) if needs else ""
    return {o.partition("@")[0]: Spectrum.load(folder / f"{o}-r{r}.npz", data) for o, r in needs}


def rank(
    score: Scorer, history: Interactions, masks: list[Interactions], depth: int, size: int = 0,
    ties: bool = True, users: np.ndarray | None = None,
) -> list[Ranking]:  # fmt: skip
    """Rank all users once per mask, scoring each user once.

    Parameters
    ----------
    score : callable
        Takes (users, History), returns scores of shape (b, n).
    history : Interactions
        What the system is shown.
    masks : list of Interactions
        What may not be recommended, one list of results each.
    depth : int
        Length of the lists.
    size : int
        Users per batch; 0 chooses by memory.
    ties : bool
        Whether to look for equal scores.
    users : array, optional
        Ids of the users to rank; all of them by default.

    Returns
    -------
    list of Ranking
        One per mask, in the order of `users`.

    Raises
    ------
    ContractError
        Scores are no dense array of floating point numbers, shape (users, n_items).
    Diverged
        A score is NaN or infinitely large.
    """
    size = size or max(1, BATCH_SCORES // history.n_items)
    users = np.arange(history.n_users) if users is None else users
    parts: list[list[Ranking]] = [[] for _ in masks]
    for places in batches(len(users), size):
        batch = users[places]
        scores = check_scores(score, score(batch, History.of(history, batch)), len(batch), history.n_items)
        for part, mask in zip(parts, masks, strict=True):
            part.append(top_with_ties(scores, mask.matrix[batch], depth, ties))
    return [Ranking.join(part) for part in parts]


def all_lists(score: Scorer, inputs: Inputs, fit: str, depth: int) -> dict[str, np.ndarray]:
    """Return the lists of a run by name, and what other rules for ties than theirs need.

    A refit on train+valid has no validation list: its targets were fitted on.
    """
    both = inputs.part("train+valid")
    shown_train = rank(score, inputs.train, [inputs.train, both], depth)
    named = {
        list_name("test", "train", "train"): shown_train[0],
        list_name("test", "train", "train+valid"): shown_train[1],
        list_name("test", "train+valid", "train+valid"): rank(score, both, [both], depth)[0],
    }
    if fit == "train":
        named[list_name("valid", "train", "train")] = shown_train[0]
    return {key: array for name, ranking in named.items() for key, array in as_arrays(name, ranking).items()}


def validator(inputs: Inputs) -> Any:
    """Return a function from a scorer to recall@20 on validation, for early stopping and tuning.

    Only users who have something to be found are ranked.
    """
    users = np.flatnonzero(inputs.valid.lengths > 0)

    def validate(score: Scorer) -> float:
        found = rank(score, inputs.train, [inputs.train], VALIDATION_K, ties=False, users=users)[0]
        lists = np.full((inputs.train.n_users, VALIDATION_K), -1, dtype=np.int32)
        lists[users] = found.lists
        return mean_recall(lists, inputs.valid)

    return validate


@dataclass(frozen=True)
class Job:
    """Everything that says what one run is.

    `params` are the values that it runs with: those of `config`, or where that is tuned,
    those chosen with the values of `config` on top. `twin` is the record of the same run on
    `train`: with it a refit learns for as many epochs as did best there, without it for all.
    """

    dataset: str
    model: ModelConfig
    config: RunConfig
    params: dict[str, Scalar]
    seed: int
    device: str
    threads: int
    budget: Budget
    code: str
    checkpoints: Path | None = None
    twin: Mapping[str, Any] | None = None


def execute(job: Job, inputs: Inputs, folder: Path, save_model: bool = False) -> str:
    """Fit, rank and write `rankings.npz` and `run.json` into `folder`; return the status.

    `run.json` holds the timing and is written first, `rankings.npz` last: while the
    latter is missing the run is not finished.
    """
    params = job.params | best_epochs(job.twin)
    record: dict[str, Any] = {
        "dataset": job.dataset,
        "config": job.config.model_dump(),
        "params": params,
        "key": job.config.key,
        "seed": job.seed,
        "data": inputs.digest,
        "device": job.device,
        "threads": job.threads,
        "code": job.code,
        "provenance": provenance(),
        "status": "ok",
        "reason": "",
    }
    system = create(job.model, params)
    lists: dict[str, np.ndarray] = {}

    def work() -> None:
        lists.update(_fit_and_rank(job, system, inputs, record))

    attempt(work, record, job.budget, job.device)
    record["peak_memory_mb"] = round(_peak(job.device), 1)
    write_json(folder / "run.json", record)
    if save_model and lists:
        save_system(system, folder / "model.safetensors")
    words = {name: np.str_(record[name]) for name in NOT_LISTS}
    write_npz(folder / "rankings.npz", **words, **lists)
    _discard(job.checkpoints)
    return record["status"]


def best_epochs(twin: Mapping[str, Any] | None) -> dict[str, int]:
    """Return the epochs of a refit, those that did best in the run on `train`; nothing if it failed."""
    return {"epochs": max(1, twin["log"]["best_epoch"])} if twin and twin["status"] == "ok" else {}


def _fit_and_rank(
    job: Job, system: Recommender, inputs: Inputs, record: dict[str, Any]
) -> dict[str, np.ndarray]:
    if job.twin and job.twin["status"] != "ok":
        raise Refused(f"how long to learn is not known: the run on train ended as {job.twin['status']}")
    refit = job.config.fit == "train+valid"
    task = Task(inputs.part(job.config.fit), None if refit else inputs.valid, inputs.ordered, inputs.spectra)
    validate = None if refit else validator(inputs)
    label = f"{job.model.name} {job.dataset} seed {job.seed}"
    run = Run(
        job.seed, job.device, label, job.checkpoints, validate, made_from(job, inputs, record["params"])
    )
    record["spectrum_seconds"] = round(sum(s.seconds for s in inputs.spectra.values()), 4)
    started = time.perf_counter()
    record["log"] = fitted(system, task, run)
    earlier = record["log"].get("resumed_seconds", 0.0)
    record["fit_seconds"] = round(earlier + time.perf_counter() - started, 4)
    started = time.perf_counter()
    lists = all_lists(system.score, inputs, job.config.fit, job.config.top)
    record["score_seconds"] = round(time.perf_counter() - started, 4)
    return lists


def made_from(job: Job, inputs: Inputs, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a fit is made from; a checkpoint of anything else is not gone on with."""
    spectra = {name: spectrum.digest for name, spectrum in sorted(inputs.spectra.items())}
    return {
        "key": job.config.key, "seed": job.seed, "code": job.code, "data": inputs.digest,
        "spectra": spectra, "params": dict(params),
    }  # fmt: skip


def attempt(work: Callable[[], None], record: dict[str, Any], budget: Budget, device: str) -> None:
    """Call `work` within a budget; a failure that is a result becomes `status` and `reason`."""
    # CUDA maps far more address space than it uses, so memory is limited on a CPU alone.
    memory = memory_budget(budget.memory_gb) if device == "cpu" else nullcontext()
    started_with = peak_memory_mb()
    try:
        with time_budget(budget.minutes * 60), memory:
            work()
    except MemoryError as error:
        record.update(status="oom", reason=_out_of_memory(error, budget, device, started_with))
    except OutOfTime as error:
        record.update(status="timeout", reason=str(error))
    except Diverged as error:
        record.update(status="diverged", reason=str(error))
    except Refused as error:
        record.update(status="skipped", reason=str(error))
    except RuntimeError as error:
        if "out of memory" not in str(error).lower() and "alloc" not in str(error).lower():
            raise
        record.update(status="oom", reason=_out_of_memory(error, budget, device, started_with))


def _out_of_memory(error: Exception, budget: Budget, device: str, started_with: float) -> str:
    """Return what could not be had, the peak and the limit, which counts from the start on."""
    said = (str(error) or "out of memory").splitlines()[0]
    limit = f"{budget.memory_gb:g} GB above the {started_with / 1024:.2f} GB of the start"
    return (
        f"{said}; peak {_peak(device) / 1024:.2f} GB, "
        f"limit {limit if device == 'cpu' else 'the memory of the device'}"
    )


def _peak(device: str) -> float:
    if device == "cpu":
        return peak_memory_mb()
    import torch

    return torch.cuda.max_memory_allocated() / 1024.0**2


def _discard(folder: Path | None) -> None:
    """Remove the checkpoint once the results are on disk."""
    if folder is not None and folder.is_dir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def save_system(system: Recommender, path: Path) -> None:
    """Write the fitted state as safetensors, atomically."""
    from safetensors.numpy import save_file

    with atomic(path) as temporary:
        save_file(system.state(), temporary)


def load_system(config: ModelConfig, params: Mapping[str, Any], path: Path) -> Recommender:
    """Read what `save_system` wrote into a new system."""
    from safetensors.numpy import load_file

    system = create(config, params)
    system.load_state(load_file(path))
    return system
