"""The best value on validation so far against the trials of a search."""

from __future__ import annotations

import math
import re
import textwrap
from typing import TYPE_CHECKING

import pandas as pd

from recspectra.config.model import BY_RECALL
from recspectra.config.scale import USABLE
from recspectra.config.study import FigureConfig
from recspectra.reporting.figures import theme
from recspectra.reporting.figures.base import LINES, FigureData, drawn, listed, name_of, panels
from recspectra.reporting.figures.lines import steps
from recspectra.reporting.results import StudyResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 8  # that can be told apart in one panel


def tuning(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return the best value on validation so far against the number of trials."""
    rows = files.tuning
    for column, wanted in (("dataset", figure.datasets), ("model", [figure.model] if figure.model else None)):
        rows = rows[rows[column].isin(wanted)] if wanted else rows
    by, failed = searched_by(rows), int((~rows["status"].isin(USABLE)).sum())
    axes = ("trials", f"best validation {by} so far")
    rows = rows.dropna(subset=["trial", "best"]).sort_values("trial", kind="stable")
    rows = rows.assign(panel=panels(files, rows["dataset"]), series=tuning_labels(rows), se=float("nan"))
    frame = rows.assign(x=rows["trial"].astype("int64"), y=rows["best"], seeds=1)
    order = {name: i for i, name in enumerate(dict.fromkeys(files.tuning["dataset"]))}
    frame = frame.assign(place=frame["dataset"].map(order)).sort_values("place", kind="stable")[LINES]
    caption = f"Best {by} on the validation data after each trial of the search"
    caption += ", as a share of the best at its end; a panel a model." if is_crowded(frame) else "."
    caption += f" {failed} trial(s) failed and leave the line where it was." if failed else ""
    names = listed(list(dict.fromkeys(frame["series"])))
    alt = f"Rising steps: the best validation {by} so far against trials, of {names}."
    return drawn(frame, caption, *axes, "no model of this figure was tuned", alt)


def tuning_labels(trials: pd.DataFrame) -> pd.Series:
    """Name tuning jobs by model, and by key where a model has several jobs on a dataset."""
    jobs = trials.groupby(["dataset", "model"])["key"].transform("nunique")
    return trials["title"].where(jobs <= 1, trials["title"] + " [" + trials["key"] + "]")


def searched_by(trials: pd.DataFrame) -> str:
    """Return by which metrics searches chose, in words; titles name another than the usual one."""
    found = (re.search(r"\bby (\S+)\)$", title) for title in dict.fromkeys(trials["title"]))
    return " or ".join(dict.fromkeys(match[1] if match else BY_RECALL for match in found)) or BY_RECALL


def is_crowded(frame: pd.DataFrame) -> bool:
    """Tell whether some panel would have more lines than can be told apart."""
    return len(frame) > 0 and frame.groupby("panel")["series"].nunique().max() > MOST_LINES


def searches(what: FigureData) -> Figure:
    """Draw the steps of a few models in a panel a dataset; of many in a panel a model, all datasets in it."""
    return _small_panels(what) if is_crowded(what.frame) else steps(what)


def _small_panels(what: FigureData) -> Figure:
    """Draw a small panel for each model; values are shares of the search's last."""
    last = what.frame.groupby(["panel", "series"], sort=False)["y"].transform("last")
    frame = what.frame.assign(share=what.frame["y"] / last.where(last > 0))
    models = sorted(dict.fromkeys(frame["series"]), key=str.casefold)
    datasets = list(dict.fromkeys(frame["panel"]))
    columns = 5 if len(models) <= 30 else 7
    rows = math.ceil(len(models) / columns)
    picture, axes = theme.grid(rows, columns, 1.15 * rows + 0.8, sharex=True, sharey=True)
    every = [axis for row in axes for axis in row]
    for axis, model in zip(every, models, strict=False):
        _steps_of(axis, frame[frame["series"] == model], datasets)
        wide = 19 if columns == 5 else 13
        axis.set_title(textwrap.fill(name_of(model, 3 * wide), wide), fontsize=7, pad=2)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.tick_params(labelsize=7)
    for axis in every[len(models) :]:
        axis.set_visible(False)
    every[0].set_ylim(max(0.0, min(0.9, frame["share"].min() - 0.03)), 1.02)
    for axis in every[max(0, len(models) - columns) : len(models)]:
        axis.set_xlabel(what.x, fontsize=7)
        axis.tick_params(labelbottom=True)
    picture.supylabel("share of the search's best value", fontsize=9)
    if len(datasets) > 1:
        theme.legend(picture, theme.handles(datasets))
    return picture


def _steps_of(axis: Axes, points: pd.DataFrame, datasets: list[str]) -> None:
    import seaborn as sns

    sns.lineplot(
        points, x="x", y="share", hue="panel", style="panel", **theme.looks(datasets) | {"markers": False},
        dashes=theme.dashes(datasets), estimator=None, sort=False, errorbar=None, legend=False, ax=axis,
        drawstyle="steps-post", linewidth=1.2,
    )  # fmt: skip
    axis.set(xlabel="", ylabel="")
