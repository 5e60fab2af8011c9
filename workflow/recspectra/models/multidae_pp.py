"""MultiDAE++: MultiDAE on rows with the noise of DiffRec (a baseline of Wang et al., SIGIR 2023)."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from recspectra.models.diffrec import signal_shares
from recspectra.models.multidae import MultiDAE
from recspectra.recommender import Run, Task
from recspectra.training.rows import SparseRows


class MultiDAEpp(MultiDAE):
    """MultiDAE whose input is x_t = sqrt(abar_t) x + sqrt(1 - abar_t) e at a random time t.

    e is standard normal, t uniform in 1..T. The clean row is reconstructed in one step,
    and scores come of clean histories.
    """

    def prepare(self, task: Task, run: Run) -> None:
        """Fix the schedule."""
        p = self.params
        shares = torch.as_tensor(signal_shares(p.steps, p.scale, p.low, p.high), device=self.device)
        self._signal, self._noise = shares.sqrt().float(), (1.0 - shares).sqrt().float()

    def corrupt(self, rows: SparseRows, generator: torch.Generator) -> torch.Tensor:
        """Return noisy rows of length 1 with dropout on all their entries, shape (b, n)."""
        clean, device = rows.dense(), rows.values.device
        times = torch.randint(self.params.steps, (len(clean), 1), generator=generator, device=device)
        noise = torch.randn(clean.shape, generator=generator, device=device)
        noisy = normalize(noise.mul_(self._noise[times]).addcmul_(clean, self._signal[times]))
        rate = self.params.dropout
        if not rate:
            return noisy
        keep = torch.rand(clean.shape, generator=generator, device=device) >= rate
        return noisy.mul_(keep).mul_(1.0 / (1.0 - rate))
