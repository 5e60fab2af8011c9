"""Tables of kept numbers in Markdown pages, such as RESULTS.md.

A page says in a comment which table it wants; what stands between the comment and the next
`<!-- end -->` is written anew from `results/reference/`:

    <!-- kept
    table: claims
    of: [gsprec/paper/ml-100k.higsp]
    -->
    <!-- end -->

    <!-- kept
    table: models
    metrics: [hr@10, ndcg@10]
    protocol: wpgrec
    columns:
      - {title: LastFM, of: wpgrec/laptop/lastfm.loo, history: train+valid}
      - {title: printed, of: wpgrec/laptop/lastfm.loo, printed: wpgrec/table1}
    -->
    <!-- end -->

    <!-- kept
    table: runs
    of: [wpgrec/paper/lastfm.loo]
    -->
    <!-- end -->
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from recspectra.config.base import ConfigError, Strict
from recspectra.config.scale import CAPPED, USABLE
from recspectra.config.yaml_io import parse_yaml, validate
from recspectra.reporting.claims import give_reasons
from recspectra.reporting.claims.common import COLUMNS as CLAIM_COLUMNS
from recspectra.reporting.claims.common import NUMBERS as CLAIM_NUMBERS
from recspectra.reporting.claims.common import VERDICTS
from recspectra.reporting.published import Published
from recspectra.reporting.results import ABSENT, COLUMNS, NUMBERS, read_csv
from recspectra.reporting.table import plain_table, to_markdown
from recspectra.reporting.words import paragraphs

BEGIN, END = "<!-- kept\n", "<!-- end -->"
BLOCK = re.compile(rf"({BEGIN}(.*?)-->\n)(.*?)({END})", re.DOTALL)
Point = Annotated[str, Field(pattern=r"^[a-z_]+@[1-9][0-9]*$")]  # such as ndcg@10
ENDED, OTHER, UNKNOWN = "*", "\u2020", "\u2021"
NOTES = [
    (ENDED, "\\*", "A cap ended it."),
    (OTHER, OTHER, "Printed with another definition of the metric."),
    (UNKNOWN, UNKNOWN, "Nobody knows with which definition of the metric it was printed."),
]
SAME = ["model", "variant", "key", "fit", "seed"]
CLAIM_ABSENT = {"unlike": "", "unlike_rival": ""}  # in files of earlier versions


class ClaimsTable(Strict):
    """The verdicts of kept studies: a row for each claim and dataset."""

    table: Literal["claims"]
    of: list[str]
    claims: list[str] = []
    scopes: list[str] = ["claim"]


class ModelColumn(Strict):
    """Numbers of one kept dataset, or with `printed` what a published table prints for it."""

    title: str
    of: str
    metrics: list[Point] = []
    protocol: str = ""
    history: str = "train+valid"
    mask: str = "train+valid"
    fit: str = "train"
    printed: str = ""
    dataset: str = ""


class ModelsTable(Strict):
    """Means over seeds: a row for each model and variant of a group."""

    table: Literal["models"]
    metrics: list[Point]
    protocol: str
    group: str = "main"
    columns: list[ModelColumn]


class RunsTable(Strict):
    """What was run: a row for each kept dataset."""

    table: Literal["runs"]
    of: list[str]


def fill(page: str, kept: Path, published: Published, origin: str = "RESULTS.md") -> str:
    """Return a page with its tables written anew.

    Parameters
    ----------
    page : str
        Markdown.
    kept : Path
        `results/reference`.
    published : Published
        What papers print.
    origin : str
        What messages call the page.

    Raises
    ------
    ConfigError
        A comment is wrong, or no table follows from it.
    StudyError
        A kept file is missing or wrong.
    """

    def written(found: re.Match) -> str:
        if BEGIN in found[3]:
            raise ConfigError(f"{origin}: no {END} before the next table; what stands between would be lost")
        entry = parse_yaml(found[2], origin)
        kind = {"claims": ClaimsTable, "models": ModelsTable, "runs": RunsTable}.get(str(entry.get("table")))
        if not kind:
            raise ConfigError(f"{origin}: table: {entry.get('table')!r} is neither claims, models nor runs")
        asked = validate(kind, entry, origin)
        if isinstance(asked, ModelsTable):
            table = models(asked, kept, published)
        else:
            table = claims(asked, kept) if isinstance(asked, ClaimsTable) else what_ran(asked, kept)
        return f"{found[1]}\n{table}\n{found[4]}"

    filled, count = BLOCK.subn(written, page)
    if count != page.count(BEGIN):
        raise ConfigError(f"{origin}: a table has no {END} behind it; write one")
    return filled


# ---------------------------------------------------------------------------------- claims


def claims(asked: ClaimsTable, kept: Path) -> str:
    """Return verdicts as Markdown: claim, verdict and the number behind it."""
    rows = pd.concat([_claims(kept / place).assign(folder=Path(place).name) for place in asked.of])
    judged = rows.loc[rows["scope"] == "claim", "verdict"].value_counts()
    count = f"All {judged.sum()} claims: {', '.join(f'{judged.get(v, 0)} {v}' for v in VERDICTS)}."
    rows = rows[rows["scope"].isin(asked.scopes)]
    rows = rows[rows["claim"].isin(asked.claims)] if asked.claims else rows
    missing = [name for name in asked.claims if name not in set(rows["claim"])]
    if rows.empty or missing:
        raise ConfigError(
            f"{', '.join(asked.of)}: no row has claims {missing or asked.claims} and scopes {asked.scopes}"
        )
    header = ["claim", "verdict", "what was measured"]
    several = rows[["history", "mask"]].drop_duplicates().shape[0] > 1
    whole, lines = len(asked.of) > 1, []
    for told in _together(rows):
        first, number = told[0], " ".join(paragraphs("kept.j2", rows=told, several=several))
        line = [_statement(first), first["verdict"] or "shown only", number]
        lines.append([first["folder"], *line] if whole else line)
    return _markdown(["dataset", *header] if whole else header, lines) + f"\n{count}\n"


def _together(rows: pd.DataFrame) -> list[list[dict]]:
    """Return rows that share a line: printed values of one table with the same verdict."""
    found: dict[tuple, list[dict]] = {}
    for place, row in enumerate(rows.to_dict("records")):
        same = ("claim", "folder", "metric", "k", "history", "mask", "verdict", "reason")
        key = tuple(row[name] for name in same) if row["kind"] == "value" else (place,)
        found.setdefault(key, []).append(row)
    return list(found.values())


def _claims(folder: Path) -> pd.DataFrame:
    rows = read_csv(folder / "claims.csv", CLAIM_COLUMNS, CLAIM_NUMBERS, "freeze the study", CLAIM_ABSENT)
    return give_reasons(rows)


def _statement(row: dict) -> str:
    place = ", ".join(filter(None, [row["paper"], row["place"]]))
    reading = f", {row['reading']}" if row["reading"] else ""
    return f"{row['statement']}{reading} ({place})"


# ---------------------------------------------------------------------------------- models


def models(asked: ModelsTable, kept: Path, published: Published) -> str:
    """Return means over seeds as Markdown; a star marks what a cap ended."""
    names = {place: _runs(kept / place, asked.group) for place in dict.fromkeys(c.of for c in asked.columns)}
    order = pd.concat(names.values())[["model", "variant", "label"]].drop_duplicates(["model", "variant"])
    header, columns = ["model"], [list(order["label"])]
    for given in asked.columns:
        column = given.model_copy(update={"metrics": given.metrics or asked.metrics})
        runs = names[column.of]
        values = _printed(column, runs, published) if column.printed else _means(asked, column, kept, runs)
        cells = [values.get((m, v), "") for m, v in zip(order["model"], order["variant"], strict=True)]
        header.append(column.title)
        columns.append(cells)
    lines = [list(line) for line in zip(*columns, strict=True)]
    shown = "".join(cell[-1:] for column in columns[1:] for cell in column)
    notes = [f"\n{sign} {words}\n" for mark, sign, words in NOTES if mark in shown]
    return _markdown(header, lines) + "".join(notes)


def _runs(folder: Path, group: str) -> pd.DataFrame:
    runs = read_csv(folder / "runs.csv", COLUMNS["runs"].split())
    runs = runs[runs["group"] == group].drop_duplicates(SAME)
    if runs.empty:
        raise ConfigError(f"{folder / 'runs.csv'}: no run has group {group}")
    suffix = (" (" + runs["variant"] + ")").where(runs["variant"] != "default", "")
    return runs.assign(label=runs["title"] + suffix)


def _means(asked: ModelsTable, column: ModelColumn, kept: Path, runs: pd.DataFrame) -> dict[tuple, str]:
    path = kept / column.of / "metrics.csv"
    rows = read_csv(path, COLUMNS["metrics"].split(), ("k", "value"), absent=ABSENT["metrics"])
    chosen = (rows["protocol"] == (column.protocol or asked.protocol)) & (rows["users"] == "all")
    for name in ("history", "mask", "fit"):
        chosen &= rows[name] == getattr(column, name)
    rows = rows[chosen & rows["status"].isin(USABLE)]
    rows = rows.assign(point=rows["metric"] + "@" + rows["k"].astype(int).astype(str))
    rows = rows[rows["point"].isin(column.metrics)].merge(runs[SAME], on=SAME)
    if missing := set(column.metrics) - set(rows["point"]):
        raise ConfigError(f"{path}: no number of {', '.join(sorted(missing))} for column {column.title}")
    found = {}
    for label, part in rows.groupby(["model", "variant"]):
        means = part.groupby("point")["value"].mean()
        star = ENDED if (part["status"] == CAPPED).any() else ""
        found[label] = " / ".join(_short(means.get(point)) for point in column.metrics) + star
    return found


def _printed(column: ModelColumn, runs: pd.DataFrame, published: Published) -> dict[tuple, str]:
    dataset, found = Path(column.of).name, {}
    for model, variant in runs[["model", "variant"]].drop_duplicates().itertuples(index=False):
        points = [point.split("@") for point in column.metrics]
        values = [
            published.lookup(column.printed, dataset, model, metric, int(k), variant, column.dataset or None)
            for metric, k in points
        ]
        if any(values):
            same = [v.same_definition for v in values if v]
            found[model, variant] = " / ".join(_short(v.value if v else None) for v in values)
            found[model, variant] += OTHER if False in same else UNKNOWN if None in same else ""
    return found


# ------------------------------------------------------------------------------------ runs


def what_ran(asked: RunsTable, kept: Path) -> str:
    """Return as Markdown how much was run: models, fits, how training ended, trials, hours of a core."""
    header = [
        "study",
        "scale",
        "dataset",
        "models",
        "fits",
        "trials",
        "training ended by patience",
        "hours of a core",
    ]
    return _markdown(header, [[*Path(place).parts, *_spent(kept / place)] for place in asked.of])


def _spent(folder: Path) -> list[str]:
    """Return the cells of `what_ran`: training of the main table; a fit of two groups counts once."""
    rows = read_csv(folder / "runs.csv", COLUMNS["runs"].split(), NUMBERS["runs"])
    trials = read_csv(folder / "tuning.csv", COLUMNS["tuning"].split(), NUMBERS["tuning"])
    fits = rows.drop_duplicates(["model", "key", "seed", "fit"])
    trained = rows[(rows["kind"] == "trained") & (rows["group"] == "main") & (rows["fit"] == "train")]
    most = trained["params"].map(lambda text: json.loads(text)["epochs"]).astype(float)
    early = (trained["status"] == "ok") & (trained["epochs"].astype(float) < most)
    most_trials = trials.groupby("key")["trial"].max().max()
    seconds = fits[["fit_seconds", "score_seconds"]].sum().sum() + trials["seconds"].sum()
    return [
        str(rows["model"].nunique()),
        str(len(fits)),
        "" if pd.isna(most_trials) else str(int(most_trials)),
        f"{early.sum()} of {len(trained)}" if len(trained) else "none is trained",
        f"{seconds / 3600:.1f}",
    ]


def _markdown(header: list[str], lines: list[list[str]]) -> str:
    return to_markdown(plain_table(header, lines, set(range(len(header))))).strip() + "\n"


def _short(value: float | None) -> str:
    return "-" if value is None or pd.isna(value) else f"{value:.4f}".removeprefix("0")
