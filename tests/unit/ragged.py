"""Interactions with histories of every length."""

from __future__ import annotations

import numpy as np

from recspectra.data.interactions import Interactions, from_pairs


def ragged() -> Interactions:
    """25 users x 18 items with histories of 0 to 12 items, none twice."""
    rng = np.random.default_rng(3)
    lengths = [0, 1, 2, 12] + rng.integers(2, 12, size=21).tolist()
    items = np.concatenate([rng.permutation(18)[:n] for n in lengths])
    return from_pairs(np.repeat(np.arange(25), lengths), items, None, (25, 18))
