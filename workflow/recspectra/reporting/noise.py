"""Tables of log SNR: one number a noise schedule, the published one beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recspectra.config.study import TableConfig
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyFiles, read_drawn, write_csv
from recspectra.reporting.table import DASH, Table, plain_table
from recspectra.reporting.writers import write

COLUMNS = ["dataset", "schedule", "last", "mean", "published"]
NUMBERS = COLUMNS[2:]
METRIC = "log_snr"
NOTE = (
    "log SNR is the natural logarithm of mean signal power over mean noise power, both averaged over the "
    "frequencies that are kept: at the last step (t = tau), and as the mean over all steps that are drawn. "
    "The paper defines SNR for each frequency and does not say how its one number comes about."
)


def build(files: StudyFiles, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return one line a dataset and schedule from the points of the table's `snr` figure."""
    rows = files.spectral[files.spectral["figure"] == table.figure].sort_values("x", kind="stable")
    rows = rows[rows["dataset"].isin(table.datasets)] if table.datasets else rows
    rows = rows[np.isfinite(rows["y"])]
    groups = rows.groupby(["dataset", "series"], sort=False)["y"]
    frame = groups.agg(last="last", mean="mean").reset_index().rename(columns={"series": "schedule"})
    pairs = frame[["dataset", "schedule"]].itertuples(index=False)
    return frame.assign(published=[_printed(published, table, *pair) for pair in pairs])[COLUMNS]


def _printed(published: Published, table: TableConfig, dataset: str, schedule: str) -> float:
    if not table.published:
        return float("nan")
    entry, values = published.table(table.published), published.values(table.published)
    theirs = {ours: name for name, ours in entry.datasets.items()}.get(dataset)
    method = entry.method_of("sdiff", f"schedule={schedule}")
    found = values[
        (values["dataset"] == theirs) & (values["method"] == method) & (values["metric"] == METRIC)
    ]
    return float(found["value"].iloc[0]) if len(found) else float("nan")


def read(folder: Path, name: str) -> pd.DataFrame:
    """Read the table's long form back from disk."""
    return read_drawn(Path(folder) / f"table-{name}.csv", COLUMNS, NUMBERS, "draw the study first")


def laid_out(files: StudyFiles, table: TableConfig, published: Published) -> Table:
    """Return the table as it is printed, from its long form on disk."""
    frame, titles = read(files.folder, table.name), files.titles
    header = ["dataset", "schedule", "log SNR at the last step", "mean over steps", "published"]
    rows = [
        [titles.get(line.dataset, line.dataset), line.schedule, *map(_number, line[2:])]
        for line in frame.itertuples(index=False)
    ]
    return plain_table(header, rows, {0, 1}, table.title, table.caption, [NOTE], keys=2)


def _number(value: float) -> str:
    return DASH if pd.isna(value) else f"{value:.2f}"


def draw_noise(files: StudyFiles, table: TableConfig, published: Published) -> list[str]:
    """Write `table-{name}.csv`, `.md`, `.tex` and `sheet-{name}.csv`; return their names."""
    write_csv(files.folder / f"table-{table.name}.csv", build(files, table, published))
    return write(files, table.name, laid_out(files, table, published))
