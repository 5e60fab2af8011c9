"""Floor 3: each system equals its formula, written densely and plainly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recspectra.config import Catalog
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.models.base import History, Recommender, Refused, Run, Task, create
from recspectra.models.sdiff import TIME_FEATURES, Denoiser, SDiff, counter_normal, time_code
from recspectra.runtime import axis_seed
from recspectra.spectral.eigen import Spectrum, leading
from recspectra.spectral.operators import build
from recspectra.spectral.schedules import schedule
from recspectra.training.batches import UserRows

CATALOG = Catalog(Path(__file__).resolve().parents[2])


def fitted(name: str, train: Interactions, spectra: dict[str, Spectrum] | None = None, **params: Any) -> Any:
    config = CATALOG.model(name)
    system = create(config, config.resolve(params))
    system.fit(Task(train, None, True, spectra or {}), Run())
    return system


def scores_of(system: Recommender, history: Interactions) -> np.ndarray:
    users = np.arange(history.n_users)
    return system.score(users, History.of(history, users))


def dense(part: Interactions) -> np.ndarray:
    x = np.zeros(part.shape)
    x[part.users, part.items] = 1.0
    return x


def to_power(degree: np.ndarray, exponent: float) -> np.ndarray:
    """D to a power as a matrix, with 0 for a node of degree 0."""
    return np.diag([d**exponent if d > 0 else 0.0 for d in degree])


def leading_vectors(matrix: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues and their vectors."""
    values, vectors = np.linalg.eigh(matrix)
    return values[::-1][:rank], vectors[:, ::-1][:, :rank]


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def train(tiny: dict[str, Interactions]) -> Interactions:
    return tiny["train"]


@pytest.fixture(scope="module")
def both(tiny: dict[str, Interactions]) -> Interactions:
    return tiny["train"].merged(tiny["valid"])


# ------------------------------------------------------------------ popularity and EASE


def test_popularity_counts_users(train: Interactions, both: Interactions) -> None:
    found = scores_of(fitted("popularity", train), both)
    assert np.array_equal(found, np.tile(dense(train).sum(axis=0), (120, 1)))


@pytest.mark.parametrize("regularization", [3.0, 100.0])
def test_ease_equals_a_ridge_regression_per_item_without_the_item_itself(
    train: Interactions, both: Interactions, regularization: float
) -> None:
    x, weights = dense(train), np.zeros((80, 80))
    for item in range(80):
        others = np.delete(np.arange(80), item)
        gram = x[:, others].T @ x[:, others] + regularization * np.eye(79)
        weights[others, item] = np.linalg.solve(gram, x[:, others].T @ x[:, item])
    found = scores_of(fitted("ease", train, regularization=regularization), both)
    assert relative_error(found, dense(both) @ weights) < 1e-5


def test_ease_refuses_matrices_beyond_its_memory(train: Interactions) -> None:
    with pytest.raises(Refused, match=r"80 x 80 matrices, more than memory_gb = 0\.0001"):
        fitted("ease", train, memory_gb=1e-4)


# --------------------------------------------------------------------------------- GF-CF


@pytest.mark.parametrize(("rank", "alpha"), [(7, 0.3), (30, 0.0), (80, 2.0)])
def test_gfcf_equals_its_dense_filters(
    train: Interactions, both: Interactions, rank: int, alpha: float
) -> None:
    x = dense(train)
    d_user, d_item = x.sum(axis=1), x.sum(axis=0)
    r = to_power(d_user, -0.5) @ x @ to_power(d_item, -0.5)
    p = r.T @ r
    _, v = leading_vectors(p, rank)
    ideal = to_power(d_item, -0.5) @ v @ v.T @ to_power(d_item, 0.5)
    spectra = {"item-similarity": leading(build("item-similarity", train), rank)}
    found = scores_of(fitted("gfcf", train, spectra, rank=rank, alpha=alpha), both)
    assert relative_error(found, dense(both) @ (p + alpha * ideal)) < 1e-4


# -------------------------------------------------------------------------------- GSPRec


