"""A small dataset with ids of its own, runs of our models on it, their lists as other programs write them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from recspectra.config.catalog import Catalog
from recspectra.config.dataset import DatasetConfig
from recspectra.config.model import LISTS, Budget, PlannedRun, RunConfig
from recspectra.config.yaml_io import validate
from recspectra.data.ids import Ids
from recspectra.data.interactions import Interactions
from recspectra.data.splits import split_with_ids
from recspectra.data.synthetic import generate
from recspectra.evaluation.import_lists import Import, import_lists
from recspectra.files import read_npz
from recspectra.fitting.fit import Job, execute
from recspectra.fitting.scoring import Inputs
from recspectra.paths import Paths

ROOT = Path(__file__).resolve().parents[3]
CATALOG = Catalog(ROOT)
TOP = 50


@dataclass(frozen=True)
class World:
    """A dataset's split with ids; `train`, `valid` and `ids` as `read_lists` takes them from data."""

    pieces: dict[str, Interactions]
    ids: Ids

    @classmethod
    def made(cls, users: str, items: str) -> World:
        """Return a world of 120 users and 80 items with these ids (formats of a number, such as `u{:03}`)."""
        table = generate(users=120, items=80, interactions=2400, communities=4, loyalty=0.9, seed=5)
        named = [
            np.array([form.format(n + 1) for n in column.tolist()])
            for form, column in ((users, table.users), (items, table.items))
        ]
        config = validate(DatasetConfig, {
            "name": "tiny", "title": "Tiny", "source": {"name": "tiny", "licence": "-", "citation": "-"},
            "reader": {"format": "delimited"}, "split": {"recipe": "temporal-user"}, "ordered": True,
        }, "tiny.yaml")  # fmt: skip
        pieces, ids, _ = split_with_ids(replace(table, users=named[0], items=named[1]), config)
        return cls(pieces, ids)

    train = property(lambda self: self.pieces["train"])
    valid = property(lambda self: self.pieces["valid"])
    test = property(lambda self: self.pieces["test"])

    @cached_property
    def inputs(self) -> Inputs:
        """What a fit sees."""
        return Inputs(self.train, self.valid, True, {})

    def fitted(self, name: str, results: Path) -> PlannedRun:
        """Fit one of our models into a folder of results."""
        model = CATALOG.model(name)
        config = RunConfig(model=name, class_name=model.class_name, params=model.resolve({}), top=TOP)
        planned = PlannedRun(dataset="tiny", run=config, variant="default", group="main", seed=0)
        job = Job("tiny", model, config, config.params, 0, "cpu", 1, Budget(), "code")
        assert execute(job, self.inputs, Paths(results).planned(planned)) == "ok"
        return planned

    def imported(self, file: Path, results: Path, history: str) -> tuple[PlannedRun, dict]:
        """Import a file of lists into a folder of results; return its run and record."""
        config = RunConfig(model="theirs", class_name=LISTS, params={"history": history}, top=TOP)
        planned = PlannedRun(dataset="tiny", run=config, variant="default", group="main", seed=0)
        job = Import("tiny", config, 0, file, "digest", "code")
        folder = Paths(results).planned(planned)
        return planned, import_lists(job, self.train, self.valid, self.ids, self.inputs.digest, folder)

    def frame(self, lists: np.ndarray, k: int = TOP) -> pd.DataFrame:
        """Return lists of all users as user, item, rank, score; all but rank are texts or floats."""
        users, places = np.nonzero(lists[:, :k] >= 0)
        return pd.DataFrame(
            {
                "user": self.ids.users[users].astype(str).astype(object),
                "item": self.ids.items[lists[users, places]].astype(str).astype(object),
                "rank": places + 1,
                "score": 1.0 / (places + 1),
            }
        )


def lists_of_run(planned: PlannedRun, results: Path, name: str) -> np.ndarray:
    """Return a list of a run on disk."""
    return read_npz(Paths(results).planned(planned) / "rankings.npz")[name]


def written(frame: pd.DataFrame, path: Path) -> Path:
    """Write lists in the format that a path's ending names."""
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    elif path.suffix == ".trec":
        lines = (f"{r.user} Q0 {r.item} {r.rank} {r.score} run\n" for r in frame.itertuples())
        path.write_text("".join(lines), encoding="utf-8")
    else:
        frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path
