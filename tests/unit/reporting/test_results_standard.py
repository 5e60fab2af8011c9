"""The standard tables of README.md and RESULTS.md print what is kept in results/reference."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from small_study import ROOT

KEPT = ROOT / "results" / "reference" / "standard" / "paper"
SETS = {"Gowalla": "gowalla", "Yelp2018": "yelp2018"}


def kept(dataset: str, name: str) -> pd.DataFrame:
    return pd.read_csv(KEPT / dataset / f"{name}.csv", dtype=str, keep_default_na=False)


def rows_of(page: str, head: str) -> list[dict[str, str]]:
    """Return the rows of the one table of a page whose header starts like that."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    (block,) = [block for block in blocks if block.startswith(head)]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
    return [dict(zip(table[0], row, strict=True)) for row in table[2:]]


def numbers(dataset: str) -> dict[str, str]:
    """Return title -> recall@20 / ndcg@20 with the authors' settings, fitted on all of train."""
    runs = kept(dataset, "runs").query("group == 'authors' and fit == 'train+valid'")
    same = ["model", "variant", "key", "fit", "seed"]
    named = runs["title"].where(runs["variant"] == "default", runs["title"] + " (" + runs["variant"] + ")")
    runs = runs.assign(title=named)
    rows = kept(dataset, "metrics").query("k == '20'").merge(runs[[*same, "title"]], on=same)
    found = rows.astype({"value": float}).pivot_table(index="title", columns="metric", values="value")
    return {
        title: f"{row['recall']:.4f} / {row['ndcg']:.4f}".replace("0.", ".")
        for title, row in found.iterrows()
    }


@pytest.mark.parametrize("dataset", SETS)
@pytest.mark.parametrize("page", ["README.md", "RESULTS.md"])
def test_a_number_is_the_kept_one(page: str, dataset: str) -> None:
    known = numbers(SETS[dataset])
    shown = {row["model"]: row[dataset] for row in rows_of(page, "| model | Gowalla | printed | Yelp2018 |")}
    shown = {model: cell for model, cell in shown.items() if cell}
    assert len(shown) >= 4 and shown.items() <= known.items()


def signed(text: str) -> str:
    return f"{round(float(text), 4) + 0.0:+.4f}".replace("0.", ".", 1)


def percent(text: str) -> str:
    return f"{round(100 * float(text), 1) + 0.0:+.1f} %"


def test_a_verdict_is_the_kept_one() -> None:
    known = {name: kept(folder, "claims").query("claim == 'field'") for name, folder in SETS.items()}
    shown = rows_of("RESULTS.md", "| what is said | by |")
    assert len(shown) >= 10
    for row in shown:
        statement, dataset, metric = row["what is said"].rsplit(", ", 2)
        name, k = metric.split("@")
        found = known[dataset].query("statement == @statement and metric == @name and k == @k")
        kept_row = found[found["paper"] == row["by"]].iloc[0]
        assert row["verdict"] == kept_row["verdict"], row
        difference, low, high = (signed(kept_row[n]) for n in ("difference", "ci_low", "ci_high"))
        assert row["difference (95 % interval)"] == f"{difference} ({low} to {high})"
        assert [row["gain"], row["printed gain"]] == [
            percent(kept_row[n]) for n in ("gain", "published_gain")
        ]


def test_the_counts_of_verdicts_are_the_kept_ones() -> None:
    text = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    for name, folder in SETS.items():
        counts = kept(folder, "claims").query("claim == 'field'")["verdict"].value_counts()
        said = ", ".join(f"{counts.get(v, 0)} {v}" for v in ("reproduced", "not reproduced", "cannot tell"))
        assert f"{name}: {said}" in text
