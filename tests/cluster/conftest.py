"""A Slurm of one node for the tests of this folder, and what the workflow tests share."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurm

sys.path.append(str(Path(__file__).resolve().parents[1] / "workflow"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Cluster]:
    """A running cluster; skips where there can be none."""
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("snakemake-executor-plugin-slurm is missing: pip install -e '.[cluster]'")
    try:
        slurm.install()
        with slurm.running(tmp_path_factory.mktemp("slurm")) as made:
            yield made
    except slurm.NoSlurm as error:
        pytest.skip(f"Slurm cannot run here: {error}")
