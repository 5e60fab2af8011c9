"""Tables of kept numbers in pages: what they say, what they refuse, and that RESULTS.md is up to date."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from small_study import ROOT

from recspectra.config.base import ConfigError
from recspectra.reporting.claims.common import COLUMNS as CLAIM_COLUMNS
from recspectra.reporting.kept import fill
from recspectra.reporting.published import Published
from recspectra.reporting.results import COLUMNS, StudyError

KEPT = ROOT / "results" / "reference"
PLACE = "tiny/paper/ml-100k.higsp"


@pytest.fixture(scope="module")
def published() -> Published:
    return Published(ROOT)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Two seeds of GF-CF, one of LightGCN that a cap ended, and three claims."""
    folder = tmp_path / PLACE
    folder.mkdir(parents=True)
    runs, numbers = [], []
    made = [("gfcf", "GF-CF", 0, 0.5, "ok"), ("gfcf", "GF-CF", 1, 0.25, "ok")]
    for model, title, seed, value, status in [*made, ("lightgcn", "LightGCN", 0, 0.125, "capped")]:
        runs.append({"model": model, "title": title, "group": "main", "variant": "default", "key": "k",
                     "seed": seed, "fit": "train", "status": status})  # fmt: skip
        place = {"dataset": "ml-100k.higsp", "protocol": "standard", "history": "train+valid",
                 "mask": "train+valid", "users": "all", "metric": "ndcg", "k": 10}  # fmt: skip
        numbers.append({name: runs[-1][name] for name in ("model", "variant", "key", "seed", "fit")}
                       | place | {"value": value, "status": status})  # fmt: skip
    claim = {"claim": "best", "paper": "gsprec", "place": "Table 4", "kind": "gain", "scope": "claim",
             "statement": "A is best", "subject": "A", "rival": "B", "metric": "ndcg", "k": 10, "ours": 0.5,
             "ours_rival": 0.4, "difference": 0.1, "ci_low": 0.05, "ci_high": 0.15, "gain": 0.25,
             "published_gain": 0.1, "verdict": "reproduced"}  # fmt: skip
    value = {"claim": "values", "paper": "gsprec", "place": "Table 4", "kind": "value", "scope": "claim",
             "statement": "it prints", "metric": "ndcg", "k": 10, "verdict": "cannot tell",
             "reason": "other files"}  # fmt: skip
    values = [
        value | {"subject": name, "published": 0.75, "ours": ours} for name, ours in (("C", 0.5), ("D", None))
    ]
    hidden = claim | {"scope": "rival", "statement": "not shown"}
    for name, rows, columns in (
        ("runs", runs, COLUMNS["runs"].split()),
        ("metrics", numbers, COLUMNS["metrics"].split()),
        ("claims", [claim, hidden, *values], CLAIM_COLUMNS),
    ):
        pd.DataFrame(rows).reindex(columns=columns).to_csv(folder / f"{name}.csv", index=False)
    return tmp_path


def page(*lines: str) -> str:
    return "\n".join(["before", "<!-- kept", *lines, "-->", "| old |", "<!-- end -->", "after", ""])


MODELS = ("table: models", "metrics: [ndcg@10]", "protocol: standard", "columns:")
CLAIMS = ("table: claims", f"of: [{PLACE}]")


def test_claims_have_verdict_number_interval_and_what_is_printed(kept: Path, published: Published) -> None:
    found = fill(page(*CLAIMS), kept, published)
    assert "| A is best (gsprec, Table 4) | reproduced | ndcg@10: A 0.5000, B 0.4000; +0.1000 " in found
    assert "(+0.0500 to +0.1500), +25.0% (printed +10.0%). |" in found
    assert "C 0.5000 (printed 0.7500), D not run (printed 0.7500). Other files. |" in found
    assert "All 3 claims: 1 reproduced, 0 not reproduced, 2 cannot tell." in found
    assert "not shown" not in found and "old" not in found
    assert found.startswith("before\n<!-- kept\n") and found.endswith("<!-- end -->\nafter\n")
    assert fill(found, kept, published) == found


