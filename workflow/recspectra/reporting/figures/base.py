"""What all figures share: their data, the look of lines, panels, one legend.

Okabe-Ito colours with a marker and a line style of their own for every line, so that a figure can be read
without colour and in print. matplotlib's pyplot is not used: figures are plain objects and nothing depends
on a display.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recspectra.config.study import FigureConfig
from recspectra.reporting.escape import one_line, shorten
from recspectra.reporting.results import StudyResults, select_runs

LINES = ["panel", "series", "x", "y", "se", "seeds"]
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


@dataclass(frozen=True)
class FigureData:
    """The data of a figure.

    Attributes
    ----------
    frame : DataFrame
        What `fig-{name}.csv` holds: of lines the columns `LINES`; empty when there is nothing to draw.
    caption : str
        What the numbers are, in words.
    x, y : str
        Axis labels.
    reason : str
        Why there is nothing to draw.
    """

    frame: pd.DataFrame
    caption: str
    x: str
    y: str
    reason: str = ""


def drawn(frame: pd.DataFrame, caption: str, x: str, y: str, reason: str) -> FigureData:
    """Return the data of a figure; where the frame is empty, with the reason instead of the caption."""
    if len(frame):
        return FigureData(frame.reset_index(drop=True), caption, x, y)
    return FigureData(frame, f"Nothing to draw: {reason}.", x, y, reason)


def panels(files: StudyResults, datasets: pd.Series) -> pd.Series:
    """Return a panel for each dataset; no name when there is one dataset alone."""
    names = datasets.map(lambda name: files.titles.get(name, name))
    return names if datasets.nunique() > 1 else names.map(lambda _: "")


def runs_of(files: StudyResults, figure: FigureConfig) -> pd.DataFrame:
    """Return the runs of a figure's group, datasets and model."""
    groups = [figure.group] if figure.group else None
    return select_runs(files, groups, figure.datasets, model=figure.model)


def plain_runs(files: StudyResults, figure: FigureConfig) -> pd.DataFrame:
    """Return the runs of a figure; without a group, sweeps are left out if there is more."""
    runs = runs_of(files, figure)
    if figure.group:
        return runs
    plain = runs[[not swept for swept in runs["swept"]]]
    return plain if len(plain) else runs


def nothing(what: FigureData) -> Figure:
    """Return an empty frame with the reason why nothing is in it."""
    picture, axes = grid(1, 1, 2.2)
    frame = axes[0][0]
    frame.grid(False)
    frame.set_xticks([])
    frame.set_yticks([])
    for spine in frame.spines.values():
        spine.set(visible=True, color="#bbbbbb")
    text = one_line(what.caption)
    frame.text(0.5, 0.5, text, ha="center", va="center", wrap=True, transform=frame.transAxes)
    return picture


def grid(rows: int, columns: int, height: float, **share: object) -> tuple[Figure, list[list[Axes]]]:
    """Return a picture of a height in inches, and its axes row by row."""
    picture = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = picture.subplots(rows, columns, squeeze=False, **share)
    return picture, axes.tolist()


def look(number: int, points: int) -> dict:
    """Return colour, marker and line style of the n-th line; markers at equal distances on long lines."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number % len(DASHES)],
        "markevery": 0.09 if points > 24 else 1,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }


def legend(picture: Figure, handles: dict[str, object]) -> None:
    """Put one legend below all panels."""
    names = [name_of(name) for name in handles]
    widest = max(map(len, names))
    columns = max(1, min(len(names), 4, 110 // (widest + 7)))
    picture.legend(list(handles.values()), names, loc="outside lower center", ncols=columns)


def name_of(name: str, width: int = 60) -> str:
    """Return a name on one line, as it can stand in a picture."""
    # matplotlib leaves out labels that start with an underscore.
    text = shorten(name, width) or "(no name)"
    return f" {text}" if text.startswith("_") else text


def heading(name: str, columns: int) -> str:
    """Return the title of a panel in lines that are no wider than it."""
    return textwrap.fill(name_of(name, 120), 46 if columns == 2 else 96) if name else ""


def plain_number(value: float, _: int | None = None) -> str:
    """Return a number without an exponent as long as it is short enough to read."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if 1e-6 <= abs(value) < 1 else f"{value:g}"


def panel_grid(what: FigureData, height: float, **share: object) -> tuple[Figure, dict[str, Axes], int]:
    """Return a picture, the axes of each panel, two in a row, and how many stand in a row.

    `height` is that of a row in inches; panels without data are hidden.
    """
    names = list(dict.fromkeys(what.frame["panel"]))
    columns = min(len(names), 2)
    rows = math.ceil(len(names) / columns)
    picture, axes = grid(rows, columns, height * rows + 0.6, **share)
    every = [axis for row in axes for axis in row]
    for axis in every[len(names) :]:
        axis.set_visible(False)
    return picture, dict(zip(names, every, strict=False)), columns
