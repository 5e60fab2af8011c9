"""The page of one study: its claims, tables and figures, and what its numbers rest on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from recspectra.config.scale import USABLE
from recspectra.config.study import ClaimConfig, FigureConfig, TableConfig
from recspectra.files import read_json
from recspectra.reporting import claims, standings, worlds
from recspectra.reporting.audit import read_audit
from recspectra.reporting.claims.common import CANNOT_TELL, NOT_REPRODUCED, REPRODUCED
from recspectra.reporting.draw import lay_out
from recspectra.reporting.footnotes import params_text
from recspectra.reporting.pages import boards, pictures
from recspectra.reporting.pages.place import Place, results_of, run_files, study_command
from recspectra.reporting.published import Published
from recspectra.reporting.results import JOIN, StudyResults, machines, not_converged, select_runs
from recspectra.reporting.table import Table, plain_table
from recspectra.reporting.tuning import tuning_table
from recspectra.reporting.words import amount

RUN = ["dataset", "model", "key", "seed"]  # what names the folder of a run
AUDIT = ["table", "dataset", "method", "rule", "cells", "detail"]

STATEMENTS = [NOT_REPRODUCED, REPRODUCED, CANNOT_TELL]  # in this order on the first page


@dataclass(frozen=True)
class TableView:
    """A table as the template shows it: selectors, the table, notes that stand open and folded ones."""

    config: TableConfig
    table: Table
    source: str
    boards: str = ""
    metrics: list[str] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    legend: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Return what the configuration calls it: `runtime`, `snr`."""
        return self.config.kind

    @property
    def open_notes(self) -> list[str]:
        """The notes that change how the table is read."""
        return self.table.notes[: boards.OPEN_NOTES]

    @property
    def folded_notes(self) -> list[str]:
        """All other notes."""
        return self.table.notes[boards.OPEN_NOTES :]


@dataclass(frozen=True)
class ClaimView:
    """A claim as the template shows it: verdicts by dataset, sentences, the numbers."""

    config: ClaimConfig
    verdicts: list[tuple[str, str]]
    texts: list[str]
    table: Table
    source: str
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class FigureView:
    """A figure as the template shows it: the picture's address in the report, and its file."""

    config: FigureConfig
    address: str
    path: Path
    source: str
    also: dict[str, str]
    caption: str


@dataclass(frozen=True)
class StudyView:
    """A study as the templates show it."""

    files: StudyResults
    page: str
    paragraphs: list[str]
    models: dict[str, dict[str, Any]]
    datasets: list[dict[str, Any]]
    claims: list[ClaimView]
    tables: list[TableView]
    figures: list[FigureView]
    worlds: list[str]
    tuning: Table
    failures: Table
    settings: Table
    audit: Table
    rules: list[str]
    runs: pd.DataFrame
    standings: pd.DataFrame
    gaining: frozenset[tuple[str, ...]]

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.files.config.name

    @property
    def title(self) -> str:
        """Title of the study."""
        return self.files.config.title

    @property
    def of_papers(self) -> bool:
        """Whether some claim is of a paper."""
        return any(c.kind == "listed" or c.paper or c.published for c in self.files.config.claims)

    @property
    def protocols(self) -> dict[str, dict[str, Any]]:
        """What is measured."""
        return self.files.protocols


def study_view(folder: Path, published: Published, place: Place) -> StudyView:
    """Gather everything about one study from its folder."""
    files = StudyResults(folder)
    config, runs, checks = files.config, select_runs(files), read_audit(folder)
    return StudyView(
        files=files,
        page=f"study-{config.name}.html",
        paragraphs=[
            *claims.tell_left_out(files),
            *_outdated(files),
            *(part for part in config.description.split("\n\n") if part.strip()),
        ],
        models=files.study.get("about", {}),
        datasets=_datasets(files),
        claims=_claims(files),
        tables=[_table(files, table, published, place) for table in config.tables],
        figures=[_figure(files, figure, place) for figure in config.figures],
        worlds=worlds.tell(files, worlds.read(files)) if worlds.wants_worlds(files) else [],
        tuning=tuning_table(files),
        failures=_failures(files, runs),
        settings=_settings(files, runs),
        audit=plain_table(AUDIT, checks[AUDIT].to_numpy().tolist(), set(range(len(AUDIT))), "Audit findings"),
        rules=[f"{rule} {len(part)}" for rule, part in checks.groupby("rule")],
        runs=runs,
        standings=standings.with_costs(files, standings.read(folder)),
        gaining=_gaining(files, runs),
    )


