"""All metrics of a study on one dataset, from rankings on disk, without PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra import registry
from recspectra.config.metric_names import of_users
from recspectra.config.model import PlannedRun
from recspectra.config.scale import USABLE
from recspectra.config.study import ProtocolConfig, View
from recspectra.data.interactions import Interactions
from recspectra.evaluation.hits import RankedLists, compare
from recspectra.evaluation.metrics import METRICS
from recspectra.evaluation.per_user import Members, PerUser, Point
from recspectra.files import ArtifactError, read_json, read_npz
from recspectra.fitting.ranking import Ranking, from_arrays, list_name, smaller_ids_first
from recspectra.identity import check_code, check_made_from
from recspectra.paths import Paths

COLUMNS = [
    "dataset", "model", "variant", "key", "seed", "protocol", "fit", "history", "mask",
    "users", "metric", "k", "value", "status",
]  # fmt: skip
NO_USERS = "no users"  # status of a mean over a group that nobody is in
PARTIAL = "partial lists"  # status of a metric that needs longer lists than were kept


@dataclass(frozen=True)
class Measured:
    """Rows of `metrics.csv` and per-user values of one dataset."""

    rows: pd.DataFrame
    users: PerUser


def measure(
    planned: list[PlannedRun],
    protocols: list[tuple[ProtocolConfig, list[View]]],
    pieces: dict[str, Interactions],
    results: Path,
    data: str,
    code: Callable[[str], str] | None = None,
) -> Measured:
    """Compute every metric of every protocol for every run of one dataset.

    A metric is a mean over the users that the protocol names. Under `users: all` the mean over warm users
    follows, where some of all are cold, and those over the groups that the protocol asks for. A group
    without users has the status `no users` and no number, a metric that the lists are too short for
    `partial lists`.

    Parameters
    ----------
    planned : list of PlannedRun
        Runs of one dataset.
    protocols : list of (protocol, views)
        What to measure.
    pieces : dict
        `train`, `valid` and `test` interactions.
    results : Path
        The results folder.
    data : str
        Digest of what fits see of the split on disk (`digests.fit` of `stats.json`).
    code : callable, optional
        Takes the name of a model, returns the hash of the code that fits it now; not compared without it.

    Raises
    ------
    ArtifactError
        Rankings are missing, damaged, of another run, split or code (all such files are named), or lack
        a list.
    """
    rows: list[dict[str, Any]] = []
    users = PerUser()
    masks = {"train": pieces["train"], "train+valid": pieces["train"].merged(pieces["valid"])}
    own_members = {target: _members(pieces, target) for target in ("test", "valid")}
    refused: list[str] = []
    for item in _distinct(planned):
        try:
            lists = read_rankings(item, results, data, pieces["train"].shape, code)
        except ArtifactError as error:
            refused.append(str(error))
        if refused:
            continue
        for protocol, view in _views(protocols, item.run.fit):
            status = _status(item, lists, list_name(protocol.target, view.history, view.mask))
            head, truth = _labels(item, protocol, view), pieces[protocol.target]
            everyone = own_members[protocol.target]
            groups = _groups(protocol, everyone)
            nothing = dict.fromkeys(product(protocol.metrics, protocol.k), math.nan)
            if status not in USABLE:
                for group in groups:
                    rows += _rows(head | {"users": group}, nothing, status)
                continue
            ranked = _ranked(lists, view, truth, protocol, masks)
            values = of_every_user(ranked, protocol)
            for group, members in groups.items():
                there = members.any()
                means = _means(ranked, values, members, protocol) if there else nothing
                rows += _rows(head | {"users": group}, means, status if there else NO_USERS)
                if group == protocol.users and there:
                    users.add(head, everyone.within(members), _kept(values, members))
    if refused:
        raise ArtifactError("\n".join(refused))
    return Measured(pd.DataFrame(rows, columns=COLUMNS), users)


def read_rankings(
    item: PlannedRun, results: Path, data: str, shape: tuple[int, int],
    code: Callable[[str], str] | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return the arrays of a run's `rankings.npz`, lists of `shape` (users, items) among them.

    See `measure` for what is compared.

    Raises
    ------
    ArtifactError
        The file is missing, damaged, or of another run, split or code; the message names it.
    """
    folder = Paths(results).planned(item)
    lists = read_lists(folder, item.run.key, item.seed, data, shape)
    if code is not None:
        check_code(folder / "rankings.npz", str(lists.get("code", "")), code(item.run.model), folder)
    return lists


