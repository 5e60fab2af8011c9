"""The Chebyshev filters of WPGRec on a graph in which some users' rows are replaced.

The filter of one layer is sum_k T_k(L~) H Theta_k with L~ = L - I = -A_hat (the largest
eigenvalue of a bipartite Laplacian is 2). It has no nonlinearity, so layers collapse into one
polynomial, H = sum_m A_hat^m H0 Psi_m, and A_hat = [[0, R], [R^T, 0]] splits it into products
with R and its transpose. H0 holds a summary P^b of each user in band b and the same item
vectors E in all bands, so (powers even | odd)

    users, band b   [(R R^T)^(m/2) P^b | R (R^T R)^((m-1)/2) E] Psi_m^b
    items, mean     [(R^T R)^(m/2) E mean_b Psi_m^b | R^T (R R^T)^((m-1)/2) mean_b P^b Psi_m^b]

The items need products with d columns, not B d. The users need their own rows alone, which
are r (R^T R)^k on E and r (R^T R)^k R^T on P: walks that no parameter enters, so nothing flows
back through them.

Scores are asked for users whose row r is not the one of the graph: `R` with rows replaced, R',
takes the place of R.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from recspectra.data.interactions import Interactions
from recspectra.layers.graph import SparseMatrix
from recspectra.spectral.operators import normalised
from recspectra.training.sequences import windows_of


class Cross:
    """R = D_u^-1/2 X D_i^-1/2 of the training interactions, and the sequences behind it.

    Parameters
    ----------
    train : Interactions
        m users, n items.
    device : torch.device or str
        Where blocks live.
    """

    def __init__(self, train: Interactions, device: torch.device | str) -> None:
        self.shape, self.device = train.shape, torch.device(device)
        matrix = train.matrix
        self.matrix = SparseMatrix(normalised(matrix), device)
        degrees = np.bincount(matrix.indices, minlength=train.n_items)
        scale = 1.0 / np.sqrt(np.maximum(degrees, 1))
        self.item_scale = torch.as_tensor(scale, dtype=torch.float32, device=device)
        self.indptr = torch.tensor(train.indptr, device=device)
        self.items = torch.as_tensor(train.items.astype(np.int64), device=device)

    def sequences(self, users: torch.Tensor, width: int) -> torch.Tensor:
        """Return the newest items of some users, left-padded with n, int64 shape (b, width)."""
        return windows_of(self.items, self.indptr[users], self.indptr[users + 1], width, self.shape[1])

    def rows_of(self, items: torch.Tensor) -> torch.Tensor:
        """Return the rows of nodes that are linked to these items, shape (b, n).

        Parameters
        ----------
        items : int64 tensor, shape (b, t)
            Padding is n; an item that occurs twice counts once.

        Notes
        -----
        Items keep their degrees in the training graph. An empty row is zero.
        """
        linked = torch.zeros(len(items), self.shape[1] + 1, device=self.device)
        linked = linked.scatter_(1, items, 1.0)[:, :-1]
        return linked * self.item_scale / linked.sum(dim=1, keepdim=True).clamp(min=1).sqrt()

    def rows(self, users: torch.Tensor) -> torch.Tensor:
        """Return the rows of some users as they are in the graph, shape (b, n)."""
        lengths = self.indptr[users + 1] - self.indptr[users]
        return self.rows_of(self.sequences(users, max(1, int(lengths.max()))))


@dataclass(frozen=True)
class Replaced:
    """R', the matrix R with the rows of some users replaced.

    Attributes
    ----------
    cross : Cross
        R.
    users : int64 tensor, shape (b,)
        Whose rows; none twice.
    rows : tensor, shape (b, n)
        What takes their place.
    """

    cross: Cross
    users: torch.Tensor
    rows: torch.Tensor

    def to_users(self, block: torch.Tensor) -> torch.Tensor:
        """Return R' block."""
        return (self.cross.matrix @ block).index_copy(0, self.users, self.rows @ block)

    def to_items(self, block: torch.Tensor) -> torch.Tensor:
        """Return R'^T block."""
        rest = block.index_fill(0, self.users, 0.0)
        return self.cross.matrix.T @ rest + self.rows.T @ block[self.users]


