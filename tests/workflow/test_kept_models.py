"""Models that a study keeps, what they recommend from the command line, and names in what is printed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from harness import TINY, Finished, Project, changed, fitted, write_yaml
from warm import warm_python

pytestmark = pytest.mark.slow
STUDY: dict[str, Any] = {
    "name": "kept-models",
    "title": "Models that are kept",
    "datasets": ["tiny"],
    "protocols": ["standard"],
    "models": [
        {"model": "popularity"},
        {"model": "ease", "keep": True, "fit": ["train", "train+valid"]},
        {"model": "gfcf", "params": {"rank": 8}, "sweep": {"alpha": [0.1, 0.3]}},
    ],
    "tables": [{"name": "main", "title": "The table", "metrics": ["recall"], "k": [10]}],
}  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The study, run to its report."""
    place = tmp_path_factory.mktemp("kept")
    project = Project.copied(place / "checkout")
    shutil.copy(TINY / "dataset.yaml", project.root / "config" / "datasets" / "tiny.yaml")
    return Finished.run(project, place, place / "study.yaml", STUDY)


def models(folder: Path) -> list[str]:
    found = sorted((folder / "results/runs").rglob("model.rs"))
    return [path.relative_to(folder / "results/runs/tiny").parts[0] for path in found]


def recommend(kept: Finished, *words: str) -> subprocess.CompletedProcess:
    command = [warm_python(), "-m", "recspectra", "recommend", *words]
    variables = kept.project.environment(RECSPECTRA_ROOT=str(kept.project.root))
    return subprocess.run(
        command, cwd=kept.folder, env=variables, capture_output=True, text=True, check=False
    )


def ease_folder(kept: Finished, fit: str) -> Path:
    records = (kept.folder / "results/runs/tiny/ease").rglob("run.json")
    return next(p.parent for p in records if json.loads(p.read_text())["config"]["fit"] == fit)


def test_the_models_of_an_entry_are_kept_and_no_others(kept: Finished) -> None:
    assert models(kept.folder) == ["ease", "ease"]
    assert kept.project.planned(kept.folder, *kept.options) == []


def test_what_is_printed_has_names_and_the_log_has_the_key(kept: Finished) -> None:
    title = "Tiny planted data"
    for line in (
        f"fit EASE on {title}, seed 0", f"fit EASE (train+valid) on {title}, seed 0",
        f"fit GF-CF (alpha 0.1) on {title}, seed 0", f"fit GF-CF (alpha 0.3) on {title}, seed 0",
        f"spectrum item-similarity@train on {title}, 16 pairs", f"prepare {title}", f"split {title}",
        f"evaluate kept-models on {title}",
    ):  # fmt: skip
        assert f"] {line} (" in kept.printed, kept.printed
    keys = {path.name for path in (kept.folder / "results/runs/tiny").glob("*/*")}
    assert len(keys) == 5 and not any(key in kept.printed for key in keys)
    logs = {
        path.stem.split("-")[0]: path.read_text()
        for path in (kept.folder / "results/logs/fit").rglob("*.log")
    }
    assert set(logs) == keys and all(f"key {key}," in text for key, text in logs.items())


def test_a_model_can_be_kept_later_and_is_not_lost_when_nobody_asks(kept: Finished, tmp_path: Path) -> None:
    work = kept.copy(tmp_path / "work")
    wanted = [*kept.options, "keep=1"]
    assert fitted(kept.project.planned(work, *wanted)) == {"popularity": 1, "gfcf": 2}
    without = changed(STUDY, lambda study: study["models"][1].pop("keep"))
    jobs = kept.project.planned(work, "--config", f"study={write_yaml(tmp_path / 'study.yaml', without)}")
    assert not fitted(jobs)
    shutil.rmtree(work / ".snakemake/metadata")  # what Snakemake knew
    done = kept.project.snakemake(work, *wanted, "--dry-run")
    assert done.returncode == 1 and "is to keep its model, but its record" in done.stdout + done.stderr


