"""LR-GCCF: linear residual graph convolution (Chen et al., AAAI 2020)."""

from __future__ import annotations

import torch

from recspectra.layers.graph import SparseMatrix, bipartite
from recspectra.models.lightgcn import LightGCN
from recspectra.models.mf import pair_loss
from recspectra.recommender import Run, Task
from recspectra.training.sampling import PairBatch


class LRGCCF(LightGCN):
    """E^{k+1} = (D+I)^-1/2 (A+I) (D+I)^-1/2 E^k; scores are the sum over k of <e_u^k, e_i^k>.

    The sum is the residual preference of the paper: final vectors are [E^0, ..., E^K].
    """

    def prepare(self, task: Task, run: Run) -> None:
        """Put the normalised adjacency with self-loops on the device."""
        graph = task.shared("bipartite-loops", lambda: bipartite(task.train, self_loops=True))
        self.graph = SparseMatrix(graph, self.device, symmetric=True)

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all layers side by side, (K + 1) d entries a row."""
        layers = [self.module.weight]
        for _ in range(self.params.layers):
            layers.append(self.graph @ layers[-1])
        return self.module.split(torch.cat(layers, dim=1))

    def loss(self, batch: PairBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of the batch, with L2 on the final or on the free vectors in it."""
        final = self.vectors()
        penalised = final if self.params.penalty == "final" else self.module.split()
        return pair_loss(*final, *penalised, batch, self.params)
