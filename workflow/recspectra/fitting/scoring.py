"""What a run is given, and the lists that come of its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from recspectra.config.model import ModelConfig
from recspectra.data.interactions import Interactions
from recspectra.devices import SCORES
from recspectra.fitting.ranking import Ranking, as_arrays, batches, list_name, rankings, top_with_ties
from recspectra.fitting.ties import TiedUsers
from recspectra.identity import data_digest, fit_digest
from recspectra.recommender import History, Scorer, check_scores, device_of, scorer_name, unchanged_inputs
from recspectra.runtime import free_bytes, pick_device
from recspectra.spectral.places import values_at
from recspectra.spectral.spectrum import Spectrum

BATCH_SCORES = 4_000_000  # scores held at once: 16 MB of float32
MOST_USERS = 4096  # of a batch on a device: more would not keep it busier
DEVICE_BYTES = 128  # of free memory that a device has for each user or item of a row
NOT_LISTS = ("status", "key", "seed", "data", "code")  # what `rankings.npz` holds besides lists


@dataclass(frozen=True)
class Inputs:
    """Data of a run; test interactions are not among them."""

    train: Interactions
    valid: Interactions
    ordered: bool
    spectra: Mapping[str, Spectrum]

    def part(self, name: str) -> Interactions:
        """Return `train` or the union `train+valid`."""
        return self.train if name == "train" else self.train.merged(self.valid)

    @cached_property
    def digest(self) -> str:
        """What `stats.json` calls `fit`: the digest of train, valid and whether they are ordered."""
        return fit_digest(self.train, self.valid, self.ordered)


def read_spectra(
    folder: Path, needs: list[tuple[str, int]], fitted: Interactions, code: str | None = None
) -> dict[str, Spectrum]:
    """Return the spectra of a dataset by operator; refuse those of other interactions or code.

    Parameters
    ----------
    folder : Path
        `results/spectra/DATASET`.
    needs : list of (operator id, rank)
        As `config.model.spectra_of` returns them.
    fitted : Interactions
        What the operators are built from.
    code : str, optional
        Hash of the code that solves for eigenpairs (`code_hashes.spectrum_code`); not compared without it.
    """
    data = data_digest(fitted) if needs else ""
    return {o.partition("@")[0]: Spectrum.load(folder / f"{o}-r{r}.npz", data, code) for o, r in needs}


def rank(
    score: Scorer, history: Interactions, masks: list[Interactions], depth: int, size: int = 0,
    ties: bool = True, users: np.ndarray | None = None, tied: TiedUsers | None = None,
) -> list[Ranking]:  # fmt: skip
    """Rank all users once per mask, scoring each user once.

    Parameters
    ----------
    score : callable
        Takes (users, History), returns scores of shape (b, n).
    history : Interactions
        What the model is shown.
    masks : list of Interactions
        What may not be recommended, one list of results each.
    depth : int
        Length of the lists.
    size : int
        Users per batch; 0 chooses by memory.
    ties : bool
        Whether to look for equal scores.
    users : array, optional
        Ids of the users to rank; all of them by default.
    tied : TiedUsers, optional
        Counts users without differences in their scores, by the first mask.

    Returns
    -------
    list of Ranking
        One per mask, in the order of `users`.

    Raises
    ------
    ContractError
        Scores are no dense array of floating point numbers, shape (users, n_items).
    Diverged
        A score is NaN or infinitely large.
    """
    size = size or users_at_once(device_of(score), history.shape)
    users = np.arange(history.n_users) if users is None else users
    parts: list[list[Ranking]] = [[] for _ in masks]
    for places in batches(len(users), size):
        batch = users[places]
        shown = History.of(history, batch)
        with unchanged_inputs(scorer_name(score)):
            found = score(batch.copy(), shown)  # masks are looked up by `batch`
        scores = check_scores(score, found, len(batch), history.n_items)
        seen = [mask.matrix[batch] for mask in masks]
        for part, ranking in zip(parts, rankings(scores, seen, depth, ties), strict=True):
            part.append(ranking)
        if tied:
            tied.count(scores, parts[0][-1].lists, seen[0], history.lengths[batch])
    return [Ranking.join(part) for part in parts]


def device_for(model: ModelConfig, wanted: str, shape: tuple[int, int]) -> str:
    """Return where a model is fitted, scored and ranked, `cuda` or `cpu`; reserve a CUDA device.

    Parameters
    ----------
    model : ModelConfig
        Trained, or in closed form; of the latter only those that say `gpu: true` leave the CPU.
    wanted : {"auto", "cpu", "cuda"}
        The setting; for `auto` models in closed form take a device only where there is much to score.
    shape : (m, n)
        Users and items.
    """
    if model.kind == "trained":
        return pick_device(wanted)
    little = wanted == "auto" and shape[0] * shape[1] < SCORES
    return "cpu" if little or not model.gpu else pick_device(wanted, light=True)


def users_at_once(device: str, shape: tuple[int, int]) -> int:
    """Return how many users a batch holds, given how many users and items there are.

    On a device they fit into half of the memory that is free: a row's scores, its keys, and what a
    model computes them from, over users or items.
    """
    free = free_bytes(device)
    if free is None:
        return max(1, BATCH_SCORES // shape[1])
    return int(np.clip(free // (DEVICE_BYTES * max(sum(shape), 1)), 1, MOST_USERS))


def top_scored(
    score: Scorer, history: Interactions, users: np.ndarray, depth: int, without_history: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best items of some users and their scores.

    Parameters
    ----------
    score : callable
        Takes (users, History), returns scores of shape (b, n).
    history : Interactions
        What each row is shown.
    users : int64 array, shape (rows,)
        What the model calls the user of each row.
    depth : int
        Length of the lists.
    without_history : bool
        Whether items of the row's history are left out.

    Returns
    -------
    items, scores : int32 and float32 arrays, shape (rows, depth)
        Best first, larger ids first among equals; -1 and NaN where a row has too few candidates.
    """
    nothing = sp.csr_array(history.shape, dtype=np.float32)
    lists, values = [], []
    for rows in batches(history.n_users, users_at_once(device_of(score), history.shape)):
        with unchanged_inputs(scorer_name(score)):
            found = score(users[rows].copy(), History.of(history, rows))
        scores = check_scores(score, found, len(rows), history.n_items)
        seen = history.matrix[rows] if without_history else nothing[rows]
        items = top_with_ties(scores, seen, depth, ties=False).lists
        lists.append(items)
        found = values_at(scores, np.arange(len(rows))[:, None], items)
        values.append(np.where(items < 0, np.float32(np.nan), found))
    empty = np.zeros((0, depth), dtype=np.float32)
    return np.concatenate([empty.astype(np.int32), *lists]), np.concatenate([empty, *values])


def all_lists(score: Scorer, inputs: Inputs, fit: str, depth: int) -> dict[str, np.ndarray]:
    """Return the lists of a run by name, and what other rules for ties than theirs need.

    A refit on train+valid has no validation list: its targets were fitted on.

    Raises
    ------
    Refused
        Every user's candidates have one score (`TiedUsers`).
    """
    both, tied = inputs.part("train+valid"), TiedUsers()
    shown_train = rank(score, inputs.train, [inputs.train, both], depth, tied=tied)
    tied.refuse_if_all()
    named = {
        list_name("test", "train", "train"): shown_train[0],
        list_name("test", "train", "train+valid"): shown_train[1],
        list_name("test", "train+valid", "train+valid"): rank(score, both, [both], depth)[0],
    }
    if fit == "train":
        named[list_name("valid", "train", "train")] = shown_train[0]
    return {key: array for name, ranking in named.items() for key, array in as_arrays(name, ranking).items()}
