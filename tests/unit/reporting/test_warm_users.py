"""A study with numbers of warm users: tables, notes, findings' numbers and frozen results."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from small_study import HOSTILE, study_json, write_study
from study_rows import change_study, texts_of

from recspectra.config.catalog import Catalog
from recspectra.data.reach import COLUMNS as REACH
from recspectra.reporting import datasets, reference
from recspectra.reporting.draw import draw_table
from recspectra.reporting.footnotes import footnotes
from recspectra.reporting.pages import study as report
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults
from recspectra.reporting.table import to_text
from recspectra.reporting.tables import build, layout, read

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = Published(ROOT)
COUNTS = {
    "test_users": 169,
    "test_targets": 2000,
    "cold_users": 120,
    "cold_users_with_valid": 80,
    "cold_targets": 1500,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The small study, with ten times the value for warm users of its second dataset."""
    folder = write_study(tmp_path / "fixture")
    metrics = texts_of(folder, "metrics")
    warm = metrics[metrics["dataset"] == "tiny"].assign(users="warm")
    number = warm["value"] != ""
    warm.loc[number, "value"] = (warm.loc[number, "value"].astype(float) / 10).astype(str)
    pd.concat([metrics, warm]).to_csv(folder / "metrics.csv", index=False)
    data = texts_of(folder, "datasets").assign(**dict.fromkeys(REACH, "0"))
    for name, value in COUNTS.items():
        data.loc[data["dataset"] == "tiny", name] = str(value)
    data.to_csv(folder / "datasets.csv", index=False)
    return folder


def table_of(folder: Path, name: str):
    return next(t for t in StudyResults(folder).config.tables if t.name == name)


def test_metrics_are_those_of_the_protocols_own_users(folder: Path) -> None:
    files = StudyResults(folder)
    assert set(files.metrics["users"]) == {"all"}
    assert set(files.warm_metrics["users"]) == {"warm"}
    assert len(files.metrics) == len(texts_of(folder, "metrics").query("users == 'all'"))


def test_a_protocol_of_warm_users_has_these_as_its_own(folder: Path) -> None:
    files = change_study(folder, protocols={"sdiff": study_json()["protocols"]["sdiff"] | {"users": "warm"}})
    assert set(files.metrics["users"]) == {"warm"}
    assert files.warm_metrics.empty
    long = build(files, table_of(folder, "first"), PUBLISHED)
    assert set(long["users"]) == {"warm"}
    assert long["published"].isna().all()  # papers print means over all test users


def test_a_table_has_a_block_of_warm_users_where_some_are_cold(folder: Path) -> None:
    table = table_of(folder, "first")
    draw_table(StudyResults(folder), table, PUBLISHED)
    laid = layout(read(folder, "first"), StudyResults(folder).titles)
    blocks = [heading for heading, _ in laid.parts()]
    view = "history train+valid, mask train+valid"
    assert blocks == [
        f"Title of ml-1m.diffrec, {view}", f"Title of tiny, {view}", f"Title of tiny, {view}, warm users only"
    ]  # fmt: skip
    (row,) = (row for row in laid.rows if row[0].text == "EASE")
    found = {(*c.levels, c.title): cell.text for c, cell in zip(laid.columns, row, strict=True)}
    assert found["Title of tiny", view, "recall@10"] == "0.3000"
    assert found["Title of tiny", f"{view}, warm users only", "recall@10"] == "0.0300"
    for suffix in ("md", "tex"):
        assert "warm users only" in (folder / f"table-first.{suffix}").read_text()
    assert "warm users only" in to_text(laid)


def test_notes_say_who_is_cold_under_tables_of_that_dataset_alone(folder: Path) -> None:
    files, table = StudyResults(folder), table_of(folder, "first")
    note = (
        "Title of tiny: 120 of 169 test users have no training interaction (80 none in train and "
        "valid); they have "
        "1,500 of 2,000 test targets (75.0%)."
    )
    assert note in footnotes(files, table, PUBLISHED)
    other = table.model_copy(update={"datasets": ["ml-1m.diffrec"]})
    assert not any("training interaction" in line for line in footnotes(files, other, PUBLISHED))


def test_the_report_shows_both_groups_and_counts(folder: Path) -> None:
    files = StudyResults(folder)
    for table in files.config.tables:
        draw_table(files, table, PUBLISHED)
    view = report._datasets(files)
    assert [row["cold_users"] for row in view] == ["0", "120"]


def test_numbers_frozen_before_there_were_groups_are_compared(folder: Path, tmp_path: Path) -> None:
    reference.freeze(folder, tmp_path / "reference")
    for path in (tmp_path / "reference").glob("*/*/*/metrics.csv"):
        old = pd.read_csv(path, dtype=str, keep_default_na=False)
        old[old["users"] == "all"].drop(columns="users").to_csv(path, index=False)
    found = reference.compare(folder, tmp_path / "reference")
    assert set(found["outcome"]) == {"equal"}
    assert found["numbers"].min() > 0
    assert HOSTILE in set(found["variant"])


def test_a_study_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "old")
    texts_of(folder, "metrics").drop(columns="users").to_csv(folder / "metrics.csv", index=False)
    files = StudyResults(folder)
    assert set(files.metrics["users"]) == {"all"}
    assert files.warm_metrics.empty
    assert not any("training" in line for line in footnotes(files, table_of(folder, "first"), PUBLISHED))


def test_the_table_of_datasets_shows_what_cannot_be_found(tmp_path: Path) -> None:
    stats = {"users": 943, "items": 1682, "interactions": 100000, "density": 0.06, "mean_length": 106.0}
    place = tmp_path / "data" / "ml-100k.higsp" / "stats.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(stats | COUNTS | {"unknown_items": 7, "masked_targets_with_valid": 5}))
    text = datasets.write(Catalog(ROOT), ["ml-100k.higsp"], tmp_path)
    assert "mean length  test users  cold  unknown items  masked  rows read" in text.splitlines()[2]
    assert text.splitlines()[3].split()[6:10] == ["169", "120", "7", "5"]
    assert "| 169 | 120 | 7 | 5 |" in (tmp_path / "datasets" / "datasets.md").read_text()


def test_a_table_shows_the_groups_that_it_names(folder: Path) -> None:
    table = table_of(folder, "first").model_copy(update={"users": ["warm", "activity-1"]})
    long = build(StudyResults(folder), table, PUBLISHED)
    assert list(dict.fromkeys(long["users"])) == ["warm", "activity-1"]
    assert long.loc[long["users"] == "activity-1", "status"].eq("missing").all()
    blocks = [heading for heading, _ in layout(long, {}).parts()]
    assert any("quarter of users with the fewest interactions" in heading for heading in blocks)
