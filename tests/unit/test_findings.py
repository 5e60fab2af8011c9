"""Findings: claims set against a study's own numbers, the audit's cross-checks, energy per band."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recspectra.config.base import ConfigError
from recspectra.config.study import FigureConfig, FindingConfig, StudyConfig, TableConfig
from recspectra.config.yaml_io import validate
from recspectra.papers.gsprec import BEYOND, COLUMNS
from recspectra.reporting import runtime
from recspectra.reporting.draw import draw, summary_text
from recspectra.reporting.figures import figure_data
from recspectra.reporting.findings import read, sentences, user_values
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyError, StudyFiles
from recspectra.reporting.site import render
from recspectra.reporting.tuning import tuning_table

ROOT = Path(__file__).resolve().parents[2]
DATASET, USERS = "ml-100k.higsp", 200
TITLES = {"gsprec": "GSPRec", "gfcf": "GF-CF", "higsp": "HiGSP", "fagsp": "FaGSP", "ease": "EASE"}
VIEW = {"history": "train", "mask": "train"}
BOTH = {"history": "train+valid", "mask": "train+valid"}

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

BEST = {
    "name": "best",
    "title": "Best?",
    "kind": "claim-best",
    "model": "gsprec",
    "published": "gsprec/table4",
}
PAIRS = [
    {"better": "default", "worse": "no-bandpass", "claim": "the band-pass part helps"},
    {"better": "default", "worse": "no-lowpass", "claim": "the low-pass part helps"},
    {"better": "default", "worse": "no-diffusion", "claim": "diffusion helps"},
    {"better": "default", "worse": "se", "claim": "SE is worse"},
]
ABLATION = {
    "name": "ablation", "title": "Parts?", "kind": "claim-ablation", "model": "gsprec", "pairs": PAIRS,
    "groups": ["main", "ablation"], "published": "gsprec/table5", "printed": {DATASET: "ml-1m"},
}  # fmt: skip
EVALUATOR = {
    "name": "evaluator", "title": "Evaluator?", "kind": "evaluator", "model": "gsprec",
    "protocol": "gsprec", "metric": "ndcg_hit", "other_protocol": "higsp", "other_metric": "ndcg_set",
    "published": "gsprec/table4",
}  # fmt: skip


def run_row(model: str, variant: str, group: str, seed: int) -> dict:
    failed = SYSTEMS[model, variant, group] is None
    return {
        "dataset": DATASET, "model": model, "title": TITLES[model], "kind": "closed-form",
        "variant": variant, "group": group, "key": f"{model}-{variant}", "seed": seed, "fit": "train",
        "status": "oom" if failed else "ok", "reason": "why" if failed else "",
        "spectrum_seconds": "" if failed else 1.0, "fit_seconds": "" if failed else 2.0 + len(model),
        "score_seconds": "" if failed else 0.5, "peak_memory_mb": 1000.0, "device": "cpu", "threads": 1,
        "epochs": "", "best_epoch": "", "best_validation": "", "mode": "", "gradient_cosine": "",
        "params": '{"rank": 64}', "swept": "{}",
    }  # fmt: skip


def study_json() -> dict:
    protocols = {
        "standard": {
            "title": "Standard",
            "target": "test",
            "why": "w",
            "metrics": ["ndcg"],
            "k": [10],
            "views": [BOTH],
        },
        "gsprec": {
            "title": "G",
            "target": "test",
            "why": "w",
            "metrics": ["ndcg_hit"],
            "k": [10],
            "views": [VIEW],
        },
        "higsp": {
            "title": "H",
            "target": "test",
            "why": "w",
            "metrics": ["ndcg_set"],
            "k": [10],
            "views": [VIEW],
        },
    }
    return {
        "name": "claims", "title": "Claims", "datasets": [DATASET], "systems": [{"model": "gsprec"}],
        "protocols": protocols, "findings": [BEST, ABLATION, EVALUATOR], "provenance": {},
        "tables": [{"name": "time", "title": "Time", "kind": "runtime", "published": "gsprec/table7"}],
        "figures": [
            {"name": "tuning", "title": "Tuning", "kind": "tuning"},
            {"name": "energy", "title": "Energy", "kind": "energy"},
        ],
        "models": {"gsprec": {
            "title": "GSPRec", "kind": "closed-form", "notes": [],
            "paper": {"title": "t", "venue": "v", "citation": "c"},
            "search": {"rank": [32, 64], "center": {"low": 0.0001, "high": 1.0, "log": True}},
        }},
    }  # fmt: skip


def write_study(folder: Path) -> Path:
    (folder / "per_user").mkdir(parents=True)
    random = np.random.default_rng(0)
    runs, metrics, users = [], [], []
    for (model, variant, group), means in SYSTEMS.items():
        for seed in (0, 1):
            run = run_row(model, variant, group, seed)
            runs.append(run)
            head = {name: run[name] for name in ("dataset", "model", "variant", "key", "fit")}
            for j, (protocol, metric, view) in enumerate(
                [("standard", "ndcg", BOTH), ("gsprec", "ndcg_hit", VIEW), ("higsp", "ndcg_set", VIEW)]
            ):
                row = head | {"seed": seed, "protocol": protocol, "metric": metric, "k": 10, **view}
                value = {"value": means[j], "status": "ok"} if means else {"value": "", "status": "oom"}
                metrics.append(row | value)
            if means:
                # The seeds cancel: a user's mean is the system's mean plus small noise.
                noise = random.normal(0, 0.01, USERS)
                part = pd.DataFrame({"user": np.arange(USERS), "value": noise - noise.mean()})
                part["value"] += means[0] + (0.05 if seed else -0.05)
                users.append(part.assign(**head, protocol="standard", **BOTH, seed=seed, metric="ndcg", k=10))
    frame = pd.concat(users, ignore_index=True)
    other = frame.assign(metric="recall", k=20, value=0.9)
    pd.concat([frame, other]).to_parquet(folder / "per_user" / f"{DATASET}.parquet", index=False)
    columns = "dataset title users items interactions train valid test test_users density mean_length"
    about = [DATASET, "ML-100K", 943, 1682, 1, 1, 1, 1, USERS, 0.06, 9.0, True, "l", "c", ""]
    tables = {
        "runs": pd.DataFrame(runs),
        "metrics": pd.DataFrame(metrics),
        "learning": pd.DataFrame(
            columns=["dataset", "model", "variant", "group", "seed", "fit", "curve", "epoch", "value"]
        ),
        "spectral": pd.DataFrame(columns=["figure", "dataset", "series", "x", "y"]),
        "datasets": pd.DataFrame(
            [about], columns=[*columns.split(), "ordered", "licence", "citation", "notes"]
        ),
        "tuning": trials(),
        "energy": shares(),
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "study.json").write_text(json.dumps(study_json()))
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
        [DATASET, "unified-d2-a0.4@train", 32, signal, band, low, high, 3, share]
        for signal, parts in (("global trend", (0.4, 0.1, 0.0, 0.5)), ("user-specific", (0.0, 0.2, 0.1, 0.7)))
        for (band, low, high), share in zip(
            [("low", 0, 0.3), ("middle", 0.3, 0.8), ("high", 0.8, 2), (BEYOND, 0.9, 2)], parts, strict=True
        )
    ]
    return pd.DataFrame(rows, columns=COLUMNS).assign(figure="energy")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_study(tmp_path_factory.mktemp("findings") / "claims")
    draw(folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def published() -> Published:
    return Published(ROOT)


def finding(folder: Path, number: int) -> tuple[pd.DataFrame, str]:
    files = StudyFiles(folder)
    config = files.config.findings[number]
    frame = read(folder, config)
    return frame, " ".join(sentences(files, config, frame, Published(ROOT)))


# ----------------------------------------------------------------------------- findings


def test_every_finding_has_two_files(drawn: Path) -> None:
    for name in ("best", "ablation", "evaluator"):
        assert (drawn / f"finding-{name}.csv").stat().st_size and (
            drawn / f"finding-{name}.md"
        ).stat().st_size


def test_values_of_users_are_means_over_seeds(drawn: Path) -> None:
    files = StudyFiles(drawn)
    config = files.config.findings[0]
    values = user_values(files, config, files.views("standard")[0], DATASET)
    assert values.shape == (USERS, 7)
    np.testing.assert_allclose(values["gfcf\0default\0gfcf-default"].mean(), 0.53)
    assert values["gfcf\0default\0gfcf-default"].std() < 0.02  # the seeds' own 0.1 is gone


def test_claim_best_compares_with_every_system(drawn: Path) -> None:
    frame, text = finding(drawn, 0)
    assert list(frame["second"]) == ["GF-CF", "HiGSP", "FaGSP", "EASE"]
    verdicts = dict(zip(frame["second"], frame["verdict"], strict=True))
    assert verdicts == {"GF-CF": "below", "HiGSP": "above", "FaGSP": "not measured", "EASE": "below"}
    assert frame.set_index("second")["baseline"].to_dict()["EASE"] == "false"
    line = frame.set_index("second").loc["GF-CF"]
    assert line["difference"] == pytest.approx(-0.03)
    assert line["low"] < -0.03 < line["high"] < 0
    assert line["p_holm"] >= line["p"]
    assert (line["published_first"], line["published_second"], line["users"]) == (0.7572, 0.6843, USERS)
    assert "EASE, which the paper does not compare with, is best with 0.6000" in text
    assert (
        "2 of the paper's baselines were measured. GSPRec has 0.5000, -5.7% against GF-CF, the best of them"
        in text
    )
    assert "does not hold: above 1 of 2, not distinguishable from 0, below 1" in text
    assert "+6.8% over FaGSP (0.7572 against 0.7092); of that gain nothing is left" in text
    assert "Without a number: FaGSP (oom)." in text and "LightGCN" in text.split("Not in this study:")[1]


def test_claim_best_without_a_paper_counts_baselines(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    study = json.loads((folder / "study.json").read_text())
    del study["findings"][0]["published"]
    (folder / "study.json").write_text(json.dumps(study))
    draw(folder, ROOT)
    _, text = finding(folder, 0)
    assert "3 baselines were measured. GSPRec has 0.5000" in text


def test_claim_best_that_holds_says_how_much_is_left(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    runs = pd.read_csv(folder / "runs.csv", dtype=str, keep_default_na=False)
    runs[~runs["model"].isin(["gfcf", "fagsp"])].to_csv(folder / "runs.csv", index=False)
    draw(folder, ROOT)
    _, text = finding(folder, 0)
    assert '"GSPRec is above every baseline" holds: above 1 of 1' in text
    assert "+25.0% is 369% of that gain" in text


def test_claim_of_a_system_without_a_run(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    runs = pd.read_csv(folder / "runs.csv", dtype=str, keep_default_na=False)
    runs[runs["model"] != "gsprec"].to_csv(folder / "runs.csv", index=False)
    draw(folder, ROOT)
    assert "has no number here (no run), so the claim cannot be looked at" in finding(folder, 0)[1]
    assert "cannot be looked at" in finding(folder, 1)[1]
    assert "so nothing can be said" in finding(folder, 2)[1]


def test_claim_ablation_has_three_outcomes_and_says_what_was_not_run(drawn: Path) -> None:
    frame, text = finding(drawn, 1)
    assert list(frame["verdict"]) == ["above", "not distinguishable", "below", "not measured"]
    assert (
        '"the band-pass part helps" holds (GSPRec against GSPRec (no-bandpass)): 0.5000 against 0.4500'
        in text
    )
    assert '"the low-pass part helps" is not decided' in text
    assert '"diffusion helps" does not hold, it is the other way round' in text
    assert '"SE is worse" cannot be looked at (se: no run)' in text
    assert "Published (on the paper's ml-1m, other files): 0.6431 against 0.5769." in text


def test_evaluator_splits_the_gain(drawn: Path) -> None:
    frame, text = finding(drawn, 2)
    made = frame.set_index("system")["printed_with"].to_dict()
    assert (made["GSPRec"], made["GF-CF"]) == ("first", "second")
    assert "GSPRec 0.7600, best baseline HiGSP 0.7000, +8.6%" in text  # mixed: .76 against .70
    assert "ndcg_hit@10 for all: GSPRec 0.7600, best baseline HiGSP 0.7700, -1.3%" in text
    assert "ndcg_set@10 for all: GSPRec 0.6900, best baseline HiGSP 0.7000, -1.4%" in text
    assert "the gain moves by -9.9 points" in text
    assert frame.set_index("system").loc["FaGSP", "status"] == "oom"
    assert "EASE" not in text


def test_draw_without_per_user_values_names_the_file(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    (folder / "per_user" / f"{DATASET}.parquet").unlink()
    with pytest.raises(StudyError, match=r"per_user/ml-100k\.higsp\.parquet: file not found"):
        draw(folder, ROOT)


def test_different_users_are_refused(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    path = folder / "per_user" / f"{DATASET}.parquet"
    frame = pd.read_parquet(path)
    frame[~((frame["model"] == "gfcf") & (frame["user"] == 3))].to_parquet(path, index=False)
    with pytest.raises(StudyError, match="different users"):
        draw(folder, ROOT)


def test_two_draws_of_findings_give_equal_bytes(drawn: Path, tmp_path: Path) -> None:
    again = write_study(tmp_path / "s")
    for name in draw(again, ROOT):
        assert (again / name).read_bytes() == (drawn / name).read_bytes(), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 20}, r"ndcg@20 is not kept for every user; only ndcg@10, recall@20 are"),
        ({"kind": "claim-ablation"}, "needs `pairs`"),
        ({"kind": "evaluator"}, "needs `other_protocol` and `other_metric`"),
        ({"kind": "claim"}, "kind"),
    ],
)
def test_a_wrong_finding_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(FindingConfig, BEST | change, "study.yaml")


def test_a_table_of_metrics_needs_metrics() -> None:
    with pytest.raises(ConfigError, match="needs `metrics` and `k`"):
        validate(TableConfig, {"name": "t", "title": "T"}, "study.yaml")
    base = {"name": "s", "title": "S", "datasets": ["d"], "systems": [{"model": "ease"}]}
    assert validate(StudyConfig, base, "study.yaml").findings == []


# ------------------------------------------------------------------------------ runtime


@pytest.fixture(scope="module")
def on_ml_1m(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study, but the runs are on a split of ML-1M, for which minutes are printed."""
    folder = write_study(tmp_path_factory.mktemp("runtime") / "s")
    for name in ("runs.csv", "datasets.csv", "study.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(DATASET, "ml-1m.diffrec"))
    files = StudyFiles(folder)
    runtime.draw_runtime(files, files.config.tables[0], Published(ROOT))
    return folder


def test_runtime_table_sets_ratios_beside_published_ones(on_ml_1m: Path) -> None:
    frame = runtime.read(on_ml_1m, "time").set_index("row")
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


def test_minutes_of_another_dataset_are_not_set_beside(drawn: Path) -> None:
    assert runtime.read(drawn, "time")["published_minutes"].isna().all()
    assert "published" not in (drawn / "table-time.md").read_text()
    summary = summary_text(drawn, ROOT)
    assert "GSPRec" in summary and max(map(len, summary.splitlines())) <= 100


def test_findings_and_runtimes_of_groups_without_runs(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    study = study_json()
    for item in [*study["tables"], *study["findings"]]:
        item["groups"] = ["nobody"]
    (folder / "study.json").write_text(json.dumps(study))
    draw(folder, ROOT)
    assert runtime.read(folder, "time").empty
    assert finding(folder, 0)[1] == "No run of this study belongs to this finding, so nothing can be said."
    assert "cannot be looked at (default: no run; no-bandpass: no run)" in finding(folder, 1)[1]
    assert "No run belongs to this table." in render([folder], ROOT)


# ------------------------------------------------------------------- tuning and energy


def test_tuning_figure_and_table(drawn: Path) -> None:
    frame = pd.read_csv(drawn / "fig-tuning.csv")
    assert list(frame["x"]) == [2, 3, 4] and list(frame["y"]) == [0.2, 0.3, 0.3]
    files = StudyFiles(drawn)
    assert "1 trial(s) failed" in figure_data(files, files.config.figures[0]).caption
    (row,) = tuning_table(files).rows
    assert [cell.text for cell in row] == [
        "ML-100K", "GSPRec", "center 0.0001 to 1 (log); rank in {32, 64}", "4 of 5", "1",
        "center = 0.2, rank = 96", "0.3000", "1",
    ]  # fmt: skip


def test_energy_figure_draws_shares(drawn: Path) -> None:
    frame = pd.read_csv(drawn / "fig-energy.csv")
    np.testing.assert_allclose(frame.groupby("signal")["share"].sum(), 1.0)
    assert set(frame["panel"]) == {"ML-100K, 32 eigenpairs"}


def test_a_study_without_tuning_or_energy_files_says_so(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    for name in ("tuning", "energy"):
        (folder / f"{name}.csv").unlink()
    draw(folder, ROOT)
    files = StudyFiles(folder)
    assert figure_data(files, files.config.figures[0]).reason == "no system of this figure was tuned"
    assert "energy.csv has no numbers" in figure_data(files, files.config.figures[1]).reason
    assert tuning_table(files).rows == []


def test_the_report_shows_findings_searches_and_runtimes(drawn: Path) -> None:
    html = render([drawn], ROOT)
    assert html.index("Findings</h3>") < html.index("What is measured</h3>")
    expected = [
        "does not hold: above 1 of 2",
        "results/studies/claims/finding-best.csv",
        "0.0001 to 1 (log)",
        "what was searched, with how many trials, what was chosen",
        "times GF-CF",
    ]
    for text in expected:
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
    pd.DataFrame(points, columns=["figure", "dataset", "series", "x", "y"]).to_csv(
        folder / "frequency-response.csv", index=False
    )
    figure = FigureConfig(name="response", title="R", kind="frequency-response")
    frame = figure_data(StudyFiles(folder), figure).frame
    assert set(frame["series"]) == {"low-pass", "band-pass", "combined"}
    assert set(frame["panel"]) == {"ML-100K (c=0.2 w=0.1 phi=0.5)", "other (c=0.8 w=0.3 phi=0.5)"}
    two = [["response", "other", "band-pass c=0.4 w=0.3", 0.0, 1.0]]
    pd.DataFrame(points + two, columns=["figure", "dataset", "series", "x", "y"]).to_csv(
        folder / "frequency-response.csv", index=False
    )
    assert "band-pass c=0.4 w=0.3" in set(figure_data(StudyFiles(folder), figure).frame["series"])
