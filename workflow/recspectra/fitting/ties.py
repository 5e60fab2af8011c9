"""Whether lists say anything: users all of whose candidates have the same score."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recspectra.recommender import Refused
from recspectra.spectral.places import Array, host, values_at


class TiedUsers:
    """Counts the users of a ranking whose lists stand in order of ids alone.

    Only users count who are shown a history and have at least two candidates: to others a model that
    has learned may well give one score for all.
    """

    def __init__(self) -> None:
        self.users = self.counted = self.tied = 0

    def count(self, scores: Array, lists: np.ndarray, mask: sp.csr_array, shown: np.ndarray) -> None:
        """Count a batch.

        Parameters
        ----------
        scores : float32 array or tensor, shape (b, n)
            What the model gave.
        lists : int32 array, shape (b, k)
            The top lists that came of it, -1 as padding.
        mask : CSR, shape (b, n)
            Items that may not be recommended.
        shown : array, shape (b,)
            Length of each history.
        """
        candidates = scores.shape[1] - np.diff(mask.indptr)
        rows = np.flatnonzero((shown > 0) & (candidates > 1))
        self.users += len(scores)
        self.counted += len(rows)
        # Few go further: the last item listed has the score of the first.
        last = np.minimum(candidates[rows], lists.shape[1]) - 1
        best, worst = (values_at(scores, rows, lists[rows, place]) for place in (0, last))
        for row in rows[best == worst]:
            own, seen = host(scores[row]), mask.indices[mask.indptr[row] : mask.indptr[row + 1]]
            level = own[lists[row, 0]]
            equal = np.count_nonzero(own == level) - np.count_nonzero(own[seen] == level)
            self.tied += int(equal == candidates[row])

    def refuse_if_all(self) -> None:
        """Refuse lists of which every one that counts is tied.

        Raises
        ------
        Refused
            The model tells no candidates apart, for anybody.
        """
        if self.counted and self.tied == self.counted:
            raise Refused(
                f"all candidates of {self.tied:,} of {self.users:,} users have the same score: lists would "
                "stand in order of ids"
            )
