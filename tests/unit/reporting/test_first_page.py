"""The first page and that of runs: how sure numbers are, what ended early, what a row links to."""

from __future__ import annotations

import html
import io
import itertools
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from hand_made import GAIN, LOO, TABLE, Model, write
from small_study import ROOT, draw_numbers, write_study
from study_rows import change_study

from recspectra.reporting.draw import draw
from recspectra.reporting.pages import charts, home, runs
from recspectra.reporting.pages.place import Place
from recspectra.reporting.pages.study import StudyView, study_view
from recspectra.reporting.published import Published
from recspectra.reporting.site import render, write_report

CLAIM = GAIN | {"rivals": ["sgl"]}
FOLDS = ["mine.fold-1", "mine.fold-2", "mine.fold-3"]


def folder_of(place: Path, datasets: dict, claims: list[dict] | None = None) -> Path:
    """Return the folder of a drawn study with one table."""
    folder = write(place / "results" / "studies" / "hand", datasets, claims or []).folder
    return change_study(folder, tables=[TABLE]).folder


def without_figures(folder: Path) -> Path:
    """Write the small study without its figures."""
    write_study(folder)
    return change_study(folder, name=folder.name, figures=[]).folder


def viewed(folder: Path) -> StudyView:
    draw_numbers(folder)
    return study_view(folder, Published(ROOT), Place(folder.parents[1] / "report"))


def values(seeds: int, seed: int = 1, users: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 0.4, (seeds, users))


# ---------------------------------------------------------------------------- how sure


def trials(folder: Path, **searches: list[float | str]) -> None:
    """Write `tuning.csv`: the validation values of the trials of each model's search, "" where one failed."""
    rows = [
        {"dataset": LOO, "model": model, "title": model, "key": "k", "budget": 9, "trial": i, "value": value,
         "best": 0.4, "status": "ok" if value != "" else "oom", "reason": "", "seconds": 1, "params": "{}"}
        for model, found in searches.items() for i, value in enumerate(found)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "tuning.csv", index=False)


def test_the_spread_of_a_search_is_that_of_its_best_three_trials(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {LOO: {"sgl": Model(values(2)), "wpgrec": Model(values(2, 2))}})
    trials(folder, sgl=[0.1, 0.40, 0.38, 0.36, ""], wpgrec=[0.5, 0.45, 0.5, 0.1], ease=[0.3, 0.1, ""])
    (found,) = home.spreads(viewed(folder))
    assert found["search"] == pytest.approx((0.1 + 0.1) / 2) and found["searches"] == 2
    page = render([folder], ROOT)["index.html"]
    assert "median over 2 searches" in page and "the data are split once" in page


def test_trials_that_a_scale_left_are_on_the_first_page(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {LOO: {"sgl": Model(values(2))}})
    change_study(folder, tuning={"trials": 20}, scale={"name": "laptop", "trials": 4})
    assert "trials a search" not in home.status([viewed(folder)])  # nothing was searched
    trials(folder, sgl=[0.1, 0.4])
    view = viewed(folder)
    assert home.status([view])["trials a search"] == "4 of 20"
    assert home.status([view, view])["trials a search"] == "4 of 20 (hand)"


def test_who_is_above_the_leader_by_another_metric_is_said(tmp_path: Path) -> None:
    low, high = values(1), values(1) + 0.1
    by = ({"metric": "ndcg"}, {"metric": "recall"}, {"metric": "average_popularity"}, {"metric": "mrr"})
    of = {"sgl": (high, low, low, low), "ease": (low, high, high, low)}
    models = {m: [Model(one, kind="closed-form", **at) for one, at in zip(found, by, strict=True)]
              for m, found in of.items()}  # fmt: skip
    folder = folder_of(tmp_path, {LOO: models})
    change_study(folder, tables=[TABLE | {"metrics": [at["metric"] for at in by]}])
    (board,) = home.leaders(viewed(folder), Published(ROOT))
    assert board["others"] == {"EASE": ["recall@10"]}  # not by what is no gain, nor where both are level


