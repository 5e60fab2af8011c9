"""Seconds of the eigenpairs, fit and scoring of each model, as dots."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from recspectra.config.scale import USABLE
from recspectra.config.study import FigureConfig
from recspectra.reporting.figures import theme
from recspectra.reporting.figures.base import (
    FigureData,
    drawn,
    heading,
    listed,
    name_of,
    panels,
    plain_number,
    plain_runs,
)
from recspectra.reporting.results import JOIN, StudyResults, machines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS = ["panel", "series", "stage", "seconds", "runs"]
STAGES = {"eigenpairs": "spectrum_seconds", "fit": "fit_seconds", "scoring": "score_seconds"}


def timing(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return the median seconds of the eigenpairs, fit and scoring of each model, fastest first."""
    runs = plain_runs(files, figure)
    runs = runs[runs["status"].isin(USABLE)].drop_duplicates([*JOIN, "label"])
    runs = runs.assign(panel=panels(files, runs["dataset"]), series=runs["label"])
    parts = [_median(runs, stage, column) for stage, column in STAGES.items()]
    frame = pd.concat(parts).dropna(subset="seconds")
    frame = frame[(frame["stage"] != "eigenpairs") | (frame["seconds"] > 0)]
    order = {panel: i for i, panel in enumerate(dict.fromkeys(runs["panel"]))}
    learning = frame[frame["stage"] != "scoring"]
    speed = learning.groupby(["panel", "series"])["seconds"].sum()
    keys = pd.MultiIndex.from_frame(frame[["panel", "series"]])
    frame = frame.assign(place=frame["panel"].map(order), speed=speed.reindex(keys).to_numpy())
    frame = frame.sort_values(["place", "speed", "series", "stage"], kind="stable")[DOTS]
    caption = (
        "Median wall-clock seconds to compute the eigenpairs that a model needs (once for all its "
        f"runs), to fit, and to score all users, on {machines(runs)}."
    )
    names = list(dict.fromkeys(frame["series"]))
    alt = f"Dots on a logarithmic axis of seconds, fastest to fit first: {listed(names)}."
    return drawn(frame, caption, "seconds (log scale)", "", "no finished run has a time", alt)


def _median(runs: pd.DataFrame, stage: str, column: str) -> pd.DataFrame:
    groups = runs.groupby(["panel", "series"], sort=False)[column]
    result = groups.agg(seconds="median", runs="count").reset_index()
    return result.assign(stage=stage)[DOTS]


def dots(what: FigureData) -> Figure:
    """Draw seconds as dots on one log axis: a line a model, a column of panels a dataset."""
    learning = what.frame[what.frame["stage"] != "scoring"]
    total = learning.groupby(["panel", "series"], sort=False)["seconds"].sum()
    speed = total.groupby("series").median()
    models = sorted(dict.fromkeys(what.frame["series"]), key=lambda name: (speed.get(name, 0.0), name))
    wide = 2 if len(models) <= 12 else 4
    height = max(1.2, 0.2 * len(models) + 0.5)
    picture, axes, columns = theme.panel_grid(what, height, wide, sharex=True, sharey=True)
    stages = [stage for stage in STAGES if stage in set(what.frame["stage"])]
    left, right = _range(what.frame["seconds"])
    for panel, axis in axes.items():
        rows = what.frame[what.frame["panel"] == panel]
        _dots_of(axis, rows.assign(seconds=rows["seconds"].clip(lower=left)), models, stages)
        axis.set_title(heading(panel, columns))
        _on_log_axis(axis, left, right)
    axis = next(iter(axes.values()))
    axis.set_yticks(range(len(models)), [name_of(name, 40 if columns < 3 else 28) for name in models])
    axis.tick_params(axis="y", labelsize=8 if len(models) <= 34 else 6)
    axis.set_ylim(len(models) - 0.4, -0.6)
    theme.label_bottom(axes, columns, what.x)
    theme.legend(picture, theme.handles(stages, lines=False))
    return picture


def _dots_of(axis: Axes, rows: pd.DataFrame, models: list[str], stages: list[str]) -> None:
    import seaborn as sns

    at = rows["series"].map({name: i for i, name in enumerate(models)})
    spans = rows.assign(at=at).groupby("at")["seconds"].agg(["min", "max"])
    axis.hlines(spans.index, spans["min"], spans["max"], color=theme.PALE, linewidth=0.8, zorder=1)
    sns.scatterplot(
        rows.assign(at=at), x="seconds", y="at", hue="stage", style="stage", **theme.looks(stages),
        legend=False, ax=axis, s=26, linewidth=0.5, zorder=2,
    )  # fmt: skip
    axis.set(xlabel="", ylabel="")


def _on_log_axis(axis: Axes, left: float, right: float) -> None:
    """Put ticks at powers of ten, every second one where there are many."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.set_xscale("log")
    axis.set_xlim(left, right)
    powers = range(round(math.log10(left)), math.floor(math.log10(right)) + 1)
    axis.xaxis.set_major_locator(FixedLocator([10.0**p for p in powers][:: 2 if len(powers) > 5 else 1]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axis.tick_params(axis="x", labelsize=7)


def _range(seconds: pd.Series) -> tuple[float, float]:
    """Return limits of the log axis, the left one a power of ten."""
    positive = seconds[seconds > 0]
    if positive.empty:
        return 0.001, 1.0
    left = 10.0 ** math.floor(math.log10(positive.min()) - 0.1)
    return left, max(positive.max() * 1.6, left * 10.0)
