"""All models on a GPU, with the numbers of the CPU within bounds: `make test-gpu`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from test_closed_form_on_a_device import CASES as CLOSED_CASES
from test_closed_form_on_a_device import assert_same_lists
from test_closed_form_on_a_device import fitted as closed
from test_contract import CATALOG, TRAINED, Bench
from test_second_device import CASES, fitted, killed_and_resumed, ranked_by

from recspectra.data.interactions import Interactions
from recspectra.fitting.ranking import rankings
from recspectra.fitting.scoring import rank, users_at_once
from recspectra.recommender import BOUND, History, scorer_on
from recspectra.runtime import limit_threads
from recspectra.spectral import eigen
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build
from recspectra.spectral.places import host, is_tensor
from recspectra.training import device

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
LOSSES = 1e-3  # relative: two epochs of float32 in another order of sums
DRAWN = 0.3  # relative, where a loss holds noise, which a GPU draws by another algorithm
SCORES = 1e-4  # of the largest: one forward pass of the same weights on both


@pytest.fixture(scope="module")
def bench(tiny: dict[str, Interactions]) -> Bench:
    limit_threads(1)
    return Bench(tiny)


def noise_is_drawn(bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> bool:
    """Whether a loss draws from the generator of its device."""
    made: list[tuple[torch.Generator, torch.Tensor]] = []

    def generator(_: torch.device, seed: int) -> torch.Generator:
        new = torch.Generator().manual_seed(seed)
        made.append((new, new.get_state()))
        return new

    with monkeypatch.context() as patch:
        patch.setattr(device, "generator", generator)
        fitted(bench, name, "cpu", **changes)
    return any(not torch.equal(new.get_state(), before) for new, before in made)


@pytest.mark.parametrize(("name", "changes"), CASES, ids=[f"{n}{''.join(c.values())}" for n, c in CASES])
def test_a_fit_learns_what_one_on_the_cpu_does(
    name: str, changes: dict[str, str], bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, log = fitted(bench, name, "cpu", **changes)
    there, other = fitted(bench, name, "cuda", **changes)
    bound = DRAWN if noise_is_drawn(bench, name, monkeypatch, **changes) else LOSSES
    assert np.allclose(other["loss_curve"], log["loss_curve"], rtol=bound)
    found = bench.scores(there)
    assert is_tensor(found) and {p.device.type for p in there.module.parameters()} == {"cuda"}
    again = bench.saved_and_loaded(name, there, tmp_path / "model.rs")  # onto the CPU
    scores = ranked_by(bench.scores(again))
    assert np.abs(ranked_by(host(found)) - scores).max() <= SCORES * max(1.0, float(np.abs(scores).max()))


@pytest.mark.parametrize("name", TRAINED)
def test_a_fit_resumes_to_the_same_losses(
    name: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, log = fitted(bench, name, "cuda")
    _, other = killed_and_resumed(bench, name, "cuda", tmp_path, monkeypatch)
    assert other["resumed_seconds"] > 0
    assert np.allclose(other["loss_curve"], log["loss_curve"], rtol=LOSSES)


@pytest.mark.parametrize(
    ("name", "changes"), CLOSED_CASES, ids=[f"{n}-{'-'.join(map(str, c))}" for n, c in CLOSED_CASES]
)
def test_scores_and_lists_of_closed_forms(name: str, changes: dict[str, Any], bench: Bench) -> None:
    system = closed(bench, name, changes)
    score = scorer_on("cuda", CATALOG.model(name), system)
    both, users = bench.data["train"].merged(bench.data["valid"]), np.arange(120)
    here, found = bench.scores(system), host(score(users, History.of(both, users)))
    assert (np.abs(found - here) <= BOUND * np.abs(here).max(axis=1, keepdims=True)).all()
    lists = [rank(s, both, [both], 20, size=50)[0].lists for s in (system.score, score)]
    assert_same_lists(*lists, here)


def test_linear_autoencoders_are_inverted_there(bench: Bench) -> None:
    here, there = (closed(bench, "ease", {}, place).weights for place in ("cpu", "cuda"))
    assert np.abs(there - here).max() <= 1e-6 * np.abs(here).max()


@pytest.mark.parametrize("operator", ["item-similarity", "augmented", "unified-d2-a0.4"])
def test_eigenpairs(operator: str, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eigen, "DENSE_LIMIT", 0)
    matrix = build(operator, bench.data["train"])
    here, there = leading(matrix, 2), leading(matrix, 2, device="cuda")
    assert there.solver == "torch-cuda"
    assert np.allclose(here.values, there.values, atol=1e-5)


@pytest.mark.parametrize("ties", [False, True])
def test_lists_have_the_bytes_of_the_cpu(ties: bool) -> None:
    rng = np.random.default_rng(0)
    for scores in (rng.standard_normal((50, 3000)), rng.integers(-2, 3, (50, 3000)) / 7):
        scores = scores.astype(np.float32)
        mask = sp.csr_array((rng.random(scores.shape) < 0.3).astype(np.float32))
        here, there = (rankings(s, [mask], 20, ties)[0] for s in (scores, torch.from_numpy(scores).cuda()))
        for mine, other in zip((*here[:2], *here.cuts), (*there[:2], *there.cuts), strict=True):
            assert mine.tobytes() == other.tobytes()


def test_a_batch_fits_the_memory_that_is_free() -> None:
    assert 1 <= users_at_once("cuda", (30_000, 40_000)) <= 4096
    taken = torch.empty(int(torch.cuda.mem_get_info()[0] * 0.9), dtype=torch.uint8, device="cuda")
    less = users_at_once("cuda", (3_000_000, 4_000_000))
    del taken
    torch.cuda.empty_cache()
    assert less <= users_at_once("cuda", (3_000_000, 4_000_000))
