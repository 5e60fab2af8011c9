"""Floor 3: S-Diff against a plain reading of its equations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_matrices import dense, relative_error, scores_of

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions
from recspectra.models.sdiff import TIME_FEATURES, Denoiser, Draws, SDiff, counter_normal, kept, time_code
from recspectra.recommender import Run, Task, create
from recspectra.runtime import axis_seed
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build
from recspectra.spectral.schedules import schedule
from recspectra.spectral.spectrum import Spectrum
from recspectra.training.batches import RowBatch, UserRows

CATALOG = Catalog(Path(__file__).resolve().parents[3])
USERS = np.arange(400)


# ----------------------------------------------------------------------------- noise


def test_noise_depends_on_seed_step_user_and_nothing_else() -> None:
    whole = counter_normal(7, 3, USERS, 21)
    assert np.array_equal(counter_normal(7, 3, USERS[[5, 300, 2]], 21), whole[[5, 300, 2]])
    assert np.array_equal(counter_normal(7, 3, USERS, 21), whole)
    for other in (counter_normal(8, 3, USERS, 21), counter_normal(7, 4, USERS, 21)):
        assert abs(np.corrcoef(whole.ravel(), other.ravel())[0, 1]) < 0.05
    assert (whole.dtype, whole.shape) == (np.float32, (400, 21))


def test_noise_that_is_kept_is_the_same_noise_and_no_more_of_it_than_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[int] = []

    def counted(seed: int, step: int, users: np.ndarray, size: int) -> np.ndarray:
        drawn.append(step)
        return counter_normal(seed, step, users, size)

    monkeypatch.setattr("recspectra.models.sdiff.counter_normal", counted)
    draws = Draws(most=400 * 21)
    asked = [(3, USERS), (3, USERS), (3, USERS[:7]), (4, USERS), (4, USERS)]
    for step, users in asked:
        assert np.array_equal(draws.normal(7, step, users, 21), counter_normal(7, step, users, 21))
    assert drawn == [3, 3, 4, 4]  # the second time of step 3 was kept; there was no room for more


def test_validations_of_a_fit_draw_their_noise_once_and_find_the_same(
    train: Interactions, item_spectrum: dict[str, Spectrum], monkeypatch: pytest.MonkeyPatch
) -> None:
    users = np.arange(train.n_users)

    def recalls(epochs: int) -> tuple[list[float], int]:
        found, drawn = [], []
        real = counter_normal
        monkeypatch.setattr("recspectra.models.sdiff.counter_normal", lambda *a: drawn.append(a) or real(*a))
        run = Run(validate=lambda score: found.append(float(score(users, train).sum())) or len(found))
        fresh(epochs=epochs, eval_every=1).fit(Task(train, None, True, item_spectrum), run)
        monkeypatch.undo()
        return found, len(drawn)

    found, drawn = recalls(3)
    monkeypatch.setattr("recspectra.models.sdiff.KEPT_NUMBERS", 0)
    monkeypatch.setattr(Draws.__init__, "__defaults__", (0,))
    again = recalls(3)[0]
    assert found == again
    assert drawn == recalls(1)[1]


@pytest.mark.parametrize("size", [1, 2, 33, 200])
def test_noise_is_standard_normal(size: int) -> None:
    noise = counter_normal(1, 1, np.arange(200_000 // size), size).ravel().astype(float)
    assert abs(noise.mean()) < 0.01
    assert noise.std() == pytest.approx(1.0, abs=0.01)
    assert (noise**4).mean() == pytest.approx(3.0, abs=0.15)
    assert (np.abs(noise) < 1.0).mean() == pytest.approx(0.6827, abs=0.005)


def test_noise_of_users_and_positions_is_independent() -> None:
    noise = counter_normal(0, 1, np.arange(5000), 12)
    between_positions = np.corrcoef(noise.T) - np.eye(12)
    between_users = np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]
    assert np.abs(between_positions).max() < 0.06
    assert abs(between_users) < 0.02


@pytest.fixture(scope="module")
def item_spectrum(train: Interactions) -> dict[str, Spectrum]:
    return {name: leading(build(name, train), 16) for name in (GRAPH, "item-similarity-u0.25")}


GRAPH = "item-similarity-u0.5"
QUICK = {"rank": 12, "hidden": 20, "epochs": 2, "batch_size": 40, "learning_rate": 0.01}


def fresh(**params: Any) -> SDiff:
    config = CATALOG.model("sdiff")
    return create(config, config.resolve(QUICK | params))


def sdiff(train: Interactions, spectra: dict[str, Spectrum], **params: Any) -> SDiff:
    system = fresh(**params)
    system.fit(Task(train, None, True, spectra), Run())
    return system


def plain_sampling(
    system: SDiff, tiny_train: Interactions, history: Interactions, guidance: float
) -> np.ndarray:
    """Algorithm 2 in NumPy, with the same denoiser and the same noise."""
    p = system.params
    users, basis = np.arange(history.n_users), system.basis.astype(float)
    seed = axis_seed(0, "inference")

    def denoise(signal: np.ndarray, condition: np.ndarray, time: float) -> np.ndarray:
        tensors = [torch.tensor(a, dtype=torch.float32) for a in (signal, condition)]
        shown = 0.0 if p.time_code == "none" else time
        with torch.no_grad():
            return system.module(*tensors, torch.full((len(signal),), shown)).numpy().astype(float)

    def noised(clean: np.ndarray, step: int) -> np.ndarray:
        time = np.array([step / p.steps * p.tau])
        alpha, sigma = schedule(p.schedule, time, system.frequencies, p.alpha_min, p.sigma_max)
        return alpha * clean + sigma * counter_normal(seed, step, users, basis.shape[1]) * p.inference_noise

    degree = dense(tiny_train).sum(axis=0) ** 0.5 if p.basis == "degree" else np.ones(basis.shape[0])
    condition = (dense(history) / degree) @ basis / system.scale
    signal = noised(condition, p.steps)
    for step in range(p.steps, 0, -1):
        time = step / p.steps * p.tau
        given = denoise(signal, condition, time)
        free = denoise(signal, np.zeros_like(condition), time)
        clean = (1.0 - guidance) * given + guidance * free
        signal = noised(clean, step - 1) if step > 1 else clean
    return (signal * system.scale) @ basis.T * degree


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"schedule": "ve", "steps": 3, "standardize": True},
        {"schedule": "ddpm", "steps": 1, "tau": 0.7, "film": "linear"},
        {"film": "concat", "guidance": 0.4, "alpha_min": 0.3},
        {"film": "condition-only", "guidance": 1.0, "sigma_max": 1.0},
        {"basis": "degree", "inference_noise": False, "residual": "noisy"},
        {"layers": 2, "activation": "tanh", "time_code": "none", "standardize": False},
    ],
    ids=str,
)
def test_sdiff_samples_as_algorithm_2(
    train: Interactions, both: Interactions, item_spectrum: dict, params: dict
) -> None:
    system = sdiff(train, item_spectrum, **params)
    expected = plain_sampling(system, train, both, system.params.guidance)
    assert relative_error(scores_of(system, both), expected) < 1e-4


class Recorder(torch.nn.Module):
    """Stands in for the denoiser: keeps what it is given and answers 0."""

    def forward(self, noisy: torch.Tensor, condition: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        self.noisy, self.condition, self.time = noisy, condition, time
        return torch.zeros_like(noisy)


def trained_on(train: Interactions, spectra: dict, **params: Any) -> tuple[Recorder, torch.Tensor, float]:
    """What the denoiser sees in one training step on all users, the clean signal and the loss."""
    system = sdiff(train, spectra, **params)
    system.module = Recorder()
    batch = UserRows(train, 1000, "cpu").rows(torch.arange(train.n_users))
    loss = float(system.loss(batch, torch.Generator().manual_seed(0)))
    clean = torch.tensor(dense(train) @ system.basis / system.scale, dtype=torch.float32)
    return system.module, clean, loss


def test_the_loss_is_the_squared_error_of_the_clean_signal(train: Interactions, item_spectrum: dict) -> None:
    _, clean, loss = trained_on(train, item_spectrum, standardize=True)
    assert loss == pytest.approx(float((clean**2).sum(dim=1).mean()), rel=1e-5)


def test_the_forward_process_scales_the_signal_and_adds_noise_of_its_level(
    train: Interactions, item_spectrum: dict
) -> None:
    seen, clean, _ = trained_on(train, item_spectrum, sigma_max=0.4)
    frequencies = np.clip(1.0 - item_spectrum[GRAPH].values[:12], 0.0, None)
    alpha, sigma = schedule("vp", seen.time.numpy(), frequencies, 0.1, 0.4)
    assert 0.0 <= float(seen.time.min()) < 0.1 < 0.9 < float(seen.time.max()) <= 1.0
    noisy = sigma.min(axis=0) > 1e-3
    noise = (seen.noisy.numpy() - alpha * clean.numpy())[:, noisy] / sigma[:, noisy]
    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(1.0, abs=0.1)
    clear = trained_on(train, item_spectrum, sigma_max=0.0, alpha_min=1.0)
    assert torch.allclose(clear[0].noisy, clear[1], atol=1e-5)


def test_frequencies_are_those_of_the_graph_over_its_largest_eigenvalue(
    train: Interactions, item_spectrum: dict
) -> None:
    x = dense(train)
    right = np.diag(np.maximum(x.sum(axis=0), 1) ** -0.5)
    for exponent in (0.25, 0.5):
        root = np.diag(np.maximum(x.sum(axis=1), 1) ** -exponent) @ x @ right
        values = np.linalg.eigvalsh(root.T @ root)[::-1]
        system = sdiff(train, item_spectrum, user_exponent=exponent)
        assert np.allclose(system.frequencies, 1.0 - values[:12] / values[0], atol=1e-8)
    assert np.array_equal(system.frequencies, np.clip(1.0 - item_spectrum[GRAPH].values[:12], 0.0, None))


def test_the_condition_is_the_history_without_the_masked_items(
    train: Interactions, item_spectrum: dict
) -> None:
    seen, clean, _ = trained_on(train, item_spectrum, mask=0.0, p_uncond=0.0)
    assert torch.allclose(seen.condition, clean, atol=1e-5)
    seen, clean, _ = trained_on(train, item_spectrum, mask=0.6, p_uncond=0.0)
    share = float((seen.condition[:, 0] / clean[:, 0]).mean())  # the first eigenvector is positive
    assert share == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("uncond_by", ["sample", "batch"])
def test_the_condition_is_dropped_for_a_sample_or_a_batch(
    train: Interactions, item_spectrum: dict, uncond_by: str
) -> None:
    system = sdiff(train, item_spectrum, mask=0.0, p_uncond=0.5, uncond_by=uncond_by)
    system.module = Recorder()
    batch = UserRows(train, 1000, "cpu").rows(torch.arange(train.n_users))
    shares = []
    for seed in range(30):
        system.loss(batch, torch.Generator().manual_seed(seed))
        shares.append(float((system.module.condition == 0).all(dim=1).float().mean()))
    assert np.mean(shares) == pytest.approx(0.5, abs=0.25 if uncond_by == "batch" else 0.05)
    assert (set(shares) == {0.0, 1.0}) == (uncond_by == "batch")


@pytest.mark.parametrize("film", ["elementwise", "linear", "concat", "condition-only"])
def test_denoiser_gives_one_estimate_per_row_in_every_reading(film: str) -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(7, 11, film)
    noisy, condition, time = torch.randn(5, 7), torch.randn(5, 7), torch.rand(5)
    whole = denoiser(noisy, condition, time)
    assert whole.shape == (5, 7)
    rows = torch.cat([denoiser(noisy[i : i + 1], condition[i : i + 1], time[i : i + 1]) for i in range(5)])
    assert torch.allclose(whole, rows, atol=1e-6)
    assert not torch.allclose(whole, denoiser(noisy, 2 * condition, time))
    assert torch.allclose(whole, denoiser(2 * noisy, condition, time)) == (film == "condition-only")
    assert all(p.requires_grad for p in denoiser.parameters())


def test_elementwise_film_is_equation_17() -> None:
    denoiser = Denoiser(3, 4, "elementwise")
    with torch.no_grad():
        for number, parameter in enumerate(list(denoiser.parameters())[:4], start=1):
            parameter.fill_(number)
    noisy, c = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[3.0, 0.0, -1.0]])
    gamma, beta = 1.0 * c + 2.0, 3.0 * c + 4.0
    assert torch.equal(denoiser.fuse(noisy, c), noisy + gamma * c + beta)
    assert torch.equal(Denoiser(3, 4, "concat").fuse(noisy, c), torch.cat([noisy, c], dim=1))


def test_time_code_tells_times_apart_and_is_sines_and_cosines() -> None:
    time = torch.tensor([0.0, 0.1, 0.5, 1.0])
    code = time_code(time)
    assert code.shape == (4, TIME_FEATURES)
    half = TIME_FEATURES // 2
    assert torch.allclose(code[:, :half] ** 2 + code[:, half:] ** 2, torch.ones(4, half), atol=1e-5)
    assert code[2, 1] == pytest.approx(math.sin(500.0 * 1e4 ** (-1 / half)), abs=1e-4)
    assert len({tuple(row.tolist()) for row in code}) == 4


def test_standardised_signals_have_unit_power_per_frequency(train: Interactions, item_spectrum: dict) -> None:
    system = sdiff(train, item_spectrum, standardize=True)
    signal = dense(train) @ system.basis / system.scale
    assert np.allclose((signal**2).mean(axis=0), 1.0, atol=1e-4)


# ----------------------------------------------------------------------------- readings


def all_users(train: Interactions) -> RowBatch:
    return UserRows(train, 1000, "cpu").rows(torch.arange(train.n_users))


def test_kept_interactions_give_the_rows_without_the_others(train: Interactions) -> None:
    batch = all_users(train)
    keep = torch.rand(len(batch.items), generator=torch.Generator().manual_seed(0)) < 0.3
    keep[: int(batch.offsets[2])] = False  # two users keep nothing
    keep[int(batch.offsets[-1]) :] = False  # nor does the last one
    table = torch.randn(train.n_items, 5)
    found = kept(batch, keep).project(table)
    owners = torch.repeat_interleave(torch.arange(len(batch.users)), batch.lengths)
    expected = torch.zeros_like(found).index_add_(0, owners[keep], table[batch.items[keep]])
    assert torch.allclose(found, expected, atol=1e-5)
    assert not found[:2].any()
    assert not found[-1].any()


def test_items_are_masked_alike_for_a_whole_batch(train: Interactions, item_spectrum: dict) -> None:
    system, batch = sdiff(train, item_spectrum, mask=0.4, mask_by="item"), all_users(train)
    keep = system._keep(batch, torch.Generator().manual_seed(0))
    hidden, shown = set(batch.items[~keep].tolist()), set(batch.items[keep].tolist())
    assert not hidden & shown
    assert len(hidden) / train.n_items == pytest.approx(0.4, abs=0.15)


@pytest.mark.parametrize(("mask_by", "spread"), [("interaction", (0.0, 0.16)), ("user", (0.22, 0.4))])
def test_users_have_the_same_share_masked_or_each_their_own(
    train: Interactions, item_spectrum: dict, mask_by: str, spread: tuple[float, float]
) -> None:
    system, batch = sdiff(train, item_spectrum, mask=0.5, mask_by=mask_by), all_users(train)
    keep = system._keep(batch, torch.Generator().manual_seed(0)).numpy()
    share = np.array([part.mean() for part in np.split(keep, batch.offsets[1:].numpy())])
    assert share.mean() == pytest.approx(0.5, abs=0.08)
    assert spread[0] < share.std() < spread[1]


def test_a_rescaled_condition_is_divided_by_the_share_that_is_kept(
    train: Interactions, item_spectrum: dict
) -> None:
    plain, _, _ = trained_on(train, item_spectrum, mask=0.6, p_uncond=0.0)
    scaled, _, _ = trained_on(train, item_spectrum, mask=0.6, p_uncond=0.0, rescale=True)
    assert torch.allclose(scaled.condition, plain.condition / 0.4, rtol=1e-5)


def test_loss_power_1_measures_errors_of_signals_that_are_not_standardised(
    train: Interactions, item_spectrum: dict
) -> None:
    _, clean, loss = trained_on(train, item_spectrum, standardize=True, loss_power=1.0)
    power = (sdiff(train, item_spectrum, standardize=True).scale ** 2).astype(float)
    raw = (clean.numpy().astype(float) ** 2 * power).sum(axis=1).mean()
    assert loss == pytest.approx(raw / power.mean(), rel=1e-4)


@pytest.mark.parametrize("residual", ["none", "noisy", "condition"])
def test_residual_is_what_is_left_of_a_denoiser_without_weights(residual: str) -> None:
    denoiser = Denoiser(4, 6, "elementwise", residual=residual)
    torch.nn.init.zeros_(denoiser.mlp[-1].weight)
    torch.nn.init.zeros_(denoiser.mlp[-1].bias)
    noisy, condition = torch.randn(3, 4), torch.randn(3, 4)
    left = {"none": torch.zeros(3, 4), "noisy": noisy, "condition": condition}[residual]
    assert torch.equal(denoiser(noisy, condition, torch.rand(3)), left)


@pytest.mark.parametrize(("layers", "activation"), [(1, torch.nn.SiLU), (3, torch.nn.Tanh)])
def test_the_denoiser_has_as_many_hidden_layers_as_it_is_told(layers: int, activation: type) -> None:
    name = {torch.nn.SiLU: "silu", torch.nn.Tanh: "tanh"}[activation]
    mlp = Denoiser(4, 6, "concat", layers, name).mlp
    widths = [m.in_features for m in mlp if isinstance(m, torch.nn.Linear)] + [mlp[-1].out_features]
    assert widths == [8 + TIME_FEATURES, *[6] * layers, 4]
    assert sum(isinstance(m, activation) for m in mlp) == layers


@pytest.mark.parametrize(
    ("time_code", "shown"), [("continuous", 0.5), ("steps", 4 * 0.5 / 2 / 1000), ("none", 0.0)]
)
def test_the_time_code_is_made_of_time_or_step_or_nothing(time_code: str, shown: float) -> None:
    system = fresh(time_code=time_code, tau=2.0, steps=4)
    assert system._shown(torch.tensor([0.5])).item() == pytest.approx(shown)
