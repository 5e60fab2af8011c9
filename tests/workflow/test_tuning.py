"""Tuning in the workflow: what it may read, what a kill costs, what reruns."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from harness import REPO, TINY_STUDY, Finished, Project, by_rule, finished_jobs, write_yaml

SDIFF = {"rank": 16, "hidden": 32, "batch_size": 50, "epochs": 60, "eval_every": 20, "patience": 50}
TRIALS = 6


@pytest.fixture(scope="module")
def project(finished: Finished) -> Project:
    """The checkout that knows the tiny data set."""
    return finished.project


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [
        {"model": "sdiff", "tune": True, "params": SDIFF},
        {"model": "gsprec", "tune": True},
        {"model": "gsprec", "tune": True, "variant": "no-bandpass", "after": {"phi": 0.0}, "group": "part"},
        {"model": "popularity", "tune": True},
    ]
    figures = [{"name": "tuning", "title": "Trials", "kind": "tuning"}]
    content = {**TINY_STUDY, "name": "tuned", "models": models, "figures": figures}
    return write_yaml(
        tmp_path_factory.mktemp("study") / "tuned.yaml", content | {"tuning": {"trials": TRIALS}}
    )


@pytest.fixture(scope="module")
def whole(project: Project, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the study ran without a disturbance."""
    folder = tmp_path_factory.mktemp("whole")
    done = project.snakemake(folder, "tuned", "--config", f"study={study}", "scale=paper")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def trials(folder: Path, model: str) -> pd.DataFrame:
    (path,) = folder.glob(f"results/tuning/tiny/{model}/*/trials.csv")
    return pd.read_csv(path).drop(columns="seconds")


def test_one_tuning_job_serves_a_model_and_its_ablation(whole: Path, project: Project, study: Path) -> None:
    assert len(list(whole.glob("results/tuning/tiny/gsprec/*"))) == 1
    records = [json.loads(p.read_text()) for p in whole.glob("results/runs/tiny/gsprec/*/seed-0/run.json")]
    part, full = sorted((r["params"] for r in records), key=lambda p: p["phi"])
    assert part == {**full, "phi": 0.0}
    (best,) = whole.glob("results/tuning/tiny/gsprec/*/best.json")
    assert json.loads(best.read_text())["params"] == full


def test_every_tuned_model_gets_the_same_number_of_trials(whole: Path) -> None:
    assert [len(trials(whole, name)) for name in ("sdiff", "gsprec")] == [TRIALS, TRIALS]
    collected = pd.read_csv(whole / "results/studies/tuned/tuning.csv")
    assert collected.groupby("model")["trial"].max().to_dict() == {"gsprec": TRIALS, "sdiff": TRIALS}


def test_chosen_values_are_those_of_the_runs_table(whole: Path) -> None:
    runs = pd.read_csv(whole / "results/studies/tuned/runs.csv").set_index(["model", "group"])
    best = json.loads(next(whole.glob("results/tuning/tiny/sdiff/*/best.json")).read_text())
    assert json.loads(runs.loc[("sdiff", "main"), "params"]) == best["params"]


def test_a_rerun_does_nothing(whole: Path, project: Project, study: Path) -> None:
    done = project.snakemake(whole, "tuned", "--config", f"study={study}", "scale=paper")
    assert done.returncode == 0
    assert finished_jobs(done.stderr) == []


def test_a_larger_budget_tunes_again_and_fits_again(
    whole: Path, project: Project, study: Path, tmp_path: Path
) -> None:
    text = study.read_text(encoding="utf-8").replace(f"trials: {TRIALS}", f"trials: {TRIALS + 2}")
    (tmp_path / "tuned.yaml").write_text(text, encoding="utf-8")
    jobs = by_rule(
        project.planned(whole, "tuned", "--config", f"study={tmp_path / 'tuned.yaml'}", "scale=paper")
    )
    assert (jobs["tune"], jobs["fit"], jobs.get("spectrum", 0)) == (2, 3, 0)


def test_a_model_is_not_tuned_without_need(tmp_path: Path) -> None:
    assert "tune" not in by_rule(REPO.planned(tmp_path, "quickstart"))
