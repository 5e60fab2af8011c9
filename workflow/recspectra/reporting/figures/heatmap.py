"""A metric over two swept parameters, as a map with the numbers in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recspectra.config.study import FigureConfig
from recspectra.reporting.figures.base import FigureData, drawn, heading, name_of, panel_grid, panels, runs_of
from recspectra.reporting.figures.lines import positions, tick
from recspectra.reporting.figures.sensitivity import measured
from recspectra.reporting.results import StudyResults, aggregate, preferred, seen

CELLS = ["panel", "series", "x", "y", "value", "se", "seeds"]


def heatmap(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return a metric over the points of two swept parameters, averaged over seeds."""
    label, view = f"{figure.metric}@{figure.k}", figure.view or preferred(files, figure.protocol)
    axes = (figure.param or "parameter", figure.other_param or "other parameter")
    runs = runs_of(files, figure)
    runs = runs[[{figure.param, figure.other_param} <= set(swept) for swept in runs["swept"]]]
    frame = pd.DataFrame(columns=CELLS)
    if len(runs):
        runs = runs.assign(y=[swept[figure.other_param] for swept in runs["swept"]])
        points = aggregate(measured(files, figure, runs, view, "y"), ["dataset", "title", "x", "y"])
        points = points[points["mean"].notna()]
        frame = points.assign(panel=panels(files, points["dataset"]), series=points["title"])
        frame = frame.rename(columns={"mean": "value"}).sort_values(["panel", "y", "x"], kind="stable")[CELLS]
    reason = f"no finished run sweeps '{axes[0]}' and '{axes[1]}' and has {label}"
    words = f"{label} over {axes[0]} and {axes[1]}; {seen(view)}; protocol {figure.protocol}." if view else ""
    return drawn(frame, words, *axes, reason)


def heat(what: FigureData) -> Figure:
    """Draw a value over two parameters as a map with the numbers in it, a panel a dataset."""
    picture, axes, columns = panel_grid(what, 3.2)
    for panel, axis in axes.items():
        _map(axis, what.frame[what.frame["panel"] == panel])
        axis.set(xlabel=name_of(what.x), ylabel=name_of(what.y), title=heading(panel, columns))
    return picture


def _map(axis: Axes, points: pd.DataFrame) -> None:
    """Draw one map; the best cell has a frame."""
    across, up = list(positions(points["x"])), list(positions(points["y"]))
    table = points.pivot_table(index="y", columns="x", values="value").reindex(index=up, columns=across)
    values = table.to_numpy()
    axis.imshow(values, cmap="cividis", origin="lower", aspect="auto")
    axis.grid(False)
    axis.set_xticks(range(len(across)), [tick(v) for v in across])
    axis.set_yticks(range(len(up)), [tick(v) for v in up])
    low, high = points["value"].min(), points["value"].max()
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            dark = value < (low + high) / 2
            best = {"weight": "bold", "bbox": {"fill": False, "edgecolor": "#D55E00", "linewidth": 1.5}}
            axis.text(
                column, row, f"{value:.4f}", ha="center", va="center", fontsize=7,
                color="white" if dark else "black", **(best if value == high else {}),
            )  # fmt: skip
