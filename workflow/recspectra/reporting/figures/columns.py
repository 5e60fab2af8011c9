"""Groups of vertical bars with whiskers, a panel a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from recspectra.reporting.figures import theme
from recspectra.reporting.figures.base import FigureData, heading, name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def columns(what: FigureData) -> Figure:
    """Draw groups of bars of shares, which lie in [0, 1]."""
    picture, axes, wide = theme.panel_grid(what, 2.8, sharey=True)
    names = list(dict.fromkeys(what.frame["series"]))
    shown: dict[str, object] = {}
    for panel, axis in axes.items():
        shown |= _groups_of(axis, what.frame[what.frame["panel"] == panel], names)
        axis.set(xlabel=name_of(what.x), ylabel=name_of(what.y), ylim=(0, 1))
        axis.set_title(heading(panel, wide))
        axis.tick_params(axis="x", labelsize=7)
    theme.legend(picture, {name: shown[name] for name in names if name in shown})
    return picture


def _groups_of(axis: Axes, points: pd.DataFrame, names: list[str]) -> dict[str, object]:
    """Draw the bars of one panel; low and high whiskers stay within [0, 1]."""
    import seaborn as sns

    order, palette = list(dict.fromkeys(points["x"])), theme.looks(names)["palette"]
    sns.barplot(
        points, x="x", y="y", hue="series", order=order, hue_order=names, palette=palette, saturation=1,
        errorbar=None, edgecolor="white", legend=False, ax=axis,
    )  # fmt: skip
    shown: dict[str, object] = {}
    for i, (name, bars) in enumerate(zip(names, axis.containers, strict=False)):
        shown[name] = bars
        for bar in bars:
            bar.set_hatch(theme.HATCHES[i % len(theme.HATCHES)])
        part = points[points["series"] == name].set_index("x").reindex(order)
        whiskers = [part["se"].clip(upper=part["y"]), part["se"].clip(upper=1 - part["y"])]
        middles = [bar.get_x() + bar.get_width() / 2 for bar in bars]
        if len(middles) == len(part):
            axis.errorbar(middles, part["y"], whiskers, ls="", color=theme.INK, elinewidth=0.8, capsize=1.5)
    return shown
