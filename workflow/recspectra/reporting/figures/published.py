"""Our numbers against the printed ones: points on y = x came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recspectra.config.study import FigureConfig, TableConfig
from recspectra.reporting import tables
from recspectra.reporting.audit import cells_of, mrr_decreases, one_target
from recspectra.reporting.figures import theme
from recspectra.reporting.figures.base import FigureData, drawn, heading, name_of, plain_number
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults, select_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = ["panel", "series", "label", "table", "history", "mask", "metric", "k", "published", "ours",
          "violation"]  # fmt: skip
PANELS = {
    "true": "the same definition",
    "false": "another definition",
    "protocol": "another protocol",
    "elsewhere": "other files",
    "": "nobody knows which definition",
}
LABELLED = 5  # largest gaps of a panel
KEY = ["label", "dataset", "metric", "k"]


def printed(files: StudyResults, figure: FigureConfig, published: Published) -> FigureData:
    """Return each of our numbers with the printed one next to it, a panel for each kind of definition.

    Where a model was measured with several views, the one closest to print is taken: papers do not say.
    """
    chosen = [t for t in files.config.tables if t.kind == "metrics" and t.published]
    frames = [_points(files, table, published) for table in chosen]
    frame = pd.concat(frames) if frames else pd.DataFrame(columns=["dataset", "gap", "same", "run", *POINTS])
    if figure.datasets:
        frame = frame[frame["dataset"].isin(figure.datasets)]
    # A cell that several tables show counts once.
    frame = frame.sort_values("gap", kind="stable").drop_duplicates([*KEY, "run", "same", "published"])
    frame = frame.sort_values([*KEY], kind="stable")
    frame = frame.assign(panel=frame["same"].map(PANELS), series=frame["dataset"].map(files.titles))
    order = {name: i for i, name in enumerate(PANELS.values())}
    frame = frame.sort_values("panel", key=lambda names: names.map(order), kind="stable")[POINTS]
    caption = (
        "Ours (mean over users and seeds) against the printed value, of all tables that have printed values; "
        "of several views of one model the closest to print. On the line, the printed value came out. "
        "Crosses: printed rows that no single evaluation can give (see the audit). The largest gaps have "
        "numbers."
    )
    reason = "no table of this study has printed values next to its own"
    return drawn(frame, caption, "printed", "ours", reason, _alt(frame))


def _points(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return the cells of a table that have both numbers."""
    cells = tables.without_intervals(files, table, published)
    cells = cells[cells["published"].gt(0) & cells["mean"].gt(0) & cells["users"].eq("all")]
    runs = select_runs(files, table.groups, table.datasets, table.fit)
    known = runs.drop_duplicates("label").set_index("label")[["model", "variant", "key"]]
    entry, broken = published.table(table.published), impossible_rows(published, table.published)
    theirs = {ours: name for name, ours in entry.datasets.items()} | table.printed
    violation = [
        (theirs.get(cell.dataset), entry.method_of(*known.loc[cell.row, ["model", "variant"]])) in broken
        for cell in cells.itertuples()
    ]
    return pd.DataFrame(
        {
            "dataset": cells["dataset"], "same": cells["same_definition"], "label": cells["row"],
            "run": cells["row"].map(known["key"]), "table": table.published,
            "history": cells["history"], "mask": cells["mask"],
            "metric": cells["metric"], "k": cells["k"], "published": cells["published"],
            "ours": cells["mean"], "violation": violation,
            "gap": np.abs(np.log(cells["mean"] / cells["published"])),
        }
    )  # fmt: skip


def impossible_rows(published: Published, table_id: str) -> set[tuple[str, str]]:
    """Return (dataset, method) of printed rows that no numbers of one evaluation can be.

    The other rules of the audit tell of what is odd, not of what cannot be.
    """
    cells = cells_of(published.values(table_id))
    rules = [mrr_decreases, *([one_target] if published.table(table_id).one_target else [])]
    return {(dataset, method) for rule in rules for dataset, method, *_ in rule(cells)}


