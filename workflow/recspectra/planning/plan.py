"""What the Snakefile asks: paths, inputs and parameters of every job.

All of it follows from the configuration files, so a dry run needs neither data
nor any numerical library.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from recspectra import code_hashes, devices, identity, registry
from recspectra.config.base import ConfigError, is_safe
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import SHORT_FORM
from recspectra.config.lists import ListFile
from recspectra.config.model import PlannedRun, RunConfig, TuneConfig, spectra_of, tuning_spectra
from recspectra.config.planned import Study
from recspectra.config.raw_files import RawFile, raw_files
from recspectra.config.scale import USABLE, Caps, caps_text
from recspectra.config.settings import Settings
from recspectra.config.study import WITH_USERS, FigureConfig
from recspectra.config.yaml_io import canonical_json
from recspectra.files import MODEL_FILE, ArtifactError, read_json
from recspectra.paths import Paths
from recspectra.planning.requests import memory_asked, minutes_asked

HERE = Paths()  # rules run in the project's folder
COLLECTED = ["metrics.csv", "runs.csv", "learning.csv", "tuning.csv", "datasets.csv", "study.json"]
FIGURE_FILES = ("svg", "png", "csv", "txt")  # the last is its caption
KEEP = "keep"  # see `Plan.planned_keep`
PUBLISHED = ("results.csv", "datasets.csv", "improvements.csv", "claims.csv", "mapping.yaml")


def how_it_is_read(catalog: Catalog, dataset: str) -> list[Any]:
    """Return the configuration that `prepare` follows; of an own file's path the name alone."""
    config = catalog.dataset(dataset)
    parts = [(f.path, f.part, f.sha256, f.md5, f.member) for f in config.source.files]
    kept = config.model_dump(include={*SHORT_FORM, "reader", "filter"})
    return [kept | {"path": Path(config.path).name if config.path else None}, parts]


def plain(title: str) -> str:
    """Return a title without braces, which Snakemake would take for wildcards."""
    return title.translate({ord("{"): "(", ord("}"): ")"})


def mirror_of(settings: Settings) -> str:
    """Return the folder of local copies, absolute, or an empty text."""
    given = Path(settings.mirror or os.environ.get("RECSPECTRA_MIRROR") or "")
    with contextlib.suppress(RuntimeError):  # there is no such user
        given = given.expanduser()
    return str(given.resolve()) if given.parts else ""


class Present:
    """The datasets whose files are embedded, the user's own, in the mirror or fetched already."""

    def __init__(self, catalog: Catalog, mirror: str) -> None:
        self.catalog, self.mirror = catalog, mirror

    def __contains__(self, dataset: str) -> bool:
        return not self.missing(dataset)

    def missing(self, dataset: str) -> list[str]:
        """Return the files of a dataset that are not there."""
        config = self.catalog.dataset(dataset)
        if config.path:
            return [] if Path(config.path).is_file() else [config.path]
        raw = HERE.raw(config.source.name)
        paths = [f.path for f in config.source.files]
        places = [raw, *([Path(self.mirror)] if self.mirror else [])]
        return [p for p in paths if not any((place / p).is_file() for place in places)]


def _from_here(path: str) -> str:
    """Return a path, relative where it is below the working folder: a checkout that moves reruns nothing."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def raw_digests() -> identity.FileDigests:
    """Return the digests of raw files that are kept, so that a dry run does not hash them all again."""
    return identity.FileDigests(HERE.file_digests)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return a record on disk; None where there is none or it is damaged, which its reader reports."""
    if not path.is_file():
        return None
    try:
        found = read_json(path)
    except ArtifactError:
        return None
    return found if isinstance(found, dict) else None


def _spectrum_files(dataset: str, needs: list[tuple[str, int]]) -> list[str]:
    return [str(HERE.spectrum(dataset, operator, rank)) for operator, rank in needs]


