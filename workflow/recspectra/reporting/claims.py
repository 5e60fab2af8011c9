"""Claims of papers, judged by a study's own numbers: `claims.csv`, and what is said of it.

`claims.csv` holds every number and every verdict; sentences and tables are made from it alone. `decide` and
`RULES` are the whole rule.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from operator import methodcaller
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from recspectra import registry
from recspectra.config.model import VARYING
from recspectra.config.scale import CAPPED, USABLE
from recspectra.config.statements import Statement
from recspectra.config.study import ClaimConfig, View
from recspectra.evaluation import simultaneous
from recspectra.evaluation.simultaneous import Comparison, Pair, Panel
from recspectra.files import write_text
from recspectra.reporting.escape import markdown
from recspectra.reporting.footnotes import scale_of
from recspectra.reporting.published import Published, PublishedValues
from recspectra.reporting.results import (
    StudyError,
    StudyResults,
    joint_status,
    models_of,
    not_converged,
    preferred,
    read_csv,
    select_runs,
    write_csv,
)
from recspectra.reporting.table import Table, plain_table, to_markdown
from recspectra.reporting.user_values import seed_values, user_values
from recspectra.reporting.words import p_value, paragraphs, percent, points, signed

COLUMNS = [
    "claim", "paper", "place", "statement", "kind", "scope", "reading", "dataset", "history", "mask",
    "subject", "rival", "metric", "k", "protocol", "published", "ours", "difference", "ci_low", "ci_high",
    "p", "mde", "verdict", "reason", "rival_metric", "published_rival", "printed_rival", "published_gain",
    "ours_rival", "gain", "gain_low", "gain_high", "mde_gain", "share", "share_low", "share_high", "rank",
    "rank_low", "rank_high", "outside", "ours_outside", "users", "seeds", "df", "unlike", "unlike_rival",
]  # fmt: skip
TEXTS = {"claim", "paper", "place", "statement", "kind", "scope", "reading", "dataset", "history", "mask",
         "subject", "rival", "metric", "protocol", "verdict", "reason", "rival_metric", "printed_rival",
         "outside", "unlike", "unlike_rival"}  # fmt: skip
NUMBERS = [name for name in COLUMNS if name not in TEXTS]

ANOTHER_DEFINITION = methodcaller("startswith", "another definition")
REPRODUCED, NOT_REPRODUCED, CANNOT_TELL = "reproduced", "not reproduced", "cannot tell"
ALPHA = 1.0 - simultaneous.LEVEL
MISMATCH = "\u2020"  # of a printed value that may not be compared with ours
TOO_FEW = "too few seeds"
HOLDS_ZERO = "the interval holds 0"
TOO_FEW_USERS = "too few users tell"  # two models apart
HOLDS_BOTH = "the interval holds values inside and outside the margin"
MOST_NAMES = 6  # of models that were left out
HALF_DIGIT = 5e-5  # printed values have four digits
RULES = {
    "gain": "reproduced if the interval of the gain over the best rival, whichever it is, lies above 0; not "
    "reproduced if below",
    "ablation": "reproduced if the interval of better minus worse lies above 0; not reproduced if below",
    "order": "not reproduced if Kendall's tau is below what two samples of users of one setting give; "
    "reproduced if it is not, and these let no order by chance pass",
    "optimum": "reproduced if the interval of the best claimed setting minus the best other, whichever these "
    "are, lies above 0; not reproduced if below: then for each claimed setting some other is above it",
    "flat": "reproduced if the interval of the lowest of the settings minus the best of all, whichever these "
    "are, lies within the margin of the claim (5 % of the best one's value unless it names another); not "
    "reproduced if it lies outside",
    "listed": "that a model is above another is judged as an ablation, a printed value as a value; "
    "the comparisons of one paper are one family, its printed values another; by how much a model is above "
    "does not decide",
    "value": "reproduced if the interval of ours minus printed lies within the margin of the claim (5 % of "
    "the printed value unless it names another); not reproduced if it lies outside",
    "all": "cannot tell otherwise. Cannot tell as well where the claimed model has no number, was ended by "
    "a cap, was still gaining on validation when its epochs ran out, or was trained with an approximation "
    "that is too rough to stand for it (the reason says which). A rival that is capped, still gaining or "
    "without a number may do better yet, so the claim cannot count as reproduced. It can still count as not "
    "reproduced: a rival that is above already stays above with more epochs. A printed value of another "
    "definition, of other files or of another protocol is never compared with ours",
}


def decide(shown: bool, refuted: bool, subject: Sequence[str], rivals: Sequence[str]) -> str:
    """Return the verdict on a claim: what the numbers say, unless something of a model bars it.

    Parameters
    ----------
    shown, refuted : bool
        Whether the interval leaves no doubt that the claim is true, or that it is not.
    subject, rivals : sequence of str
        What speaks against taking the run of the claimed model, or of a rival, for the model itself.
    """
    if subject:
        return CANNOT_TELL
    if refuted:
        return NOT_REPRODUCED
    return REPRODUCED if shown and not rivals else CANNOT_TELL


# ------------------------------------------------------------------- what a claim is about


class Measure(NamedTuple):
    """A metric at a cut-off under a protocol."""

    protocol: str
    metric: str
    k: int


@dataclass(frozen=True, eq=False)
class Side:
    """A model's variant on a dataset under one measure.

    Attributes
    ----------
    values : array, shape (seeds, users), or None
        The metric of every user; None where it has no number.
    varies : bool
        Whether another seed would change it.
    lack : str
        What kept it from its best: no number, a cap, too few epochs; or "".
    rough : str
        How far its gradients were from exact ones, where that is too far; or "".
    printed, mismatch : float, str
        The printed value, and why it may not be compared with ours.
    key : str
        Of its run, which may have several labels.
    """

    dataset: str
    model: str
    variant: str
    label: str
    measure: Measure
    values: np.ndarray | None
    varies: bool
    lack: str
    rough: str
    printed: float
    mismatch: str
    key: str

    @property
    def name(self) -> str:
        """What tells it from the others of its dataset."""
        return "\0".join((*map(str, self.measure), self.model, self.variant))

    @property
    def mean(self) -> float:
        """Mean over users and seeds, NaN without a number."""
        return math.nan if self.values is None else float(self.values.mean())


class Case:
    """A claim, the runs that it is about, and what the paper prints."""

    def __init__(self, files: StudyResults, claim: ClaimConfig, published: Published) -> None:
        self.files, self.claim = files, claim
        self.published, self.printed = published, PublishedValues(published, claim)
        self.datasets = claim.datasets or files.config.datasets
        self.measures = [Measure(*pair, claim.k) for pair in claim.measured]
        self.statements = published.statements
        self.runs = select_runs(files, claim.groups, self.datasets, [claim.fit])
        ending = not_converged(files, self.runs)
        self.ending = set(ending[["dataset", "model", "variant"]].itertuples(index=False, name=None))
        rows = models_of(files, claim.groups, self.datasets, claim.fit)
        names = rows[["dataset", "model", "variant", "label", "key", "status"]].itertuples(index=False)
        self.models = {tuple(row[:3]): tuple(row[3:]) for row in names}
        self._values: dict[tuple, dict[str, np.ndarray]] = {}

    def side(
        self, dataset: str, model: str, variant: str, measure: Measure | None = None, view: View | None = None
    ) -> Side:
        """Return a model's variant on a dataset, measured if it has a run."""
        place, measure = (dataset, model, variant), measure or self.measures[0]
        none = self._title(model, variant), "", self.files.left_out.why(model, variant) or "no run"
        label, key, status = self.models.get(place, none)
        values = self._measured(dataset, measure, view).get("\0".join((model, variant, key)))
        runs = self.runs[(self.runs["dataset"] == dataset) & (self.runs["model"] == model)]
        runs = runs[(runs["variant"] == variant) & (runs["key"] == key)]
        varies = values is not None and (runs["kind"].isin(VARYING).any() or (values != values[0]).any())
        lack = ""
        if values is None:
            why = self._why_none(place, measure, view) if status.startswith(USABLE) else ""
            lack = f"no number ({why or status})"
        elif (runs["status"] == CAPPED).any():
            lack = "ended by a cap"
        elif set(runs["status"]) - set(USABLE):
            lack = f"seeds without a number ({status})"
        elif place in self.ending:
            lack = "still gaining on validation when its epochs ran out"
        rough = "; ".join(filter(None, (doubt.reason(runs) for doubt in registry.doubts())))
        printed = self.printed.value(*place)
        mismatch = self.printed.mismatch(*place, measure.protocol, measure.metric)
        return Side(*place, label, measure, values, bool(varies), lack, rough, printed, mismatch, key)

    def _why_none(self, place: tuple[str, str, str], measure: Measure, view: View | None) -> str:
        """Return what `metrics.csv` says of a number that a run lacks; lists may be too short or absent."""
        view, rows = view or self.view(measure), self.files.metrics
        wanted = dict(zip(("dataset", "model", "variant"), place, strict=True)) | measure._asdict()
        wanted |= {"fit": self.claim.fit} | (view.model_dump() if view else {})
        for name, value in wanted.items():
            rows = rows[rows[name] == value]
        return joint_status(rows["status"]) if len(rows) else ""

    def sides(self, dataset: str, measure: Measure | None = None, view: View | None = None) -> list[Side]:
        """Return all models of the groups on a dataset."""
        return [self.side(*place, measure, view) for place in self.models if place[0] == dataset]

    def settings(self, dataset: str) -> tuple[list[Side], list[Side]]:
        """Return the claimed model's runs on a dataset: those of the settings that are named, all others."""
        rows = self.runs[(self.runs["dataset"] == dataset) & (self.runs["model"] == self.claim.model)]
        values = {row.variant: {**row.params, **row.swept} for row in rows.itertuples()}
        sides = [side for side in self.sides(dataset) if side.model == self.claim.model]
        named = [self.claim.names_setting(values[side.variant]) for side in sides]
        both = [[s for s, own in zip(sides, named, strict=True) if own is part] for part in (True, False)]
        return both[0], both[1]

    def claimed(self, dataset: str, measure: Measure | None = None) -> Side:
        """Return the model that the claim is about."""
        return self.side(dataset, self.claim.model, self.claim.variant, measure)

    def is_rival(self, model: str, variant: str) -> bool:
        """Tell whether a claim of a gain is against a model."""
        if model == self.claim.model or self.claim.rivals:
            return model != self.claim.model and model in self.claim.rivals
        return not self.claim.published or self.printed.method(model, variant) is not None

    def lost(self, dataset: str) -> list[tuple[str, str]]:
        """Return model and variant of the claim's runs on a dataset that its user left out."""
        lost = self.files.left_out.of_claims.get(self.claim.name, {}).get(dataset, [])
        return [(model, variant) for model, variant in lost]

    def absent(self, dataset: str) -> list[str]:
        """Return which rivals have no run on a dataset: those that were left out, those the study lacks."""
        gone = [run for run in self.lost(dataset) if self.is_rival(*run)]
        known = {*(place[1:] for place in self.models if place[0] == dataset), *gone}
        if self.claim.rivals:
            names = [name for name in self.claim.rivals if name not in {model for model, _ in known}]
            lacking = [self._title(name, "default") for name in names]
        else:
            lacking = self.printed.absent(known | {(self.claim.model, self.claim.variant)})
        return self.left_out(gone) + [f"not in this study: {', '.join(lacking)}"] * bool(lacking)

    def left_out(self, runs: Sequence[tuple[str, str]]) -> list[str]:
        """Return that some runs were left out, with their names unless they are many."""
        names = list(dict.fromkeys(self._title(*run) for run in runs))
        told = ", ".join(names) if len(names) <= MOST_NAMES else f"{len(names)} models"
        return [f"left out by {self.files.left_out.by}: {told}"] if names else []

    def view(self, measure: Measure) -> View | None:
        """Return what the claim is measured with: its own view, else the fullest of the protocol."""
        return self.claim.view or preferred(self.files, measure.protocol)

    def row(self, scope: str, dataset: str, view: View | None = None, **cells: Any) -> dict[str, Any]:
        """Return a row of `claims.csv`."""
        claim, (protocol, metric, k) = self.claim, self.measures[0]
        view = view or self.view(self.measures[0])
        paper, _, table = (claim.published or "").partition("/")
        place = re.sub(r"^([a-z]+)(\d+)$", r"\1 \2", table).capitalize()
        return {
            "claim": claim.name, "paper": claim.paper or paper, "place": claim.place or place,
            "statement": claim.statement, "kind": claim.kind, "scope": scope, "dataset": dataset,
            "protocol": protocol, "metric": metric, "rival_metric": metric, "k": k,
            "history": view.history if view else "", "mask": view.mask if view else "", **cells,
        }  # fmt: skip

    def _title(self, model: str, variant: str) -> str:
        titles = dict(zip(self.files.runs["model"], self.files.runs["title"], strict=True))
        title = titles.get(model) or self.files.left_out.models.get(model, model)
        return title + ("" if variant == "default" else f" ({variant})")

    def _measured(self, dataset: str, measure: Measure, view: View | None) -> dict[str, np.ndarray]:
        view = view or self.view(measure)
        key = (dataset, measure, str(view))
        if key not in self._values:
            point = measure._asdict() | {"fit": self.claim.fit}
            point |= view.model_dump() if view else {}
            read = seed_values if self.claim.kind == "value" else user_values
            self._values[key] = read(self.files, dataset, point)
        return self._values[key]


