"""Forget named results and all that was drawn from them, and run the workflow again.

Snakemake compares times and parameters. It does not know that somebody wants a run again that ended as
`timeout`, or a dataset whose file in the mirror was exchanged. What is forgotten here is missing for it.
"""

from __future__ import annotations

import csv
import itertools
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from recspectra import planning
from recspectra.config.base import ConfigError, nearest
from recspectra.config.catalog import Catalog, load_settings
from recspectra.config.model import RunConfig
from recspectra.config.yaml_io import read_yaml
from recspectra.files import ArtifactError, Checksum, read_json
from recspectra.running import locks, repair

DAMAGED = "damaged"
STATUSES = ("timeout", "oom", "diverged", "skipped")
KEPT = "reference"  # committed, never forgotten
NOTHING = "nothing was forgotten"
DRAWN = ("table-*", "fig-*", "finding-*", "audit.csv")
BY_DATASET = ("data", "spectra", "tuning", "runs", "checkpoints", "energy")


class Run(NamedTuple):
    """Where one run lies: `results/runs/{dataset}/{model}/{key}/seed-{seed}`."""

    dataset: str
    model: str
    key: str
    seed: str

    def below(self, results: Path) -> Path:
        """Return the folder of the run."""
        return results / "runs" / self.dataset / self.model / self.key / f"seed-{self.seed}"


@dataclass
class Forgotten:
    """What is to be forgotten: files and folders, and which runs that takes from studies.

    Attributes
    ----------
    paths : list of Path
        Files and folders that are there.
    chosen : callable
        Whether a run is among what was named.
    studies : list of str
        Studies on disk that were drawn from it.
    """

    paths: list[Path]
    chosen: Callable[[Run], bool]
    studies: list[str] = field(default_factory=list)


# -------------------------------------------------------------------------------- choosing


