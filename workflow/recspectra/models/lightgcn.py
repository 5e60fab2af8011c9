"""LightGCN: linear propagation on the bipartite graph (He et al., SIGIR 2020)."""

from __future__ import annotations

import torch

from recspectra.layers.graph import SparseMatrix, bipartite
from recspectra.models.mf import MF, pair_loss
from recspectra.recommender import Run, Task
from recspectra.training.sampling import PairBatch


class LightGCN(MF):
    """E = mean of A_hat^k E^0 over k = 0..K; scores are <e_u, e_i>; BPR with L2 on E^0."""

    def prepare(self, task: Task, run: Run) -> None:
        """Put the normalised adjacency on the device."""
        graph = task.shared("bipartite", lambda: bipartite(task.train))
        self.graph = SparseMatrix(graph, self.device, symmetric=True)

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean of all layers."""
        layer = total = self.module.weight
        for _ in range(self.params.layers):
            layer = self.graph @ layer
            total = total + layer
        return self.module.split(total / (self.params.layers + 1))

    def loss(self, batch: PairBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of the batch, with L2 on the layer-0 vectors that are in it."""
        return pair_loss(*self.vectors(), *self.module.split(), batch, self.params)
