"""Time the eigensolvers on one operator of a dataset, each in a process of its own.

All are asked for residual norms of 1e-4, but block and torch go on to 4e-6 and check that no pair is
missing, which ARPACK does not. Ratios are to ARPACK where it is among the solvers; else to the slowest.
Seconds are those of the leading pairs; block and torch find the smallest eigenvalue along the way.
Thread counts are those of the environment.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from recspectra.data.interactions import Interactions
from recspectra.running import cli
from recspectra.spectral.eigen import SOLVERS, TOLERANCE, SpectrumError
from recspectra.spectral.operators import Operator, build

REFERENCE = "arpack"
KNOWN = [REFERENCE, *(name for name in SOLVERS if name != "dense")]


def linear(operator: Operator) -> LinearOperator:
    """Return SciPy's view of a matrix-free operator."""
    shape = (operator.size, operator.size)
    return LinearOperator(shape, matvec=operator.__matmul__, matmat=operator.__matmul__, dtype=np.float64)


def solve(name: str, operator: Operator, rank: int) -> tuple[np.ndarray, float]:
    """Return (vectors, seconds) of one solver at a residual of 1e-4."""
    start, started = np.random.default_rng(0).standard_normal(operator.size), time.perf_counter()
    if name == REFERENCE:
        _, vectors = eigsh(linear(operator), k=rank, which="LA", v0=start, tol=TOLERANCE)
    else:
        vectors = SOLVERS[name](operator, rank, 0)[1]
    return vectors, time.perf_counter() - started


def residual(operator: Operator, vectors: np.ndarray) -> float:
    """Return the largest residual norm of float32 vectors."""
    largest = 0.0
    for first in range(0, vectors.shape[1], 64):
        v = vectors[:, first : first + 64].astype(np.float32).astype(np.float64)
        product = operator @ v
        rest = product - v * ((v * product).sum(axis=0) / (v * v).sum(axis=0))
        largest = max(largest, float(np.linalg.norm(rest, axis=0).max()))
    return largest


def one(name: str, args: argparse.Namespace) -> None:
    """Run one solver and print its figures as JSON."""
    warnings.simplefilter("ignore", UserWarning)
    operator = build(args.operator, Interactions.load(args.data / "train.npz"))
    try:
        vectors, seconds = solve(name, operator, args.rank)
    except SpectrumError as error:
        print(json.dumps({"note": str(error)}))
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "residual": residual(operator, vectors), "peak": peak}))


def measure(name: str, args: argparse.Namespace) -> dict:
    """Run one solver in a process of its own."""
    command = [sys.executable, __file__, "--data", str(args.data), "--operator", args.operator]
    command += ["--rank", str(args.rank), "--one", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.limit)
    except subprocess.TimeoutExpired:
        return {"note": f"over {args.limit:g} s"}
    if done.returncode:
        return {"note": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def run() -> None:
    """Print seconds, ratio to the reference, residual and peak memory of each solver."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="results/data/DATASET")
    parser.add_argument("--operator", default="unified-d2-a0.4")
    parser.add_argument("--rank", type=int, default=128)
    parser.add_argument("--solvers", default="arpack,block")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a solver may take")
    parser.add_argument("--one", choices=KNOWN, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.one, args)
        return
    names = args.solvers.split(",")
    if unknown := [name for name in names if name not in KNOWN]:
        parser.error(f"unknown solver {', '.join(unknown)}; known: {', '.join(KNOWN)}")
    print(f"{args.data.name}, {args.operator}, rank {args.rank}, residual {TOLERANCE:g}")
    print(f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, "
          f"numpy {np.__version__}, Python {platform.python_version()}")  # fmt: skip
    found = {}
    for name in names:
        found[name] = measure(name, args)
        print(f"  {name} done", file=sys.stderr, flush=True)
    seconds = {name: row["seconds"] for name, row in found.items() if "seconds" in row}
    base = seconds.get(REFERENCE, max(seconds.values(), default=0.0))
    print(f"{'solver':14s} {'seconds':>9s} {'faster':>8s} {'residual':>9s} {'peak GB':>8s}")
    for name, row in found.items():
        if "note" in row:
            print(f"{name:14s} {row['note']}")
        else:
            print(f"{name:14s} {row['seconds']:9.2f} {base / row['seconds']:7.1f}x "
                  f"{row['residual']:9.1e} {row['peak']:8.2f}")  # fmt: skip


if __name__ == "__main__":
    cli.main(run)