def unified_graph(train: Interactions, depth: int, decay: float) -> np.ndarray:
    """D^-1/2 A D^-1/2 of Eqs. 2 to 6."""
    x, s = dense(train), np.zeros((train.n_items, train.n_items))
    for user in range(train.n_users):
        for first, second in zip(train.sequence(user)[:-1], train.sequence(user)[1:], strict=True):
            s[first, second] = s[second, first] = 1.0
    total = sum(decay ** (k - 1) * np.linalg.matrix_power(s, k) for k in range(1, depth + 1))
    scaled = to_power(total.sum(axis=1), -0.5) @ total @ to_power(total.sum(axis=1), -0.5)
    a = np.block([[np.zeros((len(x), len(x))), x], [x.T, scaled]])
    return to_power(a.sum(axis=1), -0.5) @ a @ to_power(a.sum(axis=1), -0.5)


def gsprec_scores(train: Interactions, history: Interactions, p: dict[str, Any]) -> np.ndarray:
    """Y of Eqs. 4 to 11 with every matrix formed, C_U included."""
    normalised = unified_graph(train, p["depth"], p["decay"])
    values, u = leading_vectors(normalised, p["rank"])
    frequencies, all_frequencies = 1.0 - values, 1.0 - np.linalg.eigvalsh(normalised)
    span = all_frequencies if p["eigenvalue_range"] == "full" else frequencies
    position = (frequencies - span.min()) / (span.max() - span.min())
    g = np.diag(np.exp(-((position - p["center"]) ** 2) / p["width"]))

    x, shown = dense(train), dense(history)
    m = len(x)
    x_u = to_power(x.sum(axis=1), -0.5) @ x
    d_i = x.sum(axis=0)
    d_b = np.concatenate([(x_u @ x_u.T).sum(axis=0), d_i])
    x_b = np.hstack([to_power(shown.sum(axis=1), -0.5) @ shown @ x_u.T, shown])  # [C_U, X]
    low = (x_b @ to_power(d_b, -0.5) @ u @ u.T @ to_power(d_b, 0.5))[:, m:]
    if p["eq8"] == "augmented":
        band = (x_b @ to_power(d_b, -0.5) @ u @ g @ u.T @ to_power(d_b, 0.5))[:, m:]
    else:
        right = -0.5 if p["eq8"] == "literal" else 0.5
        band = shown @ to_power(d_i, -0.5) @ u[m:] @ g @ u[m:].T @ to_power(d_i, right)
    return p["phi"] * band + (1.0 - p["phi"]) * low


SETTINGS = [
    {"rank": 12, "phi": 0.5},
    {"rank": 25, "phi": 0.9, "center": 0.6, "width": 0.3, "depth": 3, "decay": 0.25},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=["default", "other"])
@pytest.mark.parametrize("eigenvalue_range", ["truncated", "full"])
@pytest.mark.parametrize("eq8", ["literal", "balanced", "augmented"])
def test_gsprec_equals_its_equations_in_every_reading(
    train: Interactions, both: Interactions, eq8: str, eigenvalue_range: str, settings: dict
) -> None:
    reading = settings | {"eq8": eq8, "eigenvalue_range": eigenvalue_range}
    p = CATALOG.model("gsprec").resolve(reading)
    name = f"unified-d{p['depth']}-a{p['decay']}"
    system = fitted("gsprec", train, {name: leading(build(name, train), p["rank"])}, **reading)
    for history in (train, both):
        assert relative_error(scores_of(system, history), gsprec_scores(train, history, p)) < 1e-4


def test_the_readings_of_gsprec_differ(train: Interactions) -> None:
    base = CATALOG.model("gsprec").resolve({"rank": 12})
    found = [
        gsprec_scores(train, train, base | {"eq8": eq8, "eigenvalue_range": span})
        for eq8 in ("literal", "balanced", "augmented")
        for span in ("truncated", "full")
    ]
    for i, one in enumerate(found):
        assert all(relative_error(one, other) > 1e-2 for other in found[i + 1 :])


def test_gsprec_refuses_data_without_order(train: Interactions) -> None:
    config = CATALOG.model("gsprec")
    with pytest.raises(Refused, match="order"):
        create(config, config.resolve({})).fit(Task(train, None, False, {}), Run())


