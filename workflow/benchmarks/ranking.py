"""Time full ranking and all metrics against their floor: one product and one top-k.

Scores come from a factor model of random numbers at the size of a dataset. With
--data the dataset's own interactions are masked and searched, otherwise random ones of
ML-1M's (DiffRec) counts are. Thread counts are those of the environment.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.evaluation.hits import compare
from recspectra.evaluation.metrics import ACCURACY
from recspectra.fitting.ranking import top_items
from recspectra.running import cli

SHAPE, SEEN, TARGETS = (5949, 2810), 513_999, 57_532
CUTS = [5, 10, 20]


def random_interactions(rng: np.random.Generator, count: int) -> Interactions:
    """Return `count` distinct random pairs at ML-1M's size."""
    cells = rng.choice(SHAPE[0] * SHAPE[1], size=count, replace=False)
    return from_pairs(cells // SHAPE[1], cells % SHAPE[1], None, SHAPE)


def load(folder: Path | None, rng: np.random.Generator) -> tuple[sp.csr_array, Interactions]:
    """Return (what is masked, what is to be found)."""
    if folder is None:
        return random_interactions(rng, SEEN).matrix, random_interactions(rng, TARGETS)
    train, valid, test = (Interactions.load(folder / f"{p}.npz") for p in ("train", "valid", "test"))
    return train.merged(valid).matrix, test


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median wall time of `repeats` calls after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def run() -> None:
    """Print seconds of product, top-k floor, ranking and metrics, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="results/data/DATASET")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    seen, truth = load(args.data, rng)
    users = rng.standard_normal((truth.n_users, args.factors)).astype(np.float32)
    items = rng.standard_normal((truth.n_items, args.factors)).astype(np.float32)
    scores = users @ items.T
    lists = top_items(scores, seen, args.depth)
    ranked = compare(lists, truth)

    def topk_floor() -> np.ndarray:
        return np.argpartition(scores, truth.n_items - args.depth, axis=1)[:, -args.depth :]

    def everything() -> None:
        found = compare(top_items(users @ items.T, seen, args.depth), truth)
        for metric in ACCURACY.values():
            metric(found, CUTS).mean(axis=0)

    parts = {
        "matrix product": lambda: users @ items.T,
        "numpy argpartition": topk_floor,
        "ranking (masked, exact ties)": lambda: top_items(scores, seen, args.depth),
        "hits": lambda: compare(lists, truth),
        **{f"metric {name}": lambda m=m: m(ranked, CUTS) for name, m in ACCURACY.items()},
        "everything": everything,
    }
    print(f"{truth.n_users} users x {truth.n_items} items, top {args.depth}, k = {CUTS}")
    print(f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, "
          f"numpy {np.__version__}, Python {platform.python_version()}")  # fmt: skip
    seconds = {name: median_seconds(work, args.repeats) for name, work in parts.items()}
    for name, value in seconds.items():
        print(f"{name:32s} {value:8.4f} s")
    floor = seconds["matrix product"] + seconds["numpy argpartition"]
    print(f"{'floor (product + argpartition)':32s} {floor:8.4f} s")
    print(f"everything / floor = {seconds['everything'] / floor:.2f}")


if __name__ == "__main__":
    cli.main(run)