def test_the_spread_of_a_split_is_that_of_its_folds(tmp_path: Path) -> None:
    models = {fold: {"sgl": Model(np.full((1, 20), 0.2 + 0.1 * i)), "ease": Model(np.full((1, 20), 0.3))}
              for i, fold in enumerate(FOLDS)}  # fmt: skip
    (found,) = home.spreads(viewed(folder_of(tmp_path, models)))
    assert found["folds"] == 3 and found["split"] == pytest.approx((0.1 / 0.3 + 0.0) / 2)
    assert found["seeds"] is None and found["search"] is None


def test_seeds_of_a_closed_form_that_draws_count_too(tmp_path: Path) -> None:
    drawing, fixed = (Model(values(seeds), kind="closed-form") for seeds in (3, 1))
    folder = folder_of(tmp_path, {LOO: {"sgl": drawing, "ease": fixed}})
    (found,) = home.spreads(viewed(folder))
    means = drawing.values.mean(axis=1)
    assert found["seeds"] == pytest.approx(means.std(ddof=1) / means.mean())
    assert (found["seeded"], found["repeated"]) == (1, 1)
    assert "median over 1 model that a seed changes" in render([folder], ROOT)["index.html"]


def test_what_is_not_measured_says_so(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, {LOO: {"sgl": Model(values(1)), "ease": Model(values(1, 2), kind="closed-form")}}
    )
    viewed(folder)
    page = render([folder], ROOT)["index.html"]
    assert page.count("not measured") == 3
    for why in ("every trained model has one seed", "no search here has three", "the data are split once"):
        assert why in page


# ------------------------------------------------------------------------ what ended early


def test_runs_that_were_still_gaining_are_counted_and_named(tmp_path: Path) -> None:
    rising, over = [0.1, 0.2, 0.3], [0.1, 0.3, 0.2]
    models = {"sgl": Model(values(2), curve=rising), "wpgrec": Model(values(2, 2), curve=over)}
    folder = folder_of(tmp_path, {LOO: models})
    view = viewed(folder)
    status = home.status([view])
    assert (status["still gaining"], status["capped"], status["runs ok"]) == ("2", "0", "4")
    (board,) = home.leaders(view, Published(ROOT))
    assert {row["model"]: row["gaining"] for row in board["rows"]} == {"sgl": True, "wpgrec": False}
    assert render([folder], ROOT)["runs.html"].count("ok, still gaining") == 2


@pytest.mark.parametrize(
    ("claims", "title"),
    [
        ([], "Which recommender wins, and how sure is that?"),
        ([CLAIM], "Which recommender wins, and do the claims hold?"),
        ([CLAIM | {"paper": "P"}], "Which spectral recommender wins, and do the published tables hold?"),
    ],
)
def test_the_title_asks_of_published_tables_only_where_a_claim_is_of_a_paper(
    claims: list[dict], title: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, {LOO: {"sgl": Model(values(1)), "wpgrec": Model(values(1, 2))}}, claims)
    draw_numbers(folder)
    assert f"<h1>{title}</h1>" in render([folder], ROOT)["index.html"]


# ------------------------------------------------------------------ without a script, and links


def test_the_first_claims_are_open_the_others_folded_and_all_are_counted(tmp_path: Path) -> None:
    models = {"sgl": Model(values(2) - 0.15), "wpgrec": Model(values(2))}
    claims = [CLAIM | {"name": f"c{i}", "title": f"Question {i}?"} for i in range(10)]
    folder = folder_of(tmp_path, {LOO: models}, claims)
    draw_numbers(folder)
    page = render([folder], ROOT)["index.html"]
    assert "10 judged statements: 10 reproduced, 0 not reproduced, 0 cannot tell." in page
    opened, folded = page.split("<summary>2 more claims</summary>")
    assert "Question 7?" in opened and "Question 8?" not in opened
    assert "Question 8?" in folded and "Question 9?" in folded


