"""Floor 6: how sure the numbers of a table are: intervals, ties with the best, marks against a reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import GAIN, LOO, ROOT, TABLE, Model, above, gaps_with, judged, write

from recspectra.config.study import FigureConfig, TableConfig
from recspectra.evaluation.simultaneous import seed_variance
from recspectra.reporting.figures.forest import _as_in_tables
from recspectra.reporting.figures.paired import panels_of
from recspectra.reporting.latex import to_latex
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults, select_runs
from recspectra.reporting.table import BEST, DOWN, TIED, UP, Table, to_csv, to_html, to_markdown, to_text
from recspectra.reporting.tables import build, layout

BASE = np.random.default_rng(0).gamma(0.5, 0.2, 60)[None]
OTHER = "ml-100k.higsp"


def table(**more: object) -> TableConfig:
    return TableConfig(**(TABLE | more))


def made(files: StudyResults, **more: object) -> pd.DataFrame:
    return build(files, table(**more), Published(ROOT)).set_index(["dataset", "row"])


def laid(files: StudyResults, **more: object) -> Table:
    return layout(build(files, table(**more), Published(ROOT)), files.titles, table(**more))


def fixed(values: np.ndarray) -> Model:
    return Model(values, kind="closed-form")


def near_ties() -> dict[str, dict[str, Model]]:
    """Two datasets; behind EASE with raw p of .02, .03 and .04, and one far behind."""

    def models(seed: int) -> dict[str, Model]:
        rivals = {"wpgrec": 0.02, "bsarec": 0.03, "dgrec": 0.04}
        near = {name: fixed(BASE - gaps_with(p, seed + i)) for i, (name, p) in enumerate(rivals.items())}
        return {"ease": fixed(BASE), **near, "sgl": fixed(above(BASE, -0.1, seed))}

    return {LOO: models(1), OTHER: models(11)}


def test_near_ties_are_marked_and_what_is_far_behind_is_not(tmp_path: Path) -> None:
    frame = made(write(tmp_path / "s", near_ties(), []))
    for dataset in (LOO, OTHER):
        found = frame.loc[dataset]
        assert found["standing"].to_dict() == {
            "EASE": "best", "WPGRec": "tied", "BSARec": "tied", "DGRec": "tied", "SGL": "below"
        }  # fmt: skip
        # One by one all of them would be told from the best: the correction does it.
        assert (found["behind_p"].drop(["EASE", "SGL"]) > 0.05).all()
        assert (found["behind_low"] <= 0).drop("EASE").equals(found["standing"].eq("tied").drop("EASE"))


def test_alone_a_near_tie_is_told_apart(tmp_path: Path) -> None:
    models = {"ease": fixed(BASE), "wpgrec": fixed(BASE - gaps_with(0.02, 1))}
    assert made(write(tmp_path / "s", {LOO: models}, [])).loc[LOO, "standing"]["WPGRec"] == "below"


def test_equal_models_are_tied(tmp_path: Path) -> None:
    found = made(write(tmp_path / "s", {LOO: {"ease": fixed(BASE), "sgl": fixed(BASE.copy())}}, [])).loc[LOO]
    assert found["standing"].tolist() == ["best", "tied"]
    assert found["behind"].tolist() == [0.0, 0.0]


def test_two_equal_seeds_and_one_seed_show_an_interval(tmp_path: Path) -> None:
    models = {"ease": fixed(BASE), "dgrec": fixed(np.repeat(BASE - 0.01, 2, 0)), "sgl": Model(BASE - 0.02)}
    grid = laid(write(tmp_path / "s", {LOO: models}, []))
    errors = {row[0].text: row[1].error for row in grid.rows}
    assert errors["EASE"] == errors["DGRec"] == errors["SGL"] != ""
    frame = made(write(tmp_path / "again", {LOO: models}, [])).loc[LOO]
    assert float(errors["EASE"]) == pytest.approx((frame["high"] - frame["low"])["EASE"] / 2, abs=5e-5)
    assert float(errors["EASE"]) == pytest.approx(2 * BASE.std() / np.sqrt(60), rel=0.4)


def test_variation_over_seeds_that_is_not_covered_is_said(tmp_path: Path) -> None:
    few = laid(write(tmp_path / "few", {LOO: {"ease": fixed(BASE), "sgl": Model(BASE - 0.02)}}, []))
    assert any("no model was run with a second seed" in text for text in few.legend())
    assert not any("over users and seeds" in text or "other seeds of" in text for text in few.legend())
    names = ("wpgrec", "bsarec", "dgrec", "sgl")
    noise = np.random.default_rng(2).normal(0, 0.01, (4, 4, 60))
    many = {name: Model(BASE - 0.02 + part) for name, part in zip(names, noise, strict=True)}
    assert not any(
        "degrees of freedom" in t for t in laid(write(tmp_path / "many", {LOO: many}, [])).legend()
    )


def test_seeds_of_a_fit_with_two_labels_count_once(tmp_path: Path) -> None:
    values = BASE + 0.01 * np.random.default_rng(1).normal(size=(4, 60))
    both = [Model(values, key="one"), Model(values, key="one", variant="center=0.2")]
    claim = GAIN | {"model": "ease", "rivals": []}
    files = write(tmp_path / "s", {LOO: {"ease": fixed(BASE), "sgl": both}}, [claim])
    assert (made(files)["seeds_df"] == 3).all()
    assert judged(files).loc[0, "df"] == 3
    figure = FigureConfig(name="f", title="F", kind="forest", protocol="wpgrec")
    panel = panels_of(files, figure, select_runs(files))[LOO]
    assert seed_variance(panel).df == 3
    named, _ = _as_in_tables(panel, {(LOO, name): name for name in panel.values})
    assert seed_variance(named).df == 3


def test_marks_against_a_reference_are_in_every_format(tmp_path: Path) -> None:
    models = {"ease": fixed(BASE), "wpgrec": fixed(above(BASE, 0.1, 3)), "sgl": fixed(above(BASE, -0.1, 4)),
              "dgrec": fixed(above(BASE, 0.0, 5, 0.1))}  # fmt: skip
    files = write(tmp_path / "s", {LOO: models}, [])
    verdicts = made(files, reference="ease").loc[LOO, "verdict"].to_dict()
    assert verdicts == {"EASE": "reference", "WPGRec": "above", "SGL": "below", "DGRec": "cannot tell"}
    grid = laid(files, reference="ease")
    assert {row[0].text: row[1].sign for row in grid.rows} == {
        "EASE": "", "WPGRec": UP, "SGL": DOWN, "DGRec": ""
    }  # fmt: skip
    assert any(text.startswith(f"{UP} above EASE, {DOWN} below it") for text in grid.legend())
    assert any("can be told from its best" in text for text in grid.legend())  # no tie
    up, best = f"{models['wpgrec'].values.mean():.4f}", r"\textbf{"
    assert f"**{up}**{UP} \u00b1" in to_markdown(grid)
    assert f'<strong>{up}</strong><span class="sign">{UP}</span>' in to_html(grid)
    assert rf"{best}{up}}}$\uparrow$" in to_latex(grid, "t")
    assert f"{up}*+" in to_text(grid) and "+ above EASE, - below it" in to_text(grid)
    assert UP in to_csv(grid) and "best" in to_csv(grid)


def test_without_a_reference_there_are_no_signs(tmp_path: Path) -> None:
    files = write(tmp_path / "s", near_ties(), [])
    assert not any(cell.sign for cell in laid(files).cells())
    assert made(files, reference="gfcf")["verdict"].eq("").all()  # no run of it


def test_ranks_of_cells_are_those_of_the_long_form(tmp_path: Path) -> None:
    grid = laid(write(tmp_path / "s", near_ties(), []))
    assert [row[1].rank for row in grid.rows] == [BEST, TIED, TIED, TIED, 0]
    assert "<u>" in to_html(grid) and "<ins>" in to_markdown(grid)
    assert any(text.startswith("Underlined: cannot be told from the best") for text in grid.legend())


def test_a_folder_without_values_of_users_shows_no_interval_and_claims_no_tie(tmp_path: Path) -> None:
    files = write(tmp_path / "s", near_ties(), [])
    for path in (files.folder / "per_user").iterdir():
        path.unlink()
    grid = laid(files)
    assert not any(cell.error for cell in grid.cells())
    assert {cell.rank for cell in grid.cells()} == {0, BEST}
    assert grid.legend() == ["Best in bold."]


def test_a_failed_model_has_no_interval_and_the_others_have(tmp_path: Path) -> None:
    models = {"ease": fixed(BASE), "sgl": Model(None, "oom"), "dgrec": fixed(BASE - 0.2)}
    found = made(write(tmp_path / "s", {LOO: models}, [])).loc[LOO]
    assert found["low"].isna().to_dict() == {"EASE": False, "SGL": True, "DGRec": False}
    assert found["standing"].to_dict() == {"EASE": "best", "SGL": "", "DGRec": "below"}


def test_groups_of_users_have_intervals_of_their_own(tmp_path: Path) -> None:
    models = {"ease": fixed(BASE), "sgl": fixed(BASE - np.where(np.arange(60) < 30, 0.1, 0.0))}
    files = write(tmp_path / "s", {LOO: models}, [])
    path = files.folder / "per_user" / f"{LOO}.parquet"
    kept = pd.read_parquet(path)
    kept.assign(warm=kept["user"] < 30, activity=1 + kept["user"] // 15).to_parquet(path, index=False)
    rows = pd.read_csv(files.folder / "metrics.csv", dtype=str, keep_default_na=False)
    pd.concat([rows, *(rows.assign(users=u) for u in ("warm", "activity-4"))]).to_csv(
        files.folder / "metrics.csv", index=False
    )
    frame = build(StudyResults(files.folder), table(users=["all", "warm", "activity-4"]), Published(ROOT))
    found = frame[frame["row"] == "SGL"].set_index("users")
    assert found["users_counted"].to_dict() == {"all": 60, "warm": 30, "activity-4": 15}
    assert found["behind"].to_dict() == pytest.approx({"all": 0.05, "warm": 0.1, "activity-4": 0.0})
    assert found["standing"].to_dict() == {"all": "below", "warm": "below", "activity-4": "tied"}


def test_what_more_of_is_not_better_has_no_best(tmp_path: Path) -> None:
    models = {name: fixed(BASE + i) for i, name in enumerate(("ease", "sgl"))}
    for one in models.values():
        one.metric = "novelty"
    files = write(tmp_path / "s", {LOO: models}, [])
    frame = made(files, metrics=["novelty"], reference="ease").loc[LOO]
    assert frame["standing"].eq("").all() and frame["verdict"].tolist() == ["reference", "above"]
    grid = laid(files, metrics=["novelty"], reference="ease")
    assert {cell.rank for cell in grid.cells()} == {0}
    assert "More is not better of novelty: such columns have no best." in grid.notes
