"""Figures of a study as SVG, PNG and CSV; equal data give equal bytes.

Okabe-Ito colours with a marker and a line style of their own for every line, so that a
figure can be read without colour and in print. matplotlib's pyplot is not used: figures
are plain objects and nothing depends on a display.
"""

from __future__ import annotations

import math
import textwrap
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from recspectra.config.study import FigureConfig
from recspectra.files import atomic
from recspectra.reporting.escape import one_line, shorten
from recspectra.reporting.results import StudyFiles, write_csv
from recspectra.reporting.series import Drawing, drawing, is_number, positions

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 2, 1, 2)), (0, (8, 2)))
WIDTH = 7.0
DPI = 200
STYLE = {
    "svg.hashsalt": "recspectra",
    "text.parse_math": False,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 3.2,
    "hatch.linewidth": 0.6,
}


def draw_figure(files: StudyFiles, figure: FigureConfig) -> list[str]:
    """Write `fig-{name}.svg`, `.png` and `.csv`; return their names."""
    path = files.folder / f"fig-{figure.name}.svg"
    what = drawing(files, figure)
    with style.context(["default", STYLE]), mpl.rc_context({"backend": "agg"}):
        picture = render(what, figure)
        _save(picture, path, {"Date": None, "Creator": None, "Title": one_line(figure.title)})
        _save(picture, path.with_suffix(".png"), {"Software": None})
    write_csv(path.with_suffix(".csv"), what.frame)
    return [path.with_suffix(suffix).name for suffix in (".svg", ".png", ".csv")]


def _save(picture: Figure, path: Path, metadata: dict) -> None:
    with atomic(path) as temporary:
        picture.savefig(temporary, format=path.suffix[1:], dpi=DPI, metadata=metadata)


def render(what: Drawing, figure: FigureConfig) -> Figure:
    """Return the picture of a drawing; without data, an empty frame with the reason."""
    if what.frame.empty:
        return _nothing(what)
    kinds = {
        "timing": _bars,
        "learning-curves": _curves,
        "tuning": _steps,
        "energy": _stacks,
        "heatmap": _heat,
        "inference": _logarithmic,
        "complexity": _doubly_logarithmic,
        "bands": _columns,
    }
    return kinds.get(figure.kind, _lines)(what)


def _nothing(what: Drawing) -> Figure:
    picture, axes = _grid(1, 1, 2.2)
    frame = axes[0][0]
    frame.grid(False)
    frame.set_xticks([])
    frame.set_yticks([])
    for spine in frame.spines.values():
        spine.set(visible=True, color="#bbbbbb")
    text = one_line(what.caption)
    frame.text(0.5, 0.5, text, ha="center", va="center", wrap=True, transform=frame.transAxes)
    return picture


def _grid(rows: int, columns: int, height: float, **share: object) -> tuple[Figure, list[list[Axes]]]:
    picture = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = picture.subplots(rows, columns, squeeze=False, **share)
    return picture, axes.tolist()


