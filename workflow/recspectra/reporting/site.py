"""The HTML report: one self-contained file about one or several drawn studies."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from markupsafe import Markup

from recspectra.config.base import ConfigError
from recspectra.config.scale import USABLE
from recspectra.config.study import ClaimConfig, FigureConfig, TableConfig
from recspectra.files import PACKAGE_DIR, ArtifactError, open_regular, read_json, write_text
from recspectra.paths import Paths
from recspectra.reporting import claims
from recspectra.reporting.audit import read_audit
from recspectra.reporting.draw import lay_out
from recspectra.reporting.escape import printable
from recspectra.reporting.figures import figure_data
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyError, StudyResults, machines, select_runs
from recspectra.reporting.table import Table, plain_table, to_html
from recspectra.reporting.tables import MARK_NOTES, OTHER, UNKNOWN
from recspectra.reporting.tuning import tuning_table

TEMPLATE = "report.html.j2"
PNG = b"\x89PNG\r\n\x1a\n"
AUDIT = ["table", "dataset", "method", "rule", "cells", "detail"]

# name, formula in words, why it is here
METRICS = (
    (
        "recall",
        "hits among the first K divided by the number of test items |T|",
        "The usual recall. With more than K test items it cannot reach 1.",
    ),
    (
        "recall_min",
        "hits among the first K divided by the smaller of K and |T|",
        "Truncated recall (Mult-VAE, GiffCF): a full list of hits scores 1. Never below recall, "
        "and above it for every user with more than K test items.",
    ),
    ("hr", "1 if there is any hit among the first K, else 0", "Hit rate. Equals recall with one test item."),
    ("precision", "hits among the first K divided by K", "The share of the list that is right."),
    (
        "ndcg",
        "sum of 1/log2(position + 1) over the hits, divided by that sum for the best possible list, "
        "which has min(K, |T|) hits at the top",
        "The standard definition: rewards hits and their order.",
    ),
    (
        "ndcg_hit",
        "the same sum, divided by that sum for the hits that were found, moved to the top",
        "NGCF's definition, used for GSPRec's row: test items that were missed cost nothing, so one "
        "hit at position 1 scores 1. Two to three times the standard value on dense data.",
    ),
    (
        "ndcg_set",
        "ndcg_hit, but the list is first turned into a Python set, whose order is that of item numbers "
        "modulo the size of a hash table",
        "What the HiGSP and FaGSP evaluator computes: the order of the list is lost.",
    ),
    (
        "mrr",
        "1 divided by the position of the first hit, 0 if it is not among the first K",
        "Mean reciprocal rank. Cannot fall as K grows.",
    ),
    (
        "mrr_set",
        "mrr of the list after it was turned into a Python set",
        "What the HiGSP and FaGSP evaluator computes; it can fall as K grows.",
    ),
)
TERMS = (
    (
        "fit",
        "The data a model learns from: train, or train+valid when it is fitted again after its "
        "hyperparameters were chosen, a trained one for as many epochs as did best on validation.",
    ),
    (
        "history",
        "What a model is shown of a user when it is asked for recommendations at test. With "
        "train+valid it also sees what the user did in the validation period, without learning again.",
    ),
    (
        "mask",
        "What may not be recommended. With mask train, validation items stay in the list and count "
        "as misses.",
    ),
    (
        "tuned",
        "Hyperparameters chosen by recall@20 on the validation data, with the same number of trials for "
        "every model. Test data play no part in it.",
    ),
    (
        "95% interval, p",
        "Models are compared user by user. All intervals of a claim hold at once in 95 of 100 cases: over "
        "other users and, where enough models have several seeds, other seeds. p is how often chance would "
        "make the largest of the claim's differences, in standard errors, as large. It is at most .05 if and "
        "only if the interval leaves out 0.",
    ),
    (
        "seed",
        "Start of the random numbers. What another one would give is estimated from all models of a column "
        "that were trained with several, and is part of \u00b1.",
    ),
    (
        "oom, timeout, diverged, skipped",
        "A run that ran out of memory or time, whose numbers became infinite, or that the model refused; "
        "it counts as a result and is shown in its cell.",
    ),
)


@dataclass(frozen=True)
class TableView:
    """A table as the template shows it: sentences and a table."""

    config: TableConfig
    table: Table
    source: str
    texts: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Return what the configuration calls it: `runtime`, `snr`."""
        return self.config.kind


@dataclass(frozen=True)
class ClaimView:
    """A claim as the template shows it: verdicts by dataset, sentences, the numbers."""

    config: ClaimConfig
    verdicts: list[tuple[str, str]]
    texts: list[str]
    table: Table
    source: str


@dataclass(frozen=True)
class FigureView:
    """A figure as the template shows it."""

    config: FigureConfig
    data: str
    source: str
    caption: str


@dataclass(frozen=True)
class StudyView:
    """A study as the template shows it."""

    name: str
    title: str
    paragraphs: list[str]
    protocols: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]]
    datasets: list[dict[str, Any]]
    claims: list[ClaimView]
    tables: list[TableView]
    figures: list[FigureView]
    tuning: Table
    failures: Table
    runs: Table
    audit: Table
    rules: list[str]
    provenance: list[tuple[str, str]]


