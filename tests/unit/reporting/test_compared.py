"""Numbers of a study that have a printed one: the first page lists each of them once, and leaves none out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from small_study import metric_rows, run_row, write_study
from study_rows import change_study

from recspectra.config.study import FigureConfig
from recspectra.reporting.draw import draw_table
from recspectra.reporting.figures.published import printed
from recspectra.reporting.pages import home
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults

DATASET = "ml-1m.diffrec"


def add_rows(path: Path, rows: list[dict]) -> None:
    pd.concat([pd.read_csv(path), pd.DataFrame(rows)]).to_csv(path, index=False)


@pytest.fixture
def files(tmp_path: Path, published: Published) -> StudyResults:
    """Two tables against one printed table, S-Diff under two settings; the first is there under two masks."""
    folder = write_study(tmp_path / "s")
    tuned = run_row("sdiff", "default", "tuned", DATASET, 0, key="another")
    masked = [
        {**row, "mask": "train", "value": 0.1201}
        for row in metric_rows(run_row("sdiff", "default", "main", DATASET, 0), 0.12)
        if (row["history"], row["metric"], row["k"]) == ("train", "recall", 10)
    ]
    add_rows(folder / "runs.csv", [tuned])
    add_rows(folder / "metrics.csv", [*metric_rows(tuned, 0.15), *masked])
    table = {"protocol": "sdiff", "metrics": ["recall"], "k": [10], "published": "sdiff/table1"}
    views = [{"history": "train", "mask": mask} for mask in ("train", "train+valid")]
    tables = [
        {**table, "name": "main", "title": "M", "groups": ["main"], "views": views},
        {**table, "name": "again", "title": "A", "groups": ["main"], "views": views},
        {**table, "name": "tuned", "title": "T", "groups": ["tuned"], "views": views[1:]},
    ]
    files = change_study(folder, tables=tables)
    for one in files.config.tables:
        draw_table(files, one, published)
    return files


def test_masks_and_settings_are_told_apart_and_a_second_table_adds_nothing(
    files: StudyResults, published: Published
) -> None:
    found = home.compared(SimpleNamespace(files=files, page="s.html"), published)
    points = [point for point in found if point["model"] == "S-Diff"]
    where = f"Title of {DATASET}, history train, mask "
    assert [(p["where"], p["ours"], p["table"]) for p in points] == [
        (f"{where}train", 0.1201, "main"),
        (f"{where}train+valid", 0.13, "main"),
        (f"{where}train+valid", 0.15, "tuned"),
    ]


def test_the_figure_has_a_point_for_each_setting_and_the_closest_of_its_views(
    files: StudyResults, published: Published
) -> None:
    frame = printed(files, FigureConfig(name="p", title="P", kind="published"), published).frame
    assert sorted(frame.loc[frame["label"] == "S-Diff", "ours"]) == pytest.approx([0.13, 0.15])
