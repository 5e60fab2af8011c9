"""SGL: LightGCN with a contrast between two random views of the graph (Wu et al., SIGIR 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import scipy.sparse as sp
import torch

from recspectra.layers.graph import SparseMatrix
from recspectra.models.lightgcn import LightGCN
from recspectra.models.mf import pair_loss
from recspectra.recommender import History, Recommender, Run, Task
from recspectra.spectral.operators import degrees, power
from recspectra.spectral.places import Array, beside
from recspectra.training.loop import Batches
from recspectra.training.losses import infonce
from recspectra.training.sampling import PairBatch
from recspectra.training.views import Thinner


class Profiled(LightGCN):
    """A graph model that can take the history it is shown for the user's row of the graph.

    With items' layers E_I^k as trained, a user with history h gets the layers

        e^0 = what was learned,   e^{k+1} = |h|^-1/2 sum over i in h of d_i^-1/2 E_I^k[i],

    which are those of training where h is the training row. With `profile: learned`
    they are always those of training.

    Attributes
    ----------
    own : float32 array, shape (m, d), or (m, d') with `profile: learned`
        Users' E^0, or final vectors.
    sums : float32 array, shape (n, K d) or (n, 0)
        D_I^-1/2 [E_I^0, ..., E_I^{K-1}].
    final_items : float32 array, shape (n, d')
        Final vectors of items.
    """

    state_names = ("own", "sums", "final_items")

    def prepare(self, task: Task, run: Run) -> None:
        """Put the adjacency on the device, and the scale of items' messages."""
        super().prepare(task, run)
        scale = power(degrees(task.train.matrix)[1], -0.5).astype(np.float32)
        self.item_scale = torch.as_tensor(scale, device=self.device)

    def free(self) -> torch.Tensor:
        """Return E^0, shape (m + n, d)."""
        return self.module.weight

    def layers(self, graphs: list[SparseMatrix] | None = None) -> list[torch.Tensor]:
        """Return E^0, ..., E^K of users and items; `graphs` gives each step another graph."""
        found = [self.free()]
        for graph in graphs or [self.graph] * self.params.layers:
            found.append(graph @ found[-1])
        return found

    def combine(self, layers: list[torch.Tensor]) -> torch.Tensor:
        """Return the final vectors from the layers of some nodes: their mean."""
        return sum(layers) / len(layers)

    def combine_fitted(self, layers: list[torch.Tensor]) -> torch.Tensor:
        """Return the same on a CPU, without the module."""
        return self.combine(layers)

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the final vectors on the graph of training."""
        stacked = self.combine(self.layers())
        return stacked[: self.shape[0]], stacked[self.shape[0] :]

    def refresh(self) -> None:
        """Keep items' vectors, and users' or what makes them of a history."""
        layers, m = self.layers(), int(self.shape[0])
        final = self.combine(layers)
        shown = self.params.profile == "shown" and len(layers) > 1
        rows = [self.item_scale[:, None] * layer[m:] for layer in layers[:-1]] if shown else [final[m:, :0]]
        self.own = (layers[0] if shown else final)[:m].detach().cpu().numpy()
        self.sums = torch.cat(rows, dim=1).detach().cpu().numpy()
        self.final_items = final[m:].detach().cpu().numpy()
        self.items_there = self.final_items if self.device.type == "cpu" else final[m:].detach()

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the products of the users' and all items' final vectors."""
        own = self.own[users]
        if self.sums.shape[1]:
            own = self._of_history(own, self.neighbours(users, history))
        return beside(own, self.items_there) @ self.items_there.T

    def _of_history(self, own: np.ndarray, rows: sp.csr_array) -> np.ndarray:
        messages = rows @ self.sums
        layers = [own, *np.split(messages, messages.shape[1] // own.shape[1], axis=1)]
        return self.combine_fitted([torch.as_tensor(layer) for layer in layers]).numpy()

    def neighbours(self, users: np.ndarray, history: History) -> sp.csr_array:
        """Return the rows with which the users sum over items: |h|^-1/2 at each item of h."""
        lengths = np.diff(history.matrix.indptr)
        return sp.csr_array(sp.diags_array(power(lengths, -0.5).astype(np.float32)) @ history.matrix)

    def state(self) -> dict[str, np.ndarray]:
        """Return what scoring needs."""
        return Recommender.state(self)

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Restore what scoring needs."""
        Recommender.load_state(self, arrays)
        self.items_there = self.final_items


class SGL(Profiled):
    """LightGCN's loss plus lambda_1 (InfoNCE of users + InfoNCE of items) between two views.

    Each epoch draws two graphs with some edges or nodes left out, `Thinner`; a node's
    vectors in both are each other's positive.
    """

    def prepare(self, task: Task, run: Run) -> None:
        """Put the adjacency on the device and get ready to thin it."""
        p = self.params
        super().prepare(task, run)
        self.thinner = Thinner(task.train, p.view, p.ratio, p.layers, self.device)

    def batches(self, task: Task) -> Batches:
        """Return sampled pairs; the views of an epoch are drawn before its first batch."""
        return partial(self._epoch, super().batches(task))

    def _epoch(self, pairs: Batches, generator: torch.Generator) -> Iterator[PairBatch]:
        self.views = [self.thinner(generator) for _ in range(2)]
        yield from pairs(generator)

    def loss(self, batch: PairBatch, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of the pairs with L2 on E^0, plus the contrast of the batch's users and items."""
        p, m = self.params, int(self.shape[0])
        plain = pair_loss(*self.vectors(), *self.module.split(), batch, p)
        if p.contrast_weight == 0.0:
            return plain
        first, second = (self.combine(self.layers(view)) for view in self.views)
        some = slice(p.anchors)  # pairs come in random order
        users = self._contrast(first[:m], second[:m], batch.users[some])
        return plain + p.contrast_weight * (users + self._contrast(first[m:], second[m:], batch.items[some]))

    def _contrast(self, first: torch.Tensor, second: torch.Tensor, nodes: torch.Tensor) -> torch.Tensor:
        """Return the mean InfoNCE of the nodes, each looked at once however often it comes."""
        nodes = torch.unique(nodes)
        if self.params.contrast == "batch":
            second, places = second[nodes], torch.arange(len(nodes), device=nodes.device)
        else:
            places = nodes
        return infonce(first[nodes], second, places, self.params.temperature)
