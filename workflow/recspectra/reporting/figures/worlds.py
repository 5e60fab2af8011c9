"""In which share of all worlds a model is above another, as a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from recspectra.config.study import FigureConfig
from recspectra.evaluation.turning import shares_above, table_of
from recspectra.reporting.figures import theme
from recspectra.reporting.figures.base import FigureData, drawn, heading, name_of, panels
from recspectra.reporting.results import StudyResults
from recspectra.reporting.worlds import main_groups, read_values, standings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELLS = ["panel", "series", "rival", "above", "worlds"]
MOST = 14  # models whose matrices stand side by side, one a dataset; of more there is one over all datasets
COLOURS = "vlag"


def worlds(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return the share of worlds in which each model of a group is above each other one."""
    groups = [figure.group] if figure.group else main_groups(files)
    names = figure.datasets or files.config.datasets
    tables = {d: standings(files, d, groups, table_of(read_values(files, d))) for d in names}
    tables = {dataset: table for dataset, table in tables.items() if table.shape[1] > 1}
    if len(tables) > 1 and max(table.shape[1] for table in tables.values()) > MOST:
        tables = {"": pd.concat(tables.values(), join="inner", ignore_index=True)}
    frames = [_cells(dataset, table) for dataset, table in tables.items()]
    frame = pd.concat(frames) if frames else pd.DataFrame(columns=["dataset", *CELLS[1:]])
    frame = frame.assign(panel=panels(files, frame["dataset"]))[CELLS]
    count = int(frame.drop_duplicates("panel")["worlds"].sum()) if len(frame) else 0
    caption = (
        f"Share of {count:,} worlds in which the model of a row is above that of a column, by the mean: "
        "every history, mask, order of equal scores, metric, cut-off (5, 10, 20, 50) and group of users "
        "(all, warm and cold, quarters by number of interactions), each counted once. The best stand on top."
    )
    note = "share of worlds in which the row is above"
    return drawn(frame, caption, "", "", "no two models have lists", _alt(frame), note)


def _cells(dataset: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of a matrix, models in the order of how often they are above others."""
    shares = shares_above(table)
    order = shares.mean(axis=1).sort_values(ascending=False, kind="stable").index
    cells = shares.loc[order, order].stack().rename("above")
    cells.index.names = ["series", "rival"]
    return cells.reset_index().assign(dataset=dataset, worlds=len(table.dropna()))


def _alt(frame: pd.DataFrame) -> str:
    open_pairs = frame[frame["above"].between(0.05, 0.95)]
    words = [
        f"{panel + ': ' if panel else ''}{rows['series'].iloc[0]} stands on top"
        for panel, rows in frame.groupby("panel", sort=False)
    ]
    told = (
        f"{len(open_pairs) // 2} pairs stand one way in some worlds and the other way in at least 5% of them"
    )
    return f"Matrix of shares. {'; '.join(words)}; {told}."


def matrix(what: FigureData) -> Figure:
    """Draw one matrix a panel; red is mostly above, blue mostly below."""
    models = what.frame.groupby("panel")["series"].nunique().max()
    alone = what.frame["panel"].nunique() == 1
    height = min(7.2, max(2.6, (0.3 if alone else 0.26) * models + 1.6))
    picture, axes, columns = theme.panel_grid(what, height, 2, 0.2)
    for i, (panel, axis) in enumerate(axes.items()):
        last = i % columns == columns - 1 or i == len(axes) - 1
        _matrix_of(axis, what.frame[what.frame["panel"] == panel], models, what.note if last else None)
        axis.set_title(heading(panel, columns))
    return picture


def _matrix_of(axis: Axes, cells: pd.DataFrame, models: int, note: str | None) -> None:
    import numpy as np
    import seaborn as sns

    order = list(dict.fromkeys(cells["series"]))
    table = cells.pivot(index="series", columns="rival", values="above").loc[order, order].astype(float)
    size = 7 if models <= 12 else 6 if models <= 20 else 4.5
    names = [name_of(name, 24) for name in order]
    sns.heatmap(
        100 * table, ax=axis, cmap=COLOURS, vmin=0, vmax=100, annot=True, fmt=".0f",
        mask=np.eye(len(order), dtype=bool), annot_kws={"fontsize": size}, linewidths=0.4, linecolor="white",
        square=True, xticklabels=names, yticklabels=names, cbar=note is not None,
        cbar_kws={"label": f"{note} (%)", "shrink": 0.7, "pad": 0.02},
    )  # fmt: skip
    axis.set(xlabel="", ylabel="")
    axis.grid(False)  # or the masked diagonal shows it
    axis.tick_params(labelsize=8 if models <= 14 else 6, length=0)
    axis.tick_params(axis="x", rotation=90)
    axis.tick_params(axis="y", rotation=0)
