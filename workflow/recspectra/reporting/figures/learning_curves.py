"""Training loss and validation recall against the epoch."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from recspectra.config.study import FigureConfig
from recspectra.reporting.figures.base import (
    FigureData,
    drawn,
    grid,
    heading,
    legend,
    look,
    panels,
    plain_number,
    plain_runs,
)  # fmt: skip
from recspectra.reporting.results import StudyResults

CURVES = ["panel", "curve", "series", "seed", "epoch", "value"]


def learning_curves(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return training loss and validation recall@20 against the epoch."""
    runs = plain_runs(files, figure)
    by = ["dataset", "model", "variant", "group", "seed", "fit"]
    rows = runs[[*by, "label"]].drop_duplicates().merge(files.learning, on=by)
    rows = rows.dropna(subset=["epoch", "value"]).drop(columns="group").drop_duplicates()
    frame = rows.assign(panel=panels(files, rows["dataset"]), series=rows["label"])[CURVES]
    caption = "Training loss (left) and recall@20 on the validation data (right); one line a seed."
    return drawn(frame, caption, "epoch", "", "no run of this figure wrote a learning curve")


def curves(what: FigureData) -> Figure:
    """Draw loss and validation recall against the epoch, a row of two panels a dataset."""
    shown = list(dict.fromkeys(what.frame["panel"]))
    picture, axes = grid(len(shown), 2, 2.7 * len(shown) + 0.5)
    numbers = {series: i for i, series in enumerate(dict.fromkeys(what.frame["series"]))}
    names = {"loss": "training loss", "recall@20": "validation recall@20"}
    handles: dict[str, object] = {}
    for row, panel in zip(axes, shown, strict=True):
        for axis, (curve, label) in zip(row, names.items(), strict=True):
            rows = what.frame[(what.frame["panel"] == panel) & (what.frame["curve"] == curve)]
            handles |= _curves_of(axis, rows, numbers)
            axis.set(xlabel=what.x, ylabel=label, title=heading(panel, 2))
            axis.xaxis.get_major_locator().set_params(integer=True)
            _log_if_wide(axis, rows["value"])
    legend(picture, {series: handles[series] for series in numbers if series in handles})
    return picture


def _curves_of(axis: Axes, rows: pd.DataFrame, numbers: dict[str, int]) -> dict[str, object]:
    handles: dict[str, object] = {}
    for (series, _), points in rows.groupby(["series", "seed"], sort=False):
        points = points.sort_values("epoch")
        style = look(numbers[series], len(points)) | {"linewidth": 1.1}
        (handles[series],) = axis.plot(points["epoch"], points["value"], **style)
    if rows.empty:
        axis.text(0.5, 0.5, "no curve", ha="center", va="center", transform=axis.transAxes)
    return handles


def _log_if_wide(axis: Axes, values: pd.Series) -> None:
    """Use a log axis where losses of different models differ by orders of magnitude."""
    if len(values) and values.min() > 0 and values.max() / values.min() > 50:
        axis.set_yscale("log")
        axis.set_ylabel(f"{axis.get_ylabel()} (log scale)")
        axis.yaxis.set_major_formatter(FuncFormatter(plain_number))
