"""Train a model of RecBole for some epochs and print its times; run by RecBole's own interpreter.

    python -m venv ENV
    ENV/bin/pip install recbole==1.2.1 'numpy<2' 'scipy<1.14' 'pandas<2.2' 'setuptools<80'
    ENV/bin/python workflow/benchmarks/recbole_epoch.py --folder EXPORT --name DATASET --model LightGCN

Nothing of this project is imported here, and nothing else of it imports RecBole. The last
line of the output is JSON: seconds of each epoch, validation recall@20, seconds to rank.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import scipy.sparse as sp
import torch

PARTS = ("train", "valid", "test")
PLAIN = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "TIME_FIELD": "timestamp",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "metrics": ["Recall"],
    "topk": [20],
    "valid_metric": "Recall@20",
    "eval_batch_size": 4_000_000,  # in pairs: as many as are scored at once on this side
    "use_gpu": False,
    "worker": 0,
    "seed": 0,
    "reproducibility": True,
    "show_progress": False,
    "state": "ERROR",
}


def mend() -> None:
    """Put back what newer releases of its libraries took from RecBole 1.2.1."""
    load = torch.load
    torch.load = lambda *a, **k: load(*a, **{"weights_only": False} | k)
    if not hasattr(sp.dok_matrix, "_update"):

        def update(self: sp.dok_matrix, entries: dict) -> None:
            getattr(self, "_dict", self).update(entries)

        sp.dok_matrix._update = update


def sequences(source: Path, target: Path, name: str) -> None:
    """Write all parts as one file, ordered in time; RecBole leaves the last two out by itself.

    Raises
    ------
    SystemExit
        Some user has not exactly one interaction in each of the held-out parts.
    """
    parts = [pd.read_csv(source / f"{name}.{p}.inter", sep="\t") for p in PARTS]
    users = parts[0]["user_id:token"].unique()
    for part in parts[1:]:
        if sorted(part["user_id:token"]) != sorted(users):
            sys.exit(f"{name}: a sequential peer needs a leave-one-out split")
    frame = pd.concat(parts, ignore_index=True)
    frame["timestamp:float"] = frame.groupby("user_id:token").cumcount()
    target.mkdir(parents=True)
    frame.to_csv(target / f"{name}.inter", sep="\t", index=False)


def prepared(args: argparse.Namespace, place: Path) -> dict:
    """Return the settings that say where the data are and how they are split."""
    if args.sequential:
        sequences(args.folder, place / args.name, args.name)
        split = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"}
        return {"data_path": str(place), "eval_args": split, "train_neg_sample_args": None}
    (place / args.name).symlink_to(args.folder)
    split = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "mode": "full", "group_by": "user"}
    return {"data_path": str(place), "benchmark_filename": list(PARTS), "eval_args": split}


def measure(args: argparse.Namespace, place: Path) -> dict:
    """Return seconds of each epoch and of one evaluation, and what was reached."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    sys.argv = sys.argv[:1]  # RecBole reads options from it
    settings = PLAIN | prepared(args, place) | {"checkpoint_dir": str(place)} | json.loads(args.settings)
    config = Config(model=args.model, dataset=args.name, config_dict=settings | {"epochs": args.epochs})
    logging.disable(logging.CRITICAL)
    init_seed(config["seed"], config["reproducibility"])
    torch.set_num_threads(args.threads)
    dataset = create_dataset(config)
    train, valid, _ = data_preparation(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.item_tensor, trainer.tot_item_num = dataset.get_item_feature(), dataset.item_num
    seconds = []
    for epoch in range(args.epochs):
        started = time.perf_counter()
        trainer._train_epoch(train, epoch, show_progress=False)
        seconds.append(time.perf_counter() - started)
    started = time.perf_counter()
    found = trainer.evaluate(valid, load_best_model=False, show_progress=False)
    evaluation = time.perf_counter() - started
    parameters = sum(p.numel() for p in model.parameters())
    return {"seconds": seconds, "evaluation": evaluation, "recall": float(found["recall@20"]),
            "parameters": parameters}  # fmt: skip


def run() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="holds NAME.train.inter and so on")
    parser.add_argument("--name", required=True, help="of the dataset")
    parser.add_argument("--model", required=True, help="RecBole's name of the model")
    parser.add_argument("--settings", default="{}", help="JSON, RecBole's names")
    parser.add_argument("--sequential", action="store_true")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    args.folder = args.folder.resolve()
    mend()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)  # RecBole leaves logs where it runs
        print(json.dumps(measure(args, Path(place))))


if __name__ == "__main__":
    run()
