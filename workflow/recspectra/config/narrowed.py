"""The part of a study that its user asks for by datasets, models or groups, and what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice
from typing import Any

from recspectra.config.base import Strict
from recspectra.config.lists import ListsEntry
from recspectra.config.scale import Choice
from recspectra.config.study import (
    DRAWN,
    OF_SETTINGS,
    ClaimConfig,
    ModelEntry,
    StudyConfig,
    fits_of,
    groups_of,
    labels_of,
)

WORDS = {"datasets": "DATASETS", "models": "MODELS", "groups": "MODEL_GROUPS"}  # as `make` knows them
MOST_WORDS, FIRST_WORDS = 6, 3  # names that say by what a study was narrowed; of more, the first
MOST_LABELS = 10_000  # of one entry; a longer sweep is refused where it is run


class LeftOut(Strict):
    """What takes no part in a narrowed study; nothing where it is whole.

    Attributes
    ----------
    by : str
        What narrowed it: `MODELS=popularity,ease`.
    datasets, models : dict
        Name -> title of those without any run.
    runs : list of [str, str]
        Model and variant of all entries without any run.
    tables, figures, claims : list of str
        Names of what is not shown.
    of_claims : dict
        Claim -> dataset -> model and variant of the runs that it is about and that take no part there.
    """

    by: str = ""
    datasets: dict[str, str] = {}
    models: dict[str, str] = {}
    runs: list[list[str]] = []
    tables: list[str] = []
    figures: list[str] = []
    claims: list[str] = []
    of_claims: dict[str, dict[str, list[list[str]]]] = {}

    def why(self, model: str, variant: str = "default") -> str:
        """Return why a model's variant has no run; "" if nothing was left out of it."""
        return f"left out by {self.by}" if [model, variant] in self.runs else ""


def find_left_out(
    whole: StudyConfig, part: StudyConfig, by: str, title_of: Callable[[str, str], str]
) -> LeftOut:
    """Return what a part of a study lacks.

    Parameters
    ----------
    whole, part : StudyConfig
        The study before and after it was narrowed.
    by : str
        What narrowed it.
    title_of : callable
        (`dataset` or `model`, name) -> title.
    """
    had, has = _runs_of(whole), _runs_of(part)
    models = dict.fromkeys(m for m, _ in had if m not in {name for name, _ in has})
    datasets = [name for name in whole.datasets if name not in part.datasets]
    return LeftOut(
        by=by,
        datasets={name: title_of("dataset", name) for name in datasets},
        models={name: title_of("model", name) for name in models},
        runs=[list(one) for one in had if one not in has],
        **{kind: _lacking(getattr(whole, kind), getattr(part, kind)) for kind in DRAWN},
        of_claims=_of_claims(whole, part),
    )


def words_of(choice: Choice, used: Collection[str]) -> str:
    """Return what a user narrowed a study by: `MODELS=popularity,ease`; of many names the first few."""
    return " ".join(f"{WORDS[key]}={_shortened(getattr(choice, key))}" for key in WORDS if key in used)


def _shortened(names: list[str]) -> str:
    if len(names) <= MOST_WORDS:
        return ",".join(names)
    return f"{','.join(names[:FIRST_WORDS])} and {len(names) - FIRST_WORDS} more"


def _runs_of(config: StudyConfig) -> dict[tuple[str, str], None]:
    return dict.fromkeys((name, entry.variant) for entry in config.models for name in entry.models)


def _lacking(whole: list, part: list) -> list[str]:
    there = {item.name for item in part}
    return [item.name for item in whole if item.name not in there]


def _of_claims(whole: StudyConfig, part: StudyConfig) -> dict[str, dict[str, list[list[str]]]]:
    """Return the runs that each claim that is still judged has lost, dataset by dataset."""
    before = {claim.name: claim for claim in whole.claims}
    found: dict[str, dict[str, list[list[str]]]] = {}
    for claim in part.claims:
        for dataset in claim.datasets or part.datasets:
            has = _judged(part, claim, dataset)
            if lost := [list(run) for run in _judged(whole, before[claim.name], dataset) if run not in has]:
                found.setdefault(claim.name, {})[dataset] = lost
    return found


