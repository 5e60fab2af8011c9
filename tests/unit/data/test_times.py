"""Times as float64: nothing that differs becomes equal, order stays, and little moves."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recspectra.data.times import from_integers, from_texts, ordered_floats


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30),
    st.sampled_from([1, 10**3, 10**6, 10**9]),
    st.lists(st.integers(0, 5), min_size=1, max_size=30),
)
def test_integer_times_keep_order_and_differences(values: list[int], unit: int, steps: list[int]) -> None:
    near = [min(values[0] + step, 2**63 - 1) for step in steps]  # neighbours, which float64 merges
    given_ = np.array([*values, *near], dtype=np.int64)
    found = from_integers(given_, unit)
    assert np.array_equal(np.unique(found, return_inverse=True)[1], np.unique(given_, return_inverse=True)[1])
    exact = [Fraction(value, unit) for value in given_.tolist()]
    for value, seconds in zip(exact, found.tolist(), strict=True):
        assert abs(value - Fraction(seconds)) <= 70 * Fraction(float(np.spacing(abs(float(value)))))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=30))
def test_floats_that_rise_stay_as_they_are(values: list[float]) -> None:
    rising = np.unique(np.array(values, dtype=np.float64))
    assert ordered_floats(rising).tolist() == rising.tolist()


@pytest.mark.parametrize("base", ["1600000000.12345678", "-3.0000000000000000", "9007199254740992"])
def test_texts_of_numbers_keep_order(base: str) -> None:
    texts = [base + digit for digit in "3120"] + [base + "30" if "." in base else base + "3", "17.5"]
    found = from_texts(np.array([*texts, 17.5], dtype=object))
    exact = [*map(Decimal, texts), Decimal("17.5")]
    assert [found[i] < found[j] for i in range(7) for j in range(7)] == [a < b for a in exact for b in exact]
