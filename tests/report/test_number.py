from __future__ import annotations

import math

import pytest

from idealab.report import number


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (1.00003, 1e-5, "1.00003 ± 0.00001"),
        (1.00003, 1.6e-5, "1.00003 ± 0.00002"),
        (-0.487, 0.004, "-0.487 ± 0.004"),
        (212.4, 30.0, "212 ± 30"),
        (1.23456789, 0.0, "1.234568"),  # no spread: no error to show
        (2.1398471203114, 3e-13, "2.139847 ± 3e-13"),  # more digits than a person can compare
        (3.1e-13, 4e-14, "3.1e-13 ± 4e-14"),
        (1.234e9, 2e6, "1.234e+09 ± 2e+06"),
        (0.0, 1e-3, "0.000 ± 0.001"),
        (1e-9, 1.0, "0 ± 1"),
        (math.nan, 1.0, "not a number"),
        (1.5, math.nan, "1.5"),
        (-math.inf, 0.0, "-∞"),
    ],
)
def test_a_value_is_written_to_the_decimal_of_its_error(value: float, error: float, shown: str) -> None:
    assert number.with_error(value, error) == shown


def test_minus_zero_is_zero() -> None:
    assert number.show(-0.0) == "0"


@pytest.mark.parametrize(("log10", "shown"), [(9.13, "9.1"), (math.inf, "∞"), (-math.inf, "-∞"), (-2.0, "-2.0")])
def test_evidence_is_a_power_of_ten(log10: float, shown: str) -> None:
    assert number.evidence(log10) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.42, "0.4 s"), (38.2, "38 s"), (119.0, "119 s"), (720.0, "12 min"), (12600.0, "3.5 h")]
)
def test_durations_have_the_unit_that_fits(seconds: float, shown: str) -> None:
    assert number.duration(seconds) == shown


def test_counts_are_singular_or_plural() -> None:
    assert [number.count(n, "seed") for n in (1, 212, 3.1e9)] == ["1 seed", "212 seeds", "3.1e+09 seeds"]
