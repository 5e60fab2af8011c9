"""Tables of users in quartiles of activity: do those with few interactions gain from a model, or others?"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from recspectra.config.study import TableConfig, View
from recspectra.reporting.published import Published
from recspectra.reporting.results import (
    JOIN,
    StudyError,
    StudyResults,
    preferred,
    read_csv,
    select_runs,
    write_csv,
)
from recspectra.reporting.table import DASH, Cell, Column, Table
from recspectra.reporting.writers import write

COLUMNS = ["row", "dataset", "history", "mask", "metric", "k", "quartile", "least", "most", "users", "mean"]
NUMBERS = COLUMNS[5:]
USER = [*JOIN, "user", "known", "value"]


def quartiles(known: np.ndarray) -> np.ndarray:
    """Return the quartile of activity of every user, 1 to 4; users of equal activity stand in the same one.

    Parameters
    ----------
    known : array of int, shape (users,)
        How many interactions are known of each.
    """
    edges = np.quantile(known, [0.25, 0.5, 0.75])
    return 1 + np.searchsorted(edges, known, side="left")


def build(files: StudyResults, table: TableConfig) -> pd.DataFrame:
    """Return a table in long form: the mean of each model over the users of each quartile, and over seeds."""
    datasets = table.datasets or files.config.datasets
    runs = select_runs(files, table.groups, datasets, table.fit).drop_duplicates([*JOIN, "label"])
    view = (table.views or [preferred(files, table.protocol)])[0]
    points = product(datasets, table.metrics, table.k)
    parts = [_of_one(files, table, runs, view, *point) for point in points] if view else []
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def _of_one(
    files: StudyResults, table: TableConfig, runs: pd.DataFrame, view: View, dataset: str, metric: str, k: int
) -> pd.DataFrame:
    """Return the part of a table that one dataset, metric and cut-off make."""
    point = {"protocol": table.protocol, "metric": metric, "k": k} | view.model_dump()
    users = _read_users(files, dataset, point)
    known = users.drop_duplicates("user").set_index("user")["known"]
    of_user = pd.Series(quartiles(known.to_numpy()), index=known.index)
    sizes = pd.DataFrame({"quartile": of_user, "known": known}).groupby("quartile")["known"]
    sizes = sizes.agg(least="min", most="max", users="count").reset_index()
    rows = runs[[*JOIN, "label"]].rename(columns={"label": "row"}).merge(users, on=JOIN)
    rows = rows.assign(quartile=rows["user"].map(of_user))
    means = rows.groupby(["row", "quartile"], sort=False)["value"].mean().rename("mean").reset_index()
    return means.merge(sizes, on="quartile").assign(dataset=dataset, **point)


def _read_users(files: StudyResults, dataset: str, point: dict[str, object]) -> pd.DataFrame:
    from pyarrow import parquet  # only where there is such a table

    path = files.per_user(dataset)
    if not path.is_file() or "known" not in parquet.read_schema(path).names:
        raise StudyError(f"{path}: says nothing of the users' activity; evaluate the study again")
    wanted = [(name, "==", value) for name, value in point.items()]
    frame = pd.read_parquet(path, columns=USER, filters=wanted)
    return frame.astype(dict.fromkeys(JOIN, str) | {"value": "float64"})


def read(folder: Path, name: str) -> pd.DataFrame:
    """Read a table's long form back from disk."""
    return read_csv(Path(folder) / f"table-{name}.csv", COLUMNS, NUMBERS, "draw the study first")


def layout(frame: pd.DataFrame, titles: dict[str, str], table: TableConfig) -> Table:
    """Lay out a table's long form: a column for each quartile, from the least active users to the most."""
    columns, found = [Column("model", words=True)], []
    spots = frame.groupby(["dataset", "metric", "k", "quartile"], sort=False)
    points = list(dict.fromkeys(zip(frame["dataset"], frame["metric"], frame["k"], strict=True)))
    for (*point, _), part in sorted(spots, key=lambda spot: (points.index(spot[0][:3]), spot[0][3])):
        dataset, metric, k = point
        least, most, users = part.iloc[0][["least", "most", "users"]]
        heading = f"{least:.0f} to {most:.0f} ({users:,.0f} users)"
        columns.append(Column(heading, (titles.get(dataset, dataset), f"{metric}@{k:.0f}")))
        found.append(dict(zip(part["row"], _cells(part["mean"]), strict=True)))
    names = dict.fromkeys(frame["row"])
    rows = [[Cell(name), *(cells.get(name, Cell(DASH)) for cells in found)] for name in names]
    told = ["Users in quartiles by how many interactions each has in train and validation."]
    return Table(table.title, columns, rows, table.caption, told)


def _cells(means: pd.Series) -> list[Cell]:
    places = means.round(4).rank(method="dense", ascending=False)
    shown = [int(place) if place <= 2 and len(means) > 1 else 0 for place in places]
    return [Cell(f"{mean:.4f}", rank=rank) for mean, rank in zip(means, shown, strict=True)]


def laid_out(files: StudyResults, table: TableConfig, published: Published) -> Table:
    """Return a table as it is printed, from its long form on disk."""
    return layout(read(files.folder, table.name), files.titles, table)


def draw_activity(files: StudyResults, table: TableConfig, published: Published) -> list[str]:
    """Write `table-{name}.csv`, `.md`, `.tex` and `sheet-{name}.csv`; return their names."""
    write_csv(files.folder / f"table-{table.name}.csv", build(files, table))
    return write(files, table.name, laid_out(files, table, published))