def test_a_spectrum_that_was_not_prepared_is_named(train: Interactions) -> None:
    with pytest.raises(KeyError, match="spectrum 'item-similarity' was not prepared"):
        fitted("gfcf", train)


# --------------------------------------------------------------------------- the contract


def test_history_has_the_rows_of_its_users_in_their_order() -> None:
    part = from_pairs(np.array([0, 0, 2, 2, 2]), np.array([3, 1, 0, 3, 2]), None, (3, 4))
    history = History.of(part, np.array([2, 1, 0]))
    assert np.array_equal(history.matrix.toarray(), [[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]])
    assert (history.indptr.tolist(), history.items.tolist()) == ([0, 3, 3, 5], [0, 3, 2, 3, 1])
    assert History.of(part, np.array([], dtype=int)).indptr.tolist() == [0]


# -------------------------------------------------------------------------------- S-Diff

USERS = np.arange(400)


def test_noise_depends_on_seed_step_user_and_nothing_else() -> None:
    whole = counter_normal(7, 3, USERS, 21)
    assert np.array_equal(counter_normal(7, 3, USERS[[5, 300, 2]], 21), whole[[5, 300, 2]])
    assert np.array_equal(counter_normal(7, 3, USERS, 21), whole)
    for other in (counter_normal(8, 3, USERS, 21), counter_normal(7, 4, USERS, 21)):
        assert abs(np.corrcoef(whole.ravel(), other.ravel())[0, 1]) < 0.05
    assert (whole.dtype, whole.shape) == (np.float32, (400, 21))


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
    return {"item-similarity": leading(build("item-similarity", train), 16)}


QUICK = {"rank": 12, "hidden": 20, "epochs": 2, "batch_size": 40, "learning_rate": 0.01}


def sdiff(train: Interactions, spectra: dict[str, Spectrum], **params: Any) -> SDiff:
    return fitted("sdiff", train, spectra, **(QUICK | params))


def plain_sampling(system: SDiff, history: Interactions, guidance: float) -> np.ndarray:
    """Algorithm 2 in NumPy, with the same denoiser and the same noise."""
    p = system.params
    users, basis = np.arange(history.n_users), system.basis.astype(float)
    seed = axis_seed(0, "inference")

    def denoise(signal: np.ndarray, condition: np.ndarray, time: float) -> np.ndarray:
        tensors = [torch.tensor(a, dtype=torch.float32) for a in (signal, condition)]
        with torch.no_grad():
            return system.denoiser(*tensors, torch.full((len(signal),), time)).numpy().astype(float)

    def noised(clean: np.ndarray, step: int) -> np.ndarray:
        time = np.array([step / p.steps * p.tau])
        alpha, sigma = schedule(p.schedule, time, system.frequencies, p.alpha_min, p.sigma_max)
        return alpha * clean + sigma * counter_normal(seed, step, users, basis.shape[1])

    condition = dense(history) @ basis / system.scale
    signal = noised(condition, p.steps)
    for step in range(p.steps, 0, -1):
        time = step / p.steps * p.tau
        given = denoise(signal, condition, time)
        free = denoise(signal, np.zeros_like(condition), time)
        clean = (1.0 - guidance) * given + guidance * free
        signal = noised(clean, step - 1) if step > 1 else clean
    return (signal * system.scale) @ basis.T


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"schedule": "ve", "steps": 3, "standardize": True},
        {"schedule": "ddpm", "steps": 1, "tau": 0.7, "film": "linear"},
        {"film": "concat", "guidance": 0.4, "alpha_min": 0.3},
        {"film": "condition-only", "guidance": 1.0, "sigma_max": 1.0},
    ],
    ids=str,
)
def test_sdiff_samples_as_algorithm_2(
    train: Interactions, both: Interactions, item_spectrum: dict, params: dict
) -> None:
    system = sdiff(train, item_spectrum, **params)
    expected = plain_sampling(system, both, system.params.guidance)
    assert relative_error(scores_of(system, both), expected) < 1e-4


