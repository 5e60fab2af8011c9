"""BSARec: attention beyond self-attention, with a frequency rescaler beside it (Shin et al., AAAI 2024)."""

from __future__ import annotations

import torch
from torch import nn

from recspectra.layers.sequential import Attention, Block, Encoder, Frame, Rescaled, SequenceModel


class BSARec(SequenceModel):
    """Each mixer is alpha LN(x + low + beta^2 (x - low)) + (1 - alpha) attention.

    `low` holds the floor(c / 2) + 1 lowest frequencies of the history over time.
    """

    def build(self) -> Encoder:
        """Return the encoder."""
        p = self.params
        blocks = [Block(self._mixer(), p.dimensions, p.hidden, p.dropout) for _ in range(p.layers)]
        return Encoder(
            int(self.shape[1]), p.max_len, p.dimensions, p.dropout, blocks, zero_pads=p.pads == "zero"
        )

    def _mixer(self) -> Mixture:
        p = self.params
        low = lowest(p.max_len, p.cutoff // 2 + 1)
        rescaler = Rescaled(low, torch.eye(p.max_len) - low, p.dimensions, p.dropout)
        return Mixture(rescaler, Attention(p.dimensions, p.heads, p.dropout), p.alpha)


class Mixture(nn.Module):
    """alpha times one mixer plus 1 - alpha times another."""

    def __init__(self, first: nn.Module, second: nn.Module, alpha: float) -> None:
        super().__init__()
        self.first, self.second, self.alpha = first, second, alpha

    def forward(self, x: torch.Tensor, frame: Frame, last: bool) -> torch.Tensor:
        """Return the mixture of both."""
        one, two = self.first(x, frame, last), self.second(x, frame, last)
        return self.alpha * one + (1.0 - self.alpha) * two


def lowest(length: int, bins: int) -> torch.Tensor:
    """Return the projector on the lowest frequencies of a cyclic signal, float32 (length, length).

    P = F^H diag(1 for the `bins` lowest frequencies and their conjugates) F: a product with
    it is rfft, a cut and irfft at once, and a part of its rows and columns is the same for
    a signal that is zero elsewhere.
    """
    kept = torch.zeros(length // 2 + 1, dtype=torch.float64)
    kept[:bins] = 1.0
    kernel = torch.fft.irfft(kept.to(torch.complex128), n=length)
    lags = torch.arange(length)[:, None] - torch.arange(length)
    return kernel[lags % length].float()
