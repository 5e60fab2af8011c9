"""Forget named results and all that was drawn from them, and run the workflow again.

Snakemake compares times and parameters. It does not know that somebody wants a run again that ended as
`timeout`, or a dataset whose file in the mirror was exchanged. What is forgotten here is missing for it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from recspectra import planning
from recspectra.config.base import ConfigError, safe_name
from recspectra.config.catalog import Catalog
from recspectra.config.settings import load_settings
from recspectra.config.yaml_io import read_yaml
from recspectra.files import ArtifactError
from recspectra.running import damage, interrupts, locks, pending
from recspectra.running.command import Workflow
from recspectra.running.pending import Pending, Settings
from recspectra.running.selection import DAMAGED, NOTHING, Results, read

STOPPED = 1  # an exit status above is of a workflow that an interrupt or a kill ended


def redo(
    what: str, results: Path, catalog: Catalog, workflow: Workflow, study: str = "", dry: bool = False
) -> int:
    """Forget results and run the workflow again for the studies that were drawn from them.

    What was begun with the same words and did not end well goes on: nothing more is forgotten.

    Parameters
    ----------
    what : str
        A dataset, model, run folder, status, or `damaged`.
    results : Path
        The results folder.
    catalog : Catalog
        The configuration files.
    workflow : Workflow
        The workflow's command without targets.
    study : str
        Name or path of a study that is run too, and where the file of one lies that showed it.
    dry : bool
        Only say what would be forgotten.

    Returns
    -------
    int
        Exit status: 0 if all went well.

    Raises
    ------
    ConfigError
        Nothing has that name, a path leads out of the results, or a value given for the workflow is wrong.
    ArtifactError
        Another workflow works there.
    """
    own = _own_study(catalog, study) if study else {}
    given = {key: value for key, value in workflow.config.items() if value}
    settings = load_settings(catalog.root, given)
    catalog.scale(settings.chosen)
    mirror = planning.mirror_of(settings)
    if not dry and locks.busy(results):
        raise ArtifactError(f"{NOTHING}: {locks.explanation(results)}")
    if what == DAMAGED:
        return _redo_damaged(results, workflow, own, dry)
    begun = pending.read(results)
    for other in begun.keys() - {what}:
        print(f"not finished yet: make redo WHAT={other} (run it again: it goes on)")
    folder = Results(results, catalog, mirror)
    entry = begun.get(what) or _new(what, folder)
    for kept in entry.studies.values():
        catalog.scale(kept.chosen)
    folder.check_inside([] if entry.removed else entry.paths)
    _print_plan(what, entry, results, begun=what in begun)
    again = _studies_to_run(entry, catalog, study, what)
    if dry:
        print(f"nothing was removed; then: {', '.join(again) or 'no study runs'}", flush=True)
        return 0
    if not entry.removed:
        _remove(what, entry, results)
    if status := _run_again(entry, results, catalog, workflow, again):
        if status != interrupts.STATUS:  # that has been said already
            print(f"not finished: mend what is said above; then make redo WHAT={what} goes on")
        return status
    pending.finish(results, what)
    if not again:
        print("no finished study showed it: run your study again (make study STUDY=...)")
    return 0


def _new(what: str, results: Results) -> Pending:
    found = results.forgotten(what)
    records = {name: read(results.folder / "studies" / name / "study.json") for name in found.studies}
    studies = {name: Settings.of(record) for name, record in records.items()}
    return Pending(paths=[str(path) for path in found.paths], studies=studies)


def _studies_to_run(entry: Pending, catalog: Catalog, study: str, what: str) -> list[str]:
    """Return the studies that showed it, each by its name or its file, and the one that was asked for.

    Raises
    ------
    ConfigError
        The file of a study is not known.
    """
    asked = _name(catalog, study) if study else ""
    again = {}
    for name, settings in entry.studies.items():
        if name == asked:
            again[name] = study
        elif name in catalog.names("studies"):
            again[name] = name
        elif Path(settings.origin).is_file():
            again[name] = settings.origin
        else:
            raise ConfigError(
                f"study '{name}' shows it, and its YAML is not where it was: {NOTHING}; "
                f"say where it is (make redo WHAT={what} STUDY=/path/{name}.yaml) or delete "
                f"results/studies/{name}"
            )
    return [*again.values(), *([study] if study and asked not in again else [])]


def _print_plan(what: str, entry: Pending, results: Path, begun: bool) -> None:
    """Say what is forgotten now, and that more is not where something goes on."""
    there = [Path(path) for path in ([] if entry.removed else entry.paths)]
    lines = [f"forget {_size(path)}" for path in there if path.exists() or path.is_symlink()]
    if begun:
        lines.append(f"'{what}' was begun before and goes on: nothing else is forgotten")
    print("\n".join(lines or [f"nothing of '{what}' is in {results}"]), flush=True)


def _run_again(entry: Pending, results: Path, catalog: Catalog, workflow: Workflow, again: list[str]) -> int:
    """Build studies one after another until an interrupt; return 0 if all are built."""
    if status := _fetch(entry, results, workflow) if again else 0:
        return status
    for study in again:
        name = _name(catalog, study)
        words = entry.studies.get(name, Settings()).words(workflow.config.get("scale", ""))
        config = _own_study(catalog, study) | words
        found = workflow.build([name], config)
        if found > STOPPED:
            return found
        status |= found
    return status


def _fetch(entry: Pending, results: Path, workflow: Workflow) -> int:
    """Get raw files again that were removed: an optional dataset takes part only where its files are."""
    raw = [path for path in map(Path, entry.paths) if results / "raw" in path.parents and not path.exists()]
    mirror = {"mirror": workflow.config.get("mirror", "")}
    return Workflow(workflow.words, mirror).build([str(path) for path in raw]) if raw else 0


def _name(catalog: Catalog, study: str) -> str:
    """Return the name in a study's file: it becomes a word of Snakemake's command line."""
    path = catalog.study_path(study)
    return safe_name(read_yaml(path).get("name", ""), f"{path}: name")


def _own_study(catalog: Catalog, study: str) -> dict[str, str]:
    """Return the word that names a study of the user's own; none for one of the project."""
    path = catalog.study_path(study)
    return {} if study in catalog.names("studies") else {"study": str(path)}


def _redo_damaged(results: Path, workflow: Workflow, config: dict[str, str], dry: bool) -> int:
    """Rebuild the damaged files and nothing that was made from the sound ones."""
    found, status = damage.listed(results), 0
    if dry:
        return 0
    for path in damage.half_written(results):
        path.unlink()
    if found:
        status = damage.rebuild(results, found, lambda targets: workflow.build(targets, config))
        found = damage.listed(results) if status <= STOPPED else found
    return status if status > STOPPED else int(bool(found))


def _size(path: Path) -> str:
    """Return a path with how many files lie below it."""
    files = sum(p.is_file() for p in path.rglob("*")) if path.is_dir() and not path.is_symlink() else 0
    return f"{path}/ ({files} files)" if files else str(path)


def _remove(what: str, entry: Pending, results: Path) -> None:
    """Remove what is to be forgotten; what is to be run again is written down before."""
    try:
        with locks.held(results):
            pending.note(results, what, entry)
            for path in entry.paths:
                _remove_one(Path(path))
            pending.note(results, what, entry.model_copy(update={"removed": True}))
    except locks.Busy as error:
        raise ArtifactError(f"{NOTHING}: {error}") from None


def _remove_one(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be removed ({error.strerror}); mend that and run again"
        ) from None
