"""Time an epoch of trained models, and with --peer the same epoch in RecBole 1.2.1.

    python -m venv recbole
    recbole/bin/pip install recbole==1.2.1 'numpy<2' 'scipy<1.14' 'pandas<2.2' 'setuptools<80'
    python workflow/benchmarks/training.py --data results/data/ml-1m.diffrec --peer recbole/bin/python

Both sides train on the same interactions with the same sizes, rates and batches, each in
a process of its own, one after the other. Times are medians over the epochs after the
first. The recall shows that both learned the same: it is measured on validation after
the same number of epochs. `ratio` is how many times faster this project is. WPGRec is timed
against its own plain propagation, layer by layer, which needs no peer.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.data import export
from recspectra.data.ids import Ids
from recspectra.data.interactions import Interactions
from recspectra.data.tables import PARTS
from recspectra.fitting.scoring import Inputs
from recspectra.fitting.validation import validator
from recspectra.recommender import Run, Scorer, Task, create
from recspectra.running import cli
from recspectra.runtime import limit_threads

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Peer:
    """One model in RecBole.

    Attributes
    ----------
    model : str
        RecBole's name of it.
    theirs : callable
        From our resolved parameters to RecBole's settings; the size of a batch and the
        learning rate are passed on for all.
    ours : dict
        Where our defaults give way for the comparison.
    sequential : bool
        Whether it learns from ordered sequences; needs a leave-one-out split.
    histories : bool
        Whether our batches count histories; RecBole's count single targets.
    """

    model: str
    theirs: Callable[[SimpleNamespace], dict[str, Any]]
    ours: dict[str, Any] = field(default_factory=dict)
    sequential: bool = False
    histories: bool = False


def attentive(p: SimpleNamespace) -> dict[str, Any]:
    """Return the sizes of a transformer."""
    sizes = {"hidden_size": p.dimensions, "n_layers": p.layers, "n_heads": p.heads, "inner_size": p.hidden}
    rates = {"hidden_dropout_prob": p.dropout, "attn_dropout_prob": p.dropout}
    return sizes | rates | {"MAX_ITEM_LIST_LENGTH": p.max_len, "loss_type": "CE"}


def sampled(count: int) -> dict[str, Any]:
    """Return the settings for some uniform negatives of each pair."""
    chosen = {"distribution": "uniform", "sample_num": count, "alpha": 1.0}
    return {"train_neg_sample_args": chosen | {"dynamic": False, "candidate_num": 0}}


PAIRS = {"dimensions": 64, "batch_size": 2048, "learning_rate": 1e-3}

PEERS = {
    "lightgcn": Peer(
        "LightGCN",
        lambda p: {
            "embedding_size": p.dimensions, "n_layers": p.layers, "reg_weight": p.regularization,
            "require_pow": True,
        },
        PAIRS | {"layers": 3, "regularization": 1e-5},
    ),
    # Our negatives are shared by a batch, theirs are each pair's own.
    "simplex": Peer(
        "SimpleX",
        lambda p: sampled(p.negatives) | {
            "embedding_size": p.dimensions, "margin": p.margin, "negative_weight": p.negative_weight,
            "gamma": p.gamma, "dropout_prob": p.dropout, "reg_weight": p.regularization,
            "train_batch_size": p.batch_size * p.negatives,  # in negatives
        },
        PAIRS | {"negatives": 50, "negative_weight": 10.0, "regularization": 1e-5},
    ),
    "multivae": Peer(
        "MultiVAE",
        lambda p: {
            "mlp_hidden_size": [p.hidden], "latent_dimension": 2 * p.dimensions, "dropout_prob": p.dropout,
        },
        {
            "hidden": 600, "dimensions": 64, "dropout": 0.5, "batch_size": 500, "learning_rate": 1e-3,
            "noise_std": 0.01, "anneal": "authors", "anneal_cap": 0.2,
        },
    ),
    "sasrec": Peer("SASRec", attentive, {"heads": 2, "windows": "every"}, sequential=True, histories=True),
}  # fmt: skip

# Models whose fast path has a plain one beside it: what makes it plain.
REFERENCES = {"wpgrec": {"propagation": "layers"}}


class Stopwatch:
    """A progress bar that notes when epochs end."""

    def __init__(self) -> None:
        self.times = [time.perf_counter()]
        self.paused = 0.0

    def update(self, done: int, **shown: Any) -> None:
        """Note the end of an epoch; what went by in between is not counted."""
        self.times.append(time.perf_counter() - self.paused)

    def close(self) -> None:
        """Nothing to close."""

    @property
    def seconds(self) -> list[float]:
        """Seconds of each epoch."""
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]


@dataclass(frozen=True)
class TimedRun(Run):
    """A run whose progress is a stopwatch."""

    watch: Stopwatch = field(default_factory=Stopwatch)

    def progress(self, total: int) -> Any:
        """Start the watch."""
        self.watch.times[:] = [time.perf_counter()]
        return self.watch


def own(catalog: Catalog, name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train one of our models in this process; return what was measured."""
    limit_threads(args.threads)
    pieces = {part: Interactions.load(args.data / f"{part}.npz") for part in ("train", "valid")}
    ordered = catalog.dataset(args.data.name).ordered
    inputs = Inputs(pieces["train"], pieces["valid"], ordered, {})
    measure, watch, spent = validator(inputs), Stopwatch(), []

    def validate(score: Scorer) -> float:
        started = time.perf_counter()
        found = measure(score)
        spent.append(time.perf_counter() - started)
        watch.paused += spent[-1]
        return found

    params = resolved(catalog, name, args.data) | {"epochs": args.epochs, "eval_every": args.epochs}
    params |= REFERENCES[name] if args.reference else {}
    system = create(catalog.model(name), params)
    task = Task(inputs.train, inputs.valid, ordered)
    log = system.fit(task, TimedRun(label=name, validate=validate, watch=watch))
    parameters = sum(p.numel() for p in system.module.parameters())
    return {"seconds": watch.seconds, "evaluation": spent[-1], "recall": log["best_validation"],
            "parameters": parameters}  # fmt: skip


