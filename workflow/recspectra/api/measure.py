"""Models and lists measured on the test part of a split, each with its interval, and compared in pairs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recspectra.api.data import Data, catalog
from recspectra.api.model import Model
from recspectra.config.base import ConfigError
from recspectra.config.study import ProtocolConfig, View
from recspectra.config.yaml_io import validate
from recspectra.data.interactions import DataError
from recspectra.data.reach import warm_users
from recspectra.evaluation.lists import Lists, lists_of
from recspectra.evaluation.measure import user_values
from recspectra.evaluation.simultaneous import LEVEL, Pair, Panel, mean_error
from recspectra.evaluation.simultaneous import compare as compare_pairs
from recspectra.fitting.ranking import NO_CUTS, Ranking
from recspectra.fitting.scoring import Inputs, rank

COLUMNS = ["model", "history", "mask", "users", "metric", "k", "value", "low", "high"]
Point = tuple[str, int]  # a metric and its cut-off
Measurable = Any  # a Model, a Lists, a frame of lists, or a sequence of Models that differ in their seed


def evaluate(
    models: Measurable | Mapping[str, Measurable], data: Data, protocol: str = "standard", *,
    metrics: Sequence[str] | None = None, k: Sequence[int] | int | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Measure models and lists on the test part.

    Parameters
    ----------
    models : Model, Lists, frame or mapping
        What to measure, or name -> that. A frame has one row per recommendation: `user`, `item` and `rank` or
        `score`. A sequence of models stands for one model under several seeds. Give a model itself, not what
        its `recommend` returns: that leaves out all that a user has, the test items included.
    data : Data
        What the models were fitted on.
    protocol : str
        A protocol of `config/protocols`: what a model is shown, what may not be recommended, metrics.
    metrics, k : sequences, optional
        In place of those of the protocol.

    Returns
    -------
    pandas.DataFrame
        `model`, `history`, `mask`, `users` (whose mean it is), `metric`, `k`, `value`, and the ends `low` and
        `high` of its 95 % interval: over other users of the same kind and, where there are several seeds,
        other seeds. Two intervals that overlap say little of a difference: use `compare`.

    Raises
    ------
    ConfigError
        The protocol or a metric does not exist, or a model was fitted on the test part.
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
    rows: list[dict[str, Any]] = []
    for view in plan.views:
        panels = _panels(named, data, plan, view)
        for (metric, cut), panel in panels.items():
            head = {**view.model_dump(), "users": plan.users, "metric": metric, "k": cut}
            rows += [{"model": name, **head, **_with_interval(panel, name)} for name in named]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    order = {name: place for place, name in enumerate(named)}
    return frame.sort_values("model", key=lambda c: c.map(order), kind="stable", ignore_index=True)


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
        The smallest difference that so many users show with a probability of .8.
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
            f"{self.users:,} users show a difference of {self.mde:.4f}"
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
    one, other = _named(subject), _named(rival)
    if one[0] == other[0]:
        one, other = (f"{one[0]} (1)", one[1]), (f"{other[0]} (2)", other[1])
    (panel,) = _panels(dict([one, other]), data, plan, plan.views[0]).values()
    (found,) = compare_pairs([panel], [Pair(panel.dataset, one[0], other[0])])
    means = [float(panel.by_user(name).mean()) for name in (one[0], other[0])]
    return Difference(
        one[0], other[0], metric, k, *means, found.difference, found.low, found.high, found.p, found.mde,
        panel.users,
    )  # fmt: skip


# ------------------------------------------------------------------------------ what is measured


def _protocol(name: str, metrics: Sequence[str] | None, k: Sequence[int] | int | None) -> ProtocolConfig:
    found = catalog().protocol(name)
    if found.target != "test":
        raise ConfigError(f"protocol: '{name}' measures on the validation part; choose another")
    changes: dict[str, Any] = {}
    if metrics is not None:
        changes["metrics"] = [metrics] if isinstance(metrics, str) else list(metrics)
    if k is not None:
        changes["k"] = [k] if isinstance(k, int) else list(k)
    return validate(ProtocolConfig, {**found.model_dump(), **changes}, f"protocol '{name}'")


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
    return _name_of(model[0]) if isinstance(model, Sequence) and len(model) else "lists"


def _panels(
    named: Mapping[str, Measurable], data: Data, plan: ProtocolConfig, view: View
) -> dict[Point, Panel]:
    """Return the values of all users by metric and cut-off."""
    found = {name: [*_values(name, model, data, plan, view)] for name, model in named.items()}
    trained = frozenset(name for name, model in named.items() if _is_trained(model))
    points = [(metric, cut) for metric in plan.metrics for cut in plan.k]
    return {
        point: Panel(
            data.name, {name: np.stack([v[point] for v in own]) for name, own in found.items()}, trained
        )
        for point in points
    }


def _values(
    name: str, model: Measurable, data: Data, plan: ProtocolConfig, view: View
) -> Iterator[dict[Point, np.ndarray]]:
    """Yield the values of each user, once a seed."""
    members = _members(data, plan)
    for one in model if isinstance(model, list | tuple) else [model]:
        if isinstance(one, Model):
            ranking = _ranked(name, one, data, plan, view)
        elif isinstance(one, Lists | pd.DataFrame):
            ranking = _given(name, one, data, plan)
        else:
            raise ConfigError(
                f"'{name}' is a {type(one).__name__}; give a Model, a Lists or a frame of lists"
            )
        values = user_values(ranking, data.test, plan)
        yield {point: column[members] for point, column in values.items()}


def _is_trained(model: Measurable) -> bool:
    one = model[0] if isinstance(model, list | tuple) else model
    return isinstance(one, Model) and catalog().model(one.about["model"]).kind == "trained"


def _members(data: Data, plan: ProtocolConfig) -> np.ndarray:
    """Return which of the users with test items count."""
    warm = warm_users(data.train)[np.flatnonzero(data.test.lengths > 0)]
    members = {"all": np.ones(len(warm), dtype=bool), "warm": warm, "cold": ~warm}[plan.users]
    if not members.any():
        raise DataError(f"protocol '{plan.name}' averages over {plan.users} users, and the data have none")
    return members


def _ranked(name: str, model: Model, data: Data, plan: ProtocolConfig, view: View) -> Ranking:
    """Return the lists of a model as a protocol's view has them."""
    if model.about["data"] != data.digest or model.ids != data.ids:
        raise DataError(
            f"'{name}' was fitted on {model.about['dataset']} with another split or other interactions than "
            f"these of {data.name}; its number would not be of this test part"
        )
    if model.about["fit"] == "all":
        raise ConfigError(
            f"'{name}' was fitted on all data, the test part included; fit it with on=\"train\""
        )
    inputs = Inputs(data.train, data.valid, data.ordered, {})
    shown, hidden = inputs.part(view.history), inputs.part(view.mask)
    depth = min(max(plan.k), data.train.n_items)
    return _padded(rank(model.system.score, shown, [hidden], depth)[0], max(plan.k))


