"""Which value of a knob to try next, to find the one past which something no longer holds.

Distances are logarithms of ratios: a bracket is narrow when its ends differ by a factor of `RESOLUTION` at most. Where
one of the ends is zero, or the signs differ, there is no ratio, and the step to the next rung takes its place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

RESOLUTION = 1.1

_RUNGS = 4
"""Steps at most in which a span is gone through: each costs as much as one that narrows a bracket."""


def outward(before: float, last: float) -> Iterator[float]:
    """Go on from the last two values of a sweep, which are not among those given, by factors of two, without end.

    From zero, or towards it, the last step is doubled, or what is left is halved.
    """
    step = last - before
    for k in count(1):
        if last == 0:
            yield step * 2 ** (k - 1)
        elif last * step > 0:
            yield last * 2**k
        elif isinstance(last, int):
            yield last + step * k
        else:
            yield last / 2**k


def ladder(first: float, last: float) -> Iterator[float]:
    """Both ends and what lies between, evenly in the logarithm where there is one; whole numbers stay whole."""
    geometric = first * last > 0
    rungs = min(_RUNGS, max(1, math.ceil(abs(math.log2(last / first))))) if geometric else _RUNGS
    parts = [k / rungs for k in range(1, rungs)]
    inner = [first * (last / first) ** s if geometric else first + (last - first) * s for s in parts]
    rounded = [round(v) if isinstance(first, int) else float(f"{v:.2g}") for v in inner]
    yield from dict.fromkeys([first, *(v for v in rounded if min(first, last) < v < max(first, last)), last])


def width(a: float, b: float, step: float) -> float:
    """How far two values lie apart; zero for whole numbers that have none between them."""
    if isinstance(a, int) and abs(a - b) <= 1:
        return 0.0
    return abs(math.log(b / a)) if a * b > 0 else abs(b - a) / step


def is_narrow(a: float, b: float, step: float) -> bool:
    """Whether the two values are a bracket that need not be narrowed; ``step`` is that from the first rung."""
    return width(a, b, step) <= math.log(RESOLUTION) * (1 + 1e-9)


def middle(a: float, b: float) -> float:
    """A value near the middle of two, in as few digits as will do."""
    exact = math.copysign(math.sqrt(a * b), a) if a * b > 0 else (a + b) / 2
    if isinstance(a, int):
        return min(max(round(exact), min(a, b) + 1), max(a, b) - 1)
    near = [float(f"{exact:.{digits}g}") for digits in (2, 3, 4)]
    return next((v for v in near if 2 * abs(v - exact) < min(abs(exact - a), abs(exact - b))), exact)