def test_rows_of_several_histories_say_theirs_and_what_is_untold_says_why(
    kept: Path, published: Published
) -> None:
    path = kept / PLACE / "claims.csv"
    rows = pd.read_csv(path).assign(history="train", mask="train")
    other = rows.iloc[:1].assign(
        history="train+valid", mask="train+valid", ci_low=-0.05, verdict="cannot tell"
    )
    pd.concat([rows, other]).to_csv(path, index=False)
    found = fill(page(*CLAIMS), kept, published)
    assert "| reproduced | ndcg@10, history train: A 0.5000" in found
    assert "| cannot tell | ndcg@10, history train+valid: A 0.5000" in found
    assert "(printed +10.0%). The interval holds 0. |" in found
    rows.to_csv(path, index=False)
    assert "history" not in fill(page(*CLAIMS), kept, published)


def test_claims_of_a_scope_or_name_alone(kept: Path, published: Published) -> None:
    found = fill(page(*CLAIMS, "scopes: [rival]"), kept, published)
    assert "not shown" in found and "A is best" not in found
    found = fill(page(*CLAIMS, "claims: [values]"), kept, published)
    assert "it prints" in found and "A is best" not in found
    shutil.copytree(kept / PLACE, kept / "tiny/paper/other")
    both = fill(page("table: claims", f"of: [{PLACE}, tiny/paper/other]"), kept, published)
    assert "| ml-100k.higsp | A is best" in both and "| other | A is best" in both


def test_models_stand_in_the_order_of_the_first_column_with_them(kept: Path, published: Published) -> None:
    first = fill(page(*MODELS, f"  - {{title: a, of: {PLACE}}}"), kept, published)
    names = [line.split("|")[1] for line in first.splitlines() if line.startswith("| ")]
    for i in range(6):  # the order of a set of six names is another one nearly every time
        shutil.copytree(kept / PLACE, kept / f"tiny/paper/other{i}")
        runs = pd.read_csv(kept / f"tiny/paper/other{i}/runs.csv")
        runs.iloc[::-1].to_csv(kept / f"tiny/paper/other{i}/runs.csv", index=False)
    others = (f"  - {{title: b{i}, of: tiny/paper/other{i}}}" for i in range(6))
    found = fill(page(*MODELS, f"  - {{title: a, of: {PLACE}}}", *others), kept, published)
    assert [line.split("|")[1] for line in found.splitlines() if line.startswith("| ")] == names
    assert len(names) > 3


def test_models_have_means_over_seeds_and_what_is_printed(kept: Path, published: Published) -> None:
    columns = (
        f"  - {{title: ours, of: {PLACE}}}",
        f"  - {{title: printed, of: {PLACE}, printed: gsprec/table4}}",
    )
    found = fill(page(*MODELS, *columns), kept, published)
    assert "| GF-CF | .3750 | .6843\u2020 |" in found and "| LightGCN | .1250\\* | .6771\u2020 |" in found
    assert "\u2020 Printed with another definition of the metric." in found
    assert "\\* A cap ended it." in found


