"""The files of a study by hand: what most runs have, and what a test gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from recspectra.reporting.results import ABSENT, COLUMNS, StudyResults

USUAL = {
    "kind": "closed-form", "variant": "default", "group": "main", "seed": 0, "fit": "train", "status": "ok",
    "spectrum_seconds": 1.0, "fit_seconds": 1.0, "score_seconds": 1.0, "peak_memory_mb": 100.0,
    "device": "cpu", "threads": 1, "params": "{}", "swept": "{}",
}  # fmt: skip
OF_RUN = ("dataset", "model", "variant", "key", "seed", "fit")
CURVE = ["figure", "dataset", "series", "x", "y"]  # of `snr.csv` and `frequency-response.csv`


def run_row(dataset: str, model: str, **given: Any) -> dict[str, Any]:
    """Return a run's row; its key follows from model and variant unless given."""
    row = dict.fromkeys(COLUMNS["runs"].split(), "") | USUAL | {"dataset": dataset, "model": model} | given
    return row | {"key": row["key"] or f"{model}-{row['variant']}", "title": row["title"] or model}


def head_of(run: dict[str, Any]) -> dict[str, Any]:
    """Return the cells that a number has from its run."""
    return {name: run[name] for name in OF_RUN}


def write_files(folder: Path, study: dict[str, Any], titles: dict[str, str], **tables: Any) -> StudyResults:
    """Write a study's record, a line of ones for each dataset, and tables (frames or rows) by their names."""
    folder.mkdir(parents=True, exist_ok=True)
    ones = dict.fromkeys(COLUMNS["datasets"].split(), "1")
    named = {"datasets": [ones | {"dataset": name, "title": title} for name, title in titles.items()]}
    for name, rows in (named | dict.fromkeys(("runs", "metrics", "learning"), ()) | tables).items():
        frame, columns = pd.DataFrame(rows), COLUMNS.get(name, "").split()
        added = [own for own in frame if own not in columns] if name not in COLUMNS or name == "runs" else []
        frame = frame.reindex(columns=[*columns, *added])
        frame = frame.astype(object).fillna(ABSENT.get(name, {}))
        frame.to_csv(folder / f"{name.replace('_', '-')}.csv", index=False)
    usual = {"datasets": list(titles), "models": [{"model": "ease"}], "about": {}, "provenance": {}}
    (folder / "study.json").write_text(json.dumps(usual | study), encoding="utf-8")
    return StudyResults(folder)


def change_study(folder: Path, **keys: Any) -> StudyResults:
    """Write a study's record again with some keys changed."""
    path = folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | keys), encoding="utf-8")
    return StudyResults(folder)


def texts_of(folder: Path, name: str) -> pd.DataFrame:
    """Read a table of a study as texts."""
    return pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
