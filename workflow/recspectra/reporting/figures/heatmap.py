"""A metric over two swept parameters, as a map with the numbers in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recspectra.config.study import FigureConfig
from recspectra.reporting.figures import theme
from recspectra.reporting.figures.base import FigureData, drawn, heading, name_of, panels, runs_of
from recspectra.reporting.figures.lines import positions, tick
from recspectra.reporting.figures.paired import Asked, differences, panels_of, view_of
from recspectra.reporting.figures.sensitivity import measured
from recspectra.reporting.results import StudyResults, aggregate, by_dataset, names_of, seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAP = ["dataset", "title", "base", "fit", "rest"]  # what tells one map from another
CELLS = ["panel", "series", "x", "y", "value", "se", "seeds", "tied"]
MOST_ACROSS = 9  # numbers that fit side by side in half of a picture
BEST = "#d55e00"


def heatmap(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return a metric over the points of two swept parameters, averaged over seeds.

    What differs in more than these (model, variant, fit, another parameter) has a map of its own. `tied` says
    which points cannot be told from the best of their map.
    """
    label, view = f"{figure.metric}@{figure.k}", view_of(files, figure)
    axes = (figure.param or "parameter", figure.other_param or "other parameter")
    runs = runs_of(files, figure)
    runs = runs[[{figure.param, figure.other_param} <= set(swept) for swept in runs["swept"]]]
    frame, noise = pd.DataFrame(columns=CELLS), ""
    if len(runs):
        runs = runs.assign(
            y=[swept[figure.other_param] for swept in runs["swept"]],
            rest=[_rest(swept, figure) for swept in runs["swept"]],
        )
        by = [*MAP, "x", "y", "model", "variant", "key"]
        points = aggregate(measured(files, figure, runs, view, "y", "rest"), by)
        points, noise = _told_apart(files, figure, points[points["mean"].notna()], runs)
        frame = points.assign(panel=_panels(files, points), series=points["title"])
        frame = by_dataset(frame.sort_values([*MAP[1:], "y", "x"], kind="stable"), files)
        frame = frame.rename(columns={"mean": "value"})[CELLS]
    reason = f"no finished run sweeps '{axes[0]}' and '{axes[1]}' and has {label}"
    words = f"{label} over {axes[0]} and {axes[1]}; {seen(view)}; protocol {figure.protocol}." if view else ""
    words += " The best cell has a frame; cells in bold cannot be told from it."
    return drawn(frame, words, *axes, reason, _alt(frame, label, axes), f"{label}; {noise}")


def _rest(swept: dict, figure: FigureConfig) -> str:
    """Return the swept values besides the two of the axes."""
    axes = (figure.param, figure.other_param)
    return ", ".join(f"{name}={value}" for name, value in swept.items() if name not in axes)


def _panels(files: StudyResults, points: pd.DataFrame) -> pd.Series:
    """Return a panel for each map, named by what tells maps apart."""
    parts = [
        panels(files, points["dataset"]),
        *(points[name] for name in MAP[1:] if points[name].nunique() > 1),
    ]
    names = [", ".join(filter(None, row)) for row in zip(*parts, strict=True)]
    return pd.Series(names, index=points.index, dtype=object)


def _alt(frame: pd.DataFrame, label: str, axes: tuple[str, str]) -> str:
    if frame.empty:
        return ""
    best = frame.loc[frame["value"].idxmax()]
    where = f"{axes[0]} = {tick(best['x'])}, {axes[1]} = {tick(best['y'])}"
    return f"Heat map of {label} over {axes[0]} and {axes[1]}; highest, {best['value']:.4f}, at {where}."


def _told_apart(
    files: StudyResults, figure: FigureConfig, points: pd.DataFrame, runs: pd.DataFrame
) -> tuple[pd.DataFrame, str]:
    """Add which points are tied with the best of their map; return the level of noise in words too."""
    points = points.assign(name=names_of(points))
    best = points.loc[points.groupby(MAP)["mean"].transform("idxmax"), "name"]
    asked = [Asked(row.dataset, top, row.name) for row, top in zip(points.itertuples(), best, strict=True)]
    found = differences(panels_of(files, figure, runs), asked)
    tied = [pair.subject == pair.rival or (pair in found and found[pair].low <= 0.0) for pair in asked]
    spans = [(one.high - one.low) / 2 for one in found.values() if np.isfinite(one.high - one.low)]
    if spans:
        noise = f"differences up to {np.median(spans):.4f} may be chance"
    elif (points["se"] > 0).any():
        noise = f"standard error over seeds {points['se'].median():.4f}"
    else:
        noise = "level of noise unknown (one seed)"
    return points.assign(tied=tied), noise


def heat(what: FigureData) -> Figure:
    """Draw a value over two parameters as a map with the numbers in it, a panel a dataset."""
    picture, axes, columns = theme.panel_grid(what, 3.2)
    low, high = what.frame["value"].min(), what.frame["value"].max()
    shared = len(axes) == 1 or high < 1.5 * low
    for panel, axis in axes.items():
        points = what.frame[what.frame["panel"] == panel]
        limits = (low, high) if shared else (points["value"].min(), points["value"].max())
        _map(axis, points, limits, columns, what.note)
        axis.set(xlabel=name_of(what.x), ylabel=name_of(what.y))
        axis.set_title(heading(panel, columns))
    return picture


def _map(axis: Axes, points: pd.DataFrame, limits: tuple[float, float], columns: int, note: str) -> None:
    """Draw one map; the best cell has a frame, cells that are tied with it are bold."""
    import seaborn as sns

    across, up = list(positions(points["x"])), list(positions(points["y"]))[::-1]
    table, tied = (
        points.pivot_table(index="y", columns="x", values=name, aggfunc="first", dropna=False)
        .reindex(index=up, columns=across)
        for name in ("value", "tied")
    )  # fmt: skip
    table = table.astype(float)
    shown = len(across) <= MOST_ACROSS * (3 - columns)
    sns.heatmap(
        table, ax=axis, cmap=theme.MAP, vmin=limits[0], vmax=limits[1], annot=shown, fmt=".4f",
        annot_kws={"fontsize": 7}, linewidths=0.5, linecolor="white", cbar_kws={"label": note, "pad": 0.02},
        xticklabels=[tick(v) for v in across], yticklabels=[tick(v) for v in up],
    )  # fmt: skip
    bar = axis.collections[0].colorbar
    bar.outline.set_visible(False)
    bar.ax.yaxis.label.set_size(7 if columns > 1 else 8)
    bar.ax.tick_params(labelsize=7)
    axis.tick_params(rotation=0, length=0)
    row, column = np.unravel_index(np.nanargmax(table.to_numpy()), table.shape)
    from matplotlib.patches import Rectangle

    axis.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=BEST, linewidth=2, clip_on=False))
    cells = [cell for cell in np.ndindex(*table.shape) if not np.isnan(table.to_numpy()[cell])]
    for text, cell in zip(axis.texts, cells, strict=shown):
        text.set_fontweight("bold" if tied.to_numpy()[cell] is True else "normal")
