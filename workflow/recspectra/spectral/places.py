"""The same formulas on NumPy's arrays and on tensors of a device: what the two call by other names.

Scores are written with `@`, `*`, `+` and slices, which NumPy, SciPy and PyTorch share. On a device a
dense array is a tensor, and a sparse one a `SparseTensor` of `recspectra.spectral.torch_operators`.
PyTorch is not loaded here: whoever has a tensor has loaded it.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from scipy.sparse import _sparsetools as compiled

LONG = 400  # entries of a row on average, from which on a copy costs more than a call
ADD: Any = getattr(
    compiled, "csr_todense", None
)  # adds a sparse matrix to a dense one; it has no public name

Array = Any  # dense: a NumPy array, or a tensor on a device
Rows = Any  # sparse: a CSR array, or a SparseTensor on a device


class Pieces:
    """Something that computes with arrays, which may be of another precision or in another place.

    Attributes
    ----------
    left_behind : tuple of str
        Attributes that stay as they are.
    """

    left_behind: tuple[str, ...] = ()

    def converted(self, convert: Callable[[Any], Any]) -> Self:
        """Return a copy whose arrays, and those of its parts, went through `convert`."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if name not in self.left_behind:
                setattr(other, name, _converted(value, convert))
        return other

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that `converted` converts; a sparse one counts twice, for its transpose."""
        sizes: list[int] = []
        self.converted(once(lambda array: sizes.append(_bytes(array))))
        return sum(sizes)


def _bytes(array: np.ndarray | sp.csr_array) -> int:
    if isinstance(array, np.ndarray):
        return array.nbytes
    return 2 * sum(part.nbytes for part in (array.data, array.indices, array.indptr))


def once(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a conversion that gives the same result for the same array, which parts may share."""
    known: dict[int, tuple[Any, Any]] = {}

    def converted(value: Any) -> Any:
        if id(value) not in known:
            known[id(value)] = value, convert(value)
        return known[id(value)][1]

    return converted


def _converted(value: Any, convert: Callable[[Any], Any]) -> Any:
    if isinstance(value, np.ndarray) or sp.issparse(value):
        return convert(value)
    if isinstance(value, Pieces):
        return value.converted(convert)
    return [_converted(part, convert) for part in value] if isinstance(value, list) else value


def is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor on a device other than the CPU."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor) and value.device.type != "cpu"


def host(array: Array | Rows) -> np.ndarray | sp.csr_array:
    """Return an array as one of NumPy or SciPy."""
    if is_tensor(array):
        return array.cpu().numpy()
    return getattr(array, "host", array)


def beside(array: np.ndarray | sp.csr_array, other: Array | Rows) -> Array | Rows:
    """Return an array of NumPy or SciPy where `other` is."""
    if isinstance(other, np.ndarray) or sp.issparse(other):
        return array
    from recspectra.spectral.torch_operators import placed

    return placed(array, other.device)


def scaled(rows: Rows, left: np.ndarray | None = None, right: Array | None = None) -> Rows:
    """Return diag(left) rows diag(right); what is not given scales nothing."""
    if not sp.issparse(rows):
        return rows.scaled(left, right)
    rows = rows if left is None else sp.diags_array(left) @ rows
    return rows if right is None else rows @ sp.diags_array(right)


def dense(found: Array | Rows) -> Array:
    """Return a product of sparse matrices as a dense array; a dense one as it is."""
    return found.toarray() if hasattr(found, "toarray") else found


def dense_product(rows: Rows, matrix: Array | Rows) -> Array:
    """Return rows @ matrix as a dense array, shape (b, n), for a sparse or a dense matrix.

    Binary rows name rows of a sparse matrix, which are added to dense ones, without the sparse product that
    SciPy would make first. The sums have the same order, so the bytes are the same.
    """
    if not (sp.issparse(rows) and sp.issparse(matrix) and _can_add(rows, matrix)):
        return dense(rows @ matrix)
    sums = np.zeros((rows.shape[0], matrix.shape[1]), dtype=matrix.dtype)
    entries = int(np.diff(matrix.indptr)[rows.indices].sum(dtype=np.int64))
    (_add_one_by_one if entries > LONG * rows.nnz else _add_gathered)(rows, matrix, sums)
    return sums


def _can_add(rows: sp.csr_array, matrix: sp.csr_array) -> bool:
    by_rows = rows.format == matrix.format == "csr"
    return ADD is not None and by_rows and rows.dtype == matrix.dtype and bool((rows.data == 1).all())


def _add_gathered(rows: sp.csr_array, matrix: sp.csr_array, sums: np.ndarray) -> None:
    """Add the rows of a matrix to those of `sums` that name them: one copy, one call."""
    taken = matrix[rows.indices]
    ADD(*sums.shape, taken.indptr[rows.indptr], taken.indices, taken.data, sums.ravel())


def _add_one_by_one(rows: sp.csr_array, matrix: sp.csr_array, sums: np.ndarray) -> None:
    """Do what `_add_gathered` does without a copy, in one call for each row that is added."""
    n, columns, values = matrix.shape[1], matrix.indices, matrix.data
    starts, stops = (matrix.indptr[rows.indices + end].tolist() for end in (0, 1))
    users = np.repeat(np.arange(len(sums)), np.diff(rows.indptr)).tolist()
    bounds = np.zeros(2, dtype=matrix.indptr.dtype)
    for user, start, stop in zip(users, starts, stops, strict=True):
        bounds[1] = stop - start
        ADD(1, n, bounds, columns[start:stop], values[start:stop], sums[user])


def values_at(array: Array, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return some entries, as NumPy's array."""
    if not is_tensor(array):
        return array[rows, columns]
    rows, columns = (beside(np.asarray(places, dtype=np.int64), array) for places in (rows, columns))
    return host(array[rows, columns])
