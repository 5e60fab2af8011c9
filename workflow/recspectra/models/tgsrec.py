"""TGSRec: attention over the graph of users and items, with codes of time (Fan et al., CIKM 2021).

Layer l makes the state of a node v at time t from those below, of v and of its neighbours n:

    h_v^(l)(t) = merge(attention of [h_v^(l-1)(t); Phi(0)] over [h_n^(l-1)(t_n); Phi(t - t_n)])

Phi is a code of the time that has passed, h_v^(0) a free vector. Histories here come without
times and all items are ranked, so this is an adaptation: time is the position in the history.
In layer 1 the items of the history attend to their users and the user attends to the items'
free vectors; in layer 2 the user asks with that state and attends to the items' states. The
paper scores with an item's own state at the time of the query, which would have to be made
anew for every query: here the item's vector is the free one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from recspectra.data.interactions import Interactions
from recspectra.layers.sequential import EPS, Dropout, Frame, SequenceModel
from recspectra.recommender import Run, Task
from recspectra.runtime import axis_seed
from recspectra.training.losses import full_softmax
from recspectra.training.sequences import SequenceBatch

ITEMS = 4096  # items whose users are attended to at once outside of training


class TGSRec(SequenceModel):
    """Scores are <h_u^(2)(t), e_i>, the user's state after two layers and items' free vectors."""

    targets = "all"
    state_names = ("neighbours",)
    needs_known_users = True

    def prepare(self, task: Task, run: Run) -> None:
        """Choose the users that each item attends to."""
        super().prepare(task, run)
        key = ("tgsrec-neighbours", self.params.neighbours, run.seed)
        seed = axis_seed(run.seed, "neighbours")
        self.neighbours = task.shared(key, lambda: neighbours_of(task.train, self.params.neighbours, seed))

    def build(self) -> Temporal:
        """Return the network."""
        p = self.params
        users = torch.as_tensor(np.array(self.neighbours), dtype=torch.int64)
        return Temporal(
            int(self.shape[0]), int(self.shape[1]), p.max_len, p.dimensions, p.heads, p.hidden, p.dropout,
            users if p.item_layer == "on" else None,
        )  # fmt: skip

    def loss(self, batch: SequenceBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the cross-entropy of all targets under a softmax over all items."""
        torch.manual_seed(batch.seed)
        seen, places = torch.unique(batch.inputs, return_inverse=True)
        states = self.module(batch.users, batch.inputs, self.module.item_states(seen)[places], last=False)
        there = batch.targets >= 0
        return full_softmax(states[there], self.module.table(), batch.targets[there])

    def refresh(self) -> None:
        """Keep the states of all items (and of padding) after layer 1."""
        ids = torch.arange(int(self.shape[1]) + 1, device=self.device)
        self._items = torch.cat([self.module.item_states(part) for part in ids.split(ITEMS)])

    def last_states(self, users: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Return the states of the users after their last item."""
        return self.module(users, inputs, self._items[inputs])


def neighbours_of(train: Interactions, count: int, seed: int) -> np.ndarray:
    """Return users of each item, int64 (n + 1, count), filled up with m; row n is padding's.

    The latest ones where the data have times, otherwise a random choice.
    """
    train = train.distinct  # a user who came back is one of the item's users once
    lateness = train.times if train.times is not None else np.random.default_rng(seed).random(train.nnz)
    order = np.lexsort((-lateness, train.items))
    items = train.items[order]
    starts = np.searchsorted(items, np.arange(train.n_items))
    rank = np.arange(len(items)) - starts[items]
    found = np.full((train.n_items + 1, count), train.n_users, dtype=np.int64)
    kept = rank < count
    found[items[kept], rank[kept]] = train.users[order][kept]
    return found


class Temporal(nn.Module):
    """Two layers of attention on the graph; items are asked for after the first, users after both.

    Parameters
    ----------
    n_users, n_items, max_len : int
        m, n and L. Row m of users and row n of items are padding.
    dimensions, heads, hidden : int
        d of all vectors and codes, parts of the attention, width of the merging layers.
    dropout : float
        Rate of attention weights and outputs.
    neighbours : int64 tensor, shape (n + 1, S), or None
        Users of each item; None leaves layer 1 out.
    """

    def __init__(
        self, n_users: int, n_items: int, max_len: int, dimensions: int, heads: int, hidden: int,
        dropout: float, neighbours: torch.Tensor | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.n_users, self.n_items = n_users, n_items
        self.users = nn.Embedding(n_users + 1, dimensions)
        self.items = nn.Embedding(n_items + 1, dimensions)
        nn.init.normal_(self.users.weight, std=0.02)
        nn.init.normal_(self.items.weight, std=0.02)
        self.register_buffer("neighbours", neighbours, persistent=False)
        self.first, self.second = (Gather(dimensions, heads, hidden, dropout) for _ in range(2))
        self.frequency = nn.Parameter(max_len ** -torch.linspace(0, 1, dimensions))
        self.phase = nn.Parameter(torch.zeros(dimensions))
        self.outward = nn.LayerNorm(dimensions, eps=EPS)

    def table(self) -> torch.Tensor:
        """Return the free vectors of items, shape (n, d)."""
        return self.items.weight[: self.n_items]

    def ages(self, count: int) -> torch.Tensor:
        """Return the codes cos(w a + phase) of the ages a = 0 .. count - 1, shape (count, d)."""
        ages = torch.arange(count, device=self.phase.device)
        return torch.cos(ages[:, None] * self.frequency + self.phase)

    def item_states(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the states of some items after layer 1, shape (len(ids), d)."""
        vectors = self.items(ids)
        if self.neighbours is None:
            return vectors
        users = self.neighbours[ids]
        there = (users < self.n_users)[:, None, None, :]
        return self.first(vectors[:, None], self.users(users), self.ages(1), there)[:, 0]

    def forward(
        self, users: torch.Tensor, inputs: torch.Tensor, states: torch.Tensor, last: bool = True
    ) -> torch.Tensor:
        """Return the users' states after the last column, (b, d), or after each one, (b, t, d).

        Parameters
        ----------
        users : int64 tensor, shape (b,)
        inputs : int64 tensor, shape (b, t)
            Left-padded ids.
        states : tensor, shape (b, t, d)
            States of the inputs after layer 1.
        last : bool
            Whether the last column alone is wanted.
        """
        frame, codes = Frame.of(inputs, self.n_items, causal=True), self.ages(inputs.shape[1])
        attend = frame.attend[:, :, -1:] if last else frame.attend
        asking = self.first(self.users(users)[:, None], self.items(inputs), codes, attend, aged=True)
        found = self.outward(self.second(asking, states, codes, attend, aged=True))
        return found[:, 0] if last else found


class Gather(nn.Module):
    """Attention of states v over others, each with a code of its age, merged with v.

    a_s = softmax_s((Q v + Q' code(0)) (K_s + K' code(age_s)) / sqrt(d_h)),
    out = LN(v + W_o sum_s a_s (V_s + V' code(age_s))), merged = W_2 relu(W_1 [out; v]).
    What is asked at column t of what stands at column s has age t - s, so codes enter as
    products with one row per age, not with one per pair.

    Parameters
    ----------
    dimensions, heads, hidden : int
        d, parts of the attention and width of the merging layer.
    dropout : float
        Rate of weights and output.
    """

    def __init__(self, dimensions: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.now, self.outward = (nn.Linear(dimensions, dimensions, bias=False) for _ in range(3))
        self.pairs, self.codes = (nn.Linear(dimensions, 2 * dimensions, bias=False) for _ in range(2))
        self.norm, self.dropout = nn.LayerNorm(dimensions, eps=EPS), Dropout(dropout)
        self.merge = nn.Sequential(
            nn.Linear(2 * dimensions, hidden), nn.ReLU(), nn.Linear(hidden, dimensions)
        )

    def forward(
        self, asking: torch.Tensor, others: torch.Tensor, codes: torch.Tensor, attend: torch.Tensor,
        aged: bool = False,
    ) -> torch.Tensor:  # fmt: skip
        """Return the merged states, shape (b, q, d).

        Parameters
        ----------
        asking : tensor, shape (b, q, d) or (b, 1, d)
            What asks at each of the last q columns, or at all of them.
        others : tensor, shape (b, t, d)
        codes : tensor, shape (a, d)
            Code of each age; the first one is that of the query.
        attend : bool tensor, shape (b, 1, q, t)
            What each column may look at.
        aged : bool
            Whether the ages of the others are known; they count for nothing where they are not.
        """
        split = (self.heads, -1)
        query = self.query(asking) + self.now(codes[0])
        query = query.unflatten(2, split).transpose(1, 2) * (query.shape[2] / self.heads) ** -0.5
        key, value = (x.unflatten(2, split).transpose(1, 2) for x in self.pairs(others).chunk(2, dim=2))
        scores = query @ key.transpose(2, 3)
        if aged:
            ages = _ages(*attend.shape[2:], others.device)
            code_key, code_value = (
                x.unflatten(1, split).transpose(0, 1) for x in self.codes(codes).chunk(2, dim=1)
            )
            scores = scores + _by_age(query @ code_key.transpose(1, 2), ages)
        weights = self.dropout(_softmax(scores, attend))
        found = weights @ value
        if aged:
            found = found + torch.einsum("bhts,htsd->bhtd", weights, code_value[:, ages])
        found = self.dropout(self.outward(found.transpose(1, 2).flatten(2)))
        asking = asking.expand_as(found)
        return self.merge(torch.cat([self.norm(asking + found), asking], dim=2))


def _by_age(products: torch.Tensor, ages: torch.Tensor) -> torch.Tensor:
    """Return the products at the age of each pair: (b, h, q or 1, a) and (q, t) to (b, h, q, t)."""
    shape = (*products.shape[:2], *ages.shape)
    return products.expand(*shape[:3], -1).gather(3, ages.expand(shape))


def _ages(asked: int, size: int, device: torch.device) -> torch.Tensor:
    """Return max(0, t - s) of the last `asked` of `size` columns t and all columns s, int64."""
    places = torch.arange(size, device=device)
    return (places[size - asked :, None] - places).clamp(min=0)


def _softmax(scores: torch.Tensor, attend: torch.Tensor) -> torch.Tensor:
    """Return weights over what may be looked at; all zero where there is nothing."""
    lowest = torch.finfo(scores.dtype).min
    weights = functional.softmax(scores.masked_fill(~attend, lowest), dim=3)
    return weights * attend
