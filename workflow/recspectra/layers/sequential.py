"""What models share that read a user's history in order and predict the next item.

The backbone is that of SASRec and its successors: vectors of items and of positions, blocks
of a mixer over time and a feed-forward layer, the state of the last column, and its products
with the same vectors of items. Histories are left-padded to `max_len` columns, so a position
counts from the end. Columns that are padding in all rows of a batch are left out; this changes
nothing, because attention does not see padding and filters see zeros there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from recspectra.layers.trained import Trained, given
from recspectra.recommender import History, Refused, Run, Task, refuse_without_order
from recspectra.spectral.places import Array
from recspectra.training.losses import full_softmax
from recspectra.training.sequences import SequenceBatch, Sequences, left_padded

ROWS = 256  # histories of similar length that are encoded at once in `score`
EPS = 1e-12


class SequenceModel(Trained):
    """A model whose user vector is the last state of an encoder of the user's history.

    A subclass defines `build`: a module that maps inputs, int64 (b, t), to last states,
    (b, d), or with `last=False` to the states of all columns, (b, t, d), and that has
    `table()`, shape (n, d). Its YAML must have `max_len` and `batch_size`.

    Attributes
    ----------
    targets : {"all", "prefix"}
        How it is trained: on all columns at once where no state looks ahead, else on one
        target per row.
    """

    targets: ClassVar[str] = "prefix"

    @property
    def trims(self) -> bool:
        """Whether padding that all rows share may be left out."""
        return getattr(self.params, "pads", "zero") == "zero"

    def prepare(self, task: Task, run: Run) -> None:
        """Refuse data without order, data in which nothing follows, and sizes that do not fit together."""
        refuse_without_order(task, type(self).__name__)
        heads, dimensions = getattr(self.params, "heads", 1), self.params.dimensions
        if dimensions % heads:
            raise Refused(f"{heads} heads do not divide {dimensions} dimensions")

    def batches(self, task: Task) -> Sequences:
        """Return histories and what follows them."""
        p = self.params
        return Sequences(
            task.train, p.max_len, p.batch_size, str(self.device), self.targets, p.windows, self.trims
        )

    def loss(self, batch: SequenceBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the cross-entropy of the targets under a softmax over all items."""
        states, targets = self.read(batch)
        return full_softmax(states, self.module.table(), targets)

    def read(self, batch: SequenceBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the states after which something is predicted, (p, d), and what, int64 (p,)."""
        torch.manual_seed(batch.seed)  # of dropout, also inside fused attention
        if self.targets == "all":
            there = batch.targets >= 0
            return self.module(batch.inputs, last=False)[there], batch.targets[there]
        return self.module(batch.inputs), batch.targets[:, -1]

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the products of the last states and the items' vectors."""
        inputs = left_padded(history.indptr, history.items, self.params.max_len, int(self.shape[1]))
        with torch.no_grad():
            states = self.encode(torch.as_tensor(users, dtype=torch.int64), inputs)
            return given((states @ self.module.table().T).float())

    def encode(self, users: torch.Tensor, inputs: torch.Tensor, rows: int = ROWS) -> torch.Tensor:
        """Return the last states of left-padded histories, shape (b, d).

        Histories of similar length go through the encoder together, `rows` at a time, so that
        little of the work is padding. An empty one is read as a single column of padding.
        """
        lengths = (inputs != int(self.shape[1])).sum(dim=1).cpu()
        order, states = torch.argsort(lengths, stable=True), []
        for part in order.split(rows):
            width = max(1, int(lengths[part].max())) if self.trims else inputs.shape[1]
            columns = inputs[part.to(inputs.device), -width:].to(self.device)
            states.append(self.last_states(users[part.to(users.device)].to(self.device), columns))
        return torch.cat(states)[torch.argsort(order).to(self.device)]

    def last_states(self, users: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Return the last states of some users with these inputs, shape (b, d)."""
        return self.module(inputs)


@dataclass(frozen=True)
class Frame:
    """What the mixers of a batch need to know of its columns.

    Attributes
    ----------
    real : bool tensor, shape (b, t)
        Which columns hold items.
    attend : bool tensor, shape (b, 1, t, t)
        Which columns a column may look at; always itself, so no softmax is empty.
    """

    real: torch.Tensor
    attend: torch.Tensor

    @classmethod
    def of(cls, inputs: torch.Tensor, pad: int, causal: bool) -> Frame:
        """Return the frame of left-padded inputs, shape (b, t)."""
        real, t = inputs != pad, inputs.shape[1]
        seen = real[:, None, None, :]
        if causal:
            seen = seen & torch.ones(t, t, dtype=torch.bool, device=inputs.device).tril()
        return cls(real, seen | torch.eye(t, dtype=torch.bool, device=inputs.device))


class Encoder(nn.Module):
    """Vectors of items plus those of positions, layer norm, dropout, then blocks.

    Parameters
    ----------
    n_items : int
        n; row n of the table is padding, what follows are further tokens.
    max_len : int
        L. The last of t columns has position L - 1, the first L - t.
    dimensions : int
        d.
    dropout : float
        Rate after the embedding.
    blocks : list of modules
        Each maps (states, frame, last) to states.
    causal : bool
        Whether a column may look at later ones.
    zero_pads : bool
        Whether the states of padding are held at zero.
    tokens : int
        Ids beyond items and padding.
    """

    def __init__(
        self, n_items: int, max_len: int, dimensions: int, dropout: float, blocks: list[nn.Module],
        causal: bool = True, zero_pads: bool = False, tokens: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.n_items, self.max_len, self.causal, self.zero_pads = n_items, max_len, causal, zero_pads
        self.items = nn.Embedding(n_items + 1 + tokens, dimensions)
        self.positions = nn.Embedding(max_len, dimensions)
        self.norm, self.dropout = nn.LayerNorm(dimensions, eps=EPS), Dropout(dropout)
        self.blocks = nn.ModuleList(blocks)
        self.apply(_initialise)

    def table(self) -> torch.Tensor:
        """Return the vectors of items, shape (n, d)."""
        return self.items.weight[: self.n_items]

    def forward(self, inputs: torch.Tensor, last: bool = True) -> torch.Tensor:
        """Return the last states, shape (b, d), or those of all columns, shape (b, t, d).

        The last block computes the last column alone where no other is asked for.
        """
        frame = Frame.of(inputs, self.n_items, self.causal)
        places = self.positions.weight[self.max_len - inputs.shape[1] :]
        x = self.dropout(self.norm(self.items(inputs) + places))
        for depth, block in enumerate(self.blocks, 1):
            x = x * frame.real[:, :, None] if self.zero_pads else x
            x = block(x, frame, last and depth == len(self.blocks))
        return x[:, -1] if last else x


def _initialise(module: nn.Module) -> None:
    """N(0, 0.02^2) for matrices, zero for biases, as in BERT."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class Block(nn.Module):
    """A mixer over time, then y = LN(x + dropout(W_2 gelu(W_1 x))).

    Parameters
    ----------
    mixer : module
        Maps (states, frame, last) to states, its own residual and norm included; with
        `last` to the last column alone, shape (b, 1, d).
    dimensions, hidden : int
        Widths d and h of the feed-forward layer.
    dropout : float
        Rate before the residual.
    """

    def __init__(self, mixer: nn.Module, dimensions: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.mixer = mixer
        self.feed = nn.Sequential(
            nn.Linear(dimensions, hidden), nn.GELU(), nn.Linear(hidden, dimensions), Dropout(dropout)
        )
        self.norm = nn.LayerNorm(dimensions, eps=EPS)

    def forward(self, x: torch.Tensor, frame: Frame, last: bool) -> torch.Tensor:
        """Return the states after the block."""
        x = self.mixer(x, frame, last)
        return self.norm(x + self.feed(x))


class Attention(nn.Module):
    """Multi-head attention with residual and norm: LN(x + dropout(W_o softmax(Q K^T / sqrt(d_h)) V)).

    Parameters
    ----------
    dimensions, heads : int
        d, and how many parts of d / heads it is split into.
    dropout : float
        Rate of the attention weights and of the output.
    """

    def __init__(self, dimensions: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.inward = nn.Linear(dimensions, 3 * dimensions)
        self.outward = nn.Linear(dimensions, dimensions)
        self.norm, self.dropout = nn.LayerNorm(dimensions, eps=EPS), Dropout(dropout)

    def forward(self, x: torch.Tensor, frame: Frame, last: bool) -> torch.Tensor:
        """Return the attended states."""
        asked, attend = (x[:, -1:], frame.attend[:, :, -1:]) if last else (x, frame.attend)
        query, key, value = self.projections(x, asked)
        return self.close(asked, attended(query, key, value, attend, self.dropout))

    def projections(
        self, x: torch.Tensor, asked: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries of `asked` and keys and values of `x`, shapes (b, heads, t, d / heads)."""
        d = x.shape[2]
        weight, bias = self.inward.weight, self.inward.bias
        if asked is x:
            parts = self.inward(x).chunk(3, dim=2)
        else:
            query = functional.linear(asked, weight[:d], bias[:d])
            parts = (query, *functional.linear(x, weight[d:], bias[d:]).chunk(2, dim=2))
        return tuple(part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)

    def close(self, asked: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """Join the heads, (b, heads, t, d / heads), project, add to `asked` and normalise."""
        joined = mixed.transpose(1, 2).flatten(2)
        return self.norm(asked + self.dropout(self.outward(joined)))


def attended(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attend: torch.Tensor, dropout: Dropout
) -> torch.Tensor:
    """Return softmax(Q K^T / sqrt(d_h)) V with dropout of the weights, shape of `query`.

    Torch's fused kernel, unless weights are dropped on a CPU: there it is slower than its parts.
    """
    rate = dropout.rate if dropout.training else 0.0
    if not rate or query.device.type != "cpu":
        return functional.scaled_dot_product_attention(query, key, value, attend, rate)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    weights = scores.masked_fill(~attend, float("-inf")).softmax(dim=3)
    return dropout(weights) @ value


class Dropout(nn.Module):
    """Dropout that costs little on a CPU, where torch's own takes longer than the layers around it.

    There the rate is rounded to a multiple of 1/256, so that one random byte decides on an
    entry; what is kept is scaled by the rounded rate, so the mean is exact. Draws come from
    torch's global generator.

    Parameters
    ----------
    rate : float
        Share of entries that become zero.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` with some entries zero and the others scaled up; `x` itself outside of training."""
        if not self.training or not self.rate:
            return x
        return functional.dropout(x, self.rate) if x.device.type != "cpu" else x * _kept(x.shape, self.rate)


def _kept(shape: torch.Size, rate: float) -> torch.Tensor:
    """Return a mask of zeros and 1 / (1 - rate), float32, on the CPU."""
    dropped = min(255, round(256 * rate))
    words = torch.empty((shape.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    kept = words.numpy().view(np.uint8)[: shape.numel()] >= dropped
    return torch.from_numpy(kept.view(np.uint8)).float().mul_(256.0 / (256 - dropped)).view(shape)


class Rescaled(nn.Module):
    """Two bands of the states over time, the higher one rescaled: LN(x + dropout(A x + beta^2 B x)).

    A and B are fixed L x L matrices over time; beta is learned for each channel.

    Parameters
    ----------
    low, high : float32 tensors, shape (L, L)
        A and B. Of t < L columns the last t rows and columns count.
    dimensions : int
        d.
    dropout : float
        Rate before the residual.
    through : bool
        Whether gradients pass through A and B.
    """

    def __init__(
        self, low: torch.Tensor, high: torch.Tensor, dimensions: int, dropout: float, through: bool = True
    ) -> None:
        super().__init__()
        self.register_buffer("bands", torch.stack([low, high]), persistent=False)
        self.beta = nn.Parameter(torch.randn(dimensions))
        self.norm, self.dropout, self.through = nn.LayerNorm(dimensions, eps=EPS), Dropout(dropout), through

    def forward(self, x: torch.Tensor, frame: Frame, last: bool) -> torch.Tensor:
        """Return the rescaled states."""
        t = x.shape[1]
        bands = self.bands[:, -1:, -t:] if last else self.bands[:, -t:, -t:]
        low, high = (band @ (x if self.through else x.detach()) for band in bands)
        return self.norm((x[:, -1:] if last else x) + self.dropout(low + self.beta**2 * high))
