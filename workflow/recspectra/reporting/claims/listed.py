"""Claims that are listed in `config/published/claims.csv`: gains and values, judged paper by paper."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from recspectra.config.statements import Statement
from recspectra.reporting.claims.common import Case, Contest, Measure, Side, compare
from recspectra.reporting.claims.gain import share_of
from recspectra.reporting.claims.value import value_row, variation

LISTED = "listed"


def judge_listed(case: Case) -> list[dict[str, Any]]:
    """Return a row for each statement of `config/published/claims.csv` that is the claim's."""
    claim = case.claim
    own = [s for s in case.statements if s.dataset in case.datasets and s.protocol == claim.protocol]
    own = [s for s in own if not claim.papers or s.paper in claim.papers]
    values = Case(case.files, claim.model_copy(update={"kind": "value"}), case.published)
    rows: dict[int, dict[str, Any]] = {}
    for paper in dict.fromkeys(s.paper for s in own):
        for kind, judge_some in (("gain", _judge_gains), ("value", partial(_judge_values, values))):
            part = [(i, s) for i, s in enumerate(own) if (s.paper, s.kind) == (paper, kind)]
            found = judge_some(case, [s for _, s in part])
            rows |= {i: row | _said(s) for (i, s), row in zip(part, found, strict=True)}
    return [rows[i] for i in sorted(rows)]


def _judge_gains(case: Case, own: list[Statement]) -> list[dict[str, Any]]:
    contests = [
        Contest(_named(case, s, s.subject, s.published), _named(case, s, s.rival, s.published_rival))
        for s in own
    ]
    rows = [result.row | {"published_gain": s.published / s.published_rival - 1.0}
            for s, result in zip(own, compare(case, contests), strict=True)]  # fmt: skip
    return [row | (share_of(row) if "gain" in row else {}) for row in rows]


def _judge_values(values: Case, _: Case, own: list[Statement]) -> list[dict[str, Any]]:
    sides = [_named(values, s, s.subject, s.published) for s in own]
    others = [values.sides(s.dataset, side.measure) for s, side in zip(own, sides, strict=True)]
    family = sum(side.values is not None for side in sides)
    return [
        value_row(values, side, variation(rest), family) for side, rest in zip(sides, others, strict=True)
    ]


def _named(case: Case, one: Statement, name: str, printed: float) -> Side:
    model, _, variant = name.partition("/")
    measure = Measure(one.protocol, one.metric, one.k)
    return replace(case.side(one.dataset, model, variant or "default", measure), printed=printed)


def _said(one: Statement) -> dict[str, Any]:
    """Return the cells of a row that its statement decides."""
    same = ("paper", "place", "statement", "kind", "metric", "k", "protocol")
    return {name: getattr(one, name) for name in same} | {"scope": LISTED, "rival_metric": one.metric}
