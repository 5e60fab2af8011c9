"""The contract of a model: what it gets, what it must do, and how it is saved."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar

import numpy as np
import scipy.sparse as sp

from recspectra.config.model import ModelConfig, plain_operator
from recspectra.config.scale import NO_CAPS, Caps
from recspectra.data.interactions import Interactions
from recspectra.runtime import Diverged, Progress, free_bytes
from recspectra.spectral.places import Array, Pieces, host, is_tensor, once
from recspectra.spectral.spectrum import Spectrum

T = TypeVar("T")
ROWS_LOOKED_AT = 8  # of a batch of float64 scores
BOUND = 1e-5  # of a row's largest score: so far may one on a device be from the CPU's, by the order of sums
ROUNDING = 1e-13  # relative difference of values that may be equal but for float64's rounding


class Refused(Exception):
    """A model cannot run on a dataset; the run ends with `status: skipped`."""


class ContractError(Exception):
    """The class of a model breaks its contract; the message names the method and what it must return."""


@dataclass(frozen=True)
class Task:
    """What a model may look at while it is fitted. Test data are not in it.

    Attributes
    ----------
    train : Interactions
        The interactions to fit on (`train`, or `train+valid` for a refit); to change some, copy them.
    valid : Interactions or None
        Held-out validation interactions; None for a refit.
    ordered : bool
        Whether the order inside each user's row means time.
    spectra : mapping
        Operator name -> `Spectrum`, at least as large as the config asks for.
    cache : dict
        What `shared` has made; the trials of a tuning job hand it on.
    """

    train: Interactions
    valid: Interactions | None
    ordered: bool
    spectra: Mapping[str, Spectrum] = field(default_factory=dict)
    cache: dict[Hashable, Any] = field(default_factory=dict)

    def shared(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return `make()`, computed once for all trials of a tuning job.

        For what follows from the interactions and from the parameters named in `key`
        alone (a Gram matrix, a clustering). Nobody may change what is returned.
        """
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]

    def spectrum(self, operator: str, rank: int) -> Spectrum:
        """Return the leading `rank` eigenpairs of an operator named in the model YAML."""
        if operator not in self.spectra:
            operator = plain_operator(operator)
        if operator not in self.spectra:
            raise KeyError(f"spectrum '{operator}' was not prepared; add it to `spectra` in the model's YAML")
        limit = self.spectra[operator].vectors.shape[0]
        refuse_large_rank(rank, limit)
        return self.spectra[operator].top(rank)


