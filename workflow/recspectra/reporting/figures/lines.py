"""Lines with error bands, a panel a dataset, on the axes that their values ask for."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from recspectra.reporting.escape import shorten
from recspectra.reporting.figures.base import (
    FigureData,
    heading,
    legend,
    look,
    name_of,
    panel_grid,
    plain_number,
)


def steps(what: FigureData) -> Figure:
    """Draw lines that change at the points alone."""
    return lines(what, drawstyle="steps-post")


def logarithmic(what: FigureData) -> Figure:
    """Draw lines with a logarithmic vertical axis."""
    picture = lines(what)
    for axis in picture.axes:
        axis.set_yscale("log")
        low, high = axis.get_ylim()
        axis.yaxis.set_major_formatter(FuncFormatter(plain_number))
        axis.yaxis.set_minor_formatter(FuncFormatter(plain_number) if high < 10 * low else NullFormatter())
    return picture


def doubly_logarithmic(what: FigureData) -> Figure:
    """Draw lines with two logarithmic axes, the vertical one shared, ticks at what doubles."""
    picture = lines(what)
    low, high = min(0.9, what.frame["y"].min() / 1.1), max(2.2, what.frame["y"].max() * 1.1)
    for axis in picture.axes:
        axis.set_yscale("log", base=2)
        axis.set_ylim(low, high)
        axis.yaxis.set_major_formatter(FuncFormatter(plain_number))
        ticks = sorted({value for line in axis.lines for value in line.get_xdata()})
        axis.set_xscale("log", base=2)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticks(ticks, [tick(value) for value in ticks])
    return picture


def lines(what: FigureData, drawstyle: str = "default") -> Figure:
    """Draw lines with error bands, one panel a dataset where the data says so."""
    scale, at = places(what.frame["x"])
    frame = what.frame.assign(at=what.frame["x"].map(at).astype(float))
    picture, axes, columns = panel_grid(what, 3.0 if frame["panel"].nunique() == 1 else 2.7)
    numbers = {series: i for i, series in enumerate(dict.fromkeys(frame["series"]))}
    handles: dict[str, object] = {}
    for panel, axis in axes.items():
        for series, points in frame[frame["panel"] == panel].groupby("series", sort=False):
            handles[series] = _line(axis, points, numbers[series], drawstyle)
        axis.set_title(heading(panel, columns))
        axis.set(xlabel=name_of(what.x), ylabel=name_of(what.y))
        _set_scale(axis, scale, at)
    legend(picture, {series: handles[series] for series in numbers})
    return picture


def _line(axis: Axes, points: pd.DataFrame, number: int, drawstyle: str) -> object:
    style = look(number, len(points)) | {"drawstyle": drawstyle}
    (line,) = axis.plot(points["at"], points["y"], **style)
    error = points["se"].astype(float).fillna(0.0)
    if (error > 0).any():
        low, high = points["y"] - error, points["y"] + error
        axis.fill_between(points["at"], low, high, color=style["color"], alpha=0.15, linewidth=0)
    return line


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
