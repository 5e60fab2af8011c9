"""A case that can be checked by hand: three users, six items. Every metric says its value on it."""

from __future__ import annotations

import numpy as np

from recspectra.data.interactions import from_pairs
from recspectra.evaluation.hits import RankedLists, compare

TRAIN = ((0, 1), (0, 2), (0, 1, 3))  # items of each user
LISTS = ((3, 2, 4, 5), (1, 3, 5, 4), (2, 4, 5, -1))  # what is recommended: all others, best first
TEST = ((2, 5), (1,), (4, 5))


def example() -> RankedLists:
    """Return the lists with their hits."""
    shape = len(TRAIN), 6
    train, test = (
        from_pairs(
            np.repeat(np.arange(len(part)), [len(items) for items in part]),
            np.array([item for items in part for item in items]), None, shape,
        )
        for part in (TRAIN, TEST)
    )  # fmt: skip
    return compare(np.array(LISTS, dtype=np.int32), test, train=train)
