"""Fitted models: fit one, ask it, keep it, load it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra.api.data import FITTED_ON, Data, catalog, path_of
from recspectra.api.users import asked_users
from recspectra.config.base import ConfigError, nearest
from recspectra.config.model import ModelConfig, RunConfig, spectra_of
from recspectra.evaluation.lists import Lists
from recspectra.files import MODEL_FILE, ArtifactError
from recspectra.fitting.fit import best_epochs, learn
from recspectra.fitting.saved import SavedModel, load_model, save_model
from recspectra.fitting.scoring import top_scored
from recspectra.recommender import Run, create
from recspectra.runtime import pick_device


@dataclass(frozen=True, eq=False)
class Model(SavedModel):
    """A fitted model that knows the ids and the histories of the users it was fitted on.

    Attributes
    ----------
    about : dict
        `model`, `title`, `params`, `seed`, `fit` (the part it was fitted on), `dataset`, `data` (a digest),
        `ordered`, and `log`: what the fit wrote down (epochs, curves).
    system : Recommender
        The model itself, by positions of users and items.
    history : Interactions
        What is known of its users: it is shown to the model and not recommended again.
    ids : Ids
        The ids of users and items.
    """

    def __repr__(self) -> str:
        users, items = self.history.shape
        return f"{words_of(self.about)}: {users:,} users, {items:,} items"

    @property
    def params(self) -> dict[str, Any]:
        """All parameters, defaults filled in."""
        return dict(self.about["params"])

    @property
    def log(self) -> dict[str, Any]:
        """What the fit wrote down, such as `epochs` and `validation_curve`."""
        return dict(self.about["log"])

    @property
    def takes_new_users(self) -> bool:
        """Whether it can recommend to users it was not fitted on, given their history."""
        return not self.system.needs_known_users

    def recommend(
        self, users: Any = None, k: int = 10, *, exclude_seen: bool = True, history: Any = None
    ) -> pd.DataFrame:
        """Return the best items of some users.

        Parameters
        ----------
        users : id or sequence of ids, optional
            The file's own ids; by default those of `history`, else all users.
        k : int
            Items a user; fewer where a user has fewer left.
        exclude_seen : bool
            Whether to leave out what the user has.
        history : mapping or pandas.DataFrame, optional
            What users have, oldest first, instead of what the model knows: user -> items, or a frame with the
            columns `user`, `item` and, if it is not in the order of time, `time`. With it users may be new.

        Returns
        -------
        pandas.DataFrame
            `user`, `item`, `score`, `rank` (from 1), users in the order in which they are given.

        Raises
        ------
        DataError
            A user or item is unknown.
        ConfigError
            The model cannot score users it was not fitted on, or `k` is below 1.
        """
        return self.lists(users, k, exclude_seen=exclude_seen, history=history).frame()

    def lists(
        self, users: Any = None, k: int = 10, *, exclude_seen: bool = True, history: Any = None
    ) -> Lists:
        """Return what `recommend` does, as positions; new users follow those of the model."""
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ConfigError(f"k: {k!r} is no whole number of at least 1")
        if not isinstance(exclude_seen, bool | np.bool_):
            raise ConfigError(f"exclude_seen: {exclude_seen!r:.60} is neither True nor False")
        asked = asked_users(self, users, history)
        depth = min(int(k), len(self.ids.items))
        items, scores = top_scored(self.system.score, asked.history, asked.numbers, depth, exclude_seen)
        return Lists(asked.rows, items, scores, self.about["title"], asked.ids)

    def save(self, path: str | Path) -> Path:
        """Write the model to one file, atomically; `load` reads it.

        The file holds the model's state, the ids and the histories of its users. Nothing in it is pickled.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ArtifactError
            It cannot be written; nothing is left behind.
        """
        path = path_of(path, "path")
        save_model(path, self)
        return path


def words_of(about: Mapping[str, Any]) -> str:
    """Return a model in words: title, parameters that differ from their defaults, what it learned from."""
    known = catalog().model(about["model"]).params
    changed = [f"{k} {v}" for k, v in about["params"].items() if k in known and v != known[k].default]
    values = f" ({', '.join(changed)})" if changed else ""
    return f"{about['title']}{values} fitted on {about['dataset']} ({about['fit']})"


def fit(
    name: str, data: Data, *, on: str = "train", seed: int = 0, device: str = "auto", **params: Any
) -> Model:
    """Fit a model.

    Parameters
    ----------
    name : str
        A model of `config/models`, such as `ease`, `gfcf` or `sasrec`; `docs/models.md` lists all.
    data : Data
        From `read` or `dataset`.
    on : {"train", "train+valid", "all"}
        What it learns from. `all` holds the test part, so what learned from it cannot be evaluated. A trained
        model stops by recall@20 on the validation part, which the split holds out (see `read`). With
        `train+valid` or `all` it first learns so, then again from the whole, for as many epochs as did best.
    seed : int
        Seed of what is random; models in closed form have nothing that is.
    device : {"auto", "cpu", "cuda"}
        Where a trained model learns.
    **params
        Parameters of the model's YAML; defaults are filled in.

    Returns
    -------
    Model
        Its history is everything in `data`, the test part included: what a user has is not recommended again.

    Raises
    ------
    ConfigError
        There is no such model or parameter, or a value is out of bounds.
    Refused
        The model cannot run on these data, for instance as they have no order.
    Diverged
        What it learns became NaN or infinite: lower the learning rate.

    Examples
    --------
    >>> import recspectra as rs
    >>> rs.fit("ease", rs.dataset("synthetic"), regularization=100)
    EASE (regularization 100.0) fitted on synthetic (train): 1,000 users, 800 items
    """
    if not isinstance(name, str):
        raise ConfigError(f"name: {name!r:.60} is no name of a model")
    if not isinstance(data, Data):
        raise ConfigError(f"data: is a {type(data).__name__}; give what `read` or `dataset` returned")
    config = catalog().model(name)
    values = config.resolve({k: v.item() if isinstance(v, np.generic) else v for k, v in params.items()})
    if on not in FITTED_ON:
        raise ConfigError(f"on: '{on}' is none of {', '.join(FITTED_ON)}{nearest(on, FITTED_ON)}")
    seed = _whole_seed(seed)
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device: '{device}' is none of auto, cpu, cuda")
    place = _place(device) if config.kind == "trained" else "cpu"
    run = Run(seed, place, f"{config.title} on {data.title}")
    if on == "train" or config.kind != "trained":
        return _fitted(config, values, data, on, run)
    first = _fitted(config, values, data, "train", run)
    return _fitted(config, values | best_epochs({"status": "ok", "log": first.log}), data, on, run)


def _whole_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"seed: {seed!r} is no whole number of at least 0")
    return int(seed)


def _place(device: str) -> str:
    try:
        return pick_device(device)
    except RuntimeError as error:  # there is no such device, or it is not free
        raise ConfigError(str(error)) from None


def _fitted(config: ModelConfig, values: dict[str, Any], data: Data, on: str, run: Run) -> Model:
    """Fit one model once."""
    part = "train" if on == "train" else "train+valid"
    needs = spectra_of(config, RunConfig(model=config.name, params=values, fit=part))
    system = create(config, values)
    inputs, part = data.inputs(on, needs)
    with _own_randomness() if config.kind == "trained" else contextlib.nullcontext():
        log = learn(system, inputs, part, run)
    about = {
        "model": config.name, "class_name": config.class_name, "title": config.title, "params": values,
        "seed": run.seed, "fit": on, "dataset": data.name, "data": data.digest, "ordered": data.ordered,
        "log": json.loads(json.dumps(log)),
    }  # fmt: skip
    return Model(about, system, data.known, data.ids)


@contextlib.contextmanager
def _own_randomness() -> Iterator[None]:
    """Fit with deterministic kernels; give PyTorch's generator and settings back as they were."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    with torch.random.fork_rng():
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def recommend(model: Model, users: Any = None, k: int = 10, **how: Any) -> pd.DataFrame:
    """Return the best items of some users: `Model.recommend`."""
    return model.recommend(users, k, **how)


