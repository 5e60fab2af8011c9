"""RESULTS.md prints what is kept in results/reference."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from small_study import ROOT

from recspectra.config.catalog import Catalog

KEPT = ROOT / "results" / "reference"
SAME = ["model", "variant", "key", "fit", "seed"]
# Section, then for each column of a table of it with "HR@10 / NDCG@10": dataset and history.
COLUMNS = {
    "What the WPGRec study shows": {
        "LastFM": ("wpgrec/laptop/lastfm.loo", "train+valid"),
        "LastFM, history `train`": ("wpgrec/laptop/lastfm.loo", "train"),
        "Beauty": ("wpgrec/laptop/amazon-beauty.loo", "train+valid"),
        "Beauty, history `train`": ("wpgrec/laptop/amazon-beauty.loo", "train"),
        "Sports": ("wpgrec/laptop/amazon-sports.loo", "train+valid"),
        "ML-1M, half": ("wpgrec/laptop/ml-1m.head-loo", "train+valid"),
        "ML-1M, half, history `train`": ("wpgrec/laptop/ml-1m.head-loo", "train"),
    }
}
TITLES = {Catalog(ROOT).model(path.stem).title: path.stem for path in (ROOT / "config/models").glob("*.yaml")}


def means(place: str, history: str) -> pd.Series:
    """Return the mean over seeds of hr@10 and ndcg@10 of each model of the main group."""
    metrics, runs = (
        pd.read_csv(KEPT / place / f"{name}.csv", dtype=str, keep_default_na=False)
        for name in ("metrics", "runs")
    )
    metrics = metrics.merge(runs.loc[runs["group"] == "main", SAME].drop_duplicates(), on=SAME)
    chosen = (metrics["protocol"] == "wpgrec") & (metrics["history"] == history) & (metrics["k"] == "10")
    return metrics[chosen].astype({"value": float}).groupby(["model", "metric"])["value"].mean()


def cells(section: str, column: str) -> pd.Series:
    """Return a column of that table of a section which has it, by the file name of the model."""
    text = (ROOT / "RESULTS.md").read_text(encoding="utf-8").partition(f"## {section}\n")[2]
    blocks = re.findall(r"(?:^\|.*\|\n)+", text.partition("\n## ")[0], flags=re.MULTILINE)
    tables = [[[c.strip() for c in line.strip("|").split("|")] for line in b.splitlines()] for b in blocks]
    ((head, _, *rows),) = [table for table in tables if column in table[0]]
    return pd.Series({TITLES[re.sub(r" \(.*\)|\*", "", row[0])]: row[head.index(column)] for row in rows})


@pytest.mark.parametrize(
    ("section", "column"), [(section, column) for section, columns in COLUMNS.items() for column in columns]
)
def test_a_column_is_that_of_the_kept_numbers(section: str, column: str) -> None:
    printed, kept = cells(section, column), means(*COLUMNS[section][column])
    models = set(kept.index.get_level_values("model"))
    assert set(printed.index) == models
    assert len(models) >= 20
    for model, cell in printed.items():
        expected = [f"{kept[model, metric]:.4f}".lstrip("0") for metric in ("hr", "ndcg")]
        assert cell.replace("*", "") == " / ".join(expected), model


@pytest.mark.parametrize(
    "page", ["README.md", "RESULTS.md", *sorted(p.name for p in (ROOT / "docs").glob("*.md"))]
)
def test_no_page_holds_a_blank_to_be_filled(page: str) -> None:
    path = ROOT / page if (ROOT / page).is_file() else ROOT / "docs" / page
    assert not re.search(r"@[A-Z]+@|TODO|XXX", path.read_text(encoding="utf-8"))


def test_the_claims_of_ml_100k_are_the_kept_ones() -> None:
    kept = pd.read_csv(KEPT / "gsprec/paper/ml-100k.higsp/claims.csv", dtype=str, keep_default_na=False)
    text = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    for claim, statement in (("gsprec-gain", ""), ("gsprec-parts", "the band-pass part helps")):
        row = kept[(kept["claim"] == claim) & (kept["scope"] == "claim")]
        row = row[row["statement"] == statement].iloc[0] if statement else row.iloc[0]
        shown = [f"{float(row[n]):+.4f}".replace("0.", ".", 1) for n in ("difference", "ci_low", "ci_high")]
        assert f"| {row['verdict']} | {shown[0]} ({shown[1]} to {shown[2]})" in text