def _look(number: int, points: int) -> dict:
    """Return colour, marker and line style of the n-th line; markers at equal distances on long lines."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number % len(DASHES)],
        "markevery": 0.09 if points > 24 else 1,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }


def _legend(picture: Figure, handles: dict[str, object]) -> None:
    """Put one legend below all panels."""
    names = [_name(name) for name in handles]
    widest = max(map(len, names))
    columns = max(1, min(len(names), 4, 110 // (widest + 7)))
    picture.legend(list(handles.values()), names, loc="outside lower center", ncols=columns)


def _name(name: str, width: int = 60) -> str:
    # matplotlib leaves out labels that start with an underscore.
    text = shorten(name, width) or "(no name)"
    return f" {text}" if text.startswith("_") else text


def _heading(name: str, columns: int) -> str:
    """Return the title of a panel in lines that are no wider than it."""
    return textwrap.fill(_name(name, 120), 46 if columns == 2 else 96) if name else ""


# ---------------------------------------------------------------------------- line plots


def _steps(what: Drawing) -> Figure:
    """Draw lines that change at the points alone."""
    return _lines(what, drawstyle="steps-post")


def _logarithmic(what: Drawing) -> Figure:
    """Draw lines with a logarithmic vertical axis."""
    picture = _lines(what)
    for axis in picture.axes:
        axis.set_yscale("log")
        low, high = axis.get_ylim()
        axis.yaxis.set_major_formatter(FuncFormatter(_plain))
        axis.yaxis.set_minor_formatter(FuncFormatter(_plain) if high < 10 * low else NullFormatter())
    return picture


def _doubly_logarithmic(what: Drawing) -> Figure:
    """Draw lines with two logarithmic axes, the vertical one shared, ticks at what doubles."""
    picture = _lines(what)
    low, high = min(0.9, what.frame["y"].min() / 1.1), max(2.2, what.frame["y"].max() * 1.1)
    for axis in picture.axes:
        axis.set_yscale("log", base=2)
        axis.set_ylim(low, high)
        axis.yaxis.set_major_formatter(FuncFormatter(_plain))
        ticks = sorted({value for line in axis.lines for value in line.get_xdata()})
        axis.set_xscale("log", base=2)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticks(ticks, [_tick(value) for value in ticks])
    return picture


def _lines(what: Drawing, drawstyle: str = "default") -> Figure:
    """Draw lines with error bands, one panel a dataset where the data says so."""
    scale, places = _places(what.frame["x"])
    frame = what.frame.assign(at=what.frame["x"].map(places).astype(float))
    names = list(dict.fromkeys(frame["panel"]))
    columns = min(len(names), 2)
    rows = math.ceil(len(names) / columns)
    picture, grid = _grid(rows, columns, 3.6 if len(names) == 1 else 2.7 * rows + 0.6)
    axes = [axis for row in grid for axis in row]
    numbers = {series: i for i, series in enumerate(dict.fromkeys(frame["series"]))}
    handles: dict[str, object] = {}
    for axis, name in zip(axes, names, strict=False):
        panel = frame[frame["panel"] == name]
        for series, points in panel.groupby("series", sort=False):
            handles[series] = _line(axis, points, numbers[series], drawstyle)
        axis.set_title(_heading(name, columns))
        axis.set(xlabel=_name(what.x), ylabel=_name(what.y))
        _set_scale(axis, scale, places)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    _legend(picture, {series: handles[series] for series in numbers})
    return picture


def _line(axis: Axes, points: pd.DataFrame, number: int, drawstyle: str) -> object:
    look = _look(number, len(points)) | {"drawstyle": drawstyle}
    (line,) = axis.plot(points["at"], points["y"], **look)
    error = points["se"].astype(float).fillna(0.0)
    if (error > 0).any():
        low, high = points["y"] - error, points["y"] + error
        axis.fill_between(points["at"], low, high, color=look["color"], alpha=0.15, linewidth=0)
    return line


def _places(values: pd.Series) -> tuple[str, dict]:
    """Return the kind of x axis (`linear`, `log`, `ordinal`) and where each value stands.

    Values that grow by factors get a log axis. Words, and factors together with a zero
    (0, 1e-4, 1e-3), stand side by side at equal distances.
    """
    order = positions(values)
    if not all(map(is_number, order)):
        return "ordinal", order
    places = {value: float(value) for value in order}
    if powers_like(list(order)):
        return "log", places
    positive = [value for value in order if value > 0]
    factors = min(order) == 0 and powers_like(positive) and max(order) / min(positive) >= 16
    return ("ordinal", order) if factors else ("linear", places)


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
        words = {place: _tick(value) for value, place in places.items()}
        axis.set_xticks(list(words), list(words.values()))
    elif scale == "log":
        axis.xaxis.set_major_formatter(FuncFormatter(_plain))


def _tick(value: object) -> str:
    return f"{value:g}" if is_number(value) else shorten(value, 18)


def _plain(value: float, _: int | None = None) -> str:
    """Return a number without an exponent as long as it is short enough to read."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if 1e-6 <= abs(value) < 1 else f"{value:g}"


# --------------------------------------------------------------------------------- bars


def _bars(what: Drawing) -> Figure:
    """Draw horizontal bars of seconds, one panel a dataset below the other."""
    panels = list(dict.fromkeys(what.frame["panel"]))
    counts = [what.frame.loc[what.frame["panel"] == p, "series"].nunique() for p in panels]
    ratios = [count + 1.2 for count in counts]
    picture = Figure(figsize=(WIDTH, 0.44 * sum(ratios) + 1.0), layout="constrained")
    axes = picture.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=ratios)[:, 0]
    left, right = _range(what.frame["seconds"])
    handles: dict[str, object] = {}
    for axis, panel in zip(axes, panels, strict=True):
        rows = what.frame[what.frame["panel"] == panel]
        handles |= _bars_of(axis, rows, left)
        axis.set(xscale="log", xlim=(left, right), title=_name(panel) if panel else "")
        axis.grid(axis="y", visible=False)
        axis.xaxis.set_major_formatter(FuncFormatter(_plain))
        axis.xaxis.set_minor_locator(NullLocator())
    axes[-1].set_xlabel(what.x)
    _legend(picture, handles)
    return picture