def _files_of(runs: Sequence[PlannedRun], name: str) -> list[str]:
    """Return the file of each run, once where several labels are of one run."""
    return [str(path) for path in dict.fromkeys(HERE.planned(run) / name for run in runs)]


class Plan:
    """Settings, studies and everything that rules derive from them."""

    def __init__(
        self, root: Path, catalog: Catalog, settings: Settings, studies: dict[str, Study],
        default: str, requested: list[str],
    ) -> None:  # fmt: skip
        self.root, self.catalog, self.settings = root, catalog, settings
        self.studies, self.default, self.requested = studies, default, requested
        self.scale = catalog.scale(settings.chosen)

    # ------------------------------------------------------------------------ data

    @property
    def mirror(self) -> str:
        """Folder of local copies, absolute, or an empty text."""
        return mirror_of(self.settings)

    @cached_property
    def files(self) -> dict[tuple[str, str], RawFile]:
        """(source, path) -> every raw file."""
        return raw_files(self.catalog)

    def dataset_of_file(self, source: str, path: str) -> str:
        """Return a dataset that needs a raw file."""
        file = self.files.get((source, path))
        return file.dataset if file else "unknown"

    def sha256_of_file(self, source: str, path: str) -> str:
        """Return the checksum that a raw file must have."""
        file = self.files.get((source, path))
        return file.checksum if file else "unknown"

    def raw_files(self, dataset: str) -> list[str]:
        """Return the raw files of a dataset."""
        config = self.catalog.dataset(dataset)
        if config.path:
            return [_from_here(config.path)]
        source = config.source
        return [str(HERE.raw(source.name, f.path)) for f in source.files]

    def reader_params(self, dataset: str) -> str:
        """Return what `prepare` depends on, as text; of a user's own file size and content too.

        `cp -p` and `rsync -a` exchange a file for another with an older time: time alone says nothing.
        """
        own = self._content(dataset)
        return canonical_json([how_it_is_read(self.catalog, dataset), *([own] if own else [])])

    def _content(self, dataset: str) -> str:
        """Return size and digest of a user's own file; an empty text for other datasets."""
        path = self.catalog.dataset(dataset).path
        return self.digests.of(path) if path else ""

    @property
    def _scripts(self) -> Path:
        return self.root / "workflow" / "scripts"

    @property
    def prepare_code(self) -> str:
        """Hash of the code that reads and filters."""
        modules = ("recspectra.data.readers", "recspectra.data.tables")
        return code_hashes.code_hash(*modules, scripts=[self._scripts / "prepare.py"])

    @property
    def split_code(self) -> str:
        """Hash of the code that splits."""
        return code_hashes.code_hash("recspectra.data.splits", scripts=[self._scripts / "split.py"])

    def made_with(self, dataset: str) -> dict[str, str]:
        """Return what a prepared dataset says of itself in `stats.json`: hashes of what it was made with."""
        return {
            "reading": identity.hash_of(how_it_is_read(self.catalog, dataset)),
            "content": self._content(dataset),
            "split": self.split_params(dataset),
            "code": self.prepare_code + self.split_code,
        }

    @cached_property
    def digests(self) -> identity.FileDigests:
        """Digests of raw files that are kept."""
        return raw_digests()

    def taking_part(self, words: Sequence[str]) -> set[str]:
        """Return the datasets that are asked for: by studies, by `datasets`, by paths of results."""
        paths = [Path(word) for word in words if word.startswith("results/")]
        named = {name for path in paths for name in (*path.parts, path.stem)}
        studies = {*self.requested, *named.intersection(self.studies)}
        found = {name for study in studies for name in self.studies[study].config.datasets}
        every = self.available if "datasets" in (*words, *named) else ()
        return found.union(every, named.intersection(self.catalog.names("datasets")))

    def published_counts(self, dataset: str) -> str:
        """Return a dataset's published counts, as text."""
        return canonical_json(self.catalog.dataset(dataset).model_dump(include={"published"}))

    def split_params(self, dataset: str) -> str:
        """Return what `split` depends on, as text."""
        config = self.catalog.dataset(dataset)
        return canonical_json(config.model_dump(include={"split", "expected", "ordered"}))

    @cached_property
    def available(self) -> list[str]:
        """Return the datasets whose files are there (see `Present`)."""
        present = Present(self.catalog, self.mirror)
        return [name for name in self.catalog.names("datasets") if name in present]

    # ------------------------------------------------------------------------ runs

    @cached_property
    def _runs(self) -> dict[tuple[str, str], RunConfig]:
        """(model, key) -> configuration, over all studies; different ones may not share a key."""
        found: dict[tuple[str, str], RunConfig] = {}
        for study in self.studies.values():
            for planned in study.runs:
                name = planned.run.model, planned.run.key
                if found.setdefault(name, planned.run) != planned.run:
                    raise ConfigError(f"two configurations of {name[0]} share the key {name[1]}")
        return found

    def run_config(self, model: str, key: str) -> RunConfig:
        """Return the configuration behind a key."""
        if (model, key) not in self._runs:
            raise ConfigError(f"no study has a run of '{model}' with key {key}")
        return self._runs[model, key]

    def run_json(self, model: str, key: str) -> str:
        """Return the configuration behind a key as JSON."""
        return canonical_json(self.run_config(model, key).model_dump())

    def run_spectra(self, dataset: str, model: str, key: str) -> list[str]:
        """Return the spectrum files that a run may need."""
        needs = spectra_of(self.catalog.model(model), self.run_config(model, key))
        return _spectrum_files(dataset, needs)

    def caps(self, model: str, key: str) -> Caps:
        """Return the caps of a run."""
        return self.scale.caps_of(self.catalog.model(model), self.run_config(model, key))

    def planned_caps(self, dataset: str, model: str, key: str, seed: str) -> str:
        """Return the text that reruns a fit which a cap ended once that cap is higher; see `caps_text`."""
        path = HERE.run(dataset, model, key, seed) / "run.json"
        return self._caps_text(model, path, self.caps(model, key))

    def planned_keep(self, dataset: str, model: str, key: str, seed: str) -> str:
        """Return a text, empty where a fit does not save its model, that reruns one whose model is missing.

        It stays what it was when the run was made, unless its model is wanted now and is not there.
        """
        folder = HERE.run(dataset, model, key, seed)
        record = read_record(folder / "run.json") or {}
        wanted = self.settings.keep or (dataset, model, key, int(seed)) in self._wanted_models
        before = record.get("keep_text")
        if not isinstance(before, str):  # there is no run, or one of an earlier version
            return KEEP if wanted else ""
        has_lists = record.get("status") in USABLE
        if not wanted or not has_lists or (folder / MODEL_FILE).is_file():
            return before
        return KEEP if before != KEEP else f"{KEEP} again"

    def kept_ids(self, dataset: str, model: str, key: str, seed: str) -> list[str]:
        """Return the file of ids that a model which is saved takes along."""
        return [f"results/data/{dataset}/ids.parquet"] if self.planned_keep(dataset, model, key, seed) else []

    @cached_property
    def _wanted_models(self) -> set[tuple[str, str, str, int]]:
        """Dataset, model, key and seed of the runs whose models a study keeps."""
        runs = [run for study in self.studies.values() for run in study.runs if run.keep]
        return {(run.dataset, run.run.model, run.run.key, run.seed) for run in runs}

    def tune_caps(self, model: str, key: str) -> Caps:
        """Return the caps of each trial of a search; the one on epochs is in its configuration."""
        caps = self.scale.caps_of(self.catalog.model(model), self.tune_config(model, key))
        return Caps(minutes=caps.minutes)

    def planned_tune_caps(self, dataset: str, model: str, key: str) -> str:
        """Return the text that reruns a search of which a cap ended a trial once that cap is higher."""
        path = HERE.tuning(dataset, self.tune_config(model, key)) / "best.json"
        return self._caps_text(model, path, self.tune_caps(model, key))

    def _caps_text(self, model: str, path: Path, now: Caps) -> str:
        record = read_record(path) if self.catalog.model(model).kind == "trained" else None
        return caps_text(record or {}, now)

    def run_tuning(self, dataset: str, model: str, key: str) -> list[str]:
        """Return the file of chosen values that a run waits for; none if it is not tuned."""
        tune = self.run_config(model, key).tune
        return [str(HERE.tuning(dataset, tune) / "best.json")] if tune else []

    def train_run_of(self, dataset: str, model: str, key: str, seed: str) -> list[str]:
        """Return the record of the run whose best epoch a refit of a trained model waits for."""
        run = self.run_config(model, key)
        if run.fit == "train" or self.catalog.model(model).kind != "trained":
            return []
        return [str(HERE.run(dataset, model, run.train_run.key, seed) / "run.json")]

    @cached_property
    def _tunings(self) -> dict[tuple[str, str], TuneConfig]:
        """(model, key) -> tuning job, over all studies."""
        jobs = [run.tune for run in self._runs.values() if run.tune]
        return {(job.model, job.key): job for job in jobs}

    def tune_config(self, model: str, key: str) -> TuneConfig:
        """Return the tuning job behind a key."""
        if (model, key) not in self._tunings:
            raise ConfigError(f"no study has a tuning job of '{model}' with key {key}")
        return self._tunings[model, key]

    def tune_params(self, dataset: str, model: str, key: str) -> list[str]:
        """Return what a tuning job depends on besides files: its configuration, what is tried first."""
        config = self.catalog.model(model)
        first = [{name: spec.default for name, spec in config.params.items()}, config.best.get(dataset, {})]
        return [canonical_json(self.tune_config(model, key).model_dump()), canonical_json(first)]

    def tune_spectra(self, dataset: str, model: str, key: str) -> list[str]:
        """Return the spectrum files that a tuning job needs."""
        needs = tuning_spectra(self.catalog.model(model), self.tune_config(model, key))
        return _spectrum_files(dataset, needs)

    def spectrum_inputs(self, dataset: str, operator: str) -> list[str]:
        """Return the interactions that an operator is built from."""
        parts = ("train", "valid") if operator.endswith("@train_valid") else ("train",)
        return [str(HERE.part(dataset, part)) for part in parts]

    def run_code(self, run: RunConfig) -> str:
        """Return the hash of the code that made a run."""
        return code_hashes.run_code(run, self._scripts)

    # -------------------------------------------------------------- lists from elsewhere

    @cached_property
    def _list_files(self) -> dict[tuple[str, ...], ListFile]:
        """(dataset, model, key, seed) -> file of lists, over all studies."""
        files = [file for study in self.studies.values() for file in study.list_files]
        return {(file.dataset, file.model, file.key, str(file.seed)): file for file in files}

    @property
    def imported(self) -> str:
        """Return a pattern of the names under which lists from elsewhere stand; of nothing without any."""
        return "|".join(sorted({model for _, model, *_ in self._list_files})) or "(?!)"

    def list_file(self, *run: str) -> str:
        """Return the file that the lists of a run (dataset, model, key, seed) are in."""
        return _from_here(self._list_files[run].path)

    def list_digest(self, *run: str) -> str:
        """Return size and sha256 of that file."""
        return self._list_files[run].digest

    @property
    def import_code(self) -> str:
        """Hash of the code that reads and checks lists from elsewhere."""
        return code_hashes.import_code(self._scripts / "import_lists.py")

    # ------------------------------------------------------------------- resources

    def fit_minutes(self, model: str, attempt: int) -> int:
        """Return the minutes that a fit asks for."""
        return minutes_asked(self.catalog.model(model).cost, self.settings.budget.minutes, attempt=attempt)

    def tune_minutes(self, model: str, key: str, attempt: int) -> int:
        """Return the minutes that a tuning job asks for."""
        trials = self.tune_config(model, key).trials
        return minutes_asked(self.catalog.model(model).cost, self.settings.budget.minutes, trials, attempt)

    def memory(self, model: str, attempt: int) -> int:
        """Return the MiB that a fit or tuning job asks for."""
        return memory_asked(self.catalog.model(model).cost, self.settings.budget.memory_gb, attempt)

    def gpu(self, dataset: str, model: str | None, local: bool) -> int:
        """Return how many GPUs a job asks for: one where it takes one, unless `device` is `cpu`.

        Trained models always ask. Models in closed form and eigenpairs ask on this machine alone, where
        the dataset is known to be large: on a cluster a CPU is faster than the queue of a GPU.

        Parameters
        ----------
        dataset : str
            Name of the dataset.
        model : str or None
            Name of the model; None for eigenpairs.
        local : bool
            Whether jobs run on this machine.
        """
        if self.settings.device == "cpu":
            return 0
        config = self.catalog.model(model) if model else None
        if config is not None and config.kind == "trained":
            return 1
        known = self.catalog.dataset(dataset).expected
        users, items = (known.users or 0, known.items or 0) if known else (0, 0)
        large = users + items > devices.NODES if config is None else users * items >= devices.SCORES
        return int(local and large and (config is None or config.gpu))

    @property
    def device_variables(self) -> str:
        """Return what the environment of a job gets on top; nothing if a GPU is for one fit."""
        shared = self.settings.fits_per_gpu
        return f" {devices.PER_GPU}={shared}" if shared > 1 else ""

    def group(self, model: str) -> str | None:
        """Return the group whose fits a cluster may run one after another in one job."""
        config = self.catalog.model(model)
        return "short_fits" if config.cost == "light" and config.kind == "closed-form" else None

    # --------------------------------------------------------------------- studies

    def _planned(self, study: str, dataset: str | None = None) -> list[PlannedRun]:
        return [r for r in self.studies[study].runs if dataset in (None, r.dataset)]

    def _run_files(self, study: str, dataset: str | None, name: str) -> list[str]:
        return _files_of(self._planned(study, dataset), name)

    def rankings(self, study: str, dataset: str) -> list[str]:
        """Return the rankings that a study evaluates on a dataset."""
        return self._run_files(study, dataset, "rankings.npz")

    def kept(self, study: str) -> list[str]:
        """Return the files of a study's runs and tuning jobs.

        The targets name them beside the tables, or Snakemake would not miss one that was deleted
        under finished tables.
        """
        runs = [*self._run_files(study, None, "rankings.npz"), *self.records(study)]
        return [*runs, *self.tunings(study)]

    def records(self, study: str) -> list[str]:
        """Return the run records of a study."""
        return self._run_files(study, None, "run.json")

    def evaluation_params(self, study: str, dataset: str) -> str:
        """Return what `evaluate` depends on besides files, as text."""
        entry = self.studies[study]
        runs = [(r.run.key, r.variant, r.seed) for r in self._planned(study, dataset)]
        protocols = [p.model_dump(exclude={"title", "why"}) for p in entry.protocols]
        views = [v.model_dump() for v in entry.config.views or []]
        return canonical_json([runs, protocols, views])

    def tunings(self, study: str) -> list[str]:
        """Return the trials of a study's tuning jobs."""
        jobs = {(r.dataset, r.run.tune.key): r.run.tune for r in self._planned(study) if r.run.tune}
        return [str(HERE.tuning(dataset, tune) / "trials.csv") for (dataset, _), tune in jobs.items()]

    def parts(self, study: str) -> list[str]:
        """Return the metrics of a study by dataset."""
        return [str(HERE.metrics_of(study, d)) for d in self.studies[study].config.datasets]

    def notes(self, study: str) -> list[str]:
        """Return what evaluations noted about lists from elsewhere, by dataset."""
        return [str(HERE.notes_of(study, d)) for d in self.studies[study].config.datasets]

    def choice_json(self, study: str, dataset: str = "") -> str:
        """Return what a script must be told to load a study, or one dataset of it, as it was loaded here."""
        datasets = [dataset] if dataset else self.studies[study].config.datasets
        choice = self.settings.chosen.model_copy(update={"datasets": datasets})
        return canonical_json(choice.model_dump(exclude_none=True))

    # -------------------------------------------------------- what papers measure

    @cached_property
    def _targets(self) -> dict[str, tuple[str, dict[str, Any], registry.Target]]:
        """Name of a measured file -> kind of figure, options that are set, target; over all studies."""
        return {
            target.name: (figure.kind, figure.options, target)
            for study in self.studies.values()
            for figure in study.config.figures
            for target in registry.targets(study, figure)
        }

    def _target(self, name: str) -> tuple[registry.FigureKind, dict[str, Any], registry.Target]:
        if name not in self._targets:
            raise ConfigError(f"no figure of a study is drawn from {HERE.measured(name)}")
        kind, options, target = self._targets[name]
        return registry.figure(kind), options, target

    def measure_inputs(self, target: str) -> list[str]:
        """Return the files that a measurement reads."""
        return list(self._target(target)[2].inputs)

    def measure_params(self, target: str) -> list[str]:
        """Return what a measurement is told: its kind, its options as JSON and its device."""
        kind, options, _ = self._target(target)
        device = self.settings.device if kind.source.on_device else "cpu"
        return [kind.name, canonical_json({**kind.source.options, **options}), device]

    def measure_code(self, target: str, script: Path) -> str:
        """Return the hash of the code that a measurement runs through."""
        return registry.measuring_code(self._target(target)[0], script)

    def numbers(self, study: str) -> list[str]:
        """Return the files of numbers that papers give a study, in the order of its figures."""
        kinds = dict.fromkeys(figure.kind for figure in self.studies[study].config.figures)
        return [str(HERE.study(study) / f"{kind}.csv") for kind in kinds if kind in registry.figures()]

    def gathered(self, study: str, kind: str) -> list[str]:
        """Return the files that the numbers of a kind are gathered from."""
        plan, figures = self.studies[study], self._figures(study, kind)
        targets = [target for figure in figures for target in registry.targets(plan, figure)]
        found = [HERE.measured(target.name) for target in targets]
        found += [HERE.planned(run) / "run.json" for run in self._shown(study, kind)]
        return [str(path) for path in dict.fromkeys(found)]

    def gather_params(self, study: str, kind: str) -> str:
        """Return what the numbers of a kind depend on besides files, as text."""
        figures = [f.model_dump(exclude={"title", "caption"}) for f in self._figures(study, kind)]
        runs = [
            (r.dataset, self.catalog.model(r.run.model).title, r.run.key, r.variant, r.group, r.seed)
            for r in self._shown(study, kind)
        ]
        return canonical_json([figures, runs])

    def _figures(self, study: str, kind: str) -> list[FigureConfig]:
        return [figure for figure in self.studies[study].config.figures if figure.kind == kind]

    def _shown(self, study: str, kind: str) -> list[PlannedRun]:
        """Return the runs whose records a kind's numbers are read from."""
        source, plan = registry.figure(kind).source, self.studies[study]
        if not isinstance(source, registry.OfRuns):
            return []
        return [run for figure in self._figures(study, kind) for run in source.runs(plan, figure)]

    def stats(self, study: str) -> list[str]:
        """Return the statistics of a study's datasets."""
        return [str(HERE.stats(d)) for d in self.studies[study].config.datasets]

    def study_params(self, study: str) -> str:
        """Return what `collect` depends on besides files, as text."""
        entry = self.studies[study]
        models = {r.run.model for r in entry.runs}
        words = {m: self.catalog.model(m).model_dump() for m in sorted(models)}
        protocols = [p.model_dump() for p in entry.protocols]
        said = {"title": True, "notes": True, "source": {"licence", "citation"}}
        data = [self.catalog.dataset(d).model_dump(include=said) for d in entry.config.datasets]
        scale = entry.scale.model_dump()
        return canonical_json([entry.config.model_dump(), scale, words, protocols, data])

    def drawn(self, study: str) -> list[str]:
        """Return everything that is drawn of a study."""
        return [*self.drawn_tables(study), *self.drawn_figures(study)]

    def drawn_tables(self, study: str) -> list[str]:
        """Return the tables of a study and what is written with them."""
        config = self.studies[study].config
        names = [f"table-{t.name}.{e}" for t in config.tables for e in ("csv", "md", "tex")]
        names += [f"sheet-{t.name}.csv" for t in config.tables]
        names += ["claims.csv", "claims.md"] if config.claims else []
        names += ["worlds.csv", "worlds.md"] if self.worlds(study) else []
        names += ["standings.csv", "standings.svg", "audit.csv", "summary.txt"]
        return [str(HERE.study(study) / name) for name in names]

    def drawn_figures(self, study: str) -> list[str]:
        """Return the figures of a study."""
        names = [figure.name for figure in self.studies[study].config.figures]
        return [str(HERE.study(study) / f"fig-{name}.{e}") for name in names for e in FIGURE_FILES]

    def figure_labels(self, study: str) -> dict[str, dict[str, str]]:
        """Return what `snakemake --report` says of a study's figures, by path."""
        figures = self.studies[study].config.figures
        return {str(HERE.study(study) / f"fig-{f.name}.svg"): {"figure": plain(f.title), "kind": f.kind}
                for f in figures}  # fmt: skip

    def per_user(self, study: str) -> list[str]:
        """Return the values of every user that a study's claims, intervals and figures are made of."""
        config = self.studies[study].config
        shown = config.claims or any(table.kind in ("metrics", "activity") for table in config.tables)
        drawn = any(figure.kind in WITH_USERS for figure in config.figures)
        names = config.datasets if shown or drawn else []
        return [str(HERE.per_user(study, name)) for name in names]

    def worlds(self, study: str) -> list[str]:
        """Return the values in every world that a study asks for by a figure of them."""
        config = self.studies[study].config
        asked = any(figure.kind == "worlds" for figure in config.figures)
        return [str(HERE.worlds(study, name)) for name in config.datasets if asked]

    def worlds_params(self, study: str, dataset: str) -> str:
        """Return what `worlds` depends on besides files, as text."""
        return canonical_json([(r.run.key, r.variant, r.seed) for r in self._in_worlds(study, dataset)])

    def rankings_in_worlds(self, study: str, dataset: str) -> list[str]:
        """Return the rankings that are scored in all worlds."""
        return _files_of(self._in_worlds(study, dataset), "rankings.npz")

    def _in_worlds(self, study: str, dataset: str) -> list[PlannedRun]:
        return self.studies[study].compared_in_worlds(dataset)

    @property
    def published(self) -> list[Path]:
        """Return the files of published numbers."""
        return [self.root / "config" / "published" / name for name in PUBLISHED]

    @cached_property
    def on_disk(self) -> list[str]:
        """Folders of all studies whose numbers are on disk; one that no study can have is not counted."""
        found = sorted(p.parent for p in HERE.study("").glob("*/metrics.csv"))
        return [str(folder) for folder in found if is_safe(folder.name)]

    @cached_property
    def finished_others(self) -> list[str]:
        """Folders of drawn studies that were not asked for now; the report adds them."""
        drawn = [f for f in self.on_disk if (Path(f) / "audit.csv").is_file()]
        return [f for f in drawn if Path(f).name not in self.requested]
