"""Results of others: names that lead out of their folder are neither linked to nor packed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from small_study import ROOT, draw_numbers, study_json, write_study

from recspectra.reporting.results import StudyError, StudyResults
from recspectra.reporting.site import write_report

OUT = ["../../../../secret", "/etc", "a/b", "..", "a\\b", "x" * 300, "no\nname"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_study(tmp_path_factory.mktemp("others") / "results" / "studies" / "fixture")
    (folder / "study.json").write_text(json.dumps(study_json() | {"figures": []}))
    draw_numbers(folder)
    return folder


def rename(path: Path, column: str, name: str) -> str:
    """Give all rows of the first run of a CSV file another name; return what the file was."""
    before = path.read_text(encoding="utf-8")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame[column] = frame[column].replace(frame[column][0], name)
    frame.to_csv(path, index=False)
    return before


@pytest.mark.parametrize("name", OUT, ids=range(len(OUT)))
@pytest.mark.parametrize("column", ["dataset", "model", "key", "seed"])
def test_a_name_is_no_path(column: str, name: str, drawn: Path) -> None:
    before = rename(drawn / "runs.csv", column, name)
    try:
        with pytest.raises(StudyError, match=f"runs.csv: {column} .* is no name; delete the file"):
            _ = StudyResults(drawn).runs
    finally:
        (drawn / "runs.csv").write_text(before, encoding="utf-8")


def test_the_zip_holds_nothing_from_outside(drawn: Path) -> None:
    """The zip took the file along, under a name that leads out of where it is unpacked."""
    results = drawn.parents[1]
    run = pd.read_csv(drawn / "runs.csv", dtype=str, keep_default_na=False).iloc[0]
    (results / "logs" / "fit" / run.dataset / run.model).mkdir(parents=True)
    (results.parent / f"secret-seed-{run.seed}.log").write_text("SECRET")
    before = {
        name: rename(drawn / name, "key", "../../../../../secret") for name in ("runs.csv", "metrics.csv")
    }
    try:
        with pytest.raises(StudyError, match="is no name"):
            write_report(results / "report" / "index.html", [drawn], ROOT)
    finally:
        for name, text in before.items():
            (drawn / name).write_text(text, encoding="utf-8")
    assert not (results / "report.zip").exists()
    write_report(results / "report" / "index.html", [drawn], ROOT)
    with zipfile.ZipFile(results / "report.zip") as archive:
        assert all(".." not in name and not name.startswith("/") for name in archive.namelist())


def test_datasets_of_a_study_are_names(drawn: Path) -> None:
    path = drawn / "study.json"
    before = path.read_text(encoding="utf-8")
    path.write_text(json.dumps(json.loads(before) | {"datasets": ["../../x"]}), encoding="utf-8")
    try:
        with pytest.raises(StudyError, match="study.json: datasets '../../x' is no name"):
            StudyResults(drawn)
    finally:
        path.write_text(before, encoding="utf-8")
