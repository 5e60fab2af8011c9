"""Closed-form models give the figures of their authors' programs. Needs a mirror (RECSPECTRA_MIRROR).

The programs were run on HiGSP's ML-100K with history and mask `train`, and their scores ranked here.
Where they divide by zero, on items without training data, the score was set to 0. Two figures that
differ by one unit in the fourth digit are equal.
"""

from __future__ import annotations

from typing import Any

import pytest
from from_mirror import Pieces, fitted, measured

SIGNED = {"eps": 0.5, "alpha": 19.0, "gamma": 0.5, "row_sums": "signed"}
INDIVIDUAL = {"exponents": "individual", "beta_low": 1.0, "beta_high": 1.3}

# Model, the authors' settings, and what their program has for ndcg@10 and, where known, ndcg_set@10.
OFFICIAL: list[tuple[str, dict[str, Any], list[float]]] = [
    ("gfcf", {"rank": 256, "alpha": 0.3}, [0.4167, 0.6539]),
    (
        "bspm",
        {"rank": 448, "beta": 0.2, "solver": "rk4", "sharpen_time": 2.5, "sharpen_steps": 1,
         "merge": "early", "combine": False},
        [0.3408, 0.5903],
    ),
    (
        "bspm",
        {"rank": 384, "beta": 0.3, "solver": "euler", "sharpen_time": 1.2, "sharpen_steps": 1,
         "merge": "early", "combine": True},
        [0.4062, 0.6425],
    ),
    ("pgsp", {"rank": 512, "phi": 0.7}, [0.4268, 0.6441]),
    ("sgfcf", {"rank": 300, "beta": 1.0, "eps": 0.37, "gamma": 0.3, "row_sums": "signed"}, [0.4804]),
    ("sgfcf", {"rank": 250, "beta": 1.0, **SIGNED}, [0.4853]),
    ("sgfcf", {"rank": 250, **INDIVIDUAL, **SIGNED}, [0.4832]),
    (
        "fagsp",
        {"rank": 256, "rank_high": 128, "alpha1": 0.3, "alpha2": 0.5, "order_item": 12, "order_user": 14,
         "quantile": 0.7},
        [0.4855, 0.6977],
    ),
    (
        "fagsp",
        {"rank": 64, "rank_high": 64, "alpha1": 0.85, "alpha2": 0.35, "order_item": 14, "order_user": 14,
         "quantile": 0.8},
        [0.5042, 0.7040],
    ),
]  # fmt: skip
ROUNDED = 1.5e-4  # one unit in the fourth digit, and half a unit of rounding


@pytest.mark.parametrize(
    ("name", "params", "official"), OFFICIAL, ids=[f"{name}-{params['rank']}" for name, params, _ in OFFICIAL]
)
def test_figures_are_those_of_official_code(
    name: str, params: dict[str, Any], official: list[float], ml100k: Pieces
) -> None:
    system = fitted(name, ml100k["train"], **params)
    found = measured(system, ml100k, "train", "train", ("ndcg", "ndcg_set"), [10])
    assert found[: len(official)] == pytest.approx(official, abs=ROUNDED)