def test_a_model_that_was_deleted_is_made_again(kept: Finished, tmp_path: Path) -> None:
    work = kept.copy(tmp_path / "work")
    for path in (work / "results/runs/tiny/ease").rglob("model.rs"):
        path.unlink()
    assert fitted(kept.project.planned(work, *kept.options)) == {"ease": 2}
    done = kept.project.snakemake(work, *kept.options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert models(work) == ["ease", "ease"]
    assert kept.project.planned(work, *kept.options) == []


def test_users_are_recommended_what_they_do_not_have(kept: Finished) -> None:
    folder = ease_folder(kept, "train")
    done = recommend(kept, str(folder.relative_to(kept.folder)), "--users", "17, 99", "--k", "3")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["user", "item", "score", "rank"]
    assert [(line[0], line[3]) for line in lines[1:]] == [(u, r) for u in ("17", "99") for r in "123"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_lists_of_all_users_are_written(kept: Finished, ending: str, tmp_path: Path) -> None:
    out = tmp_path / f"lists.{ending}"
    done = recommend(kept, str(ease_folder(kept, "train+valid")), "--all", "--k", "5", "--out", str(out))
    assert done.returncode == 0, done.stderr
    users = pd.read_parquet(kept.folder / "results/data/tiny/ids.parquet")["kind"].eq("user").sum()
    assert f"{5 * users:,} rows for {users:,} users of EASE on tiny" in done.stdout
    read = {"csv": pd.read_csv, "tsv": lambda p: pd.read_csv(p, sep="\t"), "parquet": pd.read_parquet}[ending]
    frame = read(out)
    assert list(frame.columns) == ["user", "item", "score", "rank"] and len(frame) == 5 * users


def test_new_users_are_asked_about_with_their_history(kept: Finished, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("user,item\nsomebody,3\nsomebody,5\n")
    folder = str(ease_folder(kept, "train"))
    done = recommend(kept, folder, "--history", str(tmp_path / "new.csv"), "--k", "2")
    assert done.returncode == 0 and done.stdout.count("somebody") == 2, done.stderr


WRONG: list[tuple[list[str], str]] = [
    (
        ["tiny/ease", "--all"],
        r"RUN: 'tiny/ease' has 2 saved models, name one of\n  results/runs/.*: EASE fitted on tiny .train",
    ),
    (["tiny/nobody", "--all"], "no run below results/runs of that name kept its model; kept are: tiny/ease"),
    (["EASE", "--users", "u17"], "unknown user 'u17': the data have"),
    (["EASE", "--all", "--out", "lists.txt"], "lists.txt must end in .csv, .tsv or .parquet"),
    (["EASE", "--all", "--out", "/proc/nowhere/lists.csv"], "cannot be written|No such file"),
    (["EASE", "--history", "nowhere.csv"], "--history: nowhere.csv: No such file"),
    (["EASE", "--all", "--k", "0"], "k: 0 is no whole number of at least 1"),
    (["POPULARITY", "--all"], "this run did not keep its model; write `keep: true`"),
    (["results/data/tiny/train.npz", "--all"], "is no model that RecSpectra saved"),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_words_are_one_clear_line(words: list[str], message: str, kept: Finished) -> None:
    popularity = next((kept.folder / "results/runs/tiny/popularity").rglob("seed-0"))
    places = {"EASE": str(ease_folder(kept, "train")), "POPULARITY": str(popularity)}
    before = sorted(path.name for path in kept.folder.iterdir())
    done = recommend(kept, *(places.get(word, word) for word in words))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert sorted(path.name for path in kept.folder.iterdir()) == before


def test_help_says_what_there_is(kept: Finished) -> None:
    done = recommend(kept, "--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("--users", "--all", "--history", "--out", "examples:"))


def test_a_kept_model_is_a_model_of_the_library(kept: Finished) -> None:
    code = (
        "import recspectra as rs, sys\n"
        "data, model = rs.dataset('tiny'), rs.load(sys.argv[1])\n"
        "print(rs.evaluate(model, data, metrics=['recall'], k=10)['value'][0])"
    )
    command = [sys.executable, "-c", code, str(ease_folder(kept, "train"))]
    variables = kept.project.environment(RECSPECTRA_ROOT=str(kept.project.root))
    done = subprocess.run(
        command, cwd=kept.folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    metrics = pd.read_csv(kept.folder / "results/studies/kept-models/metrics.csv")
    row = metrics[
        (metrics["model"] == "ease") & (metrics["fit"] == "train") & (metrics["metric"] == "recall")
    ]
    assert float(done.stdout) == pytest.approx(row[row["k"] == 10]["value"].iloc[0], abs=1e-12)