class Results:
    """A results folder, by what can be named in it.

    Parameters
    ----------
    folder : Path
        The results folder.
    catalog : Catalog
        The configuration files.
    mirror : str
        The folder of local copies, or an empty text: a raw file that equals its original there is kept.
    """

    def __init__(self, folder: Path, catalog: Catalog, mirror: str = "") -> None:
        self.folder, self.catalog, self.mirror = folder, catalog, mirror

    def forgotten(self, what: str) -> Forgotten:
        """Return what is to be forgotten of a dataset, model, run folder or status.

        Raises
        ------
        ConfigError
            Nothing has that name, a path leads out of the results, or what is to be removed does.
        """
        found = self._of_folder(what) if "/" in what else self._of_word(what)
        studies = self._studies(found.chosen)
        found.studies = [folder.name for folder in studies]
        drawn = [p for folder, datasets in studies.items() for p in _drawn_in(folder, datasets)]
        if studies:
            drawn.append(self.folder / "report" / "index.html")
        paths = dict.fromkeys(path for path in [*found.paths, *drawn] if path.exists() or path.is_symlink())
        found.paths = [p for p in paths if not any(parent in paths for parent in p.parents)]
        for path in found.paths:
            links = (inner for inner in path.rglob("*") if inner.is_symlink()) if path.is_dir() else ()
            for place in (path, *links):
                self._check_inside(place)
        return found

    def _of_word(self, what: str) -> Forgotten:
        kind, _, name = what.rpartition(":")
        known = {"dataset": self.datasets, "model": self.models, "status": self.statuses}
        kinds = [k for k, names in known.items() if name in names and kind in ("", k)]
        if len(kinds) > 1:
            words = " or ".join(f"WHAT={k}:{name}" for k in kinds)
            raise ConfigError(f"WHAT: '{name}' names a {' and a '.join(kinds)}; write {words}")
        if not kinds:
            raise ConfigError(self._unknown(what))
        return {"dataset": self._of_dataset, "model": self._of_model, "status": self._of_status}[kinds[0]](
            name
        )

    def _unknown(self, what: str) -> str:
        here = {
            "datasets": sorted({p.name for p in self._glob("data/*")}),
            "systems": sorted({p.name for p in self._glob("runs/*/*")}),
            "statuses": sorted({status for _, status in self._statuses_on_disk()}),
        }
        lines = [f"{kind}: {', '.join(names) or 'none'}" for kind, names in here.items()]
        every = [*self.datasets, *self.models, *self.statuses, DAMAGED]
        return (
            f"WHAT: '{what}' is no dataset, system, status or run folder{nearest(what, every)}. In "
            f"{self.folder} there are {'; '.join(lines)}. A run folder is "
            f"{self.folder}/runs/DATASET/SYSTEM/KEY or one seed-N in it; '{DAMAGED}' stands for what "
            "`make check` lists"
        )

    @property
    def datasets(self) -> set[str]:
        """Names of all datasets, those without a YAML any more included."""
        found = {p.name for name in BY_DATASET for p in self._glob(f"{name}/*") if p.is_dir()}
        return found | set(self.catalog.names("datasets"))

    @property
    def models(self) -> set[str]:
        """Names of all systems, those without a YAML any more included."""
        found = {p.name for p in self._glob("runs/*/*") + self._glob("tuning/*/*")}
        return found | set(self.catalog.names("models"))

    @property
    def statuses(self) -> set[str]:
        """All statuses of runs but `ok`."""
        return {*STATUSES, *(status for _, status in self._statuses_on_disk())} - {"ok"}

    def _of_dataset(self, name: str) -> Forgotten:
        paths = [self.folder / kind / name for kind in BY_DATASET]
        table = self.folder / "interactions" / f"{name}.npz"
        paths += [*self._raw_copies(name), table, Checksum.place(table), *self._glob("datasets/datasets.*")]
        return Forgotten(paths, lambda run: run.dataset == name)

    def _raw_copies(self, name: str) -> list[Path]:
        """Return the copies of a dataset's raw files, but those that equal the mirror's file.

        A new copy of the same bytes would only make the other datasets of that file be made again.
        """
        if name not in self.catalog.names("datasets"):
            return []
        source, found = self.catalog.dataset(name).source, []
        digests = planning.raw_digests()
        for file in source.files:
            ours, theirs = self.folder / "raw" / source.name / file.path, Path(self.mirror or "/") / file.path
            same = self.mirror and ours.is_file() and theirs.is_file() and not digests.differ(ours, theirs)
            found += [] if same else [ours]
        return found

    def _of_model(self, name: str) -> Forgotten:
        paths = [p for kind in ("runs", "tuning", "checkpoints") for p in self._glob(f"{kind}/*/{name}")]
        return Forgotten(paths, lambda run: run.model == name)

    def _of_status(self, status: str) -> Forgotten:
        runs = {run for run, found in self._statuses_on_disk() if found == status}
        searches = [
            p.parent for p in self._glob("tuning/*/*/*/best.json") if _read(p).get("status") == status
        ]
        return self._with_runs(searches, runs | {r for place in searches for r in self._tuned_by(place)})

    def _of_folder(self, what: str) -> Forgotten:
        path = Path(what)
        self._check_inside(path)
        parts = path.absolute().relative_to(self.folder.absolute()).parts
        if parts[:1] == ("runs",) and 2 <= len(parts) <= 5:
            return self._of_run_folder(path, parts[1:])
        if parts[:1] == ("tuning",) and len(parts) == 4 and path.is_dir():
            return self._with_runs([path], self._tuned_by(path))
        raise ConfigError(
            f"WHAT: '{what}' is no run folder; one is {self.folder}/runs/DATASET/SYSTEM/KEY or a seed-N in it"
        )

    def _of_run_folder(self, path: Path, parts: tuple[str, ...]) -> Forgotten:
        def named(run: Run) -> bool:
            return (*run[:3], f"seed-{run.seed}")[: len(parts)] == parts

        if not path.exists() and not self._studies(named):
            known = [str(run.below(self.folder)) for run, _ in self._statuses_on_disk()]
            raise ConfigError(f"WHAT: there is no run '{path}'{nearest(path, known)}")
        found = self._with_runs([], {run for run, _ in self._statuses_on_disk() if named(run)})
        # The folder of a run that was deleted by hand is gone; studies may still show its numbers.
        return Forgotten([path, *found.paths], lambda run: named(run) or found.chosen(run))

    def _with_runs(self, paths: list[Path], runs: set[Run]) -> Forgotten:
        """Return runs with the refits that learn for as long as they did, and their checkpoints."""
        every = runs | {refit for run in runs for refit in self._refits_of(run)}
        for run in sorted(every):
            pattern = f"checkpoints/{run.dataset}/{run.model}/{run.key}-*-{run.seed}"
            paths = [*paths, run.below(self.folder), *self._glob(pattern)]
        return Forgotten(paths, lambda run: run in every)

    def _refits_of(self, run: Run) -> Iterator[Run]:
        for path in self._glob(f"runs/{run.dataset}/{run.model}/*/seed-{run.seed}/run.json"):
            config = _config(path)
            if config and config.fit != "train" and config.twin.key == run.key:
                yield run._replace(key=path.parts[-3])

    def _tuned_by(self, place: Path) -> set[Run]:
        """Return the runs whose values the search in a folder chose."""
        dataset, model, key = place.parts[-3:]
        records = self._glob(f"runs/{dataset}/{model}/*/seed-*/run.json")
        configs = {path: _config(path) for path in records}
        return {
            _run_of(p) for p, config in configs.items() if config and config.tune and config.tune.key == key
        }

    def _statuses_on_disk(self) -> list[tuple[Run, str]]:
        found = self._glob("runs/*/*/*/seed-*/run.json")
        return [(_run_of(path), str(_read(path).get("status", ""))) for path in found]

    # --------------------------------------------------------------------------- studies

    def _studies(self, chosen: Callable[[Run], bool]) -> dict[Path, set[str]]:
        """Return the studies on disk that show a chosen run, and on which datasets."""
        found: dict[Path, set[str]] = {}
        for folder in self._glob("studies/*"):
            tables = [*sorted(folder.glob("parts/*.csv")), folder / "runs.csv"]
            rows = itertools.chain.from_iterable(map(_rows, tables))
            runs = {Run(*(row.get(name) or "" for name in Run._fields)) for row in rows}
            if datasets := {run.dataset for run in runs if chosen(run)}:
                found[folder] = datasets
        return found

    # ----------------------------------------------------------------------------- paths

    def _glob(self, pattern: str) -> list[Path]:
        return sorted(self.folder.glob(pattern))

    def _check_inside(self, path: Path) -> None:
        """Refuse a path that is not below the results folder, by its words or by a link on its way."""
        root = self.folder.absolute()
        inside = ".." not in path.parts and root in path.absolute().parents
        real = self.folder.resolve()
        if not inside or not (path.resolve().is_relative_to(real) and path.resolve() != real):
            raise ConfigError(f"'{path}' is not in {self.folder}, or a link leads out of it: {NOTHING}")
        kept = real / KEPT
        if path.resolve() == kept or kept in path.resolve().parents:
            raise ConfigError(f"'{path}': {self.folder / KEPT} is kept for comparison: {NOTHING}")


