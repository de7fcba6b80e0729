from __future__ import annotations

import math
from itertools import chain, islice, pairwise

import pytest
from hypothesis import given, strategies as st

from idealab.judge.bracket import RESOLUTION, is_narrow, ladder, middle, outward, width


@pytest.mark.parametrize(
    ("values", "rungs"),
    [
        ((1.0, 2.0), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]),
        ((2.1, 1.7, 1.2), [2.1, 1.7, 1.2, 0.6, 0.3, 0.15]),
        ((-1.0, -2.0), [-1.0, -2.0, -4.0, -8.0, -16.0, -32.0]),
        ((-2.0, -1.0), [-2.0, -1.0, -0.5, -0.25, -0.125, -0.0625]),
        ((0.0, 0.5), [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]),
        ((-1.0, 0.0), [-1.0, 0.0, 1.0, 2.0, 4.0, 8.0]),
        ((16, 64), [16, 64, 128, 256, 512, 1024]),
        ((9, 7), [9, 7, 5, 3, 1, -1]),
    ],
)
def test_a_sweep_is_gone_through_and_gone_on_with_by_factors_of_two(values, rungs):
    found = list(islice(chain(values, outward(*values[-2:])), 6))
    assert found == rungs
    assert {type(value) for value in found} == {type(values[0])}


@pytest.mark.parametrize(
    ("first", "last", "rungs"),
    [
        (0.5, 20.0, [0.5, 1.3, 3.2, 8.0, 20.0]),
        (2.1, 1.9, [2.1, 1.9]),
        (20.0, 0.2, [20.0, 6.3, 2.0, 0.63, 0.2]),
        (0.0, 10.0, [0.0, 2.5, 5.0, 7.5, 10.0]),
        (-1.0, 1.0, [-1.0, -0.5, 0.0, 0.5, 1.0]),
        (2, 30, [2, 4, 8, 15, 30]),
        (2, 3, [2, 3]),
    ],
)
def test_a_span_has_both_its_ends_and_few_rungs_between(first, last, rungs):
    found = list(ladder(first, last))
    assert found == rungs
    assert {type(value) for value in found} == {type(first)}


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.sampled_from([1, -1]))
def test_halving_narrows_any_bracket_that_is_not_narrow(a, b, sign):
    a, b, rounds = sign * a, sign * b, 0
    while not is_narrow(a, b, 1.0):
        value, before = middle(a, b), width(a, b, 1.0)
        assert min(a, b) < value < max(a, b)
        a, b, rounds = (a, value, rounds + 1) if rounds % 2 else (value, b, rounds + 1)
        assert width(a, b, 1.0) < 0.8 * before
    assert max(a / b, b / a) <= RESOLUTION * (1 + 1e-6)


@pytest.mark.parametrize(("a", "b"), [(0.0, 4.0), (-3.0, 5.0), (5.0, -3.0)])
def test_where_there_is_no_ratio_the_first_step_is_the_scale(a, b):
    assert not is_narrow(a, b, 4.0)
    assert middle(a, b) == pytest.approx((a + b) / 2, rel=0.05)
    assert is_narrow(0.0, 0.3, 4.0)
    assert not is_narrow(0.0, 0.5, 4.0)


def test_whole_numbers_stay_whole_and_end_next_to_each_other():
    assert (middle(2, 4), middle(4, 2), middle(3, 5)) == (3, 3, 4)
    assert all(isinstance(value, int) for value in (middle(2, 4), middle(100, 1000)))
    assert is_narrow(3, 4, 1.0)
    assert not is_narrow(3, 5, 1.0)
    assert is_narrow(50, 53, 1.0)


def test_values_are_written_in_few_digits():
    assert middle(2.0, 4.0) == 2.8
    assert middle(2.8, 4.0) == 3.3
    assert middle(1.0, 1.02) == pytest.approx(1.01, abs=1e-9)
    assert middle(1.0, math.nextafter(1.0, 2.0)) in (1.0, math.nextafter(1.0, 2.0))


def test_the_first_rungs_are_in_order():
    for values in ((1.0, 2.0), (3.0, 2.0, 1.0), (-1.0, 0.0, 1.0)):
        steps = [b - a for a, b in pairwise(islice(chain(values, outward(*values[-2:])), 8))]
        assert all(step * steps[0] > 0 for step in steps)
