"""Figures of a study as SVG, PNG and CSV; equal data give equal bytes.

A kind that every study can have is a module here; kinds of papers are registered (`recspectra.registry`).
A module holds what is drawn (data, without matplotlib) and how; seaborn is loaded when something is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recspectra import registry
from recspectra.config.scale import CAPPED, CAPPED_MARK
from recspectra.config.study import FigureConfig
from recspectra.files import atomic, write_text
from recspectra.reporting import standings
from recspectra.reporting.escape import one_line, printable
from recspectra.reporting.figures import svg, theme
from recspectra.reporting.figures.ablation import ablation, bars
from recspectra.reporting.figures.base import FigureData, runs_of
from recspectra.reporting.figures.columns import columns
from recspectra.reporting.figures.forest import forest, leaderboard
from recspectra.reporting.figures.heatmap import heat, heatmap
from recspectra.reporting.figures.learning_curves import curves, learning_curves
from recspectra.reporting.figures.lines import doubly_logarithmic, lines, logarithmic, steps
from recspectra.reporting.figures.published import printed, scatter
from recspectra.reporting.figures.sensitivity import sensitivity
from recspectra.reporting.figures.timing import dots, timing
from recspectra.reporting.figures.trade_off import costs, trade_off
from recspectra.reporting.figures.trade_off import scatter as trade_off_scatter
from recspectra.reporting.figures.tuning import searches, tuning
from recspectra.reporting.figures.worlds import matrix, worlds
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults, write_csv
from recspectra.running import cli

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RENDERERS: dict[str, Callable[[FigureData], Figure]] = {
    "lines": lines,
    "steps": steps,
    "log": logarithmic,
    "log-log": doubly_logarithmic,
    "columns": columns,
}
# kind -> its data, and how they are drawn
GENERIC: dict[str, tuple[Callable[..., FigureData], Callable[[FigureData], Figure]]] = {
    "sensitivity": (sensitivity, lines),
    "heatmap": (heatmap, heat),
    "timing": (timing, dots),
    "learning-curves": (learning_curves, curves),
    "tuning": (tuning, searches),
    "ablation": (ablation, bars),
    "forest": (forest, leaderboard),
    "published": (printed, scatter),
    "worlds": (worlds, matrix),
    "trade-off": (trade_off, trade_off_scatter),
}
NOT_OF_FITS = ("tuning", "published")  # kinds in which what a cap ended has no mark


def figure_data(files: StudyResults, figure: FigureConfig, published: Published | None = None) -> FigureData:
    """Return what a figure of any kind draws; what a cap of the scale ended has a mark.

    `published` are the printed numbers; by default those of the project.
    """
    if figure.kind in GENERIC:
        needs: list[Any] = []
        if figure.kind == "published":
            needs = [published or Published(cli.catalog().root)]
        what, fitted = GENERIC[figure.kind][0](files, figure, *needs), figure.kind not in NOT_OF_FITS
    else:
        kind, rows = registry.figure(figure.kind), files.numbers(figure.kind)
        what, fitted = kind.data(files, figure, rows[rows["figure"] == figure.name]), kind.of_fits
    return _marked(what, _capped_labels(files, figure)) if fitted and not what.reason else what


def _capped_labels(files: StudyResults, figure: FigureConfig) -> list[str]:
    """Return the models of a figure that had a fit which a cap ended; of a sweep without its points."""
    runs = runs_of(files, figure)
    column = "title" if figure.param else "variant" if figure.kind == "ablation" else "label"
    return list(dict.fromkeys(runs.loc[runs["status"] == CAPPED, column]))


def _marked(what: FigureData, labels: list[str]) -> FigureData:
    """Return data in which the lines and bars of some models have a mark, and the caption says why."""
    if not labels:
        return what
    note = f"{CAPPED_MARK} a cap of the scale ended fits of {', '.join(labels)}."
    marked = {label: f"{CAPPED_MARK} {label}" for label in labels}
    names = [name for name in ("series", "rival") if name in what.frame]
    frame = what.frame.assign(**{name: what.frame[name].replace(marked) for name in names})
    return replace(what, frame=frame, caption=f"{what.caption} {note}")


def caption(what: FigureData, figure: FigureConfig) -> str:
    """Return what stands below a figure: what its study says of it, and what its numbers are."""
    return " ".join(filter(None, [figure.caption, what.caption]))


def alt_text(what: FigureData, figure: FigureConfig) -> str:
    """Return what a reader is told who cannot see the picture."""
    return " ".join(filter(None, [one_line(figure.title).rstrip(".") + ".", what.alt or what.caption]))


def draw_figures(folder: Path | str, root: Path | str) -> list[str]:
    """Make the figures of a study; arguments, result and errors are those of `draw.draw_tables`."""
    files, published = StudyResults(folder), Published(root)
    return [name for figure in files.config.figures for name in draw_figure(files, figure, published)]


def draw_figure(files: StudyResults, figure: FigureConfig, published: Published | None = None) -> list[str]:
    """Write `fig-{name}.svg`, `.png`, `.csv`, and its caption as `.txt`; return their names."""
    path = files.folder / f"fig-{figure.name}.svg"
    what = figure_data(files, figure, published)
    name = f"{files.config.name}-{figure.name}"
    with theme.themed(name):
        picture = render(what, figure)
        with atomic(path.with_suffix(".png")) as temporary:
            picture.savefig(temporary, format="png", dpi=theme.DPI, metadata={"Software": None})
        picture.set_layout_engine("none")  # places are found
        _write_svg(path, picture, name, figure.title, alt_text(what, figure))
    write_csv(path.with_suffix(".csv"), what.frame)
    write_text(path.with_suffix(".txt"), f"{caption(what, figure)}\n")
    return [path.with_suffix(suffix).name for suffix in (".svg", ".png", ".csv", ".txt")]


def draw_costs(files: StudyResults) -> list[str]:
    """Write `standings.svg`: accuracy against seconds of the models in `standings.csv`; return its name.

    The first page of the report shows it where no script draws a chart.
    """
    path, title = files.folder / "standings.svg", "Accuracy against seconds."
    what = costs(standings.with_costs(files, standings.read(files.folder)), files.titles)
    name = f"{files.config.name}-standings"
    with theme.themed(name):
        _write_svg(
            path, theme.nothing(what) if what.reason else trade_off_scatter(what), name, title, what.alt
        )
    return [path.name]


def _write_svg(path: Path, picture: Figure, name: str, title: str, alt: str) -> None:
    drawn = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Title": one_line(title)}
    picture.savefig(drawn, format="svg", transparent=True, metadata=metadata)
    lines_of = svg.finish(drawn.getvalue(), name, alt).split("\n")
    write_text(path, "\n".join(map(printable, lines_of)))


def render(what: FigureData, figure: FigureConfig) -> Figure:
    """Return the picture of a figure; without data, an empty frame with the reason."""
    if what.frame.empty:
        return theme.nothing(what)
    chosen = GENERIC[figure.kind][1] if figure.kind in GENERIC else registry.figure(figure.kind).render
    return (RENDERERS[chosen] if isinstance(chosen, str) else chosen)(what)