def _drawn_in(folder: Path, datasets: set[str]) -> list[Path]:
    """Return what a study has from some of its datasets: numbers, collected tables and drawings."""
    parts = [folder / kind for d in datasets for kind in (f"parts/{d}.csv", f"per_user/{d}.parquet")]
    collected = [folder / name for name in planning.COLLECTED]
    return [*parts, *collected, *(p for pattern in DRAWN for p in sorted(folder.glob(pattern)))]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            yield from csv.DictReader(stream)


def _run_of(record: Path) -> Run:
    dataset, model, key, seed = record.parts[-5:-1]
    return Run(dataset, model, key, seed.removeprefix("seed-"))


def _read(path: Path) -> dict[str, Any]:
    """Return a record; an empty one if it is damaged."""
    try:
        found = read_json(path)
    except ArtifactError:
        return {}
    return found if isinstance(found, dict) else {}


def _config(record: Path) -> RunConfig | None:
    """Return the configuration of a run; None if it is of an earlier version or damaged."""
    try:
        return RunConfig.model_validate(_read(record).get("config"))
    except ValueError:
        return None


# ---------------------------------------------------------------------------------- doing


def redo(
    what: str, results: Path, catalog: Catalog, command: list[str], study: str = "", dry: bool = False
) -> int:
    """Forget results and run the workflow again for the studies that were drawn from them.

    Parameters
    ----------
    what : str
        A dataset, system, run folder, status, or `damaged`.
    results : Path
        The results folder.
    catalog : Catalog
        The configuration files.
    command : list of str
        The workflow's command without targets.
    study : str
        Name or path of the study that is run instead.
    dry : bool
        Only say what would be forgotten.

    Returns
    -------
    int
        Exit status: 0 if all went well.

    Raises
    ------
    ConfigError
        Nothing has that name, or a path leads out of the results.
    ArtifactError
        Another workflow works there.
    """
    command = _without_empty_words(command)
    if study:
        catalog.study_path(study)
    if locks.busy(results):
        raise ArtifactError(f"{NOTHING}: {locks.explanation(results)}")
    if what == DAMAGED:
        return _redo_damaged(results, _for_study(command, catalog, study, {})[1] if study else command, dry)
    found = Results(results, catalog, _mirror(catalog, command)).forgotten(what)
    print(
        "\n".join(
            [f"forget {_size(path)}" for path in found.paths] or [f"nothing of '{what}' is in {results}"]
        )
    )
    settings = {name: _read(results / "studies" / name / "study.json") for name in found.studies}
    if dry:
        print(f"nothing was removed; then: {', '.join(_again(found, study, catalog)) or 'no study runs'}")
        return 0
    _remove(found.paths, results)
    status = 0
    for name in _again(found, study, catalog):
        target, words = _for_study(command, catalog, name, settings.get(_name(catalog, name), {}))
        status |= subprocess.run([words[0], target, *words[1:]], check=False).returncode
    _say_what_is_left(found, study, catalog)
    return status


