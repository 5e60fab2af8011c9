"""Tables of what a study's datasets hold, next to the counts that a paper prints of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

from recspectra.config.study import TableConfig
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults
from recspectra.reporting.table import DASH, Cell, Column, Table

COLUMNS = ["dataset", "quantity", "ours", "published", "digits"]
NUMBERS = COLUMNS[2:]


class Quantity(NamedTuple):
    """What a column holds: its heading, how many digits it is shown with, the published column."""

    title: str
    digits: int
    printed: str


QUANTITIES = {
    "users": Quantity("users", 0, "n_users"),
    "items": Quantity("items", 0, "n_items"),
    "interactions": Quantity("interactions", 0, "n_interactions"),
    "sparsity": Quantity("sparsity in %", 2, "sparsity"),
    "length": Quantity("mean length", 1, "mean_length"),
}


def build(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return a line for each dataset and quantity, columns `COLUMNS`.

    `digits` are those of the printed number behind its point, where one is printed.
    """
    names = table.datasets or files.config.datasets
    found = files.datasets.set_index("dataset")
    printed = _printed(table, published)
    rows = []
    for name in names:
        counts = {q: float(found.loc[name, q]) for q in ("users", "items", "interactions")}
        cells = counts["users"] * counts["items"]
        sparsity = 100.0 * (1.0 - counts["interactions"] / cells) if cells else math.nan
        length = counts["interactions"] / counts["users"] if counts["users"] else math.nan
        for quantity, ours in (counts | {"sparsity": sparsity, "length": length}).items():
            text = printed.get(name, {}).get(QUANTITIES[quantity].printed, "")
            digits = len(text.partition(".")[2]) if text else math.nan
            rows.append([name, quantity, ours, float(text) if text else math.nan, digits])
    return pd.DataFrame(rows, columns=COLUMNS)


def _printed(table: TableConfig, published: Published) -> dict[str, dict[str, str]]:
    """Return the printed counts of each of our datasets, as texts by published column."""
    if not table.published:
        return {}
    rows = published.datasets[published.datasets["paper"] == table.published.partition("/")[0]]
    theirs = {row["dataset"]: row for row in rows.to_dict("records")}
    pairs = {own: name for name, own in published.table(table.published).datasets.items()}
    return {own: theirs[name] for own, name in (pairs | table.printed).items() if name in theirs}


def lay_out(files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame) -> Table:
    """Lay out a table's long form: a row a dataset, a column a quantity."""
    titles = files.titles
    columns = [Column("dataset", words=True), *(Column(q.title) for q in QUANTITIES.values())]
    cells = {(row.dataset, row.quantity): _cell(row) for row in frame.itertuples()}
    names = list(dict.fromkeys(frame["dataset"]))
    rows = [[Cell(titles.get(name, name)), *(cells.get((name, q), Cell(DASH)) for q in QUANTITIES)]
            for name in names]  # fmt: skip
    return Table(table.title, columns, rows, table.caption, _agreement(frame, titles))


def _cell(row: tuple) -> Cell:
    digits = QUANTITIES[row.quantity].digits
    if math.isnan(row.published):
        return Cell(f"{row.ours:,.{digits}f}")
    printed = int(row.digits)
    gap = "" if _agrees(row) else f"{row.ours - row.published:+,.{max(digits, printed)}f}"
    return Cell(f"{row.ours:,.{digits}f}", published=f"{row.published:,.{printed}f}", difference=gap)


def _agrees(row: tuple) -> bool:
    """Tell whether ours, rounded as the printed number is, equals it."""
    return abs(row.ours - row.published) <= 0.5 * 10.0**-row.digits + 1e-9 * abs(row.ours)


def _agreement(frame: pd.DataFrame, titles: dict[str, str]) -> list[str]:
    """Return how many of the printed numbers ours equal, and which they do not."""
    there = frame[frame["published"].notna()]
    if there.empty:
        return []
    wrong = [row for row in there.itertuples() if not _agrees(row)]
    words = [f"{QUANTITIES[row.quantity].title} of {titles.get(row.dataset, row.dataset)}" for row in wrong]
    told = f"{len(there) - len(wrong)} of {len(there)} printed numbers agree"
    return [f"{told}; others: {', '.join(words)}." if words else f"{told}."]
