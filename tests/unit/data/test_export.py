"""Exports give other tools the same data and the same metrics."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recspectra.config.dataset import DatasetConfig
from recspectra.config.yaml_io import validate
from recspectra.data import export
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.data.readers import read
from recspectra.evaluation.hits import compare
from recspectra.evaluation.metrics import METRICS
from recspectra.files import write_json, write_npz
from recspectra.fitting.ranking import top_with_ties
from recspectra.identity import split_digests


def made(seed: int, share: float) -> Interactions:
    rng = np.random.default_rng(seed)
    cells = np.flatnonzero(rng.random(40 * 30) < share)
    times = rng.random(len(cells)).round(3)
    return from_pairs(cells // 30, cells % 30, times, (40, 30))


def test_trec_files_give_pytrec_eval_our_metrics() -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    seen, truth = made(0, 0.2), made(1, 0.1)
    scores = np.random.default_rng(2).standard_normal((40, 30)).astype(np.float32)
    lists = top_with_ties(scores, seen.matrix, 10).lists
    users = np.flatnonzero(truth.lengths)
    run: dict = {}
    for line in export.trec_run(lists, users, "us").splitlines():
        user, _, item, _, score, _ = line.split()
        run.setdefault(user, {})[item] = float(score)
    qrels: dict = {}
    for line in export.trec_qrels(truth).splitlines():
        user, _, item, grade = line.split()
        qrels.setdefault(user, {})[item] = int(grade)
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"recall.10", "ndcg_cut.10", "recip_rank"}).evaluate(run)
    ranked = compare(lists, truth)
    for ours, name in (("recall", "recall_10"), ("ndcg", "ndcg_cut_10"), ("mrr", "recip_rank")):
        values = METRICS[ours](ranked, [10])[:, 0]
        for user, value in zip(ranked.users, values, strict=True):
            assert value == pytest.approx(theirs[str(user)][name], abs=1e-9)


def test_recbole_files_come_back_the_same(tmp_path: Path) -> None:
    pieces = {name: made(i, 0.3) for i, name in enumerate(("train", "valid", "test"))}
    paths = export.recbole(pieces, "made", tmp_path)
    assert [p.name for p in paths] == ["made.train.inter", "made.valid.inter", "made.test.inter"]
    for path, piece in zip(paths, pieces.values(), strict=True):
        data = {"name": "back", "path": str(path)}
        table = read(validate(DatasetConfig, data, "back.yaml"), tmp_path)
        back = from_pairs(table.users, table.items, table.times, piece.shape)
        assert np.array_equal(back.items, piece.items)
        assert np.array_equal(back.indptr, piece.indptr)


def test_a_run_of_another_dataset_is_not_exported(root: Path, tmp_path: Path) -> None:
    """Its items would be named by the other dataset's numbers."""
    pieces = {name: made(i, 0.3) for i, name in enumerate(("train", "valid", "test"))}
    for name, piece in pieces.items():
        piece.save(tmp_path / "data" / f"{name}.npz")
    write_json(tmp_path / "data" / "stats.json", {"digests": split_digests(pieces, True)})
    run = tmp_path / "runs/other/ease/0123456789/seed-0"
    write_npz(run / "rankings.npz", status=np.str_("ok"), data=np.str_("another"), code=np.str_(""))
    command = [sys.executable, str(root / "workflow/scripts/export.py"), "--data", str(tmp_path / "data")]
    done = subprocess.run(
        [*command, "--run", str(run), "--folder", str(tmp_path / "out")], capture_output=True, text=True
    )
    assert done.returncode == 1 and "its numbers are not of this split" in done.stderr
    assert not (tmp_path / "out").exists()