# ------------------------------------------------------------------------------ comparisons


class Contest(NamedTuple):
    """Is the subject above the rival? Of one dataset, each by its own measure."""

    subject: Side
    rival: Side
    reading: str = ""
    statement: str = ""


class Result(NamedTuple):
    """A contest, its row, and its comparison within the family of them all."""

    contest: Contest
    row: dict[str, Any]
    found: Comparison | None


def compare(case: Case, contests: Sequence[Contest]) -> list[Result]:
    """Judge the contests of a claim, all of them one family."""
    known = [i for i, (a, b, *_) in enumerate(contests) if a.values is not None and b.values is not None]
    sides: dict[str, dict[str, Side]] = {}
    for i in known:
        for side in contests[i][:2]:
            sides.setdefault(side.dataset, {})[side.name] = side
    panels = {dataset: panel_of(case, dataset, list(own.values())) for dataset, own in sides.items()}
    pairs = [Pair(c.subject.dataset, c.subject.name, c.rival.name) for c in (contests[i] for i in known)]
    found = dict(zip(known, simultaneous.compare(list(panels.values()), pairs), strict=True))
    return [
        Result(one, _contest_row(case, one, panels.get(one.subject.dataset), found.get(i)), found.get(i))
        for i, one in enumerate(contests)
    ]


