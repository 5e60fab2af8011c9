"""LightGCN's split: printed figures come out, fitted on all of train. Needs a mirror (RECSPECTRA_MIRROR)."""

from __future__ import annotations

from pathlib import Path

import pytest
from from_mirror import CATALOG, fitted, measured, part, prepared


def test_a_printed_row_of_yelp2018(mirror: Path) -> None:
    """That of RP3beta, the quickest to fit of those that are printed; all 31,668 users have targets."""
    pieces = prepared("yelp2018", mirror)
    train = part(pieces, "train+valid")
    assert train.nnz == 1_237_259  # the file of LightGCN
    system = fitted("rp3beta", train, ordered=False, **CATALOG.model("rp3beta").best["yelp2018"])
    found = measured(system, pieces, "train+valid", "train+valid", ("recall", "ndcg"), [20])
    assert found == pytest.approx([0.067, 0.056], abs=3e-4)  # Shehzad and Jannach
