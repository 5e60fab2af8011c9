"""Trained models read no memory that was not written: filling it with NaN first changes no byte."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from test_contract import CATALOG, MODELS, Bench

from recspectra.data.interactions import Interactions
from recspectra.runtime import limit_threads

TRAINED = [name for name in MODELS if CATALOG.model(name).kind == "trained"]


@pytest.fixture
def settings() -> Iterator[None]:
    """PyTorch's settings as they were."""
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    threads = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.utils.deterministic.fill_uninitialized_memory = before[1]
    torch.set_num_threads(threads)


def test_jobs_fill_no_empty_tensor(settings: None) -> None:
    torch.utils.deterministic.fill_uninitialized_memory = True
    limit_threads(1)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.parametrize("name", TRAINED)
def test_states_have_the_same_bytes_either_way(
    name: str, settings: None, tiny: dict[str, Interactions]
) -> None:
    limit_threads(1)
    states = []
    for fill in (True, False):
        torch.utils.deterministic.fill_uninitialized_memory = fill
        states.append(Bench(tiny).fit(name, epochs=1).state())
    for key, array in states[0].items():
        assert np.asarray(array).tobytes() == np.asarray(states[1][key]).tobytes(), key
