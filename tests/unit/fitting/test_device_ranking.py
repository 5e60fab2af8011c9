"""Scores on a second device are ranked there, into the bytes of the plain reference."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from forked import in_a_fork
from plain_ranking import plain_ranking
from test_fast_ranking import KINDS, mask_of, same, scores_of_kind

from recspectra.fitting import scoring
from recspectra.fitting.ranking import rankings
from recspectra.fitting.scoring import users_at_once
from recspectra.fitting.ties import TiedUsers
from recspectra.recommender import ContractError, check_scores
from recspectra.runtime import Diverged
from recspectra.spectral.places import values_at

SHAPES = [(0, 30, 5), (7, 1, 1), (9, 40, 40), (9, 40, 60), (12, 400, 20), (5, 2000, 50)]


def there(scores: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(scores.copy()).to("sim")


@pytest.mark.parametrize("ties", [False, True])
@in_a_fork
def test_every_mask_gets_the_bytes_of_the_reference(ties: bool) -> None:
    rng = np.random.default_rng(0)
    for kind in KINDS:
        for users, items, k in SHAPES:
            scores = scores_of_kind(kind, (users, items), rng)
            masks = [mask_of(share, scores.shape, rng) for share in (0.0, 0.3, 0.95, 1.0)]
            on_device = there(scores)
            for mine, mask in zip(rankings(on_device, masks, k, ties), masks, strict=True):
                same(mine, plain_ranking(scores, mask, k, ties))
            assert on_device.cpu().numpy().tobytes() == scores.tobytes()


@in_a_fork
def test_nan_infinity_and_wrong_shapes_are_refused() -> None:
    scores = np.zeros((3, 20), dtype=np.float32)
    scores[1, 7] = np.nan
    with pytest.raises(Diverged, match="NaN"):
        rankings(there(scores), [sp.csr_array(scores.shape)], 4)
    scores[1, 7] = np.inf
    with pytest.raises(Diverged, match="infinitely"):
        check_scores(len, there(scores), 3, 20)
    scores[1, 7] = -np.inf
    assert check_scores(len, there(scores), 3, 20).dtype == torch.float32
    with pytest.raises(ContractError, match=r"shape \(3, 20\); expected floats, shape \(3, 21\)"):
        check_scores(len, there(scores), 3, 21)
    with pytest.raises(ContractError, match="int64"):
        check_scores(len, there(scores.astype(np.int64)), 3, 20)
    with pytest.raises(ContractError, match="lose their differences"):
        check_scores(len, there(1.0 + 1e-12 * np.arange(60.0).reshape(3, 20)), 3, 20)


def test_a_tensor_of_the_cpu_is_no_score() -> None:
    with pytest.raises(ContractError, match="torch Tensor, expected a NumPy array"):
        check_scores(len, torch.zeros(3, 20), 3, 20)


@in_a_fork
def test_tied_users_are_counted_as_on_the_cpu() -> None:
    rng = np.random.default_rng(1)
    scores = np.repeat(rng.standard_normal((6, 1)).astype(np.float32), 30, axis=1)
    scores[::2, 4] += 1.0
    mask = mask_of(0.2, scores.shape, rng)
    lists, counts = rankings(scores, [mask], 5)[0].lists, []
    for given in (scores, there(scores)):
        tied = TiedUsers()
        tied.count(given, lists, mask, np.ones(6))
        counts.append((tied.users, tied.counted, tied.tied))
    assert counts[0] == counts[1] and 3 <= counts[0][2] < 6
    assert np.array_equal(values_at(there(scores), [0, 1], [4, 4]), scores[[0, 1], 4])


def test_a_batch_fits_into_half_of_what_a_device_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, each = (30_000, 40_000), 128 * 70_000
    assert users_at_once("cpu", shape) == 100
    for free, users in ((each * 50, 50), (each // 2, 1), (10**15, scoring.MOST_USERS)):
        monkeypatch.setattr(scoring, "free_bytes", lambda device, free=free: free)
        assert users_at_once("cuda", shape) == users
