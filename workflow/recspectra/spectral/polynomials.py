"""Polynomials in the item-item similarity P = R^T R, applied to rows of users.

A polynomial is written in powers of I - P,

    p(P) = a_0 I + a_1 (I - P) + ... + a_d (I - P)^d,

and held as the array (a_0, ..., a_d). The spectrum of P lies in [0, 1], so powers of I - P
neither grow nor cancel; the same filter in powers of P has alternating binomials.

There are two ways to y p(P), which agree to rounding:

`matrix-free`
    Horner's rule with d products y -> y R^T R, two sparse products each; a few users at a
    time, so that their block stays in the processor's cache.
`formed`
    p(P) is formed once, a dense n x n matrix in float32; then y p(P) is one product of a
    sparse row with it.

`prefers_formed` chooses by the number of operations, from sizes alone. Any R will do: it
need not be the normalised matrix of all users.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from numpy.polynomial import Polynomial
from scipy.linalg.blas import ssyrk

from recspectra.spectral.places import Array, Pieces, Rows, dense

CACHE_BYTES = 8 * 1024**2  # of a block of users, on both sides of R
NARROW, WIDE = 16, 128  # a cache line of float32; beyond 128 columns nothing is gained
DENSE_SPEED = 6  # operations of a dense product in the time of one of a sparse product
COLUMNS_AT_ONCE = 512  # of R that are dense while R^T R is formed

Block = Array


# ------------------------------------------------------------------------ coefficients


def complement(order: int) -> np.ndarray:
    """Return 1 - (1 - z)^order, a low-pass filter that is the flatter the higher its order."""
    coefficients = np.zeros(order + 1)
    coefficients[0] += 1.0
    coefficients[order] -= 1.0
    return coefficients


def geometric(order: int) -> np.ndarray:
    """Return (1 - (1 - z)^order) / z = 1 + (1 - z) + ... + (1 - z)^(order - 1)."""
    return np.ones(order)


def in_complement(polynomial: Polynomial) -> np.ndarray:
    """Return the coefficients in powers of 1 - z of a polynomial in z."""
    return polynomial(Polynomial([1.0, -1.0])).coef


# ------------------------------------------------------------------------- matrix-free


def similarity_block(r: sp.csr_array, block: Block) -> Block:
    """Return P y for a dense block of columns y, shape (n, b)."""
    return r.T @ (r @ block)


def polynomial_block(coefficients: np.ndarray, r: sp.csr_array, block: Block) -> Block:
    """Return p(P) y for a dense block of columns y, shape (n, b), by Horner's rule."""
    scales = coefficients.tolist()  # a number takes the type of the block
    total = scales[-1] * block
    for scale in scales[-2::-1]:
        total -= similarity_block(r, total)
        if scale:
            total += scale * block
    return total


def by_blocks(rows: Rows, apply: Callable[[Block], Block], width: int) -> Array:
    """Return `apply` of the rows, shape (b, n) float32, given `width` columns of (n, b) at a time.

    On a device it is given all of them.
    """
    if not sp.issparse(rows):
        return apply(dense(rows).T.contiguous()).T
    scores = np.empty(rows.shape, dtype=np.float32)
    for start in range(0, rows.shape[0], width):
        part = rows[start : start + width]
        scores[start : start + width] = apply(np.ascontiguousarray(part.T.toarray())).T
    return scores


