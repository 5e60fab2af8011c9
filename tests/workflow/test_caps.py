"""Caps of a scale in the workflow: which fits go on when a cap rises, and with what result."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from harness import TINY, Finished, Project, by_rule, digests, fitted, rows, write_yaml

STEADY = {"epochs": 9, "eval_every": 3, "patience": 9, "batch_size": 50}
STILL = {"learning_rate": 1e-12, "eval_every": 1, "patience": 1}
STUDY = {
    "name": "capped-study",
    "title": "A study of caps",
    "datasets": ["tiny"],
    "seeds": [0, 1],
    "tuning": {"trials": 2},
    "protocols": ["standard"],
    "models": [
        {"model": "popularity"},
        {"model": "mf", "params": STEADY},
        # Learns nothing: ends by patience after two epochs.
        {"model": "mf", "variant": "still", "params": STEADY | STILL},
        # Has as many epochs as the lower cap.
        {"model": "lightgcn", "params": STEADY | {"epochs": 4}, "fit": ["train", "train+valid"]},
        # Its search is the same under both caps: they do not bind.
        {"model": "mf", "variant": "tuned", "tune": True, "params": {"epochs": 3}},
    ],
    "tables": [{"name": "main", "title": "The table", "metrics": ["recall"], "k": [10]}],
    "figures": [{"name": "learning", "title": "Curves", "kind": "learning-curves"}],
}  # fmt: skip
FITS = Counter(popularity=1, mf=3, lightgcn=2)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Path]:
    """A checkout with the tiny dataset, and the study's file."""
    place = tmp_path_factory.mktemp("capped")
    project = Project.copied(place / "checkout")
    shutil.copy(TINY / "dataset.yaml", project.root / "config" / "datasets" / "tiny.yaml")
    return project, write_yaml(place / "study.yaml", STUDY)


def words(study: Path, **choice: Any) -> list[str]:
    return ["--config", f"study={study}", *(f"{key}={value}" for key, value in choice.items())]


