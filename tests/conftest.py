"""Shared fixtures: one thread, a tiny data set with planted structure, the mirror of real data."""

from __future__ import annotations

import os

# Read once, when NumPy and PyTorch are loaded.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import gc
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from recspectra.config.catalog import Catalog
from recspectra.config.dataset import DatasetConfig
from recspectra.config.yaml_io import validate
from recspectra.data.interactions import Interactions
from recspectra.data.splits import split
from recspectra.data.synthetic import generate
from recspectra.data.tables import InteractionTable

ROOT = Path(__file__).resolve().parents[1]

hypothesis.settings.register_profile(
    "recspectra", deadline=None, derandomize=True, database=None, max_examples=60
)
hypothesis.settings.load_profile("recspectra")


FOLDERS = ("workflow", "realdata", "contract", "security", "browser")  # then unit, of many short files


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders of long files, so that no worker is left alone with one at the end."""
    order = {name: number for number, name in enumerate(FOLDERS)}
    items.sort(key=lambda item: order.get(item.path.relative_to(ROOT / "tests").parts[0], len(order)))


def pytest_collection_finish() -> None:
    """Leave the thousands of collected tests out of garbage collections: fits ask for a full one each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The configuration files that are shipped."""
    return Catalog(ROOT)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with a copy of `config/`, free to be changed."""
    shutil.copytree(ROOT / "config", tmp_path / "project" / "config")
    return tmp_path / "project"


@pytest.fixture
def small_project(project: Path) -> Path:
    """`project` with `quickstart` as its only shipped study: a plan reads and resolves all that are there."""
    for study in (project / "config" / "studies").glob("*.yaml"):
        if study.stem != "quickstart":
            study.unlink()
    return project


@pytest.fixture(scope="session")
def dataset_config() -> Callable[..., DatasetConfig]:
    """A factory of dataset configurations: give what differs from a temporal split."""

    def make(**changes: Any) -> DatasetConfig:
        plain = {
            "name": "tiny",
            "title": "Tiny",
            "source": {"name": "tiny", "licence": "none", "citation": "none"},
            "reader": {"format": "delimited"},
            "split": {"recipe": "temporal-user"},
            "ordered": True,
        }
        return validate(DatasetConfig, plain | changes, "tiny.yaml")

    return make


@pytest.fixture(scope="session")
def tiny_table() -> InteractionTable:
    """120 users x 80 items in 4 communities, with popularity and transitions."""
    return generate(users=120, items=80, interactions=2400, communities=4, loyalty=0.9, seed=5)


@pytest.fixture(scope="session")
def tiny(
    tiny_table: InteractionTable, dataset_config: Callable[..., DatasetConfig]
) -> dict[str, Interactions]:
    """`tiny_table` split by time into train, valid and test."""
    return split(tiny_table, dataset_config())[0]


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder with copies of the real data sets."""
    given = os.environ.get("RECSPECTRA_MIRROR")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no mirror of the real data: {folder} does not exist (set RECSPECTRA_MIRROR)")
    return folder
