"""Seconds of the eigenpairs, fit and scoring of each model, as bars."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from recspectra.config.scale import USABLE
from recspectra.config.study import FigureConfig
from recspectra.reporting.figures.base import (
    COLOURS,
    WIDTH,
    FigureData,
    drawn,
    legend,
    name_of,
    panels,
    plain_number,
    plain_runs,
)  # fmt: skip
from recspectra.reporting.results import JOIN, StudyResults, machines

BARS = ["panel", "series", "stage", "seconds", "runs"]


def timing(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return the median seconds of the eigenpairs, fit and scoring of each model, fastest first."""
    runs = plain_runs(files, figure)
    runs = runs[runs["status"].isin(USABLE)].drop_duplicates([*JOIN, "label"])
    runs = runs.assign(panel=panels(files, runs["dataset"]), series=runs["label"])
    stages = {"eigenpairs": "spectrum_seconds", "fit": "fit_seconds", "scoring": "score_seconds"}
    parts = [_median(runs, stage, column) for stage, column in stages.items()]
    frame = pd.concat(parts).dropna(subset="seconds")
    frame = frame[(frame["stage"] != "eigenpairs") | (frame["seconds"] > 0)]
    order = {panel: i for i, panel in enumerate(dict.fromkeys(runs["panel"]))}
    learning = frame[frame["stage"] != "scoring"]
    speed = learning.groupby(["panel", "series"])["seconds"].sum()
    keys = pd.MultiIndex.from_frame(frame[["panel", "series"]])
    frame = frame.assign(place=frame["panel"].map(order), speed=speed.reindex(keys).to_numpy())
    frame = frame.sort_values(["place", "speed", "series", "stage"], kind="stable")[BARS]
    caption = (
        "Median wall-clock seconds to compute the eigenpairs that a model needs (once for all its "
        f"runs), to fit, and to score all users, on {machines(runs)}."
    )
    return drawn(frame, caption, "seconds (log scale)", "", "no finished run has a time")


def _median(runs: pd.DataFrame, stage: str, column: str) -> pd.DataFrame:
    groups = runs.groupby(["panel", "series"], sort=False)[column]
    result = groups.agg(seconds="median", runs="count").reset_index()
    return result.assign(stage=stage)[BARS]


def bars(what: FigureData) -> Figure:
    """Draw horizontal bars of seconds, one panel a dataset below the other."""
    names = list(dict.fromkeys(what.frame["panel"]))
    counts = [what.frame.loc[what.frame["panel"] == p, "series"].nunique() for p in names]
    ratios = [count + 1.2 for count in counts]
    picture = Figure(figsize=(WIDTH, 0.44 * sum(ratios) + 1.0), layout="constrained")
    axes = picture.subplots(len(names), 1, squeeze=False, sharex=True, height_ratios=ratios)[:, 0]
    left, right = _range(what.frame["seconds"])
    handles: dict[str, object] = {}
    for axis, panel in zip(axes, names, strict=True):
        rows = what.frame[what.frame["panel"] == panel]
        handles |= _bars_of(axis, rows, left)
        axis.set(xscale="log", xlim=(left, right), title=name_of(panel) if panel else "")
        axis.grid(axis="y", visible=False)
        axis.xaxis.set_major_formatter(FuncFormatter(plain_number))
        axis.xaxis.set_minor_locator(NullLocator())
    axes[-1].set_xlabel(what.x)
    legend(picture, handles)
    return picture


def _bars_of(axis: Axes, rows: pd.DataFrame, left: float) -> dict[str, object]:
    models = list(dict.fromkeys(rows["series"]))
    handles: dict[str, object] = {}
    looks = {
        "eigenpairs": (-0.27, COLOURS[2], ".."),
        "fit": (0.0, COLOURS[0], ""),
        "scoring": (0.27, COLOURS[4], "////"),
    }
    for stage, (shift, colour, hatch) in looks.items():
        part = rows[rows["stage"] == stage]
        places = [models.index(name) + shift for name in part["series"]]
        widths = (part["seconds"] - left).clip(lower=0)
        handles[stage] = axis.barh(
            places, widths, 0.25, left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4
        )
        for place, seconds in zip(places, part["seconds"], strict=True):
            end = max(seconds, left)
            axis.annotate(
                _seconds(seconds), (end, place), (3, 0), textcoords="offset points", va="center", fontsize=7
            )
    axis.set_yticks(range(len(models)), [name_of(name, 40) for name in models])
    axis.set_ylim(len(models) - 0.4, -0.6)
    return handles


def _range(seconds: pd.Series) -> tuple[float, float]:
    """Return limits of the log axis: whole powers of ten, room for the numbers right."""
    positive = seconds[seconds > 0]
    if positive.empty:
        return 0.001, 1.0
    left = 10.0 ** math.floor(math.log10(positive.min()) - 0.1)
    return left, max(positive.max() * 3.0, left * 10.0)


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value < 1000 else f"{value:,.0f} s"
