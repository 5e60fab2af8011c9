"""Models and lists measured on the test part of a split, each with its interval, and compared in pairs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from recspectra.api.data import Data, catalog
from recspectra.api.model import Model
from recspectra.config.base import ConfigError
from recspectra.config.metric_names import of_users
from recspectra.config.study import ProtocolConfig, View
from recspectra.config.yaml_io import validate
from recspectra.data.ids import Ids
from recspectra.data.interactions import DataError
from recspectra.evaluation.hits import RankedLists
from recspectra.evaluation.hits import compare as compare_lists
from recspectra.evaluation.list_doubts import leaks
from recspectra.evaluation.lists import Lists
from recspectra.evaluation.measure import of_every_user, ranked_lists
from recspectra.evaluation.metrics import METRICS
from recspectra.evaluation.per_user import Members, Point
from recspectra.evaluation.read_lists import ReadLists, lists_of
from recspectra.evaluation.simultaneous import Pair, Panel, stand
from recspectra.evaluation.simultaneous import compare as compare_pairs
from recspectra.files import machine_memory
from recspectra.fitting.ranking import NO_CUTS, Ranking
from recspectra.fitting.scoring import Inputs, rank

# What tells rows apart stands first and the numbers last: a narrow terminal hides columns from the middle.
COLUMNS = ["model", "metric", "k", "history", "mask", "users", "value", "low", "high"]
HONEST = {("train", "valid"), ("train", "test"), ("train+valid", "test")}  # fitted on, measured on
Measurable = Any  # a Model, a Lists, a frame of lists, or a sequence of Models that differ in their seed


def evaluate(
    models: Measurable | Mapping[str, Measurable], data: Data, protocol: str = "standard", *,
    metrics: Sequence[str] | None = None, k: Sequence[int] | int | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Measure models and lists on the test part or, with `protocol="validation"`, on the validation part.

    Choose by validation, then look at the test part once: the best of many on test is a lucky one.

    Parameters
    ----------
    models : Model, Lists, frame or mapping
        What to measure, or name -> that. A frame has one row per recommendation: `user`, `item` and `rank` or
        `score`; what the protocol masks is taken out. A sequence of models stands for one model under several
        seeds. Give a model itself, not what its `recommend` returns: that leaves out all that a user has, the
        test items included.
    data : Data
        What the models were fitted on.
    protocol : str
        A protocol of `config/protocols`: what a model is shown, what may not be recommended, what is to be
        found, metrics.
    metrics, k : sequences, optional
        In place of those of the protocol.

    Returns
    -------
    pandas.DataFrame
        `model`, `metric`, `k`, `history`, `mask`, `users` (whose mean it is), `value`, and the ends `low` and
        `high` of its 95 % interval, as in the tables of a study: over other users of the same kind
        and, where there are several seeds, other seeds. A number of all lists together (`coverage`, `gini`)
        has none. Two intervals that overlap say little of a difference: use `compare`.

    Raises
    ------
    ConfigError
        The protocol or a metric does not exist, or a model was fitted on what it is to be measured on.
    DataError
        A model was fitted on other data, or lists are too short or name what is unknown.

    Examples
    --------
    >>> import recspectra as rs
    >>> data = rs.dataset("synthetic")
    >>> found = rs.evaluate({"EASE": rs.fit("ease", data)}, data, metrics=["ndcg"], k=10)
    >>> found[["model", "metric", "k"]]
      model metric   k
    0  EASE   ndcg  10
    >>> bool(found.low[0] < found.value[0] < found.high[0])
    True
    """
    plan = _protocol(protocol, metrics, k)
    named = models if isinstance(models, Mapping) else {_name_of(models): models}
    _check(named, data)
    rows = [row for view in plan.views for row in _rows_of(named, data, plan, view)]
    order = {name: place for place, name in enumerate(named)}
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.sort_values("model", key=lambda c: c.map(order), kind="stable", ignore_index=True)


def _rows_of(
    named: Mapping[str, Measurable], data: Data, plan: ProtocolConfig, view: View
) -> list[dict[str, Any]]:
    """Return what was measured under one view: every metric and cut-off, model after model."""
    ranked = {name: _all_ranked(name, model, data, plan, view) for name, model in named.items()}
    panels = _panels(named, ranked, data, plan)
    stood = dict(zip(panels, stand([(panel, None) for panel in panels.values()]), strict=True))
    rows = []
    for metric, cut in product(plan.metrics, plan.k):
        head = {**view.model_dump(), "users": plan.users, "metric": metric, "k": cut}
        for name in named:
            if (metric, cut) in stood:
                found = stood[metric, cut][name].value
                value = {"value": found.difference, "low": found.low, "high": found.high}
            else:
                value = {
                    "value": _of_lists(metric, cut, ranked[name]),
                    "low": math.nan,
                    "high": math.nan,
                }
            rows.append({"model": name, **head, **value})
    return rows


