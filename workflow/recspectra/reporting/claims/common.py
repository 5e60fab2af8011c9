"""The rule of all claims, the columns of `claims.csv`, and how two models are set against each other.

`decide` and `RULES` are the whole rule; a module beside this one says what each kind of claim compares.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recspectra import registry
from recspectra.config.model import VARYING
from recspectra.config.scale import CAPPED, USABLE
from recspectra.config.study import ClaimConfig, View
from recspectra.evaluation import simultaneous
from recspectra.evaluation.simultaneous import Comparison, Pair, Panel
from recspectra.reporting.published import Published, PublishedValues
from recspectra.reporting.results import (
    StudyError,
    StudyResults,
    joint_status,
    leaked_lists,
    models_of,
    not_converged,
    preferred,
    rows_at,
    select_runs,
)
from recspectra.reporting.user_values import seed_values, user_values

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

VERDICTS = REPRODUCED, NOT_REPRODUCED, CANNOT_TELL = "reproduced", "not reproduced", "cannot tell"
ALPHA = 1.0 - simultaneous.LEVEL
TOO_FEW = "too few seeds"
TOO_FEW_USERS = "too few users tell"  # two models apart
MOST_NAMES = 6  # of models that were left out
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
        self.leaked = leaked_lists(files)
        self._values: dict[tuple, dict[str, np.ndarray]] = {}

    def side(
        self, dataset: str, model: str, variant: str, measure: Measure | None = None, view: View | None = None
    ) -> Side:
        """Return a model's variant on a dataset, measured if it has a run."""
        place, measure = (dataset, model, variant), measure or self.measures[0]
        none = self._title(model, variant), "", self.files.left_out.why(model, variant) or "no run"
        label, key, status = self.models.get(place, none)
        told = self.leaked.get((dataset, model, key), [])
        values = self._measured(dataset, measure, view).get("\0".join((model, variant, key)))
        values = None if told else values  # a number that test items made is above or below nobody
        runs = self.runs[(self.runs["dataset"] == dataset) & (self.runs["model"] == model)]
        runs = runs[(runs["variant"] == variant) & (runs["key"] == key)]
        varies = values is not None and (runs["kind"].isin(VARYING).any() or (values != values[0]).any())
        lack = ""
        if told:
            lack = f"not compared: {'; '.join(told)}"
        elif values is None:
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
        view = view or self.view(measure)
        wanted = dict(zip(("dataset", "model", "variant"), place, strict=True)) | measure._asdict()
        wanted |= {"fit": self.claim.fit} | (view.model_dump() if view else {})
        rows = rows_at(self.files.metrics, wanted)
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


def bars_of(sides: Sequence[Side], rough: bool = False) -> list[str]:
    """Return what speaks against taking the runs of some models for the models, each with their names."""
    names: dict[str, list[str]] = {}
    for side in sides:
        for why in filter(None, [side.lack, side.rough if rough else ""]):
            names.setdefault(why, []).append(side.label)
    return [f"{', '.join(dict.fromkeys(labels))}: {why}" for why, labels in names.items()]


def _contest_row(case: Case, one: Contest, panel: Panel | None, found: Comparison | None) -> dict[str, Any]:
    subject, rival = one.subject, one.rival
    bars, others = bars_of([subject], rough=True), bars_of([rival])
    row = case.row(
        "rival", subject.dataset, protocol=subject.measure.protocol, metric=subject.measure.metric,
        rival_metric=rival.measure.metric, reading=one.reading,
        statement=one.statement or case.claim.statement, subject=subject.label, rival=rival.label,
        published=subject.printed, published_rival=rival.printed, ours=subject.mean, ours_rival=rival.mean,
        unlike=subject.mismatch, unlike_rival=rival.mismatch,
        verdict=verdict_above(found, bars, others),
        reason="; ".join([*bars, *others, *not_compared([subject, rival]), *few_seeds(found and panel),
                          *open_ended([(one, found)])]),
    )  # fmt: skip
    if found:
        row |= numbers_of(found, rival.mean) | {"users": panel.users, "seeds": len(subject.values)}
        row |= {"df": simultaneous.seed_variance(panel).df}
    return row


def verdict_above(found: Comparison | None, subject: Sequence[str], rivals: Sequence[str]) -> str:
    """Return the verdict on a model that is claimed to be above another."""
    return decide(bool(found) and found.low > 0, bool(found) and found.high < 0, subject, rivals)


def numbers_of(found: Comparison, rival: float) -> dict[str, float]:
    """Return the cells of a row that a comparison decides; `rival` is the value of the rival."""
    names = {"difference": "difference", "low": "ci_low", "high": "ci_high", "p": "p", "mde": "mde",
             "gain": "gain", "gain_low": "gain_low", "gain_high": "gain_high"}  # fmt: skip
    related = found.mde / rival if rival else math.inf
    return {column: getattr(found, name) for name, column in names.items()} | {"mde_gain": related}


def not_compared(sides: Sequence[Side]) -> list[str]:
    """Return why printed values of some models may not be compared with ours."""
    why = list(dict.fromkeys(side.mismatch for side in sides if side.mismatch))
    return [f"printed values are not compared with ours: {', '.join(why)}"] if why else []


def few_seeds(panel: Panel | None) -> list[str]:
    """Return that the trained models of a panel have too few seeds, where it is so."""
    return too_few(simultaneous.seed_variance(panel).df) if panel and panel.trained else []


def open_ended(pairs: Iterable[tuple[Contest, Comparison | None]]) -> list[str]:
    """Return which models too few users tell apart for an interval."""
    open_ones = [one for one, found in pairs if found and math.isinf(found.low)]
    return [f"{TOO_FEW_USERS} {one.subject.label} from {one.rival.label}" for one in open_ones[:1]]


def too_few(df: int) -> list[str]:
    """Return that there are too few seeds to say anything of others, where it is so."""
    least = simultaneous.FEWEST_DF
    return [f"{TOO_FEW} ({df} degrees of freedom, {least} are needed)"] * (df < least)
