"""Tables of users in quarters of activity: do those with few interactions gain from a model, or others?"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.scale import CAPPED, CAPPED_MARK
from recspectra.config.study import TableConfig
from recspectra.evaluation import simultaneous
from recspectra.evaluation.per_user import QUARTERS
from recspectra.evaluation.simultaneous import FEWEST_DF, Panel
from recspectra.reporting.intervals import Place, panel_of, ranked, rows_of, standing
from recspectra.reporting.published import Published
from recspectra.reporting.results import (
    JOIN,
    StudyResults,
    joint_status,
    names_of,
    preferred,
    select_runs,
)
from recspectra.reporting.table import BEST, DASH, DOWN, TIED, UP, Cell, Column, Table
from recspectra.reporting.tables import CAPPED_NOTE
from recspectra.reporting.user_values import user_values
from recspectra.reporting.words import phrases

COLUMNS = ["row", "dataset", "history", "mask", "metric", "k", "quarter", "users", "mean", "seeds_df",
           "standing", "status"]  # fmt: skip
NUMBERS = COLUMNS[5:10]
WORDS = ("fewest interactions", "2nd quarter", "3rd quarter", "most interactions")


def build(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return a table in long form: the mean of each model over the users of each quarter, and over seeds.

    `standing` says of each which is `best` in a quarter and which is `tied` with it, as in other tables.
    """
    datasets = table.datasets or files.config.datasets
    runs = select_runs(files, table.groups, datasets, table.fit).drop_duplicates([*JOIN, "label"])
    view = (table.views or [preferred(files, table.protocol)])[0]
    points = product(datasets, table.metrics, table.k, range(1, QUARTERS + 1)) if view else []
    rows = []
    for dataset, metric, k, quarter in points:
        users, own = f"activity-{quarter}", runs[runs["dataset"] == dataset]
        point = {"protocol": table.protocol, "metric": metric, "k": k} | view.model_dump()
        found = user_values(files, dataset, point | {"users": users})
        place = Place(dataset, view.history, view.mask, users, metric, k)
        panel = panel_of(files, table, place, rows_of(own)) if found else None
        rows += _rows(own, found, point | {"dataset": dataset, "quarter": quarter}, _standings(panel, metric))
    return pd.DataFrame(rows, columns=COLUMNS)


def _standings(panel: Panel | None, metric: str) -> dict[str, dict[str, Any]]:
    """Return who is best in a quarter and who cannot be told from it, by the rule of all tables."""
    if panel is None or not ranked(metric):
        return {}
    df = simultaneous.seed_variance(panel).df if panel.trained else math.nan
    (found,) = simultaneous.stand([(panel, None)])
    return {name: {"standing": standing(one, len(found)), "seeds_df": df} for name, one in found.items()}


def _rows(
    runs: pd.DataFrame, found: dict[str, Any], point: dict[str, Any], standings: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row for each run that has values."""
    labels = dict(zip(names_of(runs), runs["label"], strict=True))
    statuses = runs.groupby("label")["status"].agg(joint_status)
    nothing = {"standing": "", "seeds_df": math.nan}
    return [
        point | {"row": label, "users": found[name].shape[1], "mean": found[name].mean()}
        | standings.get(label, nothing) | {"status": statuses[label]}
        for name, label in labels.items()
        if name in found
    ]  # fmt: skip


def lay_out(files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame) -> Table:
    """Lay out a table's long form: a column for each quarter, from the least active users to the most."""
    titles = files.titles
    columns, found = [Column("model", words=True)], []
    for (dataset, metric, k, quarter), part in frame.groupby(
        ["dataset", "metric", "k", "quarter"], sort=False
    ):
        columns.append(Column(WORDS[int(quarter) - 1], (titles.get(dataset, dataset), f"{metric}@{k:.0f}")))
        found.append(dict(zip(part["row"], map(_cell, part.itertuples()), strict=True)))
    names = dict.fromkeys(frame["row"])
    rows = [[Cell(name), *(cells.get(name, Cell(DASH)) for cells in found)] for name in names]
    told = [
        "Users in quarters by how many training interactions each has; equal numbers stand in one quarter."
    ]
    for name, part in frame.groupby("dataset", sort=False):
        told.append(
            f"{titles.get(name, name)}: {_sizes(part)} users, from the fewest interactions to the most."
        )
    told += [CAPPED_NOTE] if frame["status"].str.contains(CAPPED).any() else []
    return Table(table.title, columns, rows, table.caption, told, words=_legend(frame))


def _legend(frame: pd.DataFrame) -> dict[str, str]:
    """Return how to read what is bold and what is underlined."""
    df, tied = frame["seeds_df"].min(), bool((frame["standing"] == "tied").any())
    few = int(df) if df < FEWEST_DF else None
    seeded = bool(np.isfinite(frame["seeds_df"]).any())
    told = phrases("legend.j2", known=True, tied=tied, seeded=seeded, few=few, least=FEWEST_DF, unknown=False,
                   reference="", up=UP, down=DOWN)  # fmt: skip
    return {name: told[name] for name in ("best", "tied")}


def _sizes(part: pd.DataFrame) -> str:
    """Return how many users are in each quarter; in a heading they would keep datasets from sharing it."""
    return ", ".join(f"{count:,.0f}" for count in part.drop_duplicates("quarter")["users"])


def _cell(line: Any) -> Cell:
    text = f"{line.mean:.4f}" + (CAPPED_MARK if CAPPED in line.status else "")
    return Cell(text, rank={"best": BEST, "tied": TIED}.get(line.standing, 0))