@dataclass(frozen=True)
class Difference:
    """One model against another by one metric, over the same users.

    Attributes
    ----------
    subject, rival : str
        Their names.
    metric, k : str, int
        What is compared.
    value, rival_value : float
        Their means over users.
    difference, low, high : float
        Subject minus rival, and its 95 % interval (studentised bootstrap over users).
    p : float
        How often chance makes a difference of at least this size where there is none. At most .05 if and
        only if the interval leaves out 0.
    mde : float
        The true difference that tests of so many users find in 80 % of cases; a smaller one may be found too.
    users : int
        How many users.
    """

    subject: str
    rival: str
    metric: str
    k: int
    value: float
    rival_value: float
    difference: float
    low: float
    high: float
    p: float
    mde: float
    users: int

    def __str__(self) -> str:
        """Return the comparison in words."""
        verdict = "above" if self.low > 0 else "below" if self.high < 0 else "not told apart from"
        return (
            f"{self.subject} is {verdict} {self.rival} in {self.metric}@{self.k}: {self.difference:+.4f} "
            f"({self.low:+.4f} to {self.high:+.4f}), p = {self.p:.4f}; "
            f"{self.users:,} users would show a true difference of {self.mde:.4f} in 80 % of such tests"
        )


def compare(
    subject: Measurable, rival: Measurable, data: Data, metric: str = "ndcg", k: int = 10,
    protocol: str = "standard",
) -> Difference:  # fmt: skip
    """Compare two models or lists on the test part, user by user.

    Parameters
    ----------
    subject, rival : Model, Lists, frame, or sequence of models that differ in their seed
        See `evaluate`. A pair `(name, model)` gives it a name.
    data : Data
        What the models were fitted on.
    metric, k : str, int
        What to compare by.
    protocol : str
        What a model is shown and what may not be recommended (its first view).

    Returns
    -------
    Difference
        `print` says it in words.

    Notes
    -----
    One comparison was planned. If you look at many and report the best, its interval is too narrow; a study's
    claims hold for all of theirs at once.

    Examples
    --------
    >>> import recspectra as rs
    >>> data = rs.dataset("synthetic")
    >>> found = rs.compare(rs.fit("ease", data), rs.fit("popularity", data), data)
    >>> bool(found.low > 0), bool(found.p < 0.05)
    (True, True)
    """
    plan = _protocol(protocol, [metric], [k])
    if not of_users(metric):
        raise ConfigError(
            f"metric: {metric} is a number of all lists together; users cannot be compared by it"
        )
    one, other = _named(subject), _named(rival)
    if one[0] == other[0]:
        one, other = (f"{one[0]} (1)", one[1]), (f"{other[0]} (2)", other[1])
    named = dict([one, other])
    _check(named, data)
    ranked = {name: _all_ranked(name, model, data, plan, plan.views[0]) for name, model in named.items()}
    panel = _panels(named, ranked, data, plan).get((metric, k))
    if panel is None:
        raise ConfigError(
            f"metric: '{metric}' is no number that every user has, so there is nothing to compare"
        )
    (found,) = compare_pairs([panel], [Pair(panel.dataset, one[0], other[0])])
    means = [float(panel.by_user(name).mean()) for name in (one[0], other[0])]
    return Difference(
        one[0], other[0], metric, k, *means, found.difference, found.low, found.high, found.p, found.mde,
        panel.users,
    )  # fmt: skip


# ------------------------------------------------------------------------------ what is measured


def _protocol(name: str, metrics: Sequence[str] | None, k: Sequence[int] | int | None) -> ProtocolConfig:
    if not isinstance(name, str):
        raise ConfigError(f"protocol: {name!r:.60} is no name of a protocol")
    found = catalog().protocol(name)
    changes: dict[str, Any] = {}
    if metrics is not None:
        changes["metrics"] = _several(metrics)
    if k is not None:
        changes["k"] = _several(k)
    return validate(ProtocolConfig, {**found.model_dump(), **changes}, f"protocol '{name}'")


def _several(given: Any) -> list[Any]:
    """Return one value or several as a list of Python's own values."""
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        given = [given]
    return [value.item() if isinstance(value, np.generic) else value for value in given]