def give_one_key(folder: Path, key: str, other: str) -> None:
    """Let runs of one key have another's."""
    for name in ("runs", "metrics"):
        path = folder / f"{name}.csv"
        path.write_text(path.read_text().replace(key, other))
    path = folder / "per_user" / f"{LOO}.parquet"
    frame = pd.read_parquet(path)
    frame.assign(key=frame["key"].replace(key, other)).to_parquet(path, index=False)


def test_a_fit_with_two_labels_is_counted_once(tmp_path: Path) -> None:
    """A point of a sweep may be the main row again."""
    swept = [Model(values(2)), Model(values(2), variant="center=0.2,phi=0.1")]
    folder = folder_of(tmp_path, {LOO: {"sgl": swept, "ease": Model(values(1, 2), kind="closed-form")}})
    give_one_key(folder, "sgl-center=0.2,phi=0.1", "sgl-default")
    view = viewed(folder)
    assert home.status([view, view])["runs ok"] == "3"
    page = render([folder], ROOT)["runs.html"]
    assert "<h1>All 3 runs</h1>" in page and "has a row for each" in page
    assert page.count('<th scope="row">') == 5 and "center=0.2,<wbr>phi=0.1" in page


def test_a_value_says_of_which_metric_it_is_where_studies_differ(tmp_path: Path) -> None:
    own = folder_of(tmp_path, {LOO: {"sgl": Model(values(1))}})
    other = without_figures(tmp_path / "results" / "studies" / "fixture")
    draw_numbers(own)
    draw_numbers(other)
    page = render([own, other], ROOT)["runs.html"]
    assert '<th scope="col">value</th>' in page
    assert re.search(r'<td class="number">0\.\d{4} <span class="soft">ndcg@10</span></td>', page)
    assert re.search(r'<td class="number">0\.\d{4} <span class="soft">recall@\d+</span></td>', page)


def test_all_of_a_few_models_are_named_next_to_their_points(tmp_path: Path) -> None:
    names = ["sgl", "ease", "wpgrec", "bsarec", "dgrec"]
    folder = folder_of(
        tmp_path, {LOO: {n: Model(values(1, i), kind="closed-form") for i, n in enumerate(names)}}
    )
    view = viewed(folder)
    points = charts.cost_points(view.standings, view.files.titles)
    assert len(points) == 5 and {point["named"] for point in points} <= set(charts.SIDES)
    sides = [point["named"] for point in sorted(points, key=lambda point: (point["seconds"], point["value"]))]
    assert all(one.split(",")[0] != other.split(",")[0] for one, other in itertools.pairwise(sides))
    many = pd.concat([view.standings.assign(model=f"m{i}") for i in range(3)], ignore_index=True)
    named = [point for point in charts.cost_points(many, view.files.titles) if point["named"]]
    assert 1 <= len(named) <= 2, "of more than twelve only the fastest and the best"


def test_models_that_hit_few_users_or_none_have_a_page(tmp_path: Path) -> None:
    """Their intervals have no ends, which JSON cannot hold; zeros alone are read as whole numbers."""
    few, nothing = np.zeros((1, 50)), np.zeros((1, 50))
    few[0, :3] = 0.5
    models = {"wpgrec": Model(values(1)), "sgl": Model(few), "ease": Model(nothing)}
    for name, chosen in (("some", ["wpgrec", "sgl", "ease"]), ("none", ["ease"])):
        folder = folder_of(tmp_path / name, {LOO: {one: models[one] for one in chosen}})
        draw(folder, ROOT)
        page = render([folder], ROOT)["index.html"]
        (spec,) = map(json.loads, map(html.unescape, re.findall('data-spec="(.*?)"', page)))
        points = {point["model"]: point for point in spec["data"]["values"]}
        assert points["EASE"]["value"] == points["EASE"]["low"] == 0.0
        assert name == "none" or (points["SGL"]["low"], points["SGL"]["high"]) == (None, None)


