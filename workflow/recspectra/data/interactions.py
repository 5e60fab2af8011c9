"""Interactions of one part of a split: a CSR layout that keeps each user's order."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from recspectra.files import ArtifactError, read_npz, write_npz


class DataError(Exception):
    """Data are wrong; the message names the dataset or file and the place."""


@dataclass(frozen=True)
class Interactions:
    """Implicit feedback of `n_users` users on `n_items` items; its arrays cannot be changed.

    Attributes
    ----------
    indptr : int64 array, shape (n_users + 1,)
        Row `u` occupies `items[indptr[u]:indptr[u + 1]]`.
    items : int32 array, shape (n_interactions,)
        Item ids, in each row from the oldest to the newest.
    times : float64 array, shape (n_interactions,), or None
        Time stamps in seconds, where the source has them.
    n_items : int
        Number of items.
    preceding : int32 array, shape (n_interactions,), or None
        Of a part of a split: how many interactions of the same user in earlier parts come before each. None
        where times say so, and where all do.
    """

    indptr: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    n_items: int
    preceding: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Lock the arrays: masks, other lists and other trials read the same ones."""
        for name in ("indptr", "items", "times", "preceding"):
            if (array := getattr(self, name)) is not None:
                object.__setattr__(self, name, read_only(array))

    @property
    def n_users(self) -> int:
        """Number of users (rows), those without interactions included."""
        return len(self.indptr) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """(n_users, n_items)."""
        return self.n_users, self.n_items

    @property
    def nnz(self) -> int:
        """Number of interactions."""
        return len(self.items)

    @property
    def lengths(self) -> np.ndarray:
        """Interactions of each user, shape (n_users,)."""
        return np.diff(self.indptr)

    @property
    def users(self) -> np.ndarray:
        """User id of each interaction, shape (n_interactions,)."""
        return np.repeat(np.arange(self.n_users), self.lengths)

    @property
    def matrix(self) -> sp.csr_array:
        """Binary float32 CSR matrix, shape (n_users, n_items), column ids sorted; its arrays are locked."""
        return copy.copy(self._matrix)  # so that one whose arrays are exchanged is the caller's own

    @cached_property
    def _matrix(self) -> sp.csr_array:
        ones = np.ones(self.nnz, dtype=np.float32)
        # 32-bit indices: products with sparse matrices read a third less memory.
        short = np.int32 if self.nnz <= np.iinfo(np.int32).max else np.int64
        parts = ones, self.items.astype(short), self.indptr.astype(short)
        matrix = sp.csr_array(parts, shape=self.shape)
        matrix.sum_duplicates()
        matrix.data[:] = 1.0
        matrix.data, matrix.indices, matrix.indptr = map(
            read_only, (matrix.data, matrix.indices, matrix.indptr)
        )
        return matrix

    @cached_property
    def distinct(self) -> Interactions:
        """The same without repeats: of an item that a user has several times, the latest place stays."""
        kept = latest_places(self.users, self.items, self.n_items)
        if len(kept) == self.nnz:
            return self
        times = None if self.times is None else self.times[kept]
        return from_pairs(self.users[kept], self.items[kept], times, self.shape)

    def sequence(self, user: int) -> np.ndarray:
        """Return the items of one user, oldest first."""
        return self.items[self.indptr[user] : self.indptr[user + 1]]

    def merged(self, other: Interactions) -> Interactions:
        """Return the union with later interactions, in the order of `preceding`, of times, or as given."""
        users = np.concatenate([self.users, other.users])
        items = np.concatenate([self.items, other.items])
        times = None
        if self.times is not None and other.times is not None:
            times = np.concatenate([self.times, other.times])
        if other.preceding is not None:
            own = np.arange(self.nnz) - np.repeat(self.indptr[:-1], self.lengths)
            order = np.argsort(np.concatenate([2 * own + 1, 2 * other.preceding]), kind="stable")
            users, items, times = users[order], items[order], None if times is None else times[order]
        return from_pairs(users, items, times, self.shape)

    def save(self, path: Path | str) -> None:
        """Write to an npz file, atomically."""
        optional = {"times": self.times, "preceding": self.preceding}
        present = {name: array for name, array in optional.items() if array is not None}
        shape = np.array(self.shape, dtype=np.int64)
        write_npz(path, indptr=self.indptr, items=self.items, shape=shape, **present)

    @classmethod
    def load(cls, path: Path | str) -> Interactions:
        """Read what `save` wrote, and check that it is consistent."""
        arrays = read_npz(path)
        try:
            times, preceding = arrays.get("times"), arrays.get("preceding")
            loaded = cls(arrays["indptr"], arrays["items"], times, int(arrays["shape"][1]), preceding)
        except KeyError as error:
            raise ArtifactError(f"{path}: array {error} is missing; delete it and run again") from None
        if loaded.n_users != arrays["shape"][0] or not loaded._is_consistent():
            raise ArtifactError(f"{path}: inconsistent arrays; delete it and run again")
        return loaded

    def _is_consistent(self) -> bool:
        inside = self.nnz == 0 or (self.items.min() >= 0 and self.items.max() < self.n_items)
        beside = [array for array in (self.times, self.preceding) if array is not None]
        paired = self.indptr[-1] == self.nnz and all(len(array) == self.nnz for array in beside)
        return bool(inside and paired and (self.preceding is None or self.preceding.min(initial=0) >= 0))


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view of an array through which nothing can be changed."""
    view = array.view()
    view.setflags(write=False)
    return view


def latest_places(rows: np.ndarray, items: np.ndarray, n_items: int) -> np.ndarray:
    """Return where each distinct (row, item) stands last, ascending int64 positions."""
    keys = np.asarray(rows, dtype=np.int64) * n_items + items
    _, last = np.unique(keys[::-1], return_index=True)
    return np.sort(len(keys) - 1 - last)


def from_pairs(
    users: np.ndarray, items: np.ndarray, times: np.ndarray | None, shape: tuple[int, int]
) -> Interactions:
    """Build `Interactions` from parallel arrays.

    Rows are sorted by time with a *stable* sort: interactions with equal time
    stamps, and all of them where there are no times, keep the order of the input.
    """
    order = np.argsort(users, kind="stable")
    if times is not None:
        by_time = np.argsort(times, kind="stable")
        order = by_time[np.argsort(users[by_time], kind="stable")]
    indptr = np.zeros(shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(users, minlength=shape[0]), out=indptr[1:])
    sorted_times = None if times is None else times[order].astype(np.float64)
    return Interactions(indptr, items[order].astype(np.int32), sorted_times, int(shape[1]))
