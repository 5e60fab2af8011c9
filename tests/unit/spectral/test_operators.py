"""Every graph operator equals its matrix, formed by plain dense formulas, on any small graph."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain_matrices import both_sides, dense, similarity_product, to_power

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.spectral import operators
from recspectra.spectral.operators import (
    Augmented,
    Bipartite,
    GeneralisedSimilarity,
    ItemSimilarity,
    Operator,
    OperatorError,
    RowSimilarity,
    UnifiedGraph,
    build,
    degrees,
    generalised,
    normalised,
    power,
    spectral_radius,
    transition_graph,
)
from recspectra.spectral.torch_operators import to_torch

NAMES = [
    "item-similarity", "bipartite", "augmented", "generalised-e0.3-a0.0", "generalised-e0.5-a2.5",
    "unified-d0-a0.4", "unified-d1-a0.4", "unified-d3-a0.7",
]  # fmt: skip

every_name = pytest.mark.parametrize("name", NAMES)


def of_rows(rows: list[list[int]], n_items: int) -> Interactions:
    users = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    return from_pairs(users, np.array([i for r in rows for i in r], dtype=int), None, (len(rows), n_items))


@st.composite
def graphs(draw: st.DrawFn) -> Interactions:
    """Up to 7 users and 7 items; users and items without interactions, repeats included."""
    users, items = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    row = st.lists(st.integers(0, items - 1), max_size=8)
    return of_rows(draw(st.lists(row, min_size=users, max_size=users)), items)


HOLES = of_rows([[], [1, 2, 3, 7], [4], [], [3, 2, 8, 1], [6], []], 10)

# ---------------------------------------------------------------- the formulas, formed


def formed_augmented(train: Interactions) -> np.ndarray:
    x = dense(train)
    r_user, r_item = to_power(x.sum(axis=1), -0.5) @ x, x @ to_power(x.sum(axis=0), -0.5)
    return both_sides(np.block([[r_item @ r_item.T, x], [x.T, r_user.T @ r_user]]))


def formed_generalised(train: Interactions, exponent: float, shift: float) -> np.ndarray:
    x = dense(train)
    left, right = (to_power(x.sum(axis=axis) + shift, -exponent) for axis in (1, 0))
    r = left @ x @ right
    return r.T @ r


def formed_unified(train: Interactions, depth: int, decay: float) -> np.ndarray:
    """I - L of GSPRec's Eqs. 2 to 6; depth 0 is the empty sum."""
    x, s = dense(train), np.zeros((train.n_items, train.n_items))
    for user in range(train.n_users):
        for first, second in zip(train.sequence(user)[:-1], train.sequence(user)[1:], strict=True):
            if first != second:
                s[first, second] = s[second, first] = 1.0
    hops = [decay ** (k - 1) * np.linalg.matrix_power(s, k) for k in range(1, depth + 1)]
    total = sum(hops, np.zeros_like(s))
    nothing = np.zeros((len(x), len(x)))
    return both_sides(np.block([[nothing, x], [x.T, both_sides(total)]]))


def check(operator: Operator, formed: np.ndarray) -> None:
    """The product is that of the matrix, which is symmetric with a spectrum in `interval`."""
    found = operator.formed()
    assert operator.size == len(formed)
    assert np.allclose(found, formed, atol=1e-10)
    assert np.allclose(found, found.T, atol=1e-10)
    values = np.linalg.eigvalsh(formed)
    low, high = operator.interval
    assert low - 1e-9 <= values[0]
    assert values[-1] <= high + 1e-9
    vector = np.linspace(-1.0, 2.0, operator.size)
    assert np.allclose(operator @ vector, formed @ vector, atol=1e-10)


# ------------------------------------------------------------------------------ products


@given(graphs(), st.integers(1, 4), st.sampled_from([1e-3, 0.1, 0.4, 0.77, 0.99]))
def test_the_unified_graph_equals_equations_2_to_6(train: Interactions, depth: int, decay: float) -> None:
    check(UnifiedGraph(train, depth, decay), formed_unified(train, depth, decay))


