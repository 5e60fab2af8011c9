"""Autoencoders: sparse rows and losses against plain references, and what each model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.nn.functional import cross_entropy

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions
from recspectra.layers.autoencoder import Autoencoder
from recspectra.models.cdae import RowsAndNegatives
from recspectra.models.codigem import CODIGEM
from recspectra.models.diffrec import signal_shares
from recspectra.recommender import History, Run, Task, create
from recspectra.training.batches import UserRows
from recspectra.training.losses import (
    gaussian_divergence,
)
from recspectra.training.rows import RowsLayer, SparseRows

SYSTEMS = ("cdae", "multidae", "multidae_pp", "multivae", "codigem")
FOLD_IN = SYSTEMS[1:]
every_model = pytest.mark.parametrize("name", SYSTEMS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_rows(b: int = 9, n: int = 14, weighted: bool = True) -> SparseRows:
    """Rows with about a third of their entries; row 4 is empty, and so is column 3."""
    rng = np.random.default_rng(2)
    matrix = (rng.random((b, n)) < 0.35).astype(np.float32)
    matrix[4], matrix[:, 3] = 0.0, 0.0
    if weighted:
        matrix *= rng.normal(size=(b, n)).astype(np.float32)
    return SparseRows.from_matrix(sp.csr_array(matrix))


def leaves(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    """Normal tensors that want gradients."""
    draws = generator(7)
    return [torch.randn(shape, generator=draws).requires_grad_() for shape in shapes]


def assert_same_values_and_gradients(
    fast: torch.Tensor, plain: torch.Tensor, inputs: list[torch.Tensor]
) -> None:
    upstream = torch.randn(plain.shape, generator=generator(3))
    assert torch.allclose(fast, plain, rtol=1e-4, atol=1e-5)
    pairs = (torch.autograd.grad(value, inputs, upstream) for value in (fast, plain))
    for one, other in zip(*pairs, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


# -------------------------------------------------------------------------- sparse rows


def test_a_product_with_sparse_rows_is_that_of_the_dense_ones_with_its_gradient() -> None:
    rows, (weight,) = random_rows(), leaves((14, 5))
    assert_same_values_and_gradients(rows @ weight, rows.dense() @ weight, [weight])


def test_products_at_the_entries_are_those_of_the_dense_product_with_their_gradients() -> None:
    rows, (left, right) = random_rows(), leaves((9, 5), (14, 5))
    plain = (left @ right.T)[rows.owners.long(), rows.columns.long()]
    assert_same_values_and_gradients(rows.products(left, right), plain, [left, right])


def test_products_at_entries_that_occur_twice_count_twice_in_the_gradients() -> None:
    columns, indptr = torch.tensor([2, 2, 1], dtype=torch.int32), torch.tensor([0, 2, 3], dtype=torch.int32)
    rows, (left, right) = SparseRows(columns, indptr, torch.ones(3), 4), leaves((2, 3), (4, 3))
    plain = (left[[0, 0, 1]] * right[[2, 2, 1]]).sum(dim=1)
    assert_same_values_and_gradients(rows.products(left, right), plain, [left, right])


def test_rows_without_any_entry_have_products_of_zero() -> None:
    rows, (weight,) = SparseRows.from_matrix(sp.csr_array((3, 6), dtype=np.float32)), leaves((6, 2))
    product = rows.normalised().dropped(0.5, generator()) @ weight
    assert torch.equal(product, torch.zeros(3, 2))
    assert torch.equal(torch.autograd.grad(product.sum(), weight)[0], torch.zeros(6, 2))


def test_rows_of_a_batch_are_those_of_the_matrix(tiny: dict[str, Interactions]) -> None:
    users = torch.tensor([5, 118, 5, 0])
    batch = UserRows(tiny["train"], 10, "cpu").rows(users)
    rows = SparseRows.of(batch, 80)
    assert np.array_equal(rows.dense().numpy(), tiny["train"].matrix[users.numpy()].toarray())


def test_normalised_rows_have_length_one_or_stay_empty() -> None:
    rows = random_rows()
    dense = rows.dense()
    expected = dense / dense.norm(dim=1, keepdim=True).clamp(min=1e-30)
    assert torch.allclose(rows.normalised().dense(), expected, atol=1e-6)
    assert rows.normalised().dense().norm(dim=1)[4] == 0.0


def test_dropout_keeps_a_share_of_the_entries_and_the_mean() -> None:
    rows = SparseRows.from_matrix(sp.csr_array(np.full((40, 500), 3.0, dtype=np.float32)))
    dropped = rows.dropped(0.8, generator()).dense()
    kept = dropped > 0
    assert abs(float(kept.float().mean()) - 0.2) < 0.02
    assert torch.allclose(dropped[kept], torch.tensor(15.0))
    assert kept.float().mean(dim=1).std() < 0.05  # entries of all rows, not of the first ones


def test_dropout_leaves_entries_in_their_places() -> None:
    rows = random_rows()
    dropped = rows.dropped(0.5, generator())
    assert 0 < len(dropped.columns) < len(rows.columns)
    places = dropped.dense() != 0
    assert torch.allclose(dropped.dense()[places], 2.0 * rows.dense()[places])
    assert rows.dropped(0.0, generator()) is rows


@pytest.mark.parametrize(("start", "stop"), [(0, 9), (2, 6), (4, 5), (8, 20)])
def test_a_part_of_rows_is_that_part(start: int, stop: int) -> None:
    rows = random_rows()
    assert torch.equal(rows.part(start, stop).dense(), rows.dense()[start:stop])


def test_a_layer_takes_sparse_and_dense_rows_alike() -> None:
    rows, layer = random_rows(), RowsLayer(14, 6)
    assert torch.allclose(layer(rows), layer(rows.dense()), atol=1e-6)
    assert layer.weight.abs().max() <= (6.0 / 20.0) ** 0.5


# ------------------------------------------------------------------------------ models


def made(name: str, data: Interactions, **changes: Any) -> Autoencoder:
    """A model that is built, but not trained."""
    config = Catalog(Path(__file__).resolve().parents[3]).model(name)
    system = create(config, config.resolve({"batch_size": 40} | changes))
    system.device, system.shape = torch.device("cpu"), np.array(data.shape)
    system.prepare(Task(data, None, True), Run(seed=4))
    torch.manual_seed(1)
    system.module = system.build()
    with torch.no_grad():
        system.refresh()
    return system


def batch_of(system: Autoencoder, data: Interactions) -> Any:
    return next(iter(system.batches(Task(data, None, True))(generator())))


def shown(data: Interactions, users: list[int]) -> tuple[np.ndarray, History]:
    return np.array(users), History.of(data, np.array(users))


@pytest.mark.parametrize("name", FOLD_IN)
def test_what_is_scored_is_the_history_not_the_user(name: str, tiny: dict[str, Interactions]) -> None:
    system = made(name, tiny["train"])
    users, history = shown(tiny["train"], [3, 70, 9])
    expected = system.score(users, history)
    assert np.array_equal(system.score(np.array([100, 3, 0]), history), expected)
    longer = tiny["train"].merged(tiny["valid"])
    assert not np.array_equal(system.score(*shown(longer, [3, 70, 9])), expected)


def test_cdae_scores_the_history_and_the_users_own_vector(tiny: dict[str, Interactions]) -> None:
    system = made("cdae", tiny["train"])
    users, history = shown(tiny["train"], [3, 70, 9])
    first = torch.as_tensor(history.matrix.toarray()) @ system.module.first.weight + system.module.first.bias
    with torch.no_grad():
        expected = system.module.last(torch.tanh(first + system.module.users[users])).numpy()
    assert np.allclose(system.score(users, history), expected, atol=1e-5)
    assert not np.allclose(system.score(np.array([4, 71, 10]), history), expected, atol=1e-5)


def test_negatives_of_cdae_are_items_that_the_user_has_not(tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]
    batches = list(RowsAndNegatives(train, 50, "cpu", 4)(generator()))
    assert sum(len(batch.negatives) for batch in batches) == train.nnz
    for batch in batches:
        lengths = train.lengths[batch.rows.users.numpy()]
        owners = np.repeat(batch.rows.users.numpy(), 4 * lengths)
        assert batch.negatives.shape == (lengths.sum(), 4)
        assert train.matrix[owners, batch.negatives.numpy().reshape(-1)].sum() == 0


def test_cdae_with_all_negatives_samples_none(tiny: dict[str, Interactions]) -> None:
    system = made("cdae", tiny["train"], loss="all")
    assert batch_of(system, tiny["train"]).negatives.shape[1] == 0
    sampled = made("cdae", tiny["train"], loss="sampled", negatives=7)
    assert batch_of(sampled, tiny["train"]).negatives.shape[1] == 7


def test_the_penalty_of_cdae_falls_on_all_parameters(tiny: dict[str, Interactions]) -> None:
    losses = []
    for weight in (0.0, 0.1):
        system = made("cdae", tiny["train"], regularization=weight, dropout=0.0)
        batch = batch_of(system, tiny["train"])
        losses.append(float(system.loss(batch, generator()).detach()))
    net, users = system.module, batch.rows.users
    blocks = (net.first.weight, net.first.bias, net.last.weight, net.last.bias)
    penalty = float(sum((b**2).sum() for b in blocks).detach())
    penalty += float((net.users[users] ** 2).sum().detach()) / len(users)
    assert losses[1] - losses[0] == pytest.approx(0.1 * penalty, rel=1e-4)


@pytest.mark.parametrize(("code", "hidden"), [("tanh", 0), ("tanh", 12), ("linear", 12), ("linear", 0)])
def test_multidae_is_the_network_of_its_formula(
    code: str, hidden: int, tiny: dict[str, Interactions]
) -> None:
    system = made("multidae", tiny["train"], hidden=hidden, dimensions=6, code=code)
    users, history = shown(tiny["train"], [3, 70])
    x, net = torch.as_tensor(history.matrix.toarray()), system.module
    state = net.first(x / x.norm(dim=1, keepdim=True))
    if hidden:
        state = torch.tanh(state) @ net.code.weight + net.code.bias
    state = torch.tanh(state) if code == "tanh" else state
    if hidden:
        state = torch.tanh(state @ net.inner.weight + net.inner.bias)
    expected = (state @ net.last.weight.T + net.last.bias).detach().numpy()
    assert np.allclose(system.score(users, history), expected, atol=1e-5)


def test_the_penalty_of_multidae_leaves_biases_out(tiny: dict[str, Interactions]) -> None:
    losses = []
    for weight in (0.0, 0.1):
        system = made("multidae", tiny["train"], regularization=weight, dropout=0.0, hidden=10)
        losses.append(float(system.loss(batch_of(system, tiny["train"]), generator()).detach()))
    net = system.module
    layers = (net.first, net.code, net.inner, net.last)
    penalty = float(sum((layer.weight**2).sum() for layer in layers).detach())
    assert losses[1] - losses[0] == pytest.approx(0.1 * penalty, rel=1e-4)


def test_multidae_pp_without_noise_and_dropout_is_multidae(tiny: dict[str, Interactions]) -> None:
    quiet = {"scale": 1e-12, "low": 1e-12, "high": 1e-12, "steps": 1, "dropout": 0.0}
    noisy, plain = made("multidae_pp", tiny["train"], **quiet), made("multidae", tiny["train"], dropout=0.0)
    losses = [float(s.loss(batch_of(s, tiny["train"]), generator()).detach()) for s in (noisy, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_noise_of_multidae_pp_is_diffrecs(tiny: dict[str, Interactions]) -> None:
    system = made("multidae_pp", tiny["train"], scale=1.0, low=0.1, high=0.6, steps=2, dropout=0.0)
    shares = signal_shares(2, 1.0, 0.1, 0.6)
    rows = SparseRows.from_matrix(sp.csr_array((300, 80), dtype=np.float32))
    rows.__dict__["dense"] = lambda: torch.full((300, 80), 5.0)
    noisy = system.corrupt(rows, generator())
    ratio = (noisy.std(dim=1) / noisy.mean(dim=1)).numpy()  # what normalisation leaves
    expected = np.sqrt(1.0 / shares - 1.0) / 5.0
    near = np.abs(ratio[:, None] - expected).argmin(axis=1)
    for time in (0, 1):
        assert ratio[near == time].mean() == pytest.approx(expected[time], rel=0.05)
    assert 90 < (near == 0).sum() < 210


def test_noisy_rows_have_length_one_before_dropout(tiny: dict[str, Interactions]) -> None:
    rows = SparseRows.of(UserRows(tiny["train"], 40, "cpu").rows(torch.arange(40)), 80)
    plain = made("multidae_pp", tiny["train"], dropout=0.0).corrupt(rows, generator())
    assert torch.allclose(plain.norm(dim=1), torch.ones(40), atol=1e-5)
    dropped = made("multidae_pp", tiny["train"], dropout=0.5).corrupt(rows, generator())
    kept = dropped != 0
    assert torch.allclose(dropped[kept], 2.0 * plain[kept])
    assert abs(float(kept.float().mean()) - 0.5) < 0.05


def test_beta_of_multivae_rises_evenly_to_its_cap(tiny: dict[str, Interactions]) -> None:
    system = made("multivae", tiny["train"], anneal_cap=0.3, anneal_epochs=2)  # 3 batches in an epoch
    betas = []
    for _ in range(8):
        betas.append(float(system.weight()))
        system.loss(batch_of(system, tiny["train"]), generator())
    assert np.allclose(betas, [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.3], atol=1e-6)


def test_beta_of_the_authors_takes_200000_steps_to_reach_one(tiny: dict[str, Interactions]) -> None:
    system = made("multivae", tiny["train"], anneal_cap=0.2, anneal="authors")
    for steps, beta in ((0, 0.0), (20_000, 0.1), (40_000, 0.2), (100_000, 0.2)):
        system.module.steps.fill_(steps)
        assert float(system.weight()) == pytest.approx(beta)


def test_noise_of_multivae_scales_with_its_standard_deviation(tiny: dict[str, Interactions]) -> None:
    codes = {}
    for std in (0.0, 1.0, 2.0):
        system = made("multivae", tiny["train"], hidden=0, noise_std=std, dropout=0.0)
        seen = []
        system.module.decode = lambda z, seen=seen: seen.append(z) or z
        system.loss(batch_of(system, tiny["train"]), generator())
        codes[std] = seen[0]
    assert torch.allclose(codes[2.0] - codes[0.0], 2.0 * (codes[1.0] - codes[0.0]), atol=1e-5)
    assert 0.9 < float((codes[1.0] - codes[0.0]).detach().std()) < 1.1  # log variances start near 0


def test_multivae_scores_the_mean_of_the_code(tiny: dict[str, Interactions]) -> None:
    system = made("multivae", tiny["train"], hidden=10, dimensions=6)
    users, history = shown(tiny["train"], [3, 70])
    x, net = torch.as_tensor(history.matrix.toarray()), system.module
    mean = net.encode(x / x.norm(dim=1, keepdim=True))[:, :6]
    expected = net.last(torch.tanh(net.inner(mean))).detach().numpy()
    assert np.allclose(system.score(users, history), expected, atol=1e-5)


def test_the_loss_of_multivae_is_likelihood_and_weighted_divergence(tiny: dict[str, Interactions]) -> None:
    system = made("multivae", tiny["train"], hidden=0, noise_std=0.0, dropout=0.0, anneal_cap=0.2)
    system.module.steps.fill_(10**6)
    batch, net = batch_of(system, tiny["train"]), system.module
    rows = SparseRows.of(batch, 80)
    mean, log_variance = net.encode(rows.normalised()).chunk(2, dim=1)
    expected = cross_entropy(net.last(mean), rows.dense()) + 0.2 * gaussian_divergence(mean, log_variance)
    assert float(system.loss(batch, generator()).detach()) == pytest.approx(
        float(expected.detach()), rel=1e-5
    )


def test_codigem_is_the_network_of_its_formula(tiny: dict[str, Interactions]) -> None:
    system = made("codigem", tiny["train"], hidden=8, layers=3, beta=0.19)
    users, history = shown(tiny["train"], [3, 70])
    net, state = system.module, 0.9 * torch.as_tensor(history.matrix.toarray())
    for layer, activation in zip([net.first, *net.middle], net.activations, strict=True):
        state = activation(layer(state))
    assert len(net.middle) == 2
    assert np.allclose(system.score(users, history), net.last(state).detach().numpy(), atol=1e-5)


def test_codigem_learns_from_rows_with_noise_of_the_given_variance(tiny: dict[str, Interactions]) -> None:
    system = made("codigem", tiny["train"], beta=0.19, batch_size=120)
    seen = []
    system.module.first.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    batch = batch_of(system, tiny["train"])
    system.loss(batch, generator())
    noise = seen[0] - 0.9 * SparseRows.of(batch, 80).dense()
    assert float(noise.std()) == pytest.approx(0.19**0.5, rel=0.03)
    assert abs(float(noise.mean())) < 0.02


def test_noise_at_scoring_belongs_to_the_user_and_the_seed(tiny: dict[str, Interactions]) -> None:
    noisy = made("codigem", tiny["train"], evaluation_noise=True, beta=0.5)
    quiet = made("codigem", tiny["train"], beta=0.5)
    users, history = shown(tiny["train"], [3, 70, 9])
    scores = noisy.score(users, history)
    assert not np.allclose(scores, quiet.score(users, history), atol=1e-4)
    assert np.allclose(noisy.score(*shown(tiny["train"], [9])), scores[2:], atol=1e-6)
    noisy.noise_seed = np.int64(1)
    assert not np.allclose(noisy.score(users, history), scores, atol=1e-4)


def test_codigem_learns_with_adamax_as_its_authors_do() -> None:
    assert CODIGEM.optimiser == "adamax"
