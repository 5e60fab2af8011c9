"""A dataset in three folds, from raw data to a table, by one call of Snakemake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from harness import TINY, Project, by_rule, rows, write_yaml

from recspectra.data.interactions import Interactions

NAMES = [f"folded.fold-{i}" for i in (1, 2, 3)]
STUDY = {
    "name": "in-folds", "title": "In folds", "datasets": ["folded"], "protocols": ["standard"],
    "models": [{"model": "popularity"}, {"model": "ease", "params": {"regularization": 30.0}}],
    "tables": [{"name": "main", "title": "The table", "metrics": ["ndcg"], "k": [10]}],
}  # fmt: skip


@pytest.mark.slow
def test_runs_fan_out_over_folds_and_the_table_has_their_mean(tmp_path: Path) -> None:
    project = Project.copied(tmp_path / "checkout")
    data = yaml.safe_load((TINY / "dataset.yaml").read_text())
    data |= {"name": "folded", "title": "Folded", "split": {"recipe": "k-fold", "folds": 3}}
    write_yaml(project.root / "config" / "datasets" / "folded.yaml", data)
    study = write_yaml(tmp_path / "study.yaml", STUDY)
    planned = by_rule(project.planned(tmp_path / "work", "--config", f"study={study}"))
    assert planned["fit"] == 2 * 3 and planned["split"] == planned["evaluate"] == 3
    done = project.snakemake(tmp_path / "work", "--config", f"study={study}")
    assert done.returncode == 0, done.stdout + done.stderr

    results = tmp_path / "work" / "results"
    tests = [Interactions.load(results / "data" / name / "test.npz") for name in NAMES]
    assert sum(test.nnz for test in tests) == 3000
    assert sum(test.matrix for test in tests).nnz == sum(test.matrix.nnz for test in tests)
    leaks = json.loads((results / "data" / NAMES[0] / "stats.json").read_text())["leaks"]
    assert leaks["test_in_train"] == 0 and leaks["users_with_future_train"] > 0.5

    folder = results / "studies" / "in-folds"
    by_fold = [
        float(row["value"]) for row in rows(folder / "metrics.csv")
        if (row["model"], row["metric"], row["k"], row["users"]) == ("ease", "ndcg", "10", "all")
    ]  # fmt: skip
    (ease,) = [row for row in rows(folder / "table-main.csv") if row["row"] == "EASE"]
    assert len(by_fold) == 3 and ease["dataset"] == "folded"
    assert float(ease["mean"]) == pytest.approx(np.mean(by_fold))
    assert [float(ease[n]) for n in ("fold_low", "fold_high")] == pytest.approx([min(by_fold), max(by_fold)])
    assert float(ease["low"]) < float(ease["mean"]) < float(ease["high"])
    assert "folds" in (folder / "table-main.md").read_text()
    assert "Folded" in (results / "report" / "index.html").read_text()
