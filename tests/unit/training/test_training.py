"""Floor 3: the training loop resumes without a trace, stops early and notices divergence."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from recspectra.config.scale import Caps
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.files import ArtifactError
from recspectra.recommender import Run
from recspectra.runtime import Diverged
from recspectra.training import loop as loop_module
from recspectra.training.batches import UserRows
from recspectra.training.loop import LoopSettings, TrainingLoop

TARGET = torch.linspace(-1, 1, 12).reshape(4, 3)


def shuffled(generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Six batches of two rows in an order drawn from the generator."""
    order = torch.randperm(12, generator=generator)
    yield from (torch.eye(4).repeat(3, 1)[order]).split(2)


def trainer(folder: Path | None = None, **changes: Any) -> TrainingLoop:
    """A loop over a small network whose loss draws noise, as that of a diffusion model does."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))

    def loss(batch: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        jitter = 0.1 * torch.randn(batch.shape, generator=noise)
        return ((module(batch + jitter) - batch @ TARGET) ** 2).mean()

    def validate() -> float:
        with torch.no_grad():
            return -float(((module(torch.eye(4)) - TARGET) ** 2).mean())

    every = {"epochs": 12, "learning_rate": 0.05, "eval_every": 2, "patience": 50, "checkpoint_seconds": -1.0}
    given = {"batches": shuffled, "loss": loss, "validate": validate} | changes
    settings = LoopSettings(**(every | given.pop("settings", {})))
    return TrainingLoop(module, settings=settings, seed=3, checkpoints=folder, **given)


def finish(loop: TrainingLoop) -> dict[str, Any]:
    log = loop.run(Run().progress(loop.settings.epochs))
    assert log.pop("training_seconds") >= log.pop("resumed_seconds")
    return log


def weights(loop: TrainingLoop) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in loop.module.state_dict().values())


def failing(call: Callable, at: int) -> Callable:
    """The same callable, killed at its `at`-th call."""
    calls = []

    def wrapped(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == at:
            raise KeyboardInterrupt
        return call(*args)

    return wrapped


# ------------------------------------------------------------------------------- resuming


def interrupted(folder: Path, **changes: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        finish(trainer(folder, **changes))


@pytest.mark.parametrize("epoch", [1, 2, 5, 12])
def test_a_run_killed_in_an_epoch_ends_with_the_same_bytes(tmp_path: Path, epoch: int) -> None:
    whole = trainer()
    expected = finish(whole)
    interrupted(tmp_path, batches=failing(shuffled, epoch))
    resumed = trainer(tmp_path)
    assert finish(resumed) == expected
    assert weights(resumed) == weights(whole)


@pytest.mark.parametrize(
    ("part", "call"),
    [
        ("loss", 6 * 4 + 3),
        ("validate", 1),
        ("validate", 3),
        ("validate", 6),
    ],  # 27: a batch of the fifth epoch
)
def test_a_run_killed_in_a_batch_or_in_validation_ends_with_the_same_bytes(
    tmp_path: Path, part: str, call: int
) -> None:
    whole, broken = trainer(), trainer(tmp_path)
    expected = finish(whole)
    setattr(broken, part, failing(getattr(broken, part), call))
    with pytest.raises(KeyboardInterrupt):
        finish(broken)
    resumed = trainer(tmp_path)
    assert finish(resumed) == expected
    assert weights(resumed) == weights(whole)


def test_a_run_killed_twice_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = trainer()
    expected = finish(whole)
    interrupted(tmp_path, batches=failing(shuffled, 4))
    interrupted(tmp_path, batches=failing(shuffled, 6))  # in epoch 9: it went on from epoch 4
    resumed = trainer(tmp_path)
    assert finish(resumed) == expected
    assert weights(resumed) == weights(whole)


def test_a_resumed_run_does_not_start_afresh(tmp_path: Path) -> None:
    interrupted(tmp_path, batches=failing(shuffled, 9))
    epochs = []
    finish(trainer(tmp_path, batches=lambda g: epochs.append(1) or shuffled(g)))
    assert len(epochs) == 4


@pytest.mark.parametrize("name", ["data", "code", "key", "seed", "params", "spectra"])
def test_a_checkpoint_made_from_anything_else_is_not_gone_on_with(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    made = {"data": "a", "code": "b", "key": "c", "seed": 3, "params": {"rank": 4}, "spectra": {"s": "d"}}
    other = made | {name: "another"}
    interrupted(tmp_path, batches=failing(shuffled, 9), made_from=made)
    epochs = []
    log = finish(trainer(tmp_path, batches=lambda g: epochs.append(1) or shuffled(g), made_from=other))
    assert len(epochs) == 12 and log == finish(trainer())
    said = capsys.readouterr().err
    assert f"{tmp_path / 'checkpoint.safetensors'}: made from other {name}; the fit starts afresh" in said


def test_a_checkpoint_made_from_the_same_is_gone_on_with(tmp_path: Path) -> None:
    made = {"data": "a", "params": {"rank": 4, "rate": 0.1}}
    interrupted(tmp_path, batches=failing(shuffled, 9), made_from=made)
    epochs = []
    finish(trainer(tmp_path, batches=lambda g: epochs.append(1) or shuffled(g), made_from=made))
    assert len(epochs) == 4


def test_a_checkpoint_of_an_earlier_version_is_not_gone_on_with(tmp_path: Path) -> None:
    interrupted(tmp_path, batches=failing(shuffled, 9))
    epochs = []
    finish(trainer(tmp_path, batches=lambda g: epochs.append(1) or shuffled(g), made_from={"data": "a"}))
    assert len(epochs) == 12


def test_a_resumed_run_says_what_was_spent_before(tmp_path: Path) -> None:
    interrupted(tmp_path, batches=failing(shuffled, 9))
    with safe_open(tmp_path / "checkpoint.safetensors", "pt") as stream:
        spent = json.loads(stream.metadata()["state"])["seconds"]
    resumed, whole = trainer(tmp_path), trainer()
    log = resumed.run(Run().progress(12))
    assert log["resumed_seconds"] == spent > 0
    assert log["training_seconds"] > spent
    assert whole.run(Run().progress(12))["resumed_seconds"] == 0


def test_early_stopping_survives_an_interruption(tmp_path: Path) -> None:
    values = [0.1, 0.5, 0.4, 0.3, 0.2]
    changes = {"settings": {"epochs": 50, "patience": 3}}
    expected = finish(trainer(validate=iter(values).__next__, **changes))
    told = iter(values)
    interrupted(tmp_path, validate=failing(told.__next__, 4), **changes)
    left = iter(values[3:])
    assert finish(trainer(tmp_path, validate=left.__next__, **changes)) == expected


def test_checkpoints_keep_their_distance_in_time(tmp_path: Path) -> None:
    finish(trainer(tmp_path, settings={"checkpoint_seconds": 3600.0}))
    assert list(tmp_path.iterdir()) == []
    finish(trainer(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def broken_file(path: Path, kind: str) -> None:
    good = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "garbage":
        path.write_bytes(np.random.default_rng(0).bytes(500))
    elif kind == "no state":
        save_file({"module.0.weight": torch.zeros(8, 4)}, path)
    else:  # of other code: some tensors fit, others do not
        shapes = {"0.weight": (8, 4), "0.bias": (8,), "2.weight": (5, 8), "2.bias": (5,)}
        tensors = {f"{p}.{n}": torch.ones(s) for n, s in shapes.items() for p in ("module", "best")}
        save_file(tensors, path, {"state": '{"epoch": 3, "validation": []}'})


@pytest.mark.parametrize("kind", ["truncated", "empty", "garbage", "no state", "other code"])
def test_a_broken_checkpoint_is_ignored_and_the_run_starts_afresh(tmp_path: Path, kind: str) -> None:
    whole = trainer()
    expected = finish(whole)
    interrupted(tmp_path, batches=failing(shuffled, 6))
    broken_file(tmp_path / "checkpoint.safetensors", kind)
    resumed = trainer(tmp_path)
    assert finish(resumed) == expected
    assert weights(resumed) == weights(whole)


def test_a_checkpoint_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise loop_module.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(loop_module, "save_file", full)
    with pytest.raises(ArtifactError, match=r"checkpoint\.safetensors: cannot be written \(No space left"):
        finish(trainer(tmp_path))
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------- early stopping


def test_the_best_weights_are_kept() -> None:
    seen: list[bytes] = []
    values = iter([0.1, 0.7, 0.3, 0.7, 0.2, 0.6])
    loop = trainer()

    def validate() -> float:
        seen.append(weights(loop))
        return next(values)

    loop.validate = validate
    log = finish(loop)
    assert (log["best_epoch"], log["best_validation"], log["epochs"]) == (4, 0.7, 12)
    assert weights(loop) == seen[1] != seen[-1]
    assert [p[0] for p in log["validation_curve"]] == [2, 4, 6, 8, 10, 12]
    assert not loop.module.training


def test_training_stops_after_patience_validations_without_a_gain() -> None:
    values = iter([0.2, 0.3, 0.3, 0.1])
    log = finish(trainer(validate=values.__next__, settings={"epochs": 100, "patience": 2}))
    assert (log["epochs"], log["best_epoch"]) == (8, 4)


def test_the_last_epoch_is_validated_whatever_the_interval() -> None:
    log = finish(trainer(settings={"epochs": 5, "eval_every": 3}))
    assert [p[0] for p in log["validation_curve"]] == [3, 5]


def test_a_refit_trains_all_epochs_and_keeps_the_last_weights() -> None:
    loop = trainer(validate=None)
    log = finish(loop)
    assert (log["epochs"], log["best_epoch"], log["best_validation"]) == (12, 12, None)
    assert log["validation_curve"] == []
    assert log["loss_curve"][-1] < log["loss_curve"][0]
    assert weights(loop) != weights(trainer())


def test_validation_draws_nothing_from_the_training() -> None:
    """Validating more often, or with random numbers, leaves the losses as they are."""
    plain = finish(trainer(validate=None))
    noisy = finish(trainer(validate=lambda: float(torch.rand(())), settings={"eval_every": 1}))
    assert plain["loss_curve"] == noisy["loss_curve"]


def test_epochs_differ_in_order_and_seeds_differ_in_result() -> None:
    orders: list[list[int]] = []

    def record(generator: torch.Generator) -> Iterator[torch.Tensor]:
        orders.append(torch.randperm(50, generator=generator).tolist())
        return shuffled(generator)

    finish(trainer(batches=record))
    assert len({tuple(o) for o in orders}) == 12
    other = trainer()
    other.seed = 4
    assert finish(other)["loss_curve"] != finish(trainer())["loss_curve"]


# ------------------------------------------------------------------------------ divergence


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_no_number_raises_diverged(value: float) -> None:
    loop = trainer()
    good, calls = loop.loss, []

    def loss(batch: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        calls.append(1)
        return good(batch, noise) * (value if len(calls) == 15 else 1.0)

    loop.loss = loss
    with pytest.raises(Diverged, match=r"loss became -?(nan|inf) in epoch 3"):
        finish(loop)


def test_a_diverged_epoch_leaves_no_checkpoint_of_itself(tmp_path: Path) -> None:
    loop = trainer(tmp_path, settings={"learning_rate": 1e30})
    with pytest.raises(Diverged):
        finish(loop)
    with pytest.raises(Diverged):
        finish(trainer(tmp_path, settings={"learning_rate": 1e30}))


# --------------------------------------------------------------------------------- batches


@pytest.fixture(scope="module")
def rows() -> Interactions:
    users = np.array([0, 0, 0, 2, 4, 4, 5, 5, 5, 5])
    items = np.array([5, 1, 3, 2, 0, 5, 4, 3, 2, 1])
    return from_pairs(users, items, None, (7, 6))  # users 1, 3 and 6 have nothing


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_batches_are_the_rows_and_cover_every_user_with_a_row_once(rows: Interactions, size: int) -> None:
    served: list[int] = []
    for batch in UserRows(rows, size, "cpu")(torch.Generator().manual_seed(1)):
        ends = [*batch.offsets.tolist()[1:], len(batch.items)]
        for user, start, end in zip(batch.users.tolist(), batch.offsets.tolist(), ends, strict=True):
            assert batch.items[start:end].tolist() == rows.sequence(user).tolist()
            served.append(user)
        assert len(batch.users) <= size
    assert sorted(served) == [0, 2, 4, 5]


def test_the_order_of_users_depends_on_the_generator_alone(tiny: dict[str, Interactions]) -> None:
    data = UserRows(tiny["train"], 1000, "cpu")
    first, again, other = (next(data(torch.Generator().manual_seed(s))).users.tolist() for s in (0, 0, 1))
    assert first == again != other


def test_projection_equals_the_matrix_product(tiny: dict[str, Interactions]) -> None:
    train, generator = tiny["train"], torch.Generator().manual_seed(0)
    batch = UserRows(train, 1000, "cpu").rows(torch.tensor([7, 3, 3, 110]))
    table = torch.randn(train.n_items, 5, generator=generator)
    x = torch.zeros(4, train.n_items)
    ends = [*batch.offsets.tolist()[1:], len(batch.items)]
    for row, (start, end) in enumerate(zip(batch.offsets.tolist(), ends, strict=True)):
        x[row, batch.items[start:end]] = 1.0
    assert torch.allclose(batch.project(table), x @ table, atol=1e-5)


def test_rows_of_users_without_interactions_project_to_zero(rows: Interactions) -> None:
    batch = UserRows(rows, 10, "cpu").rows(torch.tensor([1, 0, 3]))
    found = batch.project(torch.ones(6, 2))
    assert found.tolist() == [[0, 0], [3, 3], [0, 0]]


def test_tests_run_on_one_thread() -> None:
    assert torch.get_num_threads() == 1


# -------------------------------------------------------------------- nothing to learn from


def nothing(batch: torch.Tensor, noise: torch.Generator, module: torch.nn.Module) -> torch.Tensor:
    """The loss of a batch without targets: zero, as is its gradient."""
    return module(batch)[:0].sum()


def test_an_epoch_without_a_batch_is_an_error() -> None:
    with pytest.raises(loop_module.NothingToLearn, match="there is no batch in epoch 1"):
        finish(trainer(batches=lambda generator: iter(())))


def test_a_later_epoch_without_a_batch_is_an_error() -> None:
    calls = []

    def batches(generator: torch.Generator) -> Iterator[torch.Tensor]:
        calls.append(1)
        return shuffled(generator) if len(calls) < 3 else iter(())

    with pytest.raises(loop_module.NothingToLearn, match="there is no batch in epoch 3"):
        finish(trainer(batches=batches))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_batches_without_targets_are_an_error(decay: float) -> None:
    """Weight decay alone is not learning."""
    loop = trainer(settings={"weight_decay": decay, "optimiser": "adamw"})
    loop.loss = lambda batch, noise: nothing(batch, noise, loop.module)
    with pytest.raises(loop_module.NothingToLearn, match="no batch moves a parameter, so none has a target"):
        finish(loop)


def test_one_batch_with_a_target_is_enough() -> None:
    loop = trainer()
    whole, calls = loop.loss, []

    def loss(batch: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        calls.append(1)
        return whole(batch, noise) if len(calls) == 6 else nothing(batch, noise, loop.module)

    loop.loss = loss
    before = weights(loop)
    assert finish(loop)["epochs"] == 12
    assert weights(loop) != before


# -------------------------------------------------------------------------------- caps


def capped(folder: Path, caps: Caps, **changes: Any) -> tuple[dict[str, Any], bytes]:
    loop = trainer(folder, caps=caps, **changes)
    return finish(loop), weights(loop)


@pytest.mark.parametrize("first", [1, 3, 4])
@pytest.mark.parametrize("then", [5, 12])
def test_a_capped_run_goes_on_to_the_bytes_of_one_that_had_the_higher_cap(
    tmp_path: Path, first: int, then: int
) -> None:
    log, _ = capped(tmp_path / "a", Caps(epochs=first))
    assert (log["capped"], log["epochs"]) == ("epochs", first)
    assert log["validation_curve"][-1][0] == first
    again = capped(tmp_path / "a", Caps(epochs=then))
    assert again == capped(tmp_path / "b", Caps(epochs=then))
    assert again[0]["capped"] == ("epochs" if then == 5 else "")


def test_the_best_weights_are_kept_of_the_validation_at_a_cap_too(tmp_path: Path) -> None:
    log, kept = capped(tmp_path / "a", Caps(epochs=3))
    whole = trainer(settings={"epochs": 3})
    finish(whole)
    assert log["best_epoch"] == 3 and kept == weights(whole)


def test_patience_and_the_last_epoch_end_a_run_before_its_caps() -> None:
    still = {"validate": lambda: 0.5, "settings": {"patience": 2}}
    log = finish(trainer(caps=Caps(epochs=6), **still))
    assert (log["epochs"], log["capped"]) == (6, "")  # the cap falls where patience ends it
    assert finish(trainer(caps=Caps(epochs=5), **still))["capped"] == "epochs"
    assert finish(trainer(caps=Caps(epochs=12)))["capped"] == ""


def test_minutes_end_a_run_after_its_epoch_and_count_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(step=30.0)  # an epoch takes half a minute
    monkeypatch.setattr("recspectra.training.loop.time.monotonic", lambda: next(clock))
    log, _ = capped(tmp_path, Caps(minutes=1.0))
    assert (log["capped"], log["epochs"]) == ("minutes", 2)
    log, _ = capped(tmp_path, Caps(minutes=2.5))
    assert (log["capped"], log["epochs"]) == ("minutes", 5)
    assert finish(trainer(tmp_path))["capped"] == ""


def test_a_checkpoint_beyond_the_cap_is_not_used(tmp_path: Path) -> None:
    capped(tmp_path / "a", Caps(epochs=9))
    assert capped(tmp_path / "a", Caps(epochs=4)) == capped(tmp_path / "b", Caps(epochs=4))


def test_a_refit_is_capped_too() -> None:
    log = finish(trainer(validate=None, caps=Caps(epochs=5)))
    assert (log["epochs"], log["best_epoch"], log["capped"]) == (5, 5, "epochs")