@given(graphs(), st.sampled_from([0.1, 0.4]))
def test_depth_0_is_the_bipartite_graph(train: Interactions, decay: float) -> None:
    operator = build(f"unified-d0-a{decay}", train)
    check(operator, formed_unified(train, 0, decay))
    assert np.array_equal(operator.formed(), Bipartite(train).formed())


@given(graphs())
def test_the_augmented_graph_equals_its_blocks(train: Interactions) -> None:
    check(Augmented(train), formed_augmented(train))


@given(graphs(), st.sampled_from([0.0, 0.25, 0.5, 0.8, 1.0]), st.sampled_from([0.0, 0.3, 19.0]))
def test_the_generalised_similarity_equals_its_formula(
    train: Interactions, exponent: float, shift: float
) -> None:
    check(GeneralisedSimilarity(train, exponent, shift), formed_generalised(train, exponent, shift))


@given(graphs())
def test_the_generalised_similarity_of_one_half_is_the_item_similarity(train: Interactions) -> None:
    general, plain = GeneralisedSimilarity(train, 0.5, 0.0), ItemSimilarity(train)
    assert np.allclose(general.formed(), plain.formed(), atol=1e-12)
    assert general.interval[1] == pytest.approx(1.0 if train.nnz else 0.0)
    check(plain, formed_generalised(train, 0.5, 0.0))


def test_the_bound_of_the_generalised_similarity_is_not_far_off() -> None:
    rng = np.random.default_rng(3)
    train = of_rows([rng.choice(40, size=n, replace=False).tolist() for n in rng.integers(1, 20, 60)], 40)
    for exponent, shift in ((0.3, 0.0), (0.4, 5.0)):
        operator = GeneralisedSimilarity(train, exponent, shift)
        largest = np.linalg.eigvalsh(operator.formed())[-1]
        assert largest <= operator.interval[1] < 3 * largest


@every_name
def test_nodes_without_edges_get_zeros(name: str) -> None:
    operator = build(name, HOLES)
    formed = operator.formed()
    offset = operator.size - HOLES.n_items
    lonely = [offset + i for i in (0, 5, 9)] + ([0, 3, 6] if offset else [])
    assert np.isfinite(formed).all()
    assert (formed[lonely] == 0).all()
    assert (formed[:, lonely] == 0).all()


@every_name
def test_a_graph_without_edges_is_the_zero_matrix(name: str) -> None:
    formed = build(name, of_rows([[], []], 3)).formed()
    assert np.array_equal(formed, np.zeros_like(formed))


# ------------------------------------------------------------------------------ building


def test_names_carry_parameters() -> None:
    train = of_rows([[0, 1], [1, 2]], 3)
    assert build("generalised-e0.37-a19.0", train).size == 3
    found = build("generalised-e0.37-a19.0", train).formed()
    assert np.allclose(found, formed_generalised(train, 0.37, 19.0))
    assert isinstance(build("augmented", train), Augmented)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("generalised-e-0.5-a0", "exponent -0.5 and shift 0 must be at least 0"),
        ("generalised-e0.5-a-1", "shift -1"),
        ("unified-d2-a0.4.4", "operator 'unified-d2-a0.4.4': '0.4.4' is not a number"),
        ("unified-d2", "unknown operator 'unified-d2'; known: item-similarity"),
        ("augmented-2", "unknown operator 'augmented-2'; known: item-similarity"),
    ],
)
def test_bad_names_are_explained(name: str, message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        build(name, HOLES)


def pieces(operator: Operator) -> dict[str, np.ndarray]:
    """Arrays of an operator, sparse ones as theirs."""
    found = {k: v for k, v in vars(operator).items() if isinstance(v, np.ndarray) or sp.issparse(v)}
    return {k: v.toarray() if sp.issparse(v) else v.copy() for k, v in found.items()}


@every_name
def test_an_operator_may_be_single_precision(name: str, tiny: dict[str, Interactions]) -> None:
    double, single = build(name, tiny["train"]), build(name, tiny["train"], np.float32)
    assert {v.dtype for v in pieces(double).values()} == {np.dtype(np.float64)}
    assert {v.dtype for v in pieces(single).values()} == {np.dtype(np.float32)}
    block = np.random.default_rng(0).standard_normal((double.size, 3))
    found, expected = single @ block.astype(np.float32), double @ block
    assert (found.dtype, expected.dtype) == (np.float32, np.float64)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert (single.size, single.interval) == (double.size, double.interval)


def test_another_precision_leaves_the_operator_as_it_was(tiny: dict[str, Interactions]) -> None:
    operator = build("unified-d2-a0.4", tiny["train"])
    before = pieces(operator)
    operator.astype(np.float32)
    after = pieces(operator)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[k], after[k]) and after[k].dtype == np.float64 for k in before)


