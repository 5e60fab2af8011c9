"""DiffRec and GiffCF: their formulas against plain references, their fast ways against slow ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.models.diffrec import (
    DiffRec,
    hidden_widths,
    loss_weights,
    posterior,
    rising,
    signal_shares,
    time_code,
)
from recspectra.models.giffcf import START_SCALE, Mixer, Smoother
from recspectra.recommender import History, Recommender, Refused, Run, Task, create
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import OperatorError, build, tempered
from recspectra.training.importance import KEPT, UNIFORM, TimeSampler
from recspectra.training.rows import SparseRows

ML1M = (40, 0.005, 0.005, 0.01)  # the authors' schedule
GRAPH = "item-similarity-u0.25"


@pytest.fixture(scope="module")
def task(tiny: dict[str, Interactions]) -> Task:
    train = tiny["train"]
    spectra = {GRAPH: leading(build(GRAPH, train), 32)}
    return Task(train, tiny["valid"], True, spectra)


def fitted(catalog: Catalog, task: Task, name: str, run: Run | None = None, **changes: Any) -> Recommender:
    config = catalog.model(name)
    small = {"epochs": 3, "batch_size": 32, "learning_rate": 1e-2, "rank": 8, "dimensions": 16, "dims": "300"}
    params = {k: v for k, v in (small | changes).items() if k in config.params}
    system = create(config, config.resolve(params))
    system.fit(task, run or Run())
    return system


def shown(task: Task, users: Any = None) -> tuple[np.ndarray, History]:
    users = np.arange(task.train.n_users) if users is None else np.asarray(users)
    return users, History.of(task.train, users)


# ------------------------------------------------------------------- importance sampling


def remembered(events: list[tuple[int, float]], steps: int) -> list[list[float]]:
    """The last losses of each time, one event after the other."""
    lists: list[list[float]] = [[] for _ in range(steps)]
    for time, loss in events:
        lists[time] = [*lists[time], loss][-KEPT:]
    return lists


@pytest.mark.parametrize("sizes", [[1] * 40, [7, 30, 3, 64], [200, 5], [0, 33]])
def test_recording_a_batch_is_recording_its_losses_one_by_one(sizes: list[int]) -> None:
    steps, generator = 4, torch.Generator().manual_seed(len(sizes))
    sampler, events = TimeSampler(steps, "importance"), []
    for size in sizes:
        times = torch.randint(steps, (size,), generator=generator)
        losses = torch.rand(size, generator=generator)
        sampler.record(times, losses)
        events += list(zip(times.tolist(), losses.tolist(), strict=True))
    expected = remembered(events, steps)
    assert sampler.counts.tolist() == [len(values) for values in expected]
    for row, values in zip(sampler.losses.tolist(), expected, strict=True):
        assert row == [0.0] * (KEPT - len(values)) + values


def test_times_are_drawn_by_the_root_mean_square_of_their_last_losses() -> None:
    assert (KEPT, UNIFORM) == (10, 0.001)  # what Nichol and Dhariwal remember and mix in
    sampler = TimeSampler(3, "importance")
    sampler.record(torch.tensor([0, 1] * KEPT), torch.tensor([1.0, 2.0] * KEPT))
    assert torch.equal(sampler.probabilities(), torch.full((3,), 1 / 3))  # nothing of time 2 yet
    sampler.record(torch.full((KEPT,), 2), torch.tensor([3.0, 4.0] * (KEPT // 2)))
    size = np.array([1.0, 2.0, np.sqrt(12.5)])
    expected = (1 - UNIFORM) * size / size.sum() + UNIFORM / 3
    assert np.allclose(sampler.probabilities(), expected, atol=1e-6)


def test_a_loss_divided_by_its_odds_keeps_its_mean() -> None:
    sampler = TimeSampler(4, "importance")
    sampler.record(torch.arange(4).repeat(KEPT), torch.tensor([9.0, 1.0, 3.0, 0.5]).repeat(KEPT))
    times, odds = sampler.draw(200_000, torch.Generator().manual_seed(1))
    assert abs(float((times.float() ** 2 / odds).mean()) - 3.5) < 0.1  # the mean of 0, 1, 4, 9
    counts = torch.bincount(times, minlength=4) / len(times)
    assert torch.allclose(counts, sampler.probabilities(), atol=5e-3)


def test_uniform_sampling_remembers_nothing() -> None:
    sampler = TimeSampler(5, "uniform")
    sampler.record(torch.arange(5).repeat(20), torch.arange(100.0))
    times, odds = sampler.draw(50, torch.Generator().manual_seed(0))
    assert not sampler.counts.any()
    assert torch.allclose(odds, torch.ones(50))
    assert set(times.tolist()) == set(range(5))


# ------------------------------------------------------------------- DiffRec: schedule


def test_the_noise_of_the_authors_schedule() -> None:
    """Standard deviations from .0032 to .0059 on ML-1M, as their program has them."""
    noise = np.sqrt(1.0 - signal_shares(*ML1M))
    assert np.round(noise[[0, -1]], 4).tolist() == [0.0032, 0.0059]
    assert (np.diff(noise) > 0).all()


def test_steps_back_are_the_means_of_the_gaussian_posterior() -> None:
    """The mean of q(x_(t-1) | x_t, x_0), by multiplying the two densities and reading off the peak."""
    shares = signal_shares(5, 0.5, 0.2, 0.9)
    a, b = posterior(shares)
    grid, clean, noisy = np.linspace(-4, 4, 400_001), 0.7, -0.4
    for t in range(1, 5):
        alpha = shares[t] / shares[t - 1]
        log = -((noisy - np.sqrt(alpha) * grid) ** 2) / (2 * (1 - alpha))
        log -= (grid - np.sqrt(shares[t - 1]) * clean) ** 2 / (2 * (1 - shares[t - 1]))
        assert abs(grid[log.argmax()] - (a[t] * clean + b[t] * noisy)) < 1e-4
    assert (a[0], b[0]) == (1.0, 0.0)


def test_a_time_weighs_the_drop_of_the_signal_to_noise_ratio() -> None:
    shares = signal_shares(*ML1M)
    weights = loss_weights(shares)
    assert weights[0] == 1.0
    assert np.isclose(weights[3], shares[2] / (1 - shares[2]) - shares[3] / (1 - shares[3]))
    assert 5e3 < weights[1] < 7e3
    assert 4e2 < weights[-1] < 6e2


def test_time_codes_are_cosines_and_sines() -> None:
    code = time_code(torch.tensor([0, 3]), 4)
    expected = [[1, 1, 0, 0], [np.cos(3), np.cos(0.03), np.sin(3), np.sin(0.03)]]
    assert np.allclose(code, expected, atol=1e-6)


def test_widths_mirror_the_decoder() -> None:
    assert hidden_widths("1000") == [1000]
    assert hidden_widths("200-600") == [600, 200, 600]


# ------------------------------------------------------------------- DiffRec: training


def test_corrupted_rows_have_the_moments_of_the_forward_process(catalog: Catalog, task: Task) -> None:
    system = fitted(catalog, task, "diffrec", epochs=1, dropout=0.0, scale=1.0, low=0.1, high=0.9, steps=5)
    clean, times = torch.full((2000, 50), 2.0), torch.full((2000,), 3)
    noisy = system._corrupted(clean, times, torch.Generator().manual_seed(0))
    share = signal_shares(5, 1.0, 0.1, 0.9)[3]
    assert abs(float(noisy.mean()) - 2.0 * np.sqrt(share)) < 0.01
    assert abs(float(noisy.std()) - np.sqrt(1.0 - share)) < 0.01


def test_dropout_hides_its_share_and_scales_the_rest(catalog: Catalog, task: Task) -> None:
    system = fitted(catalog, task, "diffrec", epochs=1, dropout=0.3)
    noisy = system._corrupted(torch.ones(500, 80), torch.zeros(500, dtype=torch.int64), torch.Generator())
    assert abs(float((noisy == 0).float().mean()) - 0.3) < 0.01
    assert abs(float(noisy[noisy != 0].mean()) - 1 / 0.7) < 0.01


@pytest.mark.parametrize("reweight", [True, False])
def test_the_loss_is_the_weighted_mean_square(reweight: bool, catalog: Catalog, task: Task) -> None:
    system = fitted(catalog, task, "diffrec", sampling="uniform", dropout=0.0, steps=3, reweight=reweight)
    batch = next(iter(system.batches(task)(torch.Generator().manual_seed(0))))
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    found = system.loss(batch, generators[0])
    clean = torch.as_tensor(task.train.matrix[batch.users.numpy()].toarray())
    times, _ = system.module.sampler.draw(len(clean), generators[1])
    noise = torch.randn(clean.shape, generator=generators[1])
    share = torch.as_tensor(signal_shares(3, *ML1M[1:]), dtype=torch.float32)[times][:, None]
    error = (system.module(share.sqrt() * clean + (1 - share).sqrt() * noise, times) - clean) ** 2
    weight = loss_weights(signal_shares(3, *ML1M[1:]))[times] if reweight else np.ones(len(clean))
    assert np.isclose(found.item(), (weight * error.mean(dim=1).detach().numpy()).mean(), rtol=1e-4)


def test_training_by_importance_remembers_losses(catalog: Catalog, task: Task) -> None:
    system = fitted(catalog, task, "diffrec", steps=2, epochs=1)
    assert system.module.sampler.counts.tolist() == [KEPT, KEPT]
    assert (system.module.sampler.losses > 0).all()


def test_noise_that_shrinks_is_refused(catalog: Catalog, task: Task) -> None:
    with pytest.raises(Refused, match=r"low 0\.5 exceeds high 0\.1"):
        fitted(catalog, task, "diffrec", low=0.5, high=0.1)


# -------------------------------------------------------------------- DiffRec: scoring


def backward(system: DiffRec, rows: np.ndarray) -> torch.Tensor:
    """All backward steps on dense rows."""
    p = system.params
    a, b = posterior(signal_shares(p.steps, p.scale, p.low, p.high))
    x = torch.as_tensor(rows)
    with torch.no_grad():
        for t in reversed(range(p.steps)):
            estimate = system.module(x, torch.full((len(x),), t))
            x = float(a[t]) * estimate + float(b[t]) * x
    return x


@pytest.mark.parametrize(("dims", "steps"), [("300", 1), ("300", 6), ("200-600", 5)])
def test_folded_scoring_is_the_backward_process(dims: str, steps: int, catalog: Catalog, task: Task) -> None:
    system = fitted(catalog, task, "diffrec", dims=dims, steps=steps, scale=0.1, high=0.5)
    users, history = shown(task, [5, 90, 5, 17])
    expected = backward(system, history.matrix.toarray())
    assert np.allclose(system.score(users, history), expected, atol=1e-5)


# -------------------------------------------------------------------------- T-DiffRec


def test_weights_rise_evenly_with_the_rank_in_a_row() -> None:
    found = rising(torch.tensor([3, 0, 1, 5]), 0.2).numpy()
    expected = [np.linspace(0.2, 1.0, size) for size in (3, 0, 1, 5)]
    assert np.allclose(found, np.concatenate(expected), atol=1e-6)


@pytest.mark.parametrize(("weights", "same"), [("none", True), ("time", False)])
def test_order_counts_with_weights_by_time_only(
    weights: str, same: bool, catalog: Catalog, task: Task
) -> None:
    system = fitted(catalog, task, "diffrec", weights=weights)
    users, history = shown(task, [4])
    turned = replace(history, items=history.items[::-1].copy())
    close = np.allclose(system.score(users, history), system.score(users, turned), rtol=1e-3, atol=1e-5)
    assert close is same


def test_rows_in_training_and_in_scoring_are_weighted_alike(catalog: Catalog, task: Task) -> None:
    system = fitted(catalog, task, "diffrec", weights="time", oldest_weight=0.3, steps=4)
    users, history = shown(task, [4, 8])
    rows = np.zeros((2, task.train.n_items), dtype=np.float32)
    for row, user in enumerate(users):
        items = task.train.sequence(user)
        rows[row, items] = np.linspace(0.3, 1.0, len(items))
    assert np.allclose(system.score(users, history), backward(system, rows), atol=1e-5)
    batch = system.batches(task).rows(torch.as_tensor(users))
    assert np.allclose(system._weighted(SparseRows.of(batch, 80)).dense(), rows, atol=1e-6)


def test_weights_by_time_need_an_order(catalog: Catalog, task: Task) -> None:
    with pytest.raises(Refused, match="order"):
        fitted(catalog, replace(task, ordered=False), "diffrec", weights="time")


# ------------------------------------------------------------------ GiffCF: the operator


def dense_similarity(train: Interactions, exponent: float) -> np.ndarray:
    x = train.matrix.toarray().astype(np.float64)
    users, items = x.sum(axis=1), x.sum(axis=0)
    left = np.where(items > 0, 1.0 / np.sqrt(np.maximum(items, 1)), 0.0)
    return left[:, None] * (x.T @ ((users**-exponent)[:, None] * x)) * left[None, :]


@pytest.mark.parametrize("exponent", [0.0, 0.25, 0.5])
def test_the_tempered_similarity_is_its_formula(exponent: float, task: Task) -> None:
    operator = build(f"item-similarity-u{exponent}", task.train)
    dense = dense_similarity(task.train, 2.0 * exponent)
    assert np.allclose(operator.formed(), dense)
    low, high = operator.interval
    values = np.linalg.eigvalsh(dense)
    assert low - 1e-9 <= values[0]
    assert values[-1] <= high + 1e-9


def test_half_is_the_item_similarity(task: Task) -> None:
    block = np.random.default_rng(0).normal(size=(task.train.n_items, 3))
    one, two = (build(name, task.train) for name in ("item-similarity-u0.5", "item-similarity"))
    assert np.array_equal(one @ block, two @ block)


def test_items_and_users_of_degree_0_stay_finite() -> None:
    lonely = from_pairs(np.array([0, 2]), np.array([1, 1]), np.array([1.0, 1.0]), (4, 3))
    operator = build(GRAPH, lonely)
    assert np.allclose(operator.formed(), np.diag([0.0, 1.0, 0.0]))


def test_a_negative_exponent_of_users_is_refused(task: Task) -> None:
    with pytest.raises(OperatorError, match="at least 0"):
        build("item-similarity-u-1", task.train)


@pytest.mark.parametrize("weight", [0.0, 0.3])
@pytest.mark.parametrize("formed", [True, False])
def test_smoothing_is_its_formula(weight: float, formed: bool, task: Task) -> None:
    spectrum = task.spectrum(GRAPH, 7)
    root = (tempered(task.train.matrix, 0.25) / np.sqrt(spectrum.values[0])).astype(np.float32)
    smooth = Smoother(root, spectrum.vectors, weight, formed, torch.device("cpu"))
    a, v = dense_similarity(task.train, 0.5), spectrum.vectors.astype(np.float64)
    expected = (a / np.linalg.eigvalsh(a)[-1] + weight * v @ v.T) / (1.0 + weight)
    x = np.random.default_rng(0).normal(size=(5, task.train.n_items)).astype(np.float32)
    assert np.allclose(smooth(torch.as_tensor(x)), x @ expected, atol=1e-5)
    rows = task.train.matrix[[3, 50]]
    found = smooth.of_rows(SparseRows.from_matrix(rows))
    assert np.allclose(found, rows.toarray() @ expected, atol=1e-5)
    assert abs(np.linalg.eigvalsh(expected)[-1] - 1.0) < 1e-6


# -------------------------------------------------------------------- GiffCF: the rest


def test_a_mixer_is_an_mlp_over_features() -> None:
    torch.manual_seed(0)
    mixer = Mixer(4)
    torch.nn.init.normal_(mixer.inner_bias)
    torch.nn.init.normal_(mixer.outer_bias)
    plain = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.SiLU(), torch.nn.Linear(2, 1))
    plain[0].weight.data, plain[0].bias.data = mixer.inner.data, mixer.inner_bias.data
    plain[2].weight.data, plain[2].bias.data = mixer.outer.data[None], mixer.outer_bias.data
    wide, narrow = [torch.randn(5, 6) for _ in range(3)], torch.randn(5, 1)
    stacked = torch.stack([*wide, narrow.expand(5, 6)], dim=2)
    assert torch.allclose(mixer([*wide, narrow]), plain(stacked)[..., 0], atol=1e-6)


@pytest.mark.parametrize("start", ["spectrum", "glorot"])
def test_where_the_items_vectors_start(start: str, catalog: Catalog, task: Task) -> None:
    system = fitted(catalog, task, "giffcf", start=start, learning_rate=1e-12, epochs=1)
    vectors = system.module.vectors.detach().numpy()
    leading8 = START_SCALE * task.spectrum(GRAPH, 8).vectors
    bound = np.sqrt(6.0 / (80 + 16))
    assert np.allclose(vectors[:, :8], leading8, atol=1e-5) is (start == "spectrum")
    assert np.abs(vectors[:, 8:]).max() <= bound + 1e-6  # more dimensions than eigenvectors
    assert vectors[:, 8:].std() > 0.4 * bound


def denoised(system: Recommender, z: torch.Tensor, rows: SparseRows, t: int) -> torch.Tensor:
    net = system.module
    times = torch.full((len(z),), t)
    with torch.no_grad():
        return net(z @ net.vectors, rows, system.smooth.of_rows(rows), times)


@pytest.mark.parametrize(
    ("steps", "decay", "ideal", "memory"), [(3, 0.5, 0.0, 1.0), (3, 1.0, 0.2, 0.0), (1, 0.0, 0.2, 1.0)]
)
def test_scoring_by_two_blocks_is_the_backward_process(
    steps: int, decay: float, ideal: float, memory: float, catalog: Catalog, task: Task
) -> None:
    system = fitted(
        catalog, task, "giffcf", steps=steps, noise_decay=decay, ideal_weight=ideal, memory_gb=memory
    )
    assert (system.smooth.table is None) is (memory == 0.0)
    users, history = shown(task, [5, 90, 5, 17])
    rows = SparseRows.from_matrix(history.matrix)

    def forward(x: torch.Tensor, t: int) -> torch.Tensor:
        share = 1.5 * t / steps
        return (1.0 - share) * x + share * system.smooth(x)

    z = forward(rows.dense(), steps)
    for t in range(steps, 0, -1):
        estimate = denoised(system, z, rows, t)
        z = forward(estimate, t - 1) + decay * (z - forward(estimate, t))
    assert np.allclose(system.score(users, history), z, atol=1e-5)


def test_the_squared_error_counts_all_items_of_a_user(catalog: Catalog, task: Task) -> None:
    """Without dropout the condition is the row itself, so that the loss can be told from the denoiser."""
    system = fitted(catalog, task, "giffcf", dropout=0.0, steps=1)
    batch = next(iter(system.batches(task)(torch.Generator().manual_seed(0))))
    rows = SparseRows.of(batch, task.train.n_items)
    clean = rows.dense()
    blurred = clean + 1.5 * (system.smooth(clean) - clean)
    error = (denoised(system, blurred, rows, 1) - clean) ** 2
    found = system.loss(batch, torch.Generator().manual_seed(0))
    assert np.isclose(found.item(), error.sum(dim=1).mean().item(), rtol=1e-4)


@pytest.mark.parametrize("memory", [1.0, 0.0])
def test_rows_that_are_smoothed_once_train_to_the_same_bytes(
    memory: float, catalog: Catalog, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoothed: list[int] = []
    of_rows = Smoother.of_rows
    monkeypatch.setattr(Smoother, "of_rows", lambda s, rows: smoothed.append(len(rows)) or of_rows(s, rows))

    def trained(room: int) -> tuple[dict[str, np.ndarray], int]:
        monkeypatch.setattr("recspectra.models.giffcf.KEPT_BYTES", room)
        smoothed.clear()
        state = fitted(catalog, task, "giffcf", memory_gb=memory, epochs=3).state()
        return state, sum(smoothed)

    (kept, few), (anew, many) = trained(2**30), trained(0)
    assert kept.keys() == anew.keys()
    assert all(np.array_equal(kept[name], anew[name]) for name in kept)
    assert many - few == 2 * task.train.n_users  # once in place of three times


def test_hidden_entries_reach_the_blurred_row_but_not_the_condition(
    catalog: Catalog, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = fitted(catalog, task, "giffcf", dropout=0.5, alpha=0.0)
    seen: list[Any] = []
    forward = system.module.forward
    monkeypatch.setattr(system.module, "forward", lambda *given: seen.append(given) or forward(*given))
    batch = next(iter(system.batches(task)(torch.Generator().manual_seed(0))))
    system.loss(batch, torch.Generator().manual_seed(0))
    (blurred, condition, smoothed, times), clean = seen[0], SparseRows.of(batch, task.train.n_items).dense()
    assert torch.allclose(blurred, clean @ system.module.vectors, atol=1e-5)
    assert torch.allclose(smoothed, system.smooth(condition.dense()), atol=1e-5)
    assert set(condition.dense().unique().tolist()) == {0.0, 2.0}
    assert not (condition.dense() * (1 - clean)).any()
    assert 0.4 < float((condition.dense() > 0).sum() / clean.sum()) < 0.6
    assert set(times.tolist()) == {1, 2, 3}


# ------------------------------------------------------------------------ interruption


def test_giffcf_in_the_span_is_giffcf_projected(catalog: Catalog, task: Task) -> None:
    both = replace(
        task, spectra={**task.spectra, "item-similarity": leading(build("item-similarity", task.train), 16)}
    )
    whole = fitted(catalog, both, "giffcf", epochs=1)
    span = fitted(catalog, both, "giffcf_span", epochs=1)
    vectors = both.spectrum("item-similarity", 8).vectors
    users, history = shown(both)
    expected = whole.score(users, history) @ vectors @ vectors.T
    found = span.score(users, history)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.linalg.matrix_rank(found, tol=1e-4) == 8