def write_report(
    output: Path | str, folders: list[Path], root: Path | str, also: list[Path] | None = None
) -> list[str]:
    """Write the report on some drawn study folders as one HTML file.

    Folders in `also` are added where they can be read; one left by an older version
    or an interrupted job is not, and the reason is returned.
    """
    taken, left_out = [], []
    for folder in also or []:
        try:
            study_view(Path(folder), Published(root))
            taken.append(folder)
        except (StudyError, ArtifactError, ConfigError) as error:
            left_out.append(f"left out: {error}")
    write_text(output, render([*folders, *taken], root))
    return left_out


def render(folders: list[Path], root: Path | str) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    folders : list of Path
        Study folders that `draw` has been through.
    root : Path
        The project folder with `config/published/` and `workflow/report/`.

    Raises
    ------
    StudyError
        No folder is given, a file is missing, or the template is broken.
    """
    if not folders:
        raise StudyError("no study folder is given; nothing to report on")
    published = Published(root)
    studies = [study_view(Path(folder), published) for folder in folders]
    environment = Environment(
        loader=FileSystemLoader([Path(root) / "workflow" / "report", PACKAGE_DIR.parent / "report"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    try:
        html = environment.get_template(TEMPLATE).render(
            studies=studies,
            metrics=METRICS,
            terms=TERMS,
            marks=MARK_NOTES,
            other=OTHER,
            unknown=UNKNOWN,
            rules=claims.RULES,
            html=lambda table: Markup(to_html(table)),  # noqa: S704 - `to_html` escapes
        )
        return "\n".join(map(printable, html.split("\n")))  # a page of control characters is no HTML
    except TemplateError as error:
        raise StudyError(f"workflow/report/{TEMPLATE}: {type(error).__name__}: {error}") from None


def study_view(folder: Path, published: Published) -> StudyView:
    """Gather everything about one study from its folder."""
    files = StudyResults(folder)
    config, runs, checks = files.config, select_runs(files), read_audit(folder)
    return StudyView(
        name=config.name,
        title=config.title,
        paragraphs=[*_outdated(files), *(part for part in config.description.split("\n\n") if part.strip())],
        protocols=files.protocols,
        models=files.study.get("about", {}),
        datasets=_datasets(files),
        claims=_claims(files),
        tables=[_table(files, table, published) for table in config.tables],
        figures=[_figure(files, figure) for figure in config.figures],
        tuning=tuning_table(files),
        failures=_failures(files, runs),
        runs=_settings(files, runs),
        audit=plain_table(AUDIT, checks[AUDIT].to_numpy().tolist(), set(range(len(AUDIT))), "Audit findings"),
        rules=[f"{rule} {len(part)}" for rule, part in checks.groupby("rule")],
        provenance=_provenance(files, runs),
    )


def _outdated(files: StudyResults) -> list[str]:
    """Return a sentence if the numbers are of other data than is prepared now; studies would not compare."""
    names = []
    for dataset, digest in files.study.get("digests", {}).items():
        stats = Paths(files.folder.parents[1]).stats(dataset)
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
    texts, table = claims.tell(files, claim, rows), claims.layout(files, claim, rows)
    return ClaimView(claim, verdicts, texts, table, _source(files, "claims.csv"))


def _table(files: StudyResults, table: TableConfig, published: Published) -> TableView:
    laid = lay_out(files, table, published)
    return TableView(table, laid, _source(files, f"table-{table.name}.csv"))


def _figure(files: StudyResults, figure: FigureConfig) -> FigureView:
    path = files.folder / f"fig-{figure.name}.png"
    data = base64.b64encode(_png(path)).decode("ascii")
    caption = " ".join(filter(None, [figure.caption, figure_data(files, figure).caption]))
    return FigureView(figure, data, _source(files, f"fig-{figure.name}.csv"), caption)


def _png(path: Path) -> bytes:
    """Return a picture's bytes; a link could lead to any file, which the report would hand on."""
    try:
        with open_regular(path, follow=False) as stream:
            found = stream.read()
    except FileNotFoundError:
        raise StudyError(f"{path}: file not found; draw the study first") from None
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}; delete it and draw the study again") from None
    if not found.startswith(PNG):
        raise StudyError(f"{path}: no PNG picture; delete it and draw the study again")
    return found


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
        epochs = ", ".join(e for e in dict.fromkeys(part["best_epoch"]) if e)
        costs = [_number(part["fit_seconds"].median()), _number(part["peak_memory_mb"].max())]
        seeds = ", ".join(dict.fromkeys(part["seed"]))
        head = [files.titles.get(dataset, dataset), *labels, seeds]
        rows.append([*head, _params(part.iloc[0]["params"]), epochs, *costs])
    return plain_table(SETTINGS, rows, set(range(7)), "Hyperparameters", keys=2)


def _params(params: dict) -> str:
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in sorted(params.items())) or "none"


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _provenance(files: StudyResults, runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Return what made the results, as (name, text)."""
    facts = dict(files.study.get("provenance", {}))
    packages = facts.pop("packages", {})
    lines = [(name, str(value)) for name, value in facts.items()]
    lines += [(name, str(version)) for name, version in sorted(packages.items())]
    return [*lines, ("device and threads of the runs", machines(runs))]
