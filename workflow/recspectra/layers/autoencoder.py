"""What models share that reconstruct a user's row from itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from recspectra.layers.trained import Trained, given
from recspectra.recommender import History, Task
from recspectra.spectral.places import Array
from recspectra.training.batches import RowBatch, UserRows
from recspectra.training.losses import multinomial
from recspectra.training.rows import RowsLayer, SparseRows


class Coder(nn.Module):
    """Encoder n - hidden - code and decoder dimensions - hidden - n, tanh in between.

    Parameters
    ----------
    items : int
        Number of items n.
    hidden : int
        Units of the layer on either side of the code; 0 leaves both layers out.
    dimensions : int
        Length d of what the decoder takes.
    parts : int
        The code has as many numbers for each of them: 2 for a mean and a variance.
    """

    def __init__(self, items: int, hidden: int, dimensions: int, parts: int = 1) -> None:
        super().__init__()
        self.first = RowsLayer(items, hidden or parts * dimensions)
        self.code = RowsLayer(hidden, parts * dimensions) if hidden else None
        self.inner = RowsLayer(dimensions, hidden) if hidden else None
        self.last = last_layer(hidden or dimensions, items)

    def encode(self, rows: SparseRows | torch.Tensor) -> torch.Tensor:
        """Return the code before any activation, shape (b, parts * d)."""
        first = self.first(rows)
        return first if self.code is None else self.code(torch.tanh(first))

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        """Return the input of the last layer."""
        return code if self.inner is None else torch.tanh(self.inner(code))


def last_layer(inputs: int, items: int) -> nn.Linear:
    """Return a layer onto all items that starts as `RowsLayer` does."""
    layer = nn.Linear(inputs, items)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.trunc_normal_(layer.bias, std=1e-3, a=-2e-3, b=2e-3)
    return layer


class Autoencoder(Trained):
    """A model that learns to reconstruct corrupted rows; scores come of the history as it is.

    A subclass defines `build`, whose module has a layer `last` onto all items, and
    `reconstruct`. Who was not trained on is scored like anybody else.
    """

    def batches(self, task: Task) -> UserRows:
        """Return users' rows."""
        return UserRows(task.train, self.params.batch_size, str(self.device))

    def corrupt(self, rows: SparseRows, generator: torch.Generator) -> SparseRows | torch.Tensor:
        """Return what the network sees of a batch in training: rows of length 1 with dropout."""
        return rows.normalised().dropped(self.params.dropout, generator)

    def reconstruct(self, rows: SparseRows | torch.Tensor) -> torch.Tensor:
        """Return the input of the last layer, shape (b, h)."""
        raise TypeError(f"{type(self).__name__} must define reconstruct")

    def loss(self, batch: RowBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the multinomial loss of the rows, given the corrupted ones."""
        rows = SparseRows.of(batch, int(self.shape[1]))
        hidden = self.reconstruct(self.corrupt(rows, generator))
        return multinomial(hidden, self.module.last.weight, self.module.last.bias, rows)

    @torch.no_grad()
    def score(self, users: np.ndarray, history: History) -> Array:
        """Return what the last layer makes of the histories, shape (b, n)."""
        return given(self.module.last(self.represent(users, history)))

    def represent(self, users: np.ndarray, history: History) -> torch.Tensor:
        """Return the input of the last layer for some users."""
        return self.reconstruct(SparseRows.from_matrix(history.matrix, self.device).normalised())