def largest_gaps(points: pd.DataFrame, count: int = LABELLED) -> pd.DataFrame:
    """Return the points farthest from y = x by factor, at most one of a model and dataset."""
    gap = np.abs(np.log(points["ours"] / points["published"]))
    worst = points.assign(gap=gap).sort_values("gap", ascending=False, kind="stable")
    worst = worst.drop_duplicates(["label", "series"])
    return worst[worst["gap"] > np.log(1.05)].head(count)


def _alt(frame: pd.DataFrame) -> str:
    same = frame[frame["panel"] == PANELS["true"]]
    near = (same["ours"] / same["published"] - 1).abs() <= 0.05
    gaps = [f"{row.label} on {row.series}" for row in largest_gaps(same, 3).itertuples()]
    words = f" Largest gaps: {', '.join(gaps)}." if gaps else ""
    return (
        f"Scatter of {len(frame)} of our numbers against printed ones. Of {len(same)} with the same "
        f"definition {int(near.sum())} are within 5%; {int(frame['violation'].sum())} points are of printed "
        f"rows that break an identity.{words}"
    )


def scatter(what: FigureData) -> Figure:
    """Draw a scatter on two log axes, a panel for each kind of definition, with y = x."""
    picture, axes, columns = theme.panel_grid(what, 3.9, 2, 0.6)
    datasets = list(dict.fromkeys(what.frame["series"]))
    values = what.frame[["published", "ours"]].to_numpy()
    limits = values.min() / 1.25, min(values.max() * 1.25, 1.3)
    for panel, axis in axes.items():
        points = what.frame[what.frame["panel"] == panel]
        _scatter_of(axis, points, datasets, limits)
        axis.set_title(heading(f"{panel} ({len(points)})", columns))
        axis.set(xlabel=name_of(what.x), ylabel=name_of(what.y))
    theme.legend(picture, theme.handles(datasets, lines=False) | _cross(what.frame))
    return picture


def _cross(frame: pd.DataFrame) -> dict[str, object]:
    """Return the legend's entry of printed rows that break an identity, where there are any."""
    from matplotlib.lines import Line2D

    mark = Line2D([], [], color=theme.INK, marker="x", linestyle="", markersize=5)
    return {"printed row breaks an identity": mark} if frame["violation"].any() else {}


def _scatter_of(axis: Axes, points: pd.DataFrame, datasets: list[str], limits: tuple[float, float]) -> None:
    import seaborn as sns
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.plot(limits, limits, color=theme.INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    sns.scatterplot(
        points, x="published", y="ours", hue="series", style="series", **theme.looks(datasets), legend=False,
        ax=axis, s=20, linewidth=0.4, alpha=0.8, zorder=2,
    )  # fmt: skip
    broken = points[points["violation"].astype(bool)]
    axis.scatter(
        broken["published"], broken["ours"], marker="x", color=theme.INK, s=26, linewidth=0.9, zorder=3
    )
    axis.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
    axis.set_box_aspect(1)
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_locator(LogLocator(subs=(1, 2, 5)))
        one.set_major_formatter(FuncFormatter(plain_number))
        one.set_minor_formatter(NullFormatter())
    _name_gaps(axis, largest_gaps(points))


def _name_gaps(axis: Axes, gaps: pd.DataFrame) -> None:
    """Number the points of the largest gaps, and say under the panel which they are."""
    words = []
    for number, row in enumerate(gaps.itertuples(), start=1):
        axis.annotate(str(number), (row.published, row.ours), (4, 3), textcoords="offset points", fontsize=7)
        at = f"{row.metric}@{row.k}"
        words.append(f"{number}  {name_of(row.label, 24)}, {at}: {row.ours:.3f}, printed {row.published:.3f}")
    axis.annotate(
        "\n".join(words), (0, 0), (0, -34), xycoords="axes fraction", textcoords="offset points", va="top",
        fontsize=7,
    )  # fmt: skip
