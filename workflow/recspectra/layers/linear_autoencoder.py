"""Linear autoencoders with a closed form: EASE, EDLAE, DLAE, RLAE and RDLAE differ in two numbers.

With G = X^T X and item degrees d_j,

    gamma_j = lambda + p / (1 - p) d_j        ridge, and what dropping a share p of the input adds
    C       = (G + diag(gamma))^-1
    omega_j = max(0, (1 - xi) / C_jj - gamma_j)
    B       = I - C diag(gamma + omega)       score x B

omega_j is the least that keeps B_jj <= xi: xi = 0 gives a diagonal of zeros (EASE, EDLAE), xi = 1
leaves it free (LAE, DLAE), what lies between is RLAE and RDLAE (Moon et al., SIGIR 2023). Where no
free entry of the diagonal reaches xi, the bound does nothing.

Off the diagonal B_ij = C_ij / -min(1 / gamma_j, C_jj / (1 - xi)): one inverse and one divisor a column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg.lapack import get_lapack_funcs

from recspectra.recommender import History, Recommender, Refused, Run, Task
from recspectra.runtime import free_bytes
from recspectra.spectral.operators import degrees
from recspectra.spectral.places import Array

ROWS_AT_ONCE = 512
MOST_ITEMS = 46_340  # LAPACK counts the entries of a matrix in 32 bits
PROBES = 8  # columns of an inverse that are checked
DEVICE_COPIES = 5  # of the matrix that an inverse takes on a device
ACCEPTED = 1e-3  # norm of a column of (G + diag(gamma)) C - I


class LinearAutoencoder(Recommender):
    """Dense in items x items by definition: `memory_gb` refuses what would not fit.

    The inverse is found in place by Cholesky: in double precision where 12 bytes an entry fit into
    `memory_gb` (the inverse, and B in single precision), else in single precision with 4 bytes an
    entry, and checked. Sizes alone decide. On a GPU that it fits into the inverse is found there.
    """

    state_names = ("weights",)

    @property
    def dropout(self) -> float:
        """Share p of a user's items that the fit leaves out of the input."""
        return 0.0

    @property
    def bound(self) -> float:
        """Largest diagonal entry xi of B."""
        return 0.0

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Invert the regularised Gram matrix; return the share of items at the bound and the precision."""
        dtype, x = self._guard(task), task.train.matrix
        ratio = self.dropout / (1.0 - self.dropout)
        gamma = self.params.regularization + ratio * degrees(x)[1]
        counts = task.shared(("ease-gram",), lambda: sp.csr_array(x.T) @ x)  # float32 is exact
        matrix = counts.toarray(order="F").astype(dtype, copy=False)
        matrix[np.diag_indices(len(matrix))] += gamma.astype(dtype)
        try:
            upper = inverse(matrix, run.device)
        except np.linalg.LinAlgError as error:
            raise Refused(f"{type(self).__name__}: {error}") from None
        residual = self._check(x, gamma, upper)
        log = {"residual": residual} if dtype == np.float32 else {}
        own = np.diag(upper).astype(np.float64)
        divisor = own / (1.0 - self.bound) if self.bound < 1 else np.full(len(own), np.inf)
        log["at_bound"] = float((divisor < 1.0 / gamma).mean())
        self.weights = weights_of(upper, -np.minimum(1.0 / gamma, divisor).astype(dtype))
        return log | {"precision": np.dtype(dtype).name}

    def _guard(self, task: Task) -> type[np.float32] | type[np.float64]:
        """Return the precision that fits beside the sparse X^T X; refuse where none does."""
        n, lengths = task.train.n_items, np.diff(task.train.matrix.indptr).astype(np.float64)
        entries = min(float(lengths @ lengths), float(n) ** 2)
        double, single = ((size * float(n) ** 2 + 8 * entries) / 1024**3 for size in (12, 4))
        who = type(self).__name__
        if single > self.params.memory_gb:
            raise Refused(
                f"{who} needs about {single:.1f} GB for the {n} x {n} matrix in single precision, more than "
                f"memory_gb = {self.params.memory_gb:g}"
            )
        if n > MOST_ITEMS:
            raise Refused(f"{who} inverts {n} x {n} entries, more than LAPACK counts: {MOST_ITEMS} items")
        return np.float64 if double <= self.params.memory_gb else np.float32

    def _check(self, x: sp.csr_array, gamma: np.ndarray, upper: np.ndarray) -> float:
        """Return the largest norm of some columns of (G + diag(gamma)) C - I; refuse what is inaccurate."""
        items = np.unique(np.linspace(0, len(upper) - 1, PROBES).astype(int))
        columns = np.stack([column(upper, j) for j in items], axis=1).astype(np.float64)
        rest = x.T @ (x @ columns) + gamma[:, None] * columns
        rest[items, np.arange(len(items))] -= 1.0
        residual = float(np.linalg.norm(rest, axis=0).max())
        if not residual <= ACCEPTED:
            single = upper.dtype == np.float32
            raise Refused(
                f"{type(self).__name__}: an inverse in {'single' if single else 'double'} precision leaves a "
                f"residual {residual:.1e}, above {ACCEPTED:g}; take a larger regularization"
                f"{', or a memory_gb that lets it be double' if single else ''}"
            )
        return residual

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return x B."""
        return history.matrix @ self.weights


def inverse(matrix: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Return the upper triangle of the inverse of a symmetric positive definite matrix.

    `matrix` is floating point in Fortran order and is overwritten; what is below the diagonal of the
    result counts for nothing.

    Raises
    ------
    np.linalg.LinAlgError
        It is not positive definite.
    """
    found, wrong = _on_device(matrix, device) if _fits(matrix, device) else _by_lapack(matrix)
    if wrong:
        raise np.linalg.LinAlgError("X^T X + lambda I is not positive definite: take a larger lambda")
    return found


def _fits(matrix: np.ndarray, device: str) -> bool:
    free = free_bytes(device)
    return device != "cpu" and (free is None or DEVICE_COPIES * matrix.nbytes <= free)


def _by_lapack(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    potrf, potri = get_lapack_funcs(("potrf", "potri"), (matrix,))
    factor, wrong = potrf(matrix, lower=0, clean=0, overwrite_a=1)
    return (factor, wrong) if wrong else potri(factor, lower=0, overwrite_c=1)


def _on_device(matrix: np.ndarray, device: str) -> tuple[np.ndarray, int]:
    from recspectra.spectral.torch_operators import cholesky_inverse

    found, wrong = cholesky_inverse(matrix.T, device)  # in C order
    if not wrong:
        matrix.T[:] = found
    return matrix, wrong


def column(upper: np.ndarray, j: int) -> np.ndarray:
    """Return a column of the symmetric matrix whose upper triangle is given."""
    return np.concatenate([upper[:j, j], upper[j, j:]])


def weights_of(upper: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    """Return C / divisor by columns, with 1 more on the diagonal; float32 in C order.

    `upper` holds the upper triangle of the symmetric C. In single precision (and Fortran order) the
    result takes its memory.
    """
    n = len(upper)
    weights = upper.T if upper.dtype == np.float32 else np.empty((n, n), dtype=np.float32)
    diagonal = 1.0 + np.diag(upper) / divisor
    for start in range(0, n, ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        block = upper[rows, start:].copy()
        own = block[:, : len(block)]
        own[:] = np.triu(own) + np.triu(own, 1).T
        weights[rows, start:] = block / divisor[start:]
        weights[start:, rows] = block.T / divisor[rows]
    weights[np.diag_indices(n)] = diagonal
    return weights
