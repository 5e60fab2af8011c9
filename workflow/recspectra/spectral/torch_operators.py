"""Graph operators on torch tensors, on a CPU or a GPU.

An operator's product is written with `@`, `*`, `+`, slices and `join` on its pieces, so
the same code runs once the pieces are tensors: nothing is written twice.
"""

from __future__ import annotations

import warnings
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
