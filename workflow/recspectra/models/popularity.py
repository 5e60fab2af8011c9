"""Popularity: the same list for everyone, the floor that every model must beat."""

from __future__ import annotations

from typing import Any

import numpy as np

from recspectra.recommender import History, Recommender, Run, Task


class Popularity(Recommender):
    """Score of an item = number of users who took it in the fitted data."""

    state_names = ("counts",)

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Count users per item; one who took it several times counts once."""
        self.counts = np.bincount(task.train.matrix.indices, minlength=task.train.n_items)
        self.counts = self.counts.astype(np.float32)
        return {}

    def score(self, users: np.ndarray, history: History) -> np.ndarray:
        """Return the counts, once per user."""
        return np.tile(self.counts, (len(users), 1))
