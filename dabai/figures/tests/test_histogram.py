"""Quantiles of counted minutes are those of the minutes written out."""

from collections import Counter
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabai.figures.histogram import largest, quantile

SHARES = (Fraction(1, 2), Fraction(9, 10), Fraction(1))


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=400), st.sampled_from(SHARES))
def test_as_if_written_out(values: list[int], share: Fraction) -> None:
    assert quantile(Counter(values), share) == sorted(values)[ceil(share * len(values)) - 1]
    assert largest(Counter(values)) == max(values)


@given(st.lists(st.integers(0, 50), min_size=1), st.lists(st.integers(0, 50), min_size=1))
def test_cells_may_be_put_together(one: list[int], other: list[int]) -> None:
    together = Counter(one) + Counter(other)
    assert quantile(together, Fraction(9, 10)) == quantile(Counter(one + other), Fraction(9, 10))


@pytest.mark.parametrize("share", SHARES)
def test_nothing_has_no_quantile(share: Fraction) -> None:
    assert quantile({}, share) is None
    assert largest({}) is None
