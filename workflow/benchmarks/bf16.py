"""Time an epoch of trained models in float32 against one whose products of matrices are in bfloat16.

    OMP_NUM_THREADS=1 python workflow/benchmarks/bf16.py --data results/data/ml-1m.diffrec

Tensors stay float32. `torch.set_float32_matmul_precision("medium")` lets oneDNN round both sides of a
product to bfloat16 and sum in float32, which a processor with AMX does in half the time. Epochs of one fit
take turns, so that a loaded machine slows both sides. Seconds are CPU time, the least and the median; the
first epoch is left out. No model has such a setting: README.md says what it would gain.
"""

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from recspectra.config.catalog import Catalog
from recspectra.config.model import RunConfig, needed_spectra
from recspectra.data.interactions import Interactions
from recspectra.recommender import Run, Task, create
from recspectra.running import cli
from recspectra.runtime import limit_threads
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build

MODELS = ("multivae", "multidae", "cdae", "diffrec", "codigem", "giffcf", "sdiff")
WAYS = ("medium", "highest")  # bfloat16 and float32, as PyTorch calls them


@dataclass(frozen=True)
class TakingTurns(Run):
    """A run whose epochs are in float32 and in bfloat16 by turns; `seconds` has those of each way."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    started: list[float] = field(default_factory=list)

    def progress(self, total: int) -> Any:
        """Return what the training loop tells of its epochs."""
        self.begin("highest")
        return self

    def begin(self, way: str) -> None:
        """Begin an epoch."""
        torch.set_float32_matmul_precision(way)
        self.started.append(time.process_time())

    def update(self, epoch: int, **values: float) -> None:
        """Note the end of an epoch and begin the next one in the other precision."""
        if epoch > 1:
            self.seconds[torch.get_float32_matmul_precision()].append(time.process_time() - self.started[-1])
        self.begin(WAYS[epoch % 2])

    def close(self) -> None:
        """Do nothing."""


def measured(catalog: Catalog, name: str, args: argparse.Namespace) -> str:
    """Train a model in this process; return its line."""
    limit_threads(1)
    train, model = Interactions.load(args.data / "train.npz"), catalog.model(name)
    params = model.resolve({"epochs": 1 + 2 * args.epochs})
    needs = needed_spectra(model, RunConfig(model=name, params=params), params)
    spectra = {o.partition("@")[0]: leading(build(o.partition("@")[0], train), rank) for o, rank in needs}
    run = TakingTurns()
    create(model, params).fit(Task(train, None, catalog.dataset(args.data.name).ordered, spectra), run)
    cells = [find(run.seconds[way]) for find in (min, statistics.median) for way in reversed(WAYS)]
    ratios = cells[0] / cells[1], cells[2] / cells[3]
    return f"{name:<12}" + "".join(f"{x:>16.3f}" for x in cells) + "".join(f"{x:>9.2f}" for x in ratios)


def run() -> None:
    """Print one line a model, each trained in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="results/data/DATASET")
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--epochs", type=int, default=4, help="of each precision")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(measured(cli.catalog(), args.only, args))
        return
    heads = [f"{kind} {way}" for kind in ("least", "median") for way in ("float32", "bf16")]
    print(f"{args.data.name}, one thread, seconds an epoch")
    print(
        f"{'model':<12}" + "".join(f"{head:>16}" for head in heads) + f"{'ratio':>9}{'ratio':>9}", flush=True
    )
    for name in args.models:
        command = [sys.executable, *sys.argv, "--only", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{name:<12}failed: {last}" if done.returncode else done.stdout.splitlines()[-1], flush=True)


if __name__ == "__main__":
    cli.main(run)