def _bars_of(axis: Axes, rows: pd.DataFrame, left: float) -> dict[str, object]:
    systems = list(dict.fromkeys(rows["series"]))
    handles: dict[str, object] = {}
    looks = {
        "eigenpairs": (-0.27, COLOURS[2], ".."),
        "fit": (0.0, COLOURS[0], ""),
        "scoring": (0.27, COLOURS[4], "////"),
    }
    for stage, (shift, colour, hatch) in looks.items():
        part = rows[rows["stage"] == stage]
        places = [systems.index(name) + shift for name in part["series"]]
        widths = (part["seconds"] - left).clip(lower=0)
        handles[stage] = axis.barh(
            places, widths, 0.25, left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4
        )
        for place, seconds in zip(places, part["seconds"], strict=True):
            end = max(seconds, left)
            axis.annotate(
                _seconds(seconds), (end, place), (3, 0), textcoords="offset points", va="center", fontsize=7
            )
    axis.set_yticks(range(len(systems)), [_name(name, 40) for name in systems])
    axis.set_ylim(len(systems) - 0.4, -0.6)
    return handles


def _range(seconds: pd.Series) -> tuple[float, float]:
    """Return limits of the log axis: whole powers of ten, room for the numbers right."""
    positive = seconds[seconds > 0]
    if positive.empty:
        return 0.001, 1.0
    left = 10.0 ** math.floor(math.log10(positive.min()) - 0.1)
    return left, max(positive.max() * 3.0, left * 10.0)


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value < 1000 else f"{value:,.0f} s"


# ----------------------------------------------------------------------------- heat maps


def _heat(what: Drawing) -> Figure:
    """Draw a value over two parameters as a map with the numbers in it, a panel a dataset."""
    panels = list(dict.fromkeys(what.frame["panel"]))
    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    picture, grid = _grid(rows, columns, 3.2 * rows + 0.3)
    axes = [axis for row in grid for axis in row]
    for axis, panel in zip(axes, panels, strict=False):
        _map(axis, what.frame[what.frame["panel"] == panel])
        axis.set(xlabel=_name(what.x), ylabel=_name(what.y), title=_heading(panel, columns))
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return picture


def _map(axis: Axes, points: pd.DataFrame) -> None:
    """Draw one map; the best cell has a frame."""
    across, up = list(positions(points["x"])), list(positions(points["y"]))
    table = points.pivot_table(index="y", columns="x", values="value").reindex(index=up, columns=across)
    values = table.to_numpy()
    axis.imshow(values, cmap="cividis", origin="lower", aspect="auto")
    axis.grid(False)
    axis.set_xticks(range(len(across)), [_tick(v) for v in across])
    axis.set_yticks(range(len(up)), [_tick(v) for v in up])
    low, high = points["value"].min(), points["value"].max()
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            dark = value < (low + high) / 2
            best = {"weight": "bold", "bbox": {"fill": False, "edgecolor": "#D55E00", "linewidth": 1.5}}
            axis.text(
                column, row, f"{value:.4f}", ha="center", va="center", fontsize=7,
                color="white" if dark else "black", **(best if value == high else {}),
            )  # fmt: skip


# ------------------------------------------------------------------------------ columns


def _columns(what: Drawing) -> Figure:
    """Draw groups of vertical bars with whiskers, a panel a dataset."""
    panels = list(dict.fromkeys(what.frame["panel"]))
    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    picture, grid = _grid(rows, columns, 2.5 * rows + 0.9, sharey=True)
    axes = [axis for row in grid for axis in row]
    names = list(dict.fromkeys(what.frame["series"]))
    handles: dict[str, object] = {}
    for axis, panel in zip(axes, panels, strict=False):
        handles |= _groups_of(axis, what.frame[what.frame["panel"] == panel], names)
        axis.set(xlabel=_name(what.x), ylabel=_name(what.y), ylim=(0, 1))
        axis.set_title(_heading(panel, columns))
        axis.grid(axis="x", visible=False)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    _legend(picture, {name: handles[name] for name in names if name in handles})
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


