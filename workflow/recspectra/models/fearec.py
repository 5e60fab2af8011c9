"""FEARec: attention and auto-correlation on bands of frequencies (Du et al., SIGIR 2023)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.nn import functional

from recspectra.layers.sequential import Attention, Block, Encoder, Frame, SequenceModel, attended
from recspectra.recommender import Task
from recspectra.training.losses import full_softmax
from recspectra.training.sequences import SequenceBatch, Sequences

PARTNERS = 64  # partners of a batch, which are of any length, that are encoded at once


class FEARec(SequenceModel):
    """Mixers on a ramp of frequency bands, trained with a contrast of histories of the same target.

    L = softmax(h) + lambda NCE(h, h') + mu mean |F h - F h'|, where h' is the state of another
    history that is followed by the same target, and F the Fourier transform over the entries
    of a state.
    """

    def build(self) -> Encoder:
        """Return the encoder."""
        p = self.params
        bands, zero_pads = ramp(p.max_len // 2 + 1, p.layers, p.global_ratio), p.pads == "zero"
        blocks = [
            Block(
                Hybrid(
                    p.dimensions, p.heads, p.dropout, p.max_len, band, p.lag_factor, p.spatial_ratio,
                    zero_pads,
                ),
                p.dimensions, p.hidden, p.dropout,
            )
            for band in bands
        ]  # fmt: skip
        return Encoder(int(self.shape[1]), p.max_len, p.dimensions, p.dropout, blocks, zero_pads=zero_pads)

    def batches(self, task: Task) -> SameTarget:
        """Return histories, each with another one of the same target."""
        return SameTarget(super().batches(task))

    def loss(self, batch: tuple[SequenceBatch, SequenceBatch], generator: torch.Generator) -> torch.Tensor:
        """Return the cross-entropy plus what keeps histories of one target together."""
        p, (rows, partners) = self.params, batch
        torch.manual_seed(rows.seed)
        states = self.module(rows.inputs)
        loss = full_softmax(states, self.module.table(), rows.targets[:, -1])
        if not p.contrast and not p.spectrum:
            return loss
        other = self.encode(partners.users, partners.inputs, PARTNERS)
        gap = torch.fft.rfft(states.float(), norm="ortho") - torch.fft.rfft(other.float(), norm="ortho")
        return loss + p.contrast * contrast(states, other) + p.spectrum * gap.abs().mean()


def ramp(bins: int, layers: int, ratio: float) -> list[tuple[int, int]]:
    """Return the first bin of each layer's band and the one after its last: high bands first.

    Bands of ratio M bins slide from the highest to the lowest frequency; where they would
    not overlap, M is divided evenly.
    """
    if ratio > 1.0 / layers:
        width, step = ratio, math.floor(bins * (1.0 - ratio) / max(1, layers - 1))
    else:
        width, step = 1.0 / layers, bins / layers
    return [(int(bins * (1.0 - width) - i * step), int(bins - i * step)) for i in range(layers)]


class Hybrid(Attention):
    """(1 - s) auto-correlation + s attention, both on a band of frequencies over L columns.

    Auto-correlation: c = F^-1(band F Q conj(F K)), averaged over channels; the k largest lags
    are softmax-weighted, and column t gets the values of the columns t + lag, cyclically.
    Attention: Q, K and V are cut to the band over time before.

    Parameters
    ----------
    dimensions, heads, dropout
        As in `Attention`.
    length : int
        L.
    band : (int, int)
        First frequency bin and the one after the last.
    factor : float
        k = floor(factor ln L), at least 1.
    spatial : float
        s.
    zero_pads : bool
        Whether padding has no queries, keys and values.
    """

    def __init__(
        self, dimensions: int, heads: int, dropout: float, length: int, band: tuple[int, int],
        factor: float, spatial: float, zero_pads: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(dimensions, heads, dropout)
        self.length, self.spatial, self.zero_pads = length, spatial, zero_pads
        self.lags = min(length, max(1, int(factor * math.log(length))))
        self.register_buffer("kernel", band_kernel(length, *band), persistent=False)

    def forward(self, x: torch.Tensor, frame: Frame, last: bool) -> torch.Tensor:
        """Return the states after both branches."""
        parts = self.inward(x)
        parts = parts * frame.real[:, :, None] if self.zero_pads else parts
        query, key, value = parts.chunk(3, dim=2)
        shift = _differences(x.shape[1], x.device)
        weights = self.lag_weights(query, key)
        asked = slice(-1, None) if last else slice(None)
        delayed = weights[:, (-shift[asked]) % self.length] @ value
        cut = (self.kernel[shift % self.length] @ parts).unflatten(2, (3, self.heads, -1)).transpose(1, 3)
        query, key, value = cut.unbind(dim=2)
        near = attended(query[:, :, asked], key, value, frame.attend[:, :, asked], self.dropout)
        delayed = delayed.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return self.close(x[:, asked], (1.0 - self.spatial) * delayed + self.spatial * near)

    def lag_weights(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Return the softmax over the k largest auto-correlations, zero elsewhere, shape (b, L).

        Products of all pairs of columns are summed along diagonals: on short histories far
        fewer operations than transforms of length L.
        """
        products = query @ key.flip(1).transpose(1, 2)  # column t + (T - 1 - s): diagonals of t - s
        t = query.shape[1]
        skewed = functional.pad(products, (0, t)).flatten(1)[:, :-t].view(-1, t, 2 * t - 1).sum(dim=1)
        every, diagonals = (torch.arange(*r, device=query.device) for r in ((0, self.length), (1 - t, t)))
        lags = every - diagonals[:, None]
        strength = skewed @ self.kernel[lags % self.length] / query.shape[2]
        top, places = strength.topk(self.lags, dim=1)
        return torch.zeros_like(strength).scatter(1, places, top.softmax(dim=1))


def band_kernel(length: int, first: int, end: int) -> torch.Tensor:
    """Return F^-1 of a band's indicator, float32 (L,): cyclic convolution with it cuts to the band."""
    kept = torch.zeros(length // 2 + 1, dtype=torch.complex128)
    kept[first:end] = 1.0
    return torch.fft.irfft(kept, n=length).float()


def _differences(size: int, device: torch.device) -> torch.Tensor:
    """Return i - j, int64, shape (size, size)."""
    places = torch.arange(size, device=device)
    return places[:, None] - places


def contrast(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of each state's partner among all other states, by products.

    Parameters
    ----------
    one, two : tensors, shape (b, d)
        Row r of one and row r of two are partners; the 2 b - 2 others are negatives.
    """
    states = torch.cat([one, two])
    own = torch.eye(len(states), dtype=torch.bool, device=one.device)
    products = (states @ states.T).float().masked_fill(own, float("-inf"))
    partner = torch.arange(len(states), device=one.device).roll(len(one))
    return functional.cross_entropy(products, partner)


class SameTarget:
    """Batches with, for each row, another sample of the same target, or itself where there is none.

    Parameters
    ----------
    sequences : Sequences
        With targets "prefix".
    """

    def __init__(self, sequences: Sequences) -> None:
        self.sequences = sequences
        targets = sequences.items[sequences.ends]
        self.grouped = torch.argsort(targets, stable=True)
        self.rank = torch.empty_like(self.grouped)
        self.rank[self.grouped] = torch.arange(len(targets), device=targets.device)
        counts = torch.bincount(targets, minlength=sequences.pad)
        self.first, self.count = (torch.cumsum(counts, 0) - counts)[targets], counts[targets]

    def __call__(self, generator: torch.Generator) -> Iterator[tuple[SequenceBatch, SequenceBatch]]:
        """Yield pairs of batches; draws come from `generator` (a CPU generator)."""
        served = self.sequences
        for batch in served(generator):
            partners = self.partners(batch.samples, generator)
            width = int(served.lengths[partners.cpu()].max()) if served.bucket else served.max_len
            yield batch, served.rows(partners, width)

    def partners(self, samples: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return a random other sample of the same target for each of some samples."""
        share = torch.rand(len(samples), generator=generator, dtype=torch.float64).to(samples.device)
        others = self.count[samples] - 1
        place = self.first[samples] + (share * others).long().clamp(max=(others - 1).clamp(min=0))
        own = self.rank[samples]
        return self.grouped[torch.where((others > 0) & (place >= own), place + 1, place)]
