"""Which files of a results folder are a dataset's, a model's, a run's or a status's.

With all that was drawn from them, for `make redo` to forget.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from recspectra import planning, registry
from recspectra.config.base import ConfigError, nearest
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import SourceFile
from recspectra.config.model import RunConfig
from recspectra.files import git_id
from recspectra.paths import Paths
from recspectra.planning.plan import read_record

DAMAGED = "damaged"
STATUSES = ("capped", "timeout", "oom", "diverged", "skipped")
KEPT = "reference"  # committed, never forgotten
NOTHING = "nothing was forgotten"
DRAWN = ("table-*", "sheet-*", "fig-*", "claims.*", "worlds.*", "audit.csv")
BY_DATASET = ("data", "spectra", "tuning", "runs", "checkpoints", "measured")


class Run(NamedTuple):
    """Where one run lies: `results/runs/{dataset}/{model}/{key}/seed-{seed}`."""

    dataset: str
    model: str
    key: str
    seed: str

    def below(self, results: Path) -> Path:
        """Return the folder of the run."""
        return Paths(results).run(*self)


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


class Results:
    """A results folder, by what can be named in it.

    Parameters
    ----------
    folder : Path
        The results folder.
    catalog : Catalog
        The configuration files.
    mirror : str
        The folder of local copies, or an empty text.
    """

    def __init__(self, folder: Path, catalog: Catalog, mirror: str = "") -> None:
        self.folder, self.catalog, self.mirror = folder, catalog, mirror

    def forgotten(self, what: str) -> Forgotten:
        """Return what is to be forgotten of a dataset, model, run folder or status.

        Raises
        ------
        ConfigError
            Nothing has that name, or a path leads out of the results.
        """
        found = self._of_folder(what) if "/" in what else self._of_word(what)
        studies = self._studies(found.chosen)
        found.studies = [folder.name for folder in studies]
        drawn = [p for folder, datasets in studies.items() for p in _drawn_in(folder, datasets)]
        if studies:
            drawn.append(self.folder / "report" / "index.html")
        paths = dict.fromkeys(path for path in [*found.paths, *drawn] if path.exists() or path.is_symlink())
        found.paths = [p for p in paths if not any(parent in paths for parent in p.parents)]
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
            "models": sorted({p.name for p in self._glob("runs/*/*")}),
            "statuses": sorted({status for _, status in self._statuses_on_disk()}),
        }
        lines = [f"{kind}: {', '.join(names) or 'none'}" for kind, names in here.items()]
        every = [*self.datasets, *self.models, *self.statuses, DAMAGED]
        return (
            f"WHAT: '{what}' is no dataset, model, status or run folder{nearest(what, every) or '.'} In "
            f"{self.folder} there are {'; '.join(lines)}. A run folder is "
            f"{self.folder}/runs/DATASET/MODEL/KEY or one seed-N in it; '{DAMAGED}' stands for what "
            "`make check` lists"
        )

    @property
    def datasets(self) -> set[str]:
        """Names of all datasets, those without a YAML any more included."""
        found = {p.name for name in BY_DATASET for p in self._glob(f"{name}/*") if p.is_dir()}
        return found | set(self.catalog.names("datasets"))

    @property
    def models(self) -> set[str]:
        """Names of all models, those without a YAML any more included."""
        found = {p.name for p in self._glob("runs/*/*") + self._glob("tuning/*/*")}
        return found | set(self.catalog.names("models"))

    @property
    def statuses(self) -> set[str]:
        """All statuses of runs but `ok`."""
        return {*STATUSES, *(status for _, status in self._statuses_on_disk())} - {"ok"}

    def _of_dataset(self, name: str) -> Forgotten:
        paths = [self.folder / kind / name for kind in BY_DATASET]
        paths.append(self.folder / "interactions" / f"{name}.npz")
        paths += [*self._raw_copies(name), *self._glob("datasets/datasets.*")]
        return Forgotten(paths, lambda run: run.dataset == name)

    def _raw_copies(self, name: str) -> list[Path]:
        """Return the copies of a dataset's raw files that are not what the workflow would fetch now.

        A new copy of the same bytes would only make the other datasets of that file be made again, and
        a copy of a file that is nowhere else is never forgotten.
        """
        if name not in self.catalog.names("datasets"):
            return []
        source = self.catalog.dataset(name).source
        copies = {Paths(self.folder).raw(source.name, file.path): file for file in source.files}
        return [ours for ours, file in copies.items() if ours.is_file() and self._is_outdated(ours, file)]

    def _is_outdated(self, ours: Path, file: SourceFile) -> bool:
        theirs = Path(self.mirror) / file.path
        if self.mirror and theirs.is_file():
            return planning.raw_digests().differ(ours, theirs)
        known = {kind: value for kind in ("sha256", "md5") if (value := getattr(file, kind))}
        if file.git and git_id(ours) == file.git:
            return False
        return file.url is not None and any(_digest(ours, kind) != value for kind, value in known.items())

    def _of_model(self, name: str) -> Forgotten:
        paths = [p for kind in ("runs", "tuning", "checkpoints") for p in self._glob(f"{kind}/*/{name}")]
        return Forgotten(paths, lambda run: run.model == name)

    def _of_status(self, status: str) -> Forgotten:
        runs = {run for run, found in self._statuses_on_disk() if found == status}
        searches = [p.parent for p in self._glob("tuning/*/*/*/best.json") if read(p).get("status") == status]
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
            if config and config.fit != "train" and config.train_run.key == run.key:
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
        return [(_run_of(path), str(read(path).get("status", ""))) for path in found]

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

    def check_inside(self, paths: Iterable[Path | str]) -> None:
        """Refuse paths of which one, or a link below it, leads out of the results folder.

        Raises
        ------
        ConfigError
            One does, or is kept for comparison.
        """
        for path in map(Path, paths):
            links = (inner for inner in path.rglob("*") if inner.is_symlink()) if path.is_dir() else ()
            for place in (path, *links):
                self._check_inside(place)

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
    kinds = ("parts/{}.csv", "parts/{}.notes.json", "per_user/{}.parquet", "worlds/{}.parquet")
    parts = [folder / kind.format(dataset) for dataset in datasets for kind in kinds]
    names = [*planning.COLLECTED, *(f"{kind}.csv" for kind in registry.figures())]
    collected = [folder / name for name in names]
    return [*parts, *collected, *(p for pattern in DRAWN for p in sorted(folder.glob(pattern)))]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            yield from csv.DictReader(stream)


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _run_of(record: Path) -> Run:
    dataset, model, key, seed = record.parts[-5:-1]
    return Run(dataset, model, key, seed.removeprefix("seed-"))


def read(path: Path) -> dict[str, Any]:
    """Return a record; an empty one if it is damaged."""
    return read_record(path) or {}


def _config(record: Path) -> RunConfig | None:
    """Return the configuration of a run; None if it is of an earlier version or damaged."""
    try:
        return RunConfig.model_validate(read(record).get("config"))
    except ValueError:
        return None
