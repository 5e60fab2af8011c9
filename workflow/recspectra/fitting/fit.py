"""One run from data to rankings: fit a model, rank the lists, write what came of it.

A run that fails in a way that is a result (out of memory or time, diverged,
refused) ends with that status and a reason. Any other error is a defect and is
raised.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recspectra.config.base import Scalar
from recspectra.config.model import BY_RECALL, Budget, ModelConfig, RunConfig, ValidatedBy
from recspectra.config.scale import NO_CAPS, USABLE, Caps
from recspectra.files import MODEL_FILE, provenance, write_json, write_npz
from recspectra.fitting import saved
from recspectra.fitting.scoring import NOT_LISTS, Inputs, all_lists
from recspectra.fitting.statuses import attempt, ended_by_cap, peak_megabytes
from recspectra.fitting.validation import validator
from recspectra.recommender import (
    ContractError,
    Recommender,
    Refused,
    Run,
    Task,
    create,
    device_of,
    fitted,
    scorer_on,
)

if TYPE_CHECKING:  # it loads pandas, which a fit does not need
    from recspectra.data.ids import Ids


@dataclass(frozen=True)
class Job:
    """Everything that says what one run is.

    `params` are the values that it runs with: those of `config`, or where that is tuned,
    those chosen with the values of `config` on top. `caps` are those in force; `caps_text` is
    written down for the workflow (see `config.scale.caps_text`). `train_run` is the record of the same run on
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
    caps: Caps = NO_CAPS
    caps_text: str = ""
    train_run: Mapping[str, Any] | None = None


def execute(job: Job, inputs: Inputs, folder: Path, keep: Ids | None = None, keep_text: str = "") -> str:
    """Fit, rank and write `rankings.npz` and `run.json` into `folder`; return the status.

    `run.json` holds the timing and is written first, `rankings.npz` last: while the
    latter is missing the run is not finished. With `keep`, the ids of the dataset, the
    model itself is saved as `model.rs`; `keep_text` is written down for the workflow.
    """
    if folder.is_dir():
        (folder / MODEL_FILE).unlink(missing_ok=True)  # of an earlier fit
    record = _new_record(job, inputs.digest, keep_text)
    system = create(job.model, record["params"])
    lists: dict[str, np.ndarray] = {}

    def work() -> None:
        lists.update(_fit_and_rank(job, system, inputs, record))

    attempt(work, record, job.budget, job.device)
    record["peak_memory_mb"] = round(peak_megabytes(record["device"]), 1)
    write_json(folder / "run.json", record)
    if keep is not None and lists:
        about = about_model(job.model, record, inputs)
        history = inputs.part("train+valid")
        saved.save_model(folder / MODEL_FILE, saved.SavedModel(about, system, history, keep))
    words = {name: np.str_(record[name]) for name in NOT_LISTS}
    write_npz(folder / "rankings.npz", **words, **lists)
    if not record["capped"]:  # else it goes on from there under a higher cap
        _discard(job.checkpoints)
    for other in _of_other_code(job):
        _discard(other)
    return record["status"]


def _new_record(job: Job, data: str, keep_text: str) -> dict[str, Any]:
    """Return what `run.json` says before the fit."""
    return {
        "dataset": job.dataset,
        "config": job.config.model_dump(),
        "params": job.params | best_epochs(job.train_run),
        "key": job.config.key,
        "seed": job.seed,
        "data": data,
        "device": job.device,
        "threads": job.threads,
        "code": job.code,
        "provenance": provenance(),
        "status": "ok",
        "reason": "",
        "caps": job.caps.text,
        "caps_text": job.caps_text or job.caps.text,
        "capped": "",
        "keep_text": keep_text,
    }


def about_model(model: ModelConfig, record: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return what a saved model says of itself; `record` is that of its run."""
    taken = {name: record[name] for name in ("dataset", "params", "seed", "data", "log")}
    taken |= {"model": model.name, "class_name": model.class_name, "title": model.title}
    return taken | {"fit": record["config"]["fit"], "ordered": inputs.ordered}


def best_epochs(train_run: Mapping[str, Any] | None) -> dict[str, int]:
    """Return the epochs of a refit, those that did best in the run on `train`; nothing if it failed.

    Raises
    ------
    ContractError
        The log of the run on `train` does not say which epoch did best.
    """
    if not (train_run and train_run["status"] in USABLE):
        return {}
    best = train_run["log"].get("best_epoch")
    if type(best) is not int:
        name = train_run.get("config", {}).get("class_name") or "the model"
        raise ContractError(
            f"a refit learns for as many epochs as did best on validation, but the log that {name}.fit "
            f"returned has {'no' if best is None else 'not a whole number as'} `best_epoch`; return it, "
            "or leave `train+valid` out of `fit`"
        )
    return {"epochs": max(1, best)}


def _fit_and_rank(
    job: Job, system: Recommender, inputs: Inputs, record: dict[str, Any]
) -> dict[str, np.ndarray]:
    if job.train_run and job.train_run["status"] not in USABLE:
        raise Refused(f"how long to learn is not known: the run on train ended as {job.train_run['status']}")
    label = f"{job.model.title} on {job.dataset}, seed {job.seed}"
    made = made_from(job, inputs, record["params"])
    run = Run(job.seed, job.device, label, job.checkpoints, None, made, job.caps)
    record["spectrum_seconds"] = round(sum(s.seconds for s in inputs.spectra.values()), 4)
    started = time.perf_counter()
    record["log"] = learn(system, inputs, job.config.fit, run, job.config.validate_by)
    record.update(ended_by_cap(record["log"], job.caps, job.train_run))
    earlier = record["log"].get("resumed_seconds", 0.0)
    record["fit_seconds"] = round(earlier + time.perf_counter() - started, 4)
    started = time.perf_counter()
    score = scorer_on(job.device, job.model, system)
    if job.model.kind == "closed-form":  # its arrays may be too large for the device that was asked for
        record["device"] = device_of(score)
    lists = all_lists(score, inputs, job.config.fit, job.config.top)
    record["score_seconds"] = round(time.perf_counter() - started, 4)
    return lists


def learn(
    system: Recommender, inputs: Inputs, part: str, run: Run, by: ValidatedBy = BY_RECALL
) -> dict[str, Any]:
    """Fit a model on `train`, where validation ends it, or again on `train+valid`; return its log.

    `by` is the metric on validation.

    Raises
    ------
    Refused
        The model cannot run on these data.
    Diverged
        What it learns became NaN or infinite.
    """
    alone = part == "train"
    task = Task(inputs.part(part), inputs.valid if alone else None, inputs.ordered, inputs.spectra)
    return fitted(system, task, replace(run, validate=validator(inputs, by=by) if alone else None))


def made_from(job: Job, inputs: Inputs, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a fit is made from; a checkpoint of anything else is not gone on with."""
    spectra = {name: spectrum.digest for name, spectrum in sorted(inputs.spectra.items())}
    return {
        "key": job.config.key, "seed": job.seed, "code": job.code, "data": inputs.digest,
        "spectra": spectra, "params": dict(params),
    }  # fmt: skip


def _of_other_code(job: Job) -> list[Path]:
    """Return the checkpoints of the same run that other code made: no fit goes on from them."""
    if job.checkpoints is None:
        return []
    alike = job.checkpoints.parent.glob(f"{job.config.key}-*-{job.seed}")
    return [folder for folder in alike if folder != job.checkpoints]


def _discard(folder: Path | None) -> None:
    """Remove the checkpoint once the results are on disk."""
    if folder is not None and folder.is_dir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
