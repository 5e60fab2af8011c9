"""Claims of a gain: is a model above the best of its rivals, whichever that is?"""

from __future__ import annotations

import math
from itertools import product
from operator import methodcaller
from typing import Any

from recspectra.evaluation import simultaneous
from recspectra.reporting.claims.common import (
    TOO_FEW,
    Case,
    Contest,
    Result,
    Side,
    bars_of,
    compare,
    not_compared,
    numbers_of,
    open_ended,
    verdict_above,
)

OWN = "each row by its own metric"
ANOTHER_DEFINITION = methodcaller("startswith", "another definition")


def judge_gain(case: Case) -> list[dict[str, Any]]:
    """Return, for each dataset and reading, the gain over the best rival and a row for each rival."""
    results = compare(case, [contest for dataset in case.datasets for contest in _against(case, dataset)])
    readings = ["", OWN, f"{case.claim.rival_metric} for all"] if case.claim.rival_metric else [""]
    rows = []
    for dataset, reading in product(case.datasets, readings):
        part = [r for r in results if (r.contest.subject.dataset, r.contest.reading) == (dataset, reading)]
        if part or not reading:
            rows += [_gain_row(case, dataset, reading, part), *(result.row for result in part)]
    return rows


def _against(case: Case, dataset: str) -> list[Contest]:
    """Return the contests on a dataset: with one metric for all, and as the rows were printed."""
    rivals = [place for place in case.models if place[0] == dataset and case.is_rival(*place[1:])]
    claimed = (dataset, case.claim.model, case.claim.variant)
    first, last = case.measures[0], case.measures[-1]
    found = [Contest(case.side(*claimed), case.side(*place)) for place in rivals]
    if first == last:
        return found
    made = {place: next((m for m in case.measures if m.metric in case.printed.definitions(*place)), None)
            for place in [claimed, *rivals]}  # fmt: skip
    if made[claimed] and len({measure for measure in made.values() if measure}) > 1:
        own = case.side(*claimed, made[claimed])
        found += [Contest(own, case.side(*place, made[place]), OWN) for place in rivals if made[place]]
    subject = case.side(*claimed, last)
    return found + [Contest(subject, case.side(*place, last), f"{last.metric} for all") for place in rivals]


def _gain_row(case: Case, dataset: str, reading: str, part: list[Result]) -> dict[str, Any]:
    """Return the row of a claim of a gain on one dataset: the best rival, whichever it is."""
    subject = part[0].contest.subject if part else case.claimed(dataset)
    compared = [result for result in part if result.found]
    best = simultaneous.over_best([result.found for result in compared]) if compared else None
    bars = bars_of([subject], rough=True)
    rivals = bars_of([r.contest.rival for r in part if not (r.found and r.found.high < 0)])
    absent = [] if reading else case.absent(dataset)
    absent += [] if any(r.contest.rival.values is not None for r in part) else ["no rival has a number"]
    narrowed = any(case.is_rival(*run) for run in case.lost(dataset))
    unlike = not_compared([side for r in part for side in r.contest[:2]])
    row = case.row("reading" if reading else "claim", dataset, reading=reading, subject=subject.label,
                   ours=subject.mean, **_printed_gain(case, subject), **_outside(case, dataset))  # fmt: skip
    row |= {"protocol": subject.measure.protocol, "metric": subject.measure.metric}
    if best:
        top = min(compared, key=lambda result: result.found.difference).row
        row |= {name: top[name] for name in ("rival", "ours_rival", "rival_metric", "users", "seeds", "df")}
        row |= numbers_of(best, top["ours_rival"])
        definitions = [side.mismatch for r in part for side in r.contest[:2] if side.mismatch]
        mixed = case.claim.rival_metric and unlike and all(map(ANOTHER_DEFINITION, definitions))
        if mixed:  # the claim is about definitions: it sets gains against each other, not values
            unlike = [f"the printed rows have {' and '.join(m.metric for m in case.measures)}"]
        if (mixed or not unlike) and not narrowed:  # what is printed is the gain over all rivals
            row |= share_of(row)
        if narrowed and best.high < 0 and not reading:  # whatever the others have
            above = min(compared, key=lambda result: result.found.high).contest.rival
            rivals.append(f"{subject.label} is below {above.label}, which took part")
        unlike += [why for why in top["reason"].split("; ") if TOO_FEW in why]
        unlike += open_ended((result.contest, result.found) for result in compared)
    rivals += absent
    verdict = "" if reading else verdict_above(best, bars, rivals)
    return row | {"verdict": verdict, "reason": "; ".join([*bars, *rivals, *unlike])}


def _printed_gain(case: Case, subject: Side) -> dict[str, Any]:
    printed = case.printed.gain(subject.dataset)
    if printed is None:
        return {}
    unlike = case.printed.mismatch_of(subject.dataset, printed.rival, *subject.measure[:2])
    marks = {"unlike": subject.mismatch, "unlike_rival": unlike}
    marks |= {"published": printed.own, "published_rival": printed.value}
    return marks | {"printed_rival": printed.rival, "published_gain": printed.gain}


def share_of(row: dict[str, Any]) -> dict[str, float]:
    """Return what our gain is of the printed one."""
    printed = row.get("published_gain", math.nan)
    return {name.replace("gain", "share"): row[name] / printed for name in ("gain", "gain_low", "gain_high")
            if printed > 0}  # fmt: skip


def _outside(case: Case, dataset: str) -> dict[str, Any]:
    """Return the best model of the groups that the claim does not name; it changes no verdict."""
    others = [s for s in case.sides(dataset) if s.model != case.claim.model and s.values is not None]
    others = [s for s in others if not case.is_rival(s.model, s.variant)]
    top = max(others, key=lambda side: side.mean, default=None)
    return {"outside": top.label, "ours_outside": top.mean} if top else {}
