"""Metrics of top lists: one function a metric, vectorised over users and cut-offs.

A metric of users takes a `RankedLists` and a list of cut-offs and returns float64 values of shape (users,
cut-offs), NaN where a list does not allow it. A metric of the catalogue (`of="catalogue"`) looks at all
lists at once and returns shape (cut-offs,). To add one is to write one function here: what `@metric` says
of it makes the list of names (`config.metric_names`), the glossary and a test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from recspectra.evaluation.hits import RankedLists, discounts

Metric = Callable[[RankedLists, Sequence[int]], np.ndarray]


@dataclass(frozen=True)
class About:
    """What is known of a metric.

    Attributes
    ----------
    definition, note : str
        What it is, as a formula in words; how to read it.
    source : str
        Where the definition is from.
    example : float
        Its mean over the users of `evaluation.example`, at cut-off 2.
    of : str
        Whether it is a number of each `user`, or one of the whole `catalogue`, which has no interval over
        users.
    half_ties : bool
        Whether it is defined for equal scores that share places (`ties: half`).
    needs_train : bool
        Whether it needs the training interactions.
    ranked : bool
        Whether more is better, so that a table marks the best.
    """

    definition: str
    note: str
    source: str
    example: float
    of: Literal["user", "catalogue"] = "user"
    half_ties: bool = False
    needs_train: bool = False
    ranked: bool = True


USERS_AT_ONCE = 512  # lists whose sums of columns are held at once
METRICS: dict[str, Metric] = {}
ABOUT: dict[str, About] = {}


def metric(name: str, **about: object) -> Callable[[Metric], Metric]:
    """Register a metric under a name."""

    def register(function: Metric) -> Metric:
        METRICS[name], ABOUT[name] = function, About(**about)
        return function

    return register


def ideal(depth: int) -> np.ndarray:
    """Return the DCG of 0..depth hits at the top of a list, shape (depth + 1,)."""
    return np.concatenate([[0.0], np.cumsum(discounts(depth))])


# ---------------------------------------------------------------------------- accuracy


@metric(
    "recall",
    definition="hits among the first K divided by the number of test items |T|",
    note="The usual recall. With more than K test items it cannot reach 1.",
    source="van Rijsbergen, Information Retrieval, 1979",
    example=2 / 3,
    half_ties=True,
)
def recall(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """hits / |T|."""
    return ranked.hit_counts(k) / ranked.targets[:, None]


@metric(
    "recall_min",
    definition="hits among the first K divided by the smaller of K and |T|",
    note="Truncated recall: a full list of hits scores 1. Never below recall, and above it for every user "
    "with more than K test items.",
    source="Liang et al., Variational autoencoders for collaborative filtering, WWW 2018",
    example=2 / 3,
)
def recall_min(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """hits / min(K, |T|), the truncated recall of GiffCF, SGFCF and Mult-VAE."""
    return ranked.hit_counts(k) / np.minimum(np.array(k), ranked.targets[:, None])


@metric(
    "hr",
    definition="1 if there is any hit among the first K, else 0",
    note="Hit rate. Equals recall with one test item.",
    source="Deshpande and Karypis, Item-based top-N recommendation algorithms, TOIS 2004",
    example=1.0,
    half_ties=True,
)
def hr(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """1 if there is any hit among the first K, else 0 (hit rate)."""
    return (ranked.hit_counts(k) > 0).astype(np.float64)


@metric(
    "precision",
    definition="hits among the first K divided by K",
    note="The share of the list that is right.",
    source="van Rijsbergen, Information Retrieval, 1979",
    example=1 / 2,
)
def precision(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """hits / K."""
    return ranked.hit_counts(k) / np.array(k)


@metric(
    "f1",
    definition="2 P R / (P + R) of each user's precision P and recall R; 0 without a hit",
    note="Averaged over users, which is not the same as F1 of the averages.",
    source="van Rijsbergen, Information Retrieval, 1979",
    example=5 / 9,
)
def f1(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """2 hits / (K + |T|)."""
    return 2.0 * ranked.hit_counts(k) / (np.array(k) + ranked.targets[:, None])


@metric(
    "ndcg",
    definition="sum of 1/log2(position + 1) over the hits, divided by that sum for the best possible list, "
    "which has min(K, |T|) hits at the top",
    note="The standard definition: rewards hits and their order.",
    source="Jarvelin and Kekalainen, Cumulated gain-based evaluation of IR techniques, TOIS 2002",
    example=0.591235,
    half_ties=True,
)
def ndcg(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """DCG / DCG of min(K, |T|) hits at the top: the standard definition."""
    best = ideal(max(k))[np.minimum(np.array(k), ranked.targets[:, None])]
    return ranked.dcg(k) / best


@metric(
    "ndcg_hit",
    definition="the same sum, divided by that sum for the hits that were found, moved to the top",
    note="NGCF's definition, used for GSPRec's row: test items that were missed cost nothing, so one hit at "
    "position 1 scores 1. On ML-100K 1.3 to 1.8 times the standard value.",
    source="Wang et al., Neural graph collaborative filtering, SIGIR 2019 (its code)",
    example=0.753953,
)
def ndcg_hit(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """DCG / DCG of the *retrieved* hits at the top (NGCF, GSPRec); 0 without a hit."""
    return _ratio(ranked.dcg(k), ideal(max(k))[ranked.hit_counts(k)])


@metric(
    "ndcg_set",
    definition="ndcg_hit, but the list is first turned into a Python set, whose order is that of item "
    "numbers modulo the size of a hash table",
    note="What the HiGSP and FaGSP evaluator computes: the order of the list is lost.",
    source="the code of HiGSP and FaGSP",
    example=0.876977,
)
def ndcg_set(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """`ndcg_hit` of the first K items in the order of CPython's set (HiGSP, FaGSP)."""
    return _over_sets(ranked, k, ndcg_hit)


