"""Recall or NDCG on validation data, by which fits stop and hyperparameters are chosen.

It is computed here, not by the metrics of `evaluation`: an edit of a metric refits nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recspectra.config.model import BY_RECALL, ValidatedBy
from recspectra.data.interactions import Interactions
from recspectra.fitting.scoring import Inputs, rank
from recspectra.fitting.ties import TiedUsers
from recspectra.recommender import Scorer


def validator(
    inputs: Inputs, refuse_ties: bool = False, by: ValidatedBy = BY_RECALL
) -> Callable[[Scorer], float]:
    """Return a function from a scorer to recall@20 (or what `by` says) on validation.

    Only users who have something to be found are ranked. With `refuse_ties` the function raises `Refused`
    where every user's candidates have one score: recall would follow from the order of ids.
    """
    users = np.flatnonzero(inputs.valid.lengths > 0)
    mean, depth = MEANS[by]

    def validate(score: Scorer) -> float:
        tied = TiedUsers()
        found = rank(score, inputs.train, [inputs.train], depth, ties=False, users=users, tied=tied)[0]
        if refuse_ties:
            tied.refuse_if_all()
        lists = np.full((inputs.train.n_users, depth), -1, dtype=np.int32)
        lists[users] = found.lists
        return mean(lists, inputs.valid)

    return validate


def mean_recall(lists: np.ndarray, truth: Interactions) -> float:
    """Return hits / |T| at the full depth of the lists, averaged over users with targets.

    Parameters
    ----------
    lists : int32 array, shape (n_users, depth)
        Top lists of all users, -1 as padding.
    truth : Interactions
        Targets T of the same users; one that is repeated counts once.
    """
    hits, targets = _hits(lists, truth)
    return float((hits.sum(axis=1) / targets).mean())


def mean_ndcg(lists: np.ndarray, truth: Interactions) -> float:
    """Return NDCG at the full depth K of the lists, its ideal of min(K, |T|) hits, averaged likewise.

    The arguments are those of `mean_recall`.
    """
    hits, targets = _hits(lists, truth)
    gains = 1.0 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.cumsum(gains)[np.minimum(targets, len(gains)) - 1]
    return float((hits @ gains / ideal).mean())


def _hits(lists: np.ndarray, truth: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Return where the lists of users with targets have one, and how many targets each has."""
    users = np.flatnonzero(truth.lengths > 0)
    wanted = np.unique(truth.users * truth.n_items + truth.items)
    items = lists[users]
    hits = np.isin(users[:, None] * truth.n_items + items, wanted) & (items >= 0)
    targets = np.bincount(wanted // truth.n_items, minlength=truth.n_users)[users]
    return hits, targets


MEANS: dict[str, tuple[Callable[[np.ndarray, Interactions], float], int]] = {
    "recall@20": (mean_recall, 20),
    "ndcg@10": (mean_ndcg, 10),
}
