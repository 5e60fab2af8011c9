"""WPGRec's filters where the summaries P of all users are constant for an epoch, in fewer operations.

N = R^T R and C_j = N^j R^T P do not change within an epoch. A batch replaces b rows R_u by r and the
summaries P_u by p. With F = [R_u^T r^T], shape (n, 2b), and S = diag(-I, I)

    R'^T R' = N + F S F^T,        R'^T P' = C_0 + F S [P_u; p]

so what a batch changes are products with 2b sparse columns. `wpgrec_graph.filtered` computes the same
from P anew, with dense products over all users; it is the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import scipy.sparse as sp
import torch

from recspectra.layers.graph import SparseMatrix
from recspectra.layers.wpgrec_graph import Cross, Replaced, _mixed, collapsed


@dataclass(frozen=True)
class Kept:
    """What stays the same within an epoch.

    Attributes
    ----------
    summaries : tensor, shape (m, B, d)
        P.
    reached : list of tensors, shape (n, B d) each
        C_0, C_1, ...: one for each odd power of A_hat.
    """

    summaries: torch.Tensor
    reached: list[torch.Tensor]

    @classmethod
    def of(cls, cross: Cross, summaries: torch.Tensor, powers: int) -> Kept:
        """Return what follows from P for the powers 0 to `powers` of A_hat."""
        reached, block = [], summaries.flatten(1)
        for _ in range((powers + 1) // 2):
            block = cross.matrix.T @ (cross.matrix @ reached[-1] if reached else block)
            reached.append(block)
        return cls(summaries, reached)


class Change:
    """F and S of a batch, and what does not depend on a parameter: F^T C_j and W_j = r (R'^T R')^j F.

    Parameters
    ----------
    graph : Replaced
        R'.
    kept : Kept
        C_j.
    """

    def __init__(self, graph: Replaced, kept: Kept) -> None:
        self.matrix, self.count = graph.cross.matrix, len(graph.users)
        stacked = torch.cat([graph.cross.rows(graph.users), graph.rows])
        self.factor = SparseMatrix(sp.csr_array(stacked.numpy()).T)
        self.of_kept = [self.factor.T @ c for c in kept.reached]
        self.walks = [graph.rows.T.contiguous()]  # A_j = (R'^T R')^j r^T, shape (n, b)
        for _ in kept.reached[1:]:
            self.walks.append(self.moved(self.walks[-1]))
        self.meeting = [(self.factor.T @ walk).T for walk in self.walks]

    def signed(self, block: torch.Tensor) -> torch.Tensor:
        """Return S block."""
        return torch.cat([-block[: self.count], block[self.count :]])

    def spread(self, block: torch.Tensor) -> torch.Tensor:
        """Return F S block, shape (n, c)."""
        return self.factor @ self.signed(block)

    def moved(self, block: torch.Tensor) -> torch.Tensor:
        """Return R'^T R' block."""
        return self.matrix.T @ (self.matrix @ block) + self.spread(self.factor.T @ block)


def filtered_as_kept(
    graph: Replaced, summaries: torch.Tensor, kept: Kept, items: torch.Tensor, theta: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `wpgrec_graph.filtered` does, from what is kept of an epoch.

    Parameters
    ----------
    graph : Replaced
        R', on the CPU.
    summaries : tensor, shape (b, B, d)
        p of the users whose rows are replaced.
    kept : Kept
        P of all users and what follows from it.
    items : tensor, shape (n, d)
        E.
    theta : tensor, shape (B or 1, L, K + 1, d, d)
        Filters.

    Returns
    -------
    users, items : tensors, shapes (b, B, d) and (n, d)
    """
    psi = collapsed(theta)
    with torch.no_grad():
        change = Change(graph, kept)
    ends = torch.cat([kept.summaries[graph.users].flatten(1), summaries.flatten(1)])
    users = _user_rows(change, summaries, ends, items, psi)
    return users, _item_rows(change, kept, ends, items, psi)


def _user_rows(
    change: Change, summaries: torch.Tensor, ends: torch.Tensor, items: torch.Tensor,
    psi: list[torch.Tensor],
) -> torch.Tensor:  # fmt: skip
    """Odd powers 2k + 1 are A_k^T E; even ones r (R'^T R')^(k - 1) R'^T P', band by band."""
    found = _mixed(summaries, psi[0])
    for power in range(1, len(psi)):
        k = (power - 1) // 2
        if power % 2:
            reached = change.walks[k].T @ items
        else:
            reached = change.of_kept[k][change.count :] + change.meeting[k] @ change.signed(ends)
            for i in range(k):
                reached = reached + change.meeting[k - 1 - i] @ change.signed(change.of_kept[i])
            reached = reached.view_as(summaries)
        found = found + _mixed(reached, psi[power])
    return found


def _item_rows(
    change: Change, kept: Kept, ends: torch.Tensor, items: torch.Tensor, psi: list[torch.Tensor]
) -> torch.Tensor:
    """Sum over powers by Horner's rule in R'^T R'; what has C_j alone needs no product with it."""
    bands = kept.summaries.shape[1]
    means = [(psi[p].expand(bands, -1, -1) / bands).flatten(0, 1) for p in range(1, len(psi), 2)]
    found = items.new_zeros(())
    for level in reversed(range((len(psi) + 1) // 2)):
        found = change.moved(found) if found.ndim else found
        found = found + items @ psi[2 * level].mean(dim=0)
        if level < len(means):
            # What p brings to this power, and what higher powers of C_0 leave behind here.
            inner = ends @ means[level]
            for j in range(level + 1, len(means)):
                inner = inner + change.of_kept[j - 1 - level] @ means[j]
            found = found + change.spread(inner)
    for block, mean in zip(kept.reached, means, strict=True):
        found = found + block @ mean
    return found
