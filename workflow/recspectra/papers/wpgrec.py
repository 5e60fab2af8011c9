"""Time and memory of a training step of WPGRec against the sizes in its Section 3.7.

Eq. 17 counts |U| B T d for summaries, B L_g K |E| d for propagation, N d^2 for projections and
b |I| d for the softmax of a batch of b; Eq. 18 counts L_g (K + 1) d^2 for filters, |E| for the
graph and L_g N B d for the rows of all nodes. What is measured is one step of `summaries: exact`
and `propagation: layers`, which does mainly these things: all users are summarised, all nodes
filtered layer by layer, one batch is scored and gradients flow back. (In studies the same filters
are collapsed to one polynomial, which is faster.) Data are random; what is done does not depend
on their values.

Each point has a process of its own, because a process never gives its peak of memory back.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from recspectra.config.model import ModelConfig
from recspectra.data.interactions import Interactions
from recspectra.recommender import Run, Task, create
from recspectra.training.device import generator as seeded

COLUMNS = ["axis", "size", "measure", "measured", "formula", "device", "threads"]
BATCH = 128


@dataclass(frozen=True)
class Sizes:
    """What a point is measured at.

    Attributes
    ----------
    users, items : int
        |U| and |I|.
    steps : int
        T, most recent items that are summarised.
    length : int
        Items of each user in the graph; |E| is users x length.
    levels : int
        l; there are B = 2^l bands.
    """

    users: int = 500
    items: int = 1000
    steps: int = 16
    length: int = 128
    levels: int = 2

    @property
    def edges(self) -> int:
        """|E|."""
        return self.users * self.length

    @property
    def bands(self) -> int:
        """B."""
        return 2**self.levels


def points(base: Sizes, factors: list[int]) -> list[tuple[str, int, Sizes]]:
    """Return (axis, size, sizes) with one size multiplied by each factor, the others as in `base`.

    More users at the same number of edges are users with shorter histories.
    """
    found = []
    for factor in factors:
        users = base.users * factor
        found.append(("users", users, replace(base, users=users, length=base.length // factor)))
    found += [("bands", 2**level, replace(base, levels=level)) for level in range(len(factors))]
    for factor in factors:
        found.append(("steps", base.steps * factor, replace(base, steps=base.steps * factor)))
    for factor in factors:
        grown = replace(base, length=base.length * factor)
        found.append(("edges", grown.edges, grown))
    return found


def time_formula(sizes: Sizes, p: dict[str, Any]) -> float:
    """Return what Eq. 17 counts, up to a constant."""
    d, nodes = p["dimensions"], sizes.users + sizes.items
    summaries = sizes.users * sizes.bands * sizes.steps * d
    propagation = sizes.bands * p["graph_layers"] * p["order"] * sizes.edges * d
    return summaries + propagation + nodes * d**2 + BATCH * sizes.items * d


def memory_formula(sizes: Sizes, p: dict[str, Any]) -> float:
    """Return what Eq. 18 counts, up to a constant."""
    d, nodes = p["dimensions"], sizes.users + sizes.items
    filters = p["graph_layers"] * (p["order"] + 1) * d**2
    return filters + sizes.edges + p["graph_layers"] * nodes * sizes.bands * d


def costs(
    config: ModelConfig, base: Sizes, factors: list[int], repetitions: int, device: str, threads: int
) -> pd.DataFrame:
    """Measure seconds and megabytes of a step at growing sizes.

    Parameters
    ----------
    config : ModelConfig
        Of WPGRec.
    base : Sizes
        The smallest sizes.
    factors : list of int
        What users, steps and edges are multiplied by; there are as many depths of the tree.
    repetitions : int
        Steps that the median is taken of; one more warms up.
    device : str
        `cpu` or `cuda`.
    threads : int
        Threads of torch.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`; `measure` is `seconds` or `megabytes` (peak beyond what is loaded before).
    """
    rows = []
    for axis, size, sizes in points(base, factors):
        params = config.resolve({"max_len": sizes.steps, "levels": sizes.levels, "wavelet": "haar",
                                 "summaries": "exact", "propagation": "layers", "tokens": 0})  # fmt: skip
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            found = pool.apply(
                measured, (config.model_dump(), params, asdict(sizes), repetitions, device, threads)
            )
        formulas = {"seconds": time_formula(sizes, params), "megabytes": memory_formula(sizes, params)}
        rows += [[axis, size, name, found[name], formulas[name], device, threads] for name in formulas]
    return pd.DataFrame(rows, columns=COLUMNS)


def measured(
    config: dict[str, Any], params: dict[str, Any], sizes: dict[str, int], repetitions: int, device: str,
    threads: int,
) -> dict[str, float]:  # fmt: skip
    """Return the median seconds of a step and the megabytes that it takes at most."""
    torch.set_num_threads(threads)
    system, batch = _ready(ModelConfig.model_validate(config), params, Sizes(**sizes), device)
    before, seconds = _peak_megabytes(device), []
    for _ in range(repetitions + 1):
        started = time.perf_counter()
        generator = seeded(system.device, 0)
        system.batch_loss(batch, generator, exact=True).backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
        system.module.zero_grad(set_to_none=True)
    return {"seconds": statistics.median(seconds[1:]), "megabytes": _peak_megabytes(device) - before}


def _ready(config: ModelConfig, params: dict[str, Any], sizes: Sizes, device: str) -> tuple[Any, Any]:
    """Return a system with random weights and a batch of it."""
    train, system = random_rows(sizes), create(config, params)
    task = Task(train, None, True)
    system.device, system.shape = torch.device(device), np.array(train.shape, dtype=np.int64)
    system.prepare(task, Run(0, device))
    torch.manual_seed(0)
    system.module = system.build().to(system.device)
    generator = torch.Generator().manual_seed(0)
    return system, next(iter(system.batches(task)(generator)))


def random_rows(sizes: Sizes) -> Interactions:
    """Return users with `length` items each, at equal distances from a random start."""
    rng = np.random.default_rng(0)
    start = rng.integers(sizes.items, size=(sizes.users, 1))
    step = max(1, sizes.items // sizes.length)
    items = (start + step * np.arange(sizes.length)) % sizes.items
    indptr = np.arange(sizes.users + 1, dtype=np.int64) * sizes.length
    return Interactions(indptr, items.ravel().astype(np.int32), None, sizes.items)


def _peak_megabytes(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1024.0**2
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