def test_guidance_0_uses_the_conditional_estimate_alone(train: Interactions, item_spectrum: dict) -> None:
    system = sdiff(train, item_spectrum, guidance=0.0)
    signal, condition = torch.randn(5, 12), torch.randn(5, 12)
    with torch.no_grad():
        given = system.denoiser(signal, condition, torch.full((5,), 0.4))
        assert torch.equal(system._guided(signal, condition, 0.4), given)


def test_guidance_mixes_both_estimates(train: Interactions, item_spectrum: dict) -> None:
    system = sdiff(train, item_spectrum, guidance=0.25)
    signal, condition = torch.randn(5, 12), torch.randn(5, 12)
    with torch.no_grad():
        given = system.denoiser(signal, condition, torch.full((5,), 0.4))
        free = system.denoiser(signal, torch.zeros(5, 12), torch.full((5,), 0.4))
        assert torch.allclose(system._guided(signal, condition, 0.4), 0.75 * given + 0.25 * free, atol=1e-6)


class Recorder(torch.nn.Module):
    """Stands in for the denoiser: keeps what it is given and answers 0."""

    def forward(self, noisy: torch.Tensor, condition: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        self.noisy, self.condition, self.time = noisy, condition, time
        return torch.zeros_like(noisy)


def trained_on(train: Interactions, spectra: dict, **params: Any) -> tuple[Recorder, torch.Tensor, float]:
    """What the denoiser sees in one training step on all users, the clean signal and the loss."""
    system = sdiff(train, spectra, **params)
    system.denoiser = Recorder()
    batch = UserRows(train, 1000, "cpu").rows(torch.arange(train.n_users))
    loss = float(system._loss(batch, torch.Generator().manual_seed(0)))
    clean = torch.tensor(dense(train) @ system.basis / system.scale, dtype=torch.float32)
    return system.denoiser, clean, loss


def test_the_loss_is_the_squared_error_of_the_clean_signal(train: Interactions, item_spectrum: dict) -> None:
    _, clean, loss = trained_on(train, item_spectrum, standardize=True)
    assert loss == pytest.approx(float((clean**2).sum(dim=1).mean()), rel=1e-5)


def test_the_forward_process_scales_the_signal_and_adds_noise_of_its_level(
    train: Interactions, item_spectrum: dict
) -> None:
    seen, clean, _ = trained_on(train, item_spectrum, sigma_max=0.4)
    frequencies = np.clip(1.0 - item_spectrum["item-similarity"].values[:12], 0.0, None)
    alpha, sigma = schedule("vp", seen.time.numpy(), frequencies, 0.1, 0.4)
    assert 0.0 <= float(seen.time.min()) < 0.1 < 0.9 < float(seen.time.max()) <= 1.0
    noisy = sigma.min(axis=0) > 1e-3
    noise = (seen.noisy.numpy() - alpha * clean.numpy())[:, noisy] / sigma[:, noisy]
    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(1.0, abs=0.1)
    clear = trained_on(train, item_spectrum, sigma_max=0.0, alpha_min=1.0)
    assert torch.allclose(clear[0].noisy, clear[1], atol=1e-5)


def test_the_condition_is_the_history_without_the_masked_items(
    train: Interactions, item_spectrum: dict
) -> None:
    seen, clean, _ = trained_on(train, item_spectrum, mask=0.0, p_uncond=0.0)
    assert torch.allclose(seen.condition, clean, atol=1e-5)
    seen, clean, _ = trained_on(train, item_spectrum, mask=0.6, p_uncond=0.0)
    kept = float((seen.condition[:, 0] / clean[:, 0]).mean())  # the first eigenvector is positive
    assert kept == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("uncond_by", ["sample", "batch"])
def test_the_condition_is_dropped_for_a_sample_or_a_batch(
    train: Interactions, item_spectrum: dict, uncond_by: str
) -> None:
    system = sdiff(train, item_spectrum, mask=0.0, p_uncond=0.5, uncond_by=uncond_by)
    system.denoiser = Recorder()
    batch = UserRows(train, 1000, "cpu").rows(torch.arange(train.n_users))
    shares = []
    for seed in range(30):
        system._loss(batch, torch.Generator().manual_seed(seed))
        shares.append(float((system.denoiser.condition == 0).all(dim=1).float().mean()))
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
