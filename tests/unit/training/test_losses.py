"""Every loss and its gradients equal its formula, written out in loops or by autograd."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.nn.functional import log_softmax, logsigmoid

from recspectra.training import losses
from recspectra.training.rows import SparseRows

Loss = Callable[..., torch.Tensor]


def leaves(*shapes: tuple[int, ...], scale: float = 1.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(len(shapes))
    return [(scale * torch.randn(shape, generator=generator)).requires_grad_() for shape in shapes]


def assert_equal(found: torch.Tensor, plain: torch.Tensor, inputs: list[torch.Tensor]) -> None:
    """The same value, and the same gradients of three times the loss."""
    assert found.shape == ()
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-6)
    gradients = (torch.autograd.grad(3.0 * loss, inputs) for loss in (found, plain))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------- of pairs


def test_bpr_is_the_mean_over_all_pairs() -> None:
    positive, negative = leaves((5,), (5, 3))
    plain = sum(-logsigmoid(positive[b] - negative[b, k]) for b in range(5) for k in range(3)) / 15
    assert_equal(losses.bpr(positive, negative), plain, [positive, negative])


def test_squares_and_their_half_by_rows() -> None:
    one, two = torch.tensor([[1.0, -2.0], [3.0, 0.0]]), torch.tensor([[5.0], [1.0], [0.5]])
    assert losses.squares(one, two) == 40.25
    assert losses.half_squares(one, two) == 40.25 / 4.0  # two rows in the first block


def test_the_contrastive_loss_counts_negatives_above_the_margin() -> None:
    positive, negative = torch.tensor([0.5, 1.5, -0.5]), torch.tensor([[0.9, 0.2], [0.4, 0.6]])
    shares = torch.tensor([[0.1, 0.2], [0.3, 0.4]])
    found = losses.cosine_contrastive(positive, negative, shares, 0.4, 10.0)
    assert float(found) == pytest.approx((0.5 + 0.0 + 1.5) / 3 + 10 * (0.1 * 0.5 + 0.4 * 0.2))


def test_the_weighted_logistic_loss_averages_positives_and_sums_negatives() -> None:
    scores, weights, others, other_weights = leaves((4,), (4,), (4, 3), (4, 3))
    plain = -sum(w * logsigmoid(s) for s, w in zip(scores, weights, strict=True)) / 4
    flat = zip(others.flatten(), other_weights.flatten(), strict=True)
    plain = plain - sum(w * logsigmoid(-s) for s, w in flat)
    found = losses.weighted_logistic(scores, weights, others, other_weights)
    assert_equal(found, plain, [scores, weights, others, other_weights])


def test_infonce_is_over_cosines_of_all_rows_of_the_other_view() -> None:
    anchors, others = leaves((3, 4), (5, 4))
    positives, tau = torch.tensor([4, 0, 0]), 0.3
    cosines = [[a @ o / (a.norm() * o.norm()) / tau for o in others] for a in anchors]
    plain = sum(
        torch.logsumexp(torch.stack(row), 0) - row[y] for row, y in zip(cosines, positives, strict=True)
    )
    assert_equal(losses.infonce(anchors, others, positives, tau), plain / 3, [anchors, others])


# ----------------------------------------------------------------------- full softmax


@pytest.mark.parametrize("room", [3, 9, 18, 63, 1000])  # scores: less than one row of 9, one, two, all
@pytest.mark.parametrize("learned", ["both", "hidden", "table", "none"])
def test_the_full_softmax_is_the_mean_cross_entropy(
    room: int, learned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "SOFTMAX_SCORES", {"cpu": room})
    hidden, table = leaves((7, 4), (9, 4))
    hidden.requires_grad_(learned in ("both", "hidden"))
    table.requires_grad_(learned in ("both", "table"))
    targets = torch.tensor([0, 8, 3, 3, 1, 0, 5])
    plain = -log_softmax(hidden @ table.T, 1)[torch.arange(7), targets].mean()
    found = losses.full_softmax(hidden, table, targets)
    if learned == "none":
        torch.testing.assert_close(found, plain)
    else:
        assert_equal(found, plain, [x for x in (hidden, table) if x.requires_grad])


@pytest.mark.parametrize("learned", [True, False])
def test_the_full_softmax_of_no_rows_is_zero(learned: bool) -> None:
    hidden, table = torch.zeros(0, 4, requires_grad=learned), torch.zeros(3, 4)
    assert losses.full_softmax(hidden, table, torch.zeros(0, dtype=torch.int64)) == 0.0


def test_the_full_softmax_bears_scores_that_overflow_an_exponential() -> None:
    hidden, table = leaves((6, 4), (9, 4), scale=100.0)
    targets = torch.arange(6)
    plain = -log_softmax(hidden @ table.T, 1)[targets, targets].mean()
    assert_equal(losses.full_softmax(hidden, table, targets), plain, [hidden, table])


# -------------------------------------------------------------------- of reconstructed rows


def rows_with_weights() -> SparseRows:
    """Six rows of 8 columns with entries that are not 1; row 2 is empty."""
    rng = np.random.default_rng(3)
    dense = (rng.random((6, 8)) < 0.4) * rng.integers(1, 5, (6, 8))
    dense[2] = 0
    return SparseRows.from_matrix(sp.csr_array(dense.astype(np.float32)))


def plain_multinomial(scores: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return -(x * log_softmax(scores, 1)).sum() / len(x)


def plain_logistic(scores: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return (torch.log1p(torch.exp(scores)) - x * scores).sum() / len(x)


def plain_squared_tanh(scores: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return 0.5 * ((torch.tanh(scores) - x) ** 2).sum() / len(x)


@pytest.mark.parametrize("room", [3, 8, 17, 48, 1000])  # scores: less than one row of 8, one, two, all
@pytest.mark.parametrize(
    ("fast", "plain"),
    [
        (losses.multinomial, plain_multinomial),
        (losses.logistic, plain_logistic),
        (losses.squared_tanh, plain_squared_tanh),
    ],
)
def test_losses_of_weighted_rows_equal_their_formulas(
    fast: Loss, plain: Loss, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "ROW_SCORES", {"cpu": room})
    rows, inputs = rows_with_weights(), leaves((6, 3), (8, 3), (8,))
    hidden, weight, bias = inputs
    assert_equal(fast(*inputs, rows), plain(hidden @ weight.T + bias, rows.dense()), inputs)


def test_the_multinomial_loss_bears_scores_that_overflow_an_exponential() -> None:
    rows, inputs = rows_with_weights(), leaves((6, 3), (8, 3), (8,), scale=100.0)
    hidden, weight, bias = inputs
    expected = plain_multinomial(hidden @ weight.T + bias, rows.dense())
    assert_equal(losses.multinomial(hidden, weight, bias, rows), expected, inputs)


def test_the_sampled_loss_is_over_entries_and_the_negatives_of_each() -> None:
    rows, inputs = rows_with_weights(), leaves((6, 3), (8, 3), (8,))
    hidden, weight, bias = inputs
    rows = SparseRows(rows.columns, rows.indptr, torch.ones(len(rows.columns)), rows.width)
    negatives = torch.randint(0, 8, (len(rows.columns), 2), generator=torch.Generator().manual_seed(0))
    scores = hidden @ weight.T + bias
    plain = torch.zeros(())
    for entry, (row, column) in enumerate(zip(rows.owners, rows.columns, strict=True)):
        plain = plain - logsigmoid(scores[row, column])
        plain = plain - sum(logsigmoid(-scores[row, other]) for other in negatives[entry])
    assert_equal(losses.sampled_logistic(hidden, weight, bias, rows, negatives), plain / 6, inputs)


def test_the_divergence_from_the_normal_distribution() -> None:
    mean, log_variance = leaves((4, 3), (4, 3))
    own = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    normal = torch.distributions.Normal(torch.zeros(4, 3), torch.ones(4, 3))
    plain = torch.distributions.kl_divergence(own, normal).sum() / 4
    assert_equal(losses.gaussian_divergence(mean, log_variance), plain, [mean, log_variance])
    assert losses.gaussian_divergence(torch.zeros(2, 3), torch.zeros(2, 3)) == 0.0