def resolved(catalog: Catalog, name: str, data: Path) -> dict[str, Any]:
    """Return the parameters of a model for the comparison.

    Raises
    ------
    ConfigError
        The model does not have, or does not allow, what its entry sets.
    """
    if name not in PEERS:
        return catalog.model(name).resolve({})
    params = catalog.model(name).resolve(PEERS[name].ours)
    if "init_std" not in params:
        return params
    # RecBole draws vectors of users and of items by Xavier's rule; this lies between the two.
    shape = Interactions.load(data / "train.npz").shape
    return params | {"init_std": round(math.sqrt(4.0 / (sum(shape) + 2 * params["dimensions"])), 4)}


def theirs(catalog: Catalog, name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Train a model in RecBole; return what was measured."""
    p, peer = SimpleNamespace(**resolved(catalog, name, args.data)), PEERS[name]
    size = round(p.batch_size * targets(args.data)) if peer.histories else p.batch_size
    settings = {"train_batch_size": size, "learning_rate": p.learning_rate} | peer.theirs(p)
    command = [args.peer, HERE / "recbole_epoch.py", "--folder", folder, "--name", args.data.name]
    command += ["--model", peer.model, "--settings", json.dumps(settings)]
    command += ["--sequential"] if peer.sequential else []
    return process([*command, "--epochs", args.epochs, "--threads", args.threads], args.threads)


def targets(data: Path) -> float:
    """Return how many items of a history are to be foretold, on average."""
    train = Interactions.load(data / "train.npz")
    active = int((train.lengths > 0).sum())
    return (train.nnz - active) / active


def process(command: list[Any], threads: int) -> dict[str, Any]:
    """Run a command and return the JSON of its last line; `{"failed": reason}` when it fails."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    if command[0] == sys.executable:
        variables = dict(os.environ)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    done = subprocess.run(
        [str(word) for word in command], env=variables | dict.fromkeys(names, str(threads)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"signal {-done.returncode}"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def compared(catalog: Catalog, name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return one row: ours, and the peer's where there is one."""
    row: dict[str, Any] = {"model": name}
    sides = {"ours": lambda: process([sys.executable, *sys.argv, "--only", name], args.threads)}
    if name in REFERENCES:
        plain = [sys.executable, *sys.argv, "--only", name, "--reference"]
        sides["peer"] = lambda: process(plain, args.threads)
    elif args.peer and name in PEERS:
        sides["peer"] = lambda: theirs(catalog, name, folder, args)
    for side, work in sides.items():
        found = work()
        if "failed" in found:
            return row | {"skipped": f"{side}: {found['failed']}"}
        seconds = found.pop("seconds")
        row[f"{side}_epoch_seconds"] = statistics.median(seconds[1:] or seconds)
        row |= {f"{side}_{k}": v for k, v in found.items()}
    if "peer" in sides:
        row["ratio"] = row["peer_epoch_seconds"] / row["ours_epoch_seconds"]
    return row


FORMATS = {
    "ours_epoch_seconds": ".2f", "peer_epoch_seconds": ".2f", "ratio": ".1f",
    "ours_recall": ".4f", "peer_recall": ".4f", "ours_evaluation": ".2f", "peer_evaluation": ".2f",
    "ours_parameters": ",", "peer_parameters": ",",
}  # fmt: skip
HEAD = ["epoch s", "peer", "ratio", "recall@20", "peer", "rank s", "peer", "parameters", "peer"]


def line(row: dict[str, Any]) -> str:
    """Return a row as text."""
    if "skipped" in row:
        return f"{row['model']:<15} skipped: {row['skipped']}"
    cells = (format(row[k], spec) if k in row else "-" for k, spec in FORMATS.items())
    return f"{row['model']:<15}" + "".join(f"{c:>12}" for c in cells)


def reason_to_skip(catalog: Catalog, name: str, data: Path) -> str | None:
    """Return why a model cannot be timed here."""
    if name not in catalog.names("models"):
        return "there is no such model"
    if catalog.model(name).kind != "trained":
        return "it is not trained in epochs"
    try:
        resolved(catalog, name, data)
    except ConfigError as error:
        return str(error).splitlines()[0]
    return None


def print_rows(catalog: Catalog, args: argparse.Namespace) -> None:
    """Measure all models, printing each as it is done."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if args.peer:
            pieces = {part: Interactions.load(args.data / f"{part}.npz") for part in PARTS}
            ids = Ids.load(args.data / "ids.parquet")
            folder = export.recbole(pieces, ids, args.data.name, folder)[0].parent
        for name in args.models or [*PEERS, *REFERENCES]:
            reason = reason_to_skip(catalog, name, args.data)
            row = {"model": name, "skipped": reason} if reason else compared(catalog, name, folder, args)
            print(line(row), flush=True)


def run() -> None:
    """Print one line a model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="results/data/DATASET")
    parser.add_argument("--peer", help="a Python that has RecBole; without it our times alone are printed")
    parser.add_argument(
        "--models", nargs="*", help=f"of {', '.join([*PEERS, *REFERENCES])}; all of them by default"
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--reference", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    catalog = cli.catalog()
    if args.only:
        print(json.dumps(own(catalog, args.only, args)))
        return
    print(f"{args.data.name}, {args.epochs} epochs, {args.threads} threads")
    print(" " * 15 + "".join(f"{h:>12}" for h in HEAD))
    print_rows(catalog, args)


if __name__ == "__main__":
    cli.main(run)
