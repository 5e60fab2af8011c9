"""WPGRec: wavelet packets of histories, filtered on the graph of users and items (2026).

A history becomes B = 2^l bands of the same length, attention sums each band up to a vector
of its user, these vectors and those of the items pass Chebyshev filters on the user-item
graph band by band, and a gate that looks at energy and spectral flatness mixes the bands.

The paper trains on targets whose edges are in the graph, and its printed workflow summarises
every user anew for every batch. `graph` and `summaries` say what is done about the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from recspectra.config.base import ConfigError
from recspectra.data.interactions import Interactions
from recspectra.layers.swpt import FLOOR, Packets, energy, table_gigabytes
from recspectra.layers.trained import Trained, given
from recspectra.layers.wpgrec_cached import Kept, filtered_as_kept
from recspectra.layers.wpgrec_graph import (
    Cross,
    Replaced,
    all_user_rows,
    collapsed,
    filtered,
    item_rows,
    layer_by_layer,
    user_rows,
    walks,
)
from recspectra.recommender import History, Refused, Run, Task, refuse_without_order
from recspectra.spectral.places import Array
from recspectra.training.loop import LoopSettings
from recspectra.training.losses import full_softmax
from recspectra.training.sequences import Sequences, left_padded, windows_of

ROWS = 32  # sequences of similar length that are summarised at once
MANY = 512  # the same, where all users are
WALK_CELLS = 4_000_000  # entries of a block of walks, when users are scored
TABLE_GB = 2.0
GAIN = 0.7  # of the layer norms at the start: vectors share directions, and logits then vary by more than 1
CHECKED = (1, 10, 100, 1000)  # epochs after which cached and exact gradients are compared


@dataclass(frozen=True)
class QueryBatch:
    """Users at a moment of their past.

    Attributes
    ----------
    users : int64 tensor, shape (b,)
        None occurs twice.
    inputs : int64 tensor, shape (b, L)
        Their newest items at that moment, left-padded with n.
    linked : int64 tensor, shape (b, t)
        All their items at that moment, padded with n.
    targets : int64 tensor, shape (b,)
        What came next.
    last : bool
        Whether this is the last batch of an epoch.
    """

    users: torch.Tensor
    inputs: torch.Tensor
    linked: torch.Tensor
    targets: torch.Tensor
    last: bool


class WPGRec(Trained):
    """z_u = LN(W_f sum_b g_u^b h_u^b), z_i = LN(W_f mean_b h_i^b), scores <z_u, z_i> (/ sqrt(d)).

    Attributes
    ----------
    indptr, items : arrays
        The training sequences: the graph and the summaries of its users follow from them.
    """

    state_names = ("indptr", "items")
    needs_known_users = True
    module: WPGRecModule

    # ------------------------------------------------------------------------ training

    def prepare(self, task: Task, run: Run) -> None:
        """Refuse what cannot be learned from, keep the sequences."""
        p = self.params
        refuse_without_order(task, "WPGRec")
        self.indptr, self.items = task.train.indptr, task.train.items
        self.exact = p.summaries == "exact" or (p.summaries == "auto" and self.device.type != "cpu")
        self.notes = {"gradient_cosine": []}

    def build(self) -> nn.Module:
        """Return the module; the graph, which follows from the data, is made beside it."""
        p = self.params
        train = Interactions(self.indptr, self.items, None, int(self.shape[1]))
        self.cross = Cross(train, self.device)
        # What users and edges are while targets are predicted: without the targets, or not.
        self.past = Cross(_without_last(train), self.device) if p.graph == "last-only" else self.cross
        longest = p.max_len + 2 * p.tokens
        if (needed := table_gigabytes(p.levels, longest)) > TABLE_GB:
            raise Refused(f"the bands of {longest} steps need {needed:.1f} GB, more than {TABLE_GB:g} GB")
        try:
            packets = Packets(p.wavelet, p.levels, longest, p.extension, p.band_order, self.device)
        except ConfigError as error:
            raise Refused(str(error)) from None
        return WPGRecModule(int(self.shape[1]), p, packets)

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Train; the log says how others' summaries were had, and what that did to gradients."""
        log = super().fit(task, run)
        return log | {
            "summaries": "exact" if self.exact else "cached",
            "gradient_cosine": self.notes["gradient_cosine"],
            "bands": self.band_statistics(),
        }

    def band_statistics(self) -> list[dict[str, Any]]:
        """Return what the gate sees and gives in each band, over the users that have a history.

        Returns
        -------
        list of dict
            In the order of frequency: `low` and `high` (ends of the band in cycles per step), and
            mean and standard deviation over users of `energy` (share of the energy of all bands),
            `flatness` (in (0, 1]) and `gate` (weights, which sum to 1 over the bands).
        """
        users = np.flatnonzero(np.diff(self.indptr) > 0)
        sequences = self.cross.sequences(torch.as_tensor(users, device=self.device), self.params.max_len)
        with torch.no_grad():
            found = self.module.looked_at(sequences)
        places, width = self.module.packets.positions, 0.5 / self.module.packets.bands
        rows: list[dict[str, Any]] = [{}] * len(places)
        for band, place in enumerate(places.tolist()):
            row: dict[str, Any] = {"low": place * width, "high": (place + 1) * width}
            for name, values in zip(("energy", "flatness", "gate"), found, strict=True):
                row[name] = float(values[:, band].mean())
                row[f"{name}_sd"] = float(values[:, band].std(correction=0))
            rows[place] = row
        return rows

    def batches(self, task: Task) -> Prefixes:
        """Return batches of users, each at a moment of its past."""
        return Prefixes(self, task.train)

    def loss(self, batch: QueryBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the mean cross-entropy plus the gate penalty."""
        if batch.last and not self.exact and int(self.module.epochs) in CHECKED:
            point = [int(self.module.epochs), self.gradient_cosine(batch, generator)]
            self.notes["gradient_cosine"].append(point)
        return self.batch_loss(batch, generator, self.exact)

    def batch_loss(self, batch: QueryBatch, generator: torch.Generator, exact: bool) -> torch.Tensor:
        """Return the loss with the summaries of all other users computed anew, or as cached."""
        module, p = self.module, self.params
        others = self.everyone(self.past) if exact else self.kept.summaries
        summaries, gates = module.summarise(batch.inputs, generator)
        # Cut from what is in the graph, unless the paper is read to the letter.
        rows = self.past.rows_of(batch.linked) if p.graph == "query" else self.past.rows(batch.users)
        graph = Replaced(self.past, batch.users, rows)
        if p.propagation == "layers":
            h, items = layer_by_layer(graph, summaries, others, module.items, module.theta)
        elif exact or not self.kept.reached:
            h, items = filtered(graph, summaries, others, module.items, module.theta)
        else:
            h, items = filtered_as_kept(graph, summaries, self.kept, module.items, module.theta)
        users, items = module.user_vectors(h, gates), module.item_vectors(items)
        return full_softmax(users, items, batch.targets) + p.gate_weight * self._gate_penalty(gates)

    def _gate_penalty(self, gates: torch.Tensor) -> torch.Tensor:
        entropy = -(gates * torch.log(gates + FLOOR)).sum(dim=1).mean()
        return entropy if self.params.gate_penalty == "concentrate" else -entropy

    def everyone(self, cross: Cross) -> torch.Tensor:
        """Return the summaries of all users' sequences, shape (m, B, d)."""
        users = torch.arange(int(self.shape[0]), device=self.device)
        return self.module.summaries(cross.sequences(users, self.params.max_len))

    def new_epoch(self) -> None:
        """Keep the summaries with the parameters as they are, and what the graph makes of them."""
        self.module.epochs += 1
        if not self.exact:
            with torch.no_grad():
                self.keep(self.everyone(self.past))

    def keep(self, summaries: torch.Tensor) -> None:
        """Keep summaries of all users for an epoch."""
        on_cpu = self.device.type == "cpu"  # a GPU multiplies by all users faster than by few columns
        powers = self.params.graph_layers * self.params.order if on_cpu else 0
        self.kept = Kept.of(self.past, summaries, powers)

    def gradient_cosine(self, batch: QueryBatch, generator: torch.Generator) -> float:
        """Return the cosine between the gradients of a batch with cached and with new summaries."""
        state, found = generator.get_state(), []
        for exact in (False, True):
            generator.set_state(state)
            parameters = list(self.module.parameters())
            parts = torch.autograd.grad(
                self.batch_loss(batch, generator, exact), parameters, allow_unused=True
            )
            found.append(torch.cat([g.flatten() for g in parts if g is not None]))
        generator.set_state(state)
        return float(torch.cosine_similarity(*found, dim=0))

    def _settings(self) -> LoopSettings:
        p = self.params
        return replace(super()._settings(), weight_decay=p.weight_decay, optimiser=p.optimiser)

    # ------------------------------------------------------------------------- scoring

    def refresh(self) -> None:
        """Compute all users as they are in the training data, and all items: exact, whatever the mode."""
        module, psi = self.module, collapsed(self.module.theta)
        everyone = torch.arange(int(self.shape[0]), device=self.device)
        sequences = self.cross.sequences(everyone, self.params.max_len)
        self.base, gates = module.summarise(sequences)
        h = all_user_rows(self.cross, self.base, module.items, psi)
        self._users = module.user_vectors(h, gates)
        nobody = everyone[:0]
        graph = Replaced(self.cross, nobody, torch.zeros(0, int(self.shape[1]), device=self.device))
        rows = item_rows(graph, self.base[:0], self.base, module.items, psi)
        self._items = module.item_vectors(rows)

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the products of users' and items' vectors.

        A user whose history is the training sequence is as in the graph; any other takes
        the place of that user, in a graph of its own, with the row and summary of what is shown.
        """
        n, ids = int(self.shape[1]), torch.as_tensor(np.array(users), dtype=torch.int64, device=self.device)
        longest = np.diff(history.indptr).max(initial=1)
        trained = int((self.cross.indptr[ids + 1] - self.cross.indptr[ids]).max())
        try:
            shown = left_padded(history.indptr, history.items, max(int(longest), trained, 1), n)
        except ValueError as error:
            raise Refused(f"histories do not fit the fitted items: {error}") from None
        shown = shown.to(self.device)
        with torch.no_grad():
            vectors = self._users[ids]
            other = (shown != self.cross.sequences(ids, shown.shape[1])).any(dim=1).nonzero()[:, 0]
            size = max(1, WALK_CELLS // int(max(self.shape)))
            for part in other.split(size) if len(other) else ():
                vectors[part] = self._vectors_of(ids[part], shown[part])
            return given(vectors @ self._items.T)

    def _vectors_of(self, users: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        module, psi = self.module, collapsed(self.module.theta)
        inputs = shown[:, -self.params.max_len :]
        summaries, gates = module.summarise(inputs)
        rows = self.cross.rows_of(shown) if self.params.graph == "query" else self.cross.rows(users)
        steps = walks(self.cross, users, rows, len(psi) - 1, alone=True)
        return module.user_vectors(user_rows(summaries, self.base, module.items, psi, steps), gates)


class Prefixes:
    """Batches in which each user occurs once at most: what follows one of its prefixes.

    With `targets: random` an epoch takes `samples` random prefixes of each user, in as many
    passes over the users; with `last`, or where the graph is cut before it, the newest item.
    """

    def __init__(self, model: WPGRec, train: Interactions) -> None:
        p = model.params
        self.model, self.size = model, p.batch_size
        last = p.targets == "last" or p.graph == "last-only"
        self.passes = 1 if last else p.samples
        kind = "last" if last else "prefix"
        self.samples = Sequences(train, p.max_len, p.batch_size, str(model.device), kind, "every")
        users = self.samples.users.cpu()
        self.counts = torch.unique_consecutive(users, return_counts=True)[1]
        self.firsts = torch.cumsum(self.counts, 0) - self.counts

    def __call__(self, generator: torch.Generator) -> Iterator[QueryBatch]:
        """Yield the batches of an epoch."""
        self.model.new_epoch()
        for i in range(self.passes):
            order = torch.randperm(len(self.counts), generator=generator)
            drawn = torch.rand(len(order), generator=generator, dtype=torch.float64)
            chosen = self.firsts[order] + (drawn * self.counts[order]).long()
            parts = chosen.split(self.size)
            for j, part in enumerate(parts):
                yield self._batch(part.to(self.model.device), i + 1 == self.passes and j + 1 == len(parts))

    def _batch(self, part: torch.Tensor, last: bool) -> QueryBatch:
        s, cross = self.samples, self.model.cross
        rows = s.rows(part, s.max_len)
        first, end = cross.indptr[rows.users], s.ends[part]
        linked = windows_of(cross.items, first, end, int((end - first).max()), s.pad)
        return QueryBatch(rows.users, rows.inputs, linked, rows.targets[:, -1], last)


class WPGRecModule(nn.Module):
    """The parameters of WPGRec and what they do to single nodes.

    Parameters
    ----------
    n_items : int
        n, also the id of padding.
    params : namespace
        Parameters of the model.
    packets : Packets
        The transform.
    """

    def __init__(self, n_items: int, params: Any, packets: Packets) -> None:
        super().__init__()
        p, d, bands = params, params.dimensions, packets.bands
        self.params, self.packets, self.n_items = params, packets, n_items
        self.items = nn.Parameter(p.init_std * torch.randn(n_items, d))
        self.tokens = nn.Parameter(p.init_std * torch.randn(2, p.tokens, d))
        filters = 1 if p.theta == "shared" else bands
        theta = _glorot(filters, p.graph_layers, p.order + 1, d, d)
        self.theta = nn.Parameter(theta if p.start == "random" else 0.1 * theta + _smoothing(p.order, d))
        self.attention_in = nn.Parameter(_glorot(bands, d, p.hidden))
        self.bias = nn.Parameter(torch.zeros(bands, 1, p.hidden))
        self.attention_out = nn.Parameter(_glorot(bands, p.hidden, 1))
        heads = bands if p.gate_head == "per-band" else 1
        self.gate = nn.Sequential(nn.Linear(3, p.gate_hidden), nn.ReLU(), nn.Linear(p.gate_hidden, heads))
        self.fuse = nn.Parameter(_glorot(d, d))
        self.user_norm = nn.LayerNorm(d)
        self.item_norm = self.user_norm if p.norm == "shared" else nn.LayerNorm(d)
        if p.logits == "scaled":
            for norm in (self.user_norm, self.item_norm):
                nn.init.constant_(norm.weight, GAIN)
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))

    def summarise(
        self, inputs: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the summaries p of sequences, shape (b, B, d), and their gates g, shape (b, B).

        Parameters
        ----------
        inputs : int64 tensor, shape (b, L)
            Left-padded with n.
        generator : torch.Generator, optional
            Of dropout, which is left out without one.
        """
        return self._by_length(inputs, ROWS, lambda *part: self._summarise(*part, generator))

    def looked_at(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return each band's share of the energy, its flatness and its gate, shapes (b, B)."""
        return self._by_length(inputs, MANY, self._looked_at)

    def _looked_at(self, inputs: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, ...]:
        bands, inside = self._bands(inputs, lengths)
        steps = inside.sum(dim=1)
        size, flat = energy(bands, steps), self.packets.flatness(bands, self.params.flatness)
        return size / size.sum(dim=1, keepdim=True).clamp(min=FLOOR**2), flat, self._gates(bands, steps)

    def summaries(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the summaries of many sequences, without dropout, in little memory."""
        if not torch.is_grad_enabled():
            return self._by_length(inputs, MANY, self._summary)[0]
        again = partial(checkpoint, self._summary, use_reentrant=False)
        return self._by_length(inputs, MANY, again)[0]

    def _by_length(self, inputs: torch.Tensor, rows: int, make: Callable) -> tuple[torch.Tensor, ...]:
        """Apply `make` to sequences of similar length, in the columns that the longest of them needs."""
        lengths = (inputs < self.n_items).sum(dim=1)
        order = torch.argsort(lengths, stable=True)
        widths = [int(lengths[part[-1]]) for part in order.split(rows)]
        parts = [
            make(inputs[part, inputs.shape[1] - width :], lengths[part])
            for part, width in zip(order.split(rows), widths, strict=True)
        ]
        back = torch.argsort(order)
        return tuple(torch.cat(found)[back] for found in zip(*parts, strict=True))

    def _summary(self, inputs: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor]:
        return (self._attend(*self._bands(inputs, lengths)),)

    def _summarise(
        self, inputs: torch.Tensor, lengths: torch.Tensor, generator: torch.Generator | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        bands, inside = self._bands(inputs, lengths, generator)
        return self._attend(bands, inside), self._gates(bands, inside.sum(dim=1))

    def _bands(
        self, inputs: torch.Tensor, lengths: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the bands (B, b, w, d) and which of their columns are inside the sequences (b, w)."""
        x = self.signals(inputs, lengths, generator)
        steps = lengths + 2 * self.params.tokens
        inside = torch.arange(x.shape[1], device=x.device) >= x.shape[1] - steps[:, None]
        return self.packets(x, steps), inside

    def signals(
        self, inputs: torch.Tensor, lengths: torch.Tensor, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Return X' = [tokens, X, tokens] in the last columns of each row, shape (b, w + 2 tau, d)."""
        tau, (b, w) = self.params.tokens, inputs.shape
        x = nn.functional.embedding(inputs.clamp(max=self.n_items - 1), self.items)
        x = x * (inputs < self.n_items)[:, :, None]
        if self.params.dropout > 0 and generator is not None:
            keep = torch.rand(x.shape, generator=generator, device=x.device) >= self.params.dropout
            x = x * keep / (1.0 - self.params.dropout)
        if tau == 0:
            return x
        left, right = self.tokens
        x = torch.cat([x.new_zeros(b, tau, x.shape[2]), x, right.expand(b, -1, -1)], dim=1)
        place = torch.arange(w + 2 * tau, device=x.device) - (w - lengths)[:, None]
        return x + left[place.clamp(0, tau - 1)] * ((place >= 0) & (place < tau))[:, :, None]

    def _attend(self, bands: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        """Return sum_t a_t z_t with a = softmax_t v^T tanh(W z_t + c) of each band, shape (b, B, d)."""
        weights = torch.zeros(bands.shape[:3], device=bands.device)
        if self.params.attention == "additive":
            hidden = torch.tanh(torch.baddbmm(self.bias, bands.flatten(1, 2), self.attention_in))
            weights = torch.bmm(hidden, self.attention_out).view(bands.shape[:3])
        weights = torch.softmax(weights.masked_fill(~inside, -1e9), dim=2)
        return torch.einsum("nbt,nbtd->bnd", weights, bands)

    def _gates(self, bands: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """Return the softmax over bands of MLP([energy, flatness, which band])."""
        p, count = self.params, self.packets.bands
        if p.gate == "uniform":
            return torch.full((bands.shape[1], count), 1.0 / count, device=bands.device)
        size, flat = energy(bands, steps), self.packets.flatness(bands, p.flatness)
        if p.descriptor == "share":
            size = torch.log(size / (size.sum(dim=1, keepdim=True) + FLOOR**2) + FLOOR)
        place = {
            "share": (torch.as_tensor(self.packets.positions) + 0.5) / count,
            "paper": torch.full((count,), float(p.levels)),
            "code": torch.arange(count) / max(1, count - 1),
        }[p.descriptor]
        place = place.to(flat).expand_as(flat)
        logits = self.gate(torch.stack([size, flat, place], dim=2))
        return torch.softmax(
            logits.diagonal(dim1=1, dim2=2) if count == logits.shape[2] else logits[:, :, 0], 1
        )

    def user_vectors(self, rows: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
        """Return z_u from filtered rows (b, B, d), scaled for the logits."""
        scale = self.params.dimensions**-0.5 if self.params.logits == "scaled" else 1.0
        return scale * self.user_norm((gates[:, :, None] * rows).sum(dim=1) @ self.fuse)

    def item_vectors(self, rows: torch.Tensor) -> torch.Tensor:
        """Return z_i from filtered rows (n, d)."""
        return self.item_norm(rows @ self.fuse)


def _glorot(*shape: int) -> torch.Tensor:
    """Return uniform random matrices of variance 2 / (rows + columns), stacked."""
    bound = (6.0 / (shape[-2] + shape[-1])) ** 0.5
    return bound * (2.0 * torch.rand(*shape) - 1.0)


def _smoothing(order: int, d: int) -> torch.Tensor:
    """Return filter matrices of I + A_hat = T_0(L~) - T_1(L~), shape (K + 1, d, d)."""
    theta = torch.zeros(order + 1, d, d)
    for k, weight in enumerate((1.0, -1.0)[: order + 1]):
        theta[k] = weight * torch.eye(d)
    return theta


def _without_last(train: Interactions) -> Interactions:
    """Return the interactions without the newest of each user who has two or more."""
    kept = np.ones(train.nnz, dtype=bool)
    kept[train.indptr[1:][train.lengths > 1] - 1] = False
    lengths = train.lengths - (train.lengths > 1)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Interactions(indptr, train.items[kept], None, train.n_items)
