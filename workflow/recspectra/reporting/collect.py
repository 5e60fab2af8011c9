"""Gather what a study's tables and figures are drawn from into a few plain files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from recspectra.config.model import BY_RECALL
from recspectra.config.planned import Study
from recspectra.config.scale import Choice
from recspectra.data import reach
from recspectra.data.tables import counts_in_words
from recspectra.evaluation.list_doubts import LEAKS
from recspectra.evaluation.measure import learning_curves, run_records
from recspectra.files import (
    ArtifactError,
    checkout,
    open_regular,
    provenance,
    read_json,
    write_json,
    write_text,
)
from recspectra.paths import Paths
from recspectra.reporting.escape import spreadsheet

DATASET_COLUMNS = [
    "dataset", "title", "users", "items", "interactions", "train", "valid", "test", "test_users",
    *reach.COLUMNS, "density", "mean_length", "ordered", "rows_in", "rows_read", "rows_dropped",
    "rows_filtered", "ids_unified", "licence", "citation", "notes",
]  # fmt: skip

TUNING_COLUMNS = [
    "dataset", "model", "title", "key", "budget", "trial", "value", "best", "status", "reason", "seconds",
    "params",
]  # fmt: skip


def collect(study: Study, results: Path, choice: Choice | None = None) -> None:
    """Write the study's metrics.csv, runs.csv, learning.csv, ... and study.json, which holds `choice`.

    `metrics.csv` holds no timing: the same configuration gives the same bytes.
    """
    folder = Paths(results).study(study.name)
    models = {name: study.catalog.model(name) for name in sorted({r.run.model for r in study.runs})}
    parts = [Paths(results).metrics_of(study.name, d) for d in study.config.datasets]
    _write_csv(folder / "metrics.csv", pd.concat([_read(p) for p in parts], ignore_index=True))
    runs = run_records(study.runs, models, results, digests(study, results, "fit"))
    for column in ("params", "swept"):
        runs[column] = [json.dumps(v, sort_keys=True) for v in runs[column]]
    _write_csv(folder / "runs.csv", runs)
    _write_csv(folder / "learning.csv", learning_curves(study.runs, results))
    _write_csv(folder / "tuning.csv", tuning_trials(study, results))
    _write_csv(folder / "datasets.csv", dataset_table(study, results))
    chosen = choice.model_dump(exclude_none=True) if choice else {}
    also = {
        "choice": chosen,
        "left_out": study.left_out.model_dump(),
        "digests": digests(study, results, "split"),
        "elsewhere": elsewhere(study, results),
    }
    write_json(folder / "study.json", description(study, models) | also)


def _read(path: Path) -> pd.DataFrame:
    """Read a CSV as text: a key of digits, or a variant `1e3` or `NA`, must stay what it is."""
    try:
        with open_regular(path) as stream:
            return pd.read_csv(stream, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); delete it and run again") from None


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    write_text(path, spreadsheet(frame).to_csv(index=False, lineterminator="\n"))


def digests(study: Study, results: Path, part: str) -> dict[str, str]:
    """Return the digest of the `split` of each dataset, or of what a `fit` sees of it, by name."""
    stats = {name: read_json(Paths(results).stats(name)) for name in study.config.datasets}
    return {name: found.get("digests", {}).get(part, "") for name, found in stats.items()}


def dataset_table(study: Study, results: Path) -> pd.DataFrame:
    """Return one row of statistics per dataset."""
    rows = []
    for name in study.config.datasets:
        config = study.catalog.dataset(name)
        words = {"title": config.title, "notes": " ".join(config.notes)}
        words |= {"licence": config.source.licence, "citation": config.source.citation}
        stats = read_json(Paths(results).stats(name))
        words |= {k: counts_in_words(stats.get(k, {})) for k in ("rows_dropped", "rows_filtered")}
        rows.append({**stats, **words})
    return pd.DataFrame(rows).reindex(columns=DATASET_COLUMNS)


def description(study: Study, models: dict[str, Any]) -> dict[str, Any]:
    """Return the study's configuration, its file, and the titles and papers that a report needs."""
    kept = {"title", "paper", "kind", "notes", "search"}
    return {
        **study.config.model_dump(),
        "scale": study.scale.model_dump(),
        "origin": str(Path(study.origin).resolve()),
        "provenance": provenance() | {"commit": checkout()},
        "about": {name: m.model_dump(include=kept) for name, m in models.items()},
        "protocols": {p.name: p.model_dump(exclude={"name"}) for p in study.protocols},
    }


def elsewhere(study: Study, results: Path) -> list[dict[str, Any]]:
    """Return what is known of the study's lists from elsewhere: their files, and what is odd about them."""
    noted: dict[tuple, list[dict[str, str]]] = {}
    for name in study.config.datasets if study.list_files else []:
        for note in read_json(Paths(results).notes_of(study.name, name)):
            noted.setdefault((name, note["model"], note["key"], note["seed"]), []).append(note)
    found = []
    for file in study.list_files:
        run = file.dataset, file.model, file.key, file.seed
        record = read_json(Paths(results).run(*run) / "run.json")
        odd = [*record["doubts"], *noted.get(run, [])]
        found.append(
            dict(zip(("dataset", "model", "key", "seed"), run, strict=True))
            | {"history": record["params"]["history"], **record["lists"], "doubts": [d["text"] for d in odd]}
            | {"leaks": [d["text"] for d in odd if d["check"] in LEAKS]}
        )
    return found


def tuning_trials(study: Study, results: Path) -> pd.DataFrame:
    """Return the trials of the study's tuning jobs, one row each, in the order of its models."""
    jobs = {(r.dataset, r.run.tune.key): r.run.tune for r in study.runs if r.run.tune}
    frames = []
    for (dataset, key), tune in jobs.items():
        trials = _read(Paths(results).tuning(dataset, tune) / "trials.csv")
        fixed = [f"{name}={value}" for name, value in tune.params.items()]
        fixed += [f"by {tune.validate_by}"] if tune.validate_by != BY_RECALL else []
        title = study.catalog.model(tune.model).title + (f" ({', '.join(fixed)})" if fixed else "")
        head = {"dataset": dataset, "model": tune.model, "title": title, "key": key, "budget": tune.trials}
        frames.append(trials.assign(**head))
    return (
        pd.concat(frames, ignore_index=True)[TUNING_COLUMNS]
        if frames
        else pd.DataFrame(columns=TUNING_COLUMNS)
    )
