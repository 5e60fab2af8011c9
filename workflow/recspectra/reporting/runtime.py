"""Runtime tables: seconds and memory of every model beside published minutes.

A published minute was measured on another machine, so it is not set against our seconds.
What can be compared is how many times longer a model takes than the reference model of
the same column: there the machine cancels, roughly.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from recspectra.config.scale import USABLE
from recspectra.config.study import TableConfig
from recspectra.reporting.published import Published
from recspectra.reporting.results import (
    JOIN,
    STAGES,
    StudyResults,
    by_dataset,
    joint_status,
    machines,
    seconds_of,
    select_runs,
)
from recspectra.reporting.table import DASH, Table, plain_table
from recspectra.reporting.words import amount

COLUMNS = [
    "row", "dataset", "model", "variant", "fit", "runs", "status", "spectrum_seconds", "fit_seconds",
    "score_seconds", "total_seconds", "ratio", "published_minutes", "published_ratio", "peak_memory_mb",
    "timed_epochs", "epochs",
]  # fmt: skip
NUMBERS = COLUMNS[7:]
EPOCHS = COLUMNS[-2:]
MINUTES = "runtime_min"


def build(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return one line a model and dataset: median seconds over its finished runs, peak memory."""
    datasets = table.datasets or files.config.datasets
    runs = select_runs(files, table.groups, datasets, table.fit).drop_duplicates([*JOIN, "label"])
    by = ["dataset", "label", "model", "variant", "fit"]
    lines = []
    for key, part in runs.groupby(by, sort=False):
        done = _whole_fits(part[part["status"].isin(USABLE)], table)
        seconds = done[STAGES].median().tolist() if len(done) else [np.nan] * 3
        total = seconds_of(done).median() if len(done) else np.nan
        memory = part["peak_memory_mb"].max()
        epochs = done[EPOCHS].median().tolist() if len(done) else [np.nan] * 2
        lines.append([*key, len(part), joint_status(part["status"]), *seconds, total, memory, *epochs])
    names = [*by, "runs", "status", *STAGES, "total_seconds", "peak_memory_mb", *EPOCHS]
    frame = pd.DataFrame(lines, columns=names)
    frame = frame.rename(columns={"label": "row"})
    frame["ratio"] = frame["total_seconds"] / frame["dataset"].map(_references(frame, table.timed_against))
    return by_dataset(_beside(frame, table, published), files)[COLUMNS]


def _whole_fits(runs: pd.DataFrame, table: TableConfig) -> pd.DataFrame:
    """Return runs with the seconds of as many epochs as the table names for their models.

    `timed_epochs` and `epochs` are those that ran and those that are counted, where these are more.
    """
    timed = pd.to_numeric(runs["epochs"], errors="coerce")
    wanted = runs["model"].map(table.epochs).astype("float64")
    few = wanted > timed
    whole = runs["fit_seconds"] * wanted / timed
    return runs.assign(fit_seconds=runs["fit_seconds"].where(~few, whole), timed_epochs=timed.where(few),
                       epochs=wanted.where(few))  # fmt: skip


def _references(frame: pd.DataFrame, model: str) -> dict[str, float]:
    """Return the seconds of the reference model on each dataset, its default variant first."""
    rows = frame[(frame["model"] == model) & frame["total_seconds"].notna()]
    rows = rows.assign(plain=rows["variant"] == "default").sort_values(
        "plain", ascending=False, kind="stable"
    )
    return rows.groupby("dataset")["total_seconds"].first().to_dict()


def _beside(frame: pd.DataFrame, table: TableConfig, published: Published) -> pd.DataFrame:
    """Add published minutes and their ratio to those of the reference model."""
    pairs = [
        _printed(published, table, *place)
        for place in frame[["dataset", "model", "variant"]].itertuples(index=False)
    ]
    return frame.assign(
        published_minutes=[minutes for minutes, _ in pairs],
        published_ratio=[minutes / reference for minutes, reference in pairs],
    )


def _printed(
    published: Published, table: TableConfig, dataset: str, model: str, variant: str
) -> tuple[float, float]:
    """Return the printed minutes of a model and of the reference model, NaN where there are none.

    Minutes on `ml-1m` stand beside every split of it: they are not compared digit by digit.
    """
    if not table.published:
        return np.nan, np.nan
    entry, values = published.table(table.published), published.values(table.published)
    values = values[values["metric"] == MINUTES]
    theirs = {ours: printed for printed, ours in entry.datasets.items()}.get(dataset, dataset.split(".")[0])
    minutes = values[values["dataset"] == theirs].set_index("method")["value"]
    method, reference = entry.method_of(model, variant), entry.method_of(table.timed_against, "default")
    return minutes.get(method, np.nan), minutes.get(reference, np.nan)


def lay_out(files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame) -> Table:
    """Return a runtime table as it is printed, from its long form."""
    titles, reference = files.titles, title_of(files, table.timed_against)
    beside = frame.loc[frame["published_minutes"].notna(), "dataset"]
    where = ", ".join(dict.fromkeys(name.split(".")[0] for name in beside))
    header = ["model", "dataset", "eigenpairs (s)", "fit (s)", "score (s)", "total (s)"]
    header += [f"times {reference}"] if (ran := frame["ratio"].notna().any()) else []
    printed = [f"published on {where} (min)", f"published, times {reference}"]
    some = frame["published_minutes"].notna().any()
    header = [*header, *(printed if some else []), "peak memory (MB)", "status"]
    rows = []
    for line in frame.itertuples(index=False):
        numbers = [getattr(line, name) for name in (*STAGES, "total_seconds", *(["ratio"] if ran else []))]
        cells = [_short(number) for number in numbers]
        minutes = DASH if pd.isna(line.published_minutes) else f"{line.published_minutes:g}"
        cells += [minutes, _short(line.published_ratio)] if some else []
        memory = "" if pd.isna(line.peak_memory_mb) else f"{line.peak_memory_mb:,.0f}"
        rows.append([line.row, titles.get(line.dataset, line.dataset), *cells, memory, line.status])
    words, told = {0, 1, len(header) - 1}, notes(files, table, published, frame)
    return plain_table(header, rows, words, table.title, table.caption, told, keys=2)


def _short(value: float) -> str:
    return amount(value) or DASH


def notes(files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame) -> list[str]:
    """Return what must be known before reading a runtime table."""
    runs = select_runs(files, table.groups, table.datasets, table.fit)
    lines = [
        "Median wall-clock seconds over the finished runs of a model: to compute the eigenpairs that it "
        f"needs (once for all its runs), to fit, and to score all users, on {machines(runs)}. Choosing "
        "hyperparameters is not counted.",
    ]
    counted = frame[frame["epochs"].notna()]
    lines += [
        f"{row.row}: the fit of {row.timed_epochs:.0f} epoch{'s' * (row.timed_epochs > 1)} times "
        f"{row.epochs / row.timed_epochs:,.0f}, for {row.epochs:,.0f} epochs. What is done once or at a "
        "validation is counted as often."
        for row in counted.itertuples()
    ]
    if table.published and frame["published_minutes"].notna().any():
        lines.append(
            f"Published: {published.table(table.published).title}, minutes on another machine; only the "
            "ratios to the reference model can be set side by side, and only roughly."
        )
    return lines


def title_of(files: StudyResults, model: str) -> str:
    """Return the human name of a model."""
    known = dict(zip(files.runs["model"], files.runs["title"], strict=True))
    return known.get(model, model)
