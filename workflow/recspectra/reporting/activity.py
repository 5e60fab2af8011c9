"""Tables of users in quarters of activity: do those with few interactions gain from a model, or others?"""

from __future__ import annotations

from itertools import product
from typing import Any

import pandas as pd

from recspectra.config.study import TableConfig
from recspectra.evaluation.per_user import QUARTERS
from recspectra.reporting.published import Published
from recspectra.reporting.results import (
    JOIN,
    StudyResults,
    names_of,
    preferred,
    select_runs,
)
from recspectra.reporting.table import DASH, Cell, Column, Table
from recspectra.reporting.user_values import user_values

COLUMNS = ["row", "dataset", "history", "mask", "metric", "k", "quarter", "users", "mean"]
NUMBERS = COLUMNS[5:]
WORDS = ("fewest interactions", "2nd quarter", "3rd quarter", "most interactions")


def build(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return a table in long form: the mean of each model over the users of each quarter, and over seeds."""
    datasets = table.datasets or files.config.datasets
    runs = select_runs(files, table.groups, datasets, table.fit).drop_duplicates([*JOIN, "label"])
    view = (table.views or [preferred(files, table.protocol)])[0]
    points = product(datasets, table.metrics, table.k, range(1, QUARTERS + 1)) if view else []
    rows = []
    for dataset, metric, k, quarter in points:
        point = {"protocol": table.protocol, "metric": metric, "k": k} | view.model_dump()
        found = user_values(files, dataset, point | {"users": f"activity-{quarter}"})
        rows += _rows(
            runs[runs["dataset"] == dataset], found, point | {"dataset": dataset, "quarter": quarter}
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(runs: pd.DataFrame, found: dict[str, Any], point: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each run that has values."""
    labels = dict(zip(names_of(runs), runs["label"], strict=True))
    return [
        point | {"row": label, "users": found[name].shape[1], "mean": found[name].mean()}
        for name, label in labels.items()
        if name in found
    ]


def lay_out(files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame) -> Table:
    """Lay out a table's long form: a column for each quarter, from the least active users to the most."""
    titles = files.titles
    columns, found = [Column("model", words=True)], []
    for (dataset, metric, k, quarter), part in frame.groupby(
        ["dataset", "metric", "k", "quarter"], sort=False
    ):
        columns.append(Column(WORDS[int(quarter) - 1], (titles.get(dataset, dataset), f"{metric}@{k:.0f}")))
        found.append(dict(zip(part["row"], _cells(part["mean"]), strict=True)))
    names = dict.fromkeys(frame["row"])
    rows = [[Cell(name), *(cells.get(name, Cell(DASH)) for cells in found)] for name in names]
    told = [
        "Users in quarters by how many training interactions each has; equal numbers stand in one quarter."
    ]
    for name, part in frame.groupby("dataset", sort=False):
        told.append(
            f"{titles.get(name, name)}: {_sizes(part)} users, from the fewest interactions to the most."
        )
    return Table(table.title, columns, rows, table.caption, told)


def _sizes(part: pd.DataFrame) -> str:
    """Return how many users are in each quarter; in a heading they would keep datasets from sharing it."""
    return ", ".join(f"{count:,.0f}" for count in part.drop_duplicates("quarter")["users"])


def _cells(means: pd.Series) -> list[Cell]:
    places = means.round(4).rank(method="dense", ascending=False)
    shown = [int(place) if place <= 2 and len(means) > 1 else 0 for place in places]
    return [Cell(f"{mean:.4f}", rank=rank) for mean, rank in zip(means, shown, strict=True)]
