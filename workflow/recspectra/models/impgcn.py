"""IMP-GCN: later hops stay inside groups of users of like interests (Liu et al., WWW 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn.functional import normalize, one_hot

from recspectra.layers.graph import SparseMatrix
from recspectra.layers.trained import Tables
from recspectra.models.lightgcn import LightGCN
from recspectra.models.mf import pair_loss
from recspectra.recommender import Run, Task
from recspectra.spectral.operators import normalised
from recspectra.training.loop import Batches
from recspectra.training.sampling import PairBatch

STEPS = 10  # of k-means in an epoch; it goes on from the last epoch's groups
SLOPE = 0.2  # of LeakyReLU in the grouping


class Grouped(nn.Module):
    """Free vectors, each user's group, and the network that groups them where there is one.

    Parameters
    ----------
    tables : Tables
        Free vectors.
    groups : int
        G.
    grouping : {"kmeans", "untrained", "straight-through"}
        The network of `untrained` is kept, not learned; `kmeans` has none.
    """

    def __init__(self, tables: Tables, groups: int, grouping: str) -> None:
        super().__init__()
        size = tables.weight.shape[1]
        self.tables = tables
        self.register_buffer("groups", torch.randint(groups, (tables.users,)))
        if grouping != "kmeans":
            self.network = nn.Sequential(
                nn.Linear(size, size), nn.LeakyReLU(SLOPE), nn.Linear(size, groups)
            ).requires_grad_(grouping == "straight-through")


class IMPGCN(LightGCN):
    """First hop on the whole graph, later ones on the edges A_g of each group of users.

    With `propagation: paper`, E_g^1 = A_hat E^0 and E_g^{k+1} = A_g E_g^k; layer k is the
    sum of E_g^k over groups. With `official`, H_g^0 = E^0, S = A_g H_g^k, H_g^{k+1} = H_g^k + S,
    and a layer is A_hat S, summed over groups. Final vectors are the mean of all layers.

    A user is in one group, so its rows exist once; those of items exist for each group. The
    edges of all groups together are those of the graph: one product, of users with G copies
    of the items, takes all groups a hop on.
    """

    def prepare(self, task: Task, run: Run) -> None:
        """Put the normalised adjacency on the device, and keep its users' rows."""
        super().prepare(task, run)
        self.cross = task.shared("normalised", lambda: normalised(task.train.matrix).astype(np.float32))
        if self.params.grouping == "straight-through":
            self.plain = SparseMatrix(self.cross, self.device)

    def build(self) -> Grouped:
        """Return the free vectors and the grouping."""
        return Grouped(super().build(), self.params.groups, self.params.grouping)

    def batches(self, task: Task) -> Batches:
        """Return sampled pairs; users are grouped anew before each epoch."""
        return partial(self._epoch, super().batches(task))

    def _epoch(self, pairs: Batches, generator: torch.Generator) -> Iterator[PairBatch]:
        with torch.no_grad():
            self._regroup()
        yield from pairs(generator)

    def _regroup(self) -> None:
        """Group the users by their vectors after one hop, and cut the graph accordingly."""
        module, p = self.module, self.params
        if p.grouping == "kmeans":
            reached = module.tables.split(self.graph @ module.tables.weight)[0]
            module.groups.copy_(kmeans(reached, module.groups, p.groups))
        elif p.grouping == "untrained":
            module.groups.copy_(self._logits(module.tables.weight).argmax(dim=1))
        self._cut()

    def _logits(self, free: torch.Tensor) -> torch.Tensor:
        """Return the network's scores of groups for each user, shape (m, G)."""
        return self.module.network(self.module.tables.split(self.graph @ free + free)[0])

    def _cut(self) -> None:
        """Build the edges from users to the copies of items that belong to their group."""
        if self.params.grouping != "straight-through":
            groups = self.module.groups.cpu().numpy()
            self.inside = SparseMatrix(copies(self.cross, groups, self.params.groups), self.device)

    def refresh(self) -> None:
        """Keep the vectors for scoring; the groups may be those of another epoch."""
        self._cut()
        super().refresh()

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean of all layers."""
        free = self.module.tables.weight
        layers = [free, *([self.graph @ free] if self.params.layers else [])]
        hops = self._soft(layers) if self.params.grouping == "straight-through" else self._hard(layers)
        return self.module.tables.split((sum(layers) + sum(hops)) / (len(layers) + len(hops)))

    def _hard(self, layers: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the layers after the first hop, with each user in one group."""
        p, split = self.params, self.module.tables.split
        official = p.propagation == "official"
        users, items = split(layers[0 if official else -1])
        items, found = items.repeat(p.groups, 1), []
        for _ in range(p.layers - 1):
            hop = self.inside @ items, self.inside.T @ users
            users, items = (users + hop[0], items + hop[1]) if official else hop
            layer = torch.cat([hop[0], hop[1].view(p.groups, -1, hop[1].shape[1]).sum(dim=0)])
            found.append(self.graph @ layer if official else layer)
        return found

    def _soft(self, layers: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the layers after the first hop, with gradients to the grouping: G times the work.

        The edges of user u in group g have the weight 1 for the best g and 0 for others;
        backward, it is a softmax.
        """
        logits = self._logits(layers[0])
        soft = logits.softmax(dim=1)
        hard = one_hot(logits.argmax(dim=1), self.params.groups)
        return self.masked_hops(layers, hard + soft - soft.detach())

    def masked_hops(self, layers: list[torch.Tensor], mask: torch.Tensor) -> list[torch.Tensor]:
        """Return the layers after the first hop; `mask`, shape (m, G), weighs each user's edges."""
        p = self.params
        official = p.propagation == "official"
        users, items = (
            e[:, None].expand(-1, p.groups, -1)
            for e in self.module.tables.split(layers[0 if official else -1])
        )
        mask, found = mask[:, :, None], []
        for _ in range(p.layers - 1):
            hop = mask * _wide(self.plain, items), _wide(self.plain.T, mask * users)
            users, items = (users + hop[0], items + hop[1]) if official else hop
            layer = torch.cat([h.sum(dim=1) for h in hop])
            found.append(self.graph @ layer if official else layer)
        return found

    def loss(self, batch: PairBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of the batch, with L2 on the free vectors that are in it."""
        return pair_loss(*self.vectors(), *self.module.tables.split(), batch, self.params)


def _wide(matrix: SparseMatrix, block: torch.Tensor) -> torch.Tensor:
    """Return the product with a block of shape (c, G, d)."""
    return (matrix @ block.reshape(len(block), -1)).view(-1, *block.shape[1:])


def copies(cross: sp.csr_array, groups: np.ndarray, count: int) -> sp.csr_array:
    """Return users x (copies of items), shape (m, G n): user u's edges go to copy groups[u]."""
    (m, n), lengths = cross.shape, np.diff(cross.indptr)
    columns = cross.indices.astype(np.int64) + n * np.repeat(groups, lengths)
    return sp.csr_array((cross.data, columns, cross.indptr), shape=(m, count * n))


def kmeans(points: torch.Tensor, groups: torch.Tensor, count: int) -> torch.Tensor:
    """Return each point's group after some steps of k-means on directions.

    Parameters
    ----------
    points : tensor, shape (m, d)
        Only their directions count.
    groups : int64 tensor, shape (m,)
        Where to start; an empty group starts anew from the point that fits its group worst.
    count : int
        G.
    """
    points = normalize(points, dim=1)
    still = (points == 0).all(dim=1)  # no direction, so no centre
    for _ in range(STEPS):
        centres = torch.zeros(count, points.shape[1], device=points.device)
        centres = normalize(centres.index_add_(0, groups, points), dim=1)
        empty = torch.bincount(groups, minlength=count) == 0
        if empty.any():
            fit = (points * centres[groups]).sum(dim=1).masked_fill(still, torch.inf)
            centres[empty.int().argmax()] = points[fit.argmin()]  # one a step, or all get like points
        before, groups = groups, (points @ centres.T).argmax(dim=1)
        if torch.equal(before, groups):
            break
    return groups
