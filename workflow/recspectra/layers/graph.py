"""Products of a fixed sparse matrix with dense blocks that are learned.

Graph models multiply the same matrix in every step, forward and, transposed, backward.
The transpose is made once, and on a CPU a product runs through `embedding_bag`, which
takes a fraction of the time of torch's own sparse products and does not depend on the
number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from recspectra.data.interactions import Interactions
from recspectra.spectral.operators import normalised
from recspectra.spectral.torch_operators import tensor


class SparseMatrix:
    """A constant sparse matrix on a device, with `@` for dense blocks and `T`.

    Parameters
    ----------
    matrix : sparse array, shape (r, c)
        Its values are taken as float32.
    device : str or torch.device
        Where blocks live.
    symmetric : bool
        Whether the matrix is its own transpose, which is then not made.

    Notes
    -----
    `matrix @ block` is differentiable in the block, shape (c, d), not in the matrix.
    """

    def __init__(
        self, matrix: sp.sparray, device: str | torch.device = "cpu", symmetric: bool = False
    ) -> None:
        forward = sp.csr_array(matrix).astype(np.float32)
        self.shape = forward.shape
        self._forward = _piece(forward, device)
        self._backward = self._forward if symmetric else _piece(sp.csr_array(forward.T), device)

    @property
    def T(self) -> SparseMatrix:  # noqa: N802 - the field's name of a transpose
        """The transpose; nothing is copied."""
        other = SparseMatrix.__new__(SparseMatrix)
        other.shape = self.shape[::-1]
        other._forward, other._backward = self._backward, self._forward
        return other

    def __matmul__(self, block: torch.Tensor) -> torch.Tensor:
        """Return the product, shape (r, d)."""
        return _Product.apply(block, self)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, block: torch.Tensor, matrix: SparseMatrix) -> torch.Tensor:
        ctx.matrix = matrix
        return _multiply(matrix._forward, block.detach())  # else the bags are kept for a gradient

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _multiply(ctx.matrix._backward, gradient), None


def _piece(matrix: sp.csr_array, device: str | torch.device) -> Any:
    """Return a CSR matrix as `_multiply` takes it: a CSR tensor on a GPU, bags on a CPU."""
    if torch.device(device).type != "cpu":
        return tensor(matrix, device, torch.float32)
    wide = torch.int64 if matrix.nnz > np.iinfo(np.int32).max else torch.int32
    indices, indptr = (torch.from_numpy(np.array(a)).to(wide) for a in (matrix.indices, matrix.indptr))
    return indices, indptr, torch.from_numpy(np.array(matrix.data, dtype=np.float32))


def _multiply(piece: Any, block: torch.Tensor) -> torch.Tensor:
    if isinstance(piece, torch.Tensor):
        return piece @ block.contiguous()
    indices, indptr, values = piece
    return torch.nn.functional.embedding_bag(
        indices, block.contiguous(), indptr, mode="sum", per_sample_weights=values, include_last_offset=True
    )


def bipartite(train: Interactions, self_loops: bool = False) -> sp.csr_array:
    """Return the adjacency of users and items, normalised by the roots of both degrees.

    Shape (m + n, m + n): A_hat = D^-1/2 A D^-1/2 with A = [[0, X], [X^T, 0]], users first.
    With `self_loops`, A + I takes the place of A and of its degrees.
    """
    if not self_loops:
        cross = normalised(train.matrix)
        return sp.csr_array(sp.block_array([[None, cross], [cross.T, None]])).astype(np.float32)
    x = train.matrix
    graph = sp.block_array([[sp.eye_array(x.shape[0]), x], [x.T, sp.eye_array(x.shape[1])]])
    scale = sp.diags_array(1.0 / np.sqrt(graph.sum(axis=1)))
    return sp.csr_array(scale @ graph @ scale).astype(np.float32)
