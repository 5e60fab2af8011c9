"""Levels of effort of a study: trials, seeds and limits of hyperparameters."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from recspectra.config import Catalog, ConfigError, Study

ROOT = Path(__file__).resolve().parents[2]
STUDY = {
    "name": "e", "title": "E", "datasets": ["synthetic"], "seeds": [0], "tuning": {"trials": 30},
    "efforts": {
        "cpu": {"trials": 4, "seeds": [0, 1], "limits": {"epochs": 40}},
        "paper": {"seeds": [0, 1, 2]},
    },
    "systems": [
        {"model": "mf", "tune": True},
        {"model": "sdiff", "params": {"epochs": 10}},
        {"model": "ials", "variant": "fixed"},
        {"model": "lightgcn", "seeds": [7]},
    ],
}  # fmt: skip


def load(folder: Path, level: str, **changes: object) -> Study:
    path = folder / "e.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes))
    return Catalog(ROOT).study(str(path), effort=level)


def test_an_effort_sets_trials_and_seeds_of_systems_without_their_own(tmp_path: Path) -> None:
    study = load(tmp_path, "cpu")
    assert study.config.tuning.trials == 4
    assert [r.seed for r in study.runs if r.run.model == "mf"] == [0, 1]
    assert [r.seed for r in study.runs if r.run.model == "lightgcn"] == [7]
    assert [r.run.tune.trials for r in study.runs if r.run.tune] == [4, 4]


def test_limits_lower_what_is_larger_and_leave_what_is_smaller(tmp_path: Path) -> None:
    runs = {r.run.model: r.run for r in load(tmp_path, "cpu").runs}
    assert runs["lightgcn"].params["epochs"] == 40
    assert runs["sdiff"].params["epochs"] == 10
    assert runs["ials"].params["epochs"] == 16  # its default
    assert runs["mf"].tune.params == {"epochs": 40}


def test_another_effort_gives_other_runs(tmp_path: Path) -> None:
    cpu, paper = (load(tmp_path, effort) for effort in ("cpu", "paper"))
    assert paper.config.tuning.trials == 30
    assert paper.config.limits == {}
    key = {s.config.effort: {r.run.key for r in s.runs if r.run.model == "mf"} for s in (cpu, paper)}
    assert not key["cpu"] & key["paper"]


def test_a_study_without_efforts_is_the_same_at_any(tmp_path: Path) -> None:
    cpu, paper = (load(tmp_path, effort, efforts={}) for effort in ("cpu", "paper"))
    assert [r.run.key for r in cpu.runs] == [r.run.key for r in paper.runs]
    assert cpu.config.effort == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"efforts": {"paper": {}}}, "no effort 'cpu'; it has paper"),
        ({"effort": "cpu"}, "chosen by `--config effort"),
        ({"efforts": {"cpu": {"limits": {"epoch": 3}}}}, "no system of the study has a parameter 'epoch'"),
    ],
)
def test_what_an_effort_cannot_be(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, "cpu", **changes)
