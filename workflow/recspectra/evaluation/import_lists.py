"""A run from lists that were made elsewhere: the same files as those of a fit, without one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recspectra.config.model import PlannedRun, RunConfig
from recspectra.config.scale import UNCAPPED
from recspectra.config.study import ProtocolConfig
from recspectra.data.ids import Ids
from recspectra.data.interactions import Interactions
from recspectra.evaluation.list_checks import Finding, Placed, place
from recspectra.evaluation.list_doubts import doubts, doubts_at_test
from recspectra.evaluation.list_files import read_rows
from recspectra.evaluation.read_lists import BOTH, rankings
from recspectra.files import provenance, read_npz, write_json, write_npz
from recspectra.fitting.ranking import list_name
from recspectra.fitting.scoring import NOT_LISTS
from recspectra.paths import Paths

MASKED = [list_name("test", history, BOTH) for history in (BOTH, "train")]


@dataclass(frozen=True)
class Import:
    """What says which lists become which run."""

    dataset: str
    config: RunConfig
    seed: int
    file: Path
    digest: str
    code: str

    @property
    def histories(self) -> list[str]:
        """What the model was shown when it made the lists."""
        return str(self.config.params["history"]).split(",")

    @property
    def columns(self) -> dict[str, str]:
        """Names of columns that the study gives, by role."""
        mark = "column_"
        return {k.removeprefix(mark): str(v) for k, v in self.config.params.items() if k.startswith(mark)}


def import_lists(
    job: Import, train: Interactions, valid: Interactions, ids: Ids, data: str, folder: Path
) -> dict[str, Any]:
    """Write `rankings.npz` and `run.json` of lists from elsewhere into `folder`; return the record.

    Parameters
    ----------
    job : Import
        Which lists.
    train, valid : Interactions
        Of the dataset; test data have no say here.
    ids : Ids
        Of the dataset.
    data : str
        Digest of what a fit would see of the split.
    folder : Path
        Of the run.

    Raises
    ------
    DataError
        The lists have unknown ids, or rows that contradict each other; nothing is written.
    """
    rows = read_rows(job.file, job.columns)
    placed = place(rows, ids)
    odd = doubts(rows, placed, train, valid, job.histories)
    lists = rankings(placed, train, valid, job.histories, job.config.fit, job.config.top)
    record = _record(job, data) | {"lists": _counts(job, placed), "doubts": as_dicts(odd)}
    write_json(folder / "run.json", record)
    write_npz(folder / "rankings.npz", **{name: np.str_(record[name]) for name in NOT_LISTS}, **lists)
    return record


def doubts_of_runs(
    planned: Iterable[PlannedRun], protocols: Iterable[ProtocolConfig], pieces: Mapping[str, Interactions],
    results: Path,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return what is odd about the lists from elsewhere among some runs, seen with test items.

    Parameters
    ----------
    planned : iterable of PlannedRun
        Runs of one dataset.
    protocols : iterable of ProtocolConfig
        What is measured: their largest cut-off is how long lists must be.
    pieces : mapping
        `train`, `valid` and `test`.
    results : Path
        The results folder.
    """
    deepest = max((max(p.k) for p in protocols if p.target == "test"), default=1)
    runs = {(p.run.model, p.run.key, p.seed): p for p in planned if p.run.imported}
    found = []
    for run in runs.values():
        lists = read_npz(Paths(results).planned(run) / "rankings.npz")
        masked = next(lists[name] for name in MASKED if name in lists)
        odd = doubts_at_test(masked, pieces, deepest, lists.get(list_name("test", "train", "train")))
        place = {"dataset": run.dataset, "model": run.run.model, "key": run.run.key, "seed": run.seed}
        found += [place | doubt for doubt in as_dicts(odd)]
    return found


def as_dicts(findings: list[Finding]) -> list[dict[str, str]]:
    """Return findings as JSON has them."""
    return [finding._asdict() for finding in findings]


def _counts(job: Import, placed: Placed) -> dict[str, Any]:
    """Return what the file was."""
    return {
        "file": job.file.name, "digest": job.digest, "users": len(placed.starts), "rows": len(placed.users),
        "longest": int(placed.lengths.max()),
    }  # fmt: skip


def _record(job: Import, data: str) -> dict[str, Any]:
    """Return what `run.json` has of any run; nothing was measured here but what the study says."""
    return {
        "dataset": job.dataset, "config": job.config.model_dump(), "params": dict(job.config.params),
        "key": job.config.key, "seed": job.seed, "data": data, "device": "", "threads": "", "code": job.code,
        "provenance": provenance(), "status": "ok", "reason": "", "caps": UNCAPPED, "caps_text": UNCAPPED,
        "capped": "", "log": {}, "spectrum_seconds": None, "score_seconds": None, "peak_memory_mb": None,
        "fit_seconds": job.config.params.get("seconds"),
    }  # fmt: skip
