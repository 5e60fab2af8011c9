"""Floor 3: the trained graph models against plain readings of their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from graph_helpers import Fitted, adjacency_of, free, products
from plain_matrices import scores_of
from scipy.special import eval_jacobi

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.layers.graph import bipartite
from recspectra.models.dgrec import cover, diverse, similarities
from recspectra.models.impgcn import copies, kmeans
from recspectra.models.jgcf import GAIN, jacobi
from recspectra.models.ngcf import adjacency
from recspectra.recommender import Recommender, Task
from recspectra.training.losses import infonce
from recspectra.training.views import Thinner, dropped

# -------------------------------------------------------------------------------- LR-GCCF


def test_lrgccf_scores_are_sums_over_the_layers_of_the_graph_with_loops(
    fitted: Fitted, tiny: dict[str, Interactions]
) -> None:
    system, a = fitted("lrgccf", layers=3), adjacency_of(tiny["train"], loops=True)
    layer = system.module.weight.detach().numpy().astype(np.float64)
    expected = 0.0
    for _ in range(4):
        expected, layer = expected + products(layer, 120), a @ layer
    assert np.allclose(scores_of(system, tiny["train"]), expected, atol=1e-4)


@pytest.mark.parametrize(("penalty", "width"), [("final", 3), ("free", 1)])
def test_lrgccf_penalises_the_vectors_it_names(fitted: Fitted, penalty: str, width: int) -> None:
    system = fitted("lrgccf", layers=2, penalty=penalty, regularization=0.0)
    batch = next(iter(system.batches(Task(_train(system), None, True))(torch.Generator().manual_seed(1))))
    plain = float(system.loss(batch, torch.Generator()).detach())
    system.params.regularization = 1.0
    vectors = system.vectors() if width == 3 else system.module.split()
    rows = vectors[0][batch.users], vectors[1][batch.items], vectors[1][batch.negatives[:, 0]]
    squares = sum(float((r.detach() ** 2).sum()) for r in rows) / (2 * len(batch.users))
    assert float(system.loss(batch, torch.Generator()).detach()) - plain == pytest.approx(squares, rel=1e-3)


def _train(system: Recommender) -> Interactions:
    """Some interactions of the shape a model was fitted on."""
    m, n = map(int, system.shape)
    return from_pairs(np.arange(m), np.arange(m) % n, None, (m, n))


# ----------------------------------------------------------------------------------- JGCF


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (2.0, 0.5), (0.0, 0.0), (-0.5, 1.5)])
def test_the_recurrence_gives_jacobi_polynomials(a: float, b: float) -> None:
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    terms = jacobi(lambda block: x * block, torch.ones_like(x), 5, a, b)
    for k, term in enumerate(terms):
        assert np.allclose(term.numpy(), eval_jacobi(k, a, b, x.numpy()))


def test_the_flipped_sign_matters_only_where_a_and_b_differ() -> None:
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    ones, signs = torch.ones_like(x), ("jacobi", "flipped")

    def runs(a: float, b: float) -> list[torch.Tensor]:
        return [jacobi(lambda e: x * e, ones, 3, a, b, sign)[3] for sign in signs]

    assert torch.equal(*runs(1.0, 1.0))
    assert not torch.allclose(*runs(2.0, 1.0))


def test_the_gain_scales_the_k_th_term_like_its_power() -> None:
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    plain, scaled = (jacobi(lambda e: x * e, torch.ones_like(x), 4, 1.0, 0.5, gain=g) for g in (1.0, GAIN))
    for k in range(5):
        assert torch.allclose(scaled[k], GAIN**k * plain[k])
    assert pytest.approx(0.9645, abs=1e-4) == GAIN


def test_jgcf_joins_a_low_and_a_mid_pass_part(fitted: Fitted, tiny: dict[str, Interactions]) -> None:
    system, a = fitted("jgcf", layers=2, a=2.0, b=0.5, beta=0.3), adjacency_of(tiny["train"])
    values, vectors = np.linalg.eigh(a)
    start = system.module.weight.detach().numpy().astype(np.float64)
    mean = sum(eval_jacobi(k, 2.0, 0.5, values) for k in range(3)) / 3
    low = vectors @ (mean[:, None] * (vectors.T @ start))
    expected = products(low, 120) + products(0.3 * start - low, 120)
    assert np.allclose(scores_of(system, tiny["train"]), expected, atol=1e-3)


def test_jgcf_as_in_the_authors_code_and_with_the_papers_tanh(
    fitted: Fitted, tiny: dict[str, Interactions]
) -> None:
    """J_2 by its recurrence with s = 2 k + a + b, the sign of a^2 - b^2 turned, each step times the gain."""
    own = {"sign": "flipped", "gain": "official", "activation": "tanh"}
    system, g = fitted("jgcf", layers=2, a=2.0, b=0.5, beta=0.3, **own), adjacency_of(tiny["train"])
    start = system.module.weight.detach().numpy().astype(np.float64)
    first = GAIN * (0.75 * start + 2.25 * g @ start)
    s, c = 6.5, 2 * 2 * 4.5 * 4.5
    step = (s - 1) * (s * (s - 2) * g @ first - (4.0 - 0.25) * first)
    second = (GAIN * step - GAIN**2 * 2 * 3.0 * 1.5 * s * start) / c
    low = (start + first + second) / 3
    expected = products(low, 120) + products(np.tanh(0.3 * start - low), 120)
    assert np.allclose(scores_of(system, tiny["train"]), expected, atol=1e-3)


# ----------------------------------------------------------------------------------- NGCF


@pytest.mark.parametrize("kind", ["paper", "mean-loops", "mean-plus-identity"])
def test_ngcf_adjacencies_are_those_of_their_formulas(kind: str, tiny: dict[str, Interactions]) -> None:
    x = tiny["train"].matrix.toarray().astype(np.float64)
    m, n = x.shape
    a, eye = np.block([[np.zeros((m, m)), x], [x.T, np.zeros((n, n))]]), np.eye(m + n)
    expected = {
        "paper": lambda: adjacency_of(tiny["train"]),
        "mean-loops": lambda: (a + eye) / (a + eye).sum(1, keepdims=True),
        "mean-plus-identity": lambda: a / np.maximum(a.sum(1, keepdims=True), 1) + eye,
    }[kind]()
    assert np.allclose(adjacency(tiny["train"], kind).toarray(), expected, atol=1e-6)


@pytest.mark.parametrize("activation", ["each", "once"])
@pytest.mark.parametrize("kind", ["paper", "mean-loops"])
def test_ngcf_layers_follow_their_formula(
    fitted: Fitted, tiny: dict[str, Interactions], kind: str, activation: str
) -> None:
    system = fitted("ngcf", layers=2, propagation=kind, activation=activation)
    w = {k: v.numpy().astype(np.float64) for k, v in system.module.state_dict().items()}
    a = adjacency(tiny["train"], kind).toarray().astype(np.float64)
    leaky = lambda v: np.where(v > 0, v, 0.2 * v)  # noqa: E731
    e = w["tables.weight"]
    expected = products(e, 120)
    for k in range(2):
        side = a @ e
        total = side + e if kind == "paper" else side
        sums = total @ w[f"sums.{k}.weight"].T + w[f"sums.{k}.bias"]
        both = (side * e) @ w[f"products.{k}.weight"].T + w[f"products.{k}.bias"]
        e = leaky(sums + both) if activation == "once" else leaky(sums) + leaky(both)
        expected = expected + products(e / np.linalg.norm(e, axis=1, keepdims=True), 120)
    assert np.allclose(scores_of(system, tiny["train"]), expected, atol=1e-4)


def test_dropout_keeps_the_expectation_and_follows_its_generator() -> None:
    ones = torch.ones(400, 50)
    found = dropped(ones, 0.25, torch.Generator().manual_seed(0))
    assert torch.allclose(found.unique(), torch.tensor([0.0, 4 / 3]))
    assert float(found.mean()) == pytest.approx(1.0, abs=0.02)
    assert torch.equal(found, dropped(ones, 0.25, torch.Generator().manual_seed(0)))
    assert dropped(ones, 0.0, torch.Generator()) is ones


# ------------------------------------------------------------------------------------ SGL


@pytest.mark.parametrize("kind", ["edges", "nodes", "walk"])
def test_a_thinned_graph_is_that_of_the_edges_that_stay(kind: str, tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]
    thinner = Thinner(train, kind, 0.3, 2)
    keep = thinner.keep(torch.Generator().manual_seed(3))
    kept = from_pairs(thinner.users[keep], thinner.items[keep], None, train.shape)
    assert np.allclose(thinner.graph(keep).toarray(), bipartite(kept).toarray(), atol=1e-6)


def test_thinning_leaves_out_the_share_it_is_told(tiny: dict[str, Interactions]) -> None:
    train, draw = tiny["train"], torch.Generator().manual_seed(3)
    edges = Thinner(train, "edges", 0.3, 2).keep(draw)
    assert (~edges).sum() == int(0.3 * train.matrix.nnz)
    nodes = Thinner(train, "nodes", 0.25, 2)
    keep = nodes.keep(draw)
    assert len(np.unique(nodes.users[keep])) == 90
    for ids in (nodes.users, nodes.items):
        count, left = np.bincount(ids), np.bincount(ids, keep)
        assert (left[count > 0] == 0).sum() >= 0.25 * (count > 0).sum() - 1


def test_only_a_walk_has_another_graph_in_each_layer(tiny: dict[str, Interactions]) -> None:
    block = torch.eye(200)
    views = {k: Thinner(tiny["train"], k, 0.3, 2)(torch.Generator()) for k in ("edges", "nodes", "walk")}
    same = {k: torch.equal(first @ block, second @ block) for k, (first, second) in views.items()}
    assert same == {"edges": True, "nodes": True, "walk": False}


def test_sgl_adds_the_contrast_of_two_views(fitted: Fitted, tiny: dict[str, Interactions]) -> None:
    system = fitted("sgl", layers=2, ratio=0.3, contrast_weight=0.7, temperature=0.3)
    batch = next(iter(system.batches(Task(tiny["train"], None, True))(torch.Generator().manual_seed(1))))
    first, second = (system.combine(system.layers(view)) for view in system.views)
    expected = 0.0
    for nodes, part in ((batch.users, slice(120)), (batch.items, slice(120, None))):
        nodes = nodes.unique()
        cosines = torch.cosine_similarity(first[part][nodes][:, None], second[part][None], dim=2)
        expected += torch.nn.functional.cross_entropy(cosines / 0.3, nodes)
    whole = system.loss(batch, torch.Generator())
    system.params.contrast_weight = 0.0
    assert torch.allclose(whole - system.loss(batch, torch.Generator()), 0.7 * expected, atol=1e-5)


def test_the_contrast_within_a_batch_knows_the_batch_alone(fitted: Fitted) -> None:
    system, nodes = fitted("sgl", contrast="batch"), torch.tensor([4, 4, 9])
    first, second = torch.randn(2, 20, 5)
    expected = infonce(first[[4, 9]], second[[4, 9]], torch.tensor([0, 1]), system.params.temperature)
    assert torch.allclose(system._contrast(first, second, nodes), expected)


@pytest.mark.parametrize("name", ["sgl", "dgrec"])
def test_the_training_history_gives_the_vectors_of_training(
    name: str, fitted: Fitted, tiny: dict[str, Interactions]
) -> None:
    system = fitted(name, layers=2)
    users, items = (v.detach().numpy() for v in system.vectors())
    assert np.allclose(scores_of(system, tiny["train"]), users @ items.T, atol=1e-5)
    system.params.profile = "learned"
    system.refresh()
    assert np.allclose(scores_of(system, tiny["valid"]), users @ items.T, atol=1e-5)


def test_a_shown_history_takes_the_place_of_the_users_row(
    fitted: Fitted, tiny: dict[str, Interactions]
) -> None:
    system, train = fitted("sgl", layers=2), tiny["train"]
    both = train.merged(tiny["valid"])
    a, start = adjacency_of(train), system.module.weight.detach().numpy().astype(np.float64)
    layers = [start, a @ start, a @ a @ start]
    d_item = np.maximum(train.matrix.sum(axis=0), 1)
    row = both.matrix[[7]].toarray()[0] / np.sqrt(both.lengths[7]) / np.sqrt(d_item)
    user = (start[7] + row @ layers[0][120:] + row @ layers[1][120:]) / 3
    assert np.allclose(scores_of(system, both)[7], sum(layers)[120:] @ user / 3, atol=1e-5)


# ---------------------------------------------------------------------------------- DGRec


def greedy(similar: np.ndarray, count: int) -> set[int]:
    """The subset that covers best, chosen one at a time."""
    chosen: list[int] = []
    for _ in range(count):
        left = [i for i in range(len(similar)) if i not in chosen]
        chosen.append(max(left, key=lambda i: similar[[*chosen, i]].max(0).sum()))
    return set(chosen)


@pytest.mark.parametrize("kernel", ["laplace", "gaussian"])
def test_neighbours_are_those_of_the_plain_greedy_cover(kernel: str) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((30, 5)).astype(np.float32)
    lengths = [12, 3, 20, 7]
    items = np.concatenate([np.sort(rng.permutation(30)[:k]) for k in lengths])
    seen = sp.csr_array((np.ones(42), items, np.cumsum([0, *lengths])), shape=(4, 30))
    found = diverse(torch.from_numpy(vectors), seen, 4, 0.8, kernel)
    for user, length in enumerate(lengths):
        own, kept = (part[seen.indptr[user] : seen.indptr[user + 1]] for part in (items, found))
        if length <= 4:
            assert kept.all()
            continue
        distances = np.linalg.norm(vectors[own][:, None] - vectors[own], axis=2)
        x = distances / (0.8 * distances.mean())
        similar = np.exp(-x if kernel == "laplace" else -(x**2) / 2)
        assert set(np.flatnonzero(kept)) == greedy(similar, 4)


def test_items_with_equal_vectors_are_chosen_once_each() -> None:
    inside = torch.ones(1, 6, dtype=torch.bool)
    similar = similarities(torch.ones(1, 6, 3), inside, 1.0, "laplace")
    assert int(cover(similar, inside, 4).sum()) == 4


def test_dgrec_users_listen_to_their_selection_and_items_to_all(
    fitted: Fitted, tiny: dict[str, Interactions]
) -> None:
    system, train = fitted("dgrec", layers=2, neighbours=3), tiny["train"]
    selected = system.module.selected.numpy()
    kept = np.bincount(train.matrix.nonzero()[0], selected)
    assert np.array_equal(kept, np.minimum(np.diff(train.matrix.indptr), 3))
    x = train.matrix.copy()
    x.data *= selected
    a = adjacency_of(train)
    a[:120, 120:] *= x.toarray()
    layers = [free(system)]
    layers += [a @ layers[0], a @ a @ layers[0]]
    weight = np.exp(np.stack(layers) @ system.attention)
    final = (weight[:, :, None] * np.stack(layers)).sum(0) / weight.sum(0)[:, None]
    assert np.allclose(scores_of(system, train), products(final, 120), atol=1e-4)


def test_without_selection_nothing_is_skipped(fitted: Fitted) -> None:
    assert fitted("dgrec", selection="all", neighbours=3).skipped.nnz == 0


# -------------------------------------------------------------------------------- IMP-GCN


@pytest.mark.parametrize("propagation", ["paper", "official"])
@pytest.mark.parametrize("grouping", ["kmeans", "untrained"])
def test_one_product_with_copies_of_items_is_a_hop_inside_each_group(
    fitted: Fitted, tiny: dict[str, Interactions], propagation: str, grouping: str
) -> None:
    system, a = fitted("impgcn", layers=3, propagation=propagation, grouping=grouping), None
    a, start, groups = adjacency_of(tiny["train"]), free(system), system.module.groups.numpy()
    assert len(np.unique(groups)) > 1
    layers, later = [start, a @ start], [0.0, 0.0]
    for g in np.unique(groups):
        inside = np.concatenate([groups == g, np.ones(80, dtype=bool)])
        cut = a * inside[:, None] * inside
        e = layers[1] if propagation == "paper" else start
        for k in range(2):
            hop = cut @ e
            e = hop if propagation == "paper" else e + hop
            later[k] = later[k] + (hop if propagation == "paper" else a @ hop)
    expected = (sum(layers) + sum(later)) / 4
    assert np.allclose(scores_of(system, tiny["train"]), products(expected, 120), atol=1e-4)


@pytest.mark.parametrize("propagation", ["paper", "official"])
def test_a_learned_grouping_equals_fixed_groups_and_has_a_gradient(fitted: Fitted, propagation: str) -> None:
    system = fitted("impgcn", layers=3, grouping="straight-through", propagation=propagation)
    soft = system.vectors()
    soft[0].square().sum().backward()
    weights = [p.grad for p in system.module.network.parameters()]
    assert all(g is not None and g.abs().max() > 0 for g in weights)
    with torch.no_grad():
        system.module.groups.copy_(system._logits(free_tensor(system)).argmax(dim=1))
        system.params.grouping = "untrained"
        system._cut()
        assert all(torch.allclose(s, h, atol=1e-5) for s, h in zip(soft, system.vectors(), strict=True))


def free_tensor(system: Recommender) -> torch.Tensor:
    return system.module.tables.weight


def test_an_untrained_grouping_is_not_learned(fitted: Fitted) -> None:
    one, two = (fitted("impgcn", grouping="untrained", epochs=e).module.network for e in (1, 3))
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))


def test_copies_keep_every_edge_in_its_group() -> None:
    cross = sp.csr_array(np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 4.0]]))
    expected = [[0, 0, 0, 1, 2, 0], [0, 3, 4, 0, 0, 0]]
    assert np.array_equal(copies(cross, np.array([1, 0]), 2).toarray(), expected)


def test_kmeans_finds_directions_and_fills_empty_groups() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=90)
    points = torch.from_numpy(
        np.eye(3)[truth] * rng.uniform(1, 5, (90, 1)) + 0.05 * rng.standard_normal((90, 3))
    )
    found = kmeans(points.float(), torch.zeros(90, dtype=torch.int64), 3).numpy()
    assert len({(t, f) for t, f in zip(truth, found, strict=True)}) == 3


def test_kmeans_does_not_start_a_group_from_a_point_without_direction() -> None:
    rng = np.random.default_rng(1)
    points = torch.from_numpy(np.vstack([rng.uniform(0.1, 1, (50, 8)), np.zeros((1, 8))])).float()
    found = kmeans(points, torch.zeros(51, dtype=torch.int64), 3)
    assert len(torch.unique(found[:50])) == 3
