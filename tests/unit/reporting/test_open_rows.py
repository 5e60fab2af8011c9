"""Cells without a number: what was not run, what was run elsewhere, and a table of nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_study import DATASETS, ROOT, cell, laid, study_json, write_study
from study_rows import change_study

from recspectra.reporting.draw import draw_table
from recspectra.reporting.published import Published
from recspectra.reporting.tables import read

NOTHING = "No run belongs to this table."
OPEN_NOTE = "not run: the paper lists it, this study does not run it."


def drawn_with(folder: Path, **changes: Any) -> Path:
    """Draw the tables of the small study, the first of them with other settings."""
    write_study(folder)
    first, *others = study_json()["tables"]
    files = change_study(folder, tables=[first | changes, *others])
    for table in files.config.tables:
        draw_table(files, table, Published(ROOT))
    return folder


def texts(folder: Path, name: str = "first") -> list[str]:
    return [(folder / f"table-{name}{suffix}").read_text() for suffix in (".md", ".tex")]


@pytest.fixture(scope="module")
def with_open_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_with(tmp_path_factory.mktemp("open") / "s", open_rows=True)


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_with(tmp_path_factory.mktemp("plain") / "s")


# -------------------------------------------------------------------------------- statuses


def test_a_published_model_that_is_not_run_is_an_open_row(with_open_rows: Path) -> None:
    frame = read(with_open_rows, "first")
    listed = Published(ROOT).table("sdiff/table1").methods
    run = {"ease", "sdiff", "gfcf", "giffcf", "bspm"}
    absent = [name for name, ours in listed.items() if ours.split("/")[0] not in run]
    assert "LightGCN" in absent
    opened = frame[frame["status"] == "open"]
    assert list(dict.fromkeys(opened["row"])) == absent
    assert opened["mean"].isna().all() and (opened["seeds"] == 0).all()
    assert len(opened) == 2 * 2 * len(absent)  # two datasets, two metrics
    line = opened[(opened["row"] == "LightGCN") & (opened["dataset"] == "ml-1m.diffrec")].iloc[0]
    assert line["published"] > 0
    shown = cell(with_open_rows, "LightGCN", "ml-1m.diffrec", "recall@10")
    assert (shown.text, shown.rank, shown.failed) == ("not run", 0, False)
    assert shown.published == f"{line['published']:.4f}"
    markdown, latex = texts(with_open_rows)
    assert "| LightGCN | not run<br>published" in markdown and "LightGCN & not run &" in latex
    assert OPEN_NOTE in markdown and OPEN_NOTE in latex


def test_open_rows_leave_the_others_as_they_were(with_open_rows: Path, as_it_is: Path) -> None:
    frame, before = read(with_open_rows, "first"), read(as_it_is, "first")
    kept = frame[frame["status"] != "open"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)
    assert "open" not in set(before["status"])
    assert all(OPEN_NOTE not in text for text in texts(as_it_is))


@pytest.mark.parametrize("changes", [{"open_rows": False}, {"open_rows": True, "published": None}])
def test_rows_are_open_only_where_a_table_asks_and_a_paper_lists(tmp_path: Path, changes: dict) -> None:
    folder = drawn_with(tmp_path / "s", **changes)
    assert "open" not in set(read(folder, "first")["status"])
    assert all(OPEN_NOTE not in text for text in texts(folder))


def test_a_model_that_ran_elsewhere_alone_is_missing(as_it_is: Path) -> None:
    frame = read(as_it_is, "first")
    places = dict(list(frame.groupby(["row", "dataset"])))
    lines = places["BSPM", "tiny"]
    assert list(lines["status"]) == ["missing"] * 2 and list(lines["seeds"]) == [0, 0]
    assert lines["mean"].isna().all()
    assert set(places["BSPM", "ml-1m.diffrec"]["status"]) == {"oom"}
    assert set(places["EASE", "tiny"]["status"]) == {"ok"}
    shown = cell(as_it_is, "BSPM", "tiny", "recall@10")
    assert (shown.text, shown.failed) == ("\u2013", False)


# ------------------------------------------------------------------------------ empty tables


def test_only_a_table_without_rows_says_that_no_run_belongs_to_it(tmp_path: Path, as_it_is: Path) -> None:
    empty = drawn_with(tmp_path / "s", groups=["nobody"])
    assert laid(empty, "first").rows == []
    assert all(NOTHING in text for text in texts(empty))
    for folder, name in ((empty, "wide"), (as_it_is, "first"), (as_it_is, "wide")):
        assert laid(folder, name).rows
        assert all(NOTHING not in text for text in texts(folder, name))


def test_a_table_of_one_dataset_has_no_column_of_another(tmp_path: Path) -> None:
    folder = drawn_with(tmp_path / "s", datasets=DATASETS[1:])
    assert {column.levels[0] for column in laid(folder, "first").columns[1:]} == {"Title of tiny"}
    assert set(read(folder, "first")["status"]) == {"ok"}
