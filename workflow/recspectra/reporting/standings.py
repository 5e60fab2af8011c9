"""Who leads on each dataset, and how sure that is: `standings.csv`, from a table and values of users.

The models of a study's first table of metrics stand in it, on each dataset by one metric of one view. A
model is tied with the best if the interval of the best minus it, simultaneous over all models of the dataset,
holds 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.scale import USABLE
from recspectra.config.study import TableConfig
from recspectra.evaluation import simultaneous
from recspectra.evaluation.simultaneous import Panel
from recspectra.reporting import intervals, tables
from recspectra.reporting.intervals import Place
from recspectra.reporting.results import (
    StudyResults,
    preferred,
    read_csv,
    rows_at,
    seconds_of,
    select_runs,
    write_csv,
)

FILE = "standings.csv"
TEXTS = ["dataset", "row", "model", "variant", "key", "kind", "fit", "protocol", "history", "mask", "metric",
         "status", "same_definition"]  # fmt: skip
NUMBERS = ["k", "value", "low", "high", "rank", "rank_low", "rank_high", "tied", "users", "seeds",
           "user_error", "seed_spread", "seeds_df", "published"]  # fmt: skip
COLUMNS = [*TEXTS, *NUMBERS]
FIRST = ("ndcg", 10)  # what models are ranked by, where a table has it


def draw_standings(files: StudyResults) -> list[str]:
    """Write `standings.csv` from the study's first table of metrics, which is drawn; return its name."""
    write_csv(files.folder / FILE, build(files))
    return [FILE]


def read(folder: Path) -> pd.DataFrame:
    """Read `standings.csv` back from disk."""
    return read_csv(Path(folder) / FILE, COLUMNS, NUMBERS, "draw the study first")


def with_costs(files: StudyResults, frame: pd.DataFrame) -> pd.DataFrame:
    """Return standings with `seconds` and `memory` (MB) of the runs, which no two computers agree on.

    Of a dataset in folds they are those of a run on one fold.
    """
    by = ["dataset", "model", "variant", "key", "fit"]
    runs = files.runs.assign(fold=files.runs["dataset"]).replace({"dataset": _whole(files)})
    rows = [dict(zip(by, names, strict=True)) | _cost(part) for names, part in runs.groupby(by)]
    return frame.merge(pd.DataFrame(rows, columns=[*by, "seconds", "memory"]), on=by, how="left")


def build(files: StudyResults) -> pd.DataFrame:
    """Return one row a model and dataset, the best of each dataset first.

    Returns
    -------
    DataFrame
        `COLUMNS`: what the table says, the place and between which places other users would put it; `tied` is
        1 where the model cannot be told from the best, NaN where the study keeps no values of users. Without
        a table of metrics of which more is better there is no row.
    """
    table = next((table for table in files.config.tables if table.kind == "metrics"), None)
    whole = _whole(files)
    asked = (table.datasets or files.config.datasets) if table else []
    datasets = list(dict.fromkeys(whole.get(name, name) for name in asked))
    rows = [row for dataset in datasets for row in _rows(files, table, dataset)]
    frame = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, "float64"))
    frame["rank"] = frame.groupby("dataset")["value"].rank(method="min", ascending=False)
    order = {dataset: place for place, dataset in enumerate(datasets)}
    keys = pd.DataFrame({"dataset": frame["dataset"].map(order), "rank": frame["rank"]})
    return frame.loc[keys.sort_values(["dataset", "rank"], kind="stable").index].reset_index(drop=True)


def _whole(files: StudyResults) -> dict[str, str]:
    """Return the dataset that each fold is of."""
    return {fold: name for name, folds in files.folds.items() for fold in folds}


def measure_of(table: TableConfig) -> tuple[str, int] | None:
    """Return by which metric and cut-off a table's models are ranked: NDCG, at 10, where it has them.

    Else the first metric of which more is better; None without any.
    """
    metrics = [metric for metric in table.metrics if intervals.ranked(metric)]
    if not metrics:
        return None
    metric = FIRST[0] if FIRST[0] in metrics else metrics[0]
    return metric, FIRST[1] if FIRST[1] in table.k else table.k[0]


def _rows(files: StudyResults, table: TableConfig, dataset: str) -> Iterator[dict[str, Any]]:
    """Yield the models of one dataset, without a number too."""
    place = _place(files, table, dataset)
    if place is None:
        return
    runs = select_runs(files, table.groups, table.datasets or files.config.datasets, table.fit)
    names = files.folds.get(dataset, [dataset])
    runs = runs[runs["dataset"].isin(names)]  # labels are those of the table
    cells = rows_at(tables.read(files.folder, table.name), place._asdict()).set_index("row")
    spread = _spreads(intervals.panel_of(files, table, place, intervals.rows_of(runs))
                      if all(files.per_user(name).is_file() for name in names) else None)  # fmt: skip
    shown = {"protocol": table.protocol, **place._asdict()}
    by = ["label", "model", "variant", "key", "kind", "fit"]
    for names, _ in runs.groupby(by, sort=False):
        about = dict(zip(["row", *by[1:]], names, strict=True))
        cell = cells.loc[about["row"]]
        yield about | shown | _of_table(cell) | spread.get(about["row"], {})


def _place(files: StudyResults, table: TableConfig, dataset: str) -> Place | None:
    """Return the column of a table by which its models are ranked on a dataset."""
    view = table.views[0] if table.views else preferred(files, table.protocol)
    users, measure = files.protocols.get(table.protocol, {}).get("users", "all"), measure_of(table)
    return Place(dataset, view.history, view.mask, users, *measure) if view and measure else None


def _of_table(cell: pd.Series) -> dict[str, Any]:
    """Return what a table holds of one model."""
    known = {"value": cell["mean"], "users": cell["users_counted"], "seeds": cell["seeds"] or np.nan,
             "seed_spread": cell["se"] * np.sqrt(cell["seeds"])}  # fmt: skip
    tied = {"best": 1.0, "tied": 1.0, "below": 0.0}.get(cell["standing"], np.nan)
    same = ("low", "high", "seeds_df", "published", "same_definition", "status")
    return known | {"tied": tied} | {name: cell[name] for name in same}


def _spreads(panel: Panel | None) -> dict[str, dict[str, float]]:
    """Return between which places other users would put each model, and the error that users make."""
    if panel is None:
        return {}
    ends, found = simultaneous.rank_intervals(simultaneous.resample_means(panel)), {}
    for name, (low, high) in zip(panel.values, ends.T.tolist(), strict=True):
        own = panel.by_user(name)
        error = own.std(ddof=1) / np.sqrt(len(own)) if len(own) > 1 else np.nan
        found[name] = {"rank_low": low, "rank_high": high, "user_error": error}
    return found


def _cost(part: pd.DataFrame) -> dict[str, float]:
    """Return the median seconds of the runs that finished, eigenpairs included, and the highest memory."""
    done = part[part["status"].isin(USABLE)].drop_duplicates(["fold", "seed"])
    seconds = seconds_of(done).median() if len(done) else np.nan
    return {"seconds": seconds, "memory": part["peak_memory_mb"].max()}
