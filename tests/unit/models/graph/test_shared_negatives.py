"""SimpleX and UltraGCN: losses, neighbours and scores are those of their formulas."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from graph_helpers import Fitted, free
from plain_matrices import scores_of
from torch.nn.functional import cosine_similarity, softplus

from recspectra.data.interactions import Interactions
from recspectra.models.simplex import SharedNegatives
from recspectra.models.ultragcn import nearest_items
from recspectra.recommender import Task
from recspectra.training.losses import cosine_contrastive, weighted_logistic

# --------------------------------------------------------------------- SimpleX and UltraGCN


def test_shared_negatives_count_where_the_user_has_not_seen_them(tiny: dict[str, Interactions]) -> None:
    train = tiny["train"]
    seen = train.matrix.toarray() > 0
    batches = list(SharedNegatives(train, 300, 30, True, "cpu")(torch.Generator().manual_seed(0)))
    assert sum(len(batch.users) for batch in batches) == train.nnz
    for batch in batches:
        assert len(batch.negatives.unique()) == 30
        assert torch.equal(batch.distinct[batch.place], batch.users)
        taboo = torch.from_numpy(seen[batch.distinct][:, batch.negatives])
        assert torch.equal(batch.shares == 0, taboo)
        pairs = torch.bincount(batch.place)
        assert torch.allclose(batch.shares.sum(1), pairs / len(batch.users))


def test_shared_negatives_that_are_not_rejected_all_count_the_same(tiny: dict[str, Interactions]) -> None:
    batches = list(SharedNegatives(tiny["train"], 300, 500, False, "cpu")(torch.Generator()))
    assert sum(len(b.users) for b in batches) == tiny["train"].nnz
    shares = torch.bincount(batches[0].place)[:, None] / 300 / 80
    assert torch.allclose(batches[0].shares, shares.expand(-1, 80))


def test_losses_on_shared_negatives_are_those_of_every_pair(tiny: dict[str, Interactions]) -> None:
    batch = next(SharedNegatives(tiny["train"], 300, 30, True, "cpu")(torch.Generator().manual_seed(0)))
    torch.manual_seed(1)
    positive, negative = torch.rand(300) * 2 - 1, torch.rand(len(batch.distinct), 30) * 2 - 1
    inside, ccl, logistic = (batch.shares > 0)[batch.place], 0.0, 0.0
    for r in range(300):
        others = negative[batch.place[r]][inside[r]]
        ccl += float(1 - positive[r] + 7 * torch.relu(others - 0.2).mean()) / 300
        both = 2 * softplus(-positive[r]) + 7 * softplus(others).mean()
        logistic += float(both) / 300
    assert float(cosine_contrastive(positive, negative, batch.shares, 0.2, 7)) == pytest.approx(ccl, 1e-4)
    found = weighted_logistic(positive, torch.full((300,), 2.0), negative, 7 * batch.shares)
    assert float(found) == pytest.approx(logistic, 1e-4)


@pytest.mark.parametrize("gamma", [0.3, 1.0])
def test_simplex_scores_are_cosines_of_the_shown_history(
    fitted: Fitted, tiny: dict[str, Interactions], gamma: float
) -> None:
    model = fitted("simplex", gamma=gamma, negatives=20)
    users, items = free(model)[:120], free(model)[120:]
    shown = tiny["train"].merged(tiny["valid"])
    v = model.module.history.weight.detach().numpy().astype(np.float64)
    for user in (3, 70):
        mean = items[shown.sequence(user)].mean(0)
        vector = gamma * users[user] + (1 - gamma) * v @ mean
        cosines = items @ vector / np.linalg.norm(items, axis=1) / np.linalg.norm(vector)
        assert np.allclose(scores_of(model, shown)[user], cosines, atol=1e-5)


def test_a_pairs_own_item_can_be_taken_out_of_the_history(
    fitted: Fitted, tiny: dict[str, Interactions]
) -> None:
    model = fitted("simplex", negatives=20, own_item="removed")
    batch = next(iter(model.batches(Task(tiny["train"], None, True))(torch.Generator())))
    items = model.module.tables.split()[1]
    kept, removed = (model._means(items, batch, apart) for apart in (False, True))
    for r in range(0, 500, 50):
        own = tiny["train"].sequence(int(batch.users[r]))
        assert torch.allclose(removed[r], items[own[own != int(batch.items[r])]].mean(0), atol=1e-5)
        assert torch.allclose(kept[batch.place[r]], items[own].mean(0), atol=1e-5)


def test_both_ways_of_the_own_item_give_the_same_loss_without_a_history(
    fitted: Fitted, tiny: dict[str, Interactions]
) -> None:
    model = fitted("simplex", negatives=20, dropout=0.0, gamma=0.5)
    torch.nn.init.zeros_(model.module.history.weight)
    batch = next(iter(model.batches(Task(tiny["train"], None, True))(torch.Generator())))
    losses = []
    for model.params.own_item in ("kept", "removed"):
        losses.append(float(model.loss(batch, torch.Generator()).detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("own_item", ["kept", "removed"])
@pytest.mark.parametrize(
    "biases", [(False, False), (True, False), (False, True)], ids=["none", "item", "user"]
)
def test_simplex_loss_is_that_of_its_formula(
    fitted: Fitted, tiny: dict[str, Interactions], biases: tuple[bool, bool], own_item: str
) -> None:
    weights = {
        "margin": 0.2,
        "negative_weight": 7.0,
        "regularization": 0.1,
        "gamma": 0.4,
        "own_item": own_item,
    }
    given = dict(zip(("item_bias", "training_bias"), biases, strict=True))
    model = fitted("simplex", negatives=20, dropout=0.0, **given, **weights)
    m = model.module
    with torch.no_grad():
        for bias in (m.bias, m.user_bias, m.global_bias):
            bias.normal_(generator=torch.Generator().manual_seed(1))
    batch = next(iter(model.batches(Task(tiny["train"], None, True))(torch.Generator())))
    users, items = model.module.tables.split()
    total = torch.zeros(())
    for u, i in zip(batch.users.tolist(), batch.items.tolist(), strict=True):
        seen = set(tiny["train"].sequence(u).tolist())
        history = items[sorted(seen - {i} if own_item == "removed" else seen)]
        own = 0.4 * users[u] + 0.6 * model.module.history(history.mean(0))
        bias = biases[0] * m.bias + biases[1] * (m.user_bias[u] + m.global_bias)
        others = [j for j in batch.negatives.tolist() if j not in seen]
        cosines = cosine_similarity(own[None], items) + bias
        over = torch.relu(cosines[others] - 0.2).mean() if others else 0.0
        squares = (users[u] ** 2).sum() + (items[i] ** 2).sum()
        total = total + torch.relu(1 - cosines[i]) + 7.0 * over + 0.05 * squares
    found = model.loss(batch, torch.Generator())
    assert float(found.detach()) == pytest.approx(float(total.detach()) / len(batch.users), rel=1e-4)


def test_entries_are_dropped_before_or_after_users_get_length_1(fitted: Fitted) -> None:
    model = fitted("simplex", negatives=20, dropout=0.5)
    users, lengths = 3.0 + torch.rand(200, 16), {}
    for model.params.dropout_at in ("before", "after"):
        found = model._directions(users, torch.Generator().manual_seed(0))
        assert 0.4 < float((found == 0).float().mean()) < 0.6
        lengths[model.params.dropout_at] = found.norm(dim=1)
    assert torch.allclose(lengths["before"], torch.ones(200), atol=1e-5)
    assert 1.2 < float(lengths["after"].mean()) < 1.5 and float(lengths["after"].std()) > 0.05


def test_biases_of_training_change_no_score(fitted: Fitted, tiny: dict[str, Interactions]) -> None:
    model = fitted("simplex", negatives=20, training_bias=True)
    assert model.module.user_bias.abs().min() > 0 and model.module.global_bias != 0
    scores = scores_of(model, tiny["train"])
    with torch.no_grad():
        model.module.user_bias.add_(1.0)
        model.module.global_bias.add_(1.0)
    assert np.array_equal(scores_of(model, tiny["train"]), scores)


@pytest.mark.parametrize("diagonal", ["removed", "kept", "paper"])
def test_ultragcn_neighbours_have_the_largest_omega(diagonal: str, tiny: dict[str, Interactions]) -> None:
    x = tiny["train"].matrix.toarray().astype(np.float64)
    gram = x.T @ x
    if diagonal == "removed":
        np.fill_diagonal(gram, 0)
    sums = gram.sum(1)
    omega = gram * (np.sqrt(sums + 1) / sums)[:, None] / np.sqrt(sums + 1)
    if diagonal == "paper":
        omega = gram / (sums - np.diag(gram))[:, None] * np.sqrt(sums[:, None] / sums)
        np.fill_diagonal(omega, 0)
    near, found = nearest_items(tiny["train"].matrix, 5, diagonal)
    assert np.allclose(np.sort(found), np.sort(omega)[:, -5:], rtol=1e-5)
    assert np.allclose(found, np.take_along_axis(omega, near, axis=1), rtol=1e-5)


def test_ultragcn_places_without_a_neighbour_count_nothing() -> None:
    near, omega = nearest_items(sp.csr_array(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])), 2, "removed")
    assert near.tolist() == [[1, 0], [0, 0], [0, 0]]
    assert np.count_nonzero(omega) == 2


@pytest.mark.parametrize("penalty", ["pairs", "all"])
def test_ultragcn_loss_is_that_of_its_formula(
    fitted: Fitted, tiny: dict[str, Interactions], penalty: str
) -> None:
    weights = {"w1": 0.3, "w2": 0.7, "w3": 0.2, "w4": 0.9, "negative_weight": 5.0, "item_weight": 2.0}
    model = fitted("ultragcn", negatives=20, regularization=0.1, penalty=penalty, neighbours=3, **weights)
    batch = next(iter(model.batches(Task(tiny["train"], None, True))(torch.Generator())))
    x = tiny["train"].matrix.toarray()
    d_user, d_item = x.sum(1), x.sum(0)
    beta = np.sqrt(d_user + 1)[:, None] / d_user[:, None] / np.sqrt(d_item + 1)
    users, items = (v.detach().numpy().astype(np.float64) for v in model.vectors())
    cost = partial(np.logaddexp, 0.0)
    scores, expected = users @ items.T, 0.0
    for u, i in zip(batch.users.tolist(), batch.items.tolist(), strict=True):
        others = [j for j in batch.negatives.tolist() if not x[u, j]]
        expected += (0.3 + 0.7 * beta[u, i]) * cost(-scores[u, i])
        expected += 5 * np.mean((0.2 + 0.9 * beta[u, others]) * cost(scores[u, others]))
        expected += 2 * (model.omega[i].numpy() * cost(-scores[u, model.near[i].numpy()])).sum()
        if penalty == "pairs":
            expected += 0.05 * (users[u] @ users[u] + items[i] @ items[i])
    if penalty == "all":  # once a batch, as the authors add it to the sum over its pairs
        expected += 0.05 * ((users**2).sum() + (items**2).sum())
    found = float(model.loss(batch, torch.Generator()).detach())
    assert found == pytest.approx(expected / len(batch.users), rel=1e-4)