def panel_of(case: Case, dataset: str, sides: list[Side]) -> Panel:
    """Return the values of some models of one dataset as a panel."""
    if len({side.values.shape[1] for side in sides}) > 1:
        path = case.files.per_user(dataset)
        raise StudyError(f"{path}: two protocols were measured on different users, so claim "
                         f"'{case.claim.name}' cannot set them against each other")  # fmt: skip
    varying = frozenset(side.name for side in sides if side.varies)
    runs = {side.name: f"{side.model}\0{side.key}" for side in sides}
    return Panel(dataset, {side.name: side.values for side in sides}, varying, runs)


def _bars(sides: Sequence[Side], rough: bool = False) -> list[str]:
    """Return what speaks against taking the runs of some models for the models, each with their names."""
    names: dict[str, list[str]] = {}
    for side in sides:
        for why in filter(None, [side.lack, side.rough if rough else ""]):
            names.setdefault(why, []).append(side.label)
    return [f"{', '.join(dict.fromkeys(labels))}: {why}" for why, labels in names.items()]


def _contest_row(case: Case, one: Contest, panel: Panel | None, found: Comparison | None) -> dict[str, Any]:
    subject, rival = one.subject, one.rival
    bars, others = _bars([subject], rough=True), _bars([rival])
    row = case.row(
        "rival", subject.dataset, protocol=subject.measure.protocol, metric=subject.measure.metric,
        rival_metric=rival.measure.metric, reading=one.reading,
        statement=one.statement or case.claim.statement, subject=subject.label, rival=rival.label,
        published=subject.printed, published_rival=rival.printed, ours=subject.mean, ours_rival=rival.mean,
        unlike=subject.mismatch, unlike_rival=rival.mismatch,
        verdict=_verdict(found, bars, others),
        reason="; ".join([*bars, *others, *_not_compared([subject, rival]), *_seeds(found and panel),
                          *_open_ended([(one, found)])]),
    )  # fmt: skip
    if found:
        row |= _numbers(found, rival.mean) | {"users": panel.users, "seeds": len(subject.values)}
        row |= {"df": simultaneous.seed_variance(panel).df}
    return row


