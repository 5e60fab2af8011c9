"""Claims of values: does a printed number come out?"""

from __future__ import annotations

import math
from typing import Any

from recspectra.reporting.claims.common import (
    ALPHA,
    CANNOT_TELL,
    Case,
    Side,
    bars_of,
    decide,
    not_compared,
    too_few,
)

HALF_DIGIT = 5e-5  # printed values have four digits


def judge_value(case: Case) -> list[dict[str, Any]]:
    """Return a row for each dataset and printed number.

    The users are those of the paper, so only seeds are chance: the paper's, taken for one, and ours.
    """
    asked = []
    for dataset in case.datasets:
        sides = case.sides(dataset)
        own = [case.claimed(dataset)] if case.claim.model else sides
        asked += [(side, variation(sides)) for side in own if not math.isnan(side.printed)]
    family = sum(side.values is not None and not side.mismatch for side, _ in asked)
    return [value_row(case, *one, family) for one in asked]


def value_row(case: Case, side: Side, variation: tuple[float, int], family: int) -> dict[str, Any]:
    """Return the row of one printed number; `family` is how many are judged at once."""
    from scipy import stats  # only where there are claims of values

    bars = [*bars_of([side], rough=True), *not_compared([side])]
    row = case.row("claim", side.dataset, subject=side.label, published=side.printed, ours=side.mean,
                   unlike=side.mismatch)  # fmt: skip
    if side.values is None or side.mismatch:
        return row | {"verdict": CANNOT_TELL, "reason": "; ".join(bars)}
    squared, df = variation
    error = math.sqrt(squared * (1 + 1 / len(side.values))) * side.mean if side.varies else 0.0
    difference = side.mean - side.printed
    margin = case.claim.margin or case.claim.within * side.printed
    half = HALF_DIGIT + (error * stats.t.isf(ALPHA / 2 / family, df) if error else 0.0)
    low, high = difference - half, difference + half
    beyond = max(0.0, abs(difference) - HALF_DIGIT)
    row |= {
        "difference": difference, "seeds": len(side.values), "df": df,
        "verdict": decide(-margin <= low and high <= margin, low > margin or high < -margin, bars, []),
        "reason": "; ".join([*bars, *(too_few(df) if side.varies else [])]),
    }  # fmt: skip
    if side.varies and not df:  # one seed of every model: nothing to make an interval of
        return row | {"verdict": CANNOT_TELL}
    p = min(1.0, family * 2 * stats.t.sf(beyond / error, df)) if error else float(beyond == 0.0)
    return row | {"ci_low": low, "ci_high": high, "p": p}


def variation(sides: list[Side]) -> tuple[float, int]:
    """Return the squared coefficient of variation of a seed's mean, pooled over models, and its df."""
    own = {(side.model, side.key): side for side in sides if side.varies}  # a run may have several labels
    several = [side.values[:, 0] for side in own.values() if len(side.values) > 1]
    several = [means for means in several if means.mean() > 0.0]
    df = sum(len(means) - 1 for means in several)
    squares = sum((len(means) - 1) * means.var(ddof=1) / means.mean() ** 2 for means in several)
    return (squares / df if df else 0.0), df
