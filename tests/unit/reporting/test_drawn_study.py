"""A drawn study: run times, searches, energy per band, frequency responses, tables of words."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import study_rows
from small_study import draw_numbers

from recspectra.config.base import ConfigError
from recspectra.config.study import FigureConfig, StudyConfig, TableConfig
from recspectra.config.yaml_io import validate
from recspectra.papers.gsprec import BEYOND, COLUMNS
from recspectra.reporting import runtime
from recspectra.reporting.draw import draw, draw_table
from recspectra.reporting.figures import draw_figure, figure_data
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults, read_csv
from recspectra.reporting.site import render
from recspectra.reporting.tuning import tuning_table

ROOT = Path(__file__).resolve().parents[3]
DATASET, USERS = "ml-100k.higsp", 200
TITLES = {"gsprec": "GSPRec", "gfcf": "GF-CF", "higsp": "HiGSP", "fagsp": "FaGSP", "ease": "EASE"}
VIEW = {"history": "train", "mask": "train"}
BOTH = {"history": "train+valid", "mask": "train+valid"}
MEASURES = (("standard", "ndcg", BOTH), ("gsprec", "ndcg_hit", VIEW), ("higsp", "ndcg_set", VIEW))

TIME = {"name": "time", "title": "Time", "kind": "runtime", "published": "gsprec/table7"}

# (model, variant, group) -> mean of ndcg, ndcg_hit, ndcg_set; None: the run failed
SYSTEMS: dict[tuple[str, str, str], tuple[float, float, float] | None] = {
    ("gsprec", "default", "main"): (0.50, 0.76, 0.69),
    ("gfcf", "default", "main"): (0.53, 0.75, 0.68),
    ("higsp", "default", "main"): (0.40, 0.77, 0.70),
    ("fagsp", "default", "main"): None,
    ("ease", "default", "main"): (0.60, 0.80, 0.72),
    ("gsprec", "no-bandpass", "ablation"): (0.45, 0.6, 0.6),
    ("gsprec", "no-lowpass", "ablation"): (0.50, 0.6, 0.6),
    ("gsprec", "no-diffusion", "ablation"): (0.55, 0.6, 0.6),
}


def run_row(model: str, variant: str, group: str, seed: int) -> dict:
    named = {"title": TITLES[model], "variant": variant, "group": group, "seed": seed}
    done = {"spectrum_seconds": 1.0, "fit_seconds": 2.0 + len(model), "score_seconds": 0.5}
    failed = dict.fromkeys(done, "") | {"status": "oom", "reason": "why"}
    ended = done if SYSTEMS[model, variant, group] else failed
    return study_rows.run_row(DATASET, model, **named, **ended, peak_memory_mb=1000.0, params='{"rank": 64}')


def protocol(metric: str, view: dict) -> dict:
    return {"title": "P", "target": "test", "why": "w", "metrics": [metric], "k": [10], "views": [view]}


def study_json() -> dict:
    protocols = {name: protocol(metric, view) for name, metric, view in MEASURES}
    return {
        "name": "claims", "title": "Claims", "datasets": [DATASET], "protocols": protocols,
        "tables": [TIME],
        "figures": [
            {"name": "tuning", "title": "Tuning", "kind": "tuning"},
            {"name": "energy", "title": "Energy", "kind": "energy"},
            {"name": "coefficients", "title": "Coefficients", "kind": "coefficients"},
        ],
        "about": {"gsprec": {
            "title": "GSPRec", "kind": "closed-form", "notes": [],
            "paper": {"title": "t", "venue": "v", "citation": "c"},
            "search": {"rank": [32, 64], "center": {"low": 0.0001, "high": 1.0, "log": True}},
        }},
    }  # fmt: skip


def write_study(folder: Path, **changes: object) -> Path:
    runs, metrics = [], []
    for (model, variant, group), means in SYSTEMS.items():
        for seed in (0, 1):
            runs.append(run_row(model, variant, group, seed))
            for j, (name, metric, view) in enumerate(MEASURES):
                row = study_rows.head_of(runs[-1]) | {"protocol": name, "metric": metric, "k": 10, **view}
                value = {"value": means[j], "status": "ok"} if means else {"value": "", "status": "oom"}
                metrics.append(row | value)
    about = {"dataset": DATASET, "title": "ML-100K", "users": 943, "items": 1682, "test_users": USERS}
    tables = {"runs": runs, "metrics": metrics, "datasets": [about], "tuning": trials(), "energy": shares(),
              "coefficients": shares().assign(figure="coefficients")}  # fmt: skip
    study_rows.write_files(folder, study_json() | changes, {}, **tables)
    return folder


def trials() -> pd.DataFrame:
    best = [math.nan, 0.2, 0.3, 0.3]
    rows = [
        {
            "dataset": DATASET, "model": "gsprec", "title": "GSPRec", "key": "k", "budget": 5, "trial": i + 1,
            "value": [math.nan, 0.2, 0.3, 0.1][i], "best": best[i], "status": "oom" if i == 0 else "ok",
            "reason": "", "seconds": 900, "params": json.dumps({"rank": 32 * (i + 1), "center": 0.1 * i}),
        }
        for i in range(4)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def shares() -> pd.DataFrame:
    rows = [
        [DATASET, "unified-d2-a0.4@train", 32, signal, band, low, high, 3, share, 0.1 * share]
        for signal, parts in (("global trend", (0.4, 0.1, 0.0, 0.5)), ("user-specific", (0.0, 0.2, 0.1, 0.7)))
        for (band, low, high), share in zip(
            [("low", 0, 0.3), ("middle", 0.3, 0.8), ("high", 0.8, 2), (BEYOND, 0.9, 2)], parts, strict=True
        )
    ]
    return pd.DataFrame(rows, columns=COLUMNS).assign(figure="energy")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_study(tmp_path_factory.mktemp("drawn") / "claims")
    draw(folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def published() -> Published:
    return Published(ROOT)


def test_a_table_of_metrics_needs_metrics() -> None:
    with pytest.raises(ConfigError, match="needs `metrics`"):
        validate(TableConfig, {"name": "t", "title": "T"}, "study.yaml")
    base = {"name": "s", "title": "S", "datasets": ["d"], "models": [{"model": "ease"}]}
    assert validate(StudyConfig, base, "study.yaml").claims == []


# ------------------------------------------------------------------------------ runtime


@pytest.fixture(scope="module")
def on_ml_1m(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study, but the runs are on a split of ML-1M, for which minutes are printed."""
    folder = write_study(tmp_path_factory.mktemp("runtime") / "s")
    for name in ("runs.csv", "datasets.csv", "study.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(DATASET, "ml-1m.diffrec"))
    files = StudyResults(folder)
    draw_table(files, files.config.tables[0], Published(ROOT))
    return folder


def times_of(folder: Path) -> pd.DataFrame:
    return read_csv(folder / "table-time.csv", runtime.COLUMNS, runtime.NUMBERS)


def test_runtime_table_sets_ratios_beside_published_ones(on_ml_1m: Path) -> None:
    frame = times_of(on_ml_1m).set_index("row")
    line = frame.loc["GSPRec"]
    assert (line["spectrum_seconds"], line["fit_seconds"], line["total_seconds"]) == (1.0, 8.0, 9.5)
    assert line["ratio"] == pytest.approx(9.5 / 7.5)
    assert line["published_minutes"] == 1.27
    assert line["published_ratio"] == pytest.approx(1.27 / 1.18)
    failed = frame.loc["FaGSP"]
    assert np.isnan(failed["total_seconds"]) and failed["status"] == "oom"
    assert failed["published_minutes"] == 2.08
    assert np.isnan(frame.loc["EASE", "published_minutes"])
    text = (on_ml_1m / "table-time.md").read_text()
    assert "published on ml-1m (min)" in text and "another machine" in text
    assert r"\begin{longtable}" in (on_ml_1m / "table-time.tex").read_text()


def test_a_runtime_table_has_no_multiples_of_a_model_without_a_run(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    draw_numbers(folder)
    assert "times GF-CF" in (folder / "table-time.md").read_text()
    study_rows.change_study(folder, tables=[TIME | {"reference": "wpgrec"}])
    draw_numbers(folder)
    head = (folder / "table-time.md").read_text()
    assert "| total (s) | peak memory (MB) |" in " ".join(head.split()) and "| times" not in head


def test_a_fit_of_a_few_epochs_is_counted_as_often_as_the_table_says(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    runs = study_rows.texts_of(folder, "runs")
    own = runs["model"].isin(["gsprec", "fagsp"])
    runs.assign(epochs=runs["epochs"].mask(own, "2")).to_csv(folder / "runs.csv", index=False)
    study_rows.change_study(folder, tables=[TIME | {"epochs": {"gsprec": 100, "fagsp": 1, "gfcf": 50}}])
    draw_numbers(folder)
    frame = times_of(folder).set_index("row")
    line = frame.loc["GSPRec"]
    assert (line["fit_seconds"], line["total_seconds"]) == (50 * 8.0, 50 * 8.0 + 1.5)
    assert (line["timed_epochs"], line["epochs"]) == (2, 100)
    assert frame.drop(index="GSPRec")[["timed_epochs", "epochs"]].isna().all(axis=None)
    text = (folder / "table-time.md").read_text()
    assert "GSPRec: the fit of 2 epochs times 50, for 100 epochs." in text and "FaGSP: the fit" not in text
    with pytest.raises(ConfigError, match="kind 'metrics' does not use `epochs`; it takes"):
        wrong = {"name": "t", "title": "T", "metrics": ["recall"], "k": [20], "epochs": {"ease": 2}}
        validate(TableConfig, wrong, "study.yaml")


def test_minutes_of_another_dataset_are_not_set_beside(drawn: Path) -> None:
    assert times_of(drawn)["published_minutes"].isna().all()
    assert "published" not in (drawn / "table-time.md").read_text()
    summary = (drawn / "summary.txt").read_text()
    assert "GSPRec" in summary and max(map(len, summary.splitlines())) <= 100


def test_runtimes_of_groups_without_runs(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", tables=[TIME | {"groups": ["nobody"]}], figures=[])
    draw_numbers(folder)
    assert times_of(folder).empty
    assert "No run belongs to this table." in "\n".join(render([folder], ROOT).values())


# ------------------------------------------------------------------- tuning and energy


def test_tuning_figure_and_table(drawn: Path) -> None:
    frame = pd.read_csv(drawn / "fig-tuning.csv")
    assert list(frame["x"]) == [2, 3, 4] and list(frame["y"]) == [0.2, 0.3, 0.3]
    files = StudyResults(drawn)
    assert "1 trial(s) failed" in figure_data(files, files.config.figures[0]).caption
    (row,) = tuning_table(files).rows
    assert [cell.text for cell in row] == [
        "ML-100K", "GSPRec", "center 0.0001 to 1 (log); rank in {32, 64}", "4 of 5", "1",
        "center = 0.2, rank = 96", "0.3000", "3,600",
    ]  # fmt: skip


def test_a_search_by_another_metric_is_not_called_one_by_recall(drawn: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(drawn, tmp_path / "s"))
    trials = pd.read_csv(folder / "tuning.csv", keep_default_na=False)
    title = trials["title"].iloc[0]

    def said(*titles: str) -> tuple[str, str, str]:
        parts = [trials.assign(title=name, key=f"key{i}") for i, name in enumerate(titles)]
        pd.concat(parts).to_csv(folder / "tuning.csv", index=False)
        files = StudyResults(folder)
        figure = figure_data(files, files.config.figures[0])
        return figure.y, figure.caption, [column.title for column in tuning_table(files).columns][6]

    for titles, by in (
        ([title], "recall@20"),
        ([f"{title} (by ndcg@10)"], "ndcg@10"),
        ([f"{title} (rank=32, by ndcg@10)", title], "ndcg@10 or recall@20"),
    ):
        axis, caption, column = said(*titles)
        assert axis == f"best validation {by} so far" and column == f"validation {by}"
        assert caption.startswith(f"Best {by} on the validation data")


def test_energy_figure_draws_shares(drawn: Path) -> None:
    frame = pd.read_csv(drawn / "fig-energy.csv")
    np.testing.assert_allclose(frame.groupby("signal")["share"].sum(), 1.0)
    assert set(frame["panel"]) == {"ML-100K, 32 eigenpairs"}


def test_coefficients_are_points_on_an_axis_of_plain_numbers(drawn: Path) -> None:
    frame = pd.read_csv(drawn / "fig-coefficients.csv")
    assert set(frame["band"]) == {"low", "middle", "high"} | {BEYOND} and (frame["magnitude"] >= 0).all()
    text = (drawn / "fig-coefficients.svg").read_text(encoding="utf-8")
    assert "mean |alpha| of a pair" in text and "0.3 to 0.8" in text
    assert "mathdefault" not in text and ">0.01<" in text


def test_a_study_without_tuning_or_energy_files_says_so(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    for name in ("tuning", "energy"):
        (folder / f"{name}.csv").unlink()
    files = StudyResults(folder)
    for figure in files.config.figures[:2]:
        draw_figure(files, figure)
    assert figure_data(files, files.config.figures[0]).reason == "no model of this figure was tuned"
    assert "energy.csv has no numbers" in figure_data(files, files.config.figures[1]).reason
    assert tuning_table(files).rows == []


def test_the_report_shows_searches_and_runtimes(drawn: Path) -> None:
    html = "\n".join(render([drawn], ROOT).values())
    for text in ("0.0001 to 1 (log)", "times GF-CF",
                 "What was searched and chosen"):  # fmt: skip
        assert text in html


# ------------------------------------------------------------------------------- spectra


def test_filters_of_several_datasets_share_names_and_get_panels(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    points = [
        ["response", dataset, f"{kind}{setting}", x, 1.0]
        for dataset, setting in ((DATASET, " c=0.2 w=0.1"), ("other", " c=0.8 w=0.3"))
        for kind, setting in (("low-pass", ""), ("band-pass", setting), ("combined", f"{setting} phi=0.5"))
        for x in (0.0, 1.0)
    ]
    path = folder / "frequency-response.csv"
    pd.DataFrame(points, columns=study_rows.CURVE).to_csv(path, index=False)
    figure = FigureConfig(name="response", title="R", kind="frequency-response")
    frame = figure_data(StudyResults(folder), figure).frame
    assert set(frame["series"]) == {"low-pass", "band-pass", "combined"}
    assert set(frame["panel"]) == {"ML-100K (c=0.2 w=0.1 phi=0.5)", "other (c=0.8 w=0.3 phi=0.5)"}
    two = [["response", "other", "band-pass c=0.4 w=0.3", 0.0, 1.0]]
    pd.DataFrame(points + two, columns=study_rows.CURVE).to_csv(path, index=False)
    assert "band-pass c=0.4 w=0.3" in set(figure_data(StudyResults(folder), figure).frame["series"])