def _gaining(files: StudyResults, runs: pd.DataFrame) -> frozenset[tuple[str, ...]]:
    """Return the runs (`JOIN`) that were still gaining on validation when their epochs ran out."""
    ended = not_converged(files, runs)
    same = runs.merge(ended, on=["dataset", "model", "variant", "label", "seed"])
    return frozenset(same[JOIN].itertuples(index=False, name=None))


def _outdated(files: StudyResults) -> list[str]:
    """Return a sentence if the numbers are of other data than is prepared now; studies would not compare."""
    names = []
    for dataset, digest in files.study.get("digests", {}).items():
        stats = results_of(files).stats(dataset)
        now = read_json(stats).get("digests", {}).get("split") if stats.is_file() else None
        names += [files.titles.get(dataset, dataset)] if now not in (None, digest) else []
    told = (
        f"These numbers are of an earlier version of {', '.join(names)} than is prepared now; run it again."
    )
    return [told] if names else []


def _claims(files: StudyResults) -> list[ClaimView]:
    frame = claims.read(files.folder) if files.config.claims else pd.DataFrame()
    return [_claim(files, claim, frame[frame["claim"] == claim.name]) for claim in files.config.claims]


def _claim(files: StudyResults, claim: ClaimConfig, rows: pd.DataFrame) -> ClaimView:
    judged = rows[rows["scope"] == "claim"]
    named = [files.titles.get(name, name) for name in judged["dataset"]]
    if claim.kind in ("ablation", "value"):
        said = judged["statement" if claim.kind == "ablation" else "subject"]
        named = [f"{name}, {text}" for name, text in zip(named, said, strict=True)]
    verdicts = list(zip(named, judged["verdict"], strict=True))
    if claim.kind == "listed":
        counts = rows["verdict"].value_counts()
        verdicts = [(f"{count} statement{'s' * (count > 1)}", verdict) for verdict, count in counts.items()]
    texts, table = claims.tell(files, claim, rows), claims.layout(files, claim, rows)
    lines = (_listed(files, rows) if claim.kind == "listed" else judged.assign(title=named)).to_dict(
        "records"
    )
    return ClaimView(claim, verdicts, texts, table, _source(files, "claims.csv"), lines)


def _listed(files: StudyResults, rows: pd.DataFrame) -> pd.DataFrame:
    """Return statements with a title each; first those that do not hold, last those that cannot be told."""
    told = rows.sort_values("verdict", key=lambda verdicts: verdicts.map(STATEMENTS.index), kind="stable")
    titles = told["dataset"].map(lambda name: files.titles.get(name, name))
    points = told["metric"] + "@" + told["k"].astype(int).astype(str)
    return told.assign(title=titles + ", " + told["statement"] + ", " + points)


def _table(files: StudyResults, table: TableConfig, published: Published, place: Place) -> TableView:
    laid, source = lay_out(files, table, published), _source(files, f"table-{table.name}.csv")
    if not boards.is_board(laid):
        return TableView(table, laid, source, legend=laid.legend())
    text = boards.to_boards(laid, _origins(files, table, place))
    return TableView(table, laid, source, text, boards.metrics_of(laid), boards.views_of(laid),
                     boards.legend_of(laid))  # fmt: skip


def _origins(files: StudyResults, table: TableConfig, place: Place) -> boards.Origins:
    """Return the runs behind every row and dataset of a table of metrics."""
    runs = select_runs(files, table.groups, table.datasets or files.config.datasets, table.fit)
    links: dict[tuple[str, str], dict[str, str]] = {}
    keys: dict[tuple[str, str], dict[str, None]] = {}
    for run in runs.drop_duplicates([*JOIN, "label"])[[*RUN, "label"]].itertuples():
        row = run.label, files.titles.get(run.dataset, run.dataset)
        address = place.link(run_files(files, run)["run.json"])
        links.setdefault(row, {}).update({f"seed {run.seed}": address} if address else {})
        keys.setdefault(row, {})[run.key] = None
    return {row: boards.Origin(", ".join(keys[row]), found) for row, found in links.items()}


