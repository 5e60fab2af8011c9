"""One row of `runs.csv` by hand: what most runs have, and what a test gives."""

from __future__ import annotations

from typing import Any

from recspectra.reporting.results import COLUMNS

USUAL = {
    "kind": "closed-form", "variant": "default", "group": "main", "seed": 0, "fit": "train", "status": "ok",
    "spectrum_seconds": 1.0, "fit_seconds": 1.0, "score_seconds": 1.0, "peak_memory_mb": 100.0,
    "device": "cpu", "threads": 1, "params": "{}", "swept": "{}",
}  # fmt: skip


def run_row(dataset: str, model: str, **given: Any) -> dict[str, Any]:
    """Return a run's row; its key follows from model and variant unless given."""
    row = dict.fromkeys(COLUMNS["runs"].split(), "") | USUAL | {"dataset": dataset, "model": model} | given
    return row | {"key": row["key"] or f"{model}-{row['variant']}", "title": row["title"] or model}
