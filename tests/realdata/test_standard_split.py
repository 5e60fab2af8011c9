"""LightGCN's split: printed figures come out, fitted on all of train. Needs a mirror (RECSPECTRA_MIRROR)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from from_mirror import CATALOG, Pieces, prepared

from recspectra.data.interactions import Interactions
from recspectra.evaluation.hits import compare
from recspectra.evaluation.metrics import METRICS
from recspectra.fitting.scoring import rank
from recspectra.recommender import Run, Task, create
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build


@pytest.fixture(scope="module")
def yelp(mirror: Path) -> Pieces:
    """The parts of Yelp2018; all 31,668 users have targets."""
    return prepared("yelp2018", mirror)


def recall_and_ndcg(name: str, train: Interactions, test: Interactions, **params: Any) -> list[float]:
    """Of the first 20, as means over all users; what is known is the history and the mask."""
    config = CATALOG.model(name)
    resolved = config.resolve(params)
    spectra = {n.operator: leading(build(n.operator, train), int(resolved["rank"])) for n in config.spectra}
    system = create(config, resolved)
    system.fit(Task(train, None, False, spectra), Run())
    ranked = compare(rank(system.score, train, [train], 20)[0].lists, test)
    return [float(METRICS[metric](ranked, [20]).mean()) for metric in ("recall", "ndcg")]


def test_a_printed_row_of_yelp2018(yelp: Pieces) -> None:
    """That of RP3beta, the quickest to fit of those that are printed."""
    train = yelp["train"].merged(yelp["valid"])
    assert train.nnz == 1_237_259  # the file of LightGCN
    found = recall_and_ndcg("rp3beta", train, yelp["test"], **CATALOG.model("rp3beta").best["yelp2018"])
    assert found == pytest.approx([0.067, 0.056], abs=3e-4)  # Shehzad and Jannach