def _figure(files: StudyResults, figure: FigureConfig, place: Place) -> FigureView:
    path = files.folder / f"fig-{figure.name}.png"
    pictures.picture(path)  # a PNG is there
    shown = pictures.choose(path)
    caption = pictures.read(path.with_suffix(".txt")).decode("utf-8", "replace").strip()
    address = f"figures/{files.config.name}/{figure.name}{shown.suffix}"
    source = _source(files, f"fig-{figure.name}.csv")
    addresses = {end: place.link(path.with_suffix(f".{end}")) for end in ("svg", "png", "csv")}
    return FigureView(figure, address, shown, source, addresses, caption)


def _source(files: StudyResults, name: str) -> str:
    return f"results/studies/{files.config.name}/{name}"


UNREACHED = ("cold_users", "unknown_items", "masked_targets_with_valid")


def _datasets(files: StudyResults) -> list[dict[str, Any]]:
    rows = files.datasets.to_dict("records")
    counts = ("users", "items", "interactions", "train", "valid", "test", "test_users", *UNREACHED)
    for row in rows:
        row |= {name: _count(row[name]) for name in counts}
        row["density"] = "" if pd.isna(row["density"]) else f"{row['density']:.3%}"
        row["mean_length"] = "" if pd.isna(row["mean_length"]) else f"{row['mean_length']:.1f}"
        row["ordered"] = {"true": "yes", "false": "no"}.get(row["ordered"].lower(), row["ordered"])
    return rows


def _count(text: str) -> str:
    try:
        return f"{int(float(text)):,}"
    except ValueError:
        return text


def _failures(files: StudyResults, runs: pd.DataFrame) -> Table:
    """Return the runs that did not finish, one line for the seeds that share a reason."""
    failed = runs[~runs["status"].isin(USABLE)]
    groups = failed.groupby(["dataset", "label", "status", "reason"], sort=False)["seed"]
    rows = [
        [files.titles.get(dataset, dataset), label, ", ".join(dict.fromkeys(seeds)), status, reason]
        for (dataset, label, status, reason), seeds in groups
    ]
    header = ["dataset", "model", "seeds", "status", "reason"]
    return plain_table(header, rows, set(range(5)), "Failed runs", keys=2)


SETTINGS = ["dataset", "model", "group", "key", "fit", "seeds", "hyperparameters", "best epoch", "fit (s)",
            "peak memory (MB)"]  # fmt: skip


def _settings(files: StudyResults, runs: pd.DataFrame) -> Table:
    """Return one line for each configuration: its seeds, hyperparameters and costs."""
    rows = []
    by = ["dataset", "label", "group", "key", "fit"]
    for (dataset, *labels), part in runs.groupby(by, sort=False):
        epochs = ", ".join(e.removesuffix(".0") for e in dict.fromkeys(part["best_epoch"]) if e)
        costs = [amount(part["fit_seconds"].median()), amount(part["peak_memory_mb"].max())]
        seeds = ", ".join(dict.fromkeys(part["seed"]))
        head = [files.titles.get(dataset, dataset), *labels, seeds]
        rows.append([*head, params_text(part.iloc[0]["params"], "none"), epochs, *costs])
    return plain_table(SETTINGS, rows, set(range(7)), "Hyperparameters", keys=2)


def provenance(files: StudyResults, runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Return what made the results, as (name, text)."""
    facts = dict(files.study.get("provenance", {}))
    packages = facts.pop("packages", {})
    lines = [("command", study_command(files)), *((name, str(value)) for name, value in facts.items())]
    lines += [(name, str(version)) for name, version in sorted(packages.items())]
    lines.append(("device and threads of the runs", machines(runs)))
    digests = files.study.get("digests", {})
    return [*lines, *((f"data of {files.titles.get(name, name)} (sha256)", d) for name, d in digests.items())]
