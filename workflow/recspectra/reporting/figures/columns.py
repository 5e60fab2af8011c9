"""Groups of vertical bars with whiskers, a panel a dataset."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recspectra.reporting.figures.base import COLOURS, FigureData, heading, legend, name_of, panel_grid


def columns(what: FigureData) -> Figure:
    """Draw groups of bars of shares, which lie in [0, 1]."""
    picture, axes, wide = panel_grid(what, 2.8, sharey=True)
    names = list(dict.fromkeys(what.frame["series"]))
    handles: dict[str, object] = {}
    for panel, axis in axes.items():
        handles |= _groups_of(axis, what.frame[what.frame["panel"] == panel], names)
        axis.set(xlabel=name_of(what.x), ylabel=name_of(what.y), ylim=(0, 1))
        axis.set_title(heading(panel, wide))
        axis.grid(axis="x", visible=False)
    legend(picture, {name: handles[name] for name in names if name in handles})
    return picture


def _groups_of(axis: Axes, points: pd.DataFrame, names: list[str]) -> dict[str, object]:
    """Draw the bars of one panel; low and high whiskers stay within [0, 1]."""
    order, width = list(dict.fromkeys(points["x"])), 0.8 / len(names)
    handles: dict[str, object] = {}
    for i, (name, hatch) in enumerate(zip(names, ("", "////", "..", "xx"), strict=False)):
        part = points[points["series"] == name]
        places = [order.index(x) + (i - (len(names) - 1) / 2) * width for x in part["x"]]
        whiskers = [part["se"].clip(upper=part["y"]), part["se"].clip(upper=1 - part["y"])]
        handles[name] = axis.bar(
            places, part["y"], width, yerr=whiskers, color=COLOURS[i], hatch=hatch, edgecolor="white",
            linewidth=0.4, error_kw={"elinewidth": 0.8, "capsize": 1.5},
        )  # fmt: skip
    axis.set_xticks(range(len(order)), order, fontsize=7)
    return handles