def cache_width(shape: tuple[int, int]) -> int:
    """Return how many columns of a block keep both sides of R, shape (m, n), in the cache."""
    fitting = max(CACHE_BYTES // (4 * max(sum(shape), 1)), 1)
    return min(max(2 ** int(math.log2(fitting)), NARROW), WIDE)


# ------------------------------------------------------------------------------ formed


class Powers:
    """Powers of W = I - R^T R, each formed once when it is asked for; float32, shape (n, n).

    An even power is A A^T of the half power A, which takes half the operations of a product
    of two matrices.

    Parameters
    ----------
    r : CSR, shape (m, n)
        Its transpose gives the powers of I - R R^T.
    """

    def __init__(self, r: sp.csr_array) -> None:
        first = -gram(r, r)
        first[np.diag_indices(len(first))] += 1.0
        self.known: dict[int, np.ndarray] = {1: first}

    def __getitem__(self, exponent: int) -> np.ndarray:
        if exponent not in self.known:
            half, odd = divmod(exponent, 2)
            self.known[exponent] = self[exponent - 1] @ self[1] if odd else squared(self[half])
        return self.known[exponent]

    def combined(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the sum of a_j W^j, all powers formed."""
        total = np.zeros_like(self.known[1])
        total[np.diag_indices(len(total))] = coefficients[0]
        for exponent, scale in enumerate(coefficients.astype(np.float32)):
            if exponent and scale:
                total += scale * self[exponent]
        return total


def formed(coefficients: np.ndarray, powers: Powers) -> np.ndarray:
    """Return p(P), shape (n, n) float32.

    Of a sum with more than four powers the first four are formed; the rest follows by
    Horner's rule in W^4 (Paterson and Stockmeyer). A single power is formed by squaring.
    """
    step = 4 if np.count_nonzero(coefficients) > 2 else len(coefficients)
    chunks = [coefficients[start : start + step] for start in range(0, len(coefficients), step)]
    total = powers.combined(chunks.pop())
    if chunks and len(coefficients) % step == 1:  # a multiple of I, so its product is known
        total = coefficients[-1].astype(np.float32) * powers[step]
        total += powers.combined(chunks.pop())
    while chunks:
        total = total @ powers[step]
        total += powers.combined(chunks.pop())
    return total


def gram(a: sp.csr_array, b: sp.csr_array) -> np.ndarray:
    """Return A^T B of sparse matrices as a dense float32 matrix."""
    found = np.empty((a.shape[1], b.shape[1]), dtype=np.float32)
    transposed, columns = sp.csr_array(a.T), sp.csc_array(b)
    for start in range(0, b.shape[1], COLUMNS_AT_ONCE):
        block = columns[:, start : start + COLUMNS_AT_ONCE].toarray(order="C")
        found[:, start : start + COLUMNS_AT_ONCE] = transposed @ block
    return found


def squared(matrix: np.ndarray) -> np.ndarray:
    """Return A A of a symmetric float32 matrix."""
    half = ssyrk(1.0, matrix.T, lower=1).T  # Fortran order in and out: the upper triangle
    return np.triu(half) + np.triu(half, 1).T


# -------------------------------------------------------------------------- the choice


def prefers_formed(shape: tuple[int, int], nnz: int, degree: int, memory_gb: float) -> bool:
    """Whether forming p(P) takes fewer operations than applying it, and fits into memory.

    Counted for every user once, in operations of a sparse product:

        matrix-free   4 m nnz d                              d products with R and R^T each
        formed        2 n nnz + 2 n^3 g / DENSE_SPEED + 2 n nnz    P, its powers, the scores

    with g = 1 + log2(d) products of matrices for degree d > 1 and none for d = 1.

    Parameters
    ----------
    shape : (m, n)
        Users and items of R.
    nnz : int
        Non-zero entries of R.
    degree : int
        d of the polynomial.
    memory_gb : float
        What the matrices may take.
    """
    users, items = shape
    products = 1.0 + math.log2(degree) if degree > 1 else 0.0
    free = 4.0 * users * nnz * degree
    dense = 4.0 * items * nnz + 2.0 * items**3 * products / DENSE_SPEED
    return formed_gb(items, degree) <= memory_gb and dense < free


def formed_gb(items: int, degree: int) -> float:
    """Return the memory in GB that forming takes: the powers, the sum and a product."""
    kept = 4 + 2 * int(math.log2(max(degree, 1)))
    return 4.0 * kept * items**2 / 1024**3


def formed_if_better(
    powers: Callable[[], Powers], r: sp.csr_array, coefficients: np.ndarray, memory_gb: float
) -> np.ndarray:
    """Return p(P) where `prefers_formed` says so, else a matrix without entries.

    `powers` returns those of R: trials of a tuning job share them, see `Task.shared`.
    """
    if prefers_formed(r.shape, r.nnz, len(coefficients) - 1, memory_gb):
        return formed(coefficients, powers())
    return np.zeros((0, 0), dtype=np.float32)


class Filter(Pieces):
    """y -> y p(P) on rows of users, along one of the two ways.

    Attributes
    ----------
    dense : float32 array, shape (n, n) or (0, 0)
        p(P) where it is formed.
    """

    left_behind = ("coefficients",)

    def __init__(self, r: sp.csr_array, coefficients: np.ndarray, dense: np.ndarray) -> None:
        self.r, self.coefficients, self.dense = r, coefficients, dense

    def __call__(self, rows: Rows) -> Array:
        """Return y p(P) of sparse float32 rows y, dense, shape (b, n)."""
        if len(self.dense):
            return rows @ self.dense
        apply = lambda block: polynomial_block(self.coefficients, self.r, block)  # noqa: E731
        return by_blocks(rows, apply, cache_width(self.r.shape))