def _again(found: Forgotten, study: str, catalog: Catalog) -> list[str]:
    """Return the studies to run: the one that was asked for, or those drawn from what is forgotten."""
    return [study] if study else [name for name in found.studies if name in catalog.names("studies")]


def _say_what_is_left(found: Forgotten, study: str, catalog: Catalog) -> None:
    again = {_name(catalog, name) for name in _again(found, study, catalog)}
    for name in found.studies:
        if name not in again:
            print(f"study '{name}' showed it too: run that study again (make study STUDY={name} or its YAML)")
    if not found.studies and not again:
        print("no finished study showed it: run your study again (make study STUDY=...)")


def _name(catalog: Catalog, study: str) -> str:
    return str(read_yaml(catalog.study_path(study)).get("name", ""))


def _for_study(
    command: list[str], catalog: Catalog, study: str, settings: dict[str, Any]
) -> tuple[str, list[str]]:
    """Return the target of a study and the command with what it was run with before.

    Its datasets and effort are in its `study.json`; words of the command come first.
    """
    words = []
    if study not in catalog.names("studies"):
        words.append(f"study={catalog.study_path(study)}")
    if settings.get("datasets"):
        words.append(f"datasets={','.join(settings['datasets'])}")
    if settings.get("effort"):
        words.append(f"effort={settings['effort']}")
    given = {word.partition("=")[0] for word in command}
    words = [word for word in words if word.partition("=")[0] not in given]
    place = command.index("--config") + 1 if "--config" in command else None
    if place is None:
        return _name(catalog, study), [*command, "--config", *words] if words else command
    return _name(catalog, study), [*command[:place], *words, *command[place:]]


def _without_empty_words(command: list[str]) -> list[str]:
    """Return a command without `key=`, what make gives for a variable that nobody set."""
    kept = [word for word in command if not re.fullmatch(r"[a-z_]+=", word)]
    return kept[:-1] if kept[-1:] == ["--config"] else kept


def _mirror(catalog: Catalog, command: list[str]) -> str:
    """Return the folder of local copies that a command, the environment or the configuration names."""
    given = [word.partition("=")[2] for word in command if word.startswith("mirror=")]
    return planning.mirror_of(load_settings(catalog.root, {"mirror": given[-1]} if given else {}))


def _redo_damaged(results: Path, command: list[str], dry: bool) -> int:
    """Rebuild the damaged files and nothing that was made from the sound ones."""
    found = repair.listed(results)
    if dry:
        return 0
    for path in repair.half_written(results):
        path.unlink()
    if found:
        repair.rebuild(results, found, command)
        found = repair.listed(results)
    return int(bool(found))


def _size(path: Path) -> str:
    """Return a path with how many files lie below it."""
    files = sum(p.is_file() for p in path.rglob("*")) if path.is_dir() and not path.is_symlink() else 0
    return f"{path}/ ({files} files)" if files else str(path)


def _remove(paths: list[Path], results: Path) -> None:
    try:
        with locks.held(results):
            for path in paths:
                _remove_one(path)
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
