"""Item-item similarities that keep a few neighbours an item, in bounded memory.

A product L R of sparse matrices is formed a block of rows at a time, and of each row only
the largest entries are kept. At no time is more than `ENTRIES` of the full product in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp

ENTRIES = 8_000_000  # of the product that are held at once, about 0.5 GB with temporaries
PADDED = 4_000_000  # keys in one padded table: 32 MB

Rule = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def nearest(left: sp.csr_array, right: sp.csr_array, rule: Rule, neighbours: int) -> sp.csr_array:
    """Return the largest entries of each row of `rule(left @ right)`, without the diagonal.

    Parameters
    ----------
    left : CSR, shape (n, m)
        For a Gram matrix X^T.
    right : CSR, shape (m, n)
        For a Gram matrix X.
    rule : callable
        Takes (rows, columns, values) of the entries of the product that are not 0, each
        of shape (entries,), and returns the similarities. What is not positive is dropped.
    neighbours : int
        Most entries that are kept in a row.

    Returns
    -------
    CSR float32, shape (n, n)
    """
    kept = [sp.csr_array((0, right.shape[1]), dtype=np.float32)]
    for start, stop in blocks(left, right):
        product = left[start:stop] @ right
        rows = np.repeat(np.arange(start, stop), np.diff(product.indptr))
        values = rule(rows, product.indices, product.data)
        values[rows == product.indices] = 0.0
        product.data = values
        kept.append(largest(product, neighbours))
    return sp.csr_array(sp.vstack(kept, format="csr"))


def blocks(left: sp.csr_array, right: sp.csr_array) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows of `left` whose products with `right` have at most `ENTRIES` entries.

    A row counts as what its product can have at most; a range holds at least one row.
    """
    pattern = sp.csr_array((np.ones(left.nnz), left.indices, left.indptr), shape=left.shape)
    most = np.minimum(pattern @ np.diff(right.indptr), right.shape[1])
    total = np.concatenate([[0.0], np.cumsum(most)])
    start = 0
    while start < left.shape[0]:
        stop = int(np.searchsorted(total, total[start] + ENTRIES, side="right")) - 1
        stop = max(stop, start + 1)
        yield start, stop
        start = stop


def largest(matrix: sp.csr_array, k: int) -> sp.csr_array:
    """Return the `k` largest positive entries of each row; of equals, those of larger column.

    An entry is a 64-bit key: the bits of a positive float32, which are ordered as its
    value is, above the column. Rows of like length share a padded table of keys.
    """
    values = matrix.data.astype(np.float32)
    keys = (values.view(np.int32).astype(np.int64) << 32) | matrix.indices
    keys[values <= 0] = -1
    lengths = np.diff(matrix.indptr)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    rows, best, done = [order[:0]], [keys[:0]], 0
    while done < len(order):
        width = lengths[order[done]]
        some = order[done : done + max(1, PADDED // width)]
        table = padded(keys, matrix.indptr, some, fill=-1)
        table = np.partition(table, width - k, axis=1)[:, width - k :] if k < width else table
        row, place = np.nonzero(table >= 0)
        rows.append(some[row])
        best.append(table[row, place])
        done += len(some)
    return _from_keys(np.concatenate(rows), np.concatenate(best), matrix.shape)


def padded(flat: np.ndarray, indptr: np.ndarray, rows: np.ndarray, fill: int, width: int = 0) -> np.ndarray:
    """Return some rows of a ragged array as a table, shape (len(rows), width), filled up at the right.

    Row `r` of the ragged array is `flat[indptr[r]:indptr[r + 1]]`; `width` 0 is that of the longest.
    """
    lengths = indptr[rows + 1] - indptr[rows]
    width = width or int(lengths.max(initial=0))
    inside = np.arange(width) < lengths[:, None]
    table = np.full((len(rows), width), fill, dtype=flat.dtype)
    table[inside] = flat[(indptr[rows][:, None] + np.arange(width))[inside]]
    return table


def _from_keys(rows: np.ndarray, keys: np.ndarray, shape: tuple[int, int]) -> sp.csr_array:
    """Return the matrix of keys: the upper half is the value, the lower half the column."""
    values = (keys >> 32).astype(np.int32).view(np.float32)
    pairs = rows.astype(np.int32), (keys & 0x7FFFFFFF).astype(np.int32)
    return sp.csr_array(sp.coo_array((values, pairs), shape=shape))
