"""SASRec: causal self-attention over the history (Kang and McAuley, ICDM 2018)."""

from __future__ import annotations

import torch

from recspectra.layers.sequential import Attention, Block, Encoder, SequenceModel
from recspectra.recommender import Run, Task
from recspectra.runtime import axis_seed
from recspectra.training.losses import weighted_logistic
from recspectra.training.sampling import Complement
from recspectra.training.sequences import SequenceBatch


class SASRec(SequenceModel):
    """Blocks of causal attention, trained on all positions at once.

    By a softmax over all items, or with `loss: sampled` as in the paper: a position costs
    -log sigmoid(s_i) - log sigmoid(-s_j) for its target i and an item j that the user has not.
    """

    targets = "all"

    def prepare(self, task: Task, run: Run) -> None:
        """Get ready to draw negatives where the loss takes them."""
        super().prepare(task, run)
        self.free = Complement(task.train, str(self.device)) if self.params.loss == "sampled" else None

    def build(self) -> Encoder:
        """Return the encoder."""
        p = self.params
        blocks = [
            Block(Attention(p.dimensions, p.heads, p.dropout), p.dimensions, p.hidden, p.dropout)
            for _ in range(p.layers)
        ]
        return Encoder(int(self.shape[1]), p.max_len, p.dimensions, p.dropout, blocks)

    def loss(self, batch: SequenceBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of all targets of the batch."""
        if self.free is None:
            return super().loss(batch, generator)
        states, targets = self.read(batch)
        users = batch.users[:, None].expand_as(batch.targets)[batch.targets >= 0]
        draws = torch.Generator().manual_seed(axis_seed(batch.seed, "negatives"))
        others = self.free.draw(users, 1, draws)[:, 0]
        table = self.module.table()
        right, wrong = ((states * table.index_select(0, items)).sum(dim=1) for items in (targets, others))
        weights = torch.ones_like(right)
        return weighted_logistic(right, weights, wrong, weights / len(weights))
