"""CDAE: collaborative denoising autoencoder (Wu et al., WSDM 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from recspectra.data.interactions import Interactions
from recspectra.layers.autoencoder import Autoencoder, last_layer
from recspectra.recommender import History, Task
from recspectra.training.batches import RowBatch, UserRows
from recspectra.training.losses import logistic, sampled_logistic, squares
from recspectra.training.rows import RowsLayer, SparseRows
from recspectra.training.sampling import Complement

ACTIVATIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "none": lambda x: x}


@dataclass(frozen=True)
class SampledRows:
    """Rows of some users with sampled items that are not in them.

    Attributes
    ----------
    rows : RowBatch
        Who and what.
    negatives : int64 tensor, shape (nnz of the batch, k)
        k items for each entry of the rows; with k = 0, all others are meant.
    """

    rows: RowBatch
    negatives: torch.Tensor


class RowsAndNegatives:
    """Shuffled batches of users' rows, each entry with sampled items that its user has not.

    Parameters
    ----------
    train : Interactions
        The rows, and what a sampled item must not be in.
    batch_size : int
        Users per batch.
    device : str
        Where the index arrays live.
    negatives : int
        Sampled items k of an entry; 0 samples none.
    """

    def __init__(self, train: Interactions, batch_size: int, device: str, negatives: int) -> None:
        self.rows, self.negatives = UserRows(train, batch_size, device), negatives
        self.free = Complement(train, device) if negatives else None

    def __call__(self, generator: torch.Generator) -> Iterator[SampledRows]:
        """Yield every user once; all draws come from `generator` (a CPU generator)."""
        for batch in self.rows(generator):
            yield SampledRows(batch, self._draw(batch, generator))

    def _draw(self, batch: RowBatch, generator: torch.Generator) -> torch.Tensor:
        if self.free is None:
            return batch.items.new_zeros(len(batch.items), 0)
        owners = torch.repeat_interleave(batch.users, batch.lengths)
        return self.free.draw(owners, self.negatives, generator)


class Network(nn.Module):
    """h = f(x W + v_u + b), scores V h + c.

    Parameters
    ----------
    users, items : int
        Numbers m and n.
    dimensions : int
        Units d of the hidden layer.
    """

    def __init__(self, users: int, items: int, dimensions: int) -> None:
        super().__init__()
        self.first = RowsLayer(items, dimensions)
        self.users = nn.Parameter(0.01 * torch.randn(users, dimensions))
        self.last = last_layer(dimensions, items)


class CDAE(Autoencoder):
    """h_u = f(x~_u W + v_u + b) from the row with dropout and a vector of the user; s = V h_u + c.

    The loss of a user is the sum of -log sigmoid(s_i) over its items and of
    -log sigmoid(-s_j) over all others, or over `negatives` sampled ones for each item.
    `regularization` weighs the squares of W, V, b, c and, averaged over the batch, of v_u.
    """

    needs_known_users = True

    def build(self) -> Network:
        """Return the network."""
        return Network(*map(int, self.shape), self.params.dimensions)

    def batches(self, task: Task) -> RowsAndNegatives:
        """Return users' rows, with negatives where they are sampled."""
        p = self.params
        negatives = p.negatives if p.loss == "sampled" else 0
        return RowsAndNegatives(task.train, p.batch_size, str(self.device), negatives)

    def corrupt(self, rows: SparseRows, generator: torch.Generator) -> SparseRows:
        """Return the rows with dropout."""
        return rows.dropped(self.params.dropout, generator)

    def hidden(self, rows: SparseRows, users: torch.Tensor) -> torch.Tensor:
        """Return h, shape (b, d)."""
        return ACTIVATIONS[self.params.activation](self.module.first(rows) + self.module.users[users])

    def loss(self, batch: SampledRows, generator: torch.Generator) -> torch.Tensor:
        """Return the mean loss of users and the penalty."""
        net, users = self.module, batch.rows.users
        rows = SparseRows.of(batch.rows, int(self.shape[1]))
        h = self.hidden(self.corrupt(rows, generator), users)
        if self.params.loss == "all":
            loss = logistic(h, net.last.weight, net.last.bias, rows)
        else:
            loss = sampled_logistic(h, net.last.weight, net.last.bias, rows, batch.negatives)
        penalty = squares(net.first.weight, net.first.bias, net.last.weight, net.last.bias)
        return loss + self.params.regularization * (penalty + squares(net.users[users]) / len(users))

    def represent(self, users: np.ndarray, history: History) -> torch.Tensor:
        """Return h for the histories and the users' own vectors."""
        ids = torch.as_tensor(users, dtype=torch.int64, device=self.device)
        return self.hidden(SparseRows.from_matrix(history.matrix, self.device), ids)
