"""Results on disk against configuration, data and code, where Snakemake has no record of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recspectra.config.base import ConfigError
from recspectra.config.model import PlannedRun
from recspectra.files import read_json
from recspectra.planning.plan import HERE, Plan, read_record

RECORD_NAME = 254  # characters of a piece of a name in .snakemake/metadata


def check_results(plan: Plan, words: Sequence[str] = ()) -> None:
    """Compare results on disk with configuration, data and code where Snakemake has no record of them.

    Snakemake makes again what changed since its record in `.snakemake`; without one it takes a file
    for what it should be.

    Parameters
    ----------
    plan : Plan
        The studies that are asked for.
    words : sequence of str
        The command line, as for `check_copies`.

    Raises
    ------
    ConfigError
        A dataset or run was made with another configuration, from other data or by other code.
    """
    for dataset in sorted(plan.taking_part(words)):
        stats = HERE.stats(dataset)
        known = _unrecorded(stats)
        if known is not None and known.get("made_with") != plan.made_with(dataset):
            raise ConfigError(_stale(f"dataset '{dataset}': {stats.parent}", dataset))
    for study in plan.requested:
        for planned in plan.studies[study].runs:
            _check_run(plan, planned)


def _check_run(plan: Plan, planned: PlannedRun) -> None:
    model, dataset = planned.run.model, planned.dataset
    place = HERE.planned(planned)
    record = _unrecorded(place / "run.json")
    if record is None:
        return
    stats = HERE.stats(dataset)
    data = read_json(stats).get("digests", {}).get("fit") if stats.is_file() else record.get("data")
    code = plan.run_code(planned.run)
    if (record.get("code"), record.get("data")) != (code, data):
        raise ConfigError(_stale(f"{place}", model))
    keep = plan.planned_keep(dataset, model, planned.run.key, str(planned.seed))
    if keep != record.get("keep_text", keep):
        raise ConfigError(
            f"{place} is to keep its model, but its record (in .snakemake) is gone; "
            f"`make redo WHAT={place}` makes it again"
        )
    planned_caps = plan.planned_caps(dataset, model, planned.run.key, str(planned.seed))
    if planned_caps != record.get("caps_text", planned_caps):
        raise ConfigError(
            f"{place} was ended by a cap that is higher now, but its record (in .snakemake) "
            f"is gone; `make redo WHAT={place}` makes it again"
        )


def check_copies(plan: Plan, words: Sequence[str] = ()) -> None:
    """Refuse checksums that contradict each other, and copies of other files than the mirror's.

    The mirror's files are compared with the copies of them that are in `results/raw` already.

    Parameters
    ----------
    plan : Plan
        The studies that are asked for.
    words : sequence of str
        The command line: `datasets` and paths of results ask for datasets beside those of studies.

    Raises
    ------
    ConfigError
        A dataset that takes part was made from another file than the one in the mirror, or
        shares a file with a dataset that states another checksum for it.
    """
    for dataset in sorted(plan.taking_part(words)):
        source = plan.catalog.dataset(dataset).source
        for file in source.files:
            if problem := plan.files[source.name, file.path].problem:
                raise ConfigError(problem)
        for file in source.files if plan.mirror else []:
            theirs, ours = Path(plan.mirror) / file.path, HERE.raw(source.name, file.path)
            if theirs.is_file() and ours.is_file() and plan.digests.differ(theirs, ours):
                raise ConfigError(
                    f"dataset '{dataset}': {theirs} is not the file that its results were made from, a "
                    f"copy of which is {ours}; `make redo WHAT={dataset}` forgets that copy and what was "
                    "made from it. To keep the results put the old file back or give no mirror"
                )


def _unrecorded(path: Path) -> dict[str, Any] | None:
    """Return a record on disk that Snakemake knows nothing of; None for any other."""
    name = base64.urlsafe_b64encode(str(path).encode()).decode()
    pieces = [name[i : i + RECORD_NAME] for i in range(0, len(name), RECORD_NAME)]
    known = Path(".snakemake/metadata", *(f"@{piece}" for piece in pieces[:-1]), pieces[-1])
    return None if known.is_file() else read_record(path)


def _stale(what: str, redo: str) -> str:
    return (
        f"{what} was made with another configuration, from other data or by other code, and Snakemake's "
        f"record of it (in .snakemake) is gone; `make redo WHAT={redo}` makes it again"
    )
