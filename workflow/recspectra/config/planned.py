"""A study with its references resolved: the runs that it plans, one by one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recspectra.config.base import ConfigError, check_known, places_of
from recspectra.config.drawings import Drawings
from recspectra.config.lists import ListFile, ListsEntry, found_at
from recspectra.config.model import BY_RECALL, LISTS, ModelConfig, PlannedRun, RunConfig, TuneConfig
from recspectra.config.narrowed import LeftOut
from recspectra.config.scale import Scale
from recspectra.config.study import FigureConfig, ModelEntry, ProtocolConfig, StudyConfig, View, variant_label

if TYPE_CHECKING:
    from recspectra.config.catalog import Catalog

MOST_RUNS = 10_000  # of one entry of a study


class Study:
    """A study with its references resolved: runs, protocols, views.

    `whole` is the study as its file has it: what names a model is checked against all of them, also where
    only some take part. `scale` caps what is spent; `left_out` is what its user narrowed away.
    """

    def __init__(
        self, catalog: Catalog, config: StudyConfig, origin: str, whole: StudyConfig, scale: Scale
    ) -> None:
        self.catalog, self.config, self.origin, self.scale = catalog, config, origin, scale
        self.name = config.name
        self.left_out = LeftOut()
        for name in config.datasets:
            catalog.dataset(name, f"{origin}: datasets")
        self.protocols = [catalog.protocol(p, f"{origin}: protocols") for p in config.protocols]
        drawings = Drawings(self, whole)
        drawings.check_models()
        self.list_files: list[ListFile] = []
        self.runs = [
            planned
            for index, entry in enumerate(config.models)
            for name in entry.models
            for planned in self._expand(entry, name, f"{origin}: models[{index}]")
        ]
        self._check_labels()
        drawings.check_measures()
        self._check_depth()
        drawings.check_not_empty()

    def _expand(self, entry: ModelEntry | ListsEntry, name: str, where: str) -> list[PlannedRun]:
        if isinstance(entry, ListsEntry):
            self.catalog.add_lists(entry, where)
            self.check_datasets(entry, where)
            datasets = entry.datasets or self.config.datasets
            return [run for dataset in datasets for run in self._imports_on(dataset, entry, where)]
        model = self.catalog.model(name, where)
        self.check_datasets(entry, where)
        _check_refit(entry, model, where)
        _check_used(entry, {self.catalog.model(one, where).kind for one in entry.models}, where)
        datasets = entry.datasets or self.config.datasets
        self._check_count(entry, datasets, where)
        tune = self._tuning(entry, model, where)
        return [run for dataset in datasets for run in self._runs_on(dataset, entry, model, tune, where)]

    def _runs_on(
        self, dataset: str, entry: ModelEntry, model: ModelConfig, tune: TuneConfig | None, where: str
    ) -> Iterator[PlannedRun]:
        """Yield the runs of an entry on a dataset: points of its sweep, then fits, then seeds."""
        base = {**(model.best.get(dataset, {}) if entry.use_best else {}), **entry.params}
        validate_by = entry.validate_by if model.kind == "trained" else BY_RECALL  # others do not stop
        seeds = (entry.seeds or self.config.seeds_on(dataset))[: self.scale.seeds]
        for point in itertools.product(*entry.sweep.values()):
            swept = dict(zip(entry.sweep, point, strict=True))
            params = model.resolve({**base, **entry.after, **swept}, f"{where}.sweep" if swept else where)
            if tune:
                params = {name: params[name] for name in (*entry.after, *swept)}
            for fit in entry.fit:
                run = RunConfig(
                    model=model.name, class_name=model.class_name, params=params, fit=fit,
                    top=self.config.top, tune=tune, validate_by=validate_by,
                )  # fmt: skip
                for seed in seeds:
                    yield PlannedRun(
                        dataset=dataset, run=run, variant=variant_label(entry.variant, swept),
                        group=entry.group, seed=seed, swept=swept, keep=entry.keep,
                    )  # fmt: skip

    def _imports_on(self, dataset: str, entry: ListsEntry, where: str) -> Iterator[PlannedRun]:
        """Yield the runs that lists from elsewhere stand for on a dataset, one for each seed.

        The content of all their files is part of the key.
        """
        known = self.config.seeds_on(dataset)
        seeds = entry.seeds or (known if entry.by_seed else known[:1])
        paths = {seed: places_of(entry.path(dataset, seed), Path(self.origin).parent) for seed in seeds}
        files = {seed: self.catalog.digest(found_at(places)) for seed, places in paths.items()}
        run = RunConfig(
            model=entry.name, class_name=LISTS, params=entry.settings(list(files.values())), fit=entry.fit,
            top=self.config.top,
        )  # fmt: skip
        for seed in seeds[: self.scale.seeds]:
            place = paths[seed]
            self.list_files.append(
                ListFile(dataset, entry.name, run.key, seed, found_at(place), place, files[seed], where)
            )
            yield PlannedRun(dataset=dataset, run=run, variant=entry.variant, group=entry.group, seed=seed)

    def check_datasets(self, item: Any, where: str) -> None:
        """Refuse a dataset that the study does not have."""
        said = f"{where}.datasets: '{{name}}' is not among the study's datasets: {{known}}"
        check_known(item.datasets or [], self.config.datasets, said)

    def _check_count(self, entry: ModelEntry, datasets: Sequence[str], where: str) -> None:
        """Refuse a sweep whose runs nobody can wait for, before any of them is made."""
        seeds = max(
            (len((entry.seeds or self.config.seeds_on(dataset))[: self.scale.seeds]) for dataset in datasets),
            default=0,
        )
        count = math.prod(map(len, entry.sweep.values())) * len(entry.fit) * len(datasets) * seeds
        if count > MOST_RUNS:
            raise ConfigError(
                f"{where}: asks for {count:,} runs (points of the sweep, datasets, fits, seeds); at most "
                f"{MOST_RUNS:,} are possible: sweep over fewer values or share them out to several entries"
            )

    def _tuning(self, entry: ModelEntry, model: ModelConfig, where: str) -> TuneConfig | None:
        """Return the tuning job of an entry; None if it is not tuned or has nothing to search."""
        if not entry.tune:
            return None
        if entry.use_best:
            raise ConfigError(f"{where}: `tune` and `use_best` exclude each other")
        if self.config.tuning is None:
            raise ConfigError(f"{where}: `tune` needs the study's budget; add `tuning: {{trials: 20}}`")
        fixed = model.resolve(entry.params, where)
        search = {
            name: [model.resolve({name: v})[name] for v in space] if isinstance(space, list) else space
            for name, space in model.search.items()
            if name not in entry.params
        }
        if not search:
            return None
        tune = TuneConfig(
            model=model.name,
            class_name=model.class_name,
            params={name: fixed[name] for name in sorted(entry.params)},
            search=search,
            trials=self.scale.count_trials(self.config.tuning.trials),
            seed=self.config.tuning.seed,
            validate_by=entry.validate_by,
            users=self.config.tuning.users,
        )
        return tune.model_copy(update={"epochs": self.scale.caps_of(model, tune).epochs})

    def _check_labels(self) -> None:
        """One label must not stand for two configurations, of any seeds, nor two entries for one run."""
        seen: dict[tuple, str] = {}
        seeds: set[tuple] = set()
        for r in self.runs:
            label, key = (r.dataset, r.run.model, r.variant, r.group, r.run.fit), r.run.key
            if (*label, key, r.seed) in seeds:
                raise ConfigError(
                    f"{self.origin}: models: '{r.run.model}' stands twice with the variant '{r.variant}' in "
                    f"group '{r.group}' on {r.dataset}, with the same configuration; remove one"
                )
            seeds.add((*label, key, r.seed))
            if seen.setdefault(label, key) != key:
                raise ConfigError(
                    f"{self.origin}: two different configurations of '{r.run.model}' share the "
                    f"variant '{r.variant}' in group '{r.group}'; give one another `variant`"
                )

    def protocol(self, name: str, where: str) -> ProtocolConfig:
        """Return the protocol called `name` if the study has it."""
        known = {p.name: p for p in self.protocols}
        check_known([name], known, f"{where}: '{{name}}' is not among the study's protocols: {{known}}")
        return known[name]

    def _check_depth(self) -> None:
        for p in self.protocols:
            if p.depth > self.config.top:
                why = f"k={max(p.k)}" + (" with equal scores sharing places" if p.ties == "half" else "")
                raise ConfigError(
                    f"{self.origin}: protocol '{p.name}' measures at {why} and needs {p.depth} items, but "
                    f"only top: {self.config.top} are kept; raise `top`"
                )

    def examples(
        self, figure: FigureConfig, model: str, label: Callable[[PlannedRun], str]
    ) -> list[PlannedRun]:
        """Return one run on train for each dataset and label, of what a figure shows.

        Parameters
        ----------
        figure : FigureConfig
            Names a group, datasets and a model, or some of these.
        model : str
            The model, where the figure names none.
        label : callable
            Planned run -> what tells examples apart.
        """
        found: dict[tuple[str, str], PlannedRun] = {}
        for planned in self.runs:
            in_group = figure.group in (None, planned.group) and planned.run.fit == "train"
            in_data = figure.datasets is None or planned.dataset in figure.datasets
            if planned.run.model == (figure.model or model) and in_group and in_data:
                found.setdefault((planned.dataset, label(planned)), planned)
        return list(found.values())

    def compared_in_worlds(self, dataset: str) -> list[PlannedRun]:
        """Return the runs on a dataset that are set against each other in all worlds.

        They are those of the groups that a figure of worlds, a claim of a gain or one of an ablation names.
        """
        config = self.config
        shown = [figure.group or "main" for figure in config.figures if figure.kind == "worlds"]
        judged = [name for c in config.claims if c.kind in ("gain", "ablation") for name in c.groups]
        return [run for run in self.runs if run.dataset == dataset and run.group in {*shown, *judged}]

    def views(self, protocol: ProtocolConfig) -> list[View]:
        """Return the views measured under a protocol (the study may widen them)."""
        return protocol.views if protocol.target == "valid" else self.config.views or protocol.views


def _check_used(entry: ModelEntry, kinds: Collection[str], where: str) -> None:
    """Refuse `validate_by` where nothing is searched and nothing stops by it."""
    if entry.validate_by != BY_RECALL and not entry.tune and "trained" not in kinds:
        raise ConfigError(
            f"{where}.validate_by: of {', '.join(entry.models)} nothing is searched or trained; leave it "
            "out, or add `tune: true`"
        )


def _check_refit(entry: ModelEntry, model: ModelConfig, where: str) -> None:
    """Refuse a refit of a trained model for which the number of epochs is not known."""
    if model.kind != "trained":
        return
    if "train" not in entry.fit:
        raise ConfigError(
            f"{where}.fit: a trained model is fitted again for as many epochs as did best on "
            "validation; write `fit: [train, train+valid]`, so that these are known"
        )
    if "train+valid" in entry.fit and "epochs" not in model.params:
        raise ConfigError(
            f"{where}.fit: a refit of a trained model learns for as many epochs as did best on "
            f"validation, but config/models/{model.name}.yaml has no parameter `epochs`; call it that, "
            "or leave `train+valid` out"
        )
