"""A metric against the seconds that a model needs, and the models that nothing faster beats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from recspectra.config.scale import CAPPED, CAPPED_MARK, USABLE
from recspectra.config.study import FigureConfig
from recspectra.reporting.figures import theme
from recspectra.reporting.figures.base import (
    FigureData,
    drawn,
    heading,
    name_of,
    panels,
    plain_number,
    plain_runs,
)
from recspectra.reporting.results import JOIN, StudyResults, machines, preferred, rows_at, seconds_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = ["panel", "series", "seconds", "value", "front"]
HEIGHT = 3.6  # inches of a panel
LETTER = 0.0165  # width of a letter of a label, as a share of a panel of half the page's width
LINE = 0.045  # height of a label
LEAST = 1e-3  # seconds
FLOOR = 0.6  # what is below this share of the best stands at the lower edge, or all others would be one heap


def trade_off(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return seconds (eigenpairs, fit, scoring; the median of the runs) and the mean metric of each model."""
    runs = plain_runs(files, figure)
    runs = runs[runs["status"].isin(USABLE)].drop_duplicates([*JOIN, "label"])
    view = figure.view or preferred(files, figure.protocol)
    point = {"protocol": figure.protocol, "metric": figure.metric, "k": figure.k}
    rows = rows_at(files.metrics, point | (view.model_dump() if view else {}))
    runs = runs.assign(seconds=seconds_of(runs))
    runs = runs.merge(rows[[*JOIN, "value"]], on=JOIN)
    runs = runs.assign(panel=panels(files, runs["dataset"]), series=runs["label"])
    places = runs.groupby(["panel", "series"], sort=False)
    frame = places.agg(seconds=("seconds", "median"), value=("value", "mean")).dropna().reset_index()
    fronts = [on_front(part) for _, part in frame.groupby("panel", sort=False)]
    frame["front"] = pd.concat(fronts) if fronts else False
    caption = (
        "Median wall-clock seconds to compute eigenpairs, fit and score all users, on "
        f"{machines(runs)}; choosing settings is not counted. The line joins the models that nothing faster "
        "reaches."
    )
    label = f"{figure.metric}@{figure.k}"
    why = "no finished run has a time and a number"
    return drawn(frame[POINTS], caption, "seconds (log scale)", label, why, _alt(frame, label))


def costs(leaders: pd.DataFrame, titles: Mapping[str, str]) -> FigureData:
    """Return the same of a study's standings (see `standings.with_costs`); capped models are marked."""
    known = leaders[leaders["value"].notna() & (leaders["seconds"] > 0)]
    measured = known["metric"] + "@" + known["k"].map("{:.0f}".format).astype(str)
    capped = known["status"].str.contains(CAPPED)
    frame = known.assign(
        panel=known["dataset"].map(titles).fillna(known["dataset"]) + ": " + measured,
        series=known["row"].where(~capped, known["row"] + CAPPED_MARK),
    )
    fronts = [on_front(part) for _, part in frame.groupby("panel", sort=False)]
    frame["front"] = pd.concat(fronts) if fronts else False
    label = ", ".join(dict.fromkeys(measured))
    why = "no model has a number and seconds"
    return drawn(frame[POINTS], "", "seconds to fit and rank (log scale)", label, why, _alt(frame, label))


def _alt(frame: pd.DataFrame, label: str) -> str:
    fronts = frame[frame["front"]].sort_values("seconds").groupby("panel", sort=False)["series"]
    named = [f"{panel or 'one dataset'}: {', '.join(names)}" for panel, names in fronts]
    words = f" Nothing faster reaches these. {'; '.join(named)}." if named else ""
    return f"Scatter of {label} against seconds for {len(frame)} models.{words}"


def on_front(points: pd.DataFrame) -> pd.Series:
    """Return which points (`seconds`, `value`) no point that is as fast or faster reaches."""
    ordered = points.sort_values(["seconds", "value"], ascending=[True, False], kind="stable")
    best = ordered["value"].astype("float64").cummax().shift(fill_value=-np.inf)
    return (ordered["value"] > best).reindex(points.index)


