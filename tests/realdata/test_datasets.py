"""Every dataset whose files are in the mirror has its counts; anchors have their known values."""

from pathlib import Path

import numpy as np
import pytest
from from_mirror import CATALOG, prepared

from recspectra.config.study import ProtocolConfig
from recspectra.data.interactions import Interactions
from recspectra.evaluation.hits import compare
from recspectra.evaluation.metrics import METRICS
from recspectra.fitting.ranking import smaller_ids_first
from recspectra.fitting.scoring import rank
from recspectra.recommender import Run, Task, create
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import ItemSimilarity

K = [5, 10, 20]


@pytest.mark.parametrize("name", [n for n in CATALOG.names("datasets") if not n.startswith("synthetic")])
def test_counts_are_those_expected(name: str, mirror: Path) -> None:
    pieces = prepared(name, mirror)
    assert all(piece.nnz for piece in pieces.values())


def values(
    system: str, params: dict, pieces: dict[str, Interactions], protocol: ProtocolConfig
) -> dict[str, list[float]]:
    """Fit on train and measure as a protocol says."""
    spectra = {"item-similarity": leading(ItemSimilarity(pieces["train"]), 1)} if params else {}
    model = create(CATALOG.model(system), params)
    model.fit(Task(pieces["train"], pieces["valid"], True, spectra), Run())
    both = pieces["train"].merged(pieces["valid"])
    shown = {"train": pieces["train"], "train+valid": both}
    view = protocol.views[0]
    ranking = rank(model.score, shown[view.history], [shown[view.mask]], 50)[0]
    lists = smaller_ids_first(ranking) if protocol.ties == "smaller-id" else ranking.lists
    ranked = compare(lists, pieces["test"], ranking.positions if protocol.ties == "half" else None)
    return {name: METRICS[name](ranked, K).mean(axis=0).tolist() for name in protocol.metrics}


LOO = {
    "amazon-beauty.loo": (
        ([0.0081, 0.0120, 0.0204], [0.0044, 0.0056, 0.0076]),
        ([0.0349, 0.0515, 0.0770], [0.0229, 0.0282, 0.0347]),
    ),
    "lastfm.loo": (
        ([0.0248, 0.0385, 0.0606], [0.0135, 0.0180, 0.0236]),
        ([0.0615, 0.0908, 0.1413], [0.0455, 0.0549, 0.0675]),
    ),
}


@pytest.mark.parametrize("name", LOO)
def test_leave_one_out_anchors(name: str, mirror: Path) -> None:
    pieces, protocol = prepared(name, mirror), CATALOG.protocol("wpgrec")
    models = (("popularity", {}), ("gfcf", {"rank": 1, "alpha": 0.0}))
    for (system, params), (hr, ndcg) in zip(models, LOO[name], strict=True):
        found = values(system, params, pieces, protocol)
        assert found["hr"] == pytest.approx(hr, abs=5e-4)
        assert found["ndcg"] == pytest.approx(ndcg, abs=5e-4)


def test_popularity_on_beauty_is_the_published_row(mirror: Path) -> None:
    found = values("popularity", {}, prepared("amazon-beauty.higsp", mirror), CATALOG.protocol("gsprec-ties"))
    assert np.round(found["ndcg_hit"], 4).tolist() == [0.0149, 0.0200, 0.0256]
    assert np.round(found["mrr"], 4).tolist() == [0.0118, 0.0139, 0.0154]


def test_repaired_files_run_forward_in_time(mirror: Path) -> None:
    shipped, repaired = (prepared(f"ml-1m.diffrec{s}", mirror) for s in ("", "-repaired"))
    assert np.array_equal(shipped["valid"].items, repaired["test"].items)
    assert np.array_equal(shipped["test"].items, repaired["valid"].items)
