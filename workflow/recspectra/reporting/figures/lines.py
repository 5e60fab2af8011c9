"""Lines with bands, a panel a dataset, on the axes that their values ask for."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recspectra.reporting.escape import shorten
from recspectra.reporting.figures import theme
from recspectra.reporting.figures.base import FigureData, heading, name_of, plain_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY_POINTS = 24  # on a line: markers stand at equal distances
NEAR = 0.03  # of the height of a panel: lines that end so close cannot be named at their ends
MOST_BANDS = 3  # that can be told apart where they lie on each other; of more, each has whiskers
NARROW = 14  # letters of a name that fit at the end of a line where panels stand side by side


def steps(what: FigureData) -> Figure:
    """Draw lines that change at the points alone."""
    return lines(what, drawstyle="steps-post")


def logarithmic(what: FigureData) -> Figure:
    """Draw lines with a logarithmic vertical axis."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    picture = lines(what, log=True)
    for axis in picture.axes:
        axis.set_yscale("log")
        low, high = axis.get_ylim()
        axis.yaxis.set_major_formatter(FuncFormatter(plain_number))
        axis.yaxis.set_minor_formatter(FuncFormatter(plain_number) if high < 10 * low else NullFormatter())
    theme.spread_labels(picture)
    return picture


def doubly_logarithmic(what: FigureData) -> Figure:
    """Draw lines with two logarithmic axes, the vertical one shared, ticks at what doubles."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    picture = lines(what, log=True)
    low, high = min(0.9, what.frame["y"].min() / 1.1), max(2.2, what.frame["y"].max() * 1.1)
    for panel, axis in zip(dict.fromkeys(what.frame["panel"]), picture.axes, strict=False):
        axis.set_yscale("log", base=2)
        axis.set_ylim(low, high)
        axis.yaxis.set_major_formatter(FuncFormatter(plain_number))
        ticks = sorted(set(what.frame.loc[what.frame["panel"] == panel, "x"]))
        axis.set_xscale("log", base=2)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticks(ticks, [tick(value) for value in ticks])
    theme.spread_labels(picture)
    return picture


def lines(what: FigureData, drawstyle: str = "default", log: bool = False) -> Figure:
    """Draw lines with error bands, one panel a dataset where the data says so.

    Where panels have few lines that end apart (on the `log` axis that follows), their names stand at their
    ends; else a legend has them.
    """
    scale, at = places(what.frame["x"])
    low, high = bands(what.frame)
    frame = what.frame.assign(at=what.frame["x"].map(at).astype(float), low=low, high=high)
    picture, axes, columns = theme.panel_grid(what, 3.0 if frame["panel"].nunique() == 1 else 2.7)
    names = list(dict.fromkeys(frame["series"]))
    direct = named_directly(frame, columns, log)
    for panel, axis in axes.items():
        points = frame[frame["panel"] == panel]
        if what.note:
            axis.axhline(0.0, color=theme.INK, linewidth=0.8, zorder=1)
        draw_lines(axis, points, names, drawstyle)
        axis.set_title(heading(panel, columns))
        axis.set(xlabel="", ylabel=name_of(what.y) if len(axes) <= 4 else "")
        _set_scale(axis, scale, at)
        if direct:
            ends = points.dropna(subset="y").groupby("series", sort=False).last()
            theme.label_ends(axis, {name: (row["at"], row["y"]) for name, row in ends.iterrows()})
    theme.label_bottom(axes, columns, what.x)
    if len(axes) > 4:
        picture.supylabel(name_of(what.y), fontsize=9)
    if direct:
        theme.spread_labels(picture)
    elif len(names) > 1:
        theme.legend(picture, theme.handles(names))
    return picture


def bands(frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the lower and upper ends of bands: `low` and `high`, or y -+ se."""
    if {"low", "high"} <= set(frame):
        return frame["low"], frame["high"]
    error = frame["se"].astype(float)
    return frame["y"] - error, frame["y"] + error


def named_directly(frame: pd.DataFrame, columns: int, log: bool = False) -> bool:
    """Tell whether lines are few, end apart, and have names short enough to stand at their ends."""
    most = frame.groupby("panel")["series"].nunique().max()
    names = list(dict.fromkeys(frame["series"]))
    short = max(map(len, names)) <= (28 if columns == 1 else NARROW)
    return len(names) > 1 and most <= theme.FEW and short and _end_apart(frame, log)


