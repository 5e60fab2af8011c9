"""Recall on validation data, by which fits stop and hyperparameters are chosen.

It is computed here, not by the metrics of `evaluation`: an edit of a metric refits nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recspectra.data.interactions import Interactions
from recspectra.fitting.scoring import Inputs, rank
from recspectra.fitting.ties import TiedUsers
from recspectra.recommender import Scorer

VALIDATION_K = 20


def validator(inputs: Inputs, refuse_ties: bool = False) -> Callable[[Scorer], float]:
    """Return a function from a scorer to recall@20 on validation, for early stopping and tuning.

    Only users who have something to be found are ranked. With `refuse_ties` the function raises `Refused`
    where every user's candidates have one score: recall would follow from the order of ids.
    """
    users = np.flatnonzero(inputs.valid.lengths > 0)

    def validate(score: Scorer) -> float:
        tied = TiedUsers()
        found = rank(score, inputs.train, [inputs.train], VALIDATION_K, ties=False, users=users, tied=tied)[0]
        if refuse_ties:
            tied.refuse_if_all()
        lists = np.full((inputs.train.n_users, VALIDATION_K), -1, dtype=np.int32)
        lists[users] = found.lists
        return mean_recall(lists, inputs.valid)

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
    users = np.flatnonzero(truth.lengths > 0)
    wanted = np.unique(truth.users * truth.n_items + truth.items)
    items = lists[users]
    hits = np.isin(users[:, None] * truth.n_items + items, wanted) & (items >= 0)
    targets = np.bincount(wanted // truth.n_items, minlength=truth.n_users)[users]
    return float((hits.sum(axis=1) / targets).mean())
