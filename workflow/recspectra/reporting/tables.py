"""Tables of a study: one number a cell, its published counterpart beside it.

A table is a long CSV first (`table-{name}.csv`). All that is printed lays out that CSV and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from recspectra.config.metric_names import declared, of_users
from recspectra.config.scale import CAPPED, CAPPED_MARK, USABLE
from recspectra.config.study import TableConfig
from recspectra.evaluation.simultaneous import FEWEST_DF
from recspectra.reporting import folds, intervals
from recspectra.reporting.footnotes import footnotes
from recspectra.reporting.published import Printed, Published
from recspectra.reporting.results import (
    JOIN,
    POINT,
    StudyResults,
    aggregate,
    read_csv,
    select_runs,
)
from recspectra.reporting.table import BEST, DASH, DOWN, TIED, UP, Cell, Column, Table
from recspectra.reporting.words import paragraphs, phrases

COLUMNS = [
    "row",
    *POINT,
    "mean",
    "se",
    "seeds",
    "status",
    "published",
    "difference",
    "same_definition",
    *intervals.COLUMNS,
    *folds.COLUMNS,
]
SPOT = ["dataset", "history", "mask", "users", "metric", "k"]  # what makes a column of a table
NUMBERS = ("k", "mean", "se", "seeds", "published", "difference", *intervals.NUMBERS, *folds.COLUMNS)
GROUP_TITLES = {
    "activity-1": "quarter of users with the fewest interactions",
    "activity-2": "second quarter of users by interactions",
    "activity-3": "third quarter of users by interactions",
    "activity-4": "quarter of users with the most interactions",
}
HINT = "draw the study first: `python workflow/scripts/draw.py --folder <study folder>`"
OTHER, UNKNOWN, ELSEWHERE, PROTOCOL = "\u2020", "\u2021", "\u00a7", "\u2016"
CAPPED_NOTE = f"{CAPPED_MARK} a cap of the scale ended the fit; a higher one may change the number."
SIGNS = {intervals.ABOVE: UP, intervals.BELOW: DOWN}
OPEN = "open"  # status of a published model that the study does not run
NOT_RUN = "not run"  # how it is shown
MARK_NOTES = {
    OTHER: "the published value was made with another definition of this metric",
    UNKNOWN: "nobody knows which definition of this metric the published value was made with",
    ELSEWHERE: "the published value is from other files or another split; for orientation alone",
    PROTOCOL: "the published value was measured under another protocol",
}
MARKS = {"true": "", "false": OTHER, "elsewhere": ELSEWHERE, "protocol": PROTOCOL}


# ----------------------------------------------------------------------------- numbers


def build(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return a table in long form: one line for every row and column, measured or not.

    Rows stand in the order of `runs.csv`; datasets, metrics and cut-offs in the order
    of the configuration.
    """
    full = without_intervals(files, table, published)
    return intervals.with_intervals(files, table, full, _runs(files, table))[COLUMNS]


def _runs(files: StudyResults, table: TableConfig) -> pd.DataFrame:
    runs = select_runs(files, table.groups, table.datasets or files.config.datasets, table.fit)
    return runs.drop_duplicates([*JOIN, "label"])