def _verdict(found: Comparison | None, subject: Sequence[str], rivals: Sequence[str]) -> str:
    return decide(bool(found) and found.low > 0, bool(found) and found.high < 0, subject, rivals)


def _numbers(found: Comparison, rival: float) -> dict[str, float]:
    names = {"difference": "difference", "low": "ci_low", "high": "ci_high", "p": "p", "mde": "mde",
             "gain": "gain", "gain_low": "gain_low", "gain_high": "gain_high"}  # fmt: skip
    related = found.mde / rival if rival else math.inf
    return {column: getattr(found, name) for name, column in names.items()} | {"mde_gain": related}


def _not_compared(sides: Sequence[Side]) -> list[str]:
    """Return why printed values of some models may not be compared with ours."""
    why = list(dict.fromkeys(side.mismatch for side in sides if side.mismatch))
    return [f"printed values are not compared with ours: {', '.join(why)}"] if why else []


def _seeds(panel: Panel | None) -> list[str]:
    return _few(simultaneous.seed_variance(panel).df) if panel and panel.trained else []


def _open_ended(pairs: Iterable[tuple[Contest, Comparison | None]]) -> list[str]:
    """Return which models too few users tell apart for an interval."""
    open_ones = [one for one, found in pairs if found and math.isinf(found.low)]
    return [f"{TOO_FEW_USERS} {one.subject.label} from {one.rival.label}" for one in open_ones[:1]]


