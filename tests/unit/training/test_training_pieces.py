"""Floor 3: sampled pairs, graph products, losses, and the base of trained models."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.layers.graph import SparseMatrix, bipartite
from recspectra.models.mf import PairParams, pair_loss
from recspectra.recommender import Run, Task, create
from recspectra.spectral.torch_operators import tensor
from recspectra.training import sampling
from recspectra.training.loop import OPTIMISERS, LoopSettings, TrainingLoop
from recspectra.training.losses import bpr
from recspectra.training.sampling import Complement, PairBatch, Pairs

SEEN = np.array(
    [
        [0, 1, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [1, 1, 1, 1, 1, 1, 0],
        [1, 0, 1, 0, 1, 0, 1],
    ],
    dtype=bool,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def small() -> Interactions:
    """`SEEN`, each row in an order of its own; user 1 has nothing."""
    users, items = SEEN.nonzero()
    order = np.random.default_rng(1).permutation(len(users))
    order = order[np.argsort(users[order], kind="stable")]
    return from_pairs(users[order], items[order], None, SEEN.shape)


# -------------------------------------------------------------------------------- sampling


def chi_square(counts: np.ndarray, weights: np.ndarray) -> float:
    """The statistic of counts against expected shares."""
    expected = counts.sum() * weights / weights.sum()
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("by", ["interaction", "user"])
@pytest.mark.parametrize("negatives", [1, 3])
def test_pairs_are_observed_and_negatives_are_not(tiny: dict, by: str, negatives: int) -> None:
    train = tiny["train"]
    seen = train.matrix.toarray() > 0
    batches = list(Pairs(train, 64, "cpu", negatives, by)(seeded()))
    assert sum(len(batch.users) for batch in batches) == train.nnz
    for batch in batches:
        assert batch.negatives.shape == (len(batch.users), negatives)
        assert seen[batch.users, batch.items].all()
        assert not seen[batch.users[:, None], batch.negatives].any()


def test_negatives_are_uniform_over_the_items_a_user_has_not(small: Interactions) -> None:
    users = torch.arange(6).repeat(4000)
    drawn = Complement(small, "cpu").draw(users, 2, seeded())
    for user in range(6):
        counts = np.bincount(drawn[users == user].numpy().ravel(), minlength=7)
        allowed = ~SEEN[user]
        assert counts[~allowed].sum() == 0
        assert chi_square(counts[allowed], np.ones(allowed.sum())) < 25  # 6 degrees: p < 0.0004


def test_negatives_of_a_user_are_drawn_independently(small: Interactions) -> None:
    drawn = Complement(small, "cpu").draw(torch.full((6000,), 2), 2, seeded()).numpy()
    pairs = np.bincount(drawn[:, 0] * 7 + drawn[:, 1], minlength=49).reshape(7, 7)[1:, 1:]
    assert chi_square(pairs.ravel(), np.ones(36)) < 80  # 35 degrees: p < 0.0001


def test_a_row_with_an_item_twice_has_the_negatives_of_the_item_once() -> None:
    twice = Interactions(np.array([0, 4]), np.array([2, 0, 2, 2], dtype=np.int32), None, 5)
    drawn = Complement(twice, "cpu").draw(torch.zeros(300, dtype=torch.int64), 1, seeded())
    assert set(drawn.ravel().tolist()) == {1, 3, 4}


def test_a_user_of_all_items_is_served_with_an_item_that_exists() -> None:
    full = from_pairs(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0]), None, (2, 3))
    drawn = Complement(full, "cpu").draw(torch.tensor([0, 1, 0]), 4, seeded())
    assert drawn[[0, 2]].unique().tolist() == [2]
    assert set(drawn[1].tolist()) <= {1, 2}


def epoch(pairs: Pairs, seed: int = 0) -> PairBatch:
    """All batches of an epoch as one."""
    parts = [(b.users, b.items, b.negatives) for b in pairs(seeded(seed))]
    return PairBatch(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def test_an_epoch_has_every_interaction_once(tiny: dict) -> None:
    train, one = tiny["train"], epoch(Pairs(tiny["train"], 100, "cpu"))
    found = sorted(zip(one.users.tolist(), one.items.tolist(), strict=True))
    assert found == sorted(zip(train.users.tolist(), train.items.tolist(), strict=True))
    assert not torch.equal(one.users, torch.as_tensor(train.users))


def test_by_user_gives_users_the_same_weight_and_their_items_too(small: Interactions) -> None:
    pairs = Pairs(small, 100, "cpu", by="user")
    drawn = [epoch(pairs, seed) for seed in range(700)]
    users, items = (torch.cat([getattr(d, k) for d in drawn]).numpy() for k in ("users", "items"))
    assert len(users) == 700 * small.nnz
    counts = np.bincount(users * 7 + items, minlength=42).reshape(6, 7)
    weights = SEEN / np.maximum(SEEN.sum(axis=1, keepdims=True), 1)
    assert counts[~SEEN].sum() == 0
    assert chi_square(counts[SEEN], weights[SEEN]) < 40  # 14 degrees: p < 0.0003


@pytest.mark.parametrize("by", ["interaction", "user"])
def test_batches_are_full_but_for_the_last_and_small_chunks_change_nothing_of_it(
    tiny: dict, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = tiny["train"]
    monkeypatch.setattr(sampling, "CHUNK", 1)
    pairs = Pairs(train, 100, "cpu", 2, by)
    sizes = [len(b.users) for b in pairs(seeded())]
    assert sizes[:-1] == [100] * (len(pairs) // 100)
    assert sum(sizes) == len(pairs) == train.nnz


def test_epochs_depend_on_the_generator_alone(tiny: dict) -> None:
    pairs = Pairs(tiny["train"], 64, "cpu", 2)
    one, two, other = epoch(pairs), epoch(pairs), epoch(pairs, seed=1)
    assert all(torch.equal(getattr(one, k), getattr(two, k)) for k in ("users", "items", "negatives"))
    assert not torch.equal(one.users, other.users) and not torch.equal(one.negatives, other.negatives)


# ------------------------------------------------------------------------- graph products


def matrices() -> dict[str, sp.csr_array]:
    """A wide one, a tall one and one with empty rows and columns."""
    rng = np.random.default_rng(0)
    wide = sp.random_array((5, 9), density=0.4, rng=rng, format="csr", dtype=np.float32)
    holes = wide.toarray()
    holes[[0, 3, 4]], holes[:, [0, 8]] = 0.0, 0.0
    return {"wide": wide, "tall": sp.csr_array(wide.T), "holes": sp.csr_array(holes)}


def gradient_of(product: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
    """The gradient in `block` of a function of the product that weighs all cells differently."""
    weights = torch.linspace(-1, 1, product.numel()).reshape(product.shape)
    return torch.autograd.grad((weights * product**2).sum(), block)[0]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", ["wide", "tall", "holes"])
def test_sparse_products_equal_dense_ones_in_value_and_gradient(name: str, transposed: bool) -> None:
    dense = torch.as_tensor(matrices()[name].toarray())
    matrix = SparseMatrix(matrices()[name])
    if transposed:
        matrix, dense = matrix.T, dense.T
    assert matrix.shape == tuple(dense.shape)
    block = torch.randn(dense.shape[1], 3, generator=seeded(), requires_grad=True)
    found, expected = matrix @ block, dense @ block
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(gradient_of(found, block), gradient_of(expected, block), atol=1e-5)


@pytest.mark.parametrize("name", ["wide", "tall", "holes"])
def test_products_by_csr_tensor_equal_those_by_bags(name: str) -> None:
    """A GPU multiplies a CSR tensor, a CPU bags of rows: here the former on a CPU, where it runs as well."""
    bags, tensors = (SparseMatrix(matrices()[name]) for _ in range(2))
    for piece, matrix in (("_forward", matrices()[name]), ("_backward", matrices()[name].T)):
        setattr(tensors, piece, tensor(sp.csr_array(matrix), "cpu", torch.float32))
    block = torch.randn(bags.shape[1], 3, generator=seeded(), requires_grad=True)
    one, two = tensors @ block, bags @ block
    assert torch.allclose(one, two, atol=1e-6)
    assert torch.allclose(gradient_of(one, block), gradient_of(two, block), atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_products_on_a_gpu_equal_those_on_a_cpu() -> None:
    found = []
    for device in ("cuda", "cpu"):
        block = torch.randn(9, 3, generator=seeded()).to(device).requires_grad_()
        product = SparseMatrix(matrices()["wide"], device) @ block
        found.append([product.cpu(), torch.autograd.grad(product.square().sum(), block)[0].cpu()])
    assert all(torch.allclose(one, two, atol=1e-5) for one, two in zip(*found, strict=True))


def test_products_of_a_symmetric_matrix_equal_dense_ones(small: Interactions) -> None:
    graph = bipartite(small)
    matrix, dense = SparseMatrix(graph, symmetric=True), torch.as_tensor(graph.toarray())
    block = torch.randn(13, 4, generator=seeded(), requires_grad=True)
    found, expected = matrix @ (matrix @ block), dense @ dense @ block
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(gradient_of(found, block), gradient_of(expected, block), atol=1e-6)


def test_a_block_that_is_not_contiguous_is_multiplied_as_it_reads() -> None:
    dense = matrices()["wide"].toarray()
    block = torch.randn(4, 9, generator=seeded()).T
    found = SparseMatrix(matrices()["wide"]) @ block
    assert torch.allclose(found, torch.as_tensor(dense) @ block, atol=1e-6)


def test_the_transpose_of_the_transpose_is_the_matrix() -> None:
    matrix = SparseMatrix(matrices()["wide"])
    block = torch.randn(9, 2, generator=seeded())
    assert torch.equal(matrix.T.T @ block, matrix @ block)


@pytest.mark.parametrize("loops", [False, True])
def test_the_bipartite_graph_is_normalised_by_the_roots_of_both_degrees(
    small: Interactions, loops: bool
) -> None:
    x = SEEN.astype(float)
    plain = np.block([[np.zeros((6, 6)), x], [x.T, np.zeros((7, 7))]]) + loops * np.eye(13)
    degrees = np.maximum(plain.sum(axis=1), 1)  # an isolated node keeps its empty row
    expected = plain / np.sqrt(np.outer(degrees, degrees))
    graph = bipartite(small, loops)
    assert graph.dtype == np.float32
    np.testing.assert_allclose(graph.toarray(), expected, atol=1e-6)
    assert np.abs(graph - graph.T).max() == 0
    assert np.linalg.eigvalsh(graph.toarray())[-1] == pytest.approx(1.0, abs=1e-5)


def test_an_isolated_node_is_alone_with_its_self_loop(small: Interactions) -> None:
    assert bipartite(small).toarray()[1].tolist() == [0.0] * 13
    assert bipartite(small, self_loops=True).toarray()[1].tolist() == [0.0, 1.0] + [0.0] * 11


# --------------------------------------------------------------------------------- losses


def test_bpr_of_huge_differences_is_finite() -> None:
    assert float(bpr(torch.tensor([-1e4]), torch.tensor([[1e4]]))) == pytest.approx(2e4)
    assert float(bpr(torch.tensor([1e4]), torch.tensor([[-1e4]]))) == 0.0


def plain_pair_loss(tables: list[torch.Tensor], batch: PairBatch, params: PairParams) -> torch.Tensor:
    """The loss and L2 one pair after the other."""
    users, items, free_users, free_items = tables
    total = torch.zeros(())
    for u, i, negatives in zip(batch.users, batch.items, batch.negatives, strict=True):
        if params.loss == "softmax":
            misses = [-torch.log_softmax(items @ users[u], dim=0)[i]]
        else:
            misses = [-torch.log(torch.sigmoid(users[u] @ items[i] - users[u] @ items[j])) for j in negatives]
        rows = [free_users[u], free_items[i], *(free_items[j] for j in negatives)]
        penalty = params.regularization / 2 * sum((r**2).sum() for r in rows)
        total = total + sum(misses) / len(misses) + penalty
    return total / len(batch.users)


@pytest.mark.parametrize("own", [False, True], ids=["free vectors apart", "free vectors are final"])
@pytest.mark.parametrize(("loss", "negatives"), [("bpr", 1), ("bpr", 3), ("softmax", 0)])
def test_the_loss_of_pairs_equals_a_loop_over_pairs(loss: str, negatives: int, own: bool) -> None:
    """In value and in the gradients of all tables; users and items come more than once."""
    g = seeded()
    tables = [torch.randn(n, 4, generator=g, requires_grad=True) for n in (5, 6, 5, 6)]
    tables = tables[:2] * 2 if own else tables
    index = [torch.randint(n, shape, generator=g) for n, shape in ((5, (9,)), (6, (9,)), (6, (9, negatives)))]
    batch, params = PairBatch(*index), SimpleNamespace(loss=loss, regularization=0.3)
    found, expected = pair_loss(*tables, batch, params), plain_pair_loss(tables, batch, params)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    leaves = tables[:2] if own else tables
    both = (torch.autograd.grad(loss, leaves) for loss in (found, expected))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*both, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mf", "lightgcn", "lrgccf", "impgcn", "jgcf", "ngcf", "sgl", "dgrec"])
def test_models_learn_by_a_softmax_over_all_items_without_negatives(name: str, tiny: dict) -> None:
    """The loss of the first epoch is of the size of log n, and it falls."""
    config = Catalog(Path(__file__).resolve().parents[3]).model(name)
    settings = {"loss": "softmax", "dimensions": 8, "epochs": 15, "learning_rate": 0.05, "batch_size": 200}
    system = create(config, config.resolve(settings | {"regularization": 0.0}))
    assert system.params.loss == "softmax"
    task = Task(tiny["train"], None, True)
    curve = system.fit(task, Run(seed=3))["loss_curve"]
    batches = list(system.batches(task)(seeded()))
    assert batches and all(batch.negatives.shape[1] == 0 for batch in batches)
    assert curve[-1] < curve[0] and curve[0] < 2 * math.log(tiny["train"].n_items)


# -------------------------------------------------------------------- LightGCN by its formula


def test_lightgcn_is_the_mean_of_all_powers_of_the_graph(tiny: dict) -> None:
    config = Catalog(Path(__file__).resolve().parents[3]).model("lightgcn")
    system = create(config, config.resolve({"layers": 3, "dimensions": 8, "epochs": 1}))
    system.fit(Task(tiny["train"], None, True), Run())
    graph = bipartite(tiny["train"]).toarray()
    powers = sum(np.linalg.matrix_power(graph, k) for k in range(4)) / 4
    expected = powers @ system.module.weight.detach().numpy()
    found = np.concatenate([system.user_vectors, system.item_vectors])
    np.testing.assert_allclose(found, expected, atol=1e-6)


# ------------------------------------------------------------------------- optimiser kernels


@pytest.mark.parametrize("name", ["adam", "adagrad"])
def test_the_optimisers_in_one_pass_follow_torch_s_plain_ones(name: str) -> None:
    """The loop asks for fused kernels; the plain ones are the reference."""
    paths = []
    for fused in (True, False):
        torch.manual_seed(0)
        table = nn.Parameter(torch.randn(40, 6))
        settings = LoopSettings(epochs=1, learning_rate=0.05, weight_decay=0.01, optimiser=name)
        module = nn.ParameterDict({"table": table})
        loop = TrainingLoop(module, lambda g: [], lambda b, g: torch.zeros(()), settings, 0)
        plain = OPTIMISERS[name]([table], lr=0.05, weight_decay=0.01, foreach=False)
        optimiser = loop.optimiser if fused else plain
        assert bool(optimiser.param_groups[0]["fused"]) == fused
        for step in range(30):
            table.grad = torch.cos(step + 3 * table.detach())
            optimiser.step()
        paths.append(table.detach().clone())
    assert torch.allclose(*paths, atol=2e-5)
    assert not torch.allclose(paths[0], torch.randn(40, 6), atol=0.1)