def without_intervals(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return what `build` does but for the intervals, which take nearly all of its time."""
    datasets, runs = table.datasets or files.config.datasets, _runs(files, table)
    metrics = pd.concat([files.metrics, files.group_metrics], ignore_index=True)
    metrics = metrics[metrics["protocol"] == table.protocol]
    metrics = metrics[metrics["metric"].isin(table.metrics) & metrics["k"].isin(table.k)]
    joined = runs[[*JOIN, "label"]].merge(metrics, on=JOIN)
    cells = aggregate(joined, ["label", *POINT])
    models = runs[["label", "model", "variant", "fit"]].drop_duplicates()
    missing = _open_models(table, models, published)
    models = pd.concat([models, missing], ignore_index=True) if len(missing) else models
    full = models.merge(_columns(files, table, datasets), how="cross")
    full = full.merge(cells, on=["label", *POINT], how="left").rename(columns={"label": "row"})
    full["status"] = full["status"].fillna("missing")
    if len(missing):
        full.loc[full["row"].isin(missing["label"]), "status"] = OPEN
    full["seeds"] = full["seeds"].fillna(0).astype("int64")
    return _beside(folds.average(full, files.folds), table, published)


def _open_models(table: TableConfig, models: pd.DataFrame, published: Published) -> pd.DataFrame:
    """Return a row for each published model that no run of the table is of."""
    columns = ["label", "model", "variant", "fit"]
    if not (table.open_rows and table.published):
        return pd.DataFrame(columns=columns)
    known = set(models["model"])
    listed = published.table(table.published).methods.items()
    rows = [(method, ours, "default", "train") for method, ours in listed if ours.split("/")[0] not in known]
    return pd.DataFrame(rows, columns=columns)


def _columns(files: StudyResults, table: TableConfig, datasets: list[str]) -> pd.DataFrame:
    """Return every column of a table; without `users` also of warm users where some are cold."""
    views = table.views or files.views(table.protocol)
    warm = files.warm_metrics
    split = set(warm.loc[warm["protocol"] == table.protocol, "dataset"])
    split -= {name for names in files.folds.values() if not split.issuperset(names) for name in names}
    own = files.protocols.get(table.protocol, {}).get("users", "all")
    rows = [
        (dataset, view.history, view.mask, users, metric, k)
        for dataset, view in product(datasets, views)
        for users in table.users or ([own, "warm"] if dataset in split else [own])
        for metric, k in product(table.metrics, table.k)
    ]
    return pd.DataFrame(rows, columns=SPOT)


def _beside(cells: pd.DataFrame, table: TableConfig, published: Published) -> pd.DataFrame:
    """Add the published value, the difference and whether the metric is the same."""
    found: list[Printed | None] = [None] * len(cells)
    if table.published:
        columns = cells[["dataset", "model", "metric", "k", "variant"]]
        found = [
            published.lookup(table.published, *point, printed=table.printed.get(point.dataset))
            if users == "all"  # papers print means over all test users
            else None
            for point, users in zip(columns.itertuples(index=False), cells["users"], strict=True)
        ]
    values = pd.Series([f.value if f else np.nan for f in found], index=cells.index, dtype="float64")
    other = bool(table.published and other_protocols(published, table))
    same = [_sameness(f, other) if f else None for f in found]
    return cells.assign(
        published=values,
        difference=cells["mean"] - values,
        same_definition=["" if s is None else str(s).lower() for s in same],
    )


def _sameness(found: Printed, other_protocol: bool) -> str | bool | None:
    """Return in what a printed value differs from ours: data first, then definition, then protocol."""
    if not found.same_data:
        return "elsewhere"
    return "protocol" if found.same_definition and other_protocol else found.same_definition


def other_protocols(published: Published, table: TableConfig) -> list[str]:
    """Return the protocols that a published table follows, if they are known and a table shows another."""
    known = published.table(table.published).protocols if table.published else []
    return [] if table.protocol in known else known


def mark_notes(published: Published, table: TableConfig) -> dict[str, str]:
    """Return what each sign at a published value means; that of another protocol names both."""
    others = " or ".join(other_protocols(published, table))
    told = f"{MARK_NOTES[PROTOCOL]}: printed under {others}, ours under {table.protocol}"
    return MARK_NOTES | ({PROTOCOL: told} if others else {})


def read(folder: Path, name: str) -> pd.DataFrame:
    """Read a table's long form back from disk."""
    return read_csv(Path(folder) / f"table-{name}.csv", COLUMNS, NUMBERS, HINT)


# ------------------------------------------------------------------------------ layout


def lay_out(files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame) -> Table:
    """Return a table as it is printed, from its long form."""
    notes = footnotes(files, table, published)
    if table.published:
        notes.insert(0, f"Published: {published.table(table.published).title}.")
    return layout(frame, files.titles, table, notes, mark_notes(published, table))


def layout(
    frame: pd.DataFrame,
    titles: dict[str, str],
    table: TableConfig | None = None,
    notes: Sequence[str] = (),
    marks: dict[str, str] = MARK_NOTES,
) -> Table:
    """Lay out a table's long form.

    Parameters
    ----------
    frame : DataFrame
        What `build` returns.
    titles : dict
        The human names of datasets.
    table : TableConfig, optional
        Where title and caption are from.
    notes : sequence of str
        What must be known beside it.
    marks : dict
        What the signs at published values mean.
    """
    points = list(frame[SPOT].itertuples(index=False, name=None))
    frame = frame.reindex(columns=list(dict.fromkeys([*frame.columns, *COLUMNS])))
    lines = frame.assign(rank=_ranks(frame, points)).itertuples(index=False)
    cells = dict(zip(zip(frame["row"], points, strict=True), map(_cell, lines), strict=True))
    ordered = list(dict.fromkeys(points))
    columns = [Column("model", words=True), *(_column(point, titles) for point in ordered)]
    blank = Cell(DASH)
    rows = [
        [Cell(row), *(cells.get((row, point), blank) for point in ordered)]
        for row in dict.fromkeys(frame["row"])
    ]
    told = [*_beyond(frame), *_capped(rows), *_open(rows), *notes, *_wins(rows)]
    title, caption = (table.title, table.caption) if table else ("", "")
    reference = _reference(frame)
    return Table(
        title, columns, rows, caption, told, marks, words=_legend(frame, reference), reference=reference
    )


def _reference(frame: pd.DataFrame) -> str:
    """Return the row that the others are set against, nothing without one."""
    beside = frame.loc[frame["verdict"] == intervals.REFERENCE, "row"]
    return beside.iloc[0] if len(beside) else ""


def _beyond(frame: pd.DataFrame) -> list[str]:
    """Return what must be known of folds, metrics of lists as a whole, and those that have no best."""
    shown = [name for name in dict.fromkeys(frame["metric"]) if name in declared()]
    whole = [name for name in shown if not of_users(name)]
    neutral = [name for name in shown if not intervals.ranked(name)]
    counts = sorted({int(n) for n in frame["folds"].dropna()})
    return paragraphs("beyond.j2", whole=whole, neutral=neutral, folds=counts)


def _legend(frame: pd.DataFrame, reference: str) -> dict[str, str]:
    """Return how to read ranks, intervals and signs."""
    df = frame["seeds_df"].min()
    return phrases(
        "legend.j2",
        known=bool(frame["low"].notna().any()),
        tied=bool((frame["standing"] == intervals.TIED).any()),
        seeded=bool(np.isfinite(frame["seeds_df"]).any()),
        few=int(df) if df < FEWEST_DF else None,
        least=FEWEST_DF,
        unknown=bool(np.isinf(frame["low"]).any()),
        reference=reference,
        up=UP,
        down=DOWN,
    )


def _column(point: tuple, titles: dict[str, str]) -> Column:
    dataset, history, mask, users, metric, k = point
    whose = "" if users == "all" else f", {GROUP_TITLES.get(users, users + ' users only')}"
    view = f"history {history}, mask {mask}{whose}"
    return Column(f"{metric}@{k}", (titles.get(dataset, dataset), view))


def _wins(rows: list[list[Cell]]) -> list[str]:
    """Return in how many columns each row is the best or tied with it, most first."""
    counts = {row[0].text: sum(cell.rank > 0 for cell in row) for row in rows}
    words = [f"{name} {n}" for name, n in sorted(counts.items(), key=lambda item: -item[1]) if n]
    shown = len(rows[0]) - 1 if rows else 0
    tied = any(cell.rank == TIED for row in rows for cell in row)
    what = "Best, or not told from the best, in" if tied else "Best in"
    return [f"{what} how many of the {shown} columns: {', '.join(words)}."] if words and shown > 1 else []


def _capped(rows: list[list[Cell]]) -> list[str]:
    there = any(cell.text.endswith(CAPPED_MARK) for row in rows for cell in row)
    return [CAPPED_NOTE] if there else []


def _open(rows: list[list[Cell]]) -> list[str]:
    there = any(cell.text == NOT_RUN for row in rows for cell in row)
    return [f"{NOT_RUN}: the paper lists it, this study does not run it."] if there else []


def _ranks(frame: pd.DataFrame, points: list[tuple]) -> pd.Series:
    """Return `BEST` for the best of each column, `TIED` for what cannot be told from it, else 0.

    Without values of users nobody knows what is tied: what is equal as printed is best.
    """
    shown = frame["mean"].round(4)
    groups = shown.groupby(pd.Series(points, index=frame.index))
    top = shown.eq(groups.transform("max")) & (groups.transform("count") > 1)
    top &= np.array([intervals.ranked(name) for name in frame["metric"]], dtype=bool)
    known = frame["standing"].map({"best": BEST, "tied": TIED}).fillna(0)
    column = known.groupby(pd.Series(points, index=frame.index)).transform("max")
    return known.where(column > 0, top.map({True: BEST, False: 0})).astype("int64")


def _cell(line: tuple) -> Cell:
    """Turn one line of the long form into texts."""
    published = "" if pd.isna(line.published) else f"{line.published:.4f}"
    difference = "" if pd.isna(line.difference) else f"{round(line.difference, 4) + 0.0:+.4f}"
    mark = MARKS.get(str(line.same_definition).lower(), UNKNOWN) if published else ""
    extra = {"published": published, "difference": difference, "mark": mark}
    if pd.isna(line.mean):
        failed = not line.status.startswith(USABLE) and line.status not in ("missing", OPEN)
        text = line.status if failed else NOT_RUN if line.status == OPEN else DASH
        return Cell(text, failed=failed, **extra)
    note = line.status.removeprefix("ok").removeprefix(CAPPED).strip(" ()")
    text = f"{line.mean:.4f}" + (CAPPED_MARK if CAPPED in line.status else "")
    sign = SIGNS.get(line.verdict, "")
    if not pd.isna(line.fold_low):
        note = "; ".join(filter(None, [note, f"folds {line.fold_low:.4f} to {line.fold_high:.4f}"]))
    return Cell(text, _error(line.low, line.high), line.rank, note=note, sign=sign, **extra)


def _error(low: float, high: float) -> str:
    """Return half of an interval; a question mark where too few users tell, nothing where there is none."""
    if pd.isna(low):
        return ""
    return "?" if np.isinf(low) else f"{(high - low) / 2.0:.4f}"
