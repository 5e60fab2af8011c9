"""Claims of a model's settings: which of them is best (`optimum`), and which are level (`flat`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from recspectra.evaluation import simultaneous
from recspectra.evaluation.simultaneous import Comparison
from recspectra.reporting.claims.common import (
    TOO_FEW,
    Case,
    Contest,
    Result,
    Side,
    bars_of,
    compare,
    decide,
    not_compared,
    numbers_of,
    open_ended,
    verdict_above,
)


def judge_optimum(case: Case) -> list[dict[str, Any]]:
    """Return, for each dataset, the best of the claimed settings against the best of the others.

    Which are best is not chosen on test: all pairs of a claimed setting and another are one family.
    """
    parts = {dataset: case.settings(dataset) for dataset in case.datasets}
    results = compare(case, [Contest(*both) for sides in parts.values() for both in product(*sides)])
    rows = []
    for dataset, (named, others) in parts.items():
        against = [[r for r in results if r.found and r.contest.subject is side] for side in named]
        against = sorted(filter(None, against), key=lambda own: own[0].contest.subject.mean)
        found = simultaneous.best_of([_over_all(own) for own in against]) if against else None
        best = against[-1] if against else []
        bars, rivals = _bars_of_settings(named, others)
        # Nobody knows here which of the settings that were left out are claimed.
        verdict = verdict_above(found, [*bars, *case.left_out(case.lost(dataset))], rivals)
        rows += [_settings_row(case, dataset, best, found, verdict), *(r.row for r in best)]
    return rows


def judge_flat(case: Case) -> list[dict[str, Any]]:
    """Return, for each dataset, the lowest of the named settings against the best of all."""
    parts = {dataset: case.settings(dataset) for dataset in case.datasets}
    results = compare(case, [one for sides in parts.values() for one in _to_be_level(*sides)])
    rows = []
    for dataset, (named, others) in parts.items():
        own = [r for r in results if r.found and r.contest.subject.dataset == dataset]
        found = _not_above(_over_all(own)) if own else None
        best = max((r.contest.rival for r in own), key=lambda side: side.mean, default=None)
        margin = case.claim.margin or case.claim.within * (best.mean if best else 0.0)
        bars, rivals = _bars_of_settings(named, others)
        verdict = _level(found, margin, bars, [*rivals, *case.left_out(case.lost(dataset))])
        rows.append(_settings_row(case, dataset, own, found, verdict))
        rows += [r.row | {"verdict": _level(r.found, margin, bars_of([r.contest.subject], True), [])}
                 for r in own if r.contest.rival is best]  # fmt: skip
    return rows


def _to_be_level(named: list[Side], others: list[Side]) -> list[Contest]:
    """Return each named setting against all others; of two named ones the lower against the higher."""
    known = sorted((side for side in named if side.values is not None), key=lambda side: side.mean)
    inside = [Contest(low, high) for i, low in enumerate(known) for high in known[i + 1 :]]
    return inside + [Contest(*both) for both in product(known, others)]


def _over_all(part: Sequence[Result]) -> Comparison:
    return simultaneous.over_best([result.found for result in part if result.found])


def _not_above(found: Comparison) -> Comparison:
    """Return how far the lowest is below the best: by nothing at least."""
    return replace(found, high=min(found.high, 0.0), gain_high=min(found.gain_high, 0.0))


def _level(found: Comparison | None, margin: float, subject: Sequence[str], rivals: Sequence[str]) -> str:
    """Return the verdict on a difference that is claimed to be less than a margin."""
    return decide(bool(found) and found.low > -margin, bool(found) and found.high < -margin, subject, rivals)


def _bars_of_settings(named: list[Side], others: list[Side]) -> tuple[list[str], list[str]]:
    """Return what bars any verdict on the named settings, and what bars that they come out."""
    return bars_of(named, rough=True) if named else ["no run is of the claimed setting"], bars_of(others)


def _settings_row(
    case: Case, dataset: str, part: Sequence[Result], found: Comparison | None, verdict: str
) -> dict[str, Any]:
    """Return the row of a claim about settings: the two that decide, with the interval of them all."""
    bars, rivals = _bars_of_settings(*case.settings(dataset))
    rivals += case.left_out(case.lost(dataset))
    if not found:
        row = case.row("claim", dataset, subject=case.claimed(dataset).label, verdict=verdict)
        return row | {"reason": "; ".join([*bars, *rivals])}
    top = min(part, key=lambda result: result.found.difference)
    notes = not_compared(top.contest[:2]) + [w for w in top.row["reason"].split("; ") if TOO_FEW in w]
    notes += open_ended((result.contest, result.found) for result in part)
    # To be above the best of the others is to be above each: what would show that is the largest of all.
    least = max((r.found.mde for r in part if math.isfinite(r.found.mde)), default=math.inf)
    return top.row | numbers_of(replace(found, mde=least), top.row["ours_rival"]) | {
        "scope": "claim", "verdict": verdict, "reason": "; ".join([*bars, *rivals, *notes]),
    }  # fmt: skip