# ------------------------------------------------------------------------------- stacks

BANDS = {
    "low": (COLOURS[0], ""),
    "middle": (COLOURS[4], "////"),
    "high": (COLOURS[3], ".."),
    "beyond": ("#dddddd", ""),
}


def _stacks(what: Drawing) -> Figure:
    """Draw shares that add up to 1 as stacked bars, one panel a dataset below the other."""
    panels = list(dict.fromkeys(what.frame["panel"]))
    picture, grid = _grid(len(panels), 1, 1.15 * len(panels) + 0.9, sharex=True)
    handles: dict[str, object] = {}
    for (axis,), panel in zip(grid, panels, strict=True):
        rows = what.frame[what.frame["panel"] == panel]
        signals = list(dict.fromkeys(rows["signal"]))
        for band, part in rows.groupby("band", sort=False):
            handles |= _stack(axis, rows, part, str(band), signals)
        axis.set_yticks(range(len(signals)), [_name(name, 40) for name in signals])
        axis.set(xlim=(0, 1), ylim=(len(signals) - 0.5, -0.5), title=_name(panel))
        axis.grid(axis="y", visible=False)
    grid[-1][0].set_xlabel(what.x)
    _legend(picture, handles)
    return picture


def _stack(axis: Axes, rows: pd.DataFrame, part: pd.DataFrame, band: str, signals: list[str]) -> dict:
    """Draw one band of every signal; shares large enough to hold a number show it."""
    lefts = rows.groupby("signal", sort=False)["share"].cumsum()[part.index] - part["share"]
    colour, hatch = BANDS.get(band, (COLOURS[5], ""))
    places = [signals.index(name) for name in part["signal"]]
    bars = axis.barh(
        places, part["share"], 0.72, left=lefts, color=colour, hatch=hatch, edgecolor="white", lw=0.4
    )
    for place, left, share in zip(places, lefts, part["share"], strict=True):
        if share >= 0.04:
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
            axis.text(left + share / 2, place, f"{share:.0%}", ha="center", va="center", fontsize=7, bbox=box)
    return {_band(band, part): bars}


def _band(band: str, part: pd.DataFrame) -> str:
    low, high = part["low"].iloc[0], part["high"].iloc[0]
    if band == "beyond":
        return "larger than computed"
    return f"{band}, {low:g} to {high:g}"


# ---------------------------------------------------------------------- learning curves


def _curves(what: Drawing) -> Figure:
    """Draw loss and validation recall against the epoch, a row of two panels a dataset."""
    panels = list(dict.fromkeys(what.frame["panel"]))
    picture, grid = _grid(len(panels), 2, 2.7 * len(panels) + 0.5)
    numbers = {series: i for i, series in enumerate(dict.fromkeys(what.frame["series"]))}
    names = {"loss": "training loss", "recall@20": "validation recall@20"}
    handles: dict[str, object] = {}
    for row, panel in zip(grid, panels, strict=True):
        for axis, (curve, label) in zip(row, names.items(), strict=True):
            rows = what.frame[(what.frame["panel"] == panel) & (what.frame["curve"] == curve)]
            handles |= _curves_of(axis, rows, numbers)
            axis.set(xlabel=what.x, ylabel=label, title=_heading(panel, 2))
            axis.xaxis.get_major_locator().set_params(integer=True)
            _log_if_wide(axis, rows["value"])
    _legend(picture, {series: handles[series] for series in numbers if series in handles})
    return picture


def _curves_of(axis: Axes, rows: pd.DataFrame, numbers: dict[str, int]) -> dict[str, object]:
    handles: dict[str, object] = {}
    for (series, _), points in rows.groupby(["series", "seed"], sort=False):
        points = points.sort_values("epoch")
        look = _look(numbers[series], len(points)) | {"linewidth": 1.1}
        (handles[series],) = axis.plot(points["epoch"], points["value"], **look)
    if rows.empty:
        axis.text(0.5, 0.5, "no curve", ha="center", va="center", transform=axis.transAxes)
    return handles


def _log_if_wide(axis: Axes, values: pd.Series) -> None:
    """Use a log axis where losses of different systems differ by orders of magnitude."""
    if len(values) and values.min() > 0 and values.max() / values.min() > 50:
        axis.set_yscale("log")
        axis.set_ylabel(f"{axis.get_ylabel()} (log scale)")
        axis.yaxis.set_major_formatter(FuncFormatter(_plain))