def save(model: Model, path: str | Path) -> Path:
    """Write a model to one file: `Model.save`."""
    return model.save(path)


def load(path: str | Path, *, any_code: bool = False) -> Model:
    """Read a model that `save` or a study (`keep: true`) wrote, onto the CPU.

    Parameters
    ----------
    path : path
        The file, or the folder of a run.
    any_code : bool
        Whether to accept a model that other code wrote: its scores may differ from those it had.

    Returns
    -------
    Model

    Raises
    ------
    ArtifactError
        The file is missing, damaged, no saved model, or of another format or other code.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import recspectra as rs
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "popularity.rs"
    >>> _ = rs.fit("popularity", rs.dataset("synthetic")).save(path)
    >>> rs.load(path).recommend(3, k=1)[["user", "rank"]]
       user  rank
    0     3     1
    """
    path = path_of(path, "path")
    found = load_model(_in_folder(path) if path.is_dir() else path, catalog(), any_code)
    return Model(**vars(found))


def _in_folder(folder: Path) -> Path:
    """Return the model that a run kept in its folder."""
    path = folder / MODEL_FILE
    if not path.is_file() and (folder / "run.json").is_file():
        raise ArtifactError(
            f"{folder}: this run did not keep its model; write `keep: true` into its entry of the study, or "
            "run `make study STUDY=... KEEP=1`"
        )
    if not path.is_file():
        raise ArtifactError(f"{folder}: is a folder without a {MODEL_FILE}, so no model is in it")
    return path
