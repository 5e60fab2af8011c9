"""Training loss and what is measured on validation, against the epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from recspectra.config.study import FigureConfig
from recspectra.reporting.figures import theme
from recspectra.reporting.figures.base import (
    FigureData,
    drawn,
    heading,
    listed,
    panels,
    plain_number,
    plain_runs,
)
from recspectra.reporting.results import StudyResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = ["panel", "curve", "series", "seed", "epoch", "value"]
FEW = 8  # models whose lines have markers
NAMES = {"loss": "training loss", "recall@20": "validation recall@20", "ndcg@10": "validation ndcg@10"}
USUAL = ("loss", "recall@20")  # are drawn also where no run has them


def learning_curves(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return training loss and what is measured on validation against the epoch."""
    runs = plain_runs(files, figure)
    by = ["dataset", "model", "variant", "group", "seed", "fit"]
    rows = runs[[*by, "label"]].drop_duplicates().merge(files.learning, on=by)
    rows = rows.dropna(subset=["epoch", "value"]).drop(columns="group").drop_duplicates()
    frame = rows.assign(panel=panels(files, rows["dataset"]), series=rows["label"])[CURVES]
    shown = ", ".join(label for name, label in _drawn(frame).items() if name != "loss")
    caption = f"Training loss (left) and {shown} (right); one line a seed."
    names = listed(list(dict.fromkeys(frame["series"])))
    alt = f"Lines of loss and {shown} against epochs of {names}."
    return drawn(frame, caption, "epoch", "", "no run of this figure wrote a learning curve", alt)


def _drawn(frame: pd.DataFrame) -> dict[str, str]:
    """Return the curves that have a column of panels, with their labels."""
    there = {*USUAL, *frame["curve"]}
    return {name: label for name, label in NAMES.items() if name in there}


def curves(what: FigureData) -> Figure:
    """Draw loss and what is measured on validation against the epoch, a row of panels a dataset."""
    shown, kinds = list(dict.fromkeys(what.frame["panel"])), _drawn(what.frame)
    picture, axes = theme.grid(len(shown), len(kinds), 2.7 * len(shown) + 0.5)
    names = list(dict.fromkeys(what.frame["series"]))
    for row, panel in zip(axes, shown, strict=True):
        for axis, (curve, label) in zip(row, kinds.items(), strict=True):
            rows = what.frame[(what.frame["panel"] == panel) & (what.frame["curve"] == curve)]
            axis.set_title(heading(panel, len(kinds)))
            axis.set(xlabel=what.x, ylabel=label)
            _curves_of(axis, rows.sort_values("epoch", kind="stable"), names)
            axis.xaxis.get_major_locator().set_params(integer=True)
            _log_if_wide(axis, rows["value"])
    theme.legend(picture, theme.handles(names, markers=len(names) <= FEW))
    return picture


def _curves_of(axis: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    import seaborn as sns

    if rows.empty:
        axis.text(0.5, 0.5, "no curve", ha="center", va="center", transform=axis.transAxes)
        return
    longest = rows.groupby(["series", "seed"]).size().max()
    looks = theme.looks(names) | ({} if len(names) <= FEW else {"markers": False})
    labels = axis.get_xlabel(), axis.get_ylabel()
    sns.lineplot(
        rows, x="epoch", y="value", hue="series", style="series", units="seed", **looks,
        dashes=theme.dashes(names), estimator=None, errorbar=None, legend=False, ax=axis, linewidth=1.1,
        markevery=0.09 if longest > 24 else 1, markeredgewidth=0.4,
    )  # fmt: skip
    axis.set(xlabel=labels[0], ylabel=labels[1])


def _log_if_wide(axis: Axes, values: pd.Series) -> None:
    """Use a log axis where losses of different models differ by orders of magnitude."""
    from matplotlib.ticker import FuncFormatter

    if len(values) and values.min() > 0 and values.max() / values.min() > 50:
        axis.set_yscale("log")
        axis.set_ylabel(f"{axis.get_ylabel()} (log scale)")
        axis.yaxis.set_major_formatter(FuncFormatter(plain_number))