def test_transitions_follow_time_and_not_item_ids() -> None:
    users, items, times = np.zeros(3, int), np.array([0, 1, 2]), np.array([5.0, 9.0, 7.0])
    found = transition_graph(from_pairs(users, items, times, (1, 3))).toarray()
    assert np.array_equal(found, [[0, 0, 1], [0, 0, 1], [1, 1, 0]])


@pytest.mark.parametrize(("depth", "decay"), [(0, 0.4), (2, 0.0), (2, 1.0), (2, -0.1)])
def test_unified_graph_refuses_parameters_out_of_bounds(depth: int, decay: float) -> None:
    with pytest.raises(OperatorError, match="depth"):
        UnifiedGraph(HOLES, depth, decay)


def test_degrees_and_their_powers() -> None:
    users, items = degrees(of_rows([[0, 1, 2], [], [2]], 4).matrix)
    assert (users.tolist(), items.tolist()) == ([3, 0, 1], [1, 1, 2, 0])
    assert power(items, -0.5).tolist() == pytest.approx([1, 1, 0.5**0.5, 0])
    assert power(items, 0.5).tolist() == pytest.approx([1, 1, 2**0.5, 0])


# --------------------------------------------------------------------------------- torch


@every_name
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_tensors_give_the_products_of_arrays(
    name: str, dtype: torch.dtype, tolerance: float, tiny: dict[str, Interactions]
) -> None:
    operator = build(name, tiny["train"])
    before = pieces(operator)
    on_torch = to_torch(operator, "cpu", dtype)
    for shape in ((operator.size,), (operator.size, 4)):
        block = np.random.default_rng(0).standard_normal(shape)
        found, expected = on_torch @ torch.tensor(block, dtype=dtype), operator @ block
        assert (found.dtype, tuple(found.shape)) == (dtype, shape)
        assert np.abs(found.numpy() - expected).max() < tolerance * np.abs(expected).max()
    assert (on_torch.size, on_torch.interval) == (operator.size, operator.interval)
    assert all(np.array_equal(before[k], v) for k, v in pieces(operator).items())
    assert operator.join is not torch.cat


@every_name
def test_tensors_manage_nodes_without_edges(name: str) -> None:
    operator = build(name, HOLES)
    found = to_torch(operator, "cpu", torch.float64) @ torch.eye(operator.size, dtype=torch.float64)
    assert np.allclose(found.numpy(), operator.formed(), atol=1e-12)


def test_tensors_leave_matrices_in_any_layout_as_they_were() -> None:
    operator = Bipartite(HOLES)
    r = operator.r  # turned around: the column ids of a row are not in order
    shuffled = sp.csr_array((r.data[::-1], r.indices[::-1], r.nnz - r.indptr[::-1]), shape=r.shape)
    assert not shuffled.has_sorted_indices
    operator.r, before = shuffled, shuffled.indices.copy()
    block = np.random.default_rng(0).standard_normal((operator.size, 2))
    found = to_torch(operator, "cpu", torch.float64) @ torch.tensor(block)
    assert np.allclose(found.numpy(), operator @ block, atol=1e-12)
    assert np.array_equal(shuffled.indices, before)


