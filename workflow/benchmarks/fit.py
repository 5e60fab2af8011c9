"""Fit models on one dataset, each in a process of its own: seconds, peak memory, status.

    python workflow/benchmarks/fit.py --data results/data/synthetic.amazon-book

The eigenpairs that several models share are computed once and counted apart. Scoring is
measured on the first users alone and stated per 1,000 users.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from recspectra.config.catalog import Catalog
from recspectra.config.model import Budget, RunConfig, needed_spectra
from recspectra.data.interactions import Interactions
from recspectra.fitting.scoring import BATCH_SCORES, rank
from recspectra.fitting.statuses import attempt
from recspectra.identity import data_digest
from recspectra.recommender import Run, Task, create
from recspectra.running import cli
from recspectra.runtime import peak_memory_mb
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build
from recspectra.spectral.spectrum import Spectrum

HEAD = f"{'system':<14}{'status':<10}{'eigenpairs s':>13}{'fit s':>9}{'1k users s':>12}{'peak GB':>9}  reason"


def one(catalog: Catalog, name: str, args: argparse.Namespace) -> dict:
    """Fit and score one model in this process; return its record."""
    model, data = catalog.model(name), args.data.name
    params = model.resolve(model.best.get(data, {}) | json.loads(args.params).get(name, {}))
    config = RunConfig(model=name, params=params)
    train = Interactions.load(args.data / "train.npz")
    record = {"status": "ok", "reason": "", "eigenpairs": 0.0, "fit": None, "score": None}

    def work() -> None:
        spectra = {o: _spectrum(args.folder, o, r, train) for o, r in needed_spectra(model, config, params)}
        record["eigenpairs"] = sum(s.seconds for s in spectra.values())
        ordered = catalog.dataset(data).ordered
        task = Task(train, None, ordered, {o.partition("@")[0]: s for o, s in spectra.items()})
        system, started = create(model, params), time.perf_counter()
        system.fit(task, Run(label=name))
        record["fit"], started = time.perf_counter() - started, time.perf_counter()
        users = np.arange(min(args.users, train.n_users))
        size = max(1, BATCH_SCORES // train.n_items)
        rank(system.score, train, [train], 50, size, users=users)
        record["score"] = (time.perf_counter() - started) * 1000 / len(users)

    attempt(work, record, Budget(minutes=args.minutes, memory_gb=args.memory_gb), "cpu")
    return record | {"peak": peak_memory_mb() / 1024}


def _spectrum(folder: Path, operator: str, size: int, train: Interactions) -> Spectrum:
    path = folder / f"{operator}-r{size}.npz"
    if not path.is_file():
        leading(build(operator.partition("@")[0], train), size).save(path, data_digest(train))
    return Spectrum.load(path, data_digest(train))


def run() -> None:
    """Print one line a model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="results/data/DATASET")
    parser.add_argument("--models", nargs="*", help="all closed-form models by default")
    parser.add_argument("--params", default="{}", help='JSON: {"gfcf": {"rank": 200}}')
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--memory-gb", type=float, default=24.0)
    parser.add_argument("--folder", type=Path, help="where eigenpairs are kept (default: nowhere)")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    catalog = cli.catalog()
    if args.only:
        print(json.dumps(one(catalog, args.only, args)))
        return
    closed = [n for n in catalog.names("models") if catalog.model(n).kind == "closed-form"]
    with TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        print(f"{args.data.name}, {os.environ.get('OMP_NUM_THREADS', 'all')} threads", HEAD, sep="\n")
        for name in args.models or closed:
            print(_line(name, _apart(name, folder)), flush=True)


def _apart(name: str, folder: Path) -> dict:
    """Run one model in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, *sys.argv, "--only", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"signal {-done.returncode}"])[-1]
        return {
            "status": "failed",
            "reason": last,
            "eigenpairs": 0.0,
            "fit": None,
            "score": None,
            "peak": 0.0,
        }
    return json.loads(done.stdout.splitlines()[-1])


def _line(name: str, r: dict) -> str:
    fit, score = (f"{r[k]:.1f}" if r[k] is not None else "-" for k in ("fit", "score"))
    numbers = f"{r['eigenpairs']:>13.1f}{fit:>9}{score:>12}{r['peak']:>9.1f}"
    return f"{name:<14}{r['status']:<10}{numbers}  {r['reason']}"


if __name__ == "__main__":
    cli.main(run)