def refuse_large_rank(rank: int, size: int) -> None:
    """Refuse more eigenpairs than a graph of `size` nodes has.

    Raises
    ------
    Refused
        The message names a rank that filters something.
    """
    if rank > size:
        few = max(1, size // 4)
        raise Refused(
            f"rank {rank} exceeds the size {size} of the graph; take one well below it, such as `rank={few}` "
            f"(in a study `params: {{rank: {few}}}`): at {size} nothing is filtered"
        )


def refuse_without_order(task: Task, who: str, instead: str = "") -> None:
    """Refuse data in which nothing follows anything.

    Parameters
    ----------
    task : Task
        What the model is fitted on.
    who : str
        The model, as the reason names it.
    instead : str
        What may be chosen instead, added in brackets.

    Raises
    ------
    Refused
        The interactions have no order, or no user has two of them.
    """
    instead = f" ({instead})" if instead else ""
    if not task.ordered:
        raise Refused(f"{who} learns from the order of interactions; this dataset has none{instead}")
    if not (task.train.lengths > 1).any():
        raise Refused(
            f"{who} learns what follows what, but no user has two interactions in the data that it is fitted "
            f"on{instead}"
        )


Scorer = Callable[[np.ndarray, "History"], Array]  # (users, history) -> scores, a tensor on a device


@dataclass(frozen=True)
class Run:
    """The circumstances of one fit.

    Attributes
    ----------
    seed : int
        Seed of the run; axes of randomness derive theirs from it.
    device : str
        `cpu` or `cuda`.
    label : str
        What the progress bar shows.
    checkpoints : Path or None
        Folder for checkpoints; None keeps none.
    validate : callable or None
        Takes a scorer, returns the validation metric; None for a refit.
    made_from : mapping
        Key, seed, code, data and parameters, as JSON knows them: a checkpoint of others is not used.
    caps : Caps
        Most epochs and minutes. A fit that one of them ended says so in its log: `capped` is `epochs` or
        `minutes`.
    """

    seed: int = 0
    device: str = "cpu"
    label: str = ""
    checkpoints: Path | None = None
    validate: Callable[[Scorer], float] | None = None
    made_from: Mapping[str, Any] = field(default_factory=dict)
    caps: Caps = NO_CAPS

    def progress(self, total: int) -> Progress:
        """Return a progress bar over `total` epochs."""
        return Progress(self.label, total)


@dataclass(frozen=True)
class History:
    """The histories of a batch of users, as a matrix and as ordered sequences; copies, made for one call.

    Attributes
    ----------
    matrix : CSR float32, shape (b, n_items)
        Binary rows.
    indptr, items : arrays
        Row `r` has the items `items[indptr[r]:indptr[r + 1]]`, oldest first.
    """

    matrix: sp.csr_array
    indptr: np.ndarray
    items: np.ndarray

    @classmethod
    def of(cls, interactions: Interactions, users: np.ndarray) -> History:
        """Return the histories of some users, in the order of `users`."""
        matrix = interactions.matrix[users]
        lengths = interactions.lengths[users]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        shift = np.repeat(interactions.indptr[users] - indptr[:-1], lengths)
        return cls(matrix, indptr, interactions.items[np.arange(indptr[-1]) + shift])


class Recommender(Pieces):
    """Base of every model.

    Parameters
    ----------
    params : mapping
        Resolved hyperparameters, as `ModelConfig.resolve` returns them; inside the
        class they are attributes of `self.params`.

    Attributes
    ----------
    state_names : tuple of str
        Names of the fitted attributes (arrays, CSR arrays or numbers) that `state`
        saves and `load_state` restores.
    needs_known_users : bool
        Whether `score` needs what was fitted for each user. If not, it follows the history alone (and what
        it draws, the number of the user), and users who were not fitted on can be scored.
    left_behind : tuple of str
        Fitted arrays that stay on the host where the others go to a device for scoring.
    """

    state_names: ClassVar[tuple[str, ...]] = ()
    needs_known_users: bool = False

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = SimpleNamespace(**params)

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Learn from `task`; return what `run.json` should hold (epochs, curves)."""
        raise TypeError(f"{type(self).__name__} must define fit")

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return float32 scores, shape (len(users), n_items); nothing is masked.

        A row depends on its own user and history alone, never on the batch. A model on a device gives a
        tensor of it. One in closed form whose YAML says `gpu: true` may find its arrays and
        `history.matrix` on a device (`Scoring`): see `recspectra.spectral.places`.
        """
        raise TypeError(f"{type(self).__name__} must define score")

    def state(self) -> dict[str, np.ndarray]:
        """Return the fitted state as plain arrays."""
        arrays: dict[str, np.ndarray] = {}
        for name in self.state_names:
            value = getattr(self, name)
            if sp.issparse(value):
                csr = sp.csr_array(value)
                arrays |= {f"{name}.data": csr.data, f"{name}.indices": csr.indices}
                arrays |= {f"{name}.indptr": csr.indptr, f"{name}.shape": np.array(csr.shape)}
            else:
                arrays[name] = np.asarray(value, order="C")  # keeps numbers 0-dimensional
        return arrays

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` returned, and what scoring makes of it."""
        for name in self.state_names:
            if f"{name}.indptr" in arrays:
                parts = [arrays[f"{name}.{p}"] for p in ("data", "indices", "indptr")]
                value = sp.csr_array(tuple(parts), shape=tuple(arrays[f"{name}.shape"]))
            else:
                value = arrays[name]
            setattr(self, name, value)
        self._prepare()

    def _prepare(self) -> None:
        """Make what scoring needs of the fitted state, where it needs more."""


class Scoring:
    """Scores of a fitted model in closed form, computed on a device.

    They differ from those of the CPU by `BOUND` of a row's largest at most. So in lists only items whose
    scores are that close change places.

    Parameters
    ----------
    system : Recommender
        The model; it stays where it is.
    device : str
        Where a copy of its arrays goes.
    """

    def __init__(self, system: Recommender, device: str) -> None:
        from recspectra.spectral.torch_operators import placed

        self.device, self._place = device, lambda piece: placed(piece, device)
        self.system = system.converted(once(self._place))
        self.__qualname__ = scorer_name(system.score)

    def __call__(self, users: np.ndarray, history: History) -> Array:
        """Return the scores, a tensor of the device."""
        return self.system.score(users, replace(history, matrix=self._place(history.matrix)))


def scorer_on(device: str, config: ModelConfig, system: Recommender) -> Scorer:
    """Return how a fitted model is scored on a device: a trained model lives there already.

    One in closed form is scored on the CPU where its arrays would take more than half of the free memory.
    """
    if device == "cpu" or not config.gpu:
        return system.score
    free = free_bytes(device)
    return Scoring(system, device) if free is None or 2 * system.nbytes <= free else system.score


def create(config: ModelConfig, params: Mapping[str, Any]) -> Recommender:
    """Return a new model: module `models/<name>.py`, class `class_name` of its YAML.

    Raises
    ------
    ContractError
        The module or the class does not exist.
    """
    path = f"recspectra.models.{config.name}"
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        raise ContractError(
            f"model '{config.name}' has a YAML, but no workflow/recspectra/models/{config.name}.py"
        ) from None
    if not hasattr(module, config.class_name):
        raise ContractError(
            f"{path} has no class '{config.class_name}'; name its class in config/models/{config.name}.yaml: "
            "`class_name`"
        )
    return getattr(module, config.class_name)(params)


@contextmanager
def unchanged_inputs(name: str) -> Iterator[None]:
    """Name the method that tries to change an array that it was given; such arrays are locked.

    Raises
    ------
    ContractError
        In place of NumPy's error.
    """
    try:
        yield
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise ContractError(
            f"{name} changes in place what it was given ({error}); masks and other trials read the same "
            "arrays: change a copy"
        ) from error


def fitted(system: Recommender, task: Task, run: Run) -> dict[str, Any]:
    """Fit a model and return its log.

    Raises
    ------
    ContractError
        `fit` changed what it was given, or returned no dictionary, or one that JSON cannot hold.
    """
    with unchanged_inputs(f"{type(system).__name__}.fit"):
        log = system.fit(task, run)
    if not isinstance(log, dict):
        raise ContractError(
            f"{type(system).__name__}.fit returned {_kind(log)}, expected a dict "
            "of what run.json should hold ({} for nothing)"
        )
    try:
        json.dumps(log, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ContractError(
            f"{type(system).__name__}.fit returned a dict that run.json cannot hold ({error}): keys must be "
            "texts, values texts, finite numbers of Python, lists or such dicts"
        ) from None
    return log


def scorer_name(score: Scorer) -> str:
    """Return what messages call a scorer, such as `Mine.score`."""
    return getattr(score, "__qualname__", type(score).__name__)


def device_of(score: Scorer) -> str:
    """Return where a scorer computes: the `device` of it, or of the object that it is a method of."""
    return str(getattr(getattr(score, "__self__", score), "device", "cpu"))


def check_scores(score: Scorer, scores: Any, users: int, items: int) -> Array:
    """Return the scores that a scorer gave, float32; -inf is allowed and means "after all others".

    They stay where they are.

    Raises
    ------
    ContractError
        They are no dense NumPy array of floating point numbers, shape (users, items), nor a tensor of a
        device, or lose their differences in float32.
    Diverged
        A score is infinitely large: such items would be tied, whatever the model knows of them.
    """
    name = scorer_name(score)
    if is_tensor(scores):
        return _check_tensor(name, scores, (users, items))
    expected = f"expected a NumPy array of floats, shape ({users}, {items})"
    if not isinstance(scores, np.ndarray) or isinstance(scores, np.matrix | np.ma.MaskedArray):
        raise ContractError(f"{name} returned {_kind(scores)}, {expected}")
    if scores.shape != (users, items):
        raise ContractError(f"{name} returned {scores.shape}, expected {(users, items)}")
    if not np.issubdtype(scores.dtype, np.floating):
        raise ContractError(f"{name} returned values of type {scores.dtype}, {expected}")
    if scores.dtype.itemsize > 4 and _differences_lost(scores):
        raise ContractError(f"{name} returned scores that lose their differences in float32: scale them")
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite and is refused
        scores = scores.astype(np.float32, copy=False)
    if scores.max(initial=-np.inf) == np.inf:
        raise Diverged(f"{name} returned an infinitely large score")
    return scores


def _check_tensor(name: str, scores: Any, shape: tuple[int, int]) -> Any:
    """Return what `check_scores` does, of a tensor."""
    if tuple(scores.shape) != shape or not scores.is_floating_point():
        given = f"{scores.dtype}, shape {tuple(scores.shape)}"
        raise ContractError(f"{name} returned a tensor of {given}; expected floats, shape {shape}")
    if scores.itemsize > 4 and _differences_lost(host(scores)):
        raise ContractError(f"{name} returned scores that lose their differences in float32: scale them")
    scores = scores.float()
    if bool((scores == float("inf")).any()):
        raise Diverged(f"{name} returned an infinitely large score")
    return scores


def _differences_lost(scores: np.ndarray) -> bool:
    """Return whether in some row more neighbours in value become equal in float32 than stay apart.

    A few rows are looked at, spread over the batch. Values that differ by rounding alone are equal.
    """
    for row in np.unique(np.linspace(0, len(scores) - 1, ROWS_LOOKED_AT).astype(int)) if len(scores) else []:
        values = np.sort(scores[row][np.abs(scores[row]) <= np.finfo(np.float32).max])
        if len(values) < 2:
            continue
        size = np.maximum(np.abs(values[:-1]), np.abs(values[1:]))
        # Rounding follows the largest terms of a sum; below float32's range a value's own size.
        size[size >= np.finfo(np.float32).tiny] = size.max()
        differ = np.diff(values) > ROUNDING * size
        with np.errstate(under="ignore"):
            stay = np.diff(values.astype(np.float32)) != 0
        if np.count_nonzero(differ & ~stay) > np.count_nonzero(differ & stay):
            return True
    return False


def _kind(value: Any) -> str:
    """Return what kind of object a method returned, in words."""
    if value is None:
        return "None"
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    return kind.__name__ if package == "builtins" else f"{package} {kind.__name__}"
