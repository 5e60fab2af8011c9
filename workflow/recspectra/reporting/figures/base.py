"""What the data of all figures share. Nothing here loads matplotlib: `theme` has what is drawn with."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import pandas as pd

from recspectra.config.study import FigureConfig
from recspectra.reporting.escape import shorten
from recspectra.reporting.results import StudyResults, select_runs

LINES = ["panel", "series", "x", "y", "se", "seeds"]


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
    alt : str
        What a reader sees who cannot see the picture: its form and its main result, a sentence or two.
    note : str
        A line of the picture itself: what its colour bar or reference line stands for.
    """

    frame: pd.DataFrame
    caption: str
    x: str
    y: str
    reason: str = ""
    alt: str = ""
    note: str = ""


def drawn(
    frame: pd.DataFrame, caption: str, x: str, y: str, reason: str, alt: str = "", note: str = ""
) -> FigureData:
    """Return the data of a figure; where the frame is empty, with the reason instead of the caption."""
    if len(frame):
        return FigureData(frame.reset_index(drop=True), caption, x, y, alt=alt, note=note)
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


def one_fit(files: StudyResults, figure: FigureConfig) -> pd.DataFrame:
    """Return the runs of a figure that were fitted on the same part as the first, named without it."""
    runs = plain_runs(files, figure)
    if runs.empty:
        return runs
    groups = [figure.group] if figure.group else None
    same = select_runs(files, groups, figure.datasets, [runs["fit"].iloc[0]], figure.model)
    return same[same.index.isin(runs.index)]


def name_of(name: str, width: int = 60) -> str:
    """Return a name on one line, as it can stand in a picture."""
    # matplotlib leaves out labels that start with an underscore.
    text = shorten(name, width) or "(no name)"
    return f" {text}" if text.startswith("_") else text


def heading(name: str, columns: int) -> str:
    """Return the title of a panel in lines that are no wider than it."""
    return textwrap.fill(name_of(name, 120), max(14, 76 // columns - 3)) if name else ""


def plain_number(value: float, _: int | None = None) -> str:
    """Return a number without an exponent as long as it is short enough to read."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if 1e-6 <= abs(value) < 1 else f"{value:g}"


def listed(names: list[str], most: int = 8) -> str:
    """Return some names in words: `a, b and 3 more`."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
