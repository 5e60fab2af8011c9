"""Tables of users by activity, and the figure of accuracy against seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import LOO, Model, write
from study_rows import texts_of

from recspectra.config.base import ConfigError
from recspectra.config.study import FigureConfig, TableConfig
from recspectra.config.yaml_io import validate
from recspectra.reporting import activity
from recspectra.reporting.figures import render
from recspectra.reporting.figures.trade_off import Box, on_front, trade_off
from recspectra.reporting.results import StudyResults
from recspectra.reporting.table import BEST
from recspectra.reporting.tables import CAPPED_NOTE

TABLE = {"name": "activity", "title": "Users", "kind": "activity", "protocol": "wpgrec", "metrics": ["ndcg"],
         "k": [10]}  # fmt: skip
FIGURE = {"name": "seconds", "title": "Seconds", "kind": "trade-off", "protocol": "wpgrec"}
USERS = 80  # hand-made users 2 j and 2 j + 1 have j + 1 interactions
FIRST = np.linspace(0.0, 1.0, USERS)[None]


def study(folder: Path, **models: Model) -> StudyResults:
    return write(folder / "s", {LOO: models}, [])


def test_a_mean_is_that_of_the_users_of_its_quarter(tmp_path: Path) -> None:
    second = np.stack([FIRST[0] / 2, FIRST[0]])  # two seeds
    files = study(tmp_path, ease=Model(FIRST), sgl=Model(second))
    table = validate(TableConfig, TABLE, "study.yaml")
    frame = activity.build(files, table, None)
    ease = frame[frame["row"] == "EASE"].sort_values("quarter")
    quarters = FIRST.reshape(4, -1)
    assert ease["mean"].to_numpy() == pytest.approx(quarters.mean(axis=1))
    assert ease["users"].tolist() == [20] * 4
    sgl = frame[frame["row"] == "SGL"].sort_values("quarter")
    assert sgl["mean"].to_numpy() == pytest.approx(0.75 * quarters.mean(axis=1))
    laid = activity.lay_out(files, table, None, frame)
    assert [column.title for column in laid.columns][1:3] == ["fewest interactions", "2nd quarter"]
    assert laid.notes[-1] == "LASTFM.LOO: 20, 20, 20, 20 users, from the fewest interactions to the most."
    assert [cell.rank for cell in laid.rows[0]][1:] == [1] * 4


def test_underlined_is_what_cannot_be_told_from_the_best(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    like = FIRST + random.normal(0.0, 0.2, FIRST.shape)
    models = {"ease": Model(FIRST + 0.5), "dgrec": Model(FIRST, status="capped"), "sgl": Model(like)}
    table = validate(TableConfig, TABLE, "study.yaml")
    files = study(tmp_path / "clear", **models)
    frame = activity.build(files, table, None)
    assert frame.groupby("row")["standing"].unique().map(list).to_dict() == {
        "EASE": ["best"], "DGRec": ["below"], "SGL": ["below"]
    }  # fmt: skip
    laid = activity.lay_out(files, table, None, frame)
    assert [[cell.rank for cell in row[1:]] for row in laid.rows] == [[BEST] * 4, [0] * 4, [0] * 4]
    assert all(cell.text.endswith("\u00b6") for cell in laid.rows[1][1:]) and CAPPED_NOTE in laid.notes
    (told,) = laid.legend()
    assert told.startswith("Best in bold. Every other model of a column can be told from its best.")
    files = study(tmp_path / "near", dgrec=Model(FIRST), sgl=Model(like))
    frame = activity.build(files, table, None)
    assert set(frame["standing"]) == {"best", "tied"}
    laid = activity.lay_out(files, table, None, frame)
    assert any(line.startswith("Underlined: cannot be told from the best") for line in laid.legend())


def test_a_table_without_metrics_is_refused() -> None:
    with pytest.raises(ConfigError, match="a table of kind activity needs `k`"):
        validate(TableConfig, TABLE | {"k": []}, "study.yaml")


# ------------------------------------------------------------------- accuracy against seconds


def test_the_front_is_what_nothing_as_fast_reaches() -> None:
    points = pd.DataFrame({"seconds": [3.0, 1.0, 2.0, 1.0, 9.0], "value": [0.5, 0.3, 0.2, 0.1, 0.5]})
    assert on_front(points).tolist() == [True, True, False, False, False]


def test_seconds_are_those_of_all_stages(tmp_path: Path) -> None:
    models = {"ease": Model(FIRST), "sgl": Model(FIRST / 2), "dgrec": Model(FIRST, kind="lists")}
    files = study(tmp_path, **models, lost=Model(None, status="oom"))
    runs = texts_of(files.folder, "runs").assign(
        spectrum_seconds=["", "1.5", "", ""], fit_seconds=["4", "2", "", ""], score_seconds=["1", "3", "", ""]
    )
    runs.to_csv(files.folder / "runs.csv", index=False)
    files = StudyResults(files.folder)
    what = trade_off(files, validate(FigureConfig, FIGURE, "study.yaml"))
    found = what.frame.set_index("series")
    assert found["seconds"].to_dict() == {"EASE": 5.0, "SGL": 6.5}
    assert found["value"].to_dict() == pytest.approx({"EASE": 0.5, "SGL": 0.25})
    assert found["front"].to_dict() == {"EASE": True, "SGL": False}
    picture = render(what, validate(FigureConfig, FIGURE, "study.yaml"))
    assert [text.get_text() for text in picture.axes[0].texts] == ["EASE", "SGL (0.2500)"]


def test_a_study_without_times_draws_an_empty_frame(tmp_path: Path) -> None:
    files = study(tmp_path, lost=Model(None, status="oom"))
    what = trade_off(files, validate(FigureConfig, FIGURE, "study.yaml"))
    assert what.frame.empty and "no finished run has a time" in what.reason


def test_labels_share_no_room_where_there_is_room(tmp_path: Path) -> None:
    names = {f"m{i}": Model(FIRST * (1 - i / 100)) for i in range(8)}
    files = study(tmp_path, **names)
    figure = validate(FigureConfig, FIGURE, "s")
    picture = render(trade_off(files, figure), figure)
    boxes = [Box(x - 0.02, y - 0.02, x + 0.02, y + 0.02) for x, y in (t.xyann for t in picture.axes[0].texts)]
    assert all(a.shared(b) == 0 for i, a in enumerate(boxes) for b in boxes[:i])
