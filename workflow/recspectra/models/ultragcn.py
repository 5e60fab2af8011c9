"""UltraGCN: the limit of graph convolution as constraints of a factorisation (Mao et al., CIKM 2021)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch.nn.functional import softplus

from recspectra.layers.neighbours import blocks, largest, padded
from recspectra.models.mf import MF
from recspectra.models.simplex import SharedBatch, SharedNegatives
from recspectra.recommender import Run, Task
from recspectra.spectral.operators import degrees, power
from recspectra.training.losses import half_squares, squares, weighted_logistic


class UltraGCN(MF):
    """s_ui = <e_u, e_i>, learned by weighted logistic losses; nothing is propagated.

    With beta_ui = sqrt(d_u + 1) / (d_u sqrt(d_i + 1)), for each observed pair

        (w1 + w2 beta_ui) softplus(-s_ui) + W mean over j of (w3 + w4 beta_uj) softplus(s_uj)
        + lambda sum over the nearest items j of i of omega_ij softplus(-s_uj).

    To their mean over a batch of b pairs comes gamma/2 times the squared norms of the vectors in
    it, averaged over the pairs, or (`penalty: all`) times those of all vectors, divided by b.
    """

    def prepare(self, task: Task, run: Run) -> None:
        """Compute beta's two factors and the nearest items with their omega."""
        p, matrix = self.params, task.train.matrix
        d_user, d_item = degrees(matrix)
        factors = power(d_user, -1.0) * np.sqrt(d_user + 1.0), 1.0 / np.sqrt(d_item + 1.0)
        tensors = (torch.as_tensor(f.astype(np.float32), device=self.device) for f in factors)
        self.beta_user, self.beta_item = tensors
        if p.item_weight > 0.0:
            make = lambda: nearest_items(matrix, p.neighbours, p.diagonal)  # noqa: E731
            near, omega = task.shared(("ultragcn", p.neighbours, p.diagonal), make)
            self.near = torch.as_tensor(near, device=self.device)
            self.omega = torch.as_tensor(omega, device=self.device)

    def batches(self, task: Task) -> SharedNegatives:
        """Return pairs with shared negatives."""
        p = self.params
        return SharedNegatives(task.train, p.batch_size, p.negatives, p.rejected, str(self.device))

    def loss(self, batch: SharedBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the loss averaged over the pairs, with its L2."""
        p = self.params
        users, items = self.vectors()
        own, targets = users.index_select(0, batch.users), items.index_select(0, batch.items)
        positive, negative = (own * targets).sum(dim=1), users[batch.distinct] @ items[batch.negatives].T
        beta = self.beta_user[batch.users] * self.beta_item[batch.items]
        others = self.beta_user[batch.distinct][:, None] * self.beta_item[batch.negatives]
        spread = p.negative_weight * batch.shares * (p.w3 + p.w4 * others)
        loss = weighted_logistic(positive, p.w1 + p.w2 * beta, negative, spread)
        if p.item_weight > 0.0:
            near = items.index_select(0, self.near[batch.items].view(-1)).view(len(own), p.neighbours, -1)
            near = (own[:, None] * near).sum(dim=2)
            relations = (self.omega[batch.items] * softplus(-near)).sum(dim=1).mean()
            loss = loss + p.item_weight * relations
        if p.penalty == "all":
            return loss + p.regularization / len(own) * squares(users, items) / 2.0
        return loss + p.regularization * half_squares(own, targets)


def nearest_items(x: sp.csr_array, count: int, diagonal: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the items j of largest omega_ij for each item i, from G = X^T X.

    omega_ij = G_ij sqrt(g_i + 1) / (g_i sqrt(g_j + 1)) with g the row sums of G; in the paper
    omega_ij = G_ij / (g_i - G_ii) sqrt(g_i / g_j).

    Parameters
    ----------
    x : CSR, shape (m, n)
        Binary interactions.
    count : int
        Neighbours of an item.
    diagonal : {"removed", "kept", "paper"}
        `removed` leaves G_ii out, of the sums g too; `kept` makes an item its own neighbour;
        `paper` takes the second formula, for j other than i.

    Returns
    -------
    (near, omega) : int64 and float32 arrays, shape (n, count)
        Places without a neighbour hold item 0 with omega 0.
    """
    left, d_item = sp.csr_array(x.T), degrees(x)[1]
    sums = left @ (x @ np.ones(x.shape[1])) - (d_item if diagonal == "removed" else 0.0)
    if diagonal == "paper":
        of_row, of_column = power(sums - d_item, -1.0) * np.sqrt(sums), power(sums, -0.5)
    else:
        of_row, of_column = power(sums, -1.0) * np.sqrt(sums + 1.0), 1.0 / np.sqrt(sums + 1.0)
    kept = [sp.csr_array((0, x.shape[1]), dtype=np.float32)]
    for start, stop in blocks(left, x):
        product = left[start:stop] @ x
        rows = np.repeat(np.arange(start, stop), np.diff(product.indptr))
        product.data = product.data * of_row[rows] * of_column[product.indices]
        if diagonal != "kept":
            product.data[rows == product.indices] = 0.0
        kept.append(largest(product, count))
    found, every = sp.csr_array(sp.vstack(kept, format="csr")), np.arange(x.shape[1])
    near = padded(found.indices.astype(np.int64), found.indptr, every, fill=0, width=count)
    return near, padded(found.data, found.indptr, every, fill=0, width=count)
