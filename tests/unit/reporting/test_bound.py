"""What one target a user forces upon hit rates and NDCG, on our rows and on published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_rows import write_files

from recspectra.reporting.audit import bound, breaks_bound
from recspectra.reporting.footnotes import footnotes
from recspectra.reporting.published import Published
from recspectra.reporting.results import COLUMNS, JOIN, StudyError, StudyResults

ROOT = Path(__file__).resolve().parents[3]
VIEW = {"history": "train+valid", "mask": "train+valid"}
HEAD = {"dataset": "lastfm.loo", "model": "wpgrec", "variant": "default", "key": "a", "seed": "42",
        "fit": "train"}  # fmt: skip


def measured(ranks: np.ndarray, bonus: float = 0.0) -> pd.DataFrame:
    """Return hit rates and NDCG of targets at some ranks; `bonus` falsifies ndcg@20."""
    rows = []
    for k in (5, 10, 20):
        hits = ranks <= k
        gain = np.where(hits, 1 / np.log2(ranks + 1), 0.0).mean() + (bonus if k == 20 else 0.0)
        for metric, value in (("hr", hits.mean()), ("ndcg", gain)):
            spot = {"protocol": "wpgrec", "metric": metric, "k": k}
            rows.append({**HEAD, **VIEW, **spot, "value": value, "status": "ok"})
    return pd.DataFrame(rows)


def files_with(folder: Path, metrics: pd.DataFrame, per_user: str = "1090") -> StudyResults:
    study = {
        "name": "w", "title": "W", "datasets": ["lastfm.loo"],
        "tables": [{"name": "t", "title": "T", "protocol": "wpgrec", "metrics": ["hr", "ndcg"], "k": [10, 20],
                    "published": "wpgrec/table1"}],
        "protocols": {"wpgrec": {"title": "W", "why": "w", "target": "test", "views": [VIEW],
                                 "metrics": ["hr", "ndcg"], "k": [5, 10, 20], "ties": "half"}},
    }  # fmt: skip
    counts = dict.fromkeys(COLUMNS["datasets"].split(), "1") | {"dataset": "lastfm.loo", "test": "1090"}
    return write_files(folder, study, {}, metrics=metrics, datasets=[counts | {"test_users": per_user}])


def test_any_ranks_keep_to_the_bound() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert breaks_bound(measured(rng.integers(1, 60, size=50).astype(float))).empty


@pytest.mark.parametrize("rank", [6.0, 10.0, 11.0, 20.0])
def test_the_bounds_are_reached(rank: float) -> None:
    assert breaks_bound(measured(np.array([rank, 1.0]))).empty
    assert len(breaks_bound(measured(np.array([rank, 1.0]), bonus=0.15))) == 1


def test_half_a_rank_is_no_rank() -> None:
    """Positions of equal scores are rounded down, see `top_with_ties`."""
    assert len(breaks_bound(measured(np.array([10.5, 30.0])))) == 1


def test_the_offending_run_is_named() -> None:
    row = breaks_bound(measured(np.array([15.0, 3.0]), bonus=0.2)).iloc[0]
    assert row[JOIN].tolist() == list(HEAD.values())
    assert (row["low"], row["high"], row["hits"]) == (10, 20, 0.5)


def test_the_note_counts_published_rows_that_cannot_be(tmp_path: Path) -> None:
    files = files_with(tmp_path, measured(np.array([3.0, 12.0, 40.0])))
    found = bound(files, files.config.tables[0], Published(ROOT))
    assert found["rows"] == 32 and sum(map(len, found["broken"].values())) == 19
    assert found["broken"]["WPGRec"] == ["amazon-beauty", "amazon-sports", "lastfm", "ml-1m"]
    note = footnotes(files, files.config.tables[0], Published(ROOT))[-1]
    assert "of the 32 published rows 19 do not" in note
    assert "WPGRec (amazon-beauty, amazon-sports, lastfm, ml-1m)" in note


def test_a_row_of_ours_that_breaks_it_stops_the_drawing(tmp_path: Path) -> None:
    files = files_with(tmp_path, measured(np.array([3.0, 12.0]), bonus=0.3))
    with pytest.raises(StudyError, match="wpgrec on lastfm.loo, seed 42: ndcg gains"):
        bound(files, files.config.tables[0], Published(ROOT))


def test_several_targets_a_user_have_no_such_bound(tmp_path: Path) -> None:
    files = files_with(tmp_path, measured(np.array([3.0, 12.0]), bonus=0.3), per_user="900")
    assert bound(files, files.config.tables[0], Published(ROOT)) is None


def test_validation_may_have_several_targets_where_test_has_one(tmp_path: Path) -> None:
    """As where `valid` of a shipped split is a share of its train part."""
    files = files_with(tmp_path, measured(np.array([3.0, 12.0]), bonus=0.3))
    files.protocols["wpgrec"]["target"] = "valid"
    assert bound(files, files.config.tables[0], Published(ROOT)) is None