def _padded(ranking: Ranking, depth: int) -> Ranking:
    """Return a ranking with room for `depth` items: a metric may look further than there are items."""
    more = depth - ranking.lists.shape[1]
    if more <= 0:
        return ranking
    lists = np.pad(ranking.lists, ((0, 0), (0, more)), constant_values=-1)
    places = np.tile(np.arange(1, depth + 1, dtype=np.int32), (len(lists), 1))
    places[:, : ranking.lists.shape[1]] = ranking.positions
    return Ranking(lists, places, ranking.cuts)


def _given(name: str, model: Lists | pd.DataFrame, data: Data, plan: ProtocolConfig) -> Ranking:
    """Return lists from elsewhere; a user without one has an empty list."""
    lists = model if isinstance(model, Lists) else lists_of(model, data.ids, name)
    if lists.ids != data.ids:
        raise DataError(f"'{name}' has the ids of other data than {data.name}")
    if lists.depth < min(max(plan.k), data.train.n_items):
        raise DataError(
            f"'{name}' has lists of at most {lists.depth} items, and {max(plan.k)} are measured; "
            f"give longer lists, or k=[{lists.depth}]"
        )
    top = lists.cut(max(plan.k)).of_all(data.train.n_users)
    _warn_without_hits(name, top, data)
    places = np.tile(np.arange(1, top.shape[1] + 1, dtype=np.int32), (len(top), 1))
    return _padded(Ranking(top, places, NO_CUTS), max(plan.k))


def _warn_without_hits(name: str, top: np.ndarray, data: Data) -> None:
    """Warn of lists that hold no test item at all, which nobody's lists do by chance."""
    rows, places = np.nonzero(top >= 0)
    wanted = np.isin(
        rows * data.test.n_items + top[rows, places], data.test.users * data.test.n_items + data.test.items
    )
    if len(rows) and not wanted.any():
        warnings.warn(
            f"'{name}' holds not one test item: lists of `recommend` leave out all that a user has, the test "
            "part included; give the model itself",
            stacklevel=2,
        )


# ------------------------------------------------------------------------------------- intervals


def _with_interval(panel: Panel, name: str) -> dict[str, float]:
    """Return the mean of a model and its normal interval."""
    from scipy.special import ndtri

    value, error = float(panel.by_user(name).mean()), mean_error(panel, name)
    half = float(ndtri(0.5 + LEVEL / 2)) * error
    return {"value": value, "low": value - half, "high": value + half} if math.isfinite(half) else {
        "value": value, "low": math.nan, "high": math.nan,
    }  # fmt: skip
