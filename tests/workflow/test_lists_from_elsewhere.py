"""A user's own data and lists that another program made: from files to tables, a claim and the report."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import Finished, Project, by_rule, one_error, rows, write_yaml

from recspectra.data.ids import Ids
from recspectra.data.interactions import Interactions
from recspectra.data.synthetic import generate

DATASET = {
    "name": "shop",
    "path": "clicks.csv",
    "columns": {"user": "user_id", "item": "item_id", "time": "ts"},
}
MODELS = [
    {"model": "popularity"},
    {"model": "ease", "params": {"regularization": 30.0}},
    {"lists": "markov.csv", "title": "Their Markov", "seconds": 812, "seeds": [0]},
    {"lists": "{dataset}-{seed}.parquet", "title": "Their two seeds"},
]
STUDY = {
    "name": "beside",
    "title": "Beside theirs",
    "datasets": ["shop"],
    "seeds": [0, 1],
    "protocols": ["standard"],
    "models": [{"model": "markov"}, {"model": "popularity"}],
    "tables": [
        {"name": "main", "title": "All", "protocol": "standard", "metrics": ["recall", "ndcg"], "k": [10]},
        {"name": "times", "title": "Times", "kind": "runtime", "reference": "popularity"},
    ],
    "figures": [{"name": "timing", "title": "Times", "kind": "timing"}],
}
CLAIM = {"name": "best", "title": "Is it?", "statement": "EASE is best.", "kind": "gain", "model": "ease",
         "rivals": ["their_markov", "popularity"]}  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A study of two of our models on a user's own file, run to its report; their lists exported."""
    place = tmp_path_factory.mktemp("shop")
    project, table = Project.copied(place / "checkout"), generate(150, 100, 3000, communities=4, seed=0)
    frame = pd.DataFrame({"user_id": table.users, "item_id": table.items, "ts": table.times})
    frame["user_id"] = frame["user_id"].map("{:04}".format)  # leading zeros
    frame["item_id"] = frame["item_id"].map("Töpfe, {}".format)
    frame.to_csv(project.root / "config/datasets/clicks.csv", index=False)
    write_yaml(project.root / "config/datasets/shop.yaml", DATASET)
    return Finished.run(project, place, place / "mine" / "beside.yaml", STUDY)


def folder_of(work: Path, model: str, seed: int = 0) -> Path:
    return next((work / "results/runs/shop" / model).glob(f"*/seed-{seed}"))


def export(shop: Finished, work: Path, model: str, to: Path) -> None:
    run = folder_of(work, model).relative_to(work)
    done = shop.project.script("export", work, "--data", "results/data/shop", "--run", run, "--folder", to)
    assert done.returncode == 0, done.stderr
    assert "no TREC files: item 'T\u00f6pfe, 0' (position 0): for TREC it holds a blank" in done.stdout


@pytest.fixture(scope="module")
def beside(shop: Finished) -> Finished:
    """The same study with lists from elsewhere, among them ours under another name."""
    export(shop, shop.folder, "markov", shop.folder / "exported")
    lists = (shop.folder / "exported/lists.csv").read_bytes()
    (shop.study.parent / "markov.csv").write_bytes(lists)
    frame = pd.read_csv(shop.folder / "exported/lists.csv", dtype=str)
    for seed in (0, 1):
        kept = frame[frame["rank"].astype(int) <= 8 + 8 * seed].drop(columns="rank")
        kept.to_parquet(shop.study.parent / f"shop-{seed}.parquet", index=False)
    changed = STUDY | {"models": [STUDY["models"][0], *MODELS], "claims": [CLAIM]}
    write_yaml(shop.study, changed)
    done = shop.project.snakemake(shop.folder, *shop.options)
    assert done.returncode == 0, done.stdout + done.stderr
    return Finished(shop.project, shop.study, shop.folder, done.stderr)


def values(work: Path, model: str) -> dict[tuple, str]:
    found = rows(work / "results/studies/beside/metrics.csv")
    points = ("seed", "history", "mask", "users", "metric", "k")
    return {
        tuple(r[p] for p in points): r["value"] for r in found if r["model"] == model and r["seed"] == "0"
    }


def test_positions_have_the_ids_of_the_file(beside: Finished) -> None:
    data = beside.folder / "results/data/shop"
    ids, train = Ids.load(data / "ids.parquet"), Interactions.load(data / "train.npz")
    clicks = pd.read_csv(beside.project.root / "config/datasets/clicks.csv", dtype=str)
    pairs = set(zip(clicks["user_id"], clicks["item_id"], strict=True))
    assert set(zip(ids.users[train.users], ids.items[train.items], strict=True)) <= pairs
    assert ids.users[:2].tolist() == ["0000", "0001"]
    per_user = pd.read_parquet(beside.folder / "results/studies/beside/per_user/shop.parquet")
    assert (ids.users[per_user["user"]] == per_user["user_id"].astype(str)).all()