def _few(df: int) -> list[str]:
    """Return that there are too few seeds to say anything of others, where it is so."""
    least = simultaneous.FEWEST_DF
    return [f"{TOO_FEW} ({df} degrees of freedom, {least} are needed)"] * (df < least)


# ------------------------------------------------------------------------------------ gain


OWN = "each row by its own metric"


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
    bars = _bars([subject], rough=True)
    rivals = _bars([r.contest.rival for r in part if not (r.found and r.found.high < 0)])
    absent = [] if reading else case.absent(dataset)
    rivals += absent
    rivals += [] if any(r.contest.rival.values is not None for r in part) else ["no rival has a number"]
    unlike = _not_compared([side for r in part for side in r.contest[:2]])
    row = case.row("reading" if reading else "claim", dataset, reading=reading, subject=subject.label,
                   ours=subject.mean, **_printed_gain(case, subject), **_outside(case, dataset))  # fmt: skip
    row |= {"protocol": subject.measure.protocol, "metric": subject.measure.metric}
    if best:
        top = min(compared, key=lambda result: result.found.difference).row
        row |= {name: top[name] for name in ("rival", "ours_rival", "rival_metric", "users", "seeds", "df")}
        row |= _numbers(best, top["ours_rival"])
        definitions = [side.mismatch for r in part for side in r.contest[:2] if side.mismatch]
        mixed = case.claim.rival_metric and unlike and all(map(ANOTHER_DEFINITION, definitions))
        if mixed:  # the claim is about definitions: it sets gains against each other, not values
            unlike = [f"the printed rows have {' and '.join(m.metric for m in case.measures)}"]
        if mixed or not unlike:
            row |= _share(row)
        unlike += [why for why in top["reason"].split("; ") if TOO_FEW in why]
        unlike += _open_ended((result.contest, result.found) for result in compared)
    verdict = "" if reading else _verdict(best, bars, rivals)
    return row | {"verdict": verdict, "reason": "; ".join([*bars, *rivals, *unlike])}


def _printed_gain(case: Case, subject: Side) -> dict[str, Any]:
    printed = case.printed.gain(subject.dataset)
    if printed is None:
        return {}
    unlike = case.printed.mismatch_of(subject.dataset, printed.rival, *subject.measure[:2])
    marks = {"unlike": subject.mismatch, "unlike_rival": unlike}
    marks |= {"published": printed.own, "published_rival": printed.value}
    return marks | {"printed_rival": printed.rival, "published_gain": printed.gain}


def _share(row: dict[str, Any]) -> dict[str, float]:
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


# ------------------------------------------------------------------------- ablation, order


def judge_ablation(case: Case) -> list[dict[str, Any]]:
    """Return a row for each dataset and pair of variants."""
    contests = [
        Contest(*(case.side(dataset, case.claim.model, variant) for variant in (pair.better, pair.worse)),
                statement=pair.claim)
        for dataset, pair in product(case.datasets, case.claim.pairs)
    ]  # fmt: skip
    return [result.row | {"scope": "claim"} for result in compare(case, contests)]


class Standing(NamedTuple):
    """Models of one dataset and view, and their means under other users and seeds, shape (draws, models)."""

    dataset: str
    view: View
    sides: list[Side]
    drawn: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """Mean of each model."""
        return np.array([side.mean for side in self.sides])


def judge_order(case: Case) -> list[dict[str, Any]]:
    """Return, for each dataset and view, Kendall's tau with the reference, and each model's place."""
    views = case.claim.views or [view for view in [case.view(case.measures[0])] if view]
    settings = {(d, v): [s for s in case.sides(d, None, v) if s.values is not None]
                for d, v in product(case.datasets, views)}  # fmt: skip
    settings = {place: sides for place, sides in settings.items() if sides}
    measured = [{(s.model, s.variant) for s in sides} for sides in settings.values()]
    common = set.intersection(*measured) if measured else set()
    standings = [_standing(case, *place, sides, common) for place, sides in settings.items()]
    count = max(1, len(standings) - (not case.claim.published))
    return [row for one in standings
            for row in [_order_row(case, one, standings[0], count), *_place_rows(case, one)]]  # fmt: skip


