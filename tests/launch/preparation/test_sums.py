"""Sums without rounding."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from launch.preparation.sums import ExactSums

NUMBERS = st.one_of(
    st.just(0.0),
    st.floats(2.0**-126, 3e38).flatmap(lambda x: st.sampled_from([x, -x])),
    st.integers(-(10**6), 10**6).map(float),
)


@given(st.lists(NUMBERS, min_size=1, max_size=30), st.integers(0, 30), st.randoms())
@examples(60)
def test_sums_are_exact_for_every_division_and_order(numbers, cut, random):
    whole = ExactSums.of(np.array(numbers))
    fractions = [Fraction(x) for x in numbers]
    unit = ExactSums.of(np.array([1.0])).total
    assert Fraction(whole.total, unit) == sum(fractions)
    assert Fraction(whole.squares, unit) == sum(x * x for x in fractions)
    assert whole.mean == float(sum(fractions) / len(fractions))
    random.shuffle(numbers)
    first, second = ExactSums.of(np.array(numbers[:cut])), ExactSums.of(np.array(numbers[cut:]))
    assert first.plus(second) == second.plus(first) == whole


def test_more_numbers_than_are_summed_at_once():
    numbers = np.random.default_rng(0).lognormal(3, 9, 300_000)
    parts = [ExactSums.of(part) for part in np.array_split(numbers, 7)]
    total = ExactSums()
    for part in parts[::-1]:
        total = total.plus(part)
    assert total == ExactSums.of(numbers)
    np.testing.assert_allclose(total.mean, numbers.mean(), rtol=1e-12)
    np.testing.assert_allclose(total.deviation, numbers.std(), rtol=1e-12)
