"""Time to score one batch of users against the numbers of users and of items (S-Diff's Figure 5).

Nothing is trained: a system is built with random weights, its eigenvectors are the
orthonormal factor of a random matrix and the histories are random. What is done in
scoring does not depend on the values of any of them, only on their sizes.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from recspectra.config.model import ModelConfig, RunConfig, spectra_of
from recspectra.data.interactions import Interactions
from recspectra.data.synthetic import generate
from recspectra.layers.trained import Trained
from recspectra.recommender import History, Run, Task, create
from recspectra.spectral.spectrum import Spectrum

COLUMNS = ["system", "axis", "users", "items", "part", "seconds", "device", "threads"]
BATCH = 100
HISTORY = 50  # interactions of a user on average
PER_USER = 10  # the same, of users outside the batch that is timed


def inference_times(
    configs: list[ModelConfig], users: list[int], items: list[int], fixed_users: int, fixed_items: int,
    repetitions: int, device: str = "cpu",
) -> pd.DataFrame:  # fmt: skip
    """Time systems at growing sizes.

    Parameters
    ----------
    configs : list of ModelConfig
        Trained systems, with their default parameters.
    users, items : list of int
        Sizes of the two axes.
    fixed_users, fixed_items : int
        The other size, while one axis grows.
    repetitions : int
        Batches that the median is taken of; one more warms up.
    device : str
        `cpu` or `cuda`.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`; a row for each part of a system, and one for the whole, `total`.
    """
    sizes = [("users", m, fixed_items) for m in users] + [("items", fixed_users, n) for n in items]
    rows = []
    for axis, m, n in sizes:
        train = random_interactions(m, n)
        for config in configs:
            system = untrained(config, train, device)
            for part, seconds in medians(system, train, repetitions).items():
                rows.append([config.name, axis, m, n, part, seconds, device, torch.get_num_threads()])
    return pd.DataFrame(rows, columns=COLUMNS)


def random_interactions(users: int, items: int, seed: int = 0) -> Interactions:
    """Return synthetic histories: `BATCH` long ones first, then short ones.

    Parameters
    ----------
    users, items : int
        Sizes of the matrix.
    seed : int
        Seed of the generator.
    """
    first, length = min(BATCH, users), max(1, min(HISTORY, items // 4))
    table = generate(first, items, first * length, min_length=min(PER_USER, length), seed=seed)
    order = np.argsort(table.users, kind="stable")
    rest = _rows_without_repeats(np.random.default_rng(seed), users - first, items)
    lengths = np.full(users, PER_USER)
    lengths[:first] = np.bincount(table.users, minlength=first)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    picked = np.concatenate([table.items[order], rest.ravel()]).astype(np.int32)
    return Interactions(indptr, picked, None, items)


def _rows_without_repeats(rng: np.random.Generator, rows: int, items: int) -> np.ndarray:
    """Return `PER_USER` items of each row: a random start, then equal steps."""
    start = rng.integers(items, size=(rows, 1))
    return (start + np.arange(PER_USER) * (items // PER_USER)) % items


def untrained(config: ModelConfig, train: Interactions, device: str = "cpu", seed: int = 0) -> Trained:
    """Return a system as it is before its first step of training, ready to score.

    Parameters
    ----------
    config : ModelConfig
        Of a class derived from `Trained`; a `rank` above the number of items is lowered to it.
    train : Interactions
        Its training data; only sizes and degrees matter.
    device : str
        `cpu` or `cuda`.
    seed : int
        Seed of the random weights and eigenvectors.

    Raises
    ------
    TypeError
        The system is none of the trained ones.
    """
    params = config.resolve({})
    if "rank" in params:
        params["rank"] = min(params["rank"], train.n_items)
    system = create(config, params)
    if not isinstance(system, Trained):
        raise TypeError(f"system '{config.name}' has no weights that could be random")
    needs = spectra_of(config, RunConfig(model=config.name, params=params))
    spectra = {name.partition("@")[0]: random_spectrum(train.n_items, rank, seed) for name, rank in needs}
    torch.manual_seed(seed)
    system.device, system.shape = torch.device(device), np.array(train.shape, dtype=np.int64)
    system.prepare(Task(train, None, True, spectra), Run(seed, device))
    system.module = system.build().to(system.device).eval()
    with torch.no_grad():
        system.refresh()
    return system


def random_spectrum(size: int, rank: int, seed: int = 0) -> Spectrum:
    """Return random orthonormal vectors under eigenvalues that fall evenly from 1 to 0."""
    rank = min(rank, size)
    normal = np.random.default_rng(seed).standard_normal((size, rank), dtype=np.float32)
    vectors = np.linalg.qr(normal)[0]
    return Spectrum(np.linspace(1.0, 0.0, rank), vectors, np.zeros(rank), 0.0, "random", 0.0)


def medians(system: Trained, train: Interactions, repetitions: int) -> dict[str, float]:
    """Return median seconds of a batch by part of the system, and in `total`.

    Parts are the methods that the class names in `parts` (part -> method); a system
    without has its total alone. The history is handed over as a sparse matrix.
    """
    users = np.arange(min(BATCH, train.n_users))
    history = History.of(train, users)
    system.score(users, history)
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(repetitions):
        with stopwatches(system) as seconds:
            started = time.perf_counter()
            system.score(users, history)
            seconds["total"] = time.perf_counter() - started
        for part, value in seconds.items():
            found[part].append(value)
    return {part: statistics.median(values) for part, values in found.items()}


@contextmanager
def stopwatches(system: Any) -> Iterator[dict[str, float]]:
    """Measure a system's parts inside the block; yields their seconds, summed over calls."""
    seconds: dict[str, float] = defaultdict(float)
    parts: dict[str, str] = getattr(system, "parts", {})
    for part, method in parts.items():
        setattr(system, method, partial(_timed, getattr(system, method), seconds, part, system.device))
    try:
        yield seconds
    finally:
        for method in parts.values():
            delattr(system, method)


def _timed(
    function: Callable[..., Any], seconds: dict[str, float], part: str, device: torch.device, *args: Any
) -> Any:
    started = time.perf_counter()
    result = function(*args)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds[part] += time.perf_counter() - started
    return result