def scatter(what: FigureData) -> Figure:
    """Draw a panel a dataset: a labelled point a model, the front as steps; what is far below as arrows."""
    import seaborn as sns

    picture, axes, columns = theme.panel_grid(what, HEIGHT)
    colours, markers = {True: theme.COLOURS[1], False: theme.COLOURS[0]}, {False: "o", True: "v"}
    for panel, axis in axes.items():
        points = _lift(what.frame[what.frame["panel"] == panel])
        front = points[points["front"]].sort_values("seconds")
        axis.step(front["seconds"], front["value"], where="post", color=colours[True], lw=1.0, alpha=0.5)
        sns.scatterplot(
            points, x="seconds", y="value", hue="front", palette=colours, style="below", markers=markers,
            s=24, linewidth=0, legend=False, zorder=3, ax=axis,
        )  # fmt: skip
        axis.set(xscale="log", xlabel=name_of(what.x), ylabel=name_of(what.y), title=heading(panel, columns))
        _round_ticks(axis)
        _label(axis, points, columns)
    return picture


def _round_ticks(axis: Axes) -> None:
    """Leave room around the points, and write seconds as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.margins(x=0.12, y=0.1)
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axis.xaxis.set_minor_locator(NullLocator())


def _lift(points: pd.DataFrame) -> pd.DataFrame:
    """Put points far below the best at the lower edge, their number in their name."""
    least = FLOOR * points["value"].max()
    below = points["value"] < least
    told = points["series"] + points["value"].map(" ({:.4f})".format)
    names = told.where(below, points["series"])
    at = points["seconds"].clip(lower=LEAST)  # a logarithm has no place for 0
    return points.assign(below=below, value=points["value"].clip(lower=least), series=names, seconds=at)


class Box(NamedTuple):
    """A rectangle in shares of a panel: left, bottom, right, top."""

    left: float
    bottom: float
    right: float
    top: float

    def shared(self, other: Box) -> float:
        """Return the area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    @property
    def outside(self) -> float:
        """How far it reaches out of the panel."""
        return max(0.0, -self.left, self.right - 1.0, -self.bottom, self.top - 1.0)


def _label(axis: Axes, points: pd.DataFrame, columns: int) -> None:
    """Write each model's name where it covers least: next to its point, or a little further with a line."""
    data = np.column_stack([np.log10(points["seconds"]), points["value"]])
    low, high = np.log10(axis.get_xlim()), axis.get_ylim()
    places = (data - [low[0], high[0]]) / [low[1] - low[0], high[1] - high[0]]
    corners = places[points["front"].to_numpy()]
    taken = [Box(x - 0.012, y - 0.012, x + 0.012, y + 0.012) for x, y in [*places, *_along(corners)]]
    for name, (x, y) in zip(points["series"], places, strict=True):
        text = name_of(name, 34)
        width = LETTER * len(text) * columns / 2
        options = list(_around(x, y, width))
        cost = [sum(map(box.shared, taken)) + box.outside + 2e-5 * i for i, box in enumerate(options)]
        box = options[int(np.argmin(cost))]
        taken.append(box)
        axis.annotate(
            text, (x, y), ((box.left + box.right) / 2, (box.bottom + box.top) / 2), xycoords="axes fraction",
            textcoords="axes fraction", ha="center", va="center", fontsize=6.5,
            arrowprops={"arrowstyle": "-", "color": "#aaaaaa", "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip


def _along(corners: np.ndarray) -> Iterator[tuple[float, float]]:
    """Yield points of the steps through some corners: labels keep off the line as well."""
    ordered = corners[np.argsort(corners[:, 0])]
    for (x, y), (further, above) in pairwise(ordered):
        yield from zip(np.linspace(x, further, 12), repeat(y), strict=False)
        yield from zip(repeat(further), np.linspace(y, above, 12), strict=False)


def _around(x: float, y: float, width: float) -> Iterator[Box]:
    """Yield where a label may stand, nearest first."""
    for away in (1, 2, 3, 4.5, 6):
        dx, dy = width / 2 + 0.026, LINE * 0.75 * away
        for right, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            if up == 0 and away > 1:
                continue
            left, middle = x + right * dx - width / 2, y + up * dy
            yield Box(left, middle - LINE / 2, left + width, middle + LINE / 2)
