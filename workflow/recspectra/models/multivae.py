"""MultiVAE: variational autoencoder with a multinomial likelihood (Liang et al., WWW 2018)."""

from __future__ import annotations

import torch

from recspectra.layers.autoencoder import Autoencoder, Coder
from recspectra.recommender import Run, Task
from recspectra.training.batches import RowBatch
from recspectra.training.losses import gaussian_divergence, multinomial
from recspectra.training.rows import SparseRows

AUTHORS_STEPS = 200_000  # after which their weight of the divergence would be 1


class MultiVAE(Autoencoder):
    """Code z ~ N(mu, sigma^2) of the corrupted row; loss -sum_i x_i log softmax(s)_i + beta KL.

    KL is the divergence of N(mu, sigma^2) from N(0, 1). beta rises with the steps taken up
    to `anneal_cap`. Scores are those of z = mu.
    """

    def prepare(self, task: Task, run: Run) -> None:
        """Set how much beta rises in a step."""
        p = self.params
        steps = -(-int((task.train.lengths > 0).sum()) // p.batch_size)
        evenly = p.anneal_cap / max(1, p.anneal_epochs * steps)
        self._rise = evenly if p.anneal == "epochs" else 1.0 / AUTHORS_STEPS

    def build(self) -> Coder:
        """Return encoder, to mean and logarithm of the variance, and decoder; count steps from 0."""
        module = Coder(int(self.shape[1]), self.params.hidden, self.params.dimensions, parts=2)
        module.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        return module

    def weight(self) -> torch.Tensor:
        """Return beta."""
        return (self.module.steps * self._rise).clamp(max=self.params.anneal_cap)

    def reconstruct(self, rows: SparseRows | torch.Tensor) -> torch.Tensor:
        """Return the decoder's hidden layer of z = mu."""
        return self.module.decode(self.module.encode(rows).chunk(2, dim=1)[0])

    def loss(self, batch: RowBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the multinomial loss of one random code for each row, plus beta KL."""
        net, rows = self.module, SparseRows.of(batch, int(self.shape[1]))
        mean, log_variance = net.encode(self.corrupt(rows, generator)).chunk(2, dim=1)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        code = mean + self.params.noise_std * noise * torch.exp(0.5 * log_variance)
        reconstruction = multinomial(net.decode(code), net.last.weight, net.last.bias, rows)
        loss = reconstruction + self.weight() * gaussian_divergence(mean, log_variance)
        net.steps += 1
        return loss
