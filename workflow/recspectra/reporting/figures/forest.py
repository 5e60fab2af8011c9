"""A leaderboard with its doubt: each model's mean, how far other users would move it, and its ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recspectra.config.study import FigureConfig
from recspectra.evaluation import simultaneous
from recspectra.evaluation.simultaneous import Panel
from recspectra.reporting.figures import theme
from recspectra.reporting.figures.base import FigureData, drawn, heading, name_of, one_fit, panels
from recspectra.reporting.figures.paired import NO_USERS, panels_of, view_of
from recspectra.reporting.intervals import ranked
from recspectra.reporting.results import StudyResults, names_of, seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = ["panel", "series", "value", "low", "high", "rank", "rank_low", "rank_high", "tied", "seeds", "users"]


def forest(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return each model's mean with the range that other users and seeds give, its ranks, and what is tied.

    Intervals and ties are those of tables: see `simultaneous.stand`.
    """
    label, view = f"{figure.metric}@{figure.k}", view_of(files, figure)
    if not ranked(figure.metric):
        reason = f"more of {figure.metric} is not better, so no model leads by it"
        return drawn(pd.DataFrame(columns=ROWS), "", label, "", reason)
    runs = one_fit(files, figure)
    found = panels_of(files, figure, runs)
    rows = runs.assign(name=names_of(runs)).drop_duplicates(["dataset", "name"])
    labels = rows.set_index(["dataset", "name"])["label"].to_dict()
    frames = [_standing(panel, labels) for panel in found.values()]
    frame = pd.concat(frames) if frames else pd.DataFrame(columns=["dataset", *ROWS[1:]])
    frame = frame.assign(panel=panels(files, frame["dataset"]))[ROWS]
    caption = f"{label}; {seen(view)}; protocol {figure.protocol}. " if view else ""
    caption += (
        "Lines are 95% intervals over users (and, where there are several, seeds); numbers at the right are "
        "the ranks in 95% of resamples. Filled dots cannot be told from the best: the 95% interval of the "
        "difference, paired by user and for all models at once, holds 0."
    )
    return drawn(frame, caption, label, "", NO_USERS, _alt(frame, label))


def _standing(panel: Panel, labels: dict[tuple[str, str], str]) -> pd.DataFrame:
    """Return the rows of one dataset, best first."""
    panel, labels = _as_in_tables(panel, labels)
    (found,) = simultaneous.stand([(panel, None)])
    names = list(found)
    means = np.array([found[name].value.difference for name in names])
    rank_low, rank_high = simultaneous.rank_intervals(simultaneous.resample_means(panel))
    frame = pd.DataFrame(
        {
            "dataset": panel.dataset, "series": [labels[panel.dataset, name] for name in names],
            "value": means, "low": [max(0.0, found[name].value.low) for name in names],
            "high": [min(1.0, found[name].value.high) for name in names],
            "rank": [1 + int((means > mean).sum()) for mean in means],
            "rank_low": rank_low, "rank_high": rank_high,
            "tied": [found[name].behind is None or found[name].tied for name in names],
            "seeds": [len(panel.values[name]) for name in names], "users": panel.users,
        }
    )  # fmt: skip
    return frame.sort_values("value", ascending=False, kind="stable")


def _as_in_tables(
    panel: Panel, labels: dict[tuple[str, str], str]
) -> tuple[Panel, dict[tuple[str, str], str]]:
    """Return a panel under the labels of rows, and what each stands for.

    Draws go by names: under those of tables a figure draws the same seeds, so a model that is only just tied
    in a table is tied here too. Labels that several runs share tell no runs apart; names stay then.
    """
    own = {name: labels[panel.dataset, name] for name in panel.values}
    if len(set(own.values())) < len(own):
        return panel, labels
    values = {own[name]: array for name, array in panel.values.items()}
    fits = {own[name]: fit for name, fit in panel.runs.items()}
    named = Panel(panel.dataset, values, frozenset(own[name] for name in panel.trained), fits)
    return named, {(panel.dataset, label): label for label in values}


def _alt(frame: pd.DataFrame, label: str) -> str:
    parts = []
    for panel, rows in frame.groupby("panel", sort=False):
        tied = rows.loc[rows["tied"], "series"].tolist()
        others = f", not told from {', '.join(tied[1:])}" if len(tied) > 1 else ""
        parts.append(f"{panel + ': ' if panel else ''}{rows['series'].iloc[0]} is first{others}")
    return f"Dots of {label} with intervals, best model on top. {'; '.join(parts)}."


def leaderboard(what: FigureData) -> Figure:
    """Draw dots with intervals, a line a model in the order of mean ranks, a column of panels a dataset."""
    frame = what.frame
    models = list(frame.groupby("series", sort=False)["rank"].mean().sort_values(kind="stable").index)
    wide = 4 if frame["panel"].nunique() != 2 else 2
    picture, axes, columns = theme.panel_grid(
        what, max(1.3, 0.21 * len(models) + 0.6), wide, 0.5, sharey=True
    )
    for panel, axis in axes.items():
        rows = frame[frame["panel"] == panel]
        _forest_of(axis, rows.assign(at=rows["series"].map({m: i for i, m in enumerate(models)})))
        axis.set_title(heading(panel, columns))
    first = next(iter(axes.values()))
    first.set_yticks(range(len(models)), [name_of(name, 40 if columns < 3 else 26) for name in models])
    first.set_ylim(len(models) - 0.4, -0.6)
    theme.label_bottom(axes, columns, what.x)
    return picture


def _forest_of(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw one dataset; ranks stand right of the axes, filled dots are tied with the best."""
    import seaborn as sns

    ends = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
    axis.errorbar(rows["value"], rows["at"], xerr=ends, ls="", color=theme.INK, elinewidth=1.1, zorder=1)
    palette = {True: theme.COLOURS[0], False: theme.PALE}
    sns.scatterplot(
        rows, x="value", y="at", hue="tied", style="tied", palette=palette, markers={True: "o", False: "s"},
        legend=False, ax=axis, s=30, linewidth=0.5, zorder=2,
    )  # fmt: skip
    for row in rows.itertuples():
        same = row.rank_low == row.rank_high
        text = f"{row.rank_low}" if same else f"{row.rank_low}\u2013{row.rank_high}"
        place = {"xy": (1.0, row.at), "xycoords": ("axes fraction", "data")}
        axis.annotate(
            text, **place, xytext=(3, 0), textcoords="offset points", va="center", fontsize=7,
            annotation_clip=False,
        )  # fmt: skip
    axis.annotate(
        "rank", (1.0, 1.0), (3, 3), xycoords="axes fraction", textcoords="offset points", fontsize=7
    )
    axis.set(xlabel="", ylabel="")
    axis.locator_params(axis="x", nbins=4)
    axis.tick_params(axis="x", labelsize=7)
