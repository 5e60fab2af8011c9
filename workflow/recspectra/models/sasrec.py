"""SASRec: causal self-attention over the history (Kang and McAuley, ICDM 2018)."""

from __future__ import annotations

from recspectra.models.sequential import Attention, Block, Encoder, SequenceSystem


class SASRec(SequenceSystem):
    """Blocks of causal attention, trained on all positions at once by a softmax over all items."""

    targets = "all"

    def build(self) -> Encoder:
        """Return the encoder."""
        p = self.params
        blocks = [
            Block(Attention(p.dimensions, p.heads, p.dropout), p.dimensions, p.hidden, p.dropout)
            for _ in range(p.layers)
        ]
        return Encoder(int(self.shape[1]), p.max_len, p.dimensions, p.dropout, blocks)
