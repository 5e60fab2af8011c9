"""The search for top lists gives the bytes of its plain reference: lists, positions and cut groups."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_ranking import plain_ranking

from recspectra.data.interactions import from_pairs
from recspectra.fitting import ranking
from recspectra.fitting.ranking import Ranking, rankings
from recspectra.fitting.scoring import rank
from recspectra.runtime import Diverged

TINY = np.float32(1e-45)  # the smallest subnormal number
KINDS = [
    "floats",
    "few levels",
    "one level",
    "zeros",
    "signed zeros",
    "subnormal",
    "mostly -inf",
    "no finite",
]


def scores_of_kind(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Scores among which a kind of equals is frequent."""
    levels = rng.integers(-2, 3, shape)
    floats = rng.standard_normal(shape)
    lowest = np.where(rng.random(shape) < 0.97, -np.inf, floats)
    return {
        "floats": floats,
        "few levels": levels / 7,
        "one level": np.full(shape, -0.3),
        "zeros": np.where(rng.random(shape) < 0.02, floats, 0.0),
        "signed zeros": np.where(levels > 0, 0.0, -0.0),
        "subnormal": levels.astype(np.float32) * TINY,
        "mostly -inf": lowest,
        "no finite": np.full(shape, -np.inf),
    }[kind].astype(np.float32)


def mask_of(share: float, shape: tuple[int, int], rng: np.random.Generator) -> sp.csr_array:
    return sp.csr_array((rng.random(shape) < share).astype(np.float32))


def same(found: Ranking, expected: Ranking) -> None:
    for mine, plain in zip((*found[:2], *found.cuts), (*expected[:2], *expected.cuts), strict=True):
        assert mine.dtype == plain.dtype == np.int32
        assert mine.shape == plain.shape
        assert mine.tobytes() == plain.tobytes()


@given(
    kind=st.sampled_from(KINDS),
    shape=st.tuples(st.integers(0, 9), st.integers(1, 400)),
    shares=st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.99, 1.0]), min_size=1, max_size=3),
    k=st.integers(1, 60),
    rows_at_once=st.sampled_from([1, 4, 100]),
    ties=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_every_mask_gets_the_bytes_of_the_reference(
    kind: str, shape: tuple[int, int], shares: list[float], k: int, rows_at_once: int, ties: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores, masks = scores_of_kind(kind, shape, rng), [mask_of(share, shape, rng) for share in shares]
    before = scores.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "SCORES_AT_ONCE", rows_at_once * shape[1])
        found = rankings(scores, masks, k, ties)
    for mine, mask in zip(found, masks, strict=True):
        same(mine, plain_ranking(scores, mask, k, ties))
    assert scores.tobytes() == before.tobytes()


FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf")]), st.floats(width=32, allow_nan=False)
)


@given(st.data())
def test_any_scores_any_mask_any_k(data: st.DataObject) -> None:
    b, n = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9))
    cells = st.lists(st.lists(FLOATS, min_size=n, max_size=n), min_size=b, max_size=b)
    flags = st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=b, max_size=b)
    scores, mask = np.array(data.draw(cells), dtype=np.float32), np.array(data.draw(flags))
    seen, k = sp.csr_array(mask.astype(np.float32)), data.draw(st.integers(1, 12))
    same(rankings(scores, [seen], k)[0], plain_ranking(scores, seen, k))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "k"), [(3000, 50), (3000, 20), (3001, 1), (50, 50), (51, 50)])
def test_rows_as_long_as_those_of_data_sets(kind: str, n: int, k: int) -> None:
    rng = np.random.default_rng(n + k)
    scores = scores_of_kind(kind, (40, n), rng)
    masks = [mask_of(share, scores.shape, rng) for share in (0.01, 0.3)]
    for mine, mask in zip(rankings(scores, masks, k), masks, strict=True):
        same(mine, plain_ranking(scores, mask, k))


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_group_of_equals_across_the_cut_is_settled_by_ids(at: int) -> None:
    """Distinct scores but for three equals: two in one group of columns, none, or all three."""
    n, k = 600, 6
    scores = np.random.default_rng(0).permutation(n).astype(np.float32)[None, :]
    height = ranking.Block(scores, k).groups
    places = [[3, 3 + height, 5], [3, 4, 5], [3, 3 + height, 3 + 2 * height]][at]
    scores[0, places] = n - k + 1
    seen = sp.csr_array((1, n), dtype=np.float32)
    for mine in (rankings(scores, [seen], depth)[0] for depth in (k - 1, k, k + 1, k + 2)):
        same(mine, plain_ranking(scores, seen, mine.lists.shape[1]))


@pytest.mark.parametrize("n", [5, 400])
@pytest.mark.parametrize("hidden", [False, True])
def test_nan_is_refused_wherever_it_stands(n: int, hidden: bool) -> None:
    scores = np.random.default_rng(0).standard_normal((5, n)).astype(np.float32)
    scores[3, n - 2] = np.nan
    mask = np.zeros(scores.shape, dtype=np.float32)
    mask[3, n - 2] = hidden
    with pytest.raises(Diverged, match="NaN"):
        rankings(scores, [sp.csr_array(mask)], 2)


def test_locked_scores_in_any_layout_are_taken() -> None:
    rng = np.random.default_rng(0)
    scores = np.asfortranarray(rng.standard_normal((7, 300)).astype(np.float32))
    scores.setflags(write=False)
    seen = mask_of(0.2, scores.shape, rng)
    same(rankings(scores, [seen], 5)[0], plain_ranking(scores, seen, 5))


def test_masks_of_one_history_are_ranked_from_one_call_of_the_model() -> None:
    rng = np.random.default_rng(2)
    scores, calls = rng.standard_normal((30, 90)).astype(np.float32), []
    parts = [from_pairs(*np.nonzero(rng.random(scores.shape) < 0.1), None, scores.shape) for _ in range(2)]

    def score(users: np.ndarray, _: object) -> np.ndarray:
        calls.extend(users.tolist())
        return scores[users]

    for mine, mask in zip(rank(score, parts[0], parts, 7, size=8), parts, strict=True):
        same(mine, plain_ranking(scores, mask.matrix, 7))
    assert calls == list(range(30))