def read_lists(
    folder: Path, key: str, seed: int | str, data: str, shape: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Return the arrays of the `rankings.npz` of a run's folder; of what code is not asked.

    Raises
    ------
    ArtifactError
        The file is missing, damaged, or of another run or split; the message names it.
    """
    path = folder / "rankings.npz"
    lists = read_npz(path)
    wanted = {"key": key, "seed": str(seed)}
    found = {name: str(lists.get(name, word)) for name, word in wanted.items()}  # older files have neither
    if found != wanted:
        raise ArtifactError(
            f"{path}: holds the lists of run {found['key']}, seed {found['seed']}; was it moved here? "
            f"`make redo WHAT={folder}` makes it again"
        )
    check_made_from(path, str(lists.get("data", "")), data, folder)
    for name in lists:
        if name.startswith(("test_", "valid_")) and "." not in name and not _fits(lists[name], shape):
            raise ArtifactError(
                f"{path}: '{name}' is no table of item ids of {shape[0]} users among {shape[1]} items; was "
                f"the file changed? `make redo WHAT={folder}` makes it again"
            )
    return lists


def _fits(lists: np.ndarray, shape: tuple[int, int]) -> bool:
    """Say whether an array may hold the lists of all users; -1 ends a short one."""
    ids = lists.ndim == 2 and lists.dtype.kind == "i" and len(lists) == shape[0]
    return ids and lists.min(initial=-1) >= -1 and lists.max(initial=-1) < shape[1]


def _status(item: PlannedRun, lists: dict[str, np.ndarray], name: str) -> str:
    """Return the status of a run's list; lists from elsewhere may be of some views only."""
    return "skipped" if item.run.imported and name not in lists else str(lists["status"])


def _distinct(planned: list[PlannedRun]) -> list[PlannedRun]:
    """Drop runs that stand in two groups of a study under the same label."""
    labels = {(p.run.model, p.variant, p.run.key, p.run.fit, p.seed): p for p in planned}
    return list(labels.values())


def _views(
    protocols: list[tuple[ProtocolConfig, list[View]]], fit: str
) -> Iterator[tuple[ProtocolConfig, View]]:
    """Yield what can be measured: a refit has no validation list."""
    for protocol, views in protocols:
        for view in views:
            if protocol.target == "test" or fit == "train":
                yield protocol, view


def _labels(item: PlannedRun, protocol: ProtocolConfig, view: View) -> dict[str, Any]:
    return {
        "dataset": item.dataset, "model": item.run.model, "variant": item.variant,
        "key": item.run.key, "seed": item.seed, "protocol": protocol.name, "fit": item.run.fit,
        "history": view.history, "mask": view.mask,
    }  # fmt: skip


def _members(pieces: dict[str, Interactions], target: str) -> Members:
    """Return the users with targets in a part of the split."""
    return Members.of(pieces["train"], np.flatnonzero(pieces[target].lengths > 0))


def _groups(protocol: ProtocolConfig, members: Members) -> dict[str, np.ndarray]:
    """Return which of the users with targets each group holds, the protocol's own group first."""
    own = members.group(protocol.users)
    beside = ["warm"] if protocol.users == "all" and not members.warm.all() else []
    names = dict.fromkeys([protocol.users, *beside, *protocol.group_names])
    return {name: members.group(name) & own for name in names}


def _ranked(
    lists: dict[str, np.ndarray], view: View, truth: Interactions, protocol: ProtocolConfig,
    masks: dict[str, Interactions],
) -> RankedLists:  # fmt: skip
    """Return the lists of a view with their hits, equal scores in the protocol's order."""
    name = list_name(protocol.target, view.history, view.mask)
    if name not in lists:
        raise ArtifactError(f"rankings hold no list '{name}' for protocol '{protocol.name}'")
    return ranked_lists(from_arrays(name, lists), truth, protocol, masks["train"], masks[view.mask])


def ranked_lists(
    ranking: Ranking, truth: Interactions, protocol: ProtocolConfig, train: Interactions, masked: Interactions
) -> RankedLists:
    """Return lists with their hits, equal scores in the protocol's order.

    Parameters
    ----------
    ranking : Ranking
        Top lists of all users.
    truth : Interactions
        What is to be found.
    protocol : ProtocolConfig
        The order of equal scores.
    train : Interactions
        For metrics that look at more than hits.
    masked : Interactions
        What may not be recommended, for metrics that need whole lists.
    """
    top = smaller_ids_first(ranking) if protocol.ties == "smaller-id" else ranking.lists
    return compare(top, truth, ranking.positions if protocol.ties == "half" else None, train, masked)


def of_every_user(ranked: RankedLists, protocol: ProtocolConfig) -> dict[Point, np.ndarray]:
    """Return the metrics that every user has, by metric and cut-off."""
    values: dict[Point, np.ndarray] = {}
    for metric in filter(of_users, protocol.metrics):
        columns = METRICS[metric](ranked, protocol.k)
        values |= {(metric, k): columns[:, i] for i, k in enumerate(protocol.k)}
    return values


def _means(
    ranked: RankedLists, values: dict[Point, np.ndarray], members: np.ndarray, protocol: ProtocolConfig
) -> dict[Point, float]:
    """Return every metric of a group: means over its users, and what its lists are as a whole."""
    means = {point: float(column[members].mean()) for point, column in values.items()}
    own = [metric for metric in protocol.metrics if not of_users(metric)]
    lists = ranked.within(members) if own else ranked
    for metric in own:
        found = METRICS[metric](lists, protocol.k)
        means |= {(metric, k): float(value) for k, value in zip(protocol.k, found, strict=True)}
    return {point: means[point] for point in product(protocol.metrics, protocol.k)}


def _kept(values: dict[Point, np.ndarray], members: np.ndarray) -> dict[Point, np.ndarray]:
    """Return the values of some users of the metrics that all of them have."""
    own = {point: column[members] for point, column in values.items()}
    return {point: column for point, column in own.items() if not np.isnan(column).any()}


def _rows(head: dict[str, Any], means: dict[Point, float], status: str) -> list[dict[str, Any]]:
    """Return one row for each metric and cut-off; without a number where the run or its lists give none."""
    usable = status in USABLE
    return [
        {**head, "metric": metric, "k": k, "status": PARTIAL if usable and math.isnan(mean) else status,
         "value": mean if usable and not math.isnan(mean) else None}
        for (metric, k), mean in means.items()
    ]  # fmt: skip


def run_records(
    planned: list[PlannedRun], titles: dict[str, Any], results: Path, data: dict[str, str]
) -> pd.DataFrame:
    """Return one row per run for `runs.csv`, from the `run.json` files; papers add columns.

    `data` has the digest of what fits see of each dataset on disk; a record of another split is refused.
    """
    rows, added = [], registry.run_columns()
    for item in planned:
        folder = Paths(results).planned(item)
        record = read_json(folder / "run.json")
        check_made_from(folder / "run.json", record.get("data"), data[item.dataset], folder)
        made = record["key"], record.get("seed", item.seed), record["config"]
        if made != (item.run.key, item.seed, item.run.model_dump()):
            raise ArtifactError(
                f"{folder / 'run.json'}: is not of run {item.run.key}, seed {item.seed} (a collision, or the "
                f"file was moved or edited); `make redo WHAT={folder}` makes it again"
            )
        log = record.get("log", {})
        model = titles[item.run.model]
        rows.append(
            {
                "dataset": item.dataset, "model": item.run.model, "title": model.title,
                "kind": model.kind, "variant": item.variant, "group": item.group,
                "key": item.run.key, "seed": item.seed, "fit": item.run.fit,
                "status": record["status"], "reason": record["reason"],
                "spectrum_seconds": record.get("spectrum_seconds"),
                "fit_seconds": record.get("fit_seconds"),
                "score_seconds": record.get("score_seconds"),
                "peak_memory_mb": record["peak_memory_mb"], "device": record["device"],
                "threads": record["threads"], "epochs": log.get("epochs"),
                "best_epoch": log.get("best_epoch"), "best_validation": log.get("best_validation"),
                **{name: value for part in added for name, value in part.values(record).items()},
                "params": record["params"], "swept": item.swept,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def learning_curves(planned: list[PlannedRun], results: Path) -> pd.DataFrame:
    """Return loss and validation curves of the trained models, in long format."""
    columns = ["dataset", "model", "variant", "group", "seed", "fit", "curve", "epoch", "value"]
    rows = []
    for item in planned:
        log, by = read_json(Paths(results).planned(item) / "run.json").get("log", {}), item.run.validate_by
        head = [item.dataset, item.run.model, item.variant, item.group, item.seed, item.run.fit]
        losses = enumerate(log.get("loss_curve", []), start=1)
        rows += [[*head, "loss", epoch, value] for epoch, value in losses]
        rows += [[*head, by, epoch, value] for epoch, value in log.get("validation_curve", [])]
    return pd.DataFrame(rows, columns=columns)
