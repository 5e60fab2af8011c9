"""The page of all runs: status, number, cost, learning curve, files, and the command that makes it again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd

from recspectra.reporting.escape import spreadsheet
from recspectra.reporting.footnotes import params_text
from recspectra.reporting.pages.place import Place, run_command, run_files
from recspectra.reporting.pages.study import StudyView
from recspectra.reporting.results import JOIN, rows_at

CURVE_SIZE = (72, 18)  # pixels of a learning curve in a row
CURVE_POINTS = 40
TABLES = ("metrics", "curve")  # what the report holds of each run
NUMBERS = ["protocol", "fit", "history", "mask", "users", "metric", "k", "value", "status"]
LEARNED = ["curve", "epoch", "value"]


class Curve(NamedTuple):
    """A learning curve as a line: the points of a polyline, and what it shows in words."""

    points: str
    words: str


def runs_of(view: StudyView, place: Place, tables: Collection[str]) -> list[dict[str, Any]]:
    """Return one line a run of a study; `tables` are the names of those that the report holds."""
    files = view.files
    runs = view.runs.drop_duplicates(JOIN)
    shown, metric = _numbers(view)
    curves = _curves(files.learning)
    return [
        {
            "study": view.name, "dataset": files.titles.get(run.dataset, run.dataset), "label": run.label,
            "group": run.group, "fit": run.fit, "seed": run.seed, "status": run.status,
            "reason": run.reason, "key": run.key, "metric": metric, "value": shown.get(_place_of(run)),
            "seconds": run.fit_seconds, "memory": run.peak_memory_mb, "epoch": _whole(run.best_epoch),
            "params": params_text(run.params, "none"),
            "curve": curves.get((run.dataset, run.model, run.variant, run.group, run.seed, run.fit)),
            "links": {n: place.link(path) for n, path in run_files(files, run).items()}
            | {word: quote(name) for word in TABLES if (name := _table_name(view, run, word)) in tables},
            "gaining": _place_of(run) in view.gaining, "command": run_command(files, run),
        }
        for run in runs.itertuples()
    ]  # fmt: skip


def files_of(view: StudyView) -> list[Path]:
    """Return the files that the lines of a study link to."""
    runs = view.runs.drop_duplicates(JOIN)
    found = [path for run in runs.itertuples() for path in run_files(view.files, run).values()]
    return [view.files.folder / "metrics.csv", *found]


def tables_of(view: StudyView) -> dict[str, str]:
    """Return the numbers and the learning curve of each run as CSV, by their place in the report."""
    files = view.files
    by = ["dataset", "model", "variant", "group", "seed", "fit"]
    runs = view.runs.drop_duplicates(["dataset", "model", "key", "seed"])
    numbers = pd.concat([files.metrics, files.group_metrics]).drop_duplicates()
    learned = files.learning.merge(view.runs[[*by, "key"]].drop_duplicates(), on=by)
    rows = {"metrics": (numbers, JOIN, NUMBERS), "curve": (learned, [*by, "key"], LEARNED)}
    found: dict[str, str] = {}
    for word, (frame, names, columns) in rows.items():
        parts = _csv_by(frame, names, columns)
        for run in runs.itertuples():
            key = tuple(getattr(run, name) for name in names)
            if key in parts:
                found[_table_name(view, run, word)] = parts[key]
    return found


def _table_name(view: StudyView, run: Any, word: str) -> str:
    return f"runs/{view.name}/{run.dataset}/{run.model}/{run.key}-seed-{run.seed}-{word}.csv"


def _csv_by(frame: pd.DataFrame, by: list[str], columns: list[str]) -> dict[tuple, str]:
    """Return some columns as CSV for each group; written once, as a writer a group takes seconds."""
    frame = frame.reset_index(drop=True)
    written = spreadsheet(frame[columns]).to_csv(index=False, float_format="%.10g", lineterminator="\n")
    head, *lines = written.splitlines(keepends=True)
    groups = frame.groupby(by, sort=False).indices
    return {key: head + "".join(lines[i] for i in rows) for key, rows in groups.items()}


def _place_of(run: Any) -> tuple:
    return (run.dataset, run.model, run.variant, run.key, run.seed, run.fit)


def _numbers(view: StudyView) -> tuple[dict[tuple, float], str]:
    """Return the number of each run by which the study's models are ranked, and the metric's name."""
    if view.standings.empty:
        return {}, ""
    first = view.standings.iloc[0]
    rows = rows_at(view.files.metrics, first[["protocol", "metric", "k", "history", "mask"]].to_dict())
    found = dict(zip(rows[JOIN].itertuples(index=False, name=None), rows["value"], strict=True))
    return found, f"{first['metric']}@{first['k']:.0f}"


def _curves(learning: pd.DataFrame) -> dict[tuple, Curve]:
    by = ["dataset", "model", "variant", "group", "seed", "fit"]
    found = learning[learning["curve"] != "loss"].dropna(subset=["epoch", "value"])
    return {key: _curve(part["curve"].iloc[0], part["epoch"].to_numpy(), part["value"].to_numpy())
            for key, part in found.groupby(by, sort=False)}  # fmt: skip


def _curve(name: str, epochs: np.ndarray, values: np.ndarray) -> Curve:
    """Return a curve on a field of `CURVE_SIZE`, its best epoch in words."""
    best = int(values.argmax())
    words = f"{name} on validation, best {values[best]:.4f} at epoch {epochs[best]:.0f} of {epochs[-1]:.0f}"
    kept = np.unique(np.linspace(0, len(values) - 1, min(len(values), CURVE_POINTS)).round().astype(int))
    x, y = _scaled(epochs[kept], CURVE_SIZE[0]), CURVE_SIZE[1] - _scaled(values[kept], CURVE_SIZE[1])
    return Curve(" ".join(f"{a:.0f},{b:.0f}" for a, b in zip(x, y, strict=True)), words)


def _scaled(values: np.ndarray, size: int) -> np.ndarray:
    span = np.ptp(values)
    return (values - values.min()) / span * size if span else np.full(len(values), size / 2)


def _whole(text: str) -> str:
    return text.removesuffix(".0")


def count_fits(lines: Sequence[dict[str, Any]]) -> int:
    """Return how many fits the lines are of: one with two labels, or of two studies, counts once."""
    return len({(line["dataset"], line["key"], line["seed"]) for line in lines})


def one_metric(lines: Sequence[dict[str, Any]]) -> str:
    """Return the metric that all lines show, or the word `value`."""
    names = {line["metric"] for line in lines if line["metric"]}
    return names.pop() if len(names) == 1 else "value"
