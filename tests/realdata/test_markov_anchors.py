"""Transitions on the leave-one-out files: the training-free anchors come out. Needs a mirror."""

from __future__ import annotations

from pathlib import Path

import pytest
from from_mirror import CATALOG, fitted, part, prepared

from recspectra.evaluation.hits import compare
from recspectra.evaluation.metrics import METRICS
from recspectra.fitting.scoring import rank

K = [5, 10, 20]

# Parameter mix -> hr and ndcg at K: transitions, their sum with the one-hop filter, that filter alone.
# On the larger file the sum alone, which is made of both.
ANCHORS = {
    "lastfm.loo": {
        0.0: ([0.0312, 0.0541, 0.0789], [0.0243, 0.0316, 0.0379]),
        0.5: ([0.0413, 0.0624, 0.0936], [0.0293, 0.0362, 0.0439]),
        1.0: ([0.0532, 0.0835, 0.1239], [0.0384, 0.0481, 0.0584]),
    },
    "amazon-beauty.loo": {
        0.5: ([0.0571, 0.0783, 0.1039], [0.0420, 0.0489, 0.0553]),
    },
}
CASES = [(name, mix) for name, anchors in ANCHORS.items() for mix in anchors]


@pytest.mark.parametrize(("name", "mix"), CASES)
def test_the_defaults_are_the_anchors(name: str, mix: float, mirror: Path) -> None:
    pieces, protocol = prepared(name, mirror), CATALOG.protocol("wpgrec")
    system = fitted("markov", pieces["train"], CATALOG.dataset(name).ordered, mix=mix)
    both = part(pieces, "train+valid")  # shown and masked, as the protocol says
    assert protocol.ties == "half"
    lists, positions, _ = rank(system.score, both, [both], max(K))[0]
    ranked = compare(lists, pieces["test"], positions)
    for metric, expected in zip(("hr", "ndcg"), ANCHORS[name][mix], strict=True):
        assert METRICS[metric](ranked, K).mean(axis=0) == pytest.approx(expected, abs=1.5e-4)