def _judged(config: StudyConfig, claim: ClaimConfig, dataset: str) -> dict[tuple[str, str], None]:
    """Return model and variant of the runs on a dataset that a claim sets against each other."""
    entries = [e for e in config.models if e.group in claim.groups and claim.fit in fits_of(e)]
    entries = [e for e in entries if dataset in (e.datasets or config.datasets)]
    pairs = ((m, e) for e in entries for m in e.models if m == claim.model or claim.kind not in OF_SETTINGS)
    return dict.fromkeys((m, label) for m, e in pairs for label in islice(labels_of(e), MOST_LABELS))


# ---------------------------------------------------------------------------- what is left of it


def narrow(
    config: StudyConfig, datasets: Collection[str], models: Collection[str] = (), groups: Collection[str] = ()
) -> StudyConfig:
    """Return a study on some of its datasets and, where any are named, with some of its models or groups.

    Tables, figures and claims keep the datasets on which one of their groups has a run. One without any, or
    about a model that takes no part, goes. One that names an unknown group or dataset stays, to be refused.
    """
    absent = set(config.datasets) - set(datasets)
    kept = config.model_copy(update={"datasets": [d for d in config.datasets if d not in absent]})
    taking_part = [entry for entry in config.models if not groups or entry.group in groups]
    entries = [_on_part(entry, absent, models) for entry in taking_part]
    update: dict[str, Any] = {"models": [entry for entry in entries if entry]}
    places: dict[str, set[str]] = {}
    for entry in update["models"]:
        places.setdefault(entry.group, set()).update(entry.datasets or kept.datasets)
    known = {entry.group for entry in config.models}, set(config.datasets)
    for kind in DRAWN:
        parts = [
            item
            if set(groups_of(item)) - known[0] or set(item.datasets or []) - known[1]
            else _where_it_has_runs(item, kept.datasets, places)
            for item in (_with_models(item, models) for item in getattr(config, kind))
            if item
        ]
        update[kind] = [item for item in parts if item]
    return kept.model_copy(update=update)


def _on_part(
    entry: ModelEntry | ListsEntry, absent: Collection[str], models: Collection[str]
) -> ModelEntry | ListsEntry | None:
    """Return an entry without absent datasets and other models than `models`; None if nothing is left."""
    left = [name for name in entry.models if not models or name in models]
    on = None if entry.datasets is None else [name for name in entry.datasets if name not in absent]
    if not left or on == []:
        return None
    if isinstance(entry, ListsEntry):
        return entry.model_copy(update={"datasets": on})
    models = left if isinstance(entry.model, list) else entry.model
    return entry.model_copy(update={"model": models, "datasets": on})


def _with_models(item: Any, models: Collection[str]) -> Any:
    """Return a drawn item; None if it needs other models than `models` (all, if it is empty)."""
    rivals = set(getattr(item, "rivals", []))
    other = getattr(item, "model", None) and item.model not in models
    return None if models and (other or (rivals and not rivals & set(models))) else item


def _where_it_has_runs(item: Any, datasets: list[str], places: dict[str, set[str]]) -> Any:
    """Return an item on those of its datasets on which one of its groups has a run; None if on none."""
    named, own = groups_of(item), [name for name in item.datasets or datasets if name in datasets]
    there = set().union(*(places.get(group, set()) for group in named)) if named else set(own)
    kept = [name for name in own if name in there]
    if not kept:
        return None
    update: dict[str, Any] = {} if kept == (item.datasets or datasets) else {"datasets": kept}
    if set(named) - set(places):
        update["groups"] = [group for group in named if group in places]
    return item.model_copy(update=update)
