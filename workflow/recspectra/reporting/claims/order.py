"""Claims of an order: do models stand in the same order elsewhere, or as printed?"""

from __future__ import annotations

import math
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from recspectra.config.study import View
from recspectra.evaluation import simultaneous
from recspectra.reporting.claims.common import (
    ALPHA,
    CANNOT_TELL,
    Case,
    Side,
    bars_of,
    decide,
    few_seeds,
    panel_of,
)

SAMPLES = "two samples of users of one setting"
CHANCE = f"{SAMPLES} may disagree on which of the two models is above"
NONE = "no model has a number"
ALONE = "no other dataset or view has numbers to set this order against"


class Standing(NamedTuple):
    """Models of one dataset and view, and their means under other users and seeds, shape (draws, models).

    `lacking` are those of its models that have no number in some dataset or view, so that none is compared.
    """

    dataset: str
    view: View
    sides: list[Side]
    drawn: np.ndarray
    lacking: list[Side]

    @property
    def means(self) -> np.ndarray:
        """Mean of each model."""
        return np.array([side.mean for side in self.sides])


def judge_order(case: Case) -> list[dict[str, Any]]:
    """Return, for each dataset and view, Kendall's tau with the reference, and each model's place."""
    views = case.claim.views or [view for view in [case.view(case.measures[0])] if view]
    settings = {(d, v): case.sides(d, None, v) for d, v in product(case.datasets, views)}
    known = {place: [s for s in sides if s.values is not None] for place, sides in settings.items()}
    known = {place: sides for place, sides in known.items() if sides}
    measured = [{(s.model, s.variant) for s in sides} for sides in known.values()]
    common = set.intersection(*measured) if measured else set()
    lacking = {(s.model, s.variant): s for place in known for s in settings[place] if s.values is None}
    standings = [_standing(case, *place, settings[place], common, lacking) for place in known]
    count = len(standings) - (not case.claim.published)
    rows = [row for one in standings
            for row in [_order_row(case, one, standings[0], count), *_place_rows(case, one)]]  # fmt: skip
    untold = [case.row("claim", *place, verdict=CANNOT_TELL, reason="; ".join(bars_of(sides) or [NONE]))
              for place, sides in settings.items() if sides and place not in known]  # fmt: skip
    return rows + untold


def _standing(
    case: Case, dataset: str, view: View, sides: list[Side], common: set, lacking: dict[tuple, Side]
) -> Standing:
    if case.claim.published:
        sides = [s for s in sides if not s.mismatch and not math.isnan(s.printed)]
    own = [s for s in sides if (s.model, s.variant) in common]
    drawn = simultaneous.resample_means(panel_of(case, dataset, own)) if own else np.empty((0, 0))
    lost = [lacking[s.model, s.variant] for s in sides if (s.model, s.variant) in lacking]
    return Standing(dataset, view, own, drawn, lost)


def _order_row(case: Case, one: Standing, first: Standing, count: int) -> dict[str, Any]:
    """Return how far a setting's order agrees with the reference, and how far chance lets it."""
    printed = bool(case.claim.published)
    row = case.row("claim", one.dataset, one.view, rival="as printed" if printed else first.dataset)
    if count == 0:
        return row | {"rival": "", "verdict": CANNOT_TELL, "reason": ALONE}
    if one is first and not printed:
        return row | {"scope": "reference", "ours": 1.0}
    if len(one.sides) < 2:
        return row | {"verdict": CANNOT_TELL, "reason": "fewer than two models have a number everywhere"}
    reference = one.sides if printed else first.sides
    known = {(s.model, s.variant): s.printed if printed else s.mean for s in reference}
    tau = float(simultaneous.kendall(np.array([known[s.model, s.variant] for s in one.sides]), one.means))
    chance = min((simultaneous.chance_taus(s.drawn) for s in (one, one if printed else first)), key=np.mean)
    place = max(1, int(ALPHA / count * (len(chance) + 1) + 1e-9))
    low, high = float(chance[place - 1]), float(chance[-place])
    lower = int(np.searchsorted(chance, tau, side="right"))
    # More epochs would not change whether another view of the same lists changes their order.
    same_runs = not printed and one.dataset == first.dataset
    bars = [] if same_runs else bars_of([*one.sides, *([] if printed else first.sides)])
    bars += case.left_out(case.lost(one.dataset))
    lacking = bars_of([*one.lacking, *([] if printed else first.lacking)])
    notes = (
        [] if low > 0 else [CHANCE if len(one.sides) == 2 else f"{SAMPLES} agree no better than {low:.2f}"]
    )
    panel = panel_of(case, one.dataset, one.sides)
    return row | {
        "ours": tau, "ci_low": low, "ci_high": high, "p": min(1.0, count * (1 + lower) / (len(chance) + 1)),
        "verdict": decide(low > 0, tau < low, bars, lacking),
        "reason": "; ".join([*bars, *lacking, *notes, *few_seeds(panel)]), "users": panel.users,
        "df": simultaneous.seed_variance(panel).df,
    }  # fmt: skip


def _place_rows(case: Case, one: Standing) -> list[dict[str, Any]]:
    """Return each model's mean and place, and between which places other users would put it."""
    rows = []
    ends = simultaneous.rank_intervals(one.drawn).T if one.sides else []
    for side, (low, high) in zip(one.sides, ends, strict=True):
        rank = 1 + int((one.means > side.mean).sum())
        rows.append(case.row("model", one.dataset, one.view, subject=side.label, ours=side.mean, rank=rank,
                             rank_low=low, rank_high=high, published=side.printed,
                             unlike=side.mismatch))  # fmt: skip
    return rows
