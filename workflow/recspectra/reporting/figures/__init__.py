"""Figures of a study as SVG, PNG and CSV; equal data give equal bytes.

A kind that every study can have is a module here; kinds of papers are registered (`recspectra.registry`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
from matplotlib import style
from matplotlib.figure import Figure

from recspectra import registry
from recspectra.config.scale import CAPPED, CAPPED_MARK
from recspectra.config.study import FigureConfig
from recspectra.files import atomic
from recspectra.reporting.escape import one_line
from recspectra.reporting.figures.base import DPI, STYLE, FigureData, nothing, runs_of
from recspectra.reporting.figures.columns import columns
from recspectra.reporting.figures.heatmap import heat, heatmap
from recspectra.reporting.figures.learning_curves import curves, learning_curves
from recspectra.reporting.figures.lines import doubly_logarithmic, lines, logarithmic, steps
from recspectra.reporting.figures.sensitivity import sensitivity
from recspectra.reporting.figures.timing import bars, timing
from recspectra.reporting.figures.trade_off import scatter, trade_off
from recspectra.reporting.figures.tuning import tuning
from recspectra.reporting.results import StudyResults, write_csv

RENDERERS: dict[str, Callable[[FigureData], Figure]] = {
    "lines": lines,
    "steps": steps,
    "log": logarithmic,
    "log-log": doubly_logarithmic,
    "columns": columns,
}
# kind -> its data, and how they are drawn
GENERIC: dict[
    str, tuple[Callable[[StudyResults, FigureConfig], FigureData], Callable[[FigureData], Figure]]
] = {
    "sensitivity": (sensitivity, lines),
    "heatmap": (heatmap, heat),
    "timing": (timing, bars),
    "learning-curves": (learning_curves, curves),
    "tuning": (tuning, steps),
    "trade-off": (trade_off, scatter),
}


def figure_data(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return what a figure of any kind draws; what a cap of the scale ended has a mark."""
    if figure.kind in GENERIC:
        what, fitted = GENERIC[figure.kind][0](files, figure), figure.kind != "tuning"
    else:
        kind, rows = registry.figure(figure.kind), files.numbers(figure.kind)
        what, fitted = kind.data(files, figure, rows[rows["figure"] == figure.name]), kind.of_fits
    return _marked(what, _capped_labels(files, figure)) if fitted and not what.reason else what


def _capped_labels(files: StudyResults, figure: FigureConfig) -> list[str]:
    """Return the models of a figure that had a fit which a cap ended; of a sweep without its points."""
    runs = runs_of(files, figure)
    return list(dict.fromkeys(runs.loc[runs["status"] == CAPPED, "title" if figure.param else "label"]))


def _marked(what: FigureData, labels: list[str]) -> FigureData:
    """Return data in which the lines and bars of some models have a mark, and the caption says why."""
    if not labels:
        return what
    note = f"{CAPPED_MARK} a cap of the scale ended fits of {', '.join(labels)}."
    frame = what.frame
    if "series" in frame:
        marked = {label: f"{CAPPED_MARK} {label}" for label in labels}
        frame = frame.assign(series=frame["series"].replace(marked))
    return replace(what, frame=frame, caption=f"{what.caption} {note}")


def draw_figure(files: StudyResults, figure: FigureConfig) -> list[str]:
    """Write `fig-{name}.svg`, `.png` and `.csv`; return their names."""
    path = files.folder / f"fig-{figure.name}.svg"
    what = figure_data(files, figure)
    with style.context(["default", STYLE]), mpl.rc_context({"backend": "agg"}):
        picture = render(what, figure)
        _save(picture, path, {"Date": None, "Creator": None, "Title": one_line(figure.title)})
        _save(picture, path.with_suffix(".png"), {"Software": None})
    write_csv(path.with_suffix(".csv"), what.frame)
    return [path.with_suffix(suffix).name for suffix in (".svg", ".png", ".csv")]


def _save(picture: Figure, path: Path, metadata: dict) -> None:
    with atomic(path) as temporary:
        picture.savefig(temporary, format=path.suffix[1:], dpi=DPI, metadata=metadata)


def render(what: FigureData, figure: FigureConfig) -> Figure:
    """Return the picture of a figure; without data, an empty frame with the reason."""
    if what.frame.empty:
        return nothing(what)
    chosen = GENERIC[figure.kind][1] if figure.kind in GENERIC else registry.figure(figure.kind).render
    return (RENDERERS[chosen] if isinstance(chosen, str) else chosen)(what)
