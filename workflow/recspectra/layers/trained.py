"""What trained models share: the way through the training loop, and how they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from recspectra.recommender import History, Recommender, Refused, Run, Task
from recspectra.runtime import axis_seed
from recspectra.spectral.places import Array
from recspectra.training.loop import Batches, LoopSettings, NothingToLearn, TrainingLoop

PREFIX = "module."


class Trained(Recommender):
    """A model whose parameters the shared training loop learns.

    A subclass says in `prepare` what it needs of the data, in `build` what is learned, in
    `batches` and `loss` how, and in `score` what comes of it. Its YAML must have
    `learning_rate`, `epochs`, `eval_every` and `patience`.

    Attributes
    ----------
    shape : int64 array, shape (2,)
        Users and items.
    module : torch.nn.Module
        What is learned. What must survive an interruption between two epochs (a running
        mean, a step count) is a buffer of it.
    device : torch.device
        Where it lives.
    notes : dict
        What is written down while it learns and must survive an interruption; `fit` fills it anew.
    """

    optimiser: ClassVar[str] = "adam"
    module: nn.Module

    def prepare(self, task: Task, run: Run) -> None:
        """Set whatever `build`, `batches` and `loss` need; nothing by default."""

    def build(self) -> nn.Module:
        """Return the module, initialised at random, from `params`, `shape` and the fitted state."""
        raise TypeError(f"{type(self).__name__} must define build")

    def batches(self, task: Task) -> Batches:
        """Return a callable from a CPU generator to the batches of one epoch."""
        raise TypeError(f"{type(self).__name__} must define batches")

    def loss(self, batch: Any, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of a batch; `generator` lives on the device."""
        raise TypeError(f"{type(self).__name__} must define loss")

    def refresh(self) -> None:
        """Compute what `score` needs from the module as it stands; nothing by default."""

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Train with the shared loop; the parameters that validate best are kept.

        Raises
        ------
        Refused
            The data give it nothing to learn from.
        """
        self.device = torch.device(run.device)
        self.shape = np.array(task.train.shape, dtype=np.int64)
        self.notes: dict[str, Any] = {}
        self.prepare(task, run)
        torch.manual_seed(axis_seed(run.seed, "init"))
        self.module = self.build().to(self.device)

        def validate() -> float:
            self._ready()
            return run.validate(self.score)

        loop = TrainingLoop(
            self.module, self.batches(task), self.loss, self._settings(), run.seed,
            validate if run.validate else None, run.checkpoints, self.notes,
            run.made_from, run.caps,
        )  # fmt: skip
        try:
            log = loop.run(run.progress(min(self.params.epochs, run.caps.epochs or self.params.epochs)))
        except NothingToLearn as error:
            raise Refused(
                f"{type(self).__name__} finds nothing to learn in the {task.train.nnz:,} interactions that "
                f"it is fitted on: {error}"
            ) from None
        self._ready()
        return log

    def _settings(self) -> LoopSettings:
        p = self.params
        return LoopSettings(
            epochs=p.epochs,
            learning_rate=p.learning_rate,
            eval_every=p.eval_every,
            patience=p.patience,
            optimiser=self.optimiser,
            mixed_precision=getattr(p, "mixed_precision", False),
        )

    def _ready(self) -> None:
        self.module.eval()
        with torch.no_grad():
            self.refresh()

    def state(self) -> dict[str, np.ndarray]:
        """Return the named arrays, the shape and all tensors of the module."""
        tensors = {PREFIX + k: v.detach().cpu().numpy() for k, v in self.module.state_dict().items()}
        return super().state() | {"shape": self.shape} | tensors

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` returned, on a CPU."""
        super().load_state(arrays)
        self.device, self.shape = torch.device("cpu"), np.array(arrays["shape"])
        self.module = self.build()
        tensors = {k.removeprefix(PREFIX): v for k, v in arrays.items() if k.startswith(PREFIX)}
        self.module.load_state_dict({k: torch.as_tensor(np.array(v)) for k, v in tensors.items()})
        self._ready()


def given(scores: torch.Tensor) -> Any:
    """Return scores as `score` gives them: NumPy's on a CPU, else the tensor, to be ranked where it is."""
    return scores.numpy() if scores.device.type == "cpu" else scores


class Factors(Trained):
    """A trained model that ends in a vector for each user and item; scores are products.

    A subclass defines `vectors`. Its users are those it was trained on: their vectors
    stay the same whatever history is shown.
    """

    state_names = ("user_vectors", "item_vectors")
    needs_known_users = True

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the final vectors of all users (m, d) and items (n, d), differentiable."""
        raise TypeError(f"{type(self).__name__} must define vectors")

    def refresh(self) -> None:
        """Keep the vectors for scoring."""
        self._users, self._items = (v.detach() for v in self.vectors())

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the products of the users' and all items' vectors."""
        rows = torch.as_tensor(users, dtype=torch.int64, device=self.device)
        return given(self._users[rows] @ self._items.T)

    @property
    def user_vectors(self) -> np.ndarray:
        """Final vectors of users, float32, shape (m, d)."""
        return self._users.cpu().numpy()

    @property
    def item_vectors(self) -> np.ndarray:
        """Final vectors of items, float32, shape (n, d)."""
        return self._items.cpu().numpy()

    def state(self) -> dict[str, np.ndarray]:
        """Return the final vectors: all that scoring needs."""
        return Recommender.state(self)

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore the final vectors, on a CPU."""
        self.device = torch.device("cpu")
        self._users = torch.as_tensor(np.array(arrays["user_vectors"]))
        self._items = torch.as_tensor(np.array(arrays["item_vectors"]))


class Tables(nn.Module):
    """Free vectors of users and items, N(0, std^2) at the start.

    Parameters
    ----------
    users, items : int
        Numbers of rows m and n.
    dimensions : int
        Length d of a vector.
    std : float
        Standard deviation of the initial entries.
    """

    def __init__(self, users: int, items: int, dimensions: int, std: float) -> None:
        super().__init__()
        self.users = users
        self.weight = nn.Parameter(std * torch.randn(users + items, dimensions))

    def split(self, stacked: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rows of users and of items, of the table itself by default."""
        stacked = self.weight if stacked is None else stacked
        return stacked.split([self.users, len(stacked) - self.users])