def _end_apart(frame: pd.DataFrame, log: bool) -> bool:
    """Tell whether the lines of every panel end at places that can be told apart."""
    y = np.log(frame["y"].where(frame["y"] > 0)) if log else frame["y"]
    for _, points in frame.assign(place=y).dropna(subset="place").groupby("panel"):
        ends = np.sort(points.groupby("series", sort=False)["place"].last())
        span = points["place"].max() - points["place"].min()
        if len(ends) > 1 and np.diff(ends).min() < NEAR * span:
            return False
    return True


def draw_lines(axis: Axes, points: pd.DataFrame, names: list[str], drawstyle: str = "default") -> None:
    """Draw the lines of one panel, columns `series`, `at`, `y`, `low` and `high`."""
    import seaborn as sns

    longest = points.groupby("series", sort=False).size().max()
    sns.lineplot(
        points, x="at", y="y", hue="series", style="series", **theme.looks(names),
        dashes=theme.dashes(names), estimator=None, sort=False, errorbar=None, legend=False, ax=axis,
        drawstyle=drawstyle, markevery=0.09 if longest > MANY_POINTS else 1, markeredgewidth=0.5,
    )  # fmt: skip
    # seaborn estimates bands from repeated values; ours are computed from users and seeds.
    wide = points.dropna(subset=["low", "high"])
    own = list(dict.fromkeys(wide.loc[wide["high"] > wide["low"], "series"]))
    for i, name in enumerate(own):
        part, shade = wide[wide["series"] == name], theme.colour(names.index(name))
        if len(own) > MOST_BANDS:
            beside = _moved(axis, 3.0 * (i - (len(own) - 1) / 2))
            axis.vlines(part["at"], part["low"], part["high"], color=shade, lw=1, transform=beside)
            axis.update_datalim(part[["at", "low"]].to_numpy())
            axis.update_datalim(part[["at", "high"]].to_numpy())
            axis.autoscale_view()
        else:
            axis.fill_between(part["at"], part["low"], part["high"], color=shade, alpha=0.18, linewidth=0)


def _moved(axis: Axes, points: float) -> Any:
    """Return where data stand in a panel, moved to the right by some points."""
    from matplotlib.transforms import ScaledTranslation

    return axis.transData + ScaledTranslation(points / 72, 0, axis.figure.dpi_scale_trans)


def places(values: pd.Series) -> tuple[str, dict]:
    """Return the kind of x axis (`linear`, `log`, `ordinal`) and where each value stands.

    Values that grow by factors get a log axis. Words, and factors together with a zero
    (0, 1e-4, 1e-3), stand side by side at equal distances.
    """
    order = positions(values)
    if not all(map(is_number, order)):
        return "ordinal", order
    own = {value: float(value) for value in order}
    if powers_like(list(order)):
        return "log", own
    positive = [value for value in order if value > 0]
    factors = min(order) == 0 and powers_like(positive) and max(order) / min(positive) >= 16
    return ("ordinal", order) if factors else ("linear", own)


def powers_like(values: list[float]) -> bool:
    """Tell whether at least three positive numbers grow by factors of about two or more."""
    ordered = sorted(set(values))
    grow = len(ordered) >= 3 and ordered[0] > 0
    return grow and all(high / low >= 1.8 for low, high in pairwise(ordered))


def _set_scale(axis: Axes, scale: str, places: dict) -> None:
    """Put ticks at the values themselves where they are few enough to read."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    if scale == "log":
        axis.set_xscale("log", base=2)
        axis.xaxis.set_minor_locator(NullLocator())
    if len(places) <= 12 and (scale != "linear" or len(places) <= 8):
        words = {place: tick(value) for value, place in places.items()}
        axis.set_xticks(list(words), list(words.values()))
    elif scale == "log":
        axis.xaxis.set_major_formatter(FuncFormatter(plain_number))


def tick(value: object) -> str:
    """Return the label of a value on an axis."""
    return f"{value:g}" if is_number(value) else shorten(value, 18)


def positions(values: pd.Series) -> dict:
    """Return an order of swept values: numbers by size, anything else as it comes."""
    unique = list(dict.fromkeys(values))
    return {v: i for i, v in enumerate(sorted(unique) if all(map(is_number, unique)) else unique)}


def is_number(value: object) -> bool:
    """Tell whether a swept value is a number (True and False are not)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
