"""The time to score a batch: random models and data, parts of the whole, a row for each size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recspectra.config.catalog import Catalog
from recspectra.models.sdiff import SDiff
from recspectra.papers.sdiff import (
    COLUMNS,
    inference_times,
    medians,
    random_interactions,
    random_spectrum,
    stopwatches,
    untrained,
)

CATALOG = Catalog(Path(__file__).resolve().parents[3])
USERS = np.arange(400)


@pytest.fixture(scope="module")
def timed() -> SDiff:
    return untrained(CATALOG.model("sdiff"), random_interactions(150, 60))


@pytest.mark.parametrize(("users", "items"), [(150, 60), (40, 200)])
def test_random_histories_have_their_size_and_no_item_twice(users: int, items: int) -> None:
    found = random_interactions(users, items)
    assert found.shape == (users, items)
    assert found.matrix.nnz == found.nnz
    assert (found.lengths > 0).all()
    assert found.lengths[:100].mean() == pytest.approx(15 if items == 60 else 50, abs=1)


def test_random_eigenvectors_are_orthonormal() -> None:
    spectrum = random_spectrum(50, 8)
    assert np.allclose(spectrum.vectors.T @ spectrum.vectors, np.eye(8), atol=1e-5)
    assert (np.diff(spectrum.values) < 0).all()
    assert random_spectrum(5, 8).rank == 5


def test_parts_are_measured_inside_the_whole(timed: SDiff) -> None:
    seconds = medians(timed, random_interactions(150, 60), repetitions=1)
    assert set(seconds) == {"transform", "denoiser", "back-transform", "total"}
    assert 0 < sum(seconds.values()) - seconds["total"] <= seconds["total"]


def test_stopwatches_sum_calls_and_leave_no_trace(timed: SDiff, monkeypatch: pytest.MonkeyPatch) -> None:
    before = vars(timed).copy()
    ticks = iter([0.0, 2.0, 10.0, 13.0])
    with monkeypatch.context() as patch, stopwatches(timed) as seconds:
        patch.setattr("time.perf_counter", lambda: next(ticks))
        timed.inverse(torch.zeros(1, timed.basis.shape[1]))
        timed.inverse(torch.zeros(1, timed.basis.shape[1]))
    assert dict(seconds) == {"back-transform": 5.0}
    assert vars(timed) == before


def test_a_model_without_weights_is_not_timed() -> None:
    with pytest.raises(TypeError, match="ease"):
        untrained(CATALOG.model("ease"), random_interactions(20, 30))


def test_times_have_a_row_for_each_size_and_part() -> None:
    times = inference_times({"sdiff": CATALOG.model("sdiff")}, [20, 120], [30], 40, 50, repetitions=1)
    assert tuple(times) == COLUMNS
    sizes = times[times["part"] == "total"][["axis", "users", "items"]].to_numpy().tolist()
    assert sizes == [["users", 20, 50], ["users", 120, 50], ["items", 40, 30]]
    assert len(times) == 3 * 4
    assert (times["seconds"] > 0).all()
