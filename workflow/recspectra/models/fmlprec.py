"""FMLP-Rec: filters in place of attention (Zhou et al., WWW 2022)."""

from __future__ import annotations

import torch
from torch import nn

from recspectra.layers.sequential import EPS, Block, Dropout, Encoder, Frame, SequenceModel


class FMLPRec(SequenceModel):
    """Each mixer multiplies the spectrum of the history over time by weights that are learned."""

    def build(self) -> Encoder:
        """Return the encoder."""
        p = self.params
        blocks = [
            Block(Filter(p.max_len, p.dimensions, p.dropout), p.dimensions, p.hidden, p.dropout)
            for _ in range(p.layers)
        ]
        return Encoder(
            int(self.shape[1]), p.max_len, p.dimensions, p.dropout, blocks, zero_pads=p.pads == "zero"
        )


class Filter(nn.Module):
    """LN(x + dropout(F^-1(W * F x))) with the Fourier transform F over L columns.

    The product is a cyclic convolution with k = F^-1 W. Of t < L columns, the others being
    zero, only t x t entries of it are needed, channel by channel, and the last column alone
    is a weighted sum: both cost less than transforms of length L.

    Parameters
    ----------
    length : int
        L.
    dimensions : int
        d; each channel has its own W.
    dropout : float
        Rate before the residual.
    """

    def __init__(self, length: int, dimensions: int, dropout: float) -> None:
        super().__init__()
        self.length = length
        self.weight = nn.Parameter(0.02 * torch.randn(length // 2 + 1, dimensions, 2))
        self.norm, self.dropout = nn.LayerNorm(dimensions, eps=EPS), Dropout(dropout)

    def kernel(self) -> torch.Tensor:
        """Return k, shape (L, d)."""
        return torch.fft.irfft(torch.view_as_complex(self.weight), n=self.length, dim=0)

    def forward(self, x: torch.Tensor, frame: Frame, last: bool) -> torch.Tensor:
        """Return the filtered states."""
        return self.norm((x[:, -1:] if last else x) + self.dropout(convolved(self.kernel(), x, last)))


def convolved(kernel: torch.Tensor, x: torch.Tensor, last: bool = False) -> torch.Tensor:
    """Return the cyclic convolution of the last t of L columns, the others being zero.

    y_c[i] = sum_j k_c[(i - j) mod L] x_c[j].

    Parameters
    ----------
    kernel : tensor, shape (L, d)
        k.
    x : tensor, shape (b, t, d)
        The last t columns.
    last : bool
        Whether the last column alone is wanted.

    Returns
    -------
    tensor, shape (b, t, d) or (b, 1, d)
    """
    t = x.shape[1]
    if last:
        return (kernel[:t].flip(0) * x).sum(dim=1, keepdim=True)
    columns = torch.arange(t, device=x.device)
    lags = (columns[:, None] - columns) % len(kernel)
    matrices = kernel.T[:, lags.view(-1)].view(-1, t, t)
    return (matrices @ x.permute(2, 1, 0)).permute(2, 1, 0)
