"""Graph operators and scores on torch tensors, on a CPU or a GPU.

An operator's product is written with `@`, `*`, `+`, slices and `join` on its pieces, so
the same code runs once the pieces are tensors: nothing is written twice. So are the scores of
models in closed form; see `recspectra.spectral.places`.
"""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp
import torch

from recspectra.spectral.operators import Operator

T = TypeVar("T", bound=Operator)


def to_torch(operator: T, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> T:
    """Return the operator with its pieces as tensors, sparse ones in CSR layout.

    Parameters
    ----------
    operator : Operator
        An operator of `recspectra.spectral.operators`; it is not changed.
    device : str or torch.device
        Where the pieces, and so the blocks, live.
    dtype : torch.dtype
        Type of the pieces, and so of the blocks.

    Returns
    -------
    Operator
        With `size`, `interval` and `@` on tensors of shape (size,) or (size, b).
    """
    other = operator.converted(lambda piece: tensor(piece, device, dtype))
    other.join = torch.cat
    return other


def tensor(piece: Any, device: str | torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return an array, or a sparse matrix in CSR layout, as a tensor."""
    if not sp.issparse(piece):
        return torch.as_tensor(piece, device=device).to(dtype)
    csr = sp.csr_array(piece, copy=True)
    csr.sum_duplicates()  # torch wants the column ids of a row in order
    wide = np.int64 if max(csr.nnz, *csr.shape) > np.iinfo(np.int32).max else np.int32
    indptr, indices = (torch.from_numpy(a.astype(wide)) for a in (csr.indptr, csr.indices))
    values = torch.from_numpy(csr.data).to(dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            indptr, indices, values, csr.shape, device=device, check_invariants=True
        )


def placed(piece: Any, device: str | torch.device) -> torch.Tensor | SparseTensor:
    """Return an array, or a sparse matrix, on a device, of the type that it has."""
    if sp.issparse(piece):
        return SparseTensor(sp.csr_array(piece), torch.device(device))
    return torch.from_numpy(np.array(piece)).to(device)


def cholesky_inverse(matrix: np.ndarray, device: str) -> tuple[np.ndarray, int]:
    """Return the inverse of a symmetric matrix, and 0 if that is positive definite."""
    factor, wrong = torch.linalg.cholesky_ex(torch.from_numpy(matrix).to(device))
    if int(wrong):
        return matrix, int(wrong)
    return torch.cholesky_inverse(factor).cpu().numpy(), 0


class SparseTensor:
    """A sparse matrix on a device, with what scores do with SciPy's.

    Parameters
    ----------
    host : CSR array, shape (r, c)
        The matrix; products are of its type.
    device : torch.device
        Where blocks live.
    """

    def __init__(self, host: sp.csr_array, device: torch.device) -> None:
        self.host, self.device, self.shape = host, device, host.shape

    @property
    def indptr(self) -> np.ndarray:
        """Where rows start and end, on the host."""
        return self.host.indptr

    def __getitem__(self, rows: np.ndarray) -> SparseTensor:
        """Return some rows."""
        return SparseTensor(self.host[rows], self.device)

    @cached_property
    def values(self) -> torch.Tensor:
        """The matrix in CSR layout."""
        return tensor(self.host, self.device, torch.from_numpy(self.host.data[:0]).dtype)

    @cached_property
    def T(self) -> SparseTensor:  # noqa: N802 - the field's name of a transpose
        """The transpose, made once: products with a transposed CSR tensor would make it each time."""
        return SparseTensor(sp.csr_array(self.host.T), self.device)

    def __matmul__(self, other: torch.Tensor | SparseTensor) -> torch.Tensor:
        """Return the product with a dense block or, through a dense block, with a sparse matrix; dense."""
        if isinstance(other, SparseTensor):
            return (other.T @ self.toarray().T).T
        return self.values @ other.contiguous()

    def scaled(self, left: np.ndarray | None, right: Any | None) -> SparseTensor:
        """Return diag(left) A diag(right)."""
        data = self.host.data
        if left is not None:
            data = np.repeat(left, np.diff(self.host.indptr)) * data
        if right is not None:
            right = right.cpu().numpy() if isinstance(right, torch.Tensor) else right
            data = data * right[self.host.indices]
        host = sp.csr_array((data, self.host.indices, self.host.indptr), shape=self.shape)
        return SparseTensor(host, self.device)

    def toarray(self) -> torch.Tensor:
        """Return the dense matrix, shape (r, c); no entry stands in it twice."""
        lengths = np.diff(self.host.indptr)
        places = np.repeat(np.arange(len(lengths)), lengths), self.host.indices
        data = placed(self.host.data, self.device)
        block = torch.zeros(self.shape, dtype=data.dtype, device=self.device)
        block[tuple(placed(place, self.device).long() for place in places)] = data
        return block
