"""What must be known beside a table: what was spent, how systems were trained, what was published."""

from __future__ import annotations

from recspectra import registry
from recspectra.config.scale import CAPPED, Scale
from recspectra.config.study import TableConfig, narrow
from recspectra.config.yaml_io import validate
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
        *scale_notes(files, *shown[:2]),
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


def scale_notes(files: StudyFiles, groups: list[str], datasets: list[str]) -> list[str]:
    """Return the scale of a study and which of its caps what a table shows has met."""
    scale, config = _scale(files), narrow(files.config, datasets)
    if not scale.name:
        return []
    entries = [entry for entry in config.systems if entry.group in groups]
    runs = select_runs(files, groups, datasets)
    places = [(entry, dataset) for entry in entries for dataset in entry.datasets or config.datasets]
    seeds = max((len(entry.seeds or config.seeds_on(dataset)) for entry, dataset in places), default=0)
    trials = config.tuning.trials if config.tuning and any(entry.tune for entry in entries) else 0
    met = [
        f"{cap} of {wanted} {what}"
        for cap, wanted, what in ((scale.trials, trials, "tuning trials"), (scale.seeds, seeds, "seeds"))
        if cap and cap < wanted
    ]
    capped = int((runs["status"] == CAPPED).sum())
    met += [f"{capped} of {len(runs)} fits ended by a cap on epochs or minutes"] if capped else []
    return [f"Scale {scale.name}: {', '.join(met) or 'no cap was met'}."]


def _scale(files: StudyFiles) -> Scale:
    """Return the scale that a study was run at; one without a name in a file of an earlier version."""
    return validate(Scale, files.study.get("scale", {}), str(files.folder / "study.json"))


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
    config = narrow(files.config, table.datasets or files.config.datasets)
    entries = [entry for entry in config.systems if entry.tune and entry.group in table.groups]
    if not (entries and config.tuning):
        return []
    spaces: dict[str, str] = {}
    pairs = [(entry, model) for entry in entries for model in entry.models]
    for entry, model in pairs:
        about = files.study.get("models", {}).get(model, {})
        searched = {k: v for k, v in about.get("search", {}).items() if k not in entry.params}
        if searched:
            parts = (f"{name} {values_text(space)}" for name, space in sorted(searched.items()))
            spaces.setdefault(about.get("title", model), ", ".join(parts))
    if not spaces:
        return []
    lines = "; ".join(f"{title}: {text}" for title, text in spaces.items())
    trials = _scale(files).count_trials(config.tuning.trials)
    return [
        f"Tuned by recall@20 on validation, {trials} trials for each "
        f"system and dataset (fewer where the space has no more points). Searched: {lines}."
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
