"""What messages call runs, datasets and searches: by their titles, not by keys."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recspectra.config.model import PlannedRun
    from recspectra.planning import Plan


class Names:
    """Names that a rule's `message` can ask for by a format: `{NAMES:fit DATASET MODEL KEY}`.

    A message may not depend on a function, and what is in a rule's parameters reruns it when a title changes.
    Of a format that ends in q or u Snakemake takes that letter away, as a sign to quote or not; so a blank
    stands behind a name that may end so: `{NAMES:data DATASET }`.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __format__(self, spec: str) -> str:
        kind, *words = spec.split()
        known = {"data": self.dataset, "fit": self.fit, "tune": self.tune}
        return known[kind](*words)

    def dataset(self, name: str) -> str:
        """Return the title of a dataset."""
        return self.plan.catalog.dataset(name).title

    def fit(self, dataset: str, model: str, key: str) -> str:
        """Return a run without its seed: `GSPRec (center 0.2) on Synthetic`."""
        own = self._runs(self.plan.requested, model, key) or self._runs(self.plan.studies, model, key)
        labels = dict.fromkeys(label_of(run) for run in own)
        part = ["train+valid"] if own and own[0].run.fit != "train" else []
        return self._titled(model, ["" if "" in labels else next(iter(labels), key), *part], dataset)

    def _runs(self, studies: Iterable[str], model: str, key: str) -> list[PlannedRun]:
        """Return the runs that have a key."""
        return [run for name in studies for run in self._by_key.get((name, model, key), ())]

    @functools.cached_property
    def _by_key(self) -> dict[tuple[str, str, str], list[PlannedRun]]:
        """All runs by study, model and key: each job has a message, so looking through all takes minutes."""
        found: dict[tuple[str, str, str], list[PlannedRun]] = {}
        for name, study in self.plan.studies.items():
            for run in study.runs:
                found.setdefault((name, run.run.model, run.run.key), []).append(run)
        return found

    def tune(self, dataset: str, model: str, key: str) -> str:
        """Return a search: `GSPRec (depth 2) on Synthetic`, with the values that are fixed."""
        params, defaults = self.plan.tune_config(model, key).params, self.plan.catalog.model(model).params
        fixed = [f"{n} {v}" for n, v in params.items() if v != defaults[n].default]
        return self._titled(model, fixed, dataset)

    def _titled(self, model: str, said: list[str], dataset: str) -> str:
        shown = ", ".join(filter(None, said))
        title = self.plan.catalog.model(model).title
        return f"{title}{f' ({shown})' if shown else ''} on {self.dataset(dataset)}"


def label_of(run: PlannedRun) -> str:
    """Return what tells a run from others of its model in a study: `center 0.2`; empty for the plain one."""
    point = ", ".join(f"{name} {value}" for name, value in run.swept.items())
    variant = run.variant.partition("[")[0] if run.swept and "[" in run.variant else run.variant
    own = "" if variant == "default" or (run.swept and variant == run.variant) else variant
    return ", ".join(filter(None, [own, point]))
