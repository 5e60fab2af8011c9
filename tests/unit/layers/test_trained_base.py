"""The base of trained models: checkpoints, seeds, best weights, saved vectors."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions
from recspectra.layers.trained import Factors, Tables, Trained
from recspectra.recommender import History, Run, Task, create
from recspectra.training.losses import bpr
from recspectra.training.sampling import PairBatch, Pairs


class Counting(nn.Module):
    """A table, a running mean and a count of steps; only the table is learned."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(items))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(items))


class Toy(Trained):
    """Learns one number for each item; how depends on a count of steps and on a running mean."""

    state_names = ("degrees",)

    def prepare(self, task: Task, run: Run) -> None:
        self.degrees = np.asarray(task.train.matrix.sum(axis=0), dtype=np.float32)

    def build(self) -> nn.Module:
        return Counting(int(self.shape[1]))

    def batches(self, task: Task) -> Pairs:
        return Pairs(task.train, 500, str(self.device))

    def loss(self, batch: PairBatch, generator: torch.Generator) -> torch.Tensor:
        module = self.module
        module.steps += 1
        module.mean.lerp_(module.table.detach(), 0.1)
        pull = ((module.table - module.mean) ** 2).mean() * module.steps
        noise = torch.randn(len(batch.items), 1, generator=generator)
        return bpr(module.table[batch.items], module.table[batch.negatives] + noise) + 0.01 * pull

    def refresh(self) -> None:
        self.final = (self.module.table + self.module.mean).numpy() + self.degrees

    def score(self, users: np.ndarray, history: History) -> np.ndarray:
        return np.repeat(self.final[None], len(users), axis=0)


PARAMS = {"epochs": 6, "learning_rate": 0.05, "eval_every": 2, "patience": 9, "batch_size": 500}


class Killed(Exception):
    """Stands for the end of the process."""


class StopsAfter:
    """A progress bar that ends the process after some epochs; a tick passes in each."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def update(self, done: int, **shown: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def close(self) -> None:
        """Nothing to close."""


class StoppedRun(Run):
    """A run that ends in the fourth epoch, with the checkpoint of the third."""

    def progress(self, total: int) -> Any:
        return StopsAfter(3)


def all_scores(system: Trained, data: Interactions) -> np.ndarray:
    return system.score(np.arange(data.n_users), History.of(data, np.arange(data.n_users)))


def test_the_state_of_a_trained_model_has_its_buffers(tiny: dict) -> None:
    system = Toy(PARAMS)
    system.fit(Task(tiny["train"], None, True), Run())
    kept = system.state()
    assert set(kept) == {"shape", "degrees", "module.table", "module.steps", "module.mean"}
    again = Toy(PARAMS)
    again.load_state(kept)
    assert int(again.module.steps) == int(system.module.steps) > 0
    assert np.array_equal(all_scores(again, tiny["train"]), all_scores(system, tiny["train"]))


def test_checkpoints_hold_buffers_and_a_resumed_fit_goes_on_with_them(
    tiny: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**9))
    monkeypatch.setattr("recspectra.training.loop.time", SimpleNamespace(monotonic=lambda: 100 * next(clock)))
    task, whole = Task(tiny["train"], None, True), Toy(PARAMS)
    whole.fit(task, Run())
    with pytest.raises(Killed):
        Toy(PARAMS).fit(task, StoppedRun(checkpoints=tmp_path))
    kept = load_file(tmp_path / "checkpoint.safetensors")
    steps = int(whole.module.steps)
    assert 0 < int(kept["module.steps"]) == steps // 2 and kept["module.mean"].abs().sum() > 0
    resumed = Toy(PARAMS)
    log = resumed.fit(task, Run(checkpoints=tmp_path))
    assert log["epochs"] == 6 and int(resumed.module.steps) == steps
    assert np.array_equal(all_scores(resumed, tiny["train"]), all_scores(whole, tiny["train"]))


def test_the_best_epoch_s_buffers_are_kept_with_its_weights(tiny: dict) -> None:
    system, told = Toy(PARAMS), iter([0.1, 0.9, 0.3])
    system.fit(Task(tiny["train"], None, True), Run(validate=lambda score: next(told)))
    every = -(-tiny["train"].nnz // 500)
    assert int(system.module.steps) == 4 * every


def test_initial_weights_follow_the_seed_and_not_what_was_drawn_before(tiny: dict) -> None:
    found = []
    for seed, before in ((0, 0), (0, 7), (1, 0)):
        torch.manual_seed(99)
        torch.randn(before)
        system = Toy(PARAMS | {"learning_rate": 1e-9})
        system.fit(Task(tiny["train"], None, True), Run(seed=seed))
        found.append(system.module.table.detach().numpy())
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2], atol=0.1)


def test_what_is_not_defined_is_named() -> None:
    class Empty(Factors):
        pass

    for call in ("build", "vectors"):
        with pytest.raises(TypeError, match=f"Empty must define {call}"):
            getattr(Empty({}), call)()
    with pytest.raises(TypeError, match="Empty must define batches"):
        Empty({}).batches(None)
    with pytest.raises(TypeError, match="Empty must define loss"):
        Empty({}).loss(None, torch.Generator())


def test_models_that_end_in_vectors_are_saved_as_their_vectors(tiny: dict) -> None:
    config = Catalog(Path(__file__).resolve().parents[3]).model("mf")
    params = config.resolve({"epochs": 1, "dimensions": 6})
    system = create(config, params)
    system.fit(Task(tiny["train"], None, True), Run())
    assert {k: tuple(v.shape) for k, v in system.state().items()} == {
        "user_vectors": (120, 6), "item_vectors": (80, 6),
    }  # fmt: skip
    again = create(config, params)
    again.load_state(system.state())
    found = again.score(np.array([5, 2]), None)
    np.testing.assert_allclose(found, again.user_vectors[[5, 2]] @ again.item_vectors.T, atol=1e-6)
    assert np.array_equal(found, system.score(np.array([5, 2]), None))


def test_tables_split_into_users_and_items_and_send_gradients_back() -> None:
    torch.manual_seed(0)
    tables = Tables(3, 4, 2, std=0.5)
    users, items = tables.split()
    assert torch.equal(torch.cat([users, items]), tables.weight)
    assert tuple(x.shape for x in tables.split(torch.zeros(7, 9))) == ((3, 9), (4, 9))
    (users.sum() + 2 * items.sum()).backward()
    assert torch.equal(tables.weight.grad[:, 0], torch.tensor([1.0] * 3 + [2.0] * 4))


def test_initial_vectors_have_the_standard_deviation_that_was_asked_for() -> None:
    torch.manual_seed(0)
    weight = Tables(300, 300, 32, std=0.25).weight
    assert float(weight.detach().std()) == pytest.approx(0.25, rel=0.02)
    assert abs(float(weight.detach().mean())) < 0.01
