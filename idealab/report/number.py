"""Numbers as a person would write them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from idealab.verification import CellResult

_DIGITS = 7
"""Significant digits of a measured value at most: what a person can compare at a glance."""


def show(value: float, digits: int = 5) -> str:
    """Write a number with so many significant digits, and infinity as its sign."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value + 0.0:.{digits}g}"  # + 0.0 turns -0 into 0


def predicted(cell: CellResult, digits: int = 5) -> str:
    """Write what is predicted in a cell: a number, or the side of one: ``> 0.1``."""
    return f"{cell.side} {show(cell.predicted, digits)}".strip()


def with_error(value: float, standard_error: float) -> str:
    """Write a value to the decimal that its standard error reaches: ``1.00003 ± 0.00001``, ``3.021 ± 4e-09``."""
    if not math.isfinite(value) or not math.isfinite(standard_error):
        return show(value)
    if standard_error <= 0:
        return show(value, _DIGITS)
    decimals = -math.floor(math.log10(standard_error))
    leading = math.floor(math.log10(max(abs(value), standard_error)))
    if decimals > 5 or leading + decimals >= _DIGITS or not -4 <= leading < 6:
        digits = min(_DIGITS, max(1, leading + decimals + 1))
        return f"{show(value, digits)} ± {standard_error:.0e}"
    places = max(0, decimals)
    return f"{value:.{places}f} ± {standard_error:.{places}f}"


def evidence(log10: float) -> str:
    """Write evidence as a power of ten."""
    if math.isinf(log10) or math.isnan(log10):
        return show(log10)
    return f"{log10:.1f}"


def duration(seconds: float) -> str:
    """Write a time: ``0.4 s``, ``38 s``, ``12 min``, ``3.5 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def count(number: float, noun: str) -> str:
    """Write a number of things: ``1 seed``, ``212 seeds``, ``3.1e+09 steps``."""
    digits = f"{number:.0f}" if number < 1e6 else f"{number:.1e}"
    return f"{digits} {noun}" if number == 1 else f"{digits} {noun}s"
