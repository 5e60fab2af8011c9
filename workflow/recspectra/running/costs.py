"""What studies cost: their runs and trials, and the seconds that such runs and trials took.

Seconds are measured or missing, never assumed. Needs no numerical library.
"""

from __future__ import annotations

import csv
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recspectra.config.planned import Study
from recspectra.files import read_json

HEADS = ("dataset", "model", "runs", "s/run", "measured in", "trials", "s/trial", "measured in")
Cell = tuple[str, str]  # dataset, model
Times = dict[Cell, tuple[float, str]]  # median seconds, folder and devices


@dataclass(frozen=True)
class Work:
    """Runs or trials of a model on a dataset, and what one of them takes."""

    count: int
    each: float | None = None  # median seconds; None where none was measured
    source: str = ""  # the folder that they were measured in, and the devices

    @property
    def measured(self) -> int:
        """Return how many of them have a measured time: all or none."""
        return 0 if self.each is None else self.count

    @property
    def seconds(self) -> float:
        """Return the seconds of all of them; 0 where none was measured."""
        return self.count * (self.each or 0.0)

    @property
    def cells(self) -> tuple[str, str, str]:
        """Return count, seconds of one and source as text."""
        each = "not measured" if self.each is None else f"{self.each:.1f}"
        return (str(self.count), each, self.source or "-") if self.count else ("0", "-", "-")


def count_work(studies: Iterable[Study], results: Path) -> dict[Cell, tuple[Work, Work]]:
    """Return the runs and the trials of every model on every dataset of some studies.

    Parameters
    ----------
    studies : iterable of Study
        A run or a search that several of them share counts once.
    results : Path
        The folder `results/`: its runs and trials tell the times, `reference/` in it where there are none.

    Raises
    ------
    ArtifactError
        A `run.json` is damaged.
    """
    fits: dict[Cell, set[tuple[str, int]]] = defaultdict(set)
    searches: dict[Cell, dict[str, int]] = defaultdict(dict)
    for planned in (planned for study in studies for planned in study.runs):
        cell = planned.dataset, planned.run.model
        fits[cell].add((planned.run.key, planned.seed))
        if planned.run.tune:
            searches[cell][planned.run.tune.key] = planned.run.tune.trials
    runs, trials, none = time_runs(results), time_trials(results), (None, "")
    return {
        cell: (
            Work(len(fits[cell]), *runs.get(cell, none)),
            Work(sum(searches[cell].values()), *trials.get(cell, none)),
        )
        for cell in sorted(fits)
    }


def time_runs(results: Path) -> Times:
    """Return what a fit with its ranking took; one that ended before its ranking says nothing."""
    records = ((p.parts[-5:], read_json(p)) for p in results.glob("runs/*/*/*/seed-*/run.json"))
    made = (record | {"dataset": parts[0], "model": parts[1]} for parts, record in records)
    kept = _read_rows(results.glob("reference/**/runs.csv"))
    columns = ("fit_seconds", "score_seconds")
    return _take_medians(kept, columns, "reference") | _take_medians(made, columns, "results")


def time_trials(results: Path) -> Times:
    """Return what a trial of a search took."""
    files = ((p.parts[-4:], _read_rows([p])) for p in results.glob("tuning/*/*/*/trials.csv"))
    made = (row | {"dataset": parts[0], "model": parts[1]} for parts, rows in files for row in rows)
    kept = _read_rows(results.glob("reference/**/tuning.csv"))
    return _take_medians(kept, ["seconds"], "reference") | _take_medians(made, ["seconds"], "results")


def format_work(work: dict[Cell, tuple[Work, Work]]) -> str:
    """Return work as an aligned table, and below it how much of it was measured."""
    lines = [HEADS, *((*cell, *runs.cells, *trials.cells) for cell, (runs, trials) in work.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([*table, "", _sum_up(work)])


def _sum_up(work: dict[Cell, tuple[Work, Work]]) -> str:
    runs, trials = (sum(pair[i].count for pair in work.values()) for i in (0, 1))
    parts = [part for pair in work.values() for part in pair]
    measured, seconds = sum(part.measured for part in parts), sum(part.seconds for part in parts)
    every = runs + trials
    share, took = 100 * measured / max(every, 1), f"{seconds:,.0f} s ({seconds / 3600:.1f} hours)"
    took = took if seconds >= 1 else "less than a second"
    said = (
        f"The measured {measured:,} of {every:,} take {took} one after another; the others are not measured."
    )
    return (
        f"{runs:,} runs and {trials:,} trials in all, done or not; {measured:,} of them ({share:.0f} %) have "
        "a measured time, with whatever settings and epochs.\n"
        + (said if measured < every else f"One after another these take {took}.")
        + " Starts of jobs, eigenpairs, evaluation and drawing come on top."
    )


def _take_medians(rows: Iterable[dict[str, Any]], columns: Sequence[str], folder: str) -> Times:
    seconds, devices = defaultdict(list), defaultdict(set)
    for row in rows:
        if all(row.get(name) not in (None, "") for name in columns):
            cell = row["dataset"], row["model"]
            seconds[cell].append(sum(float(row[name]) for name in columns))
            devices[cell] |= {row["device"]} if row.get("device") else set()
    sources = {cell: ", ".join([folder, *sorted(devices[cell])]) for cell in seconds}
    return {cell: (statistics.median(taken), sources[cell]) for cell, taken in seconds.items()}


def _read_rows(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        with path.open(encoding="utf-8", newline="") as stream:
            yield from csv.DictReader(stream)
