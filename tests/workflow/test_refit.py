"""A refit of a trained model on train and validation learns for as long as did best on validation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from harness import REPO, TINY_STUDY, Finished, Job, by_rule, one_error, write_yaml

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.fitting.fit import best_epochs
from recspectra.recommender import ContractError

BOTH = ["train", "train+valid"]
ENTRY = {"model": "lightgcn", "fit": BOTH, "params": {"epochs": 40, "eval_every": 1, "patience": 3}}


def study(place: Path, entry: dict[str, Any]) -> Path:
    tables = [{"name": "main", "title": "The table", "metrics": ["recall"], "k": [10]}]
    content = {
        **TINY_STUDY,
        "name": "twice",
        "models": [entry],
        "tables": tables,
        "figures": [],
        "claims": [],
    }
    return write_yaml(place / "twice.yaml", content)


def refit(jobs: list[Job]) -> tuple[Job, Job]:
    """The fit on train and the one on both."""
    fits = [job for job in jobs if job.rule == "fit"]
    both = next(job for job in fits if '"fit":"train+valid"' in job.command)
    return next(job for job in fits if job is not both), both


def test_a_refit_waits_for_the_run_on_train(finished: Finished, tmp_path: Path) -> None:
    options = ["twice", "--config", f"study={study(tmp_path, ENTRY)}"]
    plain, both = refit(finished.project.planned(tmp_path / "work", *options))
    (record,) = [name for name in plain.outputs if name.endswith("run.json")]
    assert record in both.inputs
    assert f"--train-run {record}" in both.command
    assert "--train-run" not in plain.command


def test_a_closed_form_waits_for_none(finished: Finished, tmp_path: Path) -> None:
    entry = {"model": "ease", "fit": ["train+valid"]}
    options = ["twice", "--config", f"study={study(tmp_path, entry)}"]
    jobs = finished.project.planned(tmp_path / "work", *options)
    assert by_rule(jobs)["fit"] == 1
    assert "--train-run" not in next(job for job in jobs if job.rule == "fit").command


def test_a_trained_model_is_not_fitted_on_both_alone(tmp_path: Path) -> None:
    path = study(tmp_path, ENTRY | {"fit": ["train+valid"]})
    content = path.read_text().replace("- tiny\n", "- synthetic\n")
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"models\[0\]\.fit: .*write `fit: \[train, train\+valid\]`"):
        Catalog(REPO.root).study(str(path))


def test_a_refit_learns_as_long_as_did_best(finished: Finished, tmp_path: Path) -> None:
    work = finished.copy(tmp_path / "work")
    options = ["twice", "--config", f"study={study(tmp_path, ENTRY)}"]
    done = finished.project.snakemake(work, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(p.read_text()) for p in work.glob("results/runs/tiny/lightgcn/*/seed-0/run.json")]
    records = {record["config"]["fit"]: record for record in records}
    best = records["train"]["log"]["best_epoch"]
    assert 0 < best < records["train"]["log"]["epochs"] < 40
    assert records["train+valid"]["log"]["epochs"] == records["train+valid"]["params"]["epochs"] == best
    assert records["train+valid"]["config"]["params"]["epochs"] == 40
    assert done.stderr.count("fit LightGCN") == 2
    assert "LightGCN, fit train+valid" in (work / "results/studies/twice/table-main.md").read_text()

    # By hand, after a run on train that failed, and with a record of something else.
    data, place = work / "results/data/tiny", work / "by-hand"
    both, plain = (json.dumps(records[name]["config"]) for name in ("train+valid", "train"))
    train_run = work / "train_run.json"
    train_run.write_text(json.dumps(records["train"] | {"status": "oom", "log": {}}))
    command = ["--data", data, "--run", both, "--train-run", train_run, "--folder", place]
    assert finished.project.script("fit", work, *command).stdout.split()[-1] == "skipped"
    found = json.loads((place / "run.json").read_text())
    assert found["reason"] == "how long to learn is not known: the run on train ended as oom"
    with np.load(place / "rankings.npz") as arrays:
        assert set(arrays.files) == {"status", "data", "code", "key", "seed"}
    train_run.write_text(json.dumps(records["train"] | {"seed": 3}))
    one_error(finished.project.script("fit", work, *command), "train_run.json", "delete it")
    command[3] = plain  # a run on train takes no epochs from another
    assert finished.project.script("fit", work, *command).stdout.split()[-1] == "ok"


def test_epochs_of_a_refit() -> None:
    assert best_epochs(None) == {}
    assert best_epochs({"status": "timeout", "log": {}}) == {}
    assert best_epochs({"status": "ok", "log": {"best_epoch": 7}}) == {"epochs": 7}


@pytest.mark.parametrize("log", [{}, {"best_epoch": None}, {"best_epoch": 2.5}, {"best_epoch": True}])
def test_a_log_without_a_best_epoch_is_named_at_the_refit(log: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match=r"log that Mine\.fit returned has no.* `best_epoch`; return"):
        best_epochs({"status": "ok", "config": {"class_name": "Mine"}, "log": log})


def test_a_trained_model_without_epochs_is_not_refitted(project: Path, tmp_path: Path) -> None:
    mine = yaml.safe_load((project / "config/models/mf.yaml").read_text()) | {"name": "mine", "best": {}}
    mine["params"]["n_epochs"] = mine["params"].pop("epochs")
    write_yaml(project / "config/models/mine.yaml", mine)
    path = study(tmp_path, {"model": "mine", "fit": BOTH})
    path.write_text(path.read_text().replace("- tiny\n", "- synthetic\n"))
    with pytest.raises(ConfigError, match=r"models\[0\]\.fit: .*mine\.yaml has no parameter `epochs`"):
        Catalog(project).study(str(path))
    path = study(tmp_path, {"model": "mine"})
    path.write_text(path.read_text().replace("- tiny\n", "- synthetic\n"))
    assert Catalog(project).study(str(path)).runs
