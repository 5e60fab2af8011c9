"""What a model loses or gains without a part: bars of differences with paired intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from recspectra.config.study import FigureConfig
from recspectra.evaluation.simultaneous import Comparison, Panel
from recspectra.reporting.figures import theme
from recspectra.reporting.figures.base import FigureData, drawn, heading, name_of, one_fit, panels
from recspectra.reporting.figures.paired import NO_USERS, Asked, differences, panels_of, view_of
from recspectra.reporting.results import StudyResults, names_of, seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BARS = ["panel", "series", "reference", "value", "reference_value", "gain", "gain_low", "gain_high", "p",
        "seeds"]  # fmt: skip


def ablation(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return how far each variant of a group is from the reference, relative to it, paired by user."""
    label, view = f"{figure.metric}@{figure.k}", view_of(files, figure)
    runs = one_fit(files, figure)
    if runs["model"].nunique() > 1:
        reason = "its runs are of several models; name one with `model`"
        return drawn(pd.DataFrame(columns=BARS), "", label, "", reason)
    variants = list(dict.fromkeys(runs["variant"]))
    reference = str(figure.reference) if figure.reference is not None else next(iter(variants), "")
    found = panels_of(files, figure, runs)
    rows = runs.assign(name=names_of(runs)).drop_duplicates(["dataset", "name"])
    bases = {row.dataset: row.name for row in rows.itertuples() if row.variant == reference}
    asked = {
        row.Index: Asked(row.dataset, row.name, bases[row.dataset])
        for row in rows.itertuples()
        if row.dataset in bases and row.variant != reference
    }
    known = differences(found, list(asked.values()))
    lines = [
        _bar(rows.loc[i], reference, known[pair], found[pair.dataset], pair)
        for i, pair in asked.items()
        if pair in known
    ]
    frame = pd.DataFrame(lines, columns=["dataset", *BARS[1:]])
    frame = frame.assign(panel=panels(files, frame["dataset"]))[BARS]
    caption = f"Change of {label} against {reference}, in percent of it; {seen(view)}; " if view else ""
    caption += (
        f"protocol {figure.protocol}. Whiskers are 95% intervals, paired by user, that hold for all bars at "
    )
    caption += "once: one that leaves out 0 shows a difference."
    reason = NO_USERS if reference in variants else f"no run is of the variant '{reference}'"
    axes = (f"change of {label} against {reference}", "")
    return drawn(frame, caption, *axes, reason, _alt(frame, label, reference))


def _bar(run: pd.Series, reference: str, found: Comparison, panel: Panel, pair: Asked) -> list:
    values = panel.values
    means = [float(values[name].mean()) for name in (pair.subject, pair.rival)]
    numbers = [found.gain, found.gain_low, found.gain_high, found.p, len(values[pair.subject])]
    return [run["dataset"], run["variant"], reference, *means, *numbers]


def _alt(frame: pd.DataFrame, label: str, reference: str) -> str:
    sure = frame[(frame["gain_low"] > 0) | (frame["gain_high"] < 0)]
    words = [
        f"{row.series} {row.gain:+.1%}{f' on {row.panel}' if row.panel else ''}" for row in sure.itertuples()
    ]
    shown = "; ".join(words) or "none"
    return f"Bars of the change of {label} against {reference}. Differences beyond chance: {shown}."


def bars(what: FigureData) -> Figure:
    """Draw horizontal bars from 0, the reference, with whiskers; a panel a dataset."""
    names = list(dict.fromkeys(what.frame["series"]))
    height = max(1.2, 0.32 * len(names) + 0.9)
    picture, axes, columns = theme.panel_grid(what, height, 2, 0.4, sharex=True, sharey=True)
    for panel, axis in axes.items():
        rows = what.frame[what.frame["panel"] == panel].set_index("series").reindex(names).reset_index()
        _bars_of(axis, rows, names)
        base = rows["reference_value"].dropna()
        told = f"{rows['reference'].dropna().iloc[0]} = {base.iloc[0]:.4f}"
        axis.set_title(heading(f"{panel}: {told}" if panel else told, columns))
    theme.label_bottom(axes, columns, what.x)
    return picture


def _bars_of(axis: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    """Draw the bars of one panel; those whose interval holds 0 are pale."""
    import seaborn as sns
    from matplotlib.ticker import PercentFormatter

    sure = (rows["gain_low"] > 0) | (rows["gain_high"] < 0)
    palette = {True: theme.COLOURS[0], False: theme.PALE}
    sns.barplot(
        rows.assign(sure=sure), x="gain", y="series", order=names, hue="sure", palette=palette, dodge=False,
        saturation=1, errorbar=None, legend=False, ax=axis, width=0.62,
    )  # fmt: skip
    axis.set_autoscalex_on(True)
    known = rows[rows["gain_low"].abs() != float("inf")].dropna(subset="gain")
    ends = [known["gain"] - known["gain_low"], known["gain_high"] - known["gain"]]
    axis.errorbar(known["gain"], known.index, xerr=ends, ls="", color=theme.INK, elinewidth=1, capsize=3)
    axis.axvline(0.0, color=theme.INK, linewidth=0.9)
    axis.set(xlabel="", ylabel="")
    axis.set_yticks(range(len(names)), [name_of(name, 30) for name in names])
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axis.locator_params(axis="x", nbins=4)