def test_operators_do_not_load_torch() -> None:
    code = "import sys, recspectra.spectral.operators; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------------ spectral radius


@given(graphs())
def test_the_radius_of_transitions_is_their_largest_eigenvalue(train: Interactions) -> None:
    graph = operators.transition_graph(train)
    values = np.abs(np.linalg.eigvalsh(graph.toarray()))
    assert spectral_radius(graph) == pytest.approx(values.max(initial=0.0), rel=1e-3)
    assert spectral_radius(graph) <= values.max(initial=0.0) + 1e-9  # never above it


def test_the_radius_of_lemma_1() -> None:
    star = of_rows([[0, leaf] for leaf in range(1, 10)], 10)  # rho = 3, and -3 is an eigenvalue
    assert UnifiedGraph(star, 2, 0.3).spectral_radius() == pytest.approx(3.0)
    assert UnifiedGraph(of_rows([[1], [2]], 3), 2, 0.9).spectral_radius() == 0.0  # no transition at all


# ---------------------------------------------------------------------------- similarity


@given(graphs(), st.sampled_from([0, 1, 2, 3]))
def test_propositions_2_and_3(train: Interactions, depth: int) -> None:
    """Eigenvalues of L lie in [0, 2], as many are 0 as the graph has components.

    Successive items are of one user, so transitions join no components of the graph of interactions. A node
    without an edge counts as none: its row of L is that of the identity.
    """
    frequencies = 1.0 - np.linalg.eigvalsh(build(f"unified-d{depth}-a0.4", train).formed())
    assert frequencies.min() >= -1e-12 and frequencies.max() <= 2.0 + 1e-12
    whole = sp.block_array([[None, train.matrix], [train.matrix.T, None]]).tocsr()
    count, label = sp.csgraph.connected_components(whole, directed=False)
    single = (np.bincount(label, minlength=count) == 1).sum()
    assert (np.abs(frequencies) < 1e-9).sum() == count - single


@pytest.mark.parametrize("share", [0.0, np.inf], ids=["dense", "sparse"])
@given(graphs())
def test_rows_times_the_similarity(share: float, train: Interactions) -> None:
    r, rows = normalised(train.matrix), train.matrix[::-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operators, "SPARSE_SHARE", share)
        found = RowSimilarity(r)(rows)
    assert np.allclose(found, dense(train)[::-1] @ formed_generalised(train, 0.5, 0.0), atol=1e-6)
    assert found.shape == train.shape


@pytest.mark.parametrize("share", [0.0, np.inf], ids=["dense", "sparse"])
@pytest.mark.parametrize("width", [1, 5, 32])
def test_either_way_has_the_bytes_of_the_plain_product(share: float, width: int) -> None:
    """Sums over users in ascending order, whatever the order in which a row's items are stored."""
    rng = np.random.default_rng(width)
    train = from_pairs(*np.nonzero(rng.random((60, 90)) < 0.2), None, (60, 90))
    r = normalised(train.matrix).astype(np.float32)
    weights = sp.diags_array(rng.random(90).astype(np.float32))
    rows = train.matrix[::-2] @ weights
    assert not rows.has_sorted_indices
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operators, "SPARSE_SHARE", share)
        patch.setattr(operators, "ROWS_AT_ONCE", width)
        found = RowSimilarity(r, ascending=True)(rows)
        default = RowSimilarity(r)(rows)
    assert found.dtype == np.float32
    assert np.array_equal(found, similarity_product(r, rows))
    assert share or np.array_equal(default, found)
    assert not rows.has_sorted_indices


@given(graphs())
def test_the_share_of_near_users_bounds_the_density(train: Interactions) -> None:
    r = generalised(train.matrix, 0.3, 1.0)
    dense = (r @ r.T).toarray()
    assert RowSimilarity(r).share >= (dense > 0).mean() - 1e-12
