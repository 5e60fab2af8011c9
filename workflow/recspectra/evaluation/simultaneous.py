"""Comparisons of models over the same users whose intervals and p-values hold for all of them at once.

A model's number has two kinds of chance in it: which users are in the test set, and which seed a model was
trained with. Users are resampled (a studentised bootstrap, the same users for every model of a dataset).
What a seed does to all users together is estimated as one coefficient of variation for all trained models
of a dataset, and added to every draw. The largest |t| of a draw over a whole family of comparisons gives
one critical value `c`: intervals are difference +- c SE, and p counts the draws above |t|, so that an
interval leaves out 0 if and only if p <= .05.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

DRAWS = 10_000
COLUMN_DRAWS = 2_000  # of a column of a table: there are many of them
LEVEL = 0.95
POWER = 0.84  # normal quantile of a power of .8
FEWEST_DF = 10  # below, the variation over seeds is too badly known to count as covered
AT_ONCE = 2_000_000  # user counts drawn at once: 16 MB
KEPT = 350_000_000  # counts that are kept for the next comparison, in bytes: those of Yelp2018's users
PAIRS_AT_ONCE = 600  # of columns whose users are drawn together: 96 MB of means and squares
RARE = 1e-3  # how often a resample may lack every user that tells two models apart


@dataclass(frozen=True)
class Panel:
    """The values of every user of one dataset under several models.

    Attributes
    ----------
    dataset : str
        Name; its draws depend on it and on no other dataset.
    values : dict of str to array, shape (seeds, users)
        A metric of each user; models may have different numbers of seeds.
    trained : frozenset of str
        Models that another seed would change.
    runs : mapping
        Name -> which runs it stands for, where one run stands there under several metrics: its seeds count
        once.
    """

    dataset: str
    values: Mapping[str, np.ndarray]
    trained: frozenset[str] = field(default_factory=frozenset)
    runs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {np.shape(values)[1:] for values in self.values.values()}
        finite = all(np.size(v) and np.isfinite(v).all() for v in self.values.values())
        if len(shapes) > 1 or not finite:
            raise ValueError(
                f"{self.dataset}: a comparison needs a finite number of every user under every model"
            )

    @property
    def users(self) -> int:
        """Number of users."""
        return next(iter(self.values.values())).shape[1]

    def by_user(self, model: str) -> np.ndarray:
        """Return the mean over seeds of each user, shape (users,)."""
        return np.asarray(self.values[model], dtype=np.float64).mean(axis=0)


class Pair(NamedTuple):
    """Two models of one dataset: is `subject` above `rival`?"""

    dataset: str
    subject: str
    rival: str


@dataclass(frozen=True)
class SeedVariance:
    """What another seed does to the means of all users together.

    Attributes
    ----------
    squared_cv : float
        kappa^2, the squared coefficient of variation over seeds, pooled over trained models.
    df : int
        Degrees of freedom of it: seeds less one, summed over trained models.
    """

    squared_cv: float
    df: int


@dataclass(frozen=True)
class Comparison:
    """One pair of a family.

    Attributes
    ----------
    difference, low, high : float
        Mean over users of subject minus rival, and its simultaneous interval; infinite ends where too few
        users tell the two apart.
    p : float
        Share of draws in which the family's largest |t| is at least this one's.
    mde : float
        Smallest difference that would be shown with power .8.
    gain, gain_low, gain_high : float
        The same relative to the rival: subject / rival - 1 (Fieller's interval).
    """

    difference: float
    low: float
    high: float
    p: float
    mde: float
    gain: float
    gain_low: float
    gain_high: float


# ------------------------------------------------------------------------------- seeds


def seed_variance(panel: Panel) -> SeedVariance:
    """Return the pooled variation over seeds of a panel's trained models.

    Of model m with S seeds and n users, B is the variance over seeds of the means and W that of what is
    left of a value without its user's and its seed's mean; B - W / n estimates the variance of the seeds'
    own effect. kappa^2 = max(0, sum (S - 1)(B - W / n) / mean^2) / sum (S - 1).
    """
    parts: dict[str, list[tuple[int, float]]] = {}
    for name in sorted(panel.trained & set(panel.values)):
        values = np.asarray(panel.values[name], dtype=np.float64)
        seeds, mean = len(values), values.mean()
        if seeds > 1 and values.shape[1] > 1 and mean > 0.0:
            part = seeds - 1, (seeds - 1) * _own_variance(values) / mean**2
            parts.setdefault(panel.runs.get(name, name), []).append(part)
    df = sum(found[0][0] for found in parts.values())
    total = sum(sum(share for _, share in found) / len(found) for found in parts.values())
    return SeedVariance(max(0.0, total) / df if df else 0.0, df)


def _own_variance(values: np.ndarray) -> float:
    """Return B - W / n of one model's values, shape (seeds, users)."""
    seeds, users = values.shape
    of_seeds = values.mean(axis=1, keepdims=True)
    rest = values - values.mean(axis=0) - of_seeds + values.mean()
    within = (rest**2).sum() / ((users - 1) * (seeds - 1))
    return float(of_seeds.var(ddof=1) - within / users)


def _variances_of_means(panel: Panel, seeds: SeedVariance) -> dict[str, float]:
    """Return tau_m^2 / S_m: what seeds add to the variance of each model's mean."""
    return {
        name: seeds.squared_cv * float(np.mean(values)) ** 2 / len(values) if name in panel.trained else 0.0
        for name, values in panel.values.items()
    }


def _seed_effects(panel: Panel, seeds: SeedVariance, draws: int, seed: int) -> dict[str, np.ndarray]:
    """Return eta, shape (draws,), of each model: normal, with a variance as uncertain as its estimate is."""
    variances = _variances_of_means(panel, seeds)
    if not seeds.squared_cv:
        return dict.fromkeys(variances, np.zeros(1))
    scale = np.sqrt(seeds.df / _generator(seed, panel.dataset, "seeds").chisquare(seeds.df, draws))
    return {
        name: _generator(seed, panel.dataset, name).normal(0.0, math.sqrt(variance), draws) * scale
        for name, variance in variances.items()
    }


# ------------------------------------------------------------------------------- draws


def _generator(seed: int, *names: str) -> np.random.Generator:
    """Return a generator of its own for some names: no draw depends on what else is compared."""
    return np.random.default_rng([seed, *(crc32(name.encode()) for name in names)])


def _user_counts(panel: Panel, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each user is drawn, shape (some draws, users), until there are `draws`."""
    size = max(1, AT_ONCE // panel.users)
    kept = draws * panel.users <= KEPT
    drawn = _kept_counts if kept else _drawn_counts
    for counts in drawn(panel.dataset, panel.users, draws, seed, size):
        yield counts.astype(np.float64)


@functools.lru_cache(maxsize=2)
def _kept_counts(*about: Any) -> list[np.ndarray]:
    """Return all of `_drawn_counts`: every table and claim of a dataset asks for the same."""
    return list(_drawn_counts(*about))


def _drawn_counts(dataset: str, users: int, draws: int, seed: int, size: int) -> Iterator[np.ndarray]:
    """Yield counts of users in blocks of `size` draws, as bytes: nobody is drawn 256 times among many."""
    generator = _generator(seed, dataset)
    for start in range(0, draws, size):
        rows = min(size, draws - start)
        drawn = generator.integers(0, users, size=(rows, users), dtype=np.int32)
        drawn += users * np.arange(rows, dtype=np.int32)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * users).reshape(rows, users).astype(np.uint8)


def _moments(panel: Panel, columns: np.ndarray, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return means and variances of means of columns, shape (users, c), in every draw: two (draws, c)."""
    both = np.concatenate([columns, columns**2], axis=1)
    means = np.concatenate([counts @ both for counts in _user_counts(panel, draws, seed)]) / panel.users
    first, second = np.split(means, 2, axis=1)
    return first, np.maximum(second - first**2, 0.0) / max(panel.users - 1, 1)


def resample_means(panel: Panel, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Return every model's mean under other users and seeds, shape (draws, models)."""
    columns = np.stack([panel.by_user(name) for name in panel.values], axis=1)
    means = np.concatenate([counts @ columns for counts in _user_counts(panel, draws, seed)]) / panel.users
    effects = _seed_effects(panel, seed_variance(panel), draws, seed)
    return means + np.stack([np.broadcast_to(effects[n], draws) for n in panel.values], axis=1)


def rank_intervals(drawn: np.ndarray) -> np.ndarray:
    """Return between which ranks each model is in 95 % of samples; equal ones share the better rank.

    Parameters
    ----------
    drawn : array, shape (draws, models)
        What `resample_means` returns.

    Returns
    -------
    int array, shape (2, models)
        Lower and upper ends, 1 for the best.
    """
    ranks = np.stack([1 + (drawn > column[:, None]).sum(axis=1) for column in drawn.T], axis=1)
    tail = (1.0 - LEVEL) / 2
    return np.quantile(ranks, [tail, 1.0 - tail], axis=0, method="nearest").astype(np.int64)


# -------------------------------------------------------------------------- comparisons


class _Studentised(NamedTuple):
    """Pairs: observed differences and standard errors, and |t| in every draw, shape (draws, pairs)."""

    difference: np.ndarray
    error: np.ndarray
    known: np.ndarray
    drawn: np.ndarray


def compare(
    panels: Sequence[Panel], pairs: Sequence[Pair], draws: int = DRAWS, seed: int = 0
) -> list[Comparison]:
    """Compare the pairs of a family, which may span several datasets, at once.

    Parameters
    ----------
    panels : sequence of Panel
        One a dataset.
    pairs : sequence of Pair
        The family. What a panel holds besides counts for the variation over seeds alone.
    draws, seed : int
        Bootstrap samples of users, and their seed.

    Returns
    -------
    list of Comparison
        One a pair, in their order.
    """
    found: dict[int, Comparison] = {}
    parts = [
        (panel, [i for i, pair in enumerate(pairs) if pair.dataset == panel.dataset]) for panel in panels
    ]
    parts = [(panel, own) for panel, own in parts if own]
    tests = [_studentise([(panel, [pairs[i] for i in own])], draws, seed)[0] for panel, own in parts]
    if not tests:
        return []
    largest, critical = _critical([_largest(test) for test in tests])
    for (panel, own), test in zip(parts, tests, strict=True):
        variances = _variances_of_means(panel, seed_variance(panel))
        for place, i in enumerate(own):
            ratio = _fieller(panel, pairs[i], variances, critical if test.known[place] else math.inf)
            found[i] = _conclude(test, place, largest, critical, ratio)
    return [found[i] for i in sorted(found)]


def _largest(test: _Studentised, places: Sequence[int] | None = None) -> np.ndarray:
    """Return the largest |t| of every draw over pairs (all by default), those that are not known left out."""
    chosen = np.arange(len(test.known)) if places is None else np.asarray(places, dtype=np.int64)
    return test.drawn[:, chosen[test.known[chosen]]].max(axis=1, initial=0.0)


def _critical(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """Return the largest |t| of a family in rising order, from those of its parts, and its critical value."""
    largest = np.sort(np.max(parts, axis=0))
    return largest, float(largest[math.ceil(round(LEVEL * (len(largest) + 1), 6)) - 1])


def over_best(comparisons: Sequence[Comparison]) -> Comparison:
    """Return the comparison of one subject with the best of its rivals, whichever that is.

    The best on test is a lucky one. [min_j low_j, min_j high_j] holds for the gain over the best in truth;
    it leaves out 0 if and only if p <= .05, as that of every pair does.
    """
    return _outermost(min, comparisons, [one.p for one in comparisons if one.difference < 0.0])


def best_of(over_others: Sequence[Comparison]) -> Comparison:
    """Return the comparison of the best of several subjects, whichever that is, with the same rivals.

    Parameters
    ----------
    over_others : sequence of Comparison
        What `over_best` returns for each subject.

    Returns
    -------
    Comparison
        [max_i low_i, max_i high_i] holds for the best subject in truth minus the best rival in truth; it
        leaves out 0 if and only if p <= .05.
    """
    return _outermost(max, over_others, [one.p for one in over_others if one.difference > 0.0])


def _outermost(end: Callable, comparisons: Sequence[Comparison], decisive: list[float]) -> Comparison:
    """Return the smallest or largest of comparisons, number by number; `decisive` are p of its side of 0."""
    chosen = end(comparisons, key=lambda one: one.difference)
    related = [one for one in comparisons if math.isfinite(one.gain)] or [chosen]
    return Comparison(
        chosen.difference,
        end(one.low for one in comparisons),
        end(one.high for one in comparisons),
        min(decisive, default=max(one.p for one in comparisons)),
        chosen.mde,
        *(end(getattr(one, name) for one in related) for name in ("gain", "gain_low", "gain_high")),
    )


class _Observed(NamedTuple):
    """Pairs of one panel: what is observed; `centred`, (users, pairs), are gaps around their means."""

    difference: np.ndarray
    centred: np.ndarray
    added: np.ndarray
    error: np.ndarray
    known: np.ndarray


def _observe(panel: Panel, pairs: Sequence[Pair]) -> _Observed:
    variances = _variances_of_means(panel, seed_variance(panel))
    means = {name: panel.by_user(name) for name in {n for pair in pairs for n in pair[1:]}}
    # Differences first: those of equal models are exactly 0, differences of means are not.
    gaps = np.stack([means[pair.subject] - means[pair.rival] for pair in pairs], axis=1)
    difference = gaps.mean(axis=0)
    centred = gaps - difference
    centred[:, np.ptp(gaps, axis=0) <= 1e-12] = 0.0
    added = np.array([variances[pair.subject] + variances[pair.rival] for pair in pairs])
    error = np.sqrt((centred**2).sum(axis=0) / (len(gaps) * max(len(gaps) - 1, 1)) + added)
    known = np.array([extra > 0.0 or _told_apart(gap) for extra, gap in zip(added, centred.T, strict=True)])
    return _Observed(difference, centred, added, error, known)


def _studentise(parts: Sequence[tuple[Panel, Sequence[Pair]]], draws: int, seed: int) -> list[_Studentised]:
    """Return the observed t of the pairs of each panel, and |T| in every draw.

    Panels are of the same users, who are drawn once for all of them.
    """
    observed = [_observe(panel, pairs) for panel, pairs in parts]
    columns = np.concatenate([one.centred for one in observed], axis=1)
    ends = np.cumsum([len(pairs) for _, pairs in parts])[:-1]
    moments = (np.split(part, ends, axis=1) for part in _moments(parts[0][0], columns, draws, seed))
    return [
        _Studentised(one.difference, one.error, one.known, _drawn(panel, pairs, one.added, *both, seed))
        for (panel, pairs), one, *both in zip(parts, observed, *moments, strict=True)
    ]


def _drawn(
    panel: Panel, pairs: Sequence[Pair], added: np.ndarray, moved: np.ndarray, spread: np.ndarray, seed: int
) -> np.ndarray:
    """Return |T|, shape (draws, pairs), from how far each draw moves a difference and its variance there."""
    effects = _seed_effects(panel, seed_variance(panel), len(moved), seed)
    for j, pair in enumerate(pairs):
        moved[:, j] += effects[pair.subject] - effects[pair.rival]
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.abs(moved) / np.sqrt(spread + added)
    drawn[moved == 0.0] = 0.0
    return drawn


def _told_apart(centred: np.ndarray) -> bool:
    """Tell whether nearly every resample holds users that tell two models apart.

    Where a handful does, resamples without them have no variance, which would make every interval of the
    family infinite. Equal models need no resample.
    """
    _, counts = np.unique(centred, return_counts=True)
    return bool(counts.max() == len(centred) and len(centred) > 1) or bool(
        (counts.max() / len(centred)) ** len(centred) < RARE
    )


def _conclude(
    test: _Studentised, place: int, largest: np.ndarray, critical: float, ratio: tuple[float, float, float]
) -> Comparison:
    """Return the interval, p and smallest difference that could be shown of one pair."""
    difference, error = float(test.difference[place]), float(test.error[place])
    if not test.known[place]:
        return Comparison(difference, -math.inf, math.inf, 1.0, math.inf, *ratio)
    if error == 0.0:  # every user has the same difference: nothing to resample
        p = 1.0 if difference == 0.0 else 1.0 / (len(largest) + 1)
        return Comparison(difference, difference, difference, p, 0.0, *ratio)
    t = difference / error
    above = len(largest) - int(np.searchsorted(largest, abs(t), side="left"))
    # (t - c) SE, not difference - c SE: rounding must not make interval and p contradict.
    low, high = error * (t - critical), error * (t + critical)
    return Comparison(
        difference, low, high, (1 + above) / (len(largest) + 1), error * (critical + POWER), *ratio
    )


def _fieller(
    panel: Panel, pair: Pair, variances: dict[str, float], critical: float
) -> tuple[float, float, float]:
    """Return subject / rival - 1 and the values of it that the interval of the family does not refuse.

    r is refused if 0 is outside subject - (1 + r) rival +- c SE; so 0 is refused if the difference is.
    """
    own, other = panel.by_user(pair.subject), panel.by_user(pair.rival)
    a, b = float(own.mean()), float(other.mean())
    if b <= 0.0:
        return math.nan, -math.inf, math.inf
    if not math.isfinite(critical):
        return a / b - 1.0, -math.inf, math.inf
    (own_var, both), (_, other_var) = (
        np.cov(own, other).tolist() if len(own) > 1 else ((0.0, 0.0), (0.0, 0.0))
    )
    square = critical**2 / len(own)
    top = a**2 - square * own_var - critical**2 * variances[pair.subject]
    cross = a * b - square * both
    low = b**2 - square * other_var - critical**2 * variances[pair.rival]
    if low <= 0.0:
        return a / b - 1.0, -math.inf, math.inf
    root = math.sqrt(max(cross**2 - low * top, 0.0))
    return a / b - 1.0, (cross - root) / low - 1.0, (cross + root) / low - 1.0


# ------------------------------------------------------------------------------- columns

NOTHING = "\0nothing"  # a model of zeros: the difference from it is a value itself


class Standing(NamedTuple):
    """What is known of one model in a column of a table.

    Attributes
    ----------
    value : Comparison
        Its mean over users and seeds, with an interval of its own.
    behind : Comparison or None
        The best of the column minus it; None of the best.
    against : Comparison or None
        It minus the reference model; None of that and where there is none.
    """

    value: Comparison
    behind: Comparison | None
    against: Comparison | None

    @property
    def tied(self) -> bool:
        """Whether it cannot be told from the best."""
        return self.behind is not None and self.behind.low <= 0.0


def stand(
    columns: Sequence[tuple[Panel, str | None]], draws: int = COLUMN_DRAWS, seed: int = 0
) -> list[dict[str, Standing]]:
    """Return how the models of each column stand: to the best of it, and to a reference model.

    All comparisons of a column with its best model and with its reference are one family: their intervals
    hold at once, and the same two models are never told apart in one place and not in another. The best is
    left out of no such set: with 95 % confidence it is among the models that are tied with the first one.
    A value has an interval of its own.

    Parameters
    ----------
    columns : sequence of (Panel, str or None)
        The values of a column, and the name of its reference model. All are of the same users.
    draws, seed : int
        Bootstrap samples of users, and their seed.

    Returns
    -------
    list of dict
        For each column, name -> `Standing`.
    """
    found: list[dict[str, Standing]] = []
    for part in _batches([_Column.of(panel, reference) for panel, reference in columns]):
        tests = _studentise([(column.panel, column.pairs) for column in part], draws, seed)
        found += [column.conclude(test) for column, test in zip(part, tests, strict=True)]
    return found


@dataclass(frozen=True)
class _Column:
    """A panel with a model of zeros, and the pairs whose differences a column shows."""

    panel: Panel
    best: str
    reference: str | None
    pairs: list[Pair]

    @classmethod
    def of(cls, panel: Panel, reference: str | None) -> _Column:
        names, dataset = list(panel.values), panel.dataset
        best = max(names, key=lambda name: float(np.mean(panel.values[name])))
        pairs = [Pair(dataset, name, NOTHING) for name in names]
        pairs += [Pair(dataset, best, name) for name in names if name != best]
        pairs += [Pair(dataset, name, reference) for name in names if reference and name != reference]
        whole = Panel(
            dataset, {**panel.values, NOTHING: np.zeros((1, panel.users))}, panel.trained, panel.runs
        )
        return cls(whole, best, reference, list(dict.fromkeys(pairs)))

    def conclude(self, test: _Studentised) -> dict[str, Standing]:
        family = [i for i, pair in enumerate(self.pairs) if pair.rival != NOTHING]
        both = _critical([_largest(test, family)])
        variances = _variances_of_means(self.panel, seed_variance(self.panel))
        found = {}
        for i, pair in enumerate(self.pairs):
            largest, critical = _critical([_largest(test, [i])]) if pair.rival == NOTHING else both
            ratio = _fieller(self.panel, pair, variances, critical if test.known[i] else math.inf)
            found[pair[1:]] = _conclude(test, i, largest, critical, ratio)
        return {
            name: Standing(
                found[name, NOTHING], found.get((self.best, name)), found.get((name, self.reference))
            )
            for name in self.panel.values if name != NOTHING
        }  # fmt: skip


def _batches(columns: Sequence[_Column]) -> Iterator[list[_Column]]:
    """Yield columns together as long as their pairs fit into memory."""
    batch: list[_Column] = []
    for column in columns:
        if batch and sum(len(one.pairs) for one in [*batch, column]) > PAIRS_AT_ONCE:
            yield batch
            batch = []
        batch.append(column)
    if batch:
        yield batch


# -------------------------------------------------------------------------------- orders


def kendall(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Kendall's tau (b) of orders, along the last axis; 0 where all are equal."""
    i, j = np.triu_indices(first.shape[-1], k=1)
    signs = [np.sign(values[..., i] - values[..., j]) for values in (first, second)]
    pairs = np.sqrt(np.multiply(*[(sign**2).sum(axis=-1) for sign in signs]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pairs > 0, (signs[0] * signs[1]).sum(axis=-1) / pairs, 0.0)


def chance_taus(drawn: np.ndarray) -> np.ndarray:
    """Return Kendall's tau between pairs of samples of one truth, in rising order.

    Means on test lie further apart than they do in truth, by what chance adds; samples around them would
    agree too well. So distances are shrunk by the share of their variance that is chance.

    Parameters
    ----------
    drawn : array, shape (draws, models)
        What `resample_means` returns.
    """
    # What all models share in a draw changes no order.
    apart = drawn - drawn.mean(axis=1, keepdims=True)
    middle = apart.mean(axis=0)
    chance, spread = apart.var(axis=0).mean(), middle.var()
    kept = math.sqrt(max(0.0, 1.0 - chance / spread)) if spread else 0.0
    samples = apart - (1.0 - kept) * middle
    half = len(samples) // 2
    return np.sort(kendall(samples[:half], samples[half : 2 * half]))