def test_accuracy_against_cost_has_a_picture_for_pages_without_a_script(tmp_path: Path) -> None:
    models = {"sgl": Model(values(1), status="capped"), "ease": Model(values(1, 2), kind="closed-form")}
    folder = folder_of(tmp_path, {LOO: models})
    draw(folder, ROOT)
    write_report(tmp_path / "results" / "report" / "index.html", [folder], ROOT)
    page = (tmp_path / "results" / "report" / "index.html").read_text()
    address = re.search(r'<img class="fallback" src="([^"]+)"', page)[1]
    picture = (tmp_path / "results" / "report" / address).read_text()
    assert "<svg" in picture and "EASE" in picture and "SGL\u00b6" in picture
    view = study_view(folder, Published(ROOT), Place(folder))
    named = [point["model"] for point in charts.cost_points(view.standings, view.files.titles)]
    assert sorted(named) == ["EASE", "SGL\u00b6"], "what a cap ended is marked in the chart too"


def test_each_run_has_its_numbers_and_its_learning_curve_in_the_report(tmp_path: Path) -> None:
    folder = without_figures(tmp_path / "results" / "studies" / "fixture")
    draw_numbers(folder)
    report = tmp_path / "results" / "report"
    write_report(report / "index.html", [folder], ROOT)
    view = study_view(folder, Published(ROOT), Place(report))
    lines = runs.runs_of(view, Place(report), runs.tables_of(view))
    ok = [line for line in lines if line["status"] == "ok"]
    assert ok and all("metrics" in line["links"] for line in ok)
    assert {line["metric"] for line in lines} == {"recall@10"}  # not the address of a file
    metrics = pd.read_csv(folder / "metrics.csv")
    for line in ok:
        own = pd.read_csv(report / unquote(line["links"]["metrics"]))
        run = metrics[(metrics["key"] == line["key"]) & (metrics["seed"].astype(str) == line["seed"])]
        run = run[run["dataset"].map(view.files.titles) == line["dataset"]].drop_duplicates(
            ["protocol", "history", "mask", "users", "metric", "k", "fit"]
        )
        assert len(own) >= 1 and set(own["value"].round(8)) <= set(run["value"].round(8))
    trained = [line for line in ok if line["curve"]]
    assert trained
    for line in trained:
        own = pd.read_csv(report / unquote(line["links"]["curve"]))
        assert list(own.columns) == ["curve", "epoch", "value"] and len(own) > 1
        assert line["command"].startswith("make redo WHAT=")


def test_files_of_runs_do_not_wait_for_the_disk_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, {LOO: {"sgl": Model(values(9), curve=[0.1, 0.2])}})
    draw_numbers(folder)
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)
    report = tmp_path / "results" / "report"
    planted = report / "runs" / "hand" / LOO / "sgl" / ".sgl-default-seed-0-metrics.csv.tmp"
    planted.parent.mkdir(parents=True)
    planted.symlink_to(tmp_path / "elsewhere")
    write_report(report / "index.html", [folder], ROOT)
    others = [path for path in report.rglob("*") if path.is_file() and path.suffix != ".csv"]
    assert len(list(report.rglob("*.csv"))) == 18
    assert 0 < len(waited) <= len(others) + 1, "one for each other file, and the zip"
    assert not list(report.rglob("*.tmp")) and not (tmp_path / "elsewhere").exists()


def test_the_csv_of_groups_holds_the_rows_of_each() -> None:
    frame = pd.DataFrame({"run": ["a", "b", "a"], "seed": 0, "k": [5, 5, 10], "value": [0.1, np.nan, 0.3]})
    found = runs._csv_by(frame, ["run", "seed"], ["k", "value"])
    assert found["a", 0] == "k,value\n5,0.1\n10,0.3\n"
    assert pd.read_csv(io.StringIO(found["b", 0]))["value"].isna().all()


@pytest.mark.parametrize("count", [1, 2])
def test_rows_of_runs_have_a_cell_for_each_heading(count: int, tmp_path: Path) -> None:
    folders = [without_figures(tmp_path / "studies" / name) for name in ("fixture", "other")[:count]]
    for folder in folders:
        draw_numbers(folder)
    rows = re.findall(r"<tr.*?</tr>", render(folders, ROOT)["runs.html"], re.DOTALL)
    assert len(rows) > 10 and len({len(re.findall(r"<t[hd]\b", row)) for row in rows}) == 1
