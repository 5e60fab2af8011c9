"""Importance sampling of diffusion times by the losses that were seen at them.

A time t is drawn with a probability p_t that grows with the root mean square of the last
losses at t (Nichol and Dhariwal, ICML 2021, Eq. 18), mixed with a little of the uniform
distribution; a loss divided by T p_t keeps its expectation.
"""

from __future__ import annotations

import torch
from torch import nn

KEPT = 10  # losses of a time that are remembered
UNIFORM = 1e-3  # share of the uniform distribution


class TimeSampler(nn.Module):
    """Draws times 0..T-1, uniformly or by the losses seen at them.

    Parameters
    ----------
    steps : int
        T, number of times.
    by : {"importance", "uniform"}
        By importance, draws are uniform until every time has `KEPT` losses.

    Notes
    -----
    What was seen is held in buffers: it is part of a checkpoint.
    """

    def __init__(self, steps: int, by: str) -> None:
        super().__init__()
        self.by = by
        self.register_buffer("losses", torch.zeros(steps, KEPT))  # the latest is on the right
        self.register_buffer("counts", torch.zeros(steps, dtype=torch.int64))

    def probabilities(self) -> torch.Tensor:
        """Return p_t of all times, shape (T,)."""
        steps = len(self.counts)
        flat = torch.full((steps,), 1.0 / steps, device=self.counts.device)
        if self.by == "uniform" or int(self.counts.min()) < KEPT:
            return flat
        size = self.losses.square().mean(dim=1).sqrt()
        return (1.0 - UNIFORM) * size / size.sum() + UNIFORM * flat

    def draw(self, size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return times (int64) and T p_t of each, both of shape (size,)."""
        p = self.probabilities()
        times = torch.multinomial(p, size, replacement=True, generator=generator)
        return times, p[times] * len(p)

    @torch.no_grad()
    def record(self, times: torch.Tensor, losses: torch.Tensor) -> None:
        """Remember the losses of a batch, shape (b,), as if they came one after the other."""
        if self.by == "uniform":
            return
        order = torch.argsort(times, stable=True)
        times, losses = times[order], losses[order]
        fresh = (times[:, None] == torch.arange(len(self.counts), device=times.device)).sum(dim=0)
        ends = torch.cumsum(fresh, 0)
        later = ends[times] - 1 - torch.arange(len(times), device=times.device)  # of the same time
        kept = later < KEPT
        self._forget(fresh.clamp(max=KEPT))
        self.losses[times[kept], KEPT - 1 - later[kept]] = losses[kept].to(self.losses.dtype)
        self.counts.copy_((self.counts + fresh).clamp(max=KEPT))

    def _forget(self, oldest: torch.Tensor) -> None:
        """Make room on the right for as many losses of each time as `oldest` says."""
        places = torch.arange(KEPT, device=oldest.device) + oldest[:, None]
        padded = torch.cat([self.losses, torch.zeros_like(self.losses)], dim=1)
        self.losses.copy_(padded.gather(1, places))
