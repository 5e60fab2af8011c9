"""Products of sparse matrices as dense arrays: adding rows gives the bytes of SciPy's product."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recspectra.spectral import places


def histories(users: int, items: int, seed: int) -> sp.csr_array:
    """Return binary rows, the first one empty, with their columns in no order."""
    rng = np.random.default_rng(seed)
    taken = [rng.permutation(items)[:size] for size in (0, *rng.integers(0, items // 4, users - 1))]
    indptr = np.concatenate([[0], np.cumsum([len(t) for t in taken])]).astype(np.int32)
    columns = np.concatenate(taken).astype(np.int32)
    return sp.csr_array((np.ones(len(columns), dtype=np.float32), columns, indptr), shape=(users, items))


def matrix(items: int, share: float, seed: int, width: type = np.int32) -> sp.csr_array:
    """Return a float32 matrix of both signs with empty rows and columns in no order, as products have."""
    x = sp.random_array((items, items), density=share, format="csr", rng=seed, dtype=np.float32)
    x.data[:] = np.random.default_rng(seed).normal(0, 1e3, x.nnz)
    x.indptr[5] = x.indptr[4]  # row 4 has none; row 5 has its entries, too
    x.indices, x.indptr = x.indices[::-1].astype(width), x.indptr.astype(width)
    return sp.csr_array((x.data, x.indices, x.indptr), shape=x.shape)


@pytest.mark.parametrize("width", [np.int32, np.int64])
@pytest.mark.parametrize(("share", "way"), [(0.02, "_add_gathered"), (0.9, "_add_one_by_one")])
def test_adding_rows_gives_the_bytes_of_the_product(
    share: float, way: str, width: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, q, calls, add = histories(40, 900, 0), matrix(900, share, 1, width), [], getattr(places, way)
    monkeypatch.setattr(places, way, lambda *given: calls.append(1) or add(*given))
    before = q.data.copy(), q.indices.copy(), q.indptr.copy()
    found, plain = places.dense_product(rows, q), (rows @ q).toarray()
    assert calls == [1] and found.dtype == np.float32 and found.tobytes() == plain.tobytes()
    exact = rows.toarray().astype(np.float64) @ q.toarray().astype(np.float64)
    assert np.allclose(found, exact, atol=1e-5 * np.abs(exact).max()) and np.abs(exact).max() > 1e3
    assert all(np.array_equal(a, b) for a, b in zip(before, (q.data, q.indices, q.indptr), strict=True))


def test_what_cannot_be_added_is_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    for way in ("_add_gathered", "_add_one_by_one"):
        monkeypatch.setattr(places, way, lambda *_: pytest.fail("rows were added"))
    rows, q = histories(20, 900, 2), matrix(900, 0.5, 3)
    weighted = rows.copy()
    weighted.data[3] = 2.0
    by_columns = ((rows, q.tocsc()), (rows.tocsc(), q), (rows, q.tocoo()))  # a CSC array has an indptr, too
    for left, right in ((weighted, q), (rows.astype(np.float64), q), (rows, q.toarray()), *by_columns):
        assert np.array_equal(places.dense_product(left, right), places.dense(left @ right))
    monkeypatch.setattr(places, "ADD", None)  # a SciPy without it
    assert places.dense_product(rows, q).tobytes() == (rows @ q).toarray().tobytes()


def test_rows_without_entries_have_sums_of_zero() -> None:
    nobody, q = sp.csr_array((3, 900), dtype=np.float32), matrix(900, 0.5, 5)
    assert not places.dense_product(nobody, q).any() and places.dense_product(nobody[:0], q).shape == (0, 900)