def _standing(case: Case, dataset: str, view: View, sides: list[Side], common: set) -> Standing:
    own = [s for s in sides if (s.model, s.variant) in common]
    if case.claim.published:
        own = [s for s in own if not s.mismatch and not math.isnan(s.printed)]
    drawn = simultaneous.resample_means(panel_of(case, dataset, own)) if own else np.empty((0, 0))
    return Standing(dataset, view, own, drawn)


def _order_row(case: Case, one: Standing, first: Standing, count: int) -> dict[str, Any]:
    """Return how far a setting's order agrees with the reference, and how far chance lets it."""
    printed = bool(case.claim.published)
    row = case.row("claim", one.dataset, one.view, rival="as printed" if printed else first.dataset)
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
    bars = [] if same_runs else _bars([*one.sides, *([] if printed else first.sides)])
    bars += case.left_out(case.lost(one.dataset))
    notes = [] if low > 0 else [f"two samples of users of one setting agree no better than {low:.2f}"]
    panel = panel_of(case, one.dataset, one.sides)
    return row | {
        "ours": tau, "ci_low": low, "ci_high": high, "p": min(1.0, count * (1 + lower) / (len(chance) + 1)),
        "verdict": decide(low > 0, tau < low, bars, []), "reason": "; ".join([*bars, *notes, *_seeds(panel)]),
        "users": panel.users, "df": simultaneous.seed_variance(panel).df,
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


# -------------------------------------------------------------------------- optimum, flat


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
        verdict = _verdict(found, [*bars, *case.left_out(case.lost(dataset))], rivals)
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
        rows += [r.row | {"verdict": _level(r.found, margin, _bars([r.contest.subject], True), [])}
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
    return _bars(named, rough=True) if named else ["no run is of the claimed setting"], _bars(others)


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
    notes = _not_compared(top.contest[:2]) + [w for w in top.row["reason"].split("; ") if TOO_FEW in w]
    notes += _open_ended((result.contest, result.found) for result in part)
    # To be above the best of the others is to be above each: what would show that is the largest of all.
    least = max((r.found.mde for r in part if math.isfinite(r.found.mde)), default=math.inf)
    return top.row | _numbers(replace(found, mde=least), top.row["ours_rival"]) | {
        "scope": "claim", "verdict": verdict, "reason": "; ".join([*bars, *rivals, *notes]),
    }  # fmt: skip


# ----------------------------------------------------------------------------------- value


def judge_value(case: Case) -> list[dict[str, Any]]:
    """Return a row for each dataset and printed number.

    The users are those of the paper, so only seeds are chance: the paper's, taken for one, and ours.
    """
    asked = []
    for dataset in case.datasets:
        sides = case.sides(dataset)
        own = [case.claimed(dataset)] if case.claim.model else sides
        asked += [(side, _variation(sides)) for side in own if not math.isnan(side.printed)]
    family = sum(side.values is not None and not side.mismatch for side, _ in asked)
    return [_value_row(case, *one, family) for one in asked]


def _value_row(case: Case, side: Side, variation: tuple[float, int], family: int) -> dict[str, Any]:
    from scipy import stats  # only where there are claims of values

    bars = [*_bars([side], rough=True), *_not_compared([side])]
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
        "reason": "; ".join([*bars, *(_few(df) if side.varies else [])]),
    }  # fmt: skip
    if side.varies and not df:  # one seed of every model: nothing to make an interval of
        return row | {"verdict": CANNOT_TELL}
    p = min(1.0, family * 2 * stats.t.sf(beyond / error, df)) if error else float(beyond == 0.0)
    return row | {"ci_low": low, "ci_high": high, "p": p}


def _variation(sides: list[Side]) -> tuple[float, int]:
    """Return the squared coefficient of variation of a seed's mean, pooled over models, and its df."""
    own = {(side.model, side.key): side for side in sides if side.varies}  # a run may have several labels
    several = [side.values[:, 0] for side in own.values() if len(side.values) > 1]
    several = [means for means in several if means.mean() > 0.0]
    df = sum(len(means) - 1 for means in several)
    squares = sum((len(means) - 1) * means.var(ddof=1) / means.mean() ** 2 for means in several)
    return (squares / df if df else 0.0), df


# ---------------------------------------------------------------------------------- listed


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
    return [row | (_share(row) if "gain" in row else {}) for row in rows]


def _judge_values(values: Case, _: Case, own: list[Statement]) -> list[dict[str, Any]]:
    sides = [_named(values, s, s.subject, s.published) for s in own]
    others = [values.sides(s.dataset, side.measure) for s, side in zip(own, sides, strict=True)]
    family = sum(side.values is not None for side in sides)
    return [
        _value_row(values, side, _variation(rest), family) for side, rest in zip(sides, others, strict=True)
    ]


def _named(case: Case, one: Statement, name: str, printed: float) -> Side:
    model, _, variant = name.partition("/")
    measure = Measure(one.protocol, one.metric, one.k)
    return replace(case.side(one.dataset, model, variant or "default", measure), printed=printed)


def _said(one: Statement) -> dict[str, Any]:
    """Return the cells of a row that its statement decides."""
    same = ("paper", "place", "statement", "kind", "metric", "k", "protocol")
    return {name: getattr(one, name) for name in same} | {"scope": LISTED, "rival_metric": one.metric}


# ------------------------------------------------------------------------- files and pages


LISTED = "listed"
SHOWN = {"gain": "rival", "optimum": "rival", "flat": "rival", "listed": LISTED}  # scope of a table's rows
JUDGES = {"gain": judge_gain, "ablation": judge_ablation, "order": judge_order, "value": judge_value,
          "optimum": judge_optimum, "flat": judge_flat, "listed": judge_listed}  # fmt: skip


def judge(files: StudyResults, published: Published) -> pd.DataFrame:
    """Return what `claims.csv` holds: all claims of a study, judged."""
    cases = [Case(files, claim, published) for claim in files.config.claims]
    rows = [_with_trials(case, row) for case in cases for row in JUDGES[case.claim.kind](case)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    words = [name for name in COLUMNS if name in TEXTS]
    frame[words] = frame[words].astype(object).where(frame[words].notna(), "")
    return give_reasons(frame.astype(dict.fromkeys(NUMBERS, "float64")))


def give_reasons(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `claims.csv` in which each that cannot be told says why; old files left some out."""
    reasons = rows["reason"].str.replace("variation over seeds not covered", TOO_FEW, regex=False)
    untold = (rows["verdict"] == CANNOT_TELL) & rows["ci_low"].notna()
    compared = rows["kind"].isin(["gain", "ablation", "optimum"])
    around = untold & compared & (rows["ci_low"] <= 0) & (rows["ci_high"] >= 0)
    around &= ~(reasons.str.startswith(HOLDS_ZERO) | reasons.str.contains(TOO_FEW_USERS, regex=False))
    partly = untold & ~compared & (reasons == "")
    endless = (around | partly) & np.isinf(rows["ci_low"])
    two_apart = f"{TOO_FEW_USERS} the two apart"
    own = np.select([endless, around, partly], [two_apart, HOLDS_ZERO, HOLDS_BOTH], "")
    joint = ["; ".join(filter(None, both)) for both in zip(own, reasons, strict=True)]
    return rows.assign(reason=np.array(joint, dtype=object))


def _with_trials(case: Case, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose reason says that a scale cut the search, where it did."""
    config = case.files.config
    tuned = config.tuning and any(e.tune and e.group in case.claim.groups for e in config.models)
    made = scale_of(case.files).count_trials(config.tuning.trials) if tuned else 0
    if not row.get("verdict") or not tuned or made == config.tuning.trials:
        return row
    note = f"settings were searched with {made} of {config.tuning.trials} trials"
    return row | {"reason": "; ".join(filter(None, [row.get("reason", ""), note]))}


def read(folder: Path) -> pd.DataFrame:
    """Read `claims.csv` back from disk."""
    absent = dict.fromkeys(("unlike", "unlike_rival"), "")  # in files of earlier versions
    return give_reasons(
        read_csv(Path(folder) / "claims.csv", COLUMNS, NUMBERS, "draw the study first", absent)
    )


def tell(files: StudyResults, claim: ClaimConfig, rows: pd.DataFrame) -> list[str]:
    """Return what the rows of a claim say: a paragraph for each dataset, then how it was measured."""
    titles = [files.titles.get(name, name) for name in rows["dataset"]]
    lines = rows.assign(title=titles).to_dict("records")
    return paragraphs("claims.j2", claim=claim, rows=lines, titles=files.titles, draws=simultaneous.DRAWS)


def tell_left_out(files: StudyResults) -> list[str]:
    """Return a line that says what a user narrowed away from a study; nothing where it is whole."""
    return paragraphs("narrowed.j2", out=files.left_out)


def layout(files: StudyResults, claim: ClaimConfig, rows: pd.DataFrame) -> Table:
    """Lay out the rows of a claim as a small table."""
    if claim.kind == "order":
        return _order_table(files, rows[rows["scope"] == "model"])
    shown = rows[rows["scope"] == SHOWN.get(claim.kind, "claim")]
    listed = claim.kind == "listed"
    words = {
        "paper": (shown["paper"] + ", " + shown["place"]) if listed else [],
        "metric": (shown["metric"] + "@" + shown["k"].astype(int).astype(str)) if listed else [],
        "dataset": [files.titles.get(name, name) for name in shown["dataset"]],
        "history": shown["history"],
        "claim": shown["statement"] if claim.kind in ("ablation", "listed") else [],
        "measured with": shown["reading"].where(shown["reading"] != "", claim.metric)
        if claim.rival_metric else [],
        "model": shown["subject"], "set against": shown["rival"], "verdict": shown["verdict"],
        "note": shown["reason"],
    }  # fmt: skip
    spans = zip(shown["ci_low"].map(signed), shown["ci_high"].map(signed), strict=True)
    cells = words | {
        "value": shown["ours"].map(points), "value of that": shown["ours_rival"].map(points),
        "difference": shown["difference"].map(signed),
        "95% interval": [f"{low} to {high}" if low else "" for low, high in spans],
        "p": shown["p"].map(p_value), "gain": shown["gain"].map(percent),
        "printed gain": shown["published_gain"].map(percent) if listed else [],
        "printed": _with_mark(shown["published"], shown["unlike"]),
        "printed of that": _with_mark(shown["published_rival"], shown["unlike_rival"]),
    }  # fmt: skip
    order = ("dataset", "history", "claim", "paper", "measured with", "metric", "model", "value",
             "set against", "value of that", "difference", "95% interval", "p", "gain", "printed gain",
             "verdict", "printed", "printed of that", "note")  # fmt: skip
    header = [name for name in order if any(cells[name])]
    lines = [list(row) for row in zip(*(cells[name] for name in header), strict=True)]
    unlike = {*shown["unlike"], *shown["unlike_rival"]} - {""}
    notes = [f"{MISMATCH} {why}: not compared with ours." for why in sorted(unlike)]
    return plain_table(header, lines, {i for i, name in enumerate(header) if name in words}, notes=notes)


def _with_mark(values: pd.Series, unlike: pd.Series) -> list[str]:
    """Return printed values, those that may not be compared with ours marked."""
    return [points(value) + (MISMATCH if why and points(value) else "")
            for value, why in zip(values, unlike, strict=True)]  # fmt: skip


def _order_table(files: StudyResults, rows: pd.DataFrame) -> Table:
    """Lay out places: a line a model, its number and place in every setting."""
    models = list(dict.fromkeys(rows.sort_values("rank", kind="stable")["subject"]))
    header, columns = ["model"], [models]
    settings = rows.groupby(["dataset", "history", "mask"], sort=False)
    for letter, ((dataset, history, mask), part) in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", settings, strict=False):
        header += [f"{letter}: {files.titles.get(dataset, dataset)}, history {history}, mask {mask}"]
        header += [f"place {letter}"]
        own = part.set_index("subject").reindex(models)
        columns.append(own["ours"].map(points))
        spans = own[["rank", "rank_low", "rank_high"]].itertuples(index=False)
        columns.append(["" if pd.isna(a) else f"{a:.0f} ({b:.0f} to {c:.0f})" for a, b, c in spans])
    return plain_table(header, [list(row) for row in zip(*columns, strict=True)], words={0})


def draw_claims(files: StudyResults, published: Published) -> list[str]:
    """Write `claims.csv` and `claims.md`; return their names."""
    if not files.config.claims:
        return []
    path = files.folder / "claims.csv"
    write_csv(path, judge(files, published))
    frame, parts = read(files.folder), [markdown(text) for text in tell_left_out(files)]
    for claim in files.config.claims:
        rows = frame[frame["claim"] == claim.name]
        table = layout(files, claim, rows)
        parts += [f"### {markdown(claim.title)}", markdown(claim.caption)]
        parts += [markdown(text) for text in tell(files, claim, rows)]
        parts += [to_markdown(table)] if table.rows else []
    write_text(path.with_suffix(".md"), "\n\n".join(filter(None, parts)) + "\n")
    return ["claims.csv", "claims.md"]
