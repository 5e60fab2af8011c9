"""Times as float64 seconds that keep the order of what was written.

float64 has 53 bits: nanoseconds since 1970 and integers beyond 2^53 collide when they are
converted. Where they would, each takes the next float64 above the one before it: every
time is right to a few units in the last place, and no two that differ become equal.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

EXACT = 2**53  # float64 holds all integers up to here


def ordered_floats(values: np.ndarray) -> np.ndarray:
    """Return floats that rise strictly, as near to the given ones as that allows.

    Parameters
    ----------
    values : float64 array, shape (n,)
        Finite and nowhere falling.
    """
    bits = values.view(np.int64) if values.dtype == np.float64 else values.astype(np.float64).view(np.int64)
    # Integers in the order of the floats: the bits of negative ones count backwards.
    ranks = np.where(bits < 0, np.int64(-(2**63)) - bits, bits)
    steps = np.arange(len(ranks))
    ranks = np.maximum.accumulate(ranks - steps) + steps
    return np.where(ranks < 0, np.int64(-(2**63)) - ranks, ranks).view(np.float64)


def from_integers(values: np.ndarray, per_second: int = 1) -> np.ndarray:
    """Return integer times as float64 seconds, different ones different.

    Parameters
    ----------
    values : int64 or uint64 array
        Times in some unit.
    per_second : int
        How many of that unit make a second.
    """
    unit = values.dtype.type(per_second)
    rest = np.fmod(values, unit)  # with the sign of the time: nothing is lost just before 1970
    seconds = ((values - rest) // unit).astype(np.float64) + rest.astype(np.float64) / per_second
    if not len(values) or max(int(values.max()), -int(values.min())) <= EXACT // 4:
        return seconds  # neighbours differ by more than the spacing of float64
    distinct, place = np.unique(values, return_inverse=True)
    floats = np.empty(len(distinct))
    floats[place] = seconds
    return ordered_floats(floats)[place]


def from_texts(values: np.ndarray) -> np.ndarray:
    """Return numbers as float64 seconds, different ones different.

    Parameters
    ----------
    values : object array
        Texts of finite numbers, and floats that were written with 15 digits at most.
    """
    texts = [v.strip() if isinstance(v, str) else repr(v) for v in values.tolist()]
    floats = np.array([float(text) for text in texts])
    distinct = list(dict.fromkeys(texts))
    if len(distinct) == len(np.unique(floats)):
        return floats
    exact = {text: Decimal(text) for text in distinct}
    ordered = sorted(set(exact.values()))
    rising = ordered_floats(np.array([float(value) for value in ordered]))
    place = dict(zip(ordered, rising.tolist(), strict=True))
    return np.array([place[exact[text]] for text in texts])
