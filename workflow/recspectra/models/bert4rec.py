"""BERT4Rec: items of the history are masked and guessed from both sides (Sun et al., CIKM 2019)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from recspectra.layers.sequential import EPS, Attention, Block, Encoder, SequenceModel
from recspectra.recommender import Task
from recspectra.training.losses import full_softmax
from recspectra.training.sequences import SequenceBatch, Sequences


class BERT4Rec(SequenceModel):
    """Bidirectional attention, trained on masked items; a mask after the history asks for the next.

    The state h of a masked column is compared as <LN(gelu(W h + b)), e_i> + b_i.
    """

    targets = "all"

    def build(self) -> Cloze:
        """Return the encoder with its head."""
        p = self.params
        blocks = [
            Block(Attention(p.dimensions, p.heads, p.dropout), p.dimensions, p.hidden, p.dropout)
            for _ in range(p.layers)
        ]
        return Cloze(
            Encoder(int(self.shape[1]), p.max_len, p.dimensions, p.dropout, blocks, causal=False, tokens=1)
        )

    def batches(self, task: Task) -> Sequences:
        """Return histories; the items of a row are its inputs and its last target."""
        p = self.params
        length = max(1, p.max_len - 1)  # one column is the target's
        return Sequences(task.train, length, p.batch_size, str(self.device), "all", p.windows, self.trims)

    def loss(self, batch: SequenceBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the cross-entropy of the masked items under a softmax over all items."""
        torch.manual_seed(batch.seed)
        items = torch.cat([batch.inputs, batch.targets[:, -1:]], dim=1)[:, -self.params.max_len :]
        hidden = masked(items, int(self.shape[1]), self.params.mask_ratio, self.params.last_ratio, generator)
        inputs = torch.where(hidden, int(self.shape[1]) + 1, items)
        states = self.module.head(self.module.encoder(inputs, last=False)[hidden])
        return full_softmax(states, self.module.table(), items[hidden])


def masked(
    items: torch.Tensor, pad: int, ratio: float, last_ratio: float, generator: torch.Generator
) -> torch.Tensor:
    """Return which items are masked, bool, shape (b, t); in each row at least one.

    Parameters
    ----------
    items : int64 tensor, shape (b, t)
        Left-padded rows, each with an item in the last column.
    pad : int
        Id of padding, which is never masked.
    ratio : float
        Probability that an item is masked; the last one is where none was.
    last_ratio : float
        Share of rows whose last item alone is masked, as at inference.
    generator : torch.Generator
        Of the draws, on the device of `items`.
    """
    chance = torch.rand(items.shape, generator=generator, device=items.device)
    only_last = torch.rand(len(items), 1, generator=generator, device=items.device) < last_ratio
    chosen = (chance < ratio) & (items != pad) & ~only_last
    last = ~chosen.any(dim=1)
    chosen[:, -1] |= last
    return chosen


class Cloze(nn.Module):
    """An encoder that knows a mask token, and the head that compares states with items.

    Parameters
    ----------
    encoder : Encoder
        With one token beyond items and padding, the mask.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        d = encoder.items.weight.shape[1]
        self.encoder = encoder
        self.transform, self.norm = nn.Linear(d, d), nn.LayerNorm(d, eps=EPS)
        self.bias = nn.Parameter(torch.zeros(encoder.n_items, 1))
        nn.init.normal_(self.transform.weight, std=0.02)

    def table(self) -> torch.Tensor:
        """Return the items' vectors with their biases in one more column, shape (n, d + 1)."""
        return torch.cat([self.encoder.table(), self.bias], dim=1)

    def head(self, states: torch.Tensor) -> torch.Tensor:
        """Return what is compared with `table`, shape (p, d + 1)."""
        found = self.norm(functional.gelu(self.transform(states)))
        return torch.cat([found, torch.ones_like(found[:, :1])], dim=1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what a mask after the history asks for, shape (b, d + 1)."""
        mask = torch.full_like(inputs[:, :1], self.encoder.n_items + 1)
        return self.head(self.encoder(torch.cat([inputs, mask], dim=1)[:, -self.encoder.max_len :]))