def test_what_ran_counts_each_fit_once_and_patience_in_the_main_table(
    tmp_path: Path, published: Published
) -> None:
    """Half an hour of fits, one of them in two groups, and as much of trials."""
    fit = {"dataset": "d", "model": "mf", "title": "MF", "kind": "trained", "variant": "default",
           "fit": "train", "status": "ok", "spectrum_seconds": 0, "score_seconds": 0, "key": "k",
           "params": '{"epochs": 50}'}  # fmt: skip
    rows = [
        fit | {"group": "main", "seed": 0, "fit_seconds": 500, "epochs": 20},
        fit | {"group": "main", "seed": 1, "fit_seconds": 600, "epochs": 50},
        fit | {"group": "main", "seed": 2, "fit_seconds": 100, "epochs": 20, "status": "capped"},
        fit | {"group": "parts", "seed": 0, "fit_seconds": 500, "epochs": 20},
        fit | {"group": "parts", "seed": 0, "fit_seconds": 600, "epochs": 20, "key": "other"},
    ]
    trials = [
        {"dataset": "d", "model": "mf", "key": "k", "budget": 2, "trial": i, "seconds": 900} for i in (1, 2)
    ]
    folder = tmp_path / PLACE
    folder.mkdir(parents=True)
    for name, lines in (("runs", rows), ("tuning", trials)):
        frame = pd.DataFrame(lines).reindex(columns=COLUMNS[name].split())
        frame.to_csv(folder / f"{name}.csv", index=False)
    found = fill(page("table: runs", f"of: [{PLACE}]"), tmp_path, published)
    assert "| tiny | paper | ml-100k.higsp | 1 | 4 | 2 | 1 of 3 | 1.0 |" in found
    rows = [row | {"kind": "closed-form", "params": "{}", "epochs": None} for row in rows]
    pd.DataFrame(rows).reindex(columns=COLUMNS["runs"].split()).to_csv(folder / "runs.csv", index=False)
    pd.DataFrame(columns=COLUMNS["tuning"].split()).to_csv(folder / "tuning.csv", index=False)
    found = fill(page("table: runs", f"of: [{PLACE}]"), tmp_path, published)
    assert "| 1 | 4 |  | none is trained | 0.5 |" in found


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("table: figure",), "neither claims, models nor runs"),
        (("of: [a]",), "neither claims, models nor runs"),
        (("table: claims", "of: []"), "of"),
        ((*CLAIMS, "claims: [nothing]"), "no row"),
        ((*CLAIMS, "colour: red"), "colour"),
        ((*MODELS, f"  - {{title: x, of: {PLACE}, history: train}}"), "no number of ndcg@10 for column x"),
        ((*MODELS, f"  - {{title: x, of: {PLACE}}}", "group: parts"), "no run has group parts"),
        (("table: [",), "not valid YAML"),
        (("table: [claims]",), "neither claims, models nor runs"),
        ((*CLAIMS, "claims: [best, nothing]"), "no row has claims ['nothing']"),
        ((*MODELS, f"  - {{title: x, of: {PLACE}, metrics: [ndcg]}}"), "columns[0].metrics[0]"),
    ],
    ids=str,
)
def test_a_wrong_comment_is_refused_by_name(
    lines: tuple[str, ...], said: str, kept: Path, published: Published
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        fill(page(*lines), kept, published)


def test_a_table_without_its_end_does_not_take_the_text_behind_it(kept: Path, published: Published) -> None:
    whole = page(*CLAIMS)
    unended = whole.replace("<!-- end -->\n", "")
    with pytest.raises(ConfigError, match="what stands between would be lost"):
        fill(unended + whole, kept, published)
    with pytest.raises(ConfigError, match="has no <!-- end --> behind it"):
        fill(whole + unended, kept, published)


def test_what_is_not_kept_is_named(kept: Path, published: Published) -> None:
    with pytest.raises(StudyError, match="claims.csv"):
        fill(page("table: claims", "of: [tiny/paper/absent]"), kept, published)


def test_results_md_holds_the_kept_numbers(published: Published) -> None:
    """`make results` writes its tables; RESULTS.md is committed as it leaves them."""
    text = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    assert text.count("<!-- kept") >= 5
    assert fill(text, KEPT, published) == text


@pytest.mark.parametrize(
    "name", ["README.md", "RESULTS.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_no_page_holds_a_blank_to_be_filled(name: str) -> None:
    assert not re.search(r"@[A-Z]+@|TODO|XXX", (ROOT / name).read_text(encoding="utf-8"))
