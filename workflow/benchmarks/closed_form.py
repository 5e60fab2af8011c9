"""Fit, score and rank with closed-form models, each in a process of its own, against its floors.

    python workflow/benchmarks/closed_form.py --data results/data/gowalla --folder /tmp/spectra

See README.md in this folder for what the columns are.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import scipy.sparse as sp

from recspectra.config.catalog import Catalog
from recspectra.config.model import Budget, RunConfig, needed_spectra
from recspectra.data.interactions import Interactions
from recspectra.fitting.scoring import BATCH_SCORES, Inputs, all_lists, rank
from recspectra.fitting.statuses import attempt
from recspectra.identity import data_digest
from recspectra.recommender import History, Recommender, Run, Task, create
from recspectra.running import cli
from recspectra.runtime import peak_memory_mb
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build, normalised
from recspectra.spectral.spectrum import Spectrum

# With one thread CPU time is what was worked, whatever else the machine does.
CLOCK = time.process_time if os.environ.get("OMP_NUM_THREADS") == "1" else time.perf_counter
DEPTH = 50
FEW = 388  # users of a product when its floor is timed
WIDTHS = (16, 32, 48)  # columns of a sparse product when its floor is timed: the best counts
MATRICES = {"itemknn": "similarity", "rp3beta": "walk", "turbocf": "q"}  # of items x items
COLUMNS = {
    "eigenpairs": "eigenpairs s", "fit": "fit s", "score": "score s", "score_floor": "floor s",
    "score_ratio": "ratio", "rank": "rank s", "rank_floor": "floor s", "rank_ratio": "ratio",
    "whole": "run s", "peak": "peak GB",
}  # fmt: skip


def products_of(name: str, p: dict[str, Any], system: Recommender, x: sp.csr_array) -> tuple[int, int, float]:
    """Return what scoring takes at least: columns of factors, products with R and numbers read a user."""
    degree = {
        "gfcf": 1,
        "pgsp": 1,
        "sgfcf": int(p.get("gamma", 0) > 0),
        "linkprop": 1,
        "chebycf": p.get("order", 0),
    }.get(name, 0)
    if name == "bspm":
        degree = len(system.linear.coefficients) - 1
    if name == "higsp":
        degree = p["order_global"] + p["order_cluster"]
    if name == "turbocf" and not system.q.shape[0]:
        degree = p["filter"]
    matrix, read = item_matrix(name, system), 0.0
    if sp.issparse(matrix) and matrix.shape[0]:
        read = float((x @ np.diff(matrix.indptr)).mean())
    elif isinstance(matrix, np.ndarray):
        read = float(matrix.shape[1] * x.nnz / x.shape[0])
    return p.get("rank", p.get("dimensions", 0)), 2 * degree, read


def item_matrix(name: str, system: Recommender) -> Any:
    """Return the matrix of items x items, sparse or dense, that a model multiplies histories by, if any."""
    return getattr(system, MATRICES.get(name, "weights"), None)


def least(work: Callable[[], object], repeats: int = 2) -> float:
    """Return the least time of some calls."""
    times = []
    for _ in range(repeats):
        started = CLOCK()
        work()
        times.append(CLOCK() - started)
    return min(times)


def floors(x: sp.csr_array, columns: int, matrix: Any) -> dict[str, float]:
    """Return seconds a user of a product with factors, one with R and 64 columns with top-k.

    And of a number: `read` of the matrix of items x items, and `write` of scores.
    """
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rng, (_, n) = np.random.default_rng(0), x.shape
    normal = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    r = normalised(x).astype(np.float32)
    left, right = normal(FEW, max(columns, 64)), normal(n, max(columns, 64))
    once = []
    for width in WIDTHS:
        block = normal(n, width)
        near = r @ block
        once.append((least(lambda b=block: r @ b) + least(lambda b=near: r.T @ b)) / 2 / width)
    scores = left[:, :64] @ right[:, :64].T
    top = least(lambda: torch.topk(torch.from_numpy(scores), DEPTH, dim=1))
    narrow = least(lambda: left[:, :64] @ right[:, :64].T)
    return {
        "columns": least(lambda: left[:, :columns] @ right[:, :columns].T) / FEW if columns else 0.0,
        "sparse": min(once),
        "read": read_seconds(matrix),
        "write": least(lambda: np.ones(BATCH_SCORES, dtype=np.float32)) / BATCH_SCORES,
        "rank": (narrow + top) / FEW,
    }


def read_seconds(matrix: Any) -> float:
    """Return the seconds in which a product with a vector reads one number of a matrix, at its best."""
    if not (sp.issparse(matrix) or isinstance(matrix, np.ndarray)) or not matrix.size:
        return 0.0
    vector = np.ones(matrix.shape[1], dtype=np.float32)
    return least(lambda: matrix @ vector) / matrix.size


def passes(
    system: Recommender, train: Interactions, masks: list[Interactions], count: int
) -> dict[str, float]:
    """Return seconds of scoring and of ranking `count` users, scaled to a pass over all."""
    users, spent = np.unique(np.linspace(0, train.n_users - 1, count).astype(int)), [0.0]

    def score(batch: np.ndarray, history: History) -> np.ndarray:
        started = CLOCK()
        found = system.score(batch, history)
        spent[0] += CLOCK() - started
        return found

    started = CLOCK()
    rank(score, train, masks, DEPTH, max(1, BATCH_SCORES // train.n_items), users=users)
    whole, scale = CLOCK() - started, train.n_users / len(users)
    return {"score": scale * spent[0], "rank": scale * (whole - spent[0])}


def keep_least(record: dict, found: dict[str, float]) -> None:
    """Keep of each time the least so far."""
    record.update({key: min(value, record.get(key, value)) for key, value in found.items()})


def one(catalog: Catalog, name: str, args: argparse.Namespace) -> dict:
    """Fit, score and rank with one model in this process; return its record."""
    model, data = catalog.model(name), args.data.name
    params = model.resolve(model.best.get(data, {}) | json.loads(args.params).get(name, {}))
    config = RunConfig(model=name, params=params)
    train, valid = (Interactions.load(args.data / f"{part}.npz") for part in ("train", "valid"))
    both, record = train.merged(valid), {"status": "ok", "reason": ""}

    def work() -> None:
        spectra = {o: _spectrum(args.folder, o, r, both) for o, r in needed_spectra(model, config, params)}
        record["eigenpairs"] = sum(s.seconds for s in spectra.values())
        spectra = {o.partition("@")[0]: s for o, s in spectra.items()}
        system, started = create(model, params), CLOCK()
        system.fit(Task(both, None, False, spectra), Run(label=name))
        record["fit"] = CLOCK() - started
        if args.whole:
            started = CLOCK()
            all_lists(system.score, Inputs(train, valid, False, spectra), "train+valid", DEPTH)
            record["whole"] = record["fit"] + CLOCK() - started
        columns, products, read = products_of(name, params, system, both.matrix)
        matrix = item_matrix(name, system)
        for _ in range(args.repeats):  # taken in turns: on a loaded machine both sides see what is left of it
            keep_least(record, passes(system, both, [both, train], args.users))
            record.setdefault("peak", peak_memory_mb() / 1024)
            floor = floors(both.matrix, columns, matrix)
            seconds = floor["columns"] + products * floor["sparse"]
            seconds += read * floor["read"] + both.n_items * floor["write"]
            found = {"score_floor": seconds, "rank_floor": floor["rank"]}
            keep_least(record, {key: both.n_users * value for key, value in found.items()})

    attempt(work, record, Budget(minutes=args.minutes, memory_gb=args.memory_gb), "cpu")
    for part in ("score", "rank"):
        if f"{part}_floor" in record:
            record[f"{part}_ratio"] = record[part] / record[f"{part}_floor"]
    return record


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
    parser.add_argument("--users", type=int, default=2000, help="who are scored, spread over all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="time the lists of a whole run, too")
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
        threads = os.environ.get("OMP_NUM_THREADS", "all")
        print(f"{args.data.name}, {threads} threads; seconds a pass over all users")
        print(f"{'model':<15}{'status':<9}" + "".join(f"{head:>13}" for head in COLUMNS.values()))
        for name in args.models or closed:
            _apart(name, folder)


def _apart(name: str, folder: Path) -> None:
    """Run one model in a process of its own, so that its peak memory is its own; print its line."""
    command = [sys.executable, *sys.argv, "--only", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"signal {-done.returncode}"])[-1]
        record = {"status": "failed", "reason": last}
    else:
        record = json.loads(done.stdout.splitlines()[-1])
    numbers = "".join(f"{record[key]:>13.2f}" if key in record else f"{'-':>13}" for key in COLUMNS)
    print(f"{name:<15}{record['status']:<9}{numbers}  {record['reason']}", flush=True)


if __name__ == "__main__":
    cli.main(run)
