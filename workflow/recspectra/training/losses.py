"""The loss families of the trained models, each once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import normalize, relu, softplus

from recspectra.training.rows import SparseRows


def bpr(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Return the Bayesian personalised ranking loss, the mean of -log sigmoid(s_pos - s_neg).

    Parameters
    ----------
    positive : tensor, shape (b,)
        Scores of observed pairs.
    negative : tensor, shape (b, k)
        Scores of sampled items of the same users.
    """
    return softplus(negative - positive[:, None]).mean()


def half_squares(*blocks: torch.Tensor) -> torch.Tensor:
    """Return half the sum of squares of all entries, divided by the rows of the first block."""
    return squares(*blocks) / (2.0 * len(blocks[0]))


def full_softmax(hidden: torch.Tensor, item_table: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of targets under a softmax over all items.

    L = 1/p sum_r (log sum_j exp <h_r, e_j> - <h_r, e_{y_r}>). Scores exist for few rows
    at a time; their gradients are taken on the way, so nothing is computed twice.

    Parameters
    ----------
    hidden : tensor, shape (p, d)
        States h.
    item_table : tensor, shape (n, d)
        Item vectors e.
    targets : int64 tensor, shape (p,)
        Item ids y in [0, n).

    Returns
    -------
    tensor, shape ()
        Zero where there are no rows.
    """
    size = max(1, SOFTMAX_SCORES.get(hidden.device.type, 64_000_000) // max(1, len(item_table)))
    return _FullSoftmax.apply(hidden, item_table, targets, size)


SOFTMAX_SCORES = {"cpu": 1_000_000, "cuda": 64_000_000}  # at once: 4 MB stay in a processor's cache


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, table: torch.Tensor, targets: torch.Tensor, chunk: int
    ) -> torch.Tensor:
        total = torch.zeros((), device=hidden.device)
        if not any(ctx.needs_input_grad):
            for h, y in zip(hidden.split(chunk), targets.split(chunk), strict=True):
                scores = (h @ table.T).float()
                total = total + (scores.logsumexp(1) - scores.gather(1, y[:, None])[:, 0]).sum()
            return total / max(1, len(hidden))
        to_hidden, to_table = torch.empty_like(hidden), torch.zeros_like(table)
        for start in range(0, len(hidden), chunk):
            part = slice(start, start + chunk)
            total = total + _softmax_part(hidden[part], table, targets[part], to_hidden[part], to_table)
        to_table.index_add_(0, targets, hidden.to(table.dtype), alpha=-1.0)
        ctx.save_for_backward(to_hidden, to_table)
        ctx.count = max(1, len(hidden))
        return total / ctx.count

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        to_hidden, to_table = ctx.saved_tensors
        share = gradient / ctx.count
        return share * to_hidden, share * to_table, None, None


def _softmax_part(
    hidden: torch.Tensor, table: torch.Tensor, targets: torch.Tensor,
    to_hidden: torch.Tensor, to_table: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Return the summed loss of some rows and write its gradients, -h of the targets' rows left out.

    Exponentials are divided by their sum after the products, on d instead of n columns.
    """
    scores = (hidden @ table.T).float()
    largest = scores.amax(dim=1, keepdim=True)
    right = scores.gather(1, targets[:, None])
    weights = scores.sub_(largest).exp_()
    sums = weights.sum(dim=1, keepdim=True)
    to_hidden.copy_((weights @ table).float() / sums - table[targets])
    to_table += weights.T @ (hidden / sums)
    return (sums.log() + largest - right).sum()


# ------------------------------------------------------------------- losses of graph models


def infonce(
    anchors: torch.Tensor, others: torch.Tensor, positives: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return the mean of -log (exp(cos(a, o_+) / tau) / sum over j of exp(cos(a, o_j) / tau)).

    Parameters
    ----------
    anchors : tensor, shape (b, d)
        Vectors a in one view.
    others : tensor, shape (c, d)
        Vectors o in the other view.
    positives : int64 tensor, shape (b,)
        Rows of `others` that belong to the anchors; all other rows are negatives.
    temperature : float
        tau.
    """
    return full_softmax(normalize(anchors, dim=1) / temperature, normalize(others, dim=1), positives)


def cosine_contrastive(
    positive: torch.Tensor, negative: torch.Tensor, shares: torch.Tensor, margin: float, weight: float
) -> torch.Tensor:
    """Return the mean of relu(1 - cos_+) plus weight times the average of relu(cos_- - margin).

    Parameters
    ----------
    positive : tensor, shape (b,)
        Cosines of observed pairs.
    negative : tensor, shape (r, k)
        Cosines of r rows with sampled items.
    shares : tensor, shape (r, k)
        What each counts in the average; they sum to 1.
    margin, weight : float
        Below the margin a negative costs nothing.
    """
    return relu(1.0 - positive).mean() + weight * (shares * relu(negative - margin)).sum()


def weighted_logistic(
    positive: torch.Tensor, positive_weights: torch.Tensor,
    negative: torch.Tensor, negative_weights: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Return the mean of w_+ (-log sigmoid(s_+)) plus the sum of w_- (-log sigmoid(-s_-)).

    Parameters
    ----------
    positive, positive_weights : tensors, shape (b,)
        Scores of observed pairs and what each counts.
    negative, negative_weights : tensors of equal shape
        Scores of sampled items and what each counts.
    """
    return (positive_weights * softplus(-positive)).mean() + (negative_weights * softplus(negative)).sum()


# ----------------------------------------------------------- losses of reconstructed rows


def multinomial(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, rows: SparseRows
) -> torch.Tensor:
    """Return the mean over rows of -sum_i x_i log softmax(s)_i for scores s = W h + b.

    Scores exist for few rows at a time and their gradients are taken on the way, here
    and in the other losses of this section.

    Parameters
    ----------
    hidden : tensor, shape (b, d)
        States h, one for each row.
    weight, bias : tensors, shapes (n, d) and (n,)
        W and b of the last layer, as `torch.nn.Linear` keeps them.
    rows : SparseRows, shape (b, n)
        Targets x.
    """
    return _of_rows(_multinomial, hidden, weight, bias, rows)


def logistic(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, rows: SparseRows
) -> torch.Tensor:
    """Return the mean over rows of sum_i (log(1 + exp s_i) - x_i s_i); see `multinomial`."""
    return _of_rows(_logistic, hidden, weight, bias, rows)


def squared_tanh(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, rows: SparseRows
) -> torch.Tensor:
    """Return the mean over rows of sum_i (tanh(s_i) - x_i)^2 / 2; see `multinomial`."""
    return _of_rows(_squared_tanh, hidden, weight, bias, rows)


ROW_SCORES = {"cpu": 4_000_000, "cuda": 64_000_000}  # at once
Pointwise = Callable[[torch.Tensor, SparseRows], tuple[torch.Tensor, torch.Tensor]]


def _of_rows(
    pointwise: Pointwise, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, rows: SparseRows
) -> torch.Tensor:  # fmt: skip
    size = max(1, ROW_SCORES.get(hidden.device.type, 64_000_000) // rows.width)
    return _RowLoss.apply(hidden, weight, bias, rows, pointwise, size)


class _RowLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor,
        rows: SparseRows, pointwise: Pointwise, chunk: int,
    ) -> torch.Tensor:  # fmt: skip
        count, total = len(rows), torch.zeros((), device=hidden.device)
        to_hidden, to_weight, to_bias = torch.empty_like(hidden), None, torch.zeros_like(bias)
        for start in range(0, count, chunk):
            h = hidden[start : start + chunk]
            scores = torch.addmm(bias, h, weight.T).float()
            loss, to_scores = pointwise(scores, rows.part(start, start + chunk))
            to_hidden[start : start + chunk] = to_scores @ weight
            product = (to_scores.T @ h).to(weight.dtype)
            to_weight = product if to_weight is None else to_weight.add_(product)
            to_bias += to_scores.sum(dim=0)
            total += loss
        ctx.save_for_backward(to_hidden, to_weight, to_bias)
        ctx.count = count
        return total / count

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        share = gradient / ctx.count
        return *(share * to for to in ctx.saved_tensors), None, None, None


def _multinomial(scores: torch.Tensor, rows: SparseRows) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the summed loss of rows, and its gradient in the place of the scores."""
    totals = rows.sums()
    right = (rows.values * scores[rows.owners, rows.columns]).sum()
    largest = scores.amax(dim=1, keepdim=True)
    weights = scores.sub_(largest).exp_()
    sums = weights.sum(dim=1, keepdim=True)
    loss = (totals * (largest + sums.log())[:, 0]).sum() - right
    weights.mul_(totals[:, None] / sums)
    weights[rows.owners, rows.columns] -= rows.values
    return loss, weights


def _logistic(scores: torch.Tensor, rows: SparseRows) -> tuple[torch.Tensor, torch.Tensor]:
    """As `_multinomial`."""
    loss = softplus(scores).sum() - (rows.values * scores[rows.owners, rows.columns]).sum()
    shares = scores.sigmoid_()
    shares[rows.owners, rows.columns] -= rows.values
    return loss, shares


def _squared_tanh(scores: torch.Tensor, rows: SparseRows) -> tuple[torch.Tensor, torch.Tensor]:
    """As `_multinomial`."""
    output = scores.tanh_()
    slopes = torch.addcmul(torch.ones((), device=scores.device), output, output, value=-1.0)
    output[rows.owners, rows.columns] -= rows.values
    return 0.5 * output.square().sum(), output.mul_(slopes)


def sampled_logistic(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, rows: SparseRows, negatives: torch.Tensor
) -> torch.Tensor:
    """Return the mean over rows of -log sigmoid(s_i) at their entries and -log sigmoid(-s_j) at others.

    Parameters
    ----------
    hidden, weight, bias : tensors
        As in `multinomial`.
    rows : SparseRows, shape (b, n)
        Entries i.
    negatives : int64 tensor, shape (nnz, k)
        Items j, k for each entry of the rows.
    """
    columns, indptr = negatives.reshape(-1).int(), rows.indptr * negatives.shape[1]
    others = SparseRows(columns, indptr, torch.ones(len(columns), device=columns.device), rows.width)
    scores = (x.products(hidden, weight) + bias.index_select(0, x.columns) for x in (rows, others))
    right, wrong = scores
    return (softplus(-right).sum() + softplus(wrong).sum()) / len(rows)


def squares(*blocks: torch.Tensor) -> torch.Tensor:
    """Return the sum of squares of all entries."""
    return sum((block**2).sum() for block in blocks)


def gaussian_divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Return the mean over rows of the divergence of N(mean, variance) from N(0, 1).

    KL = 1/2 sum_k (mu_k^2 + sigma_k^2 - 1 - log sigma_k^2); arguments have shape (b, d).
    """
    inner = mean**2 + log_variance.exp() - 1.0 - log_variance
    return 0.5 * inner.sum(dim=1).mean()