def run(checkout: tuple[Project, Path], folder: Path, *targets: str, **choice: Any) -> str:
    """Run the study to its report, or to some files, and return what was printed."""
    project, study = checkout
    done = project.snakemake(folder, *targets, *words(study, **choice))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def four(checkout: tuple[Project, Path], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The study at a cap of four epochs and one seed."""
    folder = tmp_path_factory.mktemp("four") / "work"
    printed = run(checkout, folder, epochs=4, seeds=1)
    return Finished(*checkout, folder, printed)


def statuses(folder: Path) -> Counter[tuple[str, str, str]]:
    found = rows(folder / "results/studies/capped-study/runs.csv")
    return Counter((row["model"], row["variant"], row["status"]) for row in found)


def is_ranking(name: str) -> bool:
    return name.endswith("rankings.npz")


def test_what_a_cap_ended_is_said_everywhere(four: Finished) -> None:
    assert statuses(four.folder) == {
        ("popularity", "default", "ok"): 1, ("mf", "default", "capped"): 1, ("mf", "still", "ok"): 1,
        ("lightgcn", "default", "ok"): 2, ("mf", "tuned", "ok"): 1,
    }  # fmt: skip
    folder = four.folder / "results/studies/capped-study"
    capped = [row for row in rows(folder / "metrics.csv") if row["status"] == "capped"]
    assert {row["variant"] for row in capped} == {"default"} and all(row["value"] for row in capped)
    marked = [line for line in (folder / "table-main.md").read_text().splitlines() if "\u00b6" in line]
    assert [line.split(" |")[0] for line in marked[:-1]] == ["| MF, fit train"]
    assert marked[-1] == "\u00b6 a cap of the scale ended the fit; a higher one may change the number."
    assert "1 of 2 seeds, 1 of 6 fits ended by a cap" in (folder / "table-main.md").read_text()
    assert r"\P{}" in (folder / "table-main.tex").read_text()
    assert "\u00b6 MF, fit train" in {row["series"] for row in rows(folder / "fig-learning.csv")}
    record = json.loads((folder / "study.json").read_text())
    assert record["choice"] == {"scale": "laptop", "epochs": 4, "seeds": 1, "datasets": ["tiny"]}
    assert record["scale"]["epochs"] == {"light": 4, "medium": 4, "heavy": 4}
    assert "\u00b6" in (four.folder / "results/report/index.html").read_text(encoding="utf-8")


def test_the_same_and_lower_caps_rerun_no_fit(four: Finished) -> None:
    assert four.project.planned(four.folder, *words(four.study, epochs=4, seeds=1)) == []
    for choice in ({"epochs": 3}, {"epochs": 4, "minutes": 1}, {"epochs": 4, "scale": "paper"}):
        jobs = four.project.planned(four.folder, *words(four.study, **{"seeds": 1, **choice}))
        assert not fitted(jobs) and "tune" not in by_rule(jobs), choice


def test_a_higher_cap_continues_what_a_cap_ended_and_nothing_else(
    four: Finished, checkout: tuple[Project, Path], tmp_path: Path
) -> None:
    work = four.copy(tmp_path / "work")
    higher = words(four.study, epochs=7, seeds=1)
    jobs = four.project.planned(work, *higher)
    assert fitted(jobs) == {"mf": 1}
    (fit,) = (job for job in jobs if job.rule == "fit")
    assert "arams" in fit.reason and "tune" not in by_rule(jobs)
    before = json.loads((work / fit.outputs[1]).read_text())
    run(checkout, work, epochs=7, seeds=1)
    after = json.loads((work / fit.outputs[1]).read_text())
    assert (before["capped"], after["capped"]) == ("epochs", "epochs")
    assert after["log"]["resumed_seconds"] == pytest.approx(before["log"]["training_seconds"])
    assert four.project.planned(work, *higher) == []
    run(checkout, tmp_path / "fresh", *fit.outputs, epochs=7, seeds=1)
    fresh = digests(tmp_path / "fresh/results/runs", is_ranking)
    others = digests(four.folder / "results/runs", is_ranking)
    assert len(fresh) == 1 and digests(work / "results/runs", is_ranking) == others | fresh
    run(checkout, work, "results/studies/capped-study/runs.csv", scale="paper", seeds=1)
    assert {status for _, _, status in statuses(work)} == {"ok"}
    assert not list((work / "results/checkpoints").rglob("*.safetensors"))


def test_caps_of_each_fit_reach_the_script(checkout: tuple[Project, Path], tmp_path: Path) -> None:
    project, study = checkout
    jobs = project.planned(tmp_path / "empty", *words(study, epochs=4, minutes=2.5))
    assert fitted(jobs) == Counter({model: 2 * count for model, count in FITS.items()})
    caps = Counter(
        job.command.partition("--caps ")[2].split()[0] for job in jobs if job.rule in ("fit", "tune")
    )
    # Each seed of popularity; of mf; of the refit as of the fit of LightGCN; of the search and what it chose.
    assert caps == {"none": 2, "epochs=4,minutes=2.5": 4, "minutes=2.5": 7}


def test_a_script_of_a_scale_of_the_users_and_narrowed_models(
    checkout: tuple[Project, Path], tmp_path: Path
) -> None:
    project, study = checkout
    scale = write_yaml(tmp_path / "my scales" / "mine.yaml", {"seeds": 1, "epochs": {"medium": 2}})
    jobs = project.planned(tmp_path / "work", *words(study, scale=scale, models="popularity,mf"))
    assert fitted(jobs) == Counter(popularity=1, mf=3)
    evaluate = next(job for job in jobs if job.rule == "evaluate")
    assert '"models":["popularity","mf"]' in evaluate.command.replace(" ", "")
    assert str(scale) in evaluate.command
