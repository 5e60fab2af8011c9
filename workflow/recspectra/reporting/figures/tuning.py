"""The best validation recall so far against the trials of a search."""

from __future__ import annotations

import pandas as pd

from recspectra.config.scale import USABLE
from recspectra.config.study import FigureConfig
from recspectra.reporting.figures.base import LINES, FigureData, drawn, panels
from recspectra.reporting.results import StudyResults


def tuning(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return the best validation recall@20 so far against the number of trials."""
    axes = ("trials", "best validation recall@20 so far")
    rows = files.tuning
    for column, wanted in (("dataset", figure.datasets), ("model", [figure.model] if figure.model else None)):
        rows = rows[rows[column].isin(wanted)] if wanted else rows
    failed = int((~rows["status"].isin(USABLE)).sum())
    rows = rows.dropna(subset=["trial", "best"]).sort_values("trial", kind="stable")
    rows = rows.assign(panel=panels(files, rows["dataset"]), series=tuning_labels(rows), se=float("nan"))
    frame = rows.assign(x=rows["trial"].astype("int64"), y=rows["best"], seeds=1)
    order = {name: i for i, name in enumerate(dict.fromkeys(files.tuning["dataset"]))}
    frame = frame.assign(place=frame["dataset"].map(order)).sort_values("place", kind="stable")[LINES]
    caption = "Best recall@20 on the validation data after each trial of the search."
    caption += f" {failed} trial(s) failed and leave the line where it was." if failed else ""
    return drawn(frame, caption, *axes, "no model of this figure was tuned")


def tuning_labels(trials: pd.DataFrame) -> pd.Series:
    """Name tuning jobs by model, and by key where a model has several jobs on a dataset."""
    jobs = trials.groupby(["dataset", "model"])["key"].transform("nunique")
    return trials["title"].where(jobs <= 1, trials["title"] + " [" + trials["key"] + "]")