@metric(
    "mrr",
    definition="1 divided by the position of the first hit, 0 if it is not among the first K",
    note="Mean reciprocal rank. Cannot fall as K grows.",
    source="Voorhees, The TREC-8 question answering track report, 1999",
    example=2 / 3,
    half_ties=True,
)
def mrr(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """1 / position of the first hit if it is among the first K, else 0."""
    first = ranked.first_hit[:, None]
    return np.where(first <= np.array(k), 1.0 / first, 0.0)


@metric(
    "mrr_set",
    definition="mrr of the list after it was turned into a Python set",
    note="What the HiGSP and FaGSP evaluator computes; it can fall as K grows.",
    source="the code of HiGSP and FaGSP",
    example=5 / 6,
)
def mrr_set(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """`mrr` of the first K items in the order of CPython's set (HiGSP, FaGSP)."""
    return _over_sets(ranked, k, mrr)


@metric(
    "map",
    definition="sum over the hits among the first K of the precision at their position, divided by "
    "min(K, |T|)",
    note="Mean average precision. trec_eval's map_cut divides by |T| instead.",
    source="Zhao et al., RecBole, CIKM 2021",
    example=1 / 2,
)
def average_precision(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """Sum of precision at the hits / min(K, |T|)."""
    at = np.cumsum(ranked.hits, axis=1) / np.arange(1.0, ranked.hits.shape[1] + 1)
    sums = np.cumsum(at * ranked.hits, axis=1)[:, np.array(k) - 1]
    return sums / np.minimum(np.array(k), ranked.targets[:, None])


@metric(
    "auc",
    definition="share of the pairs of a test item and another item in which the test item stands higher; a "
    "test item that may not be recommended counts as last",
    note="Needs lists of all items that may be recommended: set the study's `top` to the number of items. K "
    "plays no part. Shorter lists have no AUC, and its cell says `partial lists`.",
    source="Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, UAI 2009",
    example=5 / 12,
    needs_train=True,
)
def auc(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """Share of (target, other item) pairs in order; NaN where a list may lack items."""
    listed = ranked.items >= 0
    whole = _whole(ranked, listed.sum(axis=1))
    others = listed & ~ranked.hits
    below = others.sum(axis=1, keepdims=True) - np.cumsum(others, axis=1)
    pairs = ranked.targets * others.sum(axis=1)
    share = _ratio((below * ranked.hits).sum(axis=1).astype(np.float64), pairs)
    return np.repeat(np.where(whole, share, np.nan)[:, None], len(k), axis=1)


def _whole(ranked: RankedLists, lengths: np.ndarray) -> np.ndarray:
    """Tell which lists hold every item that may be recommended."""
    if ranked.candidates is not None:
        return lengths >= ranked.candidates
    # A list that ends early holds all; so does one as long as there are items that the user has not.
    new = ranked.known.n_items - ranked.known.distinct.lengths[ranked.users]
    return (ranked.items[:, -1] < 0) | (lengths >= new)


# --------------------------------------------------------------------- beyond accuracy


@metric(
    "novelty",
    definition="mean over the first K of -log2(users with the item in train / users with a training "
    "interaction), in bits",
    note="Self-information: high where a list holds items that few users have. An item that nobody has "
    "counts as if one user had it.",
    source="Zhou et al., Solving the apparent diversity-accuracy dilemma, PNAS 2010",
    example=1.418296,
    needs_train=True,
    ranked=False,
)
def novelty(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """Mean self-information of the first K items."""
    train = ranked.known
    holders = max(1, int((train.lengths > 0).sum()))
    return _mean_of_items(ranked, -np.log2(np.maximum(_holders(ranked), 1) / holders), k)


@metric(
    "average_popularity",
    definition="mean over the first K of the number of users who have the item in train",
    note="High where a list holds what everybody has.",
    source="Yin et al., Challenging the long tail recommendation, VLDB 2012",
    example=1.0,
    needs_train=True,
    ranked=False,
)
def average_popularity(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """Mean number of training users of the first K items."""
    return _mean_of_items(ranked, _holders(ranked).astype(np.float64), k)


@metric(
    "diversity",
    definition="mean over the pairs of the first K of 1 minus the cosine of the two items' columns of the "
    "training matrix, that is users of both / sqrt(users of one x users of the other)",
    note="Intra-list diversity by co-occurrence: 0 where all items have the same users, 1 where no user has "
    "two of them. 0 for lists of fewer than two items.",
    source="Smyth and McClave, Similarity vs. diversity, ICCBR 2001; Ziegler et al., WWW 2005",
    example=0.764298,
    needs_train=True,
    ranked=False,
)
def diversity(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """Mean dissimilarity of the pairs among the first K items."""
    columns = _unit_columns(ranked)
    return np.stack([_diversity_at(ranked.items[:, :cut], columns) for cut in k], axis=1)


@metric(
    "coverage",
    definition="share of all items that stand among the first K of any user",
    note="A number of the whole catalogue, not a mean over users: it has no interval over users.",
    source="Ge, Delgado-Battenfeld and Jannach, Beyond accuracy, RecSys 2010",
    example=2 / 3,
    of="catalogue",
    needs_train=True,
    ranked=False,
)
def coverage(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """Recommended items / items."""
    return np.array([(_times_listed(ranked, cut) > 0).mean() for cut in k])


@metric(
    "gini",
    definition="Gini index of how often each item stands among the first K of a user, over all items",
    note="0 where all items are recommended equally often, near 1 where few are. A number of the whole "
    "catalogue: it has no interval over users.",
    source="Adomavicius and Kwon, Improving aggregate recommendation diversity, TKDE 2012",
    example=4 / 9,
    of="catalogue",
    needs_train=True,
    ranked=False,
)
def gini(ranked: RankedLists, k: Sequence[int]) -> np.ndarray:
    """Sum over items in rising order of (2 i - n - 1) x_i / (n sum x)."""
    return np.array([_gini(_times_listed(ranked, cut)) for cut in k])


def _gini(counts: np.ndarray) -> float:
    n, total = len(counts), counts.sum()
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return float((weights * np.sort(counts)).sum() / (n * total)) if total else 0.0


def _times_listed(ranked: RankedLists, cut: int) -> np.ndarray:
    """Return how often each item stands among the first `cut`, shape (n_items,)."""
    items = ranked.items[:, :cut]
    return np.bincount(items[items >= 0], minlength=ranked.known.n_items)


def _holders(ranked: RankedLists) -> np.ndarray:
    """Return how many users have each item in train, shape (n_items,)."""
    return np.diff(ranked.known.matrix.tocsc().indptr)


def _mean_of_items(ranked: RankedLists, values: np.ndarray, k: Sequence[int]) -> np.ndarray:
    """Return the mean of a number of each item over the first K of each list; 0 for an empty list."""
    listed = ranked.items >= 0
    sums = np.cumsum(np.where(listed, values[ranked.items], 0.0), axis=1)
    counts = np.cumsum(listed, axis=1).astype(np.float64)
    places = np.array(k) - 1
    return _ratio(sums[:, places], counts[:, places])


def _unit_columns(ranked: RankedLists) -> sparse.csr_array:
    """Return the items' columns of the training matrix with length 1, as rows, shape (n_items, n_users)."""
    rows = sparse.csr_array(ranked.known.matrix.T).astype(np.float64)
    rows.data[:] = 1.0
    lengths = np.sqrt(np.maximum(np.diff(rows.indptr), 1))
    return sparse.csr_array(sparse.diags_array(1.0 / lengths) @ rows)


def _diversity_at(items: np.ndarray, columns: sparse.csr_array) -> np.ndarray:
    """Return 1 less the mean cosine of the pairs of each row; |sum of unit columns|^2 has each pair twice."""
    known = np.diff(columns.indptr) > 0
    found = np.empty(len(items))
    for start in range(0, len(items), USERS_AT_ONCE):
        part = items[start : start + USERS_AT_ONCE]
        rows, places = np.nonzero(part >= 0)
        chosen = sparse.csr_array(
            (np.ones(len(rows)), (rows, part[rows, places])), shape=(len(part), columns.shape[0])
        )
        sums = chosen @ columns
        alike = np.asarray(sums.multiply(sums).sum(axis=1)).ravel() - chosen @ known.astype(np.float64)
        count = (part >= 0).sum(axis=1).astype(np.float64)
        found[start : start + len(part)] = np.where(
            count > 1, 1.0 - _ratio(alike, count * (count - 1.0)), 0.0
        )
    return found


# ----------------------------------------------------------------------------- helpers


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _over_sets(ranked: RankedLists, k: Sequence[int], metric: Callable) -> np.ndarray:
    return np.concatenate([metric(_in_set_order(ranked, cut), [cut]) for cut in k], axis=1)


def _in_set_order(ranked: RankedLists, cut: int) -> RankedLists:
    """Return the first `cut` items in set order."""
    order = set_order(ranked.items[:, :cut])
    items, hits = (np.take_along_axis(a[:, :cut], order, axis=1) for a in (ranked.items, ranked.hits))
    return RankedLists(items, hits, ranked.targets, ranked.users, train=ranked.train)


def set_order(items: np.ndarray) -> np.ndarray:
    """Return, per row, the positions of `items` in the order in which Python iterates `set(row)`.

    Parameters
    ----------
    items : int array, shape (u, k)
        Distinct ids in the order of insertion; -1 pads come last, and stay there.

    Returns
    -------
    int64 array, shape (u, k)
        Column indices into `items`.
    """
    order = np.tile(np.arange(items.shape[1]), (len(items), 1))
    for columns, row in zip(order, items.tolist(), strict=True):
        listed = [item for item in row if item >= 0]
        place = {item: column for column, item in enumerate(listed)}
        columns[: len(listed)] = [place[item] for item in set(listed)]
    return order


# What needs only lists and test items.
ACCURACY = {name: function for name, function in METRICS.items() if not ABOUT[name].needs_train}
