"""Where files lie below a folder of results: the artefact contract, written down once.

Rules spell the same paths with wildcards; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recspectra.config.model import PlannedRun, TuneConfig


@dataclass(frozen=True)
class Paths:
    """A folder of results.

    Attributes
    ----------
    root : Path
        The folder; `results` below the working folder unless told otherwise.
    """

    root: Path = Path("results")

    def raw(self, source: str, path: str = "") -> Path:
        """Return the copy of a source's file, or the folder of its files."""
        return self.root / "raw" / source / path

    def interactions(self, dataset: str) -> Path:
        """Return a dataset's interactions before they are split."""
        return self.root / "interactions" / f"{dataset}.npz"

    def part(self, dataset: str, part: str) -> Path:
        """Return one part of a dataset's split: `train`, `valid` or `test`."""
        return self.root / "data" / dataset / f"{part}.npz"

    def stats(self, dataset: str) -> Path:
        """Return the counts, checks and digests of a dataset's split."""
        return self.root / "data" / dataset / "stats.json"

    def ids(self, dataset: str) -> Path:
        """Return the ids of the user's file by position."""
        return self.root / "data" / dataset / "ids.parquet"

    @property
    def file_digests(self) -> Path:
        """The digests of big files that are kept between calls."""
        return self.root / ".digests.json"

    def spectrum(self, dataset: str, operator: str, rank: int) -> Path:
        """Return an operator's leading eigenpairs."""
        return self.root / "spectra" / dataset / f"{operator}-r{rank}.npz"

    def tuning(self, dataset: str, tune: TuneConfig) -> Path:
        """Return the folder of a search: `trials.csv` and `best.json`."""
        return self.root / "tuning" / dataset / tune.model / tune.key

    def run(self, dataset: str, model: str, key: str, seed: int | str) -> Path:
        """Return the folder of a run: `rankings.npz` and `run.json`."""
        return self.root / "runs" / dataset / model / key / f"seed-{seed}"

    def planned(self, planned: PlannedRun) -> Path:
        """Return the folder of a run that a study plans."""
        return self.run(planned.dataset, planned.run.model, planned.run.key, planned.seed)

    def measured(self, name: str) -> Path:
        """Return what a job measured for a paper's figure."""
        return self.root / "measured" / f"{name}.csv"

    def study(self, study: str) -> Path:
        """Return the folder of a study's numbers, tables and figures."""
        return self.root / "studies" / study

    def metrics_of(self, study: str, dataset: str) -> Path:
        """Return a study's metrics on one dataset."""
        return self.study(study) / "parts" / f"{dataset}.csv"

    def notes_of(self, study: str, dataset: str) -> Path:
        """Return what the evaluation noted about lists from elsewhere on one dataset."""
        return self.study(study) / "parts" / f"{dataset}.notes.json"

    def per_user(self, study: str, dataset: str) -> Path:
        """Return a study's values by user on one dataset."""
        return self.study(study) / "per_user" / f"{dataset}.parquet"