def _check(named: Mapping[str, Measurable], data: Data) -> None:
    """Refuse what cannot be measured, or would be measured as what it is not."""
    if not isinstance(data, Data):
        raise ConfigError(f"data: is a {type(data).__name__}; give what `read` or `dataset` returned")
    if not named:
        raise ConfigError("models: nothing is given that could be measured")
    for name, model in named.items():
        if not isinstance(name, str):
            raise ConfigError(f"models: the name {name!r} is no text")
        several = model if isinstance(model, list | tuple) else [model]
        if not several:
            raise ConfigError(f"'{name}' is an empty list; give one model, or one for each seed")
        for one in several:
            if not isinstance(one, Model | Lists | pd.DataFrame):
                raise ConfigError(
                    f"'{name}' is a {type(one).__name__}; give a Model, a Lists or a frame of lists"
                )
        _check_seeds(name, several)


def _check_seeds(name: str, several: Sequence[Measurable]) -> None:
    """Refuse a list of models that is not one model under several seeds: their mean says nothing."""
    models = [one for one in several if isinstance(one, Model)]
    kinds = {repr((one.about["model"], one.about["fit"], _without_epochs(one))) for one in models}
    if len(kinds) > 1 or 0 < len(models) < len(several):
        raise ConfigError(
            f"'{name}' is a list of different models; a list stands for one model under several seeds. "
            'To measure several, name them: {"one": model, "other": model}'
        )
    seeds = [one.about["seed"] for one in models] or list(map(id, several))
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"'{name}' has the same seed twice; its interval would be too narrow")


def _without_epochs(model: Model) -> list[Any]:
    """Return the parameters, of a refit without the number of epochs, which it takes from its own seed."""
    refit = model.about["fit"] != "train"
    return sorted((key, value) for key, value in model.params.items() if not (refit and key == "epochs"))


def _named(model: Measurable) -> tuple[str, Measurable]:
    """Return a name and what it names."""
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], str):
        return model
    return _name_of(model), model


def _name_of(model: Measurable) -> str:
    if isinstance(model, Model):
        return model.about["title"]
    if isinstance(model, Lists):
        return model.name
    return _name_of(model[0]) if isinstance(model, list | tuple) and len(model) else "lists"


def _panels(
    named: Mapping[str, Measurable], ranked: Mapping[str, list[RankedLists]], data: Data, plan: ProtocolConfig
) -> dict[Point, Panel]:
    """Return the values of all users, by those metrics and cut-offs that every user has."""
    values = {name: [of_every_user(one, plan) for one in own] for name, own in ranked.items()}
    trained = frozenset(name for name, model in named.items() if _is_trained(model))
    found = {}
    for point in next(iter(values.values()))[0] if values else ():
        columns = {name: np.stack([v[point] for v in own]) for name, own in values.items()}
        if short := [name for name, column in columns.items() if np.isnan(column).any()]:
            raise DataError(
                f"'{short[0]}': {point[0]} needs lists of all items that may be recommended; "
                f"give k=[{data.train.n_items}]"
            )
        found[point] = Panel(data.name, columns, trained)
    return found


def _of_lists(metric: str, cut: int, ranked: list[RankedLists]) -> float:
    """Return a number of all lists together, the mean over seeds."""
    return float(np.mean([METRICS[metric](one, [cut]) for one in ranked]))


def _all_ranked(
    name: str, model: Measurable, data: Data, plan: ProtocolConfig, view: View
) -> list[RankedLists]:
    """Return the lists of the users that count, with their hits, once a seed."""
    members, truth = _members(data, plan), getattr(data, plan.target)
    masked = Inputs(data.train, data.valid, data.ordered, {}).part(view.mask)
    found = []
    for one in model if isinstance(model, list | tuple) else [model]:
        how = _ranked if isinstance(one, Model) else _given
        ranking = how(name, one, data, plan, view)
        found.append(ranked_lists(ranking, truth, plan, data.train, masked).within(members))
    return found


def _is_trained(model: Measurable) -> bool:
    one = model[0] if isinstance(model, list | tuple) else model
    return isinstance(one, Model) and catalog().model(one.about["model"]).kind == "trained"


def _members(data: Data, plan: ProtocolConfig) -> np.ndarray:
    """Return which of the users with something to be found count."""
    users = np.flatnonzero(getattr(data, plan.target).lengths > 0)
    members = Members.of(data.train, users).group(plan.users)
    if not members.any():
        raise DataError(f"protocol '{plan.name}' averages over {plan.users} users, and the data have none")
    return members


def _ranked(name: str, model: Model, data: Data, plan: ProtocolConfig, view: View) -> Ranking:
    """Return the lists of a model as a protocol's view has them."""
    if model.about["data"] != data.digest or not _same(model.ids, data.ids):
        raise DataError(
            f"'{name}' was fitted on {model.about['dataset']} with another split or other interactions than "
            f"these of {data.name}; its number would not be of this test part"
        )
    if (model.about["fit"], plan.target) not in HONEST:
        raise ConfigError(
            f"'{name}' was fitted on {model.about['fit']} data, the {plan.target} part included, on which it "
            'is to be measured; fit it with on="train"'
        )
    inputs = Inputs(data.train, data.valid, data.ordered, {})
    shown, hidden = inputs.part(view.history), inputs.part(view.mask)
    depth = min(plan.depth, data.train.n_items)
    return _padded(rank(model.system.score, shown, [hidden], depth)[0], max(plan.k))


