"""What must be known beside a table, as data: what was spent, how models were trained, what was published.

The words stand in `workflow/report/footnotes.j2`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from recspectra import registry
from recspectra.config.model import LISTS
from recspectra.config.narrowed import narrow
from recspectra.config.scale import CAPPED, Scale
from recspectra.config.study import ModelEntry, TableConfig
from recspectra.config.yaml_io import validate
from recspectra.data import reach_words
from recspectra.reporting.audit import bound
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults, not_converged, select_runs
from recspectra.reporting.words import paragraphs


def footnotes(files: StudyResults, table: TableConfig, published: Published) -> list[str]:
    """Return what must be known beside a table: how its models were tuned, what was published."""
    datasets = table.datasets or files.config.datasets
    runs = select_runs(files, table.groups, datasets, table.fit)
    return paragraphs(
        "footnotes.j2",
        reached=_reached(files, datasets),
        spent=spent(files, table.groups, datasets),
        ending=_by_dataset(files, not_converged(files, runs)),
        elsewhere=_elsewhere(files, runs),
        told=_told(files, table.groups, datasets, table.fit),
        seeds=_seeds(runs),
        alone=_with_one_seed(runs),
        tuned=tuned(files, table.groups, datasets),
        published=published.notes(table.published) if table.published else [],
        bound=bound(files, table, published),
    )


def _elsewhere(files: StudyResults, runs: pd.DataFrame) -> dict[str, Any] | None:
    """Return which rows are lists from elsewhere, what they were shown, and what is odd about them."""
    labels = {(r.dataset, r.model, r.key): r.label for r in runs[runs["kind"] == LISTS].itertuples()}
    rows, odd = {}, {}
    for lists in files.study.get("elsewhere", []):
        if label := labels.get((lists["dataset"], lists["model"], lists["key"])):
            rows.setdefault(label, lists["history"].replace(",", " and "))
            title = files.titles.get(lists["dataset"], lists["dataset"])
            odd.setdefault(f"{label} on {title}", []).extend(lists["doubts"])
    told = {place: list(dict.fromkeys(lines)) for place, lines in odd.items() if lines}
    return {"rows": rows, "odd": told} if rows else None


def _told(files: StudyResults, *shown: Any) -> list[str]:
    """Return what papers say of the groups, datasets and fits that a table shows."""
    return [line for part in registry.notes() for line in part.told(files, *shown)]


def _reached(files: StudyResults, datasets: list[str]) -> dict[str, list[str]]:
    """Return, for each dataset, what of its test set no model can know and no list can hold."""
    rows = {row["dataset"]: row for row in files.datasets.to_dict("records")}
    told = {files.titles.get(n, n): reach_words.describe(rows[n]) for n in datasets if n in rows}
    return {title: lines for title, lines in told.items() if lines}


def spent(files: StudyResults, groups: list[str], datasets: list[str]) -> dict[str, Any] | None:
    """Return the scale of a study and which of its caps what a table shows has met; None without a scale."""
    scale, config, entries = (
        scale_of(files),
        narrow(files.config, datasets),
        _entries(files, groups, datasets),
    )
    if not scale.name:
        return None
    runs = select_runs(files, groups, datasets)
    places = [(entry, dataset) for entry in entries for dataset in entry.datasets or config.datasets]
    seeds = max((len(entry.seeds or config.seeds_on(dataset)) for entry, dataset in places), default=0)
    trials = config.tuning.trials if config.tuning and any(entry.tune for entry in entries) else 0
    caps = ((scale.trials, trials, "tuning trials"), (scale.seeds, seeds, "seeds"))
    met = [(cap, wanted, what) for cap, wanted, what in caps if cap and cap < wanted]
    capped = int((runs["status"] == CAPPED).sum())
    return {"scale": scale.name, "met": met, "capped": capped, "runs": len(runs)}


def tuned(files: StudyResults, groups: list[str], datasets: list[str]) -> dict[str, Any] | None:
    """Return how many trials the models of a table got, and what was searched; None if nothing was."""
    config = files.config
    entries = [entry for entry in _entries(files, groups, datasets) if entry.tune] if config.tuning else []
    spaces: dict[str, list[str]] = {}
    for entry, model in [(one, model) for one in entries for model in one.models]:
        about = files.study.get("about", {}).get(model, {})
        searched = {k: v for k, v in about.get("search", {}).items() if k not in entry.params}
        if searched:
            parts = [f"{name} {values_text(space)}" for name, space in sorted(searched.items())]
            spaces.setdefault(about.get("title", model), parts)
    by = list(dict.fromkeys(entry.validate_by for entry in entries))
    trials = scale_of(files).count_trials(config.tuning.trials) if spaces else 0
    return {"trials": trials, "spaces": spaces, "by": by, "users": config.tuning.users} if spaces else None


def _entries(files: StudyResults, groups: list[str], datasets: list[str]) -> list[ModelEntry]:
    return [entry for entry in narrow(files.config, datasets).models if entry.group in groups]


def scale_of(files: StudyResults) -> Scale:
    """Return the scale that a study was run at; one without a name in a file of an earlier version."""
    return validate(Scale, files.study.get("scale", {}), str(files.folder / "study.json"))


def _by_dataset(files: StudyResults, rows: pd.DataFrame) -> dict[str, list[str]]:
    """Return the labels of some runs by the title of their dataset."""
    groups = rows.groupby("dataset", sort=False)["label"]
    return {files.titles.get(name, name): list(dict.fromkeys(labels)) for name, labels in groups}


def _seeds(runs: pd.DataFrame) -> dict[int, list[str]]:
    """Return which rows are the mean of how many seeds, where they differ."""
    counts = runs.groupby("label", sort=False)["seed"].nunique()
    numbers = sorted(set(counts))
    return {n: list(counts.index[counts == n]) for n in numbers} if len(numbers) > 1 else {}


def _with_one_seed(runs: pd.DataFrame) -> list[str]:
    """Return the rows of trained models with one seed everywhere."""
    trained = runs[runs["kind"] == "trained"].groupby("label", sort=False)["seed"].nunique()
    return list(trained.index[trained == 1])


def values_text(space: object) -> str:
    """Return a search space in words: `in {1, 2}` or `0.1 to 1 (log)`."""
    if isinstance(space, list):
        return "in {" + ", ".join(map(value_text, space)) + "}"
    ends = f"{value_text(space['low'])} to {value_text(space['high'])}"
    return ends + (" (log)" if space.get("log") else "")


def params_text(params: dict[str, Any], without: str = "") -> str:
    """Return hyperparameters with their values in words, by name; `without` where there are none."""
    return ", ".join(f"{name} = {value_text(value)}" for name, value in sorted(params.items())) or without


def value_text(value: object) -> str:
    """Return one value of a hyperparameter in words."""
    if isinstance(value, float):
        short = f"{value:.4g}"  # 1e+04 is 10000, 1e-05 stays
        return f"{float(short):.0f}" if "e+" in short and abs(value) < 1e15 else short
    return str(value).lower() if isinstance(value, bool) else str(value)
