"""Heat maps, inference times, tables of log SNR and notes on the scale."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import study_rows

from recspectra.papers.sdiff import COLUMNS as TIMES
from recspectra.reporting.draw import draw
from recspectra.reporting.figures import figure_data
from recspectra.reporting.results import StudyResults
from recspectra.reporting.site import render

ROOT = Path(__file__).resolve().parents[3]
TRAIN = {"history": "train", "mask": "train+valid"}
BOTH = {"history": "train+valid", "mask": "train+valid"}
TITLES = {"sdiff": "S-Diff", "ease": "EASE", "gfcf": "GF-CF", "mf": "MF"}
# (dataset, history) -> mean of each model; None: it failed
MEANS = {
    ("a", "train"): {"sdiff": 0.30, "ease": 0.40, "gfcf": 0.20, "mf": 0.10},
    ("a", "train+valid"): {"sdiff": 0.50, "ease": 0.40, "gfcf": 0.20, "mf": 0.10},
    ("b", "train"): {"sdiff": 0.10, "ease": 0.20, "gfcf": 0.30, "mf": None},
    ("b", "train+valid"): {"sdiff": 0.10, "ease": 0.20, "gfcf": 0.30, "mf": None},
}
STUDY = {
    "name": "orders", "title": "Orders",
    "seeds": [0, 1, 2], "scale": {"name": "small", "seeds": 2, "epochs": {"light": 9}},
    "models": [{"model": "sdiff"}, {"model": "sdiff", "group": "bounds"}],
    "protocols": {"sdiff": {"title": "S", "why": "w", "target": "test", "metrics": ["recall"], "k": [20],
                            "views": [TRAIN, BOTH]}},
    "tables": [
        {"name": "noise", "title": "Noise", "kind": "snr", "figure": "snr", "published": "sdiff/table3"},
        {"name": "t", "title": "T", "protocol": "sdiff", "metrics": ["recall"], "k": [20]},
    ],
    "figures": [
        {"name": "map", "title": "Map", "kind": "heatmap", "group": "bounds", "param": "sigma_max",
         "other_param": "alpha_min", "protocol": "sdiff", "metric": "recall", "k": 20, "view": TRAIN},
        {"name": "times", "title": "Times", "kind": "inference"},
    ],
}  # fmt: skip


def run_row(dataset: str, model: str, seed: int, group: str = "main", swept: dict | None = None) -> dict:
    status = "oom" if group == "main" and MEANS[dataset, "train"][model] is None else "ok"
    variant = "default" if not swept else ",".join(f"{k}={v}" for k, v in swept.items())
    named = {"title": TITLES[model], "variant": variant, "group": group, "seed": seed, "status": status}
    trained = {"kind": "trained", "epochs": 1, "best_epoch": 1, "best_validation": 0.1}
    return study_rows.run_row(dataset, model, **named, **trained, swept=json.dumps(swept or {}))


def metric_row(run: dict, view: dict, value: float | None) -> dict:
    shown = {"value": "" if value is None else value, "status": run["status"]}
    return study_rows.head_of(run) | {"protocol": "sdiff", "metric": "recall", "k": 20, **view} | shown


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs, metrics = [], []
    for dataset in "ab":
        for model in TITLES:
            for seed in (0, 1) if model == "sdiff" else (0,):
                runs.append(run_row(dataset, model, seed))
                for view in (TRAIN, BOTH):
                    metrics.append(metric_row(runs[-1], view, MEANS[dataset, view["history"]][model]))
        for alpha in (0.0, 0.1):
            for sigma in (0.4, 0.5, 1.0):
                runs.append(run_row(dataset, "sdiff", 0, "bounds", {"alpha_min": alpha, "sigma_max": sigma}))
                metrics.append(metric_row(runs[-1], TRAIN, alpha + sigma))
    times = [["times", "sdiff", axis, u, i, "denoiser", 0.01, "cpu", 1]
             for axis, u, i in (("users", 100, 50), ("users", 200, 50), ("items", 100, 70))]  # fmt: skip
    noise = [["snr", "ml-1m.diffrec", name, x, y] for name in ("vp", "ve") for x, y in ((2, 1.0), (1, 3.0))]
    tables = {"snr": pd.DataFrame(noise, columns=study_rows.CURVE),
              "inference": pd.DataFrame(times, columns=["figure", *TIMES])}  # fmt: skip
    folder = tmp_path_factory.mktemp("orders") / "orders"
    study_rows.write_files(folder, STUDY, {"a": "A", "b": "B"}, runs=runs, metrics=metrics, **tables)
    draw(folder, ROOT)
    return folder


# ---------------------------------------------------------------------------------- figures


def test_a_heat_map_has_a_cell_for_every_point(drawn: Path) -> None:
    files = StudyResults(drawn)
    frame = figure_data(files, files.config.figures[0]).frame
    assert len(frame) == 2 * 6
    one = frame[(frame["panel"] == "A") & (frame["x"] == 0.5) & (frame["y"] == 0.1)]
    assert one["value"].tolist() == pytest.approx([0.6])


def test_a_heat_map_without_points_says_why(drawn: Path) -> None:
    files = StudyResults(drawn)
    other = files.config.figures[0].model_copy(update={"other_param": "tau"})
    assert "'sigma_max' and 'tau'" in figure_data(files, other).caption


def test_inference_times_stand_against_the_axis_that_grows(drawn: Path) -> None:
    files = StudyResults(drawn)
    frame = figure_data(files, files.config.figures[1]).frame
    assert frame.groupby("panel")["x"].apply(list).to_dict() == {
        "more items, same users": [70],
        "more users, same items": [100, 200],
    }
    assert (drawn / "fig-times.png").stat().st_size > 1000


# ------------------------------------------------------------------------------- log SNR


def test_log_snr_stands_beside_what_is_printed(drawn: Path) -> None:
    table = pd.read_csv(drawn / "table-noise.csv").set_index("schedule")
    assert table.loc["vp"].to_dict() == {
        "dataset": "ml-1m.diffrec", "last": 1.0, "mean": 2.0, "published": 12.73
    }  # fmt: skip
    assert table.loc["ve", "published"] == 8.9
    assert "12.73" in (drawn / "table-noise.md").read_text()


# ------------------------------------------------------------------------------------ notes


def test_scale_and_seeds_stand_under_the_table(drawn: Path) -> None:
    text = (drawn / "table-t.md").read_text()
    assert "Scale small: 2 of 3 seeds.\n" in text
    assert "1: EASE, GF-CF, MF; 2: S-Diff" in text


def test_the_report_shows_them(drawn: Path) -> None:
    html = "\n".join(render([drawn], ROOT).values())
    assert "12.73" in html
    assert "Scale small" in html
