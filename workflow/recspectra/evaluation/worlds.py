"""Stored lists scored again in many worlds: every view, order of equals, metric, cut-off and user group.

A world is one way to measure that a paper might have chosen. Nothing is fitted: the lists are those of
`rankings.npz`, the metrics those of `evaluation.metrics`. What the numbers say is in `turning`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recspectra.config.model import PlannedRun
from recspectra.config.scale import USABLE
from recspectra.config.study import QUARTERS, View
from recspectra.data.interactions import Interactions
from recspectra.evaluation.hits import RankedLists, compare
from recspectra.evaluation.measure import read_rankings
from recspectra.evaluation.metrics import METRICS
from recspectra.evaluation.per_user import Members
from recspectra.evaluation.turning import COLUMNS, DIMENSIONS, RUN
from recspectra.files import read_json
from recspectra.fitting.ranking import Ranking, from_arrays, list_name, smaller_ids_first
from recspectra.identity import check_made_from, data_digest
from recspectra.paths import Paths

VIEWS = (
    View(history="train", mask="train"),
    View(history="train", mask="train+valid"),
    View(history="train+valid", mask="train+valid"),
)
CUTS = (5, 10, 20, 50)
SET_CUTS = CUTS[:3]  # evaluators that turn lists into sets were used for these
SETS = ("ndcg_set", "mrr_set")
PLAIN = ("recall", "recall_min", "precision", "hr", "ndcg", "ndcg_hit", "mrr")
# order of equal scores -> metrics that are defined under it
TIES = {
    "larger-id": (*PLAIN, *SETS),
    "smaller-id": PLAIN,
    "half": ("recall", "hr", "ndcg", "mrr"),
}


@dataclass(frozen=True)
class Groups:
    """Which users' values a mean is taken over.

    Attributes
    ----------
    names : list of str
        `all`, `warm` and `cold` where there are both, and quarters by number of interactions.
    members : float64 array, shape (groups, users)
        Weights of each user: one by the size of the group, or 0.
    """

    names: list[str]
    members: np.ndarray

    @classmethod
    def of(cls, train: Interactions, users: np.ndarray) -> Groups:
        """Divide the users with test items as values of single users are divided (see `Members`)."""
        who = Members.of(train, users)
        names = ["all", *(["warm", "cold"] if who.warm.any() and not who.warm.all() else []), *QUARTERS]
        parts = {name: who.group(name) for name in names}
        kept = {name: part for name, part in parts.items() if part.any()}
        return cls(list(kept), np.array([part / part.sum() for part in kept.values()]))


def read_pieces(paths: Paths, dataset: str) -> dict[str, Interactions]:
    """Return the training and test interactions of a dataset, which must be those of its `stats.json`."""
    stats = paths.stats(dataset)
    digests = read_json(stats).get("digests", {})
    pieces = {part: Interactions.load(paths.part(dataset, part)) for part in ("train", "test")}
    for part, piece in pieces.items():
        check_made_from(stats, digests.get(part), data_digest(piece), dataset)
    return pieces


def score(
    planned: Sequence[PlannedRun],
    pieces: Mapping[str, Interactions],
    paths: Paths,
    data: str,
    code: Callable[[str], str] | None = None,
) -> pd.DataFrame:
    """Score every stored list of one dataset's runs in every world.

    Parameters
    ----------
    planned : sequence of PlannedRun
        Runs of one dataset.
    pieces : mapping
        `train` and `test` interactions.
    paths : Paths
        The folder of results.
    data : str
        Digest of what fits see of the split on disk.
    code : callable, optional
        Takes the name of a model, returns the hash of the code that fits it now; not compared without it.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: the mean over seeds and users of each run in each world. Runs without lists have
        no rows.

    Raises
    ------
    ArtifactError
        Rankings are missing, damaged, or of another run, split or code.
    """
    test = pieces["test"]
    groups = Groups.of(pieces["train"], np.flatnonzero(test.lengths > 0))
    runs: dict[tuple, list[pd.Series]] = {}
    for item in {(p.run.model, p.variant, p.run.key, p.run.fit, p.seed): p for p in planned}.values():
        lists = read_rankings(item, paths.root, data, pieces["train"].shape, code)
        if str(lists["status"]) in USABLE:
            place = item.dataset, item.run.model, item.variant, item.run.key, item.run.fit
            runs.setdefault(place, []).append(pd.Series(worlds_of(lists, test, groups)))
    return pd.concat(
        [_rows(place, found) for place, found in runs.items()] or [pd.DataFrame(columns=COLUMNS)]
    )


def _rows(place: tuple, found: list[pd.Series]) -> pd.DataFrame:
    """Return the mean over seeds of one run in every world that all seeds have."""
    values = pd.concat(found, axis=1, join="inner")
    frame = values.index.to_frame(index=False, name=DIMENSIONS)
    head = dict(zip(["dataset", *RUN], place, strict=True))
    return frame.assign(**head, value=values.mean(axis=1).to_numpy(), seeds=values.shape[1])[COLUMNS]


def worlds_of(lists: Mapping[str, np.ndarray], test: Interactions, groups: Groups) -> dict[tuple, float]:
    """Return the mean of one run's lists in every world: {`DIMENSIONS`: value}."""
    found: dict[tuple, float] = {}
    for view in VIEWS:
        name = list_name("test", view.history, view.mask)
        if name not in lists:
            continue
        for ties, values in _by_order(from_arrays(name, lists), test):
            for (metric, k), column in values.items():
                means = groups.members @ column
                place = (metric, k, ties, view.history, view.mask)
                found |= {(*place, users): mean for users, mean in zip(groups.names, means, strict=True)}
    return found


def _by_order(
    ranking: Ranking, test: Interactions
) -> Iterator[tuple[str, dict[tuple[str, int], np.ndarray]]]:
    """Yield the values of every user under each order of equals; where none are equal they are one."""
    depth = ranking.lists.shape[1]
    larger = measured(compare(ranking.lists, test), TIES["larger-id"], depth)
    yield "larger-id", larger
    top, equals = smaller_ids_first(ranking), not _no_equals(ranking, np.flatnonzero(test.lengths > 0))
    # Items that share a place may stand twice as deep as it: the end of a list must lie beyond them.
    orders = (("smaller-id", top, None, depth), ("half", ranking.lists, ranking.positions, depth // 2))
    for ties, lists, positions, known in orders:
        if equals:
            yield ties, measured(compare(lists, test, positions), TIES[ties], known)
        else:
            yield ties, {point: larger[point] for point in larger if point[0] in TIES[ties]}


def _no_equals(ranking: Ranking, users: np.ndarray) -> bool:
    """Tell whether every item of the users' lists stands at its own position."""
    places = np.arange(1, ranking.lists.shape[1] + 1)
    return not len(ranking.cuts.rows) and bool((ranking.positions[users] == places).all())


def measured(ranked: RankedLists, metrics: Sequence[str], depth: int) -> dict[tuple[str, int], np.ndarray]:
    """Return the values of every user under some metrics at every cut-off that the lists have."""
    found = {}
    for name in metrics:
        cuts = [k for k in (SET_CUTS if name in SETS else CUTS) if k <= depth]
        columns = METRICS[name](ranked, cuts) if cuts else np.zeros((0, 0))
        found |= {(name, k): columns[:, i] for i, k in enumerate(cuts)}
    return found
