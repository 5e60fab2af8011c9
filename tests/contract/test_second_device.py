"""Every trained model on a second device: nothing stays behind on the CPU, and the numbers are the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import in_a_fork
from test_contract import CATALOG, OF_INTERACTIONS, OF_WINDOWS, TRAINED, Bench, params_of

from recspectra.config.model import RunConfig
from recspectra.data.interactions import Interactions
from recspectra.fitting.validation import validator
from recspectra.layers.trained import Trained
from recspectra.recommender import Recommender, Run, Task, create
from recspectra.spectral.places import host, is_tensor
from recspectra.training import loop

pytestmark = pytest.mark.slow
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
CASES = [(name, {}) for name in TRAINED] + [("wpgrec", {"summaries": "exact"})]


@pytest.fixture(scope="module")
def bench(tiny: dict[str, Interactions]) -> Bench:
    return Bench(tiny)


def fitted(
    bench: Bench, name: str, place: str, checkpoints: Path | None = None, **changes: Any
) -> tuple[Recommender, dict[str, Any]]:
    """Return a model after some epochs on a device, and its log."""
    config = CATALOG.model(name)
    # Dropout draws from PyTorch's own generator, by another algorithm on each device.
    without = {name: 0.0 for name in config.params if "dropout" in name}
    without |= {"summaries": "cached"}  # of WPGRec: by default exact on a GPU and cached on a CPU
    # Few batches, two an epoch or more: every operation of the second device takes long.
    short = {"epochs": 2, "eval_every": 1, "batch_size": 1024 if name in OF_INTERACTIONS else 64}
    short |= {"batch_size": 256, "max_len": 6} if name in OF_WINDOWS else {}
    # So few that what DGRec chooses and what importance sampling remembers count in the second epoch.
    short |= {"neighbours": 3, "steps": 2}
    params = params_of(config, **(short | without | changes))
    inputs = bench.inputs(config, RunConfig(model=name, params=params))
    system = create(config, params)
    run = Run(seed=0, device=place, validate=validator(inputs), checkpoints=checkpoints)
    return system, system.fit(Task(inputs.train, inputs.valid, True, inputs.spectra), run)


def ranked_by(scores: np.ndarray) -> np.ndarray:
    """Return what of the scores orders a user's items.

    A softmax over items does not see a constant that all items of a user share. Where such a constant
    has a parameter (WPGRec), its gradient is rounding, and Adam makes steps of it.
    """
    return scores - scores.mean(axis=1, keepdims=True)


@in_a_fork
def test_the_device_refuses_what_mixes_devices() -> None:
    here, there = torch.ones(3), torch.ones(3, device="sim")
    assert there.device.type == "sim" and there.cpu().tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(RuntimeError, match="on sim and on the CPU"):
        there + here
    assert (there + torch.tensor(1.0)).cpu().tolist() == [2.0, 2.0, 2.0]


@in_a_fork
def test_the_gru_cell_that_is_written_out_is_torchs() -> None:
    torch.manual_seed(0)
    gru, rows = torch.nn.GRU(5, 7, 2, batch_first=True), torch.randn(3, 4, 5)
    expected = gru(rows)[0]
    expected.square().sum().backward()
    gradients = [p.grad.clone() for p in gru.parameters()]
    gru.zero_grad(set_to_none=True)
    gru.to("sim")
    found = gru(rows.to("sim"))[0]
    found.square().sum().backward()
    assert np.allclose(found.detach().cpu(), expected.detach(), atol=1e-6)
    for parameter, gradient in zip(gru.parameters(), gradients, strict=True):
        assert np.allclose(parameter.grad.cpu(), gradient, atol=1e-5)


@pytest.mark.parametrize(("name", "changes"), CASES, ids=[f"{n}{''.join(c.values())}" for n, c in CASES])
@in_a_fork
def test_a_fit_gives_the_same_numbers_and_resumes(
    name: str, changes: dict[str, str], bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, log = fitted(bench, name, "cpu", **changes)
    there, other = fitted(bench, name, "sim", **changes)
    assert {p.device.type for p in there.module.parameters()} == {"sim"}
    assert np.allclose(other["loss_curve"], log["loss_curve"], **CLOSE)
    assert np.allclose(other["validation_curve"], log["validation_curve"], atol=1e-6)
    scores = ranked_by(bench.scores(here))
    close = {"rtol": 1e-5, "atol": 1e-5 * max(1.0, float(np.abs(scores).max()))}
    found = bench.scores(there)
    assert is_tensor(found)  # and so ranked where it is
    assert np.allclose(ranked_by(host(found)), scores, **close)
    again = bench.saved_and_loaded(name, there, tmp_path / "model.rs")  # onto the CPU
    if hasattr(again, "module"):
        assert {p.device.type for p in again.module.parameters()} == {"cpu"}
    assert np.allclose(ranked_by(bench.scores(again)), scores, **close)

    resumed, log = killed_and_resumed(bench, name, "sim", tmp_path, monkeypatch, **changes)
    assert log["resumed_seconds"] > 0
    assert log["loss_curve"] == other["loss_curve"]
    assert np.array_equal(host(bench.scores(resumed)), host(bench.scores(there)))


def killed_and_resumed(
    bench: Bench, name: str, place: str, checkpoints: Path, monkeypatch: pytest.MonkeyPatch, **changes: str
) -> tuple[Recommender, dict[str, Any]]:
    """Return the model, and its log, of a fit that is killed in its second epoch and goes on."""
    settings, epoch = Trained._settings, loop.TrainingLoop._epoch

    def killed(self: loop.TrainingLoop) -> float:
        if self.state.epoch == 1:
            raise KeyboardInterrupt
        return epoch(self)

    always = lambda self: dataclasses.replace(settings(self), checkpoint_seconds=-1.0)  # noqa: E731
    monkeypatch.setattr(Trained, "_settings", always)
    with monkeypatch.context() as death, pytest.raises(KeyboardInterrupt):
        death.setattr(loop.TrainingLoop, "_epoch", killed)
        fitted(bench, name, place, checkpoints, **changes)
    return fitted(bench, name, place, checkpoints, **changes)
