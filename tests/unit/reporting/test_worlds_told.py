"""`worlds.csv`, its sentences and its matrix, from worlds made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import GAIN, LOO, ROOT, Model, write
from study_rows import change_study, texts_of

from recspectra.config.scale import CAPPED_MARK
from recspectra.config.study import FigureConfig
from recspectra.evaluation.turning import COLUMNS, DIMENSIONS
from recspectra.reporting import worlds
from recspectra.reporting.figures import draw_figure, figure_data
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyError, StudyResults

BOTH = ("train+valid", "train+valid")
PLACES = [
    ("ndcg", 10, "larger-id", *BOTH, "all"),
    ("ndcg", 20, "larger-id", *BOTH, "all"),
    ("ndcg", 10, "larger-id", *BOTH, "activity-4"),
    ("mrr", 20, "larger-id", "train", "train", "all"),
]
# WPGRec is above SGL but for the most active users, and never above EASE
VALUES = {"wpgrec": [0.3, 0.3, 0.3, 0.3], "sgl": [0.2, 0.2, 0.4, 0.1], "ease": [0.4, 0.5, 0.6, 0.31]}
FIGURE = {"name": "worlds", "title": "Worlds", "kind": "worlds"}


@pytest.fixture
def files(tmp_path: Path) -> StudyResults:
    base = np.full((1, 20), 0.1)
    models = {name: Model(base, kind="closed-form") for name in VALUES}
    best = GAIN | {"statement": "WPGRec is best", "rivals": ["sgl"]}
    claims = [best, best | {"name": "all", "rivals": ["sgl", "ease"]}]
    made = write(tmp_path / "s", {LOO: models}, claims)
    rows = [
        {"dataset": LOO, "model": name, "variant": "default", "key": f"{name}-default", "fit": "train",
         **dict(zip(DIMENSIONS, place, strict=True)), "value": value, "seeds": 1}
        for name, values in VALUES.items() for place, value in zip(PLACES, values, strict=True)
    ]  # fmt: skip
    (made.folder / "worlds").mkdir()
    pd.DataFrame(rows, columns=COLUMNS).to_parquet(made.folder / "worlds" / f"{LOO}.parquet", index=False)
    return change_study(made.folder, figures=[FIGURE])


def test_shares_and_turns_are_those_of_the_worlds(files: StudyResults) -> None:
    frame = worlds.build(files, Published(ROOT))
    pairs = frame[frame["scope"] == "pair"].set_index(["subject", "rival"])["above"]
    assert pairs["WPGRec", "SGL"] == 0.75 and pairs["SGL", "WPGRec"] == 0.25 and pairs["EASE", "WPGRec"] == 1
    one = frame[(frame["claim"] == "best") & (frame["scope"] == "claim")].iloc[0]
    assert (one["above"], one["changes"], one["to_users"]) == (0.75, 1, "activity-4")
    assert one["difference"] == pytest.approx(0.1) and one["to_difference"] == pytest.approx(-0.1)
    both = frame[frame["claim"] == "all"].set_index("rival")
    assert list(both["scope"]) == ["claim", "rival", "rival"]
    assert both.loc[worlds.BEST, "above"] == 0.0 and both.loc[worlds.BEST, "changes"] == 0


def test_words_say_what_turns_a_claim_and_what_nothing_turns(files: StudyResults) -> None:
    assert worlds.draw_worlds(files, Published(ROOT)) == ["worlds.csv", "worlds.md"]
    first, second, last = worlds.tell(files, worlds.read(files))
    assert first.startswith(f'{LOO.upper()}, "WPGRec is best": it turns around with one change: ')
    assert "users: the most active quarter in place of all users (-0.1000 in place of +0.1000)." in first
    assert "WPGRec is above SGL in 75 % of 4 worlds and under the claim's own protocol." in first
    assert "no world turns it around" in second and "not under the claim's own protocol" in second
    assert "a small difference may be chance" in last


def test_the_matrix_holds_every_pair_and_stands_in_order(files: StudyResults) -> None:
    figure = FigureConfig(**FIGURE)
    what = figure_data(files, figure)
    assert list(dict.fromkeys(what.frame["series"])) == ["EASE", "WPGRec", "SGL"]
    assert len(what.frame) == 9 and set(what.frame["worlds"]) == {4}
    assert "Share of 4 worlds" in what.caption and "EASE stands on top" in what.alt
    assert draw_figure(files, figure) == [f"fig-worlds.{end}" for end in ("svg", "png", "csv", "txt")]


def test_a_model_that_a_cap_ended_has_its_mark_on_both_sides_of_the_matrix(files: StudyResults) -> None:
    runs = texts_of(files.folder, "runs")
    runs.loc[runs["model"] == "sgl", "status"] = "capped"
    runs.to_csv(files.folder / "runs.csv", index=False)
    files, figure = StudyResults(files.folder), FigureConfig(**FIGURE)
    what = figure_data(files, figure)
    assert f"{CAPPED_MARK} SGL" in set(what.frame["series"]) & set(what.frame["rival"])
    assert "a cap of the scale ended fits of SGL" in what.caption
    assert draw_figure(files, figure)


def test_settings_that_two_figures_call_the_same_are_told_apart(files: StudyResults) -> None:
    runs = texts_of(files.folder, "runs")
    other = runs[runs["model"] == "sgl"].assign(group="low", key="sgl-low")
    pd.concat([runs, other]).to_csv(files.folder / "runs.csv", index=False)
    path = files.folder / "worlds" / f"{LOO}.parquet"
    values = pd.read_parquet(path)
    low = values[values["model"] == "sgl"].assign(key="sgl-low", value=1.0)
    pd.concat([values, low]).to_parquet(path, index=False)
    figures = [FIGURE | {"group": "main"}, FIGURE | {"name": "lower", "group": "low"}]
    files = change_study(files.folder, figures=figures)
    pairs = worlds.build(files, Published(ROOT)).set_index(["subject", "rival"])["above"]
    assert pairs["SGL [low]", "SGL [main]"] == 1.0 and pairs["WPGRec", "SGL [main]"] == 0.75
    assert "SGL" in set(figure_data(files, files.config.figures[0]).frame["series"])


def test_worlds_that_nobody_scored_are_missed_by_name(files: StudyResults) -> None:
    (files.folder / "worlds" / f"{LOO}.parquet").unlink()
    with pytest.raises(StudyError, match=r"worlds/lastfm.loo.parquet: file not found; run the study again"):
        worlds.build(files, Published(ROOT))


def test_a_study_without_such_a_figure_has_no_worlds(files: StudyResults) -> None:
    assert worlds.draw_worlds(change_study(files.folder, figures=[]), Published(ROOT)) == []
