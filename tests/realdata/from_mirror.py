"""What tests on real data share: data sets straight from the mirror, fitted models and their means."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from recspectra.config.catalog import Catalog
from recspectra.data import filters
from recspectra.data.interactions import Interactions
from recspectra.data.readers import read
from recspectra.data.splits import check_counts, split, statistics
from recspectra.evaluation.hits import compare
from recspectra.evaluation.metrics import METRICS
from recspectra.fitting.scoring import rank
from recspectra.identity import data_digest
from recspectra.recommender import Recommender, Run, Task, create
from recspectra.spectral.eigen import DENSE_LIMIT, leading
from recspectra.spectral.operators import build
from recspectra.spectral.spectrum import Spectrum

CATALOG = Catalog(Path(__file__).resolve().parents[2])
Pieces = dict[str, Interactions]
SOLVED: dict[tuple[str, str], Spectrum] = {}
MOST = 512  # eigenpairs that a test asks for; where all are computed anyway, as many are kept


def need(name: str, mirror: Path) -> None:
    """Skip a test if the mirror lacks a file of a data set."""
    missing = [f.path for f in CATALOG.dataset(name).source.files if not (mirror / f.path).is_file()]
    if missing:
        pytest.skip(f"the mirror {mirror} lacks {', '.join(missing)}")


@lru_cache(maxsize=4)
def prepared(name: str, mirror: Path) -> Pieces:
    """Read, filter and split a data set; its counts are those of its YAML."""
    need(name, mirror)
    config = CATALOG.dataset(name)
    table, _ = filters.apply(read(config, mirror), config.filter)
    pieces, _ = split(table, config)
    check_counts(config, statistics(config, pieces))
    return pieces


def part(pieces: Pieces, name: str) -> Interactions:
    """`train`, or `train+valid`."""
    return pieces["train"].merged(pieces["valid"]) if name == "train+valid" else pieces["train"]


def fitted(name: str, train: Interactions, ordered: bool = True, seed: int = 0, **params: Any) -> Recommender:
    """A model; eigenpairs of an operator on some data are the same for all tests."""
    config = CATALOG.model(name)
    resolved, spectra = config.resolve(params), {}
    for template in config.spectra:
        operator = template.operator.format(**resolved)
        key = (operator, data_digest(train))
        if key not in SOLVED:
            matrix = build(operator, train)
            SOLVED[key] = leading(matrix, MOST if matrix.size <= DENSE_LIMIT else resolved["rank"])
        spectra[operator] = SOLVED[key]
    system = create(config, resolved)
    system.fit(Task(train, None, ordered, spectra), Run(seed=seed))
    return system


def measured(
    system: Recommender, pieces: Pieces, history: str, mask: str, metrics: tuple[str, ...], k: list[int]
) -> list[float]:
    """Mean over the users with test items, metric by metric."""
    lists = rank(system.score, part(pieces, history), [part(pieces, mask)], max(k))[0].lists
    ranked = compare(lists, pieces["test"])
    return [float(v) for metric in metrics for v in METRICS[metric](ranked, k).mean(axis=0)]
