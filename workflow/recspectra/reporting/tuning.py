"""What was searched for every tuned model, with how many trials, and what was chosen."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from recspectra.config.scale import USABLE
from recspectra.reporting.figures.tuning import searched_by, tuning_labels
from recspectra.reporting.footnotes import params_text, values_text
from recspectra.reporting.results import StudyResults
from recspectra.reporting.table import Table, plain_table


def tuning_table(files: StudyResults) -> Table:
    """Return one line a tuning job; without any, a table without rows."""
    trials = files.tuning
    value = f"validation {searched_by(trials)}"
    header = ["dataset", "model", "searched", "trials", "failed", "chosen", value, "seconds"]
    trials = trials.assign(label=tuning_labels(trials)) if len(trials) else trials
    rows = []
    for (dataset, model, _), part in trials.groupby(["dataset", "model", "key"], sort=False):
        best = _best(part)
        failed = int((~part["status"].isin(USABLE)).sum())
        rows.append(
            [
                files.titles.get(dataset, dataset),
                part["label"].iloc[0],
                _space(files, model, part),
                f"{len(part)} of {part['budget'].iloc[0]:.0f}",
                str(failed or ""),
                _chosen(best),
                "" if best is None else f"{best['value']:.4f}",
                f"{(took := part['seconds'].sum()):,.{0 if took >= 10 else 2}f}",
            ]
        )
    return plain_table(header, rows, words={0, 1, 2, 5})


def _best(trials: pd.DataFrame) -> pd.Series | None:
    """Return the best trial, of equal ones the earliest; None if all failed."""
    finished = trials[trials["value"].notna()].sort_values("trial", kind="stable")
    return finished.loc[finished["value"].idxmax()] if len(finished) else None


def _chosen(best: pd.Series | None) -> str:
    if best is None:
        return "every trial failed; the defaults are used"
    return params_text(json.loads(best["params"]))


def _space(files: StudyResults, model: str, trials: pd.DataFrame) -> str:
    """Return the search space in words; a job searches what its trials vary."""
    search: dict[str, Any] = files.study.get("about", {}).get(model, {}).get("search", {})
    varied = {name for text in trials["params"] if text for name in json.loads(text)}
    parts = [f"{name} {values_text(space)}" for name, space in sorted(search.items()) if name in varied]
    return "; ".join(parts) or ", ".join(sorted(varied)) or "nothing"
