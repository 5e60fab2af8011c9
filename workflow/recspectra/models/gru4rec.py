"""GRU4Rec: a recurrent network over the history (Hidasi et al., ICLR 2016)."""

from __future__ import annotations

import torch
from torch import nn

from recspectra.layers.sequential import Dropout, SequenceModel


class GRU4Rec(SequenceModel):
    """GRU states, projected to the items' space, trained on all positions by a softmax over all items."""

    targets = "all"

    def build(self) -> Recurrent:
        """Return the network."""
        p = self.params
        return Recurrent(int(self.shape[1]), p.dimensions, p.hidden, p.layers, p.dropout)


class Recurrent(nn.Module):
    """h_t = GRU(h_{t-1}, dropout(e_t)); the state of column t is W h_t + b.

    Parameters
    ----------
    n_items : int
        n; row n of the table is padding.
    dimensions, hidden : int
        d of the items' vectors and the width of the recurrent states.
    layers : int
        Recurrent layers.
    dropout : float
        Rate of the items' vectors.
    """

    def __init__(self, n_items: int, dimensions: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.n_items = n_items
        self.items = nn.Embedding(n_items + 1, dimensions)
        self.dropout = Dropout(dropout)
        self.recurrent = nn.GRU(dimensions, hidden, layers, batch_first=True)
        self.outward = nn.Linear(hidden, dimensions)
        nn.init.xavier_normal_(self.items.weight)

    def table(self) -> torch.Tensor:
        """Return the vectors of items, shape (n, d)."""
        return self.items.weight[: self.n_items]

    def forward(self, inputs: torch.Tensor, last: bool = True) -> torch.Tensor:
        """Return the last states, shape (b, d), or those of all columns, shape (b, t, d).

        Rows are moved to the left, so that the network starts at the first item; columns
        before it get the first state.
        """
        t = inputs.shape[1]
        pads = (inputs == self.n_items).sum(dim=1, keepdim=True).clamp(max=t - 1)
        columns = torch.arange(t, device=inputs.device)
        moved = torch.gather(inputs, 1, (columns + pads).clamp(max=t - 1))
        states, _ = self.recurrent(self.dropout(self.items(moved)))
        back = columns[-1:] - pads if last else (columns - pads).clamp(min=0)
        chosen = torch.gather(states, 1, back[:, :, None].expand(-1, -1, states.shape[2]))
        return self.outward(chosen[:, 0] if last else chosen)
