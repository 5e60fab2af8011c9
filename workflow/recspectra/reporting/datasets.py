"""The table of datasets: counts found beside counts published, slips marked with their reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from recspectra.config.catalog import Catalog
from recspectra.data.tables import counts_in_words
from recspectra.files import read_json, write_text
from recspectra.paths import Paths
from recspectra.reporting.latex import to_latex
from recspectra.reporting.results import write_csv
from recspectra.reporting.table import Table, plain_table, to_markdown, to_text

COUNTS = ("users", "items", "interactions")
REACH = ("test_users", "cold_users", "unknown_items", "masked_targets_with_valid")
ROWS = ("rows_in", "rows_read", "rows_dropped", "rows_filtered", "ids_unified")
PRINTED = [
    "dataset", *COUNTS, "density", "mean_length", *REACH, *ROWS, "published_in", "published", "verdict",
]  # fmt: skip


def build(catalog: Catalog, names: list[str], results: Path) -> pd.DataFrame:
    """Return one row per dataset and published table that prints it.

    Columns: counts found, density in percent, mean interactions a user, test users, those of them
    without a training interaction, test items in no training interaction, test targets that the user
    has in train or valid, what became of the source's rows, the paper's table, its counts, and a
    verdict: `agrees`, `differs`, or the reason of a known slip. A dataset that is not prepared has a row
    without counts.
    """
    rows = []
    for name in names:
        stats = Paths(results).stats(name)
        if not stats.is_file():
            rows += _absent(name, catalog.dataset(name).published)
            continue
        found = read_json(stats)
        base = {"dataset": name, **{c: found[c] for c in COUNTS}}
        base |= {"density": 100.0 * found["density"], "mean_length": found["mean_length"]}
        base |= {name: found.get(name) for name in REACH}
        base |= {name: _in_words(found[name]) for name in ROWS if name in found}
        printed = catalog.dataset(name).published
        rows += [{**base, **_beside(found, entry)} for entry in printed] or [
            {**base, "published_in": "", "published": "", "verdict": "no paper prints this version"}
        ]
    return pd.DataFrame(rows, columns=PRINTED)


def _in_words(value: int | dict[str, int]) -> int | str:
    return counts_in_words(value) if isinstance(value, dict) else value


def _absent(name: str, published: list[Any]) -> list[dict[str, Any]]:
    """Return the rows of a dataset whose files are not there."""
    rows = []
    for entry in published:
        slip = f"; slip: {entry.slip}" if entry.slip else ""
        rows.append({"dataset": name, "published_in": entry.table, "published": _printed(entry),
                     "verdict": f"files not there{slip}"})  # fmt: skip
    return rows or [{"dataset": name, "published_in": "", "published": "", "verdict": "files not there"}]


def _printed(entry: Any) -> str:
    values = [getattr(entry, c) for c in COUNTS]
    return " x ".join(f"{value:,}" for value in values if value is not None)


def _beside(found: dict[str, Any], entry: Any) -> dict[str, str]:
    printed = {c: getattr(entry, c) for c in COUNTS if getattr(entry, c) is not None}
    wrong = [c for c, value in printed.items() if found[c] != value]
    verdict = "agrees" if not wrong else f"slip: {entry.slip}" if entry.slip else "differs"
    return {"published_in": entry.table, "published": _printed(entry), "verdict": verdict}


def cells(frame: pd.DataFrame) -> list[list[str]]:
    """Return the rows as texts for people."""

    def number(value: float, form: str) -> str:
        return "-" if pd.isna(value) else format(value, form)

    def left_out(row: Any) -> str:
        """Return what was dropped while reading and by the filter, and how many ids were unified."""
        counts = [v for v in (row.rows_dropped, row.rows_filtered) if isinstance(v, str) and v]
        if not pd.isna(row.ids_unified) and row.ids_unified:
            counts.append(f"{row.ids_unified:,.0f} spellings of ids unified")
        return "; ".join(counts) or "-"

    return [
        [
            row.dataset, number(row.users, ",.0f"), number(row.items, ",.0f"),
            number(row.interactions, ",.0f"), number(row.density, ".3f"),
            number(row.mean_length, ".1f"), *(number(getattr(row, name), ",.0f") for name in REACH),
            number(row.rows_read, ",.0f"), left_out(row),
            row.published_in, row.published, row.verdict,
        ]
        for row in frame.itertuples()
    ]  # fmt: skip


HEADER = [
    "dataset", "users", "items", "interactions", "density in %", "mean length", "test users", "cold",
    "unknown items", "masked", "rows read", "dropped and unified", "published in", "published", "verdict",
]  # fmt: skip
WORDS = {0, 11, 12, 13, 14}


def laid_out(frame: pd.DataFrame) -> Table:
    """Return the table as it is printed."""
    return plain_table(HEADER, cells(frame), WORDS, "Datasets, found beside published")


def write(catalog: Catalog, names: list[str], results: Path) -> str:
    """Write `results/datasets/datasets.{csv,md,tex}`; return the table as text."""
    frame = build(catalog, names, results)
    folder, table = results / "datasets", laid_out(frame)
    write_csv(folder / "datasets.csv", frame)
    write_text(folder / "datasets.md", to_markdown(table))
    write_text(folder / "datasets.tex", to_latex(table, "datasets"))
    return to_text(table, 10_000, 1000)