def test_lists_of_ours_have_the_numbers_of_ours(beside: Finished) -> None:
    theirs = values(beside.folder, "their_markov")
    assert len(theirs) >= 12
    assert theirs == values(beside.folder, "markov")


def test_lists_stand_in_tables_claim_and_report(beside: Finished) -> None:
    study = beside.folder / "results/studies/beside"
    table = (study / "table-main.md").read_text(encoding="utf-8")
    assert "| Their Markov |" in table and "| Their two seeds |" in table
    assert "Lists from elsewhere, not fitted here: Their Markov (history train+valid)" in table
    assert "fewer than 20 items" in table and "Note on Their two seeds on shop" in table
    assert "Note on Their Markov" not in table
    times = {r["row"]: r["total_seconds"] for r in rows(study / "table-times.csv")}
    assert times["Their Markov"] == "812" and times["Their two seeds"] == ""
    assert any(
        "Their Markov" in r["rival"] or r["rival"] == "their_markov" for r in rows(study / "claims.csv")
    )
    report = (beside.folder / "results/report/study-beside.html").read_text(encoding="utf-8")
    assert "Their Markov" in report and "Note on Their two seeds" in report
    runs = {(r["model"], r["seed"]): r for r in rows(study / "runs.csv")}
    assert runs["their_markov", "0"]["fit_seconds"] == "812.0" and ("their_two_seeds", "1") in runs
    assert runs["markov", "0"]["threads"] == "1"


def test_no_import_sees_test_data(beside: Finished, tmp_path: Path) -> None:
    jobs = beside.project.planned(tmp_path / "new", *beside.options)
    assert by_rule(jobs)["import_lists"] == 3
    for job in jobs:
        reads = any(name.endswith("test.npz") for name in job.inputs)
        assert reads == (job.rule == "evaluate")


def test_nothing_runs_again_until_the_content_changes(beside: Finished, tmp_path: Path) -> None:
    work = beside.copy(tmp_path / "work")
    assert not beside.project.planned(work, *beside.options)
    path = beside.study.parent / "markov.csv"
    before = path.read_text(encoding="utf-8")
    lines = before.splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.endswith(",50\n")), encoding="utf-8")
    try:
        counts = by_rule(beside.project.planned(work, *beside.options))
    finally:
        path.write_text(before, encoding="utf-8")
    assert counts["import_lists"] == 1 and counts["evaluate"] == 1 and counts["fit"] == 0


def test_a_wrong_file_stops_with_one_message_and_leaves_nothing(beside: Finished, tmp_path: Path) -> None:
    work = beside.copy(tmp_path / "work")
    frame = pd.read_csv(beside.study.parent / "markov.csv", dtype=str)
    frame.loc[11, "item"] = "Töpfe, 999"
    frame.to_csv(tmp_path / "wrong.csv", index=False)
    record = json.loads((folder_of(work, "their_markov") / "run.json").read_text(encoding="utf-8"))
    content = (tmp_path / "wrong.csv").read_bytes()
    options = [
        "--data",
        "results/data/shop",
        "--run",
        json.dumps(record["config"]),
        "--folder",
        "results/new",
    ]
    call = (*options, "--lists", tmp_path / "wrong.csv")
    done = beside.project.script("import_lists", work, *call, "--digest", _digest(content))
    one_error(done, "wrong.csv: line 13: unknown item 'T\u00f6pfe, 999'", "not among the 100 of the dataset")
    stale = beside.project.script("import_lists", work, *call, "--digest", "3 bytes, sha256 0")
    one_error(stale, "changed while the workflow ran")
    assert not (work / "results/new").exists()


def _digest(content: bytes) -> str:
    return f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}"


def test_lists_for_the_wrong_dataset_stop_the_workflow(beside: Finished, tmp_path: Path) -> None:
    numbers = np.arange(30)
    pd.DataFrame({"user": numbers, "item": numbers}).to_csv(tmp_path / "x.csv", index=False)
    entry = {"lists": str(tmp_path / "x.csv"), "title": "Other"}
    write_yaml(tmp_path / "other.yaml", STUDY | {"name": "other", "models": [entry], "tables": []})
    work = beside.copy(tmp_path / "work")
    done = beside.project.snakemake(work, "--config", f"study={tmp_path / 'other.yaml'}")
    assert done.returncode != 0
    assert "unknown user '0', '1', '2'" in done.stderr and "'0000' is: were leading zeros lost" in done.stderr
    assert not (work / "results/runs/shop/other").exists() or not list(
        (work / "results/runs/shop/other").rglob("*.npz")
    )