def _same(ids: Ids, others: Ids) -> bool:
    """Return whether ids are the same texts; a file of them gives numbers back where all are numbers."""
    return ids == others or ids.digest == others.digest


def _padded(ranking: Ranking, depth: int) -> Ranking:
    """Return a ranking with room for `depth` items: a metric may look further than there are items."""
    more = depth - ranking.lists.shape[1]
    if more <= 0:
        return ranking
    if 8 * len(ranking.lists) * depth > machine_memory():
        raise ConfigError(
            f"k: {depth:,} are more places than this machine has memory for; there are "
            f"{ranking.lists.shape[1]:,} items"
        )
    lists = np.pad(ranking.lists, ((0, 0), (0, more)), constant_values=-1)
    places = np.tile(np.arange(1, depth + 1, dtype=np.int32), (len(lists), 1))
    places[:, : ranking.lists.shape[1]] = ranking.positions
    return Ranking(lists, places, ranking.cuts)


def _given(name: str, model: Lists | pd.DataFrame, data: Data, plan: ProtocolConfig, view: View) -> Ranking:
    """Return lists from elsewhere as a protocol's view has them; a user without one has an empty list."""
    lists = model if isinstance(model, Lists) else lists_of(model, data.ids, name)
    if not _same(lists.ids, data.ids):
        raise DataError(
            f"'{name}' has the ids of other data than {data.name}; give `read_lists` these data: "
            "read_lists(path, data)"
        )
    if lists.depth < min(max(plan.k), data.train.n_items):
        raise DataError(
            f"'{name}' has lists of at most {lists.depth} items, and {max(plan.k)} are measured; "
            f"give longer lists, or k=[{lists.depth}]"
        )
    if isinstance(lists, ReadLists):
        _check_history(name, lists, plan, view)
    allowed = lists.without(Inputs(data.train, data.valid, data.ordered, {}).part(view.mask))
    top = allowed.cut(max(plan.k)).of_all(data.train.n_users)
    for words in _oddities(lists, allowed, top, data, plan, view):
        warnings.warn(f"'{name}'{words}", stacklevel=2)
    places = np.tile(np.arange(1, top.shape[1] + 1, dtype=np.int32), (len(top), 1))
    return _padded(Ranking(top, places, NO_CUTS), max(plan.k))


def _check_history(name: str, lists: ReadLists, plan: ProtocolConfig, view: View) -> None:
    """Say where lists were made from another history than a view shows; a study skips such views."""
    if view.history in lists.history or not lists.history:
        return
    made, hint = " and ".join(lists.history), f'read_lists(..., history="{view.history}") if that is wrong'
    if plan.target == "valid":
        raise DataError(
            f"'{name}' was made from {made} items, so validation items were taken out of it; {hint}"
        )
    warnings.warn(
        f"'{name}' was made from {made} items, and protocol '{plan.name}' shows models {view.history}: their "
        f"numbers are not of one kind; {hint}",
        stacklevel=2,
    )


def _oddities(
    lists: Lists, allowed: Lists, top: np.ndarray, data: Data, plan: ProtocolConfig, view: View
) -> Iterator[str]:
    """Yield what a reader of the numbers should know of given lists: what was taken out, what is missing."""
    truth, most = getattr(data, plan.target), min(max(plan.k), data.train.n_items)
    entries, lengths = int((lists.items >= 0).sum()), (top >= 0).sum(axis=1)[truth.lengths > 0]
    if taken := entries - int((allowed.items >= 0).sum()):
        yield (
            f": {taken:,} of {entries:,} entries are items that the user has in {view.mask}; they are taken "
            "out, as for all models"
        )
    if lost := int((lengths == 0).sum()):
        of_all = f"{lost:,} of the {len(lengths):,} users"
        yield f" has no list for {of_all} that are measured; they count as misses"
    if short := int(((lengths > 0) & (lengths < most)).sum()):
        yield (
            f" has lists of fewer than {most:,} items for {short:,} of the {len(lengths):,} users that are "
            "measured; what is not there counts as a miss"
        )
    for finding in leaks(top, truth) if plan.target == "test" else ():
        yield f": {finding.text}"
    if lengths.any() and not compare_lists(top, truth).hits.any():
        yield (
            " holds nothing that is to be found: lists of `recommend` leave out all that a user has, the "
            "test part included; give the model itself"
        )
