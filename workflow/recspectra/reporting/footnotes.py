"""What must be known beside a table: what was spent, how systems were trained, what was published."""

from __future__ import annotations

from typing import Any

from recspectra import registry
from recspectra.config.study import StudyConfig, SystemEntry, TableConfig, without
from recspectra.data import reach_words
from recspectra.reporting.ndcg_hr_bound import identity_notes
from recspectra.reporting.not_converged import cut_off_notes
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyFiles, select_runs


def footnotes(files: StudyFiles, table: TableConfig, published: Published) -> list[str]:
    """Return what must be known beside a table: how its systems were tuned, what was published."""
    notes = [f"Published: {note}" for note in published.notes(table.published)] if table.published else []
    identity = identity_notes(files, table, published)
    shown = table.groups, table.datasets or files.config.datasets, table.fit
    added = [line for part in registry.notes() for line in part.told(files, *shown)]
    trained = [*cut_off_notes(files, *shown), *added]
    reached = reach_notes(files, shown[1])
    own = [
        *reached,
        *effort_notes(files, *shown[:2]),
        *trained,
        *seed_notes(files, table),
        *tuning_notes(files, table),
    ]
    return [*own, *notes, *identity]


def reach_notes(files: StudyFiles, datasets: list[str]) -> list[str]:
    """Return, for each dataset, what of its test set no model can know and no list can hold."""
    rows = {row["dataset"]: row for row in files.datasets.to_dict("records")}
    told = [(name, reach_words.describe(rows[name])) for name in datasets if name in rows]
    return [f"{files.titles.get(name, name)}: {' '.join(lines)}" for name, lines in told if lines]


def effort_notes(files: StudyFiles, groups: list[str], datasets: list[str]) -> list[str]:
    """Return what the study spent at its level of effort, where it has several, on what a table shows."""
    config, about = _part(files.config, groups, datasets), files.study.get("models", {})
    if not config.effort:
        return []
    trained = _datasets_of_trained(config, about)
    limits = [
        _limit_text(name, {d: config.limits_on(d)[name] for d in trained}, trained)
        for name in (config.limits if trained else [])
    ]
    trials = [f"{config.tuning.trials} tuning trials{_other_trials(config)}"] if config.tuning else []
    fewer = [f"{d}: {len(seeds)}" for d, seeds in config.more_seeds.items() if d in config.datasets]
    count = len(config.seeds)
    seeds = f"{count} seed{'s' if count > 1 else ''}" + (f" ({', '.join(fewer)})" if fewer else "")
    spent = ", ".join([*trials, seeds, *limits])
    others = ", ".join(name for name in config.efforts if name != config.effort)
    also = f" (other level: `--config effort={others}`)" if others else ""
    return [f"Effort {config.effort}: {spent}{also}.{_own_limits(config, about)}"]


def _part(config: StudyConfig, groups: list[str], datasets: list[str]) -> StudyConfig:
    """Return a study on some of its groups and datasets."""
    part = without(config, set(config.datasets) - set(datasets))
    return part.model_copy(update={"systems": [entry for entry in part.systems if entry.group in groups]})


def _other_trials(config: StudyConfig) -> str:
    """Return the datasets that have other trials than the study, and how many; or nothing."""
    places: dict[int, list[str]] = {}
    for dataset in config.datasets:
        places.setdefault(config.trials_on(dataset), []).append(dataset)
    places.pop(config.tuning.trials, None)
    none = "none, known settings or the defaults"
    words = [f"{', '.join(names)}: {count or none}" for count, names in places.items()]
    return f" ({'; '.join(words)})" if words else ""


def _limit_text(name: str, values: dict[str, int | float], datasets: list[str]) -> str:
    """Return a limit in words: `epochs at most 60`, or with datasets where it is not that on all."""
    places: dict[str, list[str]] = {}
    for dataset, value in values.items():
        places.setdefault(value_text(value), []).append(dataset)
    if len(places) == 1 and len(values) == len(datasets):
        return f"{name} at most {next(iter(places))}"
    return f"{name} at most " + ", ".join(f"{value} ({', '.join(on)})" for value, on in places.items())


def _own_limits(config: StudyConfig, about: dict[str, Any]) -> str:
    """Return the limits that single systems have in place of the study's."""
    lines: dict[str, list[str]] = {}
    for entry in config.systems:
        limits = {d: entry.limits_at(config.effort, d) for d in _datasets_of(entry, config)}
        names = dict.fromkeys(name for own in limits.values() for name in own)
        found = {n: {d: own[n] for d, own in limits.items() if n in own} for n in names}
        text = ", ".join(_limit_text(n, values, config.datasets) for n, values in found.items())
        title = about.get(entry.model, {}).get("title", entry.model)
        if text and title not in lines.setdefault(text, []):
            lines[text].append(title)
    return "".join(f" {', '.join(titles)}: {text}." for text, titles in lines.items())


def _datasets_of(entry: SystemEntry, config: StudyConfig) -> list[str]:
    """Return the study's datasets that an entry runs on at the effort that was chosen."""
    return [d for d in config.datasets if d in (entry.datasets or config.datasets)]


def _datasets_of_trained(config: StudyConfig, about: dict[str, Any]) -> list[str]:
    """Return the datasets on which a trained system runs: limits mean nothing for the others."""
    trained = [e for e in config.systems if about.get(e.model, {}).get("kind", "trained") == "trained"]
    return [d for d in config.datasets if any(d in _datasets_of(entry, config) for entry in trained)]


def seed_notes(files: StudyFiles, table: TableConfig) -> list[str]:
    """Return how many seeds each row of a table is the mean of, where they differ."""
    runs = select_runs(files, table.groups, table.datasets or files.config.datasets, table.fit)
    counts = runs.groupby("label", sort=False)["seed"].nunique()
    if counts.nunique() < 2:
        return []
    groups = [f"{n}: {', '.join(counts.index[counts == n])}" for n in sorted(set(counts))]
    return [f"Seeds that a row is the mean of: {'; '.join(groups)}."]


def tuning_notes(files: StudyFiles, table: TableConfig) -> list[str]:
    """Return how many trials the systems of a table got, and what was searched."""
    config = _part(files.config, table.groups, table.datasets or files.config.datasets)
    tuned = {d for d in config.datasets if config.trials_on(d)}
    entries = [e for e in config.systems if e.tune and set(_datasets_of(e, config)) & tuned]
    if not (entries and config.tuning):
        return []
    spaces: dict[str, str] = {}
    for entry in entries:
        about = files.study.get("models", {}).get(entry.model, {})
        searched = {k: v for k, v in about.get("search", {}).items() if k not in entry.params}
        if searched:
            parts = (f"{name} {values_text(space)}" for name, space in sorted(searched.items()))
            spaces.setdefault(about.get("title", entry.model), ", ".join(parts))
    if not spaces:
        return []
    lines = "; ".join(f"{title}: {text}" for title, text in spaces.items())
    return [
        f"Tuned by recall@20 on validation, {config.tuning.trials} trials for each system and dataset"
        f"{_other_trials(config)} (fewer where the space has no more points). Searched: {lines}."
    ]


def values_text(space: object) -> str:
    """Return a search space in words: `in {1, 2}` or `0.1 to 1 (log)`."""
    if isinstance(space, list):
        return "in {" + ", ".join(map(value_text, space)) + "}"
    ends = f"{value_text(space['low'])} to {value_text(space['high'])}"
    return ends + (" (log)" if space.get("log") else "")


def value_text(value: object) -> str:
    """Return one value of a hyperparameter in words."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).lower() if isinstance(value, bool) else str(value)
