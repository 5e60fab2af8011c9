"""What studies cost: the runs follow from the studies, the seconds from what was measured."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recspectra.config.catalog import Catalog
from recspectra.config.planned import Study
from recspectra.config.scale import Scale
from recspectra.config.study import StudyConfig
from recspectra.config.yaml_io import validate
from recspectra.files import ArtifactError
from recspectra.running import costs as programme
from recspectra.running.costs import Work

DATASET = "ml-1m.diffrec"


def make_study(catalog: Catalog, **changes: object) -> Study:
    """A study of two models on one dataset; one search serves both fits of one."""
    models = [{"model": "popularity"}, {"model": "sdiff", "tune": True, "fit": ["train", "train+valid"]}]
    content = {"name": "s", "title": "S", "datasets": [DATASET], "seeds": [0, 1], "models": models}
    content |= {"tuning": {"trials": 7}, **changes}
    whole = validate(StudyConfig, content, "s.yaml")
    return Study(catalog, whole, "s.yaml", whole, Scale())


def write_run(results: Path, model: str, seed: int, dataset: str = DATASET, **record: object) -> None:
    """Write the record of a run that took no time to rank."""
    path = results / "runs" / dataset / model / "key" / f"seed-{seed}" / "run.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"score_seconds": 0.0, "device": "cpu"} | record), encoding="utf-8")


def write_csv(path: Path, *rows: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_runs_and_trials_are_those_of_the_studies(catalog: Catalog, tmp_path: Path) -> None:
    work = programme.count_work([make_study(catalog)], tmp_path)
    assert work == {(DATASET, "popularity"): (Work(2), Work(0)), (DATASET, "sdiff"): (Work(4), Work(7))}
    more = [make_study(catalog), make_study(catalog, name="t", seeds=[1, 2], tuning={"trials": 9})]
    counts = [part.count for part in programme.count_work(more, tmp_path)[DATASET, "sdiff"]]
    assert counts == [8, 7 + 9]  # another budget is another search, and its runs are others
    again = programme.count_work([make_study(catalog), make_study(catalog, name="t")], tmp_path)
    assert again == work


def test_the_median_of_a_model_on_a_dataset_counts(tmp_path: Path) -> None:
    for seed, seconds in enumerate((1.0, 2.0, 60.0)):
        write_run(tmp_path, "ease", seed, fit_seconds=seconds, score_seconds=0.5)
    write_run(tmp_path, "ease", 0, "other", fit_seconds=9.0, device="cuda")
    write_run(tmp_path, "mf", 0, fit_seconds=5.0)
    assert programme.time_runs(tmp_path) == {
        (DATASET, "ease"): (2.5, "results, cpu"),
        ("other", "ease"): (9.0, "results, cuda"),
        (DATASET, "mf"): (5.0, "results, cpu"),
    }


def test_runs_that_ended_early_say_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, "mf", 0, status="timeout", score_seconds=None)
    write_run(tmp_path, "mf", 1, status="oom", fit_seconds=3.0, score_seconds=None)
    row = {"dataset": DATASET, "model": "mf", "fit_seconds": "", "score_seconds": "", "device": "cpu"}
    write_csv(tmp_path / "reference" / "one" / "runs.csv", row)
    assert programme.time_runs(tmp_path) == {}


def test_kept_numbers_tell_what_is_not_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / "reference" / "study" / "paper" / DATASET
    row = {"dataset": DATASET, "fit_seconds": 3.0, "score_seconds": 1.5, "device": "cpu"}
    write_csv(folder / "runs.csv", row | {"model": "ease"}, row | {"model": "mf"})
    write_csv(
        folder / "tuning.csv", *({"dataset": DATASET, "model": m, "seconds": 8} for m in ("ease", "mf"))
    )
    write_run(tmp_path, "ease", 0, fit_seconds=2.0)
    tried = tmp_path / "tuning" / DATASET / "ease" / "key" / "trials.csv"
    write_csv(tried, *({"trial": i, "seconds": s} for i, s in enumerate((2.0, "", 4.0))))
    ease, mf = (DATASET, "ease"), (DATASET, "mf")
    assert programme.time_runs(tmp_path) == {ease: (2.0, "results, cpu"), mf: (4.5, "reference, cpu")}
    assert programme.time_trials(tmp_path) == {ease: (3.0, "results"), mf: (8.0, "reference")}


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, "mf", 0)
    (path,) = tmp_path.rglob("run.json")
    path.write_text("{")
    with pytest.raises(ArtifactError, match="run.json"):
        programme.time_runs(tmp_path)


def test_the_table_sums_what_was_measured_and_says_what_was_not() -> None:
    work = {
        ("d", "ease"): (Work(2, 1800.0, "results, cpu"), Work(0)),
        ("d", "mf"): (Work(3), Work(5, 720.0, "reference")),
    }
    heads, ease, mf, _, count, total = programme.format_work(work).splitlines()
    assert ease.split() == ["d", "ease", "2", "1800.0", "results,", "cpu", "0", "-", "-"]
    assert mf.split() == ["d", "mf", "3", "not", "measured", "-", "5", "720.0", "reference"]
    assert (ease[heads.index("trials")], mf[heads.index("trials")]) == ("0", "5")
    assert (
        count
        == "5 runs and 5 trials in all, done or not; 7 of them (70 %) have a measured time, with whatever "
        "settings and epochs."
    )
    assert total == (
        "The measured 7 of 10 take 7,200 s (2.0 hours) one after another; the others are not measured. "
        "Starts of jobs, eigenpairs, evaluation and drawing come on top."
    )
    whole = programme.format_work({("d", "ease"): (Work(2, 1800.0, "results, cpu"), Work(0))})
    assert "\nOne after another these take 3,600 s (1.0 hours). Starts of jobs, eigenpairs," in whole


def run_plan(root: Path, folder: Path, *args: str) -> subprocess.CompletedProcess:
    """Run the script in an empty folder."""
    command = [sys.executable, str(root / "workflow" / "scripts" / "plan.py"), *args]
    kept = {**os.environ, "PYTHONPATH": str(root / "workflow")}
    return subprocess.run(command, env=kept, cwd=folder, capture_output=True, text=True, check=False)


def test_the_script_takes_studies_and_settings_as_snakemake_does(root: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "results", "ease", 0, "synthetic", fit_seconds=30.0)
    quick = run_plan(root, tmp_path, "quickstart")
    assert quick.returncode == 0, quick.stderr
    assert any(line.split()[:4] == ["synthetic", "ease", "2", "30.0"] for line in quick.stdout.splitlines())
    everything = run_plan(root, tmp_path)
    assert "lastfm.loo" in everything.stdout and "synthetic" in everything.stdout
    own = tmp_path / "own.yaml"
    shipped = root / "config" / "studies" / "quickstart.yaml"
    own.write_text(shipped.read_text().replace("name: quickstart", "name: own"))
    assert run_plan(root, tmp_path, "--config", f"study={own}", "device=cpu").stdout == quick.stdout


def test_the_script_names_a_study_that_is_not_there(root: Path, tmp_path: Path) -> None:
    done = run_plan(root, tmp_path, "quickstrat")
    assert done.returncode == 1 and done.stderr.startswith("error: no study 'quickstrat'; there are anchors")