@dataclass(frozen=True)
class Step:
    """One power of the walks that start at b users, in columns.

    Attributes
    ----------
    items : tensor, shape (n, b)
        A_k = (R'^T R')^k r^T: odd powers m = 2k + 1 are A_k^T E.
    others, own : tensors, shapes (m, b) and (b, b)
        R' A_k on the users whose rows are as they were, and on those that were replaced:
        even powers m = 2k + 2 are others^T P + own^T p.
    """

    items: torch.Tensor
    others: torch.Tensor
    own: torch.Tensor


def walks(cross: Cross, users: torch.Tensor, rows: torch.Tensor, powers: int, alone: bool) -> list[Step]:
    """Return the walks from some users, as many as `powers` of A_hat need.

    Parameters
    ----------
    cross : Cross
        R.
    users : int64 tensor, shape (b,)
        Users whose rows are replaced.
    rows : tensor, shape (b, n)
        Their rows.
    powers : int
        Highest power M of A_hat.
    alone : bool
        Whether each column has a graph of its own, in which the row of its user alone is
        replaced, or all share one in which all are.
    """
    steps, places = [], torch.arange(len(users), device=rows.device)
    items = rows.T.contiguous()
    for k in range((powers + 1) // 2):
        if k:
            items = cross.matrix.T @ steps[-1].others + rows.T @ steps[-1].own
        others = cross.matrix @ items
        if alone:
            own = torch.diag((rows.T * items).sum(dim=0))
            others[users, places] = 0.0
        else:
            own = rows @ items
            others[users] = 0.0
        steps.append(Step(items, others, own))
    return steps


def chebyshev_powers(order: int) -> np.ndarray:
    """Return c with T_k(-x) = sum_i c[k, i] x^i, shape (K + 1, K + 1)."""
    found = np.zeros((order + 1, order + 1))
    for k in range(order + 1):
        powers = np.polynomial.chebyshev.cheb2poly(np.eye(order + 1)[k])
        found[k, : len(powers)] = powers * (-1.0) ** np.arange(len(powers))
    return found


def collapsed(theta: torch.Tensor) -> list[torch.Tensor]:
    """Return Psi_0, ..., Psi_(K L) of all layers together, shape (B or 1, d, d) each.

    Psi_m = sum of A^(1)_i A^(2)_j ... over i + j + ... = m, with A^(l)_i = sum_k c[k, i] Theta^(l)_k.

    Parameters
    ----------
    theta : tensor, shape (B or 1, L, K + 1, d, d)
        Filter matrices of bands, layers and orders.
    """
    weights = torch.as_tensor(chebyshev_powers(theta.shape[2] - 1), dtype=theta.dtype, device=theta.device)
    eye = torch.eye(theta.shape[-1], dtype=theta.dtype, device=theta.device)
    psi = [eye.expand(len(theta), -1, -1)]
    for layer in torch.einsum("ki,blkde->libde", weights, theta):
        longer: list[list[torch.Tensor]] = [[] for _ in range(len(psi) + len(layer) - 1)]
        for i, before in enumerate(psi):
            for j, after in enumerate(layer):
                longer[i + j].append(before @ after)
        psi = [torch.stack(terms).sum(dim=0) for terms in longer]
    return psi


def _mixed(x: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
    """Return x^b Psi^b for x of shape (u, B, d), or the same x of shape (u, d) in all bands."""
    if x.ndim == 2:
        return torch.matmul(x, psi).transpose(0, 1)
    return torch.matmul(x.transpose(0, 1), psi).transpose(0, 1)


def user_rows(
    summaries: torch.Tensor, others: torch.Tensor, items: torch.Tensor, psi: list[torch.Tensor],
    steps: list[Step],
) -> torch.Tensor:  # fmt: skip
    """Return the filtered rows of users whose walks are given, shape (b, B, d).

    Parameters
    ----------
    summaries : tensor, shape (b, B, d)
        p of these users.
    others : tensor, shape (m, B, d)
        P of all users; rows that were replaced do not count.
    items : tensor, shape (n, d)
        E.
    psi : list of tensors
        As `collapsed` returns them.
    steps : list of Step
        As `walks` returns them.
    """
    found = _mixed(summaries, psi[0])
    for power in range(1, len(psi)):
        step = steps[(power - 1) // 2]
        if power % 2:
            reached = step.items.T @ items
        else:
            reached = step.others.T @ others.flatten(1) + step.own.T @ summaries.flatten(1)
            reached = reached.view_as(summaries)
        found = found + _mixed(reached, psi[power])
    return found


def item_rows(
    graph: Replaced, summaries: torch.Tensor, others: torch.Tensor, items: torch.Tensor,
    psi: list[torch.Tensor],
) -> torch.Tensor:  # fmt: skip
    """Return the filtered rows of all items, mean over the bands, shape (n, d).

    By Horner's rule, E Psi_0 + R'^T (S_1 + R' (E Psi_2 + R'^T (S_3 + ...))) with S_m the mean
    of P^b Psi_m^b: a product with d columns per power. Arguments are those of `user_rows`.
    """
    found = None
    for power in reversed(range(len(psi))):
        if power % 2:
            mean = psi[power].expand(others.shape[1], -1, -1) / others.shape[1]
            source = others.flatten(1) @ mean.flatten(0, 1)
            source = source.index_copy(0, graph.users, summaries.flatten(1) @ mean.flatten(0, 1))
            found = source if found is None else source + graph.to_users(found)
        else:
            source = items @ psi[power].mean(dim=0)
            found = source if found is None else source + graph.to_items(found)
    return found


def all_user_rows(
    cross: Cross, summaries: torch.Tensor, items: torch.Tensor, psi: list[torch.Tensor]
) -> torch.Tensor:
    """Return the filtered rows of all users in the graph as it is, shape (m, B, d), by Horner's rule."""
    found = None
    for power in reversed(range(len(psi))):
        source = _mixed(items if power % 2 else summaries, psi[power]).expand(-1, summaries.shape[1], -1)
        if found is not None:
            matrix = cross.matrix.T if power % 2 else cross.matrix
            source = source + (matrix @ found.flatten(1)).view_as(source)
        found = source
    return found


def filtered(
    graph: Replaced, summaries: torch.Tensor, others: torch.Tensor, items: torch.Tensor,
    theta: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Return what `layer_by_layer` does, by the collapsed polynomial: all replaced users in one graph."""
    psi = collapsed(theta)
    steps = walks(graph.cross, graph.users, graph.rows, len(psi) - 1, alone=False)
    users = user_rows(summaries, others, items, psi, steps)
    return users, item_rows(graph, summaries, others, items, psi)


def layer_by_layer(
    graph: Replaced, summaries: torch.Tensor, others: torch.Tensor, items: torch.Tensor,
    theta: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Return the filtered rows of the replaced users (b, B, d) and of the items (n, d), by definition.

    Eq. 9 and 10 as they stand: all nodes in all bands, a Chebyshev recursion in each layer.
    """
    bands = others.shape[1]
    users = others.index_copy(0, graph.users, summaries)
    h = users, items[:, None].expand(-1, bands, -1)

    def laplacian(h: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        down, up = graph.to_users(h[1].flatten(1)), graph.to_items(h[0].flatten(1))
        return -down.view_as(h[0]), -up.view_as(h[1])

    for layer in theta.unbind(dim=1):
        before, now = h, laplacian(h)
        total = [_mixed(x, layer[:, 0]) for x in h]
        for k in range(1, layer.shape[1]):
            total = [t + _mixed(x, layer[:, k]) for t, x in zip(total, now, strict=True)]
            after = laplacian(now)
            before, now = now, tuple(2 * a - b for a, b in zip(after, before, strict=True))
        h = tuple(total)
    return h[0][graph.users], h[1].mean(dim=1)
