"""WPGRec's graph: collapsed filters against layers, walks, replaced rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ragged import ragged

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions
from recspectra.layers.wpgrec_cached import Kept, filtered_as_kept
from recspectra.layers.wpgrec_graph import (
    Cross,
    Replaced,
    all_user_rows,
    chebyshev_powers,
    collapsed,
    filtered,
    layer_by_layer,
    user_rows,
    walks,
)
from recspectra.models.wpgrec import WPGRec

CONFIG = Catalog(Path(__file__).resolve().parents[3]).model("wpgrec")
SMALL = {"dimensions": 8, "hidden": 6, "max_len": 12, "batch_size": 16, "epochs": 2, "eval_every": 1}
Make = Callable[..., WPGRec]


@pytest.fixture(scope="module")
def train() -> Interactions:
    return ragged()


def assert_same_with_slopes(fast: tuple, plain: tuple, leaves: list[torch.Tensor]) -> None:
    """Two ways give the same blocks and the same gradients in the leaves."""
    toward = [torch.randn_like(x) for x in fast]
    for a, b in zip(fast, plain, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5 * float(b.detach().abs().max()))
    slopes = [torch.autograd.grad(x, leaves, toward, allow_unused=True) for x in (fast, plain)]
    zeros = [torch.zeros_like(x) for x in leaves]
    for a, b, z in zip(*slopes, zeros, strict=True):
        a, b = z if a is None else a, z if b is None else b
        assert torch.allclose(a, b, rtol=1e-4, atol=2e-5 * float(b.abs().max()) if b.numel() else 0.0)


def test_powers_of_the_laplacian_follow_the_chebyshev_recursion() -> None:
    x = np.linspace(-1, 1, 9)
    found = np.polynomial.polynomial.polyval(x, chebyshev_powers(4).T)
    assert np.allclose(found, np.cos(np.arange(5)[:, None] * np.arccos(-x)))


@pytest.mark.parametrize("kept", [False, True], ids=["all anew", "kept of an epoch"])
@pytest.mark.parametrize(
    "layers, order, filters",
    [(2, 2, 4), (2, 2, 1), (1, 1, 4), (1, 3, 4), (3, 1, 4), (3, 2, 4), (0, 2, 4), (2, 0, 1)],
)
def test_the_collapsed_filters_and_their_slopes_equal_those_layer_by_layer(
    train: Interactions, layers: int, order: int, filters: int, kept: bool
) -> None:
    torch.manual_seed(layers)
    cross, users = Cross(train, "cpu"), torch.tensor([4, 0, 9])  # user 0 has no items
    p, others, items = torch.randn(3, 4, 5), torch.randn(25, 4, 5), torch.randn(18, 5)
    theta = torch.randn(filters, layers, order + 1, 5, 5) / 3
    leaves = [x.requires_grad_() for x in ((p, items, theta) if kept else (p, others, items, theta))]
    rows = cross.rows_of(torch.tensor([[1, 2, 5], [18, 18, 18], [7, 18, 3]]))
    graph = Replaced(cross, users, rows)

    if kept:
        fast = filtered_as_kept(graph, p, Kept.of(cross, others, layers * order), items, theta)
    else:
        fast = filtered(graph, p, others, items, theta)
    assert_same_with_slopes(fast, layer_by_layer(graph, p, others, items, theta), leaves)


def test_the_layers_are_the_chebyshev_filter_of_the_dense_laplacian(train: Interactions) -> None:
    torch.manual_seed(0)
    cross, users = Cross(train, "cpu"), torch.tensor([5])
    others, items, theta = torch.randn(25, 2, 3), torch.randn(18, 3), torch.randn(2, 1, 3, 3, 3)
    x = train.matrix.toarray()
    du, di = np.maximum(x.sum(axis=1), 1), np.maximum(x.sum(axis=0), 1)
    r = torch.tensor(x / np.sqrt(du[:, None] * di), dtype=torch.float32)
    scaled = -torch.cat([torch.cat([torch.zeros(25, 25), r], 1), torch.cat([r.T, torch.zeros(18, 18)], 1)])
    expected = []
    for b in range(2):
        h = torch.cat([others[:, b], items])
        terms = [h, scaled @ h, 2 * scaled @ scaled @ h - h]
        expected.append(sum(t @ theta[b, 0, k] for k, t in enumerate(terms)))
    graph = Replaced(cross, users, cross.rows(users))
    user, item = layer_by_layer(graph, others[users], others, items, theta)
    assert torch.allclose(user[0], torch.stack([e[5] for e in expected]), atol=1e-5)
    assert torch.allclose(item, torch.stack([e[25:] for e in expected]).mean(dim=0), atol=1e-5)
    psi = collapsed(theta)
    assert torch.allclose(all_user_rows(cross, others, items, psi)[5], user[0], atol=1e-5)


@pytest.mark.parametrize("layers, order", [(2, 2), (3, 1), (1, 1)])
def test_walks_alone_are_in_graphs_in_which_one_row_is_replaced(
    train: Interactions, layers: int, order: int
) -> None:
    torch.manual_seed(0)
    cross, users = Cross(train, "cpu"), torch.tensor([4, 9, 4])  # a user may be asked for twice
    p, others, items = torch.randn(3, 2, 5), torch.randn(25, 2, 5), torch.randn(18, 5)
    theta = torch.randn(2, layers, order + 1, 5, 5) / 3
    rows = cross.rows_of(torch.tensor([[1, 2, 5], [18, 18, 18], [7, 18, 3]]))
    psi = collapsed(theta)
    found = user_rows(p, others, items, psi, walks(cross, users, rows, len(psi) - 1, alone=True))
    for i in range(3):
        graph = Replaced(cross, users[i : i + 1], rows[i : i + 1])
        expected = layer_by_layer(graph, p[i : i + 1], others, items, theta)[0]
        assert torch.allclose(found[i], expected[0], rtol=1e-4, atol=1e-5)


def test_rows_of_the_graph_are_rows_of_its_normalised_matrix(train: Interactions) -> None:
    cross = Cross(train, "cpu")
    users = torch.arange(25)
    eye = torch.eye(18)
    assert torch.allclose(cross.rows(users), cross.matrix @ eye, atol=1e-6)


def test_an_item_that_occurs_twice_in_a_history_counts_once(train: Interactions) -> None:
    cross = Cross(train, "cpu")
    once, twice = cross.rows_of(torch.tensor([[18, 3, 5], [3, 5, 3]]))
    assert torch.equal(once, twice)
