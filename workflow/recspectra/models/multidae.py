"""MultiDAE: denoising autoencoder with a multinomial likelihood (Liang et al., WWW 2018)."""

from __future__ import annotations

import torch

from recspectra.layers.autoencoder import Autoencoder, Coder
from recspectra.training.batches import RowBatch
from recspectra.training.losses import squares
from recspectra.training.rows import SparseRows


class MultiDAE(Autoencoder):
    """s = decode(encode(x~)) for rows x~ of length 1 with dropout; loss -sum_i x_i log softmax(s)_i.

    The squares of all weights, times `regularization`, are added; biases are free.
    """

    def build(self) -> Coder:
        """Return encoder and decoder."""
        return Coder(int(self.shape[1]), self.params.hidden, self.params.dimensions)

    def reconstruct(self, rows: SparseRows | torch.Tensor) -> torch.Tensor:
        """Return the decoder's hidden layer."""
        code = self.module.encode(rows)
        return self.module.decode(torch.tanh(code) if self.params.code == "tanh" else code)

    def loss(self, batch: RowBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the multinomial loss and the penalty."""
        loss = super().loss(batch, generator)
        if not self.params.regularization:
            return loss
        weights = (p for name, p in self.module.named_parameters() if name.endswith("weight"))
        return loss + self.params.regularization * squares(*weights)
